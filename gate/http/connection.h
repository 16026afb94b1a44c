/* One HTTP/1.1 connection on a bufferevent, either side. It reads heads and bodies by gate/http/head.h, hands
 * them up as they come, writes what it is given in canonical form, applies back pressure and keeps a deadline
 * for every stage. The first protocol error ends it for good. One exchange at a time: a pipelined request
 * waits until the one before it is answered. */
#ifndef AEGIS_HTTP_CONNECTION_H
#define AEGIS_HTTP_CONNECTION_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/http/head.h"

struct aegis_http_connection;

enum aegis_http_end {
    AEGIS_HTTP_END_CLOSED,   /* the peer closed, in a place where it may */
    AEGIS_HTTP_END_CUT,      /* the peer closed in the middle of a message, or the transport failed */
    AEGIS_HTTP_END_PROTOCOL, /* the peer sent what it must not */
    AEGIS_HTTP_END_TIMEOUT,  /* a deadline passed */
};

/* What a connection tells its owner. `context` is the owner's. Pointers into heads and data hold during the
 * call only. Any call may free the connection from inside a callback. */
struct aegis_http_events {
    /* A whole head. Server: a request. Client: a response, also 1xx other than 101 (its `end` does not come
     * then). */
    void (*head)(struct aegis_http_connection *connection, const struct aegis_http_head *head, void *context);
    /* A piece of the body. */
    void (*body)(struct aegis_http_connection *connection, const char *data, size_t size, void *context);
    /* The message is whole. */
    void (*end)(struct aegis_http_connection *connection, void *context);
    /* The connection is over; nothing more comes. `problem` is a static text. Server: for a protocol error or
     * time-out in a request's head the canonical error answer has been sent already. */
    void (*closed)(struct aegis_http_connection *connection, enum aegis_http_end end, const char *problem,
                   void *context);
    /* What was given to send has left, down to the low mark: go on. May be NULL. */
    void (*drained)(struct aegis_http_connection *connection, void *context);
};

/* Limits and deadlines; bytes and milliseconds. 0 for a deadline: none. */
struct aegis_http_limits {
    size_t head;           /* longest head (default 32768) */
    size_t write_high;     /* above this much unsent, aegis_http_connection_full says true (262144) */
    int64_t head_ms;       /* from a head's first byte to its last (10,000) */
    int64_t idle_ms;       /* server: between requests (60,000); client: while pooled (30,000) */
    int64_t first_byte_ms; /* client: from the request's end to the answer's head (120,000) */
    int64_t read_ms;       /* between two reads of a body (60,000) */
    int64_t write_ms;      /* without progress in writing (60,000) */
    int64_t body_ms;       /* for a whole body (0: none) */
};
void aegis_http_limits_default(struct aegis_http_limits *limits);

/* Takes the bufferevent over (plain or TLS, connected). `limits` and `events` are borrowed for the
 * connection's life. */
struct aegis_http_connection *aegis_http_server_new(struct bufferevent *transport,
                                                    const struct aegis_http_limits *limits,
                                                    const struct aegis_http_events *events, void *context);
struct aegis_http_connection *aegis_http_client_new(struct bufferevent *transport,
                                                    const struct aegis_http_limits *limits,
                                                    const struct aegis_http_events *events, void *context);

/* Closes (a server connection first sends what is waiting, without its owner, under write_ms) and sets the
 * pointer to NULL. The memory goes at the end of the loop turn. */
void aegis_http_connection_free(struct aegis_http_connection **connection);

/* A pooled client connection gets a new owner. */
void aegis_http_connection_owner(struct aegis_http_connection *connection,
                                 const struct aegis_http_events *events, void *context);

/* A head to be sent. Fields in order; names and values are checked (a bad one ends the process: it is our
 * mistake; use aegis_http_message_add_field for what a stranger wrote). Framing fields (Content-Length,
 * Transfer-Encoding, Connection) are written by the connection itself from `framing` and its state; fields of
 * those names are skipped. */
struct aegis_http_message;
struct aegis_http_message *aegis_http_request_new(struct aegis_http_text method,
                                                  struct aegis_http_text target);
struct aegis_http_message *aegis_http_response_new(int status, struct aegis_http_text reason);
void aegis_http_message_free(struct aegis_http_message **message);
void aegis_http_message_add(struct aegis_http_message *message, const char *name, const char *value);
/* A field of a parsed head (valid by that), or one made from what a stranger wrote: false, and nothing added,
 * when no head can carry it. */
bool aegis_http_message_add_field(struct aegis_http_message *message, const struct aegis_http_field *field);
/* What has been written so far: start line and fields, without framing fields and the empty line. */
struct aegis_http_text aegis_http_message_text(const struct aegis_http_message *message);

/* Sends a head (borrowed). LENGTH with `length`, CHUNKED, or NO_BODY (which for a response to other than HEAD
 * writes Content-Length: 0 where one is allowed). A server answering an HTTP/1.0 request with CHUNKED falls
 * back to closing. `close`: this is the last exchange. Server: 1xx heads may precede the final one. */
bool aegis_http_connection_send(struct aegis_http_connection *connection,
                                const struct aegis_http_message *message, enum aegis_http_framing framing,
                                uint64_t length, bool close);
bool aegis_http_connection_send_body(struct aegis_http_connection *connection, const void *data, size_t size);
/* The body is whole. A LENGTH body that fell short cuts the connection instead. */
bool aegis_http_connection_send_end(struct aegis_http_connection *connection);
/* The body cannot be finished: the peer must not take it for whole. */
void aegis_http_connection_abort(struct aegis_http_connection *connection);

/* Back pressure: stop and go on reading the peer's body; whether too much waits to be written. */
void aegis_http_connection_pause(struct aegis_http_connection *connection);
void aegis_http_connection_resume(struct aegis_http_connection *connection);
bool aegis_http_connection_full(const struct aegis_http_connection *connection);

/* Client: the exchange is over on both sides, the peer keeps alive, and not a byte is left over. */
bool aegis_http_connection_reusable(const struct aegis_http_connection *connection);
/* Whether a byte of the present message has been handed to the transport. */
bool aegis_http_connection_sent(const struct aegis_http_connection *connection);
struct bufferevent *aegis_http_connection_transport(struct aegis_http_connection *connection); /* borrowed */

#endif
