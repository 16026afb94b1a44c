#include <secp256k1.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/vault/envelope.h"
#include "gate/vault/family.h"
#include "gate/vault/material.h"
#include "gate/vault/mnemonic.h"
#include "gate/vault/wallet.h"

#define NAME_LIMIT  256
#define INDEX_LIMIT 0x80000000u

/* What is about to become a wallet. */
struct draft {
    const char *name;
    enum aegis_wallet_kind kind;
    uint32_t index;
    const struct aegis_secret *plain;
    const struct aegis_secret *passphrase;
    int64_t now;
};

static bool name_check(const struct aegis_vault *vault, const char *name, struct aegis_error *error)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_LIMIT || !aegis_utf8_valid(name, length))
        return aegis_error_set(error, "a wallet's name must be 1 to %d bytes of UTF-8", NAME_LIMIT);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return aegis_error_set(error, "a wallet's name may not have control characters");
    struct aegis_wallets wallets;
    if (!aegis_wallets_list(vault, &wallets, error))
        return false;
    bool taken = false;
    for (size_t i = 0; i < wallets.count; i++)
        taken = taken || strcmp(wallets.items[i]->name, name) == 0;
    aegis_wallets_free(&wallets);
    return !taken || aegis_error_set(error, "there is a wallet called '%s' already", name);
}

/* OWS takes everything that begins like this for a token, and the owner would be locked out. */
static bool passphrase_check(const struct aegis_secret *passphrase, struct aegis_error *error)
{
    if (strncmp(aegis_secret_text(passphrase), "ows_key_", 8) == 0)
        return aegis_error_set(error, "a passphrase may not begin with ows_key_");
    return true;
}

static bool account_add(json_t *accounts, const struct aegis_family *family, const struct draft *draft,
                        const struct aegis_material *material, struct aegis_error *error)
{
    char path[AEGIS_FAMILY_PATH] = "";
    char address[AEGIS_FAMILY_ADDRESS];
    if (draft->kind == AEGIS_WALLET_MNEMONIC)
        aegis_family_path(family, draft->index, path);
    struct aegis_secret *key = aegis_material_key(material, family->curve, path, error);
    if (key == NULL)
        return false;
    const char *problem = family->address(aegis_secret_bytes(key), address);
    aegis_secret_free(&key);
    if (problem != NULL)
        return aegis_error_set(error, "making the address for %s: %s", family->chain_id, problem);
    char *account_id = aegis_format("%s:%s", family->chain_id, address);
    json_t *account = json_pack("{s:s, s:s, s:s, s:s}", "account_id", account_id, "address", address,
                                "chain_id", family->chain_id, "derivation_path", path);
    free(account_id);
    AEGIS_ASSERT(account != NULL && json_array_append_new(accounts, account) == 0);
    return true;
}

static json_t *make_accounts(const struct draft *draft, struct aegis_error *error)
{
    struct aegis_material *material = aegis_material_open(draft->kind, draft->plain, error);
    if (material == NULL)
        return NULL;
    json_t *accounts = json_array();
    bool good = true;
    for (const struct aegis_family *family = aegis_families; good && family->chain_id != NULL; family++)
        good = account_add(accounts, family, draft, material, error);
    aegis_material_free(&material);
    if (!good) {
        json_decref(accounts);
        return NULL;
    }
    return accounts;
}

/* The file's members in the order of OWS. Steals `accounts` and `crypto`. */
static json_t *make_document(const struct draft *draft, const char *id, json_t *accounts, json_t *crypto)
{
    char *created_at = aegis_vault_time(draft->now);
    json_t *document =
        json_pack("{s:i, s:s, s:s, s:s, s:o, s:o, s:s}", "ows_version", 2, "id", id, "name", draft->name,
                  "created_at", created_at, "accounts", accounts, "crypto", crypto, "key_type",
                  draft->kind == AEGIS_WALLET_MNEMONIC ? "mnemonic" : "private_key");
    free(created_at);
    AEGIS_ASSERT(document != NULL);
    return document;
}

static struct aegis_wallet *store(const struct aegis_vault *vault, const struct draft *draft,
                                  struct aegis_error *error)
{
    if (!passphrase_check(draft->passphrase, error) || !name_check(vault, draft->name, error))
        return NULL;
    json_t *accounts = make_accounts(draft, error);
    json_t *crypto =
        accounts != NULL ? aegis_envelope_seal_passphrase(draft->plain, draft->passphrase, error) : NULL;
    if (crypto == NULL) {
        json_decref(accounts);
        return NULL;
    }
    char id[AEGIS_VAULT_ID];
    json_t *document = make_document(draft, aegis_vault_id_new(id), accounts, crypto);
    bool good = aegis_vault_write(vault, "wallets", id, document, error);
    json_decref(document);
    return good ? aegis_wallet_find(vault, id, error) : NULL;
}

struct aegis_wallet *aegis_wallet_import_mnemonic(const struct aegis_vault *vault, const char *name,
                                                  const struct aegis_secret *phrase, uint32_t index,
                                                  const struct aegis_secret *passphrase, int64_t now,
                                                  struct aegis_error *error)
{
    if (index >= INDEX_LIMIT) {
        aegis_error_set(error, "an account index must be below 2^31");
        return NULL;
    }
    const struct draft draft = {.name = name,
                                .kind = AEGIS_WALLET_MNEMONIC,
                                .index = index,
                                .plain = phrase,
                                .passphrase = passphrase,
                                .now = now};
    return store(vault, &draft, error);
}

struct aegis_wallet *aegis_wallet_create(const struct aegis_vault *vault, const char *name, unsigned words,
                                         const struct aegis_secret *passphrase, int64_t now,
                                         struct aegis_error *error)
{
    struct aegis_secret *phrase = aegis_mnemonic_generate(words, error);
    if (phrase == NULL)
        return NULL;
    struct aegis_wallet *wallet =
        aegis_wallet_import_mnemonic(vault, name, phrase, 0, passphrase, now, error);
    aegis_secret_free(&phrase);
    return wallet;
}

struct aegis_wallet *aegis_wallet_import_key(const struct aegis_vault *vault, const char *name,
                                             const struct aegis_secret *key,
                                             const struct aegis_secret *passphrase, int64_t now,
                                             struct aegis_error *error)
{
    struct aegis_address address;
    if (aegis_secret_size(key) != AEGIS_WALLET_KEY_SIZE ||
        !aegis_family_evm_address((const uint8_t *)aegis_secret_text(key), &address)) {
        aegis_error_set(error,
                        "a private key must be 32 bytes, neither zero nor above the order of secp256k1");
        return NULL;
    }
    struct aegis_secret *ed25519 = aegis_secret_new(AEGIS_WALLET_KEY_SIZE);
    randombytes_buf(aegis_secret_bytes(ed25519), AEGIS_WALLET_KEY_SIZE);
    struct aegis_secret *plain = aegis_material_of_keys(ed25519, key);
    aegis_secret_free(&ed25519);
    const struct draft draft = {
        .name = name, .kind = AEGIS_WALLET_PRIVATE_KEY, .plain = plain, .passphrase = passphrase, .now = now};
    struct aegis_wallet *wallet = store(vault, &draft, error);
    aegis_secret_free(&plain);
    return wallet;
}
