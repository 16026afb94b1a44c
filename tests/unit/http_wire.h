/* One connection of gate/http on one end of a socketpair, and the bare other end in the test's hand. */
#ifndef TESTS_HTTP_WIRE_H
#define TESTS_HTTP_WIRE_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

#include "gate/http/connection.h"

struct wire {
    struct event_base *base;
    struct aegis_http_limits limits;
    struct aegis_http_connection *connection;
    int peer; /* the bare end; not blocking; -1: closed */

    char log[65536]; /* what the owner was told: "head GET / | body hello | end | closed 2" */
    size_t log_size;
    const char *problem;
    bool over;
    enum aegis_http_end how;
    unsigned heads, ends, drains;
    size_t body_bytes;

    char got[400000]; /* what the peer has received */
    size_t got_size;
    bool got_end, got_reset;

    /* Called behind the log's entry; may be NULL. */
    void (*on_head)(struct wire *wire, const struct aegis_http_head *head);
    void (*on_body)(struct wire *wire);
    void (*on_end)(struct wire *wire);
    bool keep_over; /* do not free the connection when it is over */
    int number;     /* for the test */
};

struct wire *wire_new(bool server);
void wire_free(struct wire *wire);

/* The peer writes; a wire that does not take it all is a failed test. */
void wire_say(struct wire *wire, const char *bytes, size_t size);
void wire_text(struct wire *wire, const char *text);
void wire_close(struct wire *wire); /* the peer closes */
void wire_reset(struct wire *wire); /* the peer closes with a reset, where the socket can */
void wire_half(struct wire *wire);  /* the peer shuts its writing side */

/* One turn of the loop, and what has come for the peer is collected. */
void wire_turn(struct wire *wire);

/* Turns the loop until the condition holds; a test fails after ten seconds of waiting. */
#define wire_until(wire, condition)                                                                          \
    do {                                                                                                     \
        unsigned turns_ = 0;                                                                                 \
        while (!(condition)) {                                                                               \
            wire_wait(wire, ++turns_, #condition);                                                           \
        }                                                                                                    \
    } while (0)
void wire_wait(struct wire *wire, unsigned turns, const char *condition);

/* Turns the loop as long as something is to be done at once. */
void wire_settle(struct wire *wire);

void wire_got(struct wire *wire, const char *text);  /* exactly this has come for the peer; forgets it */
void wire_told(struct wire *wire, const char *text); /* exactly this was told to the owner; forgets it */

/* The connection says a whole message. */
void wire_answer(struct wire *wire, int status, enum aegis_http_framing framing, const char *body,
                 bool close);
void wire_ask(struct wire *wire, const char *method, enum aegis_http_framing framing, const char *body,
              bool close);

extern const struct aegis_http_events wire_events;

#endif
