#include "gate/proxy/inflate.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

enum { EITHER_HEADER = 15 + 32 /* the largest window, gzip or zlib as it comes */ };

char *aegis_inflate(const char *bytes, size_t size, size_t limit, size_t *length, struct aegis_error *error)
{
    z_stream stream = {.next_in = (Bytef *)(size_t)bytes, .avail_in = (uInt)size};
    if (size > UINT_MAX || limit >= UINT_MAX || inflateInit2(&stream, EITHER_HEADER) != Z_OK) {
        aegis_error_set(error, "the compressed body cannot be read");
        return NULL;
    }
    char *out = malloc(limit + 1);
    stream.next_out = (Bytef *)out;
    stream.avail_out = (uInt)limit + 1;
    int result = out ? inflate(&stream, Z_FINISH) : Z_MEM_ERROR;
    *length = limit + 1 - stream.avail_out;
    bool whole = result == Z_STREAM_END && stream.avail_in == 0 && *length <= limit;
    inflateEnd(&stream);
    if (whole)
        return out;
    free(out);
    aegis_error_set(error, "the compressed body is damaged, or longer than %zu bytes", limit);
    return NULL;
}
