#include "gate/vault/apikey.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/vault/apikey_read.h"
#include "gate/vault/envelope.h"

#define TOKEN_PREFIX "ows_key_"
#define NAME_LIMIT   256
#define IDS_LIMIT    1024

static bool text_member(const json_t *object, const char *name, char **out, struct aegis_error *error)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (text == NULL)
        return aegis_error_set(error, "`%s` must be a text", name);
    *out = aegis_strdup(text);
    return true;
}

static bool texts_member(const json_t *object, const char *name, char ***out, struct aegis_error *error)
{
    const json_t *list = json_object_get(object, name);
    if (!json_is_array(list) || json_array_size(list) > IDS_LIMIT)
        return aegis_error_set(error, "`%s` must be a list of at most %d texts", name, IDS_LIMIT);
    *out = aegis_alloc((json_array_size(list) + 1) * sizeof **out);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL)
            return aegis_error_set(error, "`%s` must be a list of texts", name);
        (*out)[i] = aegis_strdup(text);
    }
    return true;
}

static bool read_expiry(struct aegis_apikey *key, const json_t *document, struct aegis_error *error)
{
    const json_t *value = json_object_get(document, "expires_at");
    key->expires_at = AEGIS_APIKEY_NEVER;
    if (value == NULL || json_is_null(value))
        return true;
    if (!json_is_string(value))
        return aegis_error_set(error, "`expires_at` must be a time");
    if (!aegis_time_parse(json_string_value(value), &key->expires_at))
        key->expires_at = INT64_MIN;
    return true;
}

static bool read_id_and_hash(struct aegis_apikey *key, const json_t *document, struct aegis_error *error)
{
    const char *id = json_string_value(json_object_get(document, "id"));
    const char *hash = json_string_value(json_object_get(document, "token_hash"));
    if (id == NULL || !aegis_vault_id_valid(id))
        return aegis_error_set(error, "`id` must be a UUID");
    if (hash == NULL || strlen(hash) != AEGIS_HASH_HEX - 1 ||
        strspn(hash, "0123456789abcdef") != AEGIS_HASH_HEX - 1)
        return aegis_error_set(error, "`token_hash` must be 64 lower-case hex digits");
    aegis_text_copy(key->id, sizeof key->id, id);
    aegis_text_copy(key->token_hash, sizeof key->token_hash, hash);
    return true;
}

static bool read_document(struct aegis_apikey *key, const json_t *document, struct aegis_error *error)
{
    json_t *secrets = json_object_get(document, "wallet_secrets");
    if (!json_is_object(secrets))
        return aegis_error_set(error, "`wallet_secrets` must be an object");
    key->secrets = json_incref(secrets);
    return read_id_and_hash(key, document, error) && text_member(document, "name", &key->name, error) &&
           text_member(document, "created_at", &key->created_at, error) &&
           texts_member(document, "wallet_ids", &key->wallet_ids, error) &&
           texts_member(document, "policy_ids", &key->policy_ids, error) && read_expiry(key, document, error);
}

struct aegis_apikey *aegis_apikey_read(const char *path, struct aegis_error *error)
{
    json_t *document = aegis_vault_read(path, error);
    if (document == NULL)
        return NULL;
    struct aegis_apikey *key = aegis_alloc(sizeof *key);
    if (!read_document(key, document, error)) {
        aegis_apikey_free(&key);
        aegis_error_prefix(error, "%s", path);
    }
    json_decref(document);
    return key;
}

static void free_texts(char **texts)
{
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
        free(texts[i]);
    free(texts);
}

void aegis_apikey_free(struct aegis_apikey **key)
{
    if (*key == NULL)
        return;
    free((*key)->name);
    free((*key)->created_at);
    free_texts((*key)->wallet_ids);
    free_texts((*key)->policy_ids);
    json_decref((*key)->secrets);
    free(*key);
    *key = NULL;
}

static int compare_keys(const void *a, const void *b)
{
    const struct aegis_apikey *first = *(struct aegis_apikey *const *)a;
    const struct aegis_apikey *second = *(struct aegis_apikey *const *)b;
    int order = strcmp(first->created_at, second->created_at);
    return order != 0 ? order : strcmp(first->id, second->id);
}

bool aegis_apikey_list(const struct aegis_vault *vault, struct aegis_apikey_list *out,
                       struct aegis_error *error)
{
    struct aegis_vault_paths paths;
    memset(out, 0, sizeof *out);
    if (!aegis_vault_list(vault, "keys", &paths, error))
        return false;
    out->items = aegis_alloc((paths.count + 1) * sizeof *out->items);
    for (size_t i = 0; i < paths.count; i++) {
        struct aegis_error problem;
        struct aegis_apikey *key = aegis_apikey_read(paths.items[i], &problem);
        if (key != NULL)
            out->items[out->count++] = key;
        else
            aegis_log(AEGIS_LOG_WARNING, "key file skipped: %s", problem.text);
    }
    aegis_vault_paths_free(&paths);
    if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, compare_keys);
    return true;
}

void aegis_apikey_list_free(struct aegis_apikey_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        aegis_apikey_free(&list->items[i]);
    free(list->items);
    memset(list, 0, sizeof *list);
}

bool aegis_apikey_expired(const struct aegis_apikey *key, int64_t now)
{
    return key->expires_at != AEGIS_APIKEY_NEVER && now > key->expires_at;
}

static bool is_token_of(const struct aegis_apikey *key, const struct aegis_secret *token)
{
    char hash[AEGIS_HASH_HEX];
    aegis_sha256_hex(aegis_secret_text(token), aegis_secret_size(token), hash);
    return strcmp(hash, key->token_hash) == 0;
}

static bool in_scope(const struct aegis_apikey *key, const char *wallet_id)
{
    for (char **id = key->wallet_ids; *id != NULL; id++)
        if (strcmp(*id, wallet_id) == 0)
            return true;
    return false;
}

struct aegis_secret *aegis_apikey_open(const struct aegis_apikey *key, const struct aegis_wallet *wallet,
                                       const struct aegis_secret *token, struct aegis_error *error)
{
    if (!is_token_of(key, token)) {
        aegis_error_set(error, "this is not the token of key %s", key->id);
        return NULL;
    }
    const json_t *envelope = json_object_get(key->secrets, wallet->id);
    if (!in_scope(key, wallet->id) || envelope == NULL) {
        aegis_error_set(error, "key %s has no access to wallet %s", key->id, wallet->id);
        return NULL;
    }
    struct aegis_secret *plain = aegis_envelope_open_token(envelope, token, error);
    struct aegis_secret *evm_key = plain != NULL ? aegis_wallet_evm_key(wallet, plain, error) : NULL;
    if (evm_key == NULL)
        aegis_error_prefix(error, "key %s", key->id);
    aegis_secret_free(&plain);
    return evm_key;
}

static bool request_check(const struct aegis_apikey_request *request, struct aegis_error *error)
{
    size_t length = strlen(request->name);
    if (length == 0 || length > NAME_LIMIT || !aegis_utf8_valid(request->name, length))
        return aegis_error_set(error, "a key's name must be 1 to %d bytes of UTF-8", NAME_LIMIT);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)request->name[i] < 0x20 || request->name[i] == 0x7f)
            return aegis_error_set(error, "a key's name may not have control characters");
    if (request->wallet_count == 0)
        return aegis_error_set(error, "a key must be given at least one wallet");
    if (request->expires_at <= request->now)
        return aegis_error_set(error, "the key would be expired already");
    for (size_t i = 0; i < request->policy_count; i++)
        if (request->policy_ids[i][0] == '\0' ||
            !aegis_utf8_valid(request->policy_ids[i], strlen(request->policy_ids[i])))
            return aegis_error_set(error, "a policy id must be a text");
    return true;
}

static struct aegis_secret *make_token(void)
{
    uint8_t bytes[32];
    AEGIS_ASSERT(sodium_init() >= 0);
    randombytes_buf(bytes, sizeof bytes);
    struct aegis_secret *token = aegis_secret_new(AEGIS_APIKEY_TOKEN_SIZE);
    char *out = (char *)aegis_secret_bytes(token);
    aegis_hex_encode(bytes, sizeof bytes, stpcpy(out, TOKEN_PREFIX));
    sodium_memzero(bytes, sizeof bytes);
    return token;
}

/* Each wallet's secret, out of the passphrase's envelope into the token's. */
static json_t *make_secrets(const struct aegis_vault *vault, const struct aegis_apikey_request *request,
                            const struct aegis_secret *passphrase, const struct aegis_secret *token,
                            struct aegis_error *error)
{
    json_t *secrets = json_object();
    for (size_t i = 0; i < request->wallet_count; i++) {
        struct aegis_secret *plain = aegis_wallet_open(vault, request->wallets[i], passphrase, error);
        json_t *envelope = plain != NULL ? aegis_envelope_seal_token(plain, token, error) : NULL;
        aegis_secret_free(&plain);
        if (envelope == NULL) {
            json_decref(secrets);
            return NULL;
        }
        AEGIS_ASSERT(json_object_set_new(secrets, request->wallets[i]->id, envelope) == 0);
    }
    return secrets;
}

/* The file's members in the order of OWS. Steals `secrets`. */
static json_t *make_document(const struct aegis_apikey_request *request, const char *id,
                             const struct aegis_secret *token, json_t *secrets)
{
    char hash[AEGIS_HASH_HEX];
    char *created_at = aegis_vault_time(request->now);
    json_t *wallet_ids = json_array();
    json_t *policy_ids = json_array();
    for (size_t i = 0; i < request->wallet_count; i++)
        json_array_append_new(wallet_ids, json_string(request->wallets[i]->id));
    for (size_t i = 0; i < request->policy_count; i++)
        json_array_append_new(policy_ids, json_string(request->policy_ids[i]));
    aegis_sha256_hex(aegis_secret_text(token), aegis_secret_size(token), hash);
    char expires_at[AEGIS_TIME_TEXT];
    bool expires = request->expires_at != AEGIS_APIKEY_NEVER;
    if (expires)
        aegis_time_format(request->expires_at, expires_at);
    json_t *document =
        json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s*, s:o}", "id", id, "name", request->name, "token_hash",
                  hash, "created_at", created_at, "wallet_ids", wallet_ids, "policy_ids", policy_ids,
                  "expires_at", expires ? expires_at : NULL, "wallet_secrets", secrets);
    free(created_at);
    AEGIS_ASSERT(document != NULL);
    return document;
}

struct aegis_secret *aegis_apikey_create(const struct aegis_vault *vault,
                                         const struct aegis_apikey_request *request,
                                         const struct aegis_secret *passphrase, char id[AEGIS_VAULT_ID],
                                         struct aegis_error *error)
{
    if (!request_check(request, error))
        return NULL;
    struct aegis_secret *token = make_token();
    json_t *secrets = make_secrets(vault, request, passphrase, token, error);
    if (secrets == NULL) {
        aegis_secret_free(&token);
        return NULL;
    }
    json_t *document = make_document(request, aegis_vault_id_new(id), token, secrets);
    if (!aegis_vault_write(vault, "keys", id, document, error))
        aegis_secret_free(&token);
    json_decref(document);
    return token;
}

/* Which files a revocation takes. A copy of a key file is the same key, so it goes by the token's hash
 * too. */
struct revocation {
    char id[AEGIS_VAULT_ID];
    char token_hash[AEGIS_HASH_HEX];
};

static bool find_revoked(const struct aegis_vault *vault, const char *asked, struct revocation *out,
                         struct aegis_error *error)
{
    struct aegis_apikey_list list;
    if (!aegis_apikey_list(vault, &list, error))
        return false;
    const struct aegis_apikey *found = NULL;
    bool ambiguous = false;
    for (size_t i = 0; i < list.count; i++)
        if (strcmp(list.items[i]->id, asked) == 0)
            found = list.items[i];
    for (size_t i = 0; found == NULL && i < list.count; i++)
        if (strcmp(list.items[i]->name, asked) == 0) {
            for (size_t j = i + 1; j < list.count; j++)
                ambiguous = ambiguous || strcmp(list.items[j]->name, asked) == 0;
            found = list.items[i];
        }
    bool good = found != NULL && !ambiguous;
    if (good) {
        aegis_text_copy(out->id, sizeof out->id, found->id);
        aegis_text_copy(out->token_hash, sizeof out->token_hash, found->token_hash);
    } else if (ambiguous) {
        aegis_error_set(error, "several keys are called '%s'; name one by its id", asked);
    } else {
        aegis_error_set(error, "no key '%s' in %s/keys", asked, vault->folder);
    }
    aegis_apikey_list_free(&list);
    return good;
}

static bool sync_folder(const struct aegis_vault *vault, struct aegis_error *error)
{
    char *path = aegis_format("%s/keys", vault->folder);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (!good)
        aegis_error_set(error, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(path);
    return good;
}

bool aegis_apikey_revoke(const struct aegis_vault *vault, const char *id_or_name, struct aegis_error *error)
{
    struct revocation revocation;
    struct aegis_vault_paths paths;
    if (!find_revoked(vault, id_or_name, &revocation, error) ||
        !aegis_vault_list(vault, "keys", &paths, error))
        return false;
    bool good = true;
    for (size_t i = 0; i < paths.count; i++) {
        struct aegis_error ignored;
        struct aegis_apikey *key = aegis_apikey_read(paths.items[i], &ignored);
        bool same = key != NULL && (strcmp(key->id, revocation.id) == 0 ||
                                    strcmp(key->token_hash, revocation.token_hash) == 0);
        if (same && unlink(paths.items[i]) != 0)
            good = aegis_error_set(error, "%s: %s", paths.items[i], strerror(errno));
        aegis_apikey_free(&key);
    }
    aegis_vault_paths_free(&paths);
    return good && sync_folder(vault, error);
}
