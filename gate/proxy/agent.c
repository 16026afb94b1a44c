#include "gate/proxy/agent.h"

#include <event2/bufferevent.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/proxy/exchange.h"

/* Connections above the limit that are still heard, so that they can be told why they are refused. */
enum { REFUSED_POLITELY = 64 };

static void on_head(struct aegis_http_connection *connection, const struct aegis_http_head *head,
                    void *context)
{
    (void)connection;
    struct aegis_agent *agent = context;
    AEGIS_ASSERT(!agent->exchange);
    aegis_exchange_begin(agent, head);
}

static void on_body(struct aegis_http_connection *connection, const char *data, size_t size, void *context)
{
    (void)connection;
    struct aegis_agent *agent = context;
    if (agent->exchange)
        aegis_exchange_agent_body(agent->exchange, data, size);
}

static void on_end(struct aegis_http_connection *connection, void *context)
{
    (void)connection;
    struct aegis_agent *agent = context;
    if (agent->exchange)
        aegis_exchange_agent_whole(agent->exchange);
}

static void on_drained(struct aegis_http_connection *connection, void *context)
{
    (void)connection;
    struct aegis_agent *agent = context;
    if (agent->exchange)
        aegis_exchange_agent_drained(agent->exchange);
}

static void on_closed(struct aegis_http_connection *connection, enum aegis_http_end end, const char *problem,
                      void *context)
{
    (void)connection, (void)end;
    aegis_agent_close(context, problem);
}

static const struct aegis_http_events agent_events = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .closed = on_closed,
    .drained = on_drained,
};

void aegis_agent_new(struct aegis_listener *listener, int fd, bool has_uid, uid_t uid)
{
    struct aegis_proxy *proxy = listener->proxy;
    if (proxy->agent_count >= proxy->settings->connections + REFUSED_POLITELY) {
        close(fd);
        return;
    }
    struct bufferevent *transport = bufferevent_socket_new(proxy->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!transport) {
        close(fd);
        return;
    }
    struct aegis_agent *agent = aegis_alloc(sizeof(*agent));
    agent->proxy = proxy;
    agent->listener = listener;
    agent->settings = aegis_settings_retain(proxy->settings);
    agent->has_uid = has_uid;
    agent->uid = uid;
    agent->one_too_many = proxy->agent_count >= proxy->settings->connections;
    LIST_INSERT_HEAD(&proxy->agents, agent, link);
    proxy->agent_count++;
    agent->connection = aegis_http_server_new(transport, &agent->settings->agent_side, &agent_events, agent);
}

void aegis_agent_close(struct aegis_agent *agent, const char *why)
{
    struct aegis_proxy *proxy = agent->proxy;
    if (agent->exchange)
        aegis_exchange_end(agent->exchange, why ? why : "the agent left");
    aegis_http_connection_free(&agent->connection);
    aegis_identity_release(&agent->identity);
    sodium_memzero(agent->credential, sizeof(agent->credential));
    aegis_proxy_retire(proxy, &agent->settings);
    LIST_REMOVE(agent, link);
    proxy->agent_count--;
    SLIST_INSERT_HEAD(&proxy->left, agent, left);
    aegis_proxy_reap_later(proxy);
    aegis_proxy_agent_gone(proxy);
}

void aegis_agent_reap(struct aegis_agent *agent)
{
    free(agent->tunnel);
    free(agent);
}

/* The cache's key for what the agent presented. False when the token cannot be read. */
static bool key_of(const struct aegis_agent *agent, struct aegis_identity_key *key)
{
    char token[AEGIS_TOKEN_TEXT];
    if (agent->credential_length == 0) {
        aegis_identity_key_listener(agent->listener->name, agent->has_uid, agent->uid, key);
        return true;
    }
    struct aegis_http_text value = {agent->credential, agent->credential_length};
    bool ok = aegis_credential_token(value, token);
    if (ok)
        aegis_identity_key_token(token, key);
    sodium_memzero(token, sizeof(token));
    return ok;
}

static enum aegis_agent_credential remember(struct aegis_agent *agent, struct aegis_http_text value,
                                            int64_t now)
{
    struct aegis_identity_key key;
    aegis_identity_release(&agent->identity);
    if (value.length > sizeof(agent->credential))
        return AEGIS_CREDENTIAL_MALFORMED;
    if (value.at != agent->credential) { /* else it is what was remembered, for a tunnel */
        sodium_memzero(agent->credential, agent->credential_length);
        memcpy(agent->credential, value.at, value.length);
        agent->credential_length = value.length;
    }
    if (!key_of(agent, &key))
        return AEGIS_CREDENTIAL_MALFORMED;
    agent->identity = aegis_identity_cache_get(agent->proxy->identities, &key, now);
    return AEGIS_CREDENTIAL_FINE;
}

enum aegis_agent_credential aegis_agent_present(struct aegis_agent *agent, const struct aegis_http_head *head,
                                                int64_t now)
{
    size_t count = 0;
    struct aegis_http_text value = {"", 0};
    const struct aegis_http_field *field = aegis_http_find(head, "Proxy-Authorization", &count);
    if (count > 1 || (field && field->value.length == 0))
        return AEGIS_CREDENTIAL_MALFORMED;
    if (field)
        value = field->value;
    else if (agent->tunnel) /* who opened it is who speaks inside */
        value = (struct aegis_http_text){agent->credential, agent->credential_length};
    else if (agent->listener->config->token_required)
        return AEGIS_CREDENTIAL_MISSING;
    bool same =
        value.length == agent->credential_length && !memcmp(value.at, agent->credential, value.length);
    if (same && agent->identity && aegis_identity_holds(agent->identity, now))
        return AEGIS_CREDENTIAL_FINE;
    return remember(agent, value, now);
}

json_t *aegis_agent_credential_json(const struct aegis_agent *agent)
{
    char token[AEGIS_TOKEN_TEXT];
    json_t *body = json_object();
    json_object_set_new(body, "listener", json_string(agent->listener->name));
    if (agent->has_uid)
        json_object_set_new(body, "uid", json_integer((json_int_t)agent->uid));
    struct aegis_http_text value = {agent->credential, agent->credential_length};
    if (value.length > 0 && aegis_credential_token(value, token))
        json_object_set_new(body, "token", json_string(token));
    sodium_memzero(token, sizeof(token));
    return body;
}

void aegis_agent_identified(struct aegis_agent *agent, const json_t *identified, int64_t now)
{
    struct aegis_identity_key key;
    aegis_identity_release(&agent->identity);
    agent->identity = aegis_identity_new(identified, now);
    if (key_of(agent, &key))
        aegis_identity_cache_put(agent->proxy->identities, &key, agent->identity);
}
