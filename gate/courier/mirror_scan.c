#include "gate/courier/mirror_scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/hash.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/courier/mirror.h"

#define BUFFER_SIZE   65536
#define ID_LIMIT      200
#define MESSAGE_LIMIT (1u << 20) /* a longer message of somebody else's stays in the file only */

/* Compares the file, from its beginning, with texts that come one after the other. */
struct comparison {
    struct aegis_mirror_scan *scan;
    char buffer[BUFFER_SIZE];
    size_t have; /* bytes in the buffer */
    size_t used; /* of which so many are compared */
    off_t at;    /* bytes of the file compared */
    enum { EQUAL, SHORT, DIFFERENT, BROKEN } state;
};

static bool fill(struct comparison *comparison)
{
    if (comparison->used < comparison->have)
        return true;
    ssize_t got;
    do
        got = pread(comparison->scan->fd, comparison->buffer, sizeof comparison->buffer, comparison->at);
    while (got < 0 && errno == EINTR);
    comparison->used = 0;
    comparison->have = got > 0 ? (size_t)got : 0;
    if (got <= 0)
        comparison->state = got == 0 ? SHORT : BROKEN;
    return got > 0;
}

static bool equals(struct comparison *comparison, const char *text)
{
    size_t left = strlen(text);
    while (left > 0 && fill(comparison)) {
        size_t size = comparison->have - comparison->used;
        if (size > left)
            size = left;
        if (memcmp(comparison->buffer + comparison->used, text, size) != 0) {
            comparison->state = DIFFERENT;
            return false;
        }
        comparison->used += size;
        comparison->at += (off_t)size;
        text += size;
        left -= size;
    }
    return left == 0;
}

/* Whether the file has another message here: ",\n{" (for the first "\n{") rather than the closing bracket. */
static bool closes_here(struct comparison *comparison)
{
    char next[2] = "";
    off_t at = comparison->at;
    ssize_t got = pread(comparison->scan->fd, next, sizeof next, at);
    return got == (ssize_t)sizeof next && memcmp(next, "\n]", 2) == 0;
}

static bool compare_row(const struct aegis_bus_message *message, void *context)
{
    struct comparison *comparison = context;
    struct aegis_mirror_scan *scan = comparison->scan;
    if (closes_here(comparison))
        return false;
    if (!equals(comparison, scan->empty ? "\n" : ",\n") || !equals(comparison, message->body))
        return false;
    scan->empty = false;
    scan->last = message->number;
    scan->end = comparison->at;
    return true;
}

/* GOOD, TORN or FAILED; DAMAGED when it is not what we would have written. */
static enum aegis_mirror_state compare_with_bus(struct aegis_mirror_scan *scan, struct aegis_error *error)
{
    struct comparison *comparison = aegis_alloc(sizeof *comparison);
    comparison->scan = scan;
    scan->empty = true;
    bool good = true;
    bool closed = false;
    if (equals(comparison, AEGIS_MIRROR_HEAD)) {
        scan->end = comparison->at;
        good = aegis_bus_follow(scan->bus, 0, compare_row, comparison, error);
        closed = good && comparison->state == EQUAL && equals(comparison, AEGIS_MIRROR_TAIL);
    }
    if (closed && fill(comparison))
        comparison->state = DIFFERENT; /* something stands behind the end */
    else if (closed && comparison->state == SHORT)
        comparison->state = EQUAL; /* the file ends where it should */
    enum aegis_mirror_state state = AEGIS_MIRROR_GOOD;
    if (comparison->state == BROKEN)
        aegis_error_set(error, "messages.json: %s", strerror(errno));
    if (!good || comparison->state == BROKEN)
        state = AEGIS_MIRROR_FAILED;
    else if (comparison->state != EQUAL)
        state = comparison->state == SHORT ? AEGIS_MIRROR_TORN : AEGIS_MIRROR_DAMAGED;
    free(comparison);
    return state;
}

/* The message as we store it; the caller frees. */
static char *body_of(const json_t *message)
{
    char *canonical = aegis_json_canonical(message, NULL);
    return canonical != NULL ? canonical : aegis_json_compact(message);
}

struct same_search {
    const json_t *message;
    bool found;
    bool same;
};

static bool compare_stored(const struct aegis_bus_message *stored, void *context)
{
    struct same_search *search = context;
    json_t *body = json_loads(stored->body, 0, NULL);
    search->found = true;
    search->same = json_equal(body, (json_t *)search->message) == 1;
    json_decref(body);
    return true;
}

static bool is_recipient(const json_t *message, const char **out)
{
    static const char *const names[] = {"toAgent", "targetAgent", "againstAgent", "aboutAgent"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if ((*out = aegis_json_text(message, names[i], NULL)) != NULL)
            return true;
    return false;
}

static bool store(struct aegis_mirror_scan *scan, const json_t *message, const char *id, const char *body,
                  struct aegis_error *error)
{
    const char *recipient = "";
    int64_t at = scan->now;
    if (!is_recipient(message, &recipient))
        recipient = "";
    aegis_time_parse(aegis_json_text(message, "timestamp", ""), &at);
    const struct aegis_bus_message row = {.id = id,
                                          .type = aegis_json_text(message, "type", ""),
                                          .sender = aegis_json_text(message, "agentId", ""),
                                          .recipient = recipient,
                                          .source = "file",
                                          .at = at,
                                          .body = body};
    return aegis_bus_put(scan->bus, &row, error);
}

/* Under which id the bus has, or shall have, this message: its own, unless that is another message's there,
 * or it calls itself as only the gate's own are called. */
static bool choose_id(struct aegis_mirror_scan *scan, const json_t *message, const char *body,
                      char id[ID_LIMIT + 1], bool *known, struct aegis_error *error)
{
    struct same_search search = {.message = message};
    const char *own = aegis_json_text(message, "id", "");
    bool usable = own[0] != '\0' && strlen(own) <= ID_LIMIT;
    if (usable && !aegis_bus_find(scan->bus, own, compare_stored, &search, error))
        return false;
    *known = search.same;
    if (search.same ||
        (usable && !search.found && strncmp(own, "msg_", 4) != 0 && strncmp(own, "file_", 5) != 0))
        return aegis_text_copy(id, ID_LIMIT + 1, own);
    char hash[AEGIS_HASH_HEX];
    aegis_sha256_hex(body, strlen(body), hash);
    snprintf(id, ID_LIMIT + 1, "file_%.32s", hash);
    search = (struct same_search){.message = message};
    bool good = aegis_bus_find(scan->bus, id, compare_stored, &search, error);
    *known = search.found;
    return good;
}

static bool take_in(struct aegis_mirror_scan *scan, const json_t *message, struct aegis_error *error)
{
    char id[ID_LIMIT + 1];
    bool known = false;
    char *body = body_of(message);
    bool good = true;
    if (body != NULL && strlen(body) <= MESSAGE_LIMIT) {
        good = choose_id(scan, message, body, id, &known, error) &&
               (known || store(scan, message, id, body, error));
        if (good)
            json_object_set_new(scan->present, id, json_true());
    }
    free(body);
    return good;
}

static bool take_in_all(struct aegis_mirror_scan *scan, const json_t *messages, struct aegis_error *error)
{
    size_t i;
    json_t *message;
    bool good = aegis_bus_begin(scan->bus, error);
    json_array_foreach(messages, i, message)
    {
        if (good && json_is_object(message))
            good = take_in(scan, message, error);
    }
    if (!good)
        aegis_bus_rollback(scan->bus);
    return good && aegis_bus_commit(scan->bus, error);
}

static off_t without_space(const char *text, off_t size)
{
    while (size > 0 && strchr(" \t\r\n", text[size - 1]) != NULL)
        size--;
    return size;
}

/* Where in a valid {"messages":[...]} the next message goes. */
static off_t place_of_next(const char *text, off_t size)
{
    size = without_space(text, size) - 1; /* } */
    size = without_space(text, size) - 1; /* ] */
    return without_space(text, size);
}

static char *read_all(struct aegis_mirror_scan *scan, struct aegis_error *error)
{
    char *text = malloc((size_t)scan->size + 1);
    off_t have = 0;
    while (text != NULL && have < scan->size) {
        ssize_t got = pread(scan->fd, text + have, (size_t)(scan->size - have), have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        have += got;
    }
    if (text == NULL || have < scan->size) {
        aegis_error_set(error, "messages.json: %s", strerror(errno));
        free(text);
        return NULL;
    }
    text[scan->size] = '\0';
    return text;
}

static enum aegis_mirror_state read_foreign(struct aegis_mirror_scan *scan, struct aegis_error *error)
{
    struct aegis_error reason;
    if (scan->size > AEGIS_MIRROR_READ_LIMIT)
        return AEGIS_MIRROR_DAMAGED;
    char *text = read_all(scan, error);
    if (text == NULL)
        return AEGIS_MIRROR_FAILED;
    json_t *file = aegis_json_parse(text, (size_t)scan->size, &reason);
    const json_t *messages = json_object_get(file, "messages");
    enum aegis_mirror_state state = AEGIS_MIRROR_DAMAGED;
    if (json_is_array(messages)) {
        scan->present = json_object();
        /* With other members beside it there is no telling where its bracket is. */
        state = !take_in_all(scan, messages, error) ? AEGIS_MIRROR_FAILED
                : json_object_size(file) == 1       ? AEGIS_MIRROR_GOOD
                                                    : AEGIS_MIRROR_DAMAGED;
        scan->end = place_of_next(text, scan->size);
        scan->empty = json_array_size(messages) == 0;
        scan->last = 0;
    }
    json_decref(file);
    free(text);
    return state;
}

enum aegis_mirror_state aegis_mirror_scan_file(struct aegis_mirror_scan *scan, struct aegis_error *error)
{
    enum aegis_mirror_state state = compare_with_bus(scan, error);
    return state == AEGIS_MIRROR_DAMAGED ? read_foreign(scan, error) : state;
}
