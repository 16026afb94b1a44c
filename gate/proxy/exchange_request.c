/* The agent's side of a request: what goes on to the origin, and its body. */
#include <stdlib.h>
#include <string.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/proxy/exchange.h"
#include "gate/proxy/pay.h"

enum { IDEMPOTENCY_KEY_MAX = 255 };

static bool refuse(struct aegis_problem *problem, const char *code, const char *detail)
{
    problem->code = code;
    problem->detail = detail;
    return false;
}

/* RFC 9110, section 9.2.2. TRACE is too, but nobody needs it again. */
static bool is_idempotent(struct aegis_http_text method)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        if (aegis_http_text_equal(method, methods[i]))
            return true;
    }
    return false;
}

static bool take_idempotency_key(struct aegis_exchange *exchange, const struct aegis_http_field *field)
{
    if (exchange->idempotency_key || field->value.length == 0 || field->value.length > IDEMPOTENCY_KEY_MAX ||
        !aegis_utf8_valid(field->value.at, field->value.length))
        return false;
    exchange->idempotency_key = aegis_http_text_copy(field->value);
    return true;
}

/* What the gate has an interest of its own in. False when it makes the request impossible. */
static bool look_at(struct aegis_exchange *exchange, const struct aegis_http_field *field,
                    struct aegis_problem *problem)
{
    switch (field->name.length) {
    case 9:
    case 17:
        if (aegis_http_text_is(field->name, "X-PAYMENT") ||
            aegis_http_text_is(field->name, "PAYMENT-SIGNATURE"))
            exchange->own_payment = true;
        return true;
    case 15:
        if (aegis_http_text_is(field->name, "Idempotency-Key") && !take_idempotency_key(exchange, field))
            return refuse(problem, "idempotency_key_invalid",
                          "Idempotency-Key must be there once, with 1 to 255 bytes of UTF-8.");
        return true;
    default:
        return true;
    }
}

static bool travels(const struct aegis_http_head *head, const struct aegis_http_field *field)
{
    if (field->name.length == 4 && aegis_http_text_is(field->name, "Host"))
        return false; /* ours says which origin */
    if (field->name.length == 6 && aegis_http_text_is(field->name, "Expect"))
        return false; /* answered by ourselves */
    return !aegis_http_hop_by_hop(head, field);
}

static bool take_fields(struct aegis_exchange *exchange, const struct aegis_http_head *head,
                        struct aegis_problem *problem)
{
    exchange->request = aegis_http_request_new(head->method, exchange->route.target);
    aegis_http_message_add(exchange->request, "Host", exchange->route.authority);
    for (size_t i = 0; i < head->field_count; i++) {
        const struct aegis_http_field *field = &head->fields[i];
        if (!look_at(exchange, field, problem))
            return false;
        if (travels(head, field))
            aegis_http_message_add_field(exchange->request, field);
    }
    aegis_http_message_add(exchange->request, "Via", exchange->settings->via);
    return true;
}

/* Whether a body that cannot be kept may be sent all the same: nobody will ask for money for it. */
static bool known_to_be_free(const struct aegis_exchange *exchange)
{
    return aegis_free_origin(exchange->settings->free_origins, exchange->route.authority) ||
           aegis_free_paths_has(exchange->proxy->free_paths, exchange->origin->number, exchange->route.target,
                                aegis_clock_boot());
}

static struct aegis_problem too_large(const struct aegis_exchange *exchange)
{
    return (struct aegis_problem){
        .code = "request_body_too_large",
        .detail = "The body is larger than what the gate keeps to send it again with a payment "
                  "(limits.request_body_bytes), and this resource is not known to be free. Ask for it once "
                  "with a small "
                  "body, or list the origin in upstream.free_origins.",
        .limit = exchange->settings->request_body_text,
    };
}

/* A body is kept as long as it may have to be sent again. */
static bool plan_body(struct aegis_exchange *exchange, const struct aegis_http_head *head,
                      struct aegis_problem *problem)
{
    exchange->framing = head->framing;
    exchange->length = head->framing == AEGIS_HTTP_LENGTH ? head->length : 0;
    exchange->body.kept = !exchange->own_payment;
    if (!exchange->body.kept || exchange->length <= exchange->settings->request_body)
        return true;
    if (!known_to_be_free(exchange)) {
        *problem = too_large(exchange);
        return false;
    }
    aegis_body_let_go(&exchange->body);
    return true;
}

bool aegis_exchange_take_request(struct aegis_exchange *exchange, const struct aegis_http_head *head,
                                 struct aegis_problem *problem)
{
    const struct aegis_agent *agent = exchange->agent;
    if (head->method.length >= sizeof(exchange->method))
        return refuse(problem, "method_unsupported", "The method's name is longer than any that is known.");
    memcpy(exchange->method, head->method.at, head->method.length);
    exchange->idempotent = is_idempotent(head->method);
    exchange->tunnel = aegis_http_text_equal(head->method, "CONNECT");
    if (!aegis_route_find(agent->listener->config, agent->tunnel, head, &exchange->route, &problem->code,
                          &problem->detail))
        return false;
    exchange->origin = aegis_pool_origin(exchange->proxy->pool, &exchange->route);
    return take_fields(exchange, head, problem) && plan_body(exchange, head, problem);
}

/* The head has gone out and the end has not. */
static bool is_sending(const struct aegis_exchange *exchange)
{
    switch (exchange->state) {
    case AEGIS_EXCHANGE_AWAIT:
    case AEGIS_EXCHANGE_PAY_AWAIT:
    case AEGIS_EXCHANGE_CHALLENGE:
    case AEGIS_EXCHANGE_RELAY:
        return exchange->upstream && !exchange->request_ended;
    default:
        return false;
    }
}

/* Hears the agent when what it says has a place to go, and only then. */
static void hear_agent(struct aegis_exchange *exchange)
{
    bool sending = is_sending(exchange);
    bool full = sending && aegis_http_connection_full(exchange->upstream->connection);
    bool nowhere = !sending && !exchange->body.kept && exchange->framing != AEGIS_HTTP_NO_BODY &&
                   !exchange->request_ended;
    bool pause = full || nowhere;
    if (pause == exchange->agent_paused)
        return;
    exchange->agent_paused = pause;
    if (pause)
        aegis_http_connection_pause(exchange->agent->connection);
    else
        aegis_http_connection_resume(exchange->agent->connection);
}

void aegis_exchange_pump(struct aegis_exchange *exchange)
{
    if (is_sending(exchange)) {
        struct aegis_http_text unsent = aegis_body_unsent(&exchange->body);
        if (unsent.length > 0) {
            aegis_http_connection_send_body(exchange->upstream->connection, unsent.at, unsent.length);
            aegis_body_sent(&exchange->body);
        }
        if (exchange->body.whole) {
            aegis_http_connection_send_end(exchange->upstream->connection);
            exchange->request_ended = true;
        }
    }
    hear_agent(exchange);
}

/* A body that came without a length has grown too large to be kept. */
static bool let_go(struct aegis_exchange *exchange)
{
    bool may_need_it = exchange->state == AEGIS_EXCHANGE_CHALLENGE;
    if (!may_need_it && known_to_be_free(exchange)) {
        aegis_body_let_go(&exchange->body);
        return true;
    }
    struct aegis_problem problem = too_large(exchange);
    aegis_exchange_problem(exchange, &problem);
    return false;
}

void aegis_exchange_agent_body(struct aegis_exchange *exchange, const char *data, size_t size)
{
    struct aegis_body *body = &exchange->body;
    if (body->kept && body->size + size > exchange->settings->request_body && !let_go(exchange))
        return;
    aegis_body_append(body, data, size);
    aegis_exchange_pump(exchange);
}

void aegis_exchange_agent_whole(struct aegis_exchange *exchange)
{
    exchange->body.whole = true;
    aegis_exchange_pump(exchange);
    if (exchange->state == AEGIS_EXCHANGE_CHALLENGE)
        aegis_pay_proceed(exchange);
}

void aegis_exchange_agent_drained(struct aegis_exchange *exchange)
{
    aegis_exchange_upstream_resume(exchange);
}
