#include "gate/keeper/payments.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/keeper/table.h"

LIST_HEAD(same_key, aegis_held);

struct aegis_payments {
    struct aegis_table *by_id;
    struct aegis_table *by_key; /* -> struct same_key */
};

struct aegis_payments *aegis_payments_new(void)
{
    struct aegis_payments *payments = aegis_alloc(sizeof *payments);
    payments->by_id = aegis_table_new();
    payments->by_key = aegis_table_new();
    return payments;
}

void aegis_held_free(struct aegis_held *held)
{
    if (held == NULL)
        return;
    free(held->agent);
    free(held->method);
    free(held->url);
    free(held->request_hash);
    free(held->idempotency_key);
    free((char *)held->share.host);
    free((char *)held->share.payee);
    free((char *)held->share.network);
    free((char *)held->share.token);
    free(held->key);
    json_decref(held->subject);
    json_decref(held->policies);
    free(held);
}

static bool free_one(const char *key, void *value, void *context)
{
    (void)key;
    (void)context;
    aegis_held_free(value);
    return true;
}

static bool free_list(const char *key, void *value, void *context)
{
    (void)key;
    (void)context;
    free(value);
    return true;
}

void aegis_payments_free(struct aegis_payments **pointer)
{
    struct aegis_payments *payments = *pointer;
    *pointer = NULL;
    if (payments == NULL)
        return;
    aegis_table_sweep(payments->by_key, free_list, NULL);
    aegis_table_sweep(payments->by_id, free_one, NULL);
    aegis_table_free(&payments->by_key);
    aegis_table_free(&payments->by_id);
    free(payments);
}

char *aegis_payments_key(const char *agent, const char *idempotency_key, const char *request_hash)
{
    if (*idempotency_key != '\0')
        return aegis_format("k\x1f%s\x1f%s", agent, idempotency_key);
    return aegis_format("h\x1f%s\x1f%s", agent, request_hash);
}

void aegis_payments_add(struct aegis_payments *payments, struct aegis_held *held)
{
    held->key = aegis_payments_key(held->agent, held->idempotency_key, held->request_hash);
    AEGIS_ASSERT(aegis_table_put(payments->by_id, held->id, held) == NULL);
    struct same_key *list = aegis_table_get(payments->by_key, held->key);
    if (list == NULL) {
        list = aegis_alloc(sizeof *list);
        LIST_INIT(list);
        aegis_table_put(payments->by_key, held->key, list);
    }
    LIST_INSERT_HEAD(list, held, same_key);
}

struct aegis_held *aegis_payments_find(const struct aegis_payments *payments, const char *id)
{
    return aegis_table_get(payments->by_id, id);
}

struct aegis_held *aegis_payments_first(const struct aegis_payments *payments, const char *key)
{
    struct same_key *list = aegis_table_get(payments->by_key, key);
    return list == NULL ? NULL : LIST_FIRST(list);
}

static void unlink_key(struct aegis_payments *payments, struct aegis_held *held)
{
    LIST_REMOVE(held, same_key);
    struct same_key *list = aegis_table_get(payments->by_key, held->key);
    if (LIST_EMPTY(list))
        free(aegis_table_remove(payments->by_key, held->key));
}

struct aegis_held *aegis_held_from_row(const struct aegis_payment_row *row, const struct aegis_assets *assets)
{
    struct aegis_held *held = aegis_alloc(sizeof *held);
    struct aegis_authorization *authorization = &held->authorization;
    struct aegis_address asset;
    aegis_text_copy(held->id, sizeof held->id, row->id);
    held->state = row->state;
    held->agent = aegis_strdup(row->agent);
    held->method = aegis_strdup(row->method);
    held->url = aegis_strdup(row->url);
    held->request_hash = aegis_strdup(row->request_hash);
    held->idempotency_key = aegis_strdup(row->idempotency_key);
    held->share = (struct aegis_share){held->agent,
                                       aegis_strdup(row->host),
                                       aegis_strdup(row->pay_to),
                                       aegis_strdup(row->network),
                                       aegis_strdup(row->token),
                                       row->at,
                                       row->scaled};
    held->amount = row->amount;
    held->x402_version = row->x402_version;
    authorization->value = row->amount;
    authorization->valid_after = row->valid_after;
    authorization->valid_before = row->valid_before;
    if (!aegis_address_parse(row->payer, &authorization->from) ||
        !aegis_address_parse(row->pay_to, &authorization->to) || !aegis_address_parse(row->asset, &asset) ||
        strlen(row->nonce) != 66 || !aegis_hex_decode(row->nonce + 2, 64, authorization->nonce, 32)) {
        aegis_log(AEGIS_LOG_ERROR, "the books have a payment that cannot be read: %s", row->id);
        aegis_held_free(held);
        return NULL;
    }
    const struct aegis_asset *known = aegis_assets_find(assets, row->network, &asset);
    if (known != NULL)
        held->asset = *known;
    else
        held->asset.address = asset;
    return held;
}

int64_t aegis_held_until(const struct aegis_held *held)
{
    return held->authorization.valid_before * 1000 + AEGIS_PAYMENT_GRACE_MS;
}

void aegis_held_queue(struct aegis_held *held, enum aegis_entry_kind kind)
{
    enum aegis_payment_state to;
    if (held->changes++ == 0)
        held->coming = held->state;
    if (aegis_payment_state_next(held->coming, kind, &to))
        held->coming = to;
}

bool aegis_held_unresolved(const struct aegis_held *held, int64_t now)
{
    enum aegis_payment_state state = held->changes > 0 ? held->coming : held->state;
    return (state == AEGIS_PAYMENT_REFUSED || state == AEGIS_PAYMENT_UNKNOWN) &&
           now <= aegis_held_until(held);
}

static bool is_over(const struct aegis_held *held, int64_t now)
{
    return held->owner == 0 && held->changes == 0 && !aegis_held_unresolved(held, now);
}

bool aegis_payments_release(struct aegis_payments *payments, struct aegis_held *held, int64_t now)
{
    if (!is_over(held, now))
        return false;
    unlink_key(payments, held);
    aegis_table_remove(payments->by_id, held->id);
    aegis_held_free(held);
    return true;
}

struct sweep {
    struct aegis_payments *payments;
    int64_t now;
};

static bool sweep_one(const char *key, void *value, void *context)
{
    struct sweep *sweep = context;
    (void)key;
    if (!is_over(value, sweep->now))
        return false;
    unlink_key(sweep->payments, value);
    aegis_held_free(value);
    return true;
}

void aegis_payments_sweep(struct aegis_payments *payments, int64_t now)
{
    struct sweep sweep = {payments, now};
    aegis_table_sweep(payments->by_id, sweep_one, &sweep);
}

struct visit {
    void (*each)(struct aegis_held *held, void *context);
    void *context;
};

static bool visit_one(const char *key, void *value, void *context)
{
    struct visit *visit = context;
    (void)key;
    visit->each(value, visit->context);
    return true;
}

void aegis_payments_each(const struct aegis_payments *payments,
                         void (*each)(struct aegis_held *held, void *context), void *context)
{
    struct visit visit = {each, context};
    aegis_table_each(payments->by_id, visit_one, &visit);
}

size_t aegis_payments_count(const struct aegis_payments *payments)
{
    return aegis_table_count(payments->by_id);
}
