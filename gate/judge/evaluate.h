/* The core of the judge: policies, a subject and facts in, a verdict or a list of facts that are missing out.
 * No clock, no I/O, nothing remembered: the same input has the same outcome, whenever and in whichever
 * process it is asked. */
#ifndef AEGIS_JUDGE_EVALUATE_H
#define AEGIS_JUDGE_EVALUATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "aegis/plugin.h"
#include "gate/base/error.h"
#include "gate/judge/policies.h"

struct aegis_question {
    const char *operation;  /* payment | customer | tick */
    const json_t *policies; /* ids, in the order of evaluation */
    const json_t *subject;
    const json_t *facts; /* query -> value, answers of executables included */
    int64_t now;
    bool all; /* go on after a denial: for somebody who wants to see every verdict */
};

/* Exactly one of three: `need` not empty (ask again with these facts too); `need` empty and `runs` not empty
 * (ask again with the answers of these executables among the facts); both empty: the verdict is there. */
struct aegis_evaluation {
    json_t *need;        /* queries */
    json_t *runs;        /* {query, executable, input, input_hash, timeout_ms}; the fact to add is
                            {input: input_hash, status, output, error} under `query` */
    const char *verdict; /* allow | deny | hold | error: static */
    json_t *verdicts;    /* as in the message `verdict` */
    json_t *effects;
};

/* False when the question itself is malformed. */
bool aegis_evaluate(const struct aegis_policies *policies, const struct aegis_question *question,
                    struct aegis_evaluation *out, struct aegis_error *error);
void aegis_evaluation_clear(struct aegis_evaluation *evaluation);

/* The first of `verdicts` that was not an allow: the reason why. NULL when all allowed. Borrowed. */
const json_t *aegis_evaluation_refusal(const json_t *verdicts);

/* Puts the answers of executables that recorded `verdicts` carry back among `facts`, so that a past question
 * can be asked again. */
void aegis_evaluate_recall(const json_t *verdicts, json_t *facts);

/* A request that an agent makes. `ids`: array. The policies that have no say about requests are passed
 * over. */
struct aegis_request_verdict {
    const char *verdict;                /* static */
    char policy[AEGIS_DOCUMENT_ID + 1]; /* "" after an allow */
    char code[48];
    char reason[256];
    int64_t cache_ms; /* the shortest of all who were asked; INT64_MAX when nobody was */
};

void aegis_evaluate_request(const struct aegis_policies *policies, const json_t *ids,
                            const struct aegis_request *request, struct aegis_request_verdict *out);

/* Tells the policies what became of a payment. */
void aegis_evaluate_observe(const struct aegis_policies *policies, const json_t *ids,
                            const struct aegis_outcome *outcome);

/* The text of a verdict. */
const char *aegis_verdict_text(enum aegis_verdict verdict);

#endif
