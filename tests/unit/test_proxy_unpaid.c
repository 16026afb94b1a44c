/* A 402 that is not paid: denied, or passed on as it came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/hash.h"
#include "gate/base/json.h"
#include "gate/base/text.h"
#include "tests/unit/proxy_street.h"

/* ---- denied ---- */

static void a_denial_says_why(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_paid;
    street->denial = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:b}", "outcome", "denied", "code",
                               "daily_limit_exceeded", "detail", "The daily cap is reached.", "decision",
                               "dec_1", "policy", "budget", "limit", "10", "remaining", "0.001", "resets_at",
                               (json_int_t)1700000000000, "signed", 0);
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 403);
    assert_string_equal(street_problem(agent), "daily_limit_exceeded");
    assert_true(street_heard(agent, "Content-Type: application/problem+json\r\n"));
    assert_true(street_heard(agent, "\"policy\":\"budget\""));
    assert_true(street_heard(agent, "\"remaining\":\"0.001\""));
    assert_true(street_heard(agent, "\"resets_at\":\"2023-11-14T22:13:20.000Z\""));
    assert_true(street_heard(agent, "\"signed\":false"));
    assert_false(street_heard(agent, "somewhere.else"));
    assert_int_equal(street->request_count, 1);
    street_rest(street);
    assert_int_equal(street->outcome_count, 0);
    assert_int_equal(aegis_pool_waiting(street->proxy->pool), 1);
}

static void denials_have_statuses(void **state)
{
    (void)state;
    static const struct {
        const char *outcome, *code;
        int status;
    } cases[] = {
        {"held", "approval_required", 403},        {"failed", "policy_failed", 503},
        {"unrecorded", "ledger_unavailable", 503}, {"denied", "idempotency_key_in_use", 409},
        {"denied", "idempotency_key_reused", 422}, {"denied", "previous_payment_unresolved", 409},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct street *street = street_new(NULL, NULL);
        street->serve = street_serve_paid;
        street->denial = json_pack("{s:s, s:s, s:s, s:i}", "outcome", cases[i].outcome, "code", cases[i].code,
                                   "detail", "d", "retry_after_ms", 1500);
        struct wire *agent = street_fetch(street, "GET", "/", "", "");
        assert_int_equal(street_status(agent), cases[i].status);
        assert_string_equal(street_problem(agent), cases[i].code);
        assert_true(street_heard(agent, "Retry-After: 2\r\n"));
        street_free(street);
    }
}

static void without_a_keeper_nothing_is_paid(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_paid;
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 200);
    street_lose_keeper(street);
    street_rest(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street_answered(agent, 2));
    assert_true(street_heard(agent, "keeper_unavailable"));
    assert_int_equal(street_payments_sent(street), 1);
}

static void a_keeper_lost_in_the_middle_denies(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_paid;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street->identify_count == 1);
    street->keeper_silent = true;
    STREET_UNTIL(street, street->authorize_count == 1);
    street_lose_keeper(street);
    STREET_UNTIL(street, street_answered(agent, 1));
    assert_int_equal(street_status(agent), 503);
    assert_string_equal(street_problem(agent), "keeper_unavailable");
    assert_int_equal(street->request_count, 1);
}

static void an_authorization_that_comes_too_late_is_reported_unsent(void **state)
{
    (void)state;
    struct street *street = street_new(NULL, "{\"authorize_ms\": 80}");
    street->serve = street_serve_paid;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street->identify_count == 1);
    street->keeper_silent = true;
    STREET_UNTIL(street, street_answered(agent, 1));
    assert_int_equal(street_status(agent), 503);
    assert_string_equal(street_problem(agent), "keeper_timeout");
    street_send_authorized(street);
    const json_t *said = street_outcome(street, "unknown");
    assert_non_null(strstr(aegis_json_text(said, "reason", ""), "never sent"));
    assert_int_equal(street_payments_sent(street), 0);
    street_free(street);
}

static void an_authorization_for_something_else_is_not_sent(void **state)
{
    (void)state;
    for (int what = 0; what < 2; what++) {
        struct street *street = street_new(NULL, NULL);
        street->serve = street_serve_paid;
        street->other_amount = what == 0;
        street->other_payee = what == 1;
        struct wire *agent = street_fetch(street, "GET", "/", "", "");
        assert_int_equal(street_status(agent), 502);
        assert_string_equal(street_problem(agent), "payment_unusable");
        assert_int_equal(street_payments_sent(street), 0);
        const json_t *said = street_outcome(street, "unknown");
        assert_non_null(strstr(aegis_json_text(said, "reason", ""), "never sent"));
        street_free(street);
    }
}

static void an_outcome_is_for_the_keeper_that_authorized(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_challenge_only;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street_payments_sent(street) == 1);
    street_lose_keeper(street);
    street_connect_keeper(street);
    street_say_settled(street->origins[0]);
    STREET_UNTIL(street, street_answered(agent, 1));
    assert_true(street_heard(agent, "state=settled"));
    street_rest(street);
    assert_int_equal(street->outcome_count, 0);
}

/* ---- passed on ---- */

static void say_402(struct wire *wire, const char *fields, const char *body)
{
    char *answer = aegis_format("HTTP/1.1 402 Payment Required\r\n%sContent-Length: %zu\r\n\r\n%s", fields,
                                strlen(body), body);
    street_say(wire, answer);
    free(answer);
}

static void serve_odd(struct wire *wire, const char *request)
{
    if (strstr(request, " /plain "))
        say_402(wire, "X-Mine: 1\r\n", "pay at the desk");
    else if (strstr(request, " /empty "))
        say_402(wire, "", "");
    else if (strstr(request, " /rubbish "))
        say_402(wire, "PAYMENT-REQUIRED: !!!\r\nX-Mine: 1\r\n", "{\"odd\":  true}");
    else if (strstr(request, " /twice "))
        say_402(wire, "PAYMENT-REQUIRED: e30=\r\nPAYMENT-REQUIRED: e30=\r\n", "{}");
    else if (strstr(request, " /v1rubbish "))
        say_402(wire, "", "{\"x402Version\":1,\"accepts\":\"money\"}");
    else if (strstr(request, " /solana "))
        say_402(wire, "",
                "{\"x402Version\":1,\"error\":\"\",\"accepts\":[{\"scheme\":\"exact\",\"network\":\"solana\","
                "\"maxAmountRequired\":\"1\",\"resource\":\"x\",\"payTo\":\"y\",\"maxTimeoutSeconds\":60,"
                "\"asset\":\"z\"}]}");
    else if (strstr(request, " /encoded "))
        street_say_challenge_v1(wire, "Content-Encoding: br\r\n");
}

static void what_cannot_be_paid_arrives_as_it_came(void **state)
{
    struct street *street = *state;
    street->serve = serve_odd;
    static const struct {
        const char *path;
        const char *mark; /* NULL: no x402, nothing is said */
        const char *body;
    } cases[] = {
        {"/plain", NULL, "\r\n\r\npay at the desk"},
        {"/empty", NULL, "\r\n\r\n"},
        {"/rubbish", "challenge_malformed", "\r\n\r\n{\"odd\":  true}"},
        {"/twice", "challenge_ambiguous", "\r\n\r\n{}"},
        {"/v1rubbish", "challenge_malformed", "\r\n\r\n{\"x402Version\":1,\"accepts\":\"money\"}"},
        {"/solana", "no_acceptable_requirement", "\"network\":\"solana\""},
        {"/encoded", "challenge_encoded", "Content-Encoding: br\r\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct wire *agent = street_fetch(street, "GET", cases[i].path, "", "");
        assert_int_equal(street_status(agent), 402);
        assert_true(street_heard(agent, cases[i].body));
        assert_true(street_heard(agent, "Cache-Control: no-store\r\n"));
        if (!cases[i].mark) {
            assert_false(street_heard(agent, "Aegis-Problem"));
            continue;
        }
        char *mark = aegis_format("Aegis-Problem: %s\r\n", cases[i].mark);
        if (!street_heard(agent, mark))
            fail_msg("%s: %s", cases[i].path, agent->received);
        free(mark);
    }
    assert_int_equal(street->authorize_count, 0);
    struct wire *mine = street_fetch(street, "GET", "/rubbish", "", "");
    assert_true(street_heard(mine, "PAYMENT-REQUIRED: !!!\r\nX-Mine: 1\r\n"));
    assert_int_equal(street->origin_count, 1);
}

static void a_challenge_that_is_too_large_streams_through(void **state)
{
    (void)state;
    struct street *street = street_new("{\"challenge_body_bytes\": 64}", NULL);
    street->serve = street_serve_v1;
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 402);
    assert_true(street_heard(agent, "Aegis-Problem: challenge_too_large\r\n"));
    assert_true(street_heard(agent, "\"version\":\"2\"}}]}"));
    assert_int_equal(street->authorize_count, 0);
    street_free(street);
}

static void serve_header_and_page(struct wire *wire, const char *request)
{
    if (strstr(request, "PAYMENT-SIGNATURE")) {
        street_say_settled(wire);
        return;
    }
    char *header = street_challenge_header();
    char *answer = aegis_format(
        "HTTP/1.1 402 Payment Required\r\nContent-Length: 200\r\nPAYMENT-REQUIRED: %s\r\n\r\n%0100d", header,
        1);
    street_say(wire, answer);
    free(answer);
    free(header);
}

static void a_long_page_beside_the_header_is_not_waited_for(void **state)
{
    (void)state;
    struct street *street = street_new("{\"challenge_body_bytes\": 64}", NULL);
    street->serve = serve_header_and_page;
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 200);
    assert_int_equal(street->origin_count, 2);
    street_free(street);
}

static void an_agents_own_payment_is_its_own_business(void **state)
{
    struct street *street = *state;
    static const char *const fields[] = {"PAYMENT-SIGNATURE: abc\r\n", "X-PAYMENT: abc\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct wire *agent = street_agent(street);
        char *all = aegis_format("%sContent-Length: 4\r\n", fields[i]);
        street->serve = street_serve_nothing;
        street_ask(agent, "POST", "/", all, "body");
        free(all);
        STREET_UNTIL(street, street->request_count == i + 1);
        assert_non_null(strstr(street->requests[i], fields[i]));
        street_say_challenge(street->request_wires[i]);
        STREET_UNTIL(street, street_answered(agent, 1));
        assert_int_equal(street_status(agent), 402);
        assert_true(street_heard(agent, "PAYMENT-REQUIRED: "));
        assert_false(street_heard(agent, "Aegis-"));
    }
    assert_int_equal(street->authorize_count, 0);
}

static void hang_up_from_the_second_on(struct wire *wire, const char *request)
{
    if (wire->street->request_count >= 2)
        street_close(wire);
    else
        street_serve_hello(wire, request);
}

static void an_agents_own_payment_is_sent_once(void **state)
{
    struct street *street = *state;
    street->serve = hang_up_from_the_second_on;
    street_fetch(street, "GET", "/", "", "");
    struct wire *agent = street_fetch(street, "GET", "/", "X-PAYMENT: abc\r\n", "");
    assert_int_equal(street_status(agent), 502);
    assert_int_equal(street_payments_sent(street), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, street_set_up, street_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_denial_says_why),
        cmocka_unit_test(denials_have_statuses),
        TEST(without_a_keeper_nothing_is_paid),
        TEST(a_keeper_lost_in_the_middle_denies),
        cmocka_unit_test(an_authorization_that_comes_too_late_is_reported_unsent),
        cmocka_unit_test(an_authorization_for_something_else_is_not_sent),
        TEST(an_outcome_is_for_the_keeper_that_authorized),
        TEST(what_cannot_be_paid_arrives_as_it_came),
        cmocka_unit_test(a_challenge_that_is_too_large_streams_through),
        cmocka_unit_test(a_long_page_beside_the_header_is_not_waited_for),
        TEST(an_agents_own_payment_is_its_own_business),
        TEST(an_agents_own_payment_is_sent_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
