/* Texts for bytes: hex, base64, base58; and the few string helpers that everybody needs. */
#ifndef AEGIS_BASE_TEXT_H
#define AEGIS_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lower-case hex without prefix; out has room for 2 * size + 1 bytes. Returns `out`. */
char *aegis_hex_encode(const void *bytes, size_t size, char *out);

/* Exactly 2 * size hex digits of either case, no prefix; `length` is the length of `text`. */
bool aegis_hex_decode(const char *text, size_t length, void *out, size_t size);

/* Standard alphabet with padding. The caller frees the result. NULL only when memory is gone. */
char *aegis_base64_encode(const void *bytes, size_t size);

/* What the official x402 packages take: standard alphabet, padding may be missing, nothing else (no white
 * space, no URL-safe letters). Returns bytes that the caller frees, NUL-terminated beyond *size; NULL when
 * refused. */
unsigned char *aegis_base64_decode(const char *text, size_t length, size_t *size);

/* Bitcoin alphabet. encode: the caller frees. decode: false when a letter is foreign or the result is not
 * exactly `size` bytes. */
char *aegis_base58_encode(const void *bytes, size_t size);
bool aegis_base58_decode(const char *text, void *out, size_t size);

/* Valid UTF-8 without NUL inside. */
bool aegis_utf8_valid(const char *text, size_t length);

/* Copies at most size - 1 bytes and terminates; false when it was cut, which is never inside a character. */
bool aegis_text_copy(char *out, size_t size, const char *text);

/* malloc, strdup and asprintf that end the process when memory is gone, so that callers have no dead
 * branches. Only for sizes that no stranger chose. */
void *aegis_alloc(size_t size); /* zeroed */
char *aegis_strdup(const char *text);
char *aegis_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
