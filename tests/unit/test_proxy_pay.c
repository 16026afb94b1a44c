/* A 402 and what follows: paid once, reported once, whatever happens. */
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

/* ---- paid ---- */

static void a_402_is_answered_with_a_payment(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_paid;
    struct wire *agent = street_fetch(street, "GET", "/x?q=1", "", "");
    assert_int_equal(street_status(agent), 200);
    assert_true(street_heard(agent, "\r\n\r\npaid"));
    assert_false(street_heard(agent, "402"));
    assert_true(street_heard(agent, "Aegis-Payment: pay_1; state=settled\r\n"));
    assert_true(street_heard(agent, "PAYMENT-RESPONSE: "));
    assert_true(street_heard(agent, "Cache-Control: no-store\r\n"));
    assert_int_equal(street->request_count, 2);
    assert_int_equal(street->origin_count, 1);
    assert_memory_equal(street->requests[0], street->requests[1], strlen(street->requests[0]) - 2);
    const json_t *said = street_outcome(street, "settled");
    assert_string_equal(aegis_json_text(said, "transaction", ""),
                        "0x1111111111111111111111111111111111111111111111111111111111111111");
    assert_string_equal(aegis_json_text(said, "payer", ""), STREET_PAYER);
    assert_int_equal(aegis_json_integer(said, "status", 0), 200);
}

static void the_keeper_is_told_what_is_asked_for(void **state)
{
    struct street *street = *state;
    char body_hash[AEGIS_HASH_HEX], request_hash[AEGIS_HASH_HEX], host[32];
    street->serve = street_serve_paid;
    street_fetch(street, "POST", "/x?q=1", "Content-Length: 5\r\nIdempotency-Key: k-1\r\n", "hello");
    snprintf(host, sizeof(host), "127.0.0.1:%d", street->origin_port);
    aegis_sha256_hex("hello", 5, body_hash);
    char *text = aegis_format("POST\nhttp://%s/x?q=1\n%s", host, body_hash);
    aegis_sha256_hex(text, strlen(text), request_hash);
    free(text);
    const json_t *asked = street->last_authorize;
    char *url = aegis_format("http://%s/x", host);
    assert_string_equal(aegis_json_text(asked, "url", ""), url);
    free(url);
    assert_string_equal(aegis_json_text(asked, "host", ""), host);
    assert_string_equal(aegis_json_text(asked, "method", ""), "POST");
    assert_string_equal(aegis_json_text(asked, "token", ""), STREET_TOKEN);
    assert_string_equal(aegis_json_text(asked, "request_hash", ""), request_hash);
    assert_string_equal(aegis_json_text(asked, "idempotency_key", ""), "k-1");
    assert_int_equal(aegis_json_integer(asked, "x402_version", 0), 2);
    const json_t *candidates = json_object_get(asked, "candidates");
    assert_int_equal(json_array_size(candidates), 1);
    const json_t *candidate = json_array_get(candidates, 0);
    assert_string_equal(aegis_json_text(candidate, "network", ""), "eip155:84532");
    assert_string_equal(aegis_json_text(candidate, "asset", ""), STREET_USDC);
    assert_string_equal(aegis_json_text(candidate, "amount", ""), "10000");
    assert_string_equal(aegis_json_text(candidate, "pay_to", ""), STREET_PAYEE);
}

static void a_body_is_sent_again_with_the_payment(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_paid;
    struct wire *agent = street_fetch(street, "POST", "/", "Content-Length: 5\r\n", "hello");
    assert_int_equal(street_status(agent), 200);
    assert_non_null(strstr(street->requests[1], "PAYMENT-SIGNATURE: "));
    assert_non_null(strstr(street->requests[1], "\r\n\r\nhello"));
    agent = street_fetch(street, "POST", "/", "Transfer-Encoding: chunked\r\n",
                         "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    assert_int_equal(street_status(agent), 200);
    assert_non_null(strstr(street->requests[2], "Transfer-Encoding: chunked"));
    assert_non_null(strstr(street->requests[3], "Content-Length: 11\r\n"));
    assert_non_null(strstr(street->requests[3], "\r\n\r\nhello world"));
}

static void version_1_asks_in_the_body(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_v1;
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 200);
    assert_int_equal(aegis_json_integer(street->last_authorize, "x402_version", 0), 1);
    assert_true(street_heard(agent, "Aegis-Payment: pay_1; state=delivered\r\n"));
    assert_false(street_heard(agent, "no-store"));
    street_outcome(street, "delivered");
}

static void a_challenge_is_read_to_its_end(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_v1_in_pieces;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street->request_count == 1);
    street_rest(street);
    assert_int_equal(street->authorize_count, 0);
    static const char rest[] =
        "\"accepts\":[{\"scheme\":\"exact\",\"network\":\"base-sepolia\",\"maxAmountRequired\":\"10000\","
        "\"resource\":"
        "\"http://x/\",\"description\":\"\",\"mimeType\":\"\",\"payTo\":\"" STREET_PAYEE
        "\",\"maxTimeoutSeconds\":60,\"asset\":\"" STREET_USDC
        "\",\"extra\":{\"name\":\"USDC\",\"version\":\"2\"}}]}";
    char *chunk = aegis_format("%zx\r\n%s\r\n0\r\n\r\n", sizeof(rest) - 1, rest);
    street_say(street->origins[0], chunk);
    free(chunk);
    STREET_UNTIL(street, street_answered(agent, 1));
    assert_int_equal(street_status(agent), 200);
    street_outcome(street, "delivered");
}

static void serve_paid_head(struct wire *wire, const char *request)
{
    if (strstr(request, "PAYMENT-SIGNATURE")) {
        street_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
        return;
    }
    char *header = street_challenge_header();
    char *answer = aegis_format(
        "HTTP/1.1 402 Payment Required\r\nContent-Length: 2\r\nPAYMENT-REQUIRED: %s\r\n\r\n", header);
    street_say(wire, answer);
    free(answer);
    free(header);
}

static void a_head_request_is_paid_like_any(void **state)
{
    struct street *street = *state;
    street->serve = serve_paid_head;
    struct wire *agent = street_fetch(street, "HEAD", "/", "", "");
    assert_int_equal(street_status(agent), 200);
    assert_true(street_heard(agent, "Content-Length: 500\r\n"));
    street_outcome(street, "delivered");
}

static void a_tunnel_for_plain_http_ends_here(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_paid;
    street->cache_ms = 0; /* inside, the keeper is asked anew who that is */
    struct wire *agent = street_agent(street);
    char *connect =
        aegis_format("CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
                     "" STREET_AUTHORIZATION "\r\n",
                     street->origin_port, street->origin_port);
    street_say(agent, connect);
    free(connect);
    STREET_UNTIL(street, street_heard(agent, "\r\n\r\n"));
    assert_string_equal(agent->received, "HTTP/1.1 200 OK\r\n\r\n");
    street_rest(street);
    assert_false(agent->closed);
    assert_int_equal(street->origin_count, 0);
    for (size_t i = 1; i <= 2; i++) {
        street_say(agent, "GET /inside HTTP/1.1\r\nHost: other.example\r\n\r\n");
        STREET_UNTIL(street, street_count(agent->received, "\r\n\r\npaid") == i);
    }
    char *host = aegis_format("127.0.0.1:%d", street->origin_port);
    assert_string_equal(aegis_json_text(street->last_authorize, "host", ""), host);
    assert_string_equal(aegis_json_text(street->last_authorize, "token", ""), STREET_TOKEN);
    free(host);
    assert_int_equal(street_payments_sent(street), 2);
}

static void a_402_may_come_before_the_body_is_whole(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_paid;
    struct wire *agent = street_agent(street);
    street_ask(agent, "POST", "/", "Content-Length: 10\r\n", "first");
    STREET_UNTIL(street, street->origin_count == 1 && street_heard(street->origins[0], "first"));
    street_say_challenge(street->origins[0]);
    street->origins[0]->silent = true;
    street_rest(street);
    assert_int_equal(street->authorize_count, 0);
    street_say(agent, "-last");
    STREET_UNTIL(street, street_answered(agent, 1));
    assert_int_equal(street_status(agent), 200);
    assert_int_equal(street->origin_count, 2);
    assert_int_equal(street_payments_sent(street), 1);
    assert_non_null(strstr(street->requests[street->request_count - 1], "first-last"));
    street_outcome(street, "settled");
}

static void serve_closing(struct wire *wire, const char *request)
{
    if (strstr(request, "PAYMENT-SIGNATURE")) {
        street_say_settled(wire);
        return;
    }
    char *header = street_challenge_header();
    char *answer = aegis_format(
        "HTTP/1.1 402 Payment Required\r\nConnection: close\r\nPAYMENT-REQUIRED: %s\r\n\r\n{}", header);
    street_say(wire, answer);
    street_close(wire);
    free(answer);
    free(header);
}

static void a_closed_connection_is_replaced_before_paying(void **state)
{
    struct street *street = *state;
    street->serve = serve_closing;
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 200);
    assert_int_equal(street->origin_count, 2);
    assert_int_equal(street_payments_sent(street), 1);
}

static void serve_closing_or_hello(struct wire *wire, const char *request)
{
    if (strstr(request, " /free "))
        return; /* both connections are to be open at once */
    serve_closing(wire, request);
}

static void a_payment_never_goes_over_a_connection_that_waited(void **state)
{
    struct street *street = *state;
    street->serve = serve_closing_or_hello;
    struct wire *one = street_agent(street), *two = street_agent(street);
    street_ask(one, "GET", "/free", "", "");
    street_ask(two, "GET", "/free", "", "");
    STREET_UNTIL(street, street->request_count == 2);
    street_serve_hello(street->request_wires[0], "");
    street_serve_hello(street->request_wires[1], "");
    STREET_UNTIL(street, street_answered(one, 1) && street_answered(two, 1));
    assert_int_equal(aegis_pool_waiting(street->proxy->pool), 2);
    street_ask(one, "GET", "/x", "", "");
    STREET_UNTIL(street, street_answered(one, 2));
    assert_int_equal(street->origin_count, 3);
    assert_ptr_equal(street->request_wires[3], street->origins[2]);
}

static void a_connection_that_ends_while_the_keeper_thinks_is_replaced(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_paid;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street->identify_count == 1);
    street->keeper_silent = true;
    STREET_UNTIL(street, street->authorize_count == 1);
    street_close(street->origins[0]);
    street_rest(street);
    street->keeper_silent = false;
    street_send_authorized(street);
    STREET_UNTIL(street, street_answered(agent, 1));
    assert_int_equal(street_status(agent), 200);
    assert_int_equal(street->origin_count, 2);
    assert_int_equal(street_payments_sent(street), 1);
    street_outcome(street, "settled");
}

/* ---- after the payment ---- */

static void ask_again(struct wire *wire, const char *request)
{
    (void)request;
    street_say_challenge(wire);
}

static void a_second_402_is_passed_on(void **state)
{
    struct street *street = *state;
    street->serve = ask_again;
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 402);
    assert_true(street_heard(agent, "Aegis-Payment: pay_1; state=refused\r\n"));
    assert_true(street_heard(agent, "PAYMENT-REQUIRED: "));
    assert_int_equal(street->authorize_count, 1);
    assert_int_equal(street_payments_sent(street), 1);
    street_outcome(street, "refused");
}

/* A repetition of what was paid: the seller who refuses it does not make the agent buy again. */
static void a_refused_repetition_of_what_is_settled_is_settled(void **state)
{
    struct street *street = *state;
    street->serve = ask_again;
    street->recorded = "settled";
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 402);
    assert_true(street_heard(agent, "Aegis-Payment: pay_1; state=settled\r\n"));
    street_outcome(street, "refused");
}

static void challenge_then_close(struct wire *wire, const char *request)
{
    if (strstr(request, "PAYMENT-SIGNATURE"))
        street_close(wire);
    else
        street_say_challenge(wire);
}

static void a_paid_request_is_sent_once_even_if_it_vanishes(void **state)
{
    struct street *street = *state;
    street->serve = challenge_then_close;
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 502);
    assert_string_equal(street_problem(agent), "upstream_closed");
    assert_true(street_heard(agent, "Aegis-Payment: pay_1; state=unknown\r\n"));
    assert_true(street_heard(agent, "\"signed\":true"));
    assert_true(street_heard(agent, "\"payment\":\"pay_1\""));
    assert_int_equal(street_payments_sent(street), 1);
    street_outcome(street, "unknown");
}

static void silence_after_a_payment_is_unknown(void **state)
{
    (void)state;
    struct street *street = street_new(NULL, "{\"first_byte_ms\": 60}");
    street->serve = street_serve_challenge_only;
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 504);
    assert_true(street_heard(agent, "\"signed\":true"));
    street_outcome(street, "unknown");
    street_free(street);
}

static void challenge_then_error(struct wire *wire, const char *request)
{
    if (strstr(request, "PAYMENT-SIGNATURE"))
        street_say(
            wire,
            "HTTP/1.1 500 Oops\r\nAegis-Payment: pay_9; state=settled\r\nContent-Length: 4\r\n\r\noops");
    else
        street_say_challenge(wire);
}

static void an_error_after_a_payment_is_passed_on_and_unknown(void **state)
{
    struct street *street = *state;
    street->serve = challenge_then_error;
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 500);
    assert_true(street_heard(agent, "Aegis-Payment: pay_1; state=unknown\r\n"));
    assert_false(street_heard(agent, "pay_9"));
    assert_true(street_heard(agent, "oops"));
    street_outcome(street, "unknown");
}

static void challenge_then_half(struct wire *wire, const char *request)
{
    if (strstr(request, "PAYMENT-SIGNATURE")) {
        street_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        street_close(wire);
    } else {
        street_say_challenge(wire);
    }
}

static void a_cut_paid_answer_is_cut_for_the_agent_too(void **state)
{
    struct street *street = *state;
    street->serve = challenge_then_half;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, agent->closed);
    assert_true(street_heard(agent, "half"));
    assert_false(street_answered(agent, 1));
    street_outcome(street, "delivered");
}

static void say_cut_402(struct wire *wire, const char *request)
{
    (void)request;
    char *header = street_challenge_header();
    char *answer = aegis_format(
        "HTTP/1.1 402 Payment Required\r\nContent-Length: 100\r\nPAYMENT-REQUIRED: %s\r\n\r\nhalf", header);
    street_say(wire, answer);
    street_close(wire);
    free(answer);
    free(header);
}

static void a_cut_402_is_not_paid(void **state)
{
    struct street *street = *state;
    street->serve = say_cut_402;
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 502);
    assert_int_equal(street->authorize_count, 0);
}

/* ---- agents that leave ---- */

static void an_agent_that_leaves_while_the_keeper_thinks_pays_nothing(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_paid;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street->identify_count == 1);
    street->keeper_silent = true;
    STREET_UNTIL(street, street->authorize_count == 1);
    street_close(agent);
    STREET_UNTIL(street, street->proxy->agent_count == 0);
    street_send_authorized(street);
    const json_t *said = street_outcome(street, "unknown");
    assert_non_null(strstr(aegis_json_text(said, "reason", ""), "never sent"));
    assert_int_equal(street->request_count, 1);
}

static void an_agent_that_leaves_while_the_402_is_read_pays_nothing(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_v1_in_pieces;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street->request_count == 1);
    street_rest(street);
    street_close(agent);
    STREET_UNTIL(street, street->origins[0]->closed);
    street_rest(street);
    assert_int_equal(street->authorize_count, 0);
    assert_int_equal(street->outcome_count, 0);
}

static void an_agent_that_leaves_after_paying_leaves_an_unknown(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_challenge_only;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street_payments_sent(street) == 1);
    street_close(agent);
    street_outcome(street, "unknown");
    STREET_UNTIL(street, street->origins[0]->closed);
}

static void challenge_then_stream(struct wire *wire, const char *request)
{
    if (strstr(request, "PAYMENT-SIGNATURE"))
        street_say(wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    else
        street_say_challenge(wire);
}

static void an_agent_that_leaves_after_the_head_leaves_what_is_known(void **state)
{
    struct street *street = *state;
    street->serve = challenge_then_stream;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street_heard(agent, "half"));
    street_close(agent);
    STREET_UNTIL(street, street->origins[0]->closed);
    street_outcome(street, "delivered");
}

static void many_at_once_are_each_paid_once(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_paid;
    struct wire *agents[32];
    for (size_t i = 0; i < 32; i++) {
        agents[i] = street_agent(street);
        street_ask(agents[i], "POST", "/", "Content-Length: 2\r\n", "hi");
    }
    for (size_t i = 0; i < 32; i++)
        STREET_UNTIL(street, street_answered(agents[i], 1));
    STREET_UNTIL(street, street->outcome_count == 32);
    assert_int_equal(street_payments_sent(street), 32);
    assert_int_equal(street->authorize_count, 32);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, street_set_up, street_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_402_is_answered_with_a_payment),
        TEST(the_keeper_is_told_what_is_asked_for),
        TEST(a_body_is_sent_again_with_the_payment),
        TEST(version_1_asks_in_the_body),
        TEST(a_challenge_is_read_to_its_end),
        TEST(a_head_request_is_paid_like_any),
        TEST(a_tunnel_for_plain_http_ends_here),
        TEST(a_402_may_come_before_the_body_is_whole),
        TEST(a_closed_connection_is_replaced_before_paying),
        TEST(a_payment_never_goes_over_a_connection_that_waited),
        TEST(a_connection_that_ends_while_the_keeper_thinks_is_replaced),
        TEST(a_second_402_is_passed_on),
        TEST(a_refused_repetition_of_what_is_settled_is_settled),
        TEST(a_paid_request_is_sent_once_even_if_it_vanishes),
        cmocka_unit_test(silence_after_a_payment_is_unknown),
        TEST(an_error_after_a_payment_is_passed_on_and_unknown),
        TEST(a_cut_paid_answer_is_cut_for_the_agent_too),
        TEST(a_cut_402_is_not_paid),
        TEST(an_agent_that_leaves_while_the_keeper_thinks_pays_nothing),
        TEST(an_agent_that_leaves_while_the_402_is_read_pays_nothing),
        TEST(an_agent_that_leaves_after_paying_leaves_an_unknown),
        TEST(an_agent_that_leaves_after_the_head_leaves_what_is_known),
        TEST(many_at_once_are_each_paid_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
