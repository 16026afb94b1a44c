/* Inside gate/http: sets of networks, and which addresses lie in them, in whatever form an address comes. */
#ifndef AEGIS_HTTP_NETWORK_H
#define AEGIS_HTTP_NETWORK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "gate/base/error.h"

/* IPv4 addresses stand in their IPv6-mapped form. */
struct aegis_ip {
    uint8_t bytes[16];
};

struct aegis_networks {
    struct aegis_network *rows;
    size_t count;
};

/* Reads "10.0.0.0/8", "fe80::/10", "192.0.2.1". A row with bits set behind its prefix is refused. */
bool aegis_networks_read(struct aegis_networks *networks, const json_t *list, struct aegis_error *error);
bool aegis_networks_add(struct aegis_networks *networks, const char *text, struct aegis_error *error);
void aegis_networks_free(struct aegis_networks *networks);

bool aegis_networks_hold(const struct aegis_networks *networks, const struct aegis_ip *address);

bool aegis_ip_parse(const char *text, struct aegis_ip *out);
bool aegis_ip_of(const struct sockaddr *address, struct aegis_ip *out);

/* The IPv4 address inside an IPv6 one that a translator or tunnel would carry the packets to
 * (IPv4-compatible, NAT64, 6to4, Teredo, ISATAP), in mapped form; false when there is none. */
bool aegis_ip_embedded(const struct aegis_ip *address, struct aegis_ip *out);

/* What nobody has business with from inside a gate: this host by its other names, link-local (which is where
 * clouds keep their metadata), multicast, reserved and broadcast. Loopback and private networks are left:
 * agents use them. */
void aegis_networks_add_builtin(struct aegis_networks *networks);

#endif
