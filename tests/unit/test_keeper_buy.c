/* A purchase through the keeper: who may, what is judged, what is signed, what is recorded. The judge and the
 * workers are played by the test. */
#include "tests/unit/keeper_fixture.h"

FIXTURE_STATE

#define TOKEN ((aegis_amount)1000000000000000000u)

static void signature_is_ours(struct fixture *fixture, const json_t *answer)
{
    struct aegis_authorization authorization;
    struct aegis_error error;
    struct aegis_address asset, signer, shop;
    uint8_t digest[32], signature[AEGIS_SIGNATURE_SIZE];
    struct aegis_signer *context = aegis_signer_new();
    assert_true(aegis_authorization_parse(json_object_get(answer, "authorization"), &authorization, &error));
    assert_true(aegis_address_parse(USDC, &asset) && aegis_address_parse(SHOP, &shop));
    aegis_authorization_digest(&authorization, aegis_assets_find(fixture->keeper->assets, NETWORK, &asset),
                               digest);
    assert_true(aegis_signature_parse(aegis_json_text(answer, "signature", ""), signature));
    assert_true(aegis_signer_recover(context, digest, signature, &signer));
    assert_true(aegis_address_equal(&signer, &fixture->address));
    assert_true(aegis_address_equal(&authorization.from, &fixture->address));
    assert_true(aegis_address_equal(&authorization.to, &shop));
    assert_true(authorization.value == 1000000);
    assert_int_equal(authorization.valid_after, 0);
    assert_int_equal(authorization.valid_before, fixture_wall / 1000 + 60);
    aegis_signer_free(&context);
}

static void a_purchase(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    json_t *answer = fixture_buy(fixture, 0, &(struct request){.path = "/a"});
    assert_string_equal(aegis_json_text(answer, "type", ""), "authorized");
    assert_false(aegis_json_boolean(answer, "repeated", true));
    signature_is_ours(fixture, answer);
    fixture_expect(answer, "authorized", NULL, payment);
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_SIGNED);
    fixture_outcome(fixture, 0, payment, "settled");
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_SETTLED);
    assert_int_equal(aegis_payments_count(fixture->keeper->payments), 0);
    assert_int_equal(end_count(&fixture->judge, "observe"), 1);
    assert_int_equal(fixture_entries(fixture, "agent", NULL), 1);
    assert_int_equal(fixture_entries(fixture, "policy", NULL), 2);
    struct aegis_books_sum sum = fixture_spent(fixture);
    assert_true(sum.settled == TOKEN && sum.exposed == 0);
}

/* I1: at the moment the worker has the signature, the reservation is in the file. The order in it is the
 * order of the chain: decided, reserved, signed. */
static void durable_before_it_leaves(void **state)
{
    struct fixture *fixture = *state;
    json_t *decision, *reserved, *written;
    json_t *answer = fixture_buy(fixture, 0, &(struct request){.path = "/a"});
    assert_int_equal(fixture_entries(fixture, "decision", &decision), 1);
    assert_int_equal(fixture_entries(fixture, "reserved", &reserved), 1);
    assert_int_equal(fixture_entries(fixture, "signed", &written), 1);
    assert_true(aegis_json_integer(decision, "seq", 0) < aegis_json_integer(reserved, "seq", 0));
    assert_true(aegis_json_integer(reserved, "seq", 0) < aegis_json_integer(written, "seq", 0));
    assert_string_equal(aegis_json_text(json_object_get(written, "body"), "signature", ""),
                        aegis_json_text(answer, "signature", ""));
    assert_true(json_equal(json_object_get(json_object_get(reserved, "body"), "authorization"),
                           json_object_get(answer, "authorization")));
    /* I10: what was judged, and with which facts. */
    json_t *body = json_object_get(decision, "body");
    assert_string_equal(aegis_json_text(body, "outcome", ""), "allowed");
    assert_non_null(json_object_get(json_object_get(body, "facts"), "spent/agent/day/*/*"));
    assert_string_equal(aegis_json_text(json_object_get(body, "subject"), "pay_to", ""), SHOP);
    assert_string_equal(aegis_json_text(json_object_get(body, "subject"), "scaled", ""),
                        "1000000000000000000");
    json_decref(decision);
    json_decref(reserved);
    json_decref(written);
    json_decref(answer);
}

static void nonces_are_fresh(void **state)
{
    struct fixture *fixture = *state;
    json_t *a = fixture_buy(fixture, 0, &(struct request){.path = "/a", .amount = "1"});
    json_t *b = fixture_buy(fixture, 0, &(struct request){.path = "/a", .amount = "1"});
    assert_string_not_equal(aegis_json_text(json_object_get(a, "authorization"), "nonce", ""),
                            aegis_json_text(json_object_get(b, "authorization"), "nonce", ""));
    json_decref(a);
    json_decref(b);
}

/* Who */

static json_t *identify(struct fixture *fixture, const char *token)
{
    json_t *body = json_pack("{s:i,s:s}", "id", 7, "listener", "agents");
    if (token != NULL)
        json_object_set_new(body, "token", json_string(token));
    assert_true(aegis_channel_send(fixture->workers[0].channel, &aegis_message_identify, body));
    fixture_settle(fixture);
    return end_pop(&fixture->workers[0], "identified");
}

static void identifies(void **state)
{
    struct fixture *fixture = *state;
    json_t *answer = identify(fixture, fixture->token);
    assert_true(aegis_json_boolean(answer, "ok", false));
    assert_string_equal(aegis_json_text(answer, "agent", ""), fixture->agent);
    assert_string_equal(aegis_json_text(answer, "agent_name", ""), "shopper");
    json_t *policies = json_object_get(answer, "request_policies");
    assert_int_equal(json_array_size(policies), 1);
    assert_string_equal(json_string_value(json_array_get(policies, 0)), "guard");
    json_decref(answer);
}

static void knows_nobody_else(void **state)
{
    struct fixture *fixture = *state;
    char other[80];
    strcpy(other, fixture->token);
    other[70] = other[70] == 'a' ? 'b' : 'a';
    const char *tokens[] = {other, "", "ows_key_", NULL};
    for (size_t i = 0; i < 4; i++) {
        json_t *answer = identify(fixture, tokens[i]);
        assert_false(aegis_json_boolean(answer, "ok", true));
        assert_string_equal(aegis_json_text(answer, "code", ""), "agent_unknown");
        json_decref(answer);
    }
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a", .token = other}), "denied",
                   "agent_unknown", NULL);
    /* Nobody who has no token can fill the ledger. */
    assert_int_equal(aegis_ledger_seq(fixture->keeper->ledger), 0);
}

static void keys_expire(void **state)
{
    struct fixture *fixture = *state;
    fixture_pass(1763900000000 - fixture_wall + 1);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "denied", "key_expired", NULL);
    assert_int_equal(fixture_entries(fixture, "decision", NULL), 1);
    assert_int_equal(fixture_entries(fixture, "signed", NULL), 0);
}

static void deleted_keys_are_dead_at_once(void **state)
{
    struct fixture *fixture = *state;
    json_decref(fixture_buy(fixture, 0, &(struct request){.path = "/a"}));
    fixture_shell(aegis_format("rm '%s'/keys/*.json", fixture->folder));
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/b"}), "denied", "agent_unknown", NULL);
}

static void a_missing_wallet_fails(void **state)
{
    struct fixture *fixture = *state;
    fixture_shell(aegis_format("rm '%s'/wallets/*.json", fixture->folder));
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "denied", "wallet_unavailable",
                   NULL);
    json_t *decision;
    assert_int_equal(fixture_entries(fixture, "decision", &decision), 1);
    assert_string_equal(aegis_json_text(json_object_get(decision, "body"), "outcome", ""), "failed");
    json_decref(decision);
}

/* What the policies say */

static void a_denial_says_why(void **state)
{
    struct fixture *fixture = *state;
    fixture->cap = TOKEN / 2;
    json_t *decision, *answer = fixture_buy(fixture, 0, &(struct request){.path = "/a"});
    assert_string_equal(aegis_json_text(answer, "outcome", ""), "denied");
    assert_string_equal(aegis_json_text(answer, "policy", ""), "budget");
    assert_string_equal(aegis_json_text(answer, "limit", ""), "10");
    assert_false(aegis_json_boolean(answer, "signed", true));
    assert_int_equal(fixture_entries(fixture, "decision", &decision), 1);
    assert_string_equal(aegis_json_text(decision, "payment", ""), aegis_json_text(answer, "decision", ""));
    assert_string_equal(aegis_json_text(json_object_get(decision, "body"), "code", ""),
                        "daily_limit_exceeded");
    json_decref(decision);
    fixture_expect(answer, "denied", "daily_limit_exceeded", NULL);
    assert_int_equal(fixture_entries(fixture, "reserved", NULL), 0);
    assert_int_equal(aegis_counters_tentative(fixture->keeper->counters), 0);
}

static void holds_and_failures_deny(void **state)
{
    static const char *const cases[][3] = {{"hold", "held", "approval_required"},
                                           {"error", "failed", "some_code"}};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        fixture->fixed = cases[i][0];
        json_t *answer = fixture_buy(fixture, 0, &(struct request){.path = "/a"});
        assert_string_equal(aegis_json_text(answer, "outcome", ""), cases[i][1]);
        fixture_expect(answer, "denied", cases[i][2], NULL);
    }
    assert_int_equal(fixture_entries(fixture, "decision", NULL), 2);
    assert_int_equal(fixture_entries(fixture, "signed", NULL), 0);
}

/* Candidates */

static json_t *candidates(const json_t *first, const json_t *second)
{
    json_t *all = json_array();
    json_array_append_new(all, (json_t *)first);
    if (second != NULL)
        json_array_append_new(all, (json_t *)second);
    return all;
}

static void takes_the_first_that_is_allowed(void **state)
{
    struct fixture *fixture = *state;
    json_t *decision;
    fixture->deny_payee = OTHER;
    json_t *answer =
        fixture_buy(fixture, 0,
                    &(struct request){.path = "/a",
                                      .candidates = candidates(fixture_candidate(3, "500000", OTHER),
                                                               fixture_candidate(5, "700000", SHOP))});
    assert_int_equal(aegis_json_integer(answer, "index", -1), 5);
    assert_string_equal(aegis_json_text(json_object_get(answer, "authorization"), "value", ""), "700000");
    assert_string_equal(aegis_json_text(json_object_get(answer, "authorization"), "to", ""), SHOP);
    fixture_expect(answer, "authorized", NULL, NULL);
    fixture_entries(fixture, "decision", &decision);
    json_t *passed = json_object_get(json_object_get(decision, "body"), "passed_over");
    assert_int_equal(json_array_size(passed), 1);
    assert_int_equal(aegis_json_integer(json_array_get(passed, 0), "candidate", -1), 3);
    assert_int_equal(aegis_json_integer(json_object_get(decision, "body"), "candidate", -1), 5);
    json_decref(decision);
    assert_true(fixture_spent(fixture).exposed == TOKEN * 7 / 10);
}

static void answers_with_the_first_denial(void **state)
{
    struct fixture *fixture = *state;
    fixture->deny_payee = OTHER;
    fixture->cap = TOKEN / 10;
    fixture_expect(
        fixture_buy(fixture, 0,
                    &(struct request){.path = "/a",
                                      .candidates = candidates(fixture_candidate(0, "500000", OTHER),
                                                               fixture_candidate(1, "700000", SHOP))}),
        "denied", "payee_blocked", NULL);
    assert_int_equal(fixture_entries(fixture, "decision", NULL), 1);
    assert_int_equal(aegis_counters_tentative(fixture->keeper->counters), 0);
}

static void refuses_what_cannot_be_met(void **state)
{
    struct fixture *fixture = *state;
    json_t *unknown = fixture_candidate(0, "1", SHOP), *elsewhere = fixture_candidate(0, "1", SHOP);
    json_object_set_new(unknown, "asset", json_string(OTHER));
    json_object_set_new(elsewhere, "network", json_string("solana:mainnet"));
    const struct {
        json_t *candidates;
        const char *code;
    } cases[] = {
        {candidates(unknown, NULL), "asset_unknown"},
        {candidates(elsewhere, NULL), "network_unsupported"},
        {candidates(fixture_candidate(0, "0", SHOP), NULL), "no_acceptable_requirement"},
        {candidates(fixture_candidate(0, "340282366920938463463374607431768211455", SHOP), NULL),
         "no_acceptable_requirement"},
        {candidates(fixture_candidate(0, "79228162514264337593543950336", SHOP), NULL),
         "no_acceptable_requirement"},
        {candidates(fixture_candidate(0, "1", "0x0000000000000000000000000000000000000000"), NULL),
         "no_acceptable_requirement"},
        {json_array(), "no_acceptable_requirement"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        fixture_expect(
            fixture_buy(fixture, 0, &(struct request){.path = "/a", .candidates = cases[i].candidates}),
            "denied", cases[i].code, NULL);
    assert_int_equal(fixture_entries(fixture, "decision", NULL), 7);
    assert_int_equal(end_count(&fixture->judge, "judge"), 0);
}

/* I9: the largest amount that is taken is summed exactly, and a second one does not wrap. */
static void the_largest_amount_is_exact(void **state)
{
    struct fixture *fixture = *state;
    const char *largest = "79228162514264337"; /* the last whole atomic unit below 2^96 scaled */
    fixture->fixed = "allow";
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a", .amount = largest}), "authorized",
                   NULL, NULL);
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/b", .amount = largest}), "authorized",
                   NULL, NULL);
    assert_true(fixture_spent(fixture).exposed == (aegis_amount)79228162514264337u * 1000000000000u * 2);
}

static void malformed_candidates_cost_the_channel(void **state)
{
    struct fixture *fixture = *state;
    json_t *bad = fixture_candidate(0, "1", "0x1");
    fixture_authorize(fixture, 0, &(struct request){.path = "/a", .candidates = candidates(bad, NULL)});
    fixture_settle(fixture);
    assert_true(fixture->workers[0].closed);
    fixture_expect(fixture_buy(fixture, 1, &(struct request){.path = "/a"}), "authorized", NULL, NULL);
}

/* Version 1 wants a beginning in the past; the seller's time limit counts when it is shorter than ours. */
static void lifetimes(void **state)
{
    struct fixture *fixture = *state;
    json_t *candidate = fixture_candidate(0, "1", SHOP);
    json_object_set_new(candidate, "max_timeout_seconds", json_integer(7));
    json_t *answer =
        fixture_buy(fixture, 0, &(struct request){.path = "/a", .candidates = candidates(candidate, NULL)});
    json_t *authorization = json_object_get(answer, "authorization");
    assert_int_equal(strtoll(aegis_json_text(authorization, "validBefore", ""), NULL, 10),
                     fixture_wall / 1000 + 7);
    json_decref(answer);
}

/* Many at once: 64 are asked for in one turn, there is room for exactly 10, and the judge does not even know
 * yet which facts it wants. The answers come in order, backwards, or shuffled. */
static void side_by_side(struct fixture *fixture, int order)
{
    size_t authorized = 0, denied = 0;
    fixture->judge_hold_back = order != 0;
    for (int i = 0; i < 64; i++) {
        char path[20];
        snprintf(path, sizeof path, "/%d/%d", order, i);
        fixture_authorize(fixture, (unsigned)i % WORKERS, &(struct request){.path = path});
    }
    fixture_settle(fixture);
    for (int round = 0; round < 8 && order != 0; round++) {
        json_t *questions = fixture->held_questions;
        size_t count = json_array_size(questions);
        for (size_t i = 0; i < count; i++) {
            size_t j = order == 1 ? count - 1 - i : i + randombytes_uniform((uint32_t)(count - i));
            if (order == 1 && j <= i)
                break;
            json_t *a = json_incref(json_array_get(questions, i)),
                   *b = json_incref(json_array_get(questions, j));
            json_array_set_new(questions, i, b);
            json_array_set_new(questions, j, a);
        }
        judge_answer_all(fixture);
        fixture_settle(fixture);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        authorized += end_count(&fixture->workers[i], "authorized");
        denied += end_count(&fixture->workers[i], "denied");
    }
    assert_int_equal(authorized, 10);
    assert_int_equal(denied, 54);
    assert_true(fixture_spent(fixture).exposed == 10 * TOKEN);
    assert_int_equal(aegis_counters_tentative(fixture->keeper->counters), 0);
}

static void room_for_ten_in_order(void **state)
{
    side_by_side(*state, 0);
}

static void room_for_ten_backwards(void **state)
{
    side_by_side(*state, 1);
}

static void room_for_ten_shuffled(void **state)
{
    side_by_side(*state, 2);
}

/* Verdicts of one turn share a transaction. */
static void commits_in_groups(void **state)
{
    struct fixture *fixture = *state;
    end_open(fixture, &fixture->courier, "courier", 0, end_courier_rules);
    fixture->fixed = "allow";
    fixture->judge_hold_back = true;
    for (int i = 0; i < 8; i++) {
        char path[20];
        snprintf(path, sizeof path, "/%d", i);
        fixture_authorize(fixture, 0, &(struct request){.path = path});
    }
    fixture_settle(fixture);
    assert_int_equal(end_count(&fixture->workers[0], "authorized"), 0);
    judge_answer_all(fixture);
    fixture_settle(fixture);
    assert_int_equal(end_count(&fixture->workers[0], "authorized"), 8);
    assert_int_equal(end_count(&fixture->courier, "grew"), 1);
    assert_int_equal(fixture_entries(fixture, "signed", NULL), 8);
}

/* Outcomes */

static void only_the_worker_that_was_given_it_reports(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/a"}), "authorized", NULL, payment);
    fixture_outcome(fixture, 1, payment, "settled");
    assert_true(fixture->workers[1].closed);
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_SIGNED);
    fixture_outcome(fixture, 0, payment, "settled");
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_SETTLED);
    fixture_outcome(fixture, 0, payment, "refused");
    assert_true(fixture->workers[0].closed);
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_SETTLED);
}

/* I3: whatever the seller says, the money stays counted. */
static void nobodys_word_gives_money_back(void **state)
{
    static const char *const words[] = {"refused", "unknown", "delivered"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 3; i++) {
        char payment[64], path[20];
        snprintf(path, sizeof path, "/%zu", i);
        fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = path}), "authorized", NULL, payment);
        fixture_outcome(fixture, 0, payment, words[i]);
        assert_string_equal(aegis_payment_state_name(fixture_state(fixture, payment)), words[i]);
        assert_true(fixture_spent(fixture).exposed == (i + 1) * TOKEN);
    }
    fixture_pass(3600000);
    fixture->cap = 3 * TOKEN;
    fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = "/new"}), "denied",
                   "daily_limit_exceeded", NULL);
}

static void a_settlement_of_something_else_is_none(void **state)
{
    static const char *const fields[][2] = {
        {"network", "eip155:1"}, {"payer", SHOP}, {"amount", "1"}, {"payer", "x"}};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 4; i++) {
        char payment[64], path[20];
        snprintf(path, sizeof path, "/%zu", i);
        fixture_expect(fixture_buy(fixture, 0, &(struct request){.path = path}), "authorized", NULL, payment);
        json_t *body = json_pack("{s:s,s:s,s:i,s:s}", "payment", payment, "state", "settled", "status", 200,
                                 fields[i][0], fields[i][1]);
        aegis_channel_send(fixture->workers[0].channel, &aegis_message_outcome, body);
        fixture_settle(fixture);
        assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_UNKNOWN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(a_purchase),
        FIXTURE_CASE(durable_before_it_leaves),
        FIXTURE_CASE(nonces_are_fresh),
        FIXTURE_CASE(identifies),
        FIXTURE_CASE(knows_nobody_else),
        FIXTURE_CASE(keys_expire),
        FIXTURE_CASE(deleted_keys_are_dead_at_once),
        FIXTURE_CASE(a_missing_wallet_fails),
        FIXTURE_CASE(a_denial_says_why),
        FIXTURE_CASE(holds_and_failures_deny),
        FIXTURE_CASE(takes_the_first_that_is_allowed),
        FIXTURE_CASE(answers_with_the_first_denial),
        FIXTURE_CASE(refuses_what_cannot_be_met),
        FIXTURE_CASE(the_largest_amount_is_exact),
        FIXTURE_CASE(malformed_candidates_cost_the_channel),
        FIXTURE_CASE(lifetimes),
        FIXTURE_CASE(room_for_ten_in_order),
        FIXTURE_CASE(room_for_ten_backwards),
        FIXTURE_CASE(room_for_ten_shuffled),
        FIXTURE_CASE(commits_in_groups),
        FIXTURE_CASE(only_the_worker_that_was_given_it_reports),
        FIXTURE_CASE(nobodys_word_gives_money_back),
        FIXTURE_CASE(a_settlement_of_something_else_is_none),
    };
    return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
