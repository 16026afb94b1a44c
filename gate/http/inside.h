/* Inside gate/http: the connection's parts. connection.c is its life, reading.c what comes in, writing.c what
 * goes out, deadline.c its clock, refusal.c the answers it gives itself. */
#ifndef AEGIS_HTTP_INSIDE_H
#define AEGIS_HTTP_INSIDE_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "gate/base/log.h"
#include "gate/http/connection.h"

#define AEGIS_HTTP_CONNECTION_MAGIC 0x48545450U

enum aegis_http_reading {
    AEGIS_HTTP_READ_IDLE, /* client: no exchange; whatever comes is one byte too many */
    AEGIS_HTTP_READ_HEAD,
    AEGIS_HTTP_READ_BODY,
    AEGIS_HTTP_READ_OVER, /* the message is whole; a server waits for the answer's end */
};

enum aegis_http_writing {
    AEGIS_HTTP_WRITE_NONE,
    AEGIS_HTTP_WRITE_BODY, /* the head is out, the end not yet */
    AEGIS_HTTP_WRITE_OVER,
};

/* Deadlines that run side by side. */
enum aegis_http_due {
    AEGIS_HTTP_DUE_STAGE, /* idle, first byte, or between two reads of a body */
    AEGIS_HTTP_DUE_WHOLE, /* the present head, or the present body, in full */
    AEGIS_HTTP_DUE_WRITE, /* progress in writing */
    AEGIS_HTTP_DUE_WATCH, /* look whether the peer has left while nothing is read */
    AEGIS_HTTP_DUES,
};

/* Work put off to the end of the loop turn, so that no owner is called back from inside its own call. */
enum {
    AEGIS_HTTP_TURN_FLUSH = 1,
    AEGIS_HTTP_TURN_READ = 2,
    AEGIS_HTTP_TURN_FINISH = 4, /* the last exchange is done */
    AEGIS_HTTP_TURN_GONE = 8,   /* the memory can go */
};

struct aegis_http_stage {
    char *bytes;
    size_t size, capacity;
};

struct aegis_http_connection {
    unsigned magic;
    bool server;
    bool direct;    /* a plain socket: written to without a detour through the event loop */
    bool over;      /* nothing is told to the owner any more */
    bool lingering; /* without an owner, sending what is left */
    bool busy;      /* inside the reading loop */
    bool paused;
    bool deaf;       /* reading is switched off */
    bool ended;      /* the peer's end of stream, or a failed transport, was seen */
    bool failed;     /* it was the transport that failed */
    bool unwritable; /* the transport takes no more bytes */
    bool bereft;     /* and what follows from that was seen to */
    bool crowded;    /* more than write_high waited; `drained` is owed */

    struct bufferevent *transport;
    struct evbuffer *input, *output;
    evutil_socket_t fd;
    const struct aegis_http_limits *limits;
    const struct aegis_http_events *events;
    void *context;

    enum aegis_http_reading reading;
    struct aegis_http_body body;
    size_t scanned;    /* bytes of an unfinished head that were parsed in vain */
    unsigned interim;  /* 1xx answers in this exchange */
    bool peer_1_0;     /* server: the request's version */
    bool peer_stays;   /* what the peer's head says about keeping the connection */
    bool head_only;    /* the request's method is HEAD */
    bool connect_only; /* the request's method is CONNECT */
    bool expecting;    /* the peer waits for 100 Continue */

    enum aegis_http_writing writing;
    enum aegis_http_framing framing;
    uint64_t left; /* of a LENGTH body */
    bool mute;     /* the body is not written: an answer to HEAD */
    bool last;     /* this exchange is the last */
    bool sent;     /* a byte of the present message has left */
    struct aegis_http_stage stage;
    uint64_t handed; /* bytes put into `output` so far */
    uint64_t mark;   /* progress when the write deadline was set */

    bool shut;     /* lingering: our side is closed */
    size_t wasted; /* lingering: bytes read for nothing */

    struct event turn, timer;
    unsigned turns;
    int64_t due[AEGIS_HTTP_DUES];
    int64_t armed;
};

/* connection.c */
void aegis_http_turn(struct aegis_http_connection *connection, unsigned work);
/* Tells the owner that it is over. Only from the event loop, never from inside an owner's call. */
void aegis_http_over(struct aegis_http_connection *connection, enum aegis_http_end end, const char *problem);
void aegis_http_timeout(struct aegis_http_connection *connection, enum aegis_http_due which);

/* reading.c */
void aegis_http_read(struct aegis_http_connection *connection);
void aegis_http_hear(struct aegis_http_connection *connection, bool hear);
void aegis_http_watch(struct aegis_http_connection *connection);

/* writing.c */
void aegis_http_stage(struct aegis_http_connection *connection, const void *data, size_t size);
void aegis_http_flush(struct aegis_http_connection *connection);
size_t aegis_http_unsent(const struct aegis_http_connection *connection);
void aegis_http_relieve(struct aegis_http_connection *connection);

/* refusal.c */
void aegis_http_refuse_head(struct aegis_http_connection *connection, enum aegis_http_result result,
                            const char *problem);
void aegis_http_refuse_late(struct aegis_http_connection *connection);

/* deadline.c: `ms` 0 takes the deadline away. */
void aegis_http_due_set(struct aegis_http_connection *connection, enum aegis_http_due which, int64_t ms);
void aegis_http_due_fire(evutil_socket_t fd, short what, void *context);

/* message.c */
bool aegis_http_message_is_request(const struct aegis_http_message *message);
int aegis_http_message_status(const struct aegis_http_message *message);
struct aegis_http_text aegis_http_message_method(const struct aegis_http_message *message);

#endif
