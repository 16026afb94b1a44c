/* Which resources asked for no money lately. A request body too large to be kept can be sent to those: it
 * will not have to be sent again with a payment. */
#ifndef AEGIS_PROXY_FREE_PATHS_H
#define AEGIS_PROXY_FREE_PATHS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/http/head.h"

#define AEGIS_FREE_PATHS_MS (10L * 60 * 1000) /* how long an answer without a price is trusted */

struct aegis_free_paths;

struct aegis_free_paths *aegis_free_paths_new(void);
void aegis_free_paths_free(struct aegis_free_paths **paths);

/* `origin` is a number that stands for the origin, the same for as long as the process lives; a query in
 * `target` does not count. */
void aegis_free_paths_note(struct aegis_free_paths *paths, uint64_t origin, struct aegis_http_text target,
                           bool asked_for_money, int64_t now);
bool aegis_free_paths_has(const struct aegis_free_paths *paths, uint64_t origin,
                          struct aegis_http_text target, int64_t now);

/* Whether `authority` is among the origins that the configuration calls free. */
bool aegis_free_origin(const json_t *free_origins, const char *authority);

#endif
