/* Which entries become messages, and what those say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/courier/notification.h"

static const char *name_of(const char *agent, void *context)
{
    (void)context;
    return strcmp(agent, "key-1") == 0 ? "bot" : "";
}

static const struct aegis_notification_context context = {
    .agent_id = "aegis-gate", .operator_id = "operator", .agent_name = name_of};

static json_t *message_of(const char *kind, const char *agent, const char *payment, const char *body)
{
    const struct aegis_entry entry = {.seq = 7,
                                      .at = 1795162584206,
                                      .kind = kind,
                                      .agent = agent,
                                      .payment = payment,
                                      .body = body,
                                      .body_length = strlen(body),
                                      .hash = {0xab, 0xcd}};
    return aegis_notification_of(&entry, &context);
}

static const char *text(const json_t *object, const char *name)
{
    return aegis_json_text(object, name, "(none)");
}

#define SUBJECT                                                                                              \
    "\"subject\":{\"agent\":\"key-1\",\"amount\":\"50000\",\"decimals\":6,\"host\":\"shop.example\","        \
    "\"network\":"                                                                                           \
    "\"eip155:84532\",\"pay_to\":\"0x036CbD53842c5426634e7929541eC2318f3dCF7e\",\"token\":\"USDC\",\"url\":" \
    "\"https://shop.example/secret-path\"}"

static void a_denial_says_who_what_and_why(void **state)
{
    (void)state;
    json_t *message = message_of(
        "decision", "key-1", "dec_00000000000000000000000000000001",
        "{\"code\":\"daily_limit_exceeded\",\"detail\":\"0.05 USDC is more than is "
        "left\",\"limit\":\"10\",\"outcome\":"
        "\"denied\",\"policy\":\"budget\",\"remaining\":\"0.01\",\"resets_at\":1795219200000," SUBJECT
        ",\"verdict\":\"deny\"}");
    assert_non_null(message);
    assert_string_equal(text(message, "type"), "xmtp_notification");
    assert_string_equal(text(message, "id"), "msg_abcd0000000000000000000000000000");
    assert_string_equal(text(message, "agentId"), "aegis-gate");
    assert_string_equal(text(message, "toAgent"), "operator");
    assert_string_equal(text(message, "timestamp"), "2026-11-20T08:16:24.206Z");
    assert_string_equal(text(message, "severity"), "warning");
    assert_string_equal(text(message, "title"), "A payment was blocked by policy budget");
    assert_string_equal(
        text(message, "message"),
        "bot wanted to pay 0.05 USDC to shop.example on eip155:84532: daily_limit_exceeded. 0.05 USDC "
        "is more than is left");
    const json_t *metadata = json_object_get(message, "metadata");
    static const char *const expected[][2] = {{"kind", "policy_block"},
                                              {"decision", "dec_00000000000000000000000000000001"},
                                              {"agent", "key-1"},
                                              {"agentName", "bot"},
                                              {"policy", "budget"},
                                              {"code", "daily_limit_exceeded"},
                                              {"reason", "0.05 USDC is more than is left"},
                                              {"host", "shop.example"},
                                              {"network", "eip155:84532"},
                                              {"token", "USDC"},
                                              {"amount", "0.05 USDC"},
                                              {"limit", "10"},
                                              {"remaining", "0.01"},
                                              {"resetsAt", "2026-11-21T00:00:00.000Z"}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_string_equal(text(metadata, expected[i][0]), expected[i][1]);
    char *whole = json_dumps(message, 0);
    assert_null(strstr(whole, "secret-path"));
    free(whole);
    json_decref(message);
}

static void holds_and_failures_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *verdict;
        const char *outcome;
        const char *severity; /* NULL: no message */
    } cases[] = {{"allow", "allowed", NULL},          {"deny", "denied", "warning"},
                 {"hold", "held", "warning"},         {"error", "failed", "critical"},
                 {"allow", "unrecorded", "critical"}, {"deny", "unrecorded", "critical"},
                 {"allow", "failed", "critical"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"outcome\":\"%s\"," SUBJECT ",\"verdict\":\"%s\"}", cases[i].outcome,
                 cases[i].verdict);
        json_t *message = message_of("decision", "", "dec_1", body);
        assert_int_equal(message != NULL, cases[i].severity != NULL);
        if (message != NULL)
            assert_string_equal(text(message, "severity"), cases[i].severity);
        json_decref(message);
    }
}

static void a_notice_keeps_its_metadata(void **state)
{
    (void)state;
    json_t *message = message_of("notice", "key-1", "",
                                 "{\"kind\":\"budget_alert\",\"message\":\"bot: 9 of 10 USDC are "
                                 "used\",\"metadata\":{\"limit\":\"10\","
                                 "\"percent\":90,\"spent\":\"9\",\"window\":\"daily\"},\"once\":\"x\","
                                 "\"policy\":\"budget\",\"severity\":"
                                 "\"warning\",\"title\":\"90 % of the daily limit is used\"}");
    assert_string_equal(text(message, "severity"), "warning");
    assert_string_equal(text(message, "title"), "90 % of the daily limit is used");
    const json_t *metadata = json_object_get(message, "metadata");
    assert_string_equal(text(metadata, "kind"), "budget_alert");
    assert_string_equal(text(metadata, "policy"), "budget");
    assert_string_equal(text(metadata, "limit"), "10");
    assert_string_equal(text(metadata, "spent"), "9");
    assert_string_equal(text(metadata, "window"), "daily");
    assert_int_equal(aegis_json_integer(metadata, "percent", 0), 90);
    json_decref(message);
    message = message_of(
        "notice", "key-1", "",
        "{\"kind\":\"x\",\"message\":\"m\",\"metadata\":{},\"severity\":\"catastrophic\",\"title\":\"t\"}");
    assert_string_equal(text(message, "severity"), "info");
    json_decref(message);
}

static void a_revoked_key_is_critical(void **state)
{
    (void)state;
    json_t *message =
        message_of("revoked", "key-1", "",
                   "{\"key\":\"key-1\",\"policy\":\"switch\",\"reason\":\"no heartbeat for 60 minutes\"}");
    assert_string_equal(text(message, "severity"), "critical");
    assert_non_null(strstr(text(message, "message"), "bot"));
    assert_non_null(strstr(text(message, "message"), "no heartbeat for 60 minutes"));
    assert_string_equal(text(json_object_get(message, "metadata"), "kind"), "key_revoked");
    json_decref(message);
}

static void other_entries_are_silent(void **state)
{
    (void)state;
    static const char *const kinds[] = {"policy",    "agent",     "reserved", "signed",  "repeated",
                                        "settled",   "delivered", "refused",  "unknown", "expired",
                                        "cancelled", "heartbeat", "resumed",  "external"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        assert_null(message_of(kinds[i], "key-1", "pay_1", "{}"));
    assert_null(message_of("notice", "key-1", "", "no JSON"));
}

static void texts_are_cleaned_and_cut(void **state)
{
    (void)state;
    json_t *body = json_pack("{s:s, s:s, s:{}, s:s, s:s}", "kind", "x\033[31m", "message",
                             "a\tb\nc\033[2Jd\302\205e", "metadata", "severity", "info", "title", "t");
    char long_title[400];
    for (size_t i = 0; i < 199; i++)
        memcpy(long_title + 2 * i, "\303\244", 2);
    long_title[398] = '\0';
    json_object_set_new(body, "title", json_string(long_title));
    char *written = json_dumps(body, 0);
    json_t *message = message_of("notice", "", "", written);
    assert_string_equal(text(message, "message"), "a b c [2Jd  e");
    assert_int_equal(strlen(text(message, "title")), 160);
    assert_null(strchr(text(json_object_get(message, "metadata"), "kind"), '\033'));
    json_decref(message);
    free(written);
    json_decref(body);
}

static void odd_bodies_do_no_harm(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{}",
                                         "[]",
                                         "null",
                                         "{\"subject\":[]}",
                                         "{\"subject\":{\"amount\":5}}",
                                         "{\"verdict\":1,\"outcome\":{}}",
                                         "{\"metadata\":[]}",
                                         "{\"resets_at\":-1}"};
    static const char *const kinds[] = {"decision", "notice", "revoked"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        for (size_t k = 0; k < 3; k++) {
            json_t *message = message_of(kinds[k], "", "", bodies[i]);
            assert_non_null(message);
            json_decref(message);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_denial_says_who_what_and_why), cmocka_unit_test(holds_and_failures_are_told_apart),
        cmocka_unit_test(a_notice_keeps_its_metadata),    cmocka_unit_test(a_revoked_key_is_critical),
        cmocka_unit_test(other_entries_are_silent),       cmocka_unit_test(texts_are_cleaned_and_cut),
        cmocka_unit_test(odd_bodies_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
