#include "gate/courier/bus.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/base/text.h"

#define APPLICATION 0x41656d73 /* "Aems" */
#define SCHEMA      1

enum statement { PUT, CURSOR_SET, CURSOR_GET, FOLLOW, FIND, STATEMENTS };

#define COLUMNS "number, id, type, sender, recipient, source, at, body"

static const char *const texts[STATEMENTS] = {
    [PUT] =
        "INSERT INTO message (id, type, sender, recipient, source, at, body) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO NOTHING",
    [CURSOR_SET] = "UPDATE cursor SET seq = ?, hash = ?",
    [CURSOR_GET] = "SELECT seq, hash FROM cursor",
    [FOLLOW] = "SELECT " COLUMNS " FROM message WHERE number > ? ORDER BY number",
    [FIND] = "SELECT " COLUMNS " FROM message WHERE id = ?",
};

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE message (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " type TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL, source TEXT NOT NULL,"
    " at INTEGER NOT NULL, body TEXT NOT NULL);"
    "CREATE TABLE cursor (seq INTEGER NOT NULL, hash BLOB NOT NULL);"
    "INSERT INTO cursor VALUES (0, zeroblob(32));"
    "PRAGMA application_id = 1097166195;"
    "PRAGMA user_version = 1;"
    "COMMIT;";

struct aegis_bus {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *statements[STATEMENTS];
};

static bool fault(struct aegis_bus *bus, struct aegis_error *error)
{
    return aegis_error_set(error, "%s: %s", bus->path, sqlite3_errmsg(bus->db));
}

static bool script(struct aegis_bus *bus, const char *text, struct aegis_error *error)
{
    return sqlite3_exec(bus->db, text, NULL, NULL, NULL) == SQLITE_OK || fault(bus, error);
}

static bool pragma_read(struct aegis_bus *bus, const char *text, int64_t *out, struct aegis_error *error)
{
    sqlite3_stmt *statement = NULL;
    bool good = sqlite3_prepare_v2(bus->db, text, -1, &statement, NULL) == SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW;
    if (good)
        *out = sqlite3_column_int64(statement, 0);
    else
        fault(bus, error);
    sqlite3_finalize(statement);
    return good;
}

/* A file of ours and of this schema; a fresh one gets its tables. */
static bool recognise(struct aegis_bus *bus, struct aegis_error *error)
{
    int64_t application = 0;
    int64_t version = 0;
    int64_t tables = 0;
    if (!pragma_read(bus, "PRAGMA application_id", &application, error) ||
        !pragma_read(bus, "PRAGMA user_version", &version, error) ||
        !pragma_read(bus, "SELECT count(*) FROM sqlite_schema", &tables, error))
        return false;
    if (application == 0 && tables == 0)
        return script(bus, schema, error);
    if (application != APPLICATION)
        return aegis_error_set(error, "%s: this is not a store of messages", bus->path);
    if (version != SCHEMA)
        return aegis_error_set(error, "%s: its schema is version %lld, expected %d", bus->path,
                               (long long)version, SCHEMA);
    return true;
}

/* SQLite would create it with the umask's mode. */
static bool create_private(const char *path, struct aegis_error *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat status;
    bool good = fd >= 0 && fstat(fd, &status) == 0;
    if (!good)
        aegis_error_set(error, "%s: %s", path, strerror(errno));
    else if ((status.st_mode & 022) != 0)
        good = aegis_error_set(error, "%s: its mode is %03o, expected 600 (nobody else may write)", path,
                               (unsigned)status.st_mode & 0777);
    if (fd >= 0)
        close(fd);
    return good;
}

static bool open_database(struct aegis_bus *bus, struct aegis_error *error)
{
    if (!create_private(bus->path, error))
        return false;
    if (sqlite3_open_v2(bus->path, &bus->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        return fault(bus, error);
    sqlite3_busy_timeout(bus->db, 2000);
    if (!script(bus, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF",
                error) ||
        !recognise(bus, error))
        return false;
    for (int i = 0; i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(bus->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &bus->statements[i], NULL) !=
            SQLITE_OK)
            return fault(bus, error);
    return true;
}

struct aegis_bus *aegis_bus_open(const char *path, struct aegis_error *error)
{
    struct aegis_bus *bus = aegis_alloc(sizeof *bus);
    bus->path = aegis_strdup(path);
    if (!open_database(bus, error))
        aegis_bus_close(&bus);
    return bus;
}

void aegis_bus_close(struct aegis_bus **bus)
{
    if (*bus == NULL)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize((*bus)->statements[i]);
    sqlite3_close((*bus)->db);
    free((*bus)->path);
    free(*bus);
    *bus = NULL;
}

bool aegis_bus_begin(struct aegis_bus *bus, struct aegis_error *error)
{
    return script(bus, "BEGIN IMMEDIATE", error);
}

bool aegis_bus_commit(struct aegis_bus *bus, struct aegis_error *error)
{
    if (script(bus, "COMMIT", error))
        return true;
    aegis_bus_rollback(bus);
    return false;
}

void aegis_bus_rollback(struct aegis_bus *bus)
{
    if (!sqlite3_get_autocommit(bus->db))
        sqlite3_exec(bus->db, "ROLLBACK", NULL, NULL, NULL);
}

/* Runs a statement that gives no rows. */
static bool run(struct aegis_bus *bus, sqlite3_stmt *statement, struct aegis_error *error)
{
    bool good = sqlite3_step(statement) == SQLITE_DONE || fault(bus, error);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return good;
}

bool aegis_bus_put(struct aegis_bus *bus, const struct aegis_bus_message *message, struct aegis_error *error)
{
    sqlite3_stmt *statement = bus->statements[PUT];
    const char *const values[] = {message->id, message->type, message->sender, message->recipient,
                                  message->source};
    for (int i = 0; i < 5; i++)
        sqlite3_bind_text(statement, i + 1, values[i], -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 6, message->at);
    sqlite3_bind_text(statement, 7, message->body, -1, SQLITE_STATIC);
    return run(bus, statement, error);
}

bool aegis_bus_cursor_set(struct aegis_bus *bus, const struct aegis_bus_cursor *cursor,
                          struct aegis_error *error)
{
    sqlite3_stmt *statement = bus->statements[CURSOR_SET];
    sqlite3_bind_int64(statement, 1, cursor->seq);
    sqlite3_bind_blob(statement, 2, cursor->hash, AEGIS_HASH_SIZE, SQLITE_STATIC);
    return run(bus, statement, error);
}

bool aegis_bus_cursor_get(struct aegis_bus *bus, struct aegis_bus_cursor *cursor, struct aegis_error *error)
{
    sqlite3_stmt *statement = bus->statements[CURSOR_GET];
    bool good = sqlite3_step(statement) == SQLITE_ROW;
    if (!good) {
        fault(bus, error);
    } else if (sqlite3_column_bytes(statement, 1) != AEGIS_HASH_SIZE) {
        good = aegis_error_set(error, "%s: the cursor's hash is damaged", bus->path);
    } else {
        cursor->seq = sqlite3_column_int64(statement, 0);
        memcpy(cursor->hash, sqlite3_column_blob(statement, 1), AEGIS_HASH_SIZE);
    }
    sqlite3_reset(statement);
    return good;
}

static const char *text_column(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text != NULL ? text : "";
}

static bool give_rows(struct aegis_bus *bus, sqlite3_stmt *statement, aegis_bus_row *row, void *context,
                      struct aegis_error *error)
{
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        const struct aegis_bus_message message = {
            .number = sqlite3_column_int64(statement, 0),
            .id = text_column(statement, 1),
            .type = text_column(statement, 2),
            .sender = text_column(statement, 3),
            .recipient = text_column(statement, 4),
            .source = text_column(statement, 5),
            .at = sqlite3_column_int64(statement, 6),
            .body = text_column(statement, 7),
        };
        if (!row(&message, context))
            break;
    }
    bool good = result == SQLITE_ROW || result == SQLITE_DONE || fault(bus, error);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return good;
}

bool aegis_bus_follow(struct aegis_bus *bus, int64_t after, aegis_bus_row *row, void *context,
                      struct aegis_error *error)
{
    sqlite3_bind_int64(bus->statements[FOLLOW], 1, after);
    return give_rows(bus, bus->statements[FOLLOW], row, context, error);
}

bool aegis_bus_find(struct aegis_bus *bus, const char *id, aegis_bus_row *row, void *context,
                    struct aegis_error *error)
{
    sqlite3_bind_text(bus->statements[FIND], 1, id, -1, SQLITE_STATIC);
    return give_rows(bus, bus->statements[FIND], row, context, error);
}
