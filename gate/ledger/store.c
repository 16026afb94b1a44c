#include "gate/ledger/store.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/base/text.h"

/* How long a statement waits for a lock, which only the checkpoint of another connection holds. */
enum { BUSY_MS = 5000 };

/* The one table that is the truth. The triggers are a seat belt for people with a database shell: the chain
 * is what finds changes out. */
static const char entry_schema[] =
    "CREATE TABLE entry("
    " seq INTEGER PRIMARY KEY CHECK(seq > 0), at INTEGER NOT NULL, kind TEXT NOT NULL, agent TEXT NOT NULL,"
    " payment TEXT NOT NULL, body TEXT NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL) STRICT;"
    "CREATE INDEX entry_payment ON entry(payment) WHERE payment <> '';"
    "CREATE TRIGGER entry_never_changes BEFORE UPDATE ON entry"
    " BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;"
    "CREATE TRIGGER entry_never_goes BEFORE DELETE ON entry"
    " BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;";

/* The books. 128-bit amounts are decimal text. `head` says which entry the books stand at. */
static const char books_schema[] =
    "CREATE TABLE head(one INTEGER PRIMARY KEY CHECK(one = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL) "
    "STRICT;"
    "CREATE TABLE payment("
    " seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, agent TEXT NOT NULL, state TEXT NOT NULL,"
    " at INTEGER NOT NULL, changed INTEGER NOT NULL, method TEXT NOT NULL, url TEXT NOT NULL,"
    " host TEXT NOT NULL, network TEXT NOT NULL, asset TEXT NOT NULL, token TEXT NOT NULL,"
    " decimals INTEGER NOT NULL, amount TEXT NOT NULL, scaled TEXT NOT NULL, payer TEXT NOT NULL,"
    " pay_to TEXT NOT NULL, valid_after INTEGER NOT NULL, valid_before INTEGER NOT NULL, nonce TEXT NOT NULL,"
    " request_hash TEXT NOT NULL, idempotency_key TEXT NOT NULL, x402_version INTEGER NOT NULL,"
    " tx TEXT NOT NULL, status INTEGER NOT NULL) STRICT;"
    "CREATE INDEX payment_at ON payment(at);"
    "CREATE INDEX payment_agent ON payment(agent, at);"
    "CREATE INDEX payment_open ON payment(valid_before) WHERE " AEGIS_STORE_OPEN ";"
    "CREATE TABLE rollup("
    " agent TEXT NOT NULL, day INTEGER NOT NULL, host TEXT NOT NULL, payee TEXT NOT NULL,"
    " network TEXT NOT NULL, asset TEXT NOT NULL, token TEXT NOT NULL, settled TEXT NOT NULL,"
    " exposed TEXT NOT NULL, payments INTEGER NOT NULL, settlements INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX rollup_key ON rollup(agent, day, host, payee, network, asset, token);"
    "CREATE INDEX rollup_agent_host ON rollup(agent, host, day);"
    "CREATE INDEX rollup_agent_payee ON rollup(agent, payee, day);"
    "CREATE INDEX rollup_host ON rollup(host, day);"
    "CREATE INDEX rollup_payee ON rollup(payee, day);"
    "CREATE INDEX rollup_day ON rollup(day);"
    "CREATE TABLE price("
    " agent TEXT NOT NULL, method TEXT NOT NULL, url TEXT NOT NULL, scaled TEXT NOT NULL, at INTEGER NOT "
    "NULL,"
    " PRIMARY KEY(agent, url, method)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE idempotency("
    " agent TEXT NOT NULL, key TEXT NOT NULL, payment TEXT NOT NULL, PRIMARY KEY(agent, key)) STRICT, "
    "WITHOUT ROWID;"
    "CREATE TABLE agent("
    " id TEXT PRIMARY KEY, name TEXT NOT NULL, wallet TEXT NOT NULL, address TEXT NOT NULL,"
    " policies TEXT NOT NULL, first_seen INTEGER NOT NULL, heartbeat INTEGER NOT NULL, revoked INTEGER NOT "
    "NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE TABLE policy(id TEXT NOT NULL, hash TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(id, hash))"
    " STRICT, WITHOUT ROWID;"
    "CREATE TABLE plugin_state(policy TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY(policy, key)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE once(policy TEXT NOT NULL, text TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(policy, "
    "text))"
    " STRICT, WITHOUT ROWID;";

bool aegis_store_fault(struct aegis_books *store, struct aegis_error *error)
{
    return aegis_error_set(error, "%s: %s", store->path, sqlite3_errmsg(store->db));
}

bool aegis_store_script(struct aegis_books *store, const char *script, struct aegis_error *error)
{
    if (sqlite3_exec(store->db, script, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    return aegis_store_fault(store, error);
}

/* No process here has threads, so SQLite needs no locks of its own, nor the books it keeps on its memory. It
 * takes this only before its first use in a process, and that is early enough. */
static void tune(void)
{
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 512, 256);
}

struct aegis_books *aegis_store_open(const char *path, int flags, const char *vfs, struct aegis_error *error)
{
    struct aegis_books *store = aegis_alloc(sizeof *store);
    tune();
    store->path = aegis_strdup(path);
    int code = sqlite3_open_v2(path, &store->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
    AEGIS_ASSERT(store->db != NULL);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(store->db, BUSY_MS);
        if (aegis_store_script(store,
                               "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                               "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096;",
                               error))
            return store;
    } else {
        aegis_store_fault(store, error);
    }
    aegis_store_close(&store);
    return NULL;
}

void aegis_store_close(struct aegis_books **pointer)
{
    struct aegis_books *store = *pointer;
    *pointer = NULL;
    if (store == NULL)
        return;
    for (size_t i = 0; i < store->cached; i++)
        sqlite3_finalize(store->cache[i].statement);
    sqlite3_close(store->db);
    free(store->path);
    free(store);
}

bool aegis_store_create_books(struct aegis_books *store, struct aegis_error *error)
{
    return aegis_store_script(store, books_schema, error);
}

bool aegis_store_create(struct aegis_books *store, struct aegis_error *error)
{
    char mark[128];
    sqlite3_snprintf((int)sizeof mark, mark, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
                     AEGIS_STORE_APPLICATION, AEGIS_STORE_SCHEMA);
    if (aegis_store_script(store, "BEGIN IMMEDIATE;", error) &&
        aegis_store_script(store, entry_schema, error) && aegis_store_create_books(store, error) &&
        aegis_store_script(store, mark, error))
        return true;
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

static bool store_number(struct aegis_books *store, const char *text, int64_t *out, struct aegis_error *error)
{
    sqlite3_stmt *statement = aegis_store_bind(store, error, text, "");
    if (statement == NULL || aegis_store_step(store, statement, error) != SQLITE_ROW)
        return false;
    *out = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return true;
}

bool aegis_store_recognise(struct aegis_books *store, bool *empty, struct aegis_error *error)
{
    int64_t application, version, tables;
    if (!store_number(store, "PRAGMA application_id", &application, error) ||
        !store_number(store, "PRAGMA user_version", &version, error) ||
        !store_number(store, "SELECT count(*) FROM sqlite_schema", &tables, error))
        return false;
    *empty = tables == 0 && application == 0 && version == 0;
    if (*empty)
        return true;
    if (application != AEGIS_STORE_APPLICATION)
        return aegis_error_set(error, "%s: is a database, but no ledger of this program", store->path);
    if (version > AEGIS_STORE_SCHEMA)
        return aegis_error_set(error, "%s: was written by a newer version (schema %lld, this one knows %d)",
                               store->path, (long long)version, AEGIS_STORE_SCHEMA);
    if (version != AEGIS_STORE_SCHEMA)
        return aegis_error_set(error, "%s: has schema %lld, expected %d", store->path, (long long)version,
                               AEGIS_STORE_SCHEMA);
    return true;
}

sqlite3_stmt *aegis_store_statement(struct aegis_books *store, const char *text, struct aegis_error *error)
{
    for (size_t i = 0; i < store->cached; i++)
        if (store->cache[i].text == text)
            return store->cache[i].statement;
    AEGIS_ASSERT(store->cached < AEGIS_STORE_STATEMENTS);
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v3(store->db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK) {
        aegis_store_fault(store, error);
        return NULL;
    }
    store->cache[store->cached].text = text;
    store->cache[store->cached++].statement = statement;
    return statement;
}

static int bind_amount(sqlite3_stmt *statement, int at, aegis_amount amount)
{
    char text[AEGIS_AMOUNT_TEXT];
    return sqlite3_bind_text(statement, at, aegis_amount_format(amount, text), -1, SQLITE_TRANSIENT);
}

sqlite3_stmt *aegis_store_bind(struct aegis_books *store, struct aegis_error *error, const char *text,
                               const char *types, ...)
{
    sqlite3_stmt *statement = aegis_store_statement(store, text, error);
    if (statement == NULL)
        return NULL;
    va_list arguments;
    va_start(arguments, types);
    int code = SQLITE_OK;
    for (int i = 1; types[i - 1] != '\0' && code == SQLITE_OK; i++) {
        const char *string;
        switch (types[i - 1]) {
        case 'i':
            code = sqlite3_bind_int64(statement, i, va_arg(arguments, int64_t));
            break;
        case 't':
            string = va_arg(arguments, const char *);
            code = sqlite3_bind_text(statement, i, string == NULL ? "" : string, -1, SQLITE_STATIC);
            break;
        case 'T':
            string = va_arg(arguments, const char *);
            code = sqlite3_bind_text64(statement, i, string, va_arg(arguments, size_t), SQLITE_STATIC,
                                       SQLITE_UTF8);
            break;
        case 'h':
            code = sqlite3_bind_blob(statement, i, va_arg(arguments, const uint8_t *), AEGIS_HASH_SIZE,
                                     SQLITE_STATIC);
            break;
        case 'a':
            code = bind_amount(statement, i, va_arg(arguments, aegis_amount));
            break;
        default:
            aegis_panic("no such parameter type: %c", types[i - 1]);
        }
    }
    va_end(arguments);
    if (code == SQLITE_OK)
        return statement;
    aegis_store_fault(store, error);
    return NULL;
}

int aegis_store_step(struct aegis_books *store, sqlite3_stmt *statement, struct aegis_error *error)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return code;
    if (code != SQLITE_DONE)
        aegis_store_fault(store, error);
    sqlite3_reset(statement);
    return code;
}

bool aegis_store_finish(struct aegis_books *store, sqlite3_stmt *statement, struct aegis_error *error)
{
    if (statement == NULL)
        return false;
    int code;
    while ((code = aegis_store_step(store, statement, error)) == SQLITE_ROW)
        ;
    return code == SQLITE_DONE;
}

const char *aegis_store_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text == NULL ? "" : text;
}

bool aegis_store_amount(struct aegis_books *store, sqlite3_stmt *statement, int column, aegis_amount *out,
                        struct aegis_error *error)
{
    if (aegis_amount_parse(aegis_store_text(statement, column), out))
        return true;
    return aegis_error_set(error, "%s: \"%s\" stands where an amount should", store->path,
                           aegis_store_text(statement, column));
}

bool aegis_store_entry(sqlite3_stmt *statement, struct aegis_entry *out, struct aegis_error *error)
{
    out->seq = sqlite3_column_int64(statement, 0);
    out->at = sqlite3_column_int64(statement, 1);
    out->kind = aegis_store_text(statement, 2);
    out->agent = aegis_store_text(statement, 3);
    out->payment = aegis_store_text(statement, 4);
    out->body = aegis_store_text(statement, 5);
    out->body_length = (size_t)sqlite3_column_bytes(statement, 5);
    uint8_t *hashes[] = {out->prev, out->hash};
    for (int i = 0; i < 2; i++) {
        const void *blob = sqlite3_column_blob(statement, 6 + i);
        if (sqlite3_column_bytes(statement, 6 + i) != AEGIS_HASH_SIZE)
            return aegis_error_set(error, "entry %lld: `%s` is not %d bytes", (long long)out->seq,
                                   i == 0 ? "prev" : "hash", AEGIS_HASH_SIZE);
        memcpy(hashes[i], blob, AEGIS_HASH_SIZE);
    }
    return true;
}
