/* The payments that wait for proof, of all networks. */
#ifndef AEGIS_WITNESS_BOOK_H
#define AEGIS_WITNESS_BOOK_H

#include "gate/witness/proof.h"
#include "gate/x402/asset.h"

struct witness_payment {
    char *id;
    char network[AEGIS_NETWORK_TEXT];
    struct witness_authorization authorization;
    int64_t reserved_at; /* ms: no event of this nonce can be older */
    uint64_t search_to;  /* the last block not yet searched for the event; 0: begin at the head */
    bool gone;           /* nobody waits any more */
    unsigned references; /* the book's and those of questions under way */
};

struct witness_book;

struct witness_book *witness_book_new(void);
void witness_book_free(struct witness_book **book);

/* Takes the message `watch` in, in the place of an earlier one for the same payment. Returns it (borrowed),
 * or NULL with a reason. */
const struct witness_payment *witness_book_put(struct witness_book *book, const json_t *watch,
                                               struct aegis_error *error);
void witness_book_drop(struct witness_book *book, const char *id);
void witness_book_drop_all(struct witness_book *book);
bool witness_book_has(const struct witness_book *book, const char *network);

/* A walk over the payments of one network that goes on where it stopped, so that every one gets its turn. */
struct witness_walk {
    size_t at;   /* where to go on */
    size_t left; /* places not seen yet in this round */
};

void witness_walk_begin(const struct witness_book *book, struct witness_walk *walk);

/* The next payment, to be released; NULL at the end of the round. */
struct witness_payment *witness_walk_next(struct witness_book *book, struct witness_walk *walk,
                                          const char *network);
void witness_payment_release(struct witness_payment **payment);

#endif
