/* The aegis command: every command runs as a process of its own, on a home of the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "gate/base/clock.h"
#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/cli/cli.h"
#include "gate/cli/common.h"
#include "gate/daemon/config.h"
#include "gate/daemon/lock.h"
#include "gate/judge/evaluate.h"
#include "gate/judge/host.h"
#include "tests/unit/ledger_maker.h"

/* main.c has the command table; commands need only its usage lines. */
int aegis_cli_misuse(const struct aegis_cli *cli, const char *name)
{
    (void)cli;
    (void)name;
    return 2;
}

struct place {
    char *folder;
    struct aegis_cli cli;
    char *home, *vault;
};

static int make_place(void **state)
{
    struct place *place = aegis_alloc(sizeof(*place));

    place->folder = maker_folder();
    place->home = aegis_format("%s/ows/aegis", place->folder);
    place->vault = aegis_format("%s/ows", place->folder);
    place->cli =
        (struct aegis_cli){.home = place->home, .vault = place->vault, .program = "aegis", .json = true};
    *state = place;
    return 0;
}

static int clean_place(void **state)
{
    struct place *place = *state;

    maker_clean(place->folder);
    free(place->home);
    free(place->vault);
    free(place);
    return 0;
}

enum { WORDS = 16 };

/* Runs a command with its words (the first is its name) and returns its status; *said is what it printed, for
 * the caller to free. */
static int run(const struct place *place, aegis_cli_command *command, char **said, ...)
{
    char *path = aegis_format("%s/output", place->folder), *words[WORDS + 1] = {NULL};
    struct aegis_error error;
    va_list list;
    int count = 0, status = -1;
    size_t size;
    pid_t child;

    va_start(list, said);
    for (const char *word; count < WORDS && (word = va_arg(list, const char *)) != NULL;)
        words[count++] = aegis_strdup(word);
    va_end(list);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        if (freopen(path, "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
            _exit(98);
        status = command(&place->cli, count, words);
        fflush(stdout);
        _exit(status);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    *said = aegis_file_read(path, 1 << 24, AEGIS_FILE_ANY, &size, &error);
    while (count > 0)
        free(words[--count]);
    free(path);
    return WEXITSTATUS(status);
}

static json_t *parse(char *text)
{
    struct aegis_error error;
    json_t *value = aegis_json_parse(text, strlen(text), &error);

    if (value == NULL)
        fail_msg("%s: %s", error.text, text);
    free(text);
    return value;
}

static char *in(const struct place *place, const char *name)
{
    return aegis_format("%s/%s", place->folder, name);
}

static void write_text(const char *path, const char *text)
{
    struct aegis_error error;

    if (!aegis_file_write(path, text, strlen(text), 0600, &error))
        fail_msg("%s", error.text);
}

/* ---- init, status, budget ---- */

static json_t *init(const struct place *place)
{
    char *passphrase = in(place, "passphrase"), *said;

    write_text(passphrase, "correct horse\n");
    assert_int_equal(run(place, aegis_cli_init, &said, "init", "--passphrase-file", passphrase, "--listen",
                         "127.0.0.1:9999", "--plugin-path", "/opt/plugins", NULL),
                     0);
    free(passphrase);
    return parse(said);
}

static void init_makes_a_setup_that_the_gate_takes(void **state)
{
    const struct place *place = *state;
    json_t *made = init(place);
    struct aegis_error error;
    struct aegis_config *config = aegis_config_load(aegis_json_text(made, "file", ""), &error);
    const json_t *listener;
    struct stat status;

    if (config == NULL)
        fail_msg("%s", error.text);
    assert_string_equal(aegis_config_home(config), place->home);
    assert_string_equal(aegis_config_vault(config), place->vault);
    listener = json_array_get(aegis_config_get(config, "listeners"), 0);
    assert_string_equal(aegis_json_text(listener, "address", ""), "127.0.0.1:9999");
    assert_int_equal(strlen(aegis_json_text(made, "token", "")), 72);
    assert_int_equal(stat(place->home, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(stat(aegis_json_text(made, "file", ""), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    aegis_config_free(&config);
    json_decref(made);
}

/* Who has a key of his own making is under the caps of the whole gate. */
static void every_key_is_under_the_policies_of_init(void **state)
{
    const struct place *place = *state;
    char *passphrase = in(place, "passphrase"), *config = in(place, "ows/aegis/aegis.yaml"), *said;
    const struct {
        const char *config; /* NULL: as init made it */
        const char *policies;
    } cases[] = {{NULL, "[\"default-budget\",\"default-guard\"]"}, {"workers: 1\n", "[]"}};

    json_decref(init(place));
    for (size_t i = 0; i < 2; i++) {
        if (cases[i].config != NULL)
            write_text(config, cases[i].config);
        assert_int_equal(run(place, aegis_cli_key, &said, "key", "create", "dora", "--wallet", "main",
                             "--passphrase-file", passphrase, NULL),
                         0);
        json_t *made = parse(said);
        char *policies = aegis_json_compact(json_object_get(made, "policies"));
        assert_string_equal(policies, cases[i].policies);
        free(policies);
        json_decref(made);
    }
    free(config);
    free(passphrase);
}

/* A gate that was started with -c reads another file than the one in its home, and the commands do, too. */
static void the_running_gates_configuration_counts(void **state)
{
    const struct place *place = *state;
    char *passphrase = in(place, "passphrase"), *elsewhere = in(place, "elsewhere.yaml"), *said;
    struct aegis_error error;
    json_t *made, *told;

    json_decref(init(place));
    write_text(elsewhere, "policies: [default-guard]\n");
    struct aegis_lock *lock = aegis_lock_take(place->home, &error);
    assert_non_null(lock);
    told = json_pack("{s:i,s:s,s:s}", "pid", (int)getpid(), "state", "starting", "file", elsewhere);
    aegis_lock_say(lock, told);
    json_decref(told);
    assert_int_equal(run(place, aegis_cli_key, &said, "key", "create", "dora", "--wallet", "main",
                         "--passphrase-file", passphrase, NULL),
                     0);
    made = parse(said);
    char *policies = aegis_json_compact(json_object_get(made, "policies"));
    assert_string_equal(policies, "[\"default-guard\"]");
    free(policies);
    json_decref(made);
    aegis_lock_release(&lock);
    free(elsewhere);
    free(passphrase);
}

static void init_does_not_touch_what_is_there(void **state)
{
    const struct place *place = *state;
    char *passphrase = in(place, "passphrase"), *said;

    json_decref(init(place));
    assert_int_equal(run(place, aegis_cli_init, &said, "init", "--passphrase-file", passphrase, NULL), 1);
    free(said);
    free(passphrase);
}

static void init_checks_its_arguments_first(void **state)
{
    const struct place *place = *state;
    struct stat status;
    char *said;

    assert_int_equal(
        run(place, aegis_cli_init, &said, "init", "--generate-passphrase", "--listen", "localhost", NULL), 1);
    assert_int_equal(stat(place->home, &status), -1);
    free(said);
}

static void default_policies_are_cautious_and_safe_for_others(void **state)
{
    const struct place *place = *state;
    char *path = in(place, "ows/policies/default-budget.json"), *text;
    struct aegis_error error;
    json_t *document;
    size_t size;

    json_decref(init(place));
    text = aegis_file_read(path, 1 << 16, AEGIS_FILE_TRUSTED, &size, &error);
    assert_non_null(text);
    document = parse(text);
    assert_string_equal(aegis_json_text(document, "plugin", ""), "budget");
    assert_non_null(strstr(aegis_json_text(document, "executable", ""), "/aegis-policy"));
    json_decref(document);
    free(path);
}

static void budget_states_caps_before_anything_was_paid(void **state)
{
    const struct place *place = *state;
    json_t *rows, *daily;
    char *said;

    json_decref(init(place));
    assert_int_equal(
        run(place, aegis_cli_budget, &said, "budget", "--agent", "agent", "--period", "daily", NULL), 0);
    rows = parse(said);
    assert_int_equal(json_array_size(rows), 1);
    daily = json_array_get(rows, 0);
    assert_string_equal(aegis_json_text(daily, "policy", ""), "default-budget");
    assert_string_equal(aegis_json_text(daily, "limit", ""), "10.00");
    assert_string_equal(aegis_json_text(daily, "remaining", ""), "10");
    json_decref(rows);
    assert_int_equal(run(place, aegis_cli_budget, &said, "budget", "--agent", "nobody", NULL), 1);
    free(said);
    assert_int_equal(run(place, aegis_cli_budget, &said, "budget", "--period", "yearly", NULL), 2);
    free(said);
}

static void status_says_that_no_gate_runs(void **state)
{
    const struct place *place = *state;
    json_t *told;
    char *said;

    json_decref(init(place));
    assert_int_equal(run(place, aegis_cli_status, &said, "status", NULL), 1);
    told = parse(said);
    assert_true(json_is_false(json_object_get(told, "running")));
    assert_int_equal(json_array_size(json_object_get(told, "agents")), 1);
    json_decref(told);
    assert_int_equal(run(place, aegis_cli_reload, &said, "reload", NULL), 1);
    free(said);
    assert_int_equal(run(place, aegis_cli_stop, &said, "stop", NULL), 1);
    free(said);
    assert_int_equal(run(place, aegis_cli_heartbeat, &said, "heartbeat", "agent", NULL), 1);
    free(said);
}

static void init_wants_a_passphrase(void **state)
{
    const struct place *place = *state;
    char *passphrase = in(place, "passphrase"), *said;

    write_text(passphrase, "\n");
    assert_int_equal(run(place, aegis_cli_init, &said, "init", "--passphrase-file", passphrase, NULL), 1);
    free(said);
    free(passphrase);
}

static void status_does_without_a_configuration(void **state)
{
    const struct place *place = *state;
    char *file = aegis_format("%s/aegis.yaml", place->home), *said;
    json_t *told;

    json_decref(init(place));
    write_text(file, "workers: [\n");
    assert_int_equal(run(place, aegis_cli_status, &said, "status", NULL), 1);
    told = parse(said);
    assert_int_equal(json_array_size(json_object_get(told, "agents")), 1);
    json_decref(told);
    assert_int_equal(run(place, aegis_cli_budget, &said, "budget", NULL), 1);
    free(said);
    free(file);
}

/* ---- guard ---- */

static const char dead[] = "0x000000000000000000000000000000000000dEaD";
static const char beef[] = "0x000000000000000000000000000000000000bEEF";

static json_t *guard(const struct place *place, int expected, const char *how, const char *address,
                     const char *more, const char *chain)
{
    char *said;

    assert_int_equal(run(place, aegis_cli_guard, &said, "guard", how, address, more, chain, NULL), expected);
    if (expected == 0)
        return parse(said);
    free(said);
    return NULL;
}

static void assert_guard(json_t *told, const char *expected)
{
    char *text = aegis_json_compact(json_object_get(told, "guard"));

    assert_string_equal(text, expected);
    free(text);
    json_decref(told);
}

static void guard_keeps_lists(void **state)
{
    const struct place *place = *state;

    json_decref(init(place));
    assert_guard(guard(place, 0, "--add", dead, "--block", NULL),
                 "{\"mode\":\"blocklist\",\"addresses\":{},"
                 "\"blockAddresses\":[\"0x000000000000000000000000000000000000dEaD\"]}");
    assert_guard(guard(place, 0, "--add", "0x000000000000000000000000000000000000dead", "--block", NULL),
                 "{\"mode\":\"blocklist\",\"addresses\":{},"
                 "\"blockAddresses\":[\"0x000000000000000000000000000000000000dEaD\"]}");
    assert_guard(guard(place, 0, "--add", beef, "--chain", "eip155:8453"),
                 "{\"mode\":\"allowlist\",\"addresses\":{\"eip155:8453\":["
                 "\"0x000000000000000000000000000000000000bEEF\"]},"
                 "\"blockAddresses\":[\"0x000000000000000000000000000000000000dEaD\"]}");
    assert_guard(guard(place, 0, "--remove", dead, "--block", NULL),
                 "{\"mode\":\"allowlist\",\"addresses\":{\"eip155:8453\":["
                 "\"0x000000000000000000000000000000000000bEEF\"]},"
                 "\"blockAddresses\":[]}");
    assert_guard(guard(place, 0, "--remove", beef, NULL, NULL),
                 "{\"mode\":\"allowlist\",\"addresses\":{\"eip155:8453\":[]},\"blockAddresses\":[]}");
}

static void guard_refuses_what_is_no_address(void **state)
{
    const struct place *place = *state;

    json_decref(init(place));
    guard(place, 1, "--add", "0x12", "--block", NULL);
    guard(place, 1, "--add", "0x000000000000000000000000000000000000Dead", "--block", NULL); /* checksum */
    guard(place, 1, "--add", "somebody", NULL, NULL);
}

static void guard_does_not_turn_a_blocklist_around(void **state)
{
    const struct place *place = *state;
    char *path = in(place, "ows/aegis/guard-config.json");

    json_decref(init(place));
    write_text(
        path,
        "{\"mode\":\"blocklist\",\"addresses\":{\"*\":[\"0x000000000000000000000000000000000000dEaD\"]}}");
    guard(place, 1, "--add", beef, NULL, NULL);
    free(path);
}

/* ---- install ---- */

static void install_makes_documents_safe_for_others(void **state)
{
    const struct place *place = *state;
    char *source = in(place, "limits.json"), *target = in(place, "ows/policies/limits.json"), *text, *said;
    struct aegis_error error;
    json_t *document;
    size_t size;

    json_decref(init(place));
    write_text(source, "{\"id\":\"limits\",\"name\":\"n\",\"version\":1,\"created_at\":\"2026-01-01T00:00:"
                       "00Z\",\"rules\":[],"
                       "\"plugin\":\"budget\",\"config\":{},\"action\":\"deny\"}");
    assert_int_equal(run(place, aegis_cli_install, &said, "install", source, NULL), 0);
    free(said);
    text = aegis_file_read(target, 1 << 16, AEGIS_FILE_TRUSTED, &size, &error);
    assert_non_null(text);
    document = parse(text);
    assert_non_null(strstr(aegis_json_text(document, "executable", ""), "/aegis-policy"));
    json_decref(document);
    write_text(source, "{\"id\":\"limits\"}");
    assert_int_equal(run(place, aegis_cli_install, &said, "install", source, NULL), 1);
    free(said);
    free(source);
    free(target);
}

/* ---- what reads the ledger ---- */

#define PAYMENT "pay_00000000000000000000000000000001"

static struct aegis_ledger *open_ledger(const struct place *place)
{
    struct aegis_error error;
    char *path = in(place, "ows/aegis/ledger.db");
    struct aegis_ledger *ledger = NULL;

    if (!aegis_folder_make(place->home, 0700, &error) || (ledger = aegis_ledger_open(path, &error)) == NULL)
        fail_msg("%s", error.text);
    free(path);
    assert_true(aegis_ledger_begin(ledger, &error));
    return ledger;
}

static void close_ledger(struct aegis_ledger *ledger)
{
    struct aegis_error error;

    assert_int_equal(aegis_ledger_commit(ledger, &error), AEGIS_LEDGER_OK);
    aegis_ledger_close(&ledger);
}

static void write_payment(const struct place *place)
{
    int64_t now = aegis_clock_now();
    const struct made made = {.agent = "agent-1",
                              .host = "shop.example",
                              .payee = "0x000000000000000000000000000000000000bEEF",
                              .network = "eip155:84532",
                              .token = "USDC",
                              .url = "http://shop.example/\x1b[2Jevil",
                              .amount = 12500,
                              .decimals = 6,
                              .at = now,
                              .valid_before = now / 1000 + 60};
    struct aegis_ledger *ledger = open_ledger(place);

    assert_true(maker_buy(ledger, &made, PAYMENT, 1));
    assert_true(maker_settle(ledger, &made, PAYMENT, now + 1));
    close_ledger(ledger);
}

static void receipts_have_request_decision_authorization_and_settlement(void **state)
{
    const struct place *place = *state;
    json_t *receipts, *receipt;
    char *said;

    write_payment(place);
    assert_int_equal(run(place, aegis_cli_receipts, &said, "receipts", NULL), 0);
    assert_null(strstr(said, "signature")); /* whoever has the signature can cash it */
    receipts = parse(said);
    receipt = json_array_get(receipts, 0);
    assert_string_equal(aegis_json_text(receipt, "value", ""), "0.0125");
    assert_string_equal(aegis_json_text(receipt, "state", ""), "settled");
    assert_string_equal(aegis_json_text(json_object_get(receipt, "authorization"), "value", ""), "12500");
    assert_string_equal(aegis_json_text(json_object_get(receipt, "settlement"), "transaction", ""), "0xabc");
    assert_non_null(json_object_get(json_object_get(receipt, "decision"), "facts"));
    json_decref(receipts);
}

static void strangers_cannot_act_on_the_terminal(void **state)
{
    struct place *place = *state;
    char *said;

    write_payment(place);
    place->cli.json = false;
    assert_int_equal(run(place, aegis_cli_receipts, &said, "receipts", NULL), 0);
    assert_null(strchr(said, '\x1b'));
    free(said);
    assert_int_equal(run(place, aegis_cli_payment, &said, "payment", PAYMENT, NULL), 0);
    assert_null(strchr(said, '\x1b'));
    assert_non_null(strstr(said, "settled"));
    free(said);
}

static void unknown_payments_are_said_to_be(void **state)
{
    const struct place *place = *state;
    char *said;

    assert_int_equal(run(place, aegis_cli_payment, &said, "payment", PAYMENT, NULL), 1);
    free(said);
    write_payment(place);
    assert_int_equal(run(place, aegis_cli_payment, &said, "payment", PAYMENT, NULL), 0);
    assert_null(strstr(said, "signature"));
    free(said);
    assert_int_equal(run(place, aegis_cli_payment, &said, "payment", "pay_2", NULL), 1);
    free(said);
}

static void verify_and_export(void **state)
{
    const struct place *place = *state;
    json_t *told;
    char *said;

    write_payment(place);
    assert_int_equal(run(place, aegis_cli_ledger, &said, "ledger", "verify", NULL), 0);
    told = parse(said);
    assert_true(json_is_true(json_object_get(told, "good")));
    assert_int_equal(aegis_json_integer(told, "checked", 0), 4);
    json_decref(told);
    assert_int_equal(run(place, aegis_cli_ledger, &said, "ledger", "export", "--format", "csv", NULL), 0);
    assert_non_null(strstr(said, PAYMENT));
    free(said);
    assert_int_equal(run(place, aegis_cli_ledger, &said, "ledger", "export", "--format", "xml", NULL), 2);
    free(said);
}

/* ---- replay ---- */

static const char document[] = "{\"id\":\"cap\",\"name\":\"cap\",\"version\":1,\"created_at\":\"2026-01-"
                               "01T00:00:00Z\",\"rules\":[],\"action\":\"deny\","
                               "\"plugin\":\"budget\",\"config\":{\"limits\":[{\"chainId\":\"*\",\"token\":"
                               "\"USDC\",\"payment\":\"1\"}]}}";

static const char subject[] =
    "{\"agent\":\"a\",\"agent_name\":\"a\",\"network\":\"eip155:84532\",\"scheme\":\"exact\","
    "\"asset\":\"0x036CbD53842c5426634e7929541eC2318f3dCF7e\",\"token\":\"USDC\",\"decimals\":6,\"amount\":"
    "\"500000\","
    "\"scaled\":\"500000000000000000\",\"pay_to\":\"0x000000000000000000000000000000000000bEEF\","
    "\"payer\":\"0x000000000000000000000000000000000000dEaD\",\"method\":\"GET\",\"url\":\"http://x/"
    "\",\"host\":\"x\","
    "\"valid_before\":1790000060000}";

/* The body of a decision as the judge comes to it. */
static json_t *judge(json_t *policy_body)
{
    struct aegis_error error;
    json_t *folders = json_pack("[s]", "plugins"), *facts = json_object(), *asked = json_pack("[s]", "cap");
    json_t *of = aegis_json_parse(subject, strlen(subject), &error), *body;
    json_t *rows =
        json_pack("[{s:s,s:O}]", "path", "cap.json", "document", json_object_get(policy_body, "document"));
    struct aegis_plugins *plugins = aegis_plugins_new(folders);
    struct aegis_policies *policies = aegis_policies_new(rows, NULL, plugins, NULL, &error);
    const struct aegis_question question = {
        .operation = "payment", .policies = asked, .subject = of, .facts = facts, .now = 1790000000000};
    struct aegis_evaluation evaluation;

    if (policies == NULL || !aegis_evaluate(policies, &question, &evaluation, &error))
        fail_msg("%s", error.text);
    assert_int_equal(json_array_size(evaluation.need), 0);
    assert_string_equal(evaluation.verdict, "allow");
    body = json_pack("{s:s,s:s,s:O,s:O,s:O,s:[],s:I,s:i}", "verdict", evaluation.verdict, "outcome",
                     "allowed", "subject", of, "verdicts", evaluation.verdicts, "facts", facts, "effects",
                     "now", (json_int_t)question.now, "candidate", 0);
    aegis_evaluation_clear(&evaluation);
    aegis_policies_free(&policies);
    aegis_plugins_free(&plugins);
    json_decref(rows);
    json_decref(folders);
    json_decref(facts);
    json_decref(asked);
    json_decref(of);
    return body;
}

static json_t *policy_entry(void)
{
    struct aegis_error error;
    json_t *json = aegis_json_parse(document, strlen(document), &error);
    struct aegis_document *read = aegis_document_new("cap.json", json, &error);
    json_t *body;

    if (read == NULL)
        fail_msg("%s", error.text);
    body = json_pack("{s:s,s:i,s:s,s:o}", "id", "cap", "version", 1, "hash", read->hash, "document", json);
    aegis_document_free(&read);
    return body;
}

/* A policy, and a decision whose verdict is `verdict` instead of the true one when that is not NULL. */
static void write_decision(const struct place *place, const char *verdict)
{
    struct aegis_ledger *ledger = open_ledger(place);
    json_t *policy = policy_entry(), *decision = judge(policy);

    if (verdict != NULL) {
        json_object_set_new(decision, "verdict", json_string(verdict));
        json_object_set_new(decision, "outcome", json_string("denied"));
    }
    assert_true(maker_append(ledger, AEGIS_ENTRY_POLICY, 1790000000000, NULL, NULL, policy));
    assert_true(maker_append(ledger, AEGIS_ENTRY_DECISION, 1790000000000, "a",
                             verdict == NULL ? PAYMENT : "dec_00000000000000000000000000000001", decision));
    close_ledger(ledger);
}

static json_t *replay(const struct place *place, int expected)
{
    char *said;

    assert_int_equal(
        run(place, aegis_cli_ledger, &said, "ledger", "replay", "--plugin-path", "plugins", NULL), expected);
    return parse(said);
}

static void replay_comes_to_the_same_verdict(void **state)
{
    json_t *told;

    write_decision(*state, NULL);
    told = replay(*state, 0);
    assert_int_equal(aegis_json_integer(told, "same", 0), 1);
    assert_int_equal(json_array_size(json_object_get(told, "differences")), 0);
    json_decref(told);
}

static void replay_finds_another_verdict(void **state)
{
    json_t *told;

    write_decision(*state, "deny");
    told = replay(*state, 1);
    assert_int_equal(json_array_size(json_object_get(told, "differences")), 1);
    json_decref(told);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, clean_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(init_makes_a_setup_that_the_gate_takes),
        TEST(every_key_is_under_the_policies_of_init),
        TEST(the_running_gates_configuration_counts),
        TEST(init_does_not_touch_what_is_there),
        TEST(init_checks_its_arguments_first),
        TEST(default_policies_are_cautious_and_safe_for_others),
        TEST(budget_states_caps_before_anything_was_paid),
        TEST(status_says_that_no_gate_runs),
        TEST(init_wants_a_passphrase),
        TEST(status_does_without_a_configuration),
        TEST(guard_keeps_lists),
        TEST(guard_refuses_what_is_no_address),
        TEST(guard_does_not_turn_a_blocklist_around),
        TEST(install_makes_documents_safe_for_others),
        TEST(receipts_have_request_decision_authorization_and_settlement),
        TEST(strangers_cannot_act_on_the_terminal),
        TEST(unknown_payments_are_said_to_be),
        TEST(verify_and_export),
        TEST(replay_comes_to_the_same_verdict),
        TEST(replay_finds_another_verdict),
    };

    aegis_log_open("test", AEGIS_LOG_ERROR, false);
    if (sodium_init() < 0)
        return EXIT_FAILURE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
