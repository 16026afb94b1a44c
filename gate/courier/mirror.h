/* messages.json beside messages.db: the bus in Aegis's format, {"messages":[...]}, for tools that read it
 * there.
 *
 *     {"messages":[
 *     {...},
 *     {...}
 *     ]}
 *
 * New messages go over the closing bracket in one write; the file is written anew only when it is missing or
 * damaged. Other tools may append to it, or write it in a layout of their own: their messages are taken into
 * the bus, as unsigned, and their layout stays. The mirror holds nothing that messages.db does not, so it is
 * never synced. */
#ifndef AEGIS_COURIER_MIRROR_H
#define AEGIS_COURIER_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

#include "gate/base/error.h"
#include "gate/courier/bus.h"

#define AEGIS_MIRROR_READ_LIMIT                                                                              \
    (256u << 20) /* a foreign layout above this is set aside like a damaged file */

struct aegis_mirror;

/* Nothing is read yet. `bus` must outlive it. */
struct aegis_mirror *aegis_mirror_new(const char *path, struct aegis_bus *bus);
void aegis_mirror_free(struct aegis_mirror **mirror);

/* Brings file and bus together: takes in what others wrote, appends what is missing. Costs one stat when
 * nothing changed. A file that is no JSON may be half written by somebody else just now: a first look at it
 * changes nothing (and is no error) unless `impatient`; when it is the same and no better at the next call it
 * is set aside as messages.json.damaged and written anew. `now` is for messages that bring no time of their
 * own. */
bool aegis_mirror_sync(struct aegis_mirror *mirror, bool impatient, int64_t now, struct aegis_error *error);

#endif
