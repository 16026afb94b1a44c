/* The pure core: order, facts, effects, quarantine, and that the same question has the same answer. */
#include "tests/unit/judging.h"

#define BUDGET(id, daily)                                                                                    \
    "{\"id\":\"" id                                                                                          \
    "\",\"plugin\":\"budget\",\"config\":{\"limits\":[{\"chainId\":\"*\",\"token\":\"*\",\"daily\":\"" daily \
    "\"}]}}"
#define GUARD(id)  "{\"id\":\"" id "\",\"plugin\":\"guard\",\"config\":{\"methods\":[\"GET\"]}}"
#define SAMPLE(id) "{\"id\":\"" id "\",\"plugin\":\"sample\",\"config\":{\"first\":2}}"

static size_t rows(const struct aegis_evaluation *evaluation)
{
    return json_array_size(evaluation->verdicts);
}

static const char *row_text(const struct aegis_evaluation *evaluation, size_t index, const char *name)
{
    const char *text = json_string_value(json_object_get(json_array_get(evaluation->verdicts, index), name));
    return text == NULL ? "" : text;
}

static void test_order_and_end(void **state)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    (void)state;
    judging_open(&judging, "[" BUDGET("b", "1") "," GUARD("g") "," SAMPLE("s") "]");
    json_t *facts = json_object();
    judging_ask(&judging, "payment", "[\"s\",\"g\",\"b\"]",
                judging_subject("3000000", "{\"method\":\"PUT\"}"), facts, JUDGING_NOW, &evaluation);
    /* The sample denies first; nobody is asked after it. */
    assert_string_equal(judging_text(&evaluation), "deny stranger_too_expensive");
    assert_int_equal(rows(&evaluation), 1);
    aegis_evaluation_clear(&evaluation);
    judging_ask(&judging, "payment", "[\"g\",\"s\",\"b\"]", judging_subject("3000000", NULL), facts,
                JUDGING_NOW, &evaluation);
    assert_int_equal(rows(&evaluation), 2);
    assert_string_equal(row_text(&evaluation, 0, "policy"), "g");
    assert_string_equal(row_text(&evaluation, 0, "verdict"), "allow");
    assert_string_equal(row_text(&evaluation, 1, "verdict"), "deny");
    aegis_evaluation_clear(&evaluation);
    /* A policy that hangs on the key and on the gate has two rows and its effects once. */
    judging_ask(&judging, "payment", "[\"b\",\"g\",\"b\"]", judging_subject("1000000", NULL), facts,
                JUDGING_NOW, &evaluation);
    assert_string_equal(judging_text(&evaluation), "allow");
    assert_int_equal(rows(&evaluation), 3);
    assert_string_equal(row_text(&evaluation, 2, "policy"), "b");
    assert_int_equal(json_array_size(evaluation.effects), 1);
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
    judging_close(&judging);
}

static void test_all_goes_on(void **state)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    struct aegis_error error;
    (void)state;
    judging_open(&judging, "[" BUDGET("b", "1") "," GUARD("g") "]");
    json_t *facts = json_object(), *ids = judging_json("[\"g\",\"b\"]");
    json_t *subject = judging_subject("3000000", "{\"method\":\"PUT\"}");
    judging_spent(facts, "spent/agent/day/*/*", "0", "0", 0, 0);
    struct aegis_question question = {"payment", ids, subject, facts, JUDGING_NOW, true};
    assert_true(aegis_evaluate(judging.policies, &question, &evaluation, &error));
    assert_int_equal(rows(&evaluation), 2);
    assert_string_equal(evaluation.verdict, "deny");
    assert_string_equal(judging_refusal(&evaluation, "code"), "method_not_allowed");
    aegis_evaluation_clear(&evaluation);
    json_decref(ids);
    json_decref(subject);
    json_decref(facts);
    judging_close(&judging);
}

/* The facts that several policies miss are asked for in one go, each once. */
static void test_needs_are_gathered(void **state)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    (void)state;
    judging_open(&judging, "[" BUDGET("a", "1") "," BUDGET("b", "2") "," SAMPLE("s") "]");
    json_t *facts = json_object();
    judging_once(&judging, "payment", "[\"a\",\"b\",\"s\"]", judging_subject("1", NULL), facts, JUDGING_NOW,
                 &evaluation);
    assert_int_equal(json_array_size(evaluation.need), 2);
    assert_string_equal(json_string_value(json_array_get(evaluation.need, 0)), "spent/agent/day/*/*");
    assert_string_equal(json_string_value(json_array_get(evaluation.need, 1)), "spent/agent+host/total/*/*");
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
    judging_close(&judging);
}

/* I10: what is recorded is enough to reach the same verdict, in any process, at any time. */
static void test_same_facts_same_verdict(void **state)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    (void)state;
    json_t *facts = json_object();
    judging_spent(facts, "spent/agent/day/*/*", "9000000000000000000", "100000000000000000", 4,
                  JUDGING_NOW + 77);
    judging_spent(facts, "spent/agent+host/total/*/*", "1", "0", 1, 0);
    char *first = NULL;
    for (int i = 0; i < 20; i++) {
        judging_open(&judging, "[" BUDGET("b", "10") "," SAMPLE("s") "]");
        for (int j = 0; j < 5; j++) {
            judging_once(&judging, "payment", "[\"b\",\"s\"]", judging_subject("800000", NULL), facts,
                         JUDGING_NOW, &evaluation);
            json_t *whole = json_pack("{s:s,s:O,s:O}", "verdict", evaluation.verdict, "verdicts",
                                      evaluation.verdicts, "effects", evaluation.effects);
            char *text = json_dumps(whole, JSON_COMPACT);
            if (first == NULL)
                first = strdup(text);
            assert_string_equal(text, first);
            free(text);
            json_decref(whole);
            aegis_evaluation_clear(&evaluation);
            /* Something else in between must not matter. */
            judging_once(&judging, "payment", "[\"b\"]", judging_subject("99000000", NULL), facts,
                         JUDGING_NOW + j, &evaluation);
            aegis_evaluation_clear(&evaluation);
        }
        judging_close(&judging);
    }
    free(first);
    json_decref(facts);
}

/* The facts that were used are named in the row, also those that were sent without being asked for. */
static void test_rows_name_their_facts(void **state)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    (void)state;
    judging_open(&judging, "[" BUDGET("b", "10") "]");
    json_t *facts = json_object();
    judging_spent(facts, "spent/agent/day/*/*", "0", "0", 0, 0);
    judging_spent(facts, "spent/agent/week/*/*", "0", "0", 0, 0);
    judging_once(&judging, "payment", "[\"b\"]", judging_subject("1", NULL), facts, JUDGING_NOW, &evaluation);
    const json_t *used = json_object_get(json_array_get(evaluation.verdicts, 0), "facts");
    assert_int_equal(json_array_size(used), 1);
    assert_string_equal(json_string_value(json_array_get(used, 0)), "spent/agent/day/*/*");
    assert_int_equal(strlen(row_text(&evaluation, 0, "hash")), 64);
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
    judging_close(&judging);
}

/* What a policy wanted to happen because of a payment does not happen when another denies it. */
static void test_effects_of_those_who_count(void **state)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    (void)state;
    judging_open(&judging, "[" BUDGET("b", "1") "," GUARD("g") "]");
    json_t *facts = json_object();
    judging_ask(&judging, "payment", "[\"b\",\"g\"]", judging_subject("950000", NULL), facts, JUDGING_NOW,
                &evaluation);
    assert_string_equal(evaluation.verdict, "allow");
    assert_int_equal(json_array_size(evaluation.effects), 1);
    aegis_evaluation_clear(&evaluation);
    judging_ask(&judging, "payment", "[\"b\",\"g\"]", judging_subject("950000", "{\"method\":\"PUT\"}"),
                facts, JUDGING_NOW, &evaluation);
    assert_string_equal(evaluation.verdict, "deny");
    assert_int_equal(json_array_size(evaluation.effects), 0);
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
    judging_close(&judging);
}

static void test_unknown_and_quarantined(void **state)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    struct aegis_error error;
    (void)state;
    /* A plugin in quarantine is not even opened. */
    assert_true(judging_try(&judging,
                            "[{\"id\":\"q\",\"plugin\":\"misbehave\",\"config\":{\"how\":\"open_crash\"}}]",
                            "[\"q\"]", &error));
    json_t *facts = json_object();
    judging_ask(&judging, "payment", "[\"q\"]", judging_subject("1", NULL), facts, JUDGING_NOW, &evaluation);
    assert_string_equal(judging_text(&evaluation), "error policy_quarantined");
    aegis_evaluation_clear(&evaluation);
    /* It would have checked requests, so they are denied too. */
    struct aegis_request_verdict out;
    struct aegis_request request = {sizeof(request), "a", "A", "GET", "https://x/", "x", JUDGING_NOW};
    json_t *ids = judging_json("[\"q\"]");
    aegis_evaluate_request(judging.policies, ids, &request, &out);
    assert_string_equal(out.code, "policy_quarantined");
    struct aegis_outcome outcome = {.size = sizeof(outcome)};
    aegis_evaluate_observe(judging.policies, ids, &outcome);
    json_decref(ids);
    judging_ask(&judging, "payment", "[\"x\"]", judging_subject("1", NULL), facts, JUDGING_NOW, &evaluation);
    assert_string_equal(judging_text(&evaluation), "error policy_unknown");
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
    judging_close(&judging);
}

static void test_rules_of_documents(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, "[{\"id\":\"p\",\"plugin\":\"guard\",\"rules\":["
                           "{\"type\":\"allowed_chains\",\"chain_ids\":[\"eip155:8453\"]}]}]");
    judging_expect(&judging, judging_subject("1", NULL), NULL, "allow");
    judging_expect(&judging, judging_subject("1", "{\"network\":\"eip155:1\"}"), NULL,
                   "deny chain_not_allowed");
    judging_close(&judging);
    judging_open(&judging, "[{\"id\":\"p\",\"rules\":[{\"type\":\"max_spend\"}]}]");
    judging_expect(&judging, judging_subject("1", NULL), NULL, "deny rule_unknown");
    judging_close(&judging);
    judging_open(&judging, "[{\"id\":\"p\"}]");
    judging_expect(&judging, judging_subject("1", NULL), NULL, "allow");
    judging_close(&judging);
}

static void expect_malformed(const struct judging *judging, const char *operation, const char *policies,
                             json_t *subject)
{
    struct aegis_evaluation evaluation;
    struct aegis_error error = {{0}};
    json_t *ids = judging_json(policies), *facts = json_object();
    struct aegis_question question = {operation, ids, subject, facts, JUDGING_NOW, false};
    assert_false(aegis_evaluate(judging->policies, &question, &evaluation, &error));
    assert_string_equal(evaluation.verdict, "error");
    assert_true(error.text[0] != '\0');
    aegis_evaluation_clear(&evaluation);
    json_decref(ids);
    json_decref(facts);
    json_decref(subject);
}

static void test_malformed_questions(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, "[" GUARD("g") "]");
    expect_malformed(&judging, "payments", "[\"g\"]", judging_subject("1", NULL));
    expect_malformed(&judging, "payment", "[7]", judging_subject("1", NULL));
    expect_malformed(&judging, "payment", "{}", judging_subject("1", NULL));
    expect_malformed(&judging, "payment", "[\"g\"]", judging_subject("1", "{\"amount\":1}"));
    expect_malformed(&judging, "payment", "[\"g\"]", judging_subject("1", "{\"amount\":\"-1\"}"));
    expect_malformed(&judging, "payment", "[\"g\"]", judging_subject("1", "{\"host\":null}"));
    expect_malformed(&judging, "payment", "[\"g\"]", judging_subject("1", "{\"valid_before\":\"1\"}"));
    expect_malformed(&judging, "tick", "[\"g\"]", judging_json("{}"));
    expect_malformed(&judging, "customer", "[\"g\"]", judging_json("{}"));
    judging_close(&judging);
}

/* A fact that makes no sense is a failure, not a zero. */
static void test_malformed_facts(void **state)
{
    static const char *const facts[] = {
        "{}",
        "null",
        "\"0\"",
        "{\"settled\":\"0\",\"exposed\":\"0\",\"payments\":0}",
        "{\"settled\":0,\"exposed\":\"0\",\"payments\":0,\"resets_at\":0}",
        "{\"settled\":\"-1\",\"exposed\":\"0\",\"payments\":0,\"resets_at\":0}",
        "{\"settled\":\"0\",\"exposed\":\"0\",\"payments\":-1,\"resets_at\":0}",
    };
    struct judging judging;
    (void)state;
    judging_open(&judging, "[{\"id\":\"p\",\"plugin\":\"sample\",\"config\":{\"first\":2}}]");
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        json_t *json = json_object();
        json_object_set_new(json, "spent/agent+host/total/*/*", judging_json(facts[i]));
        judging_expect(&judging, judging_subject("1", NULL), json, "error policy_failed");
    }
    judging_close(&judging);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_end),           cmocka_unit_test(test_all_goes_on),
        cmocka_unit_test(test_needs_are_gathered),      cmocka_unit_test(test_same_facts_same_verdict),
        cmocka_unit_test(test_rows_name_their_facts),   cmocka_unit_test(test_effects_of_those_who_count),
        cmocka_unit_test(test_unknown_and_quarantined), cmocka_unit_test(test_rules_of_documents),
        cmocka_unit_test(test_malformed_questions),     cmocka_unit_test(test_malformed_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
