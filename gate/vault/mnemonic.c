#include "gate/vault/mnemonic.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "gate/base/hash.h"
#include "gate/base/log.h"
#include "gate/vault/words.h"

#define WORD_BITS   11
#define WORDS_MAX   24
#define ENTROPY_MAX 32
#define PHRASE_MAX  (WORDS_MAX * (size_t)9)

/* 12, 15, 18, 21, 24 words: 11 bits each, of which one in 33 is checksum. */
static bool count_valid(size_t words)
{
    return words >= 12 && words <= WORDS_MAX && words % 3 == 0;
}

static unsigned bits_at(const uint8_t *bytes, size_t bit)
{
    unsigned value = 0;
    for (size_t i = bit; i < bit + WORD_BITS; i++)
        value = value << 1 | (bytes[i / 8] >> (7 - i % 8) & 1);
    return value;
}

static void bits_put(uint8_t *bytes, size_t bit, unsigned value)
{
    for (size_t i = 0; i < WORD_BITS; i++)
        if (value >> (WORD_BITS - 1 - i) & 1)
            bytes[(bit + i) / 8] |= (uint8_t)(0x80 >> (bit + i) % 8);
}

/* The checksum's first byte, with what is not checksum masked out. */
static uint8_t checksum(const uint8_t *entropy, size_t size)
{
    uint8_t hash[AEGIS_HASH_SIZE];
    aegis_sha256(entropy, size, hash);
    uint8_t first = hash[0];
    sodium_memzero(hash, sizeof hash);
    return first & (uint8_t)(0xff << (8 - size / 4));
}

struct aegis_secret *aegis_mnemonic_from_entropy(const uint8_t *entropy, size_t size)
{
    size_t words = size * 3 / 4;
    if (size % 4 != 0 || !count_valid(words))
        return NULL;
    uint8_t bits[ENTROPY_MAX + 1] = {0};
    memcpy(bits, entropy, size);
    bits[size] = checksum(entropy, size);

    struct aegis_secret *phrase = aegis_secret_new(PHRASE_MAX);
    char *out = (char *)aegis_secret_bytes(phrase);
    size_t length = 0;
    for (size_t i = 0; i < words; i++) {
        const char *word = aegis_mnemonic_words[bits_at(bits, i * WORD_BITS)];
        if (i > 0)
            out[length++] = ' ';
        memcpy(out + length, word, strlen(word));
        length += strlen(word);
    }
    sodium_memzero(bits, sizeof bits);
    aegis_secret_cut(phrase, length);
    return phrase;
}

struct aegis_secret *aegis_mnemonic_generate(unsigned words, struct aegis_error *error)
{
    if (!count_valid(words)) {
        aegis_error_set(error, "a mnemonic has 12, 15, 18, 21 or 24 words, not %u", words);
        return NULL;
    }
    uint8_t entropy[ENTROPY_MAX];
    size_t size = words * 4 / 3;
    AEGIS_ASSERT(sodium_init() >= 0);
    randombytes_buf(entropy, size);
    struct aegis_secret *phrase = aegis_mnemonic_from_entropy(entropy, size);
    sodium_memzero(entropy, sizeof entropy);
    return phrase;
}

/* The word's place in the list, or -1. */
static int word_find(const char *word, size_t length)
{
    int low = 0;
    int high = AEGIS_MNEMONIC_WORDS - 1;
    while (low <= high) {
        int middle = (low + high) / 2;
        const char *candidate = aegis_mnemonic_words[middle];
        int order = strncmp(word, candidate, length);
        if (order == 0 && candidate[length] != '\0')
            order = -1;
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle - 1;
        else
            low = middle + 1;
    }
    return -1;
}

/* Packs the words' numbers into `bits`; returns how many there are, 0 after an error. */
static size_t phrase_bits(const char *text, uint8_t bits[ENTROPY_MAX + 1], struct aegis_error *error)
{
    size_t count = 0;
    for (const char *word = text; word != NULL; count++) {
        const char *space = strchr(word, ' ');
        size_t length = space != NULL ? (size_t)(space - word) : strlen(word);
        int number = length == 0 || length > 8 ? -1 : word_find(word, length);
        if (count == WORDS_MAX) {
            aegis_error_set(error, "a mnemonic has at most 24 words");
            return 0;
        }
        if (number < 0) {
            aegis_error_set(
                error, "word %zu of the mnemonic is not in the English list (lower case, one space between)",
                count + 1);
            return 0;
        }
        bits_put(bits, count * WORD_BITS, (unsigned)number);
        word = space != NULL ? space + 1 : NULL;
    }
    return count;
}

bool aegis_mnemonic_check(const struct aegis_secret *phrase, struct aegis_error *error)
{
    const char *text = aegis_secret_text(phrase);
    uint8_t bits[ENTROPY_MAX + 1] = {0};
    bool good = false;
    size_t words = strlen(text) == aegis_secret_size(phrase) ? phrase_bits(text, bits, error) : 0;
    size_t size = words * 4 / 3;
    if (strlen(text) != aegis_secret_size(phrase))
        aegis_error_set(error, "the mnemonic has a NUL inside");
    else if (words > 0 && !count_valid(words))
        aegis_error_set(error, "a mnemonic has 12, 15, 18, 21 or 24 words, not %zu", words);
    else if (words > 0 && bits[size] != checksum(bits, size))
        aegis_error_set(error, "the mnemonic's checksum is wrong: a word is mistyped or out of place");
    else
        good = words > 0;
    sodium_memzero(bits, sizeof bits);
    return good;
}

struct aegis_secret *aegis_mnemonic_seed(const struct aegis_secret *phrase, const char *passphrase)
{
    static const char prefix[] = "mnemonic";
    size_t prefix_size = sizeof prefix - 1;
    size_t size = prefix_size + strlen(passphrase);
    struct aegis_secret *salt = aegis_secret_new(size);
    memcpy(aegis_secret_bytes(salt), prefix, prefix_size);
    memcpy(aegis_secret_bytes(salt) + prefix_size, passphrase, size - prefix_size);

    struct aegis_secret *seed = aegis_secret_new(AEGIS_MNEMONIC_SEED_SIZE);
    int done =
        PKCS5_PBKDF2_HMAC(aegis_secret_text(phrase), (int)aegis_secret_size(phrase), aegis_secret_bytes(salt),
                          (int)size, 2048, EVP_sha512(), AEGIS_MNEMONIC_SEED_SIZE, aegis_secret_bytes(seed));
    aegis_secret_free(&salt);
    AEGIS_ASSERT(done == 1);
    return seed;
}
