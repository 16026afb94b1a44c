/* The budget plugin: every cap at its edge, windows, scopes, several assets, warnings. */
#include "tests/unit/judging.h"

#define LIMIT(caps)                                                                                          \
    "[{\"id\":\"p\",\"plugin\":\"budget\",\"config\":{\"limits\":[{\"chainId\":\"eip155:*\",\"token\":"      \
    "\"USDC\"," caps "}]}}]"

/* 10 tokens in all units that appear below. */
#define TEN   "10000000000000000000"
#define NINE  "9000000000000000000"
#define EIGHT "8000000000000000000"

static json_t *spent(const char *query, const char *settled, const char *exposed)
{
    json_t *facts = json_object();
    judging_spent(facts, query, settled, exposed, 3, JUDGING_NOW + 5000);
    return facts;
}

static void test_payment_cap(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, LIMIT("\"payment\":\"1.00\""));
    judging_expect(&judging, judging_subject("1000000", NULL), NULL, "allow");
    judging_expect(&judging, judging_subject("1000001", NULL), NULL, "deny payment_limit_exceeded");
    judging_expect(&judging, judging_subject("1", NULL), NULL, "allow");
    judging_close(&judging);
}

/* Exactly at the cap passes, one unit more does not; for every window. */
static void test_every_window(void **state)
{
    static const struct {
        const char *cap, *query, *denied;
    } cases[] = {
        {"\"hourly\":\"10\"", "spent/agent/hour/eip155:*/USDC", "deny hourly_limit_exceeded"},
        {"\"daily\":\"10\"", "spent/agent/day/eip155:*/USDC", "deny daily_limit_exceeded"},
        {"\"weekly\":\"10\"", "spent/agent/week/eip155:*/USDC", "deny weekly_limit_exceeded"},
        {"\"monthly\":\"10\"", "spent/agent/month/eip155:*/USDC", "deny monthly_limit_exceeded"},
        {"\"total\":\"10\"", "spent/agent/total/eip155:*/USDC", "deny total_limit_exceeded"},
        {"\"rolling\":[{\"seconds\":600,\"amount\":\"10\"}]", "spent/agent/rolling:600/eip155:*/USDC",
         "deny rolling_limit_exceeded"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct judging judging;
        char documents[512];
        snprintf(documents, sizeof(documents), LIMIT("%s"), cases[i].cap);
        judging_open(&judging, documents);
        judging_expect(&judging, judging_subject("10000000", NULL), NULL, "allow");
        judging_expect(&judging, judging_subject("10000001", NULL), NULL, cases[i].denied);
        judging_expect(&judging, judging_subject("1000000", NULL), spent(cases[i].query, NINE, "0"), "allow");
        judging_expect(&judging, judging_subject("1000001", NULL), spent(cases[i].query, NINE, "0"),
                       cases[i].denied);
        judging_expect(&judging, judging_subject("1000000", NULL), spent(cases[i].query, "0", NINE), "allow");
        judging_expect(&judging, judging_subject("1000000", NULL),
                       spent(cases[i].query, "1000000000000000000", EIGHT), "allow");
        judging_expect(&judging, judging_subject("1000000", NULL),
                       spent(cases[i].query, "1000000000000000001", EIGHT), cases[i].denied);
        judging_expect(&judging, judging_subject("1", NULL), spent(cases[i].query, TEN, "0"),
                       cases[i].denied);
        judging_close(&judging);
    }
}

static void test_what_a_denial_says(void **state)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    (void)state;
    judging_open(&judging, LIMIT("\"daily\":\"10.00\""));
    json_t *facts = spent("spent/agent/day/eip155:*/USDC", "8500000000000000000", "1000000000000000000");
    judging_ask(&judging, "payment", "[\"p\"]", judging_subject("600000", NULL), facts, JUDGING_NOW,
                &evaluation);
    assert_string_equal(judging_text(&evaluation), "deny daily_limit_exceeded");
    assert_string_equal(judging_refusal(&evaluation, "limit"), "10");
    assert_string_equal(judging_refusal(&evaluation, "remaining"), "0.5");
    assert_string_equal(judging_refusal(&evaluation, "reason"),
                        "0.6 USDC is more than what is left of the daily limit of 10 USDC (per agent)");
    const json_t *row = aegis_evaluation_refusal(evaluation.verdicts);
    assert_int_equal(json_integer_value(json_object_get(row, "resets_at")), JUDGING_NOW + 5000);
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
    judging_close(&judging);
}

/* Of two caps that are hit, the agent is told the one that keeps it out longest. */
static void test_the_longest_denial_is_told(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, LIMIT("\"hourly\":\"10\",\"daily\":\"10\""));
    json_t *facts = json_object();
    judging_spent(facts, "spent/agent/hour/eip155:*/USDC", TEN, "0", 1, JUDGING_NOW + 1);
    judging_spent(facts, "spent/agent/day/eip155:*/USDC", TEN, "0", 1, JUDGING_NOW + 2);
    judging_expect(&judging, judging_subject("1", NULL), facts, "deny daily_limit_exceeded");
    facts = json_object();
    judging_spent(facts, "spent/agent/hour/eip155:*/USDC", TEN, "0", 1, 0);
    judging_spent(facts, "spent/agent/day/eip155:*/USDC", TEN, "0", 1, JUDGING_NOW + 2);
    judging_expect(&judging, judging_subject("1", NULL), facts, "deny hourly_limit_exceeded");
    judging_close(&judging);
}

static void test_rate(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, LIMIT("\"payments_per_minute\":3"));
    json_t *facts = json_object();
    judging_spent(facts, "spent/agent/rolling:60/eip155:*/USDC", "3", "0", 2, JUDGING_NOW + 1);
    judging_expect(&judging, judging_subject("1", NULL), facts, "allow");
    facts = json_object();
    judging_spent(facts, "spent/agent/rolling:60/eip155:*/USDC", "3", "0", 3, JUDGING_NOW + 1);
    judging_expect(&judging, judging_subject("1", NULL), facts, "deny rate_limit_exceeded");
    judging_close(&judging);
}

static void test_scopes(void **state)
{
    static const char *const scopes[] = {"agent", "gate", "agent+host", "agent+payee", "host", "payee"};
    (void)state;
    for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
        struct judging judging;
        char documents[512], query[128];
        snprintf(documents, sizeof(documents), LIMIT("\"per\":\"%s\",\"daily\":\"10\""), scopes[i]);
        snprintf(query, sizeof(query), "spent/%s/day/eip155:*/USDC", scopes[i]);
        judging_open(&judging, documents);
        judging_expect(&judging, judging_subject("1", NULL), spent(query, TEN, "0"),
                       "deny daily_limit_exceeded");
        judging_expect(&judging, judging_subject("1", NULL), NULL, "allow");
        judging_close(&judging);
    }
}

/* A cap for one asset says nothing about another: it must be covered itself. */
static void test_other_assets(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, LIMIT("\"daily\":\"10\""));
    judging_expect(&judging, judging_subject("1", "{\"token\":\"EURC\"}"), NULL, "deny limit_missing");
    judging_expect(&judging, judging_subject("1", "{\"network\":\"solana:x\"}"), NULL, "deny limit_missing");
    judging_expect(&judging, judging_subject("1", "{\"network\":\"eip155:1\"}"), NULL, "allow");
    judging_expect(&judging, judging_subject("1", "{\"token\":\"usdc\"}"), NULL, "allow");
    judging_close(&judging);

    judging_open(&judging,
                 "[{\"id\":\"p\",\"plugin\":\"budget\",\"config\":{\"uncovered\":\"allow\",\"limits\":[]}}]");
    judging_expect(&judging, judging_subject("99000000", NULL), NULL, "allow");
    judging_close(&judging);

    judging_open(&judging, "[{\"id\":\"p\",\"plugin\":\"budget\",\"config\":{\"limits\":[]}}]");
    judging_expect(&judging, judging_subject("1", NULL), NULL, "deny limit_missing");
    judging_close(&judging);
}

/* Tokens of unequal decimals under one cap: whole tokens are summed. */
static void test_sum_over_tokens(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, "[{\"id\":\"p\",\"plugin\":\"budget\",\"config\":{\"limits\":["
                           "{\"chainId\":\"*\",\"token\":\"*\",\"daily\":\"10\"}]}}]");
    const char *dai = "{\"token\":\"DAI\",\"decimals\":18,\"amount\":\"1000000000000000000\","
                      "\"scaled\":\"1000000000000000000\"}";
    judging_expect(&judging, judging_subject("1000000", dai), spent("spent/agent/day/*/*", NINE, "0"),
                   "allow");
    judging_expect(&judging, judging_subject("1000000", dai), spent("spent/agent/day/*/*", NINE, "1"),
                   "deny daily_limit_exceeded");
    judging_close(&judging);
}

/* Every limit that covers must hold, not only the first. */
static void test_all_limits_hold(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging,
                 "[{\"id\":\"p\",\"plugin\":\"budget\",\"config\":{\"limits\":["
                 "{\"chainId\":\"*\",\"token\":\"*\",\"daily\":\"1000\"},"
                 "{\"chainId\":\"eip155:8453\",\"token\":\"USDC\",\"payment\":\"2\",\"monthly\":\"5\"}]}}]");
    judging_expect(&judging, judging_subject("2000000", NULL), NULL, "allow");
    judging_expect(&judging, judging_subject("2000001", NULL), NULL, "deny payment_limit_exceeded");
    judging_expect(&judging, judging_subject("2000000", NULL),
                   spent("spent/agent/month/eip155:8453/USDC", "3000000000000000001", "0"),
                   "deny monthly_limit_exceeded");
    judging_close(&judging);
}

static void test_no_overflow(void **state)
{
    struct judging judging;
    const char *most = "340282366920938463463374607431768211455";
    const char *huge = "{\"amount\":\"340282366920938463463374607431768211455\","
                       "\"scaled\":\"340282366920938463463374607431768211455\"}";
    (void)state;
    judging_open(&judging, LIMIT("\"daily\":\"340282366920938463463.374607431768211455\""));
    judging_expect(&judging, judging_subject("1", huge), NULL, "allow");
    judging_expect(&judging, judging_subject("1", huge), spent("spent/agent/day/eip155:*/USDC", "1", "0"),
                   "deny daily_limit_exceeded");
    judging_expect(&judging, judging_subject("1", NULL), spent("spent/agent/day/eip155:*/USDC", most, most),
                   "deny daily_limit_exceeded");
    judging_close(&judging);
}

static void test_zero_cap(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, LIMIT("\"daily\":\"0\""));
    judging_expect(&judging, judging_subject("1", NULL), NULL, "deny daily_limit_exceeded");
    judging_close(&judging);
}

static json_t *only_notice(const struct judging *judging, const char *amount, const char *settled,
                           int64_t now)
{
    struct aegis_evaluation evaluation;
    json_t *facts = spent("spent/agent/day/eip155:*/USDC", settled, "0");
    judging_ask(judging, "payment", "[\"p\"]", judging_subject(amount, NULL), facts, now, &evaluation);
    assert_string_equal(evaluation.verdict, "allow");
    json_t *notice = json_incref(json_array_get(evaluation.effects, 0));
    assert_true(json_array_size(evaluation.effects) <= 1);
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
    return notice;
}

static void test_warning_at_ninety_percent(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, LIMIT("\"daily\":\"10\""));
    assert_null(only_notice(&judging, "999999", EIGHT, JUDGING_NOW));
    json_t *at = only_notice(&judging, "1000000", EIGHT, JUDGING_NOW);
    json_t *above = only_notice(&judging, "1000000", NINE, JUDGING_NOW);
    assert_non_null(at);
    assert_non_null(above);
    assert_string_equal(json_string_value(json_object_get(at, "kind")), "budget_alert");
    assert_string_equal(json_string_value(json_object_get(at, "severity")), "warning");
    assert_string_equal(json_string_value(json_object_get(at, "title")), "90 % of the daily limit is used");
    assert_string_equal(json_string_value(json_object_get(above, "title")),
                        "100 % of the daily limit is used");
    /* The host sends one for each text of `once`: the two are of one window. */
    assert_string_equal(json_string_value(json_object_get(at, "once")),
                        json_string_value(json_object_get(above, "once")));
    json_t *metadata = json_object_get(at, "metadata");
    assert_int_equal(json_integer_value(json_object_get(metadata, "percent")), 90);
    assert_string_equal(json_string_value(json_object_get(metadata, "remaining")), "1");
    json_decref(at);
    json_decref(above);
    judging_close(&judging);
}

/* What is asked for does not depend on the answers: one question to the keeper is enough. */
static void test_one_question(void **state)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    (void)state;
    judging_open(&judging,
                 LIMIT("\"hourly\":\"1\",\"daily\":\"2\",\"weekly\":\"3\",\"payments_per_minute\":5"));
    json_t *facts = json_object();
    judging_once(&judging, "payment", "[\"p\"]", judging_subject("1", NULL), facts, JUDGING_NOW, &evaluation);
    assert_int_equal(json_array_size(evaluation.need), 4);
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
    judging_close(&judging);
}

static void test_aegis_format(void **state)
{
    struct aegis_error error = {{0}};
    struct judging judging;
    (void)state;
    json_t *documents =
        judging_json("[{\"path\":\"/home/a/.ows/aegis/"
                     "budget-config.json\",\"document\":{\"limits\":[{\"chainId\":\"eip155:*\","
                     "\"token\":\"*\",\"daily\":\"50.00\",\"weekly\":\"200.00\",\"monthly\":\"500.00\"}]}}]");
    json_t *folders = judging_json("[\"plugins\"]");
    judging.plugins = aegis_plugins_new(folders);
    judging.policies = aegis_policies_new(documents, NULL, judging.plugins, NULL, &error);
    assert_non_null(judging.policies);
    struct aegis_evaluation evaluation;
    json_t *facts = json_object();
    judging_ask(&judging, "payment", "[\"aegis-budget\"]", judging_subject("50000001", NULL), facts,
                JUDGING_NOW, &evaluation);
    assert_string_equal(judging_text(&evaluation), "deny daily_limit_exceeded");
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
    json_decref(documents);
    json_decref(folders);
    judging_close(&judging);
}

static void test_bad_configurations(void **state)
{
    static const struct {
        const char *limit, *expected;
    } cases[] = {
        {"{}", "limits[0].chainId: expected a chain"},
        {"{\"chainId\":\"8453\",\"token\":\"USDC\",\"daily\":\"1\"}", "limits[0].chainId"},
        {"{\"chainId\":\"eip155:*:1\",\"token\":\"USDC\",\"daily\":\"1\"}", "limits[0].chainId"},
        {"{\"chainId\":\"eip155*\",\"token\":\"USDC\",\"daily\":\"1\"}", "limits[0].chainId"},
        {"{\"chainId\":\"*\",\"daily\":\"1\"}", "limits[0].token"},
        {"{\"chainId\":\"*\",\"token\":\"*\"}", "limits[0]: expected a cap"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"dayly\":\"1\"}", "limits[0].dayly: is not a field"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"daily\":1}", "limits[0].daily: expected whole tokens"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"daily\":\"1e3\"}", "limits[0].daily"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"daily\":\"-1\"}", "limits[0].daily"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"daily\":\"\"}", "limits[0].daily"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"daily\":\".5\"}", "limits[0].daily"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"daily\":\"5.\"}", "limits[0].daily"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"daily\":\"1.2.3\"}", "limits[0].daily"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"daily\":\"0.0000000000000000001\"}", "limits[0].daily"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"daily\":\"340282366920938463463.374607431768211456\"}",
         "limits[0].daily"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"daily\":\"1\",\"per\":\"everybody\"}", "limits[0].per"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"rolling\":[{\"seconds\":59,\"amount\":\"1\"}]}",
         "limits[0].rolling[0]"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"rolling\":{}}", "limits[0].rolling"},
        {"{\"chainId\":\"*\",\"token\":\"*\",\"payments_per_minute\":0}", "limits[0].payments_per_minute"},
        {"7", "limits[0]: expected an object"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char documents[512];
        snprintf(documents, sizeof(documents),
                 "[{\"id\":\"p\",\"plugin\":\"budget\",\"config\":{\"limits\":[%s]}}]", cases[i].limit);
        judging_refused(documents, cases[i].expected);
    }
    judging_refused("[{\"id\":\"p\",\"plugin\":\"budget\"}]",
                    "policies/p.json: config: limits: expected an array");
    judging_refused("[{\"id\":\"p\",\"plugin\":\"budget\",\"config\":{\"limits\":[],\"limit\":1}}]",
                    "limit: is not a field");
    judging_refused("[{\"id\":\"p\",\"plugin\":\"budget\",\"config\":{\"limits\":[],\"uncovered\":\"yes\"}}]",
                    "uncovered");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_payment_cap),
        cmocka_unit_test(test_every_window),
        cmocka_unit_test(test_what_a_denial_says),
        cmocka_unit_test(test_the_longest_denial_is_told),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_other_assets),
        cmocka_unit_test(test_sum_over_tokens),
        cmocka_unit_test(test_all_limits_hold),
        cmocka_unit_test(test_no_overflow),
        cmocka_unit_test(test_zero_cap),
        cmocka_unit_test(test_warning_at_ninety_percent),
        cmocka_unit_test(test_one_question),
        cmocka_unit_test(test_aegis_format),
        cmocka_unit_test(test_bad_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
