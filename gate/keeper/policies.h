/* What the judge has loaded: which versions there are and which checks they have. The judge decides, the
 * keeper records what it decided with. */
#ifndef AEGIS_KEEPER_POLICIES_H
#define AEGIS_KEEPER_POLICIES_H

#include <jansson.h>
#include <stdbool.h>

#include "gate/base/error.h"

struct aegis_loaded; /* the table */

struct aegis_loaded *aegis_loaded_new(void);
void aegis_loaded_free(struct aegis_loaded **loaded);

/* Replaces everything by the judge's message `loaded`. False, with nothing changed, when it is not
 * well-formed. */
bool aegis_loaded_replace(struct aegis_loaded *loaded, const json_t *policies, struct aegis_error *error);

/* Whether a judge has ever said what it has. */
bool aegis_loaded_known(const struct aegis_loaded *loaded);
bool aegis_loaded_has(const struct aegis_loaded *loaded, const char *id);

/* Whether the policy has this check ("request", "payment", "observe", "tick"). */
bool aegis_loaded_checks(const struct aegis_loaded *loaded, const char *id, const char *check);

/* Those of `ids` that have the check, in their order; with `unknown` also those that nobody knows. New
 * reference. */
json_t *aegis_loaded_select(const struct aegis_loaded *loaded, const json_t *ids, const char *check,
                            bool unknown);

/* Whether this version is the one that the judge has now. */
bool aegis_loaded_is(const struct aegis_loaded *loaded, const char *id, const char *hash);

/* The body of a `policy` entry for this version, the judge's or the one before; NULL when it is neither. New
 * reference. */
json_t *aegis_loaded_entry(const struct aegis_loaded *loaded, const char *id, const char *hash);

/* Whether this version was written to the ledger before, as far as this process knows. */
bool aegis_loaded_recorded(const struct aegis_loaded *loaded, const char *id, const char *hash);
void aegis_loaded_record(struct aegis_loaded *loaded, const char *id, const char *hash);
void aegis_loaded_forget_records(struct aegis_loaded *loaded);

size_t aegis_loaded_count(const struct aegis_loaded *loaded);

#endif
