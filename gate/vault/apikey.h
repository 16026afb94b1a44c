/* API keys: what an agent holds instead of a wallet's passphrase. The token is shown once; its file has the
 * token's hash, and, per wallet, an envelope that only the token opens. */
#ifndef AEGIS_VAULT_APIKEY_H
#define AEGIS_VAULT_APIKEY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "gate/base/error.h"
#include "gate/base/hash.h"
#include "gate/vault/folder.h"
#include "gate/vault/secret.h"
#include "gate/vault/wallet.h"

#define AEGIS_APIKEY_TOKEN_SIZE 72        /* "ows_key_" and 64 hex digits */
#define AEGIS_APIKEY_NEVER      INT64_MAX /* expires_at of a key that has none */

struct aegis_apikey {
    char id[AEGIS_VAULT_ID];
    char *name;
    char *created_at;
    char token_hash[AEGIS_HASH_HEX];
    char **wallet_ids;  /* ends with NULL */
    char **policy_ids;  /* ends with NULL */
    int64_t expires_at; /* ms; INT64_MIN (always expired) when the file has a time that nobody can read */
    json_t *secrets;    /* wallet id -> envelope */
};

struct aegis_apikey_list {
    struct aegis_apikey **items; /* in order of creation */
    size_t count;
};

/* All keys; a file that is no good is skipped with a warning in the log. */
bool aegis_apikey_list(const struct aegis_vault *vault, struct aegis_apikey_list *out,
                       struct aegis_error *error);
void aegis_apikey_list_free(struct aegis_apikey_list *list);
void aegis_apikey_free(struct aegis_apikey **key);

bool aegis_apikey_expired(const struct aegis_apikey *key, int64_t now);

/* The EVM key of `wallet` (32 bytes), opened with the token. NULL with the reason: not the token, wallet not
 * in the key's scope, file changed. Expiry is the caller's question. A phrase costs about a
 * millisecond (the seed), private keys far less. */
struct aegis_secret *aegis_apikey_open(const struct aegis_apikey *key, const struct aegis_wallet *wallet,
                                       const struct aegis_secret *token, struct aegis_error *error);

struct aegis_apikey_request {
    const char *name;
    const struct aegis_wallet *const *wallets; /* all of them under the same passphrase */
    size_t wallet_count;
    const char *const *policy_ids;
    size_t policy_count;
    int64_t expires_at; /* ms, or AEGIS_APIKEY_NEVER */
    int64_t now;
};

/* Writes the file and returns the token, the only time it exists. `id` gets the key's id. */
struct aegis_secret *aegis_apikey_create(const struct aegis_vault *vault,
                                         const struct aegis_apikey_request *request,
                                         const struct aegis_secret *passphrase, char id[AEGIS_VAULT_ID],
                                         struct aegis_error *error);

/* Deletes the file of the key with this id, else of the one with this exact name. */
bool aegis_apikey_revoke(const struct aegis_vault *vault, const char *id_or_name, struct aegis_error *error);

/* The keys of a folder, held in memory for a process that asks often. */
struct aegis_apikeys;

/* Nothing is read yet. `vault` must outlive the index. */
struct aegis_apikeys *aegis_apikeys_new(const struct aegis_vault *vault);
void aegis_apikeys_free(struct aegis_apikeys **keys);

/* Reads what is new or changed, forgets what is gone. Files are told apart by inode, size and times; only
 * those that differ are read. A key borrowed before is invalid when this returns; the calls below do it too
 * when they must. */
bool aegis_apikeys_refresh(struct aegis_apikeys *keys, struct aegis_error *error);

/* The key whose token this is, as the disk has it now: one stat of its file when it is known, one of the
 * folder when it is not. A key that was revoked or changed a moment ago is seen as such. Borrowed until the
 * next call on `keys`; NULL when there is none. */
const struct aegis_apikey *aegis_apikeys_find(struct aegis_apikeys *keys, const char *token, size_t length);
const struct aegis_apikey *aegis_apikeys_find_hash(struct aegis_apikeys *keys,
                                                   const char token_hash[AEGIS_HASH_HEX]);
const struct aegis_apikey *aegis_apikeys_find_id(struct aegis_apikeys *keys, const char *id);

/* A number that changes whenever a refresh found any difference: for caches on top. */
uint64_t aegis_apikeys_generation(const struct aegis_apikeys *keys);

#endif
