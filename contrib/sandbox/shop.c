#include "contrib/sandbox/shop.h"

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <string.h>

#include "contrib/sandbox/answer.h"
#include "contrib/sandbox/routes.h"
#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/text.h"

/* One request to a priced route. */
struct purchase {
    struct sandbox_shop *shop;
    struct evhttp_request *request;
    const struct sandbox_route *route;
    int version;
    char price[AEGIS_AMOUNT_TEXT]; /* atomic units */
};

static unsigned query_number(struct evhttp_request *request, const char *name, unsigned otherwise)
{
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
    struct evkeyvalq pairs;
    if (query == NULL || evhttp_parse_query_str(query, &pairs) != 0)
        return otherwise;
    const char *text = evhttp_find_header(&pairs, name);
    unsigned long number = text != NULL ? strtoul(text, NULL, 10) : otherwise;
    evhttp_clear_headers(&pairs);
    return number <= 600000 ? (unsigned)number : otherwise;
}

/* The route's price; /lie/fresh asks for one unit more each time it is asked. */
static void set_price(struct purchase *purchase)
{
    aegis_amount price = 0;
    aegis_amount_parse_decimal(purchase->route->price, purchase->shop->asset->decimals, &price);
    if (purchase->route->honesty == SANDBOX_FRESH)
        price += ++purchase->shop->fresh;
    aegis_amount_format(price, purchase->price);
}

static char *resource_url(const struct purchase *purchase)
{
    const char *host = evhttp_find_header(evhttp_request_get_input_headers(purchase->request), "Host");
    return aegis_format("http://%s%s", host != NULL ? host : "", evhttp_request_get_uri(purchase->request));
}

static json_t *entry_v2(const struct purchase *purchase)
{
    const struct aegis_asset *asset = purchase->shop->asset;
    char address[AEGIS_ADDRESS_TEXT];
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:{s:s, s:s}}", "scheme", "exact", "network",
                     asset->network, "amount", purchase->price, "asset",
                     aegis_address_format(&asset->address, address), "payTo", purchase->route->pay_to,
                     "maxTimeoutSeconds", 60, "extra", "name", asset->domain_name, "version",
                     asset->domain_version);
}

static json_t *entry_v1(const struct purchase *purchase, const char *url)
{
    const struct aegis_asset *asset = purchase->shop->asset;
    char address[AEGIS_ADDRESS_TEXT];
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:{s:s, s:s}}", "scheme", "exact",
                     "network", "base-sepolia", "maxAmountRequired", purchase->price, "resource", url,
                     "description", purchase->route->text, "mimeType", "application/json", "payTo",
                     purchase->route->pay_to, "maxTimeoutSeconds", 60, "asset",
                     aegis_address_format(&asset->address, address), "extra", "name", asset->domain_name,
                     "version", asset->domain_version);
}

static void challenge(const struct purchase *purchase, const char *reason)
{
    char *url = resource_url(purchase);
    if (purchase->version == 1) {
        sandbox_answer_json(purchase->request, 402,
                            json_pack("{s:i, s:s, s:[o]}", "x402Version", 1, "error", reason, "accepts",
                                      entry_v1(purchase, url)));
    } else {
        json_t *required = json_pack("{s:i, s:s, s:{s:s, s:s, s:s}, s:[o]}", "x402Version", 2, "error",
                                     reason, "resource", "url", url, "description", purchase->route->text,
                                     "mimeType", "application/json", "accepts", entry_v2(purchase));
        sandbox_answer_header(purchase->request, "PAYMENT-REQUIRED", required);
        json_decref(required);
        sandbox_answer_json(purchase->request, 402, json_object());
    }
    free(url);
}

/* The decoded payment header, a new reference; NULL when there is none that can be read. */
static json_t *read_payment(const struct purchase *purchase)
{
    const char *name = purchase->version == 1 ? "X-PAYMENT" : "PAYMENT-SIGNATURE";
    const char *header = evhttp_find_header(evhttp_request_get_input_headers(purchase->request), name);
    size_t size;
    unsigned char *text = header != NULL ? aegis_base64_decode(header, strlen(header), &size) : NULL;
    json_t *payment = text != NULL ? aegis_json_parse((const char *)text, size, NULL) : NULL;
    free(text);
    return payment;
}

/* A v2 payment names the entry that it accepted; what was not offered is not taken. */
static bool offered(const struct purchase *purchase, const json_t *payment, const json_t *entry)
{
    static const char *const core[] = {"scheme", "network", "amount", "asset", "payTo"};
    const json_t *accepted = json_object_get(payment, "accepted");
    if (purchase->version == 1)
        return true;
    for (size_t i = 0; i < sizeof core / sizeof *core; i++)
        if (!json_equal(json_object_get(accepted, core[i]), json_object_get(entry, core[i])))
            return false;
    return true;
}

static void serve(const struct purchase *purchase)
{
    struct evhttp_request *request = purchase->request;
    if (purchase->route->service == SANDBOX_SERVE_STREAM) {
        sandbox_answer_events(purchase->shop->base, request, query_number(request, "n", 5),
                              query_number(request, "ms", 100));
    } else if (purchase->route->service == SANDBOX_SERVE_ECHO) {
        struct evbuffer *body = evhttp_request_get_input_buffer(request);
        size_t size = evbuffer_get_length(body);
        sandbox_answer_text(request, 200, "application/octet-stream", evbuffer_pullup(body, -1), size);
    } else {
        sandbox_answer_json(request, 200,
                            json_pack("{s:s, s:b}", "answer", purchase->route->text, "sandbox", 1));
    }
}

static void serve_settled(const struct purchase *purchase, const json_t *settled)
{
    const char *name = purchase->version == 1 ? "X-PAYMENT-RESPONSE" : "PAYMENT-RESPONSE";
    if (!aegis_json_boolean(settled, "success", false)) {
        if (purchase->version == 2)
            sandbox_answer_header(purchase->request, name, settled);
        challenge(purchase, aegis_json_text(settled, "errorReason", ""));
        return;
    }
    sandbox_answer_header(purchase->request, name, settled);
    if (purchase->route->honesty == SANDBOX_SLOW)
        sandbox_answer_late(purchase->shop->base, purchase->request, json_pack("{s:b}", "sandbox", 1),
                            query_number(purchase->request, "ms", 5000));
    else
        serve(purchase);
}

/* Cashed; now the lie. */
static void answer_cashed(const struct purchase *purchase, json_t *settled)
{
    switch (purchase->route->honesty) {
    case SANDBOX_REFUSE_CASH:
        challenge(purchase, "invalid_exact_evm_signature");
        break;
    case SANDBOX_FAIL_CASH:
        json_object_set_new(settled, "success", json_false());
        json_object_set_new(settled, "errorReason", json_string("unexpected_settle_error"));
        serve_settled(purchase, settled);
        break;
    case SANDBOX_ERROR_CASH:
        sandbox_answer_json(purchase->request, 500, json_pack("{s:s}", "error", "internal error"));
        break;
    case SANDBOX_CUT_CASH:
        sandbox_answer_cut(purchase->shop->base, purchase->request);
        break;
    default:
        serve_settled(purchase, settled);
    }
}

static void keep(const struct purchase *purchase, const json_t *payment, const json_t *entry)
{
    json_t *kept = json_pack("{s:O, s:O}", "paymentPayload", payment, "paymentRequirements", entry);
    sandbox_book_keep(purchase->shop->facilitator.book, kept);
    json_decref(kept);
    if (purchase->route->honesty == SANDBOX_KEEP_SERVE)
        serve(purchase);
    else
        challenge(purchase, "invalid_exact_evm_signature");
}

static void take_payment(const struct purchase *purchase, const json_t *payment, const json_t *entry)
{
    const struct sandbox_facilitator *facilitator = &purchase->shop->facilitator;
    struct aegis_requirement requirement;
    struct aegis_authorization authorization;
    int64_t now = aegis_clock_now();
    if (!offered(purchase, payment, entry)) {
        challenge(purchase, "No matching payment requirements");
        return;
    }
    sandbox_requirement_parse(facilitator, purchase->version, entry, &requirement);
    const char *reason = sandbox_verify(facilitator, payment, &requirement, now, &authorization);
    if (reason != NULL) {
        challenge(purchase, reason);
    } else if (purchase->route->honesty == SANDBOX_KEEP_REFUSE ||
               purchase->route->honesty == SANDBOX_KEEP_SERVE) {
        keep(purchase, payment, entry);
    } else {
        json_t *settled = sandbox_settle(facilitator, payment, &requirement, now);
        answer_cashed(purchase, settled);
        json_decref(settled);
    }
}

static void sell(struct purchase *purchase)
{
    if (purchase->route->price == NULL) {
        serve(purchase);
        return;
    }
    set_price(purchase);
    json_t *payment = read_payment(purchase);
    if (payment == NULL || aegis_json_integer(payment, "x402Version", 0) != purchase->version) {
        challenge(purchase, "Payment required");
    } else {
        char *url = resource_url(purchase);
        json_t *entry = purchase->version == 1 ? entry_v1(purchase, url) : entry_v2(purchase);
        take_payment(purchase, payment, entry);
        json_decref(entry);
        free(url);
    }
    json_decref(payment);
}

/* Cashes whatever the lying routes kept. */
static json_t *cash_kept(struct sandbox_shop *shop)
{
    json_t *results = json_array();
    json_t *kept = sandbox_book_take_kept(shop->facilitator.book);
    size_t i;
    json_t *one;
    json_array_foreach(kept, i, one)
    {
        json_array_append_new(results, sandbox_answer_settle(&shop->facilitator, one, aegis_clock_now()));
    }
    json_decref(kept);
    return results;
}

/* The facilitator and what the tests look at. NULL when `path` is neither, or the request cannot be
 * answered. */
static json_t *answer_service(struct sandbox_shop *shop, struct evhttp_request *request, const char *path)
{
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    size_t size = evbuffer_get_length(input);
    if (strcmp(path, "/supported") == 0)
        return sandbox_answer_supported(&shop->facilitator);
    if (strcmp(path, "/sandbox/balances") == 0)
        return json_pack("{s:o}", "balances", sandbox_book_balances(shop->facilitator.book));
    if (strcmp(path, "/sandbox/settlements") == 0)
        return json_pack("{s:o}", "settlements", sandbox_book_settlements(shop->facilitator.book));
    if (strcmp(path, "/sandbox/cash") == 0 && evhttp_request_get_command(request) == EVHTTP_REQ_POST)
        return json_pack("{s:o}", "cashed", cash_kept(shop));
    if (strcmp(path, "/verify") != 0 && strcmp(path, "/settle") != 0)
        return NULL;
    const char *text = (const char *)evbuffer_pullup(input, -1);
    json_t *body = text != NULL ? aegis_json_parse(text, size, NULL) : NULL;
    json_t *answer = strcmp(path, "/verify") == 0
                         ? sandbox_answer_verify(&shop->facilitator, body, aegis_clock_now())
                         : sandbox_answer_settle(&shop->facilitator, body, aegis_clock_now());
    json_decref(body);
    return answer != NULL ? answer
                          : json_pack("{s:s}", "error", "neither a payment nor a requirement that is known");
}

void sandbox_shop_handle(struct evhttp_request *request, void *argument)
{
    struct sandbox_shop *shop = argument;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    bool v1 = strncmp(path, "/v1/", 4) == 0;
    enum evhttp_cmd_type method = evhttp_request_get_command(request);
    struct purchase purchase = {.shop = shop, .request = request, .version = v1 ? 1 : 2};
    purchase.route =
        sandbox_route_find(method == EVHTTP_REQ_HEAD ? EVHTTP_REQ_GET : method, v1 ? path + 3 : path);
    if (purchase.route != NULL) {
        sell(&purchase);
        return;
    }
    json_t *answer = answer_service(shop, request, path);
    int status = answer == NULL ? 404 : json_object_get(answer, "error") != NULL ? 400 : 200;
    sandbox_answer_json(request, status,
                        answer != NULL ? answer : json_pack("{s:s}", "error", "nothing is sold here"));
}
