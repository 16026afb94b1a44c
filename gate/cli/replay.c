#include "gate/cli/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/confine.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/cli/common.h"
#include "gate/daemon/config.h"
#include "gate/daemon/sections.h"
#include "gate/judge/evaluate.h"
#include "gate/judge/host.h"
#include "gate/judge/policies.h"

struct replay {
    struct aegis_plugins *plugins;
    json_t *documents; /* "id hash" -> document, from the ledger's own `policy` entries */
    /* The policies of the decision before: most decisions were made with the same ones. */
    struct aegis_policies *policies;
    char *policies_key;
    json_t *differences;
    int64_t same, skipped;
};

static char *version_key(const char *id, const char *hash)
{
    return aegis_format("%s %s", id, hash);
}

static void learn(struct replay *replay, const json_t *body)
{
    char *key = version_key(aegis_json_text(body, "id", ""), aegis_json_text(body, "hash", ""));

    json_object_set(replay->documents, key, json_object_get(body, "document"));
    free(key);
}

/* The documents of exactly those versions, as the judge takes them, and a text that is equal for equal
 * ones. */
static json_t *documents_of(const struct replay *replay, const json_t *verdicts, char **key,
                            struct aegis_error *error)
{
    json_t *out = json_array(), *row;
    size_t i;

    *key = aegis_strdup("");
    json_array_foreach((json_t *)(uintptr_t)verdicts, i, row)
    {
        char *version = version_key(aegis_json_text(row, "policy", ""), aegis_json_text(row, "hash", "")),
             *before = *key;
        json_t *document = json_object_get(replay->documents, version);
        /* A policy that was not there then has no version, and must not be there now. */
        bool absent = aegis_json_text(row, "hash", "")[0] == '\0';

        if (absent)
            ;
        else if (document != NULL)
            json_array_append_new(out, json_pack("{s:s,s:O}", "path", version, "document", document));
        else
            aegis_error_set(error, "policy %s is not in the ledger", version);
        *key = aegis_format("%s%s\n", before, version);
        free(before);
        free(version);
        if (document == NULL && !absent) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static bool load_policies(struct replay *replay, const json_t *verdicts, struct aegis_error *error)
{
    char *key;
    json_t *documents = documents_of(replay, verdicts, &key, error);

    if (documents != NULL && (replay->policies_key == NULL || strcmp(key, replay->policies_key) != 0)) {
        aegis_policies_free(&replay->policies);
        replay->policies = aegis_policies_new(documents, NULL, replay->plugins, NULL, error);
        free(replay->policies_key);
        replay->policies_key = replay->policies == NULL ? NULL : aegis_strdup(key);
    }
    free(key);
    if (documents == NULL)
        return false;
    json_decref(documents);
    return replay->policies != NULL;
}

static json_t *policy_ids(const json_t *verdicts)
{
    json_t *out = json_array(), *row;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)verdicts, i, row)
    {
        json_array_append(out, json_object_get(row, "policy"));
    }
    return out;
}

/* Whether two rows of verdicts say the same to an agent. */
static bool same_verdicts(const json_t *a, const json_t *b, struct aegis_error *error)
{
    static const char *const fields[] = {"policy", "verdict",   "code",     "reason",
                                         "limit",  "remaining", "resets_at"};

    if (json_array_size(a) != json_array_size(b))
        return aegis_error_set(error, "%zu policies had been asked, now it is %zu", json_array_size(a),
                               json_array_size(b));
    for (size_t i = 0; i < json_array_size(a); i++)
        for (size_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++) {
            const json_t *then = json_object_get(json_array_get(a, i), fields[f]);
            const json_t *now = json_object_get(json_array_get(b, i), fields[f]);
            if (then != now && !json_equal(then, now))
                return aegis_error_set(error, "policy %s: another %s",
                                       aegis_json_text(json_array_get(a, i), "policy", "?"), fields[f]);
        }
    return true;
}

static bool judge_again(struct replay *replay, const json_t *decision, struct aegis_error *error)
{
    const json_t *verdicts = json_object_get(decision, "verdicts");
    const char *then = aegis_json_text(decision, "verdict", "");
    json_t *ids = policy_ids(verdicts), *facts = json_deep_copy(json_object_get(decision, "facts"));
    const struct aegis_question question = {.operation = "payment",
                                            .policies = ids,
                                            .subject = json_object_get(decision, "subject"),
                                            .facts = facts,
                                            .now = aegis_json_integer(decision, "now", 0)};
    struct aegis_evaluation evaluation = {0};
    bool same = false;

    aegis_evaluate_recall(verdicts, facts);
    if (load_policies(replay, verdicts, error) &&
        aegis_evaluate(replay->policies, &question, &evaluation, error)) {
        if (json_array_size(evaluation.need) > 0 || json_array_size(evaluation.runs) > 0)
            aegis_error_set(error, "it asks for a fact that was not recorded");
        else if (strcmp(evaluation.verdict, then) != 0)
            aegis_error_set(error, "the verdict was %s, now it is %s", then, evaluation.verdict);
        else
            same = same_verdicts(verdicts, evaluation.verdicts, error);
        aegis_evaluation_clear(&evaluation);
    }
    json_decref(ids);
    json_decref(facts);
    return same;
}

/* What no policy decided, or where one failed, says nothing about policies. */
static bool can_be_judged(const json_t *decision)
{
    const json_t *verdicts = json_object_get(decision, "verdicts");

    return json_array_size(verdicts) > 0 && strcmp(aegis_json_text(decision, "verdict", ""), "error") != 0;
}

static void replay_decision(struct replay *replay, const struct aegis_entry *entry, const json_t *decision)
{
    struct aegis_error error = {""};

    if (!can_be_judged(decision)) {
        replay->skipped++;
    } else if (judge_again(replay, decision, &error)) {
        replay->same++;
    } else {
        json_array_append_new(replay->differences,
                              json_pack("{s:I,s:s,s:s}", "seq", (json_int_t)entry->seq, "payment",
                                        entry->payment, "difference", error.text));
    }
}

static bool replay_entry(const struct aegis_entry *entry, void *context)
{
    struct replay *replay = context;
    struct aegis_error error;
    bool policy = strcmp(entry->kind, "policy") == 0, decision = strcmp(entry->kind, "decision") == 0;
    json_t *body = policy || decision ? aegis_json_parse(entry->body, entry->body_length, &error) : NULL;

    if (body != NULL && policy)
        learn(replay, body);
    else if (body != NULL)
        replay_decision(replay, entry, body);
    else if (decision)
        json_array_append_new(replay->differences,
                              json_pack("{s:I,s:s,s:s}", "seq", (json_int_t)entry->seq, "payment",
                                        entry->payment, "difference", error.text));
    json_decref(body);
    return true;
}

static int print_result(const struct aegis_cli *cli, const struct replay *replay)
{
    json_t *row;
    size_t i;

    if (cli->json) {
        aegis_cli_print_json(json_pack("{s:I,s:I,s:O}", "same", (json_int_t)replay->same, "not_judged",
                                       (json_int_t)replay->skipped, "differences", replay->differences));
    } else {
        json_array_foreach(replay->differences, i, row)
        {
            printf("entry %lld, %s: %s\n", (long long)aegis_json_integer(row, "seq", 0),
                   aegis_json_text(row, "payment", ""), aegis_json_text(row, "difference", ""));
        }
        printf("%lld decisions judged again with the same result, %zu with another; %lld were made by no "
               "policy\n",
               (long long)replay->same, json_array_size(replay->differences), (long long)replay->skipped);
    }
    return json_array_size(replay->differences) == 0 ? 0 : 1;
}

int aegis_cli_replay(const struct aegis_cli *cli, struct aegis_reader *reader, json_t *plugin_path)
{
    struct replay replay = {.documents = json_object(), .differences = json_array()};
    struct aegis_error error;
    int status;

    replay.plugins = aegis_cli_plugins(cli, plugin_path);
    /* Plugins run here, as near as can be to how they run in the judge; only files stay, for loading them. */
    if (!aegis_confine(AEGIS_CONFINE_NETWORK | AEGIS_CONFINE_EXEC | AEGIS_CONFINE_DEBUG, &error) ||
        !aegis_reader_follow(reader, 0, 0, replay_entry, &replay, &error))
        status = aegis_cli_fail(cli, &error);
    else
        status = print_result(cli, &replay);
    aegis_policies_free(&replay.policies);
    aegis_plugins_free(&replay.plugins);
    free(replay.policies_key);
    json_decref(replay.documents);
    json_decref(replay.differences);
    return status;
}
