/* What a ledger entry says to a person: a pure function from entries to messages. */
#ifndef AEGIS_COURIER_NOTIFICATION_H
#define AEGIS_COURIER_NOTIFICATION_H

#include <jansson.h>

#include "gate/ledger/entry.h"

struct aegis_notification_context {
    const char *agent_id;    /* who speaks: the gate */
    const char *operator_id; /* who is spoken to */
    /* The name of an agent, for people; "" when there is none. Borrowed during the call. */
    const char *(*agent_name)(const char *agent, void *context);
    void *context;
};

#define AEGIS_NOTIFICATION_ID 37 /* room for "msg_" and 32 hex digits */

/* The id of the message that an entry calls for: the same entry, the same id. Returns `out`. */
char *aegis_notification_id(const struct aegis_entry *entry, char out[AEGIS_NOTIFICATION_ID]);

/* The unsigned message that the entry calls for (a new reference), or NULL when it calls for none: a decision
 * that was not an allow, a notice, a revoked key. Holds nothing that a seller wrote; control characters are
 * taken out of every text. */
json_t *aegis_notification_of(const struct aegis_entry *entry,
                              const struct aegis_notification_context *context);

#endif
