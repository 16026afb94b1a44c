/* What goes wrong with origins and agents, and the worker's own comings and goings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "tests/unit/proxy_street.h"

/* ---- what goes wrong with the origin ---- */

static void hang_up(struct wire *wire, const char *request)
{
    (void)request;
    street_close(wire);
}

static void say_nonsense(struct wire *wire, const char *request)
{
    (void)request;
    street_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!");
}

static void say_half_a_head(struct wire *wire, const char *request)
{
    (void)request;
    street_say(wire, "HTTP/1.1 200 OK\r\nContent-Le");
    street_close(wire);
}

static void failures_have_codes(void **state)
{
    (void)state;
    static const struct {
        void (*serve)(struct wire *wire, const char *request);
        int status;
        const char *code;
    } cases[] = {
        {hang_up, 502, "upstream_closed"},
        {say_half_a_head, 502, "upstream_closed"},
        {say_nonsense, 502, "upstream_protocol"},
        {street_serve_nothing, 504, "upstream_timeout"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct street *street = street_new(NULL, "{\"first_byte_ms\": 60}");
        street->serve = cases[i].serve;
        struct wire *agent = street_fetch(street, "GET", "/", "", "");
        assert_int_equal(street_status(agent), cases[i].status);
        assert_string_equal(street_problem(agent), cases[i].code);
        assert_int_equal(street->request_count, 1);
        assert_false(agent->closed);
        street_free(street);
    }
}

static void origins_that_cannot_be_reached(void **state)
{
    struct street *street = *state;
    static const struct {
        const char *url;
        const char *code;
    } cases[] = {
        {"http://127.0.0.1:1/", "upstream_unreachable"},
        {"http://169.254.169.254/latest/meta-data", "address_refused"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct wire *agent = street_agent(street);
        char *request =
            aegis_format("GET %s HTTP/1.1\r\nHost: h\r\n" STREET_AUTHORIZATION "\r\n", cases[i].url);
        street_say(agent, request);
        free(request);
        STREET_UNTIL(street, street_answered(agent, 1));
        assert_string_equal(street_problem(agent), cases[i].code);
    }
}

static void say_cut_length(struct wire *wire, const char *request)
{
    (void)request;
    street_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf");
    street_close(wire);
}

static void say_cut_chunks(struct wire *wire, const char *request)
{
    (void)request;
    street_say(wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    street_close(wire);
}

static void a_cut_answer_never_looks_whole(void **state)
{
    struct street *street = *state;
    street->serve = say_cut_length;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, agent->closed);
    assert_true(street_heard(agent, "Content-Length: 50\r\n"));
    assert_false(street_answered(agent, 1));

    street->serve = say_cut_chunks;
    agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, agent->closed);
    assert_false(street_heard(agent, "0\r\n\r\n"));

    street->serve = street_serve_nothing;
    agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street->request_count == 3);
    struct wire *origin = street->request_wires[2];
    street_say(origin, "HTTP/1.1 200 OK\r\n\r\nhalf");
    STREET_UNTIL(street, street_heard(agent, "half"));
    street_reset(origin);
    STREET_UNTIL(street, agent->closed);
    assert_true(agent->reset);
}

static void hang_up_from_the_second_on(struct wire *wire, const char *request)
{
    if (wire->street->request_count == 2)
        street_close(wire);
    else
        street_serve_hello(wire, request);
}

static void a_stale_connection_costs_a_safe_request_nothing(void **state)
{
    struct street *street = *state;
    street->serve = hang_up_from_the_second_on;
    street_fetch(street, "GET", "/", "", "");
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 200);
    assert_int_equal(street->request_count, 3);
    assert_int_equal(street->origin_count, 2);
}

static void a_request_with_effects_is_not_repeated(void **state)
{
    struct street *street = *state;
    street->serve = hang_up_from_the_second_on;
    street_fetch(street, "GET", "/", "", "");
    struct wire *agent = street_fetch(street, "POST", "/", "Content-Length: 1\r\n", "x");
    assert_int_equal(street_status(agent), 502);
    assert_int_equal(street->request_count, 2);
}

static void a_put_is_repeated_with_its_body(void **state)
{
    struct street *street = *state;
    street->serve = hang_up_from_the_second_on;
    street_fetch(street, "GET", "/", "", "");
    struct wire *agent = street_fetch(street, "PUT", "/", "Content-Length: 4\r\n", "body");
    assert_int_equal(street_status(agent), 200);
    assert_string_equal(street->requests[1], street->requests[2]);
    assert_non_null(strstr(street->requests[2], "\r\n\r\nbody"));
}

static void a_fresh_connection_that_ends_is_not_tried_again(void **state)
{
    struct street *street = *state;
    street->serve = hang_up;
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 502);
    assert_int_equal(street->request_count, 1);
}

static void an_answer_may_come_before_the_request_is_whole(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_nothing;
    struct wire *agent = street_agent(street);
    street_ask(agent, "POST", "/", "Content-Length: 100\r\n", "first");
    STREET_UNTIL(street, street->origin_count == 1 && street_heard(street->origins[0], "first"));
    street_say(street->origins[0], "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    STREET_UNTIL(street, street_answered(agent, 1));
    assert_int_equal(street_status(agent), 401);
    assert_true(street_heard(agent, "Connection: close\r\n"));
    STREET_UNTIL(street, street->origins[0]->closed);
    assert_int_equal(aegis_pool_waiting(street->proxy->pool), 0);
}

static void an_answer_nobody_asked_for_ends_the_connection(void **state)
{
    struct street *street = *state;
    street_fetch(street, "GET", "/", "", "");
    assert_int_equal(aegis_pool_waiting(street->proxy->pool), 1);
    street_serve_hello(street->origins[0], "");
    STREET_UNTIL(street, aegis_pool_waiting(street->proxy->pool) == 0);
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 200);
    assert_int_equal(street->origin_count, 2);
}

/* ---- agents that leave ---- */

static void an_agent_that_leaves_takes_its_request_along(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_nothing;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street->request_count == 1);
    street_close(agent);
    STREET_UNTIL(street, street->origins[0]->closed);
    STREET_UNTIL(street, street->proxy->agent_count == 0);
}

static void an_agent_may_leave_while_it_is_identified(void **state)
{
    struct street *street = *state;
    street->keeper_silent = true;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street->identify_count == 1);
    street_close(agent);
    STREET_UNTIL(street, street->proxy->agent_count == 0);
    aegis_channel_send(street->keeper, &aegis_message_identified,
                       json_pack("{s:O, s:b, s:s, s:s, s:[], s:i}", "id",
                                 json_object_get(street->last_identify, "id"), "ok", 1, "agent", "a",
                                 "agent_name", "n", "request_policies", "cache_ms", 1000));
    street_rest(street);
    assert_int_equal(street->request_count, 0);
}

static void an_agent_may_leave_in_the_middle_of_an_answer(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_first_event;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street_heard(agent, "data: 1"));
    street_reset(agent);
    STREET_UNTIL(street, street->origins[0]->closed);
    STREET_UNTIL(street, street->proxy->agent_count == 0);
}

/* ---- the worker itself ---- */

static void one_connection_too_many_is_told_so(void **state)
{
    (void)state;
    struct street *street = street_new("{\"connections\": 2}", NULL);
    street_fetch(street, "GET", "/", "", "");
    street_fetch(street, "GET", "/", "", "");
    struct wire *third = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(third), 503);
    assert_string_equal(street_problem(third), "too_many_connections");
    STREET_UNTIL(street, third->closed);
    street_close(street->agents[0]);
    STREET_UNTIL(street, street->proxy->agent_count == 1);
    assert_int_equal(street_status(street_fetch(street, "GET", "/", "", "")), 200);
    street_free(street);
}

static void stopping_finishes_what_runs(void **state)
{
    struct street *street = *state;
    struct wire *idle = street_fetch(street, "GET", "/", "", "");
    street->serve = street_serve_nothing;
    struct wire *busy = street_agent(street);
    street_ask(busy, "GET", "/", "", "");
    STREET_UNTIL(street, street->request_count == 2);
    aegis_proxy_stop(street->proxy);
    STREET_UNTIL(street, idle->closed);
    street_rest(street);
    assert_false(street->stopped);
    street_serve_hello(street->request_wires[1], "");
    STREET_UNTIL(street, busy->closed);
    assert_true(street_heard(busy, "Connection: close\r\n"));
    assert_true(street_heard(busy, "hello"));
    STREET_UNTIL(street, street->stopped);
}

static void a_new_configuration_leaves_requests_in_peace(void **state)
{
    struct street *street = *state;
    struct aegis_error error = {0};
    street->serve = street_serve_nothing;
    struct wire *busy = street_agent(street);
    street_ask(busy, "GET", "/", "", "");
    STREET_UNTIL(street, street->request_count == 1);
    json_t *config = street_config("{\"request_body_bytes\": 4}", NULL);
    assert_true(aegis_proxy_configure(street->proxy, config, &error));
    json_decref(config);
    config = street_config("{\"request_body_bytes\": \"four\"}", NULL);
    assert_false(aegis_proxy_configure(street->proxy, config, &error));
    assert_non_null(strstr(error.text, "request_body_bytes"));
    json_decref(config);
    street_serve_hello(street->request_wires[0], "");
    STREET_UNTIL(street, street_answered(busy, 1));
    street->serve = street_serve_hello;
    struct wire *agent = street_fetch(street, "POST", "/q", "Content-Length: 5\r\n", "12345");
    assert_int_equal(street_status(agent), 413);
}

static void a_listener_that_is_no_longer_configured_serves_no_more(void **state)
{
    struct street *street = *state;
    struct aegis_error error = {0};
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    json_t *config = json_pack("{s:[]}", "listeners");
    assert_true(aegis_proxy_configure(street->proxy, config, &error));
    json_decref(config);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street_answered(agent, 2));
    assert_true(street_heard(agent, "shutting_down"));
    assert_int_equal(street->request_count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, street_set_up, street_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_have_codes),
        TEST(origins_that_cannot_be_reached),
        TEST(a_cut_answer_never_looks_whole),
        TEST(a_stale_connection_costs_a_safe_request_nothing),
        TEST(a_request_with_effects_is_not_repeated),
        TEST(a_put_is_repeated_with_its_body),
        TEST(a_fresh_connection_that_ends_is_not_tried_again),
        TEST(an_answer_may_come_before_the_request_is_whole),
        TEST(an_answer_nobody_asked_for_ends_the_connection),
        TEST(an_agent_that_leaves_takes_its_request_along),
        TEST(an_agent_may_leave_while_it_is_identified),
        TEST(an_agent_may_leave_in_the_middle_of_an_answer),
        cmocka_unit_test(one_connection_too_many_is_told_so),
        TEST(stopping_finishes_what_runs),
        TEST(a_new_configuration_leaves_requests_in_peace),
        TEST(a_listener_that_is_no_longer_configured_serves_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
