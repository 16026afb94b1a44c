/* What the answer to a paid request says about the payment. Pure: bytes in, a state out. */
#ifndef AEGIS_PROXY_OUTCOME_H
#define AEGIS_PROXY_OUTCOME_H

#include "gate/http/head.h"
#include "gate/x402/challenge.h"

enum aegis_outcome_state {
    AEGIS_OUTCOME_SETTLED,   /* the seller reports success, and nothing contradicts it */
    AEGIS_OUTCOME_DELIVERED, /* 2xx without a report */
    AEGIS_OUTCOME_REFUSED,   /* 402, or a reported failure */
    AEGIS_OUTCOME_UNKNOWN,   /* everything else */
};

struct aegis_outcome {
    enum aegis_outcome_state state;
    char reason[256]; /* "" when there is nothing to say */
    bool reported;    /* `settlement` holds what the seller said */
    struct aegis_settlement settlement;
};

/* `version` of the protocol that was paid by, for `requirement`, with `authorization`. */
void aegis_outcome_read(const struct aegis_http_head *head, int version,
                        const struct aegis_requirement *requirement,
                        const struct aegis_authorization *authorization, struct aegis_outcome *outcome);

/* What the agent is told: the answer's outcome, unless the ledger already knew better (`recorded`, the state
 * of a payment that was handed out again; "" for a new one). A seller who refuses what it has been paid for
 * does not undo the payment, and an agent that believed so would buy again. */
enum aegis_outcome_state aegis_outcome_told(enum aegis_outcome_state state, const char *recorded);

const char *aegis_outcome_name(enum aegis_outcome_state state);

#endif
