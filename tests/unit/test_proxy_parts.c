/* The parts of the proxy that stand alone: the body that may be sent again, memories, problems, the pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/base/text.h"
#include "gate/proxy/body.h"
#include "gate/proxy/cache.h"
#include "gate/proxy/free_paths.h"
#include "gate/proxy/identity.h"
#include "gate/proxy/pool.h"
#include "gate/proxy/problem.h"
#include "gate/proxy/verdict.h"

static struct aegis_http_text text_of(const char *text)
{
    return (struct aegis_http_text){text, strlen(text)};
}

/* ---- body ---- */

static void a_kept_body_is_sent_again_from_its_beginning(void **state)
{
    (void)state;
    struct aegis_body body = {.kept = true};
    aegis_body_append(&body, "abc", 3);
    assert_int_equal(aegis_body_unsent(&body).length, 3);
    aegis_body_sent(&body);
    aegis_body_append(&body, "defg", 4);
    assert_int_equal(aegis_body_unsent(&body).length, 4);
    aegis_body_sent(&body);
    assert_int_equal(aegis_body_unsent(&body).length, 0);
    assert_true(aegis_body_replayable(&body));
    aegis_body_rewind(&body);
    assert_int_equal(aegis_body_unsent(&body).length, 7);
    assert_memory_equal(aegis_body_unsent(&body).at, "abcdefg", 7);
    aegis_body_clear(&body);
}

static void a_streamed_body_holds_only_what_waits(void **state)
{
    (void)state;
    struct aegis_body body = {0};
    for (int i = 0; i < 1000; i++) {
        aegis_body_append(&body, "0123456789", 10);
        aegis_body_sent(&body);
    }
    assert_int_equal(body.size, 0);
    assert_true(body.room <= 1024);
    assert_false(aegis_body_replayable(&body));
    aegis_body_clear(&body);
}

static void a_body_let_go_can_be_sent_again_until_some_of_it_was_sent(void **state)
{
    (void)state;
    struct aegis_body body = {.kept = true};
    aegis_body_append(&body, "abc", 3);
    aegis_body_let_go(&body);
    assert_true(aegis_body_replayable(&body));
    aegis_body_sent(&body);
    assert_false(aegis_body_replayable(&body));
    aegis_body_clear(&body);
    body.kept = true;
    aegis_body_let_go(&body);
    assert_true(aegis_body_replayable(&body));
    aegis_body_clear(&body);
}

/* ---- memories ---- */

static void a_cache_forgets_the_least_recently_used(void **state)
{
    (void)state;
    struct aegis_cache *cache = aegis_cache_new(3, free);
    aegis_cache_put(cache, "a", 1, aegis_strdup("A"), 100);
    aegis_cache_put(cache, "b", 1, aegis_strdup("B"), 100);
    aegis_cache_put(cache, "c", 1, aegis_strdup("C"), 100);
    assert_string_equal(aegis_cache_get(cache, "a", 1, 0), "A");
    aegis_cache_put(cache, "d", 1, aegis_strdup("D"), 100);
    assert_null(aegis_cache_get(cache, "b", 1, 0));
    assert_non_null(aegis_cache_get(cache, "a", 1, 0));
    aegis_cache_put(cache, "a", 1, aegis_strdup("A2"), 100);
    assert_string_equal(aegis_cache_get(cache, "a", 1, 99), "A2");
    assert_null(aegis_cache_get(cache, "a", 1, 100));
    assert_int_equal(aegis_cache_count(cache), 2);
    aegis_cache_free(&cache);
}

static struct aegis_identity *identity_of(const char *agent, int64_t cache_ms)
{
    json_t *message = json_pack("{s:s, s:s, s:[s], s:I}", "agent", agent, "agent_name", "name",
                                "request_policies", "p", "cache_ms", (json_int_t)cache_ms);
    struct aegis_identity *identity = aegis_identity_new(message, 1000);
    json_decref(message);
    return identity;
}

static void a_forgotten_identity_holds_nowhere(void **state)
{
    (void)state;
    struct aegis_cache *identities = aegis_identity_cache_new(8);
    struct aegis_identity_key one, two;
    aegis_identity_key_token("token-1", &one);
    aegis_identity_key_listener("agents", true, 1000, &two);
    struct aegis_identity *first = identity_of("a1", 500), *second = identity_of("a2", 500);
    aegis_identity_cache_put(identities, &one, first);
    aegis_identity_cache_put(identities, &two, second);
    assert_true(aegis_identity_holds(first, 1499));
    assert_false(aegis_identity_holds(first, 1500));
    aegis_identity_cache_forget(identities, "a1");
    assert_false(aegis_identity_holds(first, 1001));
    assert_true(aegis_identity_holds(second, 1001));
    assert_null(aegis_identity_cache_get(identities, &one, 1001));
    struct aegis_identity *found = aegis_identity_cache_get(identities, &two, 1001);
    assert_ptr_equal(found, second);
    aegis_identity_release(&found);
    aegis_identity_cache_forget(identities, NULL);
    assert_false(aegis_identity_holds(second, 1001));
    aegis_identity_release(&first);
    aegis_identity_release(&second);
    aegis_cache_free(&identities);
}

static void verdicts_belong_to_agent_method_host_and_policies(void **state)
{
    (void)state;
    struct aegis_cache *verdicts = aegis_verdicts_new(8);
    struct aegis_identity *identity = identity_of("a1", 500);
    json_t *checked = json_pack("{s:s, s:s}", "verdict", "allow", "policy", "p");
    aegis_verdicts_put(verdicts, identity, "GET", "h", aegis_request_verdict_new("a1", checked), 2000);
    assert_true(aegis_verdicts_get(verdicts, identity, "GET", "h", 1000)->allowed);
    assert_null(aegis_verdicts_get(verdicts, identity, "POST", "h", 1000));
    assert_null(aegis_verdicts_get(verdicts, identity, "GET", "g", 1000));
    assert_null(aegis_verdicts_get(verdicts, identity, "GET", "h", 2000));
    aegis_verdicts_put(verdicts, identity, "GET", "h", aegis_request_verdict_new("a1", checked), 2000);
    aegis_verdicts_forget(verdicts, "a2");
    assert_non_null(aegis_verdicts_get(verdicts, identity, "GET", "h", 1000));
    aegis_verdicts_forget(verdicts, "a1");
    assert_null(aegis_verdicts_get(verdicts, identity, "GET", "h", 1000));
    json_decref(checked);
    aegis_identity_release(&identity);
    aegis_cache_free(&verdicts);
}

static void resources_are_free_until_they_ask_for_money(void **state)
{
    (void)state;
    struct aegis_free_paths *paths = aegis_free_paths_new();
    assert_false(aegis_free_paths_has(paths, 1, text_of("/x"), 1000));
    aegis_free_paths_note(paths, 1, text_of("/x?a"), false, 1000);
    assert_true(aegis_free_paths_has(paths, 1, text_of("/x?b"), 1000));
    assert_false(aegis_free_paths_has(paths, 2, text_of("/x"), 1000));
    assert_false(aegis_free_paths_has(paths, 1, text_of("/y"), 1000));
    assert_false(aegis_free_paths_has(paths, 1, text_of("/x"), 1000 + AEGIS_FREE_PATHS_MS));
    aegis_free_paths_note(paths, 1, text_of("/x"), true, 1001);
    assert_false(aegis_free_paths_has(paths, 1, text_of("/x"), 1001));
    for (unsigned i = 0; i < 100000; i++) /* bounded: older ones give way */
        aegis_free_paths_note(paths, i, text_of("/z"), false, 2000 + i);
    assert_true(aegis_free_paths_has(paths, 99999, text_of("/z"), 102000));
    aegis_free_paths_free(&paths);
}

static void free_origins_are_named_exactly(void **state)
{
    (void)state;
    json_t *list = json_pack("[s, s]", "Upload.Example", "b.example:8080");
    assert_true(aegis_free_origin(list, "upload.example"));
    assert_true(aegis_free_origin(list, "b.example:8080"));
    assert_false(aegis_free_origin(list, "b.example"));
    assert_false(aegis_free_origin(NULL, "b.example"));
    json_decref(list);
}

/* ---- problems ---- */

static json_t *problem_of(const struct aegis_problem *problem)
{
    char *text = aegis_problem_json(problem);
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(value);
    free(text);
    return value;
}

static void a_problem_says_what_there_is_to_say(void **state)
{
    (void)state;
    struct aegis_problem problem = {.code = "daily_limit_exceeded",
                                    .detail = "The daily cap is reached.",
                                    .status = 403,
                                    .policy = "budget",
                                    .limit = "10",
                                    .remaining = "0.05",
                                    .decision = "dec_1",
                                    .resets_at = 1700000000000};
    json_t *value = problem_of(&problem);
    assert_string_equal(json_string_value(json_object_get(value, "type")),
                        "urn:aegis:problem:daily_limit_exceeded");
    assert_string_equal(json_string_value(json_object_get(value, "code")), "daily_limit_exceeded");
    assert_string_equal(json_string_value(json_object_get(value, "remaining")), "0.05");
    assert_string_equal(json_string_value(json_object_get(value, "resets_at")), "2023-11-14T22:13:20.000Z");
    assert_int_equal(json_integer_value(json_object_get(value, "status")), 403);
    assert_true(json_is_false(json_object_get(value, "signed")));
    assert_null(json_object_get(value, "retry_after"));
    assert_null(json_object_get(value, "payment"));
    json_decref(value);
}

static void a_problem_is_silent_about_what_there_is_not(void **state)
{
    (void)state;
    struct aegis_problem problem = {.code = "keeper_unavailable", .policy = ""};
    json_t *value = problem_of(&problem);
    assert_int_equal(json_integer_value(json_object_get(value, "status")), 503);
    assert_int_equal(json_integer_value(json_object_get(value, "retry_after")), 1);
    assert_int_equal(
        aegis_problem_retry_after(&(struct aegis_problem){.code = "policy_quarantined", .status = 503}), 60);
    assert_null(json_object_get(value, "policy"));
    assert_null(json_object_get(value, "limit"));
    assert_null(json_object_get(value, "resets_at"));
    json_decref(value);
}

static void denials_have_their_status(void **state)
{
    (void)state;
    assert_int_equal(aegis_problem_denied_status("denied", "daily_limit_exceeded"), 403);
    assert_int_equal(aegis_problem_denied_status("held", "approval_required"), 403);
    assert_int_equal(aegis_problem_denied_status("denied", "idempotency_key_in_use"), 409);
    assert_int_equal(aegis_problem_denied_status("denied", "previous_payment_unresolved"), 409);
    assert_int_equal(aegis_problem_denied_status("denied", "idempotency_key_reused"), 422);
    assert_int_equal(aegis_problem_denied_status("denied", "key_revoked"), 403);
    assert_int_equal(aegis_problem_denied_status("failed", "policy_failed"), 503);
    assert_int_equal(aegis_problem_denied_status("unrecorded", "ledger_unavailable"), 503);
}

/* ---- the pool ---- */

struct ends {
    struct event_base *base;
    struct aegis_settings *settings;
    struct aegis_pool *pool;
    bool answered;
    bool closed;
};

static void on_head(struct aegis_http_connection *connection, const struct aegis_http_head *head,
                    void *context)
{
    (void)connection, (void)head, (void)context;
}

static void on_end(struct aegis_http_connection *connection, void *context)
{
    (void)connection;
    ((struct ends *)context)->answered = true;
}

static void on_closed(struct aegis_http_connection *connection, enum aegis_http_end end, const char *problem,
                      void *context)
{
    (void)connection, (void)end, (void)problem;
    ((struct ends *)context)->closed = true;
}

static const struct aegis_http_events events = {
    .head = on_head, .body = NULL, .end = on_end, .closed = on_closed};

static int set_up(void **state)
{
    struct ends *ends = aegis_alloc(sizeof(*ends));
    struct aegis_error error;
    json_t *config = json_pack("{s:[]}", "listeners");
    ends->base = event_base_new();
    ends->settings = aegis_settings_new(config, &error);
    ends->pool = aegis_pool_new(2, 3);
    json_decref(config);
    *state = ends;
    return 0;
}

static int tear_down(void **state)
{
    struct ends *ends = *state;
    aegis_pool_free(&ends->pool);
    aegis_settings_release(&ends->settings);
    event_base_loop(ends->base, EVLOOP_NONBLOCK);
    event_base_free(ends->base);
    free(ends);
    return 0;
}

static struct aegis_origin *origin_of(struct ends *ends, const char *host)
{
    struct aegis_route route = {.port = 80};
    aegis_text_copy(route.host, sizeof(route.host), host);
    aegis_text_copy(route.authority, sizeof(route.authority), host);
    return aegis_pool_origin(ends->pool, &route);
}

/* A connection that has had one exchange; *peer is the other end. */
static struct aegis_upstream *used_connection(struct ends *ends, struct aegis_origin *origin, int *peer)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    *peer = pair[1];
    struct bufferevent *transport = bufferevent_socket_new(ends->base, pair[0], BEV_OPT_CLOSE_ON_FREE);
    struct aegis_upstream *upstream =
        aegis_upstream_new(ends->pool, origin, transport, ends->settings, &events, ends);
    struct aegis_http_message *request = aegis_http_request_new(text_of("GET"), text_of("/"));
    aegis_http_message_add(request, "Host", "h");
    assert_true(aegis_http_connection_send(upstream->connection, request, AEGIS_HTTP_NO_BODY, 0, false));
    assert_true(aegis_http_connection_send_end(upstream->connection));
    aegis_http_message_free(&request);
    event_base_loop(ends->base, EVLOOP_NONBLOCK);
    assert_int_equal(write(*peer, answer, sizeof(answer) - 1), sizeof(answer) - 1);
    ends->answered = false;
    for (int i = 0; i < 100 && !ends->answered; i++)
        event_base_loop(ends->base, EVLOOP_ONCE);
    assert_true(ends->answered);
    return upstream;
}

static void the_last_one_used_is_taken_first_and_the_oldest_leaves(void **state)
{
    struct ends *ends = *state;
    int peer[4];
    struct aegis_origin *origin = origin_of(ends, "a"), *same = origin_of(ends, "a"),
                        *other = origin_of(ends, "b");
    assert_ptr_equal(origin, same);
    assert_ptr_not_equal(origin, other);
    struct aegis_upstream *upstream[4];
    struct aegis_http_connection *connection[4];
    for (int i = 0; i < 4; i++) {
        upstream[i] = used_connection(ends, i < 3 ? origin : other, &peer[i]);
        connection[i] = upstream[i]->connection;
    }
    for (int i = 0; i < 3; i++)
        aegis_pool_put(&upstream[i]);
    assert_int_equal(aegis_pool_waiting(ends->pool), 2);
    struct aegis_upstream *taken = aegis_pool_take(ends->pool, origin, &events, ends);
    assert_ptr_equal(taken->connection, connection[2]);
    assert_true(taken->used);
    aegis_pool_put(&taken);
    aegis_pool_put(&upstream[3]);
    assert_int_equal(aegis_pool_waiting(ends->pool), 3);
    assert_non_null(taken = aegis_pool_take(ends->pool, other, &events, ends));
    assert_null(aegis_pool_take(ends->pool, other, &events, ends));
    aegis_upstream_close(&taken);
    aegis_pool_origin_release(ends->pool, &origin);
    aegis_pool_origin_release(ends->pool, &same);
    aegis_pool_origin_release(ends->pool, &other);
    for (int i = 0; i < 4; i++)
        close(peer[i]);
}

static void a_waiting_connection_that_ends_or_speaks_leaves_the_pool(void **state)
{
    struct ends *ends = *state;
    int peer[2];
    struct aegis_origin *origin = origin_of(ends, "a");
    struct aegis_upstream *first = used_connection(ends, origin, &peer[0]);
    struct aegis_upstream *second = used_connection(ends, origin, &peer[1]);
    aegis_pool_put(&first);
    aegis_pool_put(&second);
    assert_int_equal(aegis_pool_waiting(ends->pool), 2);
    close(peer[0]);
    assert_int_equal(write(peer[1], "x", 1), 1);
    for (int i = 0; i < 100 && aegis_pool_waiting(ends->pool) > 0; i++)
        event_base_loop(ends->base, EVLOOP_ONCE);
    assert_int_equal(aegis_pool_waiting(ends->pool), 0);
    assert_null(aegis_pool_take(ends->pool, origin, &events, ends));
    aegis_pool_origin_release(ends->pool, &origin);
    close(peer[1]);
}

static void a_connection_in_the_middle_of_something_is_closed_instead(void **state)
{
    struct ends *ends = *state;
    int peer;
    struct aegis_origin *origin = origin_of(ends, "a");
    struct aegis_upstream *upstream = used_connection(ends, origin, &peer);
    struct aegis_http_message *request = aegis_http_request_new(text_of("GET"), text_of("/"));
    aegis_http_message_add(request, "Host", "h");
    assert_true(aegis_http_connection_send(upstream->connection, request, AEGIS_HTTP_NO_BODY, 0, false));
    aegis_http_message_free(&request);
    aegis_pool_put(&upstream);
    assert_null(upstream);
    assert_int_equal(aegis_pool_waiting(ends->pool), 0);
    aegis_pool_origin_release(ends->pool, &origin);
    close(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kept_body_is_sent_again_from_its_beginning),
        cmocka_unit_test(a_streamed_body_holds_only_what_waits),
        cmocka_unit_test(a_body_let_go_can_be_sent_again_until_some_of_it_was_sent),
        cmocka_unit_test(a_cache_forgets_the_least_recently_used),
        cmocka_unit_test(a_forgotten_identity_holds_nowhere),
        cmocka_unit_test(verdicts_belong_to_agent_method_host_and_policies),
        cmocka_unit_test(resources_are_free_until_they_ask_for_money),
        cmocka_unit_test(free_origins_are_named_exactly),
        cmocka_unit_test(a_problem_says_what_there_is_to_say),
        cmocka_unit_test(a_problem_is_silent_about_what_there_is_not),
        cmocka_unit_test(denials_have_their_status),
        cmocka_unit_test_setup_teardown(the_last_one_used_is_taken_first_and_the_oldest_leaves, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_waiting_connection_that_ends_or_speaks_leaves_the_pool, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_connection_in_the_middle_of_something_is_closed_instead, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
