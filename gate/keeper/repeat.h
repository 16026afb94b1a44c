/* One logical request, one authorization: what an earlier attempt at the same request means for this one. */
#ifndef AEGIS_KEEPER_REPEAT_H
#define AEGIS_KEEPER_REPEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/keeper/decision.h"
#include "gate/keeper/room.h"

/* One requirement that could be met, as the worker sent it and as we checked it. */
struct aegis_candidate {
    int64_t index;
    char network[AEGIS_NETWORK_TEXT];
    const struct aegis_asset *asset; /* the one below; NULL: not known */
    struct aegis_asset known; /* a copy, for the table may be another one when the judge has answered */
    struct aegis_address asset_address;
    struct aegis_address pay_to;
    char asset_text[AEGIS_ADDRESS_TEXT]; /* EIP-55 */
    char pay_to_text[AEGIS_ADDRESS_TEXT];
    aegis_amount amount;
    aegis_amount scaled;
    int64_t max_timeout_seconds;
};

struct aegis_repeat_request {
    const char *agent;
    const char *idempotency_key; /* "" when there is none */
    const char *request_hash;
    const struct aegis_address *payer;
    const struct aegis_candidate *candidates;
    size_t count;
    int64_t now;
};

enum aegis_repeat {
    AEGIS_REPEAT_NEW,    /* nothing stands in the way of a new purchase */
    AEGIS_REPEAT_BESIDE, /* nor here, unless an equal request that is in flight has ended by now */
    AEGIS_REPEAT_AGAIN,  /* *held is to be handed out again, for candidate *index */
    AEGIS_REPEAT_DENY,   /* see *denial */
};

/* *held is in keeper->payments. */
enum aegis_repeat aegis_repeat_look(struct aegis_keeper *keeper, const struct aegis_repeat_request *request,
                                    struct aegis_held **held, int64_t *index, struct aegis_denial *denial);

#endif
