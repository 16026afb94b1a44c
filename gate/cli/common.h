/* What the commands share: how they fail, what they print, whom they ask. */
#ifndef AEGIS_CLI_COMMON_H
#define AEGIS_CLI_COMMON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/base/error.h"
#include "gate/cli/cli.h"
#include "gate/daemon/config.h"
#include "gate/judge/host.h"
#include "gate/ledger/reader.h"
#include "gate/vault/folder.h"

/* "aegis: TEXT" on standard error; returns 1. */
int aegis_cli_fail(const struct aegis_cli *cli, const struct aegis_error *error);

/* The usage line of the command `name` from the command table on standard error; returns 2. */
int aegis_cli_misuse(const struct aegis_cli *cli, const char *name);

/* One JSON value on standard output, indented; `value` is stolen. Returns 0. */
int aegis_cli_print_json(json_t *value);

/* A table of texts on standard output: first row are the headings. Control characters are replaced, so that
 * what a stranger wrote cannot act on the terminal. */
struct aegis_cli_table;
struct aegis_cli_table *aegis_cli_table_new(size_t columns, const char *const *headings);
void aegis_cli_table_add(struct aegis_cli_table *table, const char *const *cells);
/* Prints it and sets *table to NULL; `nothing` is said when it has no rows. */
void aegis_cli_table_print(struct aegis_cli_table **table, const char *nothing);

/* The vault, for a command through which keys pass: from here on the process can open no connection, run no
 * program and be looked into by none. NULL with the reason. */
struct aegis_vault *aegis_cli_open_vault(const struct aegis_cli *cli, struct aegis_error *error);

/* The ledger of this home. NULL with the reason. */
struct aegis_reader *aegis_cli_open_ledger(const struct aegis_cli *cli, struct aegis_error *error);

/* Asks the running gate (its keeper) over HOME/control.sock. `arguments` is stolen. Returns the answer's
 * body, a new reference; NULL with the reason: no gate, or what it said. */
json_t *aegis_cli_ask(const struct aegis_cli *cli, const char *command, json_t *arguments,
                      struct aegis_error *error);

/* The agent whose id or name this is: its id, which the caller frees. NULL with the reason. */
char *aegis_cli_agent(const struct aegis_cli *cli, const char *id_or_name, struct aegis_error *error);

/* Plugins from `folders`, to which those are added that the gate of this home uses. */
struct aegis_plugins *aegis_cli_plugins(const struct aegis_cli *cli, json_t *folders);

/* HOME/NAME; the caller frees. */
char *aegis_cli_path(const struct aegis_cli *cli, const char *name);

/* The configuration file that the running gate was started with, else HOME/aegis.yaml; the caller frees. */
char *aegis_cli_config_file(const struct aegis_cli *cli);

/* What stands in it; all defaults when it is not there. NULL with the reason. */
struct aegis_config *aegis_cli_config(const struct aegis_cli *cli, struct aegis_error *error);

/* Sends SIGHUP to the running gate and waits for what becomes of it. True also when no gate runs (*running
 * says so). */
bool aegis_cli_reload_gate(const struct aegis_cli *cli, bool *running, struct aegis_error *error);

#endif
