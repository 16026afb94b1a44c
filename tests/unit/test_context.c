/* aegis-policy's reading of a PolicyContext: one kind of it is a payment, all others are refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "gate/judge/context.h"

#define TYPES                                                                                                \
    "\"types\":{\"EIP712Domain\":[{\"name\":\"name\",\"type\":\"string\"},{\"name\":\"version\",\"type\":"   \
    "\"string\"},"                                                                                           \
    "{\"name\":\"chainId\",\"type\":\"uint256\"},{\"name\":\"verifyingContract\",\"type\":\"address\"}],"    \
    "\"TransferWithAuthorization\":[{\"name\":\"from\",\"type\":\"address\"},{\"name\":\"to\",\"type\":"     \
    "\"address\"},"                                                                                          \
    "{\"name\":\"value\",\"type\":\"uint256\"},{\"name\":\"validAfter\",\"type\":\"uint256\"},"              \
    "{\"name\":\"validBefore\",\"type\":\"uint256\"},{\"name\":\"nonce\",\"type\":\"bytes32\"}]},"           \
    "\"primaryType\":\"TransferWithAuthorization\""
#define DOMAIN                                                                                               \
    "\"domain\":{\"name\":\"USDC\",\"version\":\"2\",\"chainId\":84532,"                                     \
    "\"verifyingContract\":\"0x036CbD53842c5426634e7929541eC2318f3dCF7e\"}"
#define MESSAGE                                                                                              \
    "\"message\":{\"from\":\"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\","                                  \
    "\"to\":\"0x70997970c51812dc3a010c7d01b50e0d17dc79c8\",\"value\":\"10000\",\"validAfter\":0,"            \
    "\"validBefore\":\"1790000060\","                                                                        \
    "\"nonce\":\"0xABababababababababababababababababababababababababababababababab\"}"

/* A context around `typed` (a text of an object, or NULL). */
static json_t *read_context(const char *chain, const char *raw_hex, const char *typed,
                            struct aegis_error *error)
{
    json_t *context =
        json_pack("{s:s,s:s,s:s,s:{s:s},s:{s:s,s:s},s:s}", "api_key_id", "k", "wallet_id", "w", "chain_id",
                  chain, "transaction", "raw_hex", raw_hex, "spending", "daily_total", "0", "date",
                  "2026-11-20", "timestamp", "2026-11-20T08:16:37.664458504+00:00");
    if (typed != NULL)
        json_object_set_new(context, "typed_data", json_pack("{s:s}", "raw_json", typed));
    char *text = json_dumps(context, JSON_COMPACT | JSON_SORT_KEYS);
    json_t *payment = aegis_context_payment(text, strlen(text), error);
    free(text);
    json_decref(context);
    return payment;
}

static void refused(const char *chain, const char *raw_hex, const char *typed, const char *expected)
{
    struct aegis_error error = {{0}};
    json_t *payment = read_context(chain, raw_hex, typed, &error);
    if (payment != NULL)
        fail_msg("was accepted: %s", typed == NULL ? raw_hex : typed);
    if (strstr(error.text, expected) == NULL)
        fail_msg("expected \"%s\" in: %s", expected, error.text);
}

static void test_a_payment(void **state)
{
    struct aegis_error error = {{0}};
    (void)state;
    json_t *payment = read_context("eip155:84532", "", "{" TYPES "," DOMAIN "," MESSAGE "}", &error);
    if (payment == NULL)
        fail_msg("%s", error.text);
    char *text = json_dumps(payment, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(
        text, "{\"agent\":\"k\",\"asset\":\"0x036CbD53842c5426634e7929541eC2318f3dCF7e\",\"authorization\":{"
              "\"from\":\"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\","
              "\"nonce\":\"0xabababababababababababababababababababababababababababababababab\","
              "\"to\":\"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\",\"validAfter\":\"0\",\"validBefore\":"
              "\"1790000060\","
              "\"value\":\"10000\"},\"network\":\"eip155:84532\"}");
    free(text);
    json_decref(payment);
}

static void test_raw_bytes(void **state)
{
    (void)state;
    refused("eip155:84532", "1901aabb", NULL, "raw bytes that sign like typed data");
    refused("eip155:84532", "0x1901aabb", NULL, "raw bytes that sign like typed data");
    refused("eip155:84532", "68656c6c6f", NULL, "raw bytes cannot be judged");
    refused("eip155:84532", "00", "{" TYPES "," DOMAIN "," MESSAGE "}", "raw bytes cannot be judged");
    refused("eip155:84532", "", NULL, "there is no typed data");
}

static void test_other_typed_data(void **state)
{
    (void)state;
    refused("eip155:84532", "", "not json", "line 1");
    refused("eip155:84532", "", "{}", "typed_data");
    refused("eip155:84532", "", "{" TYPES "," DOMAIN "," MESSAGE ",\"x\":1}", "typed_data");
    refused("eip155:84532", "",
            "{\"types\":{\"Permit\":[]},\"primaryType\":\"Permit\"," DOMAIN "," MESSAGE "}",
            "only payments by EIP-3009");
    refused("eip155:84532", "",
            "{\"types\":{\"EIP712Domain\":[],\"TransferWithAuthorization\":[]},\"primaryType\":"
            "\"TransferWithAuthorization\"," DOMAIN "," MESSAGE "}",
            "only payments by EIP-3009");
    refused("eip155:8453", "", "{" TYPES "," DOMAIN "," MESSAGE "}", "not the chain of the typed data");
    refused("solana:x", "", "{" TYPES "," DOMAIN "," MESSAGE "}", "not the chain of the typed data");
    refused("eip155:84532", "", "{" TYPES ",\"domain\":{\"name\":\"USDC\"}," MESSAGE "}",
            "typed_data.domain");
    refused("eip155:84532", "", "{" TYPES "," DOMAIN ",\"message\":{\"from\":\"0x\"}}", "typed_data.message");
    /* Two readers could read two amounts. */
    refused("eip155:84532", "",
            "{" TYPES "," DOMAIN
            ",\"message\":{\"from\":\"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\",\"to\":"
            "\"0x70997970c51812dc3a010c7d01b50e0d17dc79c8\",\"value\":\"1\",\"value\":\"9\",\"validAfter\":0,"
            "\"validBefore\":1,\"nonce\":\"0x00\"}}",
            "");
}

static void refused_value(const char *field, const char *value)
{
    char typed[4096];
    const char *message = MESSAGE, *at = strstr(message, field);
    const char *end = strchr(at, ',');
    assert_non_null(end);
    snprintf(typed, sizeof(typed), "{" TYPES "," DOMAIN ",%.*s%s\":%s%s}", (int)(at - message), message,
             field, value, end);
    refused("eip155:84532", "", typed, "typed_data.message: ");
}

static void test_odd_values(void **state)
{
    (void)state;
    refused_value("value", "\"0x2710\"");
    refused_value("value", "\"-1\"");
    refused_value("value", "1.5");
    refused_value("value", "\"340282366920938463463374607431768211456\"");
    refused_value("value", "\"010\"");
    refused_value("validAfter", "null");
    refused_value("validBefore", "-5");
    refused_value("to", "\"0x70997970C51812dc3A010C7d01b50e0d17dc79c8\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_payment),
        cmocka_unit_test(test_raw_bytes),
        cmocka_unit_test(test_other_typed_data),
        cmocka_unit_test(test_odd_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
