/* Policy documents and declarative rules, against the vectors of the Open Wallet Standard's own package. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gate/judge/document.h"
#include "gate/judge/rules.h"
#include "tests/unit/vectors.h"

#define NOW 1790000000000

static struct aegis_document *parse(const char *path, const char *text, struct aegis_error *error)
{
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    struct aegis_document *document = aegis_document_new(path, json, error);
    json_decref(json);
    return document;
}

static void refused(const char *text, const char *expected)
{
    struct aegis_error error = {{0}};
    struct aegis_document *document = parse("/v/policies/x.json", text, &error);
    if (document != NULL)
        fail_msg("was accepted: %s", text);
    if (strncmp(error.text, "/v/policies/x.json: ", 20) != 0 || strstr(error.text, expected) == NULL)
        fail_msg("expected \"%s\" in: %s", expected, error.text);
}

/* What OWS refuses is refused; a rule type that it does not know stays, to deny, and -t refuses the file. */
static void test_refused_by_ows(void **state)
{
    json_t *vectors = vectors_load("judge/policy-files.json"), *entry;
    size_t index;
    (void)state;
    json_array_foreach(vectors_get(vectors, "refused"), index, entry)
    {
        struct aegis_error error = {{0}};
        const char *what = vectors_text(entry, "what");
        struct aegis_document *document = parse("x.json", vectors_text(entry, "policy_json"), &error);
        if (strcmp(what, "rule of the docs that 1.2.4 does not know") == 0) {
            assert_non_null(document);
            assert_true(aegis_document_strict(document, &error));
        } else if (strcmp(what, "unknown rule type") == 0) {
            assert_non_null(document);
            assert_false(aegis_document_strict(document, &error));
            assert_non_null(strstr(error.text, "x.json: rules[0]: type: expected allowed_chains"));
        } else if (document != NULL) {
            fail_msg("%s: was accepted", what);
        }
        aegis_document_free(&document);
    }
    json_decref(vectors);
}

static void test_accepted_by_ows(void **state)
{
    json_t *vectors = vectors_load("judge/policy-files.json"), *entry;
    size_t index;
    (void)state;
    json_array_foreach(vectors_get(vectors, "accepted"), index, entry)
    {
        struct aegis_error error = {{0}};
        struct aegis_document *document = parse("x.json", vectors_text(entry, "policy_json"), &error);
        if (document == NULL)
            fail_msg("%s", error.text);
        assert_true(aegis_document_strict(document, &error));
        assert_null(document->executable);
        assert_null(document->config);
        aegis_document_free(&document);
    }
    json_decref(vectors);
}

#define HEAD                                                                                                 \
    "\"id\":\"a\",\"name\":\"A\",\"version\":1,\"created_at\":\"2026-01-01T00:00:00Z\",\"action\":\"deny\""

static void test_errors_name_the_field(void **state)
{
    (void)state;
    refused("[]", "expected a policy document, an object");
    refused("{}", "id: expected a text");
    refused("{\"id\":\"../x\"}", "id: expected 1 to 100");
    refused("{\"id\":\".x\"}", "id: expected 1 to 100");
    refused("{\"id\":\"\"}", "id: expected 1 to 100");
    refused("{\"id\":\"a/b\"}", "id: expected 1 to 100");
    refused("{\"id\":\"a\",\"name\":1}", "name: expected a text");
    refused("{\"id\":\"a\",\"name\":\"A\",\"version\":4294967296}", "version: expected an integer");
    refused("{\"id\":\"a\",\"name\":\"A\",\"version\":1.0}", "version: expected an integer");
    refused("{" HEAD ",\"rules\":{}}", "rules: expected an array");
    refused("{" HEAD ",\"rules\":[1]}", "rules[0]: expected an object");
    refused("{" HEAD ",\"rules\":[{\"type\":1}]}", "rules[0]: type: expected a text");
    refused("{" HEAD ",\"rules\":[{\"type\":\"allowed_chains\",\"chain_ids\":[1]}]}",
            "rules[0]: chain_ids: expected an array of texts");
    refused("{" HEAD ",\"rules\":[{\"type\":\"expires_at\",\"timestamp\":7}]}",
            "rules[0]: timestamp: expected a text");
    refused("{" HEAD ",\"rules\":[],\"plugin\":\"../evil\"}", "plugin: expected the name of a plugin");
    refused("{" HEAD ",\"rules\":[],\"plugin\":\"Budget\"}", "plugin: expected the name of a plugin");
    refused("{" HEAD ",\"rules\":[],\"plugin\":7}", "plugin: expected a text");
    refused("{" HEAD ",\"rules\":[],\"plugin\":\"budget\",\"config\":[]}", "config: expected an object");
    refused("{" HEAD ",\"rules\":[],\"executable\":\"\"}", "executable: expected a text");
    refused("{" HEAD ",\"rules\":[],\"executable\":\"/opt/aegis-policy\"}",
            "plugin: expected beside the executable");
    refused("{" HEAD ",\"rules\":[],\"config\":{\"big\":12345678901234567}}", "has a number");
}

static void test_aegis_formats(void **state)
{
    static const struct {
        const char *path, *id, *plugin;
    } cases[] = {
        {"/h/budget-config.json", "aegis-budget", "budget"},
        {"/h/guard-config.json", "aegis-guard", "guard"},
        {"deadswitch-config.json", "aegis-deadswitch", "deadswitch"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct aegis_error error;
        struct aegis_document *document = parse(cases[i].path, "{\"limits\":[]}", &error);
        assert_non_null(document);
        assert_string_equal(document->id, cases[i].id);
        assert_string_equal(document->plugin, cases[i].plugin);
        assert_string_equal(document->executable, "aegis-policy");
        assert_false(aegis_document_runs(document));
        assert_non_null(json_object_get(document->config, "limits"));
        aegis_document_free(&document);
    }
    refused("{\"limits\":[]}", "id: expected a text");
}

static void test_hash_is_of_the_content(void **state)
{
    struct aegis_error error;
    (void)state;
    struct aegis_document *a = parse("a", "{" HEAD ",\"rules\":[],\"config\":{\"x\":1,\"y\":2}}", &error);
    struct aegis_document *b = parse("b", "{\"config\":{\"y\":2,\"x\":1},\"rules\":[]," HEAD "}", &error);
    struct aegis_document *c = parse("b", "{\"config\":{\"y\":2,\"x\":3},\"rules\":[]," HEAD "}", &error);
    assert_string_equal(a->hash, b->hash);
    assert_string_not_equal(a->hash, c->hash);
    assert_int_equal(strlen(a->hash), 64);
    aegis_document_free(&a);
    aegis_document_free(&b);
    aegis_document_free(&c);
}

/* The rules of a policy document in OWS's own vault, by the policy's id. */
static const char *vault_rules(const char *id)
{
    static const struct {
        const char *id, *rules;
    } policies[] = {
        {"base-sepolia-only", "[{\"type\":\"allowed_chains\",\"chain_ids\":[\"eip155:84532\"]}]"},
        {"evm-and-solana",
         "[{\"type\":\"allowed_chains\",\"chain_ids\":[\"eip155:84532\",\"eip155:8453\",\"eip155:1\","
         "\"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp\"]}]"},
        {"no-chain", "[{\"type\":\"allowed_chains\",\"chain_ids\":[]}]"},
        {"expired", "[{\"type\":\"expires_at\",\"timestamp\":\"2020-01-01T00:00:00Z\"}]"},
        {"not-expired", "[{\"type\":\"expires_at\",\"timestamp\":\"2099-12-31T23:59:59Z\"}]"},
        {"not-expired-offset", "[{\"type\":\"expires_at\",\"timestamp\":\"2099-01-01T02:00:00+02:00\"}]"},
        {"bad-timestamp", "[{\"type\":\"expires_at\",\"timestamp\":\"next tuesday\"}]"},
        {"date-only", "[{\"type\":\"expires_at\",\"timestamp\":\"2099-01-01\"}]"},
        {"empty-rules", "[]"},
    };
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        if (strcmp(id, policies[i].id) == 0)
            return policies[i].rules;
    }
    return NULL;
}

static enum aegis_verdict judge(const char *rules, const char *chain, const char *asset, int64_t now,
                                struct aegis_decision *decision)
{
    struct aegis_payment payment = {.size = sizeof(payment), .network = chain, .asset = asset, .now = now};
    json_t *json = json_loads(rules, 0, NULL);
    assert_non_null(json);
    *decision = (struct aegis_decision){.size = sizeof(*decision)};
    aegis_rules_judge(json, &payment, decision);
    json_decref(json);
    return decision->verdict;
}

static void test_rules_as_ows_evaluates_them(void **state)
{
    json_t *vectors = vectors_load("judge/policy-eval.json"), *entry;
    size_t index, judged = 0;
    (void)state;
    json_array_foreach(vectors_get(vectors, "cases"), index, entry)
    {
        const json_t *policies = vectors_get(entry, "policies");
        const char *rules = vault_rules(json_string_value(json_array_get(policies, 0)));
        if (rules == NULL || json_array_size(policies) != 1 || json_object_get(entry, "note") != NULL)
            continue;
        struct aegis_decision decision;
        enum aegis_verdict verdict = judge(rules, vectors_text(entry, "chain"), "0x", NOW, &decision);
        assert_int_equal(verdict == AEGIS_ALLOW, json_is_true(vectors_get(entry, "allowed")));
        judged++;
    }
    assert_int_equal(judged, 18);
    json_decref(vectors);
}

static void test_rules_at_the_edge(void **state)
{
    static const char expiry[] = "[{\"type\":\"expires_at\",\"timestamp\":\"2026-09-21T14:13:20Z\"}]";
    static const char contracts[] = "[{\"type\":\"allowed_typed_data_contracts\",\"contracts\":["
                                    "\"0x036CbD53842c5426634e7929541eC2318f3dCF7e\"]}]";
    struct aegis_decision decision;
    (void)state;
    assert_int_equal(judge(expiry, "eip155:1", "0x", NOW, &decision), AEGIS_ALLOW);
    assert_int_equal(judge(expiry, "eip155:1", "0x", NOW + 1, &decision), AEGIS_DENY);
    assert_string_equal(decision.code, "policy_expired");
    assert_int_equal(
        judge(contracts, "eip155:1", "0x036cbd53842c5426634e7929541ec2318f3dcf7e", NOW, &decision),
        AEGIS_ALLOW);
    assert_int_equal(
        judge(contracts, "eip155:1", "0x136cbd53842c5426634e7929541ec2318f3dcf7e", NOW, &decision),
        AEGIS_DENY);
    assert_string_equal(decision.code, "contract_not_allowed");
    assert_int_equal(judge("[{\"type\":\"max_spend\",\"n\":1}]", "eip155:1", "0x", NOW, &decision),
                     AEGIS_DENY);
    assert_string_equal(decision.code, "rule_unknown");
    assert_int_equal(judge("[{\"type\":\"allowed_chains\",\"chain_ids\":[\"EIP155:1\"]}]", "eip155:1", "0x",
                           NOW, &decision),
                     AEGIS_DENY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_by_ows),         cmocka_unit_test(test_accepted_by_ows),
        cmocka_unit_test(test_errors_name_the_field),  cmocka_unit_test(test_aegis_formats),
        cmocka_unit_test(test_hash_is_of_the_content), cmocka_unit_test(test_rules_as_ows_evaluates_them),
        cmocka_unit_test(test_rules_at_the_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
