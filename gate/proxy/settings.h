/* A worker's configuration, checked and ready to use. Exchanges that began under an old one keep it until
 * they end. */
#ifndef AEGIS_PROXY_SETTINGS_H
#define AEGIS_PROXY_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/base/error.h"
#include "gate/http/connection.h"
#include "gate/x402/asset.h"

#define AEGIS_LISTENER_NAME 129

/* One line of a reverse listener: requests whose path lies under `prefix` go to the upstream, its path in
 * front. */
struct aegis_settings_route {
    char *prefix;   /* begins with "/"; no "/" at the end, so "" is everything */
    char *upstream; /* http or https URL without query; no "/" at the end */
};

struct aegis_settings_listener {
    char name[AEGIS_LISTENER_NAME];
    bool reverse;
    bool token_required;
    struct aegis_settings_route *routes; /* longest prefix first */
    size_t route_count;
};

struct aegis_settings {
    unsigned references;
    struct aegis_settings_listener *listeners;
    size_t listener_count;

    struct aegis_assets *assets;
    json_t *preference; /* array, see aegis_challenge_rank */

    char request_body_text[32]; /* the next one, for people */
    size_t request_body;   /* most that is kept of a request's body, for sending it again with a payment */
    size_t challenge_body; /* most that is read of a 402 without PAYMENT-REQUIRED before it is taken for no
                              x402 */
    size_t connections;    /* of agents, in this worker */
    size_t pool_per_origin;
    struct aegis_http_limits agent_side;
    struct aegis_http_limits origin_side;
    int64_t authorize_ms; /* for each question to keeper or judge */

    int64_t connect_ms;
    json_t *refused; /* NULL: the built-in list */
    json_t *allowed;
    char *ca_file; /* or NULL */

    json_t *free_origins; /* array of "host" or "host:port" that are known to ask for no money */
    char via[80];         /* the value of our Via field */
};

/* One reference, or NULL with the field and what was expected. */
struct aegis_settings *aegis_settings_new(const json_t *config, struct aegis_error *error);
struct aegis_settings *aegis_settings_retain(struct aegis_settings *settings);
void aegis_settings_release(struct aegis_settings **settings);

/* Borrowed; NULL when there is none of this name. */
const struct aegis_settings_listener *aegis_settings_listener_find(const struct aegis_settings *settings,
                                                                   const char *name);

/* False with the option that `later` would change and that is fixed when a worker starts: resolver and trust
 * store are read before the worker gives up opening files. */
bool aegis_settings_same_start(const struct aegis_settings *first, const struct aegis_settings *later,
                               struct aegis_error *error);

#endif
