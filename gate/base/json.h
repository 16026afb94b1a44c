/* JSON on top of jansson: strict reading, RFC 8785 writing, and one checker for the shape of an object, used
 * for messages between processes, policy files and configuration alike. */
#ifndef AEGIS_BASE_JSON_H
#define AEGIS_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/base/error.h"

/* One JSON text and nothing behind it. Duplicate keys, bad UTF-8, NUL in strings and a byte order mark are
 * refused. Returns a new reference, or NULL with the reason (line and column named). */
json_t *aegis_json_parse(const char *text, size_t length, struct aegis_error *error);

/* RFC 8785. Returns a text that the caller frees, its length in *length (may be NULL); NULL when the value
 * has no canonical form (a lone surrogate, an integer that no double is written as, such as 2^53 + 1, a
 * non-finite real). Doubles from 2^63 to 10^21 are written as integers that aegis_json_parse will not read
 * again: keep reals out of what must be. */
char *aegis_json_canonical(const json_t *value, size_t *length);

/* Compact text in insertion order, as JavaScript's JSON.stringify would print it. The caller frees. */
char *aegis_json_compact(const json_t *value);

enum aegis_json_kind {
    AEGIS_JSON_STRING,  /* at most `max` bytes, when max is not 0 */
    AEGIS_JSON_INTEGER, /* 0 <= value <= max, when max is not 0; else any */
    AEGIS_JSON_BOOLEAN,
    AEGIS_JSON_OBJECT,
    AEGIS_JSON_ARRAY,  /* at most `max` elements, when max is not 0 */
    AEGIS_JSON_AMOUNT, /* a string that aegis_amount_parse takes */
    AEGIS_JSON_ANY,
};

struct aegis_json_field {
    const char *name;
    enum aegis_json_kind kind;
    bool required;
    uint64_t max;
};

/* `fields` ends with a row whose name is NULL. True when `object` is an object that has every required field,
 * every field it has is in the table, and each is of its kind (JSON null counts as wrong). The error names
 * field and expectation. */
bool aegis_json_check(const json_t *object, const struct aegis_json_field *fields, struct aegis_error *error);

/* Members of an object that was checked: the text (borrowed) or `otherwise`; the integer or `otherwise`. */
const char *aegis_json_text(const json_t *object, const char *name, const char *otherwise);
int64_t aegis_json_integer(const json_t *object, const char *name, int64_t otherwise);
bool aegis_json_boolean(const json_t *object, const char *name, bool otherwise);

#endif
