/* Requests that need no money: the ordinary way through the proxy, who may take it, and what may be asked
 * for. */
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

/* ---- the ordinary way ---- */

static void a_request_is_written_anew(void **state)
{
    struct street *street = *state;
    struct wire *agent =
        street_fetch(street, "GET", "/a?b=c",
                     "Accept: text/plain\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\n"
                     "Proxy-Connection: keep-alive\r\nUpgrade: websocket\r\nVia: 1.0 before\r\n",
                     "");
    char *expected =
        aegis_format("GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/plain\r\nVia: 1.0 before\r\n"
                     "Via: 1.1 aegis\r\n\r\n",
                     street->origin_port);
    assert_string_equal(street->requests[0], expected);
    free(expected);
    assert_int_equal(street_status(agent), 200);
    assert_true(street_heard(agent, "X-From: origin\r\n"));
    assert_true(street_heard(agent, "Via: 1.1 aegis\r\n"));
    assert_true(street_heard(agent, "\r\n\r\nhello"));
}

static void a_path_may_name_the_origin(void **state)
{
    struct street *street = *state;
    struct wire *agent = street_agent(street);
    char *request =
        aegis_format("GET /http/127.0.0.1:%d/x HTTP/1.1\r\nHost: gate\r\n" STREET_AUTHORIZATION "\r\n",
                     street->origin_port);
    street_say(agent, request);
    free(request);
    STREET_UNTIL(street, street_answered(agent, 1));
    assert_non_null(strstr(street->requests[0], "GET /x HTTP/1.1\r\nHost: 127.0.0.1:"));
}

static void bodies_go_through(void **state)
{
    struct street *street = *state;
    street_fetch(street, "POST", "/", "Content-Length: 11\r\n", "hello world");
    assert_non_null(strstr(street->requests[0], "Content-Length: 11\r\n"));
    assert_non_null(strstr(street->requests[0], "\r\n\r\nhello world"));
    struct wire *agent = street_fetch(street, "POST", "/", "Transfer-Encoding: chunked\r\n",
                                      "5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n");
    assert_int_equal(street_status(agent), 200);
    assert_null(strstr(street->requests[1], "X-Trailer"));
    street_fetch(street, "PUT", "/", "Content-Length: 0\r\n", "");
    assert_non_null(strstr(street->requests[2], "Content-Length: 0\r\n"));
}

static void serve_by_path(struct wire *wire, const char *request)
{
    if (strstr(request, " /none "))
        street_say(wire, "HTTP/1.1 204 No Content\r\n\r\n");
    else if (strstr(request, " /same "))
        street_say(wire, "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: \"x\"\r\n\r\n");
    else if (strstr(request, " /chunks "))
        street_say(wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    else if (strstr(request, " /early "))
        street_say(
            wire,
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    else if (!strncmp(request, "HEAD", 4))
        street_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
    else
        street_serve_hello(wire, request);
}

static void answers_of_every_shape_go_through(void **state)
{
    struct street *street = *state;
    street->serve = serve_by_path;
    struct wire *none = street_fetch(street, "GET", "/none", "", "");
    assert_int_equal(street_status(none), 204);
    assert_false(street_heard(none, "Content-Length"));
    struct wire *same = street_agent(street);
    street_ask(same, "GET", "/same", "", "");
    STREET_UNTIL(street, street_heard(same, "\r\n\r\n"));
    assert_int_equal(street_status(same), 304);
    struct wire *head = street_fetch(street, "HEAD", "/", "", "");
    assert_true(street_heard(head, "Content-Length: 12345\r\n"));
    struct wire *chunks = street_fetch(street, "GET", "/chunks", "", "");
    assert_true(street_heard(chunks, "Transfer-Encoding: chunked\r\n"));
    assert_true(street_heard(chunks, "5\r\nhello\r\n0\r\n\r\n"));
    struct wire *early = street_fetch(street, "GET", "/early", "", "");
    assert_int_equal(street_status(early), 200);
    assert_false(street_heard(early, "103"));
    assert_int_equal(street->origin_count, 1);
}

static void connections_are_kept_on_both_sides(void **state)
{
    struct street *street = *state;
    struct wire *agent = street_agent(street);
    for (size_t i = 1; i <= 5; i++) {
        street_ask(agent, "GET", "/", "", "");
        STREET_UNTIL(street, street_answered(agent, i));
    }
    assert_int_equal(street->origin_count, 1);
    assert_int_equal(street->identify_count, 1);
    street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street->identify_count, 1);
    assert_int_equal(street->origin_count, 1);
}

static void requests_in_one_go_are_answered_in_order(void **state)
{
    struct street *street = *state;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/1", "", "");
    street_ask(agent, "POST", "/2", "Content-Length: 3\r\n", "abc");
    street_ask(agent, "GET", "/3", "", "");
    STREET_UNTIL(street, street_answered(agent, 3));
    assert_int_equal(street->request_count, 3);
    for (size_t i = 0; i < 3; i++) {
        char path[8];
        snprintf(path, sizeof(path), " /%zu ", i + 1);
        assert_non_null(strstr(street->requests[i], path));
    }
}

static void a_body_is_asked_for(void **state)
{
    struct street *street = *state;
    struct wire *agent = street_agent(street);
    street_ask(agent, "POST", "/", "Content-Length: 3\r\nExpect: 100-continue\r\n", "");
    STREET_UNTIL(street, street_heard(agent, "HTTP/1.1 100 Continue\r\n\r\n"));
    street_say(agent, "abc");
    STREET_UNTIL(street, street_heard(agent, "hello"));
    assert_null(strstr(street->requests[0], "Expect"));
}

static void events_arrive_as_they_are_sent(void **state)
{
    struct street *street = *state;
    street->serve = street_serve_first_event;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/events", "", "");
    STREET_UNTIL(street, street_heard(agent, "data: 1\n\n"));
    street_say(street->origins[0], "data: 2\n\n");
    STREET_UNTIL(street, street_heard(agent, "data: 2\n\n"));
    assert_false(agent->closed);
    street_close(street->origins[0]);
    STREET_UNTIL(street, agent->closed);
    assert_false(agent->reset);
}

enum { FLOOD = 32 * 1024 * 1024 };

static void say_flood(struct wire *wire, const char *request)
{
    (void)request;
    char *bytes = calloc(1, FLOOD);
    memset(bytes, 'x', FLOOD);
    char head[80];
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", FLOOD);
    street_say(wire, head);
    street_say_bytes(wire, bytes, FLOOD);
    free(bytes);
}

static void a_slow_reader_slows_the_origin(void **state)
{
    struct street *street = *state;
    street->serve = say_flood;
    struct wire *agent = street_agent(street);
    bufferevent_disable(agent->transport, EV_READ);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street->request_count == 1);
    street_rest(street);
    street_rest(street);
    struct evbuffer *waiting = bufferevent_get_output(street->origins[0]->transport);
    assert_true(evbuffer_get_length(waiting) > FLOOD / 4);
    bufferevent_enable(agent->transport, EV_READ);
    STREET_UNTIL(street, agent->size > FLOOD);
    STREET_UNTIL(street, street_answered(agent, 1));
}

/* ---- who asks ---- */

static void no_token_no_service(void **state)
{
    struct street *street = *state;
    static const struct {
        const char *field;
        const char *code;
    } cases[] = {
        {"", "credentials_required"},
        {"Proxy-Authorization: Digest x\r\n", "credentials_malformed"},
        {"Proxy-Authorization: \r\n", "credentials_malformed"},
        {"Proxy-Authorization: Bearer a\r\nProxy-Authorization: Bearer b\r\n", "credentials_malformed"},
        {"Proxy-Authorization: Bearer ows_key_bad\r\n", "agent_unknown"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct wire *agent = street_agent(street);
        char *request = aegis_format("GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: h\r\n%s\r\n",
                                     street->origin_port, cases[i].field);
        street_say(agent, request);
        free(request);
        STREET_UNTIL(street, street_answered(agent, 1));
        assert_int_equal(street_status(agent), 407);
        assert_string_equal(street_problem(agent), cases[i].code);
        assert_true(street_heard(agent, "Proxy-Authenticate: Basic "));
        assert_true(street_heard(agent, "Proxy-Authenticate: Bearer "));
    }
    assert_int_equal(street->request_count, 0);
}

static void another_token_on_the_same_connection_is_another_agent(void **state)
{
    struct street *street = *state;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street_answered(agent, 1));
    char *request = aegis_format(
        "GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: h\r\nProxy-Authorization: Bearer ows_key_bad\r\n\r\n",
        street->origin_port);
    street_say(agent, request);
    free(request);
    STREET_UNTIL(street, street_answered(agent, 2));
    assert_true(street_heard(agent, "HTTP/1.1 407"));
    assert_int_equal(street->request_count, 1);
}

static void a_basic_password_is_a_token(void **state)
{
    struct street *street = *state;
    struct wire *agent = street_agent(street);
    char *pair = aegis_base64_encode("anybody:" STREET_TOKEN, strlen("anybody:" STREET_TOKEN));
    char *request =
        aegis_format("GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: h\r\nProxy-Authorization: Basic %s\r\n\r\n",
                     street->origin_port, pair);
    street_say(agent, request);
    free(request);
    free(pair);
    STREET_UNTIL(street, street_answered(agent, 1));
    assert_int_equal(street_status(agent), 200);
    assert_string_equal(aegis_json_text(street->last_identify, "token", ""), STREET_TOKEN);
    assert_string_equal(aegis_json_text(street->last_identify, "listener", ""), "agents");
}

static void a_local_peer_is_known_by_its_uid(void **state)
{
    struct street *street = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "aegis-test-%d", (int)getpid());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    aegis_proxy_listen(street->proxy, "owner", fd);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    char *request = aegis_format("GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: h\r\n\r\n", street->origin_port);
    assert_int_equal(write(client, request, strlen(request)), (ssize_t)strlen(request));
    free(request);
    STREET_UNTIL(street, street->request_count == 1);
    assert_string_equal(aegis_json_text(street->last_identify, "listener", ""), "owner");
    assert_int_equal(aegis_json_integer(street->last_identify, "uid", -1), getuid());
    assert_null(json_object_get(street->last_identify, "token"));
    close(client);
    street_rest(street);
}

static void what_the_keeper_takes_back_is_asked_again(void **state)
{
    struct street *street = *state;
    struct wire *agent = street_agent(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street_answered(agent, 1));
    aegis_channel_send(street->keeper, &aegis_message_forget, json_pack("{s:s}", "agent", "agent-1"));
    street_rest(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street_answered(agent, 2));
    assert_int_equal(street->identify_count, 2);
}

static void without_a_keeper_only_known_agents_are_served(void **state)
{
    struct street *street = *state;
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    street_lose_keeper(street);
    street_rest(street);
    street_ask(agent, "GET", "/", "", "");
    STREET_UNTIL(street, street_answered(agent, 2));
    assert_int_equal(street->request_count, 2);
    struct wire *stranger = street_agent(street);
    char *request = aegis_format(
        "GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: h\r\nProxy-Authorization: Bearer new\r\n\r\n",
        street->origin_port);
    street_say(stranger, request);
    free(request);
    STREET_UNTIL(street, street_answered(stranger, 1));
    assert_int_equal(street_status(stranger), 503);
    assert_string_equal(street_problem(stranger), "keeper_unavailable");
    assert_true(street_heard(stranger, "Retry-After: 1\r\n"));
}

/* ---- what may be asked ---- */

static void policies_that_check_requests_are_asked_and_remembered(void **state)
{
    struct street *street = *state;
    street->request_policy = "guard";
    street->verdict_ms = 60000;
    struct wire *agent = street_fetch(street, "GET", "/x?secret=1", "", "");
    assert_int_equal(street_status(agent), 200);
    assert_int_equal(street->check_count, 1);
    char *url = aegis_format("http://127.0.0.1:%d/x", street->origin_port);
    assert_string_equal(aegis_json_text(street->last_check, "url", ""), url);
    assert_string_equal(aegis_json_text(street->last_check, "agent", ""), "agent-1");
    free(url);
    street_fetch(street, "GET", "/y", "", "");
    assert_int_equal(street->check_count, 1);
    street->verdict = "deny";
    struct wire *refused = street_fetch(street, "POST", "/x", "Content-Length: 3\r\n", "abc");
    assert_int_equal(street_status(refused), 403);
    assert_string_equal(street_problem(refused), "host_blocked");
    street_fetch(street, "POST", "/x", "Content-Length: 3\r\n", "abc");
    assert_int_equal(street->check_count, 2);
    assert_int_equal(street->request_count, 2);
}

static void a_url_that_no_policy_can_read_is_refused(void **state)
{
    struct street *street = *state;
    char *path = aegis_format("/%09000d", 1);
    assert_int_equal(street_status(street_fetch(street, "GET", path, "", "")), 200);
    street->serve = street_serve_paid;
    struct wire *agent = street_fetch(street, "GET", path, "", "");
    assert_int_equal(street_status(agent), 402);
    assert_true(street_heard(agent, "Aegis-Problem: url_too_long\r\n"));
    street->request_policy = "guard";
    aegis_channel_send(street->keeper, &aegis_message_forget, NULL);
    street_rest(street);
    agent = street_fetch(street, "GET", path, "", "");
    assert_int_equal(street_status(agent), 414);
    assert_string_equal(street_problem(agent), "url_too_long");
    free(path);
}

static void a_policy_that_fails_denies(void **state)
{
    struct street *street = *state;
    street->request_policy = "guard";
    street->verdict = "error";
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 503);
    aegis_channel_free(&street->judge);
    street_rest(street);
    struct wire *again = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(again), 503);
    assert_string_equal(street_problem(again), "judge_unavailable");
    assert_int_equal(street->request_count, 0);
}

static void tunnels_and_odd_targets_are_explained(void **state)
{
    struct street *street = *state;
    struct wire *tunnel = street_agent(street);
    street_say(tunnel,
               "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n" STREET_AUTHORIZATION "\r\n");
    STREET_UNTIL(street, street_answered(tunnel, 1));
    assert_int_equal(street_status(tunnel), 501);
    assert_string_equal(street_problem(tunnel), "tunnel_unsupported");
    assert_true(street_heard(tunnel, "/https/HOST/path"));
    struct wire *bare = street_agent(street);
    street_say(bare, "GET / HTTP/1.1\r\nHost: x\r\n" STREET_AUTHORIZATION "\r\n");
    STREET_UNTIL(street, street_answered(bare, 1));
    assert_int_equal(street_status(bare), 404);
    struct wire *key = street_fetch(street, "GET", "/", "Idempotency-Key: \r\n", "");
    assert_string_equal(street_problem(key), "idempotency_key_invalid");
}

/* ---- bodies that are too large to be kept ---- */

static void a_large_body_goes_only_where_nothing_is_asked_for(void **state)
{
    (void)state;
    struct street *street = street_new("{\"request_body_bytes\": 8}", NULL);
    struct wire *refused = street_fetch(street, "POST", "/up", "Content-Length: 9\r\n", "123456789");
    assert_int_equal(street_status(refused), 413);
    assert_string_equal(street_problem(refused), "request_body_too_large");
    assert_true(street_heard(refused, "\"limit\":\"8 bytes\""));
    struct wire *chunked =
        street_fetch(street, "POST", "/up", "Transfer-Encoding: chunked\r\n", "9\r\n123456789\r\n0\r\n\r\n");
    assert_int_equal(street_status(chunked), 413);
    assert_int_equal(street->request_count, 0);
    street_fetch(street, "GET", "/up", "", "");
    struct wire *passed = street_fetch(street, "POST", "/up", "Content-Length: 9\r\n", "123456789");
    assert_int_equal(street_status(passed), 200);
    assert_non_null(strstr(street->requests[1], "123456789"));
    struct wire *streamed =
        street_fetch(street, "POST", "/up", "Transfer-Encoding: chunked\r\n", "9\r\n123456789\r\n0\r\n\r\n");
    assert_int_equal(street_status(streamed), 200);
    street->serve = street_serve_paid;
    struct wire *surprised = street_fetch(street, "POST", "/up", "Content-Length: 9\r\n", "123456789");
    assert_int_equal(street_status(surprised), 402);
    assert_true(street_heard(surprised, "Aegis-Problem: request_body_not_kept\r\n"));
    assert_int_equal(street->authorize_count, 0);
    struct wire *warned = street_fetch(street, "POST", "/up", "Content-Length: 9\r\n", "123456789");
    assert_int_equal(street_status(warned), 413);
    street_free(street);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, street_set_up, street_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_written_anew),
        TEST(a_path_may_name_the_origin),
        TEST(bodies_go_through),
        TEST(answers_of_every_shape_go_through),
        TEST(connections_are_kept_on_both_sides),
        TEST(requests_in_one_go_are_answered_in_order),
        TEST(a_body_is_asked_for),
        TEST(events_arrive_as_they_are_sent),
        TEST(a_slow_reader_slows_the_origin),
        TEST(no_token_no_service),
        TEST(another_token_on_the_same_connection_is_another_agent),
        TEST(a_basic_password_is_a_token),
        TEST(a_local_peer_is_known_by_its_uid),
        TEST(what_the_keeper_takes_back_is_asked_again),
        TEST(without_a_keeper_only_known_agents_are_served),
        TEST(policies_that_check_requests_are_asked_and_remembered),
        TEST(a_url_that_no_policy_can_read_is_refused),
        TEST(a_policy_that_fails_denies),
        TEST(tunnels_and_odd_targets_are_explained),
        cmocka_unit_test(a_large_body_goes_only_where_nothing_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
