/* Running OWS executables: the scripts of the standard's own vectors, and what else a program can do
 * wrong. */
#include "tests/unit/judging.h"

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate/base/text.h"
#include "gate/runner/executable.h"
#include "tests/unit/vectors.h"

struct shop {
    char folder[64]; /* the vault */
    struct event_base *base;
    struct event *child;
    struct aegis_executable *executable;
    bool done;
    int status;
    char output[AEGIS_EXECUTABLE_OUTPUT + 1];
    char error[AEGIS_EXECUTABLE_ERROR];
};

static void on_child(evutil_socket_t number, short what, void *context)
{
    struct shop *shop = context;
    pid_t pid;
    int status;
    (void)number;
    (void)what;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        aegis_executable_ended(shop->executable, pid, status);
}

static void on_done(int status, const char *output, const char *error, void *context)
{
    struct shop *shop = context;
    assert_false(shop->done);
    shop->done = true;
    shop->status = status;
    snprintf(shop->output, sizeof(shop->output), "%s", output);
    snprintf(shop->error, sizeof(shop->error), "%s", error);
    event_base_loopbreak(shop->base);
}

static int setup(void **state)
{
    struct shop *shop = aegis_alloc(sizeof(*shop));
    signal(SIGPIPE, SIG_IGN);
    snprintf(shop->folder, sizeof(shop->folder), "/tmp/aegis-test-runner-XXXXXX");
    assert_non_null(mkdtemp(shop->folder));
    char *policies = aegis_format("%s/policies", shop->folder);
    assert_int_equal(mkdir(policies, 0755), 0);
    free(policies);
    shop->base = event_base_new();
    shop->child = evsignal_new(shop->base, SIGCHLD, on_child, shop);
    event_add(shop->child, NULL);
    *state = shop;
    return 0;
}

static int teardown(void **state)
{
    struct shop *shop = *state;
    char *command = aegis_format("rm -rf %s", shop->folder);
    event_free(shop->child);
    event_base_free(shop->base);
    int status = system(command);
    free(command);
    free(shop);
    return status;
}

/* A script in VAULT/policies. "$CAPTURE_DIR" in it becomes the vault. */
static void script(const struct shop *shop, const char *name, const char *text, mode_t mode)
{
    char *path = aegis_format("%s/policies/%s", shop->folder, name);
    FILE *file = fopen(path, "w");
    const char *mark = strstr(text, "$CAPTURE_DIR");
    assert_non_null(file);
    if (mark != NULL)
        fprintf(file, "%.*s%s%s", (int)(mark - text), text, shop->folder, mark + strlen("$CAPTURE_DIR"));
    else
        fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
    free(path);
}

static void run(struct shop *shop, const char *name, const char *input, int64_t timeout_ms)
{
    struct aegis_error error = {{0}};
    shop->done = false;
    shop->status = -2;
    char *file = aegis_executable_find(name, shop->folder, getenv("PATH"), &error);
    if (file != NULL)
        shop->executable =
            aegis_executable_start(shop->base, file, shop->folder, input, timeout_ms, on_done, shop, &error);
    if (file == NULL || shop->executable == NULL)
        on_done(-1, "", error.text, shop);
    else
        event_base_dispatch(shop->base);
    free(file);
    assert_true(shop->done);
}

/* Whether the gate allows a payment under a policy that names `executable`, asking it for real. */
static bool allowed(struct shop *shop, const struct judging *judging, const char *chain, int64_t timeout_ms)
{
    struct aegis_evaluation evaluation;
    char changes[64];
    json_t *facts = json_object();
    bool allow = false;
    snprintf(changes, sizeof(changes), "{\"network\":\"%s\"}", chain);
    for (int round = 0; round < 3; round++) {
        judging_ask(judging, "payment", "[\"p\"]", judging_subject("1", changes), facts, JUDGING_NOW,
                    &evaluation);
        const json_t *wanted = json_array_get(evaluation.runs, 0);
        allow = strcmp(evaluation.verdict, "allow") == 0;
        if (wanted != NULL) {
            run(shop, vectors_text(wanted, "executable"), vectors_text(wanted, "input"), timeout_ms);
            json_object_set_new(facts, vectors_text(wanted, "query"),
                                json_pack("{s:O,s:i,s:s,s:s}", "input", json_object_get(wanted, "input_hash"),
                                          "status", shop->status, "output", shop->output, "error",
                                          shop->error));
        }
        bool again = wanted != NULL;
        aegis_evaluation_clear(&evaluation);
        if (!again)
            break;
    }
    json_decref(facts);
    return allow;
}

static void test_vectors(void **state)
{
    struct shop *shop = *state;
    json_t *vectors = vectors_load("judge/policy-eval.json"), *entry;
    size_t index, judged = 0;
    json_array_foreach(vectors_get(vectors, "cases"), index, entry)
    {
        const char *text = json_string_value(json_object_get(entry, "script"));
        if (text == NULL)
            continue;
        const char *id = json_string_value(json_array_get(vectors_get(entry, "policies"), 0));
        char name[64], documents[256];
        struct judging judging;
        snprintf(name, sizeof(name), "policy-%s", id);
        if (text[0] == '#')
            script(shop, name, text, 0755);
        else if (strcmp(id, "not-executable") == 0)
            script(shop, name, "#!/bin/sh\necho '{\"allow\":true}'\n", 0644);
        snprintf(documents, sizeof(documents), "[{\"id\":\"p\",\"executable\":\"%s\",\"rules\":[%s]}]", name,
                 strcmp(id, "rule-then-executable") == 0
                     ? "{\"type\":\"allowed_chains\",\"chain_ids\":[\"eip155:1\"]}"
                     : "");
        judging_open(&judging, documents);
        bool expected = json_is_true(vectors_get(entry, "allowed"));
        if (allowed(shop, &judging, vectors_text(entry, "chain"), strcmp(id, "sleep") == 0 ? 300 : 10000) !=
            expected)
            fail_msg("%s on %s: expected %s; %s", id, vectors_text(entry, "chain"),
                     expected ? "allow" : "deny", shop->error);
        judging_close(&judging);
        judged++;
    }
    assert_true(judged > 20);
    json_decref(vectors);
}

static void test_clean_surroundings(void **state)
{
    struct shop *shop = *state;
    int leaked = open("/dev/null", O_RDONLY);
    assert_true(leaked >= 0);
    setenv("OWS_PASSPHRASE", "secret", 1);
    script(shop, "look",
           "#!/bin/sh\nenv | grep -v -e ^PWD= -e ^SHLVL= -e ^_= -e ^OLDPWD= | cut -d= -f1\npwd\nls "
           "/proc/$$/fd\n",
           0755);
    run(shop, "look", "", 10000);
    assert_int_equal(shop->status, 0);
    char *expected = aegis_format("PATH\n%s\n0\n1\n", shop->folder);
    assert_int_equal(strncmp(shop->output, expected, strlen(expected)), 0);
    assert_null(strstr(shop->output, "OWS_PASSPHRASE"));
    char inherited[16];
    snprintf(inherited, sizeof(inherited), "\n%d\n", leaked);
    if (leaked != 10)
        assert_null(strstr(shop->output, inherited));
    free(expected);
    unsetenv("OWS_PASSPHRASE");
    close(leaked);
}

/* The clock also runs while input that nobody reads is being written. */
static void test_input_that_is_not_read(void **state)
{
    struct shop *shop = *state;
    char *input = aegis_alloc(1000001);
    memset(input, 'x', 1000000);
    script(shop, "deaf", "#!/bin/sh\nsleep 30\necho '{\"allow\":true}'\n", 0755);
    run(shop, "deaf", input, 300);
    assert_int_equal(shop->status, -1);
    assert_string_equal(shop->error, "took too long");
    script(shop, "brief", "#!/bin/sh\necho '{\"allow\":true}'\n", 0755);
    run(shop, "brief", input, 10000);
    assert_int_equal(shop->status, 0);
    assert_string_equal(shop->output, "{\"allow\":true}\n");
    script(shop, "count", "#!/bin/sh\nwc -c\n", 0755);
    run(shop, "count", input, 10000);
    assert_string_equal(shop->output, "1000000\n");
    free(input);
}

/* Runs a script that leaves a child behind which holds `life` open, and waits until nobody does. */
static void run_family(struct shop *shop, const char *name, const char *end, int64_t timeout_ms)
{
    char life[256], ready[256], letter;
    snprintf(life, sizeof(life), "%s/%s-life", shop->folder, name);
    snprintf(ready, sizeof(ready), "%s/%s-ready", shop->folder, name);
    assert_int_equal(mkfifo(life, 0600), 0);
    assert_int_equal(mkfifo(ready, 0600), 0);
    char *text = aegis_format("#!/bin/sh\n(exec 9>%s; echo >%s; exec sleep 600) &\nread x <%s\n%s\n", life,
                              ready, ready, end);
    script(shop, name, text, 0755);
    free(text);
    int held = open(life, O_RDONLY | O_NONBLOCK);
    assert_true(held >= 0);
    run(shop, name, "", timeout_ms);
    struct pollfd waiting = {.fd = held, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, 20000), 1);
    assert_int_equal(read(held, &letter, 1), 0);
    close(held);
}

/* Children of the executable die with it, whether it took too long or not. */
static void test_the_whole_group_dies(void **state)
{
    struct shop *shop = *state;
    run_family(shop, "family", "exec sleep 600", 1000);
    assert_string_equal(shop->error, "took too long");
    run_family(shop, "orphans", "echo '{\"allow\":true}'", 20000);
    assert_string_equal(shop->output, "{\"allow\":true}\n");
}

static void test_output(void **state)
{
    struct shop *shop = *state;
    script(shop, "full", "#!/bin/sh\nhead -c 65536 /dev/zero | tr '\\0' x\n", 0755);
    run(shop, "full", "", 10000);
    assert_int_equal(shop->status, 0);
    assert_int_equal(strlen(shop->output), 65536);
    script(shop, "over", "#!/bin/sh\nhead -c 65537 /dev/zero | tr '\\0' x\nsleep 30\n", 0755);
    run(shop, "over", "", 10000);
    assert_int_equal(shop->status, -1);
    assert_string_equal(shop->error, "its answer is longer than 65536 bytes");
    script(shop, "binary", "#!/bin/sh\nprintf '\\377'\n", 0755);
    run(shop, "binary", "", 10000);
    assert_string_equal(shop->error, "its answer is not UTF-8");
    script(shop, "nul", "#!/bin/sh\nprintf '{\"allow\":true}\\0'\n", 0755);
    run(shop, "nul", "", 10000);
    assert_string_equal(shop->error, "its answer is not UTF-8");
    script(shop, "noise", "#!/bin/sh\nhead -c 200000 /dev/zero | tr '\\0' e >&2\nexit 4\n", 0755);
    run(shop, "noise", "", 10000);
    assert_int_equal(shop->status, 4);
    assert_int_equal(strlen(shop->error), AEGIS_EXECUTABLE_ERROR - 1);
    script(shop, "suicide", "#!/bin/sh\nkill -9 $$\n", 0755);
    run(shop, "suicide", "", 10000);
    assert_string_equal(shop->error, "killed by signal 9");
}

static void test_finding(void **state)
{
    struct shop *shop = *state;
    run(shop, "nowhere-to-be-found", "", 1000);
    assert_non_null(strstr(shop->error, "not found in the vault's policies folder or on PATH"));
    run(shop, "../etc/passwd", "", 1000);
    assert_non_null(strstr(shop->error, "expected an absolute path or a bare name"));
    run(shop, "/no/such/file", "", 1000);
    assert_non_null(strstr(shop->error, "No such file"));
    run(shop, "/tmp", "", 1000);
    assert_non_null(strstr(shop->error, "expected an executable file"));
    script(shop, "open", "#!/bin/sh\n", 0777);
    run(shop, "open", "", 1000);
    assert_non_null(strstr(shop->error, "that nobody else can write"));
    script(shop, "broken", "#!/no/such/interpreter\n", 0755);
    run(shop, "broken", "", 1000);
    assert_string_equal(shop->error, "could not be started");
    run(shop, "true", "", 10000);
    assert_int_equal(shop->status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_clean_surroundings),
        cmocka_unit_test(test_input_that_is_not_read),
        cmocka_unit_test(test_the_whole_group_dies),
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_finding),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
