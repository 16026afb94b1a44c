#include "gate/vault/derive.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <secp256k1.h>
#include <sodium.h>
#include <string.h>

#include "gate/base/log.h"

#define HARDENED  0x80000000u
#define NODE_SIZE 64 /* the key, then the chain code */

static void hmac_sha512(const void *key, size_t key_size, const uint8_t *data, size_t size,
                        uint8_t out[NODE_SIZE])
{
    unsigned length = 0;
    AEGIS_ASSERT(HMAC(EVP_sha512(), key, (int)key_size, data, size, out, &length) != NULL &&
                 length == NODE_SIZE);
}

/* One step of a path: digits, perhaps a '. Moves *path past it and the slash behind it. */
static bool step_parse(const char **path, uint32_t *index)
{
    const char *text = *path;
    uint64_t value = 0;
    if (*text < '0' || *text > '9' || (*text == '0' && text[1] >= '0' && text[1] <= '9'))
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        value = value * 10 + (uint64_t)(*text - '0');
        if (value >= HARDENED)
            return false;
    }
    *index = (uint32_t)value;
    if (*text == '\'') {
        *index |= HARDENED;
        text++;
    }
    if (*text == '/' && text[1] != '\0')
        text++;
    else if (*text != '\0')
        return false;
    *path = text;
    return true;
}

/* What is hashed for a child: 0x00 | key | index when hardened, the compressed public key | index when
 * not. */
static void child_data(const secp256k1_context *context, const uint8_t key[32], uint32_t index,
                       uint8_t data[37])
{
    if (index & HARDENED) {
        data[0] = 0;
        memcpy(data + 1, key, 32);
    } else {
        secp256k1_pubkey public_key;
        size_t size = 33;
        AEGIS_ASSERT(secp256k1_ec_pubkey_create(context, &public_key, key) == 1);
        secp256k1_ec_pubkey_serialize(context, data, &size, &public_key, SECP256K1_EC_COMPRESSED);
    }
    for (int i = 0; i < 4; i++)
        data[33 + i] = (uint8_t)(index >> (24 - 8 * i));
}

/* `node` becomes its child. False in the one case of 2^127 where BIP-32 says that there is none. */
static bool child(const secp256k1_context *context, enum aegis_curve curve, uint8_t node[NODE_SIZE],
                  uint32_t index)
{
    uint8_t data[37];
    uint8_t hash[NODE_SIZE];
    child_data(context, node, index, data);
    hmac_sha512(node + 32, 32, data, sizeof data, hash);
    bool good = true;
    if (curve == AEGIS_CURVE_SECP256K1)
        good = secp256k1_ec_seckey_verify(context, hash) == 1 &&
               secp256k1_ec_seckey_tweak_add(context, node, hash) == 1;
    else
        memcpy(node, hash, 32);
    memcpy(node + 32, hash + 32, 32);
    sodium_memzero(data, sizeof data);
    sodium_memzero(hash, sizeof hash);
    return good;
}

static bool walk(const secp256k1_context *context, enum aegis_curve curve, uint8_t node[NODE_SIZE],
                 const char *path, struct aegis_error *error)
{
    const char *rest = path + (path[0] == 'm' && path[1] == '/' && path[2] != '\0' ? 2 : 1);
    if (path[0] != 'm' || (path[1] != '\0' && rest == path + 1))
        return aegis_error_set(error, "derivation path '%s': expected m/44'/60'/0'/0/0 or the like", path);
    if (curve == AEGIS_CURVE_SECP256K1 && secp256k1_ec_seckey_verify(context, node) != 1)
        return aegis_error_set(error, "this seed gives no secp256k1 key");
    while (*rest != '\0') {
        uint32_t index = 0;
        if (!step_parse(&rest, &index))
            return aegis_error_set(error, "derivation path '%s': expected numbers below 2^31, ' for hardened",
                                   path);
        if (curve == AEGIS_CURVE_ED25519 && !(index & HARDENED))
            return aegis_error_set(error, "derivation path '%s': ed25519 has hardened steps only", path);
        if (!child(context, curve, node, index))
            return aegis_error_set(error, "derivation path '%s' has no key for this seed", path);
    }
    return true;
}

struct aegis_secret *aegis_derive_with_chain_code(enum aegis_curve curve, const struct aegis_secret *seed,
                                                  const char *path, uint8_t chain_code[32],
                                                  struct aegis_error *error)
{
    if (aegis_secret_size(seed) < 16 || aegis_secret_size(seed) > 64) {
        aegis_error_set(error, "a seed has 16 to 64 bytes, not %zu", aegis_secret_size(seed));
        return NULL;
    }
    const char *label = curve == AEGIS_CURVE_SECP256K1 ? "Bitcoin seed" : "ed25519 seed";
    secp256k1_context *context = secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
    struct aegis_secret *node = aegis_secret_new(NODE_SIZE);
    uint8_t *bytes = aegis_secret_bytes(node);
    randombytes_buf(bytes, 32);
    AEGIS_ASSERT(secp256k1_context_randomize(context, bytes) == 1);
    hmac_sha512(label, strlen(label), (const uint8_t *)aegis_secret_text(seed), aegis_secret_size(seed),
                bytes);
    if (walk(context, curve, bytes, path, error)) {
        memcpy(chain_code, bytes + 32, 32);
        aegis_secret_cut(node, 32);
    } else {
        aegis_secret_free(&node);
    }
    secp256k1_context_destroy(context);
    return node;
}

struct aegis_secret *aegis_derive(enum aegis_curve curve, const struct aegis_secret *seed, const char *path,
                                  struct aegis_error *error)
{
    uint8_t chain_code[32];
    struct aegis_secret *key = aegis_derive_with_chain_code(curve, seed, path, chain_code, error);
    sodium_memzero(chain_code, sizeof chain_code);
    return key;
}
