/* Policies, subjects and facts for the tests of the judge and its plugins. Programs run in the build
 * folder. */
#ifndef AEGIS_TESTS_JUDGING_H
#define AEGIS_TESTS_JUDGING_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/judge/evaluate.h"

#define JUDGING_NOW   1790000000000 /* 2026-09-21T13:33:20Z */
#define JUDGING_PAYEE "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"

struct judging {
    struct aegis_plugins *plugins;
    struct aegis_policies *policies;
};

static inline json_t *judging_json(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (json == NULL)
        fprintf(stderr, "%s: %s\n", text, error.text);
    assert_non_null(json);
    return json;
}

/* {id, plugin?, config?, rules?, executable?} made whole, as the judge's configuration has it. Steals
 * `json`. */
static inline json_t *judging_document(json_t *json)
{
    json_t *whole = json_pack("{s:s,s:i,s:s,s:[],s:s}", "name", "test", "version", 1, "created_at",
                              "2026-03-22T10:00:00Z", "rules", "action", "deny");
    json_object_update(whole, json);
    json_decref(json);
    char path[128];
    snprintf(path, sizeof(path), "policies/%s.json", json_string_value(json_object_get(whole, "id")));
    return json_pack("{s:s,s:o}", "path", path, "document", whole);
}

/* `documents`: text of an array of such. False with the reason in `error`. */
static inline bool judging_try(struct judging *judging, const char *documents, const char *quarantined,
                               struct aegis_error *error)
{
    json_t *short_ones = judging_json(documents), *json, *whole = json_array();
    json_t *bad = quarantined == NULL ? NULL : judging_json(quarantined);
    size_t index;
    json_array_foreach(short_ones, index, json)
        json_array_append_new(whole, judging_document(json_incref(json)));
    json_t *folders = judging_json("[\"plugins\", \"tests/plugins\"]");
    judging->plugins = aegis_plugins_new(folders);
    judging->policies = aegis_policies_new(whole, bad, judging->plugins, NULL, error);
    json_decref(folders);
    json_decref(short_ones);
    json_decref(whole);
    json_decref(bad);
    if (judging->policies == NULL)
        aegis_plugins_free(&judging->plugins);
    return judging->policies != NULL;
}

static inline void judging_open(struct judging *judging, const char *documents)
{
    struct aegis_error error = {{0}};
    if (!judging_try(judging, documents, NULL, &error))
        fail_msg("%s", error.text);
}

static inline void judging_close(struct judging *judging)
{
    aegis_policies_free(&judging->policies);
    aegis_plugins_free(&judging->plugins);
}

/* `documents` must be refused with a text that has `expected` in it. */
static inline void judging_refused(const char *documents, const char *expected)
{
    struct judging judging;
    struct aegis_error error = {{0}};
    if (judging_try(&judging, documents, NULL, &error))
        fail_msg("was accepted: %s", documents);
    if (strstr(error.text, expected) == NULL)
        fail_msg("expected \"%s\" in: %s", expected, error.text);
}

/* A payment of `amount` atomic units of USDC on Base; `changes` (text of an object, or NULL) replaces
 * members. */
static inline json_t *judging_subject(const char *amount, const char *changes)
{
    char scaled[64];
    snprintf(scaled, sizeof(scaled), "%s%s", amount, strcmp(amount, "0") == 0 ? "" : "000000000000");
    json_t *subject = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I}", "agent",
                                "key-1", "agent_name", "Researcher", "network", "eip155:8453", "scheme",
                                "exact", "asset", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "token",
                                "USDC", "decimals", 6, "amount", amount, "scaled", scaled, "pay_to",
                                JUDGING_PAYEE, "payer", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
                                "method", "GET", "url", "https://api.example.com/weather", "host",
                                "api.example.com", "valid_before", (json_int_t)(JUDGING_NOW + 60000));
    if (changes != NULL) {
        json_t *other = judging_json(changes);
        json_object_update(subject, other);
        json_decref(other);
    }
    return subject;
}

/* {settled, exposed, payments, resets_at} as a fact; amounts in scaled units. */
static inline void judging_spent(json_t *facts, const char *query, const char *settled, const char *exposed,
                                 int payments, int64_t resets_at)
{
    json_object_set_new(facts, query,
                        json_pack("{s:s,s:s,s:i,s:I}", "settled", settled, "exposed", exposed, "payments",
                                  payments, "resets_at", (json_int_t)resets_at));
}

/* Nothing spent, nothing known, for everything that was asked. */
static inline void judging_nothing(const json_t *need, json_t *facts)
{
    size_t index;
    json_t *query;
    json_array_foreach((json_t *)need, index, query)
    {
        const char *text = json_string_value(query);
        if (strncmp(text, "spent/", 6) == 0)
            judging_spent(facts, text, "0", "0", 0, JUDGING_NOW + 1000);
        else if (strncmp(text, "state/", 6) == 0)
            json_object_set_new(facts, text, json_null());
        else
            json_object_set_new(facts, text, json_pack("{s:i,s:i,s:s}", "at", 0, "times", 0, "scaled", "0"));
    }
}

/* Asks `policies` (text of an array of ids) once. Steals `subject`. */
static inline void judging_once(const struct judging *judging, const char *operation, const char *policies,
                                json_t *subject, const json_t *facts, int64_t now,
                                struct aegis_evaluation *out)
{
    struct aegis_error error = {{0}};
    json_t *ids = judging_json(policies);
    struct aegis_question question = {
        .operation = operation, .policies = ids, .subject = subject, .facts = facts, .now = now};
    if (!aegis_evaluate(judging->policies, &question, out, &error))
        fail_msg("%s", error.text);
    json_decref(ids);
    json_decref(subject);
}

/* Asks until there is a verdict; facts that are not in `facts` are answered with nothing, and added. */
static inline void judging_ask(const struct judging *judging, const char *operation, const char *policies,
                               json_t *subject, json_t *facts, int64_t now, struct aegis_evaluation *out)
{
    for (int round = 0; round < 200; round++) {
        judging_once(judging, operation, policies, json_incref(subject), facts, now, out);
        if (json_array_size(out->need) == 0)
            break;
        judging_nothing(out->need, facts);
        if (round < 199)
            aegis_evaluation_clear(out);
    }
    json_decref(subject);
}

/* The verdict and, when it is not an allow, the code of the refusal: "allow", "deny daily_limit_exceeded". */
static inline const char *judging_text(const struct aegis_evaluation *evaluation)
{
    static char text[128];
    const json_t *refusal = aegis_evaluation_refusal(evaluation->verdicts);
    snprintf(text, sizeof(text), "%s%s%s", evaluation->verdict, refusal == NULL ? "" : " ",
             refusal == NULL ? "" : json_string_value(json_object_get(refusal, "code")));
    return text;
}

/* A member of the refusal, as text. */
static inline const char *judging_refusal(const struct aegis_evaluation *evaluation, const char *member)
{
    const char *text =
        json_string_value(json_object_get(aegis_evaluation_refusal(evaluation->verdicts), member));
    return text == NULL ? "" : text;
}

/* A payment against one policy `p` whose facts are `facts` (stolen; NULL: none). */
static inline void judging_expect(const struct judging *judging, json_t *subject, json_t *facts,
                                  const char *expected)
{
    struct aegis_evaluation evaluation;
    if (facts == NULL)
        facts = json_object();
    judging_ask(judging, "payment", "[\"p\"]", subject, facts, JUDGING_NOW, &evaluation);
    const char *found = judging_text(&evaluation);
    if (strcmp(found, expected) != 0) {
        char *rows = json_dumps(evaluation.verdicts, JSON_INDENT(2));
        fprintf(stderr, "%s\n", rows);
        free(rows);
    }
    assert_string_equal(found, expected);
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
}

#endif
