/* What the files of the supervisor share. */
#ifndef AEGIS_DAEMON_STATE_H
#define AEGIS_DAEMON_STATE_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "gate/daemon/child.h"
#include "gate/daemon/config.h"
#include "gate/daemon/documents.h"
#include "gate/daemon/kind.h"
#include "gate/daemon/listeners.h"
#include "gate/daemon/lock.h"
#include "gate/daemon/passphrase.h"
#include "gate/daemon/quarantine.h"

struct aegis_supervisor;
struct aegis_reload;

/* A living process. It is its slot's current one, or its next one (a judge that is to take over), or on its
 * way out. */
struct aegis_member {
    struct aegis_slot *slot;
    struct aegis_child *child;
    struct aegis_page *page; /* of a judge */
    int64_t started;         /* aegis_clock_boot() */
    bool introduced;         /* the others were given channels to it */
    int64_t served;          /* generation whose listening sockets it has; 0: none yet */
    LIST_ENTRY(aegis_member) link;
};

/* A place that should always be filled: the keeper, worker number 2. */
struct aegis_slot {
    struct aegis_supervisor *supervisor;
    enum aegis_kind_name kind;
    unsigned index;
    struct aegis_member *current;
    struct aegis_member *next;
    struct event *restart;
    unsigned failures; /* quick deaths in a row */
    int64_t restarts;
};

enum aegis_phase { AEGIS_PHASE_STARTING, AEGIS_PHASE_READY, AEGIS_PHASE_STOPPING };

struct aegis_supervisor {
    struct event_base *base;
    struct aegis_lock *lock;

    struct aegis_config *config; /* in force */
    struct aegis_documents documents;
    struct aegis_listeners *listeners;
    int64_t generation; /* counts configurations that were put into force */

    struct aegis_passphrases *passphrases;
    struct aegis_quarantine *quarantine;
    int control; /* listening socket for the command line */

    struct aegis_slot *slots;
    size_t slot_count;
    LIST_HEAD(, aegis_member) members;

    enum aegis_phase phase;
    unsigned stage; /* of stopping, see aegis_kinds */
    int status;     /* that the program will exit with */

    struct aegis_reload *reload; /* NULL: none is under way */
    bool reload_wanted;          /* SIGHUP came before the gate was ready */
    int64_t reloads;             /* how many ended */
    char reload_problem[512];    /* of the last one; "" when it was taken */

    struct event *publish;
    struct event *signals[4];
};

/* members.c: the processes. */
void aegis_members_make(struct aegis_supervisor *supervisor);
void aegis_members_free(struct aegis_supervisor *supervisor);
void aegis_members_start(struct aegis_supervisor *supervisor);
void aegis_members_reap(struct aegis_supervisor *supervisor);
struct aegis_slot *aegis_members_slot(struct aegis_supervisor *supervisor, enum aegis_kind_name kind,
                                      unsigned index);
/* A judge beside the running one, with the configuration of a generation to come. */
bool aegis_members_start_next(struct aegis_slot *slot, int64_t generation, json_t *config);
/* The next judge takes the current one's place, which finishes and goes. */
void aegis_members_promote(struct aegis_slot *slot);
void aegis_members_drop_next(struct aegis_slot *slot);
/* Sends the configuration in force to everybody but the judge. */
void aegis_members_configure(struct aegis_supervisor *supervisor);
/* Whether every process that is there has the configuration in force. */
bool aegis_members_settled(const struct aegis_supervisor *supervisor);
/* Gives workers and keeper the descriptors that they lack. */
void aegis_members_serve(struct aegis_supervisor *supervisor);
/* Workers may have sockets of a configuration that was taken back: they get all of theirs again. */
void aegis_members_unserve(struct aegis_supervisor *supervisor);

/* stop.c: the end. */
void aegis_stop_begin(struct aegis_supervisor *supervisor, int status);
void aegis_stop_now(struct aegis_supervisor *supervisor);
/* A process is gone while stopping: goes on to the next stage when the present one is empty. */
void aegis_stop_advance(struct aegis_supervisor *supervisor);

/* reload.c: SIGHUP. */
void aegis_reload_begin(struct aegis_supervisor *supervisor);
void aegis_reload_cancel(struct aegis_supervisor *supervisor);
void aegis_reload_reap(struct aegis_supervisor *supervisor);
/* What the processes say while a reload is under way. */
void aegis_reload_ready(struct aegis_supervisor *supervisor, struct aegis_member *member);
/* Somebody may have been the last one who was waited for. */
void aegis_reload_look(struct aegis_supervisor *supervisor);
void aegis_reload_failed(struct aegis_supervisor *supervisor, struct aegis_member *member,
                         const char *problem);

/* supervisor.c: something changed that is worth telling. */
void aegis_supervisor_publish(struct aegis_supervisor *supervisor);

#endif
