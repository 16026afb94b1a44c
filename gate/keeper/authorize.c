/* The life of an AUTHORIZE:
 *
 *     who asks -> was it asked before -> for each requirement in order: count it as tentative, ask the judge
 *         -> allowed: the payment is fixed, written, made durable ........ and only then handed to the worker
 *         -> denied by all: the first denial is written, made durable .... and only then
 * told */
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/keeper/ask.h"

static void try_next(struct aegis_ask *ask);

/* Beginning and end */

void aegis_ask_free(struct aegis_ask *ask)
{
    struct aegis_keeper *keeper = ask->keeper;
    LIST_REMOVE(ask, next);
    keeper->asks_count--;
    if (ask->key != NULL)
        aegis_table_remove(keeper->asking, ask->key);
    if (ask->number != 0)
        aegis_counters_drop(keeper->counters, ask->number);
    if (ask->turn != NULL)
        event_free(ask->turn);
    aegis_question_clear(&ask->question);
    aegis_identity_done(keeper->identities, &ask->identity);
    json_decref(ask->message);
    json_decref(ask->subject);
    json_decref(ask->denial_subject);
    json_decref(ask->denial_verdict);
    json_decref(ask->denial_facts);
    json_decref(ask->passed_over);
    json_decref(ask->authorization);
    free(ask->key);
    free(ask);
    aegis_keeper_rest(keeper);
}

/* The first denial is the answer; the others are only noted. */
static void note_denial(struct aegis_ask *ask, const struct aegis_denial *denial, const json_t *verdict,
                        json_t *facts)
{
    if (ask->denied) {
        json_array_append_new(ask->passed_over, json_pack("{s:I,s:s,s:s}", "candidate",
                                                          (json_int_t)ask->candidates[ask->current].index,
                                                          "code", denial->code, "policy", denial->policy));
        json_decref(facts);
        return;
    }
    ask->denied = true;
    ask->denial = *denial;
    ask->denial_subject = json_incref(ask->subject);
    ask->denial_verdict = json_incref((json_t *)verdict);
    ask->denial_facts = facts;
    ask->denial_candidate = ask->count == 0 ? -1 : ask->candidates[ask->current].index;
}

/* The subject */

static json_t *request_subject(const struct aegis_ask *ask)
{
    json_t *subject =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "agent", ask->identity->id, "agent_name",
                  ask->identity->name, "wallet", ask->identity->wallet, "payer", ask->identity->address_text,
                  "method", ask->method, "url", ask->url, "host", ask->host);
    AEGIS_ASSERT(subject != NULL);
    return subject;
}

static int64_t valid_before(const struct aegis_ask *ask, const struct aegis_candidate *candidate)
{
    int64_t ours = ask->keeper->settings.lifetime_seconds, theirs = candidate->max_timeout_seconds;
    return ask->now / 1000 + (theirs < ours ? theirs : ours);
}

static void candidate_subject(struct aegis_ask *ask, const struct aegis_candidate *candidate)
{
    const struct aegis_asset *asset = candidate->asset;
    char amount[AEGIS_AMOUNT_TEXT], scaled[AEGIS_AMOUNT_TEXT];
    ask->valid_before = valid_before(ask, candidate);
    json_decref(ask->subject);
    ask->subject = request_subject(ask);
    const struct {
        const char *name, *value;
    } texts[] = {
        {"network", candidate->network},
        {"scheme", "exact"},
        {"asset", candidate->asset_text},
        {"amount", aegis_amount_format(candidate->amount, amount)},
        {"pay_to", candidate->pay_to_text},
        {"token", asset == NULL ? NULL : asset->symbol},
        {"scaled", asset == NULL ? NULL : aegis_amount_format(candidate->scaled, scaled)},
        {"domain_name", asset == NULL ? NULL : asset->domain_name},
        {"domain_version", asset == NULL ? NULL : asset->domain_version},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].value != NULL)
            json_object_set_new(ask->subject, texts[i].name, json_string(texts[i].value));
    if (asset != NULL)
        json_object_set_new(ask->subject, "decimals", json_integer((json_int_t)asset->decimals));
    json_object_set_new(ask->subject, "valid_before", json_integer((json_int_t)ask->valid_before * 1000));
}

/* Candidates, one after the other */

static void answered(struct aegis_question *question, enum aegis_answer answer)
{
    struct aegis_ask *ask = (struct aegis_ask *)((char *)question - offsetof(struct aegis_ask, question));
    if (answer == AEGIS_ANSWER_VERDICT &&
        strcmp(aegis_json_text(question->verdict, "verdict", ""), "allow") == 0) {
        aegis_grant_payment(ask);
        return;
    }
    struct aegis_denial denial;
    aegis_denial_from(&denial, question, answer);
    note_denial(ask, &denial, question->verdict, aegis_verdict_facts(question));
    aegis_counters_drop(ask->keeper->counters, ask->number);
    ask->number = 0;
    aegis_question_clear(question);
    ask->current++;
    /* Without a judge, or with one that does not answer, the next requirement would fare no better. */
    if (answer == AEGIS_ANSWER_VERDICT)
        try_next(ask);
    else
        aegis_grant_denial(ask);
}

static void ask_judge(struct aegis_ask *ask, const struct aegis_candidate *candidate)
{
    struct aegis_question *question = &ask->question;
    ask->share = (struct aegis_share){
        .agent = ask->identity->id,
        .host = ask->host,
        .payee = candidate->pay_to_text,
        .network = candidate->network,
        .token = candidate->asset->symbol,
        .at = ask->now,
        .scaled = candidate->scaled,
    };
    ask->number = aegis_counters_try(ask->keeper->counters, &ask->share);
    memset(question, 0, sizeof *question);
    question->keeper = ask->keeper;
    question->operation = "payment";
    question->policies = json_incref(ask->identity->policies);
    question->subject = json_incref(ask->subject);
    question->share = ask->share;
    question->method = ask->method;
    question->url = ask->url;
    question->number = ask->number;
    question->now = ask->now;
    question->answered = answered;
    aegis_question_ask(question);
}

/* What is wrong with a requirement before any policy is asked; NULL: nothing. */
static const char *objection(const struct aegis_candidate *candidate, const char **detail)
{
    uint64_t chain;
    if (!aegis_network_chain_id(candidate->network, &chain)) {
        *detail = "The gate cannot pay on this network.";
        return "network_unsupported";
    }
    if (candidate->asset == NULL) {
        *detail = "The gate does not know this asset.";
        return "asset_unknown";
    }
    if (candidate->amount == 0 || candidate->scaled > AEGIS_SHARE_MAX ||
        aegis_address_is_zero(&candidate->pay_to)) {
        *detail = "The requirement cannot be met: its amount or its payee is absurd.";
        return "no_acceptable_requirement";
    }
    return NULL;
}

static void try_next(struct aegis_ask *ask)
{
    for (; ask->current < ask->count; ask->current++) {
        const struct aegis_candidate *candidate = &ask->candidates[ask->current];
        struct aegis_denial denial;
        const char *detail = "";
        candidate_subject(ask, candidate);
        const char *code = objection(candidate, &detail);
        if (code == NULL) {
            ask_judge(ask, candidate);
            return;
        }
        aegis_denial_set(&denial, "denied", code, detail);
        note_denial(ask, &denial, NULL, NULL);
    }
    aegis_grant_denial(ask);
}

static void deny_at_once(struct aegis_ask *ask, const struct aegis_denial *denial)
{
    if (ask->subject == NULL)
        ask->subject = request_subject(ask);
    note_denial(ask, denial, NULL, NULL);
    aegis_grant_denial(ask);
}

/* The message */

static const struct aegis_json_field candidate_fields[] = {
    {"index", AEGIS_JSON_INTEGER, true, 1024},
    {"network", AEGIS_JSON_STRING, true, AEGIS_NETWORK_TEXT - 1},
    {"scheme", AEGIS_JSON_STRING, true, 16},
    {"asset", AEGIS_JSON_STRING, true, 42},
    {"amount", AEGIS_JSON_AMOUNT, true, 0},
    {"pay_to", AEGIS_JSON_STRING, true, 42},
    {"max_timeout_seconds", AEGIS_JSON_INTEGER, true, INT32_MAX},
    {0},
};

/* The address of member `name`, and its text in EIP-55: a text of both cases has passed as that and is taken
 * over. */
static bool read_address(const json_t *from, const char *name, struct aegis_address *out,
                         char text[AEGIS_ADDRESS_TEXT])
{
    const char *given = aegis_json_text(from, name, "");
    if (!aegis_address_parse(given, out))
        return false;
    if (strpbrk(given + 2, "abcdef") != NULL && strpbrk(given + 2, "ABCDEF") != NULL)
        aegis_text_copy(text, AEGIS_ADDRESS_TEXT, given);
    else
        aegis_address_format(out, text);
    return true;
}

static bool read_candidate(const struct aegis_keeper *keeper, const json_t *from, struct aegis_candidate *to,
                           struct aegis_error *error)
{
    if (!aegis_json_check(from, candidate_fields, error))
        return false;
    to->index = aegis_json_integer(from, "index", 0);
    to->max_timeout_seconds = aegis_json_integer(from, "max_timeout_seconds", 0);
    aegis_text_copy(to->network, sizeof to->network, aegis_json_text(from, "network", ""));
    if (strcmp(aegis_json_text(from, "scheme", ""), "exact") != 0)
        return aegis_error_set(error, "scheme: expected exact");
    if (!read_address(from, "asset", &to->asset_address, to->asset_text) ||
        !read_address(from, "pay_to", &to->pay_to, to->pay_to_text))
        return aegis_error_set(error, "asset, pay_to: expected addresses");
    if (to->max_timeout_seconds < 1)
        return aegis_error_set(error, "max_timeout_seconds: expected at least 1");
    aegis_amount_parse(aegis_json_text(from, "amount", ""), &to->amount);
    const struct aegis_asset *known = aegis_assets_find(keeper->assets, to->network, &to->asset_address);
    if (known != NULL) {
        to->known = *known;
        to->asset = &to->known;
    }
    if (to->asset != NULL && !aegis_amount_scale(to->amount, to->asset->decimals, &to->scaled))
        to->scaled = ~(aegis_amount)0;
    return true;
}

static bool read_candidates(struct aegis_ask *ask, struct aegis_error *error)
{
    size_t i;
    json_t *candidate;
    json_array_foreach(json_object_get(ask->message, "candidates"), i, candidate)
    {
        if (!read_candidate(ask->keeper, candidate, &ask->candidates[i], error))
            return aegis_error_prefix(error, "candidates[%zu]", i);
        ask->count = i + 1;
    }
    return true;
}

static struct aegis_ask *ask_new(struct aegis_peer *worker, const json_t *message)
{
    struct aegis_keeper *keeper = worker->keeper;
    struct aegis_ask *ask = aegis_alloc(sizeof *ask);
    ask->keeper = keeper;
    ask->worker = worker->number;
    ask->id = aegis_json_integer(message, "id", 0);
    ask->message = json_incref((json_t *)message);
    ask->method = aegis_json_text(message, "method", "");
    ask->url = aegis_json_text(message, "url", "");
    ask->host = aegis_json_text(message, "host", "");
    ask->request_hash = aegis_json_text(message, "request_hash", "");
    ask->idempotency_key = aegis_json_text(message, "idempotency_key", "");
    ask->x402_version = (int)aegis_json_integer(message, "x402_version", 2);
    ask->now = keeper->clock.now;
    ask->denial_candidate = -1;
    ask->passed_over = json_array();
    LIST_INSERT_HEAD(&keeper->asks, ask, next);
    keeper->asks_count++;
    return ask;
}

static struct aegis_credential credential_of(const json_t *message)
{
    return (struct aegis_credential){
        .listener = aegis_json_text(message, "listener", ""),
        .token = aegis_json_text(message, "token", NULL),
        .uid = aegis_json_integer(message, "uid", -1),
    };
}

/* Whether anything at all may be signed now. */
static bool gate_closed(const struct aegis_keeper *keeper, struct aegis_denial *denial)
{
    if (keeper->stopping) {
        aegis_denial_set(denial, "failed", "shutting_down", "The gate is shutting down.");
        return true;
    }
    if (keeper->clock.state != AEGIS_CLOCK_STEADY) {
        aegis_denial_set(denial, "failed", "clock_jumped",
                         "The gate's clock jumped; nothing is paid until an operator has looked.");
        return true;
    }
    return false;
}

static void begin(struct aegis_ask *ask);

static void begin_after_turn(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct aegis_ask *ask = context;
    if (aegis_commit_open(ask->keeper->commit))
        begin(ask);
    else
        aegis_grant_unrecorded(ask);
}

/* An equal request is in flight. Its outcome may have been told by another worker before this question came,
 * and wait unread in that worker's channel: in the next turn of the loop all of them have been read. False:
 * it has waited. */
static bool wait_a_turn(struct aegis_ask *ask)
{
    static const struct timeval now = {0, 0};
    if (ask->turn != NULL)
        return false;
    /* A timer of its own: event_base_once runs a zero timeout in this very turn, before any channel is read
     * again. */
    ask->turn = evtimer_new(ask->keeper->base, begin_after_turn, ask);
    AEGIS_ASSERT(ask->turn != NULL && evtimer_add(ask->turn, &now) == 0);
    return true;
}

static void begin(struct aegis_ask *ask)
{
    struct aegis_denial denial;
    struct aegis_held *held = NULL;
    int64_t index = 0;
    struct aegis_repeat_request request = {
        .agent = ask->identity->id,
        .idempotency_key = ask->idempotency_key,
        .request_hash = ask->request_hash,
        .payer = &ask->identity->address,
        .candidates = ask->candidates,
        .count = ask->count,
        .now = ask->now,
    };
    if (gate_closed(ask->keeper, &denial)) {
        deny_at_once(ask, &denial);
        return;
    }
    switch (aegis_repeat_look(ask->keeper, &request, &held, &index, &denial)) {
    case AEGIS_REPEAT_DENY:
        deny_at_once(ask, &denial);
        return;
    case AEGIS_REPEAT_AGAIN:
        aegis_grant_again(ask, held, index);
        return;
    case AEGIS_REPEAT_BESIDE:
        if (wait_a_turn(ask))
            return;
        break;
    case AEGIS_REPEAT_NEW:
        break;
    }
    if (*ask->idempotency_key != '\0') {
        ask->key = aegis_payments_key(ask->identity->id, ask->idempotency_key, ask->request_hash);
        aegis_table_put(ask->keeper->asking, ask->key, ask);
    }
    if (ask->count == 0) {
        aegis_denial_set(&denial, "denied", "no_acceptable_requirement",
                         "There is no requirement that could be met.");
        deny_at_once(ask, &denial);
        return;
    }
    if (aegis_denial_unlimited(&denial, ask->keeper, ask->identity)) {
        deny_at_once(ask, &denial);
        return;
    }
    try_next(ask);
}

/* A known agent whose key or wallet is no good: that is recorded. Somebody whom nobody knows is not. */
static void refuse(struct aegis_ask *ask, const struct aegis_refusal *refusal)
{
    struct aegis_denial denial;
    bool failed = strcmp(refusal->code, "wallet_unavailable") == 0;
    aegis_denial_set(&denial, failed ? "failed" : "denied", refusal->code, refusal->detail);
    if (strcmp(refusal->code, "ledger_unavailable") == 0) {
        aegis_grant_unrecorded(ask);
    } else if (*refusal->agent == '\0') {
        aegis_grant_refusal(ask, &denial);
    } else {
        ask->subject = json_pack("{s:s,s:s,s:s,s:s}", "agent", refusal->agent, "method", ask->method, "url",
                                 ask->url, "host", ask->host);
        note_denial(ask, &denial, NULL, NULL);
        aegis_grant_denial(ask);
    }
}

void aegis_authorize(struct aegis_peer *worker, const json_t *message)
{
    struct aegis_keeper *keeper = worker->keeper;
    struct aegis_credential credential = credential_of(message);
    struct aegis_refusal refusal;
    struct aegis_error error;
    struct aegis_ask *ask = ask_new(worker, message);
    if (!read_candidates(ask, &error)) {
        aegis_channel_reject(worker->channel, "%s: authorize: %s", worker->name, error.text);
        aegis_ask_free(ask);
        return;
    }
    if (!aegis_commit_open(keeper->commit)) {
        aegis_grant_unrecorded(ask);
        return;
    }
    struct aegis_identity *identity = aegis_identities_find(
        keeper->identities, aegis_ledger_books(keeper->ledger), &credential, keeper->clock.now, &refusal);
    if (identity == NULL) {
        refuse(ask, &refusal);
        return;
    }
    ask->identity = aegis_identity_use(identity);
    begin(ask);
}

void aegis_authorize_abandon(struct aegis_keeper *keeper, uint64_t worker)
{
    struct aegis_ask *ask;
    LIST_FOREACH(ask, &keeper->asks, next)
    {
        if (ask->worker == worker)
            ask->abandoned = true;
    }
}

/* Identify */

static json_t *identified(struct aegis_keeper *keeper, const struct aegis_identity *identity, int64_t id)
{
    return json_pack("{s:I,s:b,s:s,s:s,s:o,s:I}", "id", (json_int_t)id, "ok", 1, "agent", identity->id,
                     "agent_name", identity->name, "request_policies",
                     aegis_loaded_select(keeper->loaded, identity->policies, "request", true), "cache_ms",
                     (json_int_t)keeper->settings.identity_cache_ms);
}

static json_t *not_identified(int64_t id, const char *code, const char *detail)
{
    return json_pack("{s:I,s:b,s:s,s:s}", "id", (json_int_t)id, "ok", 0, "code", code, "detail", detail);
}

/* Until the judge has said once which policies check requests, nobody can be told that none does. */
void aegis_authorize_identify(struct aegis_peer *worker, const json_t *message)
{
    struct aegis_keeper *keeper = worker->keeper;
    struct aegis_credential credential = credential_of(message);
    struct aegis_refusal refusal;
    int64_t id = aegis_json_integer(message, "id", 0);
    json_t *body = NULL;
    struct aegis_identity *identity = NULL;
    if (!aegis_commit_open(keeper->commit))
        body = not_identified(id, "ledger_unavailable", "The gate cannot record anything.");
    else if (!aegis_loaded_known(keeper->loaded))
        body = not_identified(id, "judge_unavailable", "The policies cannot be asked.");
    else
        identity = aegis_identities_find(keeper->identities, aegis_ledger_books(keeper->ledger), &credential,
                                         keeper->clock.now, &refusal);
    if (body == NULL)
        body = identity != NULL ? identified(keeper, identity, id)
                                : not_identified(id, refusal.code, refusal.detail);
    aegis_channel_send(worker->channel, &aegis_message_identified, body);
}
