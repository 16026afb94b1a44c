/* The client's side of a connection, with a bare socket for a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tests/unit/http_cases.h"
#include "tests/unit/http_wire.h"

#define ASKED  "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

static void get(struct wire *wire)
{
    wire_ask(wire, "GET", AEGIS_HTTP_NO_BODY, NULL, false);
    wire_until(wire, wire->got_size >= strlen(ASKED));
    wire_got(wire, ASKED);
}

static void an_exchange_and_another(void **state)
{
    (void)state;
    struct wire *wire = wire_new(false);
    assert_false(aegis_http_connection_reusable(wire->connection));
    for (int i = 0; i < 3; i++) {
        get(wire);
        assert_false(aegis_http_connection_reusable(wire->connection));
        wire_text(wire, ANSWER);
        wire_until(wire, wire->ends == (unsigned)i + 1);
        wire_told(wire, "head 200 | body hi | end");
        assert_true(aegis_http_connection_reusable(wire->connection));
    }
    wire_free(wire);
}

static void requests_are_framed(void **state)
{
    (void)state;
    static const struct {
        const char *method, *expected;
        enum aegis_http_framing framing;
        const char *body;
        bool close;
    } rows[] = {
        {"GET", ASKED, AEGIS_HTTP_NO_BODY, NULL, false},
        {"GET", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", AEGIS_HTTP_NO_BODY, NULL, true},
        {"POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", AEGIS_HTTP_NO_BODY, NULL, false},
        {"POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", AEGIS_HTTP_LENGTH, "hi", false},
        {"PUT", "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
         AEGIS_HTTP_CHUNKED, "hi", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire *wire = wire_new(false);
        wire_ask(wire, rows[i].method, rows[i].framing, rows[i].body, rows[i].close);
        wire_until(wire, wire->got_size >= strlen(rows[i].expected));
        wire_got(wire, rows[i].expected);
        wire_text(wire, ANSWER);
        wire_until(wire, wire->ends == 1);
        assert_int_equal(aegis_http_connection_reusable(wire->connection), !rows[i].close);
        wire_free(wire);
    }
}

static void stray_bytes_end_a_connection(void **state)
{
    (void)state;
    static const char *const strays[] = {ANSWER "x", ANSWER ANSWER, "HTTP/1.1 204 No Content\r\n\r\nx",
                                         "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nhi"};
    for (size_t i = 0; i < sizeof(strays) / sizeof(strays[0]); i++) {
        struct wire *wire = wire_new(false);
        get(wire);
        wire_text(wire, strays[i]);
        wire_until(wire, wire->over);
        assert_int_equal(wire->ends, 1);
        assert_int_equal(wire->how, AEGIS_HTTP_END_PROTOCOL);
        wire_free(wire);
    }
    struct wire *wire = wire_new(false);
    wire_text(wire, ANSWER);
    wire_until(wire, wire->over);
    assert_int_equal(wire->how, AEGIS_HTTP_END_PROTOCOL);
    wire_free(wire);
}

static void look_reusable(struct wire *wire)
{
    wire->number = aegis_http_connection_reusable(wire->connection);
}

static void an_answer_with_bytes_behind_is_not_reusable(void **state)
{
    (void)state;
    struct wire *wire = wire_new(false);
    wire->on_end = look_reusable;
    wire->number = -1;
    get(wire);
    wire_text(wire, ANSWER "H");
    wire_until(wire, wire->over);
    assert_int_equal(wire->number, 0);
    wire_free(wire);
}

static void interim_answers(void **state)
{
    (void)state;
    struct wire *wire = wire_new(false);
    get(wire);
    wire_text(wire, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" ANSWER);
    wire_until(wire, wire->ends == 1);
    wire_told(wire, "head 100 | head 103 | head 200 | body hi | end");
    assert_true(aegis_http_connection_reusable(wire->connection));
    get(wire);
    for (int i = 0; i < 33; i++) {
        wire_text(wire, "HTTP/1.1 102 Processing\r\n\r\n");
    }
    wire_until(wire, wire->over);
    assert_int_equal(wire->how, AEGIS_HTTP_END_PROTOCOL);
    wire_free(wire);

    wire = wire_new(false);
    get(wire);
    wire_text(wire, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    wire_until(wire, wire->over);
    assert_int_equal(wire->how, AEGIS_HTTP_END_PROTOCOL);
    assert_int_equal(wire->heads, 0);
    wire_free(wire);
}

static void an_answer_that_ends_by_closing(void **state)
{
    (void)state;
    struct wire *wire = wire_new(false);
    wire->on_end = look_reusable;
    get(wire);
    wire_text(wire, "HTTP/1.1 200 OK\r\n\r\nhello");
    wire_settle(wire);
    wire_told(wire, "head 200 | body hello");
    wire_close(wire);
    wire_until(wire, wire->over);
    wire_told(wire, " | end");
    assert_int_equal(wire->how, AEGIS_HTTP_END_CLOSED);
    assert_int_equal(wire->number, 0);
    wire_free(wire);
}

static void pause_body(struct wire *wire)
{
    aegis_http_connection_pause(wire->connection);
}

static void an_end_waits_while_paused(void **state)
{
    (void)state;
    struct wire *wire = wire_new(false);
    wire->on_body = pause_body;
    get(wire);
    wire_text(wire, "HTTP/1.1 200 OK\r\n\r\nhello");
    wire_settle(wire);
    wire_text(wire, "world");
    wire_close(wire);
    wire_settle(wire);
    wire_told(wire, "head 200 | body hello");
    aegis_http_connection_resume(wire->connection);
    wire_settle(wire);
    wire_told(wire, " | body world");
    assert_false(wire->over);
    aegis_http_connection_resume(wire->connection);
    wire_until(wire, wire->over);
    wire_told(wire, " | end");
    wire_free(wire);
}

static void a_long_answer_is_not_read_while_paused(void **state)
{
    (void)state;
    enum { SIZE = 4 * 1024 * 1024 };
    static char block[65536];
    struct wire *wire = wire_new(false);
    wire->on_body = pause_body;
    get(wire);
    char head[64];
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", SIZE);
    wire_text(wire, head);
    size_t written = 0;
    memset(block, 'x', sizeof(block));
    while (written < SIZE) {
        size_t left = SIZE - written < sizeof(block) ? SIZE - written : sizeof(block);
        ssize_t size = send(wire->peer, block, left, MSG_NOSIGNAL);
        written += size > 0 ? (size_t)size : 0;
        wire_turn(wire);
        if (size <= 0) {
            struct evbuffer *input = bufferevent_get_input(aegis_http_connection_transport(wire->connection));
            assert_true(evbuffer_get_length(input) <= 65536);
            aegis_http_connection_resume(wire->connection);
        }
    }
    while (wire->ends == 0) {
        aegis_http_connection_resume(wire->connection);
        wire_turn(wire);
    }
    assert_int_equal(wire->body_bytes, SIZE);
    wire_free(wire);
}

static void cut_answers(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "HTTP/1.1 2",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 402 Payment Required\r\nContent-Length: 3\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire *wire = wire_new(false);
        get(wire);
        wire_text(wire, rows[i]);
        wire_settle(wire);
        assert_false(wire->over);
        wire_close(wire);
        wire_until(wire, wire->over);
        assert_int_equal(wire->how, AEGIS_HTTP_END_CUT);
        assert_int_equal(wire->ends, 0);
        wire_free(wire);
    }
}

static void a_pooled_connection_has_a_new_owner(void **state)
{
    (void)state;
    struct wire *wire = wire_new(false);
    get(wire);
    wire_text(wire, ANSWER);
    wire_until(wire, wire->ends == 1);
    struct wire *other = wire_new(false);
    aegis_http_connection_free(&other->connection);
    other->connection = wire->connection;
    aegis_http_connection_owner(wire->connection, &wire_events, other);
    wire->connection = NULL;
    wire_close(wire);
    wire_settle(wire);
    assert_false(wire->over);
    assert_true(other->over);
    assert_int_equal(other->how, AEGIS_HTTP_END_CLOSED);
    wire_free(other);
    wire_free(wire);
}

static void whether_a_byte_was_sent_is_known(void **state)
{
    (void)state;
    struct wire *wire = wire_new(false);
    wire->keep_over = true;
    wire_close(wire);
    wire_ask(wire, "GET", AEGIS_HTTP_NO_BODY, NULL, false);
    assert_false(aegis_http_connection_sent(wire->connection));
    wire_until(wire, wire->over);
    assert_false(aegis_http_connection_sent(wire->connection));
    assert_int_equal(wire->how, AEGIS_HTTP_END_CUT);
    struct aegis_http_message *message =
        aegis_http_request_new((struct aegis_http_text){"GET", 3}, (struct aegis_http_text){"/", 1});
    assert_false(aegis_http_connection_send(wire->connection, message, AEGIS_HTTP_NO_BODY, 0, false));
    aegis_http_message_free(&message);
    wire_free(wire);

    wire = wire_new(false);
    wire->keep_over = true;
    get(wire);
    assert_true(aegis_http_connection_sent(wire->connection));
    wire_close(wire);
    wire_until(wire, wire->over);
    assert_true(aegis_http_connection_sent(wire->connection));
    wire_free(wire);
}

static void an_early_answer_is_read_though_nothing_can_be_sent(void **state)
{
    (void)state;
    static char block[65536];
    struct wire *wire = wire_new(false);
    struct aegis_http_message *message =
        aegis_http_request_new((struct aegis_http_text){"POST", 4}, (struct aegis_http_text){"/", 1});
    assert_true(
        aegis_http_connection_send(wire->connection, message, AEGIS_HTTP_LENGTH, sizeof(block) * 64, false));
    aegis_http_message_free(&message);
    for (int i = 0; i < 8; i++) {
        assert_true(aegis_http_connection_send_body(wire->connection, block, sizeof(block)));
    }
    event_base_loop(wire->base, EVLOOP_NONBLOCK);
    wire_text(wire, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    wire_close(wire);
    wire_until(wire, wire->over);
    wire_told(wire, "head 413 | body no | end");
    assert_int_equal(wire->how, AEGIS_HTTP_END_CLOSED);
    wire_free(wire);
}

static void deadlines(void **state)
{
    (void)state;
    struct wire *wire = wire_new(false);
    wire->limits.first_byte_ms = 30;
    get(wire);
    wire_until(wire, wire->over);
    assert_int_equal(wire->how, AEGIS_HTTP_END_TIMEOUT);
    wire_free(wire);

    wire = wire_new(false);
    wire->limits.first_byte_ms = 60;
    get(wire);
    while (!wire->over) {
        wire_text(wire, "HTTP/1.1 102 Processing\r\n\r\n");
        for (unsigned i = 0; i < 10 && !wire->over; i++) {
            wire_wait(wire, 51, "the deadline");
        }
    }
    assert_int_equal(wire->how, AEGIS_HTTP_END_TIMEOUT);
    wire_free(wire);

    wire = wire_new(false);
    wire->limits.head_ms = 30;
    get(wire);
    wire_text(wire, "HTTP/1.1 200 O");
    wire_until(wire, wire->over);
    assert_int_equal(wire->how, AEGIS_HTTP_END_TIMEOUT);
    wire_free(wire);

    wire = wire_new(false);
    wire->limits.read_ms = 30;
    get(wire);
    wire_text(wire, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi");
    wire_until(wire, wire->over);
    assert_int_equal(wire->how, AEGIS_HTTP_END_TIMEOUT);
    wire_free(wire);

    wire = wire_new(false);
    wire->limits.idle_ms = 30;
    get(wire);
    wire_text(wire, ANSWER);
    wire_until(wire, wire->over);
    assert_int_equal(wire->ends, 1);
    assert_int_equal(wire->how, AEGIS_HTTP_END_TIMEOUT);
    wire_free(wire);
}

static void leave_at_head(struct wire *wire, const struct aegis_http_head *head)
{
    (void)head;
    aegis_http_connection_free(&wire->connection);
}

static void leave(struct wire *wire)
{
    aegis_http_connection_free(&wire->connection);
}

static void ask_again(struct wire *wire)
{
    if (wire->number++ < 3) {
        assert_true(aegis_http_connection_reusable(wire->connection));
        wire_ask(wire, "GET", AEGIS_HTTP_NO_BODY, NULL, false);
    }
}

static void an_owner_may_do_anything_inside_a_callback(void **state)
{
    (void)state;
    for (int where = 0; where < 3; where++) {
        struct wire *wire = wire_new(false);
        wire->on_head = where == 0 ? leave_at_head : NULL;
        wire->on_body = where == 1 ? leave : NULL;
        wire->on_end = where == 2 ? leave : NULL;
        get(wire);
        wire_text(wire, ANSWER);
        wire_until(wire, wire->got_end);
        assert_false(wire->over);
        wire_free(wire);
    }
    struct wire *wire = wire_new(false);
    wire->on_end = ask_again;
    get(wire);
    for (unsigned i = 1; i <= 4; i++) {
        wire_text(wire, ANSWER);
        wire_until(wire, wire->ends == i);
        wire_settle(wire);
    }
    wire_got(wire, ASKED ASKED ASKED);
    wire_free(wire);
}

/* The parser's table of responses once more, through a socket and in pieces. */
static void replay(const struct http_case *row, size_t step)
{
    char *method = NULL;
    struct wire *wire = wire_new(false);
    wire->keep_over = true;
    http_case_fact(row, "to=", &method);
    wire_ask(wire, method != NULL ? method : "GET", AEGIS_HTTP_NO_BODY, NULL, false);
    free(method);
    wire_settle(wire);
    for (size_t at = 0; at < row->size && !wire->over; at += step) {
        wire_say(wire, row->bytes + at, row->size - at < step ? row->size - at : step);
        wire_turn(wire);
    }
    wire_settle(wire);
    bool refused =
        (row->verdict[0] >= '4' && row->verdict[0] <= '5') || strcmp(row->verdict, "bad-body") == 0;
    bool switches = strncmp(row->name, "101", 3) == 0;
    bool interim = row->name[0] == '1' && strcmp(row->verdict, "ok") == 0;
    bool stray = strcmp(row->verdict, "ok") == 0 && http_case_fact(row, "rest=", NULL) &&
                 !http_case_fact(row, "rest=0", NULL);
    if (wire->over != (refused || switches || stray) ||
        (wire->over && wire->how != AEGIS_HTTP_END_PROTOCOL)) {
        fail_msg("%s by %zu: %s, told %s (%s)", row->name, step, row->verdict, wire->log, wire->problem);
    }
    if (!wire->over) {
        wire_close(wire);
        wire_until(wire, wire->over);
        bool whole = strcmp(row->verdict, "ok") == 0 && !interim;
        if (wire->how != (whole ? AEGIS_HTTP_END_CLOSED : AEGIS_HTTP_END_CUT) ||
            wire->ends != (whole ? 1 : 0)) {
            fail_msg("%s by %zu, closed: %s, told %s (%s)", row->name, step, row->verdict, wire->log,
                     wire->problem);
        }
    }
    wire_free(wire);
}

static void the_table_holds_over_a_socket(void **state)
{
    (void)state;
    struct http_cases cases = http_cases_read("responses.txt");
    for (size_t i = 0; i < cases.count; i++) {
        replay(&cases.rows[i], 65536);
        replay(&cases.rows[i], cases.rows[i].size > 2000 ? 1009 : 1);
        replay(&cases.rows[i], cases.rows[i].size > 2000 ? 4001 : 13);
    }
    http_cases_free(&cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exchange_and_another),
        cmocka_unit_test(requests_are_framed),
        cmocka_unit_test(stray_bytes_end_a_connection),
        cmocka_unit_test(an_answer_with_bytes_behind_is_not_reusable),
        cmocka_unit_test(interim_answers),
        cmocka_unit_test(an_answer_that_ends_by_closing),
        cmocka_unit_test(an_end_waits_while_paused),
        cmocka_unit_test(a_long_answer_is_not_read_while_paused),
        cmocka_unit_test(cut_answers),
        cmocka_unit_test(a_pooled_connection_has_a_new_owner),
        cmocka_unit_test(whether_a_byte_was_sent_is_known),
        cmocka_unit_test(an_early_answer_is_read_though_nothing_can_be_sent),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(an_owner_may_do_anything_inside_a_callback),
        cmocka_unit_test(the_table_holds_over_a_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
