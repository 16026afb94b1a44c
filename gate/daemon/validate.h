/* Checking a configuration in a process of its own: `aegis-gate -t -c FILE`. Plugins that it names may do
 * anything. */
#ifndef AEGIS_DAEMON_VALIDATE_H
#define AEGIS_DAEMON_VALIDATE_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

#include "gate/base/error.h"

struct aegis_validation;

/* How a line begins that names a document which is broken and which nobody refers to. */
#define AEGIS_VALIDATION_LEFT_OUT "left out: "

/* NULL with the reason when the process cannot be started. */
struct aegis_validation *aegis_validation_start(struct event_base *base, const char *file,
                                                struct aegis_error *error);

/* Whether it has ended; then *good says with what result, `left_out` gets the paths of the documents without
 * which it was reached, and `error` is the first fault that it told. Does not wait. */
bool aegis_validation_reap(struct aegis_validation *validation, bool *good, json_t *left_out,
                           struct aegis_error *error);

/* Ends it if it still runs (waiting for that). Sets *validation to NULL. */
void aegis_validation_free(struct aegis_validation **validation);

#endif
