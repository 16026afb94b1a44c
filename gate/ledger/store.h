/* The database under the ledger: schema, connections, statements. Private to gate/ledger. */
#ifndef AEGIS_LEDGER_STORE_H
#define AEGIS_LEDGER_STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/base/amount.h"
#include "gate/base/error.h"
#include "gate/ledger/entry.h"

#define AEGIS_STORE_APPLICATION 0x41656769 /* "Aegi" */
#define AEGIS_STORE_SCHEMA      1

/* Payments whose fate is open, in the words of the index on them. Not `NOT IN (...)`: SQLite builds a table
 * for such a list each time it looks whether a row belongs into the index. */
#define AEGIS_STORE_OPEN "state <> 'settled' AND state <> 'expired' AND state <> 'cancelled'"

/* A connection and the statements that were prepared on it. Statements are found by the address of their
 * text, so every text must be a constant. Their number is fixed by the code, not by data. */
#define AEGIS_STORE_STATEMENTS 96

struct aegis_books {
    sqlite3 *db;
    char *path;
    struct {
        const char *text;
        sqlite3_stmt *statement;
    } cache[AEGIS_STORE_STATEMENTS];
    size_t cached;
};

/* `vfs` NULL: the default one. */
struct aegis_books *aegis_store_open(const char *path, int flags, const char *vfs, struct aegis_error *error);
void aegis_store_close(struct aegis_books **store);

/* The tables of the entries, and those of the books alone (for a scratch database that books are rebuilt
 * in). */
bool aegis_store_create(struct aegis_books *store, struct aegis_error *error);
bool aegis_store_create_books(struct aegis_books *store, struct aegis_error *error);

/* A ledger of this schema, or the reason why not. *empty: a fresh file. */
bool aegis_store_recognise(struct aegis_books *store, bool *empty, struct aegis_error *error);

/* Ready to bind; NULL when it cannot be prepared. */
sqlite3_stmt *aegis_store_statement(struct aegis_books *store, const char *text, struct aegis_error *error);

/* One character a parameter: i int64_t, t text (NULL becomes ""), T text with its length (const char *,
 * size_t), h a hash, a an aegis_amount. Texts are not copied: step before they go. */
sqlite3_stmt *aegis_store_bind(struct aegis_books *store, struct aegis_error *error, const char *text,
                               const char *types, ...);

/* SQLITE_ROW, SQLITE_DONE (the statement is then reset), or another code with the error set (reset as
 * well). */
int aegis_store_step(struct aegis_books *store, sqlite3_stmt *statement, struct aegis_error *error);

/* bind, step to the end, reset. */
#define aegis_store_run(store, error, text, ...)                                                             \
    aegis_store_finish(store, aegis_store_bind(store, error, text, __VA_ARGS__), error)
bool aegis_store_finish(struct aegis_books *store, sqlite3_stmt *statement, struct aegis_error *error);

bool aegis_store_script(struct aegis_books *store, const char *script, struct aegis_error *error);
bool aegis_store_fault(struct aegis_books *store, struct aegis_error *error);

/* Columns. The texts live until the next step. */
const char *aegis_store_text(sqlite3_stmt *statement, int column);
bool aegis_store_amount(struct aegis_books *store, sqlite3_stmt *statement, int column, aegis_amount *out,
                        struct aegis_error *error);

/* The columns seq, at, kind, agent, payment, body, prev, hash in this order. False when a hash has the wrong
 * size. */
#define AEGIS_STORE_ENTRY "seq, at, kind, agent, payment, body, prev, hash"
bool aegis_store_entry(sqlite3_stmt *statement, struct aegis_entry *out, struct aegis_error *error);

#endif
