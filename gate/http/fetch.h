/* One request, one whole answer: for facilitators, RPC endpoints and the like. Redirects are never followed,
 * nothing is sent twice, and the connection is not kept. */
#ifndef AEGIS_HTTP_FETCH_H
#define AEGIS_HTTP_FETCH_H

#include "gate/http/connection.h"
#include "gate/http/dial.h"

struct aegis_fetch;

struct aegis_fetch_request {
    const char *method;
    const char *url;
    const char *content_type; /* NULL: no body */
    const void *body;
    size_t body_size;
    const char *authorization; /* value of Authorization, or NULL */
    size_t answer_limit;       /* bytes */
    int64_t deadline_ms;       /* for all of it; 0: 30,000 */
};

/* What the request points to is copied. `done` is called once, from the loop, and the fetch is gone with
 * that: status and body (NUL behind it), or status 0 and `problem`. An answer that is cut or larger than
 * answer_limit is a problem. */
struct aegis_fetch *
aegis_fetch(struct event_base *base, struct aegis_dialer *dialer, const struct aegis_fetch_request *request,
            void (*done)(int status, const char *body, size_t size, const char *problem, void *context),
            void *context);
/* Calls it off; `done` is not called. */
void aegis_fetch_cancel(struct aegis_fetch **fetch);

#endif
