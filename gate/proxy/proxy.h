/* The network side of the gate, without the process around it: what a worker is, and what the files of this
 * room share. It lives on one event base; tests run it beside their own origins and a keeper of theirs. */
#ifndef AEGIS_PROXY_PROXY_H
#define AEGIS_PROXY_PROXY_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "gate/base/error.h"
#include "gate/http/dial.h"
#include "gate/proxy/cache.h"
#include "gate/proxy/free_paths.h"
#include "gate/proxy/peers.h"
#include "gate/proxy/pool.h"
#include "gate/proxy/settings.h"

struct aegis_agent;
struct aegis_exchange;
struct aegis_listener;
struct aegis_retired;

struct aegis_proxy {
    struct event_base *base;
    struct aegis_settings *settings; /* in force; NULL before the first */
    struct aegis_dialer *dialer;
    struct aegis_pool *pool;
    struct aegis_peers *peers;
    struct aegis_cache *identities;
    struct aegis_cache *verdicts;
    struct aegis_free_paths *free_paths;

    LIST_HEAD(, aegis_listener) listeners;
    LIST_HEAD(, aegis_agent) agents; /* connected */
    size_t agent_count;

    /* Ended in this turn of the loop: a callback further up the stack may still look at them. */
    SLIST_HEAD(, aegis_exchange) ended;
    SLIST_HEAD(, aegis_agent) left;
    struct event *reaper;

    SLIST_HEAD(, aegis_retired) retired; /* settings no longer in force that connections may still need */

    bool stopping;
    struct event *farewell;         /* while stopping */
    void (*stopped)(void *context); /* once, when the last agent has gone after aegis_proxy_stop */
    void *stopped_context;
};

struct aegis_proxy *aegis_proxy_new(struct event_base *base, void (*stopped)(void *context), void *context);
void aegis_proxy_free(struct aegis_proxy **proxy);

/* Puts a configuration into force; false: the old one stays. The first one reads what files are needed; a
 * later one that would need others is refused. */
bool aegis_proxy_configure(struct aegis_proxy *proxy, const json_t *config, struct aegis_error *error);

/* A listening socket (taken over) for the listener of this name in the configuration. */
void aegis_proxy_listen(struct aegis_proxy *proxy, const char *name, int fd);

/* No more connections, no more requests on those there are; `stopped` is called when the last answer has
 * left. */
void aegis_proxy_stop(struct aegis_proxy *proxy);

/* For the room. Something was put into `ended` or `left`. */
void aegis_proxy_reap_later(struct aegis_proxy *proxy);
/* An agent has gone. */
void aegis_proxy_agent_gone(struct aegis_proxy *proxy);
/* A connection is closed that had its limits from these settings; it may need them until its last byte has
 * left. */
void aegis_proxy_retire(struct aegis_proxy *proxy, struct aegis_settings **settings);

#endif
