/* Payments change: what the worker saw, what the chain proves, what a crash leaves open. */
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/keeper/room.h"

struct change {
    struct aegis_job job;
    struct aegis_keeper *keeper;
    struct aegis_held *held;
    enum aegis_entry_kind kind;
    json_t *body;
    enum aegis_payment_state from;
    bool written;
};

static enum aegis_counted counted(enum aegis_payment_state state)
{
    if (state == AEGIS_PAYMENT_SETTLED)
        return AEGIS_COUNTED_SETTLED;
    return aegis_payment_state_exposed(state) ? AEGIS_COUNTED_EXPOSED : AEGIS_COUNTED_NOT;
}

/* A payment that was read back has no subject: the same members from what the books have. */
static json_t *subject_of(const struct aegis_held *held)
{
    char amount[AEGIS_AMOUNT_TEXT], scaled[AEGIS_AMOUNT_TEXT], asset[AEGIS_ADDRESS_TEXT],
        payer[AEGIS_ADDRESS_TEXT];
    if (held->subject != NULL)
        return json_incref(held->subject);
    return json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I}", "agent", held->agent, "agent_name",
        "", "network", held->share.network, "scheme", "exact", "asset",
        aegis_address_format(&held->asset.address, asset), "token", held->share.token, "decimals",
        (json_int_t)held->asset.decimals, "amount", aegis_amount_format(held->amount, amount), "scaled",
        aegis_amount_format(held->share.scaled, scaled), "pay_to", held->share.payee, "payer",
        aegis_address_format(&held->authorization.from, payer), "method", held->method, "url", held->url,
        "host", held->share.host, "valid_before", (json_int_t)held->authorization.valid_before * 1000);
}

static json_t *policies_of(struct aegis_keeper *keeper, const struct aegis_held *held)
{
    struct aegis_refusal refusal;
    if (held->policies != NULL)
        return aegis_loaded_select(keeper->loaded, held->policies, "observe", false);
    const struct aegis_identity *identity = aegis_identities_peek(keeper->identities, held->agent, &refusal);
    return identity == NULL ? json_array()
                            : aegis_loaded_select(keeper->loaded, identity->policies, "observe", false);
}

static void observe(struct aegis_keeper *keeper, const struct aegis_held *held, const json_t *body)
{
    if (!aegis_peer_judge_ready(keeper))
        return;
    json_t *policies = policies_of(keeper, held);
    if (json_array_size(policies) > 0 && json_array_size(policies) <= AEGIS_POLICIES_MAX) {
        json_t *message = json_pack(
            "{s:O,s:o,s:s,s:s,s:I}", "policies", policies, "subject", subject_of(held), "payment", held->id,
            "state", aegis_payment_state_name(held->state), "now", (json_int_t)keeper->clock.now);
        const char *transaction = aegis_json_text(body, "transaction", "");
        if (*transaction != '\0')
            json_object_set_new(message, "transaction", json_string(transaction));
        aegis_channel_send(keeper->judge->channel, &aegis_message_observe, message);
    }
    json_decref(policies);
}

static void change_free(struct change *change)
{
    json_decref(change->body);
    free(change);
}

static bool write_change(struct aegis_job *job, struct aegis_ledger *ledger, struct aegis_error *error)
{
    struct change *change = (struct change *)job;
    struct aegis_held *held = change->held;
    enum aegis_payment_state to;
    change->written = aegis_payment_state_next(held->state, change->kind, &to);
    if (!change->written)
        return true;
    if (!aegis_ledger_append(ledger, change->kind, change->keeper->clock.now, held->agent, held->id,
                             change->body, error))
        return false;
    change->from = held->state;
    held->state = to;
    return true;
}

static void change_done(struct aegis_job *job, bool durable)
{
    struct change *change = (struct change *)job;
    struct aegis_keeper *keeper = change->keeper;
    struct aegis_held *held = change->held;
    if (!durable && !keeper->closing) {
        /* Once the ledger is open again the states are read from it, and this is tried against them. */
        aegis_commit_add(keeper->commit, &change->job);
        return;
    }
    held->changes--;
    if (durable && change->written) {
        aegis_counters_move(keeper->counters, &held->share, counted(change->from), counted(held->state));
        observe(keeper, held, change->body);
        aegis_chain_changed(keeper, held);
    }
    change_free(change);
    aegis_payments_release(keeper->payments, held, keeper->clock.now);
    aegis_keeper_rest(keeper);
}

bool aegis_payments_change(struct aegis_keeper *keeper, struct aegis_held *held, enum aegis_entry_kind kind,
                           json_t *body)
{
    enum aegis_payment_state to;
    AEGIS_ASSERT(body != NULL);
    if (!aegis_payment_state_next(held->state, kind, &to)) {
        json_decref(body);
        return false;
    }
    struct change *change = aegis_alloc(sizeof *change);
    change->job.write = write_change;
    change->job.done = change_done;
    change->keeper = keeper;
    change->held = held;
    change->kind = kind;
    change->body = body;
    aegis_held_queue(held, kind);
    aegis_commit_add(keeper->commit, &change->job);
    return true;
}

/* What workers say */

static void set_text(json_t *body, const char *name, const char *text)
{
    if (*text != '\0')
        json_object_set_new(body, name, json_string(text));
}

/* A settlement header that speaks of another payment is no word about this one. NULL: it fits. */
static const char *contradiction(const struct aegis_held *held, const json_t *message)
{
    struct aegis_address payer;
    aegis_amount amount;
    const char *text = aegis_json_text(message, "network", "");
    if (*text != '\0' && strcmp(text, held->share.network) != 0)
        return "the seller reports a settlement on another network";
    text = aegis_json_text(message, "payer", "");
    if (*text != '\0' &&
        (!aegis_address_parse(text, &payer) || !aegis_address_equal(&payer, &held->authorization.from)))
        return "the seller reports a settlement by another payer";
    text = aegis_json_text(message, "amount", "");
    if (*text != '\0' && (!aegis_amount_parse(text, &amount) || amount != held->amount))
        return "the seller reports a settlement of another amount";
    return NULL;
}

static json_t *outcome_body(enum aegis_entry_kind kind, const json_t *message, const char *reason)
{
    json_t *body = json_pack("{s:I}", "status", (json_int_t)aegis_json_integer(message, "status", 0));
    if (kind == AEGIS_ENTRY_SETTLED)
        json_object_set_new(body, "by", json_string("seller"));
    if (kind == AEGIS_ENTRY_SETTLED || kind == AEGIS_ENTRY_REFUSED)
        set_text(body, "transaction", aegis_json_text(message, "transaction", ""));
    if (kind == AEGIS_ENTRY_REFUSED || kind == AEGIS_ENTRY_UNKNOWN)
        set_text(body, "reason", reason);
    return body;
}

static bool outcome_kind(const char *state, enum aegis_entry_kind *out)
{
    static const enum aegis_entry_kind kinds[] = {AEGIS_ENTRY_SETTLED, AEGIS_ENTRY_DELIVERED,
                                                  AEGIS_ENTRY_REFUSED, AEGIS_ENTRY_UNKNOWN};
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(aegis_entry_rows[kinds[i]].name, state) == 0) {
            *out = kinds[i];
            return true;
        }
    }
    return false;
}

void aegis_outcome(struct aegis_peer *worker, const json_t *message)
{
    struct aegis_keeper *keeper = worker->keeper;
    struct aegis_held *held = aegis_payments_find(keeper->payments, aegis_json_text(message, "payment", ""));
    enum aegis_entry_kind kind;
    if (held == NULL || held->owner != worker->number) {
        aegis_channel_reject(worker->channel, "%s: reported on a payment that it was not given",
                             worker->name);
        return;
    }
    if (!outcome_kind(aegis_json_text(message, "state", ""), &kind)) {
        aegis_channel_reject(worker->channel, "%s: outcome: there is no such state", worker->name);
        return;
    }
    const char *reason = aegis_json_text(message, "reason", "");
    if (kind == AEGIS_ENTRY_SETTLED && contradiction(held, message) != NULL) {
        kind = AEGIS_ENTRY_UNKNOWN;
        reason = contradiction(held, message);
    }
    held->owner = 0;
    if (!aegis_payments_change(keeper, held, kind, outcome_body(kind, message, reason))) {
        aegis_log(AEGIS_LOG_DEBUG, "payment %s: is %s, the seller's word changes nothing", held->id,
                  aegis_payment_state_name(held->state));
        aegis_payments_release(keeper->payments, held, keeper->clock.now);
    }
}

/* What nobody will report on any more */

struct abandon {
    struct aegis_keeper *keeper;
    uint64_t worker;
    const char *reason;
};

static void abandon_one(struct aegis_held *held, void *context)
{
    struct abandon *abandon = context;
    if (held->owner != abandon->worker)
        return;
    held->owner = 0;
    aegis_payments_change(abandon->keeper, held, AEGIS_ENTRY_UNKNOWN,
                          json_pack("{s:i,s:s}", "status", 0, "reason", abandon->reason));
}

void aegis_outcome_abandon(struct aegis_keeper *keeper, uint64_t worker, const char *reason)
{
    struct abandon abandon = {keeper, worker, reason};
    aegis_payments_each(keeper->payments, abandon_one, &abandon);
}

/* After a start, or after the ledger was reopened */

static bool recover_row(const struct aegis_payment_row *row, void *context)
{
    struct abandon *recovery = context;
    struct aegis_keeper *keeper = recovery->keeper;
    if (aegis_payments_find(keeper->payments, row->id) != NULL)
        return true;
    struct aegis_held *held = aegis_held_from_row(row, keeper->assets);
    if (held == NULL)
        return true;
    aegis_payments_add(keeper->payments, held);
    if (held->state == AEGIS_PAYMENT_SIGNED || held->state == AEGIS_PAYMENT_RESERVED)
        aegis_payments_change(keeper, held, AEGIS_ENTRY_UNKNOWN,
                              json_pack("{s:i,s:s}", "status", 0, "reason", recovery->reason));
    return true;
}

/* Signed and without a holder; and those of unknown outcome that still stand for their request. */
bool aegis_outcome_recover(struct aegis_keeper *keeper, const char *reason, struct aegis_error *error)
{
    struct abandon recovery = {keeper, 0, reason};
    struct aegis_books *books = aegis_ledger_books(keeper->ledger);
    struct aegis_payment_filter open = {.states = 1u << AEGIS_PAYMENT_SIGNED | 1u << AEGIS_PAYMENT_RESERVED};
    struct aegis_payment_filter unresolved = {
        .states = 1u << AEGIS_PAYMENT_REFUSED | 1u << AEGIS_PAYMENT_UNKNOWN,
        .valid_before = (keeper->clock.now - AEGIS_PAYMENT_GRACE_MS) / 1000,
    };
    return aegis_books_payments(books, &open, recover_row, &recovery, error) &&
           aegis_books_payments(books, &unresolved, recover_row, &recovery, error);
}

static void reread_one(struct aegis_held *held, void *context)
{
    struct aegis_keeper *keeper = context;
    struct aegis_payment_row row;
    struct aegis_error error = {0};
    enum aegis_books_result result =
        aegis_books_payment(aegis_ledger_books(keeper->ledger), held->id, &row, &error);
    if (result != AEGIS_BOOKS_FOUND)
        aegis_panic("payment %s was durable and is not in the ledger: %s", held->id, error.text);
    held->state = row.state;
    aegis_payment_row_clear(&row);
}

void aegis_outcome_reread(struct aegis_keeper *keeper)
{
    aegis_payments_each(keeper->payments, reread_one, keeper);
}
