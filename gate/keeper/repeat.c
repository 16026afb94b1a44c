#include "gate/keeper/repeat.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"

/* How long the answer for an explicit key is kept. */
#define KEPT_MS ((int64_t)24 * 3600 * 1000)

/* The candidate that is the very requirement which was signed; NULL when the seller asks for something else
 * now. */
static const struct aegis_candidate *same_requirement(const struct aegis_repeat_request *request,
                                                      const struct aegis_held *held)
{
    for (size_t i = 0; i < request->count; i++) {
        const struct aegis_candidate *candidate = &request->candidates[i];
        if (candidate->asset != NULL && strcmp(candidate->network, held->share.network) == 0 &&
            aegis_address_equal(&candidate->asset_address, &held->asset.address) &&
            candidate->amount == held->amount &&
            aegis_address_equal(&candidate->pay_to, &held->authorization.to) &&
            aegis_address_equal(request->payer, &held->authorization.from))
            return candidate;
    }
    return NULL;
}

static enum aegis_repeat deny(struct aegis_denial *denial, const char *code, const char *detail)
{
    aegis_denial_set(denial, "denied", code, detail);
    return AEGIS_REPEAT_DENY;
}

static enum aegis_repeat deny_unresolved(struct aegis_denial *denial, int64_t until, int64_t now)
{
    deny(denial, "previous_payment_unresolved",
         "An earlier payment for this request has no known outcome and can still be cashed, and the seller "
         "now asks for "
         "something else.");
    denial->retry_after_ms = until > now ? until - now : 1;
    return AEGIS_REPEAT_DENY;
}

static enum aegis_repeat deny_reused(struct aegis_denial *denial)
{
    return deny(denial, "idempotency_key_reused", "This idempotency key was used for another request.");
}

static enum aegis_repeat again(const struct aegis_candidate *candidate, struct aegis_held *found,
                               struct aegis_held **held, int64_t *index)
{
    *held = found;
    *index = candidate->index;
    return AEGIS_REPEAT_AGAIN;
}

/* Without a key of its own: attempts side by side are purchases of their own; one that ended without a known
 * outcome is the one that this is a repetition of. */
static enum aegis_repeat look_implicit(struct aegis_keeper *keeper,
                                       const struct aegis_repeat_request *request, const char *key,
                                       struct aegis_held **held, int64_t *index, struct aegis_denial *denial)
{
    int64_t until = 0;
    bool beside = false;
    for (struct aegis_held *found = aegis_payments_first(keeper->payments, key); found != NULL;
         found = LIST_NEXT(found, same_key)) {
        beside = beside || found->owner != 0;
        if (found->owner != 0 || !aegis_held_unresolved(found, request->now))
            continue;
        const struct aegis_candidate *candidate = same_requirement(request, found);
        if (candidate != NULL)
            return again(candidate, found, held, index);
        if (aegis_held_until(found) > until)
            until = aegis_held_until(found);
    }
    if (until != 0)
        return deny_unresolved(denial, until, request->now);
    return beside ? AEGIS_REPEAT_BESIDE : AEGIS_REPEAT_NEW;
}

static enum aegis_repeat look_memory(struct aegis_keeper *keeper, const struct aegis_repeat_request *request,
                                     const char *key, struct aegis_held **held, int64_t *index,
                                     struct aegis_denial *denial)
{
    for (struct aegis_held *found = aegis_payments_first(keeper->payments, key); found != NULL;
         found = LIST_NEXT(found, same_key)) {
        if (strcmp(found->request_hash, request->request_hash) != 0)
            return deny_reused(denial);
        if (found->owner != 0 || found->state == AEGIS_PAYMENT_SIGNED)
            return deny(denial, "idempotency_key_in_use",
                        "A request with this idempotency key is being paid for.");
        if (!aegis_held_unresolved(found, request->now))
            continue;
        const struct aegis_candidate *candidate = same_requirement(request, found);
        if (candidate == NULL)
            return deny_unresolved(denial, aegis_held_until(found), request->now);
        return again(candidate, found, held, index);
    }
    return AEGIS_REPEAT_NEW;
}

/* What the ledger remembers of a payment that nothing in memory waits for. */
static enum aegis_repeat look_row(struct aegis_keeper *keeper, const struct aegis_repeat_request *request,
                                  const struct aegis_payment_row *row, struct aegis_held **held,
                                  int64_t *index, struct aegis_denial *denial)
{
    if (row->at + KEPT_MS < request->now)
        return AEGIS_REPEAT_NEW;
    if (strcmp(row->request_hash, request->request_hash) != 0)
        return deny_reused(denial);
    if (row->state != AEGIS_PAYMENT_SETTLED && row->state != AEGIS_PAYMENT_DELIVERED)
        return AEGIS_REPEAT_NEW;
    struct aegis_held *found = aegis_payments_find(keeper->payments, row->id);
    bool fresh = found == NULL;
    if (fresh)
        found = aegis_held_from_row(row, keeper->assets);
    if (found == NULL)
        return deny(denial, "ledger_unavailable", "The ledger cannot be read.");
    const struct aegis_candidate *candidate = same_requirement(request, found);
    if (candidate == NULL) {
        if (fresh)
            aegis_held_free(found);
        return deny(
            denial, "idempotency_key_reused",
            "This idempotency key was used for a payment, and the seller now asks for something else.");
    }
    if (fresh)
        aegis_payments_add(keeper->payments, found);
    return again(candidate, found, held, index);
}

static enum aegis_repeat look_explicit(struct aegis_keeper *keeper,
                                       const struct aegis_repeat_request *request, const char *key,
                                       struct aegis_held **held, int64_t *index, struct aegis_denial *denial)
{
    struct aegis_payment_row row;
    struct aegis_error error;
    if (aegis_table_get(keeper->asking, key) != NULL)
        return deny(denial, "idempotency_key_in_use",
                    "A request with this idempotency key is being decided.");
    enum aegis_repeat result = look_memory(keeper, request, key, held, index, denial);
    if (result != AEGIS_REPEAT_NEW)
        return result;
    switch (aegis_books_idempotent(aegis_ledger_books(keeper->ledger), request->agent,
                                   request->idempotency_key, &row, &error)) {
    case AEGIS_BOOKS_NONE:
        return AEGIS_REPEAT_NEW;
    case AEGIS_BOOKS_ERROR:
        aegis_log(AEGIS_LOG_ERROR, "%s", error.text);
        aegis_denial_set(denial, "unrecorded", "ledger_unavailable", "The ledger cannot be read.");
        return AEGIS_REPEAT_DENY;
    case AEGIS_BOOKS_FOUND:
        break;
    }
    result = look_row(keeper, request, &row, held, index, denial);
    aegis_payment_row_clear(&row);
    return result;
}

enum aegis_repeat aegis_repeat_look(struct aegis_keeper *keeper, const struct aegis_repeat_request *request,
                                    struct aegis_held **held, int64_t *index, struct aegis_denial *denial)
{
    bool explicit_key = *request->idempotency_key != '\0';
    char *key = aegis_payments_key(request->agent, request->idempotency_key, request->request_hash);
    enum aegis_repeat result = explicit_key ? look_explicit(keeper, request, key, held, index, denial)
                                            : look_implicit(keeper, request, key, held, index, denial);
    free(key);
    return result;
}
