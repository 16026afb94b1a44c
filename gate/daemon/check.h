/* What no single option can say: rules that hold between several. */
#ifndef AEGIS_DAEMON_CHECK_H
#define AEGIS_DAEMON_CHECK_H

#include <jansson.h>
#include <stdbool.h>

#include "gate/base/error.h"
#include "gate/base/yaml.h"

/* `tree` is what was read out of `yaml`, every value right in itself. The error is `FILE:LINE: FIELD:
 * ...`. */
bool aegis_config_check(const char *file, const struct aegis_yaml *yaml, const json_t *tree,
                        struct aegis_error *error);

/* Whether only this machine reaches a (checked) listener. */
bool aegis_check_is_local(const json_t *listener);

#endif
