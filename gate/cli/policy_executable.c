/* aegis-policy: the executable that our policy documents name, so that a signature which is asked of stock
 * OWS, past the gate, is judged by the same policies and counted against the same caps. It reads a
 * PolicyContext and writes a PolicyResult; the running gate decides. No gate, or any doubt: denied. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/daemon/home.h"
#include "gate/ipc/channel.h"
#include "gate/judge/context.h"

/* OWS waits five seconds. */
enum { INPUT_LIMIT = 1 << 20, READ_MS = 2000, ANSWER_MS = 2500, ANSWER_LIMIT = 1 << 16 };

static int answer(bool allow, const char *reason)
{
    json_t *result = json_pack("{s:b}", "allow", allow);
    if (!allow)
        json_object_set_new(result, "reason", json_string(reason));
    char *text = json_dumps(result, JSON_COMPACT);
    puts(text == NULL ? "{\"allow\":false}" : text);
    free(text);
    json_decref(result);
    return EXIT_SUCCESS;
}

/* All of standard input, or NULL when it is too long or does not end. The caller frees. */
static char *read_input(size_t *length, struct aegis_error *error)
{
    int64_t end = aegis_clock_boot() + READ_MS;
    char *text = aegis_alloc(INPUT_LIMIT + 1);
    *length = 0;
    while (*length <= INPUT_LIMIT) {
        struct pollfd waiting = {.fd = STDIN_FILENO, .events = POLLIN};
        int64_t left = end - aegis_clock_boot();
        if (left <= 0 || poll(&waiting, 1, (int)left) <= 0)
            break;
        ssize_t size = read(STDIN_FILENO, text + *length, INPUT_LIMIT + 1 - *length);
        if (size == 0)
            return text;
        if (size < 0)
            break;
        *length += (size_t)size;
    }
    aegis_error_set(error, "the context is too long, or does not end");
    free(text);
    return NULL;
}

/* Whoever answers must be the user whose gate it is: the path alone proves nothing. */
static bool peer_is_ours(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static int connect_gate(struct aegis_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *home = aegis_home_default(), *path = aegis_format("%s/control.sock", home);
    bool fits = aegis_text_copy(address.sun_path, sizeof(address.sun_path), path);
    free(home);
    free(path);
    int fd = fits ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && peer_is_ours(fd))
        return fd;
    if (fd >= 0)
        close(fd);
    aegis_error_set(error, "there is no running gate to ask");
    return -1;
}

/* The gate's answer, or NULL. Steals `payment`. New reference. */
static json_t *ask_gate(json_t *payment, struct aegis_error *error)
{
    json_t *reply = NULL,
           *question = json_pack("{s:i,s:s,s:o}", "id", 1, "name", "external", "arguments", payment);
    int fd = connect_gate(error);
    if (fd < 0) {
        json_decref(question);
        return NULL;
    }
    if (aegis_channel_write_blocking(fd, &aegis_message_command, question, error))
        reply = aegis_channel_read_blocking(fd, &aegis_message_answer, ANSWER_LIMIT, ANSWER_MS, error);
    close(fd);
    return reply;
}

int main(void)
{
    struct aegis_error error = {{0}};
    size_t length;
    aegis_log_open("aegis-policy", AEGIS_LOG_ERROR, false);
    signal(SIGPIPE, SIG_IGN);
    char *input = read_input(&length, &error);
    json_t *payment = input == NULL ? NULL : aegis_context_payment(input, length, &error);
    free(input);
    if (payment == NULL)
        return answer(false, error.text);
    json_t *reply = ask_gate(payment, &error);
    const json_t *body = json_object_get(reply, "body");
    bool allow = aegis_json_boolean(reply, "ok", false) && json_is_object(body) &&
                 json_is_true(json_object_get(body, "allow"));
    const char *reason = aegis_json_text(body, "reason", aegis_json_text(reply, "error", error.text));
    int status = answer(allow, *reason == '\0' ? "the gate denied it" : reason);
    json_decref(reply);
    return status;
}
