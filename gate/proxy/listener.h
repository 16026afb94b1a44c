/* A listening socket that the supervisor passed, and the connections that come in by it. */
#ifndef AEGIS_PROXY_LISTENER_H
#define AEGIS_PROXY_LISTENER_H

#include <event2/listener.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "gate/proxy/proxy.h"

struct aegis_listener {
    LIST_ENTRY(aegis_listener) link;
    struct aegis_proxy *proxy;
    char name[AEGIS_LISTENER_NAME];
    const struct aegis_settings_listener *config; /* of the settings in force; NULL: it is no longer served */
    struct evconnlistener *socket;                /* NULL: not listening */
    struct event *pause;                          /* accepts again after descriptors ran out */
    bool local;                                   /* a Unix socket: peers have uids */
};

/* Listens on `fd` (taken over) under `name`; a listener of that name gets the new socket in place of its old
 * one. */
void aegis_listener_open(struct aegis_proxy *proxy, const char *name, int fd);

/* After a new configuration: finds its part of it, or stops listening. */
void aegis_listener_refresh(struct aegis_listener *listener);
void aegis_listener_close(struct aegis_listener *listener);

/* Agents keep a pointer to their listener, so this comes last. */
void aegis_listener_free(struct aegis_listener *listener);

#endif
