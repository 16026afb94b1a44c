#include "gate/keeper/commit.h"

#include <stdlib.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

/* How long after a failure the ledger is tried again: soon, then ever less often. */
enum { RETRY_FIRST_MS = 10, RETRY_LAST_MS = 2000 };

STAILQ_HEAD(jobs, aegis_job);

struct aegis_commit {
    struct aegis_ledger *ledger;
    struct aegis_commit_hooks hooks;
    struct event *turn;
    struct event *retry;
    struct jobs jobs;
    bool open;
    bool failed;
    bool busy;
    int retry_ms;
    unsigned attempts;
};

static void retry_later(struct aegis_commit *commit)
{
    struct timeval wait = aegis_clock_interval(commit->retry_ms);
    evtimer_add(commit->retry, &wait);
    commit->retry_ms = commit->retry_ms * 2 < RETRY_LAST_MS ? commit->retry_ms * 2 : RETRY_LAST_MS;
}

static bool write_jobs(struct aegis_commit *commit, struct jobs *jobs, struct aegis_error *error)
{
    struct aegis_job *job;
    if (!aegis_ledger_begin(commit->ledger, error))
        return false;
    STAILQ_FOREACH(job, jobs, next)
    {
        if (!job->write(job, commit->ledger, error)) {
            aegis_ledger_rollback(commit->ledger);
            return false;
        }
    }
    return aegis_ledger_commit(commit->ledger, error) == AEGIS_LEDGER_OK;
}

static void end_jobs(struct jobs *jobs, bool durable)
{
    struct aegis_job *job;
    while ((job = STAILQ_FIRST(jobs)) != NULL) {
        STAILQ_REMOVE_HEAD(jobs, next);
        job->done(job, durable);
    }
}

/* Jobs may add jobs in `done`; those are for the next turn. */
static void commit_turn(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct aegis_commit *commit = context;
    struct aegis_error error = {0};
    struct jobs jobs = STAILQ_HEAD_INITIALIZER(jobs);
    if (!commit->open || STAILQ_EMPTY(&commit->jobs))
        return;
    int64_t before = aegis_ledger_seq(commit->ledger);
    STAILQ_CONCAT(&jobs, &commit->jobs);
    commit->busy = true;
    bool durable = write_jobs(commit, &jobs, &error);
    commit->failed = !durable;
    if (!durable) {
        aegis_log(AEGIS_LOG_ERROR, "the ledger could not be written, nothing is signed until it can: %s",
                  error.text);
        commit->open = false;
        retry_later(commit);
    } else {
        commit->retry_ms = RETRY_FIRST_MS;
    }
    end_jobs(&jobs, durable);
    commit->busy = false;
    if (durable && aegis_ledger_seq(commit->ledger) > before)
        commit->hooks.grew(aegis_ledger_seq(commit->ledger), commit->hooks.context);
}

static void commit_retry(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct aegis_commit *commit = context;
    struct aegis_error error = {0};
    struct jobs waiting = STAILQ_HEAD_INITIALIZER(waiting);
    if (!aegis_ledger_reopen(commit->ledger, &error)) {
        commit->attempts++;
        aegis_log(AEGIS_LOG_ERROR, "the ledger cannot be opened again: %s", error.text);
        retry_later(commit);
        return;
    }
    aegis_log(AEGIS_LOG_WARNING, "the ledger is open again, its last entry is %lld",
              (long long)aegis_ledger_seq(commit->ledger));
    commit->open = true;
    commit->attempts = 0;
    STAILQ_CONCAT(&waiting, &commit->jobs);
    commit->hooks.reopened(commit->hooks.context);
    STAILQ_CONCAT(&commit->jobs, &waiting);
    event_active(commit->turn, EV_TIMEOUT, 0);
}

struct aegis_commit *aegis_commit_new(struct event_base *base, struct aegis_ledger *ledger,
                                      const struct aegis_commit_hooks *hooks)
{
    struct aegis_commit *commit = aegis_alloc(sizeof *commit);
    commit->ledger = ledger;
    commit->hooks = *hooks;
    commit->open = true;
    commit->retry_ms = RETRY_FIRST_MS;
    STAILQ_INIT(&commit->jobs);
    commit->turn = event_new(base, -1, 0, commit_turn, commit);
    commit->retry = evtimer_new(base, commit_retry, commit);
    AEGIS_ASSERT(commit->turn != NULL && commit->retry != NULL);
    return commit;
}

void aegis_commit_free(struct aegis_commit **pointer)
{
    struct aegis_commit *commit = *pointer;
    *pointer = NULL;
    if (commit == NULL)
        return;
    commit->open = false;
    struct jobs jobs = STAILQ_HEAD_INITIALIZER(jobs);
    STAILQ_CONCAT(&jobs, &commit->jobs);
    end_jobs(&jobs, false);
    event_free(commit->turn);
    event_free(commit->retry);
    free(commit);
}

/* The event goes to the end of the queue of this turn, behind everything that is ready now. */
void aegis_commit_add(struct aegis_commit *commit, struct aegis_job *job)
{
    STAILQ_INSERT_TAIL(&commit->jobs, job, next);
    if (commit->open)
        event_active(commit->turn, EV_TIMEOUT, 0);
}

bool aegis_commit_open(const struct aegis_commit *commit)
{
    return commit->open;
}

bool aegis_commit_failed(const struct aegis_commit *commit)
{
    return commit->failed;
}

bool aegis_commit_idle(const struct aegis_commit *commit)
{
    return STAILQ_EMPTY(&commit->jobs);
}

bool aegis_commit_busy(const struct aegis_commit *commit)
{
    return commit->busy;
}

unsigned aegis_commit_attempts(const struct aegis_commit *commit)
{
    return commit->attempts;
}
