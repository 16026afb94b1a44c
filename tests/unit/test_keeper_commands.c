/* What does not come from a worker: the command line, the policies' ticks and effects, authorizations that
 * stock OWS signs, owners, a new configuration. */
#include <sys/un.h>

#include "tests/unit/keeper_fixture.h"

FIXTURE_STATE

#define TOKEN ((aegis_amount)1000000000000000000u)

/* A listening control socket, and a connection to it. */
static void open_control(struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", fixture->folder);
    unlink(address.sun_path);
    int listening = socket(AF_UNIX, SOCK_STREAM, 0), connection = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listening, 8), 0);
    aegis_keeper_listen(fixture->keeper, "control", listening);
    assert_int_equal(connect(connection, (struct sockaddr *)&address, sizeof address), 0);
    struct aegis_channel_options options = {
        .peer = "keeper",
        .rules = end_command_rules,
        .receive_limit = 1 << 20,
        .backlog_limit = 1 << 20,
        .closed = end_closed,
        .context = &fixture->command,
    };
    fixture->command.fixture = fixture;
    fixture->command.inbox = json_array();
    fixture->command.channel = aegis_channel_new(fixture->base, connection, &options);
    fixture_settle(fixture);
}

/* Gives a command and returns the answer's body (a new reference) when it went well; else NULL and the reason
 * in `why`. */
static json_t *command(struct fixture *fixture, const char *name, json_t *arguments, char why[512])
{
    if (fixture->command.channel == NULL)
        open_control(fixture);
    assert_true(aegis_channel_send(fixture->command.channel, &aegis_message_command,
                                   json_pack("{s:i,s:s,s:o}", "id", 5, "name", name, "arguments",
                                             arguments == NULL ? json_object() : arguments)));
    fixture_settle(fixture);
    json_t *answer = end_pop(&fixture->command, "answer");
    assert_non_null(answer);
    assert_int_equal(aegis_json_integer(answer, "id", 0), 5);
    json_t *body = NULL;
    if (aegis_json_boolean(answer, "ok", false))
        body = json_incref(json_object_get(answer, "body"));
    else if (why != NULL)
        aegis_text_copy(why, 512, aegis_json_text(answer, "error", ""));
    json_decref(answer);
    return body;
}

static void status(void **state)
{
    struct fixture *fixture = *state;
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/a"}));
    json_t *body = command(fixture, "status", NULL, NULL);
    assert_string_equal(aegis_json_text(body, "operator", ""), "tests");
    assert_string_equal(aegis_json_text(body, "clock", ""), "steady");
    assert_true(aegis_json_boolean(body, "ledger_open", false));
    assert_true(aegis_json_boolean(body, "judge", false));
    assert_int_equal(aegis_json_integer(body, "workers", 0), WORKERS);
    assert_int_equal(aegis_json_integer(body, "held", 0), 1);
    json_decref(body);
}

static void refuses_commands_that_are_none(void **state)
{
    struct fixture *fixture = *state;
    char why[512];
    assert_null(command(fixture, "sign", NULL, why));
    assert_non_null(strstr(why, "no such command"));
    assert_null(command(fixture, "status", json_pack("{s:i}", "x", 1), why));
    assert_null(command(fixture, "heartbeat", json_pack("{s:s}", "agent", "nobody"), why));
    assert_null(command(fixture, "revoke", json_pack("{s:s}", "key", "nobody"), why));
    assert_null(command(fixture, "resume", json_pack("{s:s}", "what", "everything"), why));
    assert_null(command(fixture, "explain", json_object(), why));
    assert_null(command(fixture, "external", json_object(), why));
    assert_int_equal(aegis_ledger_seq(fixture->keeper->ledger), 0);
}

/* What a worker may say is not what the command line may say. */
static void the_command_line_is_no_worker(void **state)
{
    struct fixture *fixture = *state;
    open_control(fixture);
    aegis_channel_send(fixture->command.channel, &aegis_message_identify,
                       json_pack("{s:i,s:s,s:s}", "id", 1, "listener", "agents", "token", fixture->token));
    fixture_settle(fixture);
    assert_true(fixture->command.closed);
    aegis_channel_send(fixture->workers[0].channel, &aegis_message_command,
                       json_pack("{s:i,s:s,s:{}}", "id", 1, "name", "status", "arguments"));
    fixture_settle(fixture);
    assert_true(fixture->workers[0].closed);
}

static json_t *a_question(struct fixture *fixture, const char *amount)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "agent", fixture->agent, "network", NETWORK, "asset", USDC,
                     "amount", amount, "pay_to", SHOP, "host", "shop.example");
}

static void explains_without_spending(void **state)
{
    struct fixture *fixture = *state;
    json_t *body = command(fixture, "explain", a_question(fixture, "1000000"), NULL);
    assert_string_equal(aegis_json_text(body, "verdict", ""), "allow");
    assert_int_equal(json_array_size(json_object_get(body, "verdicts")), 2);
    assert_non_null(json_object_get(json_object_get(body, "facts"), "spent/agent/day/*/*"));
    json_decref(body);
    body = command(fixture, "explain", a_question(fixture, "11000000"), NULL);
    assert_string_equal(aegis_json_text(body, "verdict", ""), "deny");
    json_decref(body);
    assert_int_equal(aegis_ledger_seq(fixture->keeper->ledger), 0);
    assert_int_equal(aegis_counters_tentative(fixture->keeper->counters), 0);
}

static void heartbeats(void **state)
{
    struct fixture *fixture = *state;
    json_decref(command(fixture, "heartbeat", json_pack("{s:s}", "agent", fixture->agent), NULL));
    assert_int_equal(fixture_entries(fixture, "heartbeat", NULL), 1);
}

static void resumes_the_clock(void **state)
{
    struct fixture *fixture = *state;
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/x"}));
    fixture_wall -= 86400000;
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "denied", "clock_jumped", NULL);
    json_decref(command(fixture, "resume", json_pack("{s:s}", "what", "clock"), NULL));
    assert_int_equal(fixture_entries(fixture, "resumed", NULL), 1);
    /* Time has gone back by a day, and what was spent in what is now the future still counts. */
    fixture->cap = 2 * TOKEN;
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, NULL);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/b"}), "denied", "daily_limit_exceeded",
                   NULL);
}

static bool key_file_exists(struct fixture *fixture)
{
    char *path = aegis_format("%s/keys/%s.json", fixture->folder, fixture->agent);
    bool exists = access(path, F_OK) == 0;
    free(path);
    return exists;
}

static void revokes(void **state)
{
    struct fixture *fixture = *state;
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/x"}));
    assert_true(key_file_exists(fixture));
    json_decref(
        command(fixture, "revoke", json_pack("{s:s,s:s}", "key", fixture->agent, "reason", "stolen"), NULL));
    json_t *entry;
    assert_int_equal(fixture_entries(fixture, "revoked", &entry), 1);
    assert_string_equal(aegis_json_text(json_object_get(entry, "body"), "reason", ""), "stolen");
    assert_string_equal(aegis_json_text(entry, "agent", ""), fixture->agent);
    json_decref(entry);
    assert_false(key_file_exists(fixture));
    assert_int_equal(end_count(&fixture->workers[1], "forget"), 1);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "denied", "agent_unknown", NULL);
}

/* Revoked while the policies are being asked: not signed. */
static void revokes_in_the_middle(void **state)
{
    struct fixture *fixture = *state;
    fixture->judge_hold_back = true;
    fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
    fixture_settle(fixture);
    json_decref(command(fixture, "revoke", json_pack("{s:s}", "key", fixture->agent), NULL));
    fixture->judge_hold_back = false;
    fixture->fixed = "allow";
    judge_answer_all(fixture);
    fixture_settle(fixture);
    fixture_expect(end_pop(&fixture->workers[0], "denied"), "denied", "key_revoked", NULL);
    assert_int_equal(fixture_entries(fixture, "signed", NULL), 0);
    assert_int_equal(aegis_counters_tentative(fixture->keeper->counters), 0);
}

/* The file comes back (a backup): the ledger remembers. */
static void revoked_stays_revoked(void **state)
{
    struct fixture *fixture = *state;
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/x"}));
    json_decref(command(fixture, "revoke", json_pack("{s:s}", "key", fixture->agent), NULL));
    fixture_kill(fixture);
    fixture_shell(aegis_format("cp '%s'/keys/* '%s'/keys/", fixture_template.folder, fixture->folder));
    assert_true(fixture_start(fixture));
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "denied", "key_revoked", NULL);
    aegis_ticks_run(fixture->keeper);
    assert_false(key_file_exists(fixture));
}

/* Effects */

static void notices_and_states_go_with_the_decision(void **state)
{
    struct fixture *fixture = *state;
    json_t *entry, *value = NULL;
    struct aegis_error error;
    fixture->effects =
        json_pack("[{s:s,s:s,s:s,s:i},{s:s,s:s,s:s,s:s,s:s,s:s,s:{s:i},s:s}]", "policy", "budget", "effect",
                  "state", "key", "seen", "value", 3, "policy", "budget", "effect", "notice", "kind",
                  "budget_alert", "severity", "warning", "title", "Nearly spent", "message",
                  "90 % of the day", "metadata", "percent", 90, "once", "day 1");
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/a"}));
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/b"}));
    assert_int_equal(fixture_entries(fixture, "notice", &entry), 1);
    assert_string_equal(aegis_json_text(json_object_get(entry, "body"), "kind", ""), "budget_alert");
    assert_null(json_object_get(json_object_get(entry, "body"), "effect"));
    json_decref(entry);
    assert_int_equal(
        aegis_books_state(aegis_ledger_books(fixture->keeper->ledger), "budget", "seen", &value, &error),
        AEGIS_BOOKS_FOUND);
    assert_int_equal(json_integer_value(value), 3);
    json_decref(value);
}

static void a_tick_revokes(void **state)
{
    struct fixture *fixture = *state;
    json_t *entry;
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/x"}));
    fixture->fixed = "allow";
    fixture->effects =
        json_pack("[{s:s,s:s,s:s},{s:s,s:s,s:s,s:n}]", "policy", "budget", "effect", "revoke", "reason",
                  "silent for an hour", "policy", "budget", "effect", "state", "key", "warned", "value");
    aegis_ticks_run(fixture->keeper);
    fixture_settle(fixture);
    assert_int_equal(fixture_entries(fixture, "revoked", &entry), 1);
    assert_string_equal(aegis_json_text(json_object_get(entry, "body"), "policy", ""), "budget");
    json_decref(entry);
    assert_int_equal(fixture_entries(fixture, "state", NULL), 1);
    assert_false(key_file_exists(fixture));
    /* It is asked once, and never again. */
    json_array_clear(fixture->judge.inbox);
    aegis_ticks_run(fixture->keeper);
    fixture_settle(fixture);
    assert_int_equal(end_count(&fixture->judge, "judge"), 0);
}

/* Stock OWS */

static json_t *external_arguments(struct fixture *fixture, const char *value, int64_t lifetime)
{
    char from[AEGIS_ADDRESS_TEXT], before[32];
    snprintf(before, sizeof before, "%lld", (long long)(fixture_wall / 1000 + lifetime));
    return json_pack("{s:s,s:s,s:s,s:{s:s,s:s,s:s,s:s,s:s,s:s}}", "agent", fixture->agent, "network", NETWORK,
                     "asset", USDC, "authorization", "from", aegis_address_format(&fixture->address, from),
                     "to", SHOP, "value", value, "validAfter", "0", "validBefore", before, "nonce",
                     "0x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
}

static void stock_ows_shares_the_cap(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    fixture->cap = 2 * TOKEN;
    json_t *body = command(fixture, "external", external_arguments(fixture, "1000000", 300), NULL);
    assert_true(aegis_json_boolean(body, "allow", false));
    aegis_text_copy(payment, sizeof payment, aegis_json_text(body, "decision", ""));
    json_decref(body);
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_EXTERNAL);
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/a"}));
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/b"}), "denied", "daily_limit_exceeded",
                   NULL);
    body = command(fixture, "external", external_arguments(fixture, "1", 300), NULL);
    assert_false(aegis_json_boolean(body, "allow", true));
    assert_string_equal(aegis_json_text(body, "code", ""), "daily_limit_exceeded");
    json_decref(body);
    assert_true(fixture_spent(fixture).exposed == 2 * TOKEN);
    /* Only the chain says what became of it. */
    end_open(fixture, &fixture->witness, "witness", 0, end_witness_rules);
    fixture_settle(fixture);
    aegis_channel_send(fixture->witness.channel, &aegis_message_proof,
                       json_pack("{s:s,s:s,s:i,s:I}", "payment", payment, "kind", "expired", "block", 9,
                                 "block_time", (json_int_t)(fixture_wall / 1000 + 301)));
    fixture_settle(fixture);
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_EXPIRED);
}

/* The file of a revoked key is back (a backup); nobody has asked the gate for anything since it started. */
static void stock_ows_gets_nothing_for_a_revoked_key(void **state)
{
    struct fixture *fixture = *state;
    char why[512];
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/x"}));
    json_decref(command(fixture, "revoke", json_pack("{s:s}", "key", fixture->agent), NULL));
    fixture_kill(fixture);
    json_decref(fixture->command.inbox);
    fixture_shell(aegis_format("cp '%s'/keys/* '%s'/keys/", fixture_template.folder, fixture->folder));
    assert_true(fixture_start(fixture));
    assert_null(command(fixture, "external", external_arguments(fixture, "1000000", 300), why));
    assert_string_equal(why, "The agent's key was revoked.");
    assert_int_equal(fixture_entries(fixture, "external", NULL), 0);
}

static void stock_ows_gets_nothing_odd(void **state)
{
    struct fixture *fixture = *state;
    char why[512];
    assert_null(command(fixture, "external", external_arguments(fixture, "1", 86401), why));
    assert_non_null(strstr(why, "more than a day"));
    json_t *other = external_arguments(fixture, "1", 60);
    json_object_set_new(json_object_get(other, "authorization"), "from", json_string(OTHER));
    assert_null(command(fixture, "external", other, why));
    assert_null(command(fixture, "external",
                        external_arguments(fixture, "340282366920938463463374607431768211455", 60), why));
    other = external_arguments(fixture, "1", 60);
    json_object_set_new(other, "asset", json_string(OTHER));
    assert_null(command(fixture, "external", other, why));
    assert_int_equal(aegis_ledger_seq(fixture->keeper->ledger), 0);
}

/* Owner mode */

static void open_owner(struct fixture *fixture, const char *passphrase)
{
    int pipe_ends[2];
    json_t *listeners =
        json_pack("[{s:s},{s:s,s:{s:s,s:s,s:[s],s:[i]}}]", "name", "agents", "name", "own", "owner", "agent",
                  "me", "wallet", "treasury", "policies", "budget", "uids", 1000);
    assert_non_null(listeners);
    json_object_set_new(fixture->config, "listeners", listeners);
    struct aegis_error error;
    if (!aegis_keeper_configure(fixture->keeper, fixture->config, &error))
        fail_msg("%s", error.text);
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(write(pipe_ends[1], passphrase, strlen(passphrase)), strlen(passphrase));
    close(pipe_ends[1]);
    aegis_keeper_listen(fixture->keeper, "passphrase:own", pipe_ends[0]);
}

static json_t *identify_owner(struct fixture *fixture, int64_t uid)
{
    json_t *body = json_pack("{s:i,s:s}", "id", 3, "listener", "own");
    if (uid >= 0)
        json_object_set_new(body, "uid", json_integer(uid));
    aegis_channel_send(fixture->workers[0].channel, &aegis_message_identify, body);
    fixture_settle(fixture);
    return end_pop(&fixture->workers[0], "identified");
}

static void owners_need_no_token(void **state)
{
    struct fixture *fixture = *state;
    open_owner(fixture, "correct horse\n");
    json_t *answer = identify_owner(fixture, 1000);
    assert_true(aegis_json_boolean(answer, "ok", false));
    assert_string_equal(aegis_json_text(answer, "agent", ""), "listener:own");
    assert_string_equal(aegis_json_text(answer, "agent_name", ""), "me");
    json_decref(answer);
    static const int64_t strangers[] = {1001, 0, -1};
    for (size_t i = 0; i < 3; i++) {
        answer = identify_owner(fixture, strangers[i]);
        assert_false(aegis_json_boolean(answer, "ok", true));
        assert_string_equal(aegis_json_text(answer, "code", ""), "agent_unknown");
        json_decref(answer);
    }
}

static void owners_with_a_wrong_passphrase_have_no_wallet(void **state)
{
    struct fixture *fixture = *state;
    open_owner(fixture, "wrong horse");
    json_t *answer = identify_owner(fixture, 1000);
    assert_false(aegis_json_boolean(answer, "ok", true));
    assert_string_equal(aegis_json_text(answer, "code", ""), "wallet_unavailable");
    json_decref(answer);
}

/* Configuration */

static void a_bad_configuration_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct aegis_error error;
    json_t *config = json_deep_copy(fixture->config);
    json_object_set_new(config, "lifetime_seconds", json_integer(0));
    assert_false(aegis_keeper_configure(fixture->keeper, config, &error));
    json_object_set_new(config, "lifetime_seconds", json_integer(30));
    json_object_set_new(config, "ledger", json_string("/elsewhere"));
    assert_false(aegis_keeper_configure(fixture->keeper, config, &error));
    json_object_set(config, "ledger", json_object_get(fixture->config, "ledger"));
    json_object_set_new(config, "assets", json_pack("[{s:s}]", "network", "eip155:1"));
    assert_false(aegis_keeper_configure(fixture->keeper, config, &error));
    json_object_set_new(config, "assets", json_array());
    json_object_set_new(config, "surprise", json_integer(1));
    assert_false(aegis_keeper_configure(fixture->keeper, config, &error));
    assert_int_equal(fixture->keeper->settings.lifetime_seconds, 60);
    json_object_del(config, "surprise");
    json_object_set_new(config, "policies", json_pack("[s]", "guard"));
    assert_true(aegis_keeper_configure(fixture->keeper, config, &error));
    assert_int_equal(fixture->keeper->settings.lifetime_seconds, 30);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, NULL);
    json_decref(config);
}

/* The gate's own policies come after the key's, each once. */
static void policies_of_the_gate(void **state)
{
    struct fixture *fixture = *state;
    struct aegis_error error;
    json_object_set_new(fixture->config, "policies", json_pack("[s,s]", "house", "guard"));
    assert_true(aegis_keeper_configure(fixture->keeper, fixture->config, &error));
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/a"}));
    json_t *question = end_pop(&fixture->judge, "judge");
    json_t *expected = json_pack("[s,s,s]", "budget", "guard", "house");
    assert_true(json_equal(json_object_get(question, "policies"), expected));
    json_decref(question);
    json_decref(expected);
}

/* Takes the key's policies away, as a key that was made without any. */
static void without_policies(struct fixture *fixture)
{
    char *path = aegis_format("%s/keys/%s.json", fixture->folder, fixture->agent);
    json_t *key = json_load_file(path, 0, NULL);
    assert_int_equal(json_object_set_new(key, "policy_ids", json_array()), 0);
    assert_int_equal(json_dump_file(key, path, 0), 0);
    json_decref(key);
    free(path);
}

/* Whom nothing limits, for him nothing is signed: neither by the gate nor by stock OWS. */
static void an_agent_without_policies_pays_nothing(void **state)
{
    struct fixture *fixture = *state;
    without_policies(fixture);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "denied", "policy_missing",
                   NULL);
    json_t *body = command(fixture, "external", external_arguments(fixture, "1", 60), NULL);
    assert_false(aegis_json_boolean(body, "allow", true));
    assert_string_equal(aegis_json_text(body, "code", ""), "policy_missing");
    json_decref(body);
    assert_int_equal(fixture_entries(fixture, "decision", NULL), 2);
    assert_int_equal(fixture_entries(fixture, "signed", NULL), 0);
}

static void an_agent_without_policies_pays_when_told_so(void **state)
{
    struct fixture *fixture = *state;
    struct aegis_error error;
    without_policies(fixture);
    json_object_set_new(fixture->config, "without_policy", json_string("allow"));
    assert_true(aegis_keeper_configure(fixture->keeper, fixture->config, &error));
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(status),
        FIXTURE_CASE(refuses_commands_that_are_none),
        FIXTURE_CASE(the_command_line_is_no_worker),
        FIXTURE_CASE(explains_without_spending),
        FIXTURE_CASE(heartbeats),
        FIXTURE_CASE(resumes_the_clock),
        FIXTURE_CASE(revokes),
        FIXTURE_CASE(revokes_in_the_middle),
        FIXTURE_CASE(revoked_stays_revoked),
        FIXTURE_CASE(notices_and_states_go_with_the_decision),
        FIXTURE_CASE(a_tick_revokes),
        FIXTURE_CASE(stock_ows_shares_the_cap),
        FIXTURE_CASE(stock_ows_gets_nothing_for_a_revoked_key),
        FIXTURE_CASE(stock_ows_gets_nothing_odd),
        FIXTURE_CASE(owners_need_no_token),
        FIXTURE_CASE(owners_with_a_wrong_passphrase_have_no_wallet),
        FIXTURE_CASE(a_bad_configuration_changes_nothing),
        FIXTURE_CASE(policies_of_the_gate),
        FIXTURE_CASE(an_agent_without_policies_pays_nothing),
        FIXTURE_CASE(an_agent_without_policies_pays_when_told_so),
    };
    return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
