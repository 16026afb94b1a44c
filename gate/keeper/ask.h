/* An AUTHORIZE while it lives. Private to gate/keeper: authorize.c finds out what is to happen, grant.c makes
 * it happen. */
#ifndef AEGIS_KEEPER_ASK_H
#define AEGIS_KEEPER_ASK_H

#include "gate/keeper/decision.h"
#include "gate/keeper/question.h"
#include "gate/keeper/repeat.h"
#include "gate/keeper/room.h"
#include "gate/x402/signature.h"

enum { AEGIS_ASK_CANDIDATES = 16 };

struct aegis_ask {
    struct aegis_job job;
    struct aegis_keeper *keeper;
    LIST_ENTRY(aegis_ask) next;
    uint64_t worker;
    int64_t id;      /* of the worker's message */
    json_t *message; /* owner of the texts below */
    const char *method, *url, *host, *request_hash, *idempotency_key;
    int x402_version;
    struct aegis_identity *identity;
    char *key; /* of the request, when it is an explicit one */
    int64_t now;

    struct aegis_candidate candidates[AEGIS_ASK_CANDIDATES];
    size_t count, current;
    struct aegis_share share; /* of the current candidate; its texts are below */
    int64_t valid_before;     /* of the current candidate, seconds: judged and signed */
    uint64_t number;          /* tentative; 0: it is not */
    struct aegis_question question;
    json_t *subject;

    bool abandoned;
    struct event *turn; /* ends its wait for what else workers had said by then; NULL: it has not waited */
    bool denied;
    struct aegis_denial denial; /* the first */
    json_t *denial_subject, *denial_verdict, *denial_facts;
    int64_t denial_candidate;
    json_t *passed_over;

    char payment[AEGIS_ENTRY_ID_TEXT]; /* or the decision's id */
    struct aegis_held *held;           /* of an allow, or handed out again */
    json_t *authorization;             /* of what is held, as the ledger and the worker get it */
    char signature[AEGIS_SIGNATURE_TEXT];
    int64_t index;
};

/* Ends it: whatever it still holds is given back. */
void aegis_ask_free(struct aegis_ask *ask);

/* Each queues what has to be recorded, and answers the worker when that is durable. The ask is theirs from
 * then on. */
void aegis_grant_payment(struct aegis_ask *ask);
void aegis_grant_again(struct aegis_ask *ask, struct aegis_held *held, int64_t index);
void aegis_grant_denial(struct aegis_ask *ask);

/* Answers without a record, at once: for somebody whom nobody knows, and for a ledger that cannot be
 * written. */
void aegis_grant_refusal(struct aegis_ask *ask, const struct aegis_denial *denial);
void aegis_grant_unrecorded(struct aegis_ask *ask);

#endif
