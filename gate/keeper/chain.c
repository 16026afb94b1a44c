/* The chain: payments whose fate is open are given to the witness, and what it proves moves them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/keeper/room.h"

/* States in which only the chain can still say what became of a payment. One in flight is left to its worker
 * first. */
#define OPEN_STATES                                                                                          \
    (1u << AEGIS_PAYMENT_EXTERNAL | 1u << AEGIS_PAYMENT_DELIVERED | 1u << AEGIS_PAYMENT_REFUSED |            \
     1u << AEGIS_PAYMENT_UNKNOWN)

bool aegis_chain_watched(const struct aegis_keeper *keeper, const char *network)
{
    size_t i;
    json_t *one;
    json_array_foreach(keeper->settings.watched, i, one)
    {
        if (strcmp(json_string_value(one), network) == 0)
            return true;
    }
    return false;
}

static void watch(struct aegis_keeper *keeper, const struct aegis_held *held)
{
    char asset[AEGIS_ADDRESS_TEXT], from[AEGIS_ADDRESS_TEXT], to[AEGIS_ADDRESS_TEXT],
        value[AEGIS_AMOUNT_TEXT];
    char nonce[67] = "0x";
    if (keeper->witness == NULL || !aegis_chain_watched(keeper, held->share.network) ||
        aegis_table_get(keeper->watching, held->id) != NULL)
        return;
    aegis_hex_encode(held->authorization.nonce, 32, nonce + 2);
    json_t *body =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I}", "payment", held->id, "network",
                  held->share.network, "asset", aegis_address_format(&held->asset.address, asset), "from",
                  aegis_address_format(&held->authorization.from, from), "to",
                  aegis_address_format(&held->authorization.to, to), "value",
                  aegis_amount_format(held->amount, value), "nonce", nonce, "valid_before",
                  (json_int_t)held->authorization.valid_before, "reserved_at", (json_int_t)held->share.at);
    if (aegis_channel_send(keeper->witness->channel, &aegis_message_watch, body))
        aegis_table_put(keeper->watching, held->id, keeper);
}

static void unwatch(struct aegis_keeper *keeper, const char *payment)
{
    if (aegis_table_remove(keeper->watching, payment) != NULL && keeper->witness != NULL)
        aegis_channel_send(keeper->witness->channel, &aegis_message_unwatch,
                           json_pack("{s:s}", "payment", payment));
}

void aegis_chain_changed(struct aegis_keeper *keeper, const struct aegis_held *held)
{
    if ((OPEN_STATES & (1u << held->state)) != 0)
        watch(keeper, held);
    else
        unwatch(keeper, held->id);
}

static bool watch_row(const struct aegis_payment_row *row, void *context)
{
    struct aegis_keeper *keeper = context;
    struct aegis_held *held = aegis_held_from_row(row, keeper->assets);
    if (held != NULL)
        watch(keeper, held);
    aegis_held_free(held);
    return true;
}

/* For a witness that is new. */
void aegis_chain_watch_all(struct aegis_keeper *keeper)
{
    struct aegis_error error;
    struct aegis_payment_filter filter = {.states = OPEN_STATES};
    aegis_table_free(&keeper->watching);
    keeper->watching = aegis_table_new();
    if (!aegis_commit_open(keeper->commit) || json_array_size(keeper->settings.watched) == 0)
        return;
    if (!aegis_books_payments(aegis_ledger_books(keeper->ledger), &filter, watch_row, keeper, &error))
        aegis_log(AEGIS_LOG_ERROR, "open payments could not be read: %s", error.text);
}

/* Proofs */

static struct aegis_held *find_or_load(struct aegis_keeper *keeper, const char *payment)
{
    struct aegis_payment_row row;
    struct aegis_error error;
    struct aegis_held *held = aegis_payments_find(keeper->payments, payment);
    if (held != NULL || !aegis_commit_open(keeper->commit) ||
        aegis_books_payment(aegis_ledger_books(keeper->ledger), payment, &row, &error) != AEGIS_BOOKS_FOUND)
        return held;
    held = aegis_held_from_row(&row, keeper->assets);
    aegis_payment_row_clear(&row);
    if (held != NULL)
        aegis_payments_add(keeper->payments, held);
    return held;
}

/* The entry that a proof becomes; AEGIS_ENTRY_KINDS when it does not prove what it says. An authorization can
 * be cashed in a block whose time is before validBefore, so only a block after it proves that it cannot be
 * any more. */
static enum aegis_entry_kind proof_kind(const struct aegis_held *held, const json_t *proof)
{
    const char *kind = aegis_json_text(proof, "kind", "");
    int64_t time = aegis_json_integer(proof, "block_time", 0);
    const char *transaction = aegis_json_text(proof, "transaction", "");
    if (strcmp(kind, "transferred") == 0 && *transaction != '\0')
        return AEGIS_ENTRY_SETTLED;
    if (strcmp(kind, "cancelled") == 0)
        return AEGIS_ENTRY_CANCELLED;
    if (strcmp(kind, "expired") == 0 && time > held->authorization.valid_before)
        return AEGIS_ENTRY_EXPIRED;
    return AEGIS_ENTRY_KINDS;
}

static json_t *proof_body(enum aegis_entry_kind kind, const json_t *proof)
{
    const char *transaction = aegis_json_text(proof, "transaction", "");
    json_t *body = json_pack("{s:I,s:I}", "block", (json_int_t)aegis_json_integer(proof, "block", 0),
                             "block_time", (json_int_t)aegis_json_integer(proof, "block_time", 0));
    if (kind == AEGIS_ENTRY_SETTLED)
        json_object_set_new(body, "by", json_string("chain"));
    if (kind != AEGIS_ENTRY_EXPIRED && *transaction != '\0')
        json_object_set_new(body, "transaction", json_string(transaction));
    return body;
}

void aegis_chain_proof(struct aegis_peer *witness, const json_t *message)
{
    struct aegis_keeper *keeper = witness->keeper;
    const char *payment = aegis_json_text(message, "payment", "");
    /* It may have settled otherwise in the moment that the proof was under way. */
    if (aegis_table_remove(keeper->watching, payment) == NULL) {
        aegis_log(AEGIS_LOG_INFO, "the witness proves something about a payment that is not watched");
        return;
    }
    struct aegis_held *held = find_or_load(keeper, payment);
    if (held == NULL) {
        aegis_log(AEGIS_LOG_ERROR, "payment %s: the proof cannot be used, for the payment cannot be read",
                  payment);
        return;
    }
    enum aegis_entry_kind kind = proof_kind(held, message);
    if (kind == AEGIS_ENTRY_KINDS)
        aegis_channel_reject(witness->channel, "witness: a proof about %s that proves nothing", payment);
    else if (!aegis_payments_change(keeper, held, kind, proof_body(kind, message)))
        aegis_log(AEGIS_LOG_INFO, "payment %s: is %s already", payment,
                  aegis_payment_state_name(held->state));
    aegis_payments_release(keeper->payments, held, keeper->clock.now);
}
