/* Facts: what the judge may ask about the world, answered from the counters and the books. */
#ifndef AEGIS_KEEPER_FACTS_H
#define AEGIS_KEEPER_FACTS_H

#include <jansson.h>
#include <stdint.h>

#include "gate/base/error.h"
#include "gate/keeper/counters.h"
#include "gate/ledger/books.h"

/* Whose question it is. */
struct aegis_facts {
    struct aegis_counters *counters;
    struct aegis_books *books;
    const struct aegis_share
        *share; /* the payment's; for a tick only the agent's name is set in it, the rest is "" */
    const char *method;
    const char *url;
    uint64_t number; /* of the payment, see counters.h */
    int64_t now;
};

/* The value for a query such as "spent/agent/day/eip155:*\/USDC": a new reference. NULL when there is no such
 * query, or when it cannot be answered. README.md lists them. */
json_t *aegis_facts_answer(const struct aegis_facts *facts, const char *query, struct aegis_error *error);

#endif
