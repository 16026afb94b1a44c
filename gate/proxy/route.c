#include "gate/proxy/route.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/text.h"

enum { URL_MAX = 8192 }; /* what messages between processes carry */

/* What a request is sent for: an absolute URL in pieces, put together in the route's own memory. */
struct pieces {
    struct aegis_http_text front;
    struct aegis_http_text middle;
    struct aegis_http_text rest;
};

static struct aegis_http_text text_of(const char *text)
{
    return (struct aegis_http_text){text, strlen(text)};
}

static bool refuse(const char **code, const char **detail, const char *why, const char *sentence)
{
    *code = why;
    *detail = sentence;
    return false;
}

static bool begins(struct aegis_http_text text, const char *prefix, bool any_case)
{
    size_t length = strlen(prefix);
    if (text.length < length)
        return false;
    return any_case ? !strncasecmp(text.at, prefix, length) : !memcmp(text.at, prefix, length);
}

static struct aegis_http_text after(struct aegis_http_text text, size_t length)
{
    return (struct aegis_http_text){text.at + length, text.length - length};
}

/* Some servers cut parameters off a segment before they look at it. */
static bool begins_parameter(const char *at, const char *end)
{
    return *at == ';' || (end - at >= 3 && !strncasecmp(at, "%3b", 3));
}

/* Whether a segment is `.` or `..`, however it is written and whatever parameters it has. */
static bool dots_only(const char *at, const char *end)
{
    int dots = 0;
    while (at < end && !begins_parameter(at, end)) {
        if (*at == '.')
            at++;
        else if (end - at >= 3 && !strncasecmp(at, "%2e", 3))
            at += 3;
        else
            return false;
        dots++;
    }
    return dots == 1 || dots == 2;
}

/* A slash of either kind, plain or written in hex: an upstream may decode it before it looks at segments. */
static bool separates(const char *at, const char *end)
{
    if (*at == '/' || *at == '\\')
        return true;
    return end - at >= 3 && (!strncasecmp(at, "%2f", 3) || !strncasecmp(at, "%5c", 3));
}

/* Behind a prefix, `..` could leave the part of the upstream that the prefix opens. */
static bool climbs(struct aegis_http_text path)
{
    const char *end = path.at + path.length;
    const char *query = memchr(path.at, '?', path.length);
    if (query)
        end = query;
    for (const char *at = path.at; at < end;) {
        const char *stop = at;
        while (stop < end && !separates(stop, end))
            stop++;
        if (dots_only(at, stop))
            return true;
        at = stop < end && *stop == '%' ? stop + 3 : stop + 1;
    }
    return false;
}

static const struct aegis_settings_route *longest_prefix(const struct aegis_settings_listener *listener,
                                                         struct aegis_http_text target)
{
    for (size_t i = 0; i < listener->route_count; i++) {
        const struct aegis_settings_route *route = &listener->routes[i];
        size_t length = strlen(route->prefix);
        if (!begins(target, route->prefix, false))
            continue;
        if (target.length == length || target.at[length] == '/' || target.at[length] == '?')
            return route;
    }
    return NULL;
}

static bool reverse_pieces(const struct aegis_settings_listener *listener, struct aegis_http_text target,
                           struct pieces *pieces, const char **code, const char **detail)
{
    if (target.at[0] != '/')
        return refuse(code, detail, "misdirected_request",
                      "This listener forwards only the paths of its own routes; it is not a forward proxy.");
    const struct aegis_settings_route *route = longest_prefix(listener, target);
    if (!route)
        return refuse(code, detail, "no_such_route", "No route of this listener fits the path.");
    pieces->front = text_of(route->upstream);
    pieces->rest = after(target, strlen(route->prefix));
    if (climbs(pieces->rest))
        return refuse(code, detail, "path_not_allowed",
                      "The path must not contain \".\" or \"..\" segments.");
    return true;
}

/* A tunnel to a port that is not https's is taken for plain HTTP, which is what some clients use tunnels for;
 * it ends here, and what is asked for inside is treated like any request. */
static bool connect_pieces(const struct aegis_settings_listener *listener, const char *tunnel,
                           struct aegis_http_text target, struct pieces *pieces, const char **code,
                           const char **detail)
{
    bool to_tls = target.length > 4 && !memcmp(target.at + target.length - 4, ":443", 4);
    if (listener->reverse || tunnel || to_tls)
        return refuse(
            code, detail, "tunnel_unsupported",
            "Nothing can be paid inside an encrypted tunnel. For an https origin ask for /https/HOST/path at "
            "this address.");
    pieces->front = text_of("http://");
    pieces->rest = target;
    return true;
}

/* Inside a tunnel every request is for the origin that it was opened to, whatever its Host says. */
static bool tunnel_pieces(const char *tunnel, struct aegis_http_text target, struct pieces *pieces,
                          const char **code, const char **detail)
{
    if (target.at[0] != '/')
        return refuse(code, detail, "misdirected_request",
                      "Inside a tunnel only paths of its origin can be asked for.");
    pieces->front = text_of("http://");
    pieces->middle = text_of(tunnel);
    pieces->rest = target;
    return true;
}

static bool forward_pieces(struct aegis_http_text target, struct pieces *pieces, const char **code,
                           const char **detail)
{
    if (begins(target, "/https/", false)) {
        pieces->front = text_of("https://");
        pieces->rest = after(target, strlen("/https/"));
        return true;
    }
    if (begins(target, "/http/", false)) {
        pieces->front = text_of("http://");
        pieces->rest = after(target, strlen("/http/"));
        return true;
    }
    pieces->front = text_of("");
    pieces->rest = target;
    if (begins(target, "http://", true) || begins(target, "https://", true))
        return true;
    if (target.at[0] == '/')
        return refuse(code, detail, "no_such_route",
                      "Name the origin: an absolute URL as proxy clients send it, or /https/HOST/path.");
    return refuse(code, detail, "bad_target", "The request's target is no http or https URL.");
}

static char *put(char *at, struct aegis_http_text text)
{
    memcpy(at, text.at, text.length);
    return at + text.length;
}

/* Puts the pieces together. A URL without a path gets one, also when a query follows the authority at once.
 */
static void compose(struct aegis_route *route, const struct pieces *pieces)
{
    size_t size = pieces->front.length + pieces->middle.length + pieces->rest.length;
    route->text = size + 1 < sizeof(route->small) ? route->small : aegis_alloc(size + 2);
    char *end = put(put(put(route->text, pieces->front), pieces->middle), pieces->rest);
    *end = '\0';
    const char *authority = strstr(route->text, "://");
    if (!authority)
        return;
    char *path = route->text + (authority + 3 - route->text);
    path += strcspn(path, "/?");
    if (*path != '/') {
        memmove(path + 1, path, strlen(path) + 1);
        *path = '/';
    }
}

static bool take_host(struct aegis_route *route, const struct aegis_http_url *url)
{
    size_t length = url->host.length;
    if (length == 0 || length >= sizeof(route->host))
        return false;
    for (size_t i = 0; i < length; i++)
        route->host[i] = (char)tolower((unsigned char)url->host.at[i]);
    route->host[length] = '\0';
    return true;
}

static void write_authority(struct aegis_route *route, bool ipv6)
{
    size_t length = strlen(route->host);
    char *at = route->authority;
    if (ipv6)
        *at++ = '[';
    memcpy(at, route->host, length);
    at += length;
    if (ipv6)
        *at++ = ']';
    *at = '\0';
    if (route->port != (route->https ? 443 : 80)) {
        char digits[8];
        int count = 0;
        for (unsigned port = route->port; port > 0; port /= 10)
            digits[count++] = (char)('0' + port % 10);
        *at++ = ':';
        while (count > 0)
            *at++ = digits[--count];
        *at = '\0';
    }
}

static bool find_pieces(const struct aegis_settings_listener *listener, const char *tunnel,
                        const struct aegis_http_head *head, struct pieces *pieces, const char **code,
                        const char **detail)
{
    if (aegis_http_text_equal(head->method, "CONNECT"))
        return connect_pieces(listener, tunnel, head->target, pieces, code, detail);
    if (head->target.length == 0 || aegis_http_text_equal(head->target, "*"))
        return refuse(code, detail, "bad_target", "The request's target names no resource of an origin.");
    if (tunnel)
        return tunnel_pieces(tunnel, head->target, pieces, code, detail);
    if (listener->reverse)
        return reverse_pieces(listener, head->target, pieces, code, detail);
    return forward_pieces(head->target, pieces, code, detail);
}

bool aegis_route_find(const struct aegis_settings_listener *listener, const char *tunnel,
                      const struct aegis_http_head *head, struct aegis_route *route, const char **code,
                      const char **detail)
{
    struct pieces pieces = {.middle = {"", 0}};
    struct aegis_http_url url;
    const char *problem = NULL;
    route->text = route->small;
    if (!find_pieces(listener, tunnel, head, &pieces, code, detail))
        return false;
    compose(route, &pieces);
    struct aegis_http_text whole = {route->text, strlen(route->text)};
    if (!aegis_http_url_parse(whole, &url, &problem) || !take_host(route, &url)) {
        aegis_route_clear(route);
        return refuse(code, detail, "bad_target", "The request's target is no http or https URL.");
    }
    route->https = url.https;
    route->port = url.port;
    route->target = url.path;
    write_authority(route, url.ipv6);
    return true;
}

void aegis_route_clear(struct aegis_route *route)
{
    if (route->text != route->small)
        free(route->text);
    route->text = route->small;
    route->target = (struct aegis_http_text){0};
}

bool aegis_route_can_be_told(const struct aegis_route *route)
{
    return sizeof("https://") + strlen(route->authority) + route->target.length <= URL_MAX;
}

char *aegis_route_url(const struct aegis_route *route, bool query)
{
    size_t length = route->target.length;
    const char *mark = query ? NULL : memchr(route->target.at, '?', length);
    if (mark)
        length = (size_t)(mark - route->target.at);
    return aegis_format("%s://%s%.*s", route->https ? "https" : "http", route->authority, (int)length,
                        route->target.at);
}
