/* aegis budget: every cap that holds for an agent, what was spent of it, what is left. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/amount.h"
#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/cli/agents.h"
#include "gate/cli/common.h"
#include "gate/daemon/config.h"
#include "gate/daemon/documents.h"
#include "gate/judge/document.h"

/* The caps of a limit (plugins/budget.c) and the windows that they are about. */
static const struct {
    const char *field;
    const char *window; /* NULL: a single payment */
} periods[] = {
    {"payment", NULL},  {"hourly", "hour"},   {"daily", "day"},
    {"weekly", "week"}, {"monthly", "month"}, {"total", "total"},
};

struct wanted {
    const char *agent; /* id or name; NULL: all */
    const char *chain;
    const char *period;
};

struct budget {
    struct wanted wanted;
    struct aegis_books *books; /* NULL: nothing was paid yet */
    json_t *rows;
    int64_t now;
    struct aegis_error *error;
};

/* What was spent under this limit in this window. Scopes that name a host or payee have one sum for each of
 * them; those are left out. */
static bool add_sums(const struct budget *budget, json_t *row, const char *window, aegis_amount cap)
{
    const char *per = aegis_json_text(row, "per", "");
    const struct aegis_books_scope scope = {
        .agent = strcmp(per, "agent") == 0 ? aegis_json_text(row, "agent", "") : NULL,
        .network = aegis_json_text(row, "chain", ""),
        .token = aegis_json_text(row, "token", ""),
    };
    struct aegis_books_sum sum = {0};
    aegis_amount spent, left;
    char text[AEGIS_AMOUNT_DECIMAL_TEXT], time[AEGIS_TIME_TEXT];
    int64_t resets_at = 0;

    if (strcmp(per, "agent") != 0 && strcmp(per, "gate") != 0)
        return true;
    if (budget->books != NULL &&
        !aegis_books_spent(budget->books, &scope, window, budget->now, &sum, &resets_at, budget->error))
        return false;
    if (!aegis_amount_add(sum.settled, sum.exposed, &spent))
        return aegis_error_set(budget->error, "a sum is larger than 128 bits");
    left = spent >= cap ? 0 : cap - spent;
    json_object_set_new(row, "settled",
                        json_string(aegis_amount_format_decimal(sum.settled, AEGIS_AMOUNT_SCALE, text)));
    json_object_set_new(row, "exposed",
                        json_string(aegis_amount_format_decimal(sum.exposed, AEGIS_AMOUNT_SCALE, text)));
    json_object_set_new(row, "remaining",
                        json_string(aegis_amount_format_decimal(left, AEGIS_AMOUNT_SCALE, text)));
    if (resets_at > 0)
        json_object_set_new(row, "resets_at", json_string(aegis_time_format(resets_at, time)));
    return true;
}

static bool add_row(const struct budget *budget, const json_t *agent, const char *policy, const json_t *limit,
                    const char *period, const char *window, const char *amount)
{
    aegis_amount cap;
    json_t *row;

    if (budget->wanted.period != NULL && strcmp(budget->wanted.period, period) != 0)
        return true;
    if (amount == NULL || !aegis_amount_parse_decimal(amount, AEGIS_AMOUNT_SCALE, &cap))
        return aegis_error_set(budget->error, "policy %s: %s: expected whole tokens as a decimal text",
                               policy, period);
    row = json_pack("{s:O,s:O,s:s,s:O,s:O,s:s,s:s,s:s}", "agent", json_object_get(agent, "id"), "agent_name",
                    json_object_get(agent, "name"), "policy", policy, "chain",
                    json_object_get(limit, "chainId"), "token", json_object_get(limit, "token"), "per",
                    aegis_json_text(limit, "per", "agent"), "period", period, "limit", amount);
    if (row == NULL)
        return aegis_error_set(budget->error, "policy %s: expected chainId and token in each limit", policy);
    json_array_append_new(budget->rows, row);
    return window == NULL || add_sums(budget, row, window, cap);
}

static bool add_limit(const struct budget *budget, const json_t *agent, const char *policy,
                      const json_t *limit)
{
    const json_t *rolling = json_object_get(limit, "rolling");

    if (budget->wanted.chain != NULL &&
        !aegis_books_pattern(aegis_json_text(limit, "chainId", ""), budget->wanted.chain))
        return true;
    for (size_t i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {
        const json_t *cap = json_object_get(limit, periods[i].field);
        if (cap != NULL && !add_row(budget, agent, policy, limit, periods[i].field, periods[i].window,
                                    json_string_value(cap)))
            return false;
    }
    for (size_t i = 0; i < json_array_size(rolling); i++) {
        const json_t *entry = json_array_get(rolling, i);
        char *window = aegis_format("rolling:%lld", (long long)aegis_json_integer(entry, "seconds", 0));
        bool done =
            add_row(budget, agent, policy, limit, window, window, aegis_json_text(entry, "amount", NULL));
        free(window);
        if (!done)
            return false;
    }
    return true;
}

/* The budget documents among the policies of an agent. */
static bool add_agent(const struct budget *budget, const json_t *agent,
                      const struct aegis_documents *documents)
{
    json_t *id, *row, *limit;
    size_t i, j, k;

    json_array_foreach(json_object_get(agent, "policies"), i, id)
    {
        json_array_foreach(documents->good, j, row)
        {
            struct aegis_error ignored;
            struct aegis_document *document;
            bool done = true;

            if (strcmp(aegis_json_text(row, "id", ""), json_string_value(id)) != 0)
                continue;
            document = aegis_document_new(aegis_json_text(row, "path", ""), json_object_get(row, "document"),
                                          &ignored);
            if (document != NULL && document->plugin != NULL && strcmp(document->plugin, "budget") == 0) {
                json_array_foreach(json_object_get(document->config, "limits"), k, limit)
                {
                    done = done && add_limit(budget, agent, document->id, limit);
                }
            }
            aegis_document_free(&document);
            if (!done)
                return false;
        }
    }
    return true;
}

static void print_table(const json_t *rows)
{
    static const char *const headings[] = {"AGENT", "POLICY",  "CHAIN",   "TOKEN", "PER",    "PERIOD",
                                           "LIMIT", "SETTLED", "EXPOSED", "LEFT",  "ANEW AT"};
    static const char *const fields[] = {"agent_name", "policy",    "chain",    "token",
                                         "per",        "period",    "limit",    "settled",
                                         "exposed",    "remaining", "resets_at"};
    struct aegis_cli_table *table = aegis_cli_table_new(11, headings);
    json_t *row;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        const char *cells[11];
        for (size_t f = 0; f < 11; f++)
            cells[f] = aegis_json_text(row, fields[f], "");
        aegis_cli_table_add(table, cells);
    }
    aegis_cli_table_print(&table, "no budget policy holds for such an agent");
}

static bool is_wanted(const struct wanted *wanted, const json_t *agent)
{
    return wanted->agent == NULL || strcmp(wanted->agent, aegis_json_text(agent, "id", "")) == 0 ||
           strcmp(wanted->agent, aegis_json_text(agent, "name", "")) == 0;
}

static bool collect(struct budget *budget, const struct aegis_setup *setup)
{
    json_t *agent;
    size_t i, found = 0;

    json_array_foreach(setup->agents, i, agent)
    {
        if (!is_wanted(&budget->wanted, agent))
            continue;
        found++;
        if (!add_agent(budget, agent, &setup->documents))
            return false;
    }
    return found > 0 || budget->wanted.agent == NULL ||
           aegis_error_set(budget->error, "there is no agent %s", budget->wanted.agent);
}

static int show(const struct aegis_cli *cli, const struct wanted *wanted)
{
    struct aegis_error error;
    struct aegis_setup setup;
    struct aegis_reader *reader;
    struct budget budget = {.wanted = *wanted, .now = aegis_clock_now(), .error = &error};
    int status = 0;

    if (!aegis_setup_read(cli, &setup, &error))
        return aegis_cli_fail(cli, &error);
    budget.rows = json_array();
    reader = aegis_cli_open_ledger(cli, &error); /* none yet is fine */
    budget.books = reader == NULL ? NULL : aegis_reader_books(reader);
    if (!collect(&budget, &setup))
        status = aegis_cli_fail(cli, &error);
    else if (cli->json)
        aegis_cli_print_json(json_incref(budget.rows));
    else
        print_table(budget.rows);
    aegis_reader_close(&reader);
    aegis_setup_clear(&setup);
    json_decref(budget.rows);
    return status;
}

static bool is_period(const char *text)
{
    for (size_t i = 0; i < sizeof(periods) / sizeof(periods[0]); i++)
        if (strcmp(text, periods[i].field) == 0)
            return true;
    return strncmp(text, "rolling:", 8) == 0;
}

int aegis_cli_budget(const struct aegis_cli *cli, int argc, char **argv)
{
    static const struct option options[] = {{"agent", required_argument, NULL, 'a'},
                                            {"chain", required_argument, NULL, 'c'},
                                            {"period", required_argument, NULL, 'p'},
                                            {0}};
    struct wanted wanted = {0};

    optind = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'a')
            wanted.agent = optarg;
        else if (option == 'c')
            wanted.chain = optarg;
        else if (option == 'p')
            wanted.period = optarg;
        else
            return aegis_cli_misuse(cli, "budget");
    }
    if (optind != argc || (wanted.period != NULL && !is_period(wanted.period)))
        return aegis_cli_misuse(cli, "budget");
    return show(cli, &wanted);
}
