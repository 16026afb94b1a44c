/* What comes in. One loop takes heads and bodies from the transport's input and hands them up, until there is
 * nothing more to take, the owner pauses, or it is over. The owner may do anything from inside its callbacks:
 * after each of them the loop looks again at how things stand. */
#include <poll.h>
#include <string.h>

#include "gate/http/inside.h"

enum {
    INTERIM_MAX = 32, /* 1xx answers to one request */
    WATCH_MS = 500,   /* between two looks whether a peer that is not read from has left */
};

/* A socket that is not read from does not tell that its peer has left; a server looks itself then. */
void aegis_http_hear(struct aegis_http_connection *connection, bool hear)
{
    if (connection->deaf == !hear || connection->ended) {
        return;
    }
    connection->deaf = !hear;
    if (hear) {
        bufferevent_enable(connection->transport, EV_READ);
    } else {
        bufferevent_disable(connection->transport, EV_READ);
    }
    if (connection->server) {
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_WATCH, hear ? 0 : WATCH_MS);
    }
}

/* The bytes of the head, contiguous. Most heads are in the first chain already. */
static const char *head_bytes(struct aegis_http_connection *connection, size_t *size)
{
    size_t length = evbuffer_get_length(connection->input);
    size_t limit = connection->limits->head;
    *size = evbuffer_get_contiguous_space(connection->input);
    if (*size < length && *size < limit) {
        *size = length < limit ? length : limit;
    }
    return (const char *)evbuffer_pullup(connection->input, (ev_ssize_t)*size);
}

/* An unfinished head is parsed again only when another line has ended or the limit is reached, so that a head
 * that comes byte by byte costs no more than its number of lines. */
static bool worth_parsing(const struct aegis_http_connection *connection, const char *bytes, size_t size)
{
    size_t scanned = connection->scanned;
    return scanned == 0 || size >= connection->limits->head ||
           (size > scanned && memchr(bytes + scanned, '\n', size - scanned) != NULL);
}

static enum aegis_http_result parse(struct aegis_http_connection *connection, const char *bytes, size_t size,
                                    struct aegis_http_head *head, size_t *consumed, const char **problem)
{
    size_t limit = connection->limits->head;
    if (connection->server) {
        return aegis_http_parse_request(bytes, size, limit, head, consumed, problem);
    }
    struct aegis_http_text method = {"", 0};
    if (connection->head_only || connection->connect_only) {
        method = connection->head_only ? (struct aegis_http_text){"HEAD", 4}
                                       : (struct aegis_http_text){"CONNECT", 7};
    }
    return aegis_http_parse_response(bytes, size, limit, method, head, consumed, problem);
}

static void begin_body(struct aegis_http_connection *connection, const struct aegis_http_head *head)
{
    const struct aegis_http_limits *limits = connection->limits;
    aegis_http_body_begin(&connection->body, head);
    connection->reading = AEGIS_HTTP_READ_BODY;
    connection->peer_stays = head->keep_alive;
    if (connection->server) {
        connection->peer_1_0 = head->minor == 0;
        connection->head_only = aegis_http_text_equal(head->method, "HEAD");
        connection->connect_only = aegis_http_text_equal(head->method, "CONNECT");
        connection->expecting = head->expect_continue;
    }
    bool comes = !connection->body.done;
    aegis_http_due_set(connection, AEGIS_HTTP_DUE_WHOLE, comes ? limits->body_ms : 0);
    aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, comes && !connection->paused ? limits->read_ms : 0);
}

/* Says what is wrong with a response that parsed, or NULL. */
static const char *check_answer(struct aegis_http_connection *connection, const struct aegis_http_head *head)
{
    if (!connection->sent) {
        return "an answer came before the request was sent";
    }
    if (head->status == 101) {
        return "the server switches protocols, which nobody asked for";
    }
    return head->status < 200 && ++connection->interim > INTERIM_MAX ? "more than 32 interim answers" : NULL;
}

static bool take_head(struct aegis_http_connection *connection, const struct aegis_http_head *head,
                      size_t consumed)
{
    const char *problem = connection->server ? NULL : check_answer(connection, head);
    if (problem != NULL) {
        aegis_http_over(connection, AEGIS_HTTP_END_PROTOCOL, problem);
        return false;
    }
    connection->scanned = 0;
    if (connection->server || head->status >= 200) {
        begin_body(connection, head);
    } else {
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_WHOLE, 0);
    }
    connection->events->head(connection, head, connection->context);
    if (connection->over) {
        return false;
    }
    evbuffer_drain(connection->input, consumed);
    return true;
}

static void await_rest(struct aegis_http_connection *connection, size_t size)
{
    if (connection->due[AEGIS_HTTP_DUE_WHOLE] == 0) {
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_WHOLE, connection->limits->head_ms);
        if (connection->server) {
            aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, 0);
        }
    }
    connection->scanned = size;
}

/* These say whether there may be more to take. */
static bool read_head(struct aegis_http_connection *connection)
{
    struct aegis_http_head head;
    size_t size = 0;
    size_t consumed = 0;
    const char *problem = NULL;
    if (evbuffer_get_length(connection->input) == 0) {
        return false;
    }
    const char *bytes = head_bytes(connection, &size);
    if (!worth_parsing(connection, bytes, size)) {
        connection->scanned = size;
        return false;
    }
    enum aegis_http_result result = parse(connection, bytes, size, &head, &consumed, &problem);
    if (result == AEGIS_HTTP_MORE && size < evbuffer_get_length(connection->input)) {
        size = evbuffer_get_length(connection->input);
        size = size < connection->limits->head ? size : connection->limits->head;
        bytes = (const char *)evbuffer_pullup(connection->input, (ev_ssize_t)size);
        result = parse(connection, bytes, size, &head, &consumed, &problem);
    }
    if (result == AEGIS_HTTP_OK) {
        return take_head(connection, &head, consumed);
    }
    if (result == AEGIS_HTTP_MORE) {
        await_rest(connection, size);
        return false;
    }
    aegis_http_refuse_head(connection, result, problem);
    aegis_http_over(connection, AEGIS_HTTP_END_PROTOCOL, problem);
    return false;
}

/* The peer waits to be asked for its body. */
static void ask_for_body(struct aegis_http_connection *connection)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    connection->expecting = false;
    if (connection->writing == AEGIS_HTTP_WRITE_NONE && evbuffer_get_length(connection->input) == 0) {
        aegis_http_stage(connection, go_on, sizeof(go_on) - 1);
    }
}

static void message_over(struct aegis_http_connection *connection)
{
    connection->reading = AEGIS_HTTP_READ_OVER;
    aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, 0);
    aegis_http_due_set(connection, AEGIS_HTTP_DUE_WHOLE, 0);
    if (!connection->server && connection->writing == AEGIS_HTTP_WRITE_OVER) {
        connection->reading = AEGIS_HTTP_READ_IDLE;
        connection->writing = AEGIS_HTTP_WRITE_NONE;
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, connection->limits->idle_ms);
    }
    connection->events->end(connection, connection->context);
}

/* Hands up what one stretch of input holds; returns how much of it was used. */
static size_t read_stretch(struct aegis_http_connection *connection, const char *bytes, size_t size)
{
    size_t used = 0;
    while (used < size && !connection->over && !connection->paused && !connection->body.done) {
        struct aegis_http_text data;
        size_t consumed = 0;
        const char *problem = NULL;
        if (aegis_http_body_read(&connection->body, bytes + used, size - used, &consumed, &data, &problem) ==
            AEGIS_HTTP_BAD) {
            aegis_http_refuse_head(connection, AEGIS_HTTP_BAD, problem);
            aegis_http_over(connection, AEGIS_HTTP_END_PROTOCOL, problem);
            return used;
        }
        used += consumed;
        if (data.length > 0) {
            connection->events->body(connection, data.at, data.length, connection->context);
        }
    }
    return used;
}

static bool read_body(struct aegis_http_connection *connection)
{
    if (connection->body.done) {
        message_over(connection);
        return true;
    }
    if (connection->expecting) {
        ask_for_body(connection);
    }
    size_t size = evbuffer_get_contiguous_space(connection->input);
    if (size == 0) {
        return false;
    }
    aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, connection->limits->read_ms);
    const char *bytes = (const char *)evbuffer_pullup(connection->input, (ev_ssize_t)size);
    size_t used = read_stretch(connection, bytes, size);
    if (connection->over) {
        return false;
    }
    evbuffer_drain(connection->input, used);
    return true;
}

static bool read_step(struct aegis_http_connection *connection)
{
    switch (connection->reading) {
    case AEGIS_HTTP_READ_HEAD:
        return read_head(connection);
    case AEGIS_HTTP_READ_BODY:
        return !connection->paused && read_body(connection);
    default:
        if (!connection->server && evbuffer_get_length(connection->input) > 0) {
            aegis_http_over(connection, AEGIS_HTTP_END_PROTOCOL, "bytes that belong to no answer");
        }
        return false;
    }
}

static void server_ended(struct aegis_http_connection *connection)
{
    bool whole = connection->reading == AEGIS_HTTP_READ_OVER ||
                 (connection->reading == AEGIS_HTTP_READ_BODY && connection->body.done);
    bool idle = connection->reading == AEGIS_HTTP_READ_HEAD && evbuffer_get_length(connection->input) == 0;
    if (idle) {
        aegis_http_over(connection, AEGIS_HTTP_END_CLOSED, "the client closed");
    } else if (whole && !connection->failed) {
        aegis_http_over(connection, AEGIS_HTTP_END_CLOSED, "the client left before its answer was whole");
    } else {
        aegis_http_over(connection, AEGIS_HTTP_END_CUT,
                        whole ? "the client's connection failed"
                              : "the client left in the middle of its request");
    }
}

static void client_ended(struct aegis_http_connection *connection)
{
    if (connection->reading == AEGIS_HTTP_READ_BODY && connection->body.framing == AEGIS_HTTP_UNTIL_CLOSE &&
        !connection->failed) {
        connection->body.done = true;
        message_over(connection);
        if (connection->over) {
            return;
        }
    }
    bool between = connection->reading == AEGIS_HTTP_READ_IDLE || connection->reading == AEGIS_HTTP_READ_OVER;
    if (between) {
        aegis_http_over(connection, AEGIS_HTTP_END_CLOSED, "the server closed");
    } else {
        aegis_http_over(connection, AEGIS_HTTP_END_CUT,
                        connection->reading == AEGIS_HTTP_READ_HEAD ? "the server closed before it answered"
                                                                    : "the answer was cut");
    }
}

/* What to do about the end of the stream, when everything before it has been taken. */
static void settle_end(struct aegis_http_connection *connection)
{
    if (connection->server) {
        server_ended(connection);
    } else if (!connection->paused || connection->reading != AEGIS_HTTP_READ_BODY) {
        client_ended(connection);
    }
}

/* Whether reading on would only pile up bytes that nobody takes now. */
static bool has_enough(const struct aegis_http_connection *connection)
{
    size_t waiting = evbuffer_get_length(connection->input);
    if (connection->reading == AEGIS_HTTP_READ_BODY) {
        return connection->paused && waiting > 0;
    }
    return connection->server && connection->reading == AEGIS_HTTP_READ_OVER &&
           waiting >= connection->limits->head;
}

void aegis_http_read(struct aegis_http_connection *connection)
{
    if (connection->busy || connection->over) {
        return;
    }
    connection->busy = true;
    while (!connection->over && read_step(connection)) {
    }
    connection->busy = false;
    if (connection->over) {
        return;
    }
    aegis_http_hear(connection, !has_enough(connection));
    if (connection->ended) {
        settle_end(connection);
    }
}

/* For a server whose socket is not read from at present. */
void aegis_http_watch(struct aegis_http_connection *connection)
{
    struct pollfd look = {.fd = connection->fd, .events = POLLRDHUP};
    if (connection->fd >= 0 && poll(&look, 1, 0) == 1) {
        connection->ended = true;
        connection->failed = (look.revents & POLLERR) != 0;
        settle_end(connection);
    } else if (connection->deaf) {
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_WATCH, WATCH_MS);
    }
}
