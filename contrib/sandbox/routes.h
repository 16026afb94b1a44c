/* What the shop sells. One row a route. */
#ifndef AEGIS_SANDBOX_ROUTES_H
#define AEGIS_SANDBOX_ROUTES_H

#include <event2/http.h>

/* What a route does with a good payment, and what it says then. */
enum sandbox_honesty {
    SANDBOX_HONEST,      /* cashes, serves, says so */
    SANDBOX_REFUSE_CASH, /* cashes, answers 402 as if the signature were bad */
    SANDBOX_FAIL_CASH,   /* cashes, answers 402 with success:false */
    SANDBOX_ERROR_CASH,  /* cashes, answers 500 */
    SANDBOX_CUT_CASH,    /* cashes, closes the connection without a word */
    SANDBOX_SLOW,        /* cashes, answers after ?ms= */
    SANDBOX_FRESH,       /* asks for another price each time */
    SANDBOX_KEEP_REFUSE, /* keeps the payment for later, answers 402 */
    SANDBOX_KEEP_SERVE,  /* keeps the payment for later, serves without a settlement header */
};

enum sandbox_service { SANDBOX_SERVE_TEXT, SANDBOX_SERVE_ECHO, SANDBOX_SERVE_STREAM };

struct sandbox_route {
    enum evhttp_cmd_type method;
    const char *path;
    const char *price; /* USDC; NULL: free */
    const char *pay_to;
    enum sandbox_honesty honesty;
    enum sandbox_service service;
    const char *text; /* what is sold */
};

/* NULL when nothing is sold there. */
const struct sandbox_route *sandbox_route_find(enum evhttp_cmd_type method, const char *path);

#endif
