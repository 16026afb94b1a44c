/* Policy documents: the Open Wallet Standard's policy file with one field of ours, `plugin`. */
#ifndef AEGIS_JUDGE_DOCUMENT_H
#define AEGIS_JUDGE_DOCUMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/base/error.h"
#include "gate/base/hash.h"

#define AEGIS_DOCUMENT_ID 100 /* longest id, bytes */

/* The name of our own executable. OWS runs it for its own signatures; here the plugin beside it answers
 * instead. */
#define AEGIS_DOCUMENT_OWN_EXECUTABLE "aegis-policy"

struct aegis_document {
    json_t *json; /* the whole document */
    char *path;   /* where it came from: for messages */

    /* Borrowed from `json`. */
    const char *id;
    const char *name;
    int64_t version;
    const json_t *rules;    /* array of objects, each with a `type` */
    const char *plugin;     /* NULL: none */
    const char *executable; /* NULL: none */
    const json_t *config;   /* NULL: none */

    char hash[AEGIS_HASH_HEX]; /* SHA-256 of the canonical document */
};

/* Reads a document. A rule of a type that is not known here stays in it, and denies when it is evaluated;
 * everything else that OWS would refuse is refused, as `PATH: FIELD: ...`. Unknown fields are ignored, as OWS
 * does. When the last part of `path` is budget-config.json, guard-config.json or deadswitch-config.json and
 * `json` has no id, it is read as Aegis's own format and becomes the document aegis-budget, aegis-guard or
 * aegis-deadswitch. `json` is copied. */
struct aegis_document *aegis_document_new(const char *path, const json_t *json, struct aegis_error *error);
void aegis_document_free(struct aegis_document **document);

/* What `aegis-gate -t` demands beyond that: every rule is of a known type and can be met. */
bool aegis_document_strict(const struct aegis_document *document, struct aegis_error *error);

/* Whether `executable` is one that must be run, that is, not ours. */
bool aegis_document_runs(const struct aegis_document *document);

/* Whether `id` can be the id of a document: 1 to 100 of letters, digits, `.`, `_`, `-`, not beginning with a
 * dot. */
bool aegis_document_id_valid(const char *id);

#endif
