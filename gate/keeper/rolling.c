#include "gate/keeper/rolling.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/base/text.h"

struct aegis_rolling_bucket {
    int64_t at;
    struct aegis_books_sum sum;
};

void aegis_rolling_clear(struct aegis_rolling *rolling)
{
    free(rolling->buckets);
    memset(rolling, 0, sizeof *rolling);
}

static struct aegis_rolling_bucket *bucket(const struct aegis_rolling *rolling, size_t index)
{
    return &rolling->buckets[(rolling->first + index) % rolling->room];
}

static void make_room(struct aegis_rolling *rolling)
{
    if (rolling->count < rolling->room)
        return;
    size_t room = rolling->room == 0 ? 16 : rolling->room * 2;
    struct aegis_rolling_bucket *buckets = aegis_alloc(room * sizeof *buckets);
    for (size_t i = 0; i < rolling->count; i++)
        buckets[i] = *bucket(rolling, i);
    free(rolling->buckets);
    rolling->buckets = buckets;
    rolling->first = 0;
    rolling->room = room;
}

/* The index of the first bucket that is not before `at`. New payments go to the end, so look there first. */
static size_t position(const struct aegis_rolling *rolling, int64_t at)
{
    size_t low = 0, high = rolling->count;
    if (high > 0 && bucket(rolling, high - 1)->at < at)
        return high;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (bucket(rolling, middle)->at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct aegis_books_sum *aegis_rolling_at(struct aegis_rolling *rolling, int64_t at)
{
    size_t index = position(rolling, at);
    if (index < rolling->count && bucket(rolling, index)->at == at)
        return &bucket(rolling, index)->sum;
    make_room(rolling);
    rolling->count++;
    for (size_t i = rolling->count - 1; i > index; i--)
        *bucket(rolling, i) = *bucket(rolling, i - 1);
    struct aegis_rolling_bucket *fresh = bucket(rolling, index);
    memset(fresh, 0, sizeof *fresh);
    fresh->at = at;
    return &fresh->sum;
}

bool aegis_rolling_leave(struct aegis_rolling *rolling, int64_t start, struct aegis_books_sum *out)
{
    if (rolling->count == 0 || bucket(rolling, 0)->at >= start)
        return false;
    *out = bucket(rolling, 0)->sum;
    rolling->first = (rolling->first + 1) % rolling->room;
    rolling->count--;
    return true;
}

static void add(struct aegis_books_sum *sum, const struct aegis_books_sum *part)
{
    AEGIS_ASSERT(aegis_amount_add(sum->settled, part->settled, &sum->settled) &&
                 aegis_amount_add(sum->exposed, part->exposed, &sum->exposed));
    sum->payments += part->payments;
    sum->settlements += part->settlements;
}

int64_t aegis_rolling_before(struct aegis_rolling *rolling, int64_t start, struct aegis_books_sum *out)
{
    memset(out, 0, sizeof *out);
    /* What is empty now stays empty: a payment comes back to a time only if it never left it. */
    while (rolling->count > 0 && bucket(rolling, 0)->sum.payments == 0) {
        rolling->first = (rolling->first + 1) % rolling->room;
        rolling->count--;
    }
    for (size_t i = 0; i < rolling->count; i++) {
        struct aegis_rolling_bucket *one = bucket(rolling, i);
        if (one->at < start)
            add(out, &one->sum);
        else if (one->sum.payments > 0)
            return one->at;
    }
    return INT64_MAX;
}
