/* What the configuration, the vault and the policy folders say of the agents of a gate, whether it runs or
 * not. */
#ifndef AEGIS_CLI_AGENTS_H
#define AEGIS_CLI_AGENTS_H

#include <jansson.h>
#include <stdbool.h>

#include "gate/base/error.h"
#include "gate/cli/cli.h"
#include "gate/daemon/config.h"
#include "gate/daemon/documents.h"

struct aegis_setup {
    struct aegis_config *config;
    struct aegis_documents documents;
    json_t *agents; /* [{id, name, policies: [ids in order of evaluation], expired}]: keys, then owners'
                       listeners */
};

bool aegis_setup_read(const struct aegis_cli *cli, struct aegis_setup *out, struct aegis_error *error);
/* For what must work whatever stands in the configuration, as revoking must: what cannot be read is said on
 * standard error, and the agents are then those of the keys, `config` and `documents` empty. */
bool aegis_setup_read_keys(const struct aegis_cli *cli, struct aegis_setup *out, struct aegis_error *error);
void aegis_setup_clear(struct aegis_setup *setup);

/* The agent whose id or name this is: its id, which the caller frees. NULL with the reason. */
char *aegis_setup_agent(const struct aegis_cli *cli, const char *id_or_name, struct aegis_error *error);

#endif
