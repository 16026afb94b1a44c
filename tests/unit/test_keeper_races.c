/* What happens between two steps: messages that come in one turn of the loop, and changes of the gate while a
 * payment is being judged. */
#include "tests/unit/keeper_fixture.h"

FIXTURE_STATE

#define TOKEN ((aegis_amount)1000000000000000000u)

/* Sends, and leaves the loop alone. */
static void report(struct fixture *fixture, unsigned worker, const char *payment, const char *state)
{
    json_t *body = json_pack("{s:s,s:s,s:i}", "payment", payment, "state", state, "status", 0);
    assert_true(aegis_channel_send(fixture->workers[worker].channel, &aegis_message_outcome, body));
}

static json_t *pop_authorized(struct fixture *fixture, unsigned worker)
{
    fixture_settle(fixture);
    json_t *answer = end_pop(&fixture->workers[worker], "authorized");
    assert_non_null(answer);
    return answer;
}

/* The report that an attempt is lost and the retry reach the keeper before the report is on disk. */
static void a_retry_on_the_heels_of_a_lost_attempt(void **state)
{
    static const char *const outcomes[] = {"unknown", "refused"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        char path[8], payment[64];
        snprintf(path, sizeof path, "/%zu", i);
        fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = path}), "authorized", NULL, payment);
        report(fixture, 0, payment, outcomes[i]);
        fixture_authorize(fixture, 0, &(struct request){.path = path});
        json_t *again = pop_authorized(fixture, 0);
        assert_string_equal(aegis_json_text(again, "payment", ""), payment);
        assert_true(aegis_json_boolean(again, "repeated", false));
        json_decref(again);
        assert_int_equal(fixture_entries(fixture, "reserved", NULL), i + 1);
    }
    assert_true(fixture_spent(fixture).exposed == 2 * TOKEN);
}

static void another_price_on_the_heels_of_a_lost_attempt(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, payment);
    report(fixture, 0, payment, "unknown");
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a", .amount = "999999"}), "denied",
                   "previous_payment_unresolved", NULL);
}

static void an_equal_request_on_the_heels_of_a_purchase(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, payment);
    report(fixture, 0, payment, "settled");
    fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
    json_t *other = pop_authorized(fixture, 0);
    assert_string_not_equal(aegis_json_text(other, "payment", ""), payment);
    json_decref(other);
}

/* A new configuration replaces the table of assets while the policies are asked. */
static void a_reload_while_a_payment_is_judged(void **state)
{
    struct fixture *fixture = *state;
    struct aegis_error error;
    fixture->judge_hold_back = true;
    fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
    fixture_settle(fixture);
    assert_true(aegis_keeper_configure(fixture->keeper, fixture->config, &error));
    fixture->judge_hold_back = false;
    fixture->fixed = "allow";
    judge_answer_all(fixture);
    json_decref(pop_authorized(fixture, 0));
}

/* A network gets a node by a reload: what was open on it before is given to the witness. */
static void a_reload_that_brings_a_node(void **state)
{
    struct fixture *fixture = *state;
    struct aegis_error error;
    char payment[64];
    json_t *watched = json_object_get(fixture->config, "watched");
    json_array_clear(watched);
    assert_true(aegis_keeper_configure(fixture->keeper, fixture->config, &error));
    end_open(fixture, &fixture->witness, "witness", 0, end_witness_rules);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, payment);
    fixture_outcome(fixture, 0, payment, "unknown");
    assert_int_equal(end_count(&fixture->witness, "watch"), 0);
    json_array_append_new(watched, json_string(NETWORK));
    assert_true(aegis_keeper_configure(fixture->keeper, fixture->config, &error));
    fixture_settle(fixture);
    json_t *watch = end_pop(&fixture->witness, "watch");
    assert_string_equal(aegis_json_text(watch, "payment", ""), payment);
    json_decref(watch);
}

static void send_loaded(struct fixture *fixture, const char *hash)
{
    aegis_channel_send(fixture->judge.channel, &aegis_message_loaded,
                       json_pack("{s:[{s:s,s:i,s:s,s:{s:s},s:[s]},{s:s,s:i,s:s,s:{s:s},s:[s]}]}", "policies",
                                 "id", "budget", "version", 1, "hash", hash, "document", "id", "budget",
                                 "checks", "payment", "id", "guard", "version", 1, "hash", hash, "document",
                                 "id", "guard", "checks", "payment"));
}

/* The judge reads its policies anew right after a verdict: the versions that it was reached by are recorded
 * all the same. */
static void policies_change_between_verdict_and_record(void **state)
{
    struct fixture *fixture = *state;
    json_t *entry = NULL;
    fixture->judge_hold_back = true;
    fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
    fixture_settle(fixture);
    fixture->judge_hold_back = false;
    fixture->fixed = "allow";
    judge_answer_all(fixture);
    send_loaded(fixture, "11ee");
    json_decref(pop_authorized(fixture, 0));
    assert_int_equal(fixture_entries(fixture, "policy", &entry), 2);
    assert_string_equal(aegis_json_text(json_object_get(entry, "body"), "hash", ""), "00ff");
    json_decref(entry);
}

/* A verdict by a version that the judge never said it had could not be replayed. */
static void a_verdict_by_an_unknown_version(void **state)
{
    struct fixture *fixture = *state;
    send_loaded(fixture, "11ee");
    fixture_settle(fixture);
    send_loaded(fixture, "22dd");
    fixture_settle(fixture);
    fixture->fixed = "allow"; /* by 00ff */
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "denied", "policy_failed", NULL);
}

/* Two identities of one agent while its key file is read anew: a revocation reaches both. */
static void revoked_after_the_key_was_read_anew(void **state)
{
    struct fixture *fixture = *state;
    fixture->judge_hold_back = true;
    fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
    fixture_settle(fixture);
    fixture_shell(aegis_format("touch '%s'/keys/*.json", fixture->folder));
    fixture_authorize(fixture, 1, &(struct request){.path = "/b"});
    fixture_settle(fixture);
    aegis_ticks_revoke(fixture->keeper, fixture->agent, "stolen", NULL, NULL, NULL);
    fixture_settle(fixture);
    fixture->judge_hold_back = false;
    fixture->fixed = "allow";
    judge_answer_all(fixture);
    fixture_settle(fixture);
    fixture_expect(end_pop(&fixture->workers[0], "denied"), "denied", "key_revoked", NULL);
    fixture_expect(end_pop(&fixture->workers[1], "denied"), "denied", "key_revoked", NULL);
    assert_int_equal(fixture_entries(fixture, "signed", NULL), 0);
}

/* What the judge wants to happen is not believed either. */
static void effects_without_sense_deny(void **state)
{
    static const char *const effects[] = {
        "[{\"policy\":\"budget\",\"effect\":\"state\",\"value\":1}]",
        "[{\"policy\":\"budget\",\"effect\":\"state\",\"key\":7,\"value\":1}]",
        "[{\"policy\":\"deadswitch\",\"effect\":\"state\",\"key\":\"k\",\"value\":1}]",
        "[{\"policy\":\"budget\",\"effect\":\"sign\"}]",
        "[7]",
    };
    struct fixture *fixture = *state;
    fixture->fixed = "allow";
    for (size_t i = 0; i < sizeof effects / sizeof effects[0]; i++) {
        fixture->effects = json_loads(effects[i], 0, NULL);
        fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "denied", "policy_failed",
                       NULL);
        aegis_ticks_run(fixture->keeper);
        fixture_settle(fixture);
        json_decref(fixture->effects);
        fixture->effects = NULL;
    }
    assert_int_equal(fixture_entries(fixture, "state", NULL), 0);
}

/* More policies than one question can carry: refused, for none of them may be left out. */
static void too_many_policies_deny(void **state)
{
    struct fixture *fixture = *state;
    struct aegis_error error;
    json_t *policies = json_object_get(fixture->config, "policies");
    for (int i = 0; i < 63; i++) {
        char id[16];
        snprintf(id, sizeof id, "p%d", i);
        json_array_append_new(policies, json_string(id));
    }
    assert_true(aegis_keeper_configure(fixture->keeper, fixture->config, &error));
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "denied", "policy_unknown",
                   NULL);
    assert_true(aegis_channel_send(
        fixture->workers[0].channel, &aegis_message_identify,
        json_pack("{s:i,s:s,s:s}", "id", 7, "listener", "agents", "token", fixture->token)));
    fixture_settle(fixture);
    json_t *answer = end_pop(&fixture->workers[0], "identified");
    assert_string_equal(aegis_json_text(answer, "code", ""), "policy_unknown");
    json_decref(answer);
    aegis_ticks_run(fixture->keeper);
    fixture_settle(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(a_retry_on_the_heels_of_a_lost_attempt),
        FIXTURE_CASE(another_price_on_the_heels_of_a_lost_attempt),
        FIXTURE_CASE(an_equal_request_on_the_heels_of_a_purchase),
        FIXTURE_CASE(a_reload_while_a_payment_is_judged),
        FIXTURE_CASE(a_reload_that_brings_a_node),
        FIXTURE_CASE(policies_change_between_verdict_and_record),
        FIXTURE_CASE(a_verdict_by_an_unknown_version),
        FIXTURE_CASE(revoked_after_the_key_was_read_anew),
        FIXTURE_CASE(effects_without_sense_deny),
        FIXTURE_CASE(too_many_policies_deny),
    };
    return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
