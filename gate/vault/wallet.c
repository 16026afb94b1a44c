#include "gate/vault/wallet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/vault/envelope.h"
#include "gate/vault/family.h"
#include "gate/vault/material.h"

#define ACCOUNTS_LIMIT 256

static bool text_member(const json_t *object, const char *name, char **out, struct aegis_error *error)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (text == NULL)
        return aegis_error_set(error, "`%s` must be a text", name);
    *out = aegis_strdup(text);
    return true;
}

static bool version_check(const json_t *document, struct aegis_error *error)
{
    const json_t *version = json_object_get(document, "ows_version");
    if (version == NULL)
        version = json_object_get(document, "lws_version");
    if (!json_is_integer(version))
        return aegis_error_set(error, "`ows_version` must be a number");
    return true;
}

static bool read_id(const json_t *document, char out[AEGIS_VAULT_ID], struct aegis_error *error)
{
    const char *id = json_string_value(json_object_get(document, "id"));
    if (id == NULL || !aegis_vault_id_valid(id))
        return aegis_error_set(error, "`id` must be a UUID");
    return aegis_text_copy(out, AEGIS_VAULT_ID, id);
}

static bool read_kind(const json_t *document, enum aegis_wallet_kind *kind, struct aegis_error *error)
{
    const char *text = json_string_value(json_object_get(document, "key_type"));
    if (text != NULL && strcmp(text, "mnemonic") == 0)
        *kind = AEGIS_WALLET_MNEMONIC;
    else if (text != NULL && strcmp(text, "private_key") == 0)
        *kind = AEGIS_WALLET_PRIVATE_KEY;
    else
        return aegis_error_set(error, "`key_type` must be mnemonic or private_key");
    return true;
}

static bool read_accounts(struct aegis_wallet *wallet, const json_t *document, struct aegis_error *error)
{
    const json_t *accounts = json_object_get(document, "accounts");
    if (!json_is_array(accounts) || json_array_size(accounts) > ACCOUNTS_LIMIT)
        return aegis_error_set(error, "`accounts` must be a list of at most %d", ACCOUNTS_LIMIT);
    size_t count = json_array_size(accounts);
    wallet->accounts = aegis_alloc((count + 1) * sizeof *wallet->accounts);
    for (size_t i = 0; i < count; i++) {
        const json_t *account = json_array_get(accounts, i);
        struct aegis_wallet_account *out = &wallet->accounts[i];
        wallet->account_count = i + 1;
        if (!text_member(account, "chain_id", &out->chain_id, error) ||
            !text_member(account, "address", &out->address, error) ||
            !text_member(account, "derivation_path", &out->derivation_path, error))
            return aegis_error_prefix(error, "account %zu", i + 1);
    }
    return true;
}

/* Members that nobody here knows are left alone: newer versions of the standard may add some. */
static bool read_document(struct aegis_wallet *wallet, const json_t *document, struct aegis_error *error)
{
    json_t *crypto = json_object_get(document, "crypto");
    if (!json_is_object(crypto))
        return aegis_error_set(error, "`crypto` must be an object");
    wallet->crypto = json_incref(crypto);
    return version_check(document, error) && read_id(document, wallet->id, error) &&
           text_member(document, "name", &wallet->name, error) &&
           text_member(document, "created_at", &wallet->created_at, error) &&
           read_kind(document, &wallet->kind, error) && read_accounts(wallet, document, error);
}

static struct aegis_wallet *wallet_read(const char *path, struct aegis_error *error)
{
    json_t *document = aegis_vault_read(path, error);
    if (document == NULL)
        return NULL;
    struct aegis_wallet *wallet = aegis_alloc(sizeof *wallet);
    if (!read_document(wallet, document, error)) {
        aegis_wallet_free(&wallet);
        aegis_error_prefix(error, "%s", path);
    }
    json_decref(document);
    return wallet;
}

void aegis_wallet_free(struct aegis_wallet **wallet)
{
    if (*wallet == NULL)
        return;
    for (size_t i = 0; i < (*wallet)->account_count; i++) {
        free((*wallet)->accounts[i].chain_id);
        free((*wallet)->accounts[i].address);
        free((*wallet)->accounts[i].derivation_path);
    }
    free((*wallet)->accounts);
    free((*wallet)->name);
    free((*wallet)->created_at);
    json_decref((*wallet)->crypto);
    free(*wallet);
    *wallet = NULL;
}

static int compare_wallets(const void *a, const void *b)
{
    const struct aegis_wallet *first = *(struct aegis_wallet *const *)a;
    const struct aegis_wallet *second = *(struct aegis_wallet *const *)b;
    int order = strcmp(first->created_at, second->created_at);
    return order != 0 ? order : strcmp(first->id, second->id);
}

/* What a search looks for and what it met. */
struct search {
    const char *id;   /* or NULL */
    const char *name; /* or NULL; with both NULL everything is wanted */
    struct aegis_wallets found;
    size_t unreadable;
    struct aegis_error first_problem;
};

static bool wanted(const struct search *search, const struct aegis_wallet *wallet)
{
    if (search->id != NULL)
        return strcmp(search->id, wallet->id) == 0;
    return search->name == NULL || strcmp(search->name, wallet->name) == 0;
}

/* A search for one wallet says it in its error, if it fails; a list has only the log. */
static void note_unreadable(struct search *search, const struct aegis_error *problem)
{
    if (search->id == NULL && search->name == NULL)
        aegis_log(AEGIS_LOG_WARNING, "wallet file skipped: %s", problem->text);
    if (search->unreadable++ == 0)
        search->first_problem = *problem;
}

static bool search_all(const struct aegis_vault *vault, struct search *search, struct aegis_error *error)
{
    struct aegis_vault_paths paths;
    if (!aegis_vault_list(vault, "wallets", &paths, error))
        return false;
    search->found.items = aegis_alloc((paths.count + 1) * sizeof *search->found.items);
    for (size_t i = 0; i < paths.count; i++) {
        struct aegis_error problem;
        struct aegis_wallet *wallet = wallet_read(paths.items[i], &problem);
        if (wallet == NULL)
            note_unreadable(search, &problem);
        else if (wanted(search, wallet))
            search->found.items[search->found.count++] = wallet;
        else
            aegis_wallet_free(&wallet);
    }
    aegis_vault_paths_free(&paths);
    if (search->found.count > 1)
        qsort(search->found.items, search->found.count, sizeof *search->found.items, compare_wallets);
    return true;
}

bool aegis_wallets_list(const struct aegis_vault *vault, struct aegis_wallets *out, struct aegis_error *error)
{
    struct search search = {0};
    bool good = search_all(vault, &search, error);
    *out = search.found;
    return good;
}

void aegis_wallets_free(struct aegis_wallets *wallets)
{
    for (size_t i = 0; i < wallets->count; i++)
        aegis_wallet_free(&wallets->items[i]);
    free(wallets->items);
    memset(wallets, 0, sizeof *wallets);
}

/* The one wallet that a search found, or NULL with what to say about it. */
static struct aegis_wallet *the_one(struct search *search, const struct aegis_vault *vault, const char *asked,
                                    struct aegis_error *error)
{
    struct aegis_wallet *wallet = NULL;
    if (search->found.count == 1) {
        wallet = search->found.items[0];
        search->found.count = 0;
    } else if (search->found.count > 1) {
        aegis_error_set(error, "%s/wallets has %zu wallets called '%s'; name one by its id", vault->folder,
                        search->found.count, asked);
    } else if (search->unreadable > 0) {
        aegis_error_set(error,
                        "no wallet '%s' in %s/wallets, where %zu file(s) could not be used; the first: %s",
                        asked, vault->folder, search->unreadable, search->first_problem.text);
    } else {
        aegis_error_set(error, "no wallet '%s' in %s/wallets", asked, vault->folder);
    }
    aegis_wallets_free(&search->found);
    return wallet;
}

/* The file that is called as the id says, which is where OWS and we put it. */
static struct aegis_wallet *find_quickly(const struct aegis_vault *vault, const char *id)
{
    struct aegis_error ignored;
    if (!aegis_vault_id_valid(id) || !aegis_vault_check(vault, &ignored))
        return NULL;
    char *path = aegis_format("%s/wallets/%s.json", vault->folder, id);
    struct aegis_wallet *wallet = wallet_read(path, &ignored);
    free(path);
    if (wallet != NULL && strcmp(wallet->id, id) != 0)
        aegis_wallet_free(&wallet);
    return wallet;
}

struct aegis_wallet *aegis_wallet_find(const struct aegis_vault *vault, const char *id_or_name,
                                       struct aegis_error *error)
{
    struct aegis_wallet *wallet = find_quickly(vault, id_or_name);
    if (wallet != NULL)
        return wallet;
    struct search by_id = {.id = id_or_name};
    if (!search_all(vault, &by_id, error))
        return NULL;
    if (by_id.found.count > 0)
        return the_one(&by_id, vault, id_or_name, error);
    aegis_wallets_free(&by_id.found);
    struct search by_name = {.name = id_or_name};
    if (!search_all(vault, &by_name, error))
        return NULL;
    return the_one(&by_name, vault, id_or_name, error);
}

const struct aegis_wallet_account *aegis_wallet_account(const struct aegis_wallet *wallet, const char *family)
{
    size_t length = strlen(family);
    for (size_t i = 0; i < wallet->account_count; i++) {
        const char *chain_id = wallet->accounts[i].chain_id;
        if (strncmp(chain_id, family, length) == 0 && chain_id[length] == ':')
            return &wallet->accounts[i];
    }
    return NULL;
}

bool aegis_wallet_address(const struct aegis_wallet *wallet, struct aegis_address *out,
                          struct aegis_error *error)
{
    const struct aegis_wallet_account *account = aegis_wallet_account(wallet, "eip155");
    if (account == NULL)
        return aegis_error_set(error, "wallet %s has no eip155 account", wallet->id);
    if (!aegis_address_parse(account->address, out))
        return aegis_error_set(error, "wallet %s: the address of its eip155 account is not one", wallet->id);
    return true;
}

struct aegis_secret *aegis_wallet_open(const struct aegis_vault *vault, const struct aegis_wallet *wallet,
                                       const struct aegis_secret *passphrase, struct aegis_error *error)
{
    struct aegis_secret *plain =
        aegis_envelope_open_passphrase(wallet->crypto, passphrase, vault->scrypt_max_memory, error);
    if (plain == NULL)
        aegis_error_prefix(error, "wallet %s", wallet->id);
    return plain;
}

/* The eip155 account's path when it is one that OWS uses. */
static const char *evm_path(const struct aegis_wallet *wallet, const struct aegis_wallet_account *account)
{
    if (wallet->kind == AEGIS_WALLET_PRIVATE_KEY)
        return "";
    const char *head = aegis_families[0].path_head;
    const char *path = account->derivation_path;
    size_t length = strlen(head);
    if (strncmp(path, head, length) != 0 || path[length] == '\0' ||
        strspn(path + length, "0123456789") != strlen(path + length))
        return NULL;
    return path;
}

/* Whether the key belongs to the address that the wallet file states. */
static bool key_matches(const struct aegis_wallet *wallet, struct aegis_secret *key,
                        struct aegis_error *error)
{
    struct aegis_address stated;
    struct aegis_address derived;
    if (!aegis_wallet_address(wallet, &stated, error))
        return false;
    if (!aegis_family_evm_address(aegis_secret_bytes(key), &derived))
        return aegis_error_set(error, "wallet %s holds no valid secp256k1 key", wallet->id);
    if (!aegis_address_equal(&stated, &derived))
        return aegis_error_set(error, "wallet %s: its key belongs to another address than the file states",
                               wallet->id);
    return true;
}

struct aegis_secret *aegis_wallet_evm_key(const struct aegis_wallet *wallet, const struct aegis_secret *plain,
                                          struct aegis_error *error)
{
    const struct aegis_wallet_account *account = aegis_wallet_account(wallet, "eip155");
    const char *path = account != NULL ? evm_path(wallet, account) : NULL;
    if (path == NULL) {
        aegis_error_set(error, "wallet %s has no eip155 account at %sN", wallet->id,
                        aegis_families[0].path_head);
        return NULL;
    }
    struct aegis_material *material = aegis_material_open(wallet->kind, plain, error);
    struct aegis_secret *key = NULL;
    if (material == NULL || (key = aegis_material_key(material, AEGIS_CURVE_SECP256K1, path, error)) == NULL)
        aegis_error_prefix(error, "wallet %s", wallet->id);
    else if (!key_matches(wallet, key, error))
        aegis_secret_free(&key);
    aegis_material_free(&material);
    return key;
}

struct aegis_secret *aegis_wallet_unlock(const struct aegis_vault *vault, const struct aegis_wallet *wallet,
                                         const struct aegis_secret *passphrase, struct aegis_error *error)
{
    struct aegis_secret *plain = aegis_wallet_open(vault, wallet, passphrase, error);
    struct aegis_secret *key = plain != NULL ? aegis_wallet_evm_key(wallet, plain, error) : NULL;
    aegis_secret_free(&plain);
    return key;
}
