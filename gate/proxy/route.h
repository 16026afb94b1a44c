/* Where a request goes. Four ways to say it:
 *
 *     GET http://HOST[:PORT]/path      a forward listener, as HTTP_PROXY clients ask
 *     GET /https/HOST[:PORT]/path      a forward listener, for clients that cannot hand an https URL to a
 * proxy GET /prefix/path                 a reverse listener: the upstream of the longest prefix that fits
 */
#ifndef AEGIS_PROXY_ROUTE_H
#define AEGIS_PROXY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/http/head.h"
#include "gate/proxy/settings.h"

#define AEGIS_HOST_TEXT      256
#define AEGIS_AUTHORITY_TEXT 272

struct aegis_route {
    bool https;
    char host[AEGIS_HOST_TEXT]; /* lower-case, without brackets */
    uint16_t port;
    char authority[AEGIS_AUTHORITY_TEXT]; /* host, `:port` unless it is the scheme's own: what Host says */
    struct aegis_http_text target;        /* origin-form, with the query; points into `text` */
    char *text;                           /* `small`, or allocated when that is too small */
    char small[512];
};

/* `tunnel`: the authority that the connection was opened to by CONNECT, or NULL. False with the code of a
 * problem (gate/proxy/problem.h) and a sentence, both static. */
bool aegis_route_find(const struct aegis_settings_listener *listener, const char *tunnel,
                      const struct aegis_http_head *head, struct aegis_route *route, const char **code,
                      const char **detail);
void aegis_route_clear(struct aegis_route *route);

/* Whether its URL is short enough for a message to another process. */
bool aegis_route_can_be_told(const struct aegis_route *route);

/* scheme://authority/path, with the query or without. The caller frees. */
char *aegis_route_url(const struct aegis_route *route, bool query);

#endif
