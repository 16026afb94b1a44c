/* The plugin that misbehaves: what can be caught is a denial; what cannot takes down the process that asked,
 * and nothing else, and the notepad says whose it was. */
#include "tests/unit/judging.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gate/judge/notepad.h"

static void misbehaving(struct judging *judging, const char *how)
{
    char documents[256];
    snprintf(documents, sizeof(documents),
             "[{\"id\":\"p\",\"plugin\":\"misbehave\",\"config\":{\"how\":\"%s\"}}]", how);
    judging_open(judging, documents);
}

static void test_what_can_be_caught(void **state)
{
    static const char *const ways[] = {"nonsense",    "unterminated", "not_utf8", "negative",
                                       "far_future",  "silent",       "flood",    "bad_scope",
                                       "ask_forever", "bad_key",      "revoke",   "huge_state"};
    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct judging judging;
        misbehaving(&judging, ways[i]);
        judging_expect(&judging, judging_subject("1", NULL), NULL, "error policy_failed");
        judging_close(&judging);
    }
}

static void test_open_fails(void **state)
{
    (void)state;
    judging_refused("[{\"id\":\"p\",\"plugin\":\"misbehave\",\"config\":{\"how\":\"open_fails_silently\"}}]",
                    "policies/p.json: config: refused by the plugin");
    judging_refused("[{\"id\":\"p\",\"plugin\":\"misbehave\"}]",
                    "policies/p.json: config: how: expected a text");
}

static void test_facts_for_requests(void **state)
{
    static const char *const ways[] = {"request_bad_scope", "request_ask_forever", "request_nonsense"};
    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct judging judging;
        struct aegis_request_verdict out;
        struct aegis_request request = {sizeof(request), "a", "A", "GET", "https://x/", "x", JUDGING_NOW};
        json_t *ids = judging_json("[\"p\"]");
        misbehaving(&judging, ways[i]);
        aegis_evaluate_request(judging.policies, ids, &request, &out);
        assert_string_equal(out.verdict, "error");
        assert_string_equal(out.code, "policy_failed");
        assert_int_equal(out.cache_ms, 0);
        json_decref(ids);
        judging_close(&judging);
    }
}

static void ask_and_leave(const char *how, struct aegis_notepad *pad)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    /* The test framework catches faults, and stdio would print twice. */
    signal(SIGSEGV, SIG_DFL);
    fclose(stdout);
    /* In place of RLIMIT_AS, which a sanitizer cannot live with: an allocation without end ends here. */
    alarm(strcmp(how, "allocate") == 0 ? 1 : 0);
    misbehaving(&judging, how);
    aegis_policies_notepad(judging.policies, pad);
    judging_once(&judging, "payment", "[\"p\"]", judging_subject("1", NULL), json_object(), JUDGING_NOW,
                 &evaluation);
    _exit(77);
}

/* The policy that stands on the pad once the child is at work or gone. */
static bool wait_for_note(const struct aegis_notepad *pad, char policy[AEGIS_NOTEPAD_POLICY])
{
    int64_t since;
    struct timespec pause = {0, 1000000};
    for (int i = 0; i < 10000; i++) {
        if (aegis_notepad_read(pad, policy, &since) && since > 0)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static void test_what_takes_the_process_down(void **state)
{
    static const char *const ways[] = {"crash", "exit", "hang", "allocate"};
    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        char policy[AEGIS_NOTEPAD_POLICY];
        int status;
        struct aegis_notepad *pad =
            mmap(NULL, sizeof(*pad), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(pad != MAP_FAILED);
        pid_t child = fork();
        if (child == 0) {
            fclose(stderr);
            ask_and_leave(ways[i], pad);
        }
        assert_true(wait_for_note(pad, policy));
        if (strcmp(ways[i], "hang") == 0)
            kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 77);
        int64_t since;
        assert_true(aegis_notepad_read(pad, policy, &since));
        assert_string_equal(policy, "p");
        munmap(pad, sizeof(*pad));
    }
}

/* A plugin that comes back leaves the pad clean. */
static void test_clean_pad(void **state)
{
    struct aegis_notepad pad;
    struct judging judging;
    char policy[AEGIS_NOTEPAD_POLICY];
    int64_t since;
    (void)state;
    memset(&pad, 0, sizeof(pad));
    misbehaving(&judging, "silent");
    aegis_policies_notepad(judging.policies, &pad);
    judging_expect(&judging, judging_subject("1", NULL), NULL, "error policy_failed");
    assert_false(aegis_notepad_read(&pad, policy, &since));
    judging_close(&judging);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_can_be_caught), cmocka_unit_test(test_open_fails),
        cmocka_unit_test(test_facts_for_requests), cmocka_unit_test(test_what_takes_the_process_down),
        cmocka_unit_test(test_clean_pad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
