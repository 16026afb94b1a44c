/* The ledger: its chain, its books, what it says when somebody changed it, and what it does when the disk
 * fails. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#include <sodium.h>

#include "gate/base/clock.h"
#include "gate/base/text.h"
#include "gate/ledger/reader.h"
#include "tests/unit/failing_vfs.h"
#include "tests/unit/ledger_maker.h"

struct failing failing;

#define DAY   ((int64_t)86400000)
#define START ((int64_t)1763600000000)

struct room {
    char *folder;
    char path[300];
    struct aegis_ledger *ledger;
    struct aegis_error error;
};

static int setup(void **state)
{
    struct room *room = calloc(1, sizeof *room);
    memset(&failing, 0, sizeof failing);
    room->folder = maker_folder();
    snprintf(room->path, sizeof room->path, "%s/ledger.db", room->folder);
    room->ledger = aegis_ledger_open(room->path, &room->error);
    if (room->ledger == NULL)
        fail_msg("%s", room->error.text);
    *state = room;
    return 0;
}

static int teardown(void **state)
{
    struct room *room = *state;
    memset(&failing, 0, sizeof failing);
    aegis_ledger_close(&room->ledger);
    maker_clean(room->folder);
    free(room);
    return 0;
}

static struct made a_payment(void)
{
    return (struct made){
        .agent = "agent-1",
        .host = "shop.example",
        .payee = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        .network = "eip155:84532",
        .token = "USDC",
        .url = "http://shop.example/a",
        .amount = 1000000,
        .decimals = 6,
        .at = START,
        .valid_before = START / 1000 + 60,
    };
}

static void buy(struct room *room, const struct made *made, const char *id)
{
    static unsigned long number;
    assert_true(aegis_ledger_begin(room->ledger, &room->error));
    assert_true(maker_buy(room->ledger, made, id, ++number));
    assert_int_equal(aegis_ledger_commit(room->ledger, &room->error), AEGIS_LEDGER_OK);
}

static void append(struct room *room, enum aegis_entry_kind kind, int64_t at, const char *agent,
                   const char *payment, json_t *body)
{
    assert_non_null(body);
    assert_true(aegis_ledger_begin(room->ledger, &room->error));
    assert_true(maker_append(room->ledger, kind, at, agent, payment, body));
    assert_int_equal(aegis_ledger_commit(room->ledger, &room->error), AEGIS_LEDGER_OK);
}

static bool verify(struct room *room, int64_t *entries)
{
    struct aegis_reader *reader = aegis_reader_open(room->path, &room->error);
    if (reader == NULL)
        return false;
    bool ok = aegis_reader_verify(reader, NULL, NULL, entries, &room->error);
    aegis_reader_close(&reader);
    return ok;
}

static void must_verify(struct room *room, int64_t expected)
{
    int64_t entries = 0;
    if (!verify(room, &entries))
        fail_msg("%s", room->error.text);
    assert_int_equal(entries, expected);
}

/* Changes the file behind the ledger's back. */
static void meddle(struct room *room, const char *sql)
{
    sqlite3 *db;
    char *why = NULL;
    assert_int_equal(sqlite3_open(room->path, &db), SQLITE_OK);
    if (sqlite3_exec(db,
                     "DROP TRIGGER IF EXISTS entry_never_changes; DROP TRIGGER IF EXISTS entry_never_goes;",
                     0, 0, 0) != SQLITE_OK ||
        sqlite3_exec(db, sql, 0, 0, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    sqlite3_close(db);
}

static void begins_empty(void **state)
{
    struct room *room = *state;
    assert_int_equal(aegis_ledger_seq(room->ledger), 0);
    must_verify(room, 0);
    aegis_ledger_close(&room->ledger);
    room->ledger = aegis_ledger_open(room->path, &room->error);
    assert_non_null(room->ledger);
}

struct seen {
    json_t *entries;
};

static bool see(const struct aegis_entry *entry, void *context)
{
    json_array_append_new(((struct seen *)context)->entries, aegis_entry_json(entry));
    return true;
}

/* Any JCS library can check a ledger: here the one that hashes the whole object, not the one that puts it
 * together. */
static void hashes_the_canonical_form(void **state)
{
    struct room *room = *state;
    struct made made = a_payment();
    made.agent = "agent \"quoted\" \\ \x01 \xc3\xa9";
    buy(room, &made, "pay_1");
    struct seen seen = {json_array()};
    struct aegis_reader *reader = aegis_reader_open(room->path, &room->error);
    assert_true(aegis_reader_follow(reader, 0, 0, see, &seen, &room->error));
    aegis_reader_close(&reader);
    assert_int_equal(json_array_size(seen.entries), 3);
    char before[65] = "0000000000000000000000000000000000000000000000000000000000000000";
    for (size_t i = 0; i < 3; i++) {
        char hash[65];
        size_t length;
        json_t *entry = json_array_get(seen.entries, i);
        char *stored = aegis_strdup(aegis_json_text(entry, "hash", ""));
        assert_string_equal(aegis_json_text(entry, "prev", ""), before);
        json_object_del(entry, "hash");
        char *text = aegis_json_canonical(entry, &length);
        assert_string_equal(aegis_sha256_hex(text, length, hash), stored);
        strcpy(before, stored);
        free(stored);
        free(text);
    }
    json_decref(seen.entries);
}

static void follows_and_tells_history(void **state)
{
    struct room *room = *state;
    struct made made = a_payment();
    struct seen seen = {json_array()};
    buy(room, &made, "pay_1");
    buy(room, &made, "pay_2");
    append(room, AEGIS_ENTRY_REFUSED, START + 5, "agent-1", "pay_1", json_pack("{s:i}", "status", 402));
    struct aegis_reader *reader = aegis_reader_open(room->path, &room->error);
    assert_true(aegis_reader_follow(reader, 2, 3, see, &seen, &room->error));
    assert_int_equal(json_array_size(seen.entries), 3);
    assert_int_equal(aegis_json_integer(json_array_get(seen.entries, 0), "seq", 0), 3);
    json_array_clear(seen.entries);
    assert_true(aegis_reader_history(reader, "pay_1", see, &seen, &room->error));
    assert_int_equal(json_array_size(seen.entries), 4);
    json_array_clear(seen.entries);
    assert_true(aegis_reader_history(reader, "", see, &seen, &room->error));
    assert_int_equal(json_array_size(seen.entries), 0);
    int64_t seq;
    uint8_t hash[32];
    assert_true(aegis_reader_head(reader, &seq, hash, &room->error));
    assert_int_equal(seq, 7);
    aegis_reader_close(&reader);
    json_decref(seen.entries);
}

/* Opening */

static void refuses_a_second_writer(void **state)
{
    struct room *room = *state;
    assert_null(aegis_ledger_open(room->path, &room->error));
    assert_non_null(strstr(room->error.text, "another gate"));
}

static void refuse_file(struct room *room, const char *sql, const char *expected)
{
    aegis_ledger_close(&room->ledger);
    meddle(room, sql);
    room->ledger = aegis_ledger_open(room->path, &room->error);
    assert_null(room->ledger);
    if (strstr(room->error.text, expected) == NULL)
        fail_msg("expected \"%s\" in: %s", expected, room->error.text);
}

static void refuses_a_newer_schema(void **state)
{
    refuse_file(*state, "PRAGMA user_version = 2", "newer version");
}

static void refuses_a_foreign_database(void **state)
{
    refuse_file(*state, "PRAGMA application_id = 7", "no ledger");
}

static void refuses_a_changed_tail(void **state)
{
    struct room *room = *state;
    struct made made = a_payment();
    buy(room, &made, "pay_1");
    refuse_file(room, "UPDATE entry SET at = at + 1 WHERE seq = 3", "entry 3: `hash`");
}

static void refuses_a_cut_tail(void **state)
{
    struct room *room = *state;
    struct made made = a_payment();
    buy(room, &made, "pay_1");
    refuse_file(room, "DELETE FROM entry WHERE seq = 3", "do not stand at the last entry");
}

static void refuses_what_is_no_database(void **state)
{
    struct room *room = *state;
    aegis_ledger_close(&room->ledger);
    FILE *file = fopen(room->path, "w");
    fputs("this is not a database, however long one reads it, and it goes on for a while to be sure of it",
          file);
    fclose(file);
    room->ledger = aegis_ledger_open(room->path, &room->error);
    assert_null(room->ledger);
}

/* Tampering */

/* Each column of the entry in turn, in the middle of the chain; then whole rows. */
static void finds_every_change(void **state)
{
    static const struct {
        const char *change, *undo, *expected;
    } cases[] = {
        {"UPDATE entry SET at = at + 1 WHERE seq = 5", "UPDATE entry SET at = at - 1 WHERE seq = 5",
         "entry 5"},
        {"UPDATE entry SET kind = 'refused' WHERE seq = 5",
         "UPDATE entry SET kind = 'reserved' WHERE seq = 5", "entry 5"},
        {"UPDATE entry SET agent = 'agent-2' WHERE seq = 5",
         "UPDATE entry SET agent = 'agent-1' WHERE seq = 5", "entry 5"},
        {"UPDATE entry SET payment = 'pay_9' WHERE seq = 5",
         "UPDATE entry SET payment = 'pay_2' WHERE seq = 5", "entry 5"},
        {"UPDATE entry SET body = replace(body, '\"amount\":\"1', '\"amount\":\"2') WHERE seq = 5",
         "UPDATE entry SET body = replace(body, '\"amount\":\"2', '\"amount\":\"1') WHERE seq = 5",
         "entry 5"},
        {"UPDATE entry SET body = body || ' ' WHERE seq = 5",
         "UPDATE entry SET body = rtrim(body) WHERE seq = 5", "entry 5"},
        {"CREATE TABLE kept AS SELECT * FROM entry; UPDATE entry SET prev = randomblob(32) WHERE seq = 5",
         "UPDATE entry SET prev = (SELECT prev FROM kept WHERE seq = 5) WHERE seq = 5", "entry 5"},
        {"UPDATE entry SET hash = randomblob(32) WHERE seq = 5",
         "UPDATE entry SET hash = (SELECT hash FROM kept WHERE seq = 5) WHERE seq = 5", "entry 5"},
        {"UPDATE entry SET hash = x'00' WHERE seq = 5",
         "UPDATE entry SET hash = (SELECT hash FROM kept WHERE seq = 5) WHERE seq = 5", "entry 5"},
        {"UPDATE entry SET seq = 100 WHERE seq = 5", "UPDATE entry SET seq = 5 WHERE seq = 100",
         "entry 5 is missing"},
        {"DELETE FROM entry WHERE seq = 5", "INSERT INTO entry SELECT * FROM kept WHERE seq = 5",
         "entry 5 is missing"},
        {"DELETE FROM entry WHERE seq = 9", "INSERT INTO entry SELECT * FROM kept WHERE seq = 9",
         "table head"},
    };
    struct room *room = *state;
    struct made made = a_payment();
    buy(room, &made, "pay_1");
    buy(room, &made, "pay_2");
    buy(room, &made, "pay_3");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t entries;
        meddle(room, cases[i].change);
        if (verify(room, &entries))
            fail_msg("not found: %s", cases[i].change);
        if (strstr(room->error.text, cases[i].expected) == NULL)
            fail_msg("%s: expected \"%s\" in: %s", cases[i].change, cases[i].expected, room->error.text);
        meddle(room, cases[i].undo);
        must_verify(room, 9);
    }
}

/* An entry that is rewritten with a right hash, and all after it too: the chain is whole, but what it says
 * cannot be. */
static void finds_impossible_histories(void **state)
{
    struct room *room = *state;
    struct made made = a_payment();
    uint8_t prev[32] = {0};
    buy(room, &made, "pay_1");
    aegis_ledger_close(&room->ledger);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(room->path, &db), SQLITE_OK);
    sqlite3_stmt *read, *write;
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT hash FROM entry WHERE seq = 3", -1, &read, 0), SQLITE_OK);
    assert_int_equal(sqlite3_step(read), SQLITE_ROW);
    memcpy(prev, sqlite3_column_blob(read, 0), 32);
    sqlite3_finalize(read);
    struct aegis_entry entry = {.seq = 4,
                                .at = START,
                                .kind = "signed",
                                .agent = "agent-1",
                                .payment = "pay_1",
                                .body = "{\"digest\":\"\",\"signature\":\"\"}",
                                .body_length = 28};
    memcpy(entry.prev, prev, 32);
    assert_true(aegis_entry_hash(&entry, entry.hash));
    assert_int_equal(
        sqlite3_prepare_v2(db, "INSERT INTO entry VALUES(4, ?, 'signed', 'agent-1', 'pay_1', ?, ?, ?)", -1,
                           &write, 0),
        SQLITE_OK);
    sqlite3_bind_int64(write, 1, START);
    sqlite3_bind_text(write, 2, entry.body, 28, SQLITE_STATIC);
    sqlite3_bind_blob(write, 3, entry.prev, 32, SQLITE_STATIC);
    sqlite3_bind_blob(write, 4, entry.hash, 32, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(write), SQLITE_DONE);
    sqlite3_finalize(write);
    sqlite3_close(db);
    int64_t entries;
    assert_false(verify(room, &entries));
    assert_non_null(strstr(room->error.text, "entry 4"));
    assert_non_null(strstr(room->error.text, "cannot happen"));
}

static void finds_changed_books(void **state)
{
    static const char *const changes[] = {
        "UPDATE payment SET state = 'expired'",
        "UPDATE payment SET scaled = '1'",
        "UPDATE payment SET valid_before = valid_before + 1",
        "DELETE FROM payment WHERE id = 'pay_1'",
        "UPDATE rollup SET exposed = '0'",
        "UPDATE rollup SET payments = 0",
        "INSERT INTO rollup VALUES('x', 1, 'h', 'p', 'n', 'a', 't', '0', '0', 0, 0)",
        "UPDATE price SET scaled = '5'",
        "INSERT INTO idempotency VALUES('a', 'k', 'p')",
        "UPDATE agent SET revoked = 1",
        "UPDATE agent SET heartbeat = 0",
        "DELETE FROM policy",
        "UPDATE plugin_state SET value = '2'",
        "DELETE FROM once",
        "UPDATE head SET seq = 2",
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct room *room = *state;
        struct made made = a_payment();
        append(room, AEGIS_ENTRY_POLICY, START, NULL, NULL,
               json_pack("{s:s,s:i,s:s,s:{}}", "id", "budget", "version", 1, "hash", "00", "document"));
        append(room, AEGIS_ENTRY_AGENT, START, "agent-1", NULL,
               json_pack("{s:s,s:s,s:s,s:[s]}", "name", "one", "wallet", "w", "address", "0x", "policies",
                         "budget"));
        append(room, AEGIS_ENTRY_HEARTBEAT, START + 1, "agent-1", NULL, json_object());
        append(room, AEGIS_ENTRY_STATE, START, "agent-1", NULL,
               json_pack("{s:s,s:s,s:i}", "policy", "budget", "key", "k", "value", 1));
        append(room, AEGIS_ENTRY_NOTICE, START, "agent-1", NULL,
               json_pack("{s:s,s:s,s:s,s:s,s:{},s:s,s:s}", "kind", "budget_alert", "severity", "warning",
                         "title", "t", "message", "m", "metadata", "once", "o", "policy", "budget"));
        buy(room, &made, "pay_1");
        must_verify(room, 8);
        meddle(room, changes[i]);
        int64_t entries;
        if (verify(room, &entries))
            fail_msg("not found: %s", changes[i]);
        assert_non_null(strstr(room->error.text, "table "));
        teardown(state);
        setup(state);
    }
}

/* Books */

static void keeps_books(void **state)
{
    struct room *room = *state;
    struct made made = a_payment();
    struct aegis_books *books = aegis_ledger_books(room->ledger);
    struct aegis_payment_row row;
    aegis_amount scaled;
    int64_t at;
    made.key = "order-7";
    buy(room, &made, "pay_1");
    assert_int_equal(aegis_books_idempotent(books, "agent-1", "order-7", &row, &room->error),
                     AEGIS_BOOKS_FOUND);
    assert_string_equal(row.id, "pay_1");
    assert_int_equal(row.state, AEGIS_PAYMENT_SIGNED);
    assert_true(row.amount == 1000000 && row.valid_before == made.valid_before);
    aegis_payment_row_clear(&row);
    assert_int_equal(aegis_books_idempotent(books, "agent-2", "order-7", &row, &room->error),
                     AEGIS_BOOKS_NONE);
    assert_int_equal(aegis_books_last_payment(books, "agent-1", &at, &room->error), AEGIS_BOOKS_FOUND);
    assert_int_equal(at, START);
    assert_int_equal(aegis_books_last_payment(books, "agent-2", &at, &room->error), AEGIS_BOOKS_NONE);
    assert_int_equal(aegis_books_last_payment(books, NULL, &at, &room->error), AEGIS_BOOKS_FOUND);
    assert_int_equal(aegis_books_last_price(books, "agent-1", "GET", made.url, &scaled, &at, &room->error),
                     AEGIS_BOOKS_FOUND);
    assert_true(scaled == 1000000000000000000u);
    assert_int_equal(aegis_books_last_price(books, "agent-1", "POST", made.url, &scaled, &at, &room->error),
                     AEGIS_BOOKS_NONE);
}

static void keeps_state_of_policies(void **state)
{
    struct room *room = *state;
    struct aegis_books *books = aegis_ledger_books(room->ledger);
    json_t *value = NULL;
    append(room, AEGIS_ENTRY_STATE, START, NULL, NULL,
           json_pack("{s:s,s:s,s:{s:i}}", "policy", "p", "key", "k", "value", "n", 3));
    assert_int_equal(aegis_books_state(books, "p", "k", &value, &room->error), AEGIS_BOOKS_FOUND);
    assert_int_equal(aegis_json_integer(value, "n", 0), 3);
    json_decref(value);
    assert_int_equal(aegis_books_state(books, "q", "k", &value, &room->error), AEGIS_BOOKS_NONE);
    append(room, AEGIS_ENTRY_STATE, START, NULL, NULL, json_pack("{s:s,s:s}", "policy", "p", "key", "k"));
    assert_int_equal(aegis_books_state(books, "p", "k", &value, &room->error), AEGIS_BOOKS_NONE);
    must_verify(room, 2);
}

static void exports(void **state)
{
    struct room *room = *state;
    struct made made = a_payment();
    made.url = "http://shop.example/a,b\"c";
    made.host = "=cmd()";
    buy(room, &made, "pay_1");
    struct aegis_reader *reader = aegis_reader_open(room->path, &room->error);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct aegis_payment_filter filter = {0};
    assert_true(aegis_reader_export_csv(reader, &filter, out, &room->error));
    fclose(out);
    assert_non_null(strstr(text, "\"http://shop.example/a,b\"\"c\""));
    assert_non_null(strstr(text, ",'=cmd(),"));
    assert_non_null(strstr(text, ",1000000,1,"));
    free(text);
    out = open_memstream(&text, &size);
    assert_true(aegis_reader_export_lines(reader, 1, out, &room->error));
    fclose(out);
    size_t lines = 0;
    for (const char *at = text; *at != '\0'; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 2);
    free(text);
    aegis_reader_close(&reader);
}

static bool count_row(const struct aegis_payment_row *row, void *context)
{
    json_t *all = context;
    json_array_append_new(all, json_string(row->id));
    return true;
}

static size_t count_payments(struct room *room, struct aegis_payment_filter filter)
{
    json_t *all = json_array();
    assert_true(
        aegis_books_payments(aegis_ledger_books(room->ledger), &filter, count_row, all, &room->error));
    size_t count = json_array_size(all);
    json_decref(all);
    return count;
}

static void filters_payments(void **state)
{
    struct room *room = *state;
    struct made made = a_payment();
    buy(room, &made, "pay_1");
    made.at += DAY;
    made.agent = "agent-2";
    made.network = "eip155:8453";
    buy(room, &made, "pay_2");
    append(room, AEGIS_ENTRY_UNKNOWN, made.at, "agent-2", "pay_2", json_pack("{s:i}", "status", 0));
    assert_int_equal(count_payments(room, (struct aegis_payment_filter){0}), 2);
    assert_int_equal(count_payments(room, (struct aegis_payment_filter){.agent = "agent-1"}), 1);
    assert_int_equal(count_payments(room, (struct aegis_payment_filter){.network = "eip155:8453"}), 1);
    assert_int_equal(
        count_payments(room, (struct aegis_payment_filter){.states = 1u << AEGIS_PAYMENT_UNKNOWN}), 1);
    assert_int_equal(count_payments(room, (struct aegis_payment_filter){.from = START + 1}), 1);
    assert_int_equal(count_payments(room, (struct aegis_payment_filter){.until = START}), 0);
    assert_int_equal(count_payments(room, (struct aegis_payment_filter){.limit = 1, .newest_first = true}),
                     1);
    assert_int_equal(count_payments(room, (struct aegis_payment_filter){.after_seq = 2}), 1);
}

/* Random histories: the books, recomputed, equal the stored ones, and their sums those of a model that is
 * nothing but a list. */

enum { MODEL = 400 };

struct model {
    struct made made;
    char id[AEGIS_ENTRY_ID_TEXT];
    enum aegis_payment_state state;
};

static uint32_t seed;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

static struct made random_payment(int64_t at)
{
    static const char *const agents[] = {"agent-1", "agent-2", "agent-3"};
    static const char *const hosts[] = {"a.example", "b.example"};
    static const char *const payees[] = {"0xA", "0xB"};
    static const char *const networks[] = {"eip155:1", "eip155:8453"};
    static const char *const tokens[] = {"USDC", "EURC"};
    struct made made = a_payment();
    made.agent = agents[dice(3)];
    made.host = hosts[dice(2)];
    made.payee = payees[dice(2)];
    made.network = networks[dice(2)];
    made.token = tokens[dice(2)];
    made.key = dice(4) == 0 ? "key" : NULL;
    made.amount = dice(1000000) + 1;
    made.at = at;
    return made;
}

static json_t *random_change(enum aegis_entry_kind kind)
{
    switch (kind) {
    case AEGIS_ENTRY_SETTLED:
        return json_pack("{s:s,s:s}", "by", "chain", "transaction", "0xab");
    case AEGIS_ENTRY_EXPIRED:
    case AEGIS_ENTRY_CANCELLED:
        return json_pack("{s:i,s:i}", "block", 1, "block_time", 2);
    case AEGIS_ENTRY_REPEATED:
        return json_object();
    default:
        return json_pack("{s:i}", "status", 500);
    }
}

static void change_one(struct room *room, struct model *model, int64_t at)
{
    static const enum aegis_entry_kind kinds[] = {
        AEGIS_ENTRY_SETTLED, AEGIS_ENTRY_DELIVERED, AEGIS_ENTRY_REFUSED, AEGIS_ENTRY_UNKNOWN,
        AEGIS_ENTRY_EXPIRED, AEGIS_ENTRY_CANCELLED, AEGIS_ENTRY_REPEATED};
    enum aegis_entry_kind kind = kinds[dice(7)];
    enum aegis_payment_state to;
    if (!aegis_payment_state_next(model->state, kind, &to))
        return;
    assert_true(maker_append(room->ledger, kind, at, model->made.agent, model->id, random_change(kind)));
    model->state = to;
}

static bool in_scope(const struct made *made, const struct aegis_books_scope *scope)
{
    return (scope->agent == NULL || strcmp(scope->agent, made->agent) == 0) &&
           (scope->host == NULL || strcmp(scope->host, made->host) == 0) &&
           (scope->payee == NULL || strcmp(scope->payee, made->payee) == 0) &&
           (scope->network == NULL || aegis_books_pattern(scope->network, made->network)) &&
           (scope->token == NULL || strcmp(scope->token, "*") == 0 || strcmp(scope->token, made->token) == 0);
}

static void model_sum(const struct model *all, size_t count, const struct aegis_books_scope *scope,
                      int64_t from, struct aegis_books_sum *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < count; i++) {
        aegis_amount scaled;
        if (!in_scope(&all[i].made, scope) || all[i].made.at < from ||
            !aegis_payment_state_counts(all[i].state))
            continue;
        aegis_amount_scale(all[i].made.amount, 6, &scaled);
        if (all[i].state == AEGIS_PAYMENT_SETTLED) {
            out->settled += scaled;
            out->settlements++;
        } else {
            out->exposed += scaled;
        }
        out->payments++;
    }
}

static void same_sum(const struct aegis_books_sum *a, const struct aegis_books_sum *b)
{
    assert_true(a->settled == b->settled && a->exposed == b->exposed);
    assert_int_equal(a->payments, b->payments);
    assert_int_equal(a->settlements, b->settlements);
}

static void compare_sums(struct room *room, const struct model *all, size_t count, int64_t now)
{
    static const char *const windows[] = {"hour",  "day",          "week",          "month",
                                          "total", "rolling:7200", "rolling:200000"};
    struct aegis_books *books = aegis_ledger_books(room->ledger);
    for (int i = 0; i < 60; i++) {
        struct aegis_books_sum expected, found;
        struct made like = random_payment(now);
        struct aegis_books_scope scope = {
            .agent = dice(2) ? like.agent : NULL,
            .host = dice(2) ? like.host : NULL,
            .payee = dice(2) ? like.payee : NULL,
            .network = dice(2) ? "eip155:*" : like.network,
            .token = dice(2) ? "*" : like.token,
        };
        uint32_t window = dice(7);
        int64_t start = window < 5 ? 0 : now - (window == 5 ? 7200000 : 200000000) + 1, end, resets_at;
        if (window < 5)
            aegis_window_bounds((enum aegis_window)window, now, &start, &end);
        model_sum(all, count, &scope, start, &expected);
        assert_true(aegis_books_spent(books, &scope, windows[window], now, &found, &resets_at, &room->error));
        same_sum(&expected, &found);
        int64_t day = (now - (int64_t)dice(5) * DAY) / DAY;
        model_sum(all, count, &scope, day * DAY, &expected);
        assert_true(aegis_books_rollup(books, &scope, day, &found, &room->error));
        same_sum(&expected, &found);
    }
}

static void random_histories(void **state)
{
    for (int round = 0; round < 6; round++) {
        struct room *room = *state;
        struct model *all = calloc(MODEL, sizeof *all);
        size_t count = 0;
        int64_t now = START;
        const char *given = getenv("AEGIS_SEED");
        seed = given != NULL ? (uint32_t)strtoul(given, NULL, 10)
                             : (uint32_t)time(NULL) * 2654435761u + (uint32_t)round;
        print_message("AEGIS_SEED=%" PRIu32 "\n", seed);
        while (count < MODEL) {
            assert_true(aegis_ledger_begin(room->ledger, &room->error));
            for (uint32_t i = dice(40); i > 0 && count < MODEL; i--) {
                now += dice(3600000);
                if (dice(3) > 0 || count == 0) {
                    all[count].made = random_payment(now);
                    all[count].state = AEGIS_PAYMENT_SIGNED;
                    aegis_entry_id("pay_", now, all[count].id);
                    assert_true(maker_buy(room->ledger, &all[count].made, all[count].id, count));
                    count++;
                } else {
                    change_one(room, &all[dice((uint32_t)count)], now);
                }
            }
            if (dice(10) == 0) {
                /* What is rolled back was never there; here the batch is then lost for the model too. */
                assert_int_equal(aegis_ledger_commit(room->ledger, &room->error), AEGIS_LEDGER_OK);
                struct made lost = random_payment(now);
                assert_true(aegis_ledger_begin(room->ledger, &room->error));
                assert_true(maker_buy(room->ledger, &lost, "pay_lost", 999999));
                aegis_ledger_rollback(room->ledger);
                continue;
            }
            assert_int_equal(aegis_ledger_commit(room->ledger, &room->error), AEGIS_LEDGER_OK);
        }
        compare_sums(room, all, count, now);
        must_verify(room, aegis_ledger_seq(room->ledger));
        assert_true(aegis_ledger_reopen(room->ledger, &room->error));
        compare_sums(room, all, count, now);
        free(all);
        teardown(state);
        setup(state);
    }
}

/* A failing disk: every call that changes a file fails in turn, before or after it did its work, once or from
 * then on. What was acknowledged must be there after reopening; the rest may or may not; the ledger must be
 * whole. */

static bool try_to_buy(struct room *room, int64_t number, enum aegis_ledger_result *result)
{
    char id[40];
    struct made made = a_payment();
    snprintf(id, sizeof id, "pay_%" PRId64, number);
    made.at += number;
    if (!aegis_ledger_begin(room->ledger, &room->error)) {
        *result = AEGIS_LEDGER_NOT_STORED;
        return false;
    }
    if (!maker_buy(room->ledger, &made, id, (unsigned long)number)) {
        aegis_ledger_rollback(room->ledger);
        *result = AEGIS_LEDGER_NOT_STORED;
        return false;
    }
    *result = aegis_ledger_commit(room->ledger, &room->error);
    return *result == AEGIS_LEDGER_OK;
}

static bool is_there(struct room *room, int64_t number)
{
    char id[40];
    struct aegis_payment_row row;
    snprintf(id, sizeof id, "pay_%" PRId64, number);
    enum aegis_books_result result =
        aegis_books_payment(aegis_ledger_books(room->ledger), id, &row, &room->error);
    assert_int_not_equal(result, AEGIS_BOOKS_ERROR);
    if (result == AEGIS_BOOKS_FOUND)
        aegis_payment_row_clear(&row);
    return result == AEGIS_BOOKS_FOUND;
}

/* One run: the call `at` fails. False when there was no such call any more. */
static bool one_failure(void **state, long at, bool forever, bool after)
{
    struct room *room = *state;
    enum aegis_ledger_result results[4];
    failing = (struct failing){.fail_at = at, .forever = forever, .after = after};
    for (int64_t i = 0; i < 4; i++) {
        if (try_to_buy(room, i, &results[i]))
            continue;
        if (!forever)
            failing.fail_at = 0;
        else
            failing = (struct failing){0};
        if (!aegis_ledger_reopen(room->ledger, &room->error))
            fail_msg("call %ld: %s", at, room->error.text);
    }
    bool failed = failing.calls >= at || failing.fail_at == 0;
    failing = (struct failing){0};
    for (int64_t i = 0; i < 4; i++) {
        if (results[i] == AEGIS_LEDGER_OK && !is_there(room, i))
            fail_msg("call %ld: payment %d was acknowledged and is gone", at, (int)i);
        if (results[i] == AEGIS_LEDGER_NOT_STORED && is_there(room, i))
            fail_msg("call %ld: payment %d was said not to be stored and is there", at, (int)i);
    }
    must_verify(room, aegis_ledger_seq(room->ledger));
    teardown(state);
    setup(state);
    return failed;
}

static void survives_a_failing_disk(void **state)
{
    for (int mode = 0; mode < 4; mode++) {
        long at = 1;
        while (one_failure(state, at, mode & 1, mode & 2))
            at++;
        assert_true(at > 10);
    }
}

/* Ids */

static void ids_sort_by_time(void **state)
{
    char a[AEGIS_ENTRY_ID_TEXT], b[AEGIS_ENTRY_ID_TEXT];
    (void)state;
    aegis_entry_id("pay_", START, a);
    aegis_entry_id("pay_", START + 1, b);
    assert_int_equal(strlen(a), 36);
    assert_true(strcmp(a, b) < 0);
    aegis_entry_id("pay_", START, b);
    assert_string_not_equal(a, b);
}

static void impossible_entries_end_the_process(void **state)
{
    (void)state;
    enum aegis_payment_state to;
    for (int kind = 0; kind < AEGIS_ENTRY_KINDS; kind++) {
        assert_false(aegis_payment_state_next(AEGIS_PAYMENT_EXPIRED, (enum aegis_entry_kind)kind, &to));
        assert_false(aegis_payment_state_next(AEGIS_PAYMENT_CANCELLED, (enum aegis_entry_kind)kind, &to));
        assert_int_equal(aegis_payment_state_next(AEGIS_PAYMENT_SETTLED, (enum aegis_entry_kind)kind, &to),
                         kind == AEGIS_ENTRY_REPEATED);
    }
    /* Nobody's word gives money back: from any state that counts only a proof leads to one that does not. */
    for (int state_from = 0; state_from < AEGIS_PAYMENT_STATES; state_from++)
        for (int kind = 0; kind < AEGIS_ENTRY_KINDS; kind++)
            if (aegis_payment_state_next((enum aegis_payment_state)state_from, (enum aegis_entry_kind)kind,
                                         &to) &&
                !aegis_payment_state_counts(to))
                assert_true(kind == AEGIS_ENTRY_EXPIRED || kind == AEGIS_ENTRY_CANCELLED);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(begins_empty),
        CASE(hashes_the_canonical_form),
        CASE(follows_and_tells_history),
        CASE(refuses_a_second_writer),
        CASE(refuses_a_newer_schema),
        CASE(refuses_a_foreign_database),
        CASE(refuses_a_changed_tail),
        CASE(refuses_a_cut_tail),
        CASE(refuses_what_is_no_database),
        CASE(finds_every_change),
        CASE(finds_impossible_histories),
        CASE(finds_changed_books),
        CASE(keeps_books),
        CASE(keeps_state_of_policies),
        CASE(filters_payments),
        CASE(exports),
        CASE(random_histories),
        CASE(survives_a_failing_disk),
        CASE(ids_sort_by_time),
        CASE(impossible_entries_end_the_process),
    };
    if (sodium_init() < 0)
        return 99;
    failing_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
