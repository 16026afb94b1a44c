/* aegis receipts | payment: what was paid for, and what became of it. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/cli/common.h"

/* ---- one payment's entries ---- */

/* Without the signature: people show receipts to others, and until validBefore whoever has it can cash it. It
 * stays in the ledger. */
static bool collect(const struct aegis_entry *entry, void *context)
{
    json_t *value = aegis_entry_json(entry);

    if (value == NULL)
        return true;
    json_object_del(json_object_get(value, "body"), "signature");
    json_array_append_new(context, value);
    return true;
}

/* The body of the last entry of this kind, borrowed; NULL when there is none. */
static json_t *body_of(const json_t *entries, const char *kind)
{
    json_t *body = NULL, *entry;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)entries, i, entry)
    {
        if (strcmp(aegis_json_text(entry, "kind", ""), kind) == 0)
            body = json_object_get(entry, "body");
    }
    return body;
}

/* The row from the books with what the entries add: the decision with its facts, the authorization, the
 * settlement. */
static json_t *receipt(const json_t *row, const json_t *entries)
{
    static const char *const ends[] = {"settled", "expired", "cancelled"};
    json_t *out = json_deep_copy(row), *decision = body_of(entries, "decision"),
           *reserved = body_of(entries, "reserved");

    if (decision != NULL)
        json_object_set(out, "decision", decision);
    if (reserved != NULL)
        json_object_set(out, "authorization", json_object_get(reserved, "authorization"));
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (body_of(entries, ends[i]) != NULL)
            json_object_set(out, "settlement", body_of(entries, ends[i]));
    return out;
}

/* ---- receipts ---- */

static bool take_row(const struct aegis_payment_row *row, void *context)
{
    json_array_append_new(context, aegis_payment_row_json(row));
    return true;
}

static int print_receipts(struct aegis_reader *reader, const struct aegis_cli *cli, const json_t *rows)
{
    json_t *out = json_array(), *row;
    struct aegis_error error;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        json_t *entries = json_array();
        bool read =
            aegis_reader_history(reader, aegis_json_text(row, "payment", ""), collect, entries, &error);
        if (read)
            json_array_append_new(out, receipt(row, entries));
        json_decref(entries);
        if (!read) {
            json_decref(out);
            return aegis_cli_fail(cli, &error);
        }
    }
    return aegis_cli_print_json(out);
}

static int print_table(const json_t *rows)
{
    static const char *const headings[] = {"AT", "AGENT", "VALUE", "TOKEN", "STATE", "HOST", "PAYMENT"};
    struct aegis_cli_table *table = aegis_cli_table_new(7, headings);
    json_t *row;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        const char *cells[] = {aegis_json_text(row, "at", ""),     aegis_json_text(row, "agent", ""),
                               aegis_json_text(row, "value", ""),  aegis_json_text(row, "token", ""),
                               aegis_json_text(row, "state", ""),  aegis_json_text(row, "host", ""),
                               aegis_json_text(row, "payment", "")};
        aegis_cli_table_add(table, cells);
    }
    aegis_cli_table_print(&table, "nothing was paid yet");
    return 0;
}

/* The newest `limit` payments, oldest first. */
static json_t *list_payments(struct aegis_reader *reader, const struct aegis_payment_filter *filter,
                             struct aegis_error *error)
{
    json_t *newest = json_array(), *out = json_array();

    if (!aegis_books_payments(aegis_reader_books(reader), filter, take_row, newest, error)) {
        json_decref(newest);
        json_decref(out);
        return NULL;
    }
    for (size_t i = json_array_size(newest); i > 0; i--)
        json_array_append(out, json_array_get(newest, i - 1));
    json_decref(newest);
    return out;
}

static bool parse_receipts(const struct aegis_cli *cli, int argc, char **argv,
                           struct aegis_payment_filter *filter, const char **agent)
{
    static const struct option options[] = {{"agent", required_argument, NULL, 'a'},
                                            {"since", required_argument, NULL, 's'},
                                            {"limit", required_argument, NULL, 'l'},
                                            {0}};
    char *end;

    optind = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'a') {
            *agent = optarg;
        } else if (option == 'l') {
            filter->limit = (size_t)strtoul(optarg, &end, 10);
            if (*end != '\0' || end == optarg || optarg[0] == '-') {
                fprintf(stderr, "%s: --limit: expected a number of payments, 0 for all\n", cli->program);
                return false;
            }
        } else if (option != 's') {
            return false;
        } else if (!aegis_time_parse(optarg, &filter->from)) {
            fprintf(stderr, "%s: --since: expected a time such as 2026-11-20T00:00:00Z\n", cli->program);
            return false;
        }
    }
    return optind == argc;
}

int aegis_cli_receipts(const struct aegis_cli *cli, int argc, char **argv)
{
    struct aegis_payment_filter filter = {.newest_first = true, .limit = 50};
    const char *name = NULL;
    char *agent = NULL;
    struct aegis_error error;
    struct aegis_reader *reader;
    json_t *rows;
    int status;

    if (!parse_receipts(cli, argc, argv, &filter, &name))
        return aegis_cli_misuse(cli, "receipts");
    if (name != NULL && (agent = aegis_cli_agent(cli, name, &error)) == NULL)
        return aegis_cli_fail(cli, &error);
    filter.agent = agent;
    reader = aegis_cli_open_ledger(cli, &error);
    rows = reader == NULL ? NULL : list_payments(reader, &filter, &error);
    if (rows == NULL)
        status = aegis_cli_fail(cli, &error);
    else
        status = cli->json ? print_receipts(reader, cli, rows) : print_table(rows);
    json_decref(rows);
    aegis_reader_close(&reader);
    free(agent);
    return status;
}

/* ---- payment ---- */

static void print_field(const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    printf("%-13s ", name);
    for (const char *at = value; *at != '\0'; at++)
        putchar((unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at);
    putchar('\n');
}

/* A body on one line, short enough for a terminal. */
static char *brief(const json_t *body, const char *kind)
{
    static const char *const telling[] = {"outcome",   "code",    "detail",      "policy", "limit",
                                          "remaining", "by",      "transaction", "status", "reason",
                                          "block",     "network", "amount"};
    char *out = aegis_strdup("");

    (void)kind;
    for (size_t i = 0; i < sizeof(telling) / sizeof(telling[0]); i++) {
        const json_t *value = json_object_get(body, telling[i]);
        char *before = out;
        if (json_is_string(value) && json_string_length(value) > 0)
            out = aegis_format("%s%s%s %s", before, before[0] == '\0' ? "" : ", ", telling[i],
                               json_string_value(value));
        else if (json_is_integer(value))
            out = aegis_format("%s%s%s %lld", before, before[0] == '\0' ? "" : ", ", telling[i],
                               (long long)json_integer_value(value));
        else
            continue;
        free(before);
    }
    return out;
}

static void print_history(const json_t *entries)
{
    static const char *const headings[] = {"SEQ", "AT", "KIND", "WHAT"};
    struct aegis_cli_table *table = aegis_cli_table_new(4, headings);
    json_t *entry;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)entries, i, entry)
    {
        char at[AEGIS_TIME_TEXT], seq[32];
        const char *kind = aegis_json_text(entry, "kind", "");
        char *what = brief(json_object_get(entry, "body"), kind);
        snprintf(seq, sizeof(seq), "%lld", (long long)aegis_json_integer(entry, "seq", 0));
        aegis_cli_table_add(
            table,
            (const char *[]){seq, aegis_time_format(aegis_json_integer(entry, "at", 0), at), kind, what});
        free(what);
    }
    aegis_cli_table_print(&table, "");
}

static void print_verdicts(const json_t *decision)
{
    static const char *const headings[] = {"POLICY", "VERDICT", "CODE", "REASON"};
    struct aegis_cli_table *table = aegis_cli_table_new(4, headings);
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(decision, "verdicts"), i, row)
    {
        aegis_cli_table_add(
            table, (const char *[]){aegis_json_text(row, "policy", ""), aegis_json_text(row, "verdict", ""),
                                    aegis_json_text(row, "code", ""), aegis_json_text(row, "reason", "")});
    }
    aegis_cli_table_print(&table, "no policy was asked");
}

static void print_payment(const json_t *row, const json_t *entries)
{
    static const char *const fields[] = {"payment", "agent", "state", "at",    "method", "url",
                                         "network", "token", "value", "payer", "pay_to", "transaction"};
    const json_t *decision = body_of(entries, "decision");

    for (size_t i = 0; row != NULL && i < sizeof(fields) / sizeof(fields[0]); i++)
        print_field(fields[i], aegis_json_text(row, fields[i], ""));
    if (row == NULL && decision != NULL) {
        const json_t *subject = json_object_get(decision, "subject");
        print_field("outcome", aegis_json_text(decision, "outcome", ""));
        print_field("agent", aegis_json_text(subject, "agent_name", ""));
        print_field("url", aegis_json_text(subject, "url", ""));
        print_field("pay_to", aegis_json_text(subject, "pay_to", ""));
    }
    putchar('\n');
    print_history(entries);
    if (decision != NULL) {
        putchar('\n');
        print_verdicts(decision);
    }
}

static int show_payment(const struct aegis_cli *cli, struct aegis_reader *reader, const char *id)
{
    struct aegis_payment_row found = {0};
    struct aegis_error error;
    json_t *entries = json_array(), *row = NULL;
    int status = 0;
    enum aegis_books_result result = aegis_books_payment(aegis_reader_books(reader), id, &found, &error);

    if (result == AEGIS_BOOKS_FOUND)
        row = aegis_payment_row_json(&found);
    if (result == AEGIS_BOOKS_ERROR || !aegis_reader_history(reader, id, collect, entries, &error)) {
        status = aegis_cli_fail(cli, &error);
    } else if (json_array_size(entries) == 0) {
        aegis_error_set(&error, "there is no payment or decision %s", id);
        status = aegis_cli_fail(cli, &error);
    } else if (cli->json) {
        json_t *out =
            row == NULL ? json_pack("{s:s,s:O?}", "decision_id", id, "decision", body_of(entries, "decision"))
                        : receipt(row, entries);
        json_object_set(out, "entries", entries);
        aegis_cli_print_json(out);
    } else {
        print_payment(row, entries);
    }
    json_decref(entries);
    json_decref(row);
    aegis_payment_row_clear(&found);
    return status;
}

int aegis_cli_payment(const struct aegis_cli *cli, int argc, char **argv)
{
    struct aegis_error error;
    struct aegis_reader *reader;
    int status;

    if (argc != 2)
        return aegis_cli_misuse(cli, argv[0]);
    reader = aegis_cli_open_ledger(cli, &error);
    if (reader == NULL)
        return aegis_cli_fail(cli, &error);
    status = show_payment(cli, reader, argv[1]);
    aegis_reader_close(&reader);
    return status;
}
