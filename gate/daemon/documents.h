/* The policy documents that are in force: VAULT/policies, HOME/policies, and Aegis's own configuration
 * files. */
#ifndef AEGIS_DAEMON_DOCUMENTS_H
#define AEGIS_DAEMON_DOCUMENTS_H

#include <jansson.h>
#include <stdbool.h>

#include "gate/base/error.h"

struct aegis_documents {
    json_t *good;   /* [{path, document}] as the judge takes them */
    json_t *gates;  /* ids that are gate-wide because HOME has a file in Aegis's own format; broken ones are
                       among them */
    json_t *broken; /* [{id, path, problem}]: what is wrong, a sentence that begins with the path. The id of a
                       file that cannot be read is the one that its name promises */
};

/* Reads all of them. A broken document is left out of the good ones, so that whatever names it is denied, and
 * so are two unequal documents of one id. False only when a folder cannot be read. */
bool aegis_documents_load(const char *home, const char *vault, struct aegis_documents *out,
                          struct aegis_error *error);
void aegis_documents_clear(struct aegis_documents *documents);

/* Whether there is a good one, or a broken one, with this id. */
bool aegis_documents_have(const struct aegis_documents *documents, const char *id);
bool aegis_documents_have_broken(const struct aegis_documents *documents, const char *id);

/* Takes a document out of the good ones. */
void aegis_documents_break(struct aegis_documents *documents, size_t index, const char *problem);

/* Forgets the documents at `paths`, good or broken. */
void aegis_documents_leave_out(struct aegis_documents *documents, const json_t *paths);

#endif
