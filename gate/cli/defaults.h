/* The policies that a new setup begins with, and what makes a document safe for other OWS tools. */
#ifndef AEGIS_CLI_DEFAULTS_H
#define AEGIS_CLI_DEFAULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "gate/base/error.h"

/* default-budget: 1 USDC a payment, 10 a day, on any chain; default-guard: known assets only. A new
 * reference. */
extern const char *const aegis_default_policy_ids[];
extern const size_t aegis_default_policy_count;
json_t *aegis_default_policy(size_t index);

/* A document that names a plugin and no executable would allow everything to stock OWS, which does not know
 * `plugin`: it gets aegis-policy, which answers from the same plugin, as executable. Its path is written out,
 * since a bare name would depend on the PATH of whoever runs OWS. */
void aegis_policy_add_executable(json_t *document);

/* Writes the document to FOLDER/policies/ID.json (mode 600). */
bool aegis_policy_write(const char *folder, const json_t *document, struct aegis_error *error);

#endif
