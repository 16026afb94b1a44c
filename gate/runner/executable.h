/* Running one OWS policy executable: input on its standard input, its standard output and exit status
 * back. */
#ifndef AEGIS_RUNNER_EXECUTABLE_H
#define AEGIS_RUNNER_EXECUTABLE_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "gate/base/error.h"

#define AEGIS_EXECUTABLE_OUTPUT 65536 /* more than that is a failure */
#define AEGIS_EXECUTABLE_ERROR  4096  /* what is kept of standard error */

struct aegis_executable;

/* Called once, from the loop. `status` is the exit status, or -1 when it could not be started, was killed,
 * took too long, wrote too much or wrote what is not UTF-8; `error` then says which, else it is what stood on
 * standard error. Texts are valid during the call; the executable is gone after it. */
typedef void aegis_executable_done(int status, const char *output, const char *error, void *context);

/* The file that `name` means: an absolute path, or a bare name in VAULT/policies or else on `path` (as in
 * PATH; NULL: the usual folders). It must be a regular file, executable, writable by nobody but its owner,
 * who is us or root. The caller frees. */
char *aegis_executable_find(const char *name, const char *vault, const char *path, struct aegis_error *error);

/* Starts `file` with an empty environment but PATH, in `folder`, without any descriptor of ours, in a process
 * group of its own that is killed whole when it is over. Writing, reading and the clock are watched in one
 * loop. NULL when it could not be started; `done` is not called then. */
struct aegis_executable *aegis_executable_start(struct event_base *base, const char *file, const char *folder,
                                                const char *input, int64_t timeout_ms,
                                                aegis_executable_done *done, void *context,
                                                struct aegis_error *error);

/* A child of ours has ended, as waitpid said. False when it is not this one. */
bool aegis_executable_ended(struct aegis_executable *executable, pid_t pid, int wait_status);

/* Kills it without calling `done`. */
void aegis_executable_cancel(struct aegis_executable **executable);

#endif
