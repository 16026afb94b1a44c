/* Undoing the content coding of a small body, for looking into it. What is passed on stays as it came. */
#ifndef AEGIS_PROXY_INFLATE_H
#define AEGIS_PROXY_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "gate/base/error.h"

/* `bytes` is all of a gzip or zlib stream (Content-Encoding: gzip, x-gzip, deflate) and nothing behind it.
 * Returns text that the caller frees, its length in *length; NULL when it is damaged or would be longer than
 * `limit`. */
char *aegis_inflate(const char *bytes, size_t size, size_t limit, size_t *length, struct aegis_error *error);

#endif
