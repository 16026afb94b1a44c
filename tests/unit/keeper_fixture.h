/* A keeper in the test's own process, with a worker and a judge at the other ends of its sockets, and a clock
 * that the test turns. */
#ifndef AEGIS_TESTS_KEEPER_FIXTURE_H
#define AEGIS_TESTS_KEEPER_FIXTURE_H

#include <event2/event.h>
#include <jansson.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/ipc/channel.h"
#include "gate/keeper/room.h"
#include "gate/ledger/reader.h"
#include "gate/vault/apikey.h"
#include "gate/vault/wallet.h"
#include "gate/x402/challenge.h"

#define USDC    "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
#define SHOP    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
#define OTHER   "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
#define NETWORK "eip155:84532"

enum { WORKERS = 3 };

/* The test's end of a channel, with everything that came in. */
struct end {
    struct fixture *fixture;
    struct aegis_channel *channel;
    json_t *inbox; /* of {"type": name, ...} */
    bool closed;
};

struct fixture {
    struct event_base *base;
    struct aegis_keeper *keeper;
    char *folder;
    char *ledger;
    json_t *config;
    char token[80];
    char agent[40];
    struct aegis_address address;
    struct end workers[WORKERS];
    struct end judge;
    struct end witness;
    struct end command;
    struct end courier;
    /* What the judge of the test does. */
    bool judge_silent;
    bool judge_hold_back; /* collects questions; see judge_answer_all */
    json_t *held_questions;
    const char *fixed;      /* a verdict for everything; NULL: by the cap */
    const char *deny_payee; /* denied with payee_blocked; NULL: nobody */
    aegis_amount cap;       /* scaled, agent and day */
    bool wants_fact;        /* ask for the fact when it is not there */
    json_t *effects;        /* sent with every verdict; NULL: none */
    int64_t last_id;
};

extern int64_t fixture_wall, fixture_boot;

static inline int64_t fixture_read_wall(void)
{
    return fixture_wall;
}

static inline int64_t fixture_read_boot(void)
{
    return fixture_boot;
}

static inline void fixture_pass(int64_t ms)
{
    fixture_wall += ms;
    fixture_boot += ms;
}

/* Runs the loop until nothing is left to do at once. */
static inline void fixture_settle(struct fixture *fixture)
{
    for (int i = 0; i < 12; i++)
        event_base_loop(fixture->base, EVLOOP_NONBLOCK);
}

/* The judge */

static inline void judge_send(struct fixture *fixture, int64_t id, const char *verdict, const char *code,
                              const json_t *policies, bool used)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < json_array_size(policies); i++) {
        json_t *row = json_pack("{s:O,s:i,s:s,s:s,s:[]}", "policy", json_array_get(policies, i), "version", 1,
                                "hash", "00ff", "verdict", verdict, "facts");
        if (used)
            json_array_append_new(json_object_get(row, "facts"), json_string("spent/agent/day/*/*"));
        if (code != NULL) {
            json_object_set_new(row, "code", json_string(code));
            json_object_set_new(row, "reason", json_string("because"));
            json_object_set_new(row, "limit", json_string("10"));
        }
        json_array_append_new(rows, row);
        if (strcmp(verdict, "allow") != 0)
            break;
    }
    json_t *effects = fixture->effects == NULL ? json_array() : json_deep_copy(fixture->effects);
    aegis_channel_send(fixture->judge.channel, &aegis_message_verdict,
                       json_pack("{s:I,s:s,s:o,s:o}", "id", (json_int_t)id, "verdict", verdict, "verdicts",
                                 rows, "effects", effects));
}

static inline void judge_by_cap(struct fixture *fixture, const json_t *message)
{
    int64_t id = aegis_json_integer(message, "id", 0);
    const json_t *policies = json_object_get(message, "policies");
    const json_t *fact = json_object_get(json_object_get(message, "facts"), "spent/agent/day/*/*");
    const json_t *subject = json_object_get(message, "subject");
    aegis_amount settled, exposed, scaled = 0;
    if (fact == NULL) {
        aegis_channel_send(fixture->judge.channel, &aegis_message_need,
                           json_pack("{s:I,s:[s]}", "id", (json_int_t)id, "facts", "spent/agent/day/*/*"));
        return;
    }
    aegis_amount_parse(aegis_json_text(fact, "settled", ""), &settled);
    aegis_amount_parse(aegis_json_text(fact, "exposed", ""), &exposed);
    aegis_amount_parse(aegis_json_text(subject, "scaled", "0"), &scaled);
    bool over = settled + exposed + scaled > fixture->cap;
    judge_send(fixture, id, over ? "deny" : "allow", over ? "daily_limit_exceeded" : NULL, policies, true);
}

static inline void judge_answer(struct fixture *fixture, const json_t *message)
{
    const char *payee = aegis_json_text(json_object_get(message, "subject"), "pay_to", "");
    int64_t id = aegis_json_integer(message, "id", 0);
    const json_t *policies = json_object_get(message, "policies");
    if (fixture->deny_payee != NULL && strcmp(payee, fixture->deny_payee) == 0)
        judge_send(fixture, id, "deny", "payee_blocked", policies, false);
    else if (fixture->fixed != NULL)
        judge_send(fixture, id, fixture->fixed, strcmp(fixture->fixed, "allow") == 0 ? NULL : "some_code",
                   policies, false);
    else
        judge_by_cap(fixture, message);
}

static inline void judge_answer_all(struct fixture *fixture)
{
    size_t i;
    json_t *message;
    json_t *questions = fixture->held_questions;
    fixture->held_questions = json_array();
    json_array_foreach(questions, i, message) judge_answer(fixture, message);
    json_decref(questions);
}

/* Ends */

static inline void end_take(struct aegis_channel *channel, const json_t *message, int fd, void *context,
                            const char *type)
{
    struct end *end = context;
    (void)channel;
    if (fd >= 0)
        close(fd);
    json_t *copy = json_deep_copy(message);
    json_object_set_new(copy, "type", json_string(type));
    json_array_append_new(end->inbox, copy);
}

#define END_HANDLER(type)                                                                                    \
    static inline void end_##type(struct aegis_channel *channel, const json_t *message, int fd,              \
                                  void *context)                                                             \
    {                                                                                                        \
        end_take(channel, message, fd, context, #type);                                                      \
    }
END_HANDLER(identified)
END_HANDLER(authorized)
END_HANDLER(denied)
END_HANDLER(forget)
END_HANDLER(observe)
END_HANDLER(watch)
END_HANDLER(unwatch)
END_HANDLER(answer)
END_HANDLER(grew)

static inline void end_judge(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct end *end = context;
    struct fixture *fixture = end->fixture;
    end_take(channel, message, fd, context, "judge");
    if (fixture->judge_hold_back)
        json_array_append_new(fixture->held_questions, json_deep_copy(message));
    else if (!fixture->judge_silent)
        judge_answer(fixture, message);
}

static const struct aegis_channel_rule end_worker_rules[] = {
    {&aegis_message_identified, 0, end_identified},
    {&aegis_message_authorized, 0, end_authorized},
    {&aegis_message_denied, 0, end_denied},
    {&aegis_message_forget, 0, end_forget},
    {0},
};
static const struct aegis_channel_rule end_judge_rules[] = {
    {&aegis_message_judge, 0, end_judge}, {&aegis_message_observe, 0, end_observe}, {0}};
static const struct aegis_channel_rule end_witness_rules[] = {
    {&aegis_message_watch, 0, end_watch}, {&aegis_message_unwatch, 0, end_unwatch}, {0}};
static const struct aegis_channel_rule end_command_rules[] = {{&aegis_message_answer, 0, end_answer}, {0}};

static const struct aegis_channel_rule end_courier_rules[] = {{&aegis_message_grew, 0, end_grew}, {0}};

static inline void end_closed(struct aegis_channel *channel, const char *reason, void *context)
{
    struct end *end = context;
    (void)channel;
    (void)reason;
    end->closed = true;
    aegis_channel_free(&end->channel);
}

static inline void end_close(struct end *end)
{
    aegis_channel_free(&end->channel);
}

static inline void end_open(struct fixture *fixture, struct end *end, const char *kind, unsigned index,
                            const struct aegis_channel_rule *rules)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct aegis_channel_options options = {
        .peer = "keeper",
        .rules = rules,
        .receive_limit = 16 << 20,
        .backlog_limit = 64 << 20,
        .closed = end_closed,
        .context = end,
    };
    end_close(end);
    end->fixture = fixture;
    end->closed = false;
    json_decref(end->inbox);
    end->inbox = json_array();
    end->channel = aegis_channel_new(fixture->base, pair[0], &options);
    aegis_keeper_peer(fixture->keeper, kind, index, pair[1]);
}

/* Takes the oldest message of `type` out of the inbox: a new reference, NULL when there is none. */
static inline json_t *end_pop(struct end *end, const char *type)
{
    size_t i;
    json_t *message;
    json_array_foreach(end->inbox, i, message)
    {
        if (strcmp(aegis_json_text(message, "type", ""), type) == 0) {
            json_incref(message);
            json_array_remove(end->inbox, i);
            return message;
        }
    }
    return NULL;
}

static inline size_t end_count(const struct end *end, const char *type)
{
    size_t i, count = 0;
    json_t *message;
    json_array_foreach(end->inbox, i, message) count +=
        strcmp(aegis_json_text(message, "type", ""), type) == 0;
    return count;
}

/* Building and ending */

static inline void fixture_open_judge(struct fixture *fixture)
{
    end_open(fixture, &fixture->judge, "judge", 0, end_judge_rules);
    aegis_channel_send(fixture->judge.channel, &aegis_message_loaded,
                       json_pack("{s:[{s:s,s:i,s:s,s:{s:s},s:[s,s,s]},{s:s,s:i,s:s,s:{s:s},s:[s]}]}",
                                 "policies", "id", "budget", "version", 1, "hash", "00ff", "document", "id",
                                 "budget", "checks", "payment", "observe", "tick", "id", "guard", "version",
                                 1, "hash", "00ff", "document", "id", "guard", "checks", "request"));
    fixture_settle(fixture);
}

static inline bool fixture_start(struct fixture *fixture)
{
    struct aegis_error error = {0};
    struct aegis_keeper_clock clock = {.wall = fixture_read_wall, .boot = fixture_read_boot};
    fixture->keeper = aegis_keeper_new(fixture->base, fixture->config, &clock, &error);
    if (fixture->keeper == NULL) {
        print_message("keeper: %s\n", error.text);
        return false;
    }
    fixture_settle(fixture);
    for (unsigned i = 0; i < WORKERS; i++)
        end_open(fixture, &fixture->workers[i], "worker", i, end_worker_rules);
    fixture_open_judge(fixture);
    for (unsigned i = 0; i < WORKERS; i++)
        json_array_clear(fixture->workers[i].inbox);
    return true;
}

/* The keeper goes as a killed process would: nothing is finished. */
static inline void fixture_kill(struct fixture *fixture)
{
    aegis_keeper_free(&fixture->keeper);
    for (unsigned i = 0; i < WORKERS; i++)
        end_close(&fixture->workers[i]);
    end_close(&fixture->judge);
    end_close(&fixture->witness);
    end_close(&fixture->command);
    end_close(&fixture->courier);
}

/* What every fixture begins with: a wallet and a key with the policies budget and guard. It is made once a
 * program, for scrypt takes its time, and copied. */
struct fixture_vault {
    char folder[64];
    char token[80];
    char agent[40];
    struct aegis_address address;
};

static inline void fixture_vault_make(struct fixture_vault *made)
{
    struct aegis_error error = {0};
    strcpy(made->folder, "/tmp/aegis-vault-XXXXXX");
    assert_non_null(mkdtemp(made->folder));
    struct aegis_vault *vault = aegis_vault_new(made->folder, 0);
    struct aegis_secret *passphrase = aegis_secret_copy("correct horse", 13);
    struct aegis_secret *key = aegis_secret_new(32);
    memset(aegis_secret_bytes(key), 0x42, 32);
    struct aegis_wallet *wallet =
        aegis_wallet_import_key(vault, "treasury", key, passphrase, 1763600000000, &error);
    if (wallet == NULL)
        fail_msg("%s", error.text);
    assert_true(aegis_wallet_address(wallet, &made->address, &error));
    const struct aegis_wallet *wallets[] = {wallet};
    const char *policies[] = {"budget", "guard"};
    struct aegis_apikey_request request = {
        .name = "shopper",
        .wallets = wallets,
        .wallet_count = 1,
        .policy_ids = policies,
        .policy_count = 2,
        .expires_at = 1763900000000,
        .now = 1763600000000,
    };
    struct aegis_secret *token = aegis_apikey_create(vault, &request, passphrase, made->agent, &error);
    if (token == NULL)
        fail_msg("%s", error.text);
    aegis_text_copy(made->token, sizeof made->token, aegis_secret_text(token));
    aegis_secret_free(&token);
    aegis_secret_free(&key);
    aegis_secret_free(&passphrase);
    aegis_wallet_free(&wallet);
    aegis_vault_free(&vault);
}

/* Runs `command` and frees it. */
static inline void fixture_shell(char *command)
{
    assert_int_equal(system(command), 0);
    free(command);
}

extern struct fixture_vault fixture_template;

/* Once in each test program. */
#define FIXTURE_STATE                                                                                        \
    int64_t fixture_wall, fixture_boot;                                                                      \
    struct fixture_vault fixture_template;

#define FIXTURE_CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* For cmocka_run_group_tests. */
static inline int fixture_group_setup(void **state)
{
    (void)state;
    if (sodium_init() < 0)
        return -1;
    aegis_log_open("test", getenv("AEGIS_TEST_LOG") != NULL ? AEGIS_LOG_DEBUG : AEGIS_LOG_ERROR, false);
    fixture_vault_make(&fixture_template);
    return 0;
}

static inline int fixture_group_teardown(void **state)
{
    (void)state;
    fixture_shell(aegis_format("rm -rf '%s'", fixture_template.folder));
    return 0;
}

static inline void fixture_vault_copy(struct fixture *fixture)
{
    fixture_shell(aegis_format("cp -a '%s/.' '%s/'", fixture_template.folder, fixture->folder));
    aegis_text_copy(fixture->token, sizeof fixture->token, fixture_template.token);
    aegis_text_copy(fixture->agent, sizeof fixture->agent, fixture_template.agent);
    fixture->address = fixture_template.address;
}

static inline struct fixture *fixture_new(void)
{
    static const char pattern[] = "/tmp/aegis-keeper-XXXXXX";
    struct fixture *fixture = aegis_alloc(sizeof *fixture);
    fixture_wall = 1763650000000; /* 2025-11-20T14:46:40Z */
    fixture_boot = 5000000;
    fixture->base = event_base_new();
    fixture->folder = aegis_strdup(pattern);
    assert_non_null(mkdtemp(fixture->folder));
    fixture->ledger = aegis_format("%s/ledger.db", fixture->folder);
    fixture->held_questions = json_array();
    fixture->cap = (aegis_amount)10 * 1000000000000000000u;
    fixture_vault_copy(fixture);
    fixture->config =
        json_pack("{s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:i,s:i,s:[],s:s,s:[],s:[s],s:[{s:s}],s:i}", "ledger",
                  fixture->ledger, "vault", fixture->folder, "operator", "tests", "lifetime_seconds", 60,
                  "key_cache_ms", 60000, "identity_cache_ms", 5000, "judge_timeout_ms", 1000, "tick_ms",
                  3600000, "clock_step_ms", 60000, "policies", "without_policy", "deny", "assets", "watched",
                  NETWORK, "listeners", "name", "agents", "scrypt_max_memory", 0);
    assert_non_null(fixture->config);
    assert_true(fixture_start(fixture));
    return fixture;
}

/* The ledger must be whole, whatever the test did. */
static inline void fixture_verify(struct fixture *fixture)
{
    struct aegis_error error = {0};
    int64_t entries;
    struct aegis_reader *reader = aegis_reader_open(fixture->ledger, &error);
    if (reader == NULL || !aegis_reader_verify(reader, NULL, NULL, &entries, &error))
        fail_msg("the ledger does not verify: %s", error.text);
    aegis_reader_close(&reader);
}

static inline void fixture_free(struct fixture *fixture)
{
    fixture_kill(fixture);
    fixture_verify(fixture);
    for (unsigned i = 0; i < WORKERS; i++)
        json_decref(fixture->workers[i].inbox);
    json_decref(fixture->judge.inbox);
    json_decref(fixture->witness.inbox);
    json_decref(fixture->command.inbox);
    json_decref(fixture->courier.inbox);
    json_decref(fixture->held_questions);
    json_decref(fixture->effects);
    json_decref(fixture->config);
    event_base_free(fixture->base);
    char *command = aegis_format("rm -rf '%s'", fixture->folder);
    assert_int_equal(system(command), 0);
    free(command);
    free(fixture->folder);
    free(fixture->ledger);
    free(fixture);
}

static inline int fixture_setup(void **state)
{
    *state = fixture_new();
    return 0;
}

static inline int fixture_teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

/* Requests */

static inline json_t *fixture_candidate(int64_t index, const char *amount, const char *payee)
{
    return json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:i}", "index", (json_int_t)index, "network", NETWORK,
                     "scheme", "exact", "asset", USDC, "amount", amount, "pay_to", payee,
                     "max_timeout_seconds", 300);
}

struct request {
    const char *path;   /* also the request's hash comes from it */
    const char *key;    /* Idempotency-Key; NULL: none */
    const char *amount; /* atomic units; NULL: a whole token */
    const char *payee;  /* NULL: SHOP */
    const char *token;  /* NULL: the agent's */
    json_t *candidates; /* stolen; NULL: one, of the above */
};

static inline int64_t fixture_authorize(struct fixture *fixture, unsigned worker,
                                        const struct request *request)
{
    char hash[AEGIS_HASH_HEX], url[200];
    int64_t id = ++fixture->last_id;
    snprintf(url, sizeof url, "http://shop.example%s", request->path);
    json_t *candidates = request->candidates;
    if (candidates == NULL) {
        candidates = json_array();
        json_array_append_new(candidates,
                              fixture_candidate(0, request->amount == NULL ? "1000000" : request->amount,
                                                request->payee == NULL ? SHOP : request->payee));
    }
    json_t *body = json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:o}", "id", (json_int_t)id, "listener",
                             "agents", "token", request->token == NULL ? fixture->token : request->token,
                             "method", "GET", "url", url, "host", "shop.example", "request_hash",
                             aegis_sha256_hex(request->path, strlen(request->path), hash), "x402_version", 2,
                             "candidates", candidates);
    assert_non_null(body);
    if (request->key != NULL)
        json_object_set_new(body, "idempotency_key", json_string(request->key));
    assert_true(aegis_channel_send(fixture->workers[worker].channel, &aegis_message_authorize, body));
    return id;
}

static inline void fixture_outcome(struct fixture *fixture, unsigned worker, const char *payment,
                                   const char *state)
{
    json_t *body = json_pack("{s:s,s:s,s:i}", "payment", payment, "state", state, "status",
                             strcmp(state, "refused") == 0   ? 402
                             : strcmp(state, "unknown") == 0 ? 0
                                                             : 200);
    if (strcmp(state, "settled") == 0)
        json_object_set_new(
            body, "transaction",
            json_string("0x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"));
    assert_true(aegis_channel_send(fixture->workers[worker].channel, &aegis_message_outcome, body));
    fixture_settle(fixture);
}

/* Asks and waits; the answer has `type` authorized or denied. New reference. */
static inline json_t *fixture_buy(struct fixture *fixture, unsigned worker, const struct request *request)
{
    fixture_authorize(fixture, worker, request);
    fixture_settle(fixture);
    json_t *answer = end_pop(&fixture->workers[worker], "authorized");
    return answer != NULL ? answer : end_pop(&fixture->workers[worker], "denied");
}

/* The texts are copied into `payment`; the answer must be of `type`. */
static inline void fixture_expect(json_t *answer, const char *type, const char *code, char payment[64])
{
    if (answer == NULL)
        fail_msg("no answer, expected %s", type);
    if (strcmp(aegis_json_text(answer, "type", ""), type) != 0 ||
        (code != NULL && strcmp(aegis_json_text(answer, "code", ""), code) != 0))
        fail_msg("expected %s %s, got %s", type, code == NULL ? "" : code, json_dumps(answer, 0));
    if (payment != NULL)
        aegis_text_copy(payment, 64, aegis_json_text(answer, "payment", ""));
    json_decref(answer);
}

/* What the ledger says */

static inline enum aegis_payment_state fixture_state(struct fixture *fixture, const char *payment)
{
    struct aegis_error error = {0};
    struct aegis_payment_row row;
    struct aegis_reader *reader = aegis_reader_open(fixture->ledger, &error);
    assert_non_null(reader);
    if (aegis_books_payment(aegis_reader_books(reader), payment, &row, &error) != AEGIS_BOOKS_FOUND)
        fail_msg("payment %s is not in the ledger: %s", payment, error.text);
    enum aegis_payment_state state = row.state;
    aegis_payment_row_clear(&row);
    aegis_reader_close(&reader);
    return state;
}

static inline struct aegis_books_sum fixture_spent(struct fixture *fixture)
{
    struct aegis_error error = {0};
    struct aegis_books_sum sum;
    struct aegis_books_scope scope = {.agent = fixture->agent};
    int64_t resets_at;
    struct aegis_reader *reader = aegis_reader_open(fixture->ledger, &error);
    assert_non_null(reader);
    assert_true(
        aegis_books_spent(aegis_reader_books(reader), &scope, "day", fixture_wall, &sum, &resets_at, &error));
    aegis_reader_close(&reader);
    return sum;
}

struct counting {
    const char *kind;
    size_t count;
    json_t *last;
};

static inline bool fixture_count_one(const struct aegis_entry *entry, void *context)
{
    struct counting *counting = context;
    if (strcmp(entry->kind, counting->kind) == 0) {
        counting->count++;
        json_decref(counting->last);
        counting->last = aegis_entry_json(entry);
    }
    return true;
}

/* How many entries of a kind there are; *last (may be NULL) the last of them, a new reference. */
static inline size_t fixture_entries(struct fixture *fixture, const char *kind, json_t **last)
{
    struct aegis_error error = {0};
    struct counting counting = {.kind = kind};
    struct aegis_reader *reader = aegis_reader_open(fixture->ledger, &error);
    assert_non_null(reader);
    assert_true(aegis_reader_follow(reader, 0, 0, fixture_count_one, &counting, &error));
    aegis_reader_close(&reader);
    if (last != NULL)
        *last = counting.last;
    else
        json_decref(counting.last);
    return counting.count;
}

#endif
