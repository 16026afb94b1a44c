#include "gate/vault/family.h"

#include <openssl/evp.h>
#include <secp256k1.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/hash.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

#define HASH160_SIZE      20
#define UNCOMPRESSED_SIZE 65
#define COMPRESSED_SIZE   33

static const char not_a_key[] = "the key is not a secp256k1 key";
static const char no_ripemd[] = "the OpenSSL library has no RIPEMD-160";

static bool public_key(const uint8_t key[32], unsigned form, uint8_t *out, size_t size)
{
    secp256k1_context *context = secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
    uint8_t blind[32];
    randombytes_buf(blind, sizeof blind);
    secp256k1_pubkey public;
    size_t length = size;
    bool good = secp256k1_context_randomize(context, blind) == 1 &&
                secp256k1_ec_pubkey_create(context, &public, key) == 1 &&
                secp256k1_ec_pubkey_serialize(context, out, &length, &public, form) == 1 && length == size;
    secp256k1_context_destroy(context);
    sodium_memzero(blind, sizeof blind);
    return good;
}

static void ed25519_public_key(const uint8_t seed[32], uint8_t out[32])
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    crypto_sign_seed_keypair(out, secret, seed);
    sodium_memzero(secret, sizeof secret);
}

/* RIPEMD-160 of SHA-256 of the compressed public key. */
static const char *hash160(const uint8_t key[32], uint8_t out[HASH160_SIZE])
{
    uint8_t compressed[COMPRESSED_SIZE];
    uint8_t hash[AEGIS_HASH_SIZE];
    if (!public_key(key, SECP256K1_EC_COMPRESSED, compressed, sizeof compressed))
        return not_a_key;
    aegis_sha256(compressed, sizeof compressed, hash);
    if (EVP_Digest(hash, sizeof hash, out, NULL, EVP_ripemd160(), NULL) != 1)
        return no_ripemd;
    return NULL;
}

/* Version byte, payload, the first four bytes of its double SHA-256, in base 58. The caller frees. */
static char *base58check(uint8_t version, const uint8_t payload[HASH160_SIZE])
{
    uint8_t bytes[1 + HASH160_SIZE + 4] = {version};
    uint8_t hash[AEGIS_HASH_SIZE];
    memcpy(bytes + 1, payload, HASH160_SIZE);
    aegis_sha256(bytes, 1 + HASH160_SIZE, hash);
    aegis_sha256(hash, sizeof hash, hash);
    memcpy(bytes + 1 + HASH160_SIZE, hash, 4);
    return aegis_base58_encode(bytes, sizeof bytes);
}

static uint32_t bech32_step(uint32_t checksum, uint8_t value)
{
    static const uint32_t generator[] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
    uint32_t top = checksum >> 25;
    checksum = (checksum & 0x1ffffff) << 5 ^ value;
    for (int i = 0; i < 5; i++)
        if (top >> i & 1)
            checksum ^= generator[i];
    return checksum;
}

static uint32_t bech32_checksum(const char *prefix, const uint8_t *values, size_t count)
{
    uint32_t checksum = 1;
    for (const char *c = prefix; *c != '\0'; c++)
        checksum = bech32_step(checksum, (uint8_t)(*c >> 5));
    checksum = bech32_step(checksum, 0);
    for (const char *c = prefix; *c != '\0'; c++)
        checksum = bech32_step(checksum, *c & 31);
    for (size_t i = 0; i < count; i++)
        checksum = bech32_step(checksum, values[i]);
    for (int i = 0; i < 6; i++)
        checksum = bech32_step(checksum, 0);
    return checksum ^ 1;
}

/* Groups of five bits, high bits first; returns their number. 20 bytes give 32 groups exactly. */
static size_t to_fives(const uint8_t *bytes, size_t size, uint8_t *out)
{
    size_t count = 0;
    unsigned held = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < size; i++) {
        held = held << 8 | bytes[i];
        for (bits += 8; bits >= 5; bits -= 5)
            out[count++] = held >> (bits - 5) & 31;
    }
    if (bits > 0)
        out[count++] = held << (5 - bits) & 31;
    return count;
}

/* BIP-173; `version` below 0 for plain bech32 without a witness version. */
static void bech32(const char *prefix, int version, const uint8_t hash[HASH160_SIZE], char *out)
{
    static const char letters[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    uint8_t values[1 + 32];
    size_t count = 0;
    if (version >= 0)
        values[count++] = (uint8_t)version;
    count += to_fives(hash, HASH160_SIZE, values + count);
    uint32_t checksum = bech32_checksum(prefix, values, count);
    out += sprintf(out, "%s1", prefix);
    for (size_t i = 0; i < count; i++)
        *out++ = letters[values[i]];
    for (int i = 5; i >= 0; i--)
        *out++ = letters[checksum >> 5 * i & 31];
    *out = '\0';
}

bool aegis_family_evm_address(const uint8_t key[32], struct aegis_address *out)
{
    uint8_t point[UNCOMPRESSED_SIZE];
    uint8_t hash[AEGIS_HASH_SIZE];
    if (!public_key(key, SECP256K1_EC_UNCOMPRESSED, point, sizeof point))
        return false;
    aegis_keccak256(point + 1, sizeof point - 1, hash);
    memcpy(out->bytes, hash + 12, sizeof out->bytes);
    return true;
}

static const char *evm(const uint8_t key[32], char out[AEGIS_FAMILY_ADDRESS])
{
    struct aegis_address address;
    if (!aegis_family_evm_address(key, &address))
        return not_a_key;
    aegis_address_format(&address, out);
    return NULL;
}

static const char *solana(const uint8_t key[32], char out[AEGIS_FAMILY_ADDRESS])
{
    uint8_t point[32];
    ed25519_public_key(key, point);
    char *text = aegis_base58_encode(point, sizeof point);
    aegis_text_copy(out, AEGIS_FAMILY_ADDRESS, text);
    free(text);
    return NULL;
}

static const char *bitcoin(const uint8_t key[32], char out[AEGIS_FAMILY_ADDRESS])
{
    uint8_t hash[HASH160_SIZE];
    const char *problem = hash160(key, hash);
    if (problem == NULL)
        bech32("bc", 0, hash, out);
    return problem;
}

static const char *cosmos(const uint8_t key[32], char out[AEGIS_FAMILY_ADDRESS])
{
    uint8_t hash[HASH160_SIZE];
    const char *problem = hash160(key, hash);
    if (problem == NULL)
        bech32("cosmos", -1, hash, out);
    return problem;
}

static const char *tron(const uint8_t key[32], char out[AEGIS_FAMILY_ADDRESS])
{
    struct aegis_address address;
    if (!aegis_family_evm_address(key, &address))
        return not_a_key;
    char *text = base58check(0x41, address.bytes);
    aegis_text_copy(out, AEGIS_FAMILY_ADDRESS, text);
    free(text);
    return NULL;
}

/* XRPL has base 58 with the letters in an order of its own. */
static const char *xrpl(const uint8_t key[32], char out[AEGIS_FAMILY_ADDRESS])
{
    static const char theirs[] = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz";
    static const char bitcoins[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    uint8_t hash[HASH160_SIZE];
    const char *problem = hash160(key, hash);
    if (problem != NULL)
        return problem;
    char *text = base58check(0, hash);
    for (char *c = text; *c != '\0'; c++)
        *c = theirs[strchr(bitcoins, *c) - bitcoins];
    aegis_text_copy(out, AEGIS_FAMILY_ADDRESS, text);
    free(text);
    return NULL;
}

/* f1: BLAKE2b-160 of the uncompressed public key and a BLAKE2b-32 checksum, in base 32. */
static const char *filecoin(const uint8_t key[32], char out[AEGIS_FAMILY_ADDRESS])
{
    uint8_t point[UNCOMPRESSED_SIZE];
    uint8_t bytes[1 + HASH160_SIZE + 4] = {1};
    uint8_t fives[39];
    if (!public_key(key, SECP256K1_EC_UNCOMPRESSED, point, sizeof point))
        return not_a_key;
    size_t size = 1 + HASH160_SIZE;
    if (crypto_generichash_blake2b(bytes + 1, HASH160_SIZE, point, sizeof point, NULL, 0) != 0 ||
        crypto_generichash_blake2b(bytes + size, 4, bytes, size, NULL, 0) != 0)
        return "the sodium library has no BLAKE2b of this size";
    size_t count = to_fives(bytes + 1, HASH160_SIZE + 4, fives);
    out = stpcpy(out, "f1");
    for (size_t i = 0; i < count; i++)
        *out++ = "abcdefghijklmnopqrstuvwxyz234567"[fives[i]];
    *out = '\0';
    return NULL;
}

static const char *sui(const uint8_t key[32], char out[AEGIS_FAMILY_ADDRESS])
{
    uint8_t flagged[1 + 32] = {0}; /* flag 0: ed25519 */
    uint8_t hash[32];
    ed25519_public_key(key, flagged + 1);
    crypto_generichash_blake2b(hash, sizeof hash, flagged, sizeof flagged, NULL, 0);
    aegis_hex_encode(hash, sizeof hash, stpcpy(out, "0x"));
    return NULL;
}

static uint16_t crc16(const uint8_t *bytes, size_t size)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < size; i++) {
        crc ^= (uint16_t)(bytes[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0));
    }
    return crc;
}

/* The hash of the data cell of a fresh version 5 wallet: 1 (signatures allowed), sequence number 0 (32 bits),
 * wallet id of the main net (32 bits), public key (256 bits), 0 (no extensions); 322 bits, closed by a 1 and
 * zeros. */
static void ton_data_hash(const uint8_t point[32], uint8_t out[AEGIS_HASH_SIZE])
{
    static const uint8_t wallet_id[] = {0x7f, 0xff, 0xff, 0x11};
    uint8_t bits[41] = {0x80}; /* everything behind the first bit stands one bit to the right */
    uint8_t fields[36];
    memcpy(fields, wallet_id, sizeof wallet_id);
    memcpy(fields + sizeof wallet_id, point, 32);
    for (size_t i = 0; i < sizeof fields; i++) {
        bits[4 + i] |= fields[i] >> 1;
        bits[5 + i] = (uint8_t)(fields[i] << 7);
    }
    bits[40] |= 0x20;
    uint8_t cell[2 + sizeof bits] = {0, 40 + 41}; /* no references; length in half bytes, so to speak */
    memcpy(cell + 2, bits, sizeof bits);
    aegis_sha256(cell, sizeof cell, out);
}

/* The address of a contract is the hash of its initial state: a cell that refers to code and data. */
static const char *ton(const uint8_t key[32], char out[AEGIS_FAMILY_ADDRESS])
{
    static const uint8_t code_hash[AEGIS_HASH_SIZE] = {
        0x20, 0x83, 0x4b, 0x7b, 0x72, 0xb1, 0x12, 0x14, 0x7e, 0x1b, 0x2f, 0xb4, 0x57, 0xb8, 0x4e, 0x74,
        0xd1, 0xa3, 0x0f, 0x04, 0xf7, 0x37, 0xd4, 0xf6, 0x2a, 0x66, 0x8e, 0x95, 0x52, 0xd2, 0xb7, 0x2f};
    uint8_t state[7 + 2 * AEGIS_HASH_SIZE] = {2, 1, 0x34, 0, 6, 0, 0}; /* depths: code 6, data 0 */
    uint8_t address[36] = {0x51, 0};                                   /* not bounceable; work chain 0 */
    uint8_t point[32];
    ed25519_public_key(key, point);
    memcpy(state + 7, code_hash, sizeof code_hash);
    ton_data_hash(point, state + 7 + AEGIS_HASH_SIZE);
    aegis_sha256(state, sizeof state, address + 2);
    uint16_t crc = crc16(address, 34);
    address[34] = (uint8_t)(crc >> 8);
    address[35] = (uint8_t)crc;
    sodium_bin2base64(out, AEGIS_FAMILY_ADDRESS, address, sizeof address, sodium_base64_VARIANT_URLSAFE);
    return NULL;
}

const struct aegis_family aegis_families[] = {
    {"eip155:1", AEGIS_CURVE_SECP256K1, "m/44'/60'/0'/0/", "", evm},
    {"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", AEGIS_CURVE_ED25519, "m/44'/501'/", "'/0'", solana},
    {"bip122:000000000019d6689c085ae165831e93", AEGIS_CURVE_SECP256K1, "m/84'/0'/0'/0/", "", bitcoin},
    {"cosmos:cosmoshub-4", AEGIS_CURVE_SECP256K1, "m/44'/118'/0'/0/", "", cosmos},
    {"tron:mainnet", AEGIS_CURVE_SECP256K1, "m/44'/195'/0'/0/", "", tron},
    {"ton:mainnet", AEGIS_CURVE_ED25519, "m/44'/607'/", "'", ton},
    {"fil:mainnet", AEGIS_CURVE_SECP256K1, "m/44'/461'/0'/0/", "", filecoin},
    {"sui:mainnet", AEGIS_CURVE_ED25519, "m/44'/784'/", "'/0'/0'", sui},
    {"xrpl:mainnet", AEGIS_CURVE_SECP256K1, "m/44'/144'/0'/0/", "", xrpl},
    {0},
};

char *aegis_family_path(const struct aegis_family *family, uint32_t index, char out[AEGIS_FAMILY_PATH])
{
    snprintf(out, AEGIS_FAMILY_PATH, "%s%u%s", family->path_head, index, family->path_tail);
    return out;
}
