/* The payments that somebody may still say something about: in flight with a worker, or of unknown outcome
 * while the same authorization must be handed out again for the same request. Everything else is in the
 * ledger only.
 *
 * One function moves a payment from state to state (aegis_payments_change); the table of what may follow what
 * is the ledger's (aegis_payment_state_next). */
#ifndef AEGIS_KEEPER_PAYMENTS_H
#define AEGIS_KEEPER_PAYMENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "gate/keeper/counters.h"
#include "gate/ledger/books.h"
#include "gate/x402/asset.h"
#include "gate/x402/challenge.h"

/* How long after validBefore a payment of unknown outcome still stands for its request: the chain's clock is
 * not ours. */
#define AEGIS_PAYMENT_GRACE_MS 30000

struct aegis_held {
    char id[AEGIS_ENTRY_ID_TEXT];
    enum aegis_payment_state state;  /* as last written */
    enum aegis_payment_state coming; /* what the queued changes will make of it */
    uint64_t owner;   /* number of the worker that was given it and has not answered; 0: none */
    unsigned changes; /* queued for the ledger; aegis_held_queue begins one */
    char *agent;
    char *method;
    char *url;
    char *request_hash;
    char *idempotency_key;    /* "" when there is none */
    struct aegis_share share; /* its texts are owned; agent is the one above */
    struct aegis_asset asset;
    aegis_amount amount;
    struct aegis_authorization authorization;
    int x402_version;
    json_t *subject;  /* as it was judged; NULL when read back from the ledger */
    json_t *policies; /* that judged it; NULL likewise */
    char *key;        /* of the logical request */
    LIST_ENTRY(aegis_held) same_key;
};

struct aegis_payments;

struct aegis_payments *aegis_payments_new(void);
void aegis_payments_free(struct aegis_payments **payments);

/* The key of a logical request: the agent's explicit key, else the request's hash. The caller frees. */
char *aegis_payments_key(const char *agent, const char *idempotency_key, const char *request_hash);

/* Takes `held` over; its id, agent, request_hash and idempotency_key are set. */
void aegis_payments_add(struct aegis_payments *payments, struct aegis_held *held);
struct aegis_held *aegis_payments_find(const struct aegis_payments *payments, const char *id);

/* The payments of one logical request, linked by same_key; NULL when there is none. */
struct aegis_held *aegis_payments_first(const struct aegis_payments *payments, const char *key);

/* From the books; not added yet. The asset is looked up in `assets` when it is known there. NULL when a text
 * in the row is damaged. */
struct aegis_held *aegis_held_from_row(const struct aegis_payment_row *row,
                                       const struct aegis_assets *assets);
void aegis_held_free(struct aegis_held *held);

/* A change is queued. `kind` AEGIS_ENTRY_REPEATED changes no state. */
void aegis_held_queue(struct aegis_held *held, enum aegis_entry_kind kind);

/* Whether it stands for its request at `now`: refused or unknown, also when that is only about to be written,
 * and it could still be cashed. */
bool aegis_held_unresolved(const struct aegis_held *held, int64_t now);
int64_t aegis_held_until(const struct aegis_held *held); /* when that ends, ms */

/* Takes it out and frees it if nothing holds it any more. Returns whether it did. */
bool aegis_payments_release(struct aegis_payments *payments, struct aegis_held *held, int64_t now);

/* Releases all whose time is over. */
void aegis_payments_sweep(struct aegis_payments *payments, int64_t now);

/* Calls `each` for every one. Payments may not be added or released meanwhile. */
void aegis_payments_each(const struct aegis_payments *payments,
                         void (*each)(struct aegis_held *held, void *context), void *context);
size_t aegis_payments_count(const struct aegis_payments *payments);

#endif
