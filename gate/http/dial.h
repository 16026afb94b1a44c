/* Opening a connection to an origin: names resolved asynchronously, addresses that must not be reached
 * refused after the resolution, TLS verified for real. */
#ifndef AEGIS_HTTP_DIAL_H
#define AEGIS_HTTP_DIAL_H

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/base/error.h"

struct aegis_dialer;

struct aegis_dialer_options {
    int64_t connect_ms; /* for resolving, connecting and the TLS handshake together (10,000) */
    /* Networks in CIDR form that are refused after resolution, and exceptions that win. NULL: the built-in
     * list (link-local, cloud metadata, unspecified, multicast, broadcast; IPv4-mapped and NAT64 forms of
     * them as well). */
    const json_t *refused;
    const json_t *allowed;
    const char *ca_file; /* PEM to trust besides the system's roots, or NULL */
};

/* Reads resolver configuration and trust store now, so that no file is needed later. */
struct aegis_dialer *aegis_dialer_new(struct event_base *base, const struct aegis_dialer_options *options,
                                      struct aegis_error *error);
void aegis_dialer_free(struct aegis_dialer **dialer);

enum aegis_dial_result {
    AEGIS_DIAL_OK,
    AEGIS_DIAL_RESOLVE, /* the name does not resolve */
    AEGIS_DIAL_REFUSED, /* every address is one that must not be reached */
    AEGIS_DIAL_CONNECT, /* no address answers */
    AEGIS_DIAL_TLS,     /* handshake or certificate; `problem` has OpenSSL's reason */
    AEGIS_DIAL_TIMEOUT,
};

struct aegis_dial;

/* `done` is called once, from the loop; on OK `transport` is the callee's (reads disabled until it enables
 * them). */
struct aegis_dial *aegis_dial(struct aegis_dialer *dialer, const char *host, uint16_t port, bool tls,
                              void (*done)(enum aegis_dial_result result, struct bufferevent *transport,
                                           const char *problem, void *context),
                              void *context);
/* Calls it off; `done` is not called. */
void aegis_dial_cancel(struct aegis_dial **dial);

/* True when the address (text, IPv4 or IPv6) is refused by these options. */
bool aegis_dialer_refuses(const struct aegis_dialer *dialer, const char *address);

#endif
