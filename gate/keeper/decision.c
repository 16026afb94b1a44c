#include "gate/keeper/decision.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

void aegis_denial_set(struct aegis_denial *denial, const char *outcome, const char *code, const char *detail)
{
    memset(denial, 0, sizeof *denial);
    aegis_text_copy(denial->outcome, sizeof denial->outcome, outcome);
    aegis_text_copy(denial->code, sizeof denial->code, code);
    aegis_text_copy(denial->detail, sizeof denial->detail, detail);
}

static void denial_from_row(struct aegis_denial *denial, const char *verdict, const json_t *row)
{
    static const struct {
        const char *verdict, *outcome, *code, *detail;
    } defaults[] = {
        {"deny", "denied", "policy_denied", "A policy denies this payment."},
        {"hold", "held", "approval_required", "A person must approve this payment."},
        {"error", "failed", "policy_failed", "A policy could not decide about this payment."},
    };
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        if (strcmp(defaults[i].verdict, verdict) != 0)
            continue;
        const char *code = aegis_json_text(row, "code", ""), *reason = aegis_json_text(row, "reason", "");
        bool held = strcmp(verdict, "hold") == 0;
        aegis_denial_set(denial, defaults[i].outcome, *code == '\0' || held ? defaults[i].code : code,
                         *reason == '\0' ? defaults[i].detail : reason);
    }
    aegis_text_copy(denial->policy, sizeof denial->policy, aegis_json_text(row, "policy", ""));
    aegis_text_copy(denial->limit, sizeof denial->limit, aegis_json_text(row, "limit", ""));
    aegis_text_copy(denial->remaining, sizeof denial->remaining, aegis_json_text(row, "remaining", ""));
    denial->resets_at = aegis_json_integer(row, "resets_at", 0);
}

void aegis_denial_from(struct aegis_denial *denial, const struct aegis_question *question,
                       enum aegis_answer answer)
{
    static const char *const codes[] = {
        [AEGIS_ANSWER_UNAVAILABLE] = "judge_unavailable",
        [AEGIS_ANSWER_TIMEOUT] = "judge_timeout",
        [AEGIS_ANSWER_NONSENSE] = "policy_failed",
    };
    if (answer != AEGIS_ANSWER_VERDICT)
        aegis_denial_set(denial, "failed", codes[answer], question->failure);
    else
        denial_from_row(denial, aegis_json_text(question->verdict, "verdict", ""),
                        aegis_verdict_refusal(question->verdict));
}

static void set_text(json_t *object, const char *name, const char *text)
{
    if (*text != '\0')
        json_object_set_new(object, name, json_string(text));
}

bool aegis_denial_unlimited(struct aegis_denial *denial, const struct aegis_keeper *keeper,
                            const struct aegis_identity *identity)
{
    if (json_array_size(identity->policies) > 0 || keeper->settings.pay_without_policy)
        return false;
    aegis_denial_set(denial, "denied", "policy_missing",
                     "No policy applies to this agent, so nothing would limit what it pays.");
    return true;
}

static void set_integer(json_t *object, const char *name, int64_t value)
{
    if (value != 0)
        json_object_set_new(object, name, json_integer(value));
}

json_t *aegis_denial_message(const struct aegis_denial *denial, int64_t id, const char *decision)
{
    json_t *body = json_pack("{s:I,s:s,s:s,s:s,s:b}", "id", (json_int_t)id, "outcome", denial->outcome,
                             "code", denial->code, "detail", denial->detail, "signed", 0);
    AEGIS_ASSERT(body != NULL);
    if (decision != NULL)
        set_text(body, "decision", decision);
    set_text(body, "policy", denial->policy);
    set_text(body, "limit", denial->limit);
    set_text(body, "remaining", denial->remaining);
    set_integer(body, "resets_at", denial->resets_at);
    set_integer(body, "retry_after_ms", denial->retry_after_ms);
    return body;
}

static void set_denial(json_t *body, const struct aegis_denial *denial)
{
    set_text(body, "code", denial->code);
    set_text(body, "detail", denial->detail);
    set_text(body, "policy", denial->policy);
    set_text(body, "limit", denial->limit);
    set_text(body, "remaining", denial->remaining);
    set_integer(body, "resets_at", denial->resets_at);
}

/* Changes of state are kept with the decision; the other effects become entries of their own. */
static json_t *state_effects(const json_t *verdict)
{
    size_t i;
    json_t *effect, *states = json_array();
    json_array_foreach(json_object_get(verdict, "effects"), i, effect)
    {
        if (strcmp(aegis_json_text(effect, "effect", ""), "state") == 0)
            json_array_append(states, effect);
    }
    return states;
}

/* What stands as the verdict when the policies gave none: an error, for that is how it was treated. */
static const char *verdict_text(const struct aegis_decision_record *record)
{
    if (record->verdict != NULL)
        return aegis_json_text(record->verdict, "verdict", "error");
    return strcmp(record->denial->outcome, "denied") == 0 ? "deny" : "error";
}

json_t *aegis_decision_body(const struct aegis_decision_record *record)
{
    json_t *rows = record->verdict == NULL ? NULL : json_object_get(record->verdict, "verdicts");
    json_t *body = json_pack("{s:s,s:s,s:O,s:o,s:o,s:o,s:I}", "verdict", verdict_text(record), "outcome",
                             record->denial == NULL ? "allowed" : record->denial->outcome, "subject",
                             record->subject, "verdicts", rows == NULL ? json_array() : json_incref(rows),
                             "facts", record->facts == NULL ? json_object() : json_incref(record->facts),
                             "effects", state_effects(record->verdict), "now", (json_int_t)record->now);
    AEGIS_ASSERT(body != NULL);
    if (record->denial != NULL)
        set_denial(body, record->denial);
    if (record->candidate >= 0)
        json_object_set_new(body, "candidate", json_integer(record->candidate));
    if (record->passed_over != NULL && json_array_size(record->passed_over) > 0)
        json_object_set(body, "passed_over", record->passed_over);
    set_text(body, "request_hash", record->request_hash);
    set_text(body, "idempotency_key", record->idempotency_key);
    return body;
}

static bool append(struct aegis_keeper *keeper, enum aegis_entry_kind kind, const char *agent,
                   const char *payment, json_t *body, struct aegis_error *error)
{
    AEGIS_ASSERT(body != NULL);
    bool ok = aegis_ledger_append(keeper->ledger, kind, keeper->clock.now, agent, payment, body, error);
    json_decref(body);
    return ok;
}

static bool write_policy(struct aegis_keeper *keeper, const char *id, const char *hash,
                         struct aegis_error *error)
{
    enum aegis_books_result known = aegis_books_policy(aegis_ledger_books(keeper->ledger), id, hash, error);
    json_t *body = known == AEGIS_BOOKS_NONE ? aegis_loaded_entry(keeper->loaded, id, hash) : NULL;
    if (known == AEGIS_BOOKS_ERROR)
        return false;
    if (body != NULL && !append(keeper, AEGIS_ENTRY_POLICY, NULL, NULL, body, error))
        return false;
    if (body == NULL && known == AEGIS_BOOKS_NONE)
        return true; /* not loaded any more; when it comes back it is recorded then */
    aegis_loaded_record(keeper->loaded, id, hash);
    return true;
}

bool aegis_decision_write_policies(struct aegis_keeper *keeper, const json_t *verdict,
                                   struct aegis_error *error)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(verdict, "verdicts"), i, row)
    {
        const char *id = aegis_json_text(row, "policy", ""), *hash = aegis_json_text(row, "hash", "");
        if (*id == '\0' || *hash == '\0' || aegis_loaded_recorded(keeper->loaded, id, hash))
            continue;
        if (!write_policy(keeper, id, hash, error))
            return false;
    }
    return true;
}

static const struct aegis_json_field notice_fields[] = {
    {"policy", AEGIS_JSON_STRING, true, 128},
    {"effect", AEGIS_JSON_STRING, true, 16},
    {"kind", AEGIS_JSON_STRING, true, 256},
    {"severity", AEGIS_JSON_STRING, true, 16},
    {"title", AEGIS_JSON_STRING, true, 1024},
    {"message", AEGIS_JSON_STRING, true, 4096},
    {"metadata", AEGIS_JSON_OBJECT, true, 0},
    {"once", AEGIS_JSON_STRING, false, 1024},
    {0},
};

static bool write_notice(struct aegis_keeper *keeper, const json_t *effect, const char *agent,
                         const char *payment, struct aegis_error *error)
{
    struct aegis_error why;
    if (!aegis_json_check(effect, notice_fields, &why)) {
        aegis_log(AEGIS_LOG_WARNING, "a notice of a policy cannot be used: %s", why.text);
        return true;
    }
    const char *once = aegis_json_text(effect, "once", "");
    if (*once != '\0') {
        enum aegis_books_result known = aegis_books_once(aegis_ledger_books(keeper->ledger),
                                                         aegis_json_text(effect, "policy", ""), once, error);
        if (known != AEGIS_BOOKS_NONE)
            return known == AEGIS_BOOKS_FOUND;
    }
    json_t *body = json_copy((json_t *)effect);
    json_object_del(body, "effect");
    return append(keeper, AEGIS_ENTRY_NOTICE, agent, payment, body, error);
}

bool aegis_decision_write_notices(struct aegis_keeper *keeper, const json_t *verdict, const char *agent,
                                  const char *payment, struct aegis_error *error)
{
    size_t i;
    json_t *effect;
    json_array_foreach(json_object_get(verdict, "effects"), i, effect)
    {
        if (strcmp(aegis_json_text(effect, "effect", ""), "notice") == 0 &&
            !write_notice(keeper, effect, agent, payment, error))
            return false;
    }
    return true;
}

bool aegis_decision_write_agent(struct aegis_keeper *keeper, struct aegis_identity *identity,
                                struct aegis_error *error)
{
    if (identity->recorded)
        return true;
    json_t *body = json_pack("{s:s,s:s,s:s,s:O}", "name", identity->name, "wallet", identity->wallet,
                             "address", identity->address_text, "policies", identity->policies);
    identity->recorded = append(keeper, AEGIS_ENTRY_AGENT, identity->id, NULL, body, error);
    return identity->recorded;
}
