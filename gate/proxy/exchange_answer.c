/* What the agent gets: the origin's answer, streamed, or the gate's own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/proxy/exchange.h"
#include "gate/proxy/pay.h"

/* Only the gate speaks of what the gate did. */
static bool is_ours(const struct aegis_http_field *field)
{
    return field->name.length > 6 && !strncasecmp(field->name.at, "Aegis-", 6);
}

struct aegis_http_message *aegis_exchange_answer_new(const struct aegis_exchange *exchange,
                                                     const struct aegis_http_head *head)
{
    struct aegis_http_message *answer = aegis_http_response_new(head->status, head->reason);
    for (size_t i = 0; i < head->field_count; i++) {
        const struct aegis_http_field *field = &head->fields[i];
        if (!aegis_http_hop_by_hop(head, field) && !is_ours(field))
            aegis_http_message_add_field(answer, field);
    }
    aegis_http_message_add(answer, "Via", exchange->settings->via);
    bool about_money = head->status == 402 || exchange->state == AEGIS_EXCHANGE_PAY_AWAIT;
    if (about_money && !aegis_http_list_has(head, "Cache-Control", "no-store") &&
        !aegis_http_list_has(head, "Cache-Control", "private"))
        aegis_http_message_add(answer, "Cache-Control", "no-store");
    return answer;
}

void aegis_exchange_note(struct aegis_http_message *answer, const char *name, const char *value)
{
    struct aegis_http_field field = {{name, strlen(name)}, {value, strlen(value)}};
    if (!aegis_http_message_add_field(answer, &field))
        aegis_log(AEGIS_LOG_WARNING, "%s: a value that no head can carry was left out", name);
}

/* Length and framing as the origin has them. A Content-Length without a body (HEAD, 304) is passed on as
 * well; a body that ends with the connection stays one, so that one that was cut off never looks whole. */
static enum aegis_http_framing framing_of(const struct aegis_http_head *head)
{
    return head->has_length ? AEGIS_HTTP_LENGTH : head->framing;
}

static void begin_answer(struct aegis_exchange *exchange, struct aegis_http_message **answer,
                         enum aegis_http_framing framing, uint64_t length)
{
    exchange->answer_begun = true;
    aegis_exchange_move(exchange, AEGIS_EXCHANGE_RELAY);
    aegis_http_connection_send(exchange->agent->connection, *answer, framing, length,
                               exchange->proxy->stopping);
    aegis_http_message_free(answer);
    /* It will not be sent again: what was kept for that can go. */
    aegis_body_let_go(&exchange->body);
}

void aegis_exchange_relay(struct aegis_exchange *exchange, const struct aegis_http_head *head,
                          struct aegis_http_message *answer)
{
    begin_answer(exchange, &answer, framing_of(head), head->length);
    aegis_exchange_pump(exchange);
}

void aegis_exchange_relay_read(struct aegis_exchange *exchange, struct aegis_http_message *answer,
                               enum aegis_http_framing framing, uint64_t length, const char *body,
                               size_t size, bool whole)
{
    begin_answer(exchange, &answer, framing, length);
    if (size > 0)
        aegis_http_connection_send_body(exchange->agent->connection, body, size);
    if (whole)
        aegis_exchange_relay_end(exchange);
    else
        aegis_exchange_pump(exchange);
}

void aegis_exchange_relay_body(struct aegis_exchange *exchange, const char *data, size_t size)
{
    struct aegis_http_connection *agent = exchange->agent->connection;
    aegis_http_connection_send_body(agent, data, size);
    if (aegis_http_connection_full(agent) && !exchange->upstream_paused) {
        exchange->upstream_paused = true;
        aegis_http_connection_pause(exchange->upstream->connection);
    }
}

/* The exchange is over before its answer's end is handed over: the agent's next request may be waiting behind
 * it. */
static void end_answer(struct aegis_exchange *exchange, const char *reason)
{
    struct aegis_agent *agent = exchange->agent;
    aegis_exchange_end(exchange, reason);
    if (!aegis_http_connection_send_end(agent->connection))
        aegis_agent_close(agent, "the answer could not be sent");
}

void aegis_exchange_relay_end(struct aegis_exchange *exchange)
{
    end_answer(exchange, "answered");
}

/* Plain HTTP inside, to be read here like any other: the answer is the gate's promise, no connection is
 * opened yet. */
void aegis_exchange_open_tunnel(struct aegis_exchange *exchange)
{
    struct aegis_agent *agent = exchange->agent;
    struct aegis_http_message *answer = aegis_http_response_new(200, aegis_http_reason(200));
    agent->tunnel = aegis_strdup(exchange->route.authority);
    aegis_http_connection_send(agent->connection, answer, AEGIS_HTTP_NO_BODY, 0, exchange->proxy->stopping);
    aegis_http_message_free(&answer);
    end_answer(exchange, "a tunnel for plain HTTP");
}

static void add_challenge_for_credentials(struct aegis_http_message *answer)
{
    aegis_http_message_add(answer, "Proxy-Authenticate", "Basic realm=\"aegis\", charset=\"UTF-8\"");
    aegis_http_message_add(answer, "Proxy-Authenticate", "Bearer realm=\"aegis\"");
}

static struct aegis_http_message *problem_message(const struct aegis_problem *problem)
{
    int status = aegis_problem_status(problem);
    struct aegis_http_message *answer = aegis_http_response_new(status, aegis_http_reason(status));
    aegis_http_message_add(answer, "Content-Type", AEGIS_PROBLEM_TYPE);
    aegis_http_message_add(answer, "Cache-Control", "no-store");
    aegis_exchange_note(answer, "Aegis-Problem", problem->code);
    if (status == 407)
        add_challenge_for_credentials(answer);
    int64_t seconds = aegis_problem_retry_after(problem);
    if (seconds > 0) {
        char text[24];
        snprintf(text, sizeof(text), "%lld", (long long)seconds);
        aegis_http_message_add(answer, "Retry-After", text);
    }
    return answer;
}

static void answer_problem(struct aegis_exchange *exchange, const struct aegis_problem *problem)
{
    struct aegis_http_connection *agent = exchange->agent->connection;
    struct aegis_http_message *answer = problem_message(problem);
    char *body = aegis_problem_json(problem);
    aegis_pay_mark(exchange, answer);
    bool last = exchange->proxy->stopping || exchange->agent->one_too_many;
    aegis_http_connection_send(agent, answer, AEGIS_HTTP_LENGTH, strlen(body), last);
    aegis_http_connection_send_body(agent, body, strlen(body));
    aegis_http_message_free(&answer);
    free(body);
    end_answer(exchange, problem->code);
}

void aegis_exchange_problem(struct aegis_exchange *exchange, const struct aegis_problem *problem)
{
    if (exchange->answer_begun) {
        aegis_agent_close(exchange->agent, problem->code);
        return;
    }
    struct aegis_problem told = *problem;
    aegis_pay_describe(exchange, &told);
    answer_problem(exchange, &told);
}

void aegis_exchange_refuse(struct aegis_exchange *exchange, const char *code, const char *detail)
{
    struct aegis_problem problem = {.code = code, .detail = detail};
    aegis_exchange_problem(exchange, &problem);
}
