/* The life of a connection: born on a transport, owned, over, lingering, gone. */
#include <stdlib.h>
#include <sys/socket.h>

#include <event2/bufferevent_ssl.h>

#include "gate/base/text.h"
#include "gate/http/inside.h"

enum {
    LINGER_MS = 2000,           /* for the peer to close after our last byte */
    LINGER_BYTES = 1024 * 1024, /* more than this is not waited out */
};

void aegis_http_limits_default(struct aegis_http_limits *limits)
{
    *limits = (struct aegis_http_limits){
        .head = 32768,
        .write_high = 262144,
        .head_ms = 10000,
        .idle_ms = 60000,
        .first_byte_ms = 120000,
        .read_ms = 60000,
        .write_ms = 60000,
        .body_ms = 0,
    };
}

static struct aegis_http_connection *front_door(void *context)
{
    struct aegis_http_connection *connection = context;
    AEGIS_ASSERT(connection->magic == AEGIS_HTTP_CONNECTION_MAGIC);
    return connection;
}

void aegis_http_turn(struct aegis_http_connection *connection, unsigned work)
{
    if (connection->turns == 0) {
        event_active(&connection->turn, EV_TIMEOUT, 0);
    }
    connection->turns |= work;
}

void aegis_http_over(struct aegis_http_connection *connection, enum aegis_http_end end, const char *problem)
{
    connection->over = true;
    for (int which = 0; which < AEGIS_HTTP_DUES; which++) {
        connection->due[which] = 0;
    }
    connection->events->closed(connection, end, problem, connection->context);
}

/* Takes the connection off the loop. The memory goes when everything that may still point to it has
 * returned. */
static void destroy(struct aegis_http_connection *connection)
{
    connection->lingering = false;
    for (int which = 0; which < AEGIS_HTTP_DUES; which++) {
        connection->due[which] = 0;
    }
    event_del(&connection->timer);
    bufferevent_setcb(connection->transport, NULL, NULL, NULL, NULL);
    bufferevent_free(connection->transport);
    connection->transport = NULL;
    aegis_http_turn(connection, AEGIS_HTTP_TURN_GONE);
}

/* One step on the way out: first everything is sent, then our side is shut, then what still comes is thrown
 * away until the peer closes; a socket closed with unread bytes in it would take the answer back from the
 * peer. */
static void linger(struct aegis_http_connection *connection)
{
    size_t waiting = evbuffer_get_length(connection->input);
    evbuffer_drain(connection->input, waiting);
    connection->wasted += waiting;
    bool sent = aegis_http_unsent(connection) == 0;
    if (connection->failed || connection->unwritable || connection->wasted > LINGER_BYTES ||
        (sent && connection->ended)) {
        destroy(connection);
    } else if (sent && !connection->shut) {
        connection->shut = true;
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_WRITE, 0);
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, LINGER_MS);
        if (connection->fd < 0 || shutdown(connection->fd, SHUT_WR) != 0) {
            destroy(connection);
        }
    }
}

/* The transport takes nothing more. A server's answer may have come all the same, or still come: that is
 * worth reading. */
static void writing_lost(struct aegis_http_connection *connection)
{
    if (connection->over || connection->bereft) {
        return;
    }
    connection->bereft = true;
    if (connection->server) {
        connection->failed = true;
        aegis_http_over(connection, AEGIS_HTTP_END_CUT, "the client's connection failed");
    } else if (connection->reading == AEGIS_HTTP_READ_IDLE) {
        aegis_http_over(connection, AEGIS_HTTP_END_CLOSED, "the server closed");
    } else if (connection->reading == AEGIS_HTTP_READ_HEAD) {
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, connection->limits->first_byte_ms);
    }
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct aegis_http_connection *connection = front_door(context);
    unsigned work = connection->turns;
    connection->turns = 0;
    if ((work & AEGIS_HTTP_TURN_GONE) != 0) {
        connection->magic = 0;
        free(connection->stage.bytes);
        free(connection);
        return;
    }
    aegis_http_flush(connection);
    if (connection->lingering) {
        linger(connection);
        return;
    }
    if (connection->unwritable) {
        writing_lost(connection);
    }
    if ((work & AEGIS_HTTP_TURN_READ) != 0) {
        aegis_http_read(connection);
    }
    if (!connection->over) {
        aegis_http_relieve(connection);
    }
    if ((work & AEGIS_HTTP_TURN_FINISH) != 0 && !connection->over) {
        aegis_http_over(connection, AEGIS_HTTP_END_CLOSED, "the last exchange is done");
    }
}

static void on_read(struct bufferevent *transport, void *context)
{
    struct aegis_http_connection *connection = front_door(context);
    if (connection->lingering) {
        linger(connection);
    } else if (connection->over) {
        evbuffer_drain(bufferevent_get_input(transport), SIZE_MAX);
    } else {
        aegis_http_read(connection);
    }
}

static void on_write(struct bufferevent *transport, void *context)
{
    struct aegis_http_connection *connection = front_door(context);
    if (evbuffer_get_length(bufferevent_get_output(transport)) == 0) {
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_WRITE, 0);
    }
    if (connection->lingering) {
        linger(connection);
    } else if (!connection->over) {
        aegis_http_relieve(connection);
    }
}

static void on_event(struct bufferevent *transport, short what, void *context)
{
    (void)transport;
    struct aegis_http_connection *connection = front_door(context);
    if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) == 0) {
        return;
    }
    bool writing = (what & BEV_EVENT_WRITING) != 0;
    connection->unwritable |= writing || (what & BEV_EVENT_ERROR) != 0;
    if (!writing || !connection->direct) {
        connection->ended = true;
        connection->failed |= (what & BEV_EVENT_ERROR) != 0;
    }
    if (connection->lingering) {
        linger(connection);
    } else if (connection->ended) {
        aegis_http_read(connection);
    } else {
        writing_lost(connection);
    }
}

static void write_timeout(struct aegis_http_connection *connection)
{
    uint64_t progress = connection->handed - evbuffer_get_length(connection->output);
    if (progress != connection->mark) {
        connection->mark = progress;
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_WRITE, connection->limits->write_ms);
    } else if (connection->lingering) {
        destroy(connection);
    } else {
        connection->unwritable = true;
        aegis_http_over(connection, AEGIS_HTTP_END_TIMEOUT, "the peer does not read");
    }
}

static void reading_timeout(struct aegis_http_connection *connection, enum aegis_http_due which)
{
    const char *problem = "the body did not come in time";
    if (connection->reading == AEGIS_HTTP_READ_HEAD && connection->server) {
        problem = which == AEGIS_HTTP_DUE_STAGE ? "no request came in time"
                                                : "the request's head did not come in time";
    } else if (connection->reading == AEGIS_HTTP_READ_HEAD) {
        problem = "the answer did not come in time";
    } else if (connection->reading == AEGIS_HTTP_READ_IDLE) {
        problem = "idle for too long";
    }
    if (connection->reading != AEGIS_HTTP_READ_HEAD || which == AEGIS_HTTP_DUE_WHOLE) {
        aegis_http_refuse_late(connection);
    }
    aegis_http_over(connection, AEGIS_HTTP_END_TIMEOUT, problem);
}

void aegis_http_timeout(struct aegis_http_connection *connection, enum aegis_http_due which)
{
    if (which == AEGIS_HTTP_DUE_WRITE) {
        write_timeout(connection);
    } else if (connection->lingering) {
        destroy(connection);
    } else if (which == AEGIS_HTTP_DUE_WATCH) {
        aegis_http_watch(connection);
    } else {
        reading_timeout(connection, which);
    }
}

static struct aegis_http_connection *connection_new(struct bufferevent *transport, bool server,
                                                    const struct aegis_http_limits *limits,
                                                    const struct aegis_http_events *events, void *context)
{
    struct aegis_http_connection *connection = aegis_alloc(sizeof(*connection));
    struct event_base *base = bufferevent_get_base(transport);
    connection->magic = AEGIS_HTTP_CONNECTION_MAGIC;
    connection->server = server;
    connection->transport = transport;
    connection->input = bufferevent_get_input(transport);
    connection->output = bufferevent_get_output(transport);
    connection->fd = bufferevent_getfd(transport);
    connection->direct = connection->fd >= 0 && bufferevent_get_underlying(transport) == NULL &&
                         bufferevent_openssl_get_ssl(transport) == NULL;
    connection->limits = limits;
    connection->events = events;
    connection->context = context;
    connection->reading = server ? AEGIS_HTTP_READ_HEAD : AEGIS_HTTP_READ_IDLE;
    event_assign(&connection->turn, base, -1, 0, on_turn, connection);
    evtimer_assign(&connection->timer, base, aegis_http_due_fire, connection);
    bufferevent_setcb(transport, on_read, on_write, on_event, connection);
    bufferevent_setwatermark(transport, EV_WRITE, limits->write_high / 4, 0);
    bufferevent_enable(transport, EV_READ | EV_WRITE);
    aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, limits->idle_ms);
    if (evbuffer_get_length(connection->input) > 0) {
        aegis_http_turn(connection, AEGIS_HTTP_TURN_READ);
    }
    return connection;
}

struct aegis_http_connection *aegis_http_server_new(struct bufferevent *transport,
                                                    const struct aegis_http_limits *limits,
                                                    const struct aegis_http_events *events, void *context)
{
    return connection_new(transport, true, limits, events, context);
}

struct aegis_http_connection *aegis_http_client_new(struct bufferevent *transport,
                                                    const struct aegis_http_limits *limits,
                                                    const struct aegis_http_events *events, void *context)
{
    return connection_new(transport, false, limits, events, context);
}

/* What was half answered in a form that only closing ends would look whole to the peer: it gets a reset
 * instead. */
static bool looks_whole(const struct aegis_http_connection *connection)
{
    return connection->writing == AEGIS_HTTP_WRITE_BODY && connection->framing == AEGIS_HTTP_UNTIL_CLOSE;
}

static void reset_on_close(struct aegis_http_connection *connection)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (connection->fd >= 0) {
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
}

static bool nothing_to_say(const struct aegis_http_connection *connection)
{
    return aegis_http_unsent(connection) == 0 &&
           (connection->ended ||
            (connection->reading == AEGIS_HTTP_READ_HEAD && evbuffer_get_length(connection->input) == 0));
}

void aegis_http_connection_free(struct aegis_http_connection **pointer)
{
    struct aegis_http_connection *connection = *pointer;
    *pointer = NULL;
    if (connection == NULL) {
        return;
    }
    AEGIS_ASSERT(connection->magic == AEGIS_HTTP_CONNECTION_MAGIC && !connection->lingering);
    connection->over = true;
    if (looks_whole(connection)) {
        reset_on_close(connection);
        destroy(connection);
    } else if (!connection->server || connection->failed || connection->unwritable ||
               nothing_to_say(connection)) {
        destroy(connection);
    } else {
        int64_t write_ms = connection->limits->write_ms > 0 ? connection->limits->write_ms : LINGER_MS;
        connection->lingering = true;
        aegis_http_hear(connection, true);
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, 0);
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_WHOLE, 0);
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_WRITE, write_ms);
        aegis_http_turn(connection, AEGIS_HTTP_TURN_FLUSH);
    }
}

void aegis_http_connection_abort(struct aegis_http_connection *connection)
{
    connection->over = true;
    for (int which = 0; which < AEGIS_HTTP_DUES; which++) {
        connection->due[which] = 0;
    }
}

void aegis_http_connection_owner(struct aegis_http_connection *connection,
                                 const struct aegis_http_events *events, void *context)
{
    connection->events = events;
    connection->context = context;
}

void aegis_http_connection_pause(struct aegis_http_connection *connection)
{
    if (connection->paused || connection->over) {
        return;
    }
    connection->paused = true;
    if (connection->reading == AEGIS_HTTP_READ_BODY) {
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, 0);
    }
}

void aegis_http_connection_resume(struct aegis_http_connection *connection)
{
    if (!connection->paused || connection->over) {
        return;
    }
    connection->paused = false;
    if (connection->reading == AEGIS_HTTP_READ_BODY) {
        aegis_http_due_set(connection, AEGIS_HTTP_DUE_STAGE, connection->limits->read_ms);
        aegis_http_turn(connection, AEGIS_HTTP_TURN_READ);
    }
}

bool aegis_http_connection_reusable(const struct aegis_http_connection *connection)
{
    return !connection->server && !connection->over && connection->reading == AEGIS_HTTP_READ_IDLE &&
           connection->peer_stays && !connection->last && !connection->connect_only && !connection->ended &&
           !connection->unwritable && !connection->paused && aegis_http_unsent(connection) == 0 &&
           evbuffer_get_length(connection->input) == 0;
}

struct bufferevent *aegis_http_connection_transport(struct aegis_http_connection *connection)
{
    return connection->transport;
}
