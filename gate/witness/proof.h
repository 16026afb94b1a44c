/* What a chain's answers prove about a payment. Pure functions: they are given the JSON that a node answered
 * and either reach a conclusion or say why not. No conclusion is always safe; a wrong one gives money back
 * that can still be taken.
 *
 *   head      a block at the wanted depth, known by its hash
 *   state     authorizationState(from, nonce), asked of exactly that hash: a node that does not have the
 * block cannot answer from an older one unused,   and the block's own time is past validBefore: no later
 * block can take it -> expired used      only says that the nonce is gone -> which event was it? event
 * AuthorizationUsed or AuthorizationCanceled for this nonce, not above the head receipt   of that
 * transaction, in the block that now stands at that height -> transferred or
 * cancelled */
#ifndef AEGIS_WITNESS_PROOF_H
#define AEGIS_WITNESS_PROOF_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/base/amount.h"
#include "gate/base/error.h"
#include "gate/x402/address.h"

#define WITNESS_WORD 32

/* What was signed, as far as a chain can see it. */
struct witness_authorization {
    struct aegis_address asset, from, to;
    aegis_amount value;
    uint8_t nonce[WITNESS_WORD];
    int64_t valid_before; /* seconds */
};

struct witness_block {
    uint64_t number;
    uint8_t hash[WITNESS_WORD];
    int64_t time; /* seconds */
};

/* The transaction in which the nonce was spent or cancelled. */
struct witness_event {
    bool cancelled;
    uint64_t block;
    uint8_t block_hash[WITNESS_WORD];
    uint8_t transaction[WITNESS_WORD];
};

enum witness_nonce { WITNESS_NONCE_UNUSED, WITNESS_NONCE_GONE, WITNESS_NONCE_UNKNOWN };

/* The answer of eth_getBlockByNumber(number); false when it is not that block. */
bool witness_read_block(const json_t *answer, uint64_t number, struct witness_block *out,
                        struct aegis_error *error);

/* The parameters of eth_call for authorizationState(from, nonce) in the state after `block`, which must be
 * canonical. */
json_t *witness_state_call(const struct witness_authorization *authorization,
                           const struct witness_block *block);
enum witness_nonce witness_read_state(const json_t *answer, struct aegis_error *error);

/* Whether an unused nonce can never be used any more: the time of `block` is past validBefore. */
bool witness_expired(const struct witness_authorization *authorization, const struct witness_block *block);

/* The parameters of eth_getLogs for both events of this nonce in the blocks from `first` to `last`. */
json_t *witness_logs_call(const struct witness_authorization *authorization, uint64_t first, uint64_t last);

/* True with an event, or with *found false when there is none; false when the answer contradicts itself. */
bool witness_read_logs(const struct witness_authorization *authorization, const json_t *answer,
                       uint64_t first, uint64_t last, bool *found, struct witness_event *out,
                       struct aegis_error *error);

/* Whether the receipt and the block that stands at the event's height bear the event out. */
bool witness_confirm(const struct witness_authorization *authorization, const struct witness_event *event,
                     const json_t *receipt, const struct witness_block *block, struct aegis_error *error);

#endif
