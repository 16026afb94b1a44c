#include "gate/proxy/proxy.h"

#include <stdlib.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/proxy/agent.h"
#include "gate/proxy/exchange.h"
#include "gate/proxy/identity.h"
#include "gate/proxy/listener.h"
#include "gate/proxy/verdict.h"

enum { IDENTITIES = 4096, VERDICTS = 16384, SLACK_MS = 60 * 1000, LAST_BYTES_MS = 250 };

struct aegis_retired {
    SLIST_ENTRY(aegis_retired) link;
    struct aegis_settings *settings;
    int64_t until;
};

static void reap(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct aegis_proxy *proxy = context;
    struct aegis_exchange *exchange;
    struct aegis_agent *agent;
    while ((exchange = SLIST_FIRST(&proxy->ended))) {
        SLIST_REMOVE_HEAD(&proxy->ended, ended);
        aegis_exchange_reap(exchange);
    }
    while ((agent = SLIST_FIRST(&proxy->left))) {
        SLIST_REMOVE_HEAD(&proxy->left, left);
        aegis_agent_reap(agent);
    }
}

void aegis_proxy_reap_later(struct aegis_proxy *proxy)
{
    event_active(proxy->reaper, 0, 0);
}

static void forget(const char *agent, void *context)
{
    struct aegis_proxy *proxy = context;
    aegis_identity_cache_forget(proxy->identities, agent);
    aegis_verdicts_forget(proxy->verdicts, agent);
}

static void forget_retired(struct aegis_proxy *proxy, int64_t now)
{
    struct aegis_retired *retired, *next;
    for (retired = SLIST_FIRST(&proxy->retired); retired; retired = next) {
        next = SLIST_NEXT(retired, link);
        if (now < retired->until)
            continue;
        SLIST_REMOVE(&proxy->retired, retired, aegis_retired, link);
        aegis_settings_release(&retired->settings);
        free(retired);
    }
}

/* The connections of agents send their last bytes on their own and need their limits until then. */
void aegis_proxy_retire(struct aegis_proxy *proxy, struct aegis_settings **settings)
{
    int64_t now = aegis_clock_boot();
    forget_retired(proxy, now);
    if (*settings == proxy->settings) {
        aegis_settings_release(settings);
        return;
    }
    struct aegis_retired *retired = aegis_alloc(sizeof(*retired));
    retired->settings = *settings;
    retired->until = now + (*settings)->agent_side.write_ms + SLACK_MS;
    *settings = NULL;
    SLIST_INSERT_HEAD(&proxy->retired, retired, link);
}

struct aegis_proxy *aegis_proxy_new(struct event_base *base, void (*stopped)(void *context), void *context)
{
    struct aegis_proxy *proxy = aegis_alloc(sizeof(*proxy));
    proxy->base = base;
    proxy->stopped = stopped;
    proxy->stopped_context = context;
    LIST_INIT(&proxy->listeners);
    LIST_INIT(&proxy->agents);
    SLIST_INIT(&proxy->ended);
    SLIST_INIT(&proxy->left);
    SLIST_INIT(&proxy->retired);
    proxy->identities = aegis_identity_cache_new(IDENTITIES);
    proxy->verdicts = aegis_verdicts_new(VERDICTS);
    proxy->free_paths = aegis_free_paths_new();
    proxy->reaper = event_new(base, -1, 0, reap, proxy);
    AEGIS_ASSERT(proxy->reaper);
    return proxy;
}

/* What exists from the first configuration on. */
static bool begin(struct aegis_proxy *proxy, const struct aegis_settings *settings, struct aegis_error *error)
{
    struct aegis_dialer_options options = {
        .connect_ms = settings->connect_ms,
        .refused = settings->refused,
        .allowed = settings->allowed,
        .ca_file = settings->ca_file,
    };
    proxy->dialer = aegis_dialer_new(proxy->base, &options, error);
    if (!proxy->dialer)
        return false;
    proxy->pool = aegis_pool_new(settings->pool_per_origin, settings->connections);
    proxy->peers = aegis_peers_new(proxy->base, settings->authorize_ms, forget, proxy);
    return true;
}

static void put_into_force(struct aegis_proxy *proxy, struct aegis_settings *settings)
{
    struct aegis_settings *old = proxy->settings;
    struct aegis_listener *listener;
    proxy->settings = settings;
    if (old)
        aegis_proxy_retire(proxy, &old);
    aegis_pool_limit(proxy->pool, settings->pool_per_origin, settings->connections);
    LIST_FOREACH(listener, &proxy->listeners, link)
    aegis_listener_refresh(listener);
    /* Who an agent is, and what may be asked for, may depend on what has changed. */
    forget(NULL, proxy);
}

bool aegis_proxy_configure(struct aegis_proxy *proxy, const json_t *config, struct aegis_error *error)
{
    struct aegis_settings *settings = aegis_settings_new(config, error);
    if (!settings)
        return false;
    bool ok = proxy->settings ? aegis_settings_same_start(proxy->settings, settings, error)
                              : begin(proxy, settings, error);
    if (ok)
        put_into_force(proxy, settings);
    else
        aegis_settings_release(&settings);
    return ok;
}

void aegis_proxy_listen(struct aegis_proxy *proxy, const char *name, int fd)
{
    AEGIS_ASSERT(proxy->settings);
    aegis_listener_open(proxy, name, fd);
}

/* The last answers are on their way out of sockets that nobody owns any more. */
static void stop_soon(struct aegis_proxy *proxy)
{
    struct timeval soon = {.tv_usec = LAST_BYTES_MS * 1000L};
    event_add(proxy->farewell, &soon);
}

static void on_farewell(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct aegis_proxy *proxy = context;
    proxy->stopped(proxy->stopped_context);
}

void aegis_proxy_agent_gone(struct aegis_proxy *proxy)
{
    if (proxy->stopping && proxy->agent_count == 0 && !event_pending(proxy->farewell, EV_TIMEOUT, NULL))
        stop_soon(proxy);
}

void aegis_proxy_stop(struct aegis_proxy *proxy)
{
    struct aegis_listener *listener;
    struct aegis_agent *agent, *next;
    if (proxy->stopping)
        return;
    proxy->stopping = true;
    proxy->farewell = evtimer_new(proxy->base, on_farewell, proxy);
    AEGIS_ASSERT(proxy->farewell);
    LIST_FOREACH(listener, &proxy->listeners, link)
    aegis_listener_close(listener);
    for (agent = LIST_FIRST(&proxy->agents); agent; agent = next) {
        next = LIST_NEXT(agent, link);
        if (!agent->exchange)
            aegis_agent_close(agent, "the gate is shutting down");
    }
    aegis_proxy_agent_gone(proxy);
}

static void free_agents_and_listeners(struct aegis_proxy *proxy)
{
    struct aegis_agent *agent;
    struct aegis_listener *listener;
    while ((agent = LIST_FIRST(&proxy->agents)))
        aegis_agent_close(agent, "the worker ends");
    reap(-1, 0, proxy);
    while ((listener = LIST_FIRST(&proxy->listeners)))
        aegis_listener_free(listener);
}

void aegis_proxy_free(struct aegis_proxy **pointer)
{
    struct aegis_proxy *proxy = *pointer;
    *pointer = NULL;
    if (!proxy)
        return;
    free_agents_and_listeners(proxy);
    aegis_peers_free(&proxy->peers);
    aegis_pool_free(&proxy->pool);
    aegis_dialer_free(&proxy->dialer);
    aegis_cache_free(&proxy->identities);
    aegis_cache_free(&proxy->verdicts);
    aegis_free_paths_free(&proxy->free_paths);
    event_free(proxy->reaper);
    if (proxy->farewell)
        event_free(proxy->farewell);
    aegis_settings_release(&proxy->settings);
    forget_retired(proxy, INT64_MAX);
    free(proxy);
}
