/* The plugin host: finds plugins by name, loads them, and refuses what does not fit. */
#ifndef AEGIS_JUDGE_HOST_H
#define AEGIS_JUDGE_HOST_H

#include <jansson.h>
#include <stdbool.h>

#include "aegis/plugin.h"
#include "gate/base/error.h"

struct aegis_plugins;

/* `folders`: array of texts (copied), searched in order. Nothing is loaded yet. */
struct aegis_plugins *aegis_plugins_new(const json_t *folders);

/* Unloads everything; no instance of a plugin may be left. */
void aegis_plugins_free(struct aegis_plugins **plugins);

/* The plugin NAME.so, loaded the first time that it is asked for. The result lives as long as `plugins`. NULL
 * with `FILE: ...`, and nothing of the file left behind. */
const struct aegis_policy *aegis_plugins_get(struct aegis_plugins *plugins, const char *name,
                                             struct aegis_error *error);

/* From now on only what is loaded can be got: the process has given up files. */
void aegis_plugins_seal(struct aegis_plugins *plugins);

#endif
