/* aegis policy list | check | explain: which policies there are, whether a document is right, why a payment
 * was or would be allowed or denied. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate/base/confine.h"
#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/cli/agents.h"
#include "gate/cli/common.h"
#include "gate/daemon/config.h"
#include "gate/daemon/sections.h"
#include "gate/judge/policies.h"

enum { DOCUMENT_LIMIT = 1 << 20, PAYMENT_LIMIT = 1 << 16, CELL = 256, OPEN_SECONDS = 10, CAME_BACK = 86 };

/* ---- list ---- */

/* Who is asked about by policy `id`: the names of agents. */
static void attached_to(const struct aegis_setup *setup, const char *id, char out[CELL])
{
    json_t *agent, *policy;
    size_t i, j;

    out[0] = '\0';
    json_array_foreach(setup->agents, i, agent)
    {
        json_array_foreach(json_object_get(agent, "policies"), j, policy)
        {
            size_t used = strlen(out);
            if (json_is_string(policy) && strcmp(json_string_value(policy), id) == 0)
                snprintf(out + used, CELL - used, "%s%s", used == 0 ? "" : ", ",
                         aegis_json_text(agent, "name", "?"));
        }
    }
}

static void list_table(const struct aegis_setup *setup, const json_t *rows)
{
    static const char *const headings[] = {"POLICY", "PLUGIN", "AGENTS", "FILE"};
    struct aegis_cli_table *table = aegis_cli_table_new(4, headings);
    json_t *row;
    size_t index;

    json_array_foreach((json_t *)(uintptr_t)rows, index, row)
    {
        const char *cells[] = {aegis_json_text(row, "id", ""), aegis_json_text(row, "plugin", "-"),
                               aegis_json_text(row, "agents", ""), aegis_json_text(row, "path", "")};
        aegis_cli_table_add(table, cells);
    }
    aegis_cli_table_print(&table, "There are no policies.");
    json_array_foreach(setup->documents.broken, index, row)
    {
        printf("broken: %s\n", aegis_json_text(row, "problem", ""));
    }
}

static json_t *list_rows(const struct aegis_setup *setup)
{
    json_t *rows = json_array(), *entry;
    size_t index;

    json_array_foreach(setup->documents.good, index, entry)
    {
        struct aegis_error error;
        char agents[CELL];
        const char *path = aegis_json_text(entry, "path", "");
        struct aegis_document *document =
            aegis_document_new(path, json_object_get(entry, "document"), &error);
        if (document == NULL)
            continue;
        attached_to(setup, document->id, agents);
        json_t *row =
            json_pack("{s:s,s:s,s:s,s:I,s:s,s:s}", "id", document->id, "path", path, "name", document->name,
                      "version", (json_int_t)document->version, "hash", document->hash, "agents", agents);
        if (document->plugin != NULL)
            json_object_set_new(row, "plugin", json_string(document->plugin));
        if (document->executable != NULL)
            json_object_set_new(row, "executable", json_string(document->executable));
        json_array_append_new(rows, row);
        aegis_document_free(&document);
    }
    return rows;
}

static int list(const struct aegis_cli *cli)
{
    struct aegis_setup setup;
    struct aegis_error error;

    if (!aegis_setup_read(cli, &setup, &error))
        return aegis_cli_fail(cli, &error);
    json_t *rows = list_rows(&setup);
    int status = json_array_size(setup.documents.broken) == 0 ? 0 : 1;
    if (cli->json)
        aegis_cli_print_json(json_pack("{s:O,s:O}", "policies", rows, "broken", setup.documents.broken));
    else
        list_table(&setup, rows);
    json_decref(rows);
    aegis_setup_clear(&setup);
    return status;
}

/* ---- check ---- */

/* [{path, document}] of one file; NULL with the reason. */
static json_t *read_document(const char *path, struct aegis_error *error)
{
    size_t size;
    char *text = aegis_file_read(path, DOCUMENT_LIMIT, AEGIS_FILE_ANY, &size, error);
    json_t *json = text == NULL ? NULL : aegis_json_parse(text, size, error);

    if (text != NULL && json == NULL)
        aegis_error_prefix(error, "%s", path);
    free(text);
    return json == NULL ? NULL : json_pack("[{s:s,s:o}]", "path", path, "document", json);
}

static void print_good(const struct aegis_cli *cli, const struct aegis_installed *installed)
{
    const struct aegis_document *document = installed->document;

    if (cli->json)
        return;
    printf("%s: good: policy %s", document->path, document->id);
    if (installed->plugin != NULL)
        printf(", plugin %s %s", installed->plugin->name, installed->plugin->version);
    if (document->executable != NULL)
        printf(", executable %s", document->executable);
    else if (document->plugin != NULL)
        printf(". It names no executable: stock OWS would allow everything; name aegis-policy");
    putchar('\n');
}

/* A plugin's `open` runs in this command; it gets no more than in the judge, but for files, which loading
 * needs. */
static bool confine(struct aegis_error *error)
{
    return aegis_confine(AEGIS_CONFINE_NETWORK | AEGIS_CONFINE_EXEC | AEGIS_CONFINE_DEBUG, error);
}

/* Whether opening the plugin of the document in `path` comes back, tried in a child that may die or hang of
 * it. */
static bool survives(struct aegis_plugins *plugins, const char *path)
{
    struct aegis_error ignored;
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        json_t *documents = NULL;
        alarm(OPEN_SECONDS);
        if (confine(&ignored) && (documents = read_document(path, &ignored)) != NULL)
            aegis_policies_new(documents, NULL, plugins, NULL, &ignored);
        _exit(CAME_BACK);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == CAME_BACK;
}

/* One document with its plugin. Adds {path, error?} to `results`. */
static bool check_document(const struct aegis_cli *cli, struct aegis_plugins *plugins, const char *path,
                           bool survived, json_t *results)
{
    struct aegis_error error = {""};
    json_t *documents = survived ? read_document(path, &error) : NULL;
    struct aegis_policies *policies =
        documents == NULL ? NULL : aegis_policies_new(documents, NULL, plugins, NULL, &error);
    if (!survived)
        aegis_error_set(&error, "%s: plugin: it hung or died when it was opened", path);
    bool good = policies != NULL && aegis_policies_strict(policies, &error);
    json_t *result = json_pack("{s:s,s:b}", "path", path, "good", good);

    if (good) {
        print_good(cli, aegis_policies_at(policies, 0));
    } else {
        json_object_set_new(result, "error", json_string(error.text));
        fprintf(stderr, "%s: %s\n", cli->program, error.text);
    }
    json_array_append_new(results, result);
    aegis_policies_free(&policies);
    json_decref(documents);
    return good;
}

static int check(const struct aegis_cli *cli, int argc, char **argv)
{
    static const struct option options[] = {{"plugin-path", required_argument, NULL, 'p'}, {0}};
    struct aegis_error error;
    json_t *folders = json_array(), *results = json_array();
    bool good = true;

    optind = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'p')
            json_array_append_new(folders, json_string(optarg));
        else
            good = false;
    }
    if (!good || optind == argc) {
        json_decref(folders);
        json_decref(results);
        return aegis_cli_misuse(cli, "policy");
    }
    struct aegis_plugins *plugins = aegis_cli_plugins(cli, folders);
    bool *survived = aegis_alloc((size_t)argc * sizeof(*survived));
    for (int i = optind; i < argc; i++) /* first: what is confined starts no process */
        survived[i] = survives(plugins, argv[i]);
    if (!confine(&error)) {
        good = aegis_cli_fail(cli, &error) == 0;
        optind = argc;
    }
    for (int i = optind; i < argc; i++)
        good = check_document(cli, plugins, argv[i], survived[i], results) && good;
    free(survived);
    if (cli->json)
        aegis_cli_print_json(json_incref(results));
    aegis_plugins_free(&plugins);
    json_decref(folders);
    json_decref(results);
    return good ? 0 : 1;
}

/* ---- explain ---- */

static const char *outcome_text(const json_t *decision)
{
    static const char *const words[][2] = {
        {"allow", "allowed"}, {"deny", "denied"}, {"hold", "held: a person must approve"}};
    const char *verdict = aegis_json_text(decision, "verdict", "error");

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(verdict, words[i][0]) == 0)
            return words[i][1];
    return "denied, for a policy or the gate failed";
}

/* What a stranger wrote may stand in it: nothing in it may act on the terminal. */
static void print_line(const char *indent, const char *name, const char *text)
{
    printf("%s%s%s", indent, name, *name == '\0' ? "" : ": ");
    for (; *text != '\0'; text++)
        putchar((unsigned char)*text < ' ' || *text == 127 ? '?' : *text);
    putchar('\n');
}

static void print_fact(const char *query, const json_t *value)
{
    char *text =
        value == NULL ? aegis_strdup("(not recorded)") : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    print_line("      ", query, text == NULL ? "?" : text);
    free(text);
}

static void print_row(const json_t *row, const json_t *facts)
{
    static const char *const members[] = {"code", "reason", "limit", "remaining"};
    const char *executable;
    json_t *query, *answer;
    size_t index;

    printf("  %s: %s\n", aegis_json_text(row, "policy", "?"), aegis_json_text(row, "verdict", "?"));
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const char *text = aegis_json_text(row, members[i], NULL);
        if (text != NULL)
            print_line("    ", members[i], text);
    }
    json_array_foreach(json_object_get(row, "facts"), index, query)
    {
        print_fact(json_string_value(query), json_object_get(facts, json_string_value(query)));
    }
    json_object_foreach(json_object_get(row, "run"), executable, answer)
    {
        print_fact(executable, answer);
    }
}

static void print_subject(const json_t *subject)
{
    char line[1024];

    snprintf(line, sizeof(line), "%s asks for %s atomic units of %s on %s, to %s, for %s %s",
             aegis_json_text(subject, "agent_name", aegis_json_text(subject, "agent", "?")),
             aegis_json_text(subject, "amount", "?"), aegis_json_text(subject, "token", "an unknown token"),
             aegis_json_text(subject, "network", "?"), aegis_json_text(subject, "pay_to", "?"),
             aegis_json_text(subject, "method", "?"), aegis_json_text(subject, "url", "?"));
    print_line("", "", line);
}

/* A decision: {verdict, verdicts, facts, subject, code?, detail?}. */
static int print_decision(const struct aegis_cli *cli, json_t *decision)
{
    json_t *row;
    size_t index;

    if (cli->json)
        return aegis_cli_print_json(decision);
    print_subject(json_object_get(decision, "subject"));
    printf("%s", outcome_text(decision));
    if (json_is_string(json_object_get(decision, "code")))
        printf(" (%s)", aegis_json_text(decision, "code", ""));
    putchar('\n');
    json_array_foreach(json_object_get(decision, "verdicts"), index, row)
    {
        print_row(row, json_object_get(decision, "facts"));
    }
    if (json_array_size(json_object_get(decision, "verdicts")) == 0)
        print_line("  ", "no policy was asked", aegis_json_text(decision, "detail", ""));
    json_decref(decision);
    return 0;
}

static bool find_decision(const struct aegis_entry *entry, void *context)
{
    json_t **decision = context;
    struct aegis_error error;

    if (strcmp(entry->kind, "decision") != 0)
        return true;
    *decision = aegis_json_parse(entry->body, entry->body_length, &error);
    return false;
}

static int explain_past(const struct aegis_cli *cli, const char *id)
{
    struct aegis_error error;
    json_t *decision = NULL;
    struct aegis_reader *reader = aegis_cli_open_ledger(cli, &error);

    if (reader == NULL)
        return aegis_cli_fail(cli, &error);
    bool read = aegis_reader_history(reader, id, find_decision, &decision, &error);
    aegis_reader_close(&reader);
    if (decision != NULL)
        return print_decision(cli, decision);
    if (read)
        aegis_error_set(&error, "%s: the ledger has no decision with this id", id);
    return aegis_cli_fail(cli, &error);
}

/* An agent may be named by its name, and a host need not be repeated: what the gate wants to know besides is
 * put in. */
static void payment_complete(const struct aegis_cli *cli, json_t *payment)
{
    struct aegis_error error;
    const char *agent = aegis_json_text(payment, "agent", NULL), *url = aegis_json_text(payment, "url", "");
    char *id = agent == NULL ? NULL : aegis_cli_agent(cli, agent, &error);
    const char *host = strstr(url, "://");

    if (id != NULL)
        json_object_set_new(payment, "agent", json_string(id));
    free(id);
    if (host != NULL && json_object_get(payment, "host") == NULL) {
        size_t length = strcspn(host + 3, "/?#");
        json_object_set_new(payment, "host", json_stringn(host + 3, length));
    }
}

/* The running gate knows the facts; nobody else does. */
static int explain_file(const struct aegis_cli *cli, const char *path)
{
    struct aegis_error error;
    size_t size;
    char *text = aegis_file_read(path, PAYMENT_LIMIT, AEGIS_FILE_ANY, &size, &error);
    json_t *payment = text == NULL ? NULL : aegis_json_parse(text, size, &error);

    if (text != NULL && payment == NULL)
        aegis_error_prefix(&error, "%s", path);
    free(text);
    if (payment == NULL)
        return aegis_cli_fail(cli, &error);
    payment_complete(cli, payment);
    json_t *decision = aegis_cli_ask(cli, "explain", payment, &error);
    if (decision != NULL)
        return print_decision(cli, decision);
    aegis_error_prefix(&error, "%s", path);
    aegis_cli_fail(cli, &error);
    fprintf(stderr,
            "%s: a payment has agent, network, asset, amount, pay_to; and url, method, host if they matter\n",
            cli->program);
    return 1;
}

static bool is_id(const char *text)
{
    return strncmp(text, "pay_", 4) == 0 || strncmp(text, "dec_", 4) == 0;
}

int aegis_cli_policy(const struct aegis_cli *cli, int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "list") == 0 && argc == 2)
        return list(cli);
    if (strcmp(what, "check") == 0)
        return check(cli, argc - 1, argv + 1);
    if (strcmp(what, "explain") == 0 && argc == 3)
        return is_id(argv[2]) ? explain_past(cli, argv[2]) : explain_file(cli, argv[2]);
    return aegis_cli_misuse(cli, "policy");
}
