#include "gate/daemon/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/ipc/channel.h"
#include "gate/ipc/process.h"

enum {
    RECEIVE_LIMIT = 64 << 10, /* what processes tell the supervisor is short */
    BACKLOG_LIMIT = 64 << 20, /* a configuration may be long */
    STOP_GRACE_MS = 2000,     /* beyond the deadline that the process was given */
    PING_LEAST_MS = 20,
    PING_MOST_MS = 1000,
};

struct aegis_child {
    struct aegis_child_options options;
    struct aegis_channel *control;
    struct event *watch; /* pings, and looks for their answers */
    struct event *axe;   /* armed while it starts and when it is to stop */
    pid_t pid;
    int64_t generation;
    int64_t pinged_at; /* 0: no ping is on its way */
    int64_t number;
    bool stopping;
    bool killed;
    bool hung;
    bool gone;
};

static void arm(struct event *event, int64_t ms)
{
    struct timeval in = aegis_clock_interval(ms);

    evtimer_add(event, &in);
}

static int64_t ping_interval(const struct aegis_child *child)
{
    int64_t interval = child->options.hang_ms / 4;

    return interval < PING_LEAST_MS ? PING_LEAST_MS : interval > PING_MOST_MS ? PING_MOST_MS : interval;
}

/* A process that is still reading its first configuration is not pinged: what it does then may take its
 * time. */
static void watch_tick(evutil_socket_t fd, short what, void *context)
{
    struct aegis_child *child = context;
    int64_t now = aegis_clock_boot();

    (void)fd;
    (void)what;
    if (child->gone || child->stopping)
        return;
    if (child->pinged_at == 0) {
        child->pinged_at = now;
        aegis_channel_send(child->control, &aegis_message_ping,
                           json_pack("{s:I}", "number", (json_int_t)++child->number));
    } else if (now - child->pinged_at > child->options.hang_ms) {
        aegis_log(AEGIS_LOG_ERROR, "%s %u (pid %d) has not answered for %lld ms: killing it",
                  child->options.kind, child->options.index, (int)child->pid,
                  (long long)(now - child->pinged_at));
        child->hung = true;
        aegis_child_kill(child);
        return;
    }
    arm(child->watch, ping_interval(child));
}

static void axe_fell(evutil_socket_t fd, short what, void *context)
{
    struct aegis_child *child = context;

    (void)fd;
    (void)what;
    if (child->gone)
        return;
    aegis_log(AEGIS_LOG_WARNING, "%s %u (pid %d) takes too long: killing it", child->options.kind,
              child->options.index, (int)child->pid);
    aegis_child_kill(child);
}

static void control_ready(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct aegis_child *child = context;
    bool first = child->generation == 0;

    (void)channel;
    if (fd >= 0)
        close(fd);
    child->generation = aegis_json_integer(message, "generation", 0);
    if (first) {
        if (!child->stopping)
            event_del(child->axe);
        arm(child->watch, ping_interval(child));
    }
    child->options.ready(child, child->generation, child->options.context);
}

static void control_failed(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct aegis_child *child = context;

    (void)channel;
    if (fd >= 0)
        close(fd);
    child->options.failed(child, aegis_json_integer(message, "generation", 0),
                          aegis_json_text(message, "error", ""), child->options.context);
}

static void control_pong(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct aegis_child *child = context;

    if (fd >= 0)
        close(fd);
    if (aegis_json_integer(message, "number", 0) != child->number || child->pinged_at == 0)
        aegis_channel_reject(channel, "an answer to a ping that was not sent");
    child->pinged_at = 0;
}

static const struct aegis_channel_rule rules[] = {
    {&aegis_message_ready, 0, control_ready},
    {&aegis_message_failed, 0, control_failed},
    {&aegis_message_pong, 0, control_pong},
    {NULL, 0, NULL},
};

/* Without its channel a process is of no use; it notices by itself, and if it does not it is helped. */
static void control_closed(struct aegis_channel *channel, const char *reason, void *context)
{
    struct aegis_child *child = context;

    (void)channel;
    aegis_log(AEGIS_LOG_DEBUG, "%s %u: %s", child->options.kind, child->options.index, reason);
    event_del(child->watch);
    if (!child->stopping && !child->gone)
        arm(child->axe, STOP_GRACE_MS);
}

static void close_from(int first)
{
    if (syscall(SYS_close_range, (unsigned)first, ~0U, 0) == 0)
        return;
    for (int fd = first, end = (int)sysconf(_SC_OPEN_MAX); fd < end; fd++)
        close(fd);
}

/* What the child finds open: nothing on its input, the log on both outputs, the control channel. */
static bool arrange_descriptors(int control)
{
    int nothing;

    /* dup2 onto itself would leave close-on-exec in place. */
    if (control == AEGIS_PROCESS_CONTROL ? fcntl(control, F_SETFD, 0) < 0
                                         : dup2(control, AEGIS_PROCESS_CONTROL) < 0)
        return false;
    close_from(AEGIS_PROCESS_CONTROL + 1);
    nothing = open("/dev/null", O_RDONLY);
    return nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 &&
           close(nothing) == 0;
}

/* In the child, which never returns from it. */
static void become(const struct aegis_child *child, int control, pid_t parent)
{
    const struct aegis_child_options *options = &child->options;
    char kind[64], index[32], level[64], format[64], program[] = "aegis-gate";
    char *const arguments[] = {program, kind, index, level, format, NULL};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
    /* Ctrl-C reaches the whole group; until the child says so itself, it is the supervisor's business. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("CREDENTIALS_DIRECTORY");
    unsetenv("OWS_PASSPHRASE");
    snprintf(kind, sizeof(kind), "--process=%s", options->kind);
    snprintf(index, sizeof(index), "--index=%u", options->index);
    snprintf(level, sizeof(level), "--log-level=%s", options->log_level);
    snprintf(format, sizeof(format), "--log-format=%s", options->log_format);
    if (arrange_descriptors(control))
        execv("/proc/self/exe", arguments);
    _exit(127);
}

static void open_channel(struct aegis_child *child, struct event_base *base, int fd)
{
    const struct aegis_channel_options options = {
        .peer = child->options.kind,
        .rules = rules,
        .receive_limit = RECEIVE_LIMIT,
        .backlog_limit = BACKLOG_LIMIT,
        .descriptors = true,
        .closed = control_closed,
        .context = child,
    };

    child->control = aegis_channel_new(base, fd, &options);
    child->watch = evtimer_new(base, watch_tick, child);
    child->axe = evtimer_new(base, axe_fell, child);
    AEGIS_ASSERT(child->watch != NULL && child->axe != NULL);
}

struct aegis_child *aegis_child_start(struct event_base *base, const struct aegis_child_options *options,
                                      struct aegis_error *error)
{
    struct aegis_child *child = aegis_alloc(sizeof(*child));
    pid_t parent = getpid();
    int ends[2];

    child->options = *options;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        aegis_error_set(error, "%s: no socket pair: %s", options->kind, strerror(errno));
        free(child);
        return NULL;
    }
    child->pid = fork();
    if (child->pid == 0)
        become(child, ends[1], parent);
    close(ends[1]);
    if (child->pid < 0) {
        aegis_error_set(error, "%s: cannot fork: %s", options->kind, strerror(errno));
        close(ends[0]);
        free(child);
        return NULL;
    }
    open_channel(child, base, ends[0]);
    if (options->start_ms > 0)
        arm(child->axe, options->start_ms);
    return child;
}

void aegis_child_free(struct aegis_child **child)
{
    if (*child == NULL)
        return;
    AEGIS_ASSERT((*child)->gone);
    aegis_channel_free(&(*child)->control);
    event_free((*child)->watch);
    event_free((*child)->axe);
    free(*child);
    *child = NULL;
}

bool aegis_child_reap(struct aegis_child *child, struct aegis_child_end *end)
{
    int status;

    if (child->gone || waitpid(child->pid, &status, WNOHANG) != child->pid)
        return false;
    child->gone = true;
    event_del(child->watch);
    event_del(child->axe);
    end->asked = child->stopping;
    end->hung = child->hung;
    end->stranger = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !child->killed;
    if (WIFEXITED(status))
        snprintf(end->how, sizeof(end->how), "exit status %d", WEXITSTATUS(status));
    else
        snprintf(end->how, sizeof(end->how), "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return true;
}

void aegis_child_configure(struct aegis_child *child, int64_t generation, json_t *config)
{
    aegis_channel_send(child->control, &aegis_message_configure,
                       json_pack("{s:I,s:o}", "generation", (json_int_t)generation, "config", config));
}

void aegis_child_peer(struct aegis_child *child, const char *kind, unsigned index, int fd)
{
    aegis_channel_send_descriptor(child->control, &aegis_message_peer,
                                  json_pack("{s:s,s:I}", "kind", kind, "index", (json_int_t)index), fd);
}

void aegis_child_listen(struct aegis_child *child, const char *name, int fd)
{
    aegis_channel_send_descriptor(child->control, &aegis_message_listen, json_pack("{s:s}", "name", name),
                                  fd);
}

void aegis_child_hang_set(struct aegis_child *child, int64_t hang_ms)
{
    child->options.hang_ms = hang_ms;
}

void aegis_child_stop(struct aegis_child *child, int64_t deadline_ms)
{
    if (child->stopping || child->gone)
        return;
    child->stopping = true;
    aegis_channel_send(child->control, &aegis_message_stop,
                       json_pack("{s:I}", "deadline_ms", (json_int_t)deadline_ms));
    arm(child->axe, deadline_ms + STOP_GRACE_MS);
}

void aegis_child_kill(struct aegis_child *child)
{
    if (child->gone)
        return;
    child->killed = true;
    kill(child->pid, SIGKILL);
}

pid_t aegis_child_pid(const struct aegis_child *child)
{
    return child->pid;
}

bool aegis_child_is_ready(const struct aegis_child *child)
{
    return child->generation > 0 && !child->gone;
}

int64_t aegis_child_generation(const struct aegis_child *child)
{
    return child->generation;
}

bool aegis_child_stopping(const struct aegis_child *child)
{
    return child->stopping;
}
