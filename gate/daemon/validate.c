#include "gate/daemon/validate.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

enum { DEADLINE_S = 60 };

struct aegis_validation {
    pid_t pid;
    int output;             /* what it writes; never waited for */
    struct event *readable; /* drains it, so that the process cannot hang on a full pipe */
    struct event *deadline;
    char said[65536];
    size_t size;
};

static void drain(evutil_socket_t fd, short what, void *context)
{
    struct aegis_validation *validation = context;
    char bytes[4096];
    ssize_t size;

    (void)what;
    while ((size = read(fd, bytes, sizeof(bytes))) > 0) {
        size_t room = sizeof(validation->said) - 1 - validation->size;
        size_t taken = (size_t)size < room ? (size_t)size : room;
        memcpy(validation->said + validation->size, bytes, taken);
        validation->size += taken;
    }
    if (size == 0)
        event_del(validation->readable);
}

static void too_long(evutil_socket_t fd, short what, void *context)
{
    struct aegis_validation *validation = context;

    (void)fd;
    (void)what;
    kill(validation->pid, SIGKILL);
}

static void become(int output, const char *file)
{
    char program[] = "aegis-gate", test[] = "-t", running[] = "--running", option[] = "-c";
    char *path = aegis_strdup(file);
    char *const arguments[] = {program, test, running, option, path, NULL};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    unsetenv("NOTIFY_SOCKET");
    if (dup2(output, STDOUT_FILENO) >= 0 && dup2(output, STDERR_FILENO) >= 0)
        execv("/proc/self/exe", arguments);
    _exit(127);
}

struct aegis_validation *aegis_validation_start(struct event_base *base, const char *file,
                                                struct aegis_error *error)
{
    struct aegis_validation *validation = aegis_alloc(sizeof(*validation));
    const struct timeval in = {.tv_sec = DEADLINE_S};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0 || (validation->pid = fork()) < 0) {
        aegis_error_set(error, "%s cannot be checked: %s", file, strerror(errno));
        free(validation);
        return NULL;
    }
    if (validation->pid == 0)
        become(ends[1], file);
    close(ends[1]);
    validation->output = ends[0];
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    validation->readable = event_new(base, ends[0], EV_READ | EV_PERSIST, drain, validation);
    validation->deadline = evtimer_new(base, too_long, validation);
    AEGIS_ASSERT(validation->readable != NULL && validation->deadline != NULL);
    event_add(validation->readable, NULL);
    evtimer_add(validation->deadline, &in);
    return validation;
}

/* The first line that is more than a warning, and the documents that it left out. */
static void read_lines(char *said, json_t *left_out, struct aegis_error *error)
{
    static const char aside[] = AEGIS_VALIDATION_LEFT_OUT;
    char *rest = NULL;
    bool fault = false;

    aegis_error_set(error, "the check of the configuration was cut short");
    for (char *line = strtok_r(said, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, aside, strlen(aside)) == 0)
            json_array_append_new(left_out, json_string(line + strlen(aside)));
        else if (strncmp(line, "warning: ", 9) != 0 && !fault) {
            aegis_error_set(error, "%s", line);
            fault = true;
        }
    }
}

bool aegis_validation_reap(struct aegis_validation *validation, bool *good, json_t *left_out,
                           struct aegis_error *error)
{
    int status;

    if (validation->pid == 0 || waitpid(validation->pid, &status, WNOHANG) != validation->pid)
        return false;
    validation->pid = 0;
    drain(validation->output, EV_READ, validation);
    *good = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
    read_lines(validation->said, left_out, error);
    return true;
}

void aegis_validation_free(struct aegis_validation **validation)
{
    if (*validation == NULL)
        return;
    if ((*validation)->pid > 0) {
        kill((*validation)->pid, SIGKILL);
        waitpid((*validation)->pid, NULL, 0);
    }
    event_free((*validation)->readable);
    event_free((*validation)->deadline);
    close((*validation)->output);
    free(*validation);
    *validation = NULL;
}
