/* The writer of ledger.db. There is one, in the keeper.
 *
 * Entries are appended and the books (books.h) brought up to date in one transaction. WAL with
 * synchronous=FULL: when commit returned OK the entries survive power loss. */
#ifndef AEGIS_LEDGER_LEDGER_H
#define AEGIS_LEDGER_LEDGER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/base/error.h"
#include "gate/ledger/books.h"
#include "gate/ledger/entry.h"

struct aegis_ledger;

enum aegis_ledger_result {
    AEGIS_LEDGER_OK,         /* durable */
    AEGIS_LEDGER_NOT_STORED, /* nothing of the transaction was stored, it was rolled back */
    AEGIS_LEDGER_UNKNOWN,    /* COMMIT failed: it may or may not be in the file. Reopen and read back */
};

/* Opens, and creates when there is none (mode 0600). Refused: a file that is no ledger, one of a newer
 * schema, one that another writer holds, and one whose last entries do not chain, or whose books stand at
 * another entry than the last. */
struct aegis_ledger *aegis_ledger_open(const char *path, struct aegis_error *error);

/* After a failed commit: closes the connection and opens the same file anew, with the same checks. On false
 * the ledger is closed inside and only reopen and close may be called. */
bool aegis_ledger_reopen(struct aegis_ledger *ledger, struct aegis_error *error);
void aegis_ledger_close(struct aegis_ledger **ledger);

bool aegis_ledger_begin(struct aegis_ledger *ledger, struct aegis_error *error);

/* Appends one entry and updates the books. `body` (borrowed) must have the fields of its kind: a mistake
 * there ends the process. agent and payment may be NULL. On false the transaction is lost: roll back. A
 * transition that no payment may make (see booking.c) ends the process as well: the keeper has to know
 * better.
 */
bool aegis_ledger_append(struct aegis_ledger *ledger, enum aegis_entry_kind kind, int64_t at,
                         const char *agent, const char *payment, const json_t *body,
                         struct aegis_error *error);

enum aegis_ledger_result aegis_ledger_commit(struct aegis_ledger *ledger, struct aegis_error *error);
void aegis_ledger_rollback(struct aegis_ledger *ledger);

/* Of the last entry committed or appended; 0 when there is none. */
int64_t aegis_ledger_seq(const struct aegis_ledger *ledger);
int64_t aegis_ledger_at(const struct aegis_ledger *ledger);

/* Borrowed; good until reopen or close. Sees the open transaction. Not for a ledger that a reopen left
 * closed. */
struct aegis_books *aegis_ledger_books(struct aegis_ledger *ledger);

#endif
