/* From entries to books: what each kind of entry does to the derived tables. The one code for the writer and
 * for whoever recomputes the books. Private to gate/ledger. */
#ifndef AEGIS_LEDGER_BOOKING_H
#define AEGIS_LEDGER_BOOKING_H

#include "gate/ledger/store.h"

struct aegis_booking;

enum aegis_booking_result {
    AEGIS_BOOKING_OK,
    AEGIS_BOOKING_IMPOSSIBLE, /* the entry says something that cannot have happened after those before it */
    AEGIS_BOOKING_DATABASE,
};

/* `store` must live longer. */
struct aegis_booking *aegis_booking_new(struct aegis_books *store);
void aegis_booking_free(struct aegis_booking **booking);

/* `body` is entry->body, parsed. */
enum aegis_booking_result aegis_booking_apply(struct aegis_booking *booking, const struct aegis_entry *entry,
                                              const json_t *body, struct aegis_error *error);

/* Sums are kept in memory while they change; this writes them out, and the head. Before COMMIT, and before
 * anybody reads the rollup inside the transaction. */
bool aegis_booking_flush(struct aegis_booking *booking, struct aegis_error *error);

/* Forgets what was not written: after a rollback. */
void aegis_booking_discard(struct aegis_booking *booking);

#endif
