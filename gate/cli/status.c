/* aegis status: whether the gate runs, what its processes do, what its agents spent today. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/amount.h"
#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/cli/agents.h"
#include "gate/cli/common.h"
#include "gate/daemon/lock.h"

/* ---- from the books ---- */

static bool count(const struct aegis_payment_row *row, void *context)
{
    json_t *states = context;
    const char *name = aegis_payment_state_name(row->state);

    json_object_set_new(states, name, json_integer(aegis_json_integer(states, name, 0) + 1));
    return true;
}

/* Only payments whose end is open, or that are of today: the cost must not grow with the ledger. */
static bool count_states(struct aegis_books *books, int64_t now, json_t *out, struct aegis_error *error)
{
    struct aegis_payment_filter today = {0}, open = {0};
    json_t *counts = json_object(), *exposed = json_object();
    int64_t end;
    bool done;

    aegis_window_bounds(AEGIS_WINDOW_DAY, now, &today.from, &end);
    for (int state = 0; state < AEGIS_PAYMENT_STATES; state++)
        if (aegis_payment_state_exposed((enum aegis_payment_state)state))
            open.states |= 1u << state;
    done = aegis_books_payments(books, &today, count, counts, error) &&
           aegis_books_payments(books, &open, count, exposed, error);
    json_object_set_new(out, "payments_today", counts);
    json_object_set_new(out, "open_payments", exposed);
    return done;
}

static bool add_spending(struct aegis_books *books, json_t *agent, int64_t now, struct aegis_error *error)
{
    const struct aegis_books_scope scope = {.agent = aegis_json_text(agent, "id", "")};
    struct aegis_books_sum sum = {0};
    char text[AEGIS_AMOUNT_DECIMAL_TEXT], time[AEGIS_TIME_TEXT];
    int64_t at = 0, resets_at;
    enum aegis_books_result last;

    if (!aegis_books_spent(books, &scope, "day", now, &sum, &resets_at, error))
        return false;
    json_object_set_new(agent, "settled_today",
                        json_string(aegis_amount_format_decimal(sum.settled, AEGIS_AMOUNT_SCALE, text)));
    json_object_set_new(agent, "exposed_today",
                        json_string(aegis_amount_format_decimal(sum.exposed, AEGIS_AMOUNT_SCALE, text)));
    last = aegis_books_last_payment(books, scope.agent, &at, error);
    if (last == AEGIS_BOOKS_FOUND && at > 0)
        json_object_set_new(agent, "last_payment", json_string(aegis_time_format(at, time)));
    return last != AEGIS_BOOKS_ERROR;
}

struct known {
    json_t *agents;
};

/* An agent that has no key any more still has a past. */
static bool add_past_agent(const struct aegis_agent_row *row, void *context)
{
    const struct known *known = context;
    json_t *agent;
    size_t i;

    json_array_foreach(known->agents, i, agent)
    {
        if (strcmp(aegis_json_text(agent, "id", ""), row->id) == 0) {
            json_object_set_new(agent, "address", json_string(row->address));
            json_object_set_new(agent, "revoked", json_boolean(row->revoked != 0));
            return true;
        }
    }
    json_array_append_new(known->agents, json_pack("{s:s,s:s,s:[],s:s,s:b,s:b}", "id", row->id, "name",
                                                   row->name, "policies", "address", row->address, "revoked",
                                                   (int)(row->revoked != 0), "key", 0));
    return true;
}

static bool add_books(const struct aegis_cli *cli, json_t *out, json_t *agents, struct aegis_error *error)
{
    struct aegis_reader *reader = aegis_cli_open_ledger(cli, error);
    struct known known = {agents};
    int64_t seq = 0, now = aegis_clock_now();
    uint8_t hash[AEGIS_HASH_SIZE];
    json_t *agent;
    size_t i;
    bool done;

    if (reader == NULL)
        return true; /* nothing was paid yet */
    done = aegis_reader_head(reader, &seq, hash, error) &&
           count_states(aegis_reader_books(reader), now, out, error) &&
           aegis_books_agents(aegis_reader_books(reader), add_past_agent, &known, error);
    json_array_foreach(agents, i, agent)
    {
        done = done && add_spending(aegis_reader_books(reader), agent, now, error);
    }
    json_object_set_new(out, "ledger_entries", json_integer(seq));
    aegis_reader_close(&reader);
    return done;
}

/* ---- for people ---- */

static void print_processes(const json_t *state)
{
    json_t *process;
    size_t i;

    printf("processes ");
    json_array_foreach(json_object_get(state, "processes"), i, process)
    {
        int64_t index = aegis_json_integer(process, "index", 0),
                restarts = aegis_json_integer(process, "restarts", 0);
        bool worker = strcmp(aegis_json_text(process, "kind", ""), "worker") == 0;

        printf("%s%s", i == 0 ? "" : ", ", aegis_json_text(process, "kind", ""));
        if (worker)
            printf(" %lld", (long long)index);
        if (!aegis_json_boolean(process, "ready", false))
            printf(" NOT READY");
        if (restarts > 0)
            printf(" (restarted %lld times)", (long long)restarts);
    }
    putchar('\n');
}

static void print_counts(const char *what, const json_t *counts)
{
    const char *name;
    json_t *number;
    bool first = true;

    printf("%s", what);
    json_object_foreach((json_t *)(uintptr_t)counts, name, number)
    {
        printf("%s%lld %s", first ? "" : ", ", (long long)json_integer_value(number), name);
        first = false;
    }
    puts(first ? "none" : "");
}

static void print_agents(const json_t *agents)
{
    static const char *const headings[] = {"AGENT", "SETTLED TODAY", "EXPOSED TODAY", "LAST PAYMENT", "ID"};
    struct aegis_cli_table *table = aegis_cli_table_new(5, headings);
    json_t *agent;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)agents, i, agent)
    {
        aegis_cli_table_add(table, (const char *[]){aegis_json_text(agent, "name", ""),
                                                    aegis_json_text(agent, "settled_today", ""),
                                                    aegis_json_text(agent, "exposed_today", ""),
                                                    aegis_json_text(agent, "last_payment", ""),
                                                    aegis_json_text(agent, "id", "")});
    }
    aegis_cli_table_print(&table, "no agents yet: aegis key create makes one");
}

static bool is_up(const json_t *state)
{
    const char *name = aegis_json_text(state, "state", "");

    return strcmp(name, "ready") == 0 || strcmp(name, "reloading") == 0;
}

/* Why nothing is paid though all processes run. */
static void print_stops(const json_t *keeper)
{
    const char *clock = aegis_json_text(keeper, "clock", "steady");

    if (keeper == NULL)
        printf("KEEPER    does not answer\n");
    if (strcmp(clock, "steady") != 0)
        printf("CLOCK     jumped %s: nothing is paid; look at it, then aegis resume\n",
               strcmp(clock, "ahead") == 0 ? "ahead" : "back");
    if (!aegis_json_boolean(keeper, "ledger_open", true) ||
        aegis_json_boolean(keeper, "ledger_failed", false))
        printf("LEDGER    cannot be written: nothing is paid until it can; the log says why\n");
}

static void print_status(const struct aegis_cli *cli, const json_t *out)
{
    const json_t *state = json_object_get(out, "gate"), *quarantined = json_object_get(state, "quarantined");
    const char *problem = aegis_json_text(json_object_get(state, "reload"), "problem", "");

    if (state == NULL) {
        printf("gate      not running in %s\n", cli->home);
    } else {
        printf("gate      %s, process %lld, %s\n", aegis_json_text(state, "state", ""),
               (long long)aegis_json_integer(state, "pid", 0), aegis_json_text(state, "file", ""));
        print_processes(state);
    }
    if (is_up(state))
        print_stops(json_object_get(out, "keeper"));
    for (size_t i = 0; i < json_array_size(quarantined); i++)
        printf("QUARANTINE policy %s took the judge down twice and denies everything; look at it, then aegis "
               "reload\n",
               json_string_value(json_array_get(quarantined, i)));
    if (problem[0] != '\0')
        printf("RELOAD    refused: %s\n", problem);
    printf("ledger    %lld entries\n", (long long)aegis_json_integer(out, "ledger_entries", 0));
    print_counts("today     ", json_object_get(out, "payments_today"));
    print_counts("open      ", json_object_get(out, "open_payments"));
    putchar('\n');
    print_agents(json_object_get(out, "agents"));
}

int aegis_cli_status(const struct aegis_cli *cli, int argc, char **argv)
{
    struct aegis_setup setup;
    struct aegis_error error;
    json_t *state, *keeper, *out;
    bool up;

    if (argc != 1)
        return aegis_cli_misuse(cli, argv[0]);
    state = aegis_lock_read(cli->home);
    up = is_up(state);
    if (!aegis_setup_read_keys(cli, &setup, &error)) {
        json_decref(state);
        return aegis_cli_fail(cli, &error);
    }
    out = json_pack("{s:b,s:s,s:s,s:O}", "running", (int)up, "home", cli->home, "vault", cli->vault, "agents",
                    setup.agents);
    if (state != NULL)
        json_object_set_new(out, "gate", state);
    if (up && (keeper = aegis_cli_ask(cli, "status", json_object(), &error)) != NULL)
        json_object_set_new(out, "keeper", keeper);
    if (!add_books(cli, out, setup.agents, &error)) {
        aegis_setup_clear(&setup);
        json_decref(out);
        return aegis_cli_fail(cli, &error);
    }
    if (cli->json)
        aegis_cli_print_json(json_incref(out));
    else
        print_status(cli, out);
    json_decref(out);
    aegis_setup_clear(&setup);
    return up ? 0 : 1;
}
