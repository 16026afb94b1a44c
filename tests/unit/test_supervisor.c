/* The supervisor with processes that only pretend: this very program, when it is started as `--process=KIND`,
 * writes what it is told into HOME/trace and dies when a signal says so. */
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "gate/base/clock.h"
#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/daemon/checkup.h"
#include "gate/daemon/config.h"
#include "gate/daemon/lock.h"
#include "gate/daemon/supervisor.h"
#include "gate/ipc/process.h"
#include "gate/judge/notepad.h"

enum { PATIENCE_MS = 30000 };

/* ---- the process that pretends ---- */

struct pretender {
    char *name; /* "worker-1" */
    struct aegis_notepad *pad;
};

static struct pretender pretender;

static void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void trace(const char *format, ...)
{
    char *path = aegis_format("%s/trace", getenv("AEGIS_HOME")), line[512];
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600), length;
    va_list arguments;

    va_start(arguments, format);
    length = snprintf(line, sizeof(line), "%s ", pretender.name);
    length += vsnprintf(line + length, sizeof(line) - (size_t)length - 1, format, arguments);
    va_end(arguments);
    line[length++] = '\n';
    if (write(fd, line, (size_t)length) != length)
        abort();
    close(fd);
    free(path);
}

static bool pretend_configure(struct aegis_process *process, const json_t *config, struct aegis_error *error,
                              void *context)
{
    const json_t *quarantined = json_object_get(config, "quarantined");

    (void)process;
    (void)context;
    if (strcmp(aegis_json_text(config, "operator", ""), "refuse-me") == 0)
        return aegis_error_set(error, "operator: expected somebody else");
    trace("configured operator %s quarantined %s", aegis_json_text(config, "operator", "-"),
          json_array_size(quarantined) == 0 ? "nobody" : json_string_value(json_array_get(quarantined, 0)));
    return true;
}

static void pretend_peer(struct aegis_process *process, const char *kind, unsigned index, int fd,
                         void *context)
{
    (void)process;
    (void)context;
    trace("peer %s %u", kind, index);
    (void)fd; /* open for as long as the process lives */
}

static void pretend_listen(struct aegis_process *process, const char *name, int fd, void *context)
{
    char text[64] = "";

    (void)process;
    (void)context;
    if (strcmp(name, "notepad") == 0)
        pretender.pad = mmap(NULL, sizeof(*pretender.pad), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (strncmp(name, "passphrase:", 11) == 0 && read(fd, text, sizeof(text) - 1) < 0)
        abort();
    trace("listen %s %s", name, text);
}

static void pretend_stop(struct aegis_process *process, int64_t deadline_ms, void *context)
{
    (void)deadline_ms;
    (void)context;
    trace("stop");
    aegis_process_exit(process, EXIT_SUCCESS);
}

/* A plugin that takes the judge down, and one that never returns. */
static void crash(int number)
{
    (void)number;
    aegis_notepad_write(pretender.pad, "guilty", 1);
    signal(SIGABRT, SIG_DFL);
    abort();
}

static void hang(int number)
{
    (void)number;
    aegis_notepad_write(pretender.pad, "slow", 1);
    for (;;)
        pause();
}

static int pretend(const char *kind, const char *index)
{
    const struct aegis_process_room room = {
        .name = kind,
        .configure = pretend_configure,
        .peer = pretend_peer,
        .listen = pretend_listen,
        .stop = pretend_stop,
    };
    const struct sigaction crasher = {.sa_handler = crash}, hanger = {.sa_handler = hang};

    pretender.name = aegis_format("%s-%s", kind, index);
    aegis_log_open(pretender.name, AEGIS_LOG_WARNING, false);
    sigaction(SIGUSR1, &crasher, NULL);
    sigaction(SIGUSR2, &hanger, NULL);
    trace("started");
    int status = aegis_process_run(&room);
    free(pretender.name);
    return status;
}

/* ---- a gate of them ---- */

struct gate {
    char *home;
    char *file;
    pid_t pid;
};

static void write_file(const char *path, const char *text)
{
    struct aegis_error error;

    if (!aegis_file_write(path, text, strlen(text), 0600, &error))
        fail_msg("%s", error.text);
}

static void write_config(const struct gate *gate, const char *more)
{
    char *text =
        aegis_format("home: %s\nvault: %s/vault\nworkers: 2\njudge: {timeout_ms: 300}\ndrain_ms: 1000\n%s",
                     gate->home, gate->home, more);

    write_file(gate->file, text);
    free(text);
}

static void gate_start(struct gate *gate)
{
    gate->pid = fork();
    if (gate->pid == 0) {
        struct aegis_error error;
        struct aegis_config *config = aegis_config_load(gate->file, &error);

        aegis_log_open("gate", getenv("AEGIS_TEST_LOG") == NULL ? AEGIS_LOG_ERROR : AEGIS_LOG_DEBUG, false);
        if (getenv("AEGIS_TEST_LOG") == NULL)
            freopen("/dev/null", "w", stderr);
        exit(config == NULL ? EXIT_FAILURE : aegis_supervisor_run(config));
    }
}

static int make(void **state)
{
    struct gate *gate = aegis_alloc(sizeof(*gate));
    char folder[] = "/tmp/aegis-supervisor-XXXXXX";

    gate->home = aegis_strdup(mkdtemp(folder));
    gate->file = aegis_format("%s/aegis.yaml", gate->home);
    setenv("AEGIS_HOME", gate->home, 1);
    *state = gate;
    return 0;
}

static int gate_end(struct gate *gate)
{
    int status = -1;

    waitpid(gate->pid, &status, 0);
    gate->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int tear_down(void **state)
{
    struct gate *gate = *state;
    char *remove = aegis_format("rm -rf %s", gate->home);

    if (gate->pid > 0) {
        kill(gate->pid, SIGKILL);
        gate_end(gate);
    }
    if (system(remove) != 0)
        return -1;
    free(remove);
    free(gate->home);
    free(gate->file);
    free(gate);
    return 0;
}

static void wait_a_little(void)
{
    usleep(5000);
}

static bool is_ready(const struct gate *gate)
{
    json_t *told = aegis_lock_read(gate->home), *process;
    bool ready = told != NULL && strcmp(aegis_json_text(told, "state", ""), "ready") == 0;
    size_t i;

    json_array_foreach(json_object_get(told, "processes"), i, process)
    {
        ready = ready && json_is_true(json_object_get(process, "ready"));
    }
    json_decref(told);
    return ready;
}

static void wait_ready(const struct gate *gate)
{
    int64_t end = aegis_clock_boot() + PATIENCE_MS;

    while (!is_ready(gate)) {
        assert_true(aegis_clock_boot() < end);
        assert_int_equal(kill(gate->pid, 0), 0);
        wait_a_little();
    }
}

static pid_t pid_of(const struct gate *gate, const char *kind, int index)
{
    json_t *told = aegis_lock_read(gate->home), *process;
    pid_t pid = 0;
    size_t i;

    json_array_foreach(json_object_get(told, "processes"), i, process)
    {
        if (strcmp(aegis_json_text(process, "kind", ""), kind) == 0 &&
            aegis_json_integer(process, "index", -1) == index)
            pid = (pid_t)aegis_json_integer(process, "pid", 0);
    }
    json_decref(told);
    return pid;
}

/* How often the line stands in the trace. */
static int traced(const struct gate *gate, const char *line)
{
    char *path = aegis_format("%s/trace", gate->home), *text;
    struct aegis_error error;
    size_t size;
    int times = 0;

    text = aegis_file_read(path, 1 << 20, AEGIS_FILE_ANY, &size, &error);
    for (char *at = text; at != NULL && (at = strstr(at, line)) != NULL; at++)
        times += at == text || at[-1] == '\n';
    free(text);
    free(path);
    return times;
}

static void wait_traced(const struct gate *gate, const char *line, int times)
{
    int64_t end = aegis_clock_boot() + PATIENCE_MS;

    while (traced(gate, line) < times) {
        if (aegis_clock_boot() > end)
            fail_msg("\"%s\" did not come %d times", line, times);
        wait_a_little();
    }
}

/* Kills the process with `number` and waits until another one has its place. */
static void kill_and_wait(const struct gate *gate, const char *kind, int index, int number)
{
    pid_t before = pid_of(gate, kind, index), now;
    int64_t end = aegis_clock_boot() + PATIENCE_MS;

    assert_true(before > 0);
    assert_int_equal(kill(before, number), 0);
    while ((now = pid_of(gate, kind, index)) == before || now == 0 || !is_ready(gate)) {
        if (aegis_clock_boot() > end)
            fail_msg("%s %d did not come back", kind, index);
        wait_a_little();
    }
}

static void begin(struct gate *gate, const char *more)
{
    write_config(gate, more);
    gate_start(gate);
    wait_ready(gate);
}

static void stop_well(struct gate *gate)
{
    kill(gate->pid, SIGTERM);
    assert_int_equal(gate_end(gate), EXIT_SUCCESS);
}

static int reloads(const struct gate *gate)
{
    json_t *told = aegis_lock_read(gate->home);
    int number = (int)aegis_json_integer(json_object_get(told, "reload"), "number", 0);

    json_decref(told);
    return number;
}

/* Sends SIGHUP and returns what the reload ended with; the caller frees. */
static char *reload(const struct gate *gate)
{
    int before = reloads(gate);
    int64_t end = aegis_clock_boot() + PATIENCE_MS;
    json_t *told;
    char *problem;

    kill(gate->pid, SIGHUP);
    while (reloads(gate) == before) {
        assert_true(aegis_clock_boot() < end);
        wait_a_little();
    }
    wait_ready(gate);
    told = aegis_lock_read(gate->home);
    problem = aegis_strdup(aegis_json_text(json_object_get(told, "reload"), "problem", ""));
    json_decref(told);
    return problem;
}

/* A port that nobody has at the moment. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static bool answers(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

    close(fd);
    return connected;
}

static char *tcp_listener(const char *name, int port, const char *more)
{
    return aegis_format("listeners:\n  - {name: %s, address: '127.0.0.1:%d'}\n%s", name, port, more);
}

/* ---- tests ---- */

static void everybody_is_connected_along_the_edges(void **state)
{
    struct gate *gate = *state;
    int port = free_port();
    char *config = tcp_listener("agents", port, "");

    begin(gate, config);
    wait_traced(gate, "keeper-0 listen control", 1);
    wait_traced(gate, "judge-0 listen notepad", 1);
    for (int i = 0; i < 2; i++) {
        char *lines[] = {
            aegis_format("worker-%d peer keeper 0", i), aegis_format("worker-%d peer judge 0", i),
            aegis_format("worker-%d listen agents", i), aegis_format("keeper-0 peer worker %d", i),
            aegis_format("judge-0 peer worker %d", i),
        };
        for (size_t l = 0; l < sizeof(lines) / sizeof(lines[0]); l++) {
            wait_traced(gate, lines[l], 1);
            free(lines[l]);
        }
    }
    wait_traced(gate, "keeper-0 peer judge 0", 1);
    wait_traced(gate, "keeper-0 peer witness 0", 1);
    wait_traced(gate, "keeper-0 peer courier 0", 1);
    wait_traced(gate, "judge-0 peer runner 0", 1);
    wait_traced(gate, "runner-0 peer judge 0", 1);
    assert_int_equal(traced(gate, "runner-0 peer keeper"), 0);
    assert_int_equal(traced(gate, "worker-0 peer witness"), 0);
    assert_int_equal(traced(gate, "worker-0 peer courier"), 0);
    assert_true(answers(port));
    stop_well(gate);
    assert_false(answers(port));
    free(config);
}

static void what_dies_comes_back_and_is_introduced(void **state)
{
    struct gate *gate = *state;
    static const struct {
        const char *kind;
        int index;
        const char *seen_by_others;
    } victims[] = {
        {"keeper", 0, "worker-1 peer keeper 0"},   {"judge", 0, "keeper-0 peer judge 0"},
        {"worker", 1, "keeper-0 peer worker 1"},   {"runner", 0, "judge-0 peer runner 0"},
        {"witness", 0, "keeper-0 peer witness 0"}, {"courier", 0, "keeper-0 peer courier 0"},
    };
    int port = free_port();
    char *config = tcp_listener("agents", port, "");

    begin(gate, config);
    for (size_t i = 0; i < sizeof(victims) / sizeof(victims[0]); i++) {
        int before;

        wait_traced(gate, victims[i].seen_by_others, 1);
        before = traced(gate, victims[i].seen_by_others);
        kill_and_wait(gate, victims[i].kind, victims[i].index, SIGKILL);
        wait_traced(gate, victims[i].seen_by_others, before + 1);
    }
    wait_traced(gate, "worker-1 listen agents", 2);
    assert_true(answers(port));
    stop_well(gate);
    free(config);
}

static void processes_stop_in_order(void **state)
{
    struct gate *gate = *state;
    char *path = aegis_format("%s/trace", gate->home), *text, *worker, *judge, *keeper, *courier;
    struct aegis_error error;
    size_t size;

    begin(gate, "");
    stop_well(gate);
    text = aegis_file_read(path, 1 << 20, AEGIS_FILE_ANY, &size, &error);
    assert_non_null(text);
    worker = strstr(text, "worker-0 stop");
    judge = strstr(text, "judge-0 stop");
    keeper = strstr(text, "keeper-0 stop");
    courier = strstr(text, "courier-0 stop");
    assert_true(worker != NULL && worker < judge && judge < keeper && keeper < courier);
    free(text);
    free(path);
}

static void two_gates_never_share_a_home(void **state)
{
    struct gate *gate = *state;
    struct gate second = {gate->home, gate->file, 0};

    begin(gate, "");
    gate_start(&second);
    assert_int_equal(gate_end(&second), EXIT_FAILURE);
    assert_true(is_ready(gate));
    assert_int_equal(aegis_lock_holder(gate->home), gate->pid);
    stop_well(gate);
    assert_int_equal(aegis_lock_holder(gate->home), 0);
}

static void an_address_is_never_shared(void **state)
{
    struct gate *gate = *state;
    int port = free_port(), on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    char *config = tcp_listener("agents", port, "");

    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    write_config(gate, config);
    gate_start(gate);
    assert_int_equal(gate_end(gate), EXIT_FAILURE);
    close(fd);
    free(config);
}

static void everybody_dies_with_the_supervisor(void **state)
{
    struct gate *gate = *state;
    static const char *const kinds[] = {"keeper", "judge", "runner", "witness", "courier", "worker"};
    pid_t pids[6];
    int64_t end;

    begin(gate, "");
    for (size_t i = 0; i < 6; i++)
        pids[i] = pid_of(gate, kinds[i], 0);
    kill(gate->pid, SIGKILL);
    gate_end(gate);
    end = aegis_clock_boot() + PATIENCE_MS;
    for (size_t i = 0; i < 6; i++)
        while (kill(pids[i], 0) == 0) {
            assert_true(aegis_clock_boot() < end);
            wait_a_little();
        }
    gate_start(gate); /* what was left behind is in nobody's way */
    wait_ready(gate);
    stop_well(gate);
}

static void a_policy_that_kills_the_judge_twice_is_quarantined(void **state)
{
    struct gate *gate = *state;
    char *problem;

    begin(gate, "");
    wait_traced(gate, "judge-0 listen notepad", 1);
    kill_and_wait(gate, "judge", 0, SIGUSR1);
    wait_traced(gate, "judge-0 listen notepad", 2);
    assert_int_equal(traced(gate, "judge-0 configured operator - quarantined nobody"), 2);
    kill_and_wait(gate, "judge", 0, SIGUSR1);
    wait_traced(gate, "judge-0 configured operator - quarantined guilty", 1);
    problem = reload(gate); /* an operator has looked */
    assert_string_equal(problem, "");
    wait_traced(gate, "judge-0 configured operator - quarantined nobody", 3);
    stop_well(gate);
    free(problem);
}

static void killing_the_judge_from_outside_proves_nothing(void **state)
{
    struct gate *gate = *state;

    begin(gate, "");
    wait_traced(gate, "judge-0 listen notepad", 1);
    kill_and_wait(gate, "judge", 0, SIGUSR1);
    kill_and_wait(gate, "judge", 0, SIGKILL);
    kill_and_wait(gate, "judge", 0, SIGKILL);
    wait_traced(gate, "judge-0 configured", 4);
    assert_int_equal(traced(gate, "judge-0 configured operator - quarantined nobody"), 4);
    stop_well(gate);
}

static void a_judge_that_hangs_is_killed(void **state)
{
    struct gate *gate = *state;

    begin(gate, "");
    wait_traced(gate, "judge-0 listen notepad", 1);
    kill_and_wait(gate, "judge", 0, SIGUSR2);
    wait_traced(gate, "judge-0 listen notepad", 2);
    kill_and_wait(gate, "judge", 0, SIGUSR2);
    wait_traced(gate, "judge-0 configured operator - quarantined slow", 1);
    stop_well(gate);
}

static void a_reload_changes_options_and_listeners(void **state)
{
    struct gate *gate = *state;
    int old = free_port(), new = free_port();
    char *before = tcp_listener("agents", old, "operator: alice\n");
    char *after = aegis_format("listeners:\n  - {name: agents, address: '127.0.0.1:%d'}\n"
                               "  - {name: more, address: 'unix:%s/more.sock'}\noperator: bob\n",
                               new, gate->home);
    char *path = aegis_format("%s/more.sock", gate->home), *problem;
    struct stat status;
    pid_t keeper, judge;

    begin(gate, before);
    keeper = pid_of(gate, "keeper", 0);
    judge = pid_of(gate, "judge", 0);
    write_config(gate, after);
    problem = reload(gate);
    assert_string_equal(problem, "");
    wait_traced(gate, "keeper-0 configured operator bob", 1);
    wait_traced(gate, "worker-0 listen agents", 2);
    wait_traced(gate, "worker-1 listen more", 1);
    wait_traced(gate, "judge-0 stop", 1);
    assert_int_equal(pid_of(gate, "keeper", 0), keeper);
    assert_int_not_equal(pid_of(gate, "judge", 0), judge);
    assert_true(answers(new));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    stop_well(gate);
    assert_int_not_equal(stat(path, &status), 0);
    free(problem);
    free(path);
    free(before);
    free(after);
}

static void a_bad_configuration_leaves_the_old_one(void **state)
{
    struct gate *gate = *state;
    char *expected = aegis_format("%s:6: payment: expected a mapping, found 7", gate->file), *problem;
    pid_t judge;

    begin(gate, "operator: alice\n");
    judge = pid_of(gate, "judge", 0);
    write_config(gate, "payment: 7\n");
    problem = reload(gate);
    assert_string_equal(problem, expected);
    free(problem);
    /* Good in itself, but one of the processes does not take it. */
    write_config(gate, "operator: refuse-me\n");
    problem = reload(gate);
    assert_non_null(strstr(problem, "operator: expected somebody else"));
    free(problem);
    wait_traced(gate, "keeper-0 configured operator alice", 2);
    assert_int_not_equal(pid_of(gate, "judge", 0), judge);
    stop_well(gate);
    free(expected);
}

/* Other tools keep their documents in the same folder. */
static void a_broken_document_that_nobody_needs_stops_nothing(void **state)
{
    struct gate *gate = *state;
    char *folder = aegis_format("%s/vault/policies", gate->home), *problem;
    char *path = aegis_format("%s/strange.json", folder);
    struct aegis_error error;

    begin(gate, "");
    assert_true(aegis_folder_make(folder, 0700, &error));
    assert_true(aegis_file_write(path, "{\"id\":", 6, 0600, &error));
    problem = reload(gate);
    assert_string_equal(problem, "");
    free(problem);
    write_config(gate, "policies: [strange]\n");
    problem = reload(gate);
    assert_ptr_equal(strstr(problem, path), problem);
    free(problem);
    stop_well(gate);
    free(path);
    free(folder);
}

static void a_second_signal_does_not_wait(void **state)
{
    struct gate *gate = *state;
    int64_t end = aegis_clock_boot() + PATIENCE_MS;
    pid_t courier;

    begin(gate, "");
    courier = pid_of(gate, "courier", 0);
    kill(pid_of(gate, "worker", 0), SIGSTOP); /* it will not finish */
    kill(gate->pid, SIGTERM);
    wait_traced(gate, "worker-1 stop", 1);
    kill(gate->pid, SIGTERM);
    assert_int_equal(gate_end(gate), EXIT_SUCCESS);
    assert_int_equal(traced(gate, "courier-0 started"), 1);
    while (kill(courier, 0) == 0)
        assert_true(aegis_clock_boot() < end);
}

static void a_reload_that_comes_early_is_not_lost(void **state)
{
    struct gate *gate = *state;
    int64_t end = aegis_clock_boot() + PATIENCE_MS;

    write_config(gate, "");
    gate_start(gate);
    wait_traced(gate, "keeper-0 started", 1);
    kill(gate->pid, SIGHUP);
    while (reloads(gate) == 0) {
        assert_true(aegis_clock_boot() < end);
        wait_a_little();
    }
    wait_ready(gate);
    stop_well(gate);
}

static void a_passphrase_reaches_the_keeper_only(void **state)
{
    struct gate *gate = *state;
    char *path = aegis_format("%s/passphrase", gate->home);
    char *config =
        aegis_format("listeners:\n  - name: local\n    address: unix:%s/local.sock\n    owner: {agent: me, "
                     "wallet: w, policies: [], passphrase_file: %s}\n",
                     gate->home, path);

    write_file(path, "open sesame");
    begin(gate, config);
    wait_traced(gate, "keeper-0 listen passphrase:local open sesame", 1);
    kill_and_wait(gate, "keeper", 0, SIGKILL);
    wait_traced(gate, "keeper-0 listen passphrase:local open sesame", 2);
    assert_int_equal(traced(gate, "worker-0 listen passphrase"), 0);
    stop_well(gate);
    free(path);
    free(config);
}

static const char *argument(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], name, strlen(name)) == 0)
            return argv[i] + strlen(name);
    return NULL;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everybody_is_connected_along_the_edges, make, tear_down),
        cmocka_unit_test_setup_teardown(processes_stop_in_order, make, tear_down),
        cmocka_unit_test_setup_teardown(what_dies_comes_back_and_is_introduced, make, tear_down),
        cmocka_unit_test_setup_teardown(two_gates_never_share_a_home, make, tear_down),
        cmocka_unit_test_setup_teardown(an_address_is_never_shared, make, tear_down),
        cmocka_unit_test_setup_teardown(everybody_dies_with_the_supervisor, make, tear_down),
        cmocka_unit_test_setup_teardown(a_policy_that_kills_the_judge_twice_is_quarantined, make, tear_down),
        cmocka_unit_test_setup_teardown(killing_the_judge_from_outside_proves_nothing, make, tear_down),
        cmocka_unit_test_setup_teardown(a_judge_that_hangs_is_killed, make, tear_down),
        cmocka_unit_test_setup_teardown(a_reload_changes_options_and_listeners, make, tear_down),
        cmocka_unit_test_setup_teardown(a_bad_configuration_leaves_the_old_one, make, tear_down),
        cmocka_unit_test_setup_teardown(a_broken_document_that_nobody_needs_stops_nothing, make, tear_down),
        cmocka_unit_test_setup_teardown(a_second_signal_does_not_wait, make, tear_down),
        cmocka_unit_test_setup_teardown(a_reload_that_comes_early_is_not_lost, make, tear_down),
        cmocka_unit_test_setup_teardown(a_passphrase_reaches_the_keeper_only, make, tear_down),
    };
    const char *kind = argument(argc, argv, "--process=");

    if (sodium_init() < 0)
        return EXIT_FAILURE;
    if (kind != NULL)
        return pretend(kind, argument(argc, argv, "--index="));
    if (argc == 5 && strcmp(argv[1], "-t") == 0)
        return aegis_checkup(argv[4], true) ? EXIT_SUCCESS : EXIT_FAILURE;
    aegis_log_open("test", AEGIS_LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
