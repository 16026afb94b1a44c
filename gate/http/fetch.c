#include "gate/http/fetch.h"

#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

enum { BODY_FIRST = 4096, DEADLINE_MS = 30000 };

struct aegis_fetch {
    struct aegis_http_message *message;
    char *body; /* of the request */
    size_t body_size;
    struct aegis_http_limits limits;
    size_t answer_limit;
    void (*done)(int status, const char *body, size_t size, const char *problem, void *context);
    void *context;

    struct aegis_dial *dial;
    struct aegis_http_connection *connection;
    struct event timer;
    int status;
    char *answer;
    size_t answer_size, answer_room;
    const char *problem; /* found before the loop was reached */
};

static void fetch_free(struct aegis_fetch *fetch)
{
    event_del(&fetch->timer);
    aegis_dial_cancel(&fetch->dial);
    aegis_http_connection_free(&fetch->connection);
    aegis_http_message_free(&fetch->message);
    free(fetch->body);
    free(fetch->answer);
    free(fetch);
}

static void fail(struct aegis_fetch *fetch, const char *problem)
{
    fetch->done(0, NULL, 0, problem, fetch->context);
    fetch_free(fetch);
}

static void on_head(struct aegis_http_connection *connection, const struct aegis_http_head *head,
                    void *context)
{
    (void)connection;
    struct aegis_fetch *fetch = context;
    if (head->status < 200) {
        return;
    }
    fetch->status = head->status;
    if (head->framing == AEGIS_HTTP_LENGTH && head->length > fetch->answer_limit) {
        fail(fetch, "the answer is larger than permitted");
    }
}

static void on_body(struct aegis_http_connection *connection, const char *data, size_t size, void *context)
{
    (void)connection;
    struct aegis_fetch *fetch = context;
    if (size > fetch->answer_limit - fetch->answer_size) {
        fail(fetch, "the answer is larger than permitted");
        return;
    }
    if (fetch->answer_room - fetch->answer_size <= size) {
        size_t room = (fetch->answer_size + size) * 2 + BODY_FIRST;
        fetch->answer = realloc(fetch->answer, room);
        AEGIS_ASSERT(fetch->answer != NULL);
        fetch->answer_room = room;
    }
    memcpy(fetch->answer + fetch->answer_size, data, size);
    fetch->answer_size += size;
    fetch->answer[fetch->answer_size] = '\0';
}

static void on_end(struct aegis_http_connection *connection, void *context)
{
    (void)connection;
    struct aegis_fetch *fetch = context;
    fetch->done(fetch->status, fetch->answer != NULL ? fetch->answer : "", fetch->answer_size, NULL,
                fetch->context);
    fetch_free(fetch);
}

static void on_closed(struct aegis_http_connection *connection, enum aegis_http_end end, const char *problem,
                      void *context)
{
    (void)connection;
    (void)end;
    fail(context, problem);
}

static const struct aegis_http_events events = {on_head, on_body, on_end, on_closed, NULL};

static void on_dialed(enum aegis_dial_result result, struct bufferevent *transport, const char *problem,
                      void *context)
{
    struct aegis_fetch *fetch = context;
    fetch->dial = NULL;
    if (result != AEGIS_DIAL_OK) {
        fail(fetch, problem);
        return;
    }
    fetch->connection = aegis_http_client_new(transport, &fetch->limits, &events, fetch);
    enum aegis_http_framing framing = fetch->body != NULL ? AEGIS_HTTP_LENGTH : AEGIS_HTTP_NO_BODY;
    if (!aegis_http_connection_send(fetch->connection, fetch->message, framing, fetch->body_size, true) ||
        !aegis_http_connection_send_body(fetch->connection, fetch->body, fetch->body_size) ||
        !aegis_http_connection_send_end(fetch->connection)) {
        fail(fetch, "the server spoke before it was asked");
    }
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct aegis_fetch *fetch = context;
    fail(fetch, fetch->problem != NULL ? fetch->problem : "the answer did not come in time");
}

static void add_host(struct aegis_http_message *message, const struct aegis_http_url *url)
{
    char value[300];
    bool usual = url->port == (url->https ? 443 : 80);
    int size = snprintf(value, sizeof(value), "%s%.*s%s", url->ipv6 ? "[" : "", (int)url->host.length,
                        url->host.at, url->ipv6 ? "]" : "");
    if (!usual) {
        snprintf(value + size, sizeof(value) - (size_t)size, ":%u", url->port);
    }
    aegis_http_message_add(message, "Host", value);
}

static bool add_field(struct aegis_http_message *message, const char *name, const char *value)
{
    struct aegis_http_field field = {{name, strlen(name)}, {value, strlen(value)}};
    return aegis_http_message_add_field(message, &field);
}

/* Composes the request; NULL, or what is wrong with what was asked for. */
static const char *compose(struct aegis_fetch *fetch, const struct aegis_fetch_request *request,
                           struct aegis_http_url *url)
{
    const char *problem = NULL;
    struct aegis_http_text text = {request->url, strlen(request->url)};
    if (!aegis_http_url_parse(text, url, &problem)) {
        return problem;
    }
    fetch->message =
        aegis_http_request_new((struct aegis_http_text){request->method, strlen(request->method)}, url->path);
    add_host(fetch->message, url);
    aegis_http_message_add(fetch->message, "User-Agent", "aegis");
    aegis_http_message_add(fetch->message, "Accept", "application/json, */*;q=0.1");
    aegis_http_message_add(fetch->message, "Accept-Encoding", "identity");
    if (request->authorization != NULL &&
        !add_field(fetch->message, "Authorization", request->authorization)) {
        return "the authorization holds a character that no field can carry";
    }
    if (request->content_type != NULL) {
        aegis_http_message_add(fetch->message, "Content-Type", request->content_type);
        fetch->body = aegis_alloc(request->body_size + 1);
        fetch->body_size = request->body_size;
        if (request->body_size > 0) {
            memcpy(fetch->body, request->body, request->body_size);
        }
    }
    return NULL;
}

static void start_timer(struct aegis_fetch *fetch, struct event_base *base, int64_t ms)
{
    struct timeval patience = aegis_clock_interval(ms);
    evtimer_assign(&fetch->timer, base, on_timer, fetch);
    event_add(&fetch->timer, &patience);
}

struct aegis_fetch *
aegis_fetch(struct event_base *base, struct aegis_dialer *dialer, const struct aegis_fetch_request *request,
            void (*done)(int status, const char *body, size_t size, const char *problem, void *context),
            void *context)
{
    struct aegis_http_url url;
    struct aegis_fetch *fetch = aegis_alloc(sizeof(*fetch));
    aegis_http_limits_default(&fetch->limits);
    fetch->answer_limit = request->answer_limit;
    fetch->done = done;
    fetch->context = context;
    fetch->problem = compose(fetch, request, &url);
    start_timer(fetch, base,
                fetch->problem != NULL     ? 0
                : request->deadline_ms > 0 ? request->deadline_ms
                                           : DEADLINE_MS);
    if (fetch->problem == NULL) {
        char *host = aegis_http_text_copy(url.host);
        fetch->dial = aegis_dial(dialer, host, url.port, url.https, on_dialed, fetch);
        free(host);
    }
    return fetch;
}

void aegis_fetch_cancel(struct aegis_fetch **fetch)
{
    if (*fetch != NULL) {
        fetch_free(*fetch);
        *fetch = NULL;
    }
}
