#include "gate/ledger/booking.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/ledger/books.h"

#define DAY_MS 86400000

/* One row of the rollup while it changes. A batch of payments mostly falls into few rows, so each is read and
 * written once a transaction instead of once an entry. */
struct rollup {
    char *agent, *host, *payee, *network, *asset, *token;
    int64_t day;
    aegis_amount settled, exposed;
    int64_t payments, settlements;
};

enum { PENDING = 64 };

/* The last reservation before its row is written: `signed` nearly always comes next and then costs nothing.
 */
struct reservation {
    json_t *body; /* NULL: there is none */
    char *id;
    char *agent;
    int64_t seq;
    int64_t changed;
    enum aegis_payment_state state;
};

struct aegis_booking {
    struct aegis_books *store;
    struct reservation last;
    struct rollup pending[PENDING];
    size_t count;
    int64_t seq; /* of the last entry applied; 0: nothing to write to the head */
    uint8_t hash[AEGIS_HASH_SIZE];
};

typedef enum aegis_booking_result applier(struct aegis_booking *, const struct aegis_entry *, const json_t *,
                                          struct aegis_error *);

struct aegis_booking *aegis_booking_new(struct aegis_books *store)
{
    struct aegis_booking *booking = aegis_alloc(sizeof *booking);
    booking->store = store;
    return booking;
}

void aegis_booking_free(struct aegis_booking **pointer)
{
    if (*pointer != NULL)
        aegis_booking_discard(*pointer);
    free(*pointer);
    *pointer = NULL;
}

static void rollup_clear(struct rollup *rollup)
{
    free(rollup->agent);
    free(rollup->host);
    free(rollup->payee);
    free(rollup->network);
    free(rollup->asset);
    free(rollup->token);
}

static void reservation_clear(struct reservation *reservation)
{
    json_decref(reservation->body);
    free(reservation->id);
    free(reservation->agent);
    memset(reservation, 0, sizeof *reservation);
}

void aegis_booking_discard(struct aegis_booking *booking)
{
    reservation_clear(&booking->last);
    for (size_t i = 0; i < booking->count; i++)
        rollup_clear(&booking->pending[i]);
    booking->count = 0;
    booking->seq = 0;
}

static enum aegis_booking_result done(bool ok)
{
    return ok ? AEGIS_BOOKING_OK : AEGIS_BOOKING_DATABASE;
}

static enum aegis_booking_result impossible(struct aegis_error *error, const struct aegis_entry *entry,
                                            const char *why)
{
    aegis_error_set(error, "entry %lld (%s, %s): %s", (long long)entry->seq, entry->kind, entry->payment,
                    why);
    return AEGIS_BOOKING_IMPOSSIBLE;
}

/* The rollup */

static bool rollup_write(struct aegis_books *store, const struct rollup *row, struct aegis_error *error)
{
    return aegis_store_run(
        store, error,
        "INSERT INTO rollup(agent, day, host, payee, network, asset, token, settled, exposed, payments,"
        " settlements) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
        " ON CONFLICT(agent, day, host, payee, network, asset, token) DO UPDATE SET settled = "
        "excluded.settled,"
        " exposed = excluded.exposed, payments = excluded.payments, settlements = excluded.settlements",
        "titttttaaii", row->agent, row->day, row->host, row->payee, row->network, row->asset, row->token,
        row->settled, row->exposed, row->payments, row->settlements);
}

static bool rollup_read(struct aegis_books *store, struct rollup *row, struct aegis_error *error)
{
    sqlite3_stmt *statement = aegis_store_bind(store, error,
                                               "SELECT settled, exposed, payments, settlements FROM rollup"
                                               " WHERE agent = ?1 AND day = ?2 AND host = ?3 AND payee = ?4 "
                                               "AND network = ?5 AND asset = ?6 AND token = ?7",
                                               "tittttt", row->agent, row->day, row->host, row->payee,
                                               row->network, row->asset, row->token);
    if (statement == NULL)
        return false;
    int code = aegis_store_step(store, statement, error);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE;
    bool ok = aegis_store_amount(store, statement, 0, &row->settled, error) &&
              aegis_store_amount(store, statement, 1, &row->exposed, error);
    row->payments = sqlite3_column_int64(statement, 2);
    row->settlements = sqlite3_column_int64(statement, 3);
    sqlite3_reset(statement);
    return ok;
}

static bool rollups_write(struct aegis_booking *booking, struct aegis_error *error)
{
    for (size_t i = 0; i < booking->count; i++)
        if (!rollup_write(booking->store, &booking->pending[i], error))
            return false;
    for (size_t i = 0; i < booking->count; i++)
        rollup_clear(&booking->pending[i]);
    booking->count = 0;
    return true;
}

/* What of a payment decides which sums it is in. */
struct share {
    const char *agent, *host, *payee, *network, *asset, *token;
    int64_t at;
    aegis_amount scaled;
};

static bool rollup_is(const struct rollup *row, const struct share *share)
{
    return row->day == share->at / DAY_MS && strcmp(row->agent, share->agent) == 0 &&
           strcmp(row->host, share->host) == 0 && strcmp(row->payee, share->payee) == 0 &&
           strcmp(row->network, share->network) == 0 && strcmp(row->asset, share->asset) == 0 &&
           strcmp(row->token, share->token) == 0;
}

static struct rollup *rollup_find(struct aegis_booking *booking, const struct share *share,
                                  struct aegis_error *error)
{
    for (size_t i = 0; i < booking->count; i++)
        if (rollup_is(&booking->pending[i], share))
            return &booking->pending[i];
    if (booking->count == PENDING && !rollups_write(booking, error))
        return NULL;
    struct rollup row = {
        .agent = aegis_strdup(share->agent),
        .host = aegis_strdup(share->host),
        .payee = aegis_strdup(share->payee),
        .network = aegis_strdup(share->network),
        .asset = aegis_strdup(share->asset),
        .token = aegis_strdup(share->token),
        .day = share->at / DAY_MS,
    };
    if (!rollup_read(booking->store, &row, error)) {
        rollup_clear(&row);
        return NULL;
    }
    booking->pending[booking->count] = row;
    return &booking->pending[booking->count++];
}

/* Payments */

static int as_sum(enum aegis_payment_state state)
{
    if (state == AEGIS_PAYMENT_SETTLED)
        return 2;
    return aegis_payment_state_exposed(state) ? 1 : 0;
}

/* Moves a share between the sums: from and to are 0 (none), 1 (exposed), 2 (settled). */
static enum aegis_booking_result move_share(struct aegis_booking *booking, const struct aegis_entry *entry,
                                            const struct share *share, int from, int to,
                                            struct aegis_error *error)
{
    if (from == to)
        return AEGIS_BOOKING_OK;
    struct rollup *row = rollup_find(booking, share, error);
    if (row == NULL)
        return AEGIS_BOOKING_DATABASE;
    aegis_amount *sums[] = {NULL, &row->exposed, &row->settled};
    if (from != 0 && !aegis_amount_sub(*sums[from], share->scaled, sums[from]))
        return impossible(error, entry, "takes more out of a sum than there is in it");
    if (to != 0 && !aegis_amount_add(*sums[to], share->scaled, sums[to]))
        return impossible(error, entry, "makes a sum larger than 128 bits");
    row->payments += (to != 0) - (from != 0);
    row->settlements += (to == 2) - (from == 2);
    return AEGIS_BOOKING_OK;
}

static int64_t decimal_second(const json_t *authorization, const char *name)
{
    return strtoll(aegis_json_text(authorization, name, "0"), NULL, 10);
}

static bool insert_payment(struct aegis_booking *booking, const struct reservation *from,
                           struct aegis_error *error)
{
    const json_t *body = from->body, *authorization = json_object_get(body, "authorization");
    return aegis_store_run(
        booking->store, error,
        "INSERT INTO payment(seq, id, agent, state, at, changed, method, url, host, network, asset, token,"
        " decimals, amount, scaled, payer, pay_to, valid_after, valid_before, nonce, request_hash,"
        " idempotency_key, x402_version, tx, status) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
        " ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, '', 0)",
        "itttiittttttittttiittti", from->seq, from->id, from->agent, aegis_payment_state_name(from->state),
        aegis_json_integer(body, "at", 0), from->changed, aegis_json_text(body, "method", ""),
        aegis_json_text(body, "url", ""), aegis_json_text(body, "host", ""),
        aegis_json_text(body, "network", ""), aegis_json_text(body, "asset", ""),
        aegis_json_text(body, "token", ""), aegis_json_integer(body, "decimals", 0),
        aegis_json_text(body, "amount", ""), aegis_json_text(body, "scaled", ""),
        aegis_json_text(authorization, "from", ""), aegis_json_text(body, "pay_to", ""),
        decimal_second(authorization, "validAfter"), decimal_second(authorization, "validBefore"),
        aegis_json_text(authorization, "nonce", ""), aegis_json_text(body, "request_hash", ""),
        aegis_json_text(body, "idempotency_key", ""), aegis_json_integer(body, "x402_version", 0));
}

/* Writes the row of the last reservation. */
static enum aegis_booking_result reservation_write(struct aegis_booking *booking, struct aegis_error *error)
{
    struct reservation *last = &booking->last;
    if (last->body == NULL)
        return AEGIS_BOOKING_OK;
    enum aegis_booking_result result = AEGIS_BOOKING_OK;
    if (!insert_payment(booking, last, error)) {
        result = AEGIS_BOOKING_DATABASE;
        if (sqlite3_extended_errcode(booking->store->db) == SQLITE_CONSTRAINT_UNIQUE) {
            aegis_error_set(error, "entry %lld: reserves payment %s, which is there already",
                            (long long)last->seq, last->id);
            result = AEGIS_BOOKING_IMPOSSIBLE;
        }
    }
    reservation_clear(last);
    return result;
}

static bool remember_request(struct aegis_booking *booking, const struct aegis_entry *entry,
                             const json_t *body, const struct share *share, struct aegis_error *error)
{
    const char *key = aegis_json_text(body, "idempotency_key", "");
    if (*key != '\0' && !aegis_store_run(booking->store, error,
                                         "INSERT INTO idempotency(agent, key, payment) VALUES(?1, ?2, ?3)"
                                         " ON CONFLICT(agent, key) DO UPDATE SET payment = excluded.payment",
                                         "ttt", entry->agent, key, entry->payment))
        return false;
    if (*aegis_json_text(body, "url", "") == '\0')
        return true;
    return aegis_store_run(booking->store, error,
                           "INSERT INTO price(agent, url, method, scaled, at) VALUES(?1, ?2, ?3, ?4, ?5)"
                           " ON CONFLICT(agent, url, method) DO UPDATE SET scaled = excluded.scaled,"
                           " at = excluded.at",
                           "tttti", entry->agent, aegis_json_text(body, "url", ""),
                           aegis_json_text(body, "method", ""), aegis_json_text(body, "scaled", ""),
                           share->at);
}

static enum aegis_booking_result apply_reservation(struct aegis_booking *booking,
                                                   const struct aegis_entry *entry, const json_t *body,
                                                   enum aegis_payment_state state, struct aegis_error *error)
{
    struct share share = {
        .agent = entry->agent,
        .host = aegis_json_text(body, "host", ""),
        .payee = aegis_json_text(body, "pay_to", ""),
        .network = aegis_json_text(body, "network", ""),
        .asset = aegis_json_text(body, "asset", ""),
        .token = aegis_json_text(body, "token", ""),
        .at = aegis_json_integer(body, "at", 0),
    };
    if (!aegis_amount_parse(aegis_json_text(body, "scaled", ""), &share.scaled))
        return impossible(error, entry, "has no amount");
    enum aegis_booking_result before = reservation_write(booking, error);
    if (before != AEGIS_BOOKING_OK)
        return before;
    booking->last = (struct reservation){
        .body = json_incref((json_t *)body),
        .id = aegis_strdup(entry->payment),
        .agent = aegis_strdup(entry->agent),
        .seq = entry->seq,
        .changed = entry->at,
        .state = state,
    };
    if (!remember_request(booking, entry, body, &share, error))
        return AEGIS_BOOKING_DATABASE;
    return move_share(booking, entry, &share, 0, as_sum(state), error);
}

static enum aegis_booking_result apply_reserved(struct aegis_booking *booking,
                                                const struct aegis_entry *entry, const json_t *body,
                                                struct aegis_error *error)
{
    return apply_reservation(booking, entry, body, AEGIS_PAYMENT_RESERVED, error);
}

static enum aegis_booking_result apply_external(struct aegis_booking *booking,
                                                const struct aegis_entry *entry, const json_t *body,
                                                struct aegis_error *error)
{
    return apply_reservation(booking, entry, body, AEGIS_PAYMENT_EXTERNAL, error);
}

static bool write_state(struct aegis_booking *booking, const struct aegis_entry *entry, const json_t *body,
                        int64_t seq, enum aegis_payment_state state, struct aegis_error *error)
{
    return aegis_store_run(booking->store, error,
                           "UPDATE payment SET state = ?2, changed = ?3,"
                           " tx = CASE WHEN ?4 = '' THEN tx ELSE ?4 END,"
                           " status = CASE WHEN ?5 = 0 THEN status ELSE ?5 END WHERE seq = ?1",
                           "ititi", seq, aegis_payment_state_name(state), entry->at,
                           aegis_json_text(body, "transaction", ""), aegis_json_integer(body, "status", 0));
}

static enum aegis_booking_result apply_change(struct aegis_booking *booking, const struct aegis_entry *entry,
                                              const json_t *body, struct aegis_error *error)
{
    enum aegis_payment_state from, to;
    enum aegis_entry_kind kind;
    enum aegis_booking_result before = reservation_write(booking, error);
    if (before != AEGIS_BOOKING_OK)
        return before;
    sqlite3_stmt *row =
        aegis_store_bind(booking->store, error,
                         "SELECT seq, state, agent, host, pay_to, network, asset, token, at, scaled"
                         " FROM payment WHERE id = ?1",
                         "t", entry->payment);
    if (row == NULL)
        return AEGIS_BOOKING_DATABASE;
    int code = aegis_store_step(booking->store, row, error);
    if (code == SQLITE_DONE)
        return impossible(error, entry, "is about a payment that was never reserved");
    if (code != SQLITE_ROW)
        return AEGIS_BOOKING_DATABASE;
    int64_t seq = sqlite3_column_int64(row, 0);
    struct share share = {
        aegis_store_text(row, 2),     aegis_store_text(row, 3),
        aegis_store_text(row, 4),     aegis_store_text(row, 5),
        aegis_store_text(row, 6),     aegis_store_text(row, 7),
        sqlite3_column_int64(row, 8), 0,
    };
    enum aegis_booking_result result = AEGIS_BOOKING_DATABASE;
    if (!aegis_payment_state_parse(aegis_store_text(row, 1), &from) ||
        !aegis_entry_kind_find(entry->kind, &kind) || !aegis_payment_state_next(from, kind, &to))
        result = impossible(error, entry, "finds the payment in a state in which that cannot happen");
    else if (strcmp(share.agent, entry->agent) != 0)
        result = impossible(error, entry, "names another agent than the payment's");
    else if (aegis_store_amount(booking->store, row, 9, &share.scaled, error))
        result = move_share(booking, entry, &share, as_sum(from), as_sum(to), error);
    sqlite3_reset(row);
    if (result != AEGIS_BOOKING_OK || kind == AEGIS_ENTRY_REPEATED)
        return result;
    return done(write_state(booking, entry, body, seq, to, error));
}

static enum aegis_booking_result apply_signed(struct aegis_booking *booking, const struct aegis_entry *entry,
                                              const json_t *body, struct aegis_error *error)
{
    struct reservation *last = &booking->last;
    if (last->body == NULL || strcmp(last->id, entry->payment) != 0 ||
        strcmp(last->agent, entry->agent) != 0 || last->state != AEGIS_PAYMENT_RESERVED)
        return apply_change(booking, entry, body, error);
    last->state = AEGIS_PAYMENT_SIGNED;
    last->changed = entry->at;
    return AEGIS_BOOKING_OK;
}

/* Everything else */

static enum aegis_booking_result apply_policy(struct aegis_booking *booking, const struct aegis_entry *entry,
                                              const json_t *body, struct aegis_error *error)
{
    return done(aegis_store_run(
        booking->store, error, "INSERT OR IGNORE INTO policy(id, hash, seq) VALUES(?1, ?2, ?3)", "tti",
        aegis_json_text(body, "id", ""), aegis_json_text(body, "hash", ""), entry->seq));
}

static enum aegis_booking_result apply_agent(struct aegis_booking *booking, const struct aegis_entry *entry,
                                             const json_t *body, struct aegis_error *error)
{
    char *policies = aegis_json_canonical(json_object_get(body, "policies"), NULL);
    if (policies == NULL)
        return impossible(error, entry, "has policies without a canonical form");
    bool ok = aegis_store_run(
        booking->store, error,
        "INSERT INTO agent(id, name, wallet, address, policies, first_seen, heartbeat, revoked)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, 0) ON CONFLICT(id) DO UPDATE SET name = excluded.name,"
        " wallet = excluded.wallet, address = excluded.address, policies = excluded.policies",
        "tttt"
        "ti",
        entry->agent, aegis_json_text(body, "name", ""), aegis_json_text(body, "wallet", ""),
        aegis_json_text(body, "address", ""), policies, entry->at);
    free(policies);
    return done(ok);
}

static bool set_state(struct aegis_booking *booking, const json_t *row, struct aegis_error *error)
{
    const char *policy = aegis_json_text(row, "policy", ""), *key = aegis_json_text(row, "key", "");
    const json_t *value = json_object_get(row, "value");
    if (value == NULL || json_is_null(value))
        return aegis_store_run(booking->store, error,
                               "DELETE FROM plugin_state WHERE policy = ?1 AND key = ?2", "tt", policy, key);
    char *text = aegis_json_canonical(value, NULL);
    AEGIS_ASSERT(text != NULL);
    bool ok = aegis_store_run(booking->store, error,
                              "INSERT INTO plugin_state(policy, key, value) VALUES(?1, ?2, ?3)"
                              " ON CONFLICT(policy, key) DO UPDATE SET value = excluded.value",
                              "ttt", policy, key, text);
    free(text);
    return ok;
}

static enum aegis_booking_result apply_state(struct aegis_booking *booking, const struct aegis_entry *entry,
                                             const json_t *body, struct aegis_error *error)
{
    (void)entry;
    return done(set_state(booking, body, error));
}

/* Of a decision's effects only changes of state are kept here; notices and revocations are entries of their
 * own. */
static enum aegis_booking_result apply_decision(struct aegis_booking *booking,
                                                const struct aegis_entry *entry, const json_t *body,
                                                struct aegis_error *error)
{
    (void)entry;
    size_t i;
    json_t *effect;
    json_array_foreach(json_object_get(body, "effects"), i, effect)
    {
        if (strcmp(aegis_json_text(effect, "effect", ""), "state") == 0 && !set_state(booking, effect, error))
            return AEGIS_BOOKING_DATABASE;
    }
    return AEGIS_BOOKING_OK;
}

static enum aegis_booking_result apply_notice(struct aegis_booking *booking, const struct aegis_entry *entry,
                                              const json_t *body, struct aegis_error *error)
{
    const char *once = aegis_json_text(body, "once", "");
    if (*once == '\0')
        return AEGIS_BOOKING_OK;
    return done(aegis_store_run(booking->store, error,
                                "INSERT OR IGNORE INTO once(policy, text, seq) VALUES(?1, ?2, ?3)", "tti",
                                aegis_json_text(body, "policy", ""), once, entry->seq));
}

static enum aegis_booking_result apply_heartbeat(struct aegis_booking *booking,
                                                 const struct aegis_entry *entry, const json_t *body,
                                                 struct aegis_error *error)
{
    (void)body;
    return done(aegis_store_run(
        booking->store, error,
        "INSERT INTO agent(id, name, wallet, address, policies, first_seen, heartbeat, revoked)"
        " VALUES(?1, '', '', '', '[]', ?2, ?2, 0)"
        " ON CONFLICT(id) DO UPDATE SET heartbeat = excluded.heartbeat",
        "ti", entry->agent, entry->at));
}

static enum aegis_booking_result apply_revoked(struct aegis_booking *booking, const struct aegis_entry *entry,
                                               const json_t *body, struct aegis_error *error)
{
    (void)body;
    return done(aegis_store_run(
        booking->store, error,
        "INSERT INTO agent(id, name, wallet, address, policies, first_seen, heartbeat, revoked)"
        " VALUES(?1, '', '', '', '[]', ?2, 0, ?2)"
        " ON CONFLICT(id) DO UPDATE SET revoked = excluded.revoked",
        "ti", entry->agent, entry->at));
}

static applier *const appliers[AEGIS_ENTRY_KINDS] = {
    [AEGIS_ENTRY_POLICY] = apply_policy,     [AEGIS_ENTRY_AGENT] = apply_agent,
    [AEGIS_ENTRY_DECISION] = apply_decision, [AEGIS_ENTRY_RESERVED] = apply_reserved,
    [AEGIS_ENTRY_SIGNED] = apply_signed,     [AEGIS_ENTRY_REPEATED] = apply_change,
    [AEGIS_ENTRY_EXTERNAL] = apply_external, [AEGIS_ENTRY_SETTLED] = apply_change,
    [AEGIS_ENTRY_DELIVERED] = apply_change,  [AEGIS_ENTRY_REFUSED] = apply_change,
    [AEGIS_ENTRY_UNKNOWN] = apply_change,    [AEGIS_ENTRY_EXPIRED] = apply_change,
    [AEGIS_ENTRY_CANCELLED] = apply_change,  [AEGIS_ENTRY_STATE] = apply_state,
    [AEGIS_ENTRY_NOTICE] = apply_notice,     [AEGIS_ENTRY_HEARTBEAT] = apply_heartbeat,
    [AEGIS_ENTRY_REVOKED] = apply_revoked,   [AEGIS_ENTRY_RESUMED] = NULL,
};

bool aegis_booking_flush(struct aegis_booking *booking, struct aegis_error *error)
{
    if (reservation_write(booking, error) != AEGIS_BOOKING_OK || !rollups_write(booking, error))
        return false;
    if (booking->seq == 0)
        return true;
    if (!aegis_store_run(booking->store, error,
                         "INSERT INTO head(one, seq, hash) VALUES(1, ?1, ?2)"
                         " ON CONFLICT(one) DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
                         "ih", booking->seq, booking->hash))
        return false;
    booking->seq = 0;
    return true;
}

enum aegis_booking_result aegis_booking_apply(struct aegis_booking *booking, const struct aegis_entry *entry,
                                              const json_t *body, struct aegis_error *error)
{
    enum aegis_entry_kind kind;
    struct aegis_error why;
    if (!aegis_entry_kind_find(entry->kind, &kind))
        return impossible(error, entry, "there is no such kind");
    if (!aegis_json_check(body, aegis_entry_rows[kind].fields, &why))
        return impossible(error, entry, why.text);
    enum aegis_booking_result result = AEGIS_BOOKING_OK;
    if (appliers[kind] != NULL)
        result = appliers[kind](booking, entry, body, error);
    booking->seq = entry->seq;
    memcpy(booking->hash, entry->hash, AEGIS_HASH_SIZE);
    return result;
}
