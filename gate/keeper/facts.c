#include "gate/keeper/facts.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/text.h"

/* Cuts `text` at its first `count` slashes; false when there are fewer. The rest stays in the last part. */
static bool split(char *text, char **parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        parts[i] = text;
        if (i + 1 == count)
            break;
        char *slash = strchr(text, '/');
        if (slash == NULL)
            return false;
        *slash = '\0';
        text = slash + 1;
    }
    return true;
}

static json_t *amount_json(aegis_amount amount)
{
    char text[AEGIS_AMOUNT_TEXT];
    return json_string(aegis_amount_format(amount, text));
}

static json_t *answer_spent(const struct aegis_facts *facts, char *rest, struct aegis_error *error)
{
    char *parts[4];
    struct aegis_books_sum sum;
    int64_t resets_at;
    if (!split(rest, parts, 4)) {
        aegis_error_set(error, "expected spent/SCOPE/WINDOW/CHAIN/TOKEN");
        return NULL;
    }
    if (!aegis_counters_spent(facts->counters, facts->books, parts[0], parts[1], parts[2], parts[3],
                              facts->share, facts->number, facts->now, &sum, &resets_at, error))
        return NULL;
    return json_pack("{s:o,s:o,s:I,s:I}", "settled", amount_json(sum.settled), "exposed",
                     amount_json(sum.exposed), "payments", (json_int_t)sum.payments, "resets_at",
                     (json_int_t)resets_at);
}

/* "agent" or "gate". */
static bool whole_gate(const char *scope, bool *gate, struct aegis_error *error)
{
    *gate = strcmp(scope, "gate") == 0;
    if (*gate || strcmp(scope, "agent") == 0)
        return true;
    return aegis_error_set(error, "\"%s\" is no scope here: expected agent or gate", scope);
}

static json_t *answer_last_payment(const struct aegis_facts *facts, char *rest, struct aegis_error *error)
{
    bool gate;
    int64_t at = 0;
    if (!whole_gate(rest, &gate, error) ||
        aegis_books_last_payment(facts->books, gate ? NULL : facts->share->agent, &at, error) ==
            AEGIS_BOOKS_ERROR)
        return NULL;
    return json_pack("{s:I}", "at", (json_int_t)at);
}

static json_t *answer_last_heartbeat(const struct aegis_facts *facts, char *rest, struct aegis_error *error)
{
    struct aegis_agent_row row;
    (void)rest;
    int64_t at = 0;
    enum aegis_books_result result = aegis_books_agent(facts->books, facts->share->agent, &row, error);
    if (result == AEGIS_BOOKS_ERROR)
        return NULL;
    if (result == AEGIS_BOOKS_FOUND) {
        at = row.heartbeat > row.first_seen ? row.heartbeat : row.first_seen;
        aegis_agent_row_clear(&row);
    }
    return json_pack("{s:I}", "at", (json_int_t)at);
}

static json_t *answer_paid_before(const struct aegis_facts *facts, char *rest, struct aegis_error *error)
{
    bool gate;
    struct aegis_books_sum sum;
    int64_t resets_at;
    if (!whole_gate(rest, &gate, error) ||
        !aegis_counters_spent(facts->counters, facts->books, gate ? "payee" : "agent+payee", "total", "*",
                              "*", facts->share, facts->number, facts->now, &sum, &resets_at, error))
        return NULL;
    return json_pack("{s:I}", "times", (json_int_t)sum.settlements);
}

static json_t *answer_last_price(const struct aegis_facts *facts, char *rest, struct aegis_error *error)
{
    (void)rest;
    aegis_amount scaled = 0;
    int64_t at = 0;
    if (aegis_books_last_price(facts->books, facts->share->agent, facts->method, facts->url, &scaled, &at,
                               error) == AEGIS_BOOKS_ERROR)
        return NULL;
    return json_pack("{s:o,s:I}", "scaled", amount_json(scaled), "at", (json_int_t)at);
}

static json_t *answer_state(const struct aegis_facts *facts, char *rest, struct aegis_error *error)
{
    char *parts[2];
    json_t *value = NULL;
    if (!split(rest, parts, 2)) {
        aegis_error_set(error, "expected state/POLICY/KEY");
        return NULL;
    }
    enum aegis_books_result result = aegis_books_state(facts->books, parts[0], parts[1], &value, error);
    if (result == AEGIS_BOOKS_ERROR)
        return NULL;
    return result == AEGIS_BOOKS_FOUND ? value : json_null();
}

static const struct {
    const char *name;
    bool argument; /* a slash and something follow */
    json_t *(*answer)(const struct aegis_facts *, char *rest, struct aegis_error *);
} queries[] = {
    {"spent", true, answer_spent},
    {"last_payment", true, answer_last_payment},
    {"last_heartbeat", false, answer_last_heartbeat},
    {"paid_before", true, answer_paid_before},
    {"last_price", false, answer_last_price},
    {"state", true, answer_state},
};

json_t *aegis_facts_answer(const struct aegis_facts *facts, const char *query, struct aegis_error *error)
{
    size_t length = strcspn(query, "/");
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        if (strlen(queries[i].name) != length || strncmp(queries[i].name, query, length) != 0 ||
            queries[i].argument != (query[length] == '/'))
            continue;
        char *rest = aegis_strdup(queries[i].argument ? query + length + 1 : "");
        json_t *answer = queries[i].answer(facts, rest, error);
        free(rest);
        if (answer == NULL)
            aegis_error_prefix(error, "the fact \"%.100s\"", query);
        return answer;
    }
    aegis_error_set(error, "there is no fact \"%.100s\"", query);
    return NULL;
}
