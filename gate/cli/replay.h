/* aegis ledger replay: every decision of the past, judged again from what was recorded with it. */
#ifndef AEGIS_CLI_REPLAY_H
#define AEGIS_CLI_REPLAY_H

#include <jansson.h>

#include "gate/cli/cli.h"
#include "gate/ledger/reader.h"

/* `plugin_path`: folders that are looked through before those of the configuration and of the installation.
 * Returns 0 when every decision that can be judged again has the same verdicts. */
int aegis_cli_replay(const struct aegis_cli *cli, struct aegis_reader *reader, json_t *plugin_path);

#endif
