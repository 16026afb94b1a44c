/* What was spent, as running sums: one counter per scope value, window, chain pattern and token, made when it
 * is first asked for, filled from the ledger's books, kept up to date by every change after that.
 *
 * A payment that is being judged is in the counters as tentative, with a number that says when it came. A
 * question about payment N sees everything that is durable and the tentative payments with smaller numbers:
 *
 *     durable ... | tentative 1, 2, 3 ... N-1 | N | N+1 ...
 *     \________ seen when N is judged _______/
 *
 * So any set of payments that are judged side by side and all allowed fits: the last of them saw all the
 * others. And those that came later cannot make an earlier one fail. */
#ifndef AEGIS_KEEPER_COUNTERS_H
#define AEGIS_KEEPER_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "gate/base/amount.h"
#include "gate/base/error.h"
#include "gate/ledger/books.h"

/* A payment as the counters see it. Texts are copied where they are kept. */
struct aegis_share {
    const char *agent;
    const char *host;
    const char *payee;
    const char *network;
    const char *token;
    int64_t at;
    aegis_amount scaled;
};

/* Largest amount of one payment: 2^96 scaled units, some 79 billion whole tokens. Below it 2^32 payments fit
 * into a sum. */
#define AEGIS_SHARE_MAX ((aegis_amount)1 << 96)

enum aegis_counted { AEGIS_COUNTED_NOT, AEGIS_COUNTED_EXPOSED, AEGIS_COUNTED_SETTLED };

struct aegis_counters;

struct aegis_counters *aegis_counters_new(void);
void aegis_counters_free(struct aegis_counters **counters);

/* Forgets every durable sum, so that they are read from the books again; tentative payments stay. `now` may
 * be earlier than what was asked about before. */
void aegis_counters_reset(struct aegis_counters *counters, int64_t now);

/* A payment begins to be judged; returns its number. */
uint64_t aegis_counters_try(struct aegis_counters *counters, const struct aegis_share *share);
/* It was denied, or its ledger entries are durable (`keep`: it is exposed from now on). */
void aegis_counters_drop(struct aegis_counters *counters, uint64_t number);
void aegis_counters_keep(struct aegis_counters *counters, uint64_t number);

/* A durable payment changes. */
void aegis_counters_move(struct aegis_counters *counters, const struct aegis_share *share,
                         enum aegis_counted from, enum aegis_counted to);

#define AEGIS_NUMBER_LAST UINT64_MAX /* sees every tentative payment */

/* The sums of `scope` (agent, gate, agent+host, agent+payee, host, payee: of `share`'s), `window`, `chain`
 * and `token`, as seen by payment `number` at `now`, the time that it was begun at: one that is judged past a
 * boundary counts before it. False when the query is none, or the books cannot be read. */
bool aegis_counters_spent(struct aegis_counters *counters, struct aegis_books *books, const char *scope,
                          const char *window, const char *chain, const char *token,
                          const struct aegis_share *share, uint64_t number, int64_t now,
                          struct aegis_books_sum *out, int64_t *resets_at, struct aegis_error *error);

/* Counters in memory, and payments being judged. */
size_t aegis_counters_count(const struct aegis_counters *counters);
size_t aegis_counters_tentative(const struct aegis_counters *counters);

#endif
