#include "gate/ledger/books.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/ledger/store.h"

#define PAYMENT_COLUMNS                                                                                      \
    "seq, id, agent, state, at, changed, method, url, host, network, asset, token, decimals, amount, "       \
    "scaled,"                                                                                                \
    " payer, pay_to, valid_after, valid_before, nonce, request_hash, idempotency_key, x402_version, tx, "    \
    "status"

/* Runs a prepared question for its first row. On FOUND the statement stands on it and the caller resets. */
static enum aegis_books_result ask(struct aegis_books *books, sqlite3_stmt *statement,
                                   struct aegis_error *error)
{
    if (statement == NULL)
        return AEGIS_BOOKS_ERROR;
    int code = aegis_store_step(books, statement, error);
    if (code == SQLITE_ROW)
        return AEGIS_BOOKS_FOUND;
    return code == SQLITE_DONE ? AEGIS_BOOKS_NONE : AEGIS_BOOKS_ERROR;
}

static char *column_copy(sqlite3_stmt *statement, int column)
{
    return aegis_strdup(aegis_store_text(statement, column));
}

void aegis_payment_row_clear(struct aegis_payment_row *row)
{
    char *texts[] = {row->id,      row->agent,        row->method,          row->url,        row->host,
                     row->network, row->asset,        row->token,           row->payer,      row->pay_to,
                     row->nonce,   row->request_hash, row->idempotency_key, row->transaction};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    memset(row, 0, sizeof *row);
}

static bool read_payment(struct aegis_books *books, sqlite3_stmt *from, struct aegis_payment_row *row,
                         struct aegis_error *error)
{
    memset(row, 0, sizeof *row);
    row->seq = sqlite3_column_int64(from, 0);
    row->id = column_copy(from, 1);
    row->agent = column_copy(from, 2);
    bool ok = aegis_payment_state_parse(aegis_store_text(from, 3), &row->state);
    if (!ok)
        aegis_error_set(error, "%s: payment %s has no such state as \"%s\"", books->path, row->id,
                        aegis_store_text(from, 3));
    row->at = sqlite3_column_int64(from, 4);
    row->changed = sqlite3_column_int64(from, 5);
    row->method = column_copy(from, 6);
    row->url = column_copy(from, 7);
    row->host = column_copy(from, 8);
    row->network = column_copy(from, 9);
    row->asset = column_copy(from, 10);
    row->token = column_copy(from, 11);
    row->decimals = (unsigned)sqlite3_column_int64(from, 12);
    ok = ok && aegis_store_amount(books, from, 13, &row->amount, error) &&
         aegis_store_amount(books, from, 14, &row->scaled, error);
    row->payer = column_copy(from, 15);
    row->pay_to = column_copy(from, 16);
    row->valid_after = sqlite3_column_int64(from, 17);
    row->valid_before = sqlite3_column_int64(from, 18);
    row->nonce = column_copy(from, 19);
    row->request_hash = column_copy(from, 20);
    row->idempotency_key = column_copy(from, 21);
    row->x402_version = (int)sqlite3_column_int64(from, 22);
    row->transaction = column_copy(from, 23);
    row->status = (int)sqlite3_column_int64(from, 24);
    if (!ok)
        aegis_payment_row_clear(row);
    return ok;
}

json_t *aegis_payment_row_json(const struct aegis_payment_row *row)
{
    char amount[AEGIS_AMOUNT_TEXT], whole[AEGIS_AMOUNT_DECIMAL_TEXT], at[AEGIS_TIME_TEXT],
        changed[AEGIS_TIME_TEXT];
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:s,s:s,s:s,s:I,s:I,s:s,s:s,s:s,s:"
                     "i,s:s,s:i,s:I}",
                     "payment", row->id, "agent", row->agent, "state", aegis_payment_state_name(row->state),
                     "at", aegis_time_format(row->at, at), "changed",
                     aegis_time_format(row->changed, changed), "method", row->method, "url", row->url, "host",
                     row->host, "network", row->network, "asset", row->asset, "token", row->token, "decimals",
                     (json_int_t)row->decimals, "amount", aegis_amount_format(row->amount, amount), "value",
                     aegis_amount_format_decimal(row->amount, row->decimals, whole), "payer", row->payer,
                     "pay_to", row->pay_to, "valid_after", (json_int_t)row->valid_after, "valid_before",
                     (json_int_t)row->valid_before, "nonce", row->nonce, "request_hash", row->request_hash,
                     "idempotency_key", row->idempotency_key, "x402_version", row->x402_version,
                     "transaction", row->transaction, "status", row->status, "seq", (json_int_t)row->seq);
}

enum aegis_books_result aegis_books_payment(struct aegis_books *books, const char *id,
                                            struct aegis_payment_row *out, struct aegis_error *error)
{
    sqlite3_stmt *row =
        aegis_store_bind(books, error, "SELECT " PAYMENT_COLUMNS " FROM payment WHERE id = ?1", "t", id);
    enum aegis_books_result result = ask(books, row, error);
    if (result != AEGIS_BOOKS_FOUND)
        return result;
    bool ok = read_payment(books, row, out, error);
    sqlite3_reset(row);
    return ok ? AEGIS_BOOKS_FOUND : AEGIS_BOOKS_ERROR;
}

enum aegis_books_result aegis_books_idempotent(struct aegis_books *books, const char *agent, const char *key,
                                               struct aegis_payment_row *out, struct aegis_error *error)
{
    sqlite3_stmt *row =
        aegis_store_bind(books, error,
                         "SELECT " PAYMENT_COLUMNS " FROM payment WHERE id ="
                         " (SELECT payment FROM idempotency i WHERE i.agent = ?1 AND i.key = ?2)",
                         "tt", agent, key);
    enum aegis_books_result result = ask(books, row, error);
    if (result != AEGIS_BOOKS_FOUND)
        return result;
    bool ok = read_payment(books, row, out, error);
    sqlite3_reset(row);
    return ok ? AEGIS_BOOKS_FOUND : AEGIS_BOOKS_ERROR;
}

/* The question for a filter. Only the states' names, numbers and fixed text go in; texts are bound. */
static char *payments_question(const struct aegis_payment_filter *filter)
{
    sqlite3_str *text = sqlite3_str_new(NULL);
    sqlite3_str_appendall(text, "SELECT " PAYMENT_COLUMNS " FROM payment WHERE 1");
    if (filter->agent != NULL)
        sqlite3_str_appendall(text, " AND agent = :agent");
    if (filter->network != NULL)
        sqlite3_str_appendall(text, " AND network = :network");
    if (filter->states != 0) {
        const char *separator = " AND state IN (";
        for (unsigned state = 0; state < AEGIS_PAYMENT_STATES; state++) {
            if ((filter->states & (1u << state)) == 0)
                continue;
            sqlite3_str_appendf(text, "%s'%s'", separator,
                                aegis_payment_state_name((enum aegis_payment_state)state));
            separator = ", ";
        }
        sqlite3_str_appendall(text, ")");
        if ((filter->states & (1u << AEGIS_PAYMENT_SETTLED | 1u << AEGIS_PAYMENT_EXPIRED |
                               1u << AEGIS_PAYMENT_CANCELLED)) == 0)
            sqlite3_str_appendall(text, " AND " AEGIS_STORE_OPEN);
    }
    const struct {
        const char *condition;
        int64_t value;
    } bounds[] = {
        {"at >=", filter->from},
        {"at <", filter->until},
        {"valid_before >=", filter->valid_before},
        {"seq >", filter->after_seq},
        {"seq <", filter->before_seq},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
        if (bounds[i].value != 0)
            sqlite3_str_appendf(text, " AND %s %lld", bounds[i].condition, (long long)bounds[i].value);
    sqlite3_str_appendall(text, filter->newest_first ? " ORDER BY seq DESC" : " ORDER BY seq");
    if (filter->limit != 0)
        sqlite3_str_appendf(text, " LIMIT %lld", (long long)filter->limit);
    return sqlite3_str_finish(text);
}

static void bind_named(sqlite3_stmt *statement, const char *name, const char *value)
{
    int at = sqlite3_bind_parameter_index(statement, name);
    if (at > 0)
        sqlite3_bind_text(statement, at, value, -1, SQLITE_STATIC);
}

bool aegis_books_payments(struct aegis_books *books, const struct aegis_payment_filter *filter,
                          bool (*row)(const struct aegis_payment_row *row, void *context), void *context,
                          struct aegis_error *error)
{
    char *text = payments_question(filter);
    AEGIS_ASSERT(text != NULL);
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(books->db, text, -1, &statement, NULL);
    sqlite3_free(text);
    if (code != SQLITE_OK)
        return aegis_store_fault(books, error);
    bind_named(statement, ":agent", filter->agent);
    bind_named(statement, ":network", filter->network);
    bool ok = true, more = true;
    while (ok && more && (code = aegis_store_step(books, statement, error)) == SQLITE_ROW) {
        struct aegis_payment_row payment;
        ok = read_payment(books, statement, &payment, error);
        if (ok) {
            more = row(&payment, context);
            aegis_payment_row_clear(&payment);
        }
    }
    sqlite3_finalize(statement);
    return ok && (!more || code == SQLITE_DONE);
}

enum aegis_books_result aegis_books_last_payment(struct aegis_books *books, const char *agent, int64_t *at,
                                                 struct aegis_error *error)
{
    sqlite3_stmt *row =
        agent == NULL ? aegis_store_bind(books, error, "SELECT at FROM payment ORDER BY at DESC LIMIT 1", "")
                      : aegis_store_bind(books, error,
                                         "SELECT at FROM payment WHERE agent = ?1 ORDER BY at DESC LIMIT 1",
                                         "t", agent);
    enum aegis_books_result result = ask(books, row, error);
    if (result != AEGIS_BOOKS_FOUND)
        return result;
    *at = sqlite3_column_int64(row, 0);
    sqlite3_reset(row);
    return result;
}

enum aegis_books_result aegis_books_last_price(struct aegis_books *books, const char *agent,
                                               const char *method, const char *url, aegis_amount *scaled,
                                               int64_t *at, struct aegis_error *error)
{
    sqlite3_stmt *row = aegis_store_bind(
        books, error, "SELECT scaled, at FROM price WHERE agent = ?1 AND method = ?2 AND url = ?3", "ttt",
        agent, method, url);
    enum aegis_books_result result = ask(books, row, error);
    if (result != AEGIS_BOOKS_FOUND)
        return result;
    if (!aegis_store_amount(books, row, 0, scaled, error))
        result = AEGIS_BOOKS_ERROR;
    *at = sqlite3_column_int64(row, 1);
    sqlite3_reset(row);
    return result;
}

enum aegis_books_result aegis_books_state(struct aegis_books *books, const char *policy, const char *key,
                                          json_t **value, struct aegis_error *error)
{
    sqlite3_stmt *row = aegis_store_bind(
        books, error, "SELECT value FROM plugin_state WHERE policy = ?1 AND key = ?2", "tt", policy, key);
    enum aegis_books_result result = ask(books, row, error);
    if (result != AEGIS_BOOKS_FOUND)
        return result;
    const char *text = aegis_store_text(row, 0);
    *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (*value == NULL) {
        aegis_error_set(error, "%s: the state %s of policy %s is no JSON", books->path, key, policy);
        result = AEGIS_BOOKS_ERROR;
    }
    sqlite3_reset(row);
    return result;
}

static enum aegis_books_result exists(struct aegis_books *books, sqlite3_stmt *row, struct aegis_error *error)
{
    enum aegis_books_result result = ask(books, row, error);
    if (result == AEGIS_BOOKS_FOUND)
        sqlite3_reset(row);
    return result;
}

enum aegis_books_result aegis_books_once(struct aegis_books *books, const char *policy, const char *text,
                                         struct aegis_error *error)
{
    return exists(books,
                  aegis_store_bind(books, error, "SELECT 1 FROM once WHERE policy = ?1 AND text = ?2", "tt",
                                   policy, text),
                  error);
}

enum aegis_books_result aegis_books_policy(struct aegis_books *books, const char *id, const char *hash,
                                           struct aegis_error *error)
{
    return exists(
        books,
        aegis_store_bind(books, error, "SELECT 1 FROM policy WHERE id = ?1 AND hash = ?2", "tt", id, hash),
        error);
}

#define AGENT_COLUMNS "id, name, wallet, address, policies, first_seen, heartbeat, revoked"

void aegis_agent_row_clear(struct aegis_agent_row *row)
{
    free(row->id);
    free(row->name);
    free(row->wallet);
    free(row->address);
    free(row->policies);
    memset(row, 0, sizeof *row);
}

static void read_agent(sqlite3_stmt *from, struct aegis_agent_row *row)
{
    row->id = column_copy(from, 0);
    row->name = column_copy(from, 1);
    row->wallet = column_copy(from, 2);
    row->address = column_copy(from, 3);
    row->policies = column_copy(from, 4);
    row->first_seen = sqlite3_column_int64(from, 5);
    row->heartbeat = sqlite3_column_int64(from, 6);
    row->revoked = sqlite3_column_int64(from, 7);
}

enum aegis_books_result aegis_books_agent(struct aegis_books *books, const char *id,
                                          struct aegis_agent_row *out, struct aegis_error *error)
{
    sqlite3_stmt *row =
        aegis_store_bind(books, error, "SELECT " AGENT_COLUMNS " FROM agent WHERE id = ?1", "t", id);
    enum aegis_books_result result = ask(books, row, error);
    if (result != AEGIS_BOOKS_FOUND)
        return result;
    read_agent(row, out);
    sqlite3_reset(row);
    return result;
}

bool aegis_books_agents(struct aegis_books *books,
                        bool (*row)(const struct aegis_agent_row *row, void *context), void *context,
                        struct aegis_error *error)
{
    sqlite3_stmt *rows =
        aegis_store_bind(books, error, "SELECT " AGENT_COLUMNS " FROM agent ORDER BY first_seen, id", "");
    if (rows == NULL)
        return false;
    int code;
    while ((code = aegis_store_step(books, rows, error)) == SQLITE_ROW) {
        struct aegis_agent_row agent;
        read_agent(rows, &agent);
        bool more = row(&agent, context);
        aegis_agent_row_clear(&agent);
        if (!more) {
            sqlite3_reset(rows);
            return true;
        }
    }
    return code == SQLITE_DONE;
}
