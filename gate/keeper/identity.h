/* Who an agent is: from the token that it presented, or from the listener in owner mode, to a name, a wallet,
 * an address, policies, and the opened key.
 *
 * An opened key stays in locked memory for `key_cache_ms` after it was last opened and is wiped then. Whether
 * the token still stands is asked of the disk each time. */
#ifndef AEGIS_KEEPER_IDENTITY_H
#define AEGIS_KEEPER_IDENTITY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "gate/base/error.h"
#include "gate/ledger/books.h"
#include "gate/ledger/ledger.h"
#include "gate/vault/apikey.h"
#include "gate/vault/secret.h"
#include "gate/vault/wallet.h"
#include "gate/x402/address.h"
#include "gate/x402/signature.h"

/* As many policies as one message can carry, and as long a name. */
enum { AEGIS_POLICIES_MAX = 64, AEGIS_AGENT_NAME_MAX = 512 };

struct aegis_identities;

struct aegis_identity {
    char *id;   /* of the API key, or "listener:NAME" */
    char *name; /* for people */
    char *wallet;
    bool owner; /* owner mode: the key stays open */
    struct aegis_address address;
    char address_text[AEGIS_ADDRESS_TEXT];
    json_t *policies; /* ids in the order of evaluation: the key's, then the gate's */
    bool recorded;    /* the ledger knows it as it is */
    bool revoked;
    /* private to identity.c */
    struct aegis_secret *key; /* NULL when it was wiped */
    int64_t key_until;
    unsigned users;
    bool gone;                       /* to be freed with its last user */
    LIST_ENTRY(aegis_identity) next; /* of those that are gone */
    uint64_t generation;
};

/* Who asks, as a worker's message has it. */
struct aegis_credential {
    const char *listener;
    const char *token; /* NULL: none was presented */
    int64_t uid;       /* of the Unix socket's peer; -1: not one */
};

/* Why there is no identity. */
struct aegis_refusal {
    const char *code; /* static */
    char detail[256]; /* for the agent: nothing about others, nothing about keys */
    char agent[64];   /* id when the agent is known all the same; "" */
};

struct aegis_identities *aegis_identities_new(const struct aegis_vault *vault,
                                              const struct aegis_signer *signer, int64_t key_cache_ms);
void aegis_identities_free(struct aegis_identities **identities);
void aegis_identities_cache(struct aegis_identities *identities, int64_t key_cache_ms);

/* The gate's own policies, for everybody. Known identities are read again. */
void aegis_identities_policies(struct aegis_identities *identities, const json_t *policies);

/* Owner mode: the listeners' `owner` objects by listener name, all of them; what is not there any more is
 * forgotten. A wallet stays open over a change of anything else. */
void aegis_identities_owners(struct aegis_identities *identities, const json_t *owners);

/* Opens the wallet of a listener's owner. Takes about 0.12 s. */
bool aegis_identities_unlock(struct aegis_identities *identities, const char *listener,
                             const struct aegis_secret *passphrase, struct aegis_error *error);

/* The identity, with a key that can sign. NULL with the reason. Borrowed until the next call, longer with
 * aegis_identity_use. */
struct aegis_identity *aegis_identities_find(struct aegis_identities *identities, struct aegis_books *books,
                                             const struct aegis_credential *credential, int64_t now,
                                             struct aegis_refusal *refusal);

/* Without a credential, by id, for ticks and explanations: no key, `policies` and names only. NULL when there
 * is no such key any more. */
struct aegis_identity *aegis_identities_peek(struct aegis_identities *identities, const char *id,
                                             struct aegis_refusal *refusal);

/* The same with what the ledger knows: NULL also when it was revoked. */
struct aegis_identity *aegis_identities_peek_living(struct aegis_identities *identities,
                                                    struct aegis_books *books, const char *id,
                                                    struct aegis_refusal *refusal);

/* Keeps it, and its key open, over a question. */
struct aegis_identity *aegis_identity_use(struct aegis_identity *identity);
void aegis_identity_done(struct aegis_identities *identities, struct aegis_identity **identity);

/* False when the identity was revoked, or its key is not open. */
bool aegis_identity_sign(const struct aegis_identities *identities, const struct aegis_identity *identity,
                         const uint8_t digest[32], uint8_t signature[AEGIS_SIGNATURE_SIZE]);

/* Ends it: the key is wiped, nobody signs with it again. */
void aegis_identities_revoke(struct aegis_identities *identities, const char *id);

/* Deletes the key's file, if there is one. */
bool aegis_identities_delete(struct aegis_identities *identities, const char *id, struct aegis_error *error);

/* Wipes opened keys whose time is over, and identities that nobody asked for since. */
void aegis_identities_sweep(struct aegis_identities *identities, int64_t now);

/* Identities must be compared with the ledger again. */
void aegis_identities_forget_records(struct aegis_identities *identities);

#endif
