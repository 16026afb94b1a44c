/* The judge process on its channels: configured, asked by a keeper and a worker, helped by a runner. */
#include "tests/unit/judging.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate/ipc/channel.h"
#include "gate/ipc/process.h"
#include "gate/judge/judge.h"

enum { LIMIT = 1 << 20, PATIENCE_MS = 20000 };

struct bench {
    pid_t process;
    int control;
    int keeper;
    int worker;
    int runner;
};

static void send_message(int fd, const struct aegis_message *type, json_t *body)
{
    struct aegis_error error = {{0}};
    if (!aegis_channel_write_blocking(fd, type, body, &error))
        fail_msg("%s", error.text);
}

static json_t *receive(int fd, const struct aegis_message *type)
{
    struct aegis_error error = {{0}};
    json_t *message = aegis_channel_read_blocking(fd, type, LIMIT, PATIENCE_MS, &error);
    if (message == NULL)
        fail_msg("%s: %s", type->name, error.text);
    return message;
}

/* A frame with a descriptor, as the supervisor sends it. */
static void send_descriptor(int control, const char *frame, int fd)
{
    uint32_t length = (uint32_t)strlen(frame);
    /* The highest bit of the length says that a descriptor comes along. */
    unsigned char head[4] = {(unsigned char)(length >> 24 | 0x80), (unsigned char)(length >> 16),
                             (unsigned char)(length >> 8), (unsigned char)length};
    char space[CMSG_SPACE(sizeof(int))];
    struct iovec parts[] = {{head, sizeof(head)}, {(void *)frame, length}};
    struct msghdr message = {
        .msg_iov = parts, .msg_iovlen = 2, .msg_control = space, .msg_controllen = sizeof(space)};
    memset(space, 0, sizeof(space));
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
    assert_int_equal(sendmsg(control, &message, 0), (ssize_t)(sizeof(head) + length));
    close(fd);
}

/* Waits until everything that was sent on `control` has been handled: the other channels do not wait for
 * it. */
static void settle(int control)
{
    send_message(control, &aegis_message_ping, json_pack("{s:i}", "number", 1));
    json_decref(receive(control, &aegis_message_pong));
}

static int peer(int control, const char *kind)
{
    int ends[2];
    char frame[128];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    snprintf(frame, sizeof(frame), "{\"type\":\"peer\",\"kind\":\"%s\",\"index\":0}", kind);
    send_descriptor(control, frame, ends[1]);
    settle(control);
    return ends[0];
}

static json_t *configuration(const char *documents)
{
    json_t *short_ones = judging_json(documents), *json, *whole = json_array();
    size_t index;
    json_array_foreach(short_ones, index, json)
        json_array_append_new(whole, judging_document(json_incref(json)));
    json_decref(short_ones);
    return json_pack("{s:i,s:{s:o,s:[s,s],s:[],s:i,s:b}}", "generation", 1, "config", "documents", whole,
                     "plugin_path", "plugins", "tests/plugins", "quarantined", "memory_bytes", 67108864,
                     "notepad", 1);
}

static void bench_start(struct bench *bench)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    bench->process = fork();
    assert_true(bench->process >= 0);
    if (bench->process == 0) {
        close(ends[0]);
        dup2(ends[1], AEGIS_PROCESS_CONTROL);
        if (ends[1] != AEGIS_PROCESS_CONTROL)
            close(ends[1]);
        fclose(stdout);
        _exit(aegis_judge_run());
    }
    close(ends[1]);
    bench->control = ends[0];
}

static void bench_open(struct bench *bench, const char *documents)
{
    bench_start(bench);
    send_message(bench->control, &aegis_message_configure, configuration(documents));
    json_decref(receive(bench->control, &aegis_message_ready));
    bench->keeper = peer(bench->control, "keeper");
    bench->worker = peer(bench->control, "worker");
    bench->runner = peer(bench->control, "runner");
}

static int bench_close(struct bench *bench)
{
    int status;
    send_message(bench->control, &aegis_message_stop, json_pack("{s:i}", "deadline_ms", 1000));
    assert_int_equal(waitpid(bench->process, &status, 0), bench->process);
    close(bench->control);
    close(bench->keeper);
    close(bench->worker);
    close(bench->runner);
    return status;
}

static void ask(const struct bench *bench, int id, const char *policy, json_t *facts)
{
    send_message(bench->keeper, &aegis_message_judge,
                 json_pack("{s:i,s:s,s:[s],s:o,s:o,s:I}", "id", id, "operation", "payment", "policies",
                           policy, "subject", judging_subject("1000000", NULL), "facts", facts, "now",
                           (json_int_t)JUDGING_NOW));
}

static void expect_verdict(const struct bench *bench, int id, const char *expected)
{
    json_t *verdict = receive(bench->keeper, &aegis_message_verdict);
    assert_int_equal(json_integer_value(json_object_get(verdict, "id")), id);
    assert_string_equal(json_string_value(json_object_get(verdict, "verdict")), expected);
    json_decref(verdict);
}

#define BUDGET                                                                                               \
    "{\"id\":\"b\",\"plugin\":\"budget\",\"config\":{\"limits\":[{\"chainId\":\"*\",\"token\":\"*\","        \
    "\"daily\":\"1\"}]}}"
#define GUARD "{\"id\":\"g\",\"plugin\":\"guard\",\"config\":{\"hosts\":{\"block\":[\"evil.com\"]}}}"

static void test_keeper(void **state)
{
    struct bench bench;
    (void)state;
    bench_open(&bench, "[" BUDGET "," GUARD "]");
    json_t *loaded = receive(bench.keeper, &aegis_message_loaded);
    json_t *rows = json_object_get(loaded, "policies");
    assert_int_equal(json_array_size(rows), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "id")), "g");
    json_t *checks = json_object_get(json_array_get(rows, 1), "checks");
    assert_string_equal(json_string_value(json_array_get(checks, 1)), "request");
    json_decref(loaded);

    ask(&bench, 1, "b", json_object());
    json_t *need = receive(bench.keeper, &aegis_message_need);
    assert_int_equal(json_array_size(json_object_get(need, "facts")), 1);
    json_t *facts = json_object();
    judging_nothing(json_object_get(need, "facts"), facts);
    json_decref(need);
    ask(&bench, 2, "b", facts);
    expect_verdict(&bench, 2, "allow");
    facts = json_object();
    judging_spent(facts, "spent/agent/day/*/*", "1", "0", 1, JUDGING_NOW + 1);
    ask(&bench, 3, "b", facts);
    expect_verdict(&bench, 3, "deny");

    /* A question that makes no sense is answered with a failure. */
    send_message(bench.keeper, &aegis_message_judge,
                 json_pack("{s:i,s:s,s:[s],s:{},s:{},s:I}", "id", 4, "operation", "payment", "policies", "b",
                           "subject", "facts", "now", (json_int_t)JUDGING_NOW));
    expect_verdict(&bench, 4, "error");
    send_message(bench.keeper, &aegis_message_observe,
                 json_pack("{s:[s],s:o,s:s,s:s,s:I}", "policies", "b", "subject", judging_subject("1", NULL),
                           "payment", "pay_1", "state", "settled", "now", (json_int_t)JUDGING_NOW));
    assert_int_equal(bench_close(&bench), 0);
}

static void test_worker(void **state)
{
    static const struct {
        const char *host, *verdict;
    } cases[] = {{"good.com", "allow"}, {"evil.com", "deny"}};
    struct bench bench;
    (void)state;
    bench_open(&bench, "[" GUARD "]");
    for (int i = 0; i < 2; i++) {
        send_message(bench.worker, &aegis_message_check,
                     json_pack("{s:i,s:s,s:s,s:[s],s:s,s:s,s:s}", "id", i, "agent", "a", "agent_name", "A",
                               "policies", "g", "method", "GET", "url", "http://x/", "host", cases[i].host));
        json_t *checked = receive(bench.worker, &aegis_message_checked);
        assert_int_equal(json_integer_value(json_object_get(checked, "id")), i);
        assert_string_equal(json_string_value(json_object_get(checked, "verdict")), cases[i].verdict);
        assert_int_equal(json_integer_value(json_object_get(checked, "cache_ms")), 60000);
        json_decref(checked);
    }
    assert_int_equal(bench_close(&bench), 0);
}

static json_t *exec_facts(void)
{
    json_t *facts = json_object();
    judging_spent(facts, "spent/agent/day/eip155:8453/USDC", "0", "0", 0, JUDGING_NOW + 1);
    return facts;
}

static void run_answer(const struct bench *bench, const char *output)
{
    json_t *run = receive(bench->runner, &aegis_message_run);
    assert_string_equal(json_string_value(json_object_get(run, "executable")), "check");
    send_message(bench->runner, &aegis_message_ran,
                 json_pack("{s:O,s:i,s:s,s:s}", "id", json_object_get(run, "id"), "status", 0, "output",
                           output, "error", ""));
    json_decref(run);
}

static void test_runner(void **state)
{
    struct bench bench;
    (void)state;
    bench_open(&bench, "[{\"id\":\"x\",\"executable\":\"check\"}," BUDGET "]");
    json_decref(receive(bench.keeper, &aegis_message_loaded));
    ask(&bench, 1, "x", exec_facts());
    run_answer(&bench, "{\"allow\":true}");
    expect_verdict(&bench, 1, "allow");
    ask(&bench, 2, "x", exec_facts());
    run_answer(&bench, "{\"allow\":false}");
    expect_verdict(&bench, 2, "deny");

    /* Others are judged while one waits for its executable. */
    ask(&bench, 3, "x", exec_facts());
    ask(&bench, 4, "b", json_object());
    json_decref(receive(bench.keeper, &aegis_message_need));
    /* A runner that dies is a failure of the policy. */
    close(bench.runner);
    expect_verdict(&bench, 3, "error");
    ask(&bench, 5, "x", exec_facts());
    expect_verdict(&bench, 5, "error");
    bench.runner = peer(bench.control, "runner");
    ask(&bench, 6, "x", exec_facts());
    run_answer(&bench, "{\"allow\":true}");
    expect_verdict(&bench, 6, "allow");
    assert_int_equal(bench_close(&bench), 0);
}

static void test_reload(void **state)
{
    struct bench bench;
    (void)state;
    bench_open(&bench, "[" BUDGET "," GUARD "]");
    json_decref(receive(bench.keeper, &aegis_message_loaded));
    /* A bad one changes nothing. */
    send_message(bench.control, &aegis_message_configure,
                 configuration("[{\"id\":\"z\",\"plugin\":\"budget\"}]"));
    json_t *failed = receive(bench.control, &aegis_message_failed);
    assert_non_null(
        strstr(json_string_value(json_object_get(failed, "error")), "policies/z.json: config: limits"));
    json_decref(failed);
    ask(&bench, 1, "b", json_object());
    json_decref(receive(bench.keeper, &aegis_message_need));
    /* A good one is in force at once, though the process opens no files any more. */
    send_message(bench.control, &aegis_message_configure, configuration("[" GUARD "]"));
    json_decref(receive(bench.control, &aegis_message_ready));
    json_decref(receive(bench.keeper, &aegis_message_loaded));
    ask(&bench, 2, "g", json_object());
    expect_verdict(&bench, 2, "allow");
    ask(&bench, 3, "b", json_object());
    expect_verdict(&bench, 3, "error");
    /* Code that is not in the process yet needs a new process. */
    send_message(bench.control, &aegis_message_configure,
                 configuration("[{\"id\":\"s\",\"plugin\":\"sample\",\"config\":{\"first\":1}}]"));
    failed = receive(bench.control, &aegis_message_failed);
    assert_non_null(
        strstr(json_string_value(json_object_get(failed, "error")), "was not loaded when this process"));
    json_decref(failed);
    assert_int_equal(bench_close(&bench), 0);
}

static void test_bad_first_configuration(void **state)
{
    struct bench bench;
    int status;
    (void)state;
    bench_start(&bench);
    send_message(bench.control, &aegis_message_configure,
                 configuration("[{\"id\":\"z\",\"plugin\":\"nowhere\"}]"));
    json_t *failed = receive(bench.control, &aegis_message_failed);
    assert_non_null(strstr(json_string_value(json_object_get(failed, "error")), "found no nowhere.so"));
    json_decref(failed);
    assert_int_equal(waitpid(bench.process, &status, 0), bench.process);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    close(bench.control);
}

/* A plugin takes the judge down: the channel closes, the notepad has the name. */
static void test_notepad(void **state)
{
    struct bench bench;
    char policy[AEGIS_NOTEPAD_POLICY];
    int64_t since;
    int status, page = memfd_create("notepad", MFD_CLOEXEC);
    (void)state;
    assert_int_equal(ftruncate(page, sizeof(struct aegis_notepad)), 0);
    struct aegis_notepad *pad = mmap(NULL, sizeof(*pad), PROT_READ, MAP_SHARED, page, 0);
    assert_true(pad != MAP_FAILED);
    bench_open(&bench, "[{\"id\":\"m\",\"plugin\":\"misbehave\",\"config\":{\"how\":\"exit\"}}," GUARD "]");
    send_descriptor(bench.control, "{\"type\":\"listen\",\"name\":\"notepad\"}", page);
    settle(bench.control);
    json_decref(receive(bench.keeper, &aegis_message_loaded));
    ask(&bench, 1, "g", json_object());
    expect_verdict(&bench, 1, "allow");
    assert_false(aegis_notepad_read(pad, policy, &since));
    ask(&bench, 2, "m", json_object());
    assert_int_equal(waitpid(bench.process, &status, 0), bench.process);
    assert_true(aegis_notepad_read(pad, policy, &since));
    assert_string_equal(policy, "m");
    assert_true(since > 0);
    munmap(pad, sizeof(*pad));
    close(bench.control);
    close(bench.keeper);
    close(bench.worker);
    close(bench.runner);
}

/* A sanitizer needs files and terabytes of address space: these two hold for builds without. */
#if !defined(AEGIS_SANITIZED) && !defined(__SANITIZE_ADDRESS__)

static void test_nothing_to_break_out_with(void **state)
{
    struct bench bench;
    (void)state;
    bench_open(&bench, "[{\"id\":\"m\",\"plugin\":\"misbehave\",\"config\":{\"how\":\"break_out\"}}]");
    json_decref(receive(bench.keeper, &aegis_message_loaded));
    ask(&bench, 1, "m", json_object());
    expect_verdict(&bench, 1, "allow");
    assert_int_equal(bench_close(&bench), 0);
}

static void test_memory_ends(void **state)
{
    struct bench bench;
    int status;
    (void)state;
    bench_open(&bench, "[{\"id\":\"m\",\"plugin\":\"misbehave\",\"config\":{\"how\":\"allocate\"}}]");
    json_decref(receive(bench.keeper, &aegis_message_loaded));
    ask(&bench, 1, "m", json_object());
    assert_int_equal(waitpid(bench.process, &status, 0), bench.process);
    assert_true(WIFSIGNALED(status));
    close(bench.control);
    close(bench.keeper);
    close(bench.worker);
    close(bench.runner);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeper),
        cmocka_unit_test(test_worker),
        cmocka_unit_test(test_runner),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_bad_first_configuration),
        cmocka_unit_test(test_notepad),
#if !defined(AEGIS_SANITIZED) && !defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(test_nothing_to_break_out_with),
        cmocka_unit_test(test_memory_ends),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
