/* Resolving, connecting, the TLS handshake: one after the other under one deadline. The address that is
 * connected to is the very one that was checked. */
#include "gate/http/dial.h"

#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/http/network.h"
#include "gate/http/tls.h"

enum {
    ADDRESSES_MAX = 8,
    CONNECT_MS = 10000,
    ATTEMPT_MS = 1500, /* for one address while others are left */
};

struct aegis_dialer {
    struct event_base *base;
    struct evdns_base *names;
    SSL_CTX *tls;
    struct aegis_networks refused, allowed;
    int64_t connect_ms;
};

struct aegis_dial {
    struct aegis_dialer *dialer;
    char *host;
    uint16_t port;
    bool tls, is_address;
    void (*done)(enum aegis_dial_result result, struct bufferevent *transport, const char *problem,
                 void *context);
    void *context;

    struct evdns_getaddrinfo_request *request;
    bool resolving; /* the resolver will call back */
    bool cancelled; /* the memory goes when it does */
    struct sockaddr_storage addresses[ADDRESSES_MAX];
    size_t count, next;
    bool refused; /* an address was left out */
    int failure;  /* the last address's */

    evutil_socket_t fd;
    struct bufferevent *transport;
    struct event step, timer, ready;
};

static bool read_networks(struct aegis_dialer *dialer, const struct aegis_dialer_options *options,
                          struct aegis_error *error)
{
    if (options->refused == NULL) {
        aegis_networks_add_builtin(&dialer->refused);
    } else if (!aegis_networks_read(&dialer->refused, options->refused, error)) {
        return aegis_error_prefix(error, "refused addresses");
    }
    if (options->allowed != NULL && !aegis_networks_read(&dialer->allowed, options->allowed, error)) {
        return aegis_error_prefix(error, "allowed addresses");
    }
    return true;
}

static bool read_resolver(struct aegis_dialer *dialer, struct aegis_error *error)
{
    static const char file[] = "/etc/resolv.conf";
    dialer->names = evdns_base_new(dialer->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (dialer->names == NULL) {
        return aegis_error_set(error, "the resolver cannot be set up");
    }
    if (evdns_base_resolv_conf_parse(dialer->names, DNS_OPTIONS_ALL, file) != 0) {
        aegis_log(AEGIS_LOG_WARNING, "%s names no usable name server; 127.0.0.1 is asked", file);
    }
    return true;
}

struct aegis_dialer *aegis_dialer_new(struct event_base *base, const struct aegis_dialer_options *options,
                                      struct aegis_error *error)
{
    struct aegis_dialer *dialer = aegis_alloc(sizeof(*dialer));
    dialer->base = base;
    dialer->connect_ms = options->connect_ms > 0 ? options->connect_ms : CONNECT_MS;
    if (read_networks(dialer, options, error) && read_resolver(dialer, error)) {
        dialer->tls = aegis_tls_new(options->ca_file, error);
    }
    if (dialer->tls == NULL) {
        aegis_dialer_free(&dialer);
    }
    return dialer;
}

void aegis_dialer_free(struct aegis_dialer **pointer)
{
    struct aegis_dialer *dialer = *pointer;
    *pointer = NULL;
    if (dialer == NULL) {
        return;
    }
    if (dialer->names != NULL) {
        evdns_base_free(dialer->names, 0);
    }
    SSL_CTX_free(dialer->tls);
    aegis_networks_free(&dialer->refused);
    aegis_networks_free(&dialer->allowed);
    free(dialer);
}

static bool refuses(const struct aegis_dialer *dialer, const struct aegis_ip *address)
{
    struct aegis_ip inner;
    if (aegis_networks_hold(&dialer->allowed, address)) {
        return false;
    }
    if (aegis_networks_hold(&dialer->refused, address)) {
        return true;
    }
    return aegis_ip_embedded(address, &inner) && aegis_networks_hold(&dialer->refused, &inner) &&
           !aegis_networks_hold(&dialer->allowed, &inner);
}

bool aegis_dialer_refuses(const struct aegis_dialer *dialer, const char *text)
{
    struct aegis_ip address;
    return !aegis_ip_parse(text, &address) || refuses(dialer, &address);
}

/* Leaves the loop; the memory stays. */
static void stop(struct aegis_dial *dial)
{
    event_del(&dial->step);
    event_del(&dial->timer);
    if (event_initialized(&dial->ready)) {
        event_del(&dial->ready);
    }
    if (dial->transport != NULL) {
        bufferevent_setcb(dial->transport, NULL, NULL, NULL, NULL);
        bufferevent_free(dial->transport);
        dial->transport = NULL;
    }
    if (dial->fd >= 0) {
        close(dial->fd);
        dial->fd = -1;
    }
}

static void dial_free(struct aegis_dial *dial)
{
    if (dial->resolving) {
        dial->cancelled = true;
        evdns_getaddrinfo_cancel(dial->request);
        return;
    }
    free(dial->host);
    free(dial);
}

static void finish(struct aegis_dial *dial, enum aegis_dial_result result, const char *problem)
{
    struct bufferevent *transport = NULL;
    if (result == AEGIS_DIAL_OK) {
        transport = dial->transport;
        dial->transport = NULL;
        bufferevent_setcb(transport, NULL, NULL, NULL, NULL);
        bufferevent_disable(transport, EV_READ);
    }
    stop(dial);
    dial->done(result, transport, problem, dial->context);
    dial_free(dial);
}

void aegis_dial_cancel(struct aegis_dial **pointer)
{
    struct aegis_dial *dial = *pointer;
    *pointer = NULL;
    if (dial != NULL) {
        stop(dial);
        dial_free(dial);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    finish(context, AEGIS_DIAL_TIMEOUT, "the connection was not made in time");
}

static void on_handshake(struct bufferevent *transport, short what, void *context)
{
    struct aegis_dial *dial = context;
    if ((what & BEV_EVENT_CONNECTED) != 0) {
        finish(dial, AEGIS_DIAL_OK, NULL);
    } else if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0) {
        const char *problem = aegis_tls_problem(bufferevent_openssl_get_ssl(transport),
                                                bufferevent_get_openssl_error(transport));
        ERR_clear_error();
        finish(dial, AEGIS_DIAL_TLS, problem);
    }
}

/* The socket is connected: a plain transport is done, a TLS one shakes hands. */
static void connected(struct aegis_dial *dial)
{
    if (!dial->tls) {
        dial->transport = bufferevent_socket_new(dial->dialer->base, dial->fd, BEV_OPT_CLOSE_ON_FREE);
        AEGIS_ASSERT(dial->transport != NULL);
        dial->fd = -1;
        finish(dial, AEGIS_DIAL_OK, NULL);
        return;
    }
    SSL *ssl = aegis_tls_connect(dial->dialer->tls, dial->host, dial->is_address);
    if (ssl == NULL) {
        finish(dial, AEGIS_DIAL_TLS, "no certificate can be valid for this host");
        return;
    }
    dial->transport = bufferevent_openssl_socket_new(dial->dialer->base, dial->fd, ssl,
                                                     BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
    AEGIS_ASSERT(dial->transport != NULL);
    dial->fd = -1;
    bufferevent_setcb(dial->transport, NULL, NULL, on_handshake, dial);
}

static void try_next(struct aegis_dial *dial);

static void attempt_failed(struct aegis_dial *dial, int failure)
{
    dial->failure = failure;
    close(dial->fd);
    dial->fd = -1;
    try_next(dial);
}

static void on_ready(evutil_socket_t fd, short what, void *context)
{
    struct aegis_dial *dial = context;
    int failure = ETIMEDOUT;
    socklen_t size = sizeof(failure);
    if ((what & EV_TIMEOUT) == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) {
        failure = errno;
    }
    if (failure != 0) {
        attempt_failed(dial, failure);
    } else {
        connected(dial);
    }
}

static void await(struct aegis_dial *dial)
{
    struct timeval patience = aegis_clock_interval(ATTEMPT_MS);
    bool last = dial->next == dial->count;
    event_assign(&dial->ready, dial->dialer->base, dial->fd, EV_WRITE, on_ready, dial);
    event_add(&dial->ready, last ? NULL : &patience);
}

static void try_next(struct aegis_dial *dial)
{
    static const int on = 1;
    while (dial->next < dial->count) {
        const struct sockaddr_storage *address = &dial->addresses[dial->next++];
        socklen_t size =
            address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        dial->fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (dial->fd < 0) {
            dial->failure = errno;
            continue;
        }
        (void)setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (connect(dial->fd, (const struct sockaddr *)address, size) == 0 || errno == EINPROGRESS) {
            await(dial);
            return;
        }
        dial->failure = errno;
        close(dial->fd);
        dial->fd = -1;
    }
    finish(dial, AEGIS_DIAL_CONNECT, strerrordesc_np(dial->failure));
}

static void on_step(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct aegis_dial *dial = context;
    if (dial->count > 0) {
        try_next(dial);
    } else if (dial->refused) {
        finish(dial, AEGIS_DIAL_REFUSED, "the address is one that must not be reached");
    } else {
        finish(dial, AEGIS_DIAL_RESOLVE, "the name does not resolve");
    }
}

static void take_address(struct aegis_dial *dial, const struct sockaddr *address, size_t size)
{
    struct aegis_ip bytes;
    if (dial->count == ADDRESSES_MAX || size > sizeof(dial->addresses[0]) || !aegis_ip_of(address, &bytes)) {
        return;
    }
    if (refuses(dial->dialer, &bytes)) {
        dial->refused = true;
        return;
    }
    memcpy(&dial->addresses[dial->count++], address, size);
}

/* IPv6 and IPv4 by turns, IPv6 first, so that a broken family costs one attempt. */
static void take_by_turns(struct aegis_dial *dial, const struct evutil_addrinfo *answers)
{
    const struct evutil_addrinfo *next[2] = {answers, answers};
    static const int families[2] = {AF_INET6, AF_INET};
    for (int turn = 0; next[0] != NULL || next[1] != NULL; turn ^= 1) {
        while (next[turn] != NULL && next[turn]->ai_family != families[turn]) {
            next[turn] = next[turn]->ai_next;
        }
        if (next[turn] != NULL) {
            take_address(dial, next[turn]->ai_addr, next[turn]->ai_addrlen);
            next[turn] = next[turn]->ai_next;
        }
    }
}

static void on_resolved(int result, struct evutil_addrinfo *answers, void *context)
{
    struct aegis_dial *dial = context;
    dial->resolving = false;
    if (!dial->cancelled && result == 0) {
        take_by_turns(dial, answers);
    }
    if (answers != NULL) {
        evutil_freeaddrinfo(answers);
    }
    if (dial->cancelled) {
        dial_free(dial);
    } else {
        event_active(&dial->step, EV_TIMEOUT, 0);
    }
}

static void resolve(struct aegis_dial *dial)
{
    char port[8];
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_protocol = IPPROTO_TCP,
                                    .ai_flags = EVUTIL_AI_NUMERICSERV};
    snprintf(port, sizeof(port), "%u", dial->port);
    dial->resolving = true;
    struct evdns_getaddrinfo_request *request =
        evdns_getaddrinfo(dial->dialer->names, dial->host, port, &hints, on_resolved, dial);
    if (dial->resolving) {
        dial->request = request;
    }
}

/* A numeric host needs no resolver. */
static bool take_numeric(struct aegis_dial *dial)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(dial->port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(dial->port)};
    if (evutil_inet_pton(AF_INET, dial->host, &four.sin_addr) == 1) {
        take_address(dial, (const struct sockaddr *)&four, sizeof(four));
        return true;
    }
    if (evutil_inet_pton(AF_INET6, dial->host, &six.sin6_addr) == 1) {
        take_address(dial, (const struct sockaddr *)&six, sizeof(six));
        return true;
    }
    return false;
}

struct aegis_dial *aegis_dial(struct aegis_dialer *dialer, const char *host, uint16_t port, bool tls,
                              void (*done)(enum aegis_dial_result result, struct bufferevent *transport,
                                           const char *problem, void *context),
                              void *context)
{
    struct aegis_dial *dial = aegis_alloc(sizeof(*dial));
    struct timeval patience = aegis_clock_interval(dialer->connect_ms);
    dial->dialer = dialer;
    dial->host = aegis_strdup(host);
    dial->port = port;
    dial->tls = tls;
    dial->done = done;
    dial->context = context;
    dial->fd = -1;
    event_assign(&dial->step, dialer->base, -1, 0, on_step, dial);
    evtimer_assign(&dial->timer, dialer->base, on_timer, dial);
    event_add(&dial->timer, &patience);
    dial->is_address = take_numeric(dial);
    if (dial->is_address) {
        event_active(&dial->step, EV_TIMEOUT, 0);
    } else {
        resolve(dial);
    }
    return dial;
}
