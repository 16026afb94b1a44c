#include "gate/proxy/pool.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/base/text.h"

enum { BUCKETS = 1024 };

struct aegis_pool {
    struct aegis_origin *buckets[BUCKETS];
    struct aegis_upstreams all; /* waiting, most recently used first */
    size_t waiting;
    size_t per_origin;
    size_t total;
    unsigned char secret[crypto_shorthash_KEYBYTES];
};

struct aegis_pool *aegis_pool_new(size_t per_origin, size_t total)
{
    struct aegis_pool *pool = aegis_alloc(sizeof(*pool));
    TAILQ_INIT(&pool->all);
    aegis_pool_limit(pool, per_origin, total);
    randombytes_buf(pool->secret, sizeof(pool->secret));
    return pool;
}

void aegis_pool_limit(struct aegis_pool *pool, size_t per_origin, size_t total)
{
    pool->per_origin = per_origin;
    pool->total = total;
}

size_t aegis_pool_waiting(const struct aegis_pool *pool)
{
    return pool->waiting;
}

static uint64_t number_of(const struct aegis_pool *pool, const struct aegis_route *route)
{
    uint64_t number;
    crypto_shorthash((unsigned char *)&number, (const unsigned char *)route->authority,
                     strlen(route->authority), pool->secret);
    return route->https ? ~number : number;
}

static bool same(const struct aegis_origin *origin, const struct aegis_route *route)
{
    return origin->https == route->https && origin->port == route->port &&
           !strcmp(origin->authority, route->authority);
}

struct aegis_origin *aegis_pool_origin(struct aegis_pool *pool, const struct aegis_route *route)
{
    uint64_t number = number_of(pool, route);
    struct aegis_origin **bucket = &pool->buckets[number % BUCKETS];
    struct aegis_origin *origin = *bucket;
    while (origin && !same(origin, route))
        origin = origin->next;
    if (!origin) {
        origin = aegis_alloc(sizeof(*origin));
        origin->https = route->https;
        origin->port = route->port;
        memcpy(origin->host, route->host, sizeof(origin->host));
        memcpy(origin->authority, route->authority, sizeof(origin->authority));
        origin->number = number;
        TAILQ_INIT(&origin->upstreams);
        origin->next = *bucket;
        *bucket = origin;
    }
    origin->references++;
    return origin;
}

void aegis_pool_origin_release(struct aegis_pool *pool, struct aegis_origin **pointer)
{
    struct aegis_origin *origin = *pointer;
    *pointer = NULL;
    if (!origin || --origin->references > 0)
        return;
    AEGIS_ASSERT(TAILQ_EMPTY(&origin->upstreams));
    struct aegis_origin **place = &pool->buckets[origin->number % BUCKETS];
    while (*place != origin)
        place = &(*place)->next;
    *place = origin->next;
    free(origin);
}

/* Out of the waiting lists. */
static void unlist(struct aegis_upstream *upstream)
{
    TAILQ_REMOVE(&upstream->origin->upstreams, upstream, of_origin);
    TAILQ_REMOVE(&upstream->pool->all, upstream, of_all);
    upstream->origin->waiting--;
    upstream->pool->waiting--;
}

void aegis_upstream_close(struct aegis_upstream **pointer)
{
    struct aegis_upstream *upstream = *pointer;
    *pointer = NULL;
    if (!upstream)
        return;
    aegis_http_connection_free(&upstream->connection);
    aegis_pool_origin_release(upstream->pool, &upstream->origin);
    aegis_settings_release(&upstream->settings);
    free(upstream);
}

static void drop_waiting(struct aegis_upstream *upstream)
{
    unlist(upstream);
    aegis_upstream_close(&upstream);
}

/* Nothing may come on a connection that waits; whatever does ends it. */
static void waiting_head(struct aegis_http_connection *connection, const struct aegis_http_head *head,
                         void *context)
{
    (void)connection, (void)head;
    drop_waiting(context);
}

static void waiting_body(struct aegis_http_connection *connection, const char *data, size_t size,
                         void *context)
{
    (void)connection, (void)data, (void)size;
    drop_waiting(context);
}

static void waiting_end(struct aegis_http_connection *connection, void *context)
{
    (void)connection;
    drop_waiting(context);
}

static void waiting_closed(struct aegis_http_connection *connection, enum aegis_http_end end,
                           const char *problem, void *context)
{
    (void)connection, (void)end, (void)problem;
    drop_waiting(context);
}

static const struct aegis_http_events waiting_events = {
    .head = waiting_head,
    .body = waiting_body,
    .end = waiting_end,
    .closed = waiting_closed,
};

struct aegis_upstream *aegis_pool_take(struct aegis_pool *pool, struct aegis_origin *origin,
                                       const struct aegis_http_events *events, void *context)
{
    struct aegis_upstream *upstream = TAILQ_FIRST(&origin->upstreams);
    if (!upstream)
        return NULL;
    AEGIS_ASSERT(upstream->pool == pool);
    unlist(upstream);
    aegis_http_connection_owner(upstream->connection, events, context);
    return upstream;
}

struct aegis_upstream *aegis_upstream_new(struct aegis_pool *pool, struct aegis_origin *origin,
                                          struct bufferevent *transport, struct aegis_settings *settings,
                                          const struct aegis_http_events *events, void *context)
{
    struct aegis_upstream *upstream = aegis_alloc(sizeof(*upstream));
    upstream->pool = pool;
    upstream->origin = origin;
    origin->references++;
    upstream->settings = aegis_settings_retain(settings);
    upstream->connection = aegis_http_client_new(transport, &settings->origin_side, events, context);
    return upstream;
}

void aegis_pool_put(struct aegis_upstream **pointer)
{
    struct aegis_upstream *upstream = *pointer;
    if (!upstream)
        return;
    struct aegis_pool *pool = upstream->pool;
    if (pool->per_origin == 0 || pool->total == 0 || !aegis_http_connection_reusable(upstream->connection)) {
        aegis_upstream_close(pointer);
        return;
    }
    *pointer = NULL;
    if (upstream->origin->waiting >= pool->per_origin)
        drop_waiting(TAILQ_LAST(&upstream->origin->upstreams, aegis_upstreams));
    else if (pool->waiting >= pool->total)
        drop_waiting(TAILQ_LAST(&pool->all, aegis_upstreams));
    upstream->used = true;
    aegis_http_connection_owner(upstream->connection, &waiting_events, upstream);
    TAILQ_INSERT_HEAD(&upstream->origin->upstreams, upstream, of_origin);
    TAILQ_INSERT_HEAD(&pool->all, upstream, of_all);
    upstream->origin->waiting++;
    pool->waiting++;
}

void aegis_pool_close_all(struct aegis_pool *pool)
{
    struct aegis_upstream *upstream;
    while ((upstream = TAILQ_FIRST(&pool->all)))
        drop_waiting(upstream);
}

void aegis_pool_free(struct aegis_pool **pointer)
{
    struct aegis_pool *pool = *pointer;
    *pointer = NULL;
    if (!pool)
        return;
    aegis_pool_close_all(pool);
    for (size_t i = 0; i < BUCKETS; i++)
        AEGIS_ASSERT(!pool->buckets[i]);
    free(pool);
}
