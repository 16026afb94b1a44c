/* The authorization of EIP-3009: its JSON and the digest that is signed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gate/base/hash.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/x402/challenge.h"
#include "gate/x402/eip712.h"

#define WORD       AEGIS_WORD
#define NONCE_TEXT (2 + 2 * WORD)

json_t *aegis_authorization_json(const struct aegis_authorization *authorization)
{
    char from[AEGIS_ADDRESS_TEXT], to[AEGIS_ADDRESS_TEXT], value[AEGIS_AMOUNT_TEXT];
    char valid_after[24], valid_before[24], nonce[NONCE_TEXT + 1] = "0x";
    json_t *object;

    snprintf(valid_after, sizeof valid_after, "%" PRId64, authorization->valid_after);
    snprintf(valid_before, sizeof valid_before, "%" PRId64, authorization->valid_before);
    aegis_hex_encode(authorization->nonce, sizeof authorization->nonce, nonce + 2);
    object =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "from", aegis_address_format(&authorization->from, from),
                  "to", aegis_address_format(&authorization->to, to), "value",
                  aegis_amount_format(authorization->value, value), "validAfter", valid_after, "validBefore",
                  valid_before, "nonce", nonce);
    AEGIS_ASSERT(object != NULL);
    return object;
}

static bool parse_address(const json_t *object, const char *name, struct aegis_address *out,
                          struct aegis_error *error)
{
    return aegis_address_parse(aegis_json_text(object, name, ""), out) ||
           aegis_error_set(error, "%s: expected an address", name);
}

static bool parse_seconds(const json_t *object, const char *name, int64_t *out, struct aegis_error *error)
{
    aegis_amount seconds;

    if (!aegis_amount_parse(aegis_json_text(object, name, ""), &seconds) || seconds > INT64_MAX) {
        return aegis_error_set(error, "%s: expected seconds in decimal digits", name);
    }
    *out = (int64_t)seconds;
    return true;
}

static bool parse_nonce(const json_t *object, uint8_t nonce[WORD], struct aegis_error *error)
{
    const char *text = aegis_json_text(object, "nonce", "");

    return (strncmp(text, "0x", 2) == 0 && aegis_hex_decode(text + 2, strlen(text + 2), nonce, WORD)) ||
           aegis_error_set(error, "nonce: expected 0x and 64 hex digits");
}

bool aegis_authorization_parse(const json_t *object, struct aegis_authorization *out,
                               struct aegis_error *error)
{
    static const struct aegis_json_field fields[] = {
        {"from", AEGIS_JSON_STRING, true, AEGIS_ADDRESS_TEXT - 1},
        {"to", AEGIS_JSON_STRING, true, AEGIS_ADDRESS_TEXT - 1},
        {"value", AEGIS_JSON_AMOUNT, true, 0},
        {"validAfter", AEGIS_JSON_AMOUNT, true, 0},
        {"validBefore", AEGIS_JSON_AMOUNT, true, 0},
        {"nonce", AEGIS_JSON_STRING, true, NONCE_TEXT},
        {0}};
    struct aegis_authorization read;

    if (!aegis_json_check(object, fields, error) || !parse_address(object, "from", &read.from, error) ||
        !parse_address(object, "to", &read.to, error) ||
        !parse_seconds(object, "validAfter", &read.valid_after, error) ||
        !parse_seconds(object, "validBefore", &read.valid_before, error) ||
        !parse_nonce(object, read.nonce, error)) {
        return false;
    }
    AEGIS_ASSERT(aegis_amount_parse(aegis_json_text(object, "value", ""), &read.value));
    *out = read;
    return true;
}

/* keccak256("TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256
 * validBefore, bytes32 nonce)"), the string without line breaks. */
static const uint8_t transfer_type_hash[WORD] = {
    0x7c, 0x7c, 0x6c, 0xdb, 0x67, 0xa1, 0x87, 0x43, 0xf4, 0x9e, 0xc6, 0xfa, 0x9b, 0x35, 0xf5, 0x0d,
    0x52, 0xed, 0x05, 0xcb, 0xed, 0x4c, 0xc5, 0x92, 0xe1, 0x3b, 0x44, 0x50, 0x1c, 0x1a, 0x22, 0x67};

static void struct_hash(const struct aegis_authorization *authorization, uint8_t out[WORD])
{
    struct aegis_words words = {.size = 0};

    AEGIS_ASSERT(authorization->valid_after >= 0 && authorization->valid_before >= 0);
    memcpy(aegis_words_next(&words), transfer_type_hash, WORD);
    aegis_words_address(&words, &authorization->from);
    aegis_words_address(&words, &authorization->to);
    aegis_words_number(&words, authorization->value);
    aegis_words_number(&words, (aegis_amount)authorization->valid_after);
    aegis_words_number(&words, (aegis_amount)authorization->valid_before);
    memcpy(aegis_words_next(&words), authorization->nonce, WORD);
    aegis_keccak256(words.bytes, words.size, out);
}

void aegis_authorization_digest(const struct aegis_authorization *authorization,
                                const struct aegis_asset *asset, uint8_t digest[32])
{
    uint8_t message[2 + 2 * WORD] = {0x19, 0x01};

    memcpy(message + 2, asset->domain_separator, WORD);
    struct_hash(authorization, message + 2 + WORD);
    aegis_keccak256(message, sizeof message, digest);
}
