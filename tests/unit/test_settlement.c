/* What sellers report after a payment, honest and otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/base/text.h"
#include "gate/x402/challenge.h"

#define HASH "0x8f0c1f6d7b1f0d1c6f0e6b3a1e5d4c3b2a190817263544536271809fa0b1c2d3"

static bool parse(const char *json, struct aegis_settlement *out)
{
    char *header = aegis_base64_encode(json, strlen(json));
    bool ok = aegis_settlement_parse(header, strlen(header), out, NULL);

    free(header);
    return ok;
}

static void test_good(void **state)
{
    struct aegis_settlement settlement;
    (void)state;

    assert_true(parse(
        "{\"success\":true,\"payer\":\"0xa464b969fe22b5cf8e4ff30a5f9bf017cbb853f1\",\"transaction\":\"" HASH
        "\",\"network\":\"eip155:84532\",\"amount\":\"10000\",\"extensions\":{}}",
        &settlement));
    assert_true(settlement.success);
    assert_string_equal(settlement.transaction, HASH);
    assert_string_equal(settlement.network, "eip155:84532");
    assert_string_equal(settlement.payer, "0xa464B969Fe22b5cF8E4FF30A5F9BF017cBB853f1");
    assert_string_equal(settlement.amount, "10000");
    assert_string_equal(settlement.reason, "");
    assert_true(parse("{\"success\":true,\"transaction\":\"" HASH
                      "\",\"network\":\"base-sepolia\",\"payer\":\"x\"}",
                      &settlement));
    assert_string_equal(settlement.network, "eip155:84532");
    assert_string_equal(settlement.payer, "");
}

static void test_failure(void **state)
{
    struct aegis_settlement settlement;
    (void)state;

    assert_true(parse("{\"success\":false,\"errorReason\":\"line one\\n\\tline \\u001b[31mtwo "
                      "\xc3\xa9\",\"network\":\"x\"}",
                      &settlement));
    assert_false(settlement.success);
    assert_string_equal(settlement.reason, "line one line [31mtwo ");
    assert_string_equal(settlement.network, "");
    assert_string_equal(settlement.transaction, "");
}

static void test_long_reason(void **state)
{
    struct aegis_settlement settlement;
    char *reason = aegis_alloc(5001), *json;
    (void)state;

    memset(reason, 'r', 5000);
    json = aegis_format("{\"success\":false,\"errorReason\":\"%s\",\"transaction\":\"%s\"}", reason, reason);
    assert_true(parse(json, &settlement));
    assert_int_equal(strlen(settlement.reason), sizeof settlement.reason - 1);
    assert_string_equal(settlement.transaction, "");
    free(json);
    free(reason);
}

static void test_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "null",
                                      "[]",
                                      "{}",
                                      "{\"success\":null}",
                                      "{\"success\":\"true\"}",
                                      "{\"success\":1}",
                                      "{\"success\":true,\"success\":false}",
                                      "{\"success\":true",
                                      "{\"success\":true}x",
                                      "{\"success\":true,\"a\":\"\xff\"}"};
    static const char *const headers[] = {"###", "e30", "eyJzdWNjZXNzIjp0cnVlfQ-_", "\n"};
    struct aegis_settlement settlement;
    char *text;
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(parse(bad[i], &settlement));
        assert_false(settlement.success);
    }
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        assert_false(aegis_settlement_parse(headers[i], strlen(headers[i]), &settlement, NULL));
    }
    text = aegis_alloc(40001);
    memset(text, 'A', 40000);
    assert_false(aegis_settlement_parse(text, 40000, &settlement, NULL));
    free(text);
}

/* Members of the wrong kind or content are left out; they do not make a success of a failure or the
 * reverse. */
static void test_odd_members(void **state)
{
    struct aegis_settlement settlement;
    (void)state;

    assert_true(
        parse("{\"success\":true,\"transaction\":\"../../etc\",\"network\":7,\"payer\":[],\"amount\":-1,"
              "\"errorReason\":{}}",
              &settlement));
    assert_true(settlement.success);
    assert_string_equal(settlement.transaction, "");
    assert_string_equal(settlement.network, "");
    assert_string_equal(settlement.payer, "");
    assert_string_equal(settlement.amount, "");
    assert_string_equal(settlement.reason, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_long_reason), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_odd_members),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
