#include "gate/proxy/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/proxy/agent.h"

enum { BACKLOG = 1024, PAUSE_MS = 100 };

static void accept_again(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct aegis_listener *listener = context;
    if (listener->socket)
        evconnlistener_enable(listener->socket);
}

static void accept_failed(struct evconnlistener *socket, void *context)
{
    struct aegis_listener *listener = context;
    struct timeval pause = {.tv_usec = PAUSE_MS * 1000L};
    aegis_log(AEGIS_LOG_WARNING, "%s: cannot accept a connection: %s", listener->name, strerror(errno));
    evconnlistener_disable(socket);
    event_add(listener->pause, &pause);
}

/* The uid behind a Unix socket, from the kernel. */
static bool peer_uid(int fd, uid_t *uid)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || size != sizeof(peer))
        return false;
    *uid = peer.uid;
    return true;
}

static void accepted(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *address, int size,
                     void *context)
{
    (void)socket, (void)address, (void)size;
    struct aegis_listener *listener = context;
    uid_t uid = 0;
    bool has_uid = listener->local && peer_uid(fd, &uid);
    if (!listener->config || (listener->local && !has_uid)) {
        close(fd);
        return;
    }
    if (!listener->local) {
        int yes = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    }
    aegis_agent_new(listener, fd, has_uid, uid);
}

static bool is_local(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    return getsockname(fd, (struct sockaddr *)&address, &size) == 0 && address.ss_family == AF_UNIX;
}

static struct aegis_listener *listener_of(struct aegis_proxy *proxy, const char *name)
{
    struct aegis_listener *listener;
    LIST_FOREACH(listener, &proxy->listeners, link)
    {
        if (!strcmp(listener->name, name))
            return listener;
    }
    listener = aegis_alloc(sizeof(*listener));
    listener->proxy = proxy;
    aegis_text_copy(listener->name, sizeof(listener->name), name);
    listener->pause = evtimer_new(proxy->base, accept_again, listener);
    AEGIS_ASSERT(listener->pause);
    LIST_INSERT_HEAD(&proxy->listeners, listener, link);
    return listener;
}

void aegis_listener_open(struct aegis_proxy *proxy, const char *name, int fd)
{
    struct aegis_listener *listener = listener_of(proxy, name);
    aegis_listener_close(listener);
    aegis_listener_refresh(listener);
    if (!listener->config || proxy->stopping) {
        aegis_log(AEGIS_LOG_WARNING, "%s: a socket for a listener that is not configured", name);
        close(fd);
        return;
    }
    evutil_make_socket_nonblocking(fd);
    listener->local = is_local(fd);
    listener->socket = evconnlistener_new(proxy->base, accepted, listener,
                                          LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);
    if (!listener->socket) {
        aegis_log(AEGIS_LOG_ERROR, "%s: cannot listen: %s", name, strerror(errno));
        close(fd);
        return;
    }
    evconnlistener_set_error_cb(listener->socket, accept_failed);
}

void aegis_listener_refresh(struct aegis_listener *listener)
{
    listener->config = aegis_settings_listener_find(listener->proxy->settings, listener->name);
    if (!listener->config)
        aegis_listener_close(listener);
}

void aegis_listener_close(struct aegis_listener *listener)
{
    event_del(listener->pause);
    if (listener->socket)
        evconnlistener_free(listener->socket);
    listener->socket = NULL;
}

void aegis_listener_free(struct aegis_listener *listener)
{
    aegis_listener_close(listener);
    event_free(listener->pause);
    LIST_REMOVE(listener, link);
    free(listener);
}
