/* Reading ledger.db beside its writer: the courier, the command line, aegis-policy. Opened read-only; every
 * call sees one consistent state. */
#ifndef AEGIS_LEDGER_READER_H
#define AEGIS_LEDGER_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gate/base/error.h"
#include "gate/ledger/books.h"
#include "gate/ledger/entry.h"

struct aegis_reader;

struct aegis_reader *aegis_reader_open(const char *path, struct aegis_error *error);
void aegis_reader_close(struct aegis_reader **reader);

/* Borrowed, as long as the reader. */
struct aegis_books *aegis_reader_books(struct aegis_reader *reader);

/* The last entry's number and hash (zeros when empty): what to write down elsewhere, so that a ledger that
 * was cut short or exchanged as a whole can be told. */
bool aegis_reader_head(struct aegis_reader *reader, int64_t *seq, uint8_t hash[AEGIS_HASH_SIZE],
                       struct aegis_error *error);

/* `entry` is good during the call; false stops, which is no error. */
typedef bool aegis_reader_row(const struct aegis_entry *entry, void *context);

/* Entries with seq > after in order, at most `limit` (0: all). False only when the database fails. */
bool aegis_reader_follow(struct aegis_reader *reader, int64_t after, size_t limit, aegis_reader_row *row,
                         void *context, struct aegis_error *error);

/* The entries of one payment or decision in order. */
bool aegis_reader_history(struct aegis_reader *reader, const char *payment, aegis_reader_row *row,
                          void *context, struct aegis_error *error);

/* Everything that can be checked from the file alone: seq without gaps, each entry's shape, hash and
 * predecessor, and that the books recomputed from the entries equal the stored ones bit for bit. `progress`
 * (may be NULL) is called now and then with entries done and their number. False with a sentence that names
 * the first fault: the entry and what is wrong with it, or the table and row. *entries is how many were
 * checked. */
bool aegis_reader_verify(struct aegis_reader *reader,
                         void (*progress)(int64_t done, int64_t all, void *context), void *context,
                         int64_t *entries, struct aegis_error *error);

/* Writes payments as comma-separated values (RFC 4180; first line names the columns) or entries as JSON
 * lines. False when the database or the stream fails. */
bool aegis_reader_export_csv(struct aegis_reader *reader, const struct aegis_payment_filter *filter,
                             FILE *out, struct aegis_error *error);
bool aegis_reader_export_lines(struct aegis_reader *reader, int64_t after, FILE *out,
                               struct aegis_error *error);

#endif
