/* The sandbox's books: play money and what moved, in SQLite. */
#ifndef AEGIS_SANDBOX_BOOK_H
#define AEGIS_SANDBOX_BOOK_H

#include <jansson.h>
#include <stdbool.h>

#include "gate/base/amount.h"
#include "gate/base/error.h"
#include "gate/x402/challenge.h"

#define SANDBOX_TRANSACTION_TEXT 67

struct sandbox_book;

enum sandbox_move { SANDBOX_MOVED, SANDBOX_NONCE_USED, SANDBOX_TOO_POOR, SANDBOX_MOVE_FAILED };

/* Opens or makes the file. Who pays for the first time, and was not paid before, owns `grant` atomic units.
 * NULL with a reason. */
struct sandbox_book *sandbox_book_open(const char *path, aegis_amount grant, struct aegis_error *error);
void sandbox_book_close(struct sandbox_book **book);

/* Whether the payer's nonce was used before. */
bool sandbox_book_used(struct sandbox_book *book, const struct aegis_authorization *authorization);
aegis_amount sandbox_book_balance(struct sandbox_book *book, const struct aegis_asset *asset,
                                  const struct aegis_address *owner);

/* Moves the money and marks the nonce, in one transaction. `transaction` gets the hash that stands for it. */
enum sandbox_move sandbox_book_move(struct sandbox_book *book, const struct aegis_asset *asset,
                                    const struct aegis_authorization *authorization, int64_t now,
                                    char transaction[SANDBOX_TRANSACTION_TEXT]);

/* Payments that a lying route took and did not cash: kept as JSON texts, given back oldest first, and
 * forgotten. */
bool sandbox_book_keep(struct sandbox_book *book, const json_t *kept);
json_t *sandbox_book_take_kept(struct sandbox_book *book);

/* New arrays of objects, for GET /sandbox/balances and GET /sandbox/settlements. */
json_t *sandbox_book_balances(struct sandbox_book *book);
json_t *sandbox_book_settlements(struct sandbox_book *book);

#endif
