/* What every process under the supervisor has in common: the control channel on descriptor 3, configuration,
 * peers, pings, stopping. A room's main is: fill in this struct, call aegis_process_run. */
#ifndef AEGIS_IPC_PROCESS_H
#define AEGIS_IPC_PROCESS_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/base/error.h"
#include "gate/ipc/channel.h"

#define AEGIS_PROCESS_CONTROL 3 /* the descriptor on which the control channel is inherited */

struct aegis_process;

struct aegis_process_room {
    const char *name; /* keeper, judge, worker, ...: for the log */
    /* Puts a configuration (borrowed) into force, the first or a later one. False: the old one stays, and the
     * supervisor is told why. Called before any peer. */
    bool (*configure)(struct aegis_process *process, const json_t *config, struct aegis_error *error,
                      void *context);
    /* After the first configuration: drop what is not needed (gate/base/confine.h). May be NULL. */
    bool (*confine)(struct aegis_process *process, struct aegis_error *error, void *context);
    /* A new channel to `kind` number `index`; the room owns `fd` and replaces the peer it may have had. */
    void (*peer)(struct aegis_process *process, const char *kind, unsigned index, int fd, void *context);
    /* A listening socket or other named descriptor, which may come before the first configuration; the room
     * owns `fd`. May be NULL. */
    void (*listen)(struct aegis_process *process, const char *name, int fd, void *context);
    /* Finish what runs and call aegis_process_exit; at the deadline (ms from now) it is called for you. */
    void (*stop)(struct aegis_process *process, int64_t deadline_ms, void *context);
    /* The loop has ended: free what hangs on its base, which goes right after. May be NULL. */
    void (*leave)(struct aegis_process *process, void *context);
    void *context;
};

/* Runs the loop until the room exits or the supervisor is gone. Returns the exit status. */
int aegis_process_run(const struct aegis_process_room *room);

struct event_base *aegis_process_base(struct aegis_process *process);
void aegis_process_exit(struct aegis_process *process, int status);

#endif
