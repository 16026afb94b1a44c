/* The worker as a process of its own, confined, with this test as its supervisor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/ipc/process.h"
#include "gate/proxy/worker.h"
#include "tests/unit/proxy_street.h"

struct supervisor {
    struct street *street; /* for its origin and its keeper */
    struct aegis_channel *control;
    pid_t worker;
    int64_t ready; /* the generation that is in force */
    int64_t failed;
    char error[256];
    int64_t pong;
    bool gone;
};

static void on_ready(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)channel, (void)fd;
    ((struct supervisor *)context)->ready = aegis_json_integer(message, "generation", 0);
}

static void on_failed(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)channel, (void)fd;
    struct supervisor *supervisor = context;
    supervisor->failed = aegis_json_integer(message, "generation", 0);
    strncpy(supervisor->error, aegis_json_text(message, "error", ""), sizeof(supervisor->error) - 1);
}

static void on_pong(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)channel, (void)fd;
    ((struct supervisor *)context)->pong = aegis_json_integer(message, "number", 0);
}

static void on_gone(struct aegis_channel *channel, const char *reason, void *context)
{
    (void)channel, (void)reason;
    ((struct supervisor *)context)->gone = true;
}

static const struct aegis_channel_rule rules[] = {
    {&aegis_message_ready, 0, on_ready},
    {&aegis_message_failed, 0, on_failed},
    {&aegis_message_pong, 0, on_pong},
    {NULL, 0, NULL},
};

static void become_worker(int control)
{
    if (control != AEGIS_PROCESS_CONTROL)
        dup2(control, AEGIS_PROCESS_CONTROL);
    fcntl(AEGIS_PROCESS_CONTROL, F_SETFD, 0);
    for (int fd = AEGIS_PROCESS_CONTROL + 1; fd < 1024; fd++)
        close(fd);
    aegis_log_open("worker", AEGIS_LOG_ERROR, false);
    _exit(aegis_worker_run());
}

static int set_up(void **state)
{
    int pair[2];
    struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    supervisor->worker = fork();
    assert_true(supervisor->worker >= 0);
    if (supervisor->worker == 0)
        become_worker(pair[1]);
    close(pair[1]);
    supervisor->street = street_new(NULL, NULL);
    struct aegis_channel_options options = {.peer = "worker",
                                            .rules = rules,
                                            .receive_limit = 65536,
                                            .backlog_limit = 1 << 20,
                                            .descriptors = true,
                                            .closed = on_gone,
                                            .context = supervisor};
    supervisor->control = aegis_channel_new(supervisor->street->base, pair[0], &options);
    *state = supervisor;
    return 0;
}

static int tear_down(void **state)
{
    struct supervisor *supervisor = *state;
    int status = 0;
    aegis_channel_free(&supervisor->control);
    street_free(supervisor->street);
    if (supervisor->worker > 0)
        waitpid(supervisor->worker, &status, 0);
    free(supervisor);
    return 0;
}

static void configure(struct supervisor *supervisor, int64_t generation, json_t *config)
{
    aegis_channel_send(supervisor->control, &aegis_message_configure,
                       json_pack("{s:I, s:o}", "generation", (json_int_t)generation, "config", config));
}

static void hand_over(struct supervisor *supervisor)
{
    struct street *street = supervisor->street;
    int keeper = street_keeper_end(street);
    aegis_channel_send_descriptor(supervisor->control, &aegis_message_peer,
                                  json_pack("{s:s, s:i}", "kind", "keeper", "index", 0), keeper);
    close(keeper);
    int listener = street_listen(&street->port);
    aegis_channel_send_descriptor(supervisor->control, &aegis_message_listen,
                                  json_pack("{s:s}", "name", "agents"), listener);
    close(listener);
}

static void a_worker_serves_until_it_is_stopped(void **state)
{
    struct supervisor *supervisor = *state;
    struct street *street = supervisor->street;
    configure(supervisor, 1, street_config(NULL, NULL));
    STREET_UNTIL(street, supervisor->ready == 1);
    hand_over(supervisor);
    street->serve = street_serve_paid;
    struct wire *agent = street_fetch(street, "GET", "/", "", "");
    assert_int_equal(street_status(agent), 200);
    assert_true(street_heard(agent, "Aegis-Payment: pay_1; state=settled\r\n"));
    STREET_UNTIL(street, street->outcome_count == 1);
    aegis_channel_send(supervisor->control, &aegis_message_ping, json_pack("{s:i}", "number", 7));
    STREET_UNTIL(street, supervisor->pong == 7);
    aegis_channel_send(supervisor->control, &aegis_message_stop, json_pack("{s:i}", "deadline_ms", 3000));
    STREET_UNTIL(street, supervisor->gone);
    int status = -1;
    assert_int_equal(waitpid(supervisor->worker, &status, 0), supervisor->worker);
    supervisor->worker = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    STREET_UNTIL(street, agent->closed);
}

static void a_bad_configuration_leaves_the_old_one(void **state)
{
    struct supervisor *supervisor = *state;
    struct street *street = supervisor->street;
    configure(supervisor, 1, street_config(NULL, NULL));
    STREET_UNTIL(street, supervisor->ready == 1);
    hand_over(supervisor);
    configure(supervisor, 2,
              json_pack("{s:[{s:s, s:s}]}", "listeners", "name", "agents", "mode", "sideways"));
    STREET_UNTIL(street, supervisor->failed == 2);
    assert_non_null(strstr(supervisor->error, "listeners[0]: mode"));
    json_t *moved = street_config(NULL, NULL);
    json_object_set_new(moved, "ca_file", json_string("/elsewhere.pem"));
    configure(supervisor, 3, moved);
    STREET_UNTIL(street, supervisor->failed == 3);
    assert_non_null(strstr(supervisor->error, "ca_file"));
    assert_int_equal(street_status(street_fetch(street, "GET", "/", "", "")), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_worker_serves_until_it_is_stopped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bad_configuration_leaves_the_old_one, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
