/* A proxy in one street with everybody it deals with: agents, an origin, a keeper and a judge, all on one
 * event loop and all under the test's command. Agents and origin speak raw bytes. */
#ifndef AEGIS_TEST_PROXY_STREET_H
#define AEGIS_TEST_PROXY_STREET_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "gate/ipc/channel.h"
#include "gate/proxy/proxy.h"

#define STREET_TOKEN         "ows_key_good"
#define STREET_AUTHORIZATION "Proxy-Authorization: Bearer " STREET_TOKEN "\r\n"
#define STREET_PAYER         "0x857b06519E91e3A54538791bDbb0E22373e36b66"
#define STREET_PAYEE         "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
#define STREET_USDC          "0x036CbD53842c5426634e7929541eC2318f3dCF7e"

struct street;

/* One end of a raw connection. */
struct wire {
    struct street *street;
    struct bufferevent *transport; /* NULL once this side has closed */
    char *received;                /* everything, NUL-terminated */
    char problem[64];
    size_t size, room;
    size_t answered; /* origin: bytes of requests that were answered */
    bool closed;     /* by the other side */
    bool reset;
    bool silent; /* origin: takes requests and says nothing by itself */
};

enum { STREET_WIRES = 256, STREET_REQUESTS = 512, STREET_OUTCOMES = 256 };

struct street {
    struct event_base *base;
    struct aegis_proxy *proxy;
    int port; /* of the proxy's listener "agents" */
    bool stopped;

    /* the origin: called for each whole request, with its bytes; answers with street_say */
    void (*serve)(struct wire *wire, const char *request);
    int origin_port;
    struct evconnlistener *origin;
    struct wire *origins[STREET_WIRES]; /* in order of arrival */
    size_t origin_count;
    char *requests[STREET_REQUESTS]; /* every whole request */
    struct wire *request_wires[STREET_REQUESTS];
    size_t request_count;

    struct wire *agents[STREET_WIRES];
    size_t agent_count;

    /* the keeper */
    struct aegis_channel *keeper;
    bool keeper_silent;         /* leaves questions unanswered */
    const char *request_policy; /* id of one that checks requests, or NULL */
    int64_t cache_ms;
    const char *recorded; /* what the keeper says became of the payment so far; NULL: it is new */
    json_t *denial;       /* what authorize is answered with, besides the id; NULL: authorized */
    bool other_amount;    /* authorizes another amount than was asked for */
    bool other_payee;
    size_t identify_count, authorize_count, authorized_count;
    json_t *last_identify, *last_authorize;
    json_t *outcomes[STREET_OUTCOMES];
    size_t outcome_count;

    /* the judge */
    struct aegis_channel *judge;
    const char *verdict; /* what check is answered with */
    int64_t verdict_ms;
    size_t check_count;
    json_t *last_check;
};

/* `limits` and `timeouts` are members for the worker's configuration, as JSON objects, or NULL. */
struct street *street_new(const char *limits, const char *timeouts);
void street_free(struct street *street);

/* cmocka's set-up and tear-down with defaults. */
int street_set_up(void **state);
int street_tear_down(void **state);

/* The configuration that the street was begun with, for reloading. A new object. */
json_t *street_config(const char *limits, const char *timeouts);

void street_connect_keeper(struct street *street);
/* A new keeper for a worker that is not the street's own: the worker's end of its channel. */
int street_keeper_end(struct street *street);
/* A listening socket on the loopback address. */
int street_listen(int *port);
void street_lose_keeper(struct street *street);

struct wire *street_agent(struct street *street);
void street_say(struct wire *wire, const char *text);
void street_say_bytes(struct wire *wire, const void *bytes, size_t size);
void street_close(struct wire *wire);
void street_reset(struct wire *wire);

/* Says a request for `path` of the origin, with the token and `fields` (whole lines), over `agent`. */
void street_ask(struct wire *agent, const char *method, const char *path, const char *fields,
                const char *body);
/* The same over a new connection, which it returns when a whole answer has come. */
struct wire *street_fetch(struct street *street, const char *method, const char *path, const char *fields,
                          const char *body);
/* The status of the first answer; the member `code` of its problem, "" when it is none. */
int street_status(const struct wire *wire);
const char *street_problem(const struct wire *wire);

/* Runs the loop until `condition` holds; fails the test after five seconds. */
#define STREET_UNTIL(street, condition)                                                                      \
    do {                                                                                                     \
        int64_t street_deadline = street_time() + 5000;                                                      \
        while (!(condition)) {                                                                               \
            if (street_time() > street_deadline)                                                             \
                fail_msg("still not: %s", #condition);                                                       \
            street_turn(street);                                                                             \
        }                                                                                                    \
    } while (0)
int64_t street_time(void);
void street_turn(struct street *street);
/* Runs the loop for a while, in which nothing should happen. */
void street_rest(struct street *street);

bool street_heard(const struct wire *wire, const char *text);
/* Whether a whole answer (by Content-Length or chunked) has come, counted from the beginning. */
bool street_answered(const struct wire *wire, size_t answers);
/* How often `text` stands in what was received. */
size_t street_count(const char *received, const char *text);

/* Answers for the origin's `serve`. */
void street_serve_hello(struct wire *wire, const char *request);
/* A v2 402 (one requirement: 10000 of USDC on Base Sepolia) unless the request carries a payment, then 200
 * with a settlement. */
void street_serve_paid(struct wire *wire, const char *request);
/* The 402 alone, and the settled answer alone. */
void street_say_challenge(struct wire *wire);
void street_say_challenge_v1(struct wire *wire, const char *more_fields);
void street_say_settled(struct wire *wire);

void street_serve_v1(struct wire *wire, const char *request);
/* The 402 in two pieces, of which only the first is sent. */
void street_serve_v1_in_pieces(struct wire *wire, const char *request);
/* A 402, and silence after the payment. */
void street_serve_challenge_only(struct wire *wire, const char *request);
/* The beginning of a stream of events that ends with its connection. */
void street_serve_first_event(struct wire *wire, const char *request);
void street_serve_nothing(struct wire *wire, const char *request);

/* How many requests with a payment the origin has seen. */
size_t street_payments_sent(const struct street *street);
/* Exactly one outcome, of this state; waits for it. Borrowed. */
const json_t *street_outcome(struct street *street, const char *state);
/* The keeper's answer to the last question, by hand. */
void street_send_authorized(struct street *street);

/* A field's value as base64 of JSON. The caller frees. */
char *street_challenge_header(void);

#endif
