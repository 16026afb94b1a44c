/* The shop in front of the sandbox's facilitator: honest routes, and routes that lie about what they did. */
#ifndef AEGIS_SANDBOX_SHOP_H
#define AEGIS_SANDBOX_SHOP_H

#include <event2/http.h>

#include "contrib/sandbox/facilitator.h"

struct sandbox_shop {
    struct event_base *base;
    struct sandbox_facilitator facilitator;
    const struct aegis_asset *asset; /* what the shop is paid in */
    unsigned fresh;                  /* how often /lie/fresh changed its price */
};

/* For evhttp_set_gencb; `shop` is a struct sandbox_shop. */
void sandbox_shop_handle(struct evhttp_request *request, void *shop);

#endif
