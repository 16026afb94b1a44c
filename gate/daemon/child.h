/* One process under the supervisor, from fork to burial: its control channel, and the watch over whether it
 * still answers. */
#ifndef AEGIS_DAEMON_CHILD_H
#define AEGIS_DAEMON_CHILD_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "gate/base/error.h"

struct aegis_child;

struct aegis_child_options {
    const char *kind; /* kept, not copied */
    unsigned index;
    const char *log_level;
    const char *log_format;
    int64_t start_ms; /* longest time for the first configuration; 0: as long as it takes */
    int64_t hang_ms;  /* a ping that stays unanswered this long means SIGKILL */

    /* From the loop. */
    void (*ready)(struct aegis_child *child, int64_t generation, void *context);
    void (*failed)(struct aegis_child *child, int64_t generation, const char *problem, void *context);
    void *context;
};

/* Forks and runs this very program as `--process=KIND` with nothing open but standard streams and the control
 * channel. NULL with the reason when that is not possible. */
struct aegis_child *aegis_child_start(struct event_base *base, const struct aegis_child_options *options,
                                      struct aegis_error *error);

/* For a process that is gone (see reap). Sets *child to NULL. */
void aegis_child_free(struct aegis_child **child);

/* How a process ended. */
struct aegis_child_end {
    char how[64];  /* for the log */
    bool asked;    /* it was told to stop */
    bool hung;     /* killed by us because it did not answer */
    bool stranger; /* killed by somebody else: SIGKILL that we did not send */
};

/* Whether the process has ended. Does not wait. */
bool aegis_child_reap(struct aegis_child *child, struct aegis_child_end *end);

/* `config` is stolen, `fd` is duplicated. */
void aegis_child_configure(struct aegis_child *child, int64_t generation, json_t *config);
void aegis_child_peer(struct aegis_child *child, const char *kind, unsigned index, int fd);
void aegis_child_listen(struct aegis_child *child, const char *name, int fd);

void aegis_child_hang_set(struct aegis_child *child, int64_t hang_ms);

/* Asks it to finish; what is still there a while after the deadline is killed. */
void aegis_child_stop(struct aegis_child *child, int64_t deadline_ms);
void aegis_child_kill(struct aegis_child *child);

pid_t aegis_child_pid(const struct aegis_child *child);
bool aegis_child_is_ready(const struct aegis_child *child);      /* some configuration is in force */
int64_t aegis_child_generation(const struct aegis_child *child); /* which one; 0: none yet */
bool aegis_child_stopping(const struct aegis_child *child);

#endif
