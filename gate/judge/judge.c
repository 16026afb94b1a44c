/* The judge process.
 *
 * It gives up, once its plugins are loaded: the network, running programs, opening files, looking at other
 * processes, and memory beyond what the configuration grants. What is left is arithmetic on what the keeper
 * sent. */
#include "gate/judge/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/confine.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/ipc/parking.h"
#include "gate/ipc/process.h"
#include "gate/judge/evaluate.h"
#include "gate/judge/subject.h"

enum {
    GIVEN_UP = AEGIS_CONFINE_NETWORK | AEGIS_CONFINE_EXEC | AEGIS_CONFINE_FILES | AEGIS_CONFINE_DEBUG,
    WORKERS = 256,
    RECEIVE_LIMIT = 4 << 20,
    BACKLOG_LIMIT = 64 << 20,
    RUN_TIMEOUT_MS = 70000, /* longer than any executable may take */
    CACHE_MS = 86400000,    /* no verdict about a request is kept for longer */
    ROUNDS = 8,             /* of running executables for one question */
};

struct judge {
    struct aegis_process *process;
    struct aegis_plugins *plugins;
    struct aegis_policies *policies;
    struct aegis_notepad *pad;
    struct aegis_channel *keeper;
    struct aegis_channel *runner;
    struct aegis_channel *workers[WORKERS];
    struct aegis_parking *runs; /* of struct errand */
    uint64_t keepers;           /* how many there have been: an answer is for the one that asked */
    int64_t memory_bytes;
    size_t waiting; /* questions that wait for executables */
    bool stopping;
};

/* A question of the keeper's that waits for executables. */
struct waiting {
    struct judge *judge;
    uint64_t keeper;
    json_t *message;
    json_t *facts; /* those of the message, and the answers so far */
    size_t outstanding;
    int rounds;
};

/* One executable that was sent to the runner. */
struct errand {
    struct waiting *waiting;
    char *query;
    char *input_hash;
};

static void question_go_on(struct waiting *waiting);

/* ---- answers ---- */

static void waiting_free(struct waiting *waiting)
{
    struct judge *judge = waiting->judge;
    json_decref(waiting->message);
    json_decref(waiting->facts);
    free(waiting);
    judge->waiting--;
    if (judge->stopping && judge->waiting == 0)
        aegis_process_exit(judge->process, EXIT_SUCCESS);
}

static void answer_need(struct judge *judge, json_int_t id, json_t *need)
{
    aegis_channel_send(judge->keeper, &aegis_message_need, json_pack("{s:I,s:O}", "id", id, "facts", need));
}

static void answer_verdict(struct judge *judge, json_int_t id, const struct aegis_evaluation *evaluation)
{
    aegis_channel_send(judge->keeper, &aegis_message_verdict,
                       json_pack("{s:I,s:s,s:O,s:O}", "id", id, "verdict", evaluation->verdict, "verdicts",
                                 evaluation->verdicts, "effects", evaluation->effects));
}

static void answer_failure(struct judge *judge, json_int_t id, const char *reason)
{
    aegis_log(AEGIS_LOG_WARNING, "a question could not be judged: %s", reason);
    aegis_channel_send(judge->keeper, &aegis_message_verdict,
                       json_pack("{s:I,s:s,s:[{s:s,s:i,s:s,s:s,s:s,s:s,s:[]}],s:[]}", "id", id, "verdict",
                                 "error", "verdicts", "policy", "", "version", 0, "hash", "", "verdict",
                                 "error", "code", "policy_failed", "reason", reason, "facts", "effects"));
}

/* ---- executables ---- */

static void errand_done(struct errand *errand, int64_t status, const char *output, const char *error)
{
    struct waiting *waiting = errand->waiting;
    json_object_set_new(waiting->facts, errand->query,
                        json_pack("{s:s,s:I,s:s,s:s}", "input", errand->input_hash, "status",
                                  (json_int_t)status, "output", output, "error", error));
    free(errand->query);
    free(errand->input_hash);
    free(errand);
    if (--waiting->outstanding == 0)
        question_go_on(waiting);
}

static void errand_expired(void *asker, void *context)
{
    (void)context;
    errand_done(asker, -1, "", "the runner did not answer");
}

static void errand_send(struct waiting *waiting, const json_t *run)
{
    struct judge *judge = waiting->judge;
    struct errand *errand = aegis_alloc(sizeof(*errand));
    errand->waiting = waiting;
    errand->query = aegis_strdup(aegis_json_text(run, "query", ""));
    errand->input_hash = aegis_strdup(aegis_json_text(run, "input_hash", ""));
    uint64_t id = aegis_parking_put(judge->runs, errand);
    json_t *body =
        json_pack("{s:I,s:O,s:O,s:O}", "id", (json_int_t)id, "executable", json_object_get(run, "executable"),
                  "input", json_object_get(run, "input"), "timeout_ms", json_object_get(run, "timeout_ms"));
    if (judge->runner != NULL && aegis_channel_send(judge->runner, &aegis_message_run, body))
        return;
    if (judge->runner == NULL)
        json_decref(body);
    aegis_parking_take(judge->runs, id);
    errand_done(errand, -1, "", "the runner is not there");
}

/* One outstanding more than there are, so that an errand that fails at once does not end the question under
 * our feet. */
static void errands_send(struct waiting *waiting, const json_t *runs)
{
    size_t index;
    json_t *run;
    waiting->outstanding = json_array_size(runs) + 1;
    json_array_foreach((json_t *)runs, index, run) errand_send(waiting, run);
    if (--waiting->outstanding == 0)
        question_go_on(waiting);
}

/* ---- questions of the keeper ---- */

static void question_evaluate(struct judge *judge, const json_t *message, const json_t *facts,
                              struct aegis_evaluation *out, struct aegis_error *error, bool *good)
{
    struct aegis_question question = {
        .operation = aegis_json_text(message, "operation", ""),
        .policies = json_object_get(message, "policies"),
        .subject = json_object_get(message, "subject"),
        .facts = facts,
        .now = aegis_json_integer(message, "now", 0),
        .all = aegis_json_boolean(message, "all", false),
    };
    *good = aegis_evaluate(judge->policies, &question, out, error);
}

/* Answers when there is something to answer; else returns the executables to run, a new reference. */
static json_t *question_try(struct judge *judge, const json_t *message, const json_t *facts, int rounds)
{
    struct aegis_error error;
    struct aegis_evaluation evaluation;
    json_int_t id = aegis_json_integer(message, "id", 0);
    json_t *runs = NULL;
    bool good;
    question_evaluate(judge, message, facts, &evaluation, &error, &good);
    if (!good)
        answer_failure(judge, id, error.text);
    else if (json_array_size(evaluation.need) > 0)
        answer_need(judge, id, evaluation.need);
    else if (json_array_size(evaluation.runs) == 0)
        answer_verdict(judge, id, &evaluation);
    else if (rounds >= ROUNDS)
        answer_failure(judge, id, "a policy wants to run executables without end");
    else
        runs = json_incref(evaluation.runs);
    aegis_evaluation_clear(&evaluation);
    return runs;
}

static void question_go_on(struct waiting *waiting)
{
    struct judge *judge = waiting->judge;
    json_t *runs = NULL;
    if (judge->keeper != NULL && waiting->keeper == judge->keepers)
        runs = question_try(judge, waiting->message, waiting->facts, waiting->rounds++);
    if (runs == NULL) {
        waiting_free(waiting);
        return;
    }
    errands_send(waiting, runs);
    json_decref(runs);
}

static void keeper_judge(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)channel;
    struct judge *judge = context;
    if (fd >= 0)
        close(fd);
    json_t *runs = question_try(judge, message, json_object_get(message, "facts"), 0);
    if (runs == NULL)
        return;
    struct waiting *waiting = aegis_alloc(sizeof(*waiting));
    waiting->judge = judge;
    waiting->keeper = judge->keepers;
    waiting->message = json_incref((json_t *)message);
    waiting->facts = json_copy(json_object_get(message, "facts"));
    waiting->rounds = 1;
    judge->waiting++;
    errands_send(waiting, runs);
    json_decref(runs);
}

static void keeper_observe(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct judge *judge = context;
    struct aegis_error error;
    struct aegis_payment payment;
    if (fd >= 0)
        close(fd);
    if (!aegis_subject_payment(json_object_get(message, "subject"), aegis_json_integer(message, "now", 0),
                               &payment, &error)) {
        aegis_channel_reject(channel, "%s", error.text);
        return;
    }
    struct aegis_outcome outcome = {
        .size = sizeof(outcome),
        .payment = &payment,
        .payment_id = aegis_json_text(message, "payment", ""),
        .state = aegis_json_text(message, "state", ""),
        .transaction = aegis_json_text(message, "transaction", ""),
    };
    aegis_evaluate_observe(judge->policies, json_object_get(message, "policies"), &outcome);
}

static const struct aegis_channel_rule keeper_rules[] = {
    {&aegis_message_judge, 0, keeper_judge},
    {&aegis_message_observe, 0, keeper_observe},
    {NULL, 0, NULL},
};

/* ---- questions of workers ---- */

static void worker_check(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct judge *judge = context;
    struct aegis_request_verdict verdict;
    if (fd >= 0)
        close(fd);
    struct aegis_request request = {
        .size = sizeof(request),
        .agent = aegis_json_text(message, "agent", ""),
        .agent_name = aegis_json_text(message, "agent_name", ""),
        .method = aegis_json_text(message, "method", ""),
        .url = aegis_json_text(message, "url", ""),
        .host = aegis_json_text(message, "host", ""),
        .now = aegis_clock_now(),
    };
    aegis_evaluate_request(judge->policies, json_object_get(message, "policies"), &request, &verdict);
    json_t *body = json_pack("{s:I,s:s,s:I}", "id", (json_int_t)aegis_json_integer(message, "id", 0),
                             "verdict", verdict.verdict, "cache_ms",
                             (json_int_t)(verdict.cache_ms < CACHE_MS ? verdict.cache_ms : CACHE_MS));
    if (verdict.policy[0] != '\0')
        json_object_set_new(body, "policy", json_string(verdict.policy));
    if (verdict.code[0] != '\0')
        json_object_set_new(body, "code", json_string(verdict.code));
    if (verdict.reason[0] != '\0')
        json_object_set_new(body, "reason", json_string(verdict.reason));
    aegis_channel_send(channel, &aegis_message_checked, body);
}

static const struct aegis_channel_rule worker_rules[] = {
    {&aegis_message_check, 0, worker_check},
    {NULL, 0, NULL},
};

/* ---- answers of the runner ---- */

static void runner_ran(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct judge *judge = context;
    if (fd >= 0)
        close(fd);
    struct errand *errand = aegis_parking_take(judge->runs, (uint64_t)aegis_json_integer(message, "id", 0));
    if (errand == NULL) {
        aegis_channel_reject(channel, "ran: nobody waits for this answer");
        return;
    }
    errand_done(errand, aegis_json_integer(message, "status", -1), aegis_json_text(message, "output", ""),
                aegis_json_text(message, "error", ""));
}

static const struct aegis_channel_rule runner_rules[] = {
    {&aegis_message_ran, 0, runner_ran},
    {NULL, 0, NULL},
};

/* ---- peers ---- */

static void runner_gone(struct judge *judge)
{
    struct errand *errand;
    while ((errand = aegis_parking_take_any(judge->runs)) != NULL)
        errand_done(errand, -1, "", "the runner died");
}

static void peer_closed(struct aegis_channel *channel, const char *reason, void *context)
{
    struct judge *judge = context;
    struct aegis_channel **slot = channel == judge->keeper ? &judge->keeper : &judge->runner;
    for (size_t i = 0; i < WORKERS; i++) {
        if (judge->workers[i] == channel)
            slot = &judge->workers[i];
    }
    aegis_log(AEGIS_LOG_INFO, "a peer is gone: %s", reason);
    bool runner = slot == &judge->runner;
    aegis_channel_free(slot);
    if (runner)
        runner_gone(judge);
}

static struct aegis_channel *peer_open(struct judge *judge, struct aegis_channel **slot, const char *name,
                                       int fd, const struct aegis_channel_rule *rules)
{
    struct aegis_channel_options options = {
        .peer = name,
        .rules = rules,
        .receive_limit = RECEIVE_LIMIT,
        .backlog_limit = BACKLOG_LIMIT,
        .closed = peer_closed,
        .context = judge,
    };
    aegis_channel_free(slot);
    *slot = aegis_channel_new(aegis_process_base(judge->process), fd, &options);
    return *slot;
}

static void keeper_tell(struct judge *judge)
{
    if (judge->keeper != NULL)
        aegis_channel_send(judge->keeper, &aegis_message_loaded,
                           json_pack("{s:o}", "policies", aegis_policies_describe(judge->policies)));
}

static void judge_peer(struct aegis_process *process, const char *kind, unsigned index, int fd, void *context)
{
    struct judge *judge = context;
    (void)process;
    if (strcmp(kind, "keeper") == 0) {
        judge->keepers++;
        peer_open(judge, &judge->keeper, "keeper", fd, keeper_rules);
        keeper_tell(judge);
    } else if (strcmp(kind, "runner") == 0) {
        peer_open(judge, &judge->runner, "runner", fd, runner_rules);
        runner_gone(judge);
    } else if (strcmp(kind, "worker") == 0 && index < WORKERS) {
        peer_open(judge, &judge->workers[index], "worker", fd, worker_rules);
    } else {
        aegis_log(AEGIS_LOG_ERROR, "no peer of the judge: %s %u", kind, index);
        close(fd);
    }
}

/* ---- configuration ---- */

static bool judge_configure(struct aegis_process *process, const json_t *config, struct aegis_error *error,
                            void *context)
{
    static const struct aegis_json_field fields[] = {
        {"documents", AEGIS_JSON_ARRAY, true, 4096}, {"plugin_path", AEGIS_JSON_ARRAY, true, 64},
        {"quarantined", AEGIS_JSON_ARRAY, false, 0}, {"memory_bytes", AEGIS_JSON_INTEGER, true, INT64_MAX},
        {"notepad", AEGIS_JSON_BOOLEAN, false, 0},   {NULL, AEGIS_JSON_ANY, false, 0},
    };
    struct judge *judge = context;
    if (!aegis_json_check(config, fields, error))
        return false;
    bool first = judge->process == NULL;
    if (first) {
        judge->process = process;
        judge->plugins = aegis_plugins_new(json_object_get(config, "plugin_path"));
        judge->runs = aegis_parking_new(aegis_process_base(process), RUN_TIMEOUT_MS, errand_expired, judge);
        judge->memory_bytes = aegis_json_integer(config, "memory_bytes", 0);
    }
    struct aegis_policies *policies =
        aegis_policies_new(json_object_get(config, "documents"), json_object_get(config, "quarantined"),
                           judge->plugins, judge->pad, error);
    if (policies == NULL)
        return false;
    aegis_policies_free(&judge->policies);
    judge->policies = policies;
    keeper_tell(judge);
    aegis_log(AEGIS_LOG_INFO, "policies in force: %zu", aegis_policies_count(policies));
    return true;
}

/* What plugins may take comes on top of what the process takes without them. A sanitizer maps terabytes it
 * never uses, so that there is no limit then. */
static bool memory_limit(int64_t bytes, struct aegis_error *error)
{
#if defined(AEGIS_SANITIZED) || defined(__SANITIZE_ADDRESS__)
    (void)bytes;
    (void)error;
#else
    char text[128] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    bool known = file != NULL && fgets(text, sizeof text, file) != NULL;
    if (file != NULL)
        fclose(file);
    unsigned long pages = strtoul(text, NULL, 10);
    struct rlimit limit;
    limit.rlim_cur = limit.rlim_max = pages * (rlim_t)sysconf(_SC_PAGESIZE) + (rlim_t)bytes;
    if (!known || pages == 0 || setrlimit(RLIMIT_AS, &limit) != 0)
        return aegis_error_set(error, "memory could not be limited");
#endif
    return true;
}

static bool judge_confine(struct aegis_process *process, struct aegis_error *error, void *context)
{
    struct judge *judge = context;
    (void)process;
    aegis_plugins_seal(judge->plugins);
    return memory_limit(judge->memory_bytes, error) && aegis_confine(GIVEN_UP, error);
}

static void judge_listen(struct aegis_process *process, const char *name, int fd, void *context)
{
    struct judge *judge = context;
    struct stat status;
    (void)process;
    if (strcmp(name, "notepad") != 0 || fstat(fd, &status) != 0 ||
        status.st_size < (off_t)sizeof(*judge->pad)) {
        aegis_log(AEGIS_LOG_ERROR, "no descriptor for the judge: %s", name);
    } else {
        void *page = mmap(NULL, sizeof(*judge->pad), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page != MAP_FAILED) {
            judge->pad = page;
            if (judge->policies != NULL)
                aegis_policies_notepad(judge->policies, judge->pad);
        }
    }
    close(fd);
}

static void judge_stop(struct aegis_process *process, int64_t deadline_ms, void *context)
{
    struct judge *judge = context;
    (void)deadline_ms;
    judge->stopping = true;
    if (judge->waiting == 0)
        aegis_process_exit(process, EXIT_SUCCESS);
}

static void judge_leave(struct aegis_process *process, void *context)
{
    struct judge *judge = context;
    struct errand *errand;
    (void)process;
    aegis_channel_free(&judge->keeper);
    aegis_channel_free(&judge->runner);
    for (size_t i = 0; i < WORKERS; i++)
        aegis_channel_free(&judge->workers[i]);
    while (judge->runs != NULL && (errand = aegis_parking_take_any(judge->runs)) != NULL)
        errand_done(errand, -1, "", "the judge ends");
    aegis_parking_free(&judge->runs);
    aegis_policies_free(&judge->policies);
    aegis_plugins_free(&judge->plugins);
}

int aegis_judge_run(void)
{
    struct judge judge = {0};
    struct aegis_process_room room = {
        .name = "judge",
        .configure = judge_configure,
        .confine = judge_confine,
        .peer = judge_peer,
        .listen = judge_listen,
        .stop = judge_stop,
        .leave = judge_leave,
        .context = &judge,
    };
    return aegis_process_run(&room);
}
