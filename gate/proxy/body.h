/* The body of a request on its way from the agent to the origin.
 *
 *     bytes  |#########|.........|          |
 *            0        sent     size        room
 *
 * While it is kept, everything stays, so that it can be sent again from the beginning: over a fresh
 * connection, or with a payment. Once it is not, what was sent is dropped. 0 <= sent <= size <= room. */
#ifndef AEGIS_PROXY_BODY_H
#define AEGIS_PROXY_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "gate/http/head.h"

struct aegis_body {
    char *bytes;
    size_t size;
    size_t room;
    size_t sent;
    bool kept;
    bool dropped; /* some of it is gone: it cannot be sent again */
    bool whole;   /* the agent has sent all of it */
};

void aegis_body_append(struct aegis_body *body, const char *data, size_t size);

/* What was not sent yet; and that it was. */
struct aegis_http_text aegis_body_unsent(const struct aegis_body *body);
void aegis_body_sent(struct aegis_body *body);

/* From now on nothing is kept. */
void aegis_body_let_go(struct aegis_body *body);

/* Whether it can be sent (again) from the beginning; and that this begins. */
bool aegis_body_replayable(const struct aegis_body *body);
void aegis_body_rewind(struct aegis_body *body);
void aegis_body_clear(struct aegis_body *body);

#endif
