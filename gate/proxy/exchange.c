#include "gate/proxy/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/proxy/pay.h"
#include "gate/proxy/verdict.h"

#define TO(state) (1u << AEGIS_EXCHANGE_##state)

static const struct {
    const char *name;
    unsigned next;
} states[AEGIS_EXCHANGE_STATES] = {
    [AEGIS_EXCHANGE_IDENTIFY] = {"identify", TO(CHECK) | TO(CONNECT) | TO(OVER)},
    [AEGIS_EXCHANGE_CHECK] = {"check", TO(CONNECT) | TO(OVER)},
    [AEGIS_EXCHANGE_CONNECT] = {"connect", TO(AWAIT) | TO(OVER)},
    [AEGIS_EXCHANGE_AWAIT] = {"await", TO(CONNECT) | TO(RELAY) | TO(CHALLENGE) | TO(OVER)},
    [AEGIS_EXCHANGE_CHALLENGE] = {"challenge", TO(RELAY) | TO(AUTHORIZE) | TO(OVER)},
    [AEGIS_EXCHANGE_AUTHORIZE] = {"authorize", TO(PAY_CONNECT) | TO(PAY_AWAIT) | TO(OVER)},
    [AEGIS_EXCHANGE_PAY_CONNECT] = {"pay-connect", TO(PAY_AWAIT) | TO(OVER)},
    [AEGIS_EXCHANGE_PAY_AWAIT] = {"pay-await", TO(RELAY) | TO(OVER)},
    [AEGIS_EXCHANGE_RELAY] = {"relay", TO(OVER)},
    [AEGIS_EXCHANGE_OVER] = {"over", 0},
};

void aegis_exchange_move(struct aegis_exchange *exchange, enum aegis_exchange_state state)
{
    if (!(states[exchange->state].next & (1u << state)))
        aegis_panic("an exchange cannot go from %s to %s", states[exchange->state].name, states[state].name);
    exchange->state = state;
}

/* The agent is heard only when its body can go somewhere. */
static void pause_agent(struct aegis_exchange *exchange)
{
    if (!exchange->agent_paused)
        aegis_http_connection_pause(exchange->agent->connection);
    exchange->agent_paused = true;
}

static void checked(struct aegis_exchange *exchange)
{
    aegis_exchange_connect(exchange);
}

static void refused_by_policy(struct aegis_exchange *exchange, const struct aegis_request_verdict *verdict)
{
    bool failed = !strcmp(verdict->outcome, "error");
    bool held = !strcmp(verdict->outcome, "hold");
    struct aegis_problem problem = {
        .code = verdict->code[0] ? verdict->code
                : failed         ? "policy_failed"
                : held           ? "approval_required"
                                 : "denied",
        .detail = verdict->reason[0] ? verdict->reason : "A policy does not allow this request.",
        .policy = verdict->policy,
        .status = failed ? 503 : 403,
    };
    aegis_exchange_problem(exchange, &problem);
}

static void on_checked(void *asker, const json_t *message, const char *code)
{
    struct aegis_exchange *exchange = asker;
    exchange->question = NULL;
    if (!message) {
        aegis_exchange_refuse(exchange, code, "The policies that check requests could not be asked.");
        return;
    }
    struct aegis_request_verdict *verdict = aegis_request_verdict_new(exchange->identity->agent, message);
    int64_t cache_ms = aegis_json_integer(message, "cache_ms", 0);
    if (verdict->allowed)
        checked(exchange);
    else
        refused_by_policy(exchange, verdict);
    if (cache_ms > 0)
        aegis_verdicts_put(exchange->proxy->verdicts, exchange->identity, exchange->method,
                           exchange->route.authority, verdict, aegis_clock_boot() + cache_ms);
    else
        aegis_request_verdict_free(&verdict);
}

static void ask_judge(struct aegis_exchange *exchange)
{
    if (!aegis_route_can_be_told(&exchange->route)) {
        aegis_exchange_refuse(exchange, "url_too_long", "The URL is too long to be judged by the policies.");
        return;
    }
    char *url = aegis_route_url(&exchange->route, false);
    struct aegis_identity *identity = exchange->identity;
    json_t *body = json_pack("{s:s, s:s, s:O, s:s, s:s, s:s}", "agent", identity->agent, "agent_name",
                             identity->agent_name, "policies", identity->policies, "method", exchange->method,
                             "url", url, "host", exchange->route.authority);
    free(url);
    AEGIS_ASSERT(body);
    exchange->question = aegis_peers_ask(exchange->proxy->peers, AEGIS_PEER_JUDGE, &aegis_message_check, body,
                                         on_checked, exchange);
    if (!exchange->question)
        aegis_exchange_refuse(exchange, "judge_unavailable",
                              "The policies that check requests could not be asked.");
}

/* Who it is, is known. May this request be made? */
static void identified(struct aegis_exchange *exchange)
{
    exchange->identity = aegis_identity_retain(exchange->agent->identity);
    if (exchange->tunnel) {
        aegis_exchange_open_tunnel(exchange); /* what is asked for inside is checked then */
        return;
    }
    if (exchange->identity->policies_text[0] == '\0') {
        checked(exchange);
        return;
    }
    aegis_exchange_move(exchange, AEGIS_EXCHANGE_CHECK);
    const struct aegis_request_verdict *verdict =
        aegis_verdicts_get(exchange->proxy->verdicts, exchange->identity, exchange->method,
                           exchange->route.authority, aegis_clock_boot());
    if (!verdict) {
        pause_agent(exchange);
        ask_judge(exchange);
    } else if (verdict->allowed)
        checked(exchange);
    else
        refused_by_policy(exchange, verdict);
}

static void on_identified(void *asker, const json_t *message, const char *code)
{
    struct aegis_exchange *exchange = asker;
    exchange->question = NULL;
    if (!message) {
        aegis_exchange_refuse(exchange, code, "It could not be found out whose token this is.");
    } else if (aegis_json_boolean(message, "ok", false)) {
        aegis_agent_identified(exchange->agent, message, aegis_clock_boot());
        identified(exchange);
    } else {
        struct aegis_problem problem = {
            .code = aegis_json_text(message, "code", "agent_unknown"),
            .detail = aegis_json_text(message, "detail", "The gate does not know this token."),
            .status = 407,
        };
        aegis_exchange_problem(exchange, &problem);
    }
}

static void ask_keeper(struct aegis_exchange *exchange)
{
    pause_agent(exchange);
    exchange->question =
        aegis_peers_ask(exchange->proxy->peers, AEGIS_PEER_KEEPER, &aegis_message_identify,
                        aegis_agent_credential_json(exchange->agent), on_identified, exchange);
    if (!exchange->question)
        aegis_exchange_refuse(exchange, "keeper_unavailable",
                              "It could not be found out whose token this is.");
}

static void present(struct aegis_exchange *exchange, const struct aegis_http_head *head)
{
    struct aegis_agent *agent = exchange->agent;
    switch (aegis_agent_present(agent, head, aegis_clock_boot())) {
    case AEGIS_CREDENTIAL_FINE:
        if (agent->identity)
            identified(exchange);
        else
            ask_keeper(exchange);
        return;
    case AEGIS_CREDENTIAL_MISSING:
        aegis_exchange_refuse(
            exchange, "credentials_required",
            "Send the agent's token as the proxy password or as a Bearer token in Proxy-Authorization.");
        return;
    case AEGIS_CREDENTIAL_MALFORMED:
        aegis_exchange_refuse(
            exchange, "credentials_malformed",
            "Proxy-Authorization must be one field, Basic (the token as the password) or Bearer.");
        return;
    }
}

/* What ends a request before it is looked at. */
static bool out_of_service(const struct aegis_agent *agent, struct aegis_problem *problem)
{
    problem->code = "shutting_down";
    if (agent->one_too_many) {
        problem->code = "too_many_connections";
        problem->detail = "This worker has as many connections as it may have (limits.connections).";
    } else if (agent->proxy->stopping) {
        problem->detail = "The gate takes no new requests.";
    } else if (!agent->listener->config) {
        problem->detail = "This listener is no longer configured.";
    }
    return problem->detail != NULL;
}

void aegis_exchange_begin(struct aegis_agent *agent, const struct aegis_http_head *head)
{
    struct aegis_exchange *exchange = aegis_alloc(sizeof(*exchange));
    exchange->proxy = agent->proxy;
    exchange->agent = agent;
    exchange->settings = aegis_settings_retain(agent->proxy->settings);
    exchange->route.text = exchange->route.small;
    agent->exchange = exchange;

    struct aegis_problem problem = {0};
    if (out_of_service(agent, &problem) || !aegis_exchange_take_request(exchange, head, &problem))
        aegis_exchange_problem(exchange, &problem);
    else
        present(exchange, head);
}

/* Leaves the origin: a connection that can be used again waits for the next request. */
static void leave_upstream(struct aegis_exchange *exchange)
{
    aegis_dial_cancel(&exchange->dial);
    aegis_pool_put(&exchange->upstream);
    aegis_pool_origin_release(exchange->proxy->pool, &exchange->origin);
}

void aegis_exchange_end(struct aegis_exchange *exchange, const char *reason)
{
    struct aegis_proxy *proxy = exchange->proxy;
    aegis_log(AEGIS_LOG_DEBUG, "%s %s: %s while in %s", exchange->method, exchange->route.authority, reason,
              states[exchange->state].name);
    aegis_exchange_move(exchange, AEGIS_EXCHANGE_OVER);
    aegis_question_withdraw(&exchange->question);
    aegis_pay_end(exchange, reason);
    leave_upstream(exchange);
    exchange->agent->exchange = NULL;
    exchange->agent = NULL;
    SLIST_INSERT_HEAD(&proxy->ended, exchange, ended);
    aegis_proxy_reap_later(proxy);
}

void aegis_exchange_reap(struct aegis_exchange *exchange)
{
    aegis_http_message_free(&exchange->request);
    aegis_http_message_free(&exchange->answer);
    aegis_body_clear(&exchange->body);
    aegis_route_clear(&exchange->route);
    free(exchange->idempotency_key);
    aegis_identity_release(&exchange->identity);
    aegis_settings_release(&exchange->settings);
    free(exchange);
}
