#include "contrib/sandbox/book.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/hash.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

struct sandbox_book {
    sqlite3 *database;
    aegis_amount grant;
};

/* Amounts are texts: SQLite's integers end at 63 bits. */
static const char schema[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
    "CREATE TABLE IF NOT EXISTS balance (network TEXT, asset TEXT, address TEXT, amount TEXT NOT NULL,"
    " PRIMARY KEY (network, asset, address)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS settlement (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, network TEXT NOT "
    "NULL,"
    " asset TEXT NOT NULL, payer TEXT NOT NULL, payee TEXT NOT NULL, amount TEXT NOT NULL, nonce TEXT NOT "
    "NULL,"
    " valid_before INTEGER NOT NULL, hash TEXT NOT NULL, UNIQUE (payer, nonce));"
    "CREATE TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY, payment TEXT NOT NULL);";

static sqlite3_stmt *prepare(struct sandbox_book *book, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(book->database, sql, -1, &statement, NULL) != SQLITE_OK)
        aegis_panic("sandbox: %s in \"%s\"", sqlite3_errmsg(book->database), sql);
    return statement;
}

static void bind_text(sqlite3_stmt *statement, int column, const char *text)
{
    sqlite3_bind_text(statement, column, text, -1, SQLITE_TRANSIENT);
}

static bool run(struct sandbox_book *book, const char *sql)
{
    return sqlite3_exec(book->database, sql, NULL, NULL, NULL) == SQLITE_OK;
}

struct sandbox_book *sandbox_book_open(const char *path, aegis_amount grant, struct aegis_error *error)
{
    struct sandbox_book *book = aegis_alloc(sizeof *book);
    book->grant = grant;
    if (sqlite3_open(path, &book->database) != SQLITE_OK || !run(book, schema)) {
        aegis_error_set(error, "%s: %s", path, sqlite3_errmsg(book->database));
        sandbox_book_close(&book);
        return NULL;
    }
    sqlite3_busy_timeout(book->database, 5000);
    return book;
}

void sandbox_book_close(struct sandbox_book **book)
{
    if (*book == NULL)
        return;
    sqlite3_close((*book)->database);
    free(*book);
    *book = NULL;
}

static void nonce_text(const struct aegis_authorization *authorization, char out[67])
{
    memcpy(out, "0x", 2);
    aegis_hex_encode(authorization->nonce, sizeof authorization->nonce, out + 2);
}

bool sandbox_book_used(struct sandbox_book *book, const struct aegis_authorization *authorization)
{
    char payer[AEGIS_ADDRESS_TEXT];
    char nonce[67];
    nonce_text(authorization, nonce);
    sqlite3_stmt *statement = prepare(book, "SELECT 1 FROM settlement WHERE payer = ? AND nonce = ?");
    bind_text(statement, 1, aegis_address_format(&authorization->from, payer));
    bind_text(statement, 2, nonce);
    bool used = sqlite3_step(statement) == SQLITE_ROW;
    sqlite3_finalize(statement);
    return used;
}

static void bind_account(sqlite3_stmt *statement, int column, const struct aegis_asset *asset,
                         const struct aegis_address *owner)
{
    char text[AEGIS_ADDRESS_TEXT];
    bind_text(statement, column, asset->network);
    bind_text(statement, column + 1, aegis_address_format(&asset->address, text));
    bind_text(statement, column + 2, aegis_address_format(owner, text));
}

static aegis_amount read_balance(struct sandbox_book *book, const struct aegis_asset *asset,
                                 const struct aegis_address *owner, aegis_amount otherwise)
{
    sqlite3_stmt *statement =
        prepare(book, "SELECT amount FROM balance WHERE network = ? AND asset = ? AND address = ?");
    bind_account(statement, 1, asset, owner);
    aegis_amount amount = otherwise;
    if (sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        AEGIS_ASSERT(aegis_amount_parse(text, &amount));
    }
    sqlite3_finalize(statement);
    return amount;
}

aegis_amount sandbox_book_balance(struct sandbox_book *book, const struct aegis_asset *asset,
                                  const struct aegis_address *owner)
{
    return read_balance(book, asset, owner, book->grant);
}

static bool set_balance(struct sandbox_book *book, const struct aegis_asset *asset,
                        const struct aegis_address *owner, aegis_amount amount)
{
    char text[AEGIS_AMOUNT_TEXT];
    sqlite3_stmt *statement = prepare(book, "INSERT OR REPLACE INTO balance VALUES (?, ?, ?, ?)");
    bind_account(statement, 1, asset, owner);
    bind_text(statement, 4, aegis_amount_format(amount, text));
    bool done = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_finalize(statement);
    return done;
}

static bool write_settlement(struct sandbox_book *book, const struct aegis_asset *asset,
                             const struct aegis_authorization *authorization, int64_t now, const char *hash)
{
    char address[AEGIS_ADDRESS_TEXT];
    char amount[AEGIS_AMOUNT_TEXT];
    char nonce[67];
    nonce_text(authorization, nonce);
    sqlite3_stmt *statement = prepare(
        book, "INSERT INTO settlement (network, asset, payer, payee, amount, nonce, hash, at, valid_before)"
              " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    bind_account(statement, 1, asset, &authorization->from);
    bind_text(statement, 4, aegis_address_format(&authorization->to, address));
    bind_text(statement, 5, aegis_amount_format(authorization->value, amount));
    bind_text(statement, 6, nonce);
    bind_text(statement, 7, hash);
    sqlite3_bind_int64(statement, 8, now);
    sqlite3_bind_int64(statement, 9, authorization->valid_before);
    bool done = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_finalize(statement);
    return done;
}

/* No chain gave this a hash, so it gets the hash of what makes it unique. */
static void transaction_hash(const struct aegis_authorization *authorization,
                             char transaction[SANDBOX_TRANSACTION_TEXT])
{
    uint8_t bytes[52];
    uint8_t hash[AEGIS_HASH_SIZE];
    memcpy(bytes, authorization->from.bytes, 20);
    memcpy(bytes + 20, authorization->nonce, 32);
    aegis_keccak256(bytes, sizeof bytes, hash);
    memcpy(transaction, "0x", 2);
    aegis_hex_encode(hash, sizeof hash, transaction + 2);
}

static bool move_balances(struct sandbox_book *book, const struct aegis_asset *asset,
                          const struct aegis_authorization *authorization)
{
    aegis_amount left;
    aegis_amount gained;
    aegis_amount payer = sandbox_book_balance(book, asset, &authorization->from);
    if (!aegis_amount_sub(payer, authorization->value, &left) ||
        !set_balance(book, asset, &authorization->from, left))
        return false;
    aegis_amount payee = read_balance(book, asset, &authorization->to, 0);
    return aegis_amount_add(payee, authorization->value, &gained) &&
           set_balance(book, asset, &authorization->to, gained);
}

enum sandbox_move sandbox_book_move(struct sandbox_book *book, const struct aegis_asset *asset,
                                    const struct aegis_authorization *authorization, int64_t now,
                                    char transaction[SANDBOX_TRANSACTION_TEXT])
{
    if (sandbox_book_used(book, authorization))
        return SANDBOX_NONCE_USED;
    if (sandbox_book_balance(book, asset, &authorization->from) < authorization->value)
        return SANDBOX_TOO_POOR;
    transaction_hash(authorization, transaction);
    if (run(book, "BEGIN IMMEDIATE") && move_balances(book, asset, authorization) &&
        write_settlement(book, asset, authorization, now, transaction) && run(book, "COMMIT"))
        return SANDBOX_MOVED;
    aegis_log(AEGIS_LOG_ERROR, "sandbox: %s", sqlite3_errmsg(book->database));
    run(book, "ROLLBACK");
    return SANDBOX_MOVE_FAILED;
}

bool sandbox_book_keep(struct sandbox_book *book, const json_t *kept)
{
    char *text = aegis_json_compact(kept);
    sqlite3_stmt *statement = prepare(book, "INSERT INTO kept (payment) VALUES (?)");
    bind_text(statement, 1, text);
    bool done = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_finalize(statement);
    free(text);
    return done;
}

json_t *sandbox_book_take_kept(struct sandbox_book *book)
{
    json_t *array = json_array();
    sqlite3_stmt *statement = prepare(book, "SELECT payment FROM kept ORDER BY id");
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        json_array_append_new(array, json_loads(text, 0, NULL));
    }
    sqlite3_finalize(statement);
    run(book, "DELETE FROM kept");
    return array;
}

/* Every row of `sql` as an object with the columns' names. */
static json_t *rows(struct sandbox_book *book, const char *sql)
{
    json_t *array = json_array();
    sqlite3_stmt *statement = prepare(book, sql);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        json_t *row = json_object();
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            json_t *value = sqlite3_column_type(statement, i) == SQLITE_INTEGER
                                ? json_integer(sqlite3_column_int64(statement, i))
                                : json_string((const char *)sqlite3_column_text(statement, i));
            json_object_set_new(row, sqlite3_column_name(statement, i), value);
        }
        json_array_append_new(array, row);
    }
    sqlite3_finalize(statement);
    return array;
}

json_t *sandbox_book_balances(struct sandbox_book *book)
{
    return rows(book, "SELECT network, asset, address, amount FROM balance ORDER BY network, asset, address");
}

json_t *sandbox_book_settlements(struct sandbox_book *book)
{
    return rows(
        book, "SELECT at, network, asset, payer, payee, amount, nonce, valid_before, hash AS \"transaction\""
              " FROM settlement ORDER BY id");
}
