/* The sockets that the gate listens on. The supervisor opens them and keeps them open, so that a connection
 * that arrives while a process restarts waits instead of being refused. */
#ifndef AEGIS_DAEMON_LISTENERS_H
#define AEGIS_DAEMON_LISTENERS_H

#include <jansson.h>
#include <stdbool.h>

#include "gate/base/error.h"

struct aegis_listeners;

/* Opens what `configured` (the option `listeners`) names, for `workers` processes: one SO_REUSEPORT socket
 * each, but one socket for all on a Unix address (mode 0600, or 0666 where the configuration names uids).
 * What `before` (may be NULL) has open at the same address under the same name is shared with it. NULL when
 * one cannot be opened; `before` is untouched then. */
struct aegis_listeners *aegis_listeners_open(const json_t *configured, unsigned workers,
                                             const struct aegis_listeners *before, struct aegis_error *error);

/* Closes them, and removes the names of Unix sockets, except those that `after` (may be NULL) has as well. */
void aegis_listeners_close(struct aegis_listeners **listeners, const struct aegis_listeners *after);

/* Calls `each` with the name and descriptor of every socket of this worker; those shared with the listeners
 * before are passed over when `fresh`. */
void aegis_listeners_each(const struct aegis_listeners *listeners, unsigned worker, bool fresh,
                          void (*each)(const char *name, int fd, void *context), void *context);

/* A Unix socket of mode 0600 that listens at `path`. -1 with the reason. */
int aegis_listeners_unix(const char *path, struct aegis_error *error);

#endif
