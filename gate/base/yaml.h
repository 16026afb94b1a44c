/* YAML read as JSON, remembering where everything stood, so that an error can name the line. */
#ifndef AEGIS_BASE_YAML_H
#define AEGIS_BASE_YAML_H

#include <jansson.h>
#include <stddef.h>

#include "gate/base/error.h"

struct aegis_yaml;

/* Reads one document from `text`; `file` is only for messages. Plain scalars become integers, booleans (true/false) or
 * null as in the YAML 1.2 core schema, except that anything with a decimal point stays a string: there are no floats
 * here. Aliases, duplicate keys, more than one document, nesting deeper than 32 and more than 100,000 nodes are refused.
 * Returns NULL with `FILE:LINE: ...`. */
struct aegis_yaml *aegis_yaml_parse(const char *file, const char *text, size_t length, struct aegis_error *error);
void aegis_yaml_free(struct aegis_yaml *yaml);

/* The whole document; borrowed, lives as long as `yaml`. */
json_t *aegis_yaml_root(const struct aegis_yaml *yaml);

/* The line (from 1) where `value`, a node inside the root, began; 0 when it is not one. */
unsigned aegis_yaml_line(const struct aegis_yaml *yaml, const json_t *value);

#endif
