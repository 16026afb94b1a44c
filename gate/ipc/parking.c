#include "gate/ipc/parking.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

enum { BUCKETS = 1024 };

struct parked {
    uint64_t id;
    int64_t deadline;
    void *asker;
    LIST_ENTRY(parked) in_bucket;
    TAILQ_ENTRY(parked) in_order;
};

/* Every question waits equally long, so the order of arrival is the order of expiry. */
struct aegis_parking {
    struct event *timer;
    int64_t timeout_ms;
    void (*expired)(void *asker, void *context);
    void *context;
    uint64_t last_id;
    size_t count;
    LIST_HEAD(, parked) buckets[BUCKETS];
    TAILQ_HEAD(, parked) order;
};

static void parking_remove(struct aegis_parking *parking, struct parked *parked)
{
    LIST_REMOVE(parked, in_bucket);
    TAILQ_REMOVE(&parking->order, parked, in_order);
    parking->count--;
    free(parked);
}

static void parking_schedule(struct aegis_parking *parking)
{
    struct parked *first = TAILQ_FIRST(&parking->order);
    if (first == NULL || event_pending(parking->timer, EV_TIMEOUT, NULL))
        return;
    int64_t wait = first->deadline - aegis_clock_boot();
    if (wait < 0)
        wait = 0;
    struct timeval in = aegis_clock_interval(wait);
    event_add(parking->timer, &in);
}

static void parking_expire(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct aegis_parking *parking = context;
    int64_t now = aegis_clock_boot();
    struct parked *first;
    while ((first = TAILQ_FIRST(&parking->order)) != NULL && first->deadline <= now) {
        void *asker = first->asker;
        parking_remove(parking, first);
        parking->expired(asker, parking->context);
    }
    parking_schedule(parking);
}

struct aegis_parking *aegis_parking_new(struct event_base *base, int64_t timeout_ms,
                                        void (*expired)(void *asker, void *context), void *context)
{
    struct aegis_parking *parking = aegis_alloc(sizeof *parking);
    parking->timeout_ms = timeout_ms;
    parking->expired = expired;
    parking->context = context;
    TAILQ_INIT(&parking->order);
    for (size_t i = 0; i < BUCKETS; i++)
        LIST_INIT(&parking->buckets[i]);
    parking->timer = evtimer_new(base, parking_expire, parking);
    AEGIS_ASSERT(parking->timer != NULL);
    return parking;
}

void aegis_parking_free(struct aegis_parking **pointer)
{
    struct aegis_parking *parking = *pointer;
    *pointer = NULL;
    if (parking == NULL)
        return;
    while (aegis_parking_take_any(parking) != NULL)
        ;
    event_free(parking->timer);
    free(parking);
}

uint64_t aegis_parking_put(struct aegis_parking *parking, void *asker)
{
    AEGIS_ASSERT(asker != NULL);
    struct parked *parked = aegis_alloc(sizeof *parked);
    parked->id = ++parking->last_id;
    parked->deadline = aegis_clock_boot() + parking->timeout_ms;
    parked->asker = asker;
    LIST_INSERT_HEAD(&parking->buckets[parked->id % BUCKETS], parked, in_bucket);
    TAILQ_INSERT_TAIL(&parking->order, parked, in_order);
    parking->count++;
    parking_schedule(parking);
    return parked->id;
}

void *aegis_parking_take(struct aegis_parking *parking, uint64_t id)
{
    struct parked *parked;
    LIST_FOREACH(parked, &parking->buckets[id % BUCKETS], in_bucket)
    {
        if (parked->id != id)
            continue;
        void *asker = parked->asker;
        parking_remove(parking, parked);
        return asker;
    }
    return NULL;
}

void *aegis_parking_take_any(struct aegis_parking *parking)
{
    struct parked *first = TAILQ_FIRST(&parking->order);
    if (first == NULL)
        return NULL;
    void *asker = first->asker;
    parking_remove(parking, first);
    return asker;
}

size_t aegis_parking_count(const struct aegis_parking *parking)
{
    return parking->count;
}
