/* Authorizations that stock OWS is about to sign: aegis-policy, its policy executable, asks here. The
 * policies judge it like a payment of ours and the money counts as exposed; only the signature is made
 * elsewhere. */
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/keeper/decision.h"
#include "gate/keeper/question.h"
#include "gate/keeper/room.h"
#include "gate/x402/challenge.h"

/* Stock clients take the lifetime from the seller. More than this nobody needs. */
enum { LIFETIME_MAX_SECONDS = 86400 };

struct external {
    struct aegis_job job;
    struct aegis_keeper *keeper;
    uint64_t peer;
    int64_t id;
    json_t *arguments;
    json_t *subject;
    struct aegis_identity *identity;
    struct aegis_asset asset; /* a copy: the table may change while the policies are asked */
    struct aegis_authorization authorization;
    aegis_amount scaled;
    char payee[AEGIS_ADDRESS_TEXT];
    char payment[AEGIS_ENTRY_ID_TEXT];
    uint64_t number;
    struct aegis_question question;
    struct aegis_denial denial;
    bool denied;
    int64_t now;
};

static const struct aegis_json_field fields[] = {
    {"agent", AEGIS_JSON_STRING, true, 128},  {"network", AEGIS_JSON_STRING, true, AEGIS_NETWORK_TEXT - 1},
    {"asset", AEGIS_JSON_STRING, true, 42},   {"authorization", AEGIS_JSON_OBJECT, true, 0},
    {"method", AEGIS_JSON_STRING, false, 32}, {"url", AEGIS_JSON_STRING, false, 8192},
    {"host", AEGIS_JSON_STRING, false, 512},  {0},
};

static void external_free(struct external *external)
{
    struct aegis_keeper *keeper = external->keeper;
    if (external->number != 0)
        aegis_counters_drop(keeper->counters, external->number);
    aegis_question_clear(&external->question);
    aegis_identity_done(keeper->identities, &external->identity);
    json_decref(external->arguments);
    json_decref(external->subject);
    free(external);
}

static void tell(struct external *external)
{
    const struct aegis_denial *denial = &external->denial;
    json_t *body = json_pack("{s:b,s:s}", "allow", !external->denied, "decision", external->payment);
    if (external->denied) {
        json_object_set_new(body, "code", json_string(denial->code));
        json_object_set_new(body, "reason", json_string(denial->detail));
    }
    if (*denial->policy != '\0')
        json_object_set_new(body, "policy", json_string(denial->policy));
    aegis_commands_answer(external->keeper, external->peer, external->id, body, NULL);
}

static bool append_body(struct external *external, enum aegis_entry_kind kind, json_t *body,
                        struct aegis_error *error)
{
    AEGIS_ASSERT(body != NULL);
    bool ok = aegis_ledger_append(external->keeper->ledger, kind, external->keeper->clock.now,
                                  external->identity->id, external->payment, body, error);
    json_decref(body);
    return ok;
}

static json_t *external_body(const struct external *external)
{
    char amount[AEGIS_AMOUNT_TEXT], scaled[AEGIS_AMOUNT_TEXT], asset[AEGIS_ADDRESS_TEXT];
    return json_pack("{s:I,s:o,s:s,s:s,s:s,s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:s}", "at",
                     (json_int_t)external->now, "authorization",
                     aegis_authorization_json(&external->authorization), "network", external->asset.network,
                     "asset", aegis_address_format(&external->asset.address, asset), "token",
                     external->asset.symbol, "decimals", (json_int_t)external->asset.decimals, "amount",
                     aegis_amount_format(external->authorization.value, amount), "scaled",
                     aegis_amount_format(external->scaled, scaled), "pay_to", external->payee, "host",
                     aegis_json_text(external->arguments, "host", ""), "method",
                     aegis_json_text(external->arguments, "method", ""), "url",
                     aegis_json_text(external->arguments, "url", ""), "request_hash", "", "x402_version", 0,
                     "wallet", external->identity->wallet);
}

static json_t *decision_body(struct external *external)
{
    struct aegis_decision_record record = {
        .denial = external->denied ? &external->denial : NULL,
        .subject = external->subject,
        .verdict = external->question.verdict,
        .facts = aegis_verdict_facts(&external->question),
        .request_hash = "",
        .idempotency_key = "",
        .now = external->now,
        .candidate = -1,
    };
    json_t *body = aegis_decision_body(&record);
    json_decref(record.facts);
    return body;
}

static bool write_external(struct aegis_job *job, struct aegis_ledger *ledger, struct aegis_error *error)
{
    struct external *external = (struct external *)job;
    const json_t *verdict = external->question.verdict;
    (void)ledger;
    return aegis_decision_write_agent(external->keeper, external->identity, error) &&
           aegis_decision_write_policies(external->keeper, verdict, error) &&
           append_body(external, AEGIS_ENTRY_DECISION, decision_body(external), error) &&
           (external->denied ||
            append_body(external, AEGIS_ENTRY_EXTERNAL, external_body(external), error)) &&
           aegis_decision_write_notices(external->keeper, verdict, external->identity->id, external->payment,
                                        error);
}

/* From here on it counts; whether it is cashed only the chain can say. */
static void begin_watching(struct aegis_keeper *keeper, const char *payment)
{
    struct aegis_payment_row row;
    struct aegis_error error;
    if (aegis_books_payment(aegis_ledger_books(keeper->ledger), payment, &row, &error) != AEGIS_BOOKS_FOUND)
        return;
    struct aegis_held *held = aegis_held_from_row(&row, keeper->assets);
    if (held != NULL)
        aegis_chain_changed(keeper, held);
    aegis_held_free(held);
    aegis_payment_row_clear(&row);
}

static void external_done(struct aegis_job *job, bool durable)
{
    struct external *external = (struct external *)job;
    if (!durable) {
        external->denied = true;
        aegis_denial_set(&external->denial, "unrecorded", "ledger_unavailable",
                         "The decision could not be recorded.");
    } else if (!external->denied) {
        aegis_counters_keep(external->keeper->counters, external->number);
        external->number = 0;
        begin_watching(external->keeper, external->payment);
    }
    tell(external);
    external_free(external);
}

static void finish(struct external *external)
{
    aegis_entry_id(external->denied ? "dec_" : "pay_", external->keeper->clock.now, external->payment);
    external->job.write = write_external;
    external->job.done = external_done;
    aegis_commit_add(external->keeper->commit, &external->job);
}

static void answered(struct aegis_question *question, enum aegis_answer answer)
{
    struct external *external = (struct external *)((char *)question - offsetof(struct external, question));
    external->denied = answer != AEGIS_ANSWER_VERDICT ||
                       strcmp(aegis_json_text(question->verdict, "verdict", ""), "allow") != 0;
    if (external->denied)
        aegis_denial_from(&external->denial, question, answer);
    finish(external);
}

static json_t *subject_of(const struct external *external)
{
    char amount[AEGIS_AMOUNT_TEXT], scaled[AEGIS_AMOUNT_TEXT], asset[AEGIS_ADDRESS_TEXT];
    const json_t *arguments = external->arguments;
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:s,s:I,s:s,s:s}", "agent",
                     external->identity->id, "agent_name", external->identity->name, "wallet",
                     external->identity->wallet, "payer", external->identity->address_text, "method",
                     aegis_json_text(arguments, "method", ""), "url", aegis_json_text(arguments, "url", ""),
                     "host", aegis_json_text(arguments, "host", ""), "network", external->asset.network,
                     "scheme", "exact", "asset", aegis_address_format(&external->asset.address, asset),
                     "token", external->asset.symbol, "decimals", (json_int_t)external->asset.decimals,
                     "amount", aegis_amount_format(external->authorization.value, amount), "scaled",
                     aegis_amount_format(external->scaled, scaled), "valid_before",
                     (json_int_t)external->authorization.valid_before * 1000, "pay_to",
                     aegis_address_format(&external->authorization.to, (char[AEGIS_ADDRESS_TEXT]){0}),
                     "domain_name", external->asset.domain_name);
}

/* What is wrong with it before a policy is asked; NULL: nothing. */
static const char *objection(struct external *external, struct aegis_error *error)
{
    struct aegis_address address;
    const char *network = aegis_json_text(external->arguments, "network", "");
    if (!aegis_json_check(external->arguments, fields, error) ||
        !aegis_authorization_parse(json_object_get(external->arguments, "authorization"),
                                   &external->authorization, error))
        return error->text;
    if (!aegis_address_parse(aegis_json_text(external->arguments, "asset", ""), &address))
        return "asset: expected an address";
    const struct aegis_asset *known = aegis_assets_find(external->keeper->assets, network, &address);
    if (known == NULL)
        return "The gate does not know this asset.";
    external->asset = *known;
    if (!aegis_address_equal(&external->authorization.from, &external->identity->address))
        return "The authorization is not from the agent's wallet.";
    if (!aegis_amount_scale(external->authorization.value, external->asset.decimals, &external->scaled) ||
        external->scaled > AEGIS_SHARE_MAX)
        return "The amount is absurd.";
    if (external->authorization.valid_before > external->now / 1000 + LIFETIME_MAX_SECONDS)
        return "The authorization would be valid for more than a day.";
    if (external->keeper->stopping || external->keeper->clock.state != AEGIS_CLOCK_STEADY ||
        !aegis_commit_open(external->keeper->commit))
        return "The gate cannot decide now.";
    return NULL;
}

static void ask(struct external *external)
{
    struct aegis_question *question = &external->question;
    external->subject = subject_of(external);
    aegis_address_format(&external->authorization.to, external->payee);
    question->keeper = external->keeper;
    question->operation = "payment";
    question->policies = json_incref(external->identity->policies);
    question->subject = json_incref(external->subject);
    question->method = aegis_json_text(external->arguments, "method", "");
    question->url = aegis_json_text(external->arguments, "url", "");
    question->share = (struct aegis_share){
        .agent = external->identity->id,
        .host = aegis_json_text(external->arguments, "host", ""),
        .payee = external->payee,
        .network = external->asset.network,
        .token = external->asset.symbol,
        .at = external->now,
        .scaled = external->scaled,
    };
    external->number = question->number = aegis_counters_try(external->keeper->counters, &question->share);
    question->now = external->now;
    question->answered = answered;
    aegis_question_ask(question);
}

static void begin(struct external *external)
{
    external->denied = aegis_denial_unlimited(&external->denial, external->keeper, external->identity);
    if (!external->denied) {
        ask(external);
        return;
    }
    external->subject = subject_of(external);
    finish(external);
}

/* The payment in the books that is this very authorization. */
struct search {
    const struct external *external;
    char nonce[67];
    char found[AEGIS_ENTRY_ID_TEXT];
};

static bool look(const struct aegis_payment_row *row, void *context)
{
    struct search *search = context;
    const struct external *external = search->external;
    char asset[AEGIS_ADDRESS_TEXT], payee[AEGIS_ADDRESS_TEXT];
    if (strcmp(row->nonce, search->nonce) != 0 || strcmp(row->network, external->asset.network) != 0 ||
        strcmp(row->asset, aegis_address_format(&external->asset.address, asset)) != 0 ||
        strcmp(row->pay_to, aegis_address_format(&external->authorization.to, payee)) != 0 ||
        row->amount != external->authorization.value ||
        row->valid_before != external->authorization.valid_before)
        return true;
    aegis_text_copy(search->found, sizeof search->found, row->id);
    return false;
}

/* OWS asks once for each document that names aegis-policy. What was allowed and booked a moment ago is the
 * same authorization still: it can move money once, so it counts once. */
static bool booked_already(struct external *external)
{
    struct aegis_error error;
    struct search search = {.external = external, .nonce = "0x"};
    struct aegis_payment_filter filter = {
        .agent = external->identity->id,
        .network = external->asset.network,
        .states = 1u << AEGIS_PAYMENT_EXTERNAL,
        .valid_before = external->now / 1000,
        .newest_first = true,
        .limit = 64,
    };
    aegis_hex_encode(external->authorization.nonce, sizeof external->authorization.nonce, search.nonce + 2);
    if (!aegis_books_payments(aegis_ledger_books(external->keeper->ledger), &filter, look, &search, &error))
        return false;
    aegis_text_copy(external->payment, sizeof external->payment, search.found);
    return *search.found != '\0';
}

void aegis_external(struct aegis_peer *peer, int64_t id, const json_t *arguments)
{
    struct aegis_keeper *keeper = peer->keeper;
    struct aegis_refusal refusal;
    struct aegis_error error = {0};
    struct aegis_identity *identity = NULL;
    if (aegis_commit_open(keeper->commit))
        identity = aegis_identities_peek_living(keeper->identities, aegis_ledger_books(keeper->ledger),
                                                aegis_json_text(arguments, "agent", ""), &refusal);
    else
        aegis_text_copy(refusal.detail, sizeof refusal.detail, "The gate cannot decide now.");
    if (identity == NULL) {
        aegis_commands_answer(keeper, peer->number, id, NULL, refusal.detail);
        return;
    }
    struct external *external = aegis_alloc(sizeof *external);
    external->keeper = keeper;
    external->peer = peer->number;
    external->id = id;
    external->arguments = json_incref((json_t *)arguments);
    external->identity = aegis_identity_use(identity);
    external->now = keeper->clock.now;
    const char *why = objection(external, &error);
    if (why == NULL && !booked_already(external)) {
        begin(external);
        return;
    }
    if (why == NULL)
        tell(external);
    else
        aegis_commands_answer(keeper, peer->number, id, NULL, why);
    external_free(external);
}
