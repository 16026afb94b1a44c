/* One HTTP/1.1 connection on a bufferevent, either side. It reads heads and bodies by gate/http/head.h, hands
 * them up as they come, writes what it is given in canonical form, applies back pressure and keeps a deadline
 * for every stage. The first protocol error ends it for good. One exchange at a time: a pipelined request
 * waits until the one before it is answered.
 *
 * The owner is called from the event loop only, never from inside one of its own calls. What it sends is
 * gathered and leaves at the end of the loop turn. */
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
 * call only. The owner may do anything from inside a callback, freeing the connection included. */
struct aegis_http_events {
    /* A whole head. Server: a request. Client: a response, also 1xx other than 101 (its `end` does not come
     * then). */
    void (*head)(struct aegis_http_connection *connection, const struct aegis_http_head *head, void *context);
    /* A piece of the body. */
    void (*body)(struct aegis_http_connection *connection, const char *data, size_t size, void *context);
    /* The message is whole; also of a message without a body. A server whose answer has ended before is not
     * told. */
    void (*end)(struct aegis_http_connection *connection, void *context);
    /* The connection is over; nothing more comes: free it. `problem` is a static text. Server: a protocol
     * error or time-out before an answer began has been answered already (400, 408, 414, 417, 431, 501, 505);
     * CLOSED means the last exchange is done, or a client that closed or half-closed its connection, which
     * between its request and the end of its answer is to have left; CUT is told when the request was not
     * whole or the transport failed. */
    void (*closed)(struct aegis_http_connection *connection, enum aegis_http_end end, const char *problem,
                   void *context);
    /* aegis_http_connection_full was true, and unsent bytes are down to a quarter of write_high: go on. May
     * be NULL. */
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

/* Takes the bufferevent over (plain or TLS, connected, BEV_OPT_CLOSE_ON_FREE). `limits` and `events` are
 * borrowed for the connection's life. A server sends `100 Continue` by itself when it comes to reading a body
 * that waits for it: after `head` returned, or at resume if the owner paused there; not if an answer has
 * begun. Bytes that arrive on a client outside an exchange end it. 1xx answers: at most 32; 101 is a protocol
 * error, nobody here asks for it. */
struct aegis_http_connection *aegis_http_server_new(struct bufferevent *transport,
                                                    const struct aegis_http_limits *limits,
                                                    const struct aegis_http_events *events, void *context);
struct aegis_http_connection *aegis_http_client_new(struct bufferevent *transport,
                                                    const struct aegis_http_limits *limits,
                                                    const struct aegis_http_events *events, void *context);

/* Closes (a server connection first sends what is waiting, without its owner, under write_ms, and waits a
 * moment for the client to close, so that the answer arrives) and sets the pointer to NULL. An answer that
 * was not ended looks cut to the client. The memory goes at the end of the loop turn. */
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

/* Sends a head (borrowed). Every message is ended by aegis_http_connection_send_end, with or without a body.
 *  LENGTH       `length` bytes of body follow.
 *  CHUNKED      any number; towards an HTTP/1.0 client the same as UNTIL_CLOSE.
 *  NO_BODY      none. Content-Length: 0 is written where a receiver may want it: in answers that could have a
 *               body, in requests by POST, PUT and PATCH.
 *  UNTIL_CLOSE  answers only: closing ends the body; freeing before the end resets the connection.
 * An answer to HEAD has the fields and no body; 1xx, 204 and 304 have neither, nor has a 2xx to CONNECT,
 * after which requests go on, inside the tunnel. `close`: this is the last exchange; so it is, whatever is
 * asked for, when the request's body was not read to its end. 1xx heads may precede a server's answer. False:
 * it is over, or the transport takes nothing more (`closed` or, on a client, an early answer follows). */
bool aegis_http_connection_send(struct aegis_http_connection *connection,
                                const struct aegis_http_message *message, enum aegis_http_framing framing,
                                uint64_t length, bool close);
bool aegis_http_connection_send_body(struct aegis_http_connection *connection, const void *data, size_t size);
/* The message is whole. A LENGTH body that fell short is aborted instead: false. */
bool aegis_http_connection_send_end(struct aegis_http_connection *connection);
/* The body cannot be finished: the peer must not take it for whole. Nothing is told any more: free it. */
void aegis_http_connection_abort(struct aegis_http_connection *connection);

/* Back pressure: stop and go on reading the peer's body (its end waits as well); whether more than write_high
 * waits to be written, or has since `drained` was told last. */
void aegis_http_connection_pause(struct aegis_http_connection *connection);
void aegis_http_connection_resume(struct aegis_http_connection *connection);
bool aegis_http_connection_full(const struct aegis_http_connection *connection);

/* Client: the exchange is over on both sides, the peer keeps alive, and not a byte is left over. */
bool aegis_http_connection_reusable(const struct aegis_http_connection *connection);
/* Whether a byte of the present (or last) message has been handed to the transport. */
bool aegis_http_connection_sent(const struct aegis_http_connection *connection);
struct bufferevent *aegis_http_connection_transport(struct aegis_http_connection *connection); /* borrowed */

#endif
