/* What the command line may ask for. */
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/keeper/peers.h"
#include "gate/keeper/question.h"

void aegis_commands_answer(struct aegis_keeper *keeper, uint64_t number, int64_t id, json_t *body,
                           const char *error)
{
    struct aegis_peer *peer = aegis_peer_command(keeper, number);
    if (peer == NULL) {
        json_decref(body);
        return;
    }
    json_t *answer = json_pack("{s:I,s:b}", "id", (json_int_t)id, "ok", error == NULL);
    if (body != NULL)
        json_object_set_new(answer, "body", body);
    if (error != NULL)
        json_object_set_new(answer, "error", json_string(error));
    aegis_channel_send(peer->channel, &aegis_message_answer, answer);
}

/* status */

static const char *clock_text(enum aegis_keeper_clock_state state)
{
    static const char *const texts[] = {"steady", "ahead", "behind"};
    return texts[state];
}

static void command_status(struct aegis_peer *peer, int64_t id, const json_t *arguments)
{
    struct aegis_keeper *keeper = peer->keeper;
    (void)arguments;
    json_t *body = json_pack(
        "{s:I,s:s,s:s,s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:b,s:O,s:b}", "now",
        (json_int_t)keeper->clock.now, "operator", keeper->settings.operator_name, "clock",
        clock_text(keeper->clock.state), "ledger_open", aegis_commit_open(keeper->commit), "ledger_failed",
        aegis_commit_failed(keeper->commit), "ledger_attempts",
        (json_int_t)aegis_commit_attempts(keeper->commit), "ledger_seq",
        (json_int_t)aegis_ledger_seq(keeper->ledger), "judging",
        (json_int_t)aegis_counters_tentative(keeper->counters), "held",
        (json_int_t)aegis_payments_count(keeper->payments), "counters",
        (json_int_t)aegis_counters_count(keeper->counters), "policies",
        (json_int_t)aegis_loaded_count(keeper->loaded), "workers", (json_int_t)aegis_peer_workers(keeper),
        "judge", aegis_peer_judge_ready(keeper), "witness", keeper->witness != NULL, "courier",
        keeper->courier != NULL, "watched", keeper->settings.watched, "stopping", keeper->stopping);
    AEGIS_ASSERT(body != NULL);
    aegis_commands_answer(keeper, peer->number, id, body, NULL);
}

/* Commands that are one entry */

struct entry_job {
    struct aegis_job job;
    struct aegis_keeper *keeper;
    uint64_t peer;
    int64_t id;
    enum aegis_entry_kind kind;
    char *agent;
    json_t *body;
};

static bool write_entry(struct aegis_job *job, struct aegis_ledger *ledger, struct aegis_error *error)
{
    struct entry_job *entry = (struct entry_job *)job;
    return aegis_ledger_append(ledger, entry->kind, entry->keeper->clock.now, entry->agent, NULL, entry->body,
                               error);
}

static void entry_done(struct aegis_job *job, bool durable)
{
    struct entry_job *entry = (struct entry_job *)job;
    aegis_commands_answer(entry->keeper, entry->peer, entry->id, durable ? json_object() : NULL,
                          durable ? NULL : "it could not be recorded");
    json_decref(entry->body);
    free(entry->agent);
    free(entry);
}

static void refuse(struct aegis_peer *peer, int64_t id, const char *why)
{
    aegis_commands_answer(peer->keeper, peer->number, id, NULL, why);
}

static void add_entry(struct aegis_peer *peer, int64_t id, enum aegis_entry_kind kind, const char *agent,
                      json_t *body)
{
    if (!aegis_commit_open(peer->keeper->commit)) {
        json_decref(body);
        refuse(peer, id, "the ledger cannot be written");
        return;
    }
    struct entry_job *entry = aegis_alloc(sizeof *entry);
    entry->job.write = write_entry;
    entry->job.done = entry_done;
    entry->keeper = peer->keeper;
    entry->peer = peer->number;
    entry->id = id;
    entry->kind = kind;
    entry->agent = agent == NULL ? NULL : aegis_strdup(agent);
    entry->body = body;
    aegis_commit_add(peer->keeper->commit, &entry->job);
}

static void command_heartbeat(struct aegis_peer *peer, int64_t id, const json_t *arguments)
{
    struct aegis_refusal refusal;
    const char *agent = aegis_json_text(arguments, "agent", "");
    if (aegis_identities_peek(peer->keeper->identities, agent, &refusal) == NULL)
        refuse(peer, id, refusal.detail);
    else
        add_entry(peer, id, AEGIS_ENTRY_HEARTBEAT, agent, json_object());
}

/* The clocks are taken as right the moment the operator says so; if that cannot be recorded, they are not. */
static void command_resume(struct aegis_peer *peer, int64_t id, const json_t *arguments)
{
    struct aegis_keeper *keeper = peer->keeper;
    if (strcmp(aegis_json_text(arguments, "what", ""), "clock") != 0) {
        refuse(peer, id, "what: expected clock");
        return;
    }
    if (!aegis_commit_open(keeper->commit)) {
        refuse(peer, id, "the ledger cannot be written");
        return;
    }
    aegis_keeper_clock_resume(&keeper->clock);
    aegis_counters_reset(keeper->counters, keeper->clock.now);
    add_entry(peer, id, AEGIS_ENTRY_RESUMED, NULL, json_pack("{s:s}", "what", "clock"));
}

/* revoke */

struct revoking {
    struct aegis_keeper *keeper;
    uint64_t peer;
    int64_t id;
};

static void revoked(void *context)
{
    struct revoking *revoking = context;
    aegis_commands_answer(revoking->keeper, revoking->peer, revoking->id, json_object(), NULL);
    free(revoking);
}

static void command_revoke(struct aegis_peer *peer, int64_t id, const json_t *arguments)
{
    struct aegis_refusal refusal;
    const char *key = aegis_json_text(arguments, "key", "");
    if (aegis_identities_peek(peer->keeper->identities, key, &refusal) == NULL) {
        refuse(peer, id, refusal.detail);
        return;
    }
    struct revoking *revoking = aegis_alloc(sizeof *revoking);
    *revoking = (struct revoking){peer->keeper, peer->number, id};
    aegis_ticks_revoke(peer->keeper, key, aegis_json_text(arguments, "reason", "revoked by the operator"),
                       NULL, revoked, revoking);
}

/* explain: every policy's verdict about a payment that nobody makes */

struct explanation {
    struct aegis_keeper *keeper;
    uint64_t peer;
    int64_t id;
    char *texts[5]; /* of the share */
    struct aegis_question question;
};

static const struct aegis_json_field explain_fields[] = {
    {"agent", AEGIS_JSON_STRING, true, 128},
    {"network", AEGIS_JSON_STRING, true, AEGIS_NETWORK_TEXT - 1},
    {"asset", AEGIS_JSON_STRING, true, 42},
    {"amount", AEGIS_JSON_AMOUNT, true, 0},
    {"pay_to", AEGIS_JSON_STRING, true, 42},
    {"method", AEGIS_JSON_STRING, false, 32},
    {"url", AEGIS_JSON_STRING, false, 8192},
    {"host", AEGIS_JSON_STRING, false, 512},
    {0},
};

static void explanation_free(struct explanation *explanation)
{
    aegis_question_clear(&explanation->question);
    for (size_t i = 0; i < 5; i++)
        free(explanation->texts[i]);
    free(explanation);
}

static void explained(struct aegis_question *question, enum aegis_answer answer)
{
    struct explanation *explanation =
        (struct explanation *)((char *)question - offsetof(struct explanation, question));
    json_t *body = NULL;
    if (answer == AEGIS_ANSWER_VERDICT)
        body =
            json_pack("{s:O,s:O,s:O,s:O,s:O,s:I}", "verdict", json_object_get(question->verdict, "verdict"),
                      "verdicts", json_object_get(question->verdict, "verdicts"), "effects",
                      json_object_get(question->verdict, "effects"), "subject", question->subject, "facts",
                      question->facts, "now", (json_int_t)question->now);
    aegis_commands_answer(explanation->keeper, explanation->peer, explanation->id, body,
                          body == NULL ? question->failure : NULL);
    explanation_free(explanation);
}

/* Fills in what is ours to know. False with a reason. */
static bool explain_subject(struct aegis_keeper *keeper, const struct aegis_identity *identity,
                            const json_t *arguments, struct explanation *explanation,
                            struct aegis_error *error)
{
    struct aegis_address asset, pay_to;
    aegis_amount amount, scaled;
    char asset_text[AEGIS_ADDRESS_TEXT], payee[AEGIS_ADDRESS_TEXT], amount_text[AEGIS_AMOUNT_TEXT];
    const char *network = aegis_json_text(arguments, "network", "");
    if (!aegis_address_parse(aegis_json_text(arguments, "asset", ""), &asset) ||
        !aegis_address_parse(aegis_json_text(arguments, "pay_to", ""), &pay_to))
        return aegis_error_set(error, "asset, pay_to: expected addresses");
    const struct aegis_asset *known = aegis_assets_find(keeper->assets, network, &asset);
    aegis_amount_parse(aegis_json_text(arguments, "amount", ""), &amount);
    if (known == NULL)
        return aegis_error_set(error,
                               "The gate does not know this asset: it would be refused with asset_unknown.");
    if (!aegis_amount_scale(amount, known->decimals, &scaled) || scaled > AEGIS_SHARE_MAX)
        return aegis_error_set(error, "amount: is absurd");
    const char *texts[5] = {identity->id, aegis_json_text(arguments, "host", ""),
                            aegis_address_format(&pay_to, payee), known->network, known->symbol};
    for (size_t i = 0; i < 5; i++)
        explanation->texts[i] = aegis_strdup(texts[i]);
    char **own = explanation->texts;
    explanation->question.share =
        (struct aegis_share){own[0], own[1], own[2], own[3], own[4], keeper->clock.now, scaled};
    explanation->question.subject =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:s,s:I,s:s,s:s,s:s}", "agent",
                  identity->id, "agent_name", identity->name, "wallet", identity->wallet, "payer",
                  identity->address_text, "method", aegis_json_text(arguments, "method", "GET"), "url",
                  aegis_json_text(arguments, "url", ""), "host", texts[1], "network", network, "scheme",
                  "exact", "asset", aegis_address_format(&known->address, asset_text), "token", known->symbol,
                  "decimals", (json_int_t)known->decimals, "amount", aegis_json_text(arguments, "amount", ""),
                  "scaled", aegis_amount_format(scaled, amount_text), "valid_before",
                  (json_int_t)keeper->clock.now + keeper->settings.lifetime_seconds * 1000, "pay_to", payee,
                  "domain_name", known->domain_name, "domain_version", known->domain_version);
    AEGIS_ASSERT(explanation->question.subject != NULL);
    return true;
}

static void command_explain(struct aegis_peer *peer, int64_t id, const json_t *arguments)
{
    struct aegis_keeper *keeper = peer->keeper;
    struct aegis_error error;
    struct aegis_refusal refusal;
    const struct aegis_identity *identity =
        aegis_identities_peek(keeper->identities, aegis_json_text(arguments, "agent", ""), &refusal);
    if (identity == NULL) {
        refuse(peer, id, refusal.detail);
        return;
    }
    struct explanation *explanation = aegis_alloc(sizeof *explanation);
    struct aegis_question *question = &explanation->question;
    explanation->keeper = question->keeper = keeper;
    explanation->peer = peer->number;
    explanation->id = id;
    question->policies = json_incref(identity->policies);
    if (!explain_subject(keeper, identity, arguments, explanation, &error)) {
        refuse(peer, id, error.text);
        explanation_free(explanation);
        return;
    }
    question->operation = "payment";
    question->all = true;
    question->method = aegis_json_text(question->subject, "method", "");
    question->url = aegis_json_text(question->subject, "url", "");
    question->number = AEGIS_NUMBER_LAST;
    question->now = keeper->clock.now;
    question->answered = explained;
    aegis_question_ask(question);
}

/* The table */

static const struct {
    const char *name;
    const struct aegis_json_field *fields; /* NULL: the command looks itself */
    void (*run)(struct aegis_peer *, int64_t id, const json_t *arguments);
} commands[] = {
    {"status", (const struct aegis_json_field[]){{0}}, command_status},
    {"explain", explain_fields, command_explain},
    {"heartbeat", (const struct aegis_json_field[]){{"agent", AEGIS_JSON_STRING, true, 128}, {0}},
     command_heartbeat},
    {"revoke",
     (const struct aegis_json_field[]){
         {"key", AEGIS_JSON_STRING, true, 128}, {"reason", AEGIS_JSON_STRING, false, 512}, {0}},
     command_revoke},
    {"resume", (const struct aegis_json_field[]){{"what", AEGIS_JSON_STRING, true, 32}, {0}}, command_resume},
    {"external", NULL, aegis_external},
};

void aegis_commands_handle(struct aegis_peer *peer, const json_t *message)
{
    struct aegis_error error;
    int64_t id = aegis_json_integer(message, "id", 0);
    const char *name = aegis_json_text(message, "name", "");
    const json_t *arguments = json_object_get(message, "arguments");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) != 0)
            continue;
        if (commands[i].fields != NULL && !aegis_json_check(arguments, commands[i].fields, &error))
            refuse(peer, id, error.text);
        else
            commands[i].run(peer, id, arguments);
        return;
    }
    refuse(peer, id, "there is no such command");
}
