/* The deadswitch plugin: counting down, warning, revoking, and refusing what comes too late. */
#include "tests/unit/judging.h"

#define MINUTE 60000
#define DEADSWITCH(config)                                                                                   \
    "[{\"id\":\"p\",\"plugin\":\"deadswitch\",\"config\":{\"maxInactiveMinutes\":60,\"onTrigger\":\"revoke_" \
    "key\"" config "}}]"

static json_t *signs(int64_t payment, int64_t heartbeat)
{
    return json_pack("{s:{s:I},s:{s:I}}", "last_payment/agent", "at", (json_int_t)payment, "last_heartbeat",
                     "at", (json_int_t)heartbeat);
}

/* The effects of a tick. Steals `facts`. */
static json_t *tick(const struct judging *judging, json_t *facts)
{
    struct aegis_evaluation evaluation;
    json_t *subject = judging_json("{\"agent\":\"key-1\",\"agent_name\":\"Researcher\"}");
    judging_ask(judging, "tick", "[\"p\"]", subject, facts, JUDGING_NOW, &evaluation);
    assert_string_equal(evaluation.verdict, "allow");
    json_t *effects = json_incref(evaluation.effects);
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
    return effects;
}

static const char *member(const json_t *effects, size_t index, const char *name)
{
    const char *text = json_string_value(json_object_get(json_array_get(effects, index), name));
    return text == NULL ? "" : text;
}

static void test_countdown(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, DEADSWITCH(",\"warnMinutes\":15"));
    json_t *effects = tick(&judging, signs(JUDGING_NOW - 45 * MINUTE + 1, 0));
    assert_int_equal(json_array_size(effects), 0);
    json_decref(effects);

    effects = tick(&judging, signs(JUDGING_NOW - 45 * MINUTE, 0));
    assert_int_equal(json_array_size(effects), 1);
    assert_string_equal(member(effects, 0, "kind"), "deadswitch_warning");
    json_t *metadata = json_object_get(json_array_get(effects, 0), "metadata");
    assert_int_equal(json_integer_value(json_object_get(metadata, "minutesLeft")), 15);
    json_decref(effects);

    /* The later sign of life counts. */
    effects = tick(&judging, signs(JUDGING_NOW - 45 * MINUTE, JUDGING_NOW - MINUTE));
    assert_int_equal(json_array_size(effects), 0);
    json_decref(effects);

    effects = tick(&judging, signs(JUDGING_NOW - 60 * MINUTE + 1, 0));
    assert_string_equal(member(effects, 0, "kind"), "deadswitch_warning");
    json_decref(effects);

    effects = tick(&judging, signs(JUDGING_NOW - 60 * MINUTE, JUDGING_NOW - 70 * MINUTE));
    assert_int_equal(json_array_size(effects), 2);
    assert_string_equal(member(effects, 0, "kind"), "deadswitch_triggered");
    assert_string_equal(member(effects, 0, "severity"), "critical");
    assert_string_equal(member(effects, 1, "effect"), "revoke");
    json_decref(effects);
    judging_close(&judging);
}

static void test_never_seen(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, DEADSWITCH(""));
    json_t *effects = tick(&judging, signs(0, 0));
    assert_int_equal(json_array_size(effects), 0);
    json_decref(effects);
    judging_expect(&judging, judging_subject("1", NULL), signs(0, 0), "allow");
    judging_close(&judging);
}

static void test_payment_after_the_end(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, DEADSWITCH(""));
    judging_expect(&judging, judging_subject("1", NULL), signs(JUDGING_NOW - 60 * MINUTE + 1, 0), "allow");
    judging_expect(&judging, judging_subject("1", NULL), signs(JUDGING_NOW - 60 * MINUTE, 0),
                   "deny deadswitch_triggered");
    judging_close(&judging);
    judging_open(&judging, DEADSWITCH(",\"enabled\":false"));
    judging_expect(&judging, judging_subject("1", NULL), signs(JUDGING_NOW - 99 * MINUTE, 0), "allow");
    json_t *effects = tick(&judging, signs(JUDGING_NOW - 99 * MINUTE, 0));
    assert_int_equal(json_array_size(effects), 0);
    json_decref(effects);
    judging_close(&judging);
}

/* The gate cannot sweep, and says so to whoever can. */
static void test_recovery_is_passed_on(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, DEADSWITCH(",\"sweepFunds\":true,\"recoveryWallet\":\"" JUDGING_PAYEE "\""));
    json_t *effects = tick(&judging, signs(JUDGING_NOW - 61 * MINUTE, 0));
    json_t *metadata = json_object_get(json_array_get(effects, 0), "metadata");
    assert_string_equal(json_string_value(json_object_get(metadata, "recoveryWallet")), JUDGING_PAYEE);
    assert_true(json_is_true(json_object_get(metadata, "sweepFunds")));
    assert_non_null(strstr(member(effects, 0, "message"), JUDGING_PAYEE));
    json_decref(effects);
    judging_close(&judging);
}

static void test_bad_configurations(void **state)
{
    (void)state;
    judging_refused("[{\"id\":\"p\",\"plugin\":\"deadswitch\",\"config\":{\"onTrigger\":\"revoke_key\"}}]",
                    "maxInactiveMinutes: expected");
    judging_refused(
        "[{\"id\":\"p\",\"plugin\":\"deadswitch\",\"config\":{\"maxInactiveMinutes\":0,\"onTrigger\":"
        "\"revoke_key\"}}]",
        "maxInactiveMinutes: expected");
    judging_refused("[{\"id\":\"p\",\"plugin\":\"deadswitch\",\"config\":{\"maxInactiveMinutes\":5,"
                    "\"onTrigger\":\"no\"}}]",
                    "onTrigger: expected");
    judging_refused(DEADSWITCH(",\"warnMinutes\":61"), "warnMinutes: expected");
    judging_refused(DEADSWITCH(",\"sweepFunds\":true"), "recoveryWallet: expected");
    judging_refused(DEADSWITCH(",\"sweepFunds\":1"), "sweepFunds: expected");
    judging_refused(DEADSWITCH(",\"sweep\":true"), "sweep: is not a field");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_countdown),
        cmocka_unit_test(test_never_seen),
        cmocka_unit_test(test_payment_after_the_end),
        cmocka_unit_test(test_recovery_is_passed_on),
        cmocka_unit_test(test_bad_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
