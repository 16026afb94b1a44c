/* YAML read as JSON, remembering where everything stood, so that an error can name the line. */
#ifndef AEGIS_BASE_YAML_H
#define AEGIS_BASE_YAML_H

#include <jansson.h>
#include <stddef.h>

#include "gate/base/error.h"

struct aegis_yaml;

/* Reads one document from `text`; `file` is only for messages. Plain scalars become integers, booleans
 * (true/false) or null as in the YAML 1.2 core schema, except that only what is written in decimal and fits
 * in 64 bits is an integer: 0x833589... is an address, a longer number an amount, and there are no floats
 * here. Those stay strings. Aliases, duplicate keys, more than one document, nesting deeper than 32 and more
 * than 100,000 nodes are refused. Returns NULL with `FILE:LINE: ...`. */
struct aegis_yaml *aegis_yaml_parse(const char *file, const char *text, size_t length,
                                    struct aegis_error *error);
void aegis_yaml_free(struct aegis_yaml *yaml);

/* The whole document; borrowed, lives as long as `yaml`. */
json_t *aegis_yaml_root(const struct aegis_yaml *yaml);

/* The line (from 1) where `value`, a node inside the root, began; 0 when it is not one, or is true, false or
 * null, which jansson keeps only once: ask for the line of their key. */
unsigned aegis_yaml_line(const struct aegis_yaml *yaml, const json_t *value);

/* The line where the member `key` of `object`, a node inside the root, began; 0 when there is none. */
unsigned aegis_yaml_key_line(const struct aegis_yaml *yaml, const json_t *object, const char *key);

#endif
