/* The worker's two peers, keeper and judge: questions to them, and their answers matched to whoever asked. */
#ifndef AEGIS_PROXY_PEERS_H
#define AEGIS_PROXY_PEERS_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/ipc/messages.h"

struct aegis_peers;
struct aegis_question;

enum aegis_peer { AEGIS_PEER_KEEPER, AEGIS_PEER_JUDGE, AEGIS_PEER_COUNT };

/* `timeout_ms` for every question. `forget` (agent's id, or NULL for everybody) is called when the keeper
 * says so. */
struct aegis_peers *aegis_peers_new(struct event_base *base, int64_t timeout_ms,
                                    void (*forget)(const char *agent, void *context), void *context);

/* Nobody is told of unanswered questions. */
void aegis_peers_free(struct aegis_peers **peers);

/* A new channel (taken over) in place of the one that there may have been. */
void aegis_peers_connect(struct aegis_peers *peers, enum aegis_peer peer, int fd);

/* Called once per question, never from inside aegis_peers_ask, unless the question is withdrawn: with the
 * answer (borrowed), or with NULL and the code of the problem (keeper_unavailable, keeper_timeout,
 * judge_...). */
typedef void aegis_answer(void *asker, const json_t *message, const char *code);

/* Sends `type` with `body` (stolen) and an id of its own. NULL when the peer cannot be reached. */
struct aegis_question *aegis_peers_ask(struct aegis_peers *peers, enum aegis_peer peer,
                                       const struct aegis_message *type, json_t *body, aegis_answer *answer,
                                       void *asker);

/* The asker is gone. If the keeper then authorizes a payment all the same, it is told that it was never
 * sent. */
void aegis_question_withdraw(struct aegis_question **question);

/* A number for the keeper that there is now, another for each one that comes. */
uint64_t aegis_peers_keeper(const struct aegis_peers *peers);

/* Tells a keeper what became of a payment that it authorized; `body` is stolen. When that keeper is gone the
 * message is dropped: its successor counts what was in flight as of unknown outcome, and takes reports only
 * for what it authorized itself. */
void aegis_peers_outcome(struct aegis_peers *peers, uint64_t keeper, json_t *body);

#endif
