#include "gate/x402/address.h"

#include <string.h>

#include "gate/base/hash.h"
#include "gate/base/text.h"

#define DIGITS 40

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* A letter is upper case when the nibble of the hash at its place is 8 or more (EIP-55). */
static void checksum(const struct aegis_address *address, char digits[DIGITS + 1])
{
    uint8_t hash[AEGIS_HASH_SIZE];

    aegis_hex_encode(address->bytes, sizeof address->bytes, digits);
    aegis_keccak256(digits, DIGITS, hash);
    for (unsigned i = 0; i < DIGITS; i++) {
        unsigned nibble = i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 15;

        if (nibble >= 8 && digits[i] >= 'a') {
            digits[i] = (char)(digits[i] - 'a' + 'A');
        }
    }
}

static bool one_case(const char *digits)
{
    bool lower = false, upper = false;

    for (; *digits != '\0'; digits++) {
        lower = lower || (is_letter(*digits) && *digits >= 'a');
        upper = upper || (is_letter(*digits) && *digits < 'a');
    }
    return !(lower && upper);
}

bool aegis_address_parse(const char *text, struct aegis_address *out)
{
    struct aegis_address address;
    char digits[DIGITS + 1];

    if (strncmp(text, "0x", 2) != 0 ||
        !aegis_hex_decode(text + 2, strlen(text + 2), address.bytes, sizeof address.bytes)) {
        return false;
    }
    if (!one_case(text + 2)) {
        checksum(&address, digits);
        if (strcmp(digits, text + 2) != 0) {
            return false;
        }
    }
    *out = address;
    return true;
}

char *aegis_address_format(const struct aegis_address *address, char out[AEGIS_ADDRESS_TEXT])
{
    memcpy(out, "0x", 2);
    checksum(address, out + 2);
    return out;
}

bool aegis_address_equal(const struct aegis_address *a, const struct aegis_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool aegis_address_is_zero(const struct aegis_address *address)
{
    static const struct aegis_address zero;

    return aegis_address_equal(address, &zero);
}
