/* What one value in the configuration file may look like. */
#ifndef AEGIS_DAEMON_VALUES_H
#define AEGIS_DAEMON_VALUES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "gate/daemon/options.h"

/* "path", "network", ...: the type in a word or two. */
const char *aegis_value_type(enum aegis_option_type type);

/* IPV4:PORT, [IPV6]:PORT or unix:/PATH. */
bool aegis_value_address(const char *text, struct sockaddr_storage *out, socklen_t *size);

/* Whether only this machine reaches the address: a Unix socket or a loopback address. */
bool aegis_value_is_local(const struct sockaddr_storage *address);

#endif
