#include "gate/vault/envelope.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/base/text.h"

#define KEY_SIZE         32
#define IV_SIZE          12
#define TAG_SIZE         16
#define SALT_SIZE        32   /* what we write; other sizes are read */
#define SALT_LIMIT       1024 /* longest that is read */
#define CIPHERTEXT_LIMIT 65536
#define INFO             "ows-api-key-v1"
#define SCRYPT_N         65536
#define SCRYPT_R         8
#define SCRYPT_P         1
#define SCRYPT_P_LIMIT   16

enum kdf { KDF_SCRYPT, KDF_HKDF };

/* An envelope taken apart. */
struct parts {
    enum kdf kdf;
    uint8_t iv[IV_SIZE];
    uint8_t tag[TAG_SIZE];
    uint8_t salt[SALT_LIMIT];
    size_t salt_size;
    const char *ciphertext; /* hex, borrowed */
    size_t ciphertext_length;
    const char *info; /* hkdf: borrowed */
    uint64_t n;
    uint64_t r;
    uint64_t p;
};

static bool text_member(const json_t *object, const char *name, const char **text, size_t *length,
                        struct aegis_error *error)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value))
        return aegis_error_set(error, "`%s` must be a text", name);
    *text = json_string_value(value);
    *length = json_string_length(value);
    return true;
}

static bool hex_member(const json_t *object, const char *name, uint8_t *out, size_t size,
                       struct aegis_error *error)
{
    const char *text = NULL;
    size_t length = 0;
    if (!text_member(object, name, &text, &length, error))
        return false;
    if (!aegis_hex_decode(text, length, out, size))
        return aegis_error_set(error, "`%s` must be %zu hex digits without 0x", name, 2 * size);
    return true;
}

static bool number_member(const json_t *object, const char *name, uint64_t least, uint64_t most,
                          uint64_t *out, struct aegis_error *error)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value))
        return aegis_error_set(error, "`%s` must be a whole number", name);
    json_int_t number = json_integer_value(value);
    if (number < 0 || (uint64_t)number < least || (uint64_t)number > most)
        return aegis_error_set(error, "`%s` is %lld, expected %llu to %llu", name, (long long)number,
                               (unsigned long long)least, (unsigned long long)most);
    *out = (uint64_t)number;
    return true;
}

static bool salt_member(const json_t *kdfparams, struct parts *parts, struct aegis_error *error)
{
    const char *text = NULL;
    size_t length = 0;
    if (!text_member(kdfparams, "salt", &text, &length, error))
        return false;
    parts->salt_size = length / 2;
    if (length % 2 != 0 || parts->salt_size > SALT_LIMIT ||
        !aegis_hex_decode(text, length, parts->salt, length / 2))
        return aegis_error_set(error, "`salt` must be hex of at most %d bytes, without 0x", SALT_LIMIT);
    return true;
}

static bool scrypt_members(const json_t *kdfparams, uint64_t max_memory, struct parts *parts,
                           struct aegis_error *error)
{
    if (!number_member(kdfparams, "n", SCRYPT_N, 1u << 30, &parts->n, error) ||
        !number_member(kdfparams, "r", SCRYPT_R, 1u << 20, &parts->r, error) ||
        !number_member(kdfparams, "p", 1, SCRYPT_P_LIMIT, &parts->p, error))
        return false;
    if ((parts->n & (parts->n - 1)) != 0)
        return aegis_error_set(error, "`n` is %llu, expected a power of two", (unsigned long long)parts->n);
    uint64_t memory = 128 * parts->r * parts->n;
    if (memory > max_memory)
        return aegis_error_set(error,
                               "scrypt with n %llu, r %llu needs %llu bytes, more than the limit of %llu",
                               (unsigned long long)parts->n, (unsigned long long)parts->r,
                               (unsigned long long)memory, (unsigned long long)max_memory);
    return true;
}

static bool kdf_members(const json_t *envelope, uint64_t max_memory, struct parts *parts,
                        struct aegis_error *error)
{
    const char *name = NULL;
    size_t length = 0;
    uint64_t dklen = 0;
    const json_t *kdfparams = json_object_get(envelope, "kdfparams");
    if (!text_member(envelope, "kdf", &name, &length, error))
        return false;
    if (!json_is_object(kdfparams))
        return aegis_error_set(error, "`kdfparams` must be an object");
    if (!number_member(kdfparams, "dklen", KEY_SIZE, KEY_SIZE, &dklen, error) ||
        !salt_member(kdfparams, parts, error))
        return false;
    if (strcmp(name, "scrypt") == 0) {
        parts->kdf = KDF_SCRYPT;
        return scrypt_members(kdfparams, max_memory, parts, error);
    }
    if (strcmp(name, "hkdf-sha256") == 0) {
        parts->kdf = KDF_HKDF;
        return text_member(kdfparams, "info", &parts->info, &length, error);
    }
    return aegis_error_set(error, "`kdf` is '%.32s', expected scrypt or hkdf-sha256", name);
}

static bool take_apart(const json_t *envelope, uint64_t max_memory, struct parts *parts,
                       struct aegis_error *error)
{
    const char *cipher = NULL;
    size_t length = 0;
    if (!json_is_object(envelope))
        return aegis_error_set(error, "must be an object");
    if (!text_member(envelope, "cipher", &cipher, &length, error))
        return false;
    if (strcmp(cipher, "aes-256-gcm") != 0)
        return aegis_error_set(error, "`cipher` is '%.32s', expected aes-256-gcm", cipher);
    if (!hex_member(json_object_get(envelope, "cipherparams"), "iv", parts->iv, IV_SIZE, error) ||
        !hex_member(envelope, "auth_tag", parts->tag, TAG_SIZE, error) ||
        !text_member(envelope, "ciphertext", &parts->ciphertext, &parts->ciphertext_length, error))
        return false;
    if (parts->ciphertext_length % 2 != 0 || parts->ciphertext_length > (size_t)2 * CIPHERTEXT_LIMIT)
        return aegis_error_set(error, "`ciphertext` must be hex of at most %d bytes", CIPHERTEXT_LIMIT);
    return kdf_members(envelope, max_memory, parts, error);
}

static bool scrypt(const struct aegis_secret *passphrase, const struct parts *parts, uint8_t key[KEY_SIZE],
                   struct aegis_error *error)
{
    if (crypto_pwhash_scryptsalsa208sha256_ll(
            (const uint8_t *)aegis_secret_text(passphrase), aegis_secret_size(passphrase), parts->salt,
            parts->salt_size, parts->n, (uint32_t)parts->r, (uint32_t)parts->p, key, KEY_SIZE) != 0)
        return aegis_error_set(error, "scrypt with n %llu, r %llu did not get its memory",
                               (unsigned long long)parts->n, (unsigned long long)parts->r);
    return true;
}

static void hmac_sha256(const uint8_t *key, size_t key_size, const void *data, size_t size, uint8_t last,
                        bool has_last, uint8_t out[KEY_SIZE])
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, key_size);
    crypto_auth_hmacsha256_update(&state, data, size);
    if (has_last)
        crypto_auth_hmacsha256_update(&state, &last, 1);
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof state);
}

/* RFC 5869, one block of output: extract, then expand. */
static void hkdf(const struct aegis_secret *token, const struct parts *parts, uint8_t key[KEY_SIZE])
{
    uint8_t pseudorandom[KEY_SIZE];
    hmac_sha256(parts->salt, parts->salt_size, aegis_secret_text(token), aegis_secret_size(token), 0, false,
                pseudorandom);
    hmac_sha256(pseudorandom, sizeof pseudorandom, parts->info, strlen(parts->info), 1, true, key);
    sodium_memzero(pseudorandom, sizeof pseudorandom);
}

static struct aegis_secret *derive_key(const struct aegis_secret *from, const struct parts *parts,
                                       struct aegis_error *error)
{
    struct aegis_secret *key = aegis_secret_new(KEY_SIZE);
    if (parts->kdf == KDF_HKDF)
        hkdf(from, parts, aegis_secret_bytes(key));
    else if (!scrypt(from, parts, aegis_secret_bytes(key), error))
        aegis_secret_free(&key);
    return key;
}

/* AES-256-GCM without additional data. The plain text lands in `plain`, which has the ciphertext's size. */
static bool decrypt(struct aegis_secret *key, const struct parts *parts, const uint8_t *ciphertext,
                    struct aegis_secret *plain)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int length = 0;
    bool good =
        context != NULL &&
        EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, aegis_secret_bytes(key), parts->iv) == 1 &&
        EVP_DecryptUpdate(context, aegis_secret_bytes(plain), &length, ciphertext,
                          (int)aegis_secret_size(plain)) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, (void *)parts->tag) == 1 &&
        EVP_DecryptFinal_ex(context, aegis_secret_bytes(plain) + length, &length) == 1;
    EVP_CIPHER_CTX_free(context);
    return good;
}

static struct aegis_secret *open_parts(const struct parts *parts, const struct aegis_secret *from,
                                       struct aegis_error *error)
{
    size_t size = parts->ciphertext_length / 2;
    uint8_t *ciphertext = aegis_alloc(size + 1);
    struct aegis_secret *plain = NULL;
    struct aegis_secret *key = NULL;
    if (!aegis_hex_decode(parts->ciphertext, parts->ciphertext_length, ciphertext, size)) {
        aegis_error_set(error, "`ciphertext` must be hex digits without 0x");
    } else if ((key = derive_key(from, parts, error)) != NULL) {
        plain = aegis_secret_new(size);
        if (!decrypt(key, parts, ciphertext, plain)) {
            aegis_secret_free(&plain);
            aegis_error_set(error, "cannot be opened: the %s is wrong, or the file was changed",
                            parts->kdf == KDF_SCRYPT ? "passphrase" : "token");
        }
    }
    aegis_secret_free(&key);
    free(ciphertext);
    return plain;
}

struct aegis_secret *aegis_envelope_open_passphrase(const json_t *envelope,
                                                    const struct aegis_secret *passphrase,
                                                    uint64_t scrypt_max_memory, struct aegis_error *error)
{
    struct parts parts;
    if (!take_apart(envelope, scrypt_max_memory, &parts, error))
        return NULL;
    if (parts.kdf != KDF_SCRYPT) {
        aegis_error_set(error, "`kdf` is hkdf-sha256, expected scrypt");
        return NULL;
    }
    return open_parts(&parts, passphrase, error);
}

struct aegis_secret *aegis_envelope_open_token(const json_t *envelope, const struct aegis_secret *token,
                                               struct aegis_error *error)
{
    struct parts parts;
    if (!take_apart(envelope, AEGIS_SCRYPT_MEMORY, &parts, error))
        return NULL;
    if (parts.kdf != KDF_HKDF) {
        aegis_error_set(error, "`kdf` is scrypt, expected hkdf-sha256");
        return NULL;
    }
    return open_parts(&parts, token, error);
}

bool aegis_envelope_check(const json_t *envelope, uint64_t scrypt_max_memory, struct aegis_error *error)
{
    struct parts parts;
    return take_apart(envelope, scrypt_max_memory, &parts, error);
}

static json_t *json_hex(const uint8_t *bytes, size_t size)
{
    char *text = aegis_alloc(2 * size + 1);
    json_t *value = json_string(aegis_hex_encode(bytes, size, text));
    free(text);
    AEGIS_ASSERT(value != NULL);
    return value;
}

/* Members sorted by name, as OWS writes them. */
static json_t *put_together(const struct parts *parts, const uint8_t *ciphertext, size_t size)
{
    json_t *kdfparams = parts->kdf == KDF_SCRYPT
                            ? json_pack("{s:i, s:I, s:I, s:I, s:o}", "dklen", KEY_SIZE, "n",
                                        (json_int_t)parts->n, "p", (json_int_t)parts->p, "r",
                                        (json_int_t)parts->r, "salt", json_hex(parts->salt, SALT_SIZE))
                            : json_pack("{s:i, s:s, s:o}", "dklen", KEY_SIZE, "info", parts->info, "salt",
                                        json_hex(parts->salt, SALT_SIZE));
    json_t *envelope =
        json_pack("{s:o, s:s, s:{s:o}, s:o, s:s, s:o}", "auth_tag", json_hex(parts->tag, TAG_SIZE), "cipher",
                  "aes-256-gcm", "cipherparams", "iv", json_hex(parts->iv, IV_SIZE), "ciphertext",
                  json_hex(ciphertext, size), "kdf", parts->kdf == KDF_SCRYPT ? "scrypt" : "hkdf-sha256",
                  "kdfparams", kdfparams);
    AEGIS_ASSERT(envelope != NULL);
    return envelope;
}

static bool encrypt(struct aegis_secret *key, const struct aegis_secret *plain, struct parts *parts,
                    uint8_t *out)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int length = 0;
    bool good =
        context != NULL &&
        EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, aegis_secret_bytes(key), parts->iv) == 1 &&
        EVP_EncryptUpdate(context, out, &length, (const uint8_t *)aegis_secret_text(plain),
                          (int)aegis_secret_size(plain)) == 1 &&
        EVP_EncryptFinal_ex(context, out + length, &length) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, parts->tag) == 1;
    EVP_CIPHER_CTX_free(context);
    return good;
}

static json_t *seal(struct parts *parts, const struct aegis_secret *plain, const struct aegis_secret *from,
                    struct aegis_error *error)
{
    size_t size = aegis_secret_size(plain);
    AEGIS_ASSERT(size <= CIPHERTEXT_LIMIT && sodium_init() >= 0);
    parts->salt_size = SALT_SIZE;
    randombytes_buf(parts->salt, SALT_SIZE);
    randombytes_buf(parts->iv, IV_SIZE);
    struct aegis_secret *key = derive_key(from, parts, error);
    if (key == NULL)
        return NULL;
    uint8_t *ciphertext = aegis_alloc(size + TAG_SIZE);
    AEGIS_ASSERT(encrypt(key, plain, parts, ciphertext));
    json_t *envelope = put_together(parts, ciphertext, size);
    free(ciphertext);
    aegis_secret_free(&key);
    return envelope;
}

json_t *aegis_envelope_seal_passphrase(const struct aegis_secret *plain,
                                       const struct aegis_secret *passphrase, struct aegis_error *error)
{
    struct parts parts = {.kdf = KDF_SCRYPT, .n = SCRYPT_N, .r = SCRYPT_R, .p = SCRYPT_P};
    return seal(&parts, plain, passphrase, error);
}

json_t *aegis_envelope_seal_token(const struct aegis_secret *plain, const struct aegis_secret *token,
                                  struct aegis_error *error)
{
    struct parts parts = {.kdf = KDF_HKDF, .info = INFO};
    return seal(&parts, plain, token, error);
}
