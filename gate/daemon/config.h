/* The configuration file, checked: what every option says, defaults filled in. */
#ifndef AEGIS_DAEMON_CONFIG_H
#define AEGIS_DAEMON_CONFIG_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/base/error.h"

struct aegis_config;

/* Reads the file. Returns NULL with `FILE:LINE: FIELD: expected ..., found ...`. */
struct aegis_config *aegis_config_load(const char *file, struct aegis_error *error);

/* The same for a text that is there already. */
struct aegis_config *aegis_config_parse(const char *file, const char *text, size_t length,
                                        struct aegis_error *error);
void aegis_config_free(struct aegis_config **config);

/* Values by dotted name (none with `[]` in it); a name that is no option ends the process. Borrowed. NULL
 * when nothing was configured and there is no default; "" and an empty array are never made up. */
const json_t *aegis_config_get(const struct aegis_config *config, const char *name);
const char *aegis_config_text(const struct aegis_config *config, const char *name);
int64_t aegis_config_integer(const struct aegis_config *config, const char *name);

/* Absolute. Borrowed. */
const char *aegis_config_home(const struct aegis_config *config);
const char *aegis_config_vault(const struct aegis_config *config);
const char *aegis_config_file(const struct aegis_config *config);

/* A path in the home folder. The caller frees. */
char *aegis_config_path(const struct aegis_config *config, const char *name);

/* The line on which element `index` of a list of the file itself stands. */
unsigned aegis_config_line(const struct aegis_config *config, const char *list, size_t index);

/* Gives `config` the values of `running` wherever an option needs a restart. `changed` is called for each
 * that differs. */
void aegis_config_keep(struct aegis_config *config, const struct aegis_config *running,
                       void (*changed)(const char *name, void *context), void *context);

#endif
