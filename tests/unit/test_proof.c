/* What a node's answers prove, and what they do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/witness/book.h"
#include "gate/witness/proof.h"
#include "gate/witness/rpc.h"

#define ASSET  "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
#define FROM   "0xa464B969Fe22b5cF8E4FF30A5F9BF017cBB853f1"
#define TO     "0xAFdD32642687ED13B68BB957cE27eeF0457a306E"
#define NONCE  "0x57c0f1e2f3db48a789555c57194064ae63942941e60a94ecdce44d080f11b095"
#define HASH   "0x1111111111111111111111111111111111111111111111111111111111111111"
#define OTHER  "0x2222222222222222222222222222222222222222222222222222222222222222"
#define TX     "0x3333333333333333333333333333333333333333333333333333333333333333"
#define FROM_W "0x000000000000000000000000a464b969fe22b5cf8e4ff30a5f9bf017cbb853f1"
#define TO_W   "0x000000000000000000000000afdd32642687ed13b68bb957ce27eef0457a306e"
#define VALUE  "0x0000000000000000000000000000000000000000000000000000000000002710"
#define MORE   "0x0000000000000000000000000000000000000000000000000000000000002711"
#define YES    "0x0000000000000000000000000000000000000000000000000000000000000001"
#define NO     "0x0000000000000000000000000000000000000000000000000000000000000000"
#define USED   "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5"
#define CANCEL "0x1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d81"
#define MOVED  "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"

static struct witness_authorization authorization;

static int make_authorization(void **state)
{
    (void)state;
    assert_true(aegis_address_parse(ASSET, &authorization.asset));
    assert_true(aegis_address_parse(FROM, &authorization.from));
    assert_true(aegis_address_parse(TO, &authorization.to));
    assert_true(aegis_hex_decode(&NONCE[2], 64, authorization.nonce, 32));
    authorization.value = 10000;
    authorization.valid_before = 1790000300;
    return 0;
}

static json_t *json(const char *text)
{
    json_t *value = aegis_json_parse(text, strlen(text), NULL);

    if (value == NULL) {
        fail_msg("%s", text);
    }
    return value;
}

/* Batches. */

static void check_batch(const char *answer, bool ok, const char *problem)
{
    uint64_t next_id = 7;
    struct rpc_batch batch;
    struct aegis_error error = {""};
    json_t *answers;

    rpc_batch_begin(&batch, &next_id);
    assert_int_equal(rpc_batch_add(&batch, &next_id, "a", json_array()), 0);
    assert_int_equal(rpc_batch_add(&batch, &next_id, "b", json_pack("[i]", 1)), 1);
    answers = rpc_batch_read(&batch, answer, strlen(answer), &error);
    if ((answers != NULL) != ok || strstr(error.text, problem) == NULL) {
        fail_msg("%s: %s", answer, error.text);
    }
    json_decref(answers);
    rpc_batch_end(&batch);
}

static void test_batch(void **state)
{
    uint64_t next_id = 7;
    struct rpc_batch batch;
    struct aegis_error error = {""};
    static const char answer[] =
        "[{\"jsonrpc\":\"2.0\",\"id\":8,\"error\":{\"code\":-32000,\"message\":\"no\\nway\"}},"
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":null}]";
    char *text;
    json_t *answers;
    (void)state;

    rpc_batch_begin(&batch, &next_id);
    rpc_batch_add(&batch, &next_id, "a", json_array());
    rpc_batch_add(&batch, &next_id, "b", json_pack("[i]", 1));
    assert_int_equal(next_id, 9);
    text = rpc_batch_text(&batch);
    assert_string_equal(text, "[{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"a\",\"params\":[]},"
                              "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"b\",\"params\":[1]}]");
    free(text);
    answers = rpc_batch_read(&batch, answer, sizeof answer - 1, &error);
    assert_non_null(answers);
    assert_true(json_is_null(rpc_result(answers, 0, &error)));
    assert_null(rpc_result(answers, 1, &error));
    assert_string_equal(error.text, "the node says: no\nway");
    assert_null(rpc_result(answers, 2, &error));
    json_decref(answers);
    rpc_batch_end(&batch);
}

#define ELEMENT(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":1}"

static void test_batch_refuses(void **state)
{
    (void)state;
    check_batch("[" ELEMENT("7") "," ELEMENT("8") "]", true, "");
    check_batch("[" ELEMENT("8") "," ELEMENT("7") "]", true, "");
    check_batch("[" ELEMENT("7") "]", false, "not an answer to a batch of 2");
    check_batch("[" ELEMENT("7") "," ELEMENT("8") "," ELEMENT("9") "]", false,
                "not an answer to a batch of 2");
    check_batch("[" ELEMENT("7") "," ELEMENT("7") "]", false, "answers nothing that was asked");
    check_batch("[" ELEMENT("6") "," ELEMENT("7") "]", false, "answers nothing that was asked");
    check_batch("[" ELEMENT("9") "," ELEMENT("8") "]", false, "answers nothing that was asked");
    check_batch("[" ELEMENT("\"7\"") "," ELEMENT("8") "]", false, "answers nothing that was asked");
    check_batch("[" ELEMENT("null") "," ELEMENT("8") "]", false, "answers nothing that was asked");
    check_batch("[" ELEMENT("7.0") "," ELEMENT("8") "]", false, "answers nothing that was asked");
    check_batch("[" ELEMENT("-9223372036854775808") "," ELEMENT("8") "]", false,
                "answers nothing that was asked");
    check_batch("[7,8]", false, "not JSON-RPC 2.0");
    check_batch("[{\"id\":7,\"result\":1}," ELEMENT("8") "]", false, "not JSON-RPC 2.0");
    check_batch("[{\"jsonrpc\":\"2.0\",\"id\":7}," ELEMENT("8") "]", false, "neither result nor error");
    check_batch(
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"batch too large\"}}",
        false, "the node refused the batch: batch too large");
    check_batch("{}", false, "not an answer");
    check_batch("null", false, "not an answer");
    check_batch("", false, "line 1");
    check_batch("<html>busy</html>", false, "line 1");
}

static void test_quantities(void **state)
{
    static const char *const bad[] = {"\"\"",
                                      "\"0x\"",
                                      "\"1\"",
                                      "1",
                                      "null",
                                      "\"0xg\"",
                                      "\"0x8000000000000000\"",
                                      "\"0x00000000000000001\"",
                                      "\"-0x1\"",
                                      "\"0x 1\"",
                                      "\"0X1\""};
    uint64_t value;
    uint8_t bytes[2];
    json_t *text;
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        text = json(bad[i]);
        assert_false(rpc_quantity(text, &value));
        json_decref(text);
    }
    text = rpc_quantity_json(UINT64_C(1) << 53);
    assert_true(rpc_quantity(text, &value) && value == UINT64_C(1) << 53);
    json_decref(text);
    text = rpc_quantity_json((UINT64_C(1) << 53) + 1);
    assert_false(rpc_quantity(text, &value));
    json_decref(text);
    text = rpc_quantity_json(0);
    assert_string_equal(json_string_value(text), "0x0");
    assert_true(rpc_quantity(text, &value) && value == 0);
    assert_false(rpc_data(text, bytes, 2));
    json_decref(text);
    text = rpc_data_json("\x01\xff", 2);
    assert_string_equal(json_string_value(text), "0x01ff");
    assert_true(rpc_data(text, bytes, 2) && bytes[1] == 0xff);
    assert_false(rpc_data(text, bytes, 1));
    json_decref(text);
}

/* Blocks and states. */

static void test_block(void **state)
{
    static const char *const bad[] = {"null",
                                      "{}",
                                      "[]",
                                      "{\"number\":\"0x10\",\"hash\":\"" HASH "\"}",
                                      "{\"number\":\"0x10\",\"hash\":\"0x11\",\"timestamp\":\"0x6ab13b80\"}",
                                      "{\"number\":16,\"hash\":\"" HASH "\",\"timestamp\":\"0x6ab13b80\"}",
                                      "{\"number\":\"0xf\",\"hash\":\"" HASH
                                      "\",\"timestamp\":\"0x6ab13b80\"}",
                                      "{\"number\":null,\"hash\":null,\"timestamp\":\"0x6ab13b80\"}"};
    struct witness_block block;
    json_t *answer =
        json("{\"number\":\"0x10\",\"hash\":\"" HASH "\",\"timestamp\":\"0x6ab13b80\",\"more\":[]}");
    (void)state;

    assert_true(witness_read_block(answer, 16, &block, NULL));
    assert_int_equal(block.time, 0x6ab13b80);
    assert_int_equal(block.hash[31], 0x11);
    assert_false(witness_read_block(answer, 17, &block, NULL));
    json_decref(answer);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        answer = json(bad[i]);
        assert_false(witness_read_block(answer, 16, &block, NULL));
        json_decref(answer);
    }
}

static void test_state(void **state)
{
    static const struct {
        const char *answer;
        enum witness_nonce nonce;
    } cases[] = {{"\"" YES "\"", WITNESS_NONCE_GONE},     {"\"" NO "\"", WITNESS_NONCE_UNUSED},
                 {"\"0x\"", WITNESS_NONCE_UNKNOWN}, /* no contract there */
                 {"\"0x0\"", WITNESS_NONCE_UNKNOWN},      {"\"0x1\"", WITNESS_NONCE_UNKNOWN},
                 {"\"" HASH "\"", WITNESS_NONCE_UNKNOWN}, {"false", WITNESS_NONCE_UNKNOWN},
                 {"null", WITNESS_NONCE_UNKNOWN},         {"\"" NO "00\"", WITNESS_NONCE_UNKNOWN}};
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *answer = json(cases[i].answer);

        assert_int_equal(witness_read_state(answer, NULL), cases[i].nonce);
        json_decref(answer);
    }
}

static void check_text(json_t *value, const char *expected)
{
    char *text = aegis_json_compact(value);

    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
}

/* The calls as any node understands them; the state is asked of one block's hash, never of a number. */
static void test_calls(void **state)
{
    struct witness_block block = {.number = 16};
    (void)state;

    memset(block.hash, 0x11, sizeof block.hash);
    check_text(witness_state_call(&authorization, &block),
               "[{\"to\":\"" ASSET
               "\",\"data\":\"0xe94a0102000000000000000000000000a464b969fe22b5cf8e4ff30a5f9bf017cbb853f1"
               "57c0f1e2f3db48a789555c57194064ae63942941e60a94ecdce44d080f11b095\"},"
               "{\"blockHash\":\"" HASH "\",\"requireCanonical\":true}]");
    check_text(witness_logs_call(&authorization, 1, 16),
               "[{\"address\":\"" ASSET "\",\"fromBlock\":\"0x1\",\"toBlock\":\"0x10\",\"topics\":[[\"" USED
               "\",\"" CANCEL "\"],\"" FROM_W "\",\"" NONCE "\"]}]");
}

static void test_expired(void **state)
{
    struct witness_block block = {.time = 1790000300};
    (void)state;

    assert_false(witness_expired(&authorization, &block));
    block.time++;
    assert_true(witness_expired(&authorization, &block));
}

/* Events. */

#define LOG(address, topic, from, nonce, block)                                                              \
    "{\"address\":\"" address "\",\"topics\":[\"" topic "\",\"" from "\",\"" nonce                           \
    "\"],\"data\":\"0x\",\"blockNumber\":\"" block "\",\"blockHash\":\"" HASH "\",\"transactionHash\":\"" TX \
    "\",\"removed\":false}"

static bool read_logs(const char *text, bool *found, struct witness_event *event)
{
    json_t *answer = json(text);
    bool ok = witness_read_logs(&authorization, answer, 1, 16, found, event, NULL);

    json_decref(answer);
    return ok;
}

static void test_logs(void **state)
{
    static const char *const bad[] = {
        "null",
        "{}",
        "[null]",
        "[{}]",
        "[" LOG(TO, USED, FROM_W, NONCE, "0x10") "]",
        "[" LOG(ASSET, MOVED, FROM_W, NONCE, "0x10") "]",
        "[" LOG(ASSET, USED, TO_W, NONCE, "0x10") "]",
        "[" LOG(ASSET, USED, FROM_W, OTHER, "0x10") "]",
        "[" LOG(ASSET, USED, FROM_W, NONCE, "0x11") "]",
        "[" LOG(ASSET, USED, FROM_W, NONCE, "0x0") "]",
        "[" LOG(ASSET, USED, FROM_W, NONCE, "") "]",
        "[" LOG(ASSET, USED, FROM_W, NONCE, "0x10") "," LOG(ASSET, CANCEL, FROM_W, NONCE, "0x10") "]",
        "[{\"address\":\"" ASSET "\",\"topics\":[\"" USED "\",\"" FROM_W "\",\"" NONCE
        "\"],\"blockNumber\":\"0x10\",\"blockHash\":\"" HASH "\",\"transactionHash\":\"" TX
        "\",\"removed\":true}]",
        "[{\"address\":\"" ASSET "\",\"topics\":[\"" USED "\",\"" FROM_W "\",\"" NONCE
        "\"],\"blockNumber\":\"0x10\",\"blockHash\":null,\"transactionHash\":\"" TX "\"}]"};
    struct witness_event event;
    bool found;
    (void)state;

    assert_true(read_logs("[]", &found, &event));
    assert_false(found);
    assert_true(read_logs("[" LOG(ASSET, USED, FROM_W, NONCE, "0x10") "]", &found, &event));
    assert_true(found && !event.cancelled && event.block == 16 && event.transaction[0] == 0x33);
    assert_true(
        read_logs("[" LOG("0x036cbd53842c5426634e7929541ec2318f3dcf7e", CANCEL, FROM_W, NONCE, "0x1") "]",
                  &found, &event));
    assert_true(found && event.cancelled && event.block == 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (read_logs(bad[i], &found, &event) || found) {
            fail_msg("%s", bad[i]);
        }
    }
}

/* Receipts. */

#define TRANSFER(address, from, to, value)                                                                   \
    "{\"address\":\"" address "\",\"topics\":[\"" MOVED "\",\"" from "\",\"" to "\"],\"data\":\"" value "\"" \
    "}"
#define GONE(topic)                                                                                          \
    "{\"address\":\"" ASSET "\",\"topics\":[\"" topic "\",\"" FROM_W "\",\"" NONCE "\"],\"data\":\"0x\"}"
#define RECEIPT(tx, hash, number, status, logs)                                                              \
    "{\"transactionHash\":\"" tx "\",\"blockHash\":\"" hash "\",\"blockNumber\":\"" number                   \
    "\",\"status\":\"" status "\",\"logs\":[" logs "]}"

static bool confirm(bool cancelled, const char *receipt)
{
    struct witness_event event = {.cancelled = cancelled, .block = 16};
    struct witness_block block = {.number = 16};
    json_t *value = json(receipt);
    bool ok;

    memset(event.block_hash, 0x11, WITNESS_WORD);
    memset(event.transaction, 0x33, WITNESS_WORD);
    memset(block.hash, 0x11, WITNESS_WORD);
    ok = witness_confirm(&authorization, &event, value, &block, NULL);
    json_decref(value);
    return ok;
}

static void test_transferred(void **state)
{
    static const char *const bad[] = {
        "null",
        "{}",
        RECEIPT(TX, HASH, "0x10", "0x1", ""),
        RECEIPT(TX, HASH, "0x10", "0x1", GONE(USED)),                           /* used, nothing moved */
        RECEIPT(TX, HASH, "0x10", "0x1", TRANSFER(ASSET, FROM_W, TO_W, VALUE)), /* not by our nonce */
        RECEIPT(TX, HASH, "0x10", "0x1", GONE(CANCEL) "," TRANSFER(ASSET, FROM_W, TO_W, VALUE)),
        RECEIPT(TX, HASH, "0x10", "0x1",
                GONE(USED) "," TRANSFER(ASSET, FROM_W, TO_W, MORE)), /* another amount */
        RECEIPT(TX, HASH, "0x10", "0x1",
                GONE(USED) "," TRANSFER(ASSET, FROM_W, FROM_W, VALUE)), /* another payee */
        RECEIPT(TX, HASH, "0x10", "0x1", GONE(USED) "," TRANSFER(ASSET, TO_W, TO_W, VALUE)),
        RECEIPT(TX, HASH, "0x10", "0x1",
                GONE(USED) "," TRANSFER(TO, FROM_W, TO_W, VALUE)), /* another token */
        RECEIPT(TX, HASH, "0x10", "0x1", GONE(USED) "," TRANSFER(ASSET, FROM_W, TO_W, "0x2710")),
        RECEIPT(TX, HASH, "0x10", "0x0", GONE(USED) "," TRANSFER(ASSET, FROM_W, TO_W, VALUE)), /* reverted */
        RECEIPT(TX, OTHER, "0x10", "0x1",
                GONE(USED) "," TRANSFER(ASSET, FROM_W, TO_W, VALUE)), /* another block */
        RECEIPT(TX, HASH, "0x11", "0x1", GONE(USED) "," TRANSFER(ASSET, FROM_W, TO_W, VALUE)),
        RECEIPT(OTHER, HASH, "0x10", "0x1", GONE(USED) "," TRANSFER(ASSET, FROM_W, TO_W, VALUE)),
    };
    (void)state;

    assert_true(confirm(
        false, RECEIPT(TX, HASH, "0x10", "0x1", GONE(USED) "," TRANSFER(ASSET, FROM_W, TO_W, VALUE))));
    assert_true(confirm(false, RECEIPT(TX, HASH, "0x10", "0x1",
                                       TRANSFER(ASSET, TO_W, FROM_W, MORE) "," TRANSFER(
                                           ASSET, FROM_W, TO_W, VALUE) "," GONE(USED) ",{}")));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (confirm(false, bad[i])) {
            fail_msg("%s", bad[i]);
        }
    }
}

static void test_cancelled(void **state)
{
    (void)state;
    assert_true(confirm(true, RECEIPT(TX, HASH, "0x10", "0x1", GONE(CANCEL))));
    assert_false(confirm(true, RECEIPT(TX, HASH, "0x10", "0x1", GONE(USED))));
    assert_false(confirm(true, RECEIPT(TX, HASH, "0x10", "0x0", GONE(CANCEL))));
    assert_false(confirm(true, RECEIPT(TX, OTHER, "0x10", "0x1", GONE(CANCEL))));
}

/* After a reorganisation another block stands at the height of the event. */
static void test_other_block(void **state)
{
    struct witness_event event = {.block = 16};
    struct witness_block block = {.number = 16};
    json_t *receipt =
        json(RECEIPT(TX, HASH, "0x10", "0x1", GONE(USED) "," TRANSFER(ASSET, FROM_W, TO_W, VALUE)));
    struct aegis_error error;
    (void)state;

    memset(event.block_hash, 0x11, WITNESS_WORD);
    memset(event.transaction, 0x33, WITNESS_WORD);
    memset(block.hash, 0x22, WITNESS_WORD);
    assert_false(witness_confirm(&authorization, &event, receipt, &block, &error));
    assert_string_equal(error.text, "the block of the event is not the one that stands at its height");
    json_decref(receipt);
}

/* The book. */

static json_t *watch(const char *id, const char *network)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I}", "type", "watch", "payment", id, "network",
                     network, "asset", ASSET, "from", FROM, "to", TO, "value", "10000", "nonce", NONCE,
                     "valid_before", (json_int_t)1790000300, "reserved_at", (json_int_t)1790000000000);
}

static void put(struct witness_book *book, const char *id, const char *network)
{
    json_t *message = watch(id, network);

    assert_non_null(witness_book_put(book, message, NULL));
    json_decref(message);
}

static void test_book(void **state)
{
    struct witness_book *book = witness_book_new();
    struct witness_payment *payment;
    struct witness_walk walk = {0};
    char seen[8] = "";
    (void)state;

    put(book, "a", "eip155:1");
    put(book, "b", "eip155:2");
    put(book, "c", "eip155:1");
    put(book, "a", "eip155:1"); /* again: in the place of the first */
    assert_true(witness_book_has(book, "eip155:2"));
    assert_false(witness_book_has(book, "eip155:3"));
    witness_walk_begin(book, &walk);
    while ((payment = witness_walk_next(book, &walk, "eip155:1")) != NULL) {
        strcat(seen, payment->id);
        witness_book_drop(book, payment->id);
        assert_true(payment->gone);
        witness_payment_release(&payment);
    }
    assert_int_equal(strlen(seen), 2);
    assert_false(witness_book_has(book, "eip155:1"));
    witness_book_drop(book, "none");
    witness_book_free(&book);
    assert_null(book);
}

/* A walk that is interrupted goes on where it stopped. */
static void test_walk(void **state)
{
    struct witness_book *book = witness_book_new();
    struct witness_payment *payment;
    struct witness_walk walk = {0};
    char id[2] = "a", seen[8] = "";
    (void)state;

    for (; id[0] < 'f'; id[0]++) {
        put(book, id, "eip155:1");
    }
    for (int round = 0; round < 3; round++) {
        witness_walk_begin(book, &walk);
        for (int i = 0; i < 2; i++) {
            payment = witness_walk_next(book, &walk, "eip155:1");
            strcat(seen, payment->id);
            witness_payment_release(&payment);
        }
    }
    assert_string_equal(seen, "abcdea");
    witness_book_free(&book);
}

static void test_book_refuses(void **state)
{
    static const char *const members[] = {"asset", "from", "to", "value", "nonce"};
    struct witness_book *book = witness_book_new();
    (void)state;

    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *message = watch("a", "eip155:1");
        struct aegis_error error = {""};

        json_object_set_new(message, members[i], json_string("0x12"));
        assert_null(witness_book_put(book, message, &error));
        assert_memory_equal(error.text, members[i], strlen(members[i]));
        json_decref(message);
    }
    assert_false(witness_book_has(book, "eip155:1"));
    witness_book_free(&book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch),       cmocka_unit_test(test_batch_refuses),
        cmocka_unit_test(test_quantities),  cmocka_unit_test(test_block),
        cmocka_unit_test(test_state),       cmocka_unit_test(test_calls),
        cmocka_unit_test(test_expired),     cmocka_unit_test(test_logs),
        cmocka_unit_test(test_transferred), cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_other_block), cmocka_unit_test(test_book),
        cmocka_unit_test(test_walk),        cmocka_unit_test(test_book_refuses),
    };

    return cmocka_run_group_tests(tests, make_authorization, NULL);
}
