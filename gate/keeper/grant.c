/* What an AUTHORIZE ends in. Everything here is written first, and told when it is durable. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/keeper/ask.h"
#include "gate/x402/challenge.h"

/* x402 version 1 asks for a beginning some minutes ago, for clocks that are behind. */
enum { LEEWAY_V1_SECONDS = 600 };

/* Denials */

static void tell_denied(struct aegis_keeper *keeper, uint64_t worker, int64_t id,
                        const struct aegis_denial *denial, const char *decision)
{
    struct aegis_peer *peer = aegis_peer_worker(keeper, worker);
    if (peer != NULL)
        aegis_channel_send(peer->channel, &aegis_message_denied, aegis_denial_message(denial, id, decision));
}

static void set_unrecorded(struct aegis_denial *denial)
{
    aegis_denial_set(denial, "unrecorded", "ledger_unavailable",
                     "The decision could not be recorded; nothing was paid.");
}

static bool write_denial(struct aegis_job *job, struct aegis_ledger *ledger, struct aegis_error *error)
{
    struct aegis_ask *ask = (struct aegis_ask *)job;
    struct aegis_keeper *keeper = ask->keeper;
    struct aegis_decision_record record = {
        .denial = &ask->denial,
        .subject = ask->denial_subject,
        .verdict = ask->denial_verdict,
        .facts = ask->denial_facts,
        .passed_over = ask->passed_over,
        .request_hash = ask->request_hash,
        .idempotency_key = ask->idempotency_key,
        .now = ask->now,
        .candidate = ask->denial_candidate,
    };
    json_t *body = aegis_decision_body(&record);
    bool ok =
        (ask->identity == NULL || aegis_decision_write_agent(keeper, ask->identity, error)) &&
        aegis_decision_write_policies(keeper, ask->denial_verdict, error) &&
        aegis_ledger_append(ledger, AEGIS_ENTRY_DECISION, keeper->clock.now,
                            aegis_json_text(ask->denial_subject, "agent", ""), ask->payment, body, error) &&
        aegis_decision_write_notices(keeper, ask->denial_verdict,
                                     aegis_json_text(ask->denial_subject, "agent", ""), ask->payment, error);
    json_decref(body);
    return ok;
}

static void denial_done(struct aegis_job *job, bool durable)
{
    struct aegis_ask *ask = (struct aegis_ask *)job;
    if (!durable)
        set_unrecorded(&ask->denial);
    tell_denied(ask->keeper, ask->worker, ask->id, &ask->denial, durable ? ask->payment : NULL);
    aegis_ask_free(ask);
}

void aegis_grant_denial(struct aegis_ask *ask)
{
    if (ask->abandoned) {
        aegis_ask_free(ask);
        return;
    }
    if (!aegis_commit_open(ask->keeper->commit)) { /* nobody should wait for a disk */
        aegis_grant_unrecorded(ask);
        return;
    }
    aegis_entry_id("dec_", ask->keeper->clock.now, ask->payment);
    ask->job.write = write_denial;
    ask->job.done = denial_done;
    aegis_commit_add(ask->keeper->commit, &ask->job);
}

void aegis_grant_refusal(struct aegis_ask *ask, const struct aegis_denial *denial)
{
    tell_denied(ask->keeper, ask->worker, ask->id, denial, NULL);
    aegis_ask_free(ask);
}

void aegis_grant_unrecorded(struct aegis_ask *ask)
{
    set_unrecorded(&ask->denial);
    aegis_grant_refusal(ask, &ask->denial);
}

/* An allow: the payment is fixed here, from what was judged, and signed in the same step. */

static struct aegis_held *held_new(const struct aegis_ask *ask)
{
    const struct aegis_candidate *candidate = &ask->candidates[ask->current];
    struct aegis_held *held = aegis_alloc(sizeof *held);
    struct aegis_authorization *authorization = &held->authorization;
    memcpy(held->id, ask->payment, sizeof held->id);
    held->state = AEGIS_PAYMENT_SIGNED;
    held->agent = aegis_strdup(ask->identity->id);
    held->method = aegis_strdup(ask->method);
    held->url = aegis_strdup(ask->url);
    held->request_hash = aegis_strdup(ask->request_hash);
    held->idempotency_key = aegis_strdup(ask->idempotency_key);
    held->share = (struct aegis_share){held->agent,
                                       aegis_strdup(ask->host),
                                       aegis_strdup(candidate->pay_to_text),
                                       aegis_strdup(candidate->network),
                                       aegis_strdup(candidate->asset->symbol),
                                       ask->now,
                                       candidate->scaled};
    held->asset = *candidate->asset;
    held->amount = candidate->amount;
    held->x402_version = ask->x402_version;
    held->subject = json_incref(ask->subject);
    held->policies = json_incref(ask->identity->policies);
    authorization->from = ask->identity->address;
    authorization->to = candidate->pay_to;
    authorization->value = candidate->amount;
    authorization->valid_after = ask->x402_version == 1 ? ask->now / 1000 - LEEWAY_V1_SECONDS : 0;
    authorization->valid_before = ask->valid_before;
    randombytes_buf(authorization->nonce, sizeof authorization->nonce);
    return held;
}

static json_t *reserved_body(const struct aegis_ask *ask)
{
    const struct aegis_held *held = ask->held;
    char amount[AEGIS_AMOUNT_TEXT], scaled[AEGIS_AMOUNT_TEXT];
    json_t *body = json_pack("{s:I,s:O,s:s,s:s,s:s,s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i}", "at",
                             (json_int_t)held->share.at, "authorization", ask->authorization, "network",
                             held->share.network, "asset", ask->candidates[ask->current].asset_text, "token",
                             held->share.token, "decimals", (json_int_t)held->asset.decimals, "amount",
                             aegis_amount_format(held->amount, amount), "scaled",
                             aegis_amount_format(held->share.scaled, scaled), "pay_to", held->share.payee,
                             "host", held->share.host, "method", held->method, "url", held->url,
                             "request_hash", held->request_hash, "x402_version", held->x402_version);
    AEGIS_ASSERT(body != NULL);
    if (*held->idempotency_key != '\0')
        json_object_set_new(body, "idempotency_key", json_string(held->idempotency_key));
    return body;
}

static bool sign_held(struct aegis_ask *ask, uint8_t digest[32])
{
    uint8_t signature[AEGIS_SIGNATURE_SIZE];
    aegis_authorization_digest(&ask->held->authorization, &ask->held->asset, digest);
    if (!aegis_identity_sign(ask->keeper->identities, ask->identity, digest, signature))
        return false;
    aegis_signature_format(signature, ask->signature);
    json_decref(ask->authorization);
    ask->authorization = aegis_authorization_json(&ask->held->authorization);
    return true;
}

static bool append_body(struct aegis_ask *ask, enum aegis_entry_kind kind, json_t *body,
                        struct aegis_error *error)
{
    AEGIS_ASSERT(body != NULL);
    bool ok = aegis_ledger_append(ask->keeper->ledger, kind, ask->keeper->clock.now, ask->identity->id,
                                  ask->payment, body, error);
    json_decref(body);
    return ok;
}

static json_t *allowed_body(const struct aegis_ask *ask)
{
    struct aegis_decision_record record = {
        .subject = ask->subject,
        .verdict = ask->question.verdict,
        .facts = aegis_verdict_facts(&ask->question),
        .passed_over = ask->passed_over,
        .request_hash = ask->request_hash,
        .idempotency_key = ask->idempotency_key,
        .now = ask->now,
        .candidate = ask->candidates[ask->current].index,
    };
    if (ask->denied)
        json_array_insert_new(ask->passed_over, 0,
                              json_pack("{s:I,s:s,s:s}", "candidate", (json_int_t)ask->denial_candidate,
                                        "code", ask->denial.code, "policy", ask->denial.policy));
    json_t *body = aegis_decision_body(&record);
    json_decref(record.facts);
    return body;
}

static bool append_payment(struct aegis_ask *ask, const uint8_t digest[32], struct aegis_error *error)
{
    struct aegis_keeper *keeper = ask->keeper;
    char text[65];
    return aegis_decision_write_agent(keeper, ask->identity, error) &&
           aegis_decision_write_policies(keeper, ask->question.verdict, error) &&
           append_body(ask, AEGIS_ENTRY_DECISION, allowed_body(ask), error) &&
           append_body(ask, AEGIS_ENTRY_RESERVED, reserved_body(ask), error) &&
           append_body(ask, AEGIS_ENTRY_SIGNED,
                       json_pack("{s:s,s:s}", "digest", aegis_hex_encode(digest, 32, text), "signature",
                                 ask->signature),
                       error) &&
           aegis_decision_write_notices(keeper, ask->question.verdict, ask->identity->id, ask->payment,
                                        error);
}

/* The key was revoked while the policies were asked. */
static void turn_into_denial(struct aegis_ask *ask)
{
    aegis_held_free(ask->held);
    ask->held = NULL;
    json_decref(ask->denial_subject);
    json_decref(ask->denial_verdict);
    json_decref(ask->denial_facts);
    ask->denial_subject = json_incref(ask->subject);
    ask->denial_verdict = NULL;
    ask->denial_facts = NULL;
    aegis_denial_set(&ask->denial, "denied", "key_revoked", "The agent's key was revoked.");
    aegis_entry_id("dec_", ask->keeper->clock.now, ask->payment);
}

static bool write_allow(struct aegis_job *job, struct aegis_ledger *ledger, struct aegis_error *error)
{
    struct aegis_ask *ask = (struct aegis_ask *)job;
    uint8_t digest[32];
    if (ask->abandoned) /* nobody is there to get it: better not sign at all */
        return true;
    ask->held = held_new(ask);
    if (sign_held(ask, digest))
        return append_payment(ask, digest, error);
    turn_into_denial(ask);
    return write_denial(job, ledger, error);
}

/* Hands the authorization to the worker. When it is not there any more, nobody has it, and nobody knows. */
static void hand_out(struct aegis_ask *ask, bool repeated)
{
    struct aegis_keeper *keeper = ask->keeper;
    struct aegis_peer *peer = aegis_peer_worker(keeper, ask->worker);
    bool sent = false;
    if (peer != NULL && !ask->abandoned)
        sent = aegis_channel_send(peer->channel, &aegis_message_authorized,
                                  json_pack("{s:I,s:s,s:I,s:b,s:O,s:s,s:s}", "id", (json_int_t)ask->id,
                                            "payment", ask->held->id, "index", (json_int_t)ask->index,
                                            "repeated", repeated, "authorization", ask->authorization,
                                            "signature", ask->signature, "state",
                                            aegis_payment_state_name(ask->held->state)));
    if (sent)
        return;
    ask->held->owner = 0;
    aegis_payments_change(keeper, ask->held, AEGIS_ENTRY_UNKNOWN,
                          json_pack("{s:i,s:s}", "status", 0, "reason", "the worker that asked was gone"));
}

static void allow_done(struct aegis_job *job, bool durable)
{
    struct aegis_ask *ask = (struct aegis_ask *)job;
    struct aegis_keeper *keeper = ask->keeper;
    if (!durable) {
        aegis_held_free(ask->held);
        aegis_grant_unrecorded(ask);
        return;
    }
    if (ask->held == NULL) {
        denial_done(job, durable);
        return;
    }
    aegis_counters_keep(keeper->counters, ask->number);
    ask->number = 0;
    ask->held->owner = ask->worker;
    aegis_payments_add(keeper->payments, ask->held);
    hand_out(ask, false);
    aegis_ask_free(ask);
}

void aegis_grant_payment(struct aegis_ask *ask)
{
    if (ask->abandoned) {
        aegis_ask_free(ask);
        return;
    }
    if (!aegis_commit_open(ask->keeper->commit)) { /* nobody should wait for a disk */
        aegis_grant_unrecorded(ask);
        return;
    }
    aegis_entry_id("pay_", ask->keeper->clock.now, ask->payment);
    ask->index = ask->candidates[ask->current].index;
    ask->job.write = write_allow;
    ask->job.done = allow_done;
    aegis_commit_add(ask->keeper->commit, &ask->job);
}

/* The same authorization again */

static bool write_repeat(struct aegis_job *job, struct aegis_ledger *ledger, struct aegis_error *error)
{
    struct aegis_ask *ask = (struct aegis_ask *)job;
    uint8_t digest[32];
    enum aegis_payment_state to;
    (void)ledger;
    if (!aegis_payment_state_next(ask->held->state, AEGIS_ENTRY_REPEATED, &to) || !sign_held(ask, digest)) {
        aegis_denial_set(&ask->denial, "denied", "previous_payment_unresolved",
                         "The earlier payment for this request has just been resolved; ask again.");
        *ask->signature = '\0';
        return true;
    }
    return append_body(ask, AEGIS_ENTRY_REPEATED, json_object(), error);
}

static void repeat_done(struct aegis_job *job, bool durable)
{
    struct aegis_ask *ask = (struct aegis_ask *)job;
    struct aegis_keeper *keeper = ask->keeper;
    struct aegis_held *held = ask->held;
    held->changes--;
    if (durable && *ask->signature != '\0') {
        hand_out(ask, true);
    } else {
        held->owner = 0;
        if (!durable)
            set_unrecorded(&ask->denial);
        tell_denied(keeper, ask->worker, ask->id, &ask->denial, NULL);
        aegis_payments_release(keeper->payments, held, keeper->clock.now);
    }
    aegis_ask_free(ask);
}

void aegis_grant_again(struct aegis_ask *ask, struct aegis_held *held, int64_t index)
{
    ask->held = held;
    ask->index = index;
    memcpy(ask->payment, held->id, sizeof ask->payment);
    held->owner = ask->worker;
    aegis_held_queue(held, AEGIS_ENTRY_REPEATED);
    ask->job.write = write_repeat;
    ask->job.done = repeat_done;
    aegis_commit_add(ask->keeper->commit, &ask->job);
}
