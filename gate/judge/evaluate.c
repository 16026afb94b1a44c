#include "gate/judge/evaluate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/judge/rules.h"
#include "gate/judge/services.h"
#include "gate/judge/subject.h"

/* As many as one message may carry. */
enum { EFFECTS = 256, QUERIES = 256 };

#define TIME_MAX INT64_C(253402300799999) /* the end of the year 9999: later times have no RFC 3339 */

enum operation { PAYMENT, CUSTOMER, TICK };

/* One question while it is being evaluated. */
struct evaluation {
    const struct aegis_policies *policies;
    const struct aegis_question *question;
    enum operation operation;
    struct aegis_payment payment;
    struct aegis_customer customer;
    struct aegis_evaluation *out;
};

const char *aegis_verdict_text(enum aegis_verdict verdict)
{
    static const char *const texts[] = {"error", "allow", "deny", "hold"};
    return (unsigned)verdict < sizeof(texts) / sizeof(texts[0]) ? texts[verdict] : "error";
}

static void failed(struct aegis_decision *decision, const char *code, const char *reason)
{
    *decision = (struct aegis_decision){.size = sizeof(*decision), .verdict = AEGIS_ERROR};
    snprintf(decision->code, sizeof(decision->code), "%s", code);
    snprintf(decision->reason, sizeof(decision->reason), "%s", reason);
}

/* UTF-8 that ends inside its array. snprintf may have cut a character in two at the end: what is left of it
 * goes. */
static bool text_good(char *text, size_t size)
{
    size_t length = strnlen(text, size);
    if (length == size)
        return false;
    for (size_t cut = 1; cut <= 3 && cut <= length; cut++) {
        unsigned char byte = (unsigned char)text[length - cut];
        if (byte >= 0xC2 && byte <= 0xF4 && !aegis_utf8_valid(text + length - cut, cut))
            text[length -= cut] = '\0';
        if ((byte & 0xC0) != 0x80)
            break;
    }
    return aegis_utf8_valid(text, length);
}

/* What a plugin left behind is data from a stranger. */
static bool decision_good(struct aegis_decision *decision)
{
    return (unsigned)decision->verdict <= AEGIS_HOLD && text_good(decision->code, sizeof(decision->code)) &&
           text_good(decision->reason, sizeof(decision->reason)) &&
           text_good(decision->limit, sizeof(decision->limit)) &&
           text_good(decision->remaining, sizeof(decision->remaining)) && decision->resets_at >= 0 &&
           decision->resets_at <= TIME_MAX && decision->cache_ms >= 0;
}

static void decision_check(struct aegis_decision *decision, const struct aegis_services *services)
{
    if (services->waiting && services->failure[0] == '\0')
        return;
    if (services->failure[0] != '\0')
        failed(decision, "policy_failed", services->failure);
    else if (!decision_good(decision))
        failed(decision, "policy_failed", "the plugin left a decision that makes no sense");
    else if (decision->verdict == AEGIS_ERROR && decision->code[0] == '\0')
        snprintf(decision->code, sizeof(decision->code), "policy_failed");
    else if (decision->verdict == AEGIS_HOLD && decision->code[0] == '\0')
        snprintf(decision->code, sizeof(decision->code), "approval_required");
    else if (decision->verdict == AEGIS_DENY && decision->code[0] == '\0')
        snprintf(decision->code, sizeof(decision->code), "policy_denied");
}

/* Calls the one check of `plugin` that the operation is about; without one, it has no objection. */
static void plugin_check(const struct evaluation *evaluation, const struct aegis_policy *plugin,
                         void *instance, const struct aegis_host *host, struct aegis_decision *decision)
{
    const json_t *subject = evaluation->question->subject;
    if (evaluation->operation == PAYMENT && plugin->check_payment != NULL) {
        plugin->check_payment(instance, &evaluation->payment, host, decision);
    } else if (evaluation->operation == CUSTOMER && plugin->check_customer != NULL) {
        plugin->check_customer(instance, &evaluation->customer, host, decision);
    } else {
        decision->verdict = AEGIS_ALLOW;
        if (evaluation->operation == TICK && plugin->tick != NULL)
            plugin->tick(instance, aegis_json_text(subject, "agent", ""),
                         aegis_json_text(subject, "agent_name", ""), evaluation->question->now, host);
    }
}

static void plugin_ask(const struct evaluation *evaluation, const struct aegis_installed *installed,
                       const struct aegis_policy *plugin, void *instance, struct aegis_services *services,
                       const struct aegis_host *host, struct aegis_decision *decision)
{
    struct aegis_notepad *pad = aegis_policies_pad(evaluation->policies);
    *decision = (struct aegis_decision){.size = sizeof(*decision), .verdict = AEGIS_ERROR};
    aegis_notepad_write(pad, installed->document->id, aegis_clock_boot());
    plugin_check(evaluation, plugin, instance, host, decision);
    aegis_notepad_write(pad, "", 0);
    decision_check(decision, services);
}

/* Rules, then plugin, then executable; whoever does not allow ends it. */
static void policy_ask(const struct evaluation *evaluation, const struct aegis_installed *installed,
                       struct aegis_services *services, struct aegis_decision *decision)
{
    struct aegis_host host;
    aegis_services_open(services, &host);
    *decision = (struct aegis_decision){.size = sizeof(*decision), .verdict = AEGIS_ALLOW};
    if (installed->quarantined) {
        failed(
            decision, "policy_quarantined",
            "the policy is in quarantine since its plugin took the judge down; an operator must look at it");
        return;
    }
    if (evaluation->operation == PAYMENT)
        aegis_rules_judge(installed->document->rules, &evaluation->payment, decision);
    if (decision->verdict == AEGIS_ALLOW && installed->plugin != NULL)
        plugin_ask(evaluation, installed, installed->plugin, installed->instance, services, &host, decision);
    if (decision->verdict == AEGIS_ALLOW && !services->waiting && installed->runner != NULL &&
        evaluation->operation == PAYMENT)
        plugin_ask(evaluation, installed, installed->runner, installed->runner_instance, services, &host,
                   decision);
}

static void set_text(json_t *row, const char *name, char *text, size_t size)
{
    if (*text != '\0' && text_good(text, size))
        json_object_set_new(row, name, json_string(text));
}

static json_t *row_new(const char *id, const struct aegis_document *document, struct aegis_decision *decision,
                       const struct aegis_services *services)
{
    json_t *row = json_pack(
        "{s:s,s:I,s:s,s:s}", "policy", id, "version", (json_int_t)(document == NULL ? 0 : document->version),
        "hash", document == NULL ? "" : document->hash, "verdict", aegis_verdict_text(decision->verdict));
    if (decision->verdict != AEGIS_ALLOW) {
        set_text(row, "code", decision->code, sizeof(decision->code));
        set_text(row, "reason", decision->reason, sizeof(decision->reason));
        set_text(row, "limit", decision->limit, sizeof(decision->limit));
        set_text(row, "remaining", decision->remaining, sizeof(decision->remaining));
        if (decision->resets_at > 0)
            json_object_set_new(row, "resets_at", json_integer(decision->resets_at));
    }
    json_object_set_new(row, "facts", services == NULL ? json_array() : json_incref(services->used));
    if (services != NULL && json_object_size(services->ran) > 0)
        json_object_set(row, "run", services->ran);
    return row;
}

/* Whether the policy that `effect` is of came to the verdict of the whole question. */
static bool effect_counts(const struct evaluation *evaluation, const json_t *effect)
{
    const char *policy = aegis_json_text(effect, "policy", "");
    size_t index;
    json_t *row;
    json_array_foreach(evaluation->out->verdicts, index, row)
    {
        if (strcmp(aegis_json_text(row, "policy", ""), policy) == 0)
            return strcmp(aegis_json_text(row, "verdict", ""), evaluation->out->verdict) == 0;
    }
    return false;
}

/* An allow carries everybody's effects, a refusal those of the one who refused: what the others wanted to
 * happen because of a payment does not happen, for there is none. */
static void effects_filter(struct evaluation *evaluation)
{
    json_t *effects = evaluation->out->effects;
    for (size_t i = json_array_size(effects); i-- > 0;) {
        if (!effect_counts(evaluation, json_array_get(effects, i)))
            json_array_remove(effects, i);
    }
}

/* Asks one policy and adds its row. Its verdict; AEGIS_ALLOW while it still waits for facts. */
static enum aegis_verdict policy_judge(struct evaluation *evaluation, const char *id)
{
    struct aegis_decision decision;
    const struct aegis_installed *installed = aegis_policies_find(evaluation->policies, id);
    if (installed == NULL) {
        failed(&decision, "policy_unknown", "the policy is attached, but its document is not loaded");
        json_array_append_new(evaluation->out->verdicts, row_new(id, NULL, &decision, NULL));
        return AEGIS_ERROR;
    }
    struct aegis_services services = {
        .policy = id,
        .facts = evaluation->question->facts,
        .needed = evaluation->out->need,
        .runs = evaluation->out->runs,
        .subject = evaluation->operation == PAYMENT ? evaluation->question->subject : NULL,
        .payment = evaluation->operation == PAYMENT ? &evaluation->payment : NULL,
        .ticking = evaluation->operation == TICK,
        .recording = true,
    };
    policy_ask(evaluation, installed, &services, &decision);
    if (json_array_size(evaluation->out->effects) + json_array_size(services.effects) > EFFECTS)
        failed(&decision, "policy_failed", "the policies together caused too much");
    if (services.waiting && services.failure[0] == '\0') {
        decision.verdict = AEGIS_ALLOW;
    } else {
        json_array_append_new(evaluation->out->verdicts,
                              row_new(id, installed->document, &decision, &services));
        if (decision.verdict != AEGIS_ERROR)
            json_array_extend(evaluation->out->effects, services.effects);
    }
    aegis_services_close(&services);
    return decision.verdict;
}

/* A policy may hang on the key and on the gate: it is asked once, and its row stands there twice. False when
 * it was not asked before. */
static bool asked_already(struct evaluation *evaluation, size_t index)
{
    const json_t *ids = evaluation->question->policies, *id = json_array_get(ids, index);
    size_t i = 0, at;
    json_t *row;
    while (i < index && !json_equal(json_array_get(ids, i), id))
        i++;
    if (i == index)
        return false;
    json_array_foreach(evaluation->out->verdicts, at, row)
    {
        if (json_equal(json_object_get(row, "policy"), id)) {
            json_array_append(evaluation->out->verdicts, row);
            break;
        }
    }
    return true;
}

/* A denial ends it; a hold does not, for nobody should be asked to approve what is denied anyway. A tick is
 * each policy's own business. */
static void judge_all(struct evaluation *evaluation)
{
    const struct aegis_question *question = evaluation->question;
    enum aegis_verdict whole = AEGIS_ALLOW;
    size_t index;
    json_t *id;
    json_array_foreach((json_t *)question->policies, index, id)
    {
        if (asked_already(evaluation, index))
            continue;
        enum aegis_verdict verdict = policy_judge(evaluation, json_string_value(id));
        if (verdict != AEGIS_ALLOW && (whole == AEGIS_ALLOW || whole == AEGIS_HOLD))
            whole = verdict;
        if ((whole == AEGIS_DENY || whole == AEGIS_ERROR) && !question->all && evaluation->operation != TICK)
            break;
    }
    evaluation->out->verdict = aegis_verdict_text(whole);
    /* What is too much for one question is asked in the next. */
    while (json_array_size(evaluation->out->need) > QUERIES)
        json_array_remove(evaluation->out->need, json_array_size(evaluation->out->need) - 1);
    if (evaluation->operation != TICK)
        effects_filter(evaluation);
}

static bool read_operation(struct evaluation *evaluation, struct aegis_error *error)
{
    const struct aegis_question *question = evaluation->question;
    if (strcmp(question->operation, "payment") == 0) {
        evaluation->operation = PAYMENT;
        return aegis_subject_payment(question->subject, question->now, &evaluation->payment, error);
    }
    if (strcmp(question->operation, "customer") == 0) {
        evaluation->operation = CUSTOMER;
        return aegis_subject_customer(question->subject, question->now, &evaluation->customer, error);
    }
    evaluation->operation = TICK;
    if (strcmp(question->operation, "tick") != 0)
        return aegis_error_set(error, "operation: expected payment, customer or tick, found \"%.40s\"",
                               question->operation);
    if (*aegis_json_text(question->subject, "agent", "") == '\0')
        return aegis_error_set(error, "subject.agent: expected a text");
    return true;
}

static bool ids_good(const json_t *ids, struct aegis_error *error)
{
    size_t index;
    json_t *id;
    json_array_foreach((json_t *)ids, index, id)
    {
        const char *text = json_string_value(id);
        if (text == NULL || strlen(text) > AEGIS_DOCUMENT_ID)
            return aegis_error_set(error, "policies[%zu]: expected the id of a policy", index);
    }
    return json_is_array(ids) || aegis_error_set(error, "policies: expected an array");
}

bool aegis_evaluate(const struct aegis_policies *policies, const struct aegis_question *question,
                    struct aegis_evaluation *out, struct aegis_error *error)
{
    struct evaluation evaluation = {.policies = policies, .question = question, .out = out};
    *out = (struct aegis_evaluation){.verdict = "error"};
    if (!ids_good(question->policies, error) || !read_operation(&evaluation, error))
        return false;
    out->need = json_array();
    out->runs = json_array();
    out->verdicts = json_array();
    out->effects = json_array();
    judge_all(&evaluation);
    return true;
}

void aegis_evaluation_clear(struct aegis_evaluation *evaluation)
{
    json_decref(evaluation->need);
    json_decref(evaluation->runs);
    json_decref(evaluation->verdicts);
    json_decref(evaluation->effects);
    *evaluation = (struct aegis_evaluation){.verdict = "error"};
}

const json_t *aegis_evaluation_refusal(const json_t *verdicts)
{
    const json_t *held = NULL;
    size_t index;
    json_t *row;
    json_array_foreach((json_t *)verdicts, index, row)
    {
        const char *verdict = aegis_json_text(row, "verdict", "error");
        if (strcmp(verdict, "deny") == 0 || strcmp(verdict, "error") == 0)
            return row;
        if (strcmp(verdict, "hold") == 0 && held == NULL)
            held = row;
    }
    return held;
}

void aegis_evaluate_recall(const json_t *verdicts, json_t *facts)
{
    size_t index;
    json_t *row, *answer;
    const char *executable;
    json_array_foreach((json_t *)verdicts, index, row)
    {
        const char *policy = aegis_json_text(row, "policy", "");
        json_object_foreach(json_object_get(row, "run"), executable, answer)
        {
            char *query = aegis_format("run/%s/%s", policy, executable);
            json_object_set(facts, query, answer);
            free(query);
        }
    }
}

/* Asks one policy about a request. Its verdict, with code and reason. */
static void request_ask(const struct aegis_policies *policies, const struct aegis_installed *installed,
                        const struct aegis_request *request, struct aegis_decision *decision)
{
    struct aegis_host host;
    struct aegis_services services = {.policy = installed->document->id};
    *decision = (struct aegis_decision){.size = sizeof(*decision), .verdict = AEGIS_ERROR};
    aegis_services_open(&services, &host);
    aegis_notepad_write(aegis_policies_pad(policies), installed->document->id, aegis_clock_boot());
    installed->plugin->check_request(installed->instance, request, &host, decision);
    aegis_notepad_write(aegis_policies_pad(policies), "", 0);
    decision_check(decision, &services);
    aegis_services_close(&services);
}

void aegis_evaluate_request(const struct aegis_policies *policies, const json_t *ids,
                            const struct aegis_request *request, struct aegis_request_verdict *out)
{
    *out = (struct aegis_request_verdict){.verdict = "allow", .cache_ms = INT64_MAX};
    size_t index;
    json_t *id;
    json_array_foreach((json_t *)ids, index, id)
    {
        const char *text = json_string_value(id) == NULL ? "" : json_string_value(id);
        struct aegis_decision decision;
        const struct aegis_installed *installed = aegis_policies_find(policies, text);
        if (installed == NULL)
            failed(&decision, "policy_unknown", "the policy is attached, but its document is not loaded");
        else if (installed->quarantined)
            failed(&decision, "policy_quarantined",
                   "the policy is in quarantine; an operator must look at it");
        else if (installed->plugin == NULL || installed->plugin->check_request == NULL)
            continue;
        else
            request_ask(policies, installed, request, &decision);
        if (decision.cache_ms < out->cache_ms)
            out->cache_ms = decision.cache_ms;
        if (decision.verdict == AEGIS_ALLOW)
            continue;
        out->verdict = aegis_verdict_text(decision.verdict);
        aegis_text_copy(out->policy, sizeof(out->policy), text);
        aegis_text_copy(out->code, sizeof(out->code), decision.code);
        aegis_text_copy(out->reason, sizeof(out->reason), decision.reason);
        out->cache_ms = decision.cache_ms;
        return;
    }
}

void aegis_evaluate_observe(const struct aegis_policies *policies, const json_t *ids,
                            const struct aegis_outcome *outcome)
{
    size_t index;
    json_t *id;
    json_array_foreach((json_t *)ids, index, id)
    {
        const struct aegis_installed *installed =
            json_is_string(id) ? aegis_policies_find(policies, json_string_value(id)) : NULL;
        if (installed == NULL || installed->instance == NULL || installed->plugin->observe == NULL)
            continue;
        struct aegis_host host;
        struct aegis_services services = {.policy = installed->document->id};
        aegis_services_open(&services, &host);
        aegis_notepad_write(aegis_policies_pad(policies), installed->document->id, aegis_clock_boot());
        installed->plugin->observe(installed->instance, outcome, &host);
        aegis_notepad_write(aegis_policies_pad(policies), "", 0);
        if (services.failure[0] != '\0')
            aegis_log(AEGIS_LOG_WARNING, "policy %s: observe: %s", installed->document->id, services.failure);
        aegis_services_close(&services);
    }
}
