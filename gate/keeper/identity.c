#include "gate/keeper/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/keeper/table.h"

struct owner {
    struct aegis_identity *identity;
    json_t *uids; /* NULL: whoever comes in by the listener */
};

struct aegis_identities {
    const struct aegis_vault *vault;
    const struct aegis_signer *signer;
    struct aegis_apikeys *keys;
    struct aegis_table *known;        /* id -> identity, of tokens */
    struct aegis_table *owners;       /* listener -> owner */
    LIST_HEAD(, aegis_identity) gone; /* replaced, and in use by a question still */
    json_t *policies;                 /* the gate's own */
    int64_t key_cache_ms;
};

struct aegis_identities *aegis_identities_new(const struct aegis_vault *vault,
                                              const struct aegis_signer *signer, int64_t key_cache_ms)
{
    struct aegis_identities *identities = aegis_alloc(sizeof *identities);
    identities->vault = vault;
    identities->signer = signer;
    identities->keys = aegis_apikeys_new(vault);
    identities->known = aegis_table_new();
    identities->owners = aegis_table_new();
    LIST_INIT(&identities->gone);
    identities->policies = json_array();
    identities->key_cache_ms = key_cache_ms;
    return identities;
}

static void identity_free(struct aegis_identity *identity)
{
    if (identity == NULL)
        return;
    aegis_secret_free(&identity->key);
    json_decref(identity->policies);
    free(identity->id);
    free(identity->name);
    free(identity->wallet);
    free(identity);
}

/* Out of the tables; freed now or by its last user. */
static void identity_drop(struct aegis_identities *identities, struct aegis_identity *identity)
{
    if (identity->users == 0) {
        identity_free(identity);
        return;
    }
    identity->gone = true;
    LIST_INSERT_HEAD(&identities->gone, identity, next);
}

static bool drop_known(const char *key, void *value, void *context)
{
    (void)key;
    identity_drop(context, value);
    return true;
}

static void owner_free(struct aegis_identities *identities, struct owner *owner)
{
    identity_drop(identities, owner->identity);
    json_decref(owner->uids);
    free(owner);
}

static bool drop_owner(const char *key, void *value, void *context)
{
    (void)key;
    owner_free(context, value);
    return true;
}

void aegis_identities_free(struct aegis_identities **pointer)
{
    struct aegis_identities *identities = *pointer;
    *pointer = NULL;
    if (identities == NULL)
        return;
    aegis_table_sweep(identities->known, drop_known, identities);
    aegis_table_sweep(identities->owners, drop_owner, identities);
    aegis_table_free(&identities->known);
    aegis_table_free(&identities->owners);
    aegis_apikeys_free(&identities->keys);
    json_decref(identities->policies);
    free(identities);
}

void aegis_identities_cache(struct aegis_identities *identities, int64_t key_cache_ms)
{
    identities->key_cache_ms = key_cache_ms;
}

/* The agent's own policies, then the gate's, each once. */
static json_t *all_policies(const struct aegis_identities *identities, const json_t *own)
{
    const json_t *lists[] = {own, identities->policies};
    json_t *all = json_array(), *seen = json_object();
    for (size_t list = 0; list < 2; list++) {
        size_t i;
        json_t *id;
        json_array_foreach((json_t *)lists[list], i, id)
        {
            const char *text = json_string_value(id);
            if (text == NULL || json_object_get(seen, text) != NULL)
                continue;
            json_object_set_new(seen, text, json_true());
            json_array_append(all, id);
        }
    }
    json_decref(seen);
    return all;
}

void aegis_identities_policies(struct aegis_identities *identities, const json_t *policies)
{
    json_decref(identities->policies);
    identities->policies = json_deep_copy(policies);
    aegis_table_sweep(identities->known, drop_known, identities);
}

/* Owner mode */

static struct owner *owner_new(const char *listener)
{
    struct owner *owner = aegis_alloc(sizeof *owner);
    owner->identity = aegis_alloc(sizeof *owner->identity);
    owner->identity->id = aegis_format("listener:%s", listener);
    owner->identity->name = aegis_strdup("");
    owner->identity->wallet = aegis_strdup("");
    owner->identity->owner = true;
    return owner;
}

static void owner_update(const struct aegis_identities *identities, struct owner *owner,
                         const json_t *settings)
{
    struct aegis_identity *identity = owner->identity;
    const char *wallet = aegis_json_text(settings, "wallet", "");
    if (strcmp(identity->wallet, wallet) != 0) {
        aegis_secret_free(&identity->key);
        free(identity->wallet);
        identity->wallet = aegis_strdup(wallet);
    }
    free(identity->name);
    identity->name = aegis_strdup(aegis_json_text(settings, "agent", ""));
    json_decref(identity->policies);
    identity->policies = all_policies(identities, json_object_get(settings, "policies"));
    identity->recorded = false;
    json_decref(owner->uids);
    owner->uids = json_incref(json_object_get(settings, "uids"));
}

struct owners_left {
    struct aegis_identities *identities;
    const json_t *owners;
};

static bool owner_is_not_in(const char *listener, void *value, void *context)
{
    const struct owners_left *left = context;
    if (json_object_get(left->owners, listener) != NULL)
        return false;
    owner_free(left->identities, value);
    return true;
}

void aegis_identities_owners(struct aegis_identities *identities, const json_t *owners)
{
    const char *listener;
    json_t *settings;
    struct owners_left left = {identities, owners};
    aegis_table_sweep(identities->owners, owner_is_not_in, &left);
    json_object_foreach((json_t *)owners, listener, settings)
    {
        struct owner *owner = aegis_table_get(identities->owners, listener);
        if (owner == NULL) {
            owner = owner_new(listener);
            aegis_table_put(identities->owners, listener, owner);
        }
        owner_update(identities, owner, settings);
    }
}

bool aegis_identities_unlock(struct aegis_identities *identities, const char *listener,
                             const struct aegis_secret *passphrase, struct aegis_error *error)
{
    struct owner *owner = aegis_table_get(identities->owners, listener);
    if (owner == NULL)
        return aegis_error_set(error, "listener %s has no owner", listener);
    struct aegis_identity *identity = owner->identity;
    struct aegis_wallet *wallet = aegis_wallet_find(identities->vault, identity->wallet, error);
    if (wallet == NULL)
        return false;
    struct aegis_secret *key = aegis_wallet_unlock(identities->vault, wallet, passphrase, error);
    aegis_wallet_free(&wallet);
    if (key == NULL)
        return false;
    aegis_secret_free(&identity->key);
    identity->key = key;
    identity->key_until = INT64_MAX;
    AEGIS_ASSERT(aegis_signer_address(identities->signer, aegis_secret_bytes(key), &identity->address));
    aegis_address_format(&identity->address, identity->address_text);
    return true;
}

/* Finding */

static struct aegis_identity *refuse(struct aegis_refusal *refusal, const char *code, const char *detail)
{
    refusal->code = code;
    aegis_text_copy(refusal->detail, sizeof refusal->detail, detail);
    return NULL;
}

/* None may be left out, so whoever has too many is refused. */
static bool policies_fit(const struct aegis_identity *identity, struct aegis_refusal *refusal)
{
    if (json_array_size(identity->policies) <= AEGIS_POLICIES_MAX)
        return true;
    refuse(refusal, "policy_unknown", "The agent has more policies than can be asked.");
    return false;
}

/* What the ledger knows about it: whether it must be written there anew, and whether it was ended. */
static bool compare_with_ledger(struct aegis_books *books, struct aegis_identity *identity)
{
    struct aegis_agent_row row;
    struct aegis_error error;
    enum aegis_books_result result = aegis_books_agent(books, identity->id, &row, &error);
    if (result == AEGIS_BOOKS_ERROR) {
        aegis_log(AEGIS_LOG_ERROR, "%s", error.text);
        return false;
    }
    if (result == AEGIS_BOOKS_NONE)
        return true;
    char *policies = aegis_json_canonical(identity->policies, NULL);
    identity->revoked = row.revoked != 0;
    identity->recorded = policies != NULL && strcmp(row.name, identity->name) == 0 &&
                         strcmp(row.wallet, identity->wallet) == 0 &&
                         strcmp(row.address, identity->address_text) == 0 &&
                         strcmp(row.policies, policies) == 0;
    free(policies);
    aegis_agent_row_clear(&row);
    return true;
}

static struct aegis_identity *identity_read(const struct aegis_identities *identities,
                                            const struct aegis_apikey *key)
{
    struct aegis_identity *identity = aegis_alloc(sizeof *identity);
    json_t *own = json_array();
    for (char **id = key->policy_ids; id != NULL && *id != NULL; id++)
        json_array_append_new(own, json_string(*id));
    char name[AEGIS_AGENT_NAME_MAX + 1];
    aegis_text_copy(name, sizeof name, key->name);
    identity->id = aegis_strdup(key->id);
    identity->name = aegis_strdup(name);
    identity->wallet =
        aegis_strdup(key->wallet_ids != NULL && key->wallet_ids[0] != NULL ? key->wallet_ids[0] : "");
    identity->policies = all_policies(identities, own);
    json_decref(own);
    return identity;
}

/* The identity as the key's file has it now. One that the file has changed under is replaced. */
static struct aegis_identity *identity_of(struct aegis_identities *identities, const struct aegis_apikey *key)
{
    struct aegis_identity *identity = aegis_table_get(identities->known, key->id);
    uint64_t generation = aegis_apikeys_generation(identities->keys);
    if (identity != NULL && identity->generation == generation)
        return identity;
    bool revoked = identity != NULL && identity->revoked;
    if (identity != NULL)
        identity_drop(identities, aegis_table_remove(identities->known, key->id));
    identity = identity_read(identities, key);
    identity->generation = generation;
    identity->revoked = revoked;
    aegis_table_put(identities->known, key->id, identity);
    return identity;
}

static bool identity_open(struct aegis_identities *identities, struct aegis_identity *identity,
                          const struct aegis_apikey *key, const char *token, int64_t now)
{
    struct aegis_error error;
    struct aegis_wallet *wallet = aegis_wallet_find(identities->vault, identity->wallet, &error);
    if (wallet != NULL) {
        struct aegis_secret *text = aegis_secret_copy(token, strlen(token));
        identity->key = aegis_apikey_open(key, wallet, text, &error);
        aegis_secret_free(&text);
        aegis_wallet_free(&wallet);
    }
    if (identity->key == NULL) {
        aegis_log(AEGIS_LOG_WARNING, "agent %s (%s): the wallet cannot be opened: %s", identity->id,
                  identity->name, error.text);
        return false;
    }
    identity->key_until = now + identities->key_cache_ms;
    AEGIS_ASSERT(
        aegis_signer_address(identities->signer, aegis_secret_bytes(identity->key), &identity->address));
    aegis_address_format(&identity->address, identity->address_text);
    return true;
}

static struct aegis_identity *find_by_token(struct aegis_identities *identities, struct aegis_books *books,
                                            const char *token, int64_t now, struct aegis_refusal *refusal)
{
    const struct aegis_apikey *key = aegis_apikeys_find(identities->keys, token, strlen(token));
    if (key == NULL)
        return refuse(refusal, "agent_unknown", "No agent has this token.");
    struct aegis_identity *identity = identity_of(identities, key);
    aegis_text_copy(refusal->agent, sizeof refusal->agent, identity->id);
    if (identity->key_until <= now)
        aegis_secret_free(&identity->key);
    if (aegis_apikey_expired(key, now))
        return refuse(refusal, "key_expired", "The agent's key has expired.");
    if (identity->revoked)
        return refuse(refusal, "key_revoked", "The agent's key was revoked.");
    if (!policies_fit(identity, refusal))
        return NULL;
    if (identity->key == NULL && !identity_open(identities, identity, key, token, now))
        return refuse(refusal, "wallet_unavailable", "The agent's wallet cannot be opened.");
    if (!identity->recorded && !compare_with_ledger(books, identity))
        return refuse(refusal, "ledger_unavailable", "The ledger cannot be read.");
    if (identity->revoked)
        return refuse(refusal, "key_revoked", "The agent's key was revoked.");
    return identity;
}

static bool uid_belongs(const struct owner *owner, int64_t uid)
{
    size_t i;
    json_t *one;
    if (owner->uids == NULL)
        return true;
    json_array_foreach(owner->uids, i, one)
    {
        if (uid >= 0 && json_integer_value(one) == uid)
            return true;
    }
    return false;
}

static struct aegis_identity *find_by_listener(struct aegis_identities *identities, struct aegis_books *books,
                                               const struct aegis_credential *credential,
                                               struct aegis_refusal *refusal)
{
    struct owner *owner = aegis_table_get(identities->owners, credential->listener);
    if (owner == NULL || !uid_belongs(owner, credential->uid))
        return refuse(refusal, "agent_unknown", "This listener needs an agent's token.");
    struct aegis_identity *identity = owner->identity;
    aegis_text_copy(refusal->agent, sizeof refusal->agent, identity->id);
    if (!policies_fit(identity, refusal))
        return NULL;
    if (identity->key == NULL)
        return refuse(refusal, "wallet_unavailable", "The owner's wallet is not open.");
    if (!identity->recorded && !compare_with_ledger(books, identity))
        return refuse(refusal, "ledger_unavailable", "The ledger cannot be read.");
    if (identity->revoked)
        return refuse(refusal, "key_revoked", "The agent's key was revoked.");
    return identity;
}

struct aegis_identity *aegis_identities_find(struct aegis_identities *identities, struct aegis_books *books,
                                             const struct aegis_credential *credential, int64_t now,
                                             struct aegis_refusal *refusal)
{
    memset(refusal, 0, sizeof *refusal);
    if (credential->token != NULL)
        return find_by_token(identities, books, credential->token, now, refusal);
    return find_by_listener(identities, books, credential, refusal);
}

struct aegis_identity *aegis_identities_peek(struct aegis_identities *identities, const char *id,
                                             struct aegis_refusal *refusal)
{
    memset(refusal, 0, sizeof *refusal);
    struct owner *owner = NULL;
    if (strncmp(id, "listener:", 9) == 0)
        owner = aegis_table_get(identities->owners, id + 9);
    if (owner != NULL)
        return owner->identity;
    const struct aegis_apikey *key = aegis_apikeys_find_id(identities->keys, id);
    if (key == NULL)
        return refuse(refusal, "agent_unknown", "There is no agent of this id.");
    struct aegis_identity *identity = identity_of(identities, key);
    if (*identity->address_text == '\0') {
        struct aegis_error error;
        struct aegis_wallet *wallet = aegis_wallet_find(identities->vault, identity->wallet, &error);
        if (wallet != NULL && aegis_wallet_address(wallet, &identity->address, &error))
            aegis_address_format(&identity->address, identity->address_text);
        aegis_wallet_free(&wallet);
    }
    return identity;
}

struct aegis_identity *aegis_identities_peek_living(struct aegis_identities *identities,
                                                    struct aegis_books *books, const char *id,
                                                    struct aegis_refusal *refusal)
{
    struct aegis_identity *identity = aegis_identities_peek(identities, id, refusal);
    if (identity == NULL)
        return NULL;
    if (!identity->recorded && !compare_with_ledger(books, identity))
        return refuse(refusal, "ledger_unavailable", "The ledger cannot be read.");
    return identity->revoked ? refuse(refusal, "key_revoked", "The agent's key was revoked.") : identity;
}

/* Using */

struct aegis_identity *aegis_identity_use(struct aegis_identity *identity)
{
    identity->users++;
    return identity;
}

void aegis_identity_done(struct aegis_identities *identities, struct aegis_identity **pointer)
{
    struct aegis_identity *identity = *pointer;
    (void)identities;
    *pointer = NULL;
    if (identity == NULL)
        return;
    AEGIS_ASSERT(identity->users > 0);
    if (--identity->users > 0 || !identity->gone)
        return;
    LIST_REMOVE(identity, next);
    identity_free(identity);
}

bool aegis_identity_sign(const struct aegis_identities *identities, const struct aegis_identity *identity,
                         const uint8_t digest[32], uint8_t signature[AEGIS_SIGNATURE_SIZE])
{
    if (identity->revoked || identity->key == NULL)
        return false;
    return aegis_signer_sign(identities->signer, aegis_secret_bytes(identity->key), digest, signature);
}

static void identity_end(struct aegis_identity *identity)
{
    if (identity == NULL)
        return;
    identity->revoked = true;
    aegis_secret_free(&identity->key);
}

void aegis_identities_revoke(struct aegis_identities *identities, const char *id)
{
    struct aegis_identity *gone;
    LIST_FOREACH(gone, &identities->gone, next)
    {
        if (strcmp(gone->id, id) == 0)
            identity_end(gone);
    }
    identity_end(aegis_table_get(identities->known, id));
    if (strncmp(id, "listener:", 9) == 0) {
        struct owner *owner = aegis_table_get(identities->owners, id + 9);
        identity_end(owner == NULL ? NULL : owner->identity);
    }
}

bool aegis_identities_delete(struct aegis_identities *identities, const char *id, struct aegis_error *error)
{
    if (aegis_apikeys_find_id(identities->keys, id) == NULL)
        return true;
    return aegis_apikey_revoke(identities->vault, id, error);
}

/* A key in use by a question is left until that is over: the question is bounded by the judge's deadline. */
static bool sweep_one(const char *key, void *value, void *context)
{
    struct aegis_identity *identity = value;
    (void)key;
    if (identity->users > 0 || identity->key_until > *(const int64_t *)context)
        return false;
    identity_free(identity);
    return true;
}

void aegis_identities_sweep(struct aegis_identities *identities, int64_t now)
{
    aegis_table_sweep(identities->known, sweep_one, &now);
}

static bool forget_record(const char *key, void *value, void *context)
{
    (void)key;
    (void)context;
    ((struct aegis_identity *)value)->recorded = false;
    return true;
}

static bool forget_owner_record(const char *key, void *value, void *context)
{
    (void)key;
    (void)context;
    ((struct owner *)value)->identity->recorded = false;
    return true;
}

void aegis_identities_forget_records(struct aegis_identities *identities)
{
    aegis_table_each(identities->known, forget_record, NULL);
    aegis_table_each(identities->owners, forget_owner_record, NULL);
}
