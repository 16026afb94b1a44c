/* Checking a ledger against itself: the chain, and the books recomputed. */
#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/ledger/booking.h"
#include "gate/ledger/private.h"

enum { PROGRESS_EVERY = 4096 };

/* The derived tables with the order in which their rows are compared. */
static const struct {
    const char *table;
    const char *question;
} derived[] = {
    {"head", "SELECT * FROM head ORDER BY one"},
    {"payment", "SELECT * FROM payment ORDER BY seq"},
    {"rollup", "SELECT * FROM rollup ORDER BY agent, day, host, payee, network, asset, token"},
    {"price", "SELECT * FROM price ORDER BY agent, url, method"},
    {"idempotency", "SELECT * FROM idempotency ORDER BY agent, key"},
    {"agent", "SELECT * FROM agent ORDER BY id"},
    {"policy", "SELECT * FROM policy ORDER BY id, hash"},
    {"plugin_state", "SELECT * FROM plugin_state ORDER BY policy, key"},
    {"once", "SELECT * FROM once ORDER BY policy, text"},
};

struct verification {
    struct aegis_books *store;
    struct aegis_books *scratch;
    struct aegis_booking *booking;
    void (*progress)(int64_t done, int64_t all, void *context);
    void *context;
    int64_t all;
    int64_t seq;
    uint8_t hash[AEGIS_HASH_SIZE];
};

/* The hash covers the text of a body, so a body has to be written in the one way that RFC 8785 leaves: then
 * text and value say the same. */
static json_t *canonical_body(const struct aegis_entry *entry, struct aegis_error *error)
{
    struct aegis_error why;
    json_t *body = aegis_json_parse(entry->body, entry->body_length, &why);
    if (!json_is_object(body)) {
        aegis_error_set(error, "entry %lld (%s): `body` is no JSON object: %s", (long long)entry->seq,
                        entry->kind, body == NULL ? why.text : "another value");
        json_decref(body);
        return NULL;
    }
    size_t length;
    char *text = aegis_json_canonical(body, &length);
    bool same = text != NULL && length == entry->body_length && memcmp(text, entry->body, length) == 0;
    free(text);
    if (same)
        return body;
    json_decref(body);
    aegis_error_set(error, "entry %lld (%s): `body` is not in its canonical form", (long long)entry->seq,
                    entry->kind);
    return NULL;
}

static bool verify_link(const struct verification *run, const struct aegis_entry *entry,
                        struct aegis_error *error)
{
    uint8_t hash[AEGIS_HASH_SIZE];
    if (entry->seq != run->seq + 1)
        return aegis_error_set(error, "entry %lld is missing", (long long)run->seq + 1);
    if (memcmp(entry->prev, run->hash, AEGIS_HASH_SIZE) != 0)
        return aegis_error_set(error, "entry %lld (%s): `prev` is not the hash of the entry before",
                               (long long)entry->seq, entry->kind);
    if (!aegis_entry_hash(entry, hash) || memcmp(entry->hash, hash, AEGIS_HASH_SIZE) != 0)
        return aegis_error_set(
            error, "entry %lld (%s): `hash` is not the hash of what the entry holds: it was changed",
            (long long)entry->seq, entry->kind);
    return true;
}

static bool verify_entry(struct verification *run, const struct aegis_entry *entry, struct aegis_error *error)
{
    if (!verify_link(run, entry, error))
        return false;
    json_t *body = canonical_body(entry, error);
    if (body == NULL)
        return false;
    bool ok = aegis_booking_apply(run->booking, entry, body, error) == AEGIS_BOOKING_OK;
    json_decref(body);
    run->seq = entry->seq;
    memcpy(run->hash, entry->hash, AEGIS_HASH_SIZE);
    if (ok && run->progress != NULL && run->seq % PROGRESS_EVERY == 0)
        run->progress(run->seq, run->all, run->context);
    return ok;
}

static bool verify_chain(struct verification *run, struct aegis_error *error)
{
    sqlite3_stmt *rows =
        aegis_store_bind(run->store, error, "SELECT " AEGIS_STORE_ENTRY " FROM entry ORDER BY seq", "");
    if (rows == NULL)
        return false;
    int code;
    while ((code = aegis_store_step(run->store, rows, error)) == SQLITE_ROW) {
        struct aegis_entry entry;
        if (!aegis_store_entry(rows, &entry, error) || !verify_entry(run, &entry, error)) {
            sqlite3_reset(rows);
            return false;
        }
    }
    return code == SQLITE_DONE;
}

static bool same_value(sqlite3_stmt *a, sqlite3_stmt *b, int column)
{
    int type = sqlite3_column_type(a, column);
    if (type != sqlite3_column_type(b, column))
        return false;
    if (type == SQLITE_INTEGER)
        return sqlite3_column_int64(a, column) == sqlite3_column_int64(b, column);
    const void *bytes = sqlite3_column_blob(a, column), *others = sqlite3_column_blob(b, column);
    int size = sqlite3_column_bytes(a, column);
    return size == sqlite3_column_bytes(b, column) && (size == 0 || memcmp(bytes, others, (size_t)size) == 0);
}

static bool compare_rows(const char *table, sqlite3_stmt *stored, sqlite3_stmt *rebuilt, int64_t number,
                         struct aegis_error *error)
{
    for (int column = 0; column < sqlite3_column_count(stored); column++)
        if (!same_value(stored, rebuilt, column))
            return aegis_error_set(error,
                                   "table %s, row %lld, `%s`: holds \"%s\", the entries add up to \"%s\"",
                                   table, (long long)number, sqlite3_column_name(stored, column),
                                   aegis_store_text(stored, column), aegis_store_text(rebuilt, column));
    return true;
}

static bool compare_table(struct verification *run, const char *table, const char *question,
                          struct aegis_error *error)
{
    sqlite3_stmt *stored = aegis_store_bind(run->store, error, question, "");
    sqlite3_stmt *rebuilt = aegis_store_bind(run->scratch, error, question, "");
    if (stored == NULL || rebuilt == NULL)
        return false;
    bool ok = true;
    int a = SQLITE_ROW, b = SQLITE_ROW;
    for (int64_t number = 1; ok && a == SQLITE_ROW && b == SQLITE_ROW; number++) {
        a = aegis_store_step(run->store, stored, error);
        b = aegis_store_step(run->scratch, rebuilt, error);
        if (a == SQLITE_ROW && b == SQLITE_ROW)
            ok = compare_rows(table, stored, rebuilt, number, error);
        else if (a == SQLITE_ROW && b == SQLITE_DONE)
            ok =
                aegis_error_set(error, "table %s, row %lld: no entry speaks of it", table, (long long)number);
        else if (a == SQLITE_DONE && b == SQLITE_ROW)
            ok = aegis_error_set(error, "table %s, row %lld: is missing", table, (long long)number);
        else if (a != SQLITE_DONE || b != SQLITE_DONE)
            ok = false;
    }
    sqlite3_reset(stored);
    sqlite3_reset(rebuilt);
    return ok;
}

static bool verify_books(struct verification *run, struct aegis_error *error)
{
    if (!aegis_booking_flush(run->booking, error))
        return false;
    for (size_t i = 0; i < sizeof derived / sizeof derived[0]; i++)
        if (!compare_table(run, derived[i].table, derived[i].question, error))
            return false;
    return true;
}

static bool verify_file(struct aegis_books *store, struct aegis_error *error)
{
    sqlite3_stmt *row = aegis_store_bind(store, error, "PRAGMA quick_check(1)", "");
    if (row == NULL || aegis_store_step(store, row, error) != SQLITE_ROW)
        return false;
    bool ok = strcmp(aegis_store_text(row, 0), "ok") == 0;
    if (!ok)
        aegis_error_set(error, "%s: the file is damaged: %s", store->path, aegis_store_text(row, 0));
    sqlite3_reset(row);
    return ok;
}

static bool count_entries(struct verification *run, struct aegis_error *error)
{
    sqlite3_stmt *row = aegis_store_bind(run->store, error, "SELECT coalesce(max(seq), 0) FROM entry", "");
    if (row == NULL || aegis_store_step(run->store, row, error) != SQLITE_ROW)
        return false;
    run->all = sqlite3_column_int64(row, 0);
    sqlite3_reset(row);
    return true;
}

bool aegis_reader_verify(struct aegis_reader *reader,
                         void (*progress)(int64_t done, int64_t all, void *context), void *context,
                         int64_t *entries, struct aegis_error *error)
{
    struct verification run = {.store = reader->store, .progress = progress, .context = context};
    /* A name of nothing is a private database that SQLite keeps in memory while it is small and on disk when
     * not. */
    run.scratch = aegis_store_open("", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL, error);
    *entries = 0;
    if (run.scratch == NULL)
        return false;
    run.booking = aegis_booking_new(run.scratch);
    bool ok = aegis_store_script(run.store, "BEGIN", error);
    if (ok) {
        ok = verify_file(run.store, error) && aegis_store_create_books(run.scratch, error) &&
             aegis_store_script(run.scratch, "BEGIN", error) && count_entries(&run, error) &&
             verify_chain(&run, error) && verify_books(&run, error);
        sqlite3_exec(run.store->db, "ROLLBACK", NULL, NULL, NULL);
    }
    *entries = run.seq;
    aegis_booking_free(&run.booking);
    aegis_store_close(&run.scratch);
    return ok;
}
