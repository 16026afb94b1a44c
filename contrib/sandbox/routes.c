#include "contrib/sandbox/routes.h"

#include <string.h>

/* Addresses that nobody holds money at: the second account of the test mnemonic that every Ethereum tool
 * knows, and the customary burn address. */
#define SHOP "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
#define BURN "0x000000000000000000000000000000000000dEaD"

#define GET  EVHTTP_REQ_GET
#define POST EVHTTP_REQ_POST

static const struct sandbox_route routes[] = {
    {GET, "/free", NULL, NULL, SANDBOX_HONEST, SANDBOX_SERVE_TEXT, "air"},
    {POST, "/free", NULL, NULL, SANDBOX_HONEST, SANDBOX_SERVE_ECHO, "air"},
    {GET, "/weather", "0.01", SHOP, SANDBOX_HONEST, SANDBOX_SERVE_TEXT, "sunny, 21 degrees"},
    {GET, "/report", "0.50", SHOP, SANDBOX_HONEST, SANDBOX_SERVE_TEXT, "a long report"},
    {GET, "/whale", "5", SHOP, SANDBOX_HONEST, SANDBOX_SERVE_TEXT, "a whale"},
    {GET, "/blocked", "0.01", BURN, SANDBOX_HONEST, SANDBOX_SERVE_TEXT, "ashes"},
    {POST, "/translate", "0.02", SHOP, SANDBOX_HONEST, SANDBOX_SERVE_ECHO, "a translation"},
    {GET, "/stream", "0.01", SHOP, SANDBOX_HONEST, SANDBOX_SERVE_STREAM, "events"},
    {GET, "/lie/refuse-but-cash", "0.01", SHOP, SANDBOX_REFUSE_CASH, SANDBOX_SERVE_TEXT, ""},
    {GET, "/lie/fail-but-cash", "0.01", SHOP, SANDBOX_FAIL_CASH, SANDBOX_SERVE_TEXT, ""},
    {GET, "/lie/error-but-cash", "0.01", SHOP, SANDBOX_ERROR_CASH, SANDBOX_SERVE_TEXT, ""},
    {GET, "/lie/cut", "0.01", SHOP, SANDBOX_CUT_CASH, SANDBOX_SERVE_TEXT, ""},
    {GET, "/lie/slow", "0.01", SHOP, SANDBOX_SLOW, SANDBOX_SERVE_TEXT, "patience"},
    {GET, "/lie/fresh", "0.01", SHOP, SANDBOX_FRESH, SANDBOX_SERVE_TEXT, ""},
    {GET, "/lie/keep", "0.01", SHOP, SANDBOX_KEEP_REFUSE, SANDBOX_SERVE_TEXT, ""},
    {GET, "/lie/serve", "0.01", SHOP, SANDBOX_KEEP_SERVE, SANDBOX_SERVE_TEXT, "bread on credit"},
};

const struct sandbox_route *sandbox_route_find(enum evhttp_cmd_type method, const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (routes[i].method == method && strcmp(routes[i].path, path) == 0)
            return &routes[i];
    return NULL;
}
