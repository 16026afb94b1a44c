/* Follows the ledger and turns entries into messages: reads behind the cursor, signs, stores messages and
 * cursor in one transaction. */
#ifndef AEGIS_COURIER_FOLLOWER_H
#define AEGIS_COURIER_FOLLOWER_H

#include <stdbool.h>
#include <stdint.h>

#include "gate/base/error.h"
#include "gate/courier/bus.h"
#include "gate/courier/identity.h"

struct aegis_follower;

struct aegis_follower_options {
    const char *ledger;      /* path of ledger.db; it may come into being later */
    const char *operator_id; /* to whom the messages go */
};

/* `bus` and `identity` must outlive it. Nothing is read yet. */
struct aegis_follower *aegis_follower_new(const struct aegis_follower_options *options, struct aegis_bus *bus,
                                          const struct aegis_courier_identity *identity);
void aegis_follower_free(struct aegis_follower **follower);

/* Takes the next entries, a bounded number. *more: there are further ones. On false nothing of this step was
 * stored, and the next step begins where this one did. A ledger that is not there yet is no error. */
bool aegis_follower_step(struct aegis_follower *follower, bool *more, struct aegis_error *error);

#endif
