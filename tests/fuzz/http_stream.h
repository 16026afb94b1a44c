/* What gate/http understands of a stream of messages, written down so that two readings can be compared, and
 * a judge that shares no code with the codec. */
#ifndef TESTS_HTTP_STREAM_H
#define TESTS_HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_text {
    char *bytes;
    size_t size;
};

void http_text_add(struct http_text *text, const void *bytes, size_t size);
void http_text_free(struct http_text *text);

/* Reads messages until one is refused or the bytes run out. The bytes arrive in pieces, the lengths of which
 * come from `cuts` (0: all at once). The transcript tells each message in canonical form and how it ended. */
struct http_text http_stream_read(bool requests, const uint8_t *bytes, size_t size, uint64_t cuts);

/* Reads the first message; when it is whole, what a proxy would send on: an HTTP/1.1 message with the fields
 * that travel, framed anew. Empty when it is not. */
struct http_text http_stream_canonical(bool requests, const uint8_t *bytes, size_t size);

/* Ends the program when the codec takes a first head that no codec should take. */
void http_stream_judge(bool requests, const uint8_t *bytes, size_t size);

#endif
