/* A shop with a facilitator of its own and play money, for trying the gate without internet, funds or other
 * servers. It verifies payments for real and moves nothing but rows in a file. Loopback only. */
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contrib/sandbox/shop.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

#define NETWORK "eip155:84532"

struct options {
    const char *listen;
    const char *state;
    const char *grant;
};

static const char usage[] =
    "usage: aegis-sandbox [--listen 127.0.0.1:4021] [--state FILE] [--grant USDC]\n"
    "A shop with a facilitator and play money, on this machine only.\n"
    "  --listen ADDRESS:PORT  a loopback address; port 0 takes a free one\n"
    "  --state FILE           where balances and settlements are kept (default: in memory)\n"
    "  --grant USDC           what a payer owns who was never seen before (default: 1000)\n";

static bool read_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {{"listen", required_argument, NULL, 'l'},
                                          {"state", required_argument, NULL, 's'},
                                          {"grant", required_argument, NULL, 'g'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int letter;
    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (letter) {
        case 'l':
            options->listen = optarg;
            break;
        case 's':
            options->state = optarg;
            break;
        case 'g':
            options->grant = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            return false;
        }
    }
    return optind == argc;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

/* Says where, because port 0 lets the kernel choose. */
static void print_address(evutil_socket_t fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t size = sizeof address;
    char text[INET6_ADDRSTRLEN] = "";
    getsockname(fd, &address.any, &size);
    if (address.any.sa_family == AF_INET) {
        evutil_inet_ntop(AF_INET, &address.v4.sin_addr, text, sizeof text);
        printf("sandbox (play money): listening on http://%s:%u\n", text, ntohs(address.v4.sin_port));
    } else {
        evutil_inet_ntop(AF_INET6, &address.v6.sin6_addr, text, sizeof text);
        printf("sandbox (play money): listening on http://[%s]:%u\n", text, ntohs(address.v6.sin6_port));
    }
    fflush(stdout);
}

/* ADDRESS:PORT; libevent's own parser has no port 0. */
static bool read_address(const char *text, struct sockaddr_storage *address, int *length)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    char *end = NULL;
    unsigned long port = colon != NULL ? strtoul(colon + 1, &end, 10) : 0;
    memset(address, 0, sizeof *address);
    if (colon == NULL || end == colon + 1 || *end != '\0' || port > 65535 ||
        (size_t)(colon - text) >= sizeof host)
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    if (evutil_parse_sockaddr_port(host, (struct sockaddr *)address, length) != 0)
        return false;
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    v4->sin_port = htons((uint16_t)port); /* sockaddr_in6 has it at the same place */
    return true;
}

static bool start_listening(struct event_base *base, struct evhttp *http, const char *text)
{
    struct sockaddr_storage address;
    int length = sizeof address;
    if (!read_address(text, &address, &length)) {
        fprintf(stderr, "aegis-sandbox: --listen %s: expected ADDRESS:PORT\n", text);
        return false;
    }
    if (!is_loopback(&address)) {
        fprintf(stderr,
                "aegis-sandbox: --listen %s: refused. This is a sandbox with play money; it listens on "
                "loopback addresses only.\n",
                text);
        return false;
    }
    struct evconnlistener *listener =
        evconnlistener_new_bind(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 1024,
                                (struct sockaddr *)&address, length);
    if (listener == NULL || evhttp_bind_listener(http, listener) == NULL) {
        fprintf(stderr, "aegis-sandbox: --listen %s: %s\n", text, strerror(errno));
        return false;
    }
    print_address(evconnlistener_get_fd(listener));
    return true;
}

static void stop(evutil_socket_t signal_number, short what, void *base)
{
    (void)signal_number;
    (void)what;
    event_base_loopbreak(base);
}

static bool open_shop(struct sandbox_shop *shop, const struct options *options)
{
    struct aegis_error error;
    aegis_amount grant;
    struct sandbox_facilitator *facilitator = &shop->facilitator;
    facilitator->assets = aegis_assets_new();
    facilitator->signer = aegis_signer_new();
    shop->asset = aegis_assets_symbol(facilitator->assets, NETWORK, "USDC");
    AEGIS_ASSERT(shop->asset != NULL);
    if (!aegis_amount_parse_decimal(options->grant, shop->asset->decimals, &grant)) {
        fprintf(stderr, "aegis-sandbox: --grant %s: expected an amount of USDC such as 12.50\n",
                options->grant);
        return false;
    }
    facilitator->book = sandbox_book_open(options->state, grant, &error);
    if (facilitator->book == NULL)
        fprintf(stderr, "aegis-sandbox: %s\n", error.text);
    return facilitator->book != NULL;
}

static void close_shop(struct sandbox_shop *shop)
{
    sandbox_book_close(&shop->facilitator.book);
    aegis_signer_free(&shop->facilitator.signer);
    aegis_assets_free(&shop->facilitator.assets);
}

static bool run(struct sandbox_shop *shop, const struct options *options)
{
    struct evhttp *http = evhttp_new(shop->base);
    struct event *terminate = evsignal_new(shop->base, SIGTERM, stop, shop->base);
    struct event *interrupt = evsignal_new(shop->base, SIGINT, stop, shop->base);
    evsignal_add(terminate, NULL);
    evsignal_add(interrupt, NULL);
    evhttp_set_max_headers_size(http, 65536);
    evhttp_set_max_body_size(http, 8L * 1024 * 1024);
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD);
    evhttp_set_gencb(http, sandbox_shop_handle, shop);
    bool done = start_listening(shop->base, http, options->listen) && event_base_dispatch(shop->base) >= 0;
    evhttp_free(http);
    event_free(terminate);
    event_free(interrupt);
    return done;
}

int main(int argc, char **argv)
{
    struct options options = {.listen = "127.0.0.1:4021", .state = ":memory:", .grant = "1000"};
    struct sandbox_shop shop = {0};
    if (!read_options(argc, argv, &options)) {
        fputs(usage, stderr);
        return 2;
    }
    aegis_log_open("sandbox", AEGIS_LOG_INFO, false);
    signal(SIGPIPE, SIG_IGN);
    bool done = false;
    if (open_shop(&shop, &options)) {
        shop.base = event_base_new();
        done = run(&shop, &options);
        event_base_free(shop.base);
    }
    close_shop(&shop);
    return done ? 0 : 2;
}
