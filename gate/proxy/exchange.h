/* One request of an agent, from its head to the last byte of its answer.
 *
 *     IDENTIFY -> CHECK -> CONNECT -> AWAIT -> RELAY -> OVER          the ordinary way
 *        |          |       ^  |       |
 *        |          |       |  |       v
 *        `----------'--- OVER  '-   CHALLENGE -> AUTHORIZE -> PAY_CONNECT -> PAY_AWAIT -> RELAY
 *
 * AWAIT goes back to CONNECT at most once, and never with a payment. Every state may end in OVER, by one
 * function. */
#ifndef AEGIS_PROXY_EXCHANGE_H
#define AEGIS_PROXY_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "gate/http/connection.h"
#include "gate/http/dial.h"
#include "gate/proxy/agent.h"
#include "gate/proxy/body.h"
#include "gate/proxy/peers.h"
#include "gate/proxy/pool.h"
#include "gate/proxy/problem.h"
#include "gate/proxy/proxy.h"
#include "gate/proxy/route.h"

struct aegis_purchase;

enum aegis_exchange_state {
    AEGIS_EXCHANGE_IDENTIFY,    /* the keeper is asked who the agent is */
    AEGIS_EXCHANGE_CHECK,       /* the judge is asked whether the request may be made */
    AEGIS_EXCHANGE_CONNECT,     /* a connection to the origin is being opened */
    AEGIS_EXCHANGE_AWAIT,       /* the request is going out; no head of an answer yet */
    AEGIS_EXCHANGE_CHALLENGE,   /* a 402 that may be x402 is read, and the rest of the request's body */
    AEGIS_EXCHANGE_AUTHORIZE,   /* the keeper is asked for the payment */
    AEGIS_EXCHANGE_PAY_CONNECT, /* a connection for the paid request is being opened */
    AEGIS_EXCHANGE_PAY_AWAIT,   /* the paid request is going out; no head of an answer yet */
    AEGIS_EXCHANGE_RELAY,       /* the answer goes to the agent */
    AEGIS_EXCHANGE_OVER,
    AEGIS_EXCHANGE_STATES,
};

struct aegis_exchange {
    enum aegis_exchange_state state;
    SLIST_ENTRY(aegis_exchange) ended;
    struct aegis_proxy *proxy;
    struct aegis_agent *agent; /* until it is over */
    struct aegis_settings *settings;
    struct aegis_identity *identity;
    struct aegis_question *question; /* that waits for an answer */

    /* the request */
    struct aegis_route route;
    struct aegis_origin *origin;
    char method[33];
    struct aegis_http_message *request; /* as it goes to the origin */
    enum aegis_http_framing framing;
    uint64_t length;
    struct aegis_body body;
    char *idempotency_key; /* as the agent gave it, or NULL */
    bool idempotent;       /* may be sent again by RFC 9110, section 9.2.2 */
    bool tunnel;           /* CONNECT: the connection becomes one to that origin */
    bool own_payment;      /* the agent pays by itself: sent once, and its answer is its own business */
    bool agent_paused;

    /* the origin's side */
    struct aegis_dial *dial;
    struct aegis_upstream *upstream;
    bool retried;
    bool heard;         /* something has come back for the request on this connection */
    bool request_ended; /* the request's last byte has been handed over */

    /* the answer */
    struct aegis_http_message *answer; /* a 402 that waits for its body to be read; else NULL */
    bool answer_begun;                 /* the agent has been sent a head */
    bool upstream_paused;

    struct aegis_purchase *purchase; /* from a 402 that was taken up until the end */
};

/* A request's head has come; the exchange is the agent's until it is over. */
void aegis_exchange_begin(struct aegis_agent *agent, const struct aegis_http_head *head);

/* What else comes from the agent. */
void aegis_exchange_agent_body(struct aegis_exchange *exchange, const char *data, size_t size);
void aegis_exchange_agent_whole(struct aegis_exchange *exchange);
void aegis_exchange_agent_drained(struct aegis_exchange *exchange);

/* The only function that changes the state; a transition that is not drawn above ends the process. */
void aegis_exchange_move(struct aegis_exchange *exchange, enum aegis_exchange_state state);

/* The only way out: calls off what is under way, reports a payment whose outcome was not reported, gives the
 * upstream connection back or closes it, leaves the agent's connection without an exchange. `reason` is for
 * the log. */
void aegis_exchange_end(struct aegis_exchange *exchange, const char *reason);

/* Frees what ended in an earlier turn of the loop. */
void aegis_exchange_reap(struct aegis_exchange *exchange);

/* exchange_request.c: what goes to the origin. */

/* Takes over from the request's head what will be needed. False with what is the matter. */
bool aegis_exchange_take_request(struct aegis_exchange *exchange, const struct aegis_http_head *head,
                                 struct aegis_problem *problem);
/* Sends what there is of the request's body and has not been sent, and its end. */
void aegis_exchange_pump(struct aegis_exchange *exchange);

/* exchange_upstream.c: the way to the origin. */

/* A connection, from the pool or a new one, and the request on it. */
void aegis_exchange_connect(struct aegis_exchange *exchange);
/* A new connection for the request with its payment. */
void aegis_exchange_connect_fresh(struct aegis_exchange *exchange);
/* The request on the connection that there is, from its beginning. */
void aegis_exchange_send(struct aegis_exchange *exchange);
/* Reads on after back pressure. */
void aegis_exchange_upstream_resume(struct aegis_exchange *exchange);

/* exchange_answer.c: what goes to the agent. */

/* An answer for the agent from the origin's head: end-to-end fields, ours added. The caller frees. */
struct aegis_http_message *aegis_exchange_answer_new(const struct aegis_exchange *exchange,
                                                     const struct aegis_http_head *head);
/* Sends it on (frees it); the body follows as it comes. */
void aegis_exchange_relay(struct aegis_exchange *exchange, const struct aegis_http_head *head,
                          struct aegis_http_message *answer);
/* The same for an answer whose body was read already, wholly or up to here. */
void aegis_exchange_relay_read(struct aegis_exchange *exchange, struct aegis_http_message *answer,
                               enum aegis_http_framing framing, uint64_t length, const char *body,
                               size_t size, bool whole);
void aegis_exchange_relay_body(struct aegis_exchange *exchange, const char *data, size_t size);
void aegis_exchange_relay_end(struct aegis_exchange *exchange);

/* A field of ours whose value others had a part in: left out when no head can carry it. */
void aegis_exchange_note(struct aegis_http_message *answer, const char *name, const char *value);

/* 200 to a CONNECT, and the end. */
void aegis_exchange_open_tunnel(struct aegis_exchange *exchange);

/* The gate's own answer, and the end. When an answer has begun already the agent's connection is cut instead.
 */
void aegis_exchange_problem(struct aegis_exchange *exchange, const struct aegis_problem *problem);
/* The same for a problem that is only a code and a sentence. */
void aegis_exchange_refuse(struct aegis_exchange *exchange, const char *code, const char *detail);

#endif
