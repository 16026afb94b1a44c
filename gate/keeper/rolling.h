/* The payments inside a rolling window, by the millisecond:
 *
 *     oldest | at 1000: sum | at 1017: sum | at 1017+n: sum | newest
 *     -> leave at the front                  -> added at the end, changed anywhere
 *
 * Exact: a payment leaves the very millisecond that its time is over. */
#ifndef AEGIS_KEEPER_ROLLING_H
#define AEGIS_KEEPER_ROLLING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/ledger/books.h"

struct aegis_rolling {
    struct aegis_rolling_bucket *buckets;
    size_t first, count, room; /* a ring */
};

void aegis_rolling_clear(struct aegis_rolling *rolling);

/* The sum of what happened at `at`, made when there is none. Borrowed until the next call. */
struct aegis_books_sum *aegis_rolling_at(struct aegis_rolling *rolling, int64_t at);

/* Takes out the oldest sum if it is from before `start`. False when there is none. */
bool aegis_rolling_leave(struct aegis_rolling *rolling, int64_t start, struct aegis_books_sum *out);

/* Sums up what is from before `start` and still here. Returns the time of the oldest payment that is not;
 * INT64_MAX when there is none. */
int64_t aegis_rolling_before(struct aegis_rolling *rolling, int64_t start, struct aegis_books_sum *out);

#endif
