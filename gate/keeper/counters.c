#include "gate/keeper/counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/keeper/rolling.h"
#include "gate/keeper/table.h"

#define DAY_MS 86400000

/* How many scope values are kept. Beyond it the one that was not asked for longest goes; it is read from the
 * books again when somebody asks. */
enum { SCOPES = 32768, SEPARATOR = 0x1f };

enum scope_kind { AGENT, GATE, AGENT_HOST, AGENT_PAYEE, HOST, PAYEE, SCOPE_KINDS };
static const char *const scope_names[SCOPE_KINDS] = {"agent",       "gate", "agent+host",
                                                     "agent+payee", "host", "payee"};

enum window_kind { HOUR, DAY, WEEK, MONTH, TOTAL, ROLLING, WINDOW_KINDS };
static const char *const window_names[] = {"hour", "day", "week", "month", "total"};

struct counter {
    LIST_ENTRY(counter) next;
    enum window_kind window;
    int64_t length; /* rolling: ms */
    char *chain;
    char *token;
    int64_t start, end; /* of the window that the sum is about; end of calendar windows only */
    struct aegis_books_sum sum;
    /* Calendar windows: the sum of the one before, as far back as `before_start`. Payments that were begun in
     * it may still be judged, and count there. */
    int64_t before_start;
    struct aegis_books_sum before;
    /* Rolling windows: reach back from the oldest payment being judged; what is too old for a question is
     * taken off its answer. */
    struct aegis_rolling rolling;
};

/* A payment being judged, as one scope sees it. */
struct tentative {
    uint64_t number;
    int64_t at;
    aegis_amount scaled;
    char *network; /* borrowed from the payment's own record */
    char *token;
};

struct tentatives {
    struct tentative *items; /* numbers ascend */
    size_t count, room;
};

struct scope {
    TAILQ_ENTRY(scope) by_use;
    char *key;
    enum scope_kind kind;
    LIST_HEAD(, counter) counters;
    struct tentatives tentatives;
};

/* The whole record of a payment being judged. */
struct judged {
    uint64_t number;
    struct aegis_share share;
};

struct aegis_counters {
    struct aegis_table *scopes;
    TAILQ_HEAD(, scope) by_use; /* the longest unused first */
    bool asked[SCOPE_KINDS];    /* somebody asks about this kind of scope: only those are kept */
    uint64_t last;
    int64_t latest;        /* time that anything was about */
    struct judged *judged; /* numbers ascend */
    size_t judged_count, judged_room;
    size_t counters;
};

struct aegis_counters *aegis_counters_new(void)
{
    struct aegis_counters *counters = aegis_alloc(sizeof *counters);
    counters->scopes = aegis_table_new();
    TAILQ_INIT(&counters->by_use);
    return counters;
}

/* Scopes */

static void counter_free(struct aegis_counters *counters, struct counter *counter)
{
    LIST_REMOVE(counter, next);
    aegis_rolling_clear(&counter->rolling);
    free(counter->chain);
    free(counter->token);
    free(counter);
    counters->counters--;
}

static void scope_free(struct aegis_counters *counters, struct scope *scope)
{
    while (!LIST_EMPTY(&scope->counters))
        counter_free(counters, LIST_FIRST(&scope->counters));
    TAILQ_REMOVE(&counters->by_use, scope, by_use);
    aegis_table_remove(counters->scopes, scope->key);
    free(scope->tentatives.items);
    free(scope->key);
    free(scope);
}

/* The name of the scope of `kind` that `share` falls into. Agents, hosts and addresses have no control
 * characters. The caller frees, unless it fitted into `room`. */
static char *scope_key(enum scope_kind kind, const struct aegis_share *share, char *room, size_t size)
{
    const char *a = "", *b = "";
    if (kind == AGENT || kind == AGENT_HOST || kind == AGENT_PAYEE)
        a = share->agent;
    if (kind == HOST || kind == AGENT_HOST)
        b = share->host;
    if (kind == PAYEE || kind == AGENT_PAYEE)
        b = share->payee;
    size_t first = strlen(a), second = strlen(b), length = first + second + 4;
    char *key = length <= size ? room : aegis_alloc(length);
    key[0] = (char)('a' + (int)kind);
    key[1] = SEPARATOR;
    memcpy(key + 2, a, first);
    key[2 + first] = SEPARATOR;
    memcpy(key + 3 + first, b, second + 1);
    return key;
}

static void scope_evict(struct aegis_counters *counters)
{
    if (aegis_table_count(counters->scopes) < SCOPES)
        return;
    struct scope *scope;
    TAILQ_FOREACH(scope, &counters->by_use, by_use)
    {
        if (scope->tentatives.count == 0) {
            scope_free(counters, scope);
            return;
        }
    }
}

static struct scope *scope_find(struct aegis_counters *counters, enum scope_kind kind,
                                const struct aegis_share *share, bool make)
{
    char room[256];
    char *key = scope_key(kind, share, room, sizeof room);
    struct scope *scope = aegis_table_get(counters->scopes, key);
    if (scope != NULL) {
        TAILQ_REMOVE(&counters->by_use, scope, by_use);
        TAILQ_INSERT_TAIL(&counters->by_use, scope, by_use);
    } else if (make) {
        scope_evict(counters);
        scope = aegis_alloc(sizeof *scope);
        scope->key = aegis_strdup(key);
        scope->kind = kind;
        LIST_INIT(&scope->counters);
        TAILQ_INSERT_TAIL(&counters->by_use, scope, by_use);
        aegis_table_put(counters->scopes, key, scope);
    }
    if (key != room)
        free(key);
    return scope;
}

void aegis_counters_reset(struct aegis_counters *counters, int64_t now)
{
    struct scope *scope;
    TAILQ_FOREACH(scope, &counters->by_use, by_use)
    {
        while (!LIST_EMPTY(&scope->counters))
            counter_free(counters, LIST_FIRST(&scope->counters));
    }
    counters->latest = now;
}

static void share_clear(struct aegis_share *share)
{
    free((char *)share->agent);
    free((char *)share->host);
    free((char *)share->payee);
    free((char *)share->network);
    free((char *)share->token);
}

void aegis_counters_free(struct aegis_counters **pointer)
{
    struct aegis_counters *counters = *pointer;
    *pointer = NULL;
    if (counters == NULL)
        return;
    while (!TAILQ_EMPTY(&counters->by_use))
        scope_free(counters, TAILQ_FIRST(&counters->by_use));
    for (size_t i = 0; i < counters->judged_count; i++)
        share_clear(&counters->judged[i].share);
    free(counters->judged);
    aegis_table_free(&counters->scopes);
    free(counters);
}

static void pass(struct aegis_counters *counters, int64_t at)
{
    if (at > counters->latest)
        counters->latest = at;
}

/* Tentative payments */

static void tentatives_add(struct tentatives *list, uint64_t number, const struct aegis_share *share)
{
    if (list->count == list->room) {
        list->room = list->room == 0 ? 8 : list->room * 2;
        list->items = realloc(list->items, list->room * sizeof *list->items);
        AEGIS_ASSERT(list->items != NULL);
    }
    list->items[list->count++] =
        (struct tentative){number, share->at, share->scaled, (char *)share->network, (char *)share->token};
}

static void tentatives_remove(struct tentatives *list, uint64_t number)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (list->items[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    AEGIS_ASSERT(low < list->count && list->items[low].number == number);
    list->count--;
    memmove(&list->items[low], &list->items[low + 1], (list->count - low) * sizeof *list->items);
}

/* A kind of scope is asked about for the first time: those that are being judged get their places in it. */
static void start_asking(struct aegis_counters *counters, enum scope_kind kind)
{
    if (counters->asked[kind])
        return;
    counters->asked[kind] = true;
    for (size_t i = 0; i < counters->judged_count; i++) {
        struct judged *judged = &counters->judged[i];
        tentatives_add(&scope_find(counters, kind, &judged->share, true)->tentatives, judged->number,
                       &judged->share);
    }
}

uint64_t aegis_counters_try(struct aegis_counters *counters, const struct aegis_share *share)
{
    AEGIS_ASSERT(share->scaled <= AEGIS_SHARE_MAX);
    pass(counters, share->at);
    if (counters->judged_count == counters->judged_room) {
        counters->judged_room = counters->judged_room == 0 ? 64 : counters->judged_room * 2;
        counters->judged = realloc(counters->judged, counters->judged_room * sizeof *counters->judged);
        AEGIS_ASSERT(counters->judged != NULL);
    }
    struct judged *judged = &counters->judged[counters->judged_count++];
    judged->number = ++counters->last;
    judged->share = *share;
    judged->share.agent = aegis_strdup(share->agent);
    judged->share.host = aegis_strdup(share->host);
    judged->share.payee = aegis_strdup(share->payee);
    judged->share.network = aegis_strdup(share->network);
    judged->share.token = aegis_strdup(share->token);
    for (int kind = 0; kind < SCOPE_KINDS; kind++)
        if (counters->asked[kind])
            tentatives_add(&scope_find(counters, (enum scope_kind)kind, share, true)->tentatives,
                           judged->number, &judged->share);
    return judged->number;
}

/* Takes the record out; its texts are the caller's. */
static struct aegis_share judged_take(struct aegis_counters *counters, uint64_t number)
{
    size_t low = 0, high = counters->judged_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (counters->judged[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    AEGIS_ASSERT(low < counters->judged_count && counters->judged[low].number == number);
    struct aegis_share share = counters->judged[low].share;
    counters->judged_count--;
    memmove(&counters->judged[low], &counters->judged[low + 1],
            (counters->judged_count - low) * sizeof *counters->judged);
    for (int kind = 0; kind < SCOPE_KINDS; kind++)
        if (counters->asked[kind])
            tentatives_remove(&scope_find(counters, (enum scope_kind)kind, &share, false)->tentatives,
                              number);
    return share;
}

void aegis_counters_drop(struct aegis_counters *counters, uint64_t number)
{
    struct aegis_share share = judged_take(counters, number);
    share_clear(&share);
}

void aegis_counters_keep(struct aegis_counters *counters, uint64_t number)
{
    struct aegis_share share = judged_take(counters, number);
    aegis_counters_move(counters, &share, AEGIS_COUNTED_NOT, AEGIS_COUNTED_EXPOSED);
    share_clear(&share);
}

/* Durable sums */

static bool takes(const char *chain, const char *token, const char *network, const char *symbol)
{
    return aegis_books_pattern(chain, network) && (strcmp(token, "*") == 0 || strcmp(token, symbol) == 0);
}

/* Moves a calendar counter to the window that holds `now`. No payment that is in the new window was left out
 * before, since whatever is in it came by here. */
static void counter_turn(struct counter *counter, int64_t now)
{
    if (counter->window == ROLLING || now < counter->end)
        return;
    int64_t start = counter->start, end = counter->end;
    aegis_window_bounds((enum aegis_window)counter->window, now, &counter->start, &counter->end);
    bool next = counter->start == end;
    counter->before_start = next ? start : end;
    counter->before = next ? counter->sum : (struct aegis_books_sum){0};
    memset(&counter->sum, 0, sizeof counter->sum);
}

static void sum_move(struct aegis_books_sum *sum, aegis_amount scaled, enum aegis_counted from,
                     enum aegis_counted to)
{
    aegis_amount *places[] = {NULL, &sum->exposed, &sum->settled};
    AEGIS_ASSERT(from == AEGIS_COUNTED_NOT || aegis_amount_sub(*places[from], scaled, places[from]));
    AEGIS_ASSERT(to == AEGIS_COUNTED_NOT || aegis_amount_add(*places[to], scaled, places[to]));
    sum->payments += (uint64_t)(to != AEGIS_COUNTED_NOT) - (uint64_t)(from != AEGIS_COUNTED_NOT);
    sum->settlements += (uint64_t)(to == AEGIS_COUNTED_SETTLED) - (uint64_t)(from == AEGIS_COUNTED_SETTLED);
}

static void counter_move(struct counter *counter, const struct aegis_share *share, enum aegis_counted from,
                         enum aegis_counted to)
{
    if (!takes(counter->chain, counter->token, share->network, share->token))
        return;
    counter_turn(counter, share->at);
    if (share->at >= counter->start) {
        if (counter->window == ROLLING)
            sum_move(aegis_rolling_at(&counter->rolling, share->at), share->scaled, from, to);
        sum_move(&counter->sum, share->scaled, from, to);
    } else if (counter->window != ROLLING && share->at >= counter->before_start) {
        sum_move(&counter->before, share->scaled, from, to);
    }
}

void aegis_counters_move(struct aegis_counters *counters, const struct aegis_share *share,
                         enum aegis_counted from, enum aegis_counted to)
{
    if (from == to)
        return;
    for (int kind = 0; kind < SCOPE_KINDS; kind++) {
        struct scope *scope = NULL;
        struct counter *counter;
        if (counters->asked[kind])
            scope = scope_find(counters, (enum scope_kind)kind, share, false);
        if (scope == NULL)
            continue;
        LIST_FOREACH(counter, &scope->counters, next) counter_move(counter, share, from, to);
    }
}

/* Filling a new counter from the books */

static void fill(int64_t at, aegis_amount scaled, bool settled, void *context)
{
    struct counter *counter = context;
    enum aegis_counted to = settled ? AEGIS_COUNTED_SETTLED : AEGIS_COUNTED_EXPOSED;
    if (counter->window == ROLLING)
        sum_move(aegis_rolling_at(&counter->rolling, at), scaled, AEGIS_COUNTED_NOT, to);
    sum_move(&counter->sum, scaled, AEGIS_COUNTED_NOT, to);
}

static bool counter_fill(struct counter *counter, struct aegis_books *books,
                         const struct aegis_books_scope *of, int64_t now, struct aegis_error *error)
{
    if (counter->window == ROLLING) {
        counter->start = now - counter->length + 1;
        return aegis_books_since(books, of, counter->start, fill, counter, error);
    }
    aegis_window_bounds((enum aegis_window)counter->window, now, &counter->start, &counter->end);
    counter->before_start = counter->start;
    if (counter->window == HOUR)
        return aegis_books_since(books, of, counter->start, fill, counter, error);
    int64_t day = counter->window == TOTAL ? 0 : counter->start / DAY_MS;
    return aegis_books_rollup(books, of, day, &counter->sum, error);
}

static struct counter *counter_new(struct aegis_counters *counters, struct scope *scope,
                                   struct aegis_books *books, const struct counter *like,
                                   const struct aegis_share *share, int64_t now, struct aegis_error *error)
{
    enum scope_kind kind = scope->kind;
    struct aegis_books_scope of = {
        .agent = kind == AGENT || kind == AGENT_HOST || kind == AGENT_PAYEE ? share->agent : NULL,
        .host = kind == HOST || kind == AGENT_HOST ? share->host : NULL,
        .payee = kind == PAYEE || kind == AGENT_PAYEE ? share->payee : NULL,
        .network = like->chain,
        .token = like->token,
    };
    struct counter *counter = aegis_alloc(sizeof *counter);
    counter->window = like->window;
    counter->length = like->length;
    counter->chain = aegis_strdup(like->chain);
    counter->token = aegis_strdup(like->token);
    LIST_INSERT_HEAD(&scope->counters, counter, next);
    counters->counters++;
    if (counter_fill(counter, books, &of, now, error))
        return counter;
    counter_free(counters, counter);
    return NULL;
}

/* Answers */

static bool parse_scope(const char *text, enum scope_kind *out)
{
    for (int kind = 0; kind < SCOPE_KINDS; kind++) {
        if (strcmp(text, scope_names[kind]) == 0) {
            *out = (enum scope_kind)kind;
            return true;
        }
    }
    return false;
}

static bool parse_window(const char *text, struct counter *out)
{
    for (int window = 0; window < ROLLING; window++) {
        if (strcmp(text, window_names[window]) == 0) {
            out->window = (enum window_kind)window;
            return true;
        }
    }
    if (strncmp(text, "rolling:", 8) != 0 || text[8] < '1' || text[8] > '9')
        return false;
    char *rest;
    long long seconds = strtoll(text + 8, &rest, 10);
    out->window = ROLLING;
    out->length = seconds * 1000;
    return *rest == '\0' && seconds >= 60 && seconds <= 2678400;
}

static struct counter *counter_find(struct scope *scope, const struct counter *like)
{
    struct counter *counter;
    LIST_FOREACH(counter, &scope->counters, next)
    {
        if (counter->window == like->window && counter->length == like->length &&
            strcmp(counter->chain, like->chain) == 0 && strcmp(counter->token, like->token) == 0)
            return counter;
    }
    return NULL;
}

/* The time of the oldest payment being judged, at most `now`. */
static int64_t oldest_judged(const struct aegis_counters *counters, int64_t now)
{
    for (size_t i = 0; i < counters->judged_count; i++)
        if (counters->judged[i].share.at < now)
            now = counters->judged[i].share.at;
    return now;
}

static void sum_take(struct aegis_books_sum *sum, const struct aegis_books_sum *part)
{
    AEGIS_ASSERT(aegis_amount_sub(sum->settled, part->settled, &sum->settled) &&
                 aegis_amount_sub(sum->exposed, part->exposed, &sum->exposed));
    sum->payments -= part->payments;
    sum->settlements -= part->settlements;
}

static void counter_forward(const struct aegis_counters *counters, struct counter *counter, int64_t now)
{
    struct aegis_books_sum left;
    counter_turn(counter, now);
    if (counter->window != ROLLING)
        return;
    int64_t start = oldest_judged(counters, now) - counter->length + 1;
    if (start > counter->start)
        counter->start = start;
    while (aegis_rolling_leave(&counter->rolling, counter->start, &left))
        sum_take(&counter->sum, &left);
}

/* Adds the payments being judged that came before `number`. Returns the time of the first, or INT64_MAX. */
static int64_t add_tentative(const struct scope *scope, const struct counter *counter, uint64_t number,
                             int64_t from, struct aegis_books_sum *out)
{
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < scope->tentatives.count && scope->tentatives.items[i].number < number; i++) {
        const struct tentative *item = &scope->tentatives.items[i];
        if (item->at < from || !takes(counter->chain, counter->token, item->network, item->token))
            continue;
        sum_move(out, item->scaled, AEGIS_COUNTED_NOT, AEGIS_COUNTED_EXPOSED);
        if (item->at < first)
            first = item->at;
    }
    return first;
}

static void rolling_answer(const struct scope *scope, struct counter *counter, uint64_t number, int64_t now,
                           struct aegis_books_sum *out, int64_t *resets_at)
{
    struct aegis_books_sum old;
    int64_t start = now - counter->length + 1;
    int64_t oldest = aegis_rolling_before(&counter->rolling, start, &old);
    *out = counter->sum;
    sum_take(out, &old);
    int64_t first = add_tentative(scope, counter, number, start, out);
    if (oldest < first)
        first = oldest;
    *resets_at = first == INT64_MAX ? 0 : first + counter->length;
}

/* False for a time that the counter is past. */
static bool counter_answer(const struct aegis_counters *counters, const struct scope *scope,
                           struct counter *counter, uint64_t number, int64_t now, struct aegis_books_sum *out,
                           int64_t *resets_at)
{
    counter_forward(counters, counter, now);
    if (counter->window == ROLLING) {
        rolling_answer(scope, counter, number, now, out, resets_at);
        return now - counter->length + 1 >= counter->start;
    }
    bool current = now >= counter->start;
    *out = current ? counter->sum : counter->before;
    add_tentative(scope, counter, number, current ? counter->start : counter->before_start, out);
    *resets_at = counter->window == TOTAL ? 0 : current ? counter->end : counter->start;
    return now >= counter->before_start;
}

/* From the books, by a counter for this one question. Only a question that waited while others went on, or
 * that began before the clock was set back, comes here. */
static bool answer_late(struct aegis_counters *counters, struct scope *scope, struct aegis_books *books,
                        const struct counter *like, const struct aegis_share *share, uint64_t number,
                        int64_t now, struct aegis_books_sum *out, int64_t *resets_at,
                        struct aegis_error *error)
{
    struct counter *counter = counter_new(counters, scope, books, like, share, now, error);
    if (counter == NULL)
        return false;
    counter_answer(counters, scope, counter, number, now, out, resets_at);
    counter_free(counters, counter);
    return true;
}

bool aegis_counters_spent(struct aegis_counters *counters, struct aegis_books *books, const char *scope_name,
                          const char *window, const char *chain, const char *token,
                          const struct aegis_share *share, uint64_t number, int64_t now,
                          struct aegis_books_sum *out, int64_t *resets_at, struct aegis_error *error)
{
    enum scope_kind kind;
    struct counter like = {.chain = (char *)chain, .token = (char *)token};
    if (!parse_scope(scope_name, &kind))
        return aegis_error_set(
            error, "\"%s\" is no scope: expected agent, gate, agent+host, agent+payee, host or payee",
            scope_name);
    if (!parse_window(window, &like))
        return aegis_error_set(
            error,
            "\"%s\" is no window: expected hour, day, week, month, total or rolling:SECONDS (60 to 2678400)",
            window);
    start_asking(counters, kind);
    struct scope *scope = scope_find(counters, kind, share, true);
    struct counter *counter = counter_find(scope, &like);
    pass(counters, now);
    if (counter == NULL)
        counter = counter_new(
            counters, scope, books, &like, share,
            like.window == ROLLING ? oldest_judged(counters, counters->latest) : counters->latest, error);
    if (counter == NULL)
        return false;
    return counter_answer(counters, scope, counter, number, now, out, resets_at) ||
           answer_late(counters, scope, books, &like, share, number, now, out, resets_at, error);
}

size_t aegis_counters_count(const struct aegis_counters *counters)
{
    return counters->counters;
}

size_t aegis_counters_tentative(const struct aegis_counters *counters)
{
    return counters->judged_count;
}
