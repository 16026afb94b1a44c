/* Connections to origins, kept for the next request. An origin is a scheme, a name and a port; names are
 * resolved when a connection is opened, not when one is reused. */
#ifndef AEGIS_PROXY_POOL_H
#define AEGIS_PROXY_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "gate/http/connection.h"
#include "gate/proxy/route.h"
#include "gate/proxy/settings.h"

struct aegis_pool;

/* One per origin for as long as somebody holds it or a connection to it waits. */
struct aegis_origin {
    bool https;
    uint16_t port;
    char host[AEGIS_HOST_TEXT];
    char authority[AEGIS_AUTHORITY_TEXT];
    uint64_t number; /* stands for the origin for as long as the process lives */
    /* the pool's own */
    unsigned references;
    size_t waiting;
    struct aegis_origin *next;
    TAILQ_HEAD(aegis_upstreams, aegis_upstream) upstreams; /* waiting, most recently used first */
};

/* A connection to an origin. */
struct aegis_upstream {
    struct aegis_http_connection *connection;
    struct aegis_origin *origin;
    bool used; /* it has answered a request before */
    /* the pool's own */
    struct aegis_pool *pool;
    struct aegis_settings *settings; /* whose limits the connection has */
    TAILQ_ENTRY(aegis_upstream) of_origin;
    TAILQ_ENTRY(aegis_upstream) of_all;
};

struct aegis_pool *aegis_pool_new(size_t per_origin, size_t total);
void aegis_pool_limit(struct aegis_pool *pool, size_t per_origin, size_t total);
/* Closes what waits. Every origin must have been released. */
void aegis_pool_free(struct aegis_pool **pool);

struct aegis_origin *aegis_pool_origin(struct aegis_pool *pool, const struct aegis_route *route);
void aegis_pool_origin_release(struct aegis_pool *pool, struct aegis_origin **origin);

/* A connection that waited, for a new owner; NULL when none did. */
struct aegis_upstream *aegis_pool_take(struct aegis_pool *pool, struct aegis_origin *origin,
                                       const struct aegis_http_events *events, void *context);

/* A new connection from a dialled transport (taken over). */
struct aegis_upstream *aegis_upstream_new(struct aegis_pool *pool, struct aegis_origin *origin,
                                          struct bufferevent *transport, struct aegis_settings *settings,
                                          const struct aegis_http_events *events, void *context);

/* Gives it back: it waits for the next request when it can carry one and there is room, else it is closed. */
void aegis_pool_put(struct aegis_upstream **upstream);
void aegis_upstream_close(struct aegis_upstream **upstream);

/* How many connections wait. */
size_t aegis_pool_waiting(const struct aegis_pool *pool);
void aegis_pool_close_all(struct aegis_pool *pool);

#endif
