/* The policies that are in force: documents, each with the instance of its plugin. */
#ifndef AEGIS_JUDGE_POLICIES_H
#define AEGIS_JUDGE_POLICIES_H

#include <jansson.h>
#include <stdbool.h>

#include "gate/base/error.h"
#include "gate/judge/document.h"
#include "gate/judge/host.h"
#include "gate/judge/notepad.h"

struct aegis_policies;

/* One document at work. */
struct aegis_installed {
    struct aegis_document *document;
    const struct aegis_policy *plugin; /* NULL: none, or quarantined and not to be had */
    void *instance;                    /* of `plugin`; NULL when quarantined */
    const struct aegis_policy *runner; /* the plugin `exec`, when the document names a foreign executable */
    void *runner_instance;
    bool quarantined;
};

/* `documents`: array of {path, document}. `quarantined`: array of ids (or NULL) whose plugins are not
 * touched. While a plugin's code runs its policy stands on `pad` (may be NULL; must outlive the policies).
 * All or nothing: NULL with a sentence that names file and field. `plugins` must outlive the result. */
struct aegis_policies *aegis_policies_new(const json_t *documents, const json_t *quarantined,
                                          struct aegis_plugins *plugins, struct aegis_notepad *pad,
                                          struct aegis_error *error);
void aegis_policies_free(struct aegis_policies **policies);

/* Borrowed; NULL when there is none of this id. */
const struct aegis_installed *aegis_policies_find(const struct aegis_policies *policies, const char *id);
size_t aegis_policies_count(const struct aegis_policies *policies);
const struct aegis_installed *aegis_policies_at(const struct aegis_policies *policies, size_t index);

/* Whether the policy has a say about requests. One in quarantine has what its plugin would have; when that
 * cannot be known, it has. */
bool aegis_installed_checks_requests(const struct aegis_installed *installed);

/* What aegis-gate -t demands of all documents; see aegis_document_strict. */
bool aegis_policies_strict(const struct aegis_policies *policies, struct aegis_error *error);

/* What the message `loaded` tells the keeper: [{id, version, hash, document, checks}]. A new reference. */
json_t *aegis_policies_describe(const struct aegis_policies *policies);

/* A later notepad; for a page that arrives after the policies were loaded. */
void aegis_policies_notepad(struct aegis_policies *policies, struct aegis_notepad *pad);
struct aegis_notepad *aegis_policies_pad(const struct aegis_policies *policies);

#endif
