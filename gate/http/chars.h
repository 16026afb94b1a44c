/* Inside gate/http: character classes and the reading of runs. */
#ifndef AEGIS_HTTP_CHARS_H
#define AEGIS_HTTP_CHARS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "gate/http/head.h"

enum {
    AEGIS_HTTP_CHAR_TOKEN = 1,  /* RFC 9110 tchar */
    AEGIS_HTTP_CHAR_FIELD = 2,  /* a field value: VCHAR, obs-text, space, tab */
    AEGIS_HTTP_CHAR_TARGET = 4, /* printable ASCII without `#`: a request target carries no fragment */
    AEGIS_HTTP_CHAR_HEX = 8,
    AEGIS_HTTP_CHAR_DIGIT = 16,
    AEGIS_HTTP_CHAR_NAME = 32, /* of a host's name: letters, digits, - . _ */
};

extern const unsigned char aegis_http_chars[256];

static inline bool aegis_http_char_is(char c, unsigned classes)
{
    return (aegis_http_chars[(unsigned char)c] & classes) != 0;
}

/* The first byte in [at, end) that is not of the class. */
static inline const char *aegis_http_run(const char *at, const char *end, unsigned classes)
{
    while (at < end && aegis_http_char_is(*at, classes)) {
        at++;
    }
    return at;
}

/* The same for field values, eight bytes at a time: no byte below 0x20 and none that is DEL. A borrow can
 * only raise a false alarm, which the table then settles. */
static inline const char *aegis_http_field_run(const char *at, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = UINT64_C(0x8080808080808080);
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        uint64_t below = (word - ones * 0x20) & ~word;
        uint64_t del = word ^ (ones * 0x7f);
        if (((below | ((del - ones) & ~del)) & tops) != 0) {
            break;
        }
        at += 8;
    }
    return aegis_http_run(at, end, AEGIS_HTTP_CHAR_FIELD);
}

/* Whether `text` is `lower` (lower-case letters and `-` only), of which the length is known to be equal. */
static inline bool aegis_http_same(const char *text, const char *lower, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((text[i] | 0x20) != lower[i]) {
            return false;
        }
    }
    return true;
}

/* An authority, RFC 3986 section 3.2 without userinfo. */
struct aegis_http_authority {
    struct aegis_http_text host; /* without brackets */
    uint16_t port;               /* 0: none given */
    bool ipv6;
};
bool aegis_http_authority_parse(struct aegis_http_text text, struct aegis_http_authority *out,
                                const char **problem);

/* Like aegis_http_url_parse, and the authority as it stands in the text. A path that is empty before a query
 * is taken as well; then the query is the path. */
bool aegis_http_url_split(struct aegis_http_text text, struct aegis_http_url *out,
                          struct aegis_http_text *authority, const char **problem);

/* Calls `each` for every element of a comma-separated list; empty elements are passed over. Stops when it
 * says false. */
bool aegis_http_list_each(struct aegis_http_text list,
                          bool (*each)(struct aegis_http_text element, void *context), void *context);

#endif
