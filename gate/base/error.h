/* What went wrong, as one sentence for a person: file, line or field, what was found, what was expected. */
#ifndef AEGIS_BASE_ERROR_H
#define AEGIS_BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

struct aegis_error {
    char text[512];
};

/* Replaces the text; cuts it (at a UTF-8 boundary) when it does not fit. `error` may be NULL. Always returns
 * false, so that a failing function can end in `return aegis_error_set(...)`. */
_Bool aegis_error_set(struct aegis_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts `prefix: ` in front of the text that is there. Always returns false. */
_Bool aegis_error_prefix(struct aegis_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
