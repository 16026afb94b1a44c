/* The host as one policy sees it during one check: answers facts from what was sent, notes what was not,
 * collects effects. It believes nothing that a plugin hands it. */
#ifndef AEGIS_JUDGE_SERVICES_H
#define AEGIS_JUDGE_SERVICES_H

#include <jansson.h>
#include <stdbool.h>

#include "aegis/plugin.h"

struct aegis_services {
    const char *policy;    /* id of the document */
    const json_t *facts;   /* query -> value; NULL: none are available to this check */
    json_t *needed;        /* array: queries that were not there, of all policies of a question */
    json_t *runs;          /* array: executables that must be run */
    const json_t *subject; /* of check_payment, else NULL */
    const struct aegis_payment *payment; /* the same, read */
    bool ticking;                        /* revoke is allowed */
    bool recording;                      /* effects count */

    json_t *used;      /* array: queries that this policy asked */
    json_t *ran;       /* object: answers of executables that it was given */
    json_t *effects;   /* array */
    char *typed_data;  /* once somebody asked */
    bool waiting;      /* a fact was not there */
    char failure[160]; /* not "": what the plugin did that it may not do */
};

/* The caller filled in the first group; `host` gets its functions. */
void aegis_services_open(struct aegis_services *services, struct aegis_host *host);
void aegis_services_close(struct aegis_services *services);

#endif
