/* Wallets: a mnemonic or a pair of private keys under a passphrase, and the addresses that follow from it. */
#ifndef AEGIS_VAULT_WALLET_H
#define AEGIS_VAULT_WALLET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/base/error.h"
#include "gate/vault/folder.h"
#include "gate/vault/secret.h"
#include "gate/x402/address.h"

#define AEGIS_WALLET_KEY_SIZE 32

enum aegis_wallet_kind { AEGIS_WALLET_MNEMONIC, AEGIS_WALLET_PRIVATE_KEY };

struct aegis_wallet_account {
    char *chain_id; /* eip155:1, solana:..., ...: one per family; eip155:1 stands for every EVM chain */
    char *address;
    char *derivation_path; /* "" for private keys */
};

struct aegis_wallet {
    char id[AEGIS_VAULT_ID];
    char *name;
    char *created_at;
    enum aegis_wallet_kind kind;
    struct aegis_wallet_account *accounts;
    size_t account_count;
    json_t *crypto; /* the envelope */
};

struct aegis_wallets {
    struct aegis_wallet **items; /* in order of creation */
    size_t count;
};

/* By id, else by exact name. NULL with the reason: none, two of that name, not readable, open to others. */
struct aegis_wallet *aegis_wallet_find(const struct aegis_vault *vault, const char *id_or_name,
                                       struct aegis_error *error);
void aegis_wallet_free(struct aegis_wallet **wallet);

/* All of them. A file that is no good is skipped with a warning in the log, as OWS does. False when the
 * folder itself cannot be read. */
bool aegis_wallets_list(const struct aegis_vault *vault, struct aegis_wallets *out,
                        struct aegis_error *error);
void aegis_wallets_free(struct aegis_wallets *wallets);

/* The account of a family ("eip155", "solana", ...), or NULL. */
const struct aegis_wallet_account *aegis_wallet_account(const struct aegis_wallet *wallet,
                                                        const char *family);

/* The EVM address of the eip155 account. */
bool aegis_wallet_address(const struct aegis_wallet *wallet, struct aegis_address *out,
                          struct aegis_error *error);

/* What the envelope holds: the phrase, or the JSON with both keys. About 0.12 s of work. */
struct aegis_secret *aegis_wallet_open(const struct aegis_vault *vault, const struct aegis_wallet *wallet,
                                       const struct aegis_secret *passphrase, struct aegis_error *error);

/* The 32-byte EVM key in such a plain secret, at the derivation path of the wallet's eip155 account (index 0
 * unless the wallet was imported with another). Refused when its address is not the one that the wallet file
 * states, so that nobody pays from an account that the owner was not shown. */
struct aegis_secret *aegis_wallet_evm_key(const struct aegis_wallet *wallet, const struct aegis_secret *plain,
                                          struct aegis_error *error);

/* Both steps, for owner mode. */
struct aegis_secret *aegis_wallet_unlock(const struct aegis_vault *vault, const struct aegis_wallet *wallet,
                                         const struct aegis_secret *passphrase, struct aegis_error *error);

/* New wallets, written as OWS writes them. Refused: an empty name, a name that is taken, a passphrase that
 * OWS would take for a token ("ows_key_..."). `now` is ms since 1970. The caller frees the result. */
struct aegis_wallet *aegis_wallet_create(const struct aegis_vault *vault, const char *name, unsigned words,
                                         const struct aegis_secret *passphrase, int64_t now,
                                         struct aegis_error *error);

/* `index`: the account index for the addresses and for signing, below 2^31. */
struct aegis_wallet *aegis_wallet_import_mnemonic(const struct aegis_vault *vault, const char *name,
                                                  const struct aegis_secret *phrase, uint32_t index,
                                                  const struct aegis_secret *passphrase, int64_t now,
                                                  struct aegis_error *error);

/* `key`: the 32 bytes of the secp256k1 key; the ed25519 key that OWS wants beside it is random. */
struct aegis_wallet *aegis_wallet_import_key(const struct aegis_vault *vault, const char *name,
                                             const struct aegis_secret *key,
                                             const struct aegis_secret *passphrase, int64_t now,
                                             struct aegis_error *error);

#endif
