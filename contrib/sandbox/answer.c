#include "contrib/sandbox/answer.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/text.h"

static const char *reason_phrase(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 402:
        return "Payment Required";
    case 404:
        return "Not Found";
    default:
        return "Internal Server Error";
    }
}

static void add_header(struct evhttp_request *request, const char *name, const char *value)
{
    evhttp_add_header(evhttp_request_get_output_headers(request), name, value);
}

void sandbox_answer_header(struct evhttp_request *request, const char *name, const json_t *json)
{
    char *text = aegis_json_compact(json);
    char *encoded = aegis_base64_encode(text, strlen(text));
    add_header(request, name, encoded);
    free(encoded);
    free(text);
}

void sandbox_answer_text(struct evhttp_request *request, int status, const char *type, const void *bytes,
                         size_t size)
{
    struct evbuffer *body = evbuffer_new();
    evbuffer_add(body, bytes, size);
    add_header(request, "X-Aegis-Sandbox", "true");
    add_header(request, "Content-Type", type);
    evhttp_send_reply(request, status, reason_phrase(status), body);
    evbuffer_free(body);
}

void sandbox_answer_json(struct evhttp_request *request, int status, json_t *json)
{
    char *text = aegis_json_compact(json);
    sandbox_answer_text(request, status, "application/json", text, strlen(text));
    free(text);
    json_decref(json);
}

/* An answer that waits for its time. */
struct waiting {
    struct evhttp_request *request;
    struct event *timer;
    struct timeval every;
    json_t *json;
    unsigned left;
    unsigned sent;
};

static struct waiting *wait_new(struct event_base *base, struct evhttp_request *request, unsigned ms,
                                event_callback_fn then)
{
    struct waiting *waiting = aegis_alloc(sizeof *waiting);
    waiting->request = request;
    waiting->every = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L};
    waiting->timer = evtimer_new(base, then, waiting);
    evtimer_add(waiting->timer, &waiting->every);
    return waiting;
}

static void wait_free(struct waiting *waiting)
{
    event_free(waiting->timer);
    free(waiting);
}

/* Outside of evhttp's own callbacks, where the connection may be taken away under it. */
static void cut_now(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    struct waiting *waiting = argument;
    struct evhttp_connection *connection = evhttp_request_get_connection(waiting->request);
    if (connection != NULL)
        evhttp_connection_free(connection);
    else
        evhttp_request_free(waiting->request);
    wait_free(waiting);
}

void sandbox_answer_cut(struct event_base *base, struct evhttp_request *request)
{
    wait_new(base, request, 0, cut_now);
}

static void answer_now(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    struct waiting *waiting = argument;
    sandbox_answer_json(waiting->request, 200, waiting->json);
    wait_free(waiting);
}

void sandbox_answer_late(struct event_base *base, struct evhttp_request *request, json_t *json, unsigned ms)
{
    wait_new(base, request, ms, answer_now)->json = json;
}

static void send_event(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    struct waiting *waiting = argument;
    if (waiting->left == 0 || evhttp_request_get_connection(waiting->request) == NULL) {
        evhttp_send_reply_end(waiting->request);
        wait_free(waiting);
        return;
    }
    struct evbuffer *chunk = evbuffer_new();
    evbuffer_add_printf(chunk, "data: event %u\n\n", waiting->sent++);
    evhttp_send_reply_chunk(waiting->request, chunk);
    evbuffer_free(chunk);
    waiting->left--;
    evtimer_add(waiting->timer, &waiting->every);
}

void sandbox_answer_events(struct event_base *base, struct evhttp_request *request, unsigned count,
                           unsigned ms)
{
    add_header(request, "X-Aegis-Sandbox", "true");
    add_header(request, "Content-Type", "text/event-stream");
    evhttp_send_reply_start(request, 200, "OK");
    wait_new(base, request, ms, send_event)->left = count;
}
