#include "gate/ledger/reader.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/ledger/private.h"

struct aegis_reader *aegis_reader_open(const char *path, struct aegis_error *error)
{
    bool empty = false;
    struct aegis_reader *reader = aegis_alloc(sizeof *reader);
    reader->store = aegis_store_open(path, SQLITE_OPEN_READONLY, NULL, error);
    if (reader->store != NULL && aegis_store_recognise(reader->store, &empty, error) && !empty)
        return reader;
    if (empty)
        aegis_error_set(error, "%s: is empty, no gate has written to it yet", path);
    aegis_reader_close(&reader);
    return NULL;
}

void aegis_reader_close(struct aegis_reader **pointer)
{
    struct aegis_reader *reader = *pointer;
    *pointer = NULL;
    if (reader == NULL)
        return;
    aegis_store_close(&reader->store);
    free(reader);
}

struct aegis_books *aegis_reader_books(struct aegis_reader *reader)
{
    return reader->store;
}

bool aegis_reader_head(struct aegis_reader *reader, int64_t *seq, uint8_t hash[AEGIS_HASH_SIZE],
                       struct aegis_error *error)
{
    *seq = 0;
    memset(hash, 0, AEGIS_HASH_SIZE);
    sqlite3_stmt *row = aegis_store_bind(
        reader->store, error, "SELECT " AEGIS_STORE_ENTRY " FROM entry ORDER BY seq DESC LIMIT 1", "");
    if (row == NULL)
        return false;
    int code = aegis_store_step(reader->store, row, error);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE;
    struct aegis_entry entry;
    bool ok = aegis_store_entry(row, &entry, error);
    if (ok) {
        *seq = entry.seq;
        memcpy(hash, entry.hash, AEGIS_HASH_SIZE);
    }
    sqlite3_reset(row);
    return ok;
}

static bool each_entry(struct aegis_reader *reader, sqlite3_stmt *rows, aegis_reader_row *row, void *context,
                       struct aegis_error *error)
{
    if (rows == NULL)
        return false;
    int code;
    while ((code = aegis_store_step(reader->store, rows, error)) == SQLITE_ROW) {
        struct aegis_entry entry;
        bool ok = aegis_store_entry(rows, &entry, error);
        if (!ok || !row(&entry, context)) {
            sqlite3_reset(rows);
            return ok;
        }
    }
    return code == SQLITE_DONE;
}

bool aegis_reader_follow(struct aegis_reader *reader, int64_t after, size_t limit, aegis_reader_row *row,
                         void *context, struct aegis_error *error)
{
    int64_t most = limit == 0 ? -1 : (int64_t)limit;
    sqlite3_stmt *rows = aegis_store_bind(
        reader->store, error, "SELECT " AEGIS_STORE_ENTRY " FROM entry WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        "ii", after, most);
    return each_entry(reader, rows, row, context, error);
}

bool aegis_reader_history(struct aegis_reader *reader, const char *payment, aegis_reader_row *row,
                          void *context, struct aegis_error *error)
{
    if (*payment == '\0')
        return true;
    sqlite3_stmt *rows = aegis_store_bind(reader->store, error,
                                          "SELECT " AEGIS_STORE_ENTRY
                                          " FROM entry WHERE payment = ?1 AND payment <> '' ORDER BY seq",
                                          "t", payment);
    return each_entry(reader, rows, row, context, error);
}
