/* A 402 answered with a payment: challenge, authorization, the paid request, what became of it. Everything
 * about money in this room is in pay.c; what it promises:
 *
 *  - At most one payment is asked for per request, and the paid request is sent at most once.
 *  - What is sent is an authorization of the keeper's for exactly a requirement that this 402 named; the gate
 * signs nothing here and could not.
 *  - Every payment that the keeper authorized is reported back exactly once, whatever happened.
 *  - A 402 that is not paid reaches the agent as it
 * came. */
#ifndef AEGIS_PROXY_PAY_H
#define AEGIS_PROXY_PAY_H

#include <stdbool.h>
#include <stddef.h>

#include "gate/http/connection.h"
#include "gate/proxy/exchange.h"

/* The head of a 402 in AWAIT: relayed at once when it cannot be paid, else read (CHALLENGE). */
void aegis_pay_challenged(struct aegis_exchange *exchange, const struct aegis_http_head *head);
void aegis_pay_challenge_body(struct aegis_exchange *exchange, const char *data, size_t size);
void aegis_pay_challenge_end(struct aegis_exchange *exchange);

/* Whether, in CHALLENGE, the 402 has been read and only the request's own body is waited for. */
bool aegis_pay_has_read_challenge(const struct aegis_exchange *exchange);

/* In CHALLENGE: asks the keeper as soon as the 402 and the request's body are whole. */
void aegis_pay_proceed(struct aegis_exchange *exchange);

/* The paid request is handed to a connection now. Ends the process when it was handed to one before. */
void aegis_pay_sending(struct aegis_exchange *exchange);

/* The head of the answer to it: reported, and relayed. */
void aegis_pay_answered(struct aegis_exchange *exchange, const struct aegis_http_head *head);

/* There will be no answer: reported as unknown, if there is a payment. */
void aegis_pay_lost(struct aegis_exchange *exchange, const char *reason);

/* The exchange is over. */
void aegis_pay_end(struct aegis_exchange *exchange, const char *reason);

/* Says on an answer, or in a problem, which payment was made for it; nothing when none was. */
void aegis_pay_mark(const struct aegis_exchange *exchange, struct aegis_http_message *answer);
void aegis_pay_describe(const struct aegis_exchange *exchange, struct aegis_problem *problem);

#endif
