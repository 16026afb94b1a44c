/* Whole rounds of the witness against a node made of a table. The node stands in the place of aegis_fetch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/http/fetch.h"
#include "gate/witness/chain.h"
#include "gate/witness/rpc.h"

#define NETWORK      "eip155:84532"
#define ASSET        "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
#define FROM         "0xa464B969Fe22b5cF8E4FF30A5F9BF017cBB853f1"
#define TO           "0xAFdD32642687ED13B68BB957cE27eeF0457a306E"
#define FROM_W       "0x000000000000000000000000a464b969fe22b5cf8e4ff30a5f9bf017cbb853f1"
#define TO_W         "0x000000000000000000000000afdd32642687ed13b68bb957ce27eef0457a306e"
#define VALUE        "0x0000000000000000000000000000000000000000000000000000000000002710"
#define USED         "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5"
#define CANCEL       "0x1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d81"
#define MOVED        "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
#define VALID_BEFORE 100060
#define RESERVED_AT  100000 /* the time of block 10000 */

/* A chain with a block every two seconds: block n has the time 80000 + 2 n, so block 10000 has 100000. */
static struct {
    uint64_t chain_id, newest, used_at, cancelled_at; /* blocks; 0: never */
    bool wrong_transfers;                             /* the transfer is of another amount */
    uint64_t reorganise_from; /* from here on, blocks have other hashes than those of logs */
    unsigned batch_limit;     /* calls */
    uint64_t span_limit;      /* blocks */
    int status;               /* HTTP */
    unsigned lagging;         /* so many eth_call are answered by a node that lacks the block */
    bool silent_logs;         /* finds no events */
    unsigned requests, calls;
    uint64_t last_id;
    const char *rubbish; /* answered instead */
} node;

static struct event_base *base;
static struct witness_book *book;
static json_t *proofs;
static unsigned finished; /* stop the loop after so many requests */

static uint64_t time_of(uint64_t block)
{
    return 80000 + 2 * block;
}

/* Hash of a block or transaction: its number, and a mark of the branch. */
static json_t *hash_of(uint64_t number, uint8_t mark)
{
    uint8_t hash[32] = {mark};

    for (int i = 0; i < 8; i++) {
        hash[31 - i] = (uint8_t)(number >> (8 * i));
    }
    return rpc_data_json(hash, sizeof hash);
}

static json_t *block_json(uint64_t number)
{
    uint8_t mark = node.reorganise_from > 0 && number >= node.reorganise_from ? 0xbb : 0xaa;

    if (number > node.newest) {
        return json_null();
    }
    return json_pack("{s:o,s:o,s:o}", "number", rpc_quantity_json(number), "hash", hash_of(number, mark),
                     "timestamp", rpc_quantity_json(time_of(number)));
}

static json_t *failure(const char *message)
{
    return json_pack("{s:{s:i,s:s}}", "error", "code", -32000, "message", message);
}

/* The state after the block of this hash. */
static json_t *state(const json_t *params)
{
    const char *hash = aegis_json_text(json_array_get(params, 1), "blockHash", "");
    uint64_t number = strtoull(hash + 50, NULL, 16), gone = node.used_at + node.cancelled_at;

    assert_true(json_is_true(json_object_get(json_array_get(params, 1), "requireCanonical")));
    if (node.lagging > 0) {
        node.lagging--;
        return failure("header not found");
    }
    return json_pack("{s:o}", "result", hash_of(gone > 0 && number >= gone, 0));
}

static json_t *event_log(const char *nonce, bool cancelled)
{
    return json_pack(
        "{s:s,s:[s,s,s],s:s,s:o,s:o,s:o}", "address", ASSET, "topics", cancelled ? CANCEL : USED, FROM_W,
        nonce, "data", "0x", "blockNumber", rpc_quantity_json(node.used_at + node.cancelled_at), "blockHash",
        hash_of(node.used_at + node.cancelled_at, 0xaa), "transactionHash", json_pack("s", nonce));
}

static json_t *logs(const json_t *params)
{
    const json_t *filter = json_array_get(params, 0);
    const char *nonce = json_string_value(json_array_get(json_object_get(filter, "topics"), 2));
    uint64_t first = 0, last = 0, at = node.used_at + node.cancelled_at;

    assert_true(rpc_quantity(json_object_get(filter, "fromBlock"), &first));
    assert_true(rpc_quantity(json_object_get(filter, "toBlock"), &last));
    assert_true(first <= last);
    if (last - first + 1 > node.span_limit) {
        return failure("query exceeds max block range");
    }
    if (at < first || at > last || node.silent_logs) {
        return json_pack("{s:[]}", "result");
    }
    return json_pack("{s:[o]}", "result", event_log(nonce, node.cancelled_at > 0));
}

static json_t *receipt(const json_t *params)
{
    const char *hash = json_string_value(json_array_get(params, 0)); /* equals the nonce, see event_log */
    json_t *list = json_pack("[o]", event_log(hash, node.cancelled_at > 0));

    if (node.cancelled_at == 0) {
        json_array_append_new(list, json_pack("{s:s,s:[s,s,s],s:s}", "address", ASSET, "topics", MOVED,
                                              FROM_W, TO_W, "data", node.wrong_transfers ? FROM_W : VALUE));
    }
    return json_pack("{s:{s:s,s:o,s:o,s:s,s:o}}", "result", "transactionHash", hash, "blockHash",
                     hash_of(node.used_at + node.cancelled_at, 0xaa), "blockNumber",
                     rpc_quantity_json(node.used_at + node.cancelled_at), "status", "0x1", "logs", list);
}

static json_t *answer_call(const json_t *call)
{
    const char *method = aegis_json_text(call, "method", "");
    const json_t *params = json_object_get(call, "params");
    uint64_t number;

    node.calls++;
    if (strcmp(method, "eth_chainId") == 0) {
        return json_pack("{s:o}", "result", rpc_quantity_json(node.chain_id));
    }
    if (strcmp(method, "eth_blockNumber") == 0) {
        return json_pack("{s:o}", "result", rpc_quantity_json(node.newest));
    }
    if (strcmp(method, "eth_getBlockByNumber") == 0) {
        assert_true(rpc_quantity(json_array_get(params, 0), &number));
        return json_pack("{s:o}", "result", block_json(number));
    }
    if (strcmp(method, "eth_call") == 0) {
        return state(params);
    }
    if (strcmp(method, "eth_getLogs") == 0) {
        return logs(params);
    }
    assert_string_equal(method, "eth_getTransactionReceipt");
    return receipt(params);
}

static char *answer_request(const char *body)
{
    json_t *calls = aegis_json_parse(body, strlen(body), NULL), *answers = json_array(), *call;
    char *text;
    size_t i;

    assert_true(json_is_array(calls));
    if (json_array_size(calls) > node.batch_limit) {
        json_decref(answers);
        answers = failure("batch too large");
    } else {
        for (i = json_array_size(calls); i-- > 0;) { /* in another order than asked */
            json_t *answer;

            call = json_array_get(calls, i);
            answer = answer_call(call);
            assert_true((uint64_t)aegis_json_integer(call, "id", 0) > node.last_id);
            json_object_set_new(answer, "jsonrpc", json_string("2.0"));
            json_object_set(answer, "id", json_object_get(call, "id"));
            json_array_append_new(answers, answer);
        }
        node.last_id += json_array_size(calls);
    }
    text = aegis_json_compact(answers);
    json_decref(answers);
    json_decref(calls);
    return text;
}

struct aegis_fetch {
    char *answer;
    struct event *event;
    void (*done)(int, const char *, size_t, const char *, void *);
    void *context;
};

static void deliver(evutil_socket_t fd, short what, void *context)
{
    struct aegis_fetch *fetch = context;

    (void)fd;
    (void)what;
    if (++node.requests == finished) {
        event_base_loopbreak(base);
    }
    fetch->done(node.status, fetch->answer, strlen(fetch->answer), node.status == 0 ? "no route" : NULL,
                fetch->context);
    event_free(fetch->event);
    free(fetch->answer);
    free(fetch);
}

struct aegis_fetch *aegis_fetch(struct event_base *loop, struct aegis_dialer *dialer,
                                const struct aegis_fetch_request *request,
                                void (*done)(int, const char *, size_t, const char *, void *), void *context)
{
    struct aegis_fetch *fetch = aegis_alloc(sizeof *fetch);
    struct timeval now = {0, 0};

    (void)dialer;
    assert_string_equal(request->method, "POST");
    assert_string_equal(request->url, "http://node.example/key");
    fetch->answer = node.rubbish != NULL ? aegis_strdup(node.rubbish) : answer_request(request->body);
    fetch->done = done;
    fetch->context = context;
    fetch->event = evtimer_new(loop, deliver, fetch);
    evtimer_add(fetch->event, &now);
    return fetch;
}

void aegis_fetch_cancel(struct aegis_fetch **fetch)
{
    event_free((*fetch)->event);
    free((*fetch)->answer);
    free(*fetch);
    *fetch = NULL;
}

/* What the witness would tell the keeper, as text. */
static void proven(const struct witness_payment *payment, const struct witness_proof *proof, void *context)
{
    char *text =
        aegis_format("%s %s %llu %lld %s", payment->id, proof->kind, (unsigned long long)proof->block.number,
                     (long long)proof->block.time, proof->transaction != NULL ? "tx" : "-");

    (void)context;
    json_array_append_new(proofs, json_string(text));
    free(text);
}

static void watch(unsigned number)
{
    char id[16];
    json_t *nonce = hash_of(number, 0xcc), *message;

    snprintf(id, sizeof id, "pay_%u", number);
    message = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:I,s:I}", "payment", id, "network", NETWORK, "asset",
                        ASSET, "from", FROM, "to", TO, "value", "10000", "nonce", nonce, "valid_before",
                        (json_int_t)VALID_BEFORE, "reserved_at", (json_int_t)RESERVED_AT * 1000);
    assert_non_null(witness_book_put(book, message, NULL));
    json_decref(message);
}

/* Runs rounds until `requests` were answered or nothing is left to do. */
static struct witness_chain *run(unsigned requests)
{
    struct witness_chain_options options = {.network = NETWORK,
                                            .rpc = "http://node.example/key",
                                            .confirmations = 3,
                                            .poll_ms = 1,
                                            .proven = proven};
    struct witness_chain *chain = witness_chain_new(base, NULL, book, &options);

    node.requests = 0;
    node.last_id = 0;
    finished = requests;
    witness_chain_wake(chain);
    event_base_dispatch(base);
    return chain;
}

static void run_and_free(unsigned requests)
{
    struct witness_chain *chain = run(requests);

    witness_chain_free(&chain);
    assert_null(chain);
}

static int begin(void **state)
{
    (void)state;
    aegis_log_open("test", AEGIS_LOG_ERROR, false);
    memset(&node, 0, sizeof node);
    node.chain_id = 84532;
    node.newest = 10010;
    node.batch_limit = 1000;
    node.span_limit = 100000;
    node.status = 200;
    base = event_base_new();
    book = witness_book_new();
    proofs = json_array();
    return 0;
}

static int end(void **state)
{
    (void)state;
    json_decref(proofs);
    witness_book_free(&book);
    event_base_free(base);
    return 0;
}

static void check_proofs(const char *only)
{
    if (only == NULL) {
        assert_int_equal(json_array_size(proofs), 0);
        return;
    }
    assert_int_equal(json_array_size(proofs), 1);
    assert_string_equal(json_string_value(json_array_get(proofs, 0)), only);
    assert_false(witness_book_has(book, NETWORK));
}

static void test_waits(void **state)
{
    (void)state;
    watch(1);
    run_and_free(9);
    check_proofs(NULL);
    assert_true(witness_book_has(book, NETWORK));
}

/* Block 10030 has exactly the time of validBefore, 10031 is past it; three blocks stand above what is
 * believed. */
static void test_expired(void **state)
{
    (void)state;
    watch(1);
    node.newest = 10033;
    run_and_free(6);
    check_proofs(NULL);
    node.newest = 10034;
    run_and_free(100);
    check_proofs("pay_1 expired 10031 100062 -");
}

static void test_transferred(void **state)
{
    (void)state;
    watch(1);
    node.used_at = 10005;
    run_and_free(100);
    check_proofs("pay_1 transferred 10005 100010 tx");
    assert_int_equal(node.requests, 5);
}

/* What is above the believed block has not happened yet; nor does it expire. */
static void test_too_young(void **state)
{
    (void)state;
    watch(1);
    node.used_at = 10029;
    node.newest = 10031;
    run_and_free(9);
    check_proofs(NULL);
    node.newest = 10100;
    run_and_free(100);
    check_proofs("pay_1 transferred 10029 100058 tx");
}

static void test_cancelled(void **state)
{
    (void)state;
    watch(1);
    node.cancelled_at = 10006;
    node.newest = 20000;
    run_and_free(100);
    check_proofs("pay_1 cancelled 10006 100012 tx");
}

/* Gone, but the transfer is not the one that was signed: nothing is proven, least of all that it expired. */
static void test_other_transfer(void **state)
{
    (void)state;
    watch(1);
    node.used_at = 10005;
    node.wrong_transfers = true;
    node.newest = 20000;
    run_and_free(30);
    check_proofs(NULL);
    assert_true(witness_book_has(book, NETWORK));
}

/* The gate was down for a day: the event is found by searching backwards in steps. */
static void test_long_search(void **state)
{
    (void)state;
    watch(1);
    node.used_at = 10005;
    node.newest = 53200;
    run_and_free(1000);
    check_proofs("pay_1 transferred 10005 100010 tx");
}

/* A node that searches few blocks at a time is asked for fewer. */
static void test_short_span(void **state)
{
    (void)state;
    watch(1);
    watch(2);
    node.used_at = 10005;
    node.newest = 10060;
    node.span_limit = 64;
    run_and_free(1000);
    assert_int_equal(json_array_size(proofs), 2);
}

/* The search does not go on beyond the reservation for ever, and begins anew. */
static void test_no_event(void **state)
{
    (void)state;
    watch(1);
    node.used_at = 10005;
    node.newest = 10060;
    node.silent_logs = true;
    run_and_free(40);
    check_proofs(NULL);
    node.silent_logs = false;
    run_and_free(100);
    check_proofs("pay_1 transferred 10005 100010 tx");
}

/* Behind the address stands more than one node, and one of them is behind. */
static void test_lagging(void **state)
{
    (void)state;
    watch(1);
    node.newest = 20000;
    node.lagging = 5;
    run_and_free(12);
    check_proofs(NULL);
    run_and_free(100);
    check_proofs("pay_1 expired 19997 119994 -");
}

/* The event's block is not the one that stands there any more. */
static void test_reorganised(void **state)
{
    (void)state;
    watch(1);
    node.used_at = 10005;
    node.reorganise_from = 10000;
    run_and_free(20);
    check_proofs(NULL);
    node.reorganise_from = 0;
    run_and_free(100);
    check_proofs("pay_1 transferred 10005 100010 tx");
}

/* On the wrong chain every nonce is unused and every time may be past. */
static void test_wrong_chain(void **state)
{
    (void)state;
    watch(1);
    node.newest = 20000;
    node.chain_id = 8453;
    run_and_free(5);
    check_proofs(NULL);
    assert_int_equal(node.calls, 2 * 5);
}

static void test_young_chain(void **state)
{
    (void)state;
    watch(1);
    node.newest = 2;
    run_and_free(4);
    check_proofs(NULL);
}

static void test_trouble(void **state)
{
    static const char *const rubbish[] = {
        "",
        "null",
        "[]",
        "{}",
        "<html>",
        "[{},{}]",
        ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x14a34\"},"
         "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0xffff\"}]"),
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"message\":\"rate limit\"}}"};
    (void)state;

    watch(1);
    node.newest = 20000;
    for (size_t i = 0; i < sizeof rubbish / sizeof *rubbish; i++) {
        node.rubbish = rubbish[i];
        run_and_free(3);
        check_proofs(NULL);
    }
    node.rubbish = NULL;
    node.status = 503;
    run_and_free(3);
    node.status = 0;
    run_and_free(3);
    check_proofs(NULL);
    node.status = 200;
    run_and_free(100);
    check_proofs("pay_1 expired 19997 119994 -");
}

static void test_many(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        watch(i);
    }
    node.newest = 20000;
    run_and_free(10000);
    assert_int_equal(json_array_size(proofs), 3000);
    assert_false(witness_book_has(book, NETWORK));
}

static void test_small_batches(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        watch(i);
    }
    node.used_at = 10005;
    node.batch_limit = 3;
    run_and_free(10000);
    assert_int_equal(json_array_size(proofs), 100);
}

/* Dropped while it is asked about. */
static void test_unwatch(void **state)
{
    (void)state;
    watch(1);
    watch(2);
    node.newest = 20000;
    finished = 2;
    struct witness_chain *chain = run(2);

    witness_book_drop(book, "pay_1");
    finished = 100;
    event_base_dispatch(base);
    witness_chain_free(&chain);
    check_proofs("pay_2 expired 19997 119994 -");
}

/* Freed with a request under way. */
static void test_free_in_flight(void **state)
{
    (void)state;
    watch(1);
    for (unsigned requests = 1; requests < 6; requests++) {
        node.used_at = 10005;
        node.wrong_transfers = true;
        run_and_free(requests);
    }
    check_proofs(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_waits),       TEST(test_expired),        TEST(test_transferred), TEST(test_too_young),
        TEST(test_cancelled),   TEST(test_other_transfer), TEST(test_long_search), TEST(test_short_span),
        TEST(test_no_event),    TEST(test_lagging),        TEST(test_reorganised), TEST(test_wrong_chain),
        TEST(test_young_chain), TEST(test_trouble),        TEST(test_many),        TEST(test_small_batches),
        TEST(test_unwatch),     TEST(test_free_in_flight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
