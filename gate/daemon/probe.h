/* Trying out policy documents, one by one, in a process that may die of it. */
#ifndef AEGIS_DAEMON_PROBE_H
#define AEGIS_DAEMON_PROBE_H

#include <jansson.h>
#include <stdbool.h>

#include "gate/daemon/documents.h"

/* Loads the plugin of every good document and opens it with the document's configuration. Documents for which
 * that fails, hangs or takes the process down become broken ones. `strict`: what aegis-gate -t demands
 * besides (gate/judge/document.h). Waits. */
void aegis_probe_documents(struct aegis_documents *documents, const json_t *plugin_path, bool strict);

#endif
