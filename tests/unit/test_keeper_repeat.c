/* One logical request, one authorization (I7), and what becomes of payments whose worker, gate or seller fell
 * silent. */
#include "tests/unit/keeper_fixture.h"

FIXTURE_STATE

#define TOKEN ((aegis_amount)1000000000000000000u)

/* Buys `path`, reports `outcome` (NULL: nothing) and returns the answer. */
static json_t *bought(struct fixture *fixture, unsigned worker, const char *path, const char *key,
                      const char *outcome, char payment[64])
{
    json_t *answer = fixture_buy(fixture, worker, &(struct request){.path = path, .key = key});
    if (strcmp(aegis_json_text(answer, "type", ""), "authorized") != 0)
        fail_msg("not authorized: %s", aegis_json_text(answer, "code", ""));
    aegis_text_copy(payment, 64, aegis_json_text(answer, "payment", ""));
    if (outcome != NULL)
        fixture_outcome(fixture, worker, payment, outcome);
    return answer;
}

static void same_authorization(const json_t *a, const json_t *b)
{
    assert_true(aegis_json_boolean(b, "repeated", false));
    assert_string_equal(aegis_json_text(a, "payment", ""), aegis_json_text(b, "payment", ""));
    assert_string_equal(aegis_json_text(a, "signature", ""), aegis_json_text(b, "signature", ""));
    assert_true(json_equal(json_object_get(a, "authorization"), json_object_get(b, "authorization")));
}

static void an_unknown_outcome_is_repeated(void **state)
{
    static const char *const outcomes[] = {"unknown", "refused"};
    static const char *const keys[] = {NULL, "order-1"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 4; i++) {
        char payment[64], path[20];
        snprintf(path, sizeof path, "/%zu", i);
        char *key = keys[i / 2] == NULL ? NULL : aegis_format("%s%zu", keys[i / 2], i);
        json_t *first = bought(fixture, 0, path, key, outcomes[i % 2], payment);
        fixture_pass(10000);
        json_t *second = fixture_buy(fixture, 1, &(struct request){.path = path, .key = key});
        same_authorization(first, second);
        assert_int_equal(fixture_entries(fixture, "reserved", NULL), i + 1);
        assert_int_equal(fixture_entries(fixture, "repeated", NULL), i + 1);
        fixture_outcome(fixture, 1, payment, "settled");
        assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_SETTLED);
        json_decref(first);
        json_decref(second);
        free(key);
    }
    assert_true(fixture_spent(fixture).settled == 4 * TOKEN);
}

static void a_repetition_can_fail_again(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    json_t *first = bought(fixture, 0, "/a", NULL, "unknown", payment);
    for (int i = 0; i < 5; i++) {
        json_t *again = fixture_buy(fixture, (unsigned)i % WORKERS, &(struct request){.path = "/a"});
        same_authorization(first, again);
        json_decref(again);
        fixture_outcome(fixture, (unsigned)i % WORKERS, payment, i % 2 ? "unknown" : "refused");
    }
    assert_true(fixture_spent(fixture).exposed == TOKEN);
    json_decref(first);
}

static void after_settlement_it_is_a_new_purchase(void **state)
{
    static const char *const outcomes[] = {"settled", "delivered"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        char payment[64], other[64];
        json_decref(bought(fixture, 0, "/a", NULL, outcomes[i], payment));
        json_decref(bought(fixture, 0, "/a", NULL, outcomes[i], other));
        assert_string_not_equal(payment, other);
    }
}

static void side_by_side_without_a_key_are_two_purchases(void **state)
{
    struct fixture *fixture = *state;
    char payment[64], other[64];
    json_decref(bought(fixture, 0, "/a", NULL, NULL, payment));
    json_decref(bought(fixture, 1, "/a", NULL, NULL, other));
    assert_string_not_equal(payment, other);
    /* One is lost and asked for again, while the other is still under way. */
    fixture_outcome(fixture, 0, payment, "unknown");
    json_t *again = fixture_buy(fixture, 2, &(struct request){.path = "/a"});
    assert_string_equal(aegis_json_text(again, "payment", ""), payment);
    json_decref(again);
    /* While that repetition is under way the next one is a purchase of its own. */
    json_t *third = fixture_buy(fixture, 2, &(struct request){.path = "/a"});
    assert_false(aegis_json_boolean(third, "repeated", true));
    json_decref(third);
}

static void another_price_is_not_paid_while_the_first_is_open(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    json_decref(bought(fixture, 0, "/a", NULL, "unknown", payment));
    json_t *answer = fixture_buy(fixture, 0, &(struct request){.path = "/a", .amount = "1000001"});
    assert_in_range(aegis_json_integer(answer, "retry_after_ms", 0), 80000, 90000);
    fixture_expect(answer, "denied", "previous_payment_unresolved", NULL);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a", .payee = OTHER}), "denied",
                   "previous_payment_unresolved", NULL);
    /* Past its end and the grace it blocks nothing any more; it still counts. */
    fixture_pass(90000);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a", .amount = "1000001"}), "denied",
                   "previous_payment_unresolved", NULL);
    fixture_pass(1000);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a", .amount = "1000001"}),
                   "authorized", NULL, NULL);
    assert_true(fixture_spent(fixture).exposed == 2 * TOKEN + TOKEN / 1000000);
}

static void other_agents_other_requests(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    json_decref(bought(fixture, 0, "/a", NULL, "unknown", payment));
    json_t *answer = fixture_buy(fixture, 0, &(struct request){.path = "/b"});
    assert_false(aegis_json_boolean(answer, "repeated", true));
    json_decref(answer);
}

/* The table of what an explicit key means. */
static void explicit_keys(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    /* in flight */
    json_t *first = bought(fixture, 0, "/a", "k", NULL, payment);
    fixture_expect(fixture_buy(fixture, 1, &(struct request){.path = "/a", .key = "k"}), "denied",
                   "idempotency_key_in_use", NULL);
    fixture_expect(fixture_buy(fixture, 1, &(struct request){.path = "/b", .key = "k"}), "denied",
                   "idempotency_key_reused", NULL);
    /* settled: the same payload again, for a day */
    fixture_outcome(fixture, 0, payment, "settled");
    json_t *again = fixture_buy(fixture, 1, &(struct request){.path = "/a", .key = "k"});
    same_authorization(first, again);
    assert_string_equal(aegis_json_text(again, "state", ""), "settled");
    json_decref(again);
    fixture_outcome(fixture, 1, payment, "refused");
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_SETTLED);
    /* another request, or another price, under the same key */
    fixture_expect(fixture_buy(fixture, 1, &(struct request){.path = "/b", .key = "k"}), "denied",
                   "idempotency_key_reused", NULL);
    fixture_expect(fixture_buy(fixture, 1, &(struct request){.path = "/a", .key = "k", .amount = "5"}),
                   "denied", "idempotency_key_reused", NULL);
    /* a day later the key is forgotten */
    fixture_pass(86400001);
    json_t *fresh = fixture_buy(fixture, 1, &(struct request){.path = "/b", .key = "k"});
    assert_false(aegis_json_boolean(fresh, "repeated", true));
    json_decref(fresh);
    json_decref(first);
}

static void explicit_keys_survive_a_restart(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    json_t *first = bought(fixture, 0, "/a", "k", "delivered", payment);
    fixture_kill(fixture);
    assert_true(fixture_start(fixture));
    json_t *again = fixture_buy(fixture, 0, &(struct request){.path = "/a", .key = "k"});
    same_authorization(first, again);
    fixture_outcome(fixture, 0, payment, "settled");
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_SETTLED);
    json_decref(first);
    json_decref(again);
}

static void a_key_is_in_use_while_it_is_being_judged(void **state)
{
    struct fixture *fixture = *state;
    fixture->judge_hold_back = true;
    fixture_authorize(fixture, 0, &(struct request){.path = "/a", .key = "k"});
    fixture_settle(fixture);
    fixture_expect(fixture_buy(fixture, 1, &(struct request){.path = "/a", .key = "k"}), "denied",
                   "idempotency_key_in_use", NULL);
    fixture->judge_hold_back = false;
    judge_answer_all(fixture);
    fixture_settle(fixture);
    assert_int_equal(end_count(&fixture->workers[0], "authorized"), 1);
    /* A denial frees the key. */
    fixture->fixed = "deny";
    fixture_expect(fixture_buy(fixture, 1, &(struct request){.path = "/c", .key = "k2"}), "denied",
                   "some_code", NULL);
    fixture->fixed = "allow";
    fixture_expect(fixture_buy(fixture, 1, &(struct request){.path = "/c", .key = "k2"}), "authorized", NULL,
                   NULL);
}

/* Silence */

static void a_dead_worker_leaves_its_payments_unknown(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    json_t *first = bought(fixture, 0, "/a", NULL, NULL, payment);
    end_close(&fixture->workers[0]);
    fixture_settle(fixture);
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_UNKNOWN);
    json_t *again = fixture_buy(fixture, 1, &(struct request){.path = "/a"});
    same_authorization(first, again);
    json_decref(first);
    json_decref(again);
}

static void a_replaced_worker_is_a_dead_one(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    json_decref(bought(fixture, 0, "/a", NULL, NULL, payment));
    end_open(fixture, &fixture->workers[0], "worker", 0, end_worker_rules);
    fixture_settle(fixture);
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_UNKNOWN);
    /* The new one was never given it. */
    fixture_outcome(fixture, 0, payment, "settled");
    assert_true(fixture->workers[0].closed);
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_UNKNOWN);
}

static void nothing_is_signed_for_a_worker_that_died(void **state)
{
    struct fixture *fixture = *state;
    fixture->judge_hold_back = true;
    fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
    fixture_settle(fixture);
    end_close(&fixture->workers[0]);
    fixture_settle(fixture);
    fixture->judge_hold_back = false;
    judge_answer_all(fixture);
    fixture_settle(fixture);
    assert_int_equal(fixture_entries(fixture, "signed", NULL), 0);
    assert_int_equal(aegis_counters_tentative(fixture->keeper->counters), 0);
    assert_int_equal(fixture->keeper->asks_count, 0);
}

/* The worker dies in the same turn in which the verdict comes: the payment may be written, but then it is
 * unknown. */
static void a_worker_that_dies_with_the_verdict(void **state)
{
    struct fixture *fixture = *state;
    fixture->judge_hold_back = true;
    fixture_authorize(fixture, 0, &(struct request){.path = "/a"});
    fixture_settle(fixture);
    fixture->judge_hold_back = false;
    judge_answer_all(fixture);
    end_close(&fixture->workers[0]);
    fixture_settle(fixture);
    assert_int_equal(fixture_entries(fixture, "signed", NULL), fixture_entries(fixture, "unknown", NULL));
    assert_int_equal(fixture->keeper->asks_count, 0);
    assert_int_equal(aegis_counters_tentative(fixture->keeper->counters), 0);
}

static void a_restart_leaves_payments_unknown(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    json_t *first = bought(fixture, 0, "/a", NULL, NULL, payment);
    fixture_kill(fixture);
    assert_true(fixture_start(fixture));
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_UNKNOWN);
    fixture_pass(20000);
    json_t *again = fixture_buy(fixture, 1, &(struct request){.path = "/a"});
    same_authorization(first, again);
    assert_true(fixture_spent(fixture).exposed == TOKEN);
    json_decref(first);
    json_decref(again);
}

/* I2 over a restart: what was spent before is counted after. */
static void caps_hold_over_a_restart(void **state)
{
    struct fixture *fixture = *state;
    fixture->cap = 3 * TOKEN;
    char payment[64];
    json_decref(bought(fixture, 0, "/a", NULL, "settled", payment));
    json_decref(bought(fixture, 0, "/b", NULL, "refused", payment));
    fixture_kill(fixture);
    assert_true(fixture_start(fixture));
    json_decref(bought(fixture, 0, "/c", NULL, NULL, payment));
    fixture_expect(fixture_buy(fixture, 1, &(struct request){.path = "/d"}), "denied", "daily_limit_exceeded",
                   NULL);
}

/* Proofs */

static void prove(struct fixture *fixture, const char *payment, const char *kind, int64_t block_time)
{
    json_t *body = json_pack("{s:s,s:s,s:i,s:I}", "payment", payment, "kind", kind, "block", 100,
                             "block_time", (json_int_t)block_time);
    if (strcmp(kind, "expired") != 0)
        json_object_set_new(body, "transaction", json_string("0xabc"));
    assert_true(aegis_channel_send(fixture->witness.channel, &aegis_message_proof, body));
    fixture_settle(fixture);
}

static void only_proof_gives_money_back(void **state)
{
    struct fixture *fixture = *state;
    char payment[3][64];
    end_open(fixture, &fixture->witness, "witness", 0, end_witness_rules);
    for (size_t i = 0; i < 3; i++) {
        char path[20];
        snprintf(path, sizeof path, "/%zu", i);
        json_decref(bought(fixture, 0, path, NULL,
                           i == 0   ? "unknown"
                           : i == 1 ? "refused"
                                    : "delivered",
                           payment[i]));
    }
    assert_int_equal(end_count(&fixture->witness, "watch"), 3);
    int64_t end = fixture_wall / 1000 + 60;
    prove(fixture, payment[0], "expired", end + 1);
    assert_int_equal(fixture_state(fixture, payment[0]), AEGIS_PAYMENT_EXPIRED);
    prove(fixture, payment[1], "cancelled", end - 30);
    assert_int_equal(fixture_state(fixture, payment[1]), AEGIS_PAYMENT_CANCELLED);
    prove(fixture, payment[2], "transferred", end - 30);
    assert_int_equal(fixture_state(fixture, payment[2]), AEGIS_PAYMENT_SETTLED);
    struct aegis_books_sum sum = fixture_spent(fixture);
    assert_true(sum.exposed == 0 && sum.settled == TOKEN && sum.payments == 1);
    fixture->cap = 2 * TOKEN;
    json_decref(bought(fixture, 0, "/more", NULL, NULL, payment[0]));
    /* A second proof about the same finds nothing to move. */
    prove(fixture, payment[1], "expired", end + 1);
    assert_int_equal(fixture_state(fixture, payment[1]), AEGIS_PAYMENT_CANCELLED);
}

static void a_proof_that_proves_nothing_costs_the_channel(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    end_open(fixture, &fixture->witness, "witness", 0, end_witness_rules);
    json_decref(bought(fixture, 0, "/a", NULL, "unknown", payment));
    prove(fixture, payment, "expired", fixture_wall / 1000 + 60);
    assert_true(fixture->witness.closed);
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_UNKNOWN);
    /* The next witness is asked again. */
    end_open(fixture, &fixture->witness, "witness", 0, end_witness_rules);
    fixture_settle(fixture);
    assert_int_equal(end_count(&fixture->witness, "watch"), 1);
    prove(fixture, "pay_never_heard_of", "expired", INT32_MAX);
    prove(fixture, payment, "nonsense", INT32_MAX);
    assert_true(fixture->witness.closed);
}

static void what_was_open_is_watched_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    json_decref(bought(fixture, 0, "/a", NULL, "unknown", payment));
    json_decref(bought(fixture, 0, "/b", NULL, "settled", payment));
    json_decref(bought(fixture, 0, "/c", NULL, NULL, payment));
    fixture_pass(7200000);
    fixture_kill(fixture);
    assert_true(fixture_start(fixture));
    end_open(fixture, &fixture->witness, "witness", 0, end_witness_rules);
    fixture_settle(fixture);
    assert_int_equal(end_count(&fixture->witness, "watch"), 2);
    prove(fixture, payment, "expired", fixture_wall / 1000);
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_EXPIRED);
    assert_int_equal(aegis_payments_count(fixture->keeper->payments), 0);
}

static void a_late_settlement_ends_the_watch(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    end_open(fixture, &fixture->witness, "witness", 0, end_witness_rules);
    json_decref(bought(fixture, 0, "/a", NULL, "unknown", payment));
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/a"}));
    fixture_outcome(fixture, 0, payment, "settled");
    assert_int_equal(end_count(&fixture->witness, "unwatch"), 1);
}

/* The chain proves it while the repetition is under way: the seller's word comes too late. */
static void proof_against_word(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    end_open(fixture, &fixture->witness, "witness", 0, end_witness_rules);
    json_decref(bought(fixture, 0, "/a", NULL, "unknown", payment));
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/a"}));
    prove(fixture, payment, "transferred", fixture_wall / 1000);
    fixture_outcome(fixture, 0, payment, "refused");
    assert_false(fixture->workers[0].closed);
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_SETTLED);
    assert_int_equal(aegis_payments_count(fixture->keeper->payments), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(an_unknown_outcome_is_repeated),
        FIXTURE_CASE(a_repetition_can_fail_again),
        FIXTURE_CASE(after_settlement_it_is_a_new_purchase),
        FIXTURE_CASE(side_by_side_without_a_key_are_two_purchases),
        FIXTURE_CASE(another_price_is_not_paid_while_the_first_is_open),
        FIXTURE_CASE(other_agents_other_requests),
        FIXTURE_CASE(explicit_keys),
        FIXTURE_CASE(explicit_keys_survive_a_restart),
        FIXTURE_CASE(a_key_is_in_use_while_it_is_being_judged),
        FIXTURE_CASE(a_dead_worker_leaves_its_payments_unknown),
        FIXTURE_CASE(a_replaced_worker_is_a_dead_one),
        FIXTURE_CASE(nothing_is_signed_for_a_worker_that_died),
        FIXTURE_CASE(a_worker_that_dies_with_the_verdict),
        FIXTURE_CASE(a_restart_leaves_payments_unknown),
        FIXTURE_CASE(caps_hold_over_a_restart),
        FIXTURE_CASE(only_proof_gives_money_back),
        FIXTURE_CASE(a_proof_that_proves_nothing_costs_the_channel),
        FIXTURE_CASE(what_was_open_is_watched_after_a_restart),
        FIXTURE_CASE(a_late_settlement_ends_the_watch),
        FIXTURE_CASE(proof_against_word),
    };
    return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
