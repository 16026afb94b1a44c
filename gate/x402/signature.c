#include "gate/x402/signature.h"

#include <secp256k1.h>
#include <secp256k1_recovery.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/hash.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

struct aegis_signer {
    secp256k1_context *context;
};

struct aegis_signer *aegis_signer_new(void)
{
    struct aegis_signer *signer = aegis_alloc(sizeof *signer);
    uint8_t seed[32];

    AEGIS_ASSERT(sodium_init() >= 0);
    signer->context = secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
    AEGIS_ASSERT(signer->context != NULL);
    randombytes_buf(seed, sizeof seed);
    AEGIS_ASSERT(secp256k1_context_randomize(signer->context, seed));
    sodium_memzero(seed, sizeof seed);
    return signer;
}

void aegis_signer_free(struct aegis_signer **signer)
{
    if (*signer != NULL) {
        secp256k1_context_destroy((*signer)->context);
        free(*signer);
        *signer = NULL;
    }
}

/* The last 20 bytes of the hash of the uncompressed point without its prefix. */
static void address_of(const struct aegis_signer *signer, const secp256k1_pubkey *key,
                       struct aegis_address *out)
{
    uint8_t point[65], hash[AEGIS_HASH_SIZE];
    size_t size = sizeof point;

    secp256k1_ec_pubkey_serialize(signer->context, point, &size, key, SECP256K1_EC_UNCOMPRESSED);
    aegis_keccak256(point + 1, sizeof point - 1, hash);
    memcpy(out->bytes, hash + 12, sizeof out->bytes);
}

bool aegis_signer_address(const struct aegis_signer *signer, const uint8_t key[32], struct aegis_address *out)
{
    secp256k1_pubkey public_key;

    if (!secp256k1_ec_pubkey_create(signer->context, &public_key, key)) {
        return false;
    }
    address_of(signer, &public_key, out);
    return true;
}

bool aegis_signer_sign(const struct aegis_signer *signer, const uint8_t key[32], const uint8_t digest[32],
                       uint8_t signature[AEGIS_SIGNATURE_SIZE])
{
    secp256k1_ecdsa_recoverable_signature made;
    int recovery;

    if (!secp256k1_ecdsa_sign_recoverable(signer->context, &made, digest, key, NULL, NULL)) {
        return false;
    }
    secp256k1_ecdsa_recoverable_signature_serialize_compact(signer->context, signature, &recovery, &made);
    signature[64] = (uint8_t)(27 + recovery);
    /* Recovery ids 2 and 3 need an r at or above the group order: one in 2^127, and Ethereum has no v for
     * them. */
    return recovery <= 1;
}

bool aegis_signer_recover(const struct aegis_signer *signer, const uint8_t digest[32],
                          const uint8_t signature[AEGIS_SIGNATURE_SIZE], struct aegis_address *out)
{
    secp256k1_ecdsa_recoverable_signature recoverable;
    secp256k1_ecdsa_signature plain;
    secp256k1_pubkey key;

    if (signature[64] != 27 && signature[64] != 28) {
        return false;
    }
    if (!secp256k1_ecdsa_recoverable_signature_parse_compact(signer->context, &recoverable, signature,
                                                             signature[64] - 27)) {
        return false;
    }
    secp256k1_ecdsa_recoverable_signature_convert(signer->context, &plain, &recoverable);
    if (secp256k1_ecdsa_signature_normalize(signer->context, NULL, &plain)) {
        return false; /* high s */
    }
    if (!secp256k1_ecdsa_recover(signer->context, &key, &recoverable, digest)) {
        return false;
    }
    address_of(signer, &key, out);
    return true;
}

char *aegis_signature_format(const uint8_t signature[AEGIS_SIGNATURE_SIZE], char out[AEGIS_SIGNATURE_TEXT])
{
    memcpy(out, "0x", 2);
    aegis_hex_encode(signature, AEGIS_SIGNATURE_SIZE, out + 2);
    return out;
}

bool aegis_signature_parse(const char *text, uint8_t signature[AEGIS_SIGNATURE_SIZE])
{
    return strncmp(text, "0x", 2) == 0 &&
           aegis_hex_decode(text + 2, strlen(text + 2), signature, AEGIS_SIGNATURE_SIZE);
}
