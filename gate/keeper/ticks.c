/* What happens without anybody paying: the policies' ticks, and the end of an agent. */
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/keeper/decision.h"
#include "gate/keeper/question.h"
#include "gate/keeper/room.h"

/* Ending an agent */

struct revocation {
    struct aegis_job job;
    struct aegis_keeper *keeper;
    char *agent;
    json_t *body;
    void (*done)(void *context);
    void *context;
};

static bool write_revocation(struct aegis_job *job, struct aegis_ledger *ledger, struct aegis_error *error)
{
    struct revocation *revocation = (struct revocation *)job;
    return aegis_ledger_append(ledger, AEGIS_ENTRY_REVOKED, revocation->keeper->clock.now, revocation->agent,
                               NULL, revocation->body, error);
}

static void revocation_free(struct revocation *revocation)
{
    json_decref(revocation->body);
    free(revocation->agent);
    free(revocation);
}

static void delete_key(struct aegis_keeper *keeper, const char *agent)
{
    struct aegis_error error;
    if (!aegis_identities_delete(keeper->identities, agent, &error))
        aegis_log(AEGIS_LOG_ERROR, "agent %s is revoked, but the file of its key could not be deleted: %s",
                  agent, error.text);
}

static void revocation_done(struct aegis_job *job, bool durable)
{
    struct revocation *revocation = (struct revocation *)job;
    struct aegis_keeper *keeper = revocation->keeper;
    if (!durable && !keeper->closing) {
        aegis_commit_add(keeper->commit, &revocation->job);
        return;
    }
    if (durable) {
        delete_key(keeper, revocation->agent);
        aegis_peer_forget(keeper, revocation->agent);
        aegis_log(AEGIS_LOG_WARNING, "agent %s was revoked: %s", revocation->agent,
                  aegis_json_text(revocation->body, "reason", ""));
        if (revocation->done != NULL)
            revocation->done(revocation->context);
    }
    revocation_free(revocation);
}

void aegis_ticks_revoke(struct aegis_keeper *keeper, const char *agent, const char *reason,
                        const char *policy, void (*done)(void *context), void *context)
{
    struct revocation *revocation = aegis_alloc(sizeof *revocation);
    revocation->job.write = write_revocation;
    revocation->job.done = revocation_done;
    revocation->keeper = keeper;
    revocation->agent = aegis_strdup(agent);
    revocation->body = json_pack("{s:s,s:s}", "key", agent, "reason", reason);
    AEGIS_ASSERT(revocation->body != NULL);
    if (policy != NULL)
        json_object_set_new(revocation->body, "policy", json_string(policy));
    revocation->done = done;
    revocation->context = context;
    aegis_identities_revoke(keeper->identities, agent);
    aegis_commit_add(keeper->commit, &revocation->job);
}

/* Ticks */

struct tick {
    struct aegis_job job;
    struct aegis_keeper *keeper;
    char *agent;
    struct aegis_question question;
};

static void tick_free(struct tick *tick)
{
    aegis_table_remove(tick->keeper->ticking, tick->agent);
    aegis_question_clear(&tick->question);
    free(tick->agent);
    free(tick);
}

static bool write_states(struct tick *tick, struct aegis_ledger *ledger, struct aegis_error *error)
{
    size_t i;
    json_t *effect;
    json_array_foreach(json_object_get(tick->question.verdict, "effects"), i, effect)
    {
        if (strcmp(aegis_json_text(effect, "effect", ""), "state") != 0)
            continue;
        json_t *body = json_copy(effect);
        json_object_del(body, "effect");
        if (json_is_null(json_object_get(body, "value"))) /* no value: the key goes */
            json_object_del(body, "value");
        bool ok = aegis_ledger_append(ledger, AEGIS_ENTRY_STATE, tick->keeper->clock.now, tick->agent, NULL,
                                      body, error);
        json_decref(body);
        if (!ok)
            return false;
    }
    return true;
}

static bool write_tick(struct aegis_job *job, struct aegis_ledger *ledger, struct aegis_error *error)
{
    struct tick *tick = (struct tick *)job;
    return aegis_decision_write_policies(tick->keeper, tick->question.verdict, error) &&
           write_states(tick, ledger, error) &&
           aegis_decision_write_notices(tick->keeper, tick->question.verdict, tick->agent, NULL, error);
}

/* The entry of a revocation goes into the transaction of the tick's other effects or a later one; lost
 * effects come again with the next tick. */
static void tick_done(struct aegis_job *job, bool durable)
{
    struct tick *tick = (struct tick *)job;
    size_t i;
    json_t *effect;
    json_array_foreach(json_object_get(tick->question.verdict, "effects"), i, effect)
    {
        if (durable && strcmp(aegis_json_text(effect, "effect", ""), "revoke") == 0) {
            aegis_ticks_revoke(tick->keeper, tick->agent,
                               aegis_json_text(effect, "reason", "a policy ended it"),
                               aegis_json_text(effect, "policy", NULL), NULL, NULL);
            break;
        }
    }
    tick_free(tick);
}

static void tick_answered(struct aegis_question *question, enum aegis_answer answer)
{
    struct tick *tick = (struct tick *)((char *)question - offsetof(struct tick, question));
    if (answer != AEGIS_ANSWER_VERDICT) {
        aegis_log(AEGIS_LOG_WARNING, "the tick of agent %s: %s", tick->agent, question->failure);
        tick_free(tick);
        return;
    }
    if (json_array_size(json_object_get(question->verdict, "effects")) == 0) {
        tick_free(tick);
        return;
    }
    tick->job.write = write_tick;
    tick->job.done = tick_done;
    aegis_commit_add(tick->keeper->commit, &tick->job);
}

static void tick_ask(struct aegis_keeper *keeper, const char *id, const char *name, json_t *policies)
{
    struct tick *tick = aegis_alloc(sizeof *tick);
    struct aegis_question *question = &tick->question;
    tick->keeper = keeper;
    tick->agent = aegis_strdup(id);
    aegis_table_put(keeper->ticking, id, tick);
    question->keeper = keeper;
    question->operation = "tick";
    question->policies = policies;
    question->subject = json_pack("{s:s,s:s}", "agent", id, "agent_name", name);
    question->share = (struct aegis_share){tick->agent, "", "", "", "", keeper->clock.now, 0};
    question->method = question->url = "";
    question->number = AEGIS_NUMBER_LAST;
    question->now = keeper->clock.now;
    question->answered = tick_answered;
    aegis_question_ask(question);
}

struct collect {
    json_t *ids;
    json_t *revoked;
};

static bool collect_agent(const struct aegis_agent_row *row, void *context)
{
    struct collect *collect = context;
    json_array_append_new(row->revoked != 0 ? collect->revoked : collect->ids, json_string(row->id));
    return true;
}

static void tick_agent(struct aegis_keeper *keeper, const char *id)
{
    struct aegis_refusal refusal;
    if (aegis_table_get(keeper->ticking, id) != NULL)
        return;
    const struct aegis_identity *identity = aegis_identities_peek(keeper->identities, id, &refusal);
    if (identity == NULL || identity->revoked)
        return;
    json_t *policies = aegis_loaded_select(keeper->loaded, identity->policies, "tick", false);
    if (json_array_size(policies) > 0)
        tick_ask(keeper, id, identity->name, policies);
    else
        json_decref(policies);
}

void aegis_ticks_run(struct aegis_keeper *keeper)
{
    size_t i;
    json_t *id;
    struct aegis_error error;
    struct collect collect = {json_array(), json_array()};
    if (!keeper->stopping && aegis_commit_open(keeper->commit) &&
        !aegis_books_agents(aegis_ledger_books(keeper->ledger), collect_agent, &collect, &error))
        aegis_log(AEGIS_LOG_ERROR, "agents could not be read: %s", error.text);
    /* A key whose file could not be deleted when it was revoked. */
    json_array_foreach(collect.revoked, i, id) delete_key(keeper, json_string_value(id));
    if (keeper->clock.state == AEGIS_CLOCK_STEADY && aegis_peer_judge_ready(keeper))
        json_array_foreach(collect.ids, i, id) tick_agent(keeper, json_string_value(id));
    json_decref(collect.ids);
    json_decref(collect.revoked);
}
