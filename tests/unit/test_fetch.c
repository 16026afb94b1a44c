/* Requests to a server of our own, plain and over TLS: both sides of gate/http at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <signal.h>
#include <unistd.h>

#include "gate/http/fetch.h"
#include "tests/unit/certificates.h"

struct room {
    struct event_base *base;
    struct aegis_dialer *dialer;
    struct evconnlistener *listener;
    uint16_t port;
    SSL_CTX *server;
    struct aegis_http_limits limits;
    unsigned open, asked;
    char seen[4096]; /* the last request's head and body */
    char target[64];

    struct aegis_fetch *fetch;
    unsigned calls;
    int status;
    char answer[65536];
    size_t size;
    char problem[256];
};

static void put(struct room *room, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct room *room, const char *format, ...)
{
    va_list arguments;
    size_t used = strlen(room->seen);
    va_start(arguments, format);
    vsnprintf(room->seen + used, sizeof(room->seen) - used, format, arguments);
    va_end(arguments);
}

static void on_head(struct aegis_http_connection *connection, const struct aegis_http_head *head,
                    void *context)
{
    (void)connection;
    struct room *room = context;
    room->asked++;
    room->seen[0] = '\0';
    snprintf(room->target, sizeof(room->target), "%.*s", (int)head->target.length, head->target.at);
    put(room, "%.*s %s\n", (int)head->method.length, head->method.at, room->target);
    for (size_t i = 0; i < head->field_count; i++) {
        put(room, "%.*s: %.*s\n", (int)head->fields[i].name.length, head->fields[i].name.at,
            (int)head->fields[i].value.length, head->fields[i].value.at);
    }
}

static void on_body(struct aegis_http_connection *connection, const char *data, size_t size, void *context)
{
    (void)connection;
    put(context, "%.*s", (int)size, data);
}

static void answer(struct aegis_http_connection *connection, int status, enum aegis_http_framing framing,
                   uint64_t length, const char *body, size_t size)
{
    struct aegis_http_message *message = aegis_http_response_new(status, aegis_http_reason(status));
    aegis_http_message_add(message, "Location", "http://127.0.0.1:1/");
    assert_true(aegis_http_connection_send(connection, message, framing, length, false));
    aegis_http_message_free(&message);
    assert_true(aegis_http_connection_send_body(connection, body, size));
}

/* The target says how to answer. */
static void on_end(struct aegis_http_connection *connection, void *context)
{
    static char large[40000];
    struct room *room = context;
    memset(large, 'x', sizeof(large));
    if (strcmp(room->target, "/length") == 0) {
        answer(connection, 200, AEGIS_HTTP_LENGTH, 5, "hello", 5);
    } else if (strcmp(room->target, "/chunked") == 0) {
        answer(connection, 402, AEGIS_HTTP_CHUNKED, 0, "hello", 5);
    } else if (strcmp(room->target, "/close") == 0) {
        answer(connection, 200, AEGIS_HTTP_UNTIL_CLOSE, 0, "hello", 5);
    } else if (strcmp(room->target, "/redirect") == 0) {
        answer(connection, 302, AEGIS_HTTP_NO_BODY, 0, "", 0);
    } else if (strcmp(room->target, "/large") == 0) {
        answer(connection, 200, AEGIS_HTTP_LENGTH, sizeof(large), large, sizeof(large));
    } else if (strcmp(room->target, "/large-chunked") == 0) {
        answer(connection, 200, AEGIS_HTTP_CHUNKED, 0, large, sizeof(large));
    } else if (strcmp(room->target, "/cut") == 0) {
        answer(connection, 200, AEGIS_HTTP_LENGTH, 6, "hello", 5);
    } else if (strcmp(room->target, "/cut-close") == 0) {
        answer(connection, 200, AEGIS_HTTP_UNTIL_CLOSE, 0, "hello", 5);
    } else {
        return;
    }
    if (strncmp(room->target, "/cut", 4) == 0) {
        room->open--;
        aegis_http_connection_free(&connection);
    } else {
        aegis_http_connection_send_end(connection);
    }
}

static void on_closed(struct aegis_http_connection *connection, enum aegis_http_end end, const char *problem,
                      void *context)
{
    (void)end;
    (void)problem;
    struct room *room = context;
    room->open--;
    aegis_http_connection_free(&connection);
}

static const struct aegis_http_events events = {on_head, on_body, on_end, on_closed, NULL};

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                      void *context)
{
    (void)listener;
    (void)address;
    (void)size;
    struct room *room = context;
    struct bufferevent *transport =
        room->server != NULL
            ? bufferevent_openssl_socket_new(room->base, fd, SSL_new(room->server), BUFFEREVENT_SSL_ACCEPTING,
                                             BEV_OPT_CLOSE_ON_FREE)
            : bufferevent_socket_new(room->base, fd, BEV_OPT_CLOSE_ON_FREE);
    room->open++;
    aegis_http_server_new(transport, &room->limits, &events, room);
}

static struct room *open_room(const char *ca_file)
{
    struct room *room = calloc(1, sizeof(*room));
    struct aegis_dialer_options options = {.ca_file = ca_file};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    signal(SIGPIPE, SIG_IGN);
    aegis_http_limits_default(&room->limits);
    room->base = event_base_new();
    room->dialer = aegis_dialer_new(room->base, &options, NULL);
    assert_non_null(room->dialer);
    room->listener = evconnlistener_new_bind(room->base, on_accept, room, LEV_OPT_CLOSE_ON_FREE, 16,
                                             (struct sockaddr *)&address, sizeof(address));
    assert_int_equal(getsockname(evconnlistener_get_fd(room->listener), (struct sockaddr *)&address, &size),
                     0);
    room->port = ntohs(address.sin_port);
    return room;
}

static void close_room(struct room *room)
{
    while (room->open > 0) {
        event_base_loop(room->base, EVLOOP_ONCE);
    }
    evconnlistener_free(room->listener);
    for (int i = 0; i < 200 && event_base_get_num_events(room->base, EVENT_BASE_COUNT_ADDED) > 0; i++) {
        event_base_loop(room->base, EVLOOP_NONBLOCK);
        usleep(1000);
    }
    aegis_dialer_free(&room->dialer);
    event_base_loop(room->base, EVLOOP_NONBLOCK);
    event_base_free(room->base);
    free(room);
}

static void on_done(int status, const char *body, size_t size, const char *problem, void *context)
{
    struct room *room = context;
    room->fetch = NULL;
    room->calls++;
    room->status = status;
    room->size = size;
    assert_true((status == 0) == (problem != NULL));
    assert_true((status == 0) == (body == NULL));
    if (body != NULL) {
        memcpy(room->answer, body, size + 1);
    }
    snprintf(room->problem, sizeof(room->problem), "%s", problem != NULL ? problem : "");
}

static void start(struct room *room, const char *scheme, const char *path, struct aegis_fetch_request request)
{
    char url[256];
    snprintf(url, sizeof(url), "%s%u%s", scheme, room->port, path);
    request.method = request.method != NULL ? request.method : "GET";
    request.url = request.url != NULL ? request.url : url;
    request.answer_limit = 10000;
    room->calls = 0;
    room->status = -1;
    room->fetch = aegis_fetch(room->base, room->dialer, &request, on_done, room);
    assert_non_null(room->fetch);
    assert_int_equal(room->calls, 0);
}

static int fetch(struct room *room, const char *path, struct aegis_fetch_request request)
{
    start(room, "http://127.0.0.1:", path, request);
    while (room->calls == 0) {
        event_base_loop(room->base, EVLOOP_ONCE);
    }
    return room->status;
}

static void answers_are_whole_or_problems(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
        const char *body;
    } rows[] = {
        {"/length", 200, "hello"}, {"/chunked", 402, "hello"}, {"/close", 200, "hello"},
        {"/redirect", 302, ""},    {"/large", 0, "larger"},    {"/large-chunked", 0, "larger"},
        {"/cut", 0, "cut"},        {"/cut-close", 0, ""},
    };
    struct room *room = open_room(NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(fetch(room, rows[i].path, (struct aegis_fetch_request){0}), rows[i].status);
        if (rows[i].status != 0) {
            assert_string_equal(room->answer, rows[i].body);
            assert_int_equal(room->size, strlen(rows[i].body));
        } else {
            assert_non_null(strstr(room->problem, rows[i].body));
        }
        assert_int_equal(room->asked, i + 1);
    }
    close_room(room);
}

static void requests_say_what_they_should(void **state)
{
    (void)state;
    char expected[512];
    struct room *room = open_room(NULL);
    assert_int_equal(fetch(room, "/length",
                           (struct aegis_fetch_request){.method = "POST",
                                                        .content_type = "application/json",
                                                        .body = "{\"a\":1}",
                                                        .body_size = 7,
                                                        .authorization = "Bearer t"}),
                     200);
    snprintf(expected, sizeof(expected),
             "POST /length\nHost: 127.0.0.1:%u\nUser-Agent: aegis\nAccept: application/json, */*;q=0.1\n"
             "Accept-Encoding: identity\nAuthorization: Bearer t\nContent-Type: application/json\n"
             "Content-Length: 7\nConnection: close\n{\"a\":1}",
             room->port);
    assert_string_equal(room->seen, expected);
    assert_int_equal(fetch(room, "/length", (struct aegis_fetch_request){0}), 200);
    assert_null(strstr(room->seen, "Content-"));
    close_room(room);
}

static void what_cannot_be_asked_is_a_problem(void **state)
{
    (void)state;
    static const char *const urls[] = {"ftp://127.0.0.1/",        "http://",    "", "http://127.0.0.1:1/",
                                       "http://169.254.169.254/", "http://a b/"};
    struct room *room = open_room(NULL);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        assert_int_equal(fetch(room, "", (struct aegis_fetch_request){.url = urls[i]}), 0);
        assert_true(room->problem[0] != '\0');
    }
    assert_int_equal(fetch(room, "/length", (struct aegis_fetch_request){.authorization = "a\r\nb: c"}), 0);
    assert_int_equal(room->asked, 0);
    close_room(room);
}

static void a_fetch_ends_in_time_or_is_called_off(void **state)
{
    (void)state;
    struct room *room = open_room(NULL);
    assert_int_equal(fetch(room, "/never", (struct aegis_fetch_request){.deadline_ms = 50}), 0);
    assert_string_equal(room->problem, "the answer did not come in time");
    for (unsigned turns = 0; turns < 6; turns++) {
        start(room, "http://127.0.0.1:", "/never", (struct aegis_fetch_request){0});
        for (unsigned i = 0; i < turns; i++) {
            event_base_loop(room->base, EVLOOP_NONBLOCK);
        }
        aegis_fetch_cancel(&room->fetch);
        assert_null(room->fetch);
        assert_int_equal(room->calls, 0);
    }
    start(room, "http://127.0.0.1:", "/never", (struct aegis_fetch_request){.url = "nonsense"});
    aegis_fetch_cancel(&room->fetch);
    close_room(room);
}

static void the_same_over_tls(void **state)
{
    (void)state;
    char file[] = "/tmp/aegis-test-authority-XXXXXX";
    struct certificate_plan plans[] = {{.common_name = "Test Authority", .authority = true},
                                       {.common_name = "a", .alternative = "IP:127.0.0.1"}};
    struct identity authority = identity_make(&plans[0], NULL);
    struct identity shown = identity_make(&plans[1], &authority);
    identity_write(&authority, file);
    struct room *room = open_room(file);
    room->server = identity_server(&shown, NULL);
    static const struct {
        const char *path;
        int status;
    } rows[] = {{"/length", 200}, {"/chunked", 402}, {"/large", 0}, {"/cut", 0}, {"/close", 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        start(room, "https://127.0.0.1:", rows[i].path, (struct aegis_fetch_request){0});
        while (room->calls == 0) {
            event_base_loop(room->base, EVLOOP_ONCE);
        }
        assert_int_equal(room->status, rows[i].status);
    }
    SSL_CTX *server = room->server;
    close_room(room);
    SSL_CTX_free(server);
    identity_free(&shown);
    identity_free(&authority);
    unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_whole_or_problems),
        cmocka_unit_test(requests_say_what_they_should),
        cmocka_unit_test(what_cannot_be_asked_is_a_problem),
        cmocka_unit_test(a_fetch_ends_in_time_or_is_called_off),
        cmocka_unit_test(the_same_over_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
