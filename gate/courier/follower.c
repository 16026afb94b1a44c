#include "gate/courier/follower.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/courier/notification.h"
#include "gate/ledger/reader.h"

#define STEP_ENTRIES 500  /* read at most so many at once */
#define CURSOR_LAG   5000 /* entries without a message after which the cursor is stored all the same */

struct aegis_follower {
    char *ledger;
    char *operator_id;
    struct aegis_bus *bus;
    const struct aegis_courier_identity *identity;
    struct aegis_reader *reader; /* NULL: to be opened */
    struct aegis_bus_cursor
        cursor; /* how far we are; what is stored may be behind, by entries without a message */
    int64_t stored;
    struct aegis_agent_row agent; /* the last one asked for */
};

struct aegis_follower *aegis_follower_new(const struct aegis_follower_options *options, struct aegis_bus *bus,
                                          const struct aegis_courier_identity *identity)
{
    struct aegis_follower *follower = aegis_alloc(sizeof *follower);
    follower->ledger = aegis_strdup(options->ledger);
    follower->operator_id = aegis_strdup(options->operator_id);
    follower->bus = bus;
    follower->identity = identity;
    return follower;
}

void aegis_follower_free(struct aegis_follower **follower)
{
    if (*follower == NULL)
        return;
    aegis_reader_close(&(*follower)->reader);
    aegis_agent_row_clear(&(*follower)->agent);
    free((*follower)->ledger);
    free((*follower)->operator_id);
    free(*follower);
    *follower = NULL;
}

struct cursor_check {
    const struct aegis_bus_cursor *cursor;
    bool same;
};

static bool check_entry(const struct aegis_entry *entry, void *context)
{
    struct cursor_check *check = context;
    check->same =
        entry->seq == check->cursor->seq && memcmp(entry->hash, check->cursor->hash, AEGIS_HASH_SIZE) == 0;
    return false;
}

/* Opens the ledger and finds the cursor's place in it. In another ledger than the one we followed everything
 * is new; what it shares with the old one is not told twice, because a message's id comes from its entry's
 * hash. */
static bool start(struct aegis_follower *follower, struct aegis_error *error)
{
    follower->reader = aegis_reader_open(follower->ledger, error);
    if (follower->reader == NULL)
        return false;
    struct cursor_check check = {.cursor = &follower->cursor};
    bool good = aegis_bus_cursor_get(follower->bus, &follower->cursor, error) &&
                (follower->cursor.seq == 0 || aegis_reader_follow(follower->reader, follower->cursor.seq - 1,
                                                                  1, check_entry, &check, error));
    if (!good) {
        aegis_reader_close(&follower->reader);
        return false;
    }
    if (follower->cursor.seq != 0 && !check.same) {
        aegis_log(AEGIS_LOG_WARNING,
                  "%s is not the ledger that was followed up to entry %lld: beginning anew", follower->ledger,
                  (long long)follower->cursor.seq);
        memset(&follower->cursor, 0, sizeof follower->cursor);
    }
    follower->stored = follower->cursor.seq;
    return true;
}

static const char *agent_name(const char *agent, void *context)
{
    struct aegis_follower *follower = context;
    struct aegis_error ignored;
    if (agent[0] == '\0')
        return "";
    aegis_agent_row_clear(&follower->agent);
    memset(&follower->agent, 0, sizeof follower->agent);
    if (aegis_books_agent(aegis_reader_books(follower->reader), agent, &follower->agent, &ignored) !=
        AEGIS_BOOKS_FOUND)
        return "";
    return follower->agent.name;
}

/* One step's work: the entries' messages, gathered before anything is written. */
struct step {
    struct aegis_follower *follower;
    struct aegis_bus_cursor cursor;
    size_t entries;
    json_t *messages; /* array */
    json_t *times;    /* array, ms */
};

static json_t *sign(struct aegis_follower *follower, json_t *message)
{
    if (aegis_courier_identity_sign(follower->identity, message))
        return message;
    /* Only a plugin's metadata can hold what has no canonical form. */
    aegis_log(AEGIS_LOG_WARNING, "a notice's metadata cannot be signed and was left out");
    json_object_set_new(message, "metadata", json_pack("{s:s}", "kind", "metadata_unusable"));
    AEGIS_ASSERT(aegis_courier_identity_sign(follower->identity, message));
    return message;
}

static bool take_entry(const struct aegis_entry *entry, void *context)
{
    struct step *step = context;
    struct aegis_follower *follower = step->follower;
    const struct aegis_notification_context about = {.agent_id =
                                                         aegis_courier_identity_agent(follower->identity),
                                                     .operator_id = follower->operator_id,
                                                     .agent_name = agent_name,
                                                     .context = follower};
    json_t *message = aegis_notification_of(entry, &about);
    if (message != NULL) {
        json_array_append_new(step->messages, sign(follower, message));
        json_array_append_new(step->times, json_integer(entry->at));
    }
    step->entries++;
    step->cursor.seq = entry->seq;
    memcpy(step->cursor.hash, entry->hash, AEGIS_HASH_SIZE);
    return true;
}

static bool put_messages(struct aegis_follower *follower, const struct step *step, struct aegis_error *error)
{
    size_t i;
    json_t *message;
    bool good = true;
    json_array_foreach(step->messages, i, message)
    {
        char *body = aegis_json_canonical(message, NULL);
        const struct aegis_bus_message row = {.id = aegis_json_text(message, "id", ""),
                                              .type = aegis_json_text(message, "type", ""),
                                              .sender = aegis_json_text(message, "agentId", ""),
                                              .recipient = aegis_json_text(message, "toAgent", ""),
                                              .source = "ledger",
                                              .at = json_integer_value(json_array_get(step->times, i)),
                                              .body = body};
        good = good && aegis_bus_put(follower->bus, &row, error);
        free(body);
    }
    return good;
}

/* Messages and cursor, or neither. */
static bool store(struct aegis_follower *follower, const struct step *step, struct aegis_error *error)
{
    if (!aegis_bus_begin(follower->bus, error))
        return false;
    if (put_messages(follower, step, error) && aegis_bus_cursor_set(follower->bus, &step->cursor, error) &&
        aegis_bus_commit(follower->bus, error)) {
        follower->stored = step->cursor.seq;
        return true;
    }
    aegis_bus_rollback(follower->bus);
    return false;
}

static bool take_step(struct aegis_follower *follower, struct step *step, struct aegis_error *error)
{
    if (!aegis_reader_follow(follower->reader, follower->cursor.seq, STEP_ENTRIES, take_entry, step, error))
        return false;
    bool due = json_array_size(step->messages) > 0 || step->cursor.seq - follower->stored >= CURSOR_LAG;
    if (due && !store(follower, step, error))
        return false;
    follower->cursor = step->cursor;
    return true;
}

bool aegis_follower_step(struct aegis_follower *follower, bool *more, struct aegis_error *error)
{
    *more = false;
    if (follower->reader == NULL) {
        if (access(follower->ledger, F_OK) != 0 && errno == ENOENT)
            return true;
        if (!start(follower, error))
            return false;
    }
    struct step step = {
        .follower = follower, .cursor = follower->cursor, .messages = json_array(), .times = json_array()};
    bool good = take_step(follower, &step, error);
    *more = good && step.entries == STEP_ENTRIES;
    json_decref(step.messages);
    json_decref(step.times);
    return good;
}
