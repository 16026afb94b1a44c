#include "gate/courier/identity.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

#define SEED_HEX   ((size_t)2 * crypto_sign_SEEDBYTES)
#define FILE_LIMIT 256
#define ID_LIMIT   100

struct aegis_courier_identity {
    char *agent_id;
    unsigned char *secret_key; /* in guarded memory */
    char public_key[2 * crypto_sign_PUBLICKEYBYTES + 1];
};

static bool id_check(const char *agent_id, struct aegis_error *error)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t length = strlen(agent_id);
    if (length == 0 || length > ID_LIMIT || agent_id[0] == '.' || strspn(agent_id, letters) != length)
        return aegis_error_set(
            error,
            "agent id '%.120s': expected letters, digits, '-', '_' and '.', at most %d, the first "
            "no dot",
            agent_id, ID_LIMIT);
    return true;
}

static void take_seed(struct aegis_courier_identity *identity,
                      const unsigned char seed[crypto_sign_SEEDBYTES])
{
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES];
    crypto_sign_seed_keypair(public_key, identity->secret_key, seed);
    aegis_hex_encode(public_key, sizeof public_key, identity->public_key);
}

static bool read_key(struct aegis_courier_identity *identity, const char *path, struct aegis_error *error)
{
    unsigned char seed[crypto_sign_SEEDBYTES];
    size_t size = 0;
    char *text = aegis_file_read(path, FILE_LIMIT, AEGIS_FILE_SECRET, &size, error);
    if (text == NULL)
        return false;
    size_t length = strcspn(text, "\n");
    bool good = length + 1 >= size && aegis_hex_decode(text, length, seed, sizeof seed);
    if (good)
        take_seed(identity, seed);
    else
        aegis_error_set(error, "%s: expected %zu hex digits", path, SEED_HEX);
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(text, size);
    free(text);
    return good;
}

static bool make_key(struct aegis_courier_identity *identity, const char *folder, const char *path,
                     struct aegis_error *error)
{
    unsigned char seed[crypto_sign_SEEDBYTES];
    char text[SEED_HEX + 2];
    randombytes_buf(seed, sizeof seed);
    take_seed(identity, seed);
    aegis_hex_encode(seed, sizeof seed, text);
    strcpy(text + SEED_HEX, "\n");
    bool good =
        aegis_folder_make(folder, 0700, error) && aegis_file_write(path, text, SEED_HEX + 1, 0600, error);
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(text, sizeof text);
    return good;
}

struct aegis_courier_identity *aegis_courier_identity_open(const char *folder, const char *agent_id,
                                                           struct aegis_error *error)
{
    if (!id_check(agent_id, error))
        return NULL;
    AEGIS_ASSERT(sodium_init() >= 0);
    struct aegis_courier_identity *identity = aegis_alloc(sizeof *identity);
    identity->agent_id = aegis_strdup(agent_id);
    identity->secret_key = sodium_malloc(crypto_sign_SECRETKEYBYTES);
    AEGIS_ASSERT(identity->secret_key != NULL);
    char *path = aegis_format("%s/%s.key", folder, agent_id);
    bool missing = access(path, F_OK) != 0 && errno == ENOENT;
    bool good = missing ? make_key(identity, folder, path, error) : read_key(identity, path, error);
    free(path);
    if (!good)
        aegis_courier_identity_free(&identity);
    return identity;
}

void aegis_courier_identity_free(struct aegis_courier_identity **identity)
{
    if (*identity == NULL)
        return;
    sodium_free((*identity)->secret_key);
    free((*identity)->agent_id);
    free(*identity);
    *identity = NULL;
}

const char *aegis_courier_identity_agent(const struct aegis_courier_identity *identity)
{
    return identity->agent_id;
}

bool aegis_courier_identity_sign(const struct aegis_courier_identity *identity, json_t *message)
{
    unsigned char signature[crypto_sign_BYTES];
    char hex[2 * sizeof signature + 1];
    size_t length = 0;
    json_object_del(message, "signature");
    json_object_set_new(message, "publicKey", json_string(identity->public_key));
    char *text = aegis_json_canonical(message, &length);
    if (text == NULL)
        return false;
    crypto_sign_detached(signature, NULL, (const unsigned char *)text, length, identity->secret_key);
    free(text);
    json_object_set_new(message, "signature",
                        json_string(aegis_hex_encode(signature, sizeof signature, hex)));
    return true;
}

static bool hex_member(const json_t *message, const char *name, unsigned char *out, size_t size)
{
    const json_t *value = json_object_get(message, name);
    return json_is_string(value) &&
           aegis_hex_decode(json_string_value(value), json_string_length(value), out, size);
}

bool aegis_courier_identity_verify(const json_t *message, struct aegis_error *error)
{
    unsigned char signature[crypto_sign_BYTES];
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES];
    if (!hex_member(message, "signature", signature, sizeof signature) ||
        !hex_member(message, "publicKey", public_key, sizeof public_key))
        return aegis_error_set(error, "the message is not signed");
    json_t *rest = json_copy((json_t *)message);
    json_object_del(rest, "signature");
    size_t length = 0;
    char *text = aegis_json_canonical(rest, &length);
    json_decref(rest);
    bool good = text != NULL &&
                crypto_sign_verify_detached(signature, (const unsigned char *)text, length, public_key) == 0;
    free(text);
    return good || aegis_error_set(error, "the signature does not belong to this message and key");
}
