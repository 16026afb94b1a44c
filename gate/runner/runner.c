/* The runner process: starts OWS policy executables for the judge, which may start nothing.
 *
 * It gives up only looking into other processes: what it starts belongs to whoever wrote the policies, and
 * inherits what the runner gave up. It holds no key, no token and no ledger. */
#include "gate/runner/runner.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate/base/confine.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/ipc/process.h"
#include "gate/runner/executable.h"

enum {
    AT_ONCE = 8,  /* executables that run side by side */
    QUEUED = 256, /* questions that wait for one to end */
    RECEIVE_LIMIT = 4 << 20,
    BACKLOG_LIMIT = 64 << 20,
};

/* A question of the judge's. */
struct errand {
    struct errand *next;
    struct runner *runner;
    uint64_t judge; /* which judge asked */
    int64_t id;
    json_t *message;
    struct aegis_executable *executable; /* NULL: waits */
};

struct runner {
    struct aegis_process *process;
    struct aegis_channel *judge;
    struct event *child;
    char *vault;
    uint64_t judges;
    struct errand *running;
    struct errand *first, **last; /* those that wait */
    size_t running_count, waiting_count;
    bool stopping;
};

static void errand_answer(struct errand *errand, int status, const char *output, const char *error)
{
    struct runner *runner = errand->runner;
    if (runner->judge != NULL && errand->judge == runner->judges)
        aegis_channel_send(runner->judge, &aegis_message_ran,
                           json_pack("{s:I,s:i,s:s,s:s}", "id", (json_int_t)errand->id, "status", status,
                                     "output", output, "error", error));
    json_decref(errand->message);
    free(errand);
}

static void running_remove(struct runner *runner, struct errand *errand)
{
    for (struct errand **link = &runner->running; *link != NULL; link = &(*link)->next) {
        if (*link == errand) {
            *link = errand->next;
            runner->running_count--;
            return;
        }
    }
}

static void executable_done(int status, const char *output, const char *error, void *context)
{
    struct errand *errand = context;
    running_remove(errand->runner, errand);
    errand_answer(errand, status, output, error);
}

static void errand_start(struct runner *runner, struct errand *errand)
{
    struct aegis_error error = {{0}};
    char *file = aegis_executable_find(aegis_json_text(errand->message, "executable", ""), runner->vault,
                                       getenv("PATH"), &error);
    if (file != NULL)
        errand->executable = aegis_executable_start(aegis_process_base(runner->process), file, runner->vault,
                                                    aegis_json_text(errand->message, "input", ""),
                                                    aegis_json_integer(errand->message, "timeout_ms", 0),
                                                    executable_done, errand, &error);
    free(file);
    if (errand->executable == NULL) {
        errand_answer(errand, -1, "", error.text);
        return;
    }
    errand->next = runner->running;
    runner->running = errand;
    runner->running_count++;
}

static void waiting_start(struct runner *runner)
{
    while (runner->first != NULL && runner->running_count < AT_ONCE) {
        struct errand *errand = runner->first;
        runner->first = errand->next;
        if (runner->first == NULL)
            runner->last = &runner->first;
        runner->waiting_count--;
        /* Nobody is left who wants to know. */
        if (runner->judge == NULL || errand->judge != runner->judges)
            errand_answer(errand, -1, "", "");
        else
            errand_start(runner, errand);
    }
    if (runner->stopping && runner->running_count == 0)
        aegis_process_exit(runner->process, EXIT_SUCCESS);
}

/* The one of ours that has ended; NULL when there is none. */
static void child_ended(struct runner *runner, pid_t pid, int status)
{
    for (struct errand *errand = runner->running; errand != NULL; errand = errand->next) {
        if (aegis_executable_ended(errand->executable, pid, status))
            return;
    }
}

static void on_child(evutil_socket_t number, short what, void *context)
{
    struct runner *runner = context;
    pid_t pid;
    int status;
    (void)number;
    (void)what;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        child_ended(runner, pid, status);
    waiting_start(runner);
}

static void judge_run(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct runner *runner = context;
    (void)channel;
    if (fd >= 0)
        close(fd);
    struct errand *errand = aegis_alloc(sizeof(*errand));
    errand->runner = runner;
    errand->judge = runner->judges;
    errand->id = aegis_json_integer(message, "id", 0);
    errand->message = json_incref((json_t *)message);
    if (runner->waiting_count >= QUEUED || runner->stopping) {
        errand_answer(errand, -1, "",
                      runner->stopping ? "the gate is shutting down" : "too many executables wait");
        return;
    }
    *runner->last = errand;
    runner->last = &errand->next;
    runner->waiting_count++;
    waiting_start(runner);
}

static const struct aegis_channel_rule judge_rules[] = {
    {&aegis_message_run, 0, judge_run},
    {NULL, 0, NULL},
};

static void judge_closed(struct aegis_channel *channel, const char *reason, void *context)
{
    struct runner *runner = context;
    (void)channel;
    aegis_log(AEGIS_LOG_INFO, "the judge is gone: %s", reason);
    aegis_channel_free(&runner->judge);
}

static void runner_peer(struct aegis_process *process, const char *kind, unsigned index, int fd,
                        void *context)
{
    struct runner *runner = context;
    struct aegis_channel_options options = {
        .peer = "judge",
        .rules = judge_rules,
        .receive_limit = RECEIVE_LIMIT,
        .backlog_limit = BACKLOG_LIMIT,
        .closed = judge_closed,
        .context = runner,
    };
    (void)index;
    if (strcmp(kind, "judge") != 0) {
        aegis_log(AEGIS_LOG_ERROR, "no peer of the runner: %s", kind);
        close(fd);
        return;
    }
    aegis_channel_free(&runner->judge);
    runner->judges++;
    runner->judge = aegis_channel_new(aegis_process_base(process), fd, &options);
}

static bool runner_configure(struct aegis_process *process, const json_t *config, struct aegis_error *error,
                             void *context)
{
    static const struct aegis_json_field fields[] = {
        {"vault", AEGIS_JSON_STRING, true, 4096},
        {NULL, AEGIS_JSON_ANY, false, 0},
    };
    struct runner *runner = context;
    if (!aegis_json_check(config, fields, error))
        return false;
    free(runner->vault);
    runner->vault = aegis_strdup(aegis_json_text(config, "vault", ""));
    if (runner->process == NULL) {
        runner->process = process;
        runner->child = evsignal_new(aegis_process_base(process), SIGCHLD, on_child, runner);
        AEGIS_ASSERT(runner->child != NULL && event_add(runner->child, NULL) == 0);
    }
    return true;
}

static bool runner_confine(struct aegis_process *process, struct aegis_error *error, void *context)
{
    (void)process;
    (void)context;
    return aegis_confine(AEGIS_CONFINE_DEBUG, error);
}

static void runner_stop(struct aegis_process *process, int64_t deadline_ms, void *context)
{
    struct runner *runner = context;
    (void)deadline_ms;
    runner->stopping = true;
    if (runner->running_count == 0 && runner->first == NULL)
        aegis_process_exit(process, EXIT_SUCCESS);
}

static void errands_free(struct errand *errand)
{
    for (struct errand *next; errand != NULL; errand = next) {
        next = errand->next;
        aegis_executable_cancel(&errand->executable);
        json_decref(errand->message);
        free(errand);
    }
}

static void runner_leave(struct aegis_process *process, void *context)
{
    struct runner *runner = context;
    (void)process;
    errands_free(runner->running);
    errands_free(runner->first);
    aegis_channel_free(&runner->judge);
    if (runner->child != NULL)
        event_free(runner->child);
    free(runner->vault);
}

int aegis_runner_run(void)
{
    struct runner runner = {0};
    runner.last = &runner.first;
    struct aegis_process_room room = {
        .name = "runner",
        .configure = runner_configure,
        .confine = runner_confine,
        .peer = runner_peer,
        .stop = runner_stop,
        .leave = runner_leave,
        .context = &runner,
    };
    return aegis_process_run(&room);
}
