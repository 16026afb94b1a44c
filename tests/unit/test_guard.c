/* The guard plugin: payees, hosts, methods, customers. */
#include "tests/unit/judging.h"

#define GUARD(config) "[{\"id\":\"p\",\"plugin\":\"guard\",\"config\":{" config "}}]"
#define LOWER         "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
#define OTHER         "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"

static void test_allowlist(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, GUARD("\"mode\":\"allowlist\",\"addresses\":{\"eip155:8453\":[\"" LOWER "\"]}"));
    judging_expect(&judging, judging_subject("1", NULL), NULL, "allow");
    judging_expect(&judging, judging_subject("1", "{\"pay_to\":\"" OTHER "\"}"), NULL,
                   "deny payee_not_allowed");
    judging_expect(&judging, judging_subject("1", "{\"network\":\"eip155:1\"}"), NULL,
                   "deny payee_not_allowed");
    judging_close(&judging);
}

static void test_blocklist(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, GUARD("\"mode\":\"blocklist\",\"addresses\":{\"eip155:*\":[\"" LOWER "\"]}"));
    judging_expect(&judging, judging_subject("1", NULL), NULL, "deny payee_blocked");
    judging_expect(&judging, judging_subject("1", "{\"pay_to\":\"" OTHER "\"}"), NULL, "allow");
    judging_expect(&judging, judging_subject("1", "{\"network\":\"solana:x\"}"), NULL, "allow");
    judging_close(&judging);
}

static void test_blocked_wins(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging,
                 GUARD("\"mode\":\"allowlist\",\"addresses\":{\"*\":[\"" LOWER "\"]},\"blockAddresses\":[\""
                       "0x70997970C51812DC3A010C7D01B50E0D17DC79C8\"]"));
    judging_expect(&judging, judging_subject("1", NULL), NULL, "deny payee_blocked");
    judging_close(&judging);
}

/* Other families of chains mean the case of their letters. */
static void test_base58(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, GUARD("\"mode\":\"allowlist\",\"addresses\":{\"solana:*\":"
                                 "[\"4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU\"]}"));
    judging_expect(&judging,
                   judging_subject("1", "{\"network\":\"solana:x\",\"pay_to\":"
                                        "\"4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU\"}"),
                   NULL, "allow");
    judging_expect(&judging,
                   judging_subject("1", "{\"network\":\"solana:x\",\"pay_to\":"
                                        "\"4zmmC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU\"}"),
                   NULL, "deny payee_not_allowed");
    judging_close(&judging);
}

static void expect_host(const char *patterns, const char *host, bool listed)
{
    struct judging judging;
    char documents[512], changes[256];
    snprintf(documents, sizeof(documents), GUARD("\"hosts\":{\"allow\":[%s]}"), patterns);
    snprintf(changes, sizeof(changes), "{\"host\":\"%s\"}", host);
    judging_open(&judging, documents);
    judging_expect(&judging, judging_subject("1", changes), NULL, listed ? "allow" : "deny host_not_allowed");
    judging_close(&judging);
    snprintf(documents, sizeof(documents), GUARD("\"hosts\":{\"allow\":[\"*\"],\"block\":[%s]}"), patterns);
    judging_open(&judging, documents);
    judging_expect(&judging, judging_subject("1", changes), NULL, listed ? "deny host_blocked" : "allow");
    judging_close(&judging);
}

static void test_hosts(void **state)
{
    (void)state;
    expect_host("\"api.example.com\"", "api.example.com", true);
    expect_host("\"API.Example.com\"", "api.example.com", true);
    expect_host("\"api.example.com\"", "api.example.com:8443", true);
    expect_host("\"api.example.com\"", "api.example.com.", true);
    expect_host("\"api.example.com:8443\"", "api.example.com:8443", true);
    expect_host("\"api.example.com:8443\"", "api.example.com", false);
    expect_host("\"api.example.com:8443\"", "api.example.com:84430", false);
    expect_host("\"api.example.com\"", "api.example.com.evil.org", false);
    expect_host("\"api.example.com\"", "xapi.example.com", false);
    expect_host("\".example.com\"", "example.com", true);
    expect_host("\".example.com\"", "a.b.example.com:81", true);
    expect_host("\".example.com\"", "notexample.com", false);
    expect_host("\"*.example.com\"", "a.example.com", true);
    expect_host("\"*.example.com\"", "example.com", false);
    expect_host("\"*.example.com:81\"", "a.example.com:81", true);
    expect_host("\"*.example.com:81\"", "a.example.com:82", false);
    expect_host("\"*\"", "anything:9", true);
    expect_host("\"[::1]\"", "[::1]:8402", true);
    expect_host("\"[::1]:8402\"", "[::1]:8402", true);
    expect_host("\"[::1]:8402\"", "[::1]", false);
    expect_host("\"127.0.0.1:4021\"", "127.0.0.1:4021", true);
    expect_host("\"one.com\",\"two.com\"", "two.com", true);
    expect_host("\"one.com\",\"two.com\"", "three.com", false);
}

static void expect_request(const struct judging *judging, const char *method, const char *host,
                           const char *verdict, const char *code)
{
    struct aegis_request_verdict out;
    struct aegis_request request = {
        .size = sizeof(request),
        .agent = "key-1",
        .agent_name = "Researcher",
        .method = method,
        .url = "https://x/",
        .host = host,
        .now = JUDGING_NOW,
    };
    json_t *ids = judging_json("[\"p\"]");
    aegis_evaluate_request(judging->policies, ids, &request, &out);
    assert_string_equal(out.verdict, verdict);
    assert_string_equal(out.code, code);
    assert_string_equal(out.policy, *code == '\0' ? "" : "p");
    assert_int_equal(out.cache_ms, 60000);
    json_decref(ids);
}

static void test_requests(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, GUARD("\"methods\":[\"GET\",\"POST\"],\"hosts\":{\"block\":[\"evil.com\"]}"));
    expect_request(&judging, "GET", "good.com", "allow", "");
    expect_request(&judging, "DELETE", "good.com", "deny", "method_not_allowed");
    expect_request(&judging, "get", "good.com", "deny", "method_not_allowed");
    expect_request(&judging, "GET", "evil.com:99", "deny", "host_blocked");
    judging_expect(&judging, judging_subject("1", "{\"method\":\"PUT\"}"), NULL, "deny method_not_allowed");
    judging_close(&judging);
}

static void test_customers(void **state)
{
    struct judging judging;
    struct aegis_evaluation evaluation;
    static const char customer[] =
        "{\"payer\":\"" LOWER "\",\"network\":\"eip155:8453\",\"asset\":\"0x\",\"token\":\"USDC\","
        "\"scaled\":\"1\",\"route\":\"/x\"}";
    json_t *facts = json_object();
    (void)state;
    judging_open(&judging,
                 "[{\"id\":\"a\",\"plugin\":\"guard\",\"config\":{\"blockAddresses\":[\"" JUDGING_PAYEE
                 "\"]}},"
                 "{\"id\":\"b\",\"plugin\":\"guard\",\"config\":{\"mode\":\"allowlist\",\"addresses\":{}}}]");
    judging_ask(&judging, "customer", "[\"a\"]", judging_json(customer), facts, JUDGING_NOW, &evaluation);
    assert_string_equal(judging_text(&evaluation), "deny payer_blocked");
    aegis_evaluation_clear(&evaluation);
    /* An allowlist says whom we pay, not who may pay us. */
    judging_ask(&judging, "customer", "[\"b\"]", judging_json(customer), facts, JUDGING_NOW, &evaluation);
    assert_string_equal(judging_text(&evaluation), "allow");
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
    judging_close(&judging);
}

static void test_known_assets(void **state)
{
    struct judging judging;
    (void)state;
    judging_open(&judging, GUARD("\"knownAssetsOnly\":true"));
    judging_expect(&judging, judging_subject("1", NULL), NULL, "allow");
    judging_expect(&judging, judging_subject("1", "{\"token\":\"\"}"), NULL, "deny asset_unknown");
    judging_close(&judging);
}

static void test_bad_configurations(void **state)
{
    (void)state;
    judging_refused(GUARD("\"mode\":\"greylist\",\"addresses\":{}"),
                    "mode: expected \"allowlist\" or \"blocklist\"");
    judging_refused(GUARD("\"addresses\":{}"), "mode: expected");
    judging_refused(GUARD("\"mode\":\"allowlist\""), "addresses: expected");
    judging_refused(GUARD("\"mode\":\"allowlist\",\"addresses\":{\"base\":[]}"),
                    "addresses[\"base\"]: expected a chain");
    judging_refused(GUARD("\"mode\":\"allowlist\",\"addresses\":{\"eip155:1\":\"x\"}"), "expected an array");
    judging_refused(GUARD("\"mode\":\"allowlist\",\"addresses\":{\"eip155:1\":[\"0x12\"]}"),
                    "[0]: expected an address");
    judging_refused(GUARD("\"blockAddresses\":[\"70997970C51812dc3A010C7d01b50e0d17dc79C8\"]"),
                    "blockAddresses[0]: expected an address");
    judging_refused(GUARD("\"blockaddresses\":[]"), "blockaddresses: is not a field of guard");
    judging_refused(GUARD("\"hosts\":[\"x\"]"), "hosts: expected an object");
    judging_refused(GUARD("\"hosts\":{\"deny\":[]}"), "hosts.deny: is not a field");
    judging_refused(GUARD("\"hosts\":{\"allow\":[\"https://x.com/\"]}"), "hosts.allow: expected hosts");
    judging_refused(GUARD("\"hosts\":{\"allow\":[\"a*.com\"]}"), "hosts.allow: expected hosts");
    judging_refused(GUARD("\"hosts\":{\"allow\":[\"\"]}"), "hosts.allow");
    judging_refused(GUARD("\"methods\":\"GET\""), "methods: expected an array");
    judging_refused(GUARD("\"methods\":[\"GET\",\"post\"]"), "methods: expected methods in capitals");
    judging_refused(GUARD("\"knownAssetsOnly\":\"yes\""), "knownAssetsOnly: expected true or false");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowlist),
        cmocka_unit_test(test_blocklist),
        cmocka_unit_test(test_blocked_wins),
        cmocka_unit_test(test_base58),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_customers),
        cmocka_unit_test(test_known_assets),
        cmocka_unit_test(test_bad_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
