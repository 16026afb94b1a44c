/* What each kind of process is told of the configuration: its own part, and nothing that it does not need. */
#ifndef AEGIS_DAEMON_SECTIONS_H
#define AEGIS_DAEMON_SECTIONS_H

#include <jansson.h>

#include "gate/daemon/config.h"
#include "gate/daemon/documents.h"
#include "gate/daemon/kind.h"

/* `config` of the message `configure` for a process of this kind; a new reference. `quarantined`: array of
 * policy ids. */
json_t *aegis_section(enum aegis_kind_name kind, const struct aegis_config *config,
                      const struct aegis_documents *documents, const json_t *quarantined);

/* How many processes of this kind there are. */
unsigned aegis_section_processes(enum aegis_kind_name kind, const struct aegis_config *config);

/* Folders with plugins, in the order in which they are looked through. */
json_t *aegis_section_plugin_path(const struct aegis_config *config);

#endif
