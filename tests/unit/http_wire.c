#include "tests/unit/http_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void note(struct wire *wire, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct wire *wire, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof(wire->log) - wire->log_size;
    int size = vsnprintf(wire->log + wire->log_size, room, format, arguments);
    va_end(arguments);
    assert_true(size >= 0 && (size_t)size < room);
    wire->log_size += (size_t)size;
}

static void tell_head(struct aegis_http_connection *connection, const struct aegis_http_head *head,
                      void *context)
{
    struct wire *wire = context;
    assert_ptr_equal(connection, wire->connection);
    assert_false(wire->over);
    wire->heads++;
    if (head->status != 0) {
        note(wire, "%shead %d", wire->log_size > 0 ? " | " : "", head->status);
    } else {
        note(wire, "%shead %.*s %.*s", wire->log_size > 0 ? " | " : "", (int)head->method.length,
             head->method.at, (int)head->target.length, head->target.at);
    }
    if (wire->on_head != NULL) {
        wire->on_head(wire, head);
    }
}

static void tell_body(struct aegis_http_connection *connection, const char *data, size_t size, void *context)
{
    struct wire *wire = context;
    assert_ptr_equal(connection, wire->connection);
    assert_false(wire->over);
    assert_true(size > 0);
    wire->body_bytes += size;
    bool follows = strstr(wire->log, "body") != NULL && strrchr(wire->log, '|') != NULL &&
                   strncmp(strrchr(wire->log, '|'), "| body", 6) == 0;
    if (wire->body_bytes < 30000) {
        note(wire, "%s%.*s", follows ? "" : " | body ", (int)size, data);
    }
    if (wire->on_body != NULL) {
        wire->on_body(wire);
    }
}

static void tell_end(struct aegis_http_connection *connection, void *context)
{
    struct wire *wire = context;
    assert_ptr_equal(connection, wire->connection);
    assert_false(wire->over);
    wire->ends++;
    note(wire, " | end");
    if (wire->on_end != NULL) {
        wire->on_end(wire);
    }
}

static void tell_closed(struct aegis_http_connection *connection, enum aegis_http_end end,
                        const char *problem, void *context)
{
    struct wire *wire = context;
    assert_ptr_equal(connection, wire->connection);
    assert_false(wire->over);
    assert_non_null(problem);
    wire->over = true;
    wire->how = end;
    wire->problem = problem;
    if (!wire->keep_over) {
        aegis_http_connection_free(&wire->connection);
    }
}

static void tell_drained(struct aegis_http_connection *connection, void *context)
{
    struct wire *wire = context;
    assert_ptr_equal(connection, wire->connection);
    wire->drains++;
}

const struct aegis_http_events wire_events = {tell_head, tell_body, tell_end, tell_closed, tell_drained};

struct wire *wire_new(bool server)
{
    int ends[2];
    struct wire *wire = calloc(1, sizeof(*wire));
    signal(SIGPIPE, SIG_IGN);
    assert_non_null(wire);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    wire->base = event_base_new();
    wire->peer = ends[1];
    aegis_http_limits_default(&wire->limits);
    struct bufferevent *transport = bufferevent_socket_new(wire->base, ends[0], BEV_OPT_CLOSE_ON_FREE);
    wire->connection = server ? aegis_http_server_new(transport, &wire->limits, &wire_events, wire)
                              : aegis_http_client_new(transport, &wire->limits, &wire_events, wire);
    return wire;
}

void wire_close(struct wire *wire)
{
    if (wire->peer >= 0) {
        close(wire->peer);
        wire->peer = -1;
    }
}

void wire_reset(struct wire *wire)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(wire->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    wire_close(wire);
}

void wire_half(struct wire *wire)
{
    assert_int_equal(shutdown(wire->peer, SHUT_WR), 0);
}

void wire_free(struct wire *wire)
{
    aegis_http_connection_free(&wire->connection);
    wire_close(wire);
    for (int i = 0; i < 3; i++) {
        event_base_loop(wire->base, EVLOOP_NONBLOCK);
    }
    event_base_free(wire->base);
    free(wire);
}

void wire_say(struct wire *wire, const char *bytes, size_t size)
{
    assert_int_equal(send(wire->peer, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

void wire_text(struct wire *wire, const char *text)
{
    wire_say(wire, text, strlen(text));
}

static void collect(struct wire *wire)
{
    while (wire->peer >= 0 && !wire->got_end) {
        ssize_t size =
            recv(wire->peer, wire->got + wire->got_size, sizeof(wire->got) - 1 - wire->got_size, 0);
        if (size < 0) {
            wire->got_reset |= errno == ECONNRESET;
            wire->got_end |= errno == ECONNRESET;
            break;
        }
        wire->got_end = size == 0;
        wire->got_size += (size_t)size;
        assert_true(wire->got_size < sizeof(wire->got) - 1);
    }
    wire->got[wire->got_size] = '\0';
}

void wire_turn(struct wire *wire)
{
    event_base_loop(wire->base, EVLOOP_NONBLOCK);
    collect(wire);
}

void wire_wait(struct wire *wire, unsigned turns, const char *condition)
{
    wire_turn(wire);
    if (turns > 50) {
        usleep(1000);
    }
    if (turns > 10000) {
        fail_msg("waited in vain for %s; told: %s; got: %s", condition, wire->log, wire->got);
    }
}

void wire_settle(struct wire *wire)
{
    for (int i = 0; i < 8; i++) {
        wire_turn(wire);
    }
}

void wire_got(struct wire *wire, const char *text)
{
    assert_string_equal(wire->got, text);
    wire->got_size = 0;
    wire->got[0] = '\0';
}

void wire_told(struct wire *wire, const char *text)
{
    assert_string_equal(wire->log, text);
    wire->log_size = 0;
    wire->log[0] = '\0';
}

static void say_rest(struct wire *wire, const char *body)
{
    if (body != NULL) {
        assert_true(aegis_http_connection_send_body(wire->connection, body, strlen(body)));
    }
    assert_true(aegis_http_connection_send_end(wire->connection));
}

void wire_answer(struct wire *wire, int status, enum aegis_http_framing framing, const char *body, bool close)
{
    struct aegis_http_message *message = aegis_http_response_new(status, aegis_http_reason(status));
    assert_true(aegis_http_connection_send(wire->connection, message, framing,
                                           body != NULL ? strlen(body) : 0, close));
    aegis_http_message_free(&message);
    say_rest(wire, body);
}

void wire_ask(struct wire *wire, const char *method, enum aegis_http_framing framing, const char *body,
              bool close)
{
    struct aegis_http_message *message = aegis_http_request_new(
        (struct aegis_http_text){method, strlen(method)}, (struct aegis_http_text){"/", 1});
    aegis_http_message_add(message, "Host", "a");
    assert_true(aegis_http_connection_send(wire->connection, message, framing,
                                           body != NULL ? strlen(body) : 0, close));
    aegis_http_message_free(&message);
    say_rest(wire, body);
}
