/* The way to the origin: connections, the request on them, what comes back, and what goes wrong. */
#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/proxy/exchange.h"
#include "gate/proxy/pay.h"

/* What went wrong with the origin, as the agent is told. */
static void fail(struct aegis_exchange *exchange, const char *code, const char *detail)
{
    aegis_log(AEGIS_LOG_INFO, "%s %s: %s", exchange->method, exchange->route.authority, detail);
    aegis_pay_lost(exchange, detail);
    aegis_exchange_refuse(exchange, code, detail);
}

/* Before a payment is attached, RFC 9110 (section 9.2.2) lets a request be sent again when the connection it
 * went out on had waited in the pool and ended without a byte of an answer: the origin closed it at the wrong
 * moment. What has not left this process at all may go again whatever its method. With a payment, ours or the
 * agent's own, never. */
static bool may_retry(const struct aegis_exchange *exchange, bool sent)
{
    const struct aegis_upstream *upstream = exchange->upstream;
    if (exchange->state != AEGIS_EXCHANGE_AWAIT || exchange->own_payment || exchange->retried)
        return false;
    if (!upstream->used || !aegis_body_replayable(&exchange->body))
        return false;
    return exchange->idempotent || !sent;
}

/* Whether it ended without a byte of an answer. */
static bool ended_silently(const struct aegis_exchange *exchange, enum aegis_http_end end)
{
    struct bufferevent *transport = aegis_http_connection_transport(exchange->upstream->connection);
    return (end == AEGIS_HTTP_END_CLOSED || end == AEGIS_HTTP_END_CUT) && !exchange->heard &&
           evbuffer_get_length(bufferevent_get_input(transport)) == 0;
}

static void on_dialled(enum aegis_dial_result result, struct bufferevent *transport, const char *problem,
                       void *context);

static void dial(struct aegis_exchange *exchange)
{
    const struct aegis_origin *origin = exchange->origin;
    exchange->dial =
        aegis_dial(exchange->proxy->dialer, origin->host, origin->port, origin->https, on_dialled, exchange);
}

static void retry(struct aegis_exchange *exchange)
{
    exchange->retried = true;
    aegis_upstream_close(&exchange->upstream);
    aegis_exchange_move(exchange, AEGIS_EXCHANGE_CONNECT);
    dial(exchange);
}

/* An answer that was given for nothing, or a price. Errors say neither: they may come before the question of
 * money. */
static void learn_price(const struct aegis_exchange *exchange, int status)
{
    if (!exchange->own_payment && (status < 400 || status == 402))
        aegis_free_paths_note(exchange->proxy->free_paths, exchange->origin->number, exchange->route.target,
                              status == 402, aegis_clock_boot());
}

static void on_head(struct aegis_http_connection *connection, const struct aegis_http_head *head,
                    void *context)
{
    (void)connection;
    struct aegis_exchange *exchange = context;
    exchange->heard = true;
    if (head->status < 200)
        return; /* hints for whoever is next to the origin; 100 is decided by our own side */
    if (exchange->state == AEGIS_EXCHANGE_PAY_AWAIT) {
        aegis_pay_answered(exchange, head);
        return;
    }
    AEGIS_ASSERT(exchange->state == AEGIS_EXCHANGE_AWAIT);
    learn_price(exchange, head->status);
    if (head->status == 402 && !exchange->own_payment)
        aegis_pay_challenged(exchange, head);
    else
        aegis_exchange_relay(exchange, head, aegis_exchange_answer_new(exchange, head));
}

static void on_body(struct aegis_http_connection *connection, const char *data, size_t size, void *context)
{
    (void)connection;
    struct aegis_exchange *exchange = context;
    if (exchange->state == AEGIS_EXCHANGE_CHALLENGE)
        aegis_pay_challenge_body(exchange, data, size);
    else
        aegis_exchange_relay_body(exchange, data, size);
}

static void on_end(struct aegis_http_connection *connection, void *context)
{
    (void)connection;
    struct aegis_exchange *exchange = context;
    if (exchange->state == AEGIS_EXCHANGE_CHALLENGE)
        aegis_pay_challenge_end(exchange);
    else
        aegis_exchange_relay_end(exchange);
}

/* No head, or half an answer that the agent has seen nothing of. */
static void lost(struct aegis_exchange *exchange, enum aegis_http_end end)
{
    switch (end) {
    case AEGIS_HTTP_END_TIMEOUT:
        fail(exchange, "upstream_timeout", "The origin did not answer in time.");
        return;
    case AEGIS_HTTP_END_PROTOCOL:
        fail(exchange, "upstream_protocol", "The origin's answer is no valid HTTP/1.1.");
        return;
    case AEGIS_HTTP_END_CLOSED:
    case AEGIS_HTTP_END_CUT:
        fail(exchange, "upstream_closed", "The origin closed the connection before it had answered.");
        return;
    }
}

static void on_closed(struct aegis_http_connection *connection, enum aegis_http_end end, const char *problem,
                      void *context)
{
    struct aegis_exchange *exchange = context;
    AEGIS_ASSERT(exchange->upstream && exchange->upstream->connection == connection);
    aegis_log(AEGIS_LOG_DEBUG, "%s: %s", exchange->route.authority, problem ? problem : "closed");
    if (ended_silently(exchange, end) && may_retry(exchange, aegis_http_connection_sent(connection))) {
        retry(exchange);
        return;
    }
    aegis_upstream_close(&exchange->upstream);
    if (exchange->state == AEGIS_EXCHANGE_AUTHORIZE || aegis_pay_has_read_challenge(exchange)) {
        aegis_exchange_pump(exchange);
        return; /* what it was needed for is there; the payment goes over a new one */
    }
    lost(exchange, end);
}

static void on_drained(struct aegis_http_connection *connection, void *context)
{
    (void)connection;
    aegis_exchange_pump(context);
}

static const struct aegis_http_events upstream_events = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .closed = on_closed,
    .drained = on_drained,
};

static void dial_failed(struct aegis_exchange *exchange, enum aegis_dial_result result, const char *problem)
{
    const char *reason = problem ? problem : "";
    switch (result) {
    case AEGIS_DIAL_RESOLVE:
        fail(exchange, "name_unresolved", "The origin's name does not resolve.");
        return;
    case AEGIS_DIAL_REFUSED:
        fail(exchange, "address_refused",
             "The origin's address is one that agents must not reach (addresses.refused).");
        return;
    case AEGIS_DIAL_TLS:
        fail(exchange, "upstream_tls", reason[0] ? reason : "The TLS handshake with the origin failed.");
        return;
    case AEGIS_DIAL_TIMEOUT:
        fail(exchange, "upstream_timeout", "The origin could not be connected to in time.");
        return;
    case AEGIS_DIAL_CONNECT:
    case AEGIS_DIAL_OK:
        fail(exchange, "upstream_unreachable", "No address of the origin takes a connection.");
        return;
    }
}

static void on_dialled(enum aegis_dial_result result, struct bufferevent *transport, const char *problem,
                       void *context)
{
    struct aegis_exchange *exchange = context;
    exchange->dial = NULL;
    if (result != AEGIS_DIAL_OK) {
        dial_failed(exchange, result, problem);
        return;
    }
    exchange->upstream = aegis_upstream_new(exchange->proxy->pool, exchange->origin, transport,
                                            exchange->settings, &upstream_events, exchange);
    aegis_exchange_send(exchange);
}

void aegis_exchange_connect(struct aegis_exchange *exchange)
{
    aegis_exchange_move(exchange, AEGIS_EXCHANGE_CONNECT);
    exchange->upstream = aegis_pool_take(exchange->proxy->pool, exchange->origin, &upstream_events, exchange);
    if (exchange->upstream) {
        aegis_exchange_send(exchange);
        return;
    }
    dial(exchange);
    aegis_exchange_pump(exchange);
}

void aegis_exchange_connect_fresh(struct aegis_exchange *exchange)
{
    aegis_upstream_close(&exchange->upstream);
    aegis_exchange_move(exchange, AEGIS_EXCHANGE_PAY_CONNECT);
    dial(exchange);
}

/* A body whose end is known is sent with its length, whatever way it came. */
static enum aegis_http_framing framing_of(const struct aegis_exchange *exchange, uint64_t *length)
{
    *length = exchange->length;
    if (exchange->framing != AEGIS_HTTP_CHUNKED || !exchange->body.whole)
        return exchange->framing;
    AEGIS_ASSERT(aegis_body_replayable(&exchange->body));
    *length = exchange->body.size;
    return AEGIS_HTTP_LENGTH;
}

/* The connection was no good: an origin that speaks before it is asked, or closed in this very moment. */
static void not_taken(struct aegis_exchange *exchange)
{
    if (may_retry(exchange, false)) {
        retry(exchange);
        return;
    }
    aegis_upstream_close(&exchange->upstream);
    lost(exchange, AEGIS_HTTP_END_CLOSED);
}

void aegis_exchange_send(struct aegis_exchange *exchange)
{
    uint64_t length;
    enum aegis_http_framing framing = framing_of(exchange, &length);
    if (exchange->state == AEGIS_EXCHANGE_CONNECT) {
        aegis_exchange_move(exchange, AEGIS_EXCHANGE_AWAIT);
    } else {
        aegis_pay_sending(exchange);
        aegis_exchange_move(exchange, AEGIS_EXCHANGE_PAY_AWAIT);
    }
    aegis_body_rewind(&exchange->body);
    exchange->request_ended = false;
    exchange->heard = false;
    if (aegis_http_connection_send(exchange->upstream->connection, exchange->request, framing, length, false))
        aegis_exchange_pump(exchange);
    else
        not_taken(exchange);
}

void aegis_exchange_upstream_resume(struct aegis_exchange *exchange)
{
    if (!exchange->upstream_paused || !exchange->upstream)
        return;
    exchange->upstream_paused = false;
    aegis_http_connection_resume(exchange->upstream->connection);
}
