/* Known answers from tests/data, for the unit tests. */
#ifndef AEGIS_TESTS_VECTORS_H
#define AEGIS_TESTS_VECTORS_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `path` below tests/data; ends the program when it cannot be read. */
static inline json_t *vectors_load(const char *path)
{
    const char *srcdir = getenv("srcdir");
    char full[4096];
    json_error_t error;
    json_t *value;

    snprintf(full, sizeof full, "%s/tests/data/%s", srcdir != NULL ? srcdir : ".", path);
    value = json_load_file(full, JSON_ALLOW_NUL, &error);
    if (value == NULL) {
        fprintf(stderr, "%s:%d: %s\n", full, error.line, error.text);
        exit(99);
    }
    return value;
}

/* A member that must be there. */
static inline json_t *vectors_get(const json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);

    if (value == NULL) {
        fprintf(stderr, "no member %s\n", name);
        exit(99);
    }
    return value;
}

static inline const char *vectors_text(const json_t *object, const char *name)
{
    return json_string_value(vectors_get(object, name));
}

#endif
