/* One chain: asks its node, round after round, what became of the payments in the book. */
#ifndef AEGIS_WITNESS_CHAIN_H
#define AEGIS_WITNESS_CHAIN_H

#include <event2/event.h>
#include <stdint.h>

#include "gate/http/dial.h"
#include "gate/witness/book.h"

struct witness_proof {
    const char *kind; /* transferred, cancelled, expired */
    struct witness_block block;
    const uint8_t *transaction; /* WITNESS_WORD bytes, or NULL */
};

struct witness_chain_options {
    const char *network;
    const char *rpc;
    uint64_t confirmations; /* blocks between the newest and the one that is believed */
    int64_t poll_ms;
    /* Called from the loop. The payment is dropped from the book after the call. */
    void (*proven)(const struct witness_payment *payment, const struct witness_proof *proof, void *context);
    void *context;
};

struct witness_chain;

/* `dialer` and `book` are borrowed; the texts are copied. The network must be eip155:N. */
struct witness_chain *witness_chain_new(struct event_base *base, struct aegis_dialer *dialer,
                                        struct witness_book *book,
                                        const struct witness_chain_options *options);
void witness_chain_free(struct witness_chain **chain);
const char *witness_chain_network(const struct witness_chain *chain);

/* There may be payments to look for: begins a round after poll_ms, unless one is under way or waited for. */
void witness_chain_wake(struct witness_chain *chain);

#endif
