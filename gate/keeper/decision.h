/* What a decision leaves in the ledger: its own entry, the policies' versions before it, the notices after
 * it. */
#ifndef AEGIS_KEEPER_DECISION_H
#define AEGIS_KEEPER_DECISION_H

#include <jansson.h>
#include <stdbool.h>

#include "gate/keeper/question.h"
#include "gate/ledger/ledger.h"

/* How it ended. `code` and what follows are empty for an allow. */
struct aegis_denial {
    char outcome[16]; /* denied | held | failed | unrecorded */
    char code[64];
    char detail[512];
    char policy[128];
    char limit[128];
    char remaining[128];
    int64_t resets_at;      /* 0: none */
    int64_t retry_after_ms; /* 0: none */
};

void aegis_denial_set(struct aegis_denial *denial, const char *outcome, const char *code, const char *detail);

/* From a question that did not end in an allow. */
void aegis_denial_from(struct aegis_denial *denial, const struct aegis_question *question,
                       enum aegis_answer answer);

/* No policy at all applies to the agent, and nobody has said that such agents may pay: nothing would limit
 * it. */
bool aegis_denial_unlimited(struct aegis_denial *denial, const struct aegis_keeper *keeper,
                            const struct aegis_identity *identity);

/* The message `denied`. `decision` NULL: there is no entry. New reference. */
json_t *aegis_denial_message(const struct aegis_denial *denial, int64_t id, const char *decision);

struct aegis_decision_record {
    const struct aegis_denial *denial; /* NULL: allowed */
    json_t *subject;                   /* borrowed */
    const json_t *verdict;             /* the judge's message; NULL when there is none */
    json_t *facts;                     /* used ones; NULL: none */
    json_t *passed_over;               /* candidates that were denied before; NULL: none */
    const char *request_hash;          /* "" : none */
    const char *idempotency_key;       /* "" : none */
    int64_t now;
    int64_t candidate; /* -1: none */
};

/* The body of the entry. New reference. */
json_t *aegis_decision_body(const struct aegis_decision_record *record);

/* `policy` entries for those versions in the verdict that the ledger does not have. */
bool aegis_decision_write_policies(struct aegis_keeper *keeper, const json_t *verdict,
                                   struct aegis_error *error);

/* `notice` entries for the verdict's effects; one with a `once` that was written before is left out. */
bool aegis_decision_write_notices(struct aegis_keeper *keeper, const json_t *verdict, const char *agent,
                                  const char *payment, struct aegis_error *error);

/* An `agent` entry when the ledger does not know it as it is. */
bool aegis_decision_write_agent(struct aegis_keeper *keeper, struct aegis_identity *identity,
                                struct aegis_error *error);

#endif
