/* Authorities and URLs. One reading of a host only: what could mean two things to two readers (a dot at the
 * end, 127.1, 0x7f000001, an empty port, userinfo) is refused, so that a policy speaks of the host that is
 * connected to. */
#include <arpa/inet.h>
#include <string.h>

#include "gate/http/chars.h"

enum { NAME_MAX_LENGTH = 253, LABEL_MAX_LENGTH = 63 };

static bool refuse(const char **problem, const char *why)
{
    *problem = why;
    return false;
}

static bool is_address(struct aegis_http_text text, int family)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char address[16];
    if (text.length == 0 || text.length >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text.at, text.length);
    copy[text.length] = '\0';
    return inet_pton(family, copy, address) == 1;
}

/* Resolvers read names whose last label is a number as IPv4 addresses, in more forms than one. */
static bool looks_like_number(const char *label, size_t length)
{
    if (length > 1 && label[0] == '0' && (label[1] | 0x20) == 'x') {
        return aegis_http_run(label + 2, label + length, AEGIS_HTTP_CHAR_HEX) == label + length;
    }
    return aegis_http_run(label, label + length, AEGIS_HTTP_CHAR_DIGIT) == label + length;
}

static bool check_name(struct aegis_http_text name, const char **problem)
{
    if (name.length == 0 || name.length > NAME_MAX_LENGTH) {
        return refuse(problem, "the host is empty or too long");
    }
    const char *label = name.at;
    const char *end = name.at + name.length;
    for (;;) {
        const char *dot = memchr(label, '.', (size_t)(end - label));
        size_t length = (size_t)((dot != NULL ? dot : end) - label);
        if (length == 0 || length > LABEL_MAX_LENGTH) {
            return refuse(problem, "the host has an empty or too long label");
        }
        if (dot == NULL) {
            return !looks_like_number(label, length) || is_address(name, AF_INET) ||
                   refuse(problem, "the host is an IPv4 address in a form that is not the usual one");
        }
        label = dot + 1;
    }
}

static bool parse_port(const char *at, const char *end, uint16_t *port)
{
    unsigned value = 0;
    if (end - at < 1 || end - at > 5 || *at == '0') {
        return false;
    }
    for (; at < end; at++) {
        if (!aegis_http_char_is(*at, AEGIS_HTTP_CHAR_DIGIT)) {
            return false;
        }
        value = value * 10 + (unsigned)(*at - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

/* Reads the host; returns where it ended, or NULL. */
static const char *parse_host(const char *at, const char *end, struct aegis_http_authority *out,
                              const char **problem)
{
    if (at < end && *at == '[') {
        const char *close = memchr(at, ']', (size_t)(end - at));
        if (close == NULL) {
            *problem = "the host's bracket is not closed";
            return NULL;
        }
        out->ipv6 = true;
        out->host = (struct aegis_http_text){at + 1, (size_t)(close - at - 1)};
        if (!is_address(out->host, AF_INET6)) {
            *problem = "the host in brackets is no IPv6 address";
            return NULL;
        }
        return close + 1;
    }
    const char *stop = aegis_http_run(at, end, AEGIS_HTTP_CHAR_NAME);
    out->host = (struct aegis_http_text){at, (size_t)(stop - at)};
    return check_name(out->host, problem) ? stop : NULL;
}

bool aegis_http_authority_parse(struct aegis_http_text text, struct aegis_http_authority *out,
                                const char **problem)
{
    const char *end = text.at + text.length;
    *out = (struct aegis_http_authority){.port = 0};
    if (text.length > 0 && memchr(text.at, '@', text.length) != NULL) {
        return refuse(problem, "the authority holds userinfo");
    }
    const char *at = parse_host(text.at, end, out, problem);
    if (at == NULL) {
        return false;
    }
    if (at == end) {
        return true;
    }
    if (*at != ':') {
        return refuse(problem, "the host holds a character that no host has");
    }
    return parse_port(at + 1, end, &out->port) ||
           refuse(problem, "behind the host stands no port from 1 to 65535");
}

static bool parse_scheme(const char **at, const char *end, bool *https)
{
    size_t left = (size_t)(end - *at);
    *https = left >= 8 && aegis_http_same(*at, "https", 5) && memcmp(*at + 5, "://", 3) == 0;
    if (*https) {
        *at += 8;
        return true;
    }
    if (left >= 7 && aegis_http_same(*at, "http", 4) && memcmp(*at + 4, "://", 3) == 0) {
        *at += 7;
        return true;
    }
    return false;
}

bool aegis_http_url_split(struct aegis_http_text text, struct aegis_http_url *out,
                          struct aegis_http_text *authority, const char **problem)
{
    const char *at = text.at;
    const char *end = text.at + text.length;
    if (!parse_scheme(&at, end, &out->https)) {
        return refuse(problem, "the URL begins with neither http:// nor https://");
    }
    if (aegis_http_run(at, end, AEGIS_HTTP_CHAR_TARGET) != end) {
        return refuse(problem,
                      "the URL holds a space, a control character, a fragment or a byte beyond ASCII");
    }
    const char *path = at;
    while (path < end && *path != '/' && *path != '?') {
        path++;
    }
    *authority = (struct aegis_http_text){at, (size_t)(path - at)};
    struct aegis_http_authority parts;
    if (!aegis_http_authority_parse(*authority, &parts, problem)) {
        return false;
    }
    out->host = parts.host;
    out->ipv6 = parts.ipv6;
    out->port = parts.port != 0 ? parts.port : out->https ? 443 : 80;
    out->path =
        path < end ? (struct aegis_http_text){path, (size_t)(end - path)} : (struct aegis_http_text){"/", 1};
    return true;
}

bool aegis_http_url_parse(struct aegis_http_text text, struct aegis_http_url *out, const char **problem)
{
    struct aegis_http_text authority;
    return aegis_http_url_split(text, out, &authority, problem) &&
           (out->path.at[0] == '/' || refuse(problem, "the URL has a query and no path"));
}
