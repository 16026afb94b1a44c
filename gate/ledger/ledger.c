#include "gate/ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/ledger/booking.h"
#include "gate/ledger/store.h"

/* How many of the last entries are checked when a ledger is opened. The whole chain is `aegis ledger
 * verify`'s. */
enum { TAIL = 256 };

struct aegis_ledger {
    char *path;
    int lock; /* held for as long as we write */
    struct aegis_books *store;
    struct aegis_booking *booking;
    bool open; /* a transaction is */
    /* Where the next entry goes on, and where it goes on from after a rollback. */
    struct head {
        int64_t seq;
        int64_t at;
        uint8_t hash[AEGIS_HASH_SIZE];
    } head, committed;
};

/* Start and end */

static bool take_lock(struct aegis_ledger *ledger, struct aegis_error *error)
{
    char *path = aegis_format("%s.writer", ledger->path);
    ledger->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = ledger->lock >= 0;
    if (!ok)
        aegis_error_set(error, "%s: %s", path, strerror(errno));
    else if (flock(ledger->lock, LOCK_EX | LOCK_NB) != 0)
        ok = aegis_error_set(error, "%s: another gate writes this ledger", ledger->path);
    free(path);
    return ok;
}

/* SQLite would make the file with the mode that the umask leaves. Nobody has it open yet in this process, so
 * that closing the descriptor takes no lock of SQLite's away. */
static bool make_file(const char *path, struct aegis_error *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return aegis_error_set(error, "%s: %s", path, strerror(errno));
    close(fd);
    return true;
}

static bool check_link(const struct aegis_entry *entry, const struct head *before, struct aegis_error *error)
{
    uint8_t hash[AEGIS_HASH_SIZE];
    if (before->seq != 0 && entry->seq != before->seq + 1)
        return aegis_error_set(error, "entry %lld is missing", (long long)before->seq + 1);
    if (before->seq != 0 && memcmp(entry->prev, before->hash, AEGIS_HASH_SIZE) != 0)
        return aegis_error_set(error, "entry %lld: `prev` is not the hash of entry %lld",
                               (long long)entry->seq, (long long)before->seq);
    if (!aegis_entry_hash(entry, hash) || memcmp(entry->hash, hash, AEGIS_HASH_SIZE) != 0)
        return aegis_error_set(error, "entry %lld: `hash` is not the hash of what it holds",
                               (long long)entry->seq);
    return true;
}

/* Walks the last entries and leaves the head at the last one. */
static bool check_tail(struct aegis_ledger *ledger, struct aegis_error *error)
{
    struct aegis_books *store = ledger->store;
    struct head head = {0};
    sqlite3_stmt *rows =
        aegis_store_bind(store, error,
                         "SELECT " AEGIS_STORE_ENTRY " FROM entry"
                         " WHERE seq > (SELECT coalesce(max(seq), 0) FROM entry) - ?1 ORDER BY seq",
                         "i", (int64_t)TAIL);
    if (rows == NULL)
        return false;
    int code;
    while ((code = aegis_store_step(store, rows, error)) == SQLITE_ROW) {
        struct aegis_entry entry;
        if (!aegis_store_entry(rows, &entry, error) || !check_link(&entry, &head, error)) {
            sqlite3_reset(rows);
            return aegis_error_prefix(error, "%s", ledger->path);
        }
        head.seq = entry.seq;
        head.at = entry.at;
        memcpy(head.hash, entry.hash, AEGIS_HASH_SIZE);
    }
    ledger->head = ledger->committed = head;
    return code == SQLITE_DONE;
}

static bool check_books(struct aegis_ledger *ledger, struct aegis_error *error)
{
    struct aegis_books *store = ledger->store;
    sqlite3_stmt *row = aegis_store_bind(store, error, "SELECT seq, hash FROM head", "");
    if (row == NULL)
        return false;
    int code = aegis_store_step(store, row, error);
    if (code == SQLITE_DONE && ledger->head.seq == 0)
        return true;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return false;
    bool same = code == SQLITE_ROW && sqlite3_column_int64(row, 0) == ledger->head.seq &&
                sqlite3_column_bytes(row, 1) == AEGIS_HASH_SIZE &&
                memcmp(sqlite3_column_blob(row, 1), ledger->head.hash, AEGIS_HASH_SIZE) == 0;
    sqlite3_reset(row);
    if (same)
        return true;
    return aegis_error_set(
        error, "%s: the books do not stand at the last entry (%lld): entries were cut off or added",
        ledger->path, (long long)ledger->head.seq);
}

static bool connect(struct aegis_ledger *ledger, struct aegis_error *error)
{
    bool empty;
    ledger->store = aegis_store_open(ledger->path, SQLITE_OPEN_READWRITE, NULL, error);
    if (ledger->store == NULL)
        return false;
    if (!aegis_store_script(ledger->store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", error) ||
        !aegis_store_recognise(ledger->store, &empty, error) ||
        (empty && !aegis_store_create(ledger->store, error)) || !check_tail(ledger, error) ||
        !check_books(ledger, error))
        return false;
    ledger->booking = aegis_booking_new(ledger->store);
    return true;
}

static void disconnect(struct aegis_ledger *ledger)
{
    aegis_booking_free(&ledger->booking);
    aegis_store_close(&ledger->store);
    ledger->open = false;
}

struct aegis_ledger *aegis_ledger_open(const char *path, struct aegis_error *error)
{
    struct aegis_ledger *ledger = aegis_alloc(sizeof *ledger);
    ledger->path = aegis_strdup(path);
    ledger->lock = -1;
    if (take_lock(ledger, error) && make_file(path, error) && connect(ledger, error))
        return ledger;
    aegis_ledger_close(&ledger);
    return NULL;
}

bool aegis_ledger_reopen(struct aegis_ledger *ledger, struct aegis_error *error)
{
    disconnect(ledger);
    if (connect(ledger, error))
        return true;
    disconnect(ledger);
    return false;
}

void aegis_ledger_close(struct aegis_ledger **pointer)
{
    struct aegis_ledger *ledger = *pointer;
    *pointer = NULL;
    if (ledger == NULL)
        return;
    /* While somebody reads, closing alone leaves everything in the WAL, and a copy of the one file would be
     * of an empty ledger. What cannot be moved stays where it is safe as well. */
    if (ledger->store != NULL && !ledger->open)
        sqlite3_wal_checkpoint_v2(ledger->store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    disconnect(ledger);
    if (ledger->lock >= 0)
        close(ledger->lock);
    free(ledger->path);
    free(ledger);
}

/* Writing */

bool aegis_ledger_begin(struct aegis_ledger *ledger, struct aegis_error *error)
{
    AEGIS_ASSERT(!ledger->open);
    if (ledger->store == NULL)
        return aegis_error_set(error, "%s: is closed", ledger->path);
    ledger->open = aegis_store_run(ledger->store, error, "BEGIN IMMEDIATE", "");
    return ledger->open;
}

static bool append_entry(struct aegis_ledger *ledger, struct aegis_entry *entry, const json_t *body,
                         struct aegis_error *error)
{
    if (!aegis_store_run(ledger->store, error,
                         "INSERT INTO entry(" AEGIS_STORE_ENTRY ") VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                         "iitttThh", entry->seq, entry->at, entry->kind, entry->agent, entry->payment,
                         entry->body, entry->body_length, entry->prev, entry->hash))
        return false;
    enum aegis_booking_result result = aegis_booking_apply(ledger->booking, entry, body, error);
    if (result == AEGIS_BOOKING_IMPOSSIBLE)
        aegis_panic("a ledger entry of ours: %s", error->text);
    return result == AEGIS_BOOKING_OK;
}

bool aegis_ledger_append(struct aegis_ledger *ledger, enum aegis_entry_kind kind, int64_t at,
                         const char *agent, const char *payment, const json_t *body,
                         struct aegis_error *error)
{
    struct aegis_error why = {0};
    AEGIS_ASSERT(ledger->open);
    struct aegis_entry entry = {
        .seq = ledger->head.seq + 1,
        .at = at,
        .kind = aegis_entry_rows[kind].name,
        .agent = agent == NULL ? "" : agent,
        .payment = payment == NULL ? "" : payment,
    };
    char *text = aegis_json_canonical(body, &entry.body_length);
    AEGIS_ASSERT(text != NULL);
    entry.body = text;
    memcpy(entry.prev, ledger->head.hash, AEGIS_HASH_SIZE);
    AEGIS_ASSERT(aegis_entry_hash(&entry, entry.hash));
    bool ok = append_entry(ledger, &entry, body, &why);
    free(text);
    if (!ok)
        return aegis_error_set(error, "%s", why.text);
    ledger->head.seq = entry.seq;
    ledger->head.at = at;
    memcpy(ledger->head.hash, entry.hash, AEGIS_HASH_SIZE);
    return true;
}

void aegis_ledger_rollback(struct aegis_ledger *ledger)
{
    if (!ledger->open)
        return;
    ledger->open = false;
    aegis_booking_discard(ledger->booking);
    sqlite3_exec(ledger->store->db, "ROLLBACK", NULL, NULL, NULL);
    ledger->head = ledger->committed;
}

enum aegis_ledger_result aegis_ledger_commit(struct aegis_ledger *ledger, struct aegis_error *error)
{
    AEGIS_ASSERT(ledger->open);
    if (!aegis_booking_flush(ledger->booking, error)) {
        aegis_ledger_rollback(ledger);
        return AEGIS_LEDGER_NOT_STORED;
    }
    if (!aegis_store_run(ledger->store, error, "COMMIT", "")) {
        aegis_ledger_rollback(ledger);
        return AEGIS_LEDGER_UNKNOWN;
    }
    ledger->open = false;
    ledger->committed = ledger->head;
    return AEGIS_LEDGER_OK;
}

int64_t aegis_ledger_seq(const struct aegis_ledger *ledger)
{
    return ledger->head.seq;
}

int64_t aegis_ledger_at(const struct aegis_ledger *ledger)
{
    return ledger->head.at;
}

struct aegis_books *aegis_ledger_books(struct aegis_ledger *ledger)
{
    struct aegis_error error;
    AEGIS_ASSERT(ledger->store != NULL);
    if (ledger->open && !aegis_booking_flush(ledger->booking, &error))
        aegis_log(AEGIS_LOG_ERROR, "the books could not be brought up to date: %s", error.text);
    return ledger->store;
}
