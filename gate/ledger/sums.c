/* What was spent: from the rollup by days, from single payments, and the slow way that the fast ones are
 * tested with. */
#include <stdlib.h>
#include <string.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/ledger/books.h"
#include "gate/ledger/store.h"

#define DAY_MS 86400000

bool aegis_books_pattern(const char *pattern, const char *text)
{
    size_t length = strlen(pattern);
    if (length > 0 && pattern[length - 1] == '*')
        return strncmp(pattern, text, length - 1) == 0;
    return strcmp(pattern, text) == 0;
}

static bool scope_takes(const struct aegis_books_scope *scope, const char *network, const char *token)
{
    return (scope->network == NULL || aegis_books_pattern(scope->network, network)) &&
           (scope->token == NULL || strcmp(scope->token, "*") == 0 || strcmp(scope->token, token) == 0);
}

/* Texts of one question for each choice of agent (1), host (2) and payee (4): constants, so that they are
 * prepared once. */
#define CHOICES(select, payee)                                                                               \
    {                                                                                                        \
        select, select " AND agent = ?1", select " AND host = ?2", select " AND agent = ?1 AND host = ?2",   \
            select " AND " payee " = ?3", select " AND agent = ?1 AND " payee " = ?3",                       \
            select " AND host = ?2 AND " payee " = ?3",                                                      \
            select " AND agent = ?1 AND host = ?2 AND " payee " = ?3"                                        \
    }

static sqlite3_stmt *ask_scope(struct aegis_books *books, const char *const choices[8],
                               const struct aegis_books_scope *scope, int64_t from, struct aegis_error *error)
{
    unsigned choice =
        (scope->agent != NULL ? 1 : 0) | (scope->host != NULL ? 2 : 0) | (scope->payee != NULL ? 4 : 0);
    return aegis_store_bind(books, error, choices[choice], "ttti", scope->agent, scope->host, scope->payee,
                            from);
}

static bool add_to(struct aegis_books *books, aegis_amount *sum, aegis_amount amount,
                   struct aegis_error *error)
{
    if (aegis_amount_add(*sum, amount, sum))
        return true;
    return aegis_error_set(error, "%s: a sum is larger than 128 bits", books->path);
}

static bool add_rollup(struct aegis_books *books, sqlite3_stmt *row, struct aegis_books_sum *out,
                       struct aegis_error *error)
{
    aegis_amount settled, exposed;
    if (!aegis_store_amount(books, row, 2, &settled, error) ||
        !aegis_store_amount(books, row, 3, &exposed, error) ||
        !add_to(books, &out->settled, settled, error) || !add_to(books, &out->exposed, exposed, error))
        return false;
    out->payments += (uint64_t)sqlite3_column_int64(row, 4);
    out->settlements += (uint64_t)sqlite3_column_int64(row, 5);
    return true;
}

bool aegis_books_rollup(struct aegis_books *books, const struct aegis_books_scope *scope, int64_t first_day,
                        struct aegis_books_sum *out, struct aegis_error *error)
{
    static const char *const choices[8] =
        CHOICES("SELECT network, token, settled, exposed, payments, settlements FROM rollup WHERE day >= ?4",
                "payee");
    memset(out, 0, sizeof *out);
    sqlite3_stmt *rows = ask_scope(books, choices, scope, first_day, error);
    if (rows == NULL)
        return false;
    int code;
    while ((code = aegis_store_step(books, rows, error)) == SQLITE_ROW) {
        if (scope_takes(scope, aegis_store_text(rows, 0), aegis_store_text(rows, 1)) &&
            !add_rollup(books, rows, out, error)) {
            sqlite3_reset(rows);
            return false;
        }
    }
    return code == SQLITE_DONE;
}

bool aegis_books_since(struct aegis_books *books, const struct aegis_books_scope *scope, int64_t from,
                       void (*row)(int64_t at, aegis_amount scaled, bool settled, void *context),
                       void *context, struct aegis_error *error)
{
    static const char *const choices[8] =
        CHOICES("SELECT network, token, at, scaled, state FROM payment WHERE at >= ?4", "pay_to");
    /* Ordered here and not in the question, which would make the planner choose by the order instead of the
     * range. */
    sqlite3_stmt *rows = ask_scope(books, choices, scope, from, error);
    if (rows == NULL)
        return false;
    int code;
    bool ok = true;
    while (ok && (code = aegis_store_step(books, rows, error)) == SQLITE_ROW) {
        enum aegis_payment_state state;
        aegis_amount scaled;
        if (!scope_takes(scope, aegis_store_text(rows, 0), aegis_store_text(rows, 1)))
            continue;
        ok = aegis_payment_state_parse(aegis_store_text(rows, 4), &state) &&
             aegis_store_amount(books, rows, 3, &scaled, error);
        if (ok && aegis_payment_state_counts(state))
            row(sqlite3_column_int64(rows, 2), scaled, state == AEGIS_PAYMENT_SETTLED, context);
    }
    sqlite3_reset(rows);
    return ok && code == SQLITE_DONE;
}

/* The slow reference */

struct spending {
    struct aegis_books_sum *sum;
    int64_t oldest;
    bool overflow;
};

static void spend(int64_t at, aegis_amount scaled, bool settled, void *context)
{
    struct spending *spending = context;
    aegis_amount *sum = settled ? &spending->sum->settled : &spending->sum->exposed;
    if (!aegis_amount_add(*sum, scaled, sum))
        spending->overflow = true;
    spending->sum->payments++;
    spending->sum->settlements += settled;
    if (spending->oldest == 0 || at < spending->oldest)
        spending->oldest = at;
}

static bool window_start(const char *window, int64_t now, int64_t *start, int64_t *end)
{
    static const char *const names[] = {"hour", "day", "week", "month", "total"};
    for (int i = 0; i < 5; i++) {
        if (strcmp(window, names[i]) == 0) {
            aegis_window_bounds((enum aegis_window)i, now, start, end);
            return true;
        }
    }
    if (strncmp(window, "rolling:", 8) != 0)
        return false;
    char *rest;
    long long seconds = strtoll(window + 8, &rest, 10);
    if (*rest != '\0' || seconds < 1 || seconds > 31 * 86400LL)
        return false;
    *start = now - seconds * 1000 + 1;
    *end = 0;
    return true;
}

bool aegis_books_spent(struct aegis_books *books, const struct aegis_books_scope *scope, const char *window,
                       int64_t now, struct aegis_books_sum *out, int64_t *resets_at,
                       struct aegis_error *error)
{
    int64_t start, end;
    memset(out, 0, sizeof *out);
    if (!window_start(window, now, &start, &end))
        return aegis_error_set(
            error, "\"%s\" is no window: expected hour, day, week, month, total or rolling:SECONDS", window);
    struct spending spending = {.sum = out};
    if (!aegis_books_since(books, scope, start, spend, &spending, error))
        return false;
    if (spending.overflow)
        return aegis_error_set(error, "%s: a sum is larger than 128 bits", books->path);
    if (end == 0)
        end = spending.oldest == 0 ? 0 : spending.oldest + (now - start + 1);
    *resets_at = end == INT64_MAX ? 0 : end;
    return true;
}
