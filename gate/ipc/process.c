#include "gate/ipc/process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

/* The supervisor is trusted; these only bound what a mistake of ours could cost. */
enum { CONTROL_RECEIVE_LIMIT = 16 << 20, CONTROL_BACKLOG_LIMIT = 1 << 20 };

/* States of the control channel. */
enum { UNCONFIGURED = 1, CONFIGURED = 2 };

struct aegis_process {
    const struct aegis_process_room *room;
    struct event_base *base;
    struct aegis_channel *control;
    struct event *deadline;
    bool configured;
    bool stopping;
    bool exiting;
    int status;
};

struct event_base *aegis_process_base(struct aegis_process *process)
{
    return process->base;
}

void aegis_process_exit(struct aegis_process *process, int status)
{
    if (!process->exiting)
        process->status = status;
    process->exiting = true;
    event_base_loopbreak(process->base);
}

static void process_deadline(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct aegis_process *process = context;
    aegis_log(AEGIS_LOG_WARNING, "the time to finish is over: leaving what still runs");
    aegis_process_exit(process, EXIT_SUCCESS);
}

static void control_configure(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct aegis_process *process = context;
    const struct aegis_process_room *room = process->room;
    int64_t generation = aegis_json_integer(message, "generation", 0);
    bool first = !process->configured;
    struct aegis_error error = {0};
    if (fd >= 0)
        close(fd);
    bool done = room->configure(process, json_object_get(message, "config"), &error, room->context);
    if (done && first && room->confine != NULL)
        done = room->confine(process, &error, room->context);
    if (done) {
        process->configured = true;
        aegis_channel_state_set(channel, CONFIGURED);
        aegis_channel_send(channel, &aegis_message_ready,
                           json_pack("{s:I}", "generation", (json_int_t)generation));
        return;
    }
    aegis_log(AEGIS_LOG_ERROR, "configuration refused: %s", error.text);
    aegis_channel_send(channel, &aegis_message_failed,
                       json_pack("{s:I,s:s}", "generation", (json_int_t)generation, "error", error.text));
    if (first)
        aegis_process_exit(process, EXIT_FAILURE);
}

static void control_peer(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct aegis_process *process = context;
    if (fd < 0) {
        aegis_channel_reject(channel, "supervisor: a peer without a descriptor");
        return;
    }
    process->room->peer(process, aegis_json_text(message, "kind", ""),
                        (unsigned)aegis_json_integer(message, "index", 0), fd, process->room->context);
}

static void control_listen(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct aegis_process *process = context;
    if (fd < 0 || process->room->listen == NULL) {
        aegis_channel_reject(channel, "supervisor: \"%s\" cannot be listened on here",
                             aegis_json_text(message, "name", ""));
        if (fd >= 0)
            close(fd);
        return;
    }
    process->room->listen(process, aegis_json_text(message, "name", ""), fd, process->room->context);
}

static void control_ping(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)context;
    if (fd >= 0)
        close(fd);
    aegis_channel_send(channel, &aegis_message_pong,
                       json_pack("{s:I}", "number", (json_int_t)aegis_json_integer(message, "number", 0)));
}

static void control_stop(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)channel;
    struct aegis_process *process = context;
    int64_t wait = aegis_json_integer(message, "deadline_ms", 0);
    if (fd >= 0)
        close(fd);
    if (process->stopping)
        return;
    process->stopping = true;
    struct timeval in = aegis_clock_interval(wait);
    evtimer_add(process->deadline, &in);
    process->room->stop(process, wait, process->room->context);
}

static const struct aegis_channel_rule control_rules[] = {
    {&aegis_message_configure, 0, control_configure}, {&aegis_message_peer, CONFIGURED, control_peer},
    {&aegis_message_listen, 0, control_listen},       {&aegis_message_ping, 0, control_ping},
    {&aegis_message_stop, 0, control_stop},           {NULL, 0, NULL},
};

static void control_closed(struct aegis_channel *channel, const char *reason, void *context)
{
    (void)channel;
    struct aegis_process *process = context;
    aegis_log(AEGIS_LOG_INFO, "leaving: %s", reason);
    aegis_process_exit(process, EXIT_FAILURE);
}

/* What ps and profilers show. */
static void process_title(const char *name)
{
    char *title = aegis_format("aegis-%s", name);
    prctl(PR_SET_NAME, title);
    free(title);
}

/* Signals that a terminal sends to the whole group are the supervisor's business. */
static void process_signals(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int aegis_process_run(const struct aegis_process_room *room)
{
    process_signals();
    process_title(room->name);
    struct aegis_process process = {.room = room, .base = event_base_new(), .status = EXIT_FAILURE};
    AEGIS_ASSERT(process.base != NULL);
    process.deadline = evtimer_new(process.base, process_deadline, &process);
    AEGIS_ASSERT(process.deadline != NULL);
    struct aegis_channel_options options = {
        .peer = "supervisor",
        .rules = control_rules,
        .receive_limit = CONTROL_RECEIVE_LIMIT,
        .backlog_limit = CONTROL_BACKLOG_LIMIT,
        .descriptors = true,
        .closed = control_closed,
        .context = &process,
    };
    process.control = aegis_channel_new(process.base, AEGIS_PROCESS_CONTROL, &options);
    aegis_channel_state_set(process.control, UNCONFIGURED);
    event_base_dispatch(process.base);
    if (room->leave != NULL)
        room->leave(&process, room->context);
    /* What was freed for the end of a loop turn goes in this one. */
    event_base_loop(process.base, EVLOOP_NONBLOCK);
    aegis_channel_free(&process.control);
    event_free(process.deadline);
    event_base_free(process.base);
    return process.status;
}
