/* What goes out. Bytes are gathered in one buffer and leave at the end of the loop turn: head and body of a
 * small message go in one call, straight to a plain socket when nothing waits there. What the socket does not
 * take goes to the bufferevent, as everything does when the transport is TLS. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gate/http/inside.h"

enum {
    STAGE_FIRST = 4096,
    STAGE_KEPT = 16384, /* a larger buffer is not kept for the next message */
    STAGE_FULL = 65536, /* this much is not gathered but sent on */
    LENGTH_DIGITS = 20,
};

size_t aegis_http_unsent(const struct aegis_http_connection *connection)
{
    return connection->stage.size + evbuffer_get_length(connection->output);
}

static void stage_reserve(struct aegis_http_stage *stage, size_t size)
{
    if (stage->capacity - stage->size >= size) {
        return;
    }
    size_t capacity = stage->capacity == 0 ? STAGE_FIRST : stage->capacity;
    while (capacity - stage->size < size) {
        capacity *= 2;
    }
    stage->bytes = realloc(stage->bytes, capacity);
    AEGIS_ASSERT(stage->bytes != NULL);
    stage->capacity = capacity;
}

static void stage_clear(struct aegis_http_stage *stage)
{
    stage->size = 0;
    if (stage->capacity > STAGE_KEPT) {
        free(stage->bytes);
        *stage = (struct aegis_http_stage){0};
    }
}

void aegis_http_stage(struct aegis_http_connection *connection, const void *data, size_t size)
{
    if (connection->unwritable || size == 0) {
        return;
    }
    stage_reserve(&connection->stage, size);
    memcpy(connection->stage.bytes + connection->stage.size, data, size);
    connection->stage.size += size;
    if (connection->stage.size >= STAGE_FULL) {
        aegis_http_flush(connection);
    }
    connection->crowded |= aegis_http_unsent(connection) > connection->limits->write_high;
    aegis_http_turn(connection, AEGIS_HTTP_TURN_FLUSH);
}

/* How much of the stage the socket took at once. */
static size_t send_now(struct aegis_http_connection *connection)
{
    const struct aegis_http_stage *stage = &connection->stage;
    ssize_t sent = send(connection->fd, stage->bytes, stage->size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
        return (size_t)sent;
    }
    connection->unwritable = errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
    return 0;
}

void aegis_http_flush(struct aegis_http_connection *connection)
{
    struct aegis_http_stage *stage = &connection->stage;
    size_t gone = 0;
    if (stage->size == 0) {
        return;
    }
    if (connection->direct && evbuffer_get_length(connection->output) == 0) {
        gone = send_now(connection);
        connection->sent |= gone > 0;
    }
    if (gone < stage->size && !connection->unwritable) {
        evbuffer_add(connection->output, stage->bytes + gone, stage->size - gone);
        connection->handed += stage->size - gone;
        connection->sent = true;
        if (connection->due[AEGIS_HTTP_DUE_WRITE] == 0) {
            connection->mark = connection->handed - evbuffer_get_length(connection->output);
            aegis_http_due_set(connection, AEGIS_HTTP_DUE_WRITE, connection->limits->write_ms);
        }
    }
    stage_clear(stage);
}

void aegis_http_relieve(struct aegis_http_connection *connection)
{
    if (connection->crowded && aegis_http_unsent(connection) <= connection->limits->write_high / 4) {
        connection->crowded = false;
        if (connection->events->drained != NULL) {
            connection->events->drained(connection, connection->context);
        }
    }
}

bool aegis_http_connection_full(const struct aegis_http_connection *connection)
{
    return connection->crowded;
}

bool aegis_http_connection_sent(const struct aegis_http_connection *connection)
{
    return connection->sent;
}

/* The framing that can really be used towards this peer. */
static enum aegis_http_framing settle(struct aegis_http_connection *connection,
                                      enum aegis_http_framing framing)
{
    if (!connection->server) {
        AEGIS_ASSERT(framing != AEGIS_HTTP_UNTIL_CLOSE);
        return framing;
    }
    return framing == AEGIS_HTTP_CHUNKED && connection->peer_1_0 ? AEGIS_HTTP_UNTIL_CLOSE : framing;
}

static bool wants_zero(const struct aegis_http_connection *connection,
                       const struct aegis_http_message *message)
{
    if (connection->server) {
        return !connection->head_only;
    }
    struct aegis_http_text method = aegis_http_message_method(message);
    return aegis_http_text_equal(method, "POST") || aegis_http_text_equal(method, "PUT") ||
           aegis_http_text_equal(method, "PATCH");
}

static void stage_framing(struct aegis_http_connection *connection, const struct aegis_http_message *message,
                          enum aegis_http_framing framing, uint64_t length)
{
    char line[sizeof("Content-Length: \r\n") + LENGTH_DIGITS];
    if (framing == AEGIS_HTTP_CHUNKED) {
        static const char chunked[] = "Transfer-Encoding: chunked\r\n";
        aegis_http_stage(connection, chunked, sizeof(chunked) - 1);
    } else if (framing == AEGIS_HTTP_LENGTH ||
               (framing == AEGIS_HTTP_NO_BODY && wants_zero(connection, message))) {
        int size = snprintf(line, sizeof(line), "Content-Length: %llu\r\n",
                            framing == AEGIS_HTTP_LENGTH ? (unsigned long long)length : 0ULL);
        aegis_http_stage(connection, line, (size_t)size);
    }
}

static void stage_connection(struct aegis_http_connection *connection)
{
    static const char close_line[] = "Connection: close\r\n";
    static const char keep_line[] = "Connection: keep-alive\r\n";
    if (connection->last) {
        aegis_http_stage(connection, close_line, sizeof(close_line) - 1);
    } else if (connection->server && connection->peer_1_0) {
        aegis_http_stage(connection, keep_line, sizeof(keep_line) - 1);
    }
}

/* RFC 9110, section 9.3.6: what the head of such an answer is followed by is no content of it, and what the
 * request said about its connection was about the way to the proxy. */
static bool opens_tunnel(const struct aegis_http_connection *connection, int status)
{
    return connection->server && connection->connect_only && status < 300;
}

static void stage_head(struct aegis_http_connection *connection, const struct aegis_http_message *message,
                       enum aegis_http_framing framing, uint64_t length)
{
    struct aegis_http_text text = aegis_http_message_text(message);
    int status = aegis_http_message_status(message);
    bool tunnel = opens_tunnel(connection, status);
    aegis_http_stage(connection, text.at, text.length);
    if (status != 204 && status != 304 && !tunnel) {
        stage_framing(connection, message, framing, length);
    }
    stage_connection(connection);
    aegis_http_stage(connection, "\r\n", 2);
}

static bool send_interim(struct aegis_http_connection *connection, const struct aegis_http_message *message)
{
    if (connection->writing != AEGIS_HTTP_WRITE_NONE) {
        return false;
    }
    if (!connection->peer_1_0) {
        struct aegis_http_text text = aegis_http_message_text(message);
        aegis_http_stage(connection, text.at, text.length);
        aegis_http_stage(connection, "\r\n", 2);
        connection->expecting &= aegis_http_message_status(message) != 100;
    }
    return true;
}

/* Whether a message may begin now. */
static bool may_begin(const struct aegis_http_connection *connection)
{
    if (connection->over || connection->unwritable || connection->writing != AEGIS_HTTP_WRITE_NONE) {
        return false;
    }
    if (connection->server) {
        return connection->reading == AEGIS_HTTP_READ_BODY || connection->reading == AEGIS_HTTP_READ_OVER;
    }
    return connection->reading == AEGIS_HTTP_READ_IDLE && !connection->ended &&
           evbuffer_get_length(connection->input) == 0;
}

static void begin_request(struct aegis_http_connection *connection, const struct aegis_http_message *message)
{
    struct aegis_http_text method = aegis_http_message_method(message);
    connection->head_only = aegis_http_text_equal(method, "HEAD");
    connection->connect_only = aegis_http_text_equal(method, "CONNECT");
    connection->reading = AEGIS_HTTP_READ_HEAD;
    connection->interim = 0;
    connection->scanned = 0;
    aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, 0);
}

/* Answers whose request was not read to its end, answers that end by closing, and peers that want it so, are
 * the last. */
static void begin_answer(struct aegis_http_connection *connection, const struct aegis_http_message *message)
{
    int status = aegis_http_message_status(message);
    bool whole = connection->reading == AEGIS_HTTP_READ_OVER || connection->body.done;
    bool stays = connection->peer_stays || opens_tunnel(connection, status);
    connection->last |= !whole || !stays || connection->framing == AEGIS_HTTP_UNTIL_CLOSE;
    connection->mute = connection->head_only || status == 204 || status == 304;
    connection->expecting = false;
}

bool aegis_http_connection_send(struct aegis_http_connection *connection,
                                const struct aegis_http_message *message, enum aegis_http_framing framing,
                                uint64_t length, bool close)
{
    AEGIS_ASSERT(aegis_http_message_is_request(message) != connection->server);
    if (!may_begin(connection)) {
        return false;
    }
    if (connection->server && aegis_http_message_status(message) < 200) {
        return send_interim(connection, message);
    }
    connection->framing = settle(connection, framing);
    connection->left = framing == AEGIS_HTTP_LENGTH ? length : 0;
    connection->last = close;
    connection->mute = false;
    connection->sent = false;
    if (connection->server) {
        begin_answer(connection, message);
    } else {
        begin_request(connection, message);
    }
    connection->writing = AEGIS_HTTP_WRITE_BODY;
    stage_head(connection, message, connection->framing, length);
    return true;
}

static void stage_chunk(struct aegis_http_connection *connection, const void *data, size_t size)
{
    char line[24];
    int length = snprintf(line, sizeof(line), "%zx\r\n", size);
    aegis_http_stage(connection, line, (size_t)length);
    aegis_http_stage(connection, data, size);
    aegis_http_stage(connection, "\r\n", 2);
}

bool aegis_http_connection_send_body(struct aegis_http_connection *connection, const void *data, size_t size)
{
    if (connection->over || connection->unwritable || connection->writing != AEGIS_HTTP_WRITE_BODY) {
        return false;
    }
    if (connection->mute || size == 0) {
        return true;
    }
    AEGIS_ASSERT(connection->framing != AEGIS_HTTP_NO_BODY);
    if (connection->framing == AEGIS_HTTP_CHUNKED) {
        stage_chunk(connection, data, size);
        return true;
    }
    if (connection->framing == AEGIS_HTTP_LENGTH) {
        AEGIS_ASSERT(size <= connection->left);
        connection->left -= size;
    }
    aegis_http_stage(connection, data, size);
    return true;
}

/* Back to waiting for a request, or on to the end. */
static void answer_over(struct aegis_http_connection *connection)
{
    if (connection->last) {
        aegis_http_turn(connection, AEGIS_HTTP_TURN_FINISH);
        return;
    }
    AEGIS_ASSERT(connection->reading == AEGIS_HTTP_READ_OVER || connection->body.done);
    connection->reading = AEGIS_HTTP_READ_HEAD;
    connection->writing = AEGIS_HTTP_WRITE_NONE;
    connection->paused = false;
    connection->scanned = 0;
    aegis_http_due_set(connection, AEGIS_HTTP_DUE_WHOLE, 0);
    aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, connection->limits->idle_ms);
    if (connection->deaf || connection->ended || evbuffer_get_length(connection->input) > 0) {
        aegis_http_turn(connection, AEGIS_HTTP_TURN_READ);
    }
}

bool aegis_http_connection_send_end(struct aegis_http_connection *connection)
{
    if (connection->over || connection->unwritable || connection->writing != AEGIS_HTTP_WRITE_BODY) {
        return false;
    }
    if (connection->framing == AEGIS_HTTP_LENGTH && connection->left > 0 && !connection->mute) {
        aegis_http_connection_abort(connection);
        return false;
    }
    if (connection->framing == AEGIS_HTTP_CHUNKED && !connection->mute) {
        aegis_http_stage(connection, "0\r\n\r\n", 5);
    }
    connection->writing = AEGIS_HTTP_WRITE_OVER;
    aegis_http_turn(connection, AEGIS_HTTP_TURN_FLUSH);
    if (connection->server) {
        answer_over(connection);
    } else if (connection->reading == AEGIS_HTTP_READ_HEAD) {
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, connection->limits->first_byte_ms);
    }
    return true;
}
