/* messages.db: every message that was sent or taken in, and how far the ledger was followed. The courier is
 * its only writer. A message and the cursor behind it are stored in one transaction; that is what makes
 * "exactly one message per entry" true whatever dies when. */
#ifndef AEGIS_COURIER_BUS_H
#define AEGIS_COURIER_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/base/error.h"
#include "gate/base/hash.h"

struct aegis_bus;

/* One message. Every pointer is borrowed. */
struct aegis_bus_message {
    int64_t number; /* order of arrival, from 1; set by the bus */
    const char *id;
    const char *type;
    const char *sender;    /* agentId */
    const char *recipient; /* toAgent, or "" */
    const char *source;    /* ledger: ours, signed; file: found in the mirror, unsigned, believed by nobody */
    int64_t at;            /* ms since 1970 */
    const char *body;      /* the whole message, compact JSON */
};

/* How far the ledger was followed: an entry's number and hash. All zero at the beginning. */
struct aegis_bus_cursor {
    int64_t seq;
    uint8_t hash[AEGIS_HASH_SIZE];
};

/* Opens, and creates (mode 0600) when there is none. Refused: a file that is no message store or of a newer
 * schema. */
struct aegis_bus *aegis_bus_open(const char *path, struct aegis_error *error);
void aegis_bus_close(struct aegis_bus **bus);

bool aegis_bus_begin(struct aegis_bus *bus, struct aegis_error *error);
bool aegis_bus_commit(struct aegis_bus *bus,
                      struct aegis_error *error); /* durable when true; else rolled back */
void aegis_bus_rollback(struct aegis_bus *bus);

/* Inside a transaction. A message whose id is there already is not stored a second time; that is no error. */
bool aegis_bus_put(struct aegis_bus *bus, const struct aegis_bus_message *message, struct aegis_error *error);
bool aegis_bus_cursor_set(struct aegis_bus *bus, const struct aegis_bus_cursor *cursor,
                          struct aegis_error *error);
bool aegis_bus_cursor_get(struct aegis_bus *bus, struct aegis_bus_cursor *cursor, struct aegis_error *error);

/* `message` is good during the call; false stops, which is no error. */
typedef bool aegis_bus_row(const struct aegis_bus_message *message, void *context);

/* Messages with number > after in order. False only when the database fails. */
bool aegis_bus_follow(struct aegis_bus *bus, int64_t after, aegis_bus_row *row, void *context,
                      struct aegis_error *error);

/* Calls `row` with the message of this id when there is one. */
bool aegis_bus_find(struct aegis_bus *bus, const char *id, aegis_bus_row *row, void *context,
                    struct aegis_error *error);

#endif
