/* The server's side of a connection, with a bare socket for a client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/socket.h>

#include "tests/unit/http_cases.h"
#include "tests/unit/http_wire.h"

#define GET  "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"

static void an_exchange_and_another(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire_text(wire, POST "hello");
    wire_until(wire, wire->ends == 1);
    wire_told(wire, "head POST / | body hello | end");
    wire_answer(wire, 200, AEGIS_HTTP_LENGTH, "hi", false);
    assert_false(aegis_http_connection_sent(wire->connection));
    wire_until(wire, wire->got_size > 0);
    assert_true(aegis_http_connection_sent(wire->connection));
    wire_got(wire, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    wire_text(wire, GET);
    wire_until(wire, wire->ends == 2);
    wire_told(wire, "head GET / | end");
    wire_answer(wire, 404, AEGIS_HTTP_NO_BODY, NULL, true);
    wire_until(wire, wire->got_end);
    wire_got(wire, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_int_equal(wire->how, AEGIS_HTTP_END_CLOSED);
    wire_free(wire);
}

static void answer_now(struct wire *wire)
{
    char body[16];
    snprintf(body, sizeof(body), "%d", ++wire->number);
    wire_answer(wire, 200, AEGIS_HTTP_LENGTH, body, false);
}

static void pipelined_requests_wait(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire_text(wire, GET POST "helloGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_settle(wire);
    wire_told(wire, "head GET / | end");
    answer_now(wire);
    wire_settle(wire);
    wire_told(wire, "head POST / | body hello | end");
    wire->on_end = answer_now;
    answer_now(wire);
    wire_settle(wire);
    wire_told(wire, "head GET /3 | end");
    wire_got(wire,
             "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"
             "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n3");
    for (int i = 0; i < 300; i++) {
        wire_text(wire, GET);
        if (i % 50 == 49) {
            wire_turn(wire);
        }
    }
    wire_until(wire, wire->number == 303);
    wire_free(wire);
}

static void framings(void **state)
{
    (void)state;
    static const struct {
        const char *request, *answer;
        int status;
        enum aegis_http_framing framing;
        const char *body;
    } rows[] = {
        {GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200,
         AEGIS_HTTP_CHUNKED, "abc"},
        {GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, AEGIS_HTTP_CHUNKED, ""},
        {GET, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", 200, AEGIS_HTTP_UNTIL_CLOSE, "abc"},
        {GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, AEGIS_HTTP_NO_BODY, NULL},
        {GET, "HTTP/1.1 204 No Content\r\n\r\n", 204, AEGIS_HTTP_NO_BODY, NULL},
        {GET, "HTTP/1.1 204 No Content\r\n\r\n", 204, AEGIS_HTTP_CHUNKED, "abc"},
        {GET, "HTTP/1.1 304 Not Modified\r\n\r\n", 304, AEGIS_HTTP_LENGTH, "abc"},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 200,
         AEGIS_HTTP_LENGTH, "abc"},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200,
         AEGIS_HTTP_CHUNKED, "abc"},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", 200, AEGIS_HTTP_NO_BODY, NULL},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", 200, AEGIS_HTTP_NO_BODY,
         NULL},
        {"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
         200, AEGIS_HTTP_LENGTH, "abc"},
        {"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", 200, AEGIS_HTTP_CHUNKED,
         "abc"},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
         "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc", 200, AEGIS_HTTP_LENGTH,
         "abc"},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
         "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", 200, AEGIS_HTTP_CHUNKED, "abc"},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n",
         "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", 200, AEGIS_HTTP_LENGTH,
         "abc"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire *wire = wire_new(true);
        wire_text(wire, rows[i].request);
        wire_until(wire, wire->ends == 1);
        wire_answer(wire, rows[i].status, rows[i].framing, rows[i].body, false);
        wire_settle(wire);
        bool closes = strstr(rows[i].answer, "close") != NULL;
        wire_got(wire, rows[i].answer);
        assert_int_equal(wire->got_end, closes);
        assert_int_equal(wire->over, closes);
        wire_free(wire);
    }
}

static void requests_go_on_inside_a_tunnel(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire_text(wire, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n");
    wire_until(wire, wire->ends == 1);
    wire_answer(wire, 200, AEGIS_HTTP_NO_BODY, NULL, false);
    wire_settle(wire);
    wire_got(wire, "HTTP/1.1 200 OK\r\n\r\n");
    wire_text(wire, GET);
    wire_until(wire, wire->ends == 2);
    wire_told(wire, "head CONNECT a:80 | end | head GET / | end");
    wire_answer(wire, 200, AEGIS_HTTP_LENGTH, "hi", false);
    wire_settle(wire);
    wire_got(wire, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    wire_text(wire, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n");
    wire_until(wire, wire->ends == 3);
    wire_answer(wire, 407, AEGIS_HTTP_NO_BODY, NULL, false);
    wire_until(wire, wire->got_end);
    wire_got(wire,
             "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    wire_free(wire);
}

static void start_answer(struct wire *wire, enum aegis_http_framing framing, uint64_t length)
{
    struct aegis_http_message *message = aegis_http_response_new(200, aegis_http_reason(200));
    assert_true(aegis_http_connection_send(wire->connection, message, framing, length, false));
    aegis_http_message_free(&message);
    assert_true(aegis_http_connection_send_body(wire->connection, "abc", 3));
}

static void an_unfinished_answer_never_looks_whole(void **state)
{
    (void)state;
    static const enum aegis_http_framing framings_cut[] = {AEGIS_HTTP_LENGTH, AEGIS_HTTP_CHUNKED};
    for (size_t i = 0; i < 2; i++) {
        struct wire *wire = wire_new(true);
        wire_text(wire, GET);
        wire_until(wire, wire->ends == 1);
        start_answer(wire, framings_cut[i], 5);
        if (framings_cut[i] == AEGIS_HTTP_LENGTH) {
            assert_false(aegis_http_connection_send_end(wire->connection));
        } else {
            aegis_http_connection_abort(wire->connection);
        }
        assert_false(aegis_http_connection_send_body(wire->connection, "x", 1));
        aegis_http_connection_free(&wire->connection);
        wire_until(wire, wire->got_end);
        const char *end = wire->got + wire->got_size;
        assert_string_equal(framings_cut[i] == AEGIS_HTTP_LENGTH ? end - 3 : end - 8,
                            framings_cut[i] == AEGIS_HTTP_LENGTH ? "abc" : "3\r\nabc\r\n");
        assert_false(wire->over);
        wire_free(wire);
    }
}

static void a_bad_request_is_answered_once_and_for_all(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire_text(wire, "GET / HTTP/1.1\r\nHost: a\r\nX : <script>\r\n\r\n" GET);
    wire_until(wire, wire->got_end);
    wire_told(wire, "");
    assert_int_equal(wire->how, AEGIS_HTTP_END_PROTOCOL);
    wire_got(
        wire,
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n"
        "Content-Length: 163\r\nConnection: close\r\n\r\n"
        "{\"type\":\"urn:aegis:problem:bad_request\",\"title\":\"Bad Request\",\"status\":400,"
        "\"code\":\"bad_request\",\"detail\":\"white space in or behind a field's name\","
        "\"signed\":false}\n");
    wire_free(wire);
}

static void an_answer_reaches_a_client_that_is_still_sending(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire_text(wire, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n");
    wire_until(wire, wire->got_end);
    assert_true(wire->over);
    for (int i = 0; i < 10; i++) {
        wire_text(wire, "still sending");
        wire_turn(wire);
    }
    assert_non_null(strstr(wire->got, "400 Bad Request"));
    assert_false(wire->got_reset);
    wire_free(wire);
}

static void answer_early(struct wire *wire, const struct aegis_http_head *head)
{
    (void)head;
    wire_answer(wire, 403, AEGIS_HTTP_LENGTH, "no", false);
}

static void an_answer_before_the_body_ends_the_connection(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire->on_head = answer_early;
    wire_text(wire, POST "he");
    wire_until(wire, wire->got_end);
    wire_got(wire, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    assert_int_equal(wire->ends, 0);
    wire_free(wire);

    wire = wire_new(true);
    wire->on_head = answer_early;
    wire_text(wire, GET GET);
    wire_until(wire, wire->heads == 2);
    wire_settle(wire);
    wire_told(wire, "head GET / | head GET /");
    wire_got(wire, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
                   "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    wire_free(wire);
}

static void pause_now(struct wire *wire, const struct aegis_http_head *head)
{
    (void)head;
    aegis_http_connection_pause(wire->connection);
}

static void pause_body(struct wire *wire)
{
    aegis_http_connection_pause(wire->connection);
}

static void a_paused_body_waits(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire->on_head = pause_now;
    wire_text(wire, POST "hello");
    wire_settle(wire);
    wire_told(wire, "head POST /");
    wire->on_body = pause_body;
    aegis_http_connection_resume(wire->connection);
    wire_told(wire, "");
    wire_settle(wire);
    wire_told(wire, " | body hello");
    aegis_http_connection_resume(wire->connection);
    wire_settle(wire);
    wire_told(wire, " | end");
    wire_free(wire);
}

static void expectations(void **state)
{
    (void)state;
    static const char ask[] =
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    struct wire *wire = wire_new(true);
    wire_text(wire, ask);
    wire_settle(wire);
    wire_got(wire, "HTTP/1.1 100 Continue\r\n\r\n");
    wire_text(wire, "hello");
    wire_settle(wire);
    wire_told(wire, "head POST / | body hello | end");
    wire_free(wire);

    wire = wire_new(true);
    wire_text(wire, ask);
    wire_text(wire, "hello");
    wire_settle(wire);
    wire_got(wire, "");
    wire_free(wire);

    wire = wire_new(true);
    wire->on_head = pause_now;
    wire_text(wire, ask);
    wire_settle(wire);
    wire_got(wire, "");
    aegis_http_connection_resume(wire->connection);
    wire_settle(wire);
    wire_got(wire, "HTTP/1.1 100 Continue\r\n\r\n");
    wire_free(wire);

    wire = wire_new(true);
    wire->on_head = answer_early;
    wire_text(wire, ask);
    wire_until(wire, wire->got_end);
    wire_got(wire, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    wire_free(wire);
}

static void interim_answers(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire_text(wire, GET);
    wire_until(wire, wire->ends == 1);
    struct aegis_http_message *hints = aegis_http_response_new(103, aegis_http_reason(103));
    aegis_http_message_add(hints, "Link", "</a>");
    assert_true(aegis_http_connection_send(wire->connection, hints, AEGIS_HTTP_NO_BODY, 0, false));
    wire_answer(wire, 204, AEGIS_HTTP_NO_BODY, NULL, false);
    wire_settle(wire);
    wire_got(wire, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    assert_false(aegis_http_connection_send(wire->connection, hints, AEGIS_HTTP_NO_BODY, 0, false));
    aegis_http_message_free(&hints);
    wire_free(wire);
}

static void a_client_that_leaves_is_noticed(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct wire *wire = wire_new(true);
        wire_text(wire, GET);
        wire_until(wire, wire->ends == 1);
        if (how == 1) {
            start_answer(wire, AEGIS_HTTP_CHUNKED, 0);
        }
        if (how == 2) {
            wire_half(wire);
        } else {
            wire_close(wire);
        }
        wire_until(wire, wire->over);
        assert_int_equal(wire->how, how == 1 ? wire->how : AEGIS_HTTP_END_CLOSED);
        wire_free(wire);
    }
}

static void a_client_that_leaves_behind_bytes_is_noticed(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire->limits.head = 100;
    wire_text(wire, GET GET GET GET GET GET GET GET GET GET);
    wire_settle(wire);
    wire_close(wire);
    wire_until(wire, wire->over);
    assert_int_equal(wire->how, AEGIS_HTTP_END_CLOSED);
    wire_free(wire);

    wire = wire_new(true);
    wire->on_head = pause_now;
    wire_text(wire, POST "hel");
    wire_settle(wire);
    wire_close(wire);
    wire_until(wire, wire->over);
    assert_int_equal(wire->how, AEGIS_HTTP_END_CUT);
    wire_free(wire);
}

static void a_pipelining_client_is_read_again(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire->limits.head = 100;
    for (int i = 0; i < 40; i++) {
        wire_text(wire, GET);
        wire_turn(wire);
    }
    for (int i = 1; i <= 40; i++) {
        wire_until(wire, wire->ends == (unsigned)i);
        answer_now(wire);
    }
    wire_free(wire);
}

static void cut_requests(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        enum aegis_http_end how;
    } rows[] = {{"", AEGIS_HTTP_END_CLOSED},
                {"GET /", AEGIS_HTTP_END_CUT},
                {"GET / HTTP/1.1\r\nHost: a\r\n", AEGIS_HTTP_END_CUT},
                {POST "hell", AEGIS_HTTP_END_CUT},
                {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
                 AEGIS_HTTP_END_CUT}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire *wire = wire_new(true);
        wire_text(wire, rows[i].bytes);
        wire_settle(wire);
        assert_false(wire->over);
        wire_close(wire);
        wire_until(wire, wire->over);
        assert_int_equal(wire->how, rows[i].how);
        assert_int_equal(wire->ends, 0);
        wire_free(wire);
    }
}

/* One byte at a time, for ever: the deadline is for the whole of it. */
static void drip(struct wire *wire, const char *byte)
{
    while (!wire->over) {
        if (wire->peer >= 0) {
            wire_text(wire, byte);
        }
        unsigned turns = 0;
        while (!wire->over && turns < 10) {
            wire_wait(wire, 51 + turns++, "a deadline");
        }
    }
}

static void deadlines(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire->limits.head_ms = 100;
    wire_text(wire, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    drip(wire, "y");
    assert_int_equal(wire->how, AEGIS_HTTP_END_TIMEOUT);
    wire_settle(wire);
    assert_non_null(strstr(wire->got, "HTTP/1.1 408 Request Timeout\r\n"));
    wire_free(wire);

    wire = wire_new(true);
    wire->limits.body_ms = 100;
    wire_text(wire, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    drip(wire, "y");
    wire_settle(wire);
    assert_non_null(strstr(wire->got, "HTTP/1.1 408 Request Timeout\r\n"));
    wire_free(wire);

    wire = wire_new(true);
    wire->limits.read_ms = 30;
    wire_text(wire, POST "hell");
    wire_until(wire, wire->over);
    assert_int_equal(wire->how, AEGIS_HTTP_END_TIMEOUT);
    wire_free(wire);

    wire = wire_new(true);
    wire->limits.idle_ms = 30;
    wire_text(wire, GET);
    wire_until(wire, wire->ends == 1);
    answer_now(wire);
    wire_until(wire, wire->over);
    assert_int_equal(wire->how, AEGIS_HTTP_END_TIMEOUT);
    assert_null(strstr(wire->got, "408"));
    wire_free(wire);
}

static void deadlines_rest_while_paused_or_answering(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire->limits.read_ms = wire->limits.idle_ms = wire->limits.head_ms = 20;
    wire->on_head = pause_now;
    wire_text(wire, POST "hel");
    for (unsigned i = 0; i < 60; i++) {
        wire_wait(wire, 51, "nothing");
    }
    assert_false(wire->over);
    aegis_http_connection_resume(wire->connection);
    wire_text(wire, "lo");
    wire_until(wire, wire->ends == 1);
    for (unsigned i = 0; i < 60; i++) {
        wire_wait(wire, 51, "nothing");
    }
    assert_false(wire->over);
    answer_now(wire);
    wire_until(wire, wire->over);
    wire_free(wire);
}

static void fill(struct wire *wire, size_t size)
{
    static char block[8192];
    for (; size >= sizeof(block); size -= sizeof(block)) {
        assert_true(aegis_http_connection_send_body(wire->connection, block, sizeof(block)));
    }
}

static void a_slow_reader_holds_the_writer_back(void **state)
{
    (void)state;
    enum { SIZE = 8 * 1024 * 1024 };
    struct wire *wire = wire_new(true);
    wire_text(wire, GET);
    wire_until(wire, wire->ends == 1);
    struct aegis_http_message *message = aegis_http_response_new(200, aegis_http_reason(200));
    assert_true(aegis_http_connection_send(wire->connection, message, AEGIS_HTTP_LENGTH, SIZE, false));
    aegis_http_message_free(&message);
    size_t given = 0;
    size_t taken = 0;
    while (taken < SIZE) {
        for (; given < SIZE && !aegis_http_connection_full(wire->connection); given += 65536) {
            fill(wire, 65536);
        }
        if (given == SIZE && aegis_http_connection_send_end(wire->connection)) {
            given++;
        }
        unsigned drains = wire->drains;
        unsigned waited = 0;
        while (aegis_http_connection_full(wire->connection) && wire->drains == drains && taken < SIZE) {
            wire_wait(wire, ++waited, "drained");
            taken += wire->got_size;
            wire->got_size = 0;
        }
        wire_turn(wire);
        taken += wire->got_size;
        wire->got_size = 0;
    }
    assert_true(wire->drains > 0);
    assert_false(wire->over);
    wire_free(wire);
}

static void a_client_that_never_reads_is_left(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire->limits.write_ms = 30;
    wire_text(wire, GET);
    wire_until(wire, wire->ends == 1);
    start_answer(wire, AEGIS_HTTP_LENGTH, 1 << 24);
    fill(wire, 4 << 20);
    assert_true(aegis_http_connection_full(wire->connection));
    while (!wire->over) {
        event_base_loop(wire->base, EVLOOP_ONCE);
    }
    assert_int_equal(wire->how, AEGIS_HTTP_END_TIMEOUT);
    wire_free(wire);
}

static void a_client_that_takes_nothing_is_noticed(void **state)
{
    (void)state;
    struct wire *wire = wire_new(true);
    wire_text(wire, GET);
    wire_until(wire, wire->ends == 1);
    assert_int_equal(shutdown(wire->peer, SHUT_RD), 0);
    start_answer(wire, AEGIS_HTTP_LENGTH, 1 << 24);
    for (int i = 0; i < 64 && aegis_http_connection_send_body(wire->connection, "0123456789abcdef", 16);
         i++) {
        static char block[65536];
        aegis_http_connection_send_body(wire->connection, block, sizeof(block));
    }
    assert_false(wire->over);
    wire_until(wire, wire->over);
    assert_int_equal(wire->how, AEGIS_HTTP_END_CUT);
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

static void an_owner_may_leave_inside_any_callback(void **state)
{
    (void)state;
    for (int where = 0; where < 3; where++) {
        struct wire *wire = wire_new(true);
        wire->on_head = where == 0 ? leave_at_head : NULL;
        wire->on_body = where == 1 ? leave : NULL;
        wire->on_end = where == 2 ? leave : NULL;
        wire_text(wire, POST "hello" GET);
        wire_until(wire, wire->got_end);
        assert_int_equal(wire->heads, 1);
        assert_false(wire->over);
        wire_free(wire);
    }
}

/* The parser's tables once more, through a socket and in pieces. */
static void replay(const struct http_case *row, size_t step, bool close)
{
    struct wire *wire = wire_new(true);
    for (size_t at = 0; at < row->size && !wire->over; at += step) {
        wire_say(wire, row->bytes + at, row->size - at < step ? row->size - at : step);
        wire_turn(wire);
    }
    wire_settle(wire);
    bool refused = row->verdict[0] >= '4' && row->verdict[0] <= '5';
    bool bad_body = strcmp(row->verdict, "bad-body") == 0;
    char status[16];
    snprintf(status, sizeof(status), "HTTP/1.1 %.3s", refused ? row->verdict : "400");
    if (wire->over != (refused || bad_body) || (wire->over && strncmp(wire->got, status, 12) != 0) ||
        (strcmp(row->verdict, "ok") == 0 && wire->ends != 1) || (refused && wire->heads > 0) ||
        (wire->over && wire->how != AEGIS_HTTP_END_PROTOCOL)) {
        fail_msg("%s by %zu: %s, told %s, got %s", row->name, step, row->verdict, wire->log, wire->got);
    }
    if (close && !wire->over) {
        wire_close(wire);
        wire_until(wire, wire->over);
        bool cut = strcmp(row->verdict, "cut") == 0 || (strcmp(row->verdict, "more") == 0 && row->size > 0);
        assert_int_equal(wire->how, cut ? AEGIS_HTTP_END_CUT : AEGIS_HTTP_END_CLOSED);
    }
    wire_free(wire);
}

static void the_tables_hold_over_a_socket(void **state)
{
    (void)state;
    struct http_cases cases = http_cases_read("requests.txt");
    for (size_t i = 0; i < cases.count; i++) {
        replay(&cases.rows[i], 65536, true);
        replay(&cases.rows[i], cases.rows[i].size > 2000 ? 1009 : 1, true);
        replay(&cases.rows[i], cases.rows[i].size > 2000 ? 4001 : 13, false);
    }
    http_cases_free(&cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exchange_and_another),
        cmocka_unit_test(pipelined_requests_wait),
        cmocka_unit_test(framings),
        cmocka_unit_test(requests_go_on_inside_a_tunnel),
        cmocka_unit_test(an_unfinished_answer_never_looks_whole),
        cmocka_unit_test(a_bad_request_is_answered_once_and_for_all),
        cmocka_unit_test(an_answer_reaches_a_client_that_is_still_sending),
        cmocka_unit_test(an_answer_before_the_body_ends_the_connection),
        cmocka_unit_test(a_paused_body_waits),
        cmocka_unit_test(expectations),
        cmocka_unit_test(interim_answers),
        cmocka_unit_test(a_client_that_leaves_is_noticed),
        cmocka_unit_test(a_client_that_leaves_behind_bytes_is_noticed),
        cmocka_unit_test(a_pipelining_client_is_read_again),
        cmocka_unit_test(cut_requests),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(deadlines_rest_while_paused_or_answering),
        cmocka_unit_test(a_slow_reader_holds_the_writer_back),
        cmocka_unit_test(a_client_that_never_reads_is_left),
        cmocka_unit_test(a_client_that_takes_nothing_is_noticed),
        cmocka_unit_test(an_owner_may_leave_inside_any_callback),
        cmocka_unit_test(the_tables_hold_over_a_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
