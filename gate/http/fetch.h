/* One request, one whole answer: for facilitators, RPC endpoints and the like. Redirects are never followed.
 */
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
    int64_t deadline_ms;       /* for all of it */
};

/* `done` is called once, from the loop: status and body, or status 0 and `problem`. */
struct aegis_fetch *
aegis_fetch(struct event_base *base, struct aegis_dialer *dialer, const struct aegis_fetch_request *request,
            void (*done)(int status, const char *body, size_t size, const char *problem, void *context),
            void *context);
void aegis_fetch_cancel(struct aegis_fetch **fetch);

#endif
