#include "gate/keeper/question.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

/* A policy that needs facts to know which facts it needs may do so a few times, not for ever. */
enum { ROUNDS = 6, REMEMBERED = 64, FACTS = 256 };

static void fail(struct aegis_question *question, enum aegis_answer answer, const char *why)
{
    aegis_text_copy(question->failure, sizeof question->failure, why);
    question->answered(question, answer);
}

/* What the same policies wanted last time. */

/* The operation and the ids; no id has a control character in it. The caller frees. */
static char *wanted_key(const struct aegis_question *question)
{
    size_t i, size = strlen(question->operation) + 1;
    json_t *id;
    json_array_foreach(question->policies, i, id) size += json_string_length(id) + 1;
    char *key = aegis_alloc(size), *at = stpcpy(key, question->operation);
    json_array_foreach(question->policies, i, id)
    {
        *at++ = '\x1f';
        at = stpcpy(at, json_string_value(id));
    }
    return key;
}

static const json_t *wanted_get(const struct aegis_question *question)
{
    char *key = wanted_key(question);
    const json_t *wanted = aegis_table_get(question->keeper->wanted, key);
    free(key);
    return wanted;
}

static bool holds(const json_t *array, const char *text)
{
    size_t i;
    json_t *value;
    json_array_foreach((json_t *)array, i, value)
    {
        if (strcmp(json_string_value(value), text) == 0)
            return true;
    }
    return false;
}

/* Adds to what is remembered; when it grows out of hand it begins anew with this question's. */
static void wanted_add(const struct aegis_question *question, const json_t *queries)
{
    char *key = wanted_key(question);
    json_t *wanted = aegis_table_get(question->keeper->wanted, key);
    if (wanted == NULL) {
        wanted = json_array();
        aegis_table_put(question->keeper->wanted, key, wanted);
    }
    if (json_array_size(wanted) + json_array_size(queries) > REMEMBERED)
        json_array_clear(wanted);
    size_t i;
    json_t *query;
    json_array_foreach((json_t *)queries, i, query)
    {
        if (!holds(wanted, json_string_value(query)))
            json_array_append(wanted, query);
    }
    free(key);
}

/* Facts */

static bool add_facts(struct aegis_question *question, const json_t *queries, struct aegis_error *error)
{
    struct aegis_keeper *keeper = question->keeper;
    AEGIS_ASSERT(!aegis_commit_busy(keeper->commit));
    if (!aegis_commit_open(keeper->commit))
        return aegis_error_set(error, "the ledger cannot be read");
    struct aegis_facts facts = {
        .counters = keeper->counters,
        .books = aegis_ledger_books(keeper->ledger),
        .share = &question->share,
        .method = question->method,
        .url = question->url,
        .number = question->number,
        .now = question->now,
    };
    size_t i;
    json_t *query;
    json_array_foreach((json_t *)queries, i, query)
    {
        const char *text = json_string_value(query);
        if (text == NULL)
            return aegis_error_set(error, "facts[%zu]: expected a text", i);
        if (json_object_get(question->facts, text) != NULL)
            continue;
        if (json_object_size(question->facts) >= FACTS)
            return aegis_error_set(error, "more than %d facts were asked for", FACTS);
        json_t *answer = aegis_facts_answer(&facts, text, error);
        if (answer == NULL)
            return false;
        json_object_set_new(question->facts, text, answer);
    }
    return true;
}

static void send_question(struct aegis_question *question)
{
    struct aegis_keeper *keeper = question->keeper;
    question->id = aegis_parking_put(keeper->questions, question);
    json_t *body = json_pack("{s:I,s:s,s:O,s:O,s:O,s:I}", "id", (json_int_t)question->id, "operation",
                             question->operation, "policies", question->policies, "subject",
                             question->subject, "facts", question->facts, "now", (json_int_t)question->now);
    AEGIS_ASSERT(body != NULL);
    if (question->all)
        json_object_set_new(body, "all", json_true());
    if (aegis_channel_send(keeper->judge->channel, &aegis_message_judge, body))
        return;
    aegis_parking_take(keeper->questions, question->id);
    question->id = 0;
    fail(question, AEGIS_ANSWER_UNAVAILABLE, "The policies cannot be asked.");
}

void aegis_question_ask(struct aegis_question *question)
{
    struct aegis_error error;
    question->facts = json_object();
    question->rounds = 0;
    if (!aegis_peer_judge_ready(question->keeper)) {
        fail(question, AEGIS_ANSWER_UNAVAILABLE, "The policies cannot be asked.");
        return;
    }
    if (json_array_size(question->policies) > AEGIS_POLICIES_MAX) {
        fail(question, AEGIS_ANSWER_NONSENSE, "There are more policies than can be asked.");
        return;
    }
    const json_t *wanted = wanted_get(question);
    if (wanted != NULL && !add_facts(question, wanted, &error)) {
        /* What was wanted for another payment need not make sense for this one. */
        json_object_clear(question->facts);
    }
    send_question(question);
}

void aegis_question_clear(struct aegis_question *question)
{
    if (question->id != 0)
        aegis_parking_take(question->keeper->questions, question->id);
    question->id = 0;
    json_decref(question->verdict);
    json_decref(question->facts);
    json_decref(question->policies);
    json_decref(question->subject);
    question->verdict = question->facts = question->policies = question->subject = NULL;
}

/* The judge's side */

/* The question that the message answers. NULL when nobody waits any more: it took too long, or whoever asked
 * has left. */
static struct aegis_question *take(struct aegis_peer *judge, const json_t *message)
{
    struct aegis_question *question =
        aegis_parking_take(judge->keeper->questions, (uint64_t)aegis_json_integer(message, "id", 0));
    if (question == NULL)
        aegis_log(AEGIS_LOG_DEBUG, "the judge answered a question that nobody waits for");
    else
        question->id = 0;
    return question;
}

void aegis_question_need(struct aegis_peer *judge, const json_t *message)
{
    struct aegis_error error = {0};
    struct aegis_question *question = take(judge, message);
    if (question == NULL)
        return;
    const json_t *queries = json_object_get(message, "facts");
    if (++question->rounds > ROUNDS) {
        fail(question, AEGIS_ANSWER_NONSENSE, "The policies ask for facts without end.");
    } else if (!add_facts(question, queries, &error)) {
        aegis_log(AEGIS_LOG_ERROR, "a question could not be answered: %s", error.text);
        fail(question, AEGIS_ANSWER_NONSENSE, "The policies ask for facts that there are not.");
    } else {
        wanted_add(question, queries);
        send_question(question);
    }
}

static const struct aegis_json_field row_fields[] = {
    {"policy", AEGIS_JSON_STRING, true, 128},
    {"version", AEGIS_JSON_INTEGER, true, UINT32_MAX},
    {"hash", AEGIS_JSON_STRING, true, 128},
    {"verdict", AEGIS_JSON_STRING, true, 16},
    {"code", AEGIS_JSON_STRING, false, 128},
    {"reason", AEGIS_JSON_STRING, false, 512},
    {"limit", AEGIS_JSON_STRING, false, 128},
    {"remaining", AEGIS_JSON_STRING, false, 128},
    {"resets_at", AEGIS_JSON_INTEGER, false, INT64_C(1) << 53}, /* what JSON readers agree on */
    {"facts", AEGIS_JSON_ARRAY, true, FACTS},
    {"run", AEGIS_JSON_ANY, false, 0},
    {0},
};

/* The answers of executables stand in the row itself, under `run`. */
static bool is_run(const char *query)
{
    return strncmp(query, "run/", 4) == 0;
}

/* What cannot be written in canonical form cannot be recorded. */
static bool recordable(const json_t *value)
{
    char *text = value == NULL ? NULL : aegis_json_canonical(value, NULL);
    bool good = value == NULL || text != NULL;
    free(text);
    return good;
}

static bool row_sound(const struct aegis_question *question, const json_t *row, struct aegis_error *error)
{
    const char *policy = aegis_json_text(row, "policy", ""), *hash = aegis_json_text(row, "hash", "");
    if (!aegis_json_check(row, row_fields, error))
        return false;
    if (*hash != '\0' && !aegis_loaded_is(question->keeper->loaded, policy, hash))
        return aegis_error_set(error, "hash: a version that the judge has not loaded");
    return recordable(json_object_get(row, "run")) || aegis_error_set(error, "run: cannot be recorded");
}

static bool rows_sound(const struct aegis_question *question, const json_t *message,
                       struct aegis_error *error)
{
    size_t i, j;
    json_t *row, *query;
    json_array_foreach(json_object_get(message, "verdicts"), i, row)
    {
        if (!row_sound(question, row, error))
            return aegis_error_prefix(error, "verdicts[%zu]", i);
        json_array_foreach(json_object_get(row, "facts"), j, query)
        {
            if (!json_is_string(query))
                return aegis_error_set(error, "verdicts[%zu].facts[%zu]: expected a text", i, j);
            if (!is_run(json_string_value(query)) &&
                json_object_get(question->facts, json_string_value(query)) == NULL)
                return aegis_error_set(error, "verdicts[%zu].facts[%zu]: a fact that it was not given", i, j);
        }
    }
    return true;
}

/* An allow must be an allow of every policy that was asked, in the order asked: the judge is not trusted to
 * have counted them. */
static bool allow_complete(const struct aegis_question *question, const json_t *message,
                           struct aegis_error *error)
{
    const json_t *rows = json_object_get(message, "verdicts");
    if (strcmp(aegis_json_text(message, "verdict", ""), "allow") != 0)
        return true;
    if (json_array_size(rows) != json_array_size(question->policies))
        return aegis_error_set(error, "an allow of %zu policies, %zu were asked", json_array_size(rows),
                               json_array_size(question->policies));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (strcmp(aegis_json_text(row, "policy", ""),
                   json_string_value(json_array_get(question->policies, i))) != 0 ||
            strcmp(aegis_json_text(row, "verdict", ""), "allow") != 0)
            return aegis_error_set(error, "verdicts[%zu]: not the allow of the policy that was asked", i);
    }
    return true;
}

/* A policy changes its own state only, and nothing that was not asked causes anything. What a notice holds is
 * looked at where it is written. */
static bool effect_sound(const struct aegis_question *question, const json_t *effect,
                         struct aegis_error *error)
{
    const char *policy = aegis_json_text(effect, "policy", ""), *name = aegis_json_text(effect, "effect", "");
    if (!holds(question->policies, policy))
        return aegis_error_set(error, "policy: was not asked");
    if (strcmp(name, "state") == 0 && *aegis_json_text(effect, "key", "") == '\0')
        return aegis_error_set(error, "key: expected a text");
    if (strcmp(name, "state") != 0 && strcmp(name, "notice") != 0 && strcmp(name, "revoke") != 0)
        return aegis_error_set(error, "there is no such effect");
    return recordable(effect) || aegis_error_set(error, "cannot be recorded");
}

static bool effects_sound(const struct aegis_question *question, const json_t *message,
                          struct aegis_error *error)
{
    size_t i;
    json_t *effect;
    json_array_foreach(json_object_get(message, "effects"), i, effect)
    {
        if (!effect_sound(question, effect, error))
            return aegis_error_prefix(error, "effects[%zu]", i);
    }
    return true;
}

static bool verdict_known(const json_t *message, struct aegis_error *error)
{
    static const char *const known[] = {"allow", "deny", "hold", "error"};
    const char *verdict = aegis_json_text(message, "verdict", "");
    for (size_t i = 0; i < 4; i++)
        if (strcmp(verdict, known[i]) == 0)
            return true;
    return aegis_error_set(error, "there is no verdict \"%s\"", verdict);
}

void aegis_question_verdict(struct aegis_peer *judge, const json_t *message)
{
    struct aegis_error error = {0};
    struct aegis_question *question = take(judge, message);
    if (question == NULL)
        return;
    if (!verdict_known(message, &error) || !rows_sound(question, message, &error) ||
        !effects_sound(question, message, &error) || !allow_complete(question, message, &error)) {
        aegis_log(AEGIS_LOG_ERROR, "the judge's verdict cannot be used: %s", error.text);
        fail(question, AEGIS_ANSWER_NONSENSE, "The policies gave an answer that cannot be used.");
        return;
    }
    question->verdict = json_incref((json_t *)message);
    question->answered(question, AEGIS_ANSWER_VERDICT);
}

void aegis_question_judge_gone(struct aegis_keeper *keeper)
{
    void *asker;
    while ((asker = aegis_parking_take_any(keeper->questions)) != NULL) {
        struct aegis_question *question = asker;
        question->id = 0;
        fail(question, AEGIS_ANSWER_UNAVAILABLE, "The policies could not finish.");
    }
}

void aegis_question_expired(void *asker, void *context)
{
    struct aegis_question *question = asker;
    (void)context;
    question->id = 0;
    fail(question, AEGIS_ANSWER_TIMEOUT, "The policies did not answer in time.");
}

const json_t *aegis_verdict_refusal(const json_t *verdict)
{
    size_t i;
    json_t *row;
    const char *whole = aegis_json_text(verdict, "verdict", "");
    if (strcmp(whole, "allow") == 0)
        return NULL;
    json_array_foreach(json_object_get(verdict, "verdicts"), i, row)
    {
        if (strcmp(aegis_json_text(row, "verdict", ""), whole) == 0)
            return row;
    }
    return NULL;
}

json_t *aegis_verdict_facts(const struct aegis_question *question)
{
    size_t i, j;
    json_t *row, *query, *used = json_object();
    json_array_foreach(json_object_get(question->verdict, "verdicts"), i, row)
    {
        json_array_foreach(json_object_get(row, "facts"), j, query)
        {
            json_t *value = json_object_get(question->facts, json_string_value(query));
            if (value != NULL)
                json_object_set(used, json_string_value(query), value);
        }
    }
    return used;
}
