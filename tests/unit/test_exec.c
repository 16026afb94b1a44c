/* The exec plugin: what an executable is given, and what is made of its answers. */
#include "tests/unit/judging.h"

#define EXEC                                                                                                 \
    "[{\"id\":\"p\",\"plugin\":\"exec\",\"config\":{\"executable\":\"check\",\"config\":{\"max\":\"5\"}}}]"

static void ask(const struct judging *judging, json_t *facts, struct aegis_evaluation *out)
{
    judging_ask(judging, "payment", "[\"p\"]",
                judging_subject("50000",
                                "{\"domain_name\":\"USD Coin\",\"domain_version\":\"2\",\"wallet\":\"w-1\"}"),
                facts, JUDGING_NOW, out);
}

/* Answers the run that was asked for. */
static void answer(json_t *facts, const json_t *runs, int status, const char *output, const char *error)
{
    const json_t *run = json_array_get(runs, 0);
    json_object_set_new(facts, json_string_value(json_object_get(run, "query")),
                        json_pack("{s:O,s:i,s:s,s:s}", "input", json_object_get(run, "input_hash"), "status",
                                  status, "output", output, "error", error));
}

static void test_context(void **state)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    (void)state;
    judging_open(&judging, EXEC);
    json_t *facts = json_object();
    judging_spent(facts, "spent/agent/day/eip155:8453/USDC", "1000000000000000000", "250000000000000000", 2,
                  0);
    ask(&judging, facts, &evaluation);
    assert_int_equal(json_array_size(evaluation.need), 0);
    assert_int_equal(json_array_size(evaluation.runs), 1);
    const json_t *run = json_array_get(evaluation.runs, 0);
    assert_string_equal(json_string_value(json_object_get(run, "executable")), "check");
    assert_int_equal(json_integer_value(json_object_get(run, "timeout_ms")), 5000);
    const char *input = json_string_value(json_object_get(run, "input"));
    json_t *context = judging_json(input);
    const char *raw = json_string_value(json_object_get(json_object_get(context, "typed_data"), "raw_json"));
    json_t *typed = judging_json(raw);
    assert_string_equal(json_string_value(json_object_get(json_object_get(typed, "message"), "value")),
                        "50000");
    assert_string_equal(json_string_value(json_object_get(json_object_get(typed, "message"), "validBefore")),
                        "1790000060");
    json_object_del(json_object_get(context, "typed_data"), "raw_json");
    char *rest = json_dumps(context, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(
        rest,
        "{\"api_key_id\":\"key-1\",\"chain_id\":\"eip155:8453\",\"policy_config\":{\"max\":\"5\"},"
        "\"spending\":{"
        "\"daily_total\":\"1250000\",\"date\":\"2026-09-21\"},\"timestamp\":\"2026-09-21T14:13:20.000000000+"
        "00:00\","
        "\"transaction\":{\"raw_hex\":\"\"},\"typed_data\":{\"domain_chain_id\":8453,\"domain_name\":\"USD "
        "Coin\","
        "\"domain_version\":\"2\",\"primary_type\":\"TransferWithAuthorization\",\"verifying_contract\":"
        "\"0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913\"},\"wallet_id\":\"w-1\"}");
    free(rest);
    json_decref(context);
    json_decref(typed);
    json_decref(facts);
    aegis_evaluation_clear(&evaluation);
    judging_close(&judging);
}

static void test_answers(void **state)
{
    static const struct {
        int status;
        const char *output, *error, *expected;
    } cases[] = {
        {0, "{\"allow\":true}", "", "allow"},
        {0, " {\"allow\":true,\"reason\":\"fine\",\"score\":1.5}\n", "", "allow"},
        {0, "{\"allow\":false,\"reason\":\"no\"}", "", "deny executable_denied"},
        {0, "{\"allow\":false}", "", "deny executable_denied"},
        {0, "{\"allow\":true}{\"allow\":false}", "", "error executable_failed"},
        {0, "{\"allow\":true}\n{\"allow\":true}\n", "", "error executable_failed"},
        {0, "{\"allow\":\"true\"}", "", "error executable_failed"},
        {0, "{\"allow\":1}", "", "error executable_failed"},
        {0, "[true]", "", "error executable_failed"},
        {0, "", "", "error executable_failed"},
        {0, "yes", "", "error executable_failed"},
        {0, "{\"allow\":false,\"allow\":true}", "", "error executable_failed"},
        {0, "{\"allow\":true,\"reason\":7}", "", "error executable_failed"},
        {3, "{\"allow\":true}", "it broke", "error executable_failed"},
        {-1, "", "took too long", "error executable_failed"},
    };
    struct judging judging;
    (void)state;
    judging_open(&judging, EXEC);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct aegis_evaluation evaluation;
        json_t *facts = json_object();
        ask(&judging, facts, &evaluation);
        answer(facts, evaluation.runs, cases[i].status, cases[i].output, cases[i].error);
        aegis_evaluation_clear(&evaluation);
        ask(&judging, facts, &evaluation);
        assert_int_equal(json_array_size(evaluation.runs), 0);
        assert_string_equal(judging_text(&evaluation), cases[i].expected);

        /* The answer stands in the row, and is enough to reach the verdict again. */
        json_t *again = json_object();
        judging_spent(again, "spent/agent/day/eip155:8453/USDC", "0", "0", 0, JUDGING_NOW + 1000);
        aegis_evaluate_recall(evaluation.verdicts, again);
        struct aegis_evaluation replayed;
        ask(&judging, again, &replayed);
        assert_true(json_equal(replayed.verdicts, evaluation.verdicts));
        aegis_evaluation_clear(&replayed);
        aegis_evaluation_clear(&evaluation);
        json_decref(again);
        json_decref(facts);
    }
    judging_close(&judging);
}

/* An answer to another input is no answer. */
static void test_answer_is_bound_to_its_input(void **state)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    (void)state;
    judging_open(&judging, EXEC);
    json_t *facts = json_object();
    ask(&judging, facts, &evaluation);
    answer(facts, evaluation.runs, 0, "{\"allow\":true}", "");
    aegis_evaluation_clear(&evaluation);
    judging_ask(&judging, "payment", "[\"p\"]", judging_subject("50001", NULL), facts, JUDGING_NOW,
                &evaluation);
    assert_int_equal(json_array_size(evaluation.runs), 1);
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
    judging_close(&judging);
}

/* A document's own executable is asked after its plugin, ours is not asked at all. */
static void test_executables_of_documents(void **state)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    (void)state;
    judging_open(
        &judging,
        "[{\"id\":\"p\",\"executable\":\"policy-capture\",\"config\":{\"a\":1}},"
        "{\"id\":\"q\",\"plugin\":\"guard\",\"executable\":\"/usr/bin/aegis-policy\"},"
        "{\"id\":\"r\",\"executable\":\"x\",\"rules\":[{\"type\":\"allowed_chains\",\"chain_ids\":[]}]}]");
    json_t *facts = json_object();
    ask(&judging, facts, &evaluation);
    const json_t *run = json_array_get(evaluation.runs, 0);
    assert_string_equal(json_string_value(json_object_get(run, "executable")), "policy-capture");
    assert_non_null(strstr(json_string_value(json_object_get(run, "input")), "\"policy_config\":{\"a\":1}"));
    aegis_evaluation_clear(&evaluation);
    judging_ask(&judging, "payment", "[\"q\"]", judging_subject("1", NULL), facts, JUDGING_NOW, &evaluation);
    assert_string_equal(judging_text(&evaluation), "allow");
    assert_int_equal(json_array_size(evaluation.runs), 0);
    aegis_evaluation_clear(&evaluation);
    judging_ask(&judging, "payment", "[\"r\"]", judging_subject("1", NULL), facts, JUDGING_NOW, &evaluation);
    assert_string_equal(judging_text(&evaluation), "deny chain_not_allowed");
    assert_int_equal(json_array_size(evaluation.runs), 0);
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
    judging_close(&judging);
}

static void test_bad_configurations(void **state)
{
    (void)state;
    judging_refused("[{\"id\":\"p\",\"plugin\":\"exec\"}]", "executable: expected");
    judging_refused("[{\"id\":\"p\",\"plugin\":\"exec\",\"config\":{\"executable\":\"x\",\"timeout_ms\":1}}]",
                    "timeout_ms: expected");
    judging_refused("[{\"id\":\"p\",\"plugin\":\"exec\",\"config\":{\"executable\":\"x\",\"time\":1}}]",
                    "time: is not a field");
    judging_refused("[{\"id\":\"p\",\"executable\":\"aegis-policy\"}]",
                    "plugin: expected beside the executable");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_answer_is_bound_to_its_input),
        cmocka_unit_test(test_executables_of_documents),
        cmocka_unit_test(test_bad_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
