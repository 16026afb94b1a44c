#include "gate/runner/executable.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

static const char default_path[] = "/usr/local/bin:/usr/bin:/bin";

/* The child ends with this when it could not become the executable. */
enum { NOT_STARTED = 127 };

struct aegis_executable {
    pid_t pid;
    int input, output, errors; /* our ends; -1: closed */
    struct event *writable, *readable, *complaining, *deadline;
    char *text; /* what is to be written */
    size_t length, written;
    char out[AEGIS_EXECUTABLE_OUTPUT + 1];
    size_t out_length;
    char err[AEGIS_EXECUTABLE_ERROR];
    size_t err_length;
    const char *failure; /* not NULL: why it is a failure, whatever it answers */
    aegis_executable_done *done;
    void *context;
};

/* ---- finding ---- */

static bool file_good(const char *file, struct aegis_error *error)
{
    struct stat status;
    if (stat(file, &status) != 0)
        return aegis_error_set(error, "%.300s: %s", file, strerror(errno));
    if (!S_ISREG(status.st_mode) || access(file, X_OK) != 0)
        return aegis_error_set(error, "%.300s: expected an executable file", file);
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 || (status.st_uid != 0 && status.st_uid != geteuid()))
        return aegis_error_set(error, "%.300s: expected a file of ours or root's that nobody else can write",
                               file);
    return true;
}

/* `folder`/`name` when there is such a file. */
static char *file_in(const char *folder, size_t length, const char *name)
{
    struct stat status;
    char *file = aegis_format("%.*s/%s", (int)length, folder, name);
    if (length > 0 && folder[0] == '/' && stat(file, &status) == 0)
        return file;
    free(file);
    return NULL;
}

static char *file_on_path(const char *path, const char *name)
{
    while (path != NULL) {
        const char *colon = strchr(path, ':');
        char *file = file_in(path, colon == NULL ? strlen(path) : (size_t)(colon - path), name);
        if (file != NULL)
            return file;
        path = colon == NULL ? NULL : colon + 1;
    }
    return NULL;
}

char *aegis_executable_find(const char *name, const char *vault, const char *path, struct aegis_error *error)
{
    char *file = NULL;
    if (name[0] == '/') {
        file = aegis_strdup(name);
    } else if (name[0] == '\0' || strchr(name, '/') != NULL || name[0] == '.') {
        aegis_error_set(error, "%.100s: expected an absolute path or a bare name", name);
        return NULL;
    } else {
        char *folder = aegis_format("%s/policies", vault);
        file = file_in(folder, strlen(folder), name);
        free(folder);
        if (file == NULL)
            file = file_on_path(path == NULL ? default_path : path, name);
        if (file == NULL)
            aegis_error_set(error, "%.100s: not found in the vault's policies folder or on PATH", name);
    }
    if (file != NULL && !file_good(file, error)) {
        free(file);
        file = NULL;
    }
    return file;
}

/* ---- the child ---- */

/* Between fork and exec: only calls that are safe there. */
_Noreturn static void child_become(const char *file, const char *folder, const int ends[3], char *environment)
{
    char *const arguments[] = {(char *)file, NULL};
    char *const variables[] = {environment, NULL};
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    /* The ends lie above 2: see pipe_make. */
    for (int i = 0; i < 3; i++) {
        if (dup2(ends[i], i) < 0)
            _exit(NOT_STARTED);
    }
    close_range(3, ~0u, 0);
    if (chdir(folder) == 0)
        execve(file, arguments, variables);
    _exit(NOT_STARTED);
}

/* A pipe whose two ends lie above standard error, so that the child can put them in its place. */
static bool pipe_make(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        int moved = fcntl(ends[i], F_DUPFD_CLOEXEC, 3);
        close(ends[i]);
        ends[i] = moved;
    }
    if (ends[0] >= 0 && ends[1] >= 0)
        return true;
    if (ends[0] >= 0)
        close(ends[0]);
    if (ends[1] >= 0)
        close(ends[1]);
    return false;
}

/* pipes[i]: what the child's descriptor i is connected with. */
static bool pipes_make(int pipes[3][2])
{
    for (int i = 0; i < 3; i++) {
        if (pipe_make(pipes[i]))
            continue;
        while (i-- > 0) {
            close(pipes[i][0]);
            close(pipes[i][1]);
        }
        return false;
    }
    return true;
}

/* Our ends are left open in `executable`, the child's are closed. */
static bool child_start(struct aegis_executable *executable, const char *file, const char *folder,
                        struct aegis_error *error)
{
    int pipes[3][2];
    if (!pipes_make(pipes))
        return aegis_error_set(error, "%.300s: no pipes: %s", file, strerror(errno));
    const int child[3] = {pipes[0][0], pipes[1][1], pipes[2][1]};
    const char *path = getenv("PATH");
    char *environment = aegis_format("PATH=%s", path == NULL ? default_path : path);
    executable->pid = fork();
    if (executable->pid == 0)
        child_become(file, folder, child, environment);
    int saved = errno;
    free(environment);
    for (int i = 0; i < 3; i++)
        close(child[i]);
    executable->input = pipes[0][1];
    executable->output = pipes[1][0];
    executable->errors = pipes[2][0];
    if (executable->pid < 0)
        return aegis_error_set(error, "%.300s: no process: %s", file, strerror(saved));
    /* Whoever comes first, child or parent: from here on the group can be killed. */
    setpgid(executable->pid, executable->pid);
    return true;
}

/* ---- the end ---- */

static void end_close(int *fd, struct event **event)
{
    if (*event != NULL)
        event_free(*event);
    *event = NULL;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void executable_free(struct aegis_executable *executable)
{
    end_close(&executable->input, &executable->writable);
    end_close(&executable->output, &executable->readable);
    end_close(&executable->errors, &executable->complaining);
    if (executable->deadline != NULL)
        event_free(executable->deadline);
    free(executable->text);
    free(executable);
}

/* Grandchildren too: whatever kept the process group. */
static void group_kill(const struct aegis_executable *executable)
{
    if (executable->pid > 0)
        kill(-executable->pid, SIGKILL);
}

/* The group dies; the answer goes out when its leader has been waited for. */
static void give_up(struct aegis_executable *executable, const char *why)
{
    if (executable->failure == NULL)
        executable->failure = why;
    group_kill(executable);
    end_close(&executable->input, &executable->writable);
    end_close(&executable->output, &executable->readable);
    end_close(&executable->errors, &executable->complaining);
}

/* Standard error is for people: what is not plain text becomes a question mark. */
static void error_clean(struct aegis_executable *executable)
{
    executable->err[executable->err_length] = '\0';
    for (size_t i = 0; i < executable->err_length; i++) {
        unsigned char letter = (unsigned char)executable->err[i];
        if (letter == '\n' || letter == '\t')
            executable->err[i] = ' ';
        else if (letter < ' ' || letter > '~')
            executable->err[i] = '?';
    }
    while (executable->err_length > 0 && executable->err[executable->err_length - 1] == ' ')
        executable->err[--executable->err_length] = '\0';
}

static void report(struct aegis_executable *executable, int wait_status)
{
    char text[64];
    const char *failure = executable->failure;
    executable->out[executable->out_length] = '\0';
    error_clean(executable);
    if (failure == NULL && WIFSIGNALED(wait_status)) {
        snprintf(text, sizeof(text), "killed by signal %d", WTERMSIG(wait_status));
        failure = text;
    }
    if (failure == NULL && WEXITSTATUS(wait_status) == NOT_STARTED && executable->out_length == 0)
        failure = "could not be started";
    if (failure == NULL && !aegis_utf8_valid(executable->out, executable->out_length))
        failure = "its answer is not UTF-8";
    if (failure != NULL)
        executable->done(-1, "", failure, executable->context);
    else
        executable->done(WEXITSTATUS(wait_status), executable->out, executable->err, executable->context);
}

/* ---- events ---- */

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    struct aegis_executable *executable = context;
    (void)what;
    ssize_t size =
        write(fd, executable->text + executable->written, executable->length - executable->written);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size > 0)
        executable->written += (size_t)size;
    /* One that does not want to read all of it has not failed by that. */
    if (size < 0 || executable->written == executable->length)
        end_close(&executable->input, &executable->writable);
}

/* Reads once. False at the end, or when there is nothing now. */
static bool output_read(struct aegis_executable *executable)
{
    size_t room = sizeof(executable->out) - executable->out_length;
    ssize_t size = read(executable->output, executable->out + executable->out_length, room);
    if (size > 0)
        executable->out_length += (size_t)size;
    if (executable->out_length > AEGIS_EXECUTABLE_OUTPUT) {
        executable->out_length = 0;
        give_up(executable, "its answer is longer than 65536 bytes");
        return false;
    }
    if (size == 0)
        end_close(&executable->output, &executable->readable);
    return size > 0;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    output_read(context);
}

/* What does not fit is read and dropped, so that nobody waits for us. */
static bool error_read(struct aegis_executable *executable)
{
    char bytes[1024];
    ssize_t size = read(executable->errors, bytes, sizeof(bytes));
    size_t room = sizeof(executable->err) - 1 - executable->err_length;
    if (size > 0) {
        size_t kept = (size_t)size < room ? (size_t)size : room;
        memcpy(executable->err + executable->err_length, bytes, kept);
        executable->err_length += kept;
    }
    if (size == 0)
        end_close(&executable->errors, &executable->complaining);
    return size > 0;
}

static void on_complaining(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    error_read(context);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    give_up(context, "took too long");
}

/* The leader is gone: what it left in the pipes counts, what its children might still write does not. */
bool aegis_executable_ended(struct aegis_executable *executable, pid_t pid, int wait_status)
{
    if (executable->pid != pid)
        return false;
    group_kill(executable);
    while (executable->output >= 0 && output_read(executable))
        ;
    while (executable->errors >= 0 && executable->err_length < sizeof(executable->err) - 1 &&
           error_read(executable))
        ;
    report(executable, wait_status);
    executable_free(executable);
    return true;
}

void aegis_executable_cancel(struct aegis_executable **executable)
{
    if (*executable == NULL)
        return;
    group_kill(*executable);
    executable_free(*executable);
    *executable = NULL;
}

static struct event *watch(struct event_base *base, int fd, short what, event_callback_fn callback,
                           void *context)
{
    struct event *event = event_new(base, fd, (short)(what | EV_PERSIST), callback, context);
    AEGIS_ASSERT(event != NULL && event_add(event, NULL) == 0);
    return event;
}

struct aegis_executable *aegis_executable_start(struct event_base *base, const char *file, const char *folder,
                                                const char *input, int64_t timeout_ms,
                                                aegis_executable_done *done, void *context,
                                                struct aegis_error *error)
{
    struct aegis_executable *executable = aegis_alloc(sizeof(*executable));
    executable->input = executable->output = executable->errors = -1;
    executable->done = done;
    executable->context = context;
    executable->text = aegis_strdup(input);
    executable->length = strlen(input);
    if (!child_start(executable, file, folder, error)) {
        executable_free(executable);
        return NULL;
    }
    evutil_make_socket_nonblocking(executable->input);
    evutil_make_socket_nonblocking(executable->output);
    evutil_make_socket_nonblocking(executable->errors);
    executable->writable = watch(base, executable->input, EV_WRITE, on_writable, executable);
    executable->readable = watch(base, executable->output, EV_READ, on_readable, executable);
    executable->complaining = watch(base, executable->errors, EV_READ, on_complaining, executable);
    executable->deadline = evtimer_new(base, on_deadline, executable);
    AEGIS_ASSERT(executable->deadline != NULL);
    struct timeval wait = aegis_clock_interval(timeout_ms);
    evtimer_add(executable->deadline, &wait);
    return executable;
}
