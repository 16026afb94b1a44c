/* Failure denies (I6): the judge, the disk, the clock; and what a kill at any moment leaves behind. */
#include "tests/unit/failing_vfs.h"
#include "tests/unit/keeper_fixture.h"

FIXTURE_STATE

struct failing failing;

#define TOKEN ((aegis_amount)1000000000000000000u)

static int setup(void **state)
{
    failing = (struct failing){0};
    return fixture_setup(state);
}

static int teardown(void **state)
{
    failing = (struct failing){0};
    return fixture_teardown(state);
}

/* Lets real time pass in the loop, for timers, until `done` or a second is over. */
static void wait_for(struct fixture *fixture, bool (*done)(struct fixture *fixture))
{
    for (int i = 0; i < 200 && !done(fixture); i++) {
        struct timeval wait = {0, 10000};
        event_base_loopexit(fixture->base, &wait);
        event_base_dispatch(fixture->base);
    }
    assert_true(done(fixture));
}

static void denied_and_recorded(struct fixture *fixture, json_t *answer, const char *outcome,
                                const char *code, size_t decisions)
{
    json_t *decision = NULL;
    assert_string_equal(aegis_json_text(answer, "outcome", ""), outcome);
    fixture_expect(answer, "denied", code, NULL);
    assert_int_equal(fixture_entries(fixture, "decision", &decision), decisions);
    assert_string_equal(aegis_json_text(json_object_get(decision, "body"), "code", ""), code);
    assert_string_equal(aegis_json_text(json_object_get(decision, "body"), "outcome", ""), outcome);
    json_decref(decision);
    assert_int_equal(fixture_entries(fixture, "signed", NULL), 0);
    assert_int_equal(aegis_counters_tentative(fixture->keeper->counters), 0);
    assert_int_equal(fixture->keeper->asks_count, 0);
}

/* The judge */

static void without_a_judge_nothing_is_bought(void **state)
{
    struct fixture *fixture = *state;
    end_close(&fixture->judge);
    fixture_settle(fixture);
    denied_and_recorded(fixture, fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "failed",
                        "judge_unavailable", 1);
    fixture_open_judge(fixture);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, NULL);
}

static void a_judge_that_has_not_loaded_is_no_judge(void **state)
{
    struct fixture *fixture = *state;
    end_open(fixture, &fixture->judge, "judge", 0, end_judge_rules);
    fixture_settle(fixture);
    denied_and_recorded(fixture, fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "failed",
                        "judge_unavailable", 1);
}

static void a_judge_that_dies_denies(void **state)
{
    struct fixture *fixture = *state;
    fixture->judge_silent = true;
    fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
    fixture_authorize(fixture, 1, &(struct request){.path = "/b"});
    fixture_settle(fixture);
    end_close(&fixture->judge);
    fixture_settle(fixture);
    fixture_expect(end_pop(&fixture->workers[1], "denied"), "denied", "judge_unavailable", NULL);
    denied_and_recorded(fixture, end_pop(&fixture->workers[0], "denied"), "failed", "judge_unavailable", 2);
}

static bool was_denied(struct fixture *fixture)
{
    return end_count(&fixture->workers[0], "denied") > 0;
}

static void a_judge_that_is_silent_denies(void **state)
{
    struct fixture *fixture = *state;
    fixture->judge_hold_back = true;
    fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
    wait_for(fixture, was_denied);
    denied_and_recorded(fixture, end_pop(&fixture->workers[0], "denied"), "failed", "judge_timeout", 1);
    /* Its late answer is nobody's. */
    judge_answer_all(fixture);
    fixture_settle(fixture);
    assert_false(fixture->judge.closed);
    assert_int_equal(fixture_entries(fixture, "signed", NULL), 0);
}

/* Whatever the judge says that is not a full allow of exactly the policies that were asked. */
static void nonsense_denies(void **state)
{
    static const char *const verdicts[] = {
        "{\"verdict\":\"allow\",\"verdicts\":[],\"effects\":[]}",
        "{\"verdict\":\"allow\",\"verdicts\":[{\"policy\":\"budget\",\"version\":1,\"hash\":\"\",\"verdict\":"
        "\"allow\","
        "\"facts\":[]}],\"effects\":[]}",
        "{\"verdict\":\"allow\",\"verdicts\":[{\"policy\":\"budget\",\"version\":1,\"hash\":\"\",\"verdict\":"
        "\"allow\","
        "\"facts\":[]},{\"policy\":\"budget\",\"version\":1,\"hash\":\"\",\"verdict\":\"allow\",\"facts\":[]}"
        "],"
        "\"effects\":[]}",
        "{\"verdict\":\"allow\",\"verdicts\":[{\"policy\":\"budget\",\"version\":1,\"hash\":\"\",\"verdict\":"
        "\"allow\","
        "\"facts\":[]},{\"policy\":\"guard\",\"version\":1,\"hash\":\"\",\"verdict\":\"deny\",\"facts\":[]}],"
        "\"effects\":[]}",
        "{\"verdict\":\"yes\",\"verdicts\":[],\"effects\":[]}",
        "{\"verdict\":\"allow\",\"verdicts\":[{\"policy\":\"budget\"},{}],\"effects\":[]}",
        "{\"verdict\":\"deny\",\"verdicts\":[{\"policy\":\"budget\",\"version\":1,\"hash\":\"\",\"verdict\":"
        "\"deny\","
        "\"facts\":[\"spent/gate/day/*/*\"]}],\"effects\":[]}",
        "{\"verdict\":\"deny\",\"verdicts\":[{\"policy\":\"budget\",\"version\":1,\"hash\":\"\",\"verdict\":"
        "\"deny\","
        "\"facts\":[7]}],\"effects\":[]}",
    };
    struct fixture *fixture = *state;
    fixture->judge_hold_back = true;
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
        fixture_settle(fixture);
        json_t *body = json_loads(verdicts[i], 0, NULL);
        json_object_set(body, "id", json_object_get(json_array_get(fixture->held_questions, 0), "id"));
        json_array_clear(fixture->held_questions);
        aegis_channel_send(fixture->judge.channel, &aegis_message_verdict, body);
        fixture_settle(fixture);
        denied_and_recorded(fixture, end_pop(&fixture->workers[0], "denied"), "failed", "policy_failed",
                            i + 1);
    }
}

static void impossible_facts_deny(void **state)
{
    static const char *const queries[] = {"spent/agent/year/*/*",     "weather", "state/x",
                                          "spent/agent/day/*",        "",        "last_payment/host",
                                          "spent/agent/rolling:1/*/*"};
    struct fixture *fixture = *state;
    fixture->judge_hold_back = true;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
        fixture_settle(fixture);
        json_t *id = json_object_get(json_array_get(fixture->held_questions, 0), "id");
        aegis_channel_send(fixture->judge.channel, &aegis_message_need,
                           json_pack("{s:O,s:[s]}", "id", id, "facts", queries[i]));
        json_array_clear(fixture->held_questions);
        fixture_settle(fixture);
        denied_and_recorded(fixture, end_pop(&fixture->workers[0], "denied"), "failed", "policy_failed",
                            i + 1);
    }
}

static void facts_without_end_deny(void **state)
{
    struct fixture *fixture = *state;
    fixture->judge_hold_back = true;
    fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
    fixture_settle(fixture);
    for (int i = 0; i < 20 && json_array_size(fixture->held_questions) > 0; i++) {
        char query[40];
        snprintf(query, sizeof query, "state/p/%d", i);
        json_t *id = json_object_get(json_array_get(fixture->held_questions, 0), "id");
        aegis_channel_send(fixture->judge.channel, &aegis_message_need,
                           json_pack("{s:O,s:[s]}", "id", id, "facts", query));
        json_array_clear(fixture->held_questions);
        fixture_settle(fixture);
    }
    denied_and_recorded(fixture, end_pop(&fixture->workers[0], "denied"), "failed", "policy_failed", 1);
}

static void every_kind_of_fact_is_answered(void **state)
{
    static const char *const queries[] = {"spent/agent+payee/rolling:3600/eip155:*/USDC",
                                          "spent/gate/total/*/*",
                                          "last_payment/agent",
                                          "last_payment/gate",
                                          "last_heartbeat",
                                          "paid_before/agent",
                                          "paid_before/gate",
                                          "last_price",
                                          "state/budget/some key"};
    struct fixture *fixture = *state;
    char payment[64];
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a", .amount = "250000"}), "authorized",
                   NULL, payment);
    fixture_outcome(fixture, 0, payment, "settled");
    fixture->judge_hold_back = true;
    int64_t then = fixture_wall;
    fixture_pass(1000);
    fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
    fixture_settle(fixture);
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++)
        json_array_append_new(list, json_string(queries[i]));
    json_t *id = json_object_get(json_array_get(fixture->held_questions, 0), "id");
    aegis_channel_send(fixture->judge.channel, &aegis_message_need,
                       json_pack("{s:O,s:o}", "id", id, "facts", list));
    json_array_clear(fixture->held_questions);
    fixture_settle(fixture);
    json_t *facts = json_object_get(json_array_get(fixture->held_questions, 0), "facts");
    assert_string_equal(aegis_json_text(json_object_get(facts, queries[0]), "settled", ""),
                        "250000000000000000");
    assert_int_equal(aegis_json_integer(json_object_get(facts, queries[0]), "resets_at", 0), then + 3600000);
    assert_int_equal(aegis_json_integer(json_object_get(facts, queries[1]), "payments", 0), 1);
    assert_int_equal(aegis_json_integer(json_object_get(facts, queries[2]), "at", 0), then);
    assert_int_equal(aegis_json_integer(json_object_get(facts, queries[3]), "at", 0), then);
    assert_int_equal(aegis_json_integer(json_object_get(facts, queries[4]), "at", 0), then);
    assert_int_equal(aegis_json_integer(json_object_get(facts, queries[5]), "times", 0), 1);
    assert_int_equal(aegis_json_integer(json_object_get(facts, queries[6]), "times", 0), 1);
    assert_string_equal(aegis_json_text(json_object_get(facts, queries[7]), "scaled", ""),
                        "250000000000000000");
    assert_true(json_is_null(json_object_get(facts, queries[8])));
    /* The next question brings them along without being asked. */
    fixture_authorize(fixture, 1, &(struct request){.path = "/b"});
    fixture_settle(fixture);
    assert_int_equal(json_object_size(json_object_get(json_array_get(fixture->held_questions, 1), "facts")),
                     10);
}

/* The clock */

static void a_clock_that_jumps_ahead_stops_the_gate(void **state)
{
    struct fixture *fixture = *state;
    fixture_wall += 86400000;
    denied_and_recorded(fixture, fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "failed",
                        "clock_jumped", 1);
    fixture_wall -= 86400000;
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, NULL);
}

static void a_clock_that_jumps_back_stops_the_gate_until_it_has_caught_up(void **state)
{
    struct fixture *fixture = *state;
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/x"}));
    fixture_wall -= 120000;
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "denied", "clock_jumped", NULL);
    fixture_pass(60000);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "denied", "clock_jumped", NULL);
    fixture_pass(60000);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, NULL);
}

static void a_clock_behind_the_ledger_stops_the_gate(void **state)
{
    struct fixture *fixture = *state;
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/x"}));
    fixture_kill(fixture);
    fixture_wall -= 7200000;
    assert_true(fixture_start(fixture));
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "denied", "clock_jumped", NULL);
    fixture_pass(7200000);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, NULL);
}

/* Small steps and slow drift are what clocks do. Time never runs backwards for the books. */
static void small_steps_are_nothing(void **state)
{
    struct fixture *fixture = *state;
    int64_t before = fixture->keeper->clock.now;
    fixture_wall -= 5000;
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, NULL);
    assert_true(fixture->keeper->clock.now >= before);
    for (int i = 0; i < 3000; i++) {
        fixture_boot += 60000;
        fixture_wall += 60030; /* 500 ppm fast: 90 s in all */
        aegis_keeper_clock_read(&fixture->keeper->clock);
    }
    assert_int_equal(fixture->keeper->clock.state, AEGIS_CLOCK_STEADY);
}

/* A clock that is stepped a little all the time is not a clock that drifts. */
static void many_small_steps_are_a_jump(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 10; i++) {
        fixture_pass(1000);
        fixture_wall += 20000;
        aegis_keeper_clock_read(&fixture->keeper->clock);
    }
    assert_int_equal(fixture->keeper->clock.state, AEGIS_CLOCK_AHEAD);
}

/* The disk */

static bool ledger_is_open(struct fixture *fixture)
{
    return aegis_commit_open(fixture->keeper->commit);
}

static void an_unwritable_ledger_stops_signing(void **state)
{
    struct fixture *fixture = *state;
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, NULL);
    failing = (struct failing){.fail_at = 1, .forever = true, .code = SQLITE_FULL};
    json_t *answer = fixture_buy(fixture, 0, &(struct request){.path = "/b"});
    assert_string_equal(aegis_json_text(answer, "outcome", ""), "unrecorded");
    fixture_expect(answer, "denied", "ledger_unavailable", NULL);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/c"}), "denied", "ledger_unavailable",
                   NULL);
    /* A denial that cannot be recorded is one all the same. */
    fixture->fixed = "deny";
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/d"}), "denied", "ledger_unavailable",
                   NULL);
    fixture->fixed = NULL;
    assert_int_equal(aegis_counters_tentative(fixture->keeper->counters), 0);
    failing = (struct failing){0};
    wait_for(fixture, ledger_is_open);
    /* It was opened, which takes no room; only writing shows whether there is any. */
    assert_true(aegis_commit_failed(fixture->keeper->commit));
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/b"}), "authorized", NULL, NULL);
    assert_false(aegis_commit_failed(fixture->keeper->commit));
    assert_true(fixture_spent(fixture).exposed == 2 * TOKEN);
}

/* What was reported while the disk was away is not forgotten. */
static void outcomes_wait_for_the_ledger(void **state)
{
    struct fixture *fixture = *state;
    char payment[2][64];
    for (size_t i = 0; i < 2; i++)
        fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = i == 0 ? "/a" : "/b"}), "authorized",
                       NULL, payment[i]);
    failing = (struct failing){.fail_at = 1, .forever = true};
    fixture_outcome(fixture, 0, payment[0], "settled");
    fixture_outcome(fixture, 0, payment[1], "refused");
    failing = (struct failing){0};
    wait_for(fixture, ledger_is_open);
    fixture_settle(fixture);
    assert_int_equal(fixture_state(fixture, payment[0]), AEGIS_PAYMENT_SETTLED);
    assert_int_equal(fixture_state(fixture, payment[1]), AEGIS_PAYMENT_REFUSED);
    struct aegis_books_sum sum = fixture_spent(fixture);
    assert_true(sum.settled == TOKEN && sum.exposed == TOKEN);
}

static void rename_ledger(struct fixture *fixture, bool away)
{
    char *other = aegis_format("%s.away", fixture->ledger);
    assert_int_equal(away ? rename(fixture->ledger, other) : rename(other, fixture->ledger), 0);
    free(other);
}

/* The ledger can not even be opened again while questions are under way: who waits is told, nobody crashes.
 */
static void a_ledger_that_is_gone(void **state)
{
    struct fixture *fixture = *state;
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/x"}));
    fixture->judge_hold_back = true;
    for (int i = 0; i < 4; i++)
        fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
    fixture_settle(fixture);
    rename_ledger(fixture, true);
    failing = (struct failing){.fail_at = 1, .forever = true};
    fixture->fixed = "allow";
    json_t *last = json_incref(json_array_get(fixture->held_questions, 3));
    json_t *next = json_incref(json_array_get(fixture->held_questions, 2));
    json_t *third = json_incref(json_array_get(fixture->held_questions, 1));
    judge_answer(fixture, json_array_get(fixture->held_questions, 0));
    fixture_settle(fixture);
    fixture_expect(end_pop(&fixture->workers[0], "denied"), "denied", "ledger_unavailable", NULL);
    while (aegis_commit_attempts(fixture->keeper->commit) == 0)
        event_base_loop(fixture->base, EVLOOP_ONCE);
    assert_false(ledger_is_open(fixture));
    /* An allow, a denial, and a question for more facts. */
    judge_answer(fixture, third);
    fixture->fixed = "deny";
    judge_answer(fixture, next);
    aegis_channel_send(fixture->judge.channel, &aegis_message_need,
                       json_pack("{s:O,s:[s]}", "id", json_object_get(last, "id"), "facts", "last_price"));
    fixture_settle(fixture);
    for (int i = 0; i < 3; i++)
        fixture_expect(end_pop(&fixture->workers[0], "denied"), "denied", "ledger_unavailable", NULL);
    aegis_ticks_run(fixture->keeper);
    json_decref(last);
    json_decref(next);
    json_decref(third);
    failing = (struct failing){0};
    rename_ledger(fixture, false);
    wait_for(fixture, ledger_is_open);
    fixture->judge_hold_back = false;
    fixture->fixed = NULL;
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/b"}), "authorized", NULL, NULL);
    assert_int_equal(fixture_entries(fixture, "signed", NULL), 2);
}

/* Every call that changes a file fails in turn, once or from then on, before or after it did its work, while
 * two payments are made and reported on. Then the disk is well again, or the gate was killed and starts anew.
 * Always: what the worker holds is in the ledger with its signature; what was denied cannot be cashed by
 * anybody; sums and chain are right. */

struct promise {
    char payment[64];
    char signature[140];
};

static void check_promises(struct fixture *fixture, const struct promise *promises, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum aegis_payment_state state = fixture_state(fixture, promises[i].payment);
        assert_true(aegis_payment_state_counts(state));
    }
    struct aegis_books_sum sum = fixture_spent(fixture);
    assert_true(sum.payments >= count);
    /* The counters agree with the books to the last unit. */
    struct aegis_books_sum fast;
    int64_t resets_at;
    struct aegis_error error = {0};
    struct aegis_share share = {fixture->agent, "", "", "", "", fixture_wall, 0};
    assert_true(aegis_counters_spent(fixture->keeper->counters, aegis_ledger_books(fixture->keeper->ledger),
                                     "agent", "day", "*", "*", &share, AEGIS_NUMBER_LAST, fixture_wall, &fast,
                                     &resets_at, &error));
    assert_true(fast.settled == sum.settled && fast.exposed == sum.exposed && fast.payments == sum.payments);
}

/* False when there was no such call any more. */
static bool one_failure(struct fixture *fixture, long at, bool forever, bool after, bool kill)
{
    struct promise promises[4];
    size_t count = 0;
    failing = (struct failing){.fail_at = at, .forever = forever, .after = after};
    for (int i = 0; i < 3; i++) {
        char path[40];
        snprintf(path, sizeof path, "/%ld/%d%d%d/%d", at, forever, after, kill, i);
        json_t *answer = fixture_buy(fixture, 0, &(struct request){.path = path, .amount = "1000"});
        if (answer != NULL && strcmp(aegis_json_text(answer, "type", ""), "authorized") == 0) {
            aegis_text_copy(promises[count].payment, 64, aegis_json_text(answer, "payment", ""));
            aegis_text_copy(promises[count].signature, 140, aegis_json_text(answer, "signature", ""));
            fixture_outcome(fixture, 0, promises[count++].payment, i == 1 ? "unknown" : "settled");
        } else if (answer != NULL) {
            assert_string_equal(aegis_json_text(answer, "outcome", ""), "unrecorded");
        }
        json_decref(answer);
    }
    bool reached = failing.calls >= at;
    if (kill)
        fixture_kill(fixture);
    failing = (struct failing){0};
    if (kill)
        assert_true(fixture_start(fixture));
    wait_for(fixture, ledger_is_open);
    fixture_settle(fixture);
    check_promises(fixture, promises, count);
    return reached;
}

static void every_write_fails_in_turn(void **state)
{
    struct fixture *fixture = *state;
    for (int mode = 0; mode < 8; mode++) {
        long at = 1;
        while (one_failure(fixture, at, mode & 1, mode & 2, mode & 4))
            at += mode & 4 ? 5 : 3;
        assert_true(at > 10);
        fixture_verify(fixture);
    }
}

/* Killed at every point of the loop's turns while payments are under way: nothing is finished, the next one
 * starts. */
static void killed_at_every_turn(void **state)
{
    struct fixture *fixture = *state;
    struct promise promises[400];
    size_t count = 0;
    fixture->cap = 1000 * TOKEN;
    for (int turns = 0; turns < 14; turns++) {
        for (unsigned i = 0; i < 6; i++) {
            char path[40];
            snprintf(path, sizeof path, "/%d/%u", turns, i);
            fixture_authorize(fixture, i % WORKERS, &(struct request){.path = path});
        }
        for (int turn = 0; turn < turns; turn++) {
            event_base_loop(fixture->base, EVLOOP_NONBLOCK);
            for (unsigned i = 0; i < WORKERS; i++) {
                json_t *answer = end_pop(&fixture->workers[i], "authorized");
                if (answer == NULL)
                    continue;
                aegis_text_copy(promises[count].payment, 64, aegis_json_text(answer, "payment", ""));
                aegis_channel_send(fixture->workers[i].channel, &aegis_message_outcome,
                                   json_pack("{s:s,s:s,s:i}", "payment", promises[count++].payment, "state",
                                             "settled", "status", 200));
                json_decref(answer);
            }
        }
        fixture_kill(fixture);
        assert_true(fixture_start(fixture));
        check_promises(fixture, promises, count);
        fixture_verify(fixture);
    }
    assert_true(count > 10);
}

/* Stopping */

static void note_stop(void *context)
{
    *(bool *)context = true;
}

static void stops_when_nothing_is_in_flight(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    bool stopped = false;
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, payment);
    aegis_keeper_stop(fixture->keeper, note_stop, &stopped);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/b"}), "denied", "shutting_down", NULL);
    assert_false(stopped);
    fixture_outcome(fixture, 0, payment, "settled");
    assert_true(stopped);
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_SETTLED);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(without_a_judge_nothing_is_bought),
        CASE(a_judge_that_has_not_loaded_is_no_judge),
        CASE(a_judge_that_dies_denies),
        CASE(a_judge_that_is_silent_denies),
        CASE(nonsense_denies),
        CASE(impossible_facts_deny),
        CASE(facts_without_end_deny),
        CASE(every_kind_of_fact_is_answered),
        CASE(a_clock_that_jumps_ahead_stops_the_gate),
        CASE(a_clock_that_jumps_back_stops_the_gate_until_it_has_caught_up),
        CASE(a_clock_behind_the_ledger_stops_the_gate),
        CASE(small_steps_are_nothing),
        CASE(many_small_steps_are_a_jump),
        CASE(an_unwritable_ledger_stops_signing),
        CASE(outcomes_wait_for_the_ledger),
        CASE(a_ledger_that_is_gone),
        CASE(every_write_fails_in_turn),
        CASE(killed_at_every_turn),
        CASE(stops_when_nothing_is_in_flight),
    };
    failing_register();
    return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
