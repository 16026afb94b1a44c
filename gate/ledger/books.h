/* The books: what the entries add up to. Tables that are derived from the entries in the same transaction,
 * and the questions that can be asked of them, by the keeper (on the writer's connection) and by readers
 * alike.
 *
 * A text or row that a function hands out is copied; a failing database is reported as AEGIS_BOOKS_ERROR,
 * never as "none". */
#ifndef AEGIS_LEDGER_BOOKS_H
#define AEGIS_LEDGER_BOOKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/base/amount.h"
#include "gate/base/error.h"
#include "gate/ledger/entry.h"

struct aegis_books;

enum aegis_books_result { AEGIS_BOOKS_FOUND, AEGIS_BOOKS_NONE, AEGIS_BOOKS_ERROR };

/* The states of a payment, as the ledger tells them. Money counts in every one but expired and cancelled; it
 * is exposed in every one of the others but settled. */
enum aegis_payment_state {
    AEGIS_PAYMENT_RESERVED,
    AEGIS_PAYMENT_SIGNED,
    AEGIS_PAYMENT_EXTERNAL, /* signed by stock OWS after we allowed it */
    AEGIS_PAYMENT_DELIVERED,
    AEGIS_PAYMENT_REFUSED,
    AEGIS_PAYMENT_UNKNOWN,
    AEGIS_PAYMENT_SETTLED,
    AEGIS_PAYMENT_EXPIRED,
    AEGIS_PAYMENT_CANCELLED,
    AEGIS_PAYMENT_STATES
};

const char *aegis_payment_state_name(enum aegis_payment_state state);
bool aegis_payment_state_parse(const char *name, enum aegis_payment_state *out);
bool aegis_payment_state_exposed(enum aegis_payment_state state);
bool aegis_payment_state_counts(enum aegis_payment_state state);

/* The life of a payment, the one table of it: where an entry of `kind` takes a payment that is in state
 * `from`. False when it cannot happen there. `repeated` leaves it where it is. */
bool aegis_payment_state_next(enum aegis_payment_state from, enum aegis_entry_kind kind,
                              enum aegis_payment_state *to);

/* A payment as the books have it. Texts are owned by the row; "" when there is none. */
struct aegis_payment_row {
    int64_t seq; /* of its `reserved` (or `external`) entry */
    char *id;
    char *agent;
    enum aegis_payment_state state;
    int64_t at;      /* when it was judged: the time that it counts at in every window */
    int64_t changed; /* when it came into its state */
    char *method;
    char *url;
    char *host;
    char *network;
    char *asset;
    char *token;
    unsigned decimals;
    aegis_amount amount;
    aegis_amount scaled;
    char *payer;
    char *pay_to;
    int64_t valid_after;  /* seconds */
    int64_t valid_before; /* seconds */
    char *nonce;          /* 0x and 64 hex digits */
    char *request_hash;
    char *idempotency_key;
    int x402_version;
    char *transaction;
    int status; /* HTTP status of the last outcome; 0: none */
};

void aegis_payment_row_clear(struct aegis_payment_row *row);

/* Everything about a payment as JSON, amounts as atomic text and as whole tokens. New reference. */
json_t *aegis_payment_row_json(const struct aegis_payment_row *row);

enum aegis_books_result aegis_books_payment(struct aegis_books *books, const char *id,
                                            struct aegis_payment_row *out, struct aegis_error *error);

/* The newest payment under an explicit idempotency key of this agent. */
enum aegis_books_result aegis_books_idempotent(struct aegis_books *books, const char *agent, const char *key,
                                               struct aegis_payment_row *out, struct aegis_error *error);

struct aegis_payment_filter {
    const char *agent;             /* NULL: any */
    const char *network;           /* NULL: any */
    unsigned states;               /* bits 1u << state; 0: any */
    int64_t from, until;           /* on `at`, until exclusive; 0: open */
    int64_t valid_before;          /* at least this, seconds; 0: any */
    int64_t after_seq, before_seq; /* paging, both exclusive; 0: open */
    bool newest_first;
    size_t limit; /* 0: all */
};

/* Calls `row` for each until it returns false (which is no error). False only on a database error. */
bool aegis_books_payments(struct aegis_books *books, const struct aegis_payment_filter *filter,
                          bool (*row)(const struct aegis_payment_row *row, void *context), void *context,
                          struct aegis_error *error);

/* Whose money is summed. Members that are NULL match anything: agent scope has host and payee NULL, gate
 * scope all three. */
struct aegis_books_scope {
    const char *agent;
    const char *host;
    const char *payee;
    const char *network; /* CAIP-2 or a pattern that ends in `*`; NULL: any */
    const char *token;   /* symbol, or "*"; NULL: any */
};

struct aegis_books_sum {
    aegis_amount settled; /* scaled */
    aegis_amount exposed; /* scaled */
    uint64_t payments;    /* both */
    uint64_t settlements; /* settled only */
};

/* "*" matches everything, "eip155:*" a prefix, anything else itself. */
bool aegis_books_pattern(const char *pattern, const char *text);

/* From whole days of the rollup: payments of the days first_day.. (days since 1970, UTC), without end.
 * Indexed for every scope; costs what the scope's own days hold. */
bool aegis_books_rollup(struct aegis_books *books, const struct aegis_books_scope *scope, int64_t first_day,
                        struct aegis_books_sum *out, struct aegis_error *error);

/* Payments that count (see the states) of the scope with at >= from, in no particular order. */
bool aegis_books_since(struct aegis_books *books, const struct aegis_books_scope *scope, int64_t from,
                       void (*row)(int64_t at, aegis_amount scaled, bool settled, void *context),
                       void *context, struct aegis_error *error);

/* The slow reference: the same sums from the payments one by one. `window` is hour|day|week|month|total or
 * rolling:SECONDS; the window is the one that holds `now`. False as well when window is none of these. */
bool aegis_books_spent(struct aegis_books *books, const struct aegis_books_scope *scope, const char *window,
                       int64_t now, struct aegis_books_sum *out, int64_t *resets_at,
                       struct aegis_error *error);

/* When the agent (NULL: any) last paid. */
enum aegis_books_result aegis_books_last_payment(struct aegis_books *books, const char *agent, int64_t *at,
                                                 struct aegis_error *error);
/* What it last paid for this method and URL. */
enum aegis_books_result aegis_books_last_price(struct aegis_books *books, const char *agent,
                                               const char *method, const char *url, aegis_amount *scaled,
                                               int64_t *at, struct aegis_error *error);

/* A policy's durable value. *value is a new reference. */
enum aegis_books_result aegis_books_state(struct aegis_books *books, const char *policy, const char *key,
                                          json_t **value, struct aegis_error *error);
/* FOUND when a notice with this `once` text of this policy was written before. */
enum aegis_books_result aegis_books_once(struct aegis_books *books, const char *policy, const char *text,
                                         struct aegis_error *error);
/* FOUND when this very version of the policy is in the ledger. */
enum aegis_books_result aegis_books_policy(struct aegis_books *books, const char *id, const char *hash,
                                           struct aegis_error *error);

struct aegis_agent_row {
    char *id;
    char *name;
    char *wallet;
    char *address;
    char *policies; /* canonical JSON array of ids */
    int64_t first_seen;
    int64_t heartbeat; /* 0: none */
    int64_t revoked;   /* 0: it is not */
};

void aegis_agent_row_clear(struct aegis_agent_row *row);
enum aegis_books_result aegis_books_agent(struct aegis_books *books, const char *id,
                                          struct aegis_agent_row *out, struct aegis_error *error);
bool aegis_books_agents(struct aegis_books *books,
                        bool (*row)(const struct aegis_agent_row *row, void *context), void *context,
                        struct aegis_error *error);

#endif
