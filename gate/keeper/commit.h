/* Group commit: everything that became ready in one turn of the loop shares one transaction, and nobody is
 * told anything before it returned.
 *
 *     handlers ... aegis_commit_add(job) ... handlers | end of turn: BEGIN, write of each, COMMIT, done of
 * each
 *
 * A transaction that failed, at whatever point, leaves it open what is in the file. Every job is told LOST,
 * the ledger is reopened and read back, and until that has worked nothing more is written. */
#ifndef AEGIS_KEEPER_COMMIT_H
#define AEGIS_KEEPER_COMMIT_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "gate/base/error.h"
#include "gate/ledger/ledger.h"

struct aegis_commit;

/* Embedded in whatever waits for it. */
struct aegis_job {
    /* Appends entries. False when the ledger failed. May find that there is nothing to write any more. */
    bool (*write)(struct aegis_job *job, struct aegis_ledger *ledger, struct aegis_error *error);
    /* The end: durable, or lost (unknown). The job is the caller's again and may be freed or added anew. */
    void (*done)(struct aegis_job *job, bool durable);
    STAILQ_ENTRY(aegis_job) next;
};

struct aegis_commit_hooks {
    /* A transaction is durable up to the entry `seq`. */
    void (*grew)(int64_t seq, void *context);
    /* The ledger was reopened after a failure: bring what is in memory in line with it. Jobs that are added
     * here are written first. */
    void (*reopened)(void *context);
    void *context;
};

/* `ledger` must live longer. */
struct aegis_commit *aegis_commit_new(struct event_base *base, struct aegis_ledger *ledger,
                                      const struct aegis_commit_hooks *hooks);
/* Jobs that were not written are told that they are lost. */
void aegis_commit_free(struct aegis_commit **commit);

void aegis_commit_add(struct aegis_commit *commit, struct aegis_job *job);

/* Whether the ledger can be written, as far as is known. */
bool aegis_commit_open(const struct aegis_commit *commit);
/* The last transaction failed: the disk is full, or gone. Only the next one shows that it is there again. */
bool aegis_commit_failed(const struct aegis_commit *commit);
bool aegis_commit_idle(const struct aegis_commit *commit);

/* How often it was tried in vain to open the ledger again since it was lost. */
unsigned aegis_commit_attempts(const struct aegis_commit *commit);

/* Between BEGIN and the last `done`: the ledger and what is in memory do not agree yet, so nobody may ask
 * about sums. */
bool aegis_commit_busy(const struct aegis_commit *commit);

#endif
