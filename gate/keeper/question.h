/* Asking the judge: a question with the facts that the same policies wanted last time, more of them when it
 * needs more, until there is a verdict or a reason why there is none. */
#ifndef AEGIS_KEEPER_QUESTION_H
#define AEGIS_KEEPER_QUESTION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/keeper/facts.h"
#include "gate/keeper/room.h"

enum aegis_answer {
    AEGIS_ANSWER_VERDICT,
    AEGIS_ANSWER_UNAVAILABLE, /* no judge, or it died */
    AEGIS_ANSWER_TIMEOUT,
    AEGIS_ANSWER_NONSENSE, /* asked for what there is not, or said what cannot be understood */
};

/* Embedded in what asks. The first group is the asker's and must stay as it is until `answered`. */
struct aegis_question {
    struct aegis_keeper *keeper;
    const char *operation; /* payment | tick */
    json_t *policies;
    json_t *subject;
    bool all;
    struct aegis_share share;
    const char *method, *url;
    uint64_t number;
    int64_t now;
    /* Called once, from the loop or from aegis_question_ask itself. */
    void (*answered)(struct aegis_question *question, enum aegis_answer answer);

    char failure[256]; /* unless there is a verdict */
    json_t *verdict;   /* the judge's message, owned by the question */
    json_t *facts;     /* query -> value: all that was sent */
    uint64_t id;
    unsigned rounds;
};

void aegis_question_ask(struct aegis_question *question);

/* What the question owns. While it waits for an answer it is withdrawn; the judge's answer is then of no
 * interest. */
void aegis_question_clear(struct aegis_question *question);

/* Handlers for the judge's messages, and for its end. */
void aegis_question_need(struct aegis_peer *judge, const json_t *message);
void aegis_question_verdict(struct aegis_peer *judge, const json_t *message);
void aegis_question_judge_gone(struct aegis_keeper *keeper);
/* For the parking. */
void aegis_question_expired(void *asker, void *context);

/* Of a verdict: the row that decides it (the first with the verdict of all of them, NULL when that is an
 * allow), and the facts that its rows used, as {query: value} (new reference). */
const json_t *aegis_verdict_refusal(const json_t *verdict);
json_t *aegis_verdict_facts(const struct aegis_question *question);

#endif
