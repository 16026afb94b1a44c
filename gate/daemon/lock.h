/* One gate per home folder, and what it says about itself to those who look.
 *
 * HOME/aegis-gate.pid holds the process id and a lock that ends with the process, so a file that is left over
 * means nothing. HOME/aegis-gate.state is a JSON object, replaced as a whole. */
#ifndef AEGIS_DAEMON_LOCK_H
#define AEGIS_DAEMON_LOCK_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "gate/base/error.h"

struct aegis_lock;

/* NULL with the reason: the folder cannot be used, or another gate (its pid is named) has it. */
struct aegis_lock *aegis_lock_take(const char *home, struct aegis_error *error);
void aegis_lock_release(struct aegis_lock **lock);

/* A failure is logged, no more. */
void aegis_lock_say(const struct aegis_lock *lock, const json_t *state);

/* For others: the process id of the gate that runs in `home`, 0 when there is none; and what it said last, a
 * new reference or NULL. */
pid_t aegis_lock_holder(const char *home);
json_t *aegis_lock_read(const char *home);

#endif
