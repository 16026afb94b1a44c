#include "tests/unit/proxy_street.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

int64_t street_time(void)
{
    return aegis_clock_boot();
}

void street_turn(struct street *street)
{
    struct timeval tick = {.tv_usec = 20000};
    event_base_loopexit(street->base, &tick);
    event_base_loop(street->base, EVLOOP_ONCE);
}

void street_rest(struct street *street)
{
    int64_t until = street_time() + 120;
    while (street_time() < until)
        street_turn(street);
}

/* ---- wires ---- */

static size_t whole_request(const char *bytes, size_t size)
{
    const char *end = memmem(bytes, size, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head = (size_t)(end + 4 - bytes);
    char *text = strndup(bytes, head);
    const char *length = strcasestr(text, "\r\ncontent-length:");
    bool chunked = strcasestr(text, "\r\ntransfer-encoding: chunked") != NULL;
    size_t body = length ? (size_t)strtoul(length + 17, NULL, 10) : 0;
    free(text);
    if (chunked) {
        const char *last = memmem(bytes + head, size - head, "0\r\n\r\n", 5);
        return last ? (size_t)(last + 5 - bytes) : 0;
    }
    return size >= head + body ? head + body : 0;
}

static void take_requests(struct wire *wire)
{
    struct street *street = wire->street;
    size_t length;
    while (wire->transport &&
           (length = whole_request(wire->received + wire->answered, wire->size - wire->answered)) > 0) {
        assert_true(street->request_count < STREET_REQUESTS);
        char *request = strndup(wire->received + wire->answered, length);
        wire->answered += length;
        street->request_wires[street->request_count] = wire;
        street->requests[street->request_count++] = request;
        if (!wire->silent && street->serve)
            street->serve(wire, request);
    }
}

static void on_read(struct bufferevent *transport, void *context)
{
    struct wire *wire = context;
    struct evbuffer *input = bufferevent_get_input(transport);
    size_t size = evbuffer_get_length(input);
    if (wire->size + size + 1 > wire->room) {
        wire->room = 2 * (wire->size + size + 1);
        wire->received = realloc(wire->received, wire->room);
    }
    evbuffer_remove(input, wire->received + wire->size, size);
    wire->size += size;
    wire->received[wire->size] = '\0';
    for (size_t i = 0; i < wire->street->origin_count; i++) {
        if (wire->street->origins[i] == wire)
            take_requests(wire);
    }
}

static void on_event(struct bufferevent *transport, short what, void *context)
{
    (void)transport;
    struct wire *wire = context;
    if (what & BEV_EVENT_EOF)
        wire->closed = true;
    if (what & BEV_EVENT_ERROR)
        wire->closed = wire->reset = true;
}

static struct wire *wire_new(struct street *street, int fd)
{
    struct wire *wire = aegis_alloc(sizeof(*wire));
    wire->street = street;
    wire->received = aegis_strdup("");
    wire->room = 1;
    wire->transport = bufferevent_socket_new(street->base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(wire->transport, on_read, NULL, on_event, wire);
    bufferevent_enable(wire->transport, EV_READ | EV_WRITE);
    return wire;
}

static void wire_free(struct wire *wire)
{
    street_close(wire);
    free(wire->received);
    free(wire);
}

void street_say_bytes(struct wire *wire, const void *bytes, size_t size)
{
    if (wire->transport)
        bufferevent_write(wire->transport, bytes, size);
}

void street_say(struct wire *wire, const char *text)
{
    street_say_bytes(wire, text, strlen(text));
}

/* What was said is written before the socket goes. */
static void flush(struct wire *wire)
{
    struct evbuffer *output = bufferevent_get_output(wire->transport);
    evutil_socket_t fd = bufferevent_getfd(wire->transport);
    bufferevent_disable(wire->transport, EV_WRITE);
    evbuffer_unfreeze(output, 1);
    while (evbuffer_get_length(output) > 0) {
        if (evbuffer_write(output, fd) < 0)
            break;
    }
}

void street_close(struct wire *wire)
{
    if (!wire->transport)
        return;
    flush(wire);
    bufferevent_free(wire->transport);
    wire->transport = NULL;
}

void street_reset(struct wire *wire)
{
    struct linger at_once = {.l_onoff = 1};
    if (!wire->transport)
        return;
    setsockopt(bufferevent_getfd(wire->transport), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    street_close(wire);
}

bool street_heard(const struct wire *wire, const char *text)
{
    return memmem(wire->received, wire->size, text, strlen(text)) != NULL;
}

size_t street_count(const char *received, const char *text)
{
    size_t count = 0;
    for (const char *at = received; (at = strstr(at, text)); at += strlen(text))
        count++;
    return count;
}

bool street_answered(const struct wire *wire, size_t answers)
{
    size_t at = 0;
    for (size_t i = 0; i < answers; i++) {
        size_t length = whole_request(wire->received + at, wire->size - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

/* ---- the origin ---- */

static void on_origin(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                      void *context)
{
    (void)listener, (void)address, (void)size;
    struct street *street = context;
    assert_true(street->origin_count < STREET_WIRES);
    struct wire *wire = wire_new(street, fd);
    street->origins[street->origin_count++] = wire;
}

void street_serve_hello(struct wire *wire, const char *request)
{
    (void)request;
    street_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-From: origin\r\n\r\nhello");
}

static const char challenge_v2[] =
    "{\"x402Version\":2,\"error\":\"Payment "
    "required\",\"resource\":{\"url\":\"http://somewhere.else/\"},\"accepts\":"
    "[{\"scheme\":\"exact\",\"network\":\"eip155:84532\",\"amount\":\"10000\",\"asset\":\"" STREET_USDC
    "\",\"payTo\":\"" STREET_PAYEE
    "\",\"maxTimeoutSeconds\":60,\"extra\":{\"name\":\"USDC\",\"version\":\"2\"}}]}";

static const char challenge_v1[] = "{\"x402Version\":1,\"error\":\"X-PAYMENT header is "
                                   "required\",\"accepts\":[{\"scheme\":\"exact\",\"network\":"
                                   "\"base-sepolia\",\"maxAmountRequired\":\"10000\",\"resource\":\"http://"
                                   "somewhere.else/\",\"description\":\"d\","
                                   "\"mimeType\":\"text/plain\",\"payTo\":\"" STREET_PAYEE
                                   "\",\"maxTimeoutSeconds\":60,\"asset\":\"" STREET_USDC
                                   "\",\"extra\":{\"name\":\"USDC\",\"version\":\"2\"}}]}";

static const char settlement[] =
    "{\"success\":true,\"payer\":\"" STREET_PAYER
    "\",\"transaction\":\"0x1111111111111111111111111111111111111111111111111111111111111111\",\"network\":"
    "\"eip155:84532\"}";

char *street_challenge_header(void)
{
    return aegis_base64_encode(challenge_v2, strlen(challenge_v2));
}

void street_say_challenge(struct wire *wire)
{
    char *header = street_challenge_header();
    char *answer =
        aegis_format("HTTP/1.1 402 Payment Required\r\nContent-Type: application/json\r\nPAYMENT-REQUIRED: "
                     "%s\r\nContent-Length: 2\r\n\r\n{}",
                     header);
    street_say(wire, answer);
    free(answer);
    free(header);
}

void street_say_challenge_v1(struct wire *wire, const char *more_fields)
{
    char *answer =
        aegis_format("HTTP/1.1 402 Payment Required\r\nContent-Type: application/json\r\n%sContent-Length: "
                     "%zu\r\n\r\n%s",
                     more_fields, strlen(challenge_v1), challenge_v1);
    street_say(wire, answer);
    free(answer);
}

void street_say_settled(struct wire *wire)
{
    char *header = aegis_base64_encode(settlement, strlen(settlement));
    char *answer =
        aegis_format("HTTP/1.1 200 OK\r\nPAYMENT-RESPONSE: %s\r\nContent-Length: 4\r\n\r\npaid", header);
    street_say(wire, answer);
    free(answer);
    free(header);
}

void street_serve_paid(struct wire *wire, const char *request)
{
    if (strstr(request, "\r\nPAYMENT-SIGNATURE: "))
        street_say_settled(wire);
    else
        street_say_challenge(wire);
}

/* ---- the keeper and the judge ---- */

static void on_identify(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)fd;
    struct street *street = context;
    street->identify_count++;
    json_decref(street->last_identify);
    street->last_identify = json_deep_copy(message);
    if (street->keeper_silent)
        return;
    json_t *id = json_object_get(message, "id");
    const char *token = aegis_json_text(message, "token", NULL);
    json_t *policies = street->request_policy ? json_pack("[s]", street->request_policy) : json_array();
    if (token && strcmp(token, STREET_TOKEN) != 0) {
        json_decref(policies);
        aegis_channel_send(channel, &aegis_message_identified,
                           json_pack("{s:O, s:b, s:s, s:s}", "id", id, "ok", 0, "code", "agent_unknown",
                                     "detail", "No key has this token."));
        return;
    }
    aegis_channel_send(channel, &aegis_message_identified,
                       json_pack("{s:O, s:b, s:s, s:s, s:o, s:I}", "id", id, "ok", 1, "agent", "agent-1",
                                 "agent_name", "first", "request_policies", policies, "cache_ms",
                                 (json_int_t)street->cache_ms));
}

static json_t *authorization_for(const struct street *street, const json_t *candidate)
{
    char nonce[67];
    snprintf(nonce, sizeof(nonce), "0x%064zx", street->authorized_count);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "from", STREET_PAYER, "to",
                     street->other_payee ? STREET_PAYER : aegis_json_text(candidate, "pay_to", ""), "value",
                     street->other_amount ? "9999" : aegis_json_text(candidate, "amount", ""), "validAfter",
                     "0", "validBefore", "4000000000", "nonce", nonce);
}

static void on_authorize(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)fd;
    struct street *street = context;
    street->authorize_count++;
    json_decref(street->last_authorize);
    street->last_authorize = json_deep_copy(message);
    if (street->keeper_silent)
        return;
    if (street->denial) {
        json_t *body = json_deep_copy(street->denial);
        json_object_set(body, "id", json_object_get(message, "id"));
        aegis_channel_send(channel, &aegis_message_denied, body);
        return;
    }
    const json_t *candidate = json_array_get(json_object_get(message, "candidates"), 0);
    char payment[32], signature[133];
    street->authorized_count++;
    snprintf(payment, sizeof(payment), "pay_%zu", street->authorized_count);
    snprintf(signature, sizeof(signature), "0x%0128d1b", 7);
    aegis_channel_send(channel, &aegis_message_authorized,
                       json_pack("{s:O, s:s, s:O, s:b, s:o, s:s, s:s*}", "id", json_object_get(message, "id"),
                                 "payment", payment, "index", json_object_get(candidate, "index"), "repeated",
                                 street->recorded != NULL, "authorization",
                                 authorization_for(street, candidate), "signature", signature, "state",
                                 street->recorded));
}

static void on_outcome(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)channel, (void)fd;
    struct street *street = context;
    assert_true(street->outcome_count < STREET_OUTCOMES);
    street->outcomes[street->outcome_count++] = json_deep_copy(message);
}

static void on_check(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)fd;
    struct street *street = context;
    street->check_count++;
    json_decref(street->last_check);
    street->last_check = json_deep_copy(message);
    aegis_channel_send(channel, &aegis_message_checked,
                       json_pack("{s:O, s:s, s:s, s:s, s:s, s:I}", "id", json_object_get(message, "id"),
                                 "verdict", street->verdict, "policy", "guard", "code", "host_blocked",
                                 "reason", "This host is blocked.", "cache_ms",
                                 (json_int_t)street->verdict_ms));
}

static const struct aegis_channel_rule keeper_rules[] = {
    {&aegis_message_identify, 0, on_identify},
    {&aegis_message_authorize, 0, on_authorize},
    {&aegis_message_outcome, 0, on_outcome},
    {NULL, 0, NULL},
};

static const struct aegis_channel_rule judge_rules[] = {
    {&aegis_message_check, 0, on_check},
    {NULL, 0, NULL},
};

static void on_channel_closed(struct aegis_channel *channel, const char *reason, void *context)
{
    (void)context;
    (void)channel;
    aegis_log(AEGIS_LOG_WARNING, "the worker's channel closed: %s", reason);
}

static struct aegis_channel *peer_end(struct street *street, const struct aegis_channel_rule *rules,
                                      int *worker_end)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    struct aegis_channel_options options = {.peer = "worker",
                                            .rules = rules,
                                            .receive_limit = 65536,
                                            .backlog_limit = 1 << 20,
                                            .closed = on_channel_closed,
                                            .context = street};
    *worker_end = pair[1];
    return aegis_channel_new(street->base, pair[0], &options);
}

int street_keeper_end(struct street *street)
{
    int worker_end;
    aegis_channel_free(&street->keeper);
    street->keeper = peer_end(street, keeper_rules, &worker_end);
    return worker_end;
}

void street_connect_keeper(struct street *street)
{
    aegis_peers_connect(street->proxy->peers, AEGIS_PEER_KEEPER, street_keeper_end(street));
}

static void connect_judge(struct street *street)
{
    int worker_end;
    street->judge = peer_end(street, judge_rules, &worker_end);
    aegis_peers_connect(street->proxy->peers, AEGIS_PEER_JUDGE, worker_end);
}

void street_lose_keeper(struct street *street)
{
    aegis_channel_free(&street->keeper);
}

/* ---- the street ---- */

int street_listen(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 128), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

json_t *street_config(const char *limits, const char *timeouts)
{
    char *text = aegis_format(
        "{\"listeners\": [{\"name\": \"agents\", \"mode\": \"forward\", \"token_required\": true},"
        " {\"name\": \"owner\", \"mode\": \"forward\", \"token_required\": false}],"
        " \"limits\": %s, \"timeouts\": %s}",
        limits ? limits : "{}", timeouts ? timeouts : "{}");
    json_t *config = json_loads(text, 0, NULL);
    assert_non_null(config);
    free(text);
    return config;
}

static void on_stopped(void *context)
{
    ((struct street *)context)->stopped = true;
}

struct street *street_new(const char *limits, const char *timeouts)
{
    struct street *street = aegis_alloc(sizeof(*street));
    struct aegis_error error = {0};
    aegis_log_open("test", AEGIS_LOG_ERROR, false);
    street->base = event_base_new();
    street->serve = street_serve_hello;
    street->verdict = "allow";
    street->cache_ms = 60000;
    int origin = street_listen(&street->origin_port);
    street->origin = evconnlistener_new(street->base, on_origin, street, LEV_OPT_CLOSE_ON_FREE, 0, origin);
    street->proxy = aegis_proxy_new(street->base, on_stopped, street);
    json_t *config = street_config(limits, timeouts);
    if (!aegis_proxy_configure(street->proxy, config, &error))
        fail_msg("%s", error.text);
    json_decref(config);
    street_connect_keeper(street);
    connect_judge(street);
    int fd = street_listen(&street->port);
    aegis_proxy_listen(street->proxy, "agents", fd);
    return street;
}

void street_free(struct street *street)
{
    for (size_t i = 0; i < street->agent_count; i++)
        wire_free(street->agents[i]);
    for (size_t i = 0; i < street->origin_count; i++)
        wire_free(street->origins[i]);
    aegis_proxy_free(&street->proxy);
    aegis_channel_free(&street->keeper);
    aegis_channel_free(&street->judge);
    evconnlistener_free(street->origin);
    street_rest(street);
    event_base_free(street->base);
    for (size_t i = 0; i < street->request_count; i++)
        free(street->requests[i]);
    for (size_t i = 0; i < street->outcome_count; i++)
        json_decref(street->outcomes[i]);
    json_decref(street->denial);
    json_decref(street->last_identify);
    json_decref(street->last_authorize);
    json_decref(street->last_check);
    free(street);
}

int street_set_up(void **state)
{
    *state = street_new(NULL, NULL);
    return 0;
}

int street_tear_down(void **state)
{
    street_free(*state);
    return 0;
}

struct wire *street_agent(struct street *street)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)street->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    evutil_make_socket_nonblocking(fd);
    assert_true(street->agent_count < STREET_WIRES);
    struct wire *wire = wire_new(street, fd);
    street->agents[street->agent_count++] = wire;
    return wire;
}

void street_ask(struct wire *agent, const char *method, const char *path, const char *fields,
                const char *body)
{
    char *head = aegis_format(
        "%s http://127.0.0.1:%d%s HTTP/1.1\r\nHost: ignored.example\r\n" STREET_AUTHORIZATION "%s\r\n%s",
        method, agent->street->origin_port, path, fields, body);
    street_say(agent, head);
    free(head);
}

struct wire *street_fetch(struct street *street, const char *method, const char *path, const char *fields,
                          const char *body)
{
    struct wire *agent = street_agent(street);
    street_ask(agent, method, path, fields, body);
    STREET_UNTIL(street, agent->closed || (strcmp(method, "HEAD") ? street_answered(agent, 1)
                                                                  : street_heard(agent, "\r\n\r\n")));
    return agent;
}

int street_status(const struct wire *wire)
{
    return wire->size > 12 ? atoi(wire->received + 9) : 0;
}

const char *street_problem(const struct wire *wire)
{
    struct wire *own = (struct wire *)(uintptr_t)wire;
    const char *body = strstr(wire->received, "\r\n\r\n");
    own->problem[0] = '\0';
    json_t *problem = body ? json_loads(body + 4, 0, NULL) : NULL;
    if (problem)
        aegis_text_copy(own->problem, sizeof(own->problem), aegis_json_text(problem, "code", ""));
    json_decref(problem);
    return own->problem;
}

/* How many requests with a payment the origin has seen. */
size_t street_payments_sent(const struct street *street)
{
    size_t count = 0;
    for (size_t i = 0; i < street->request_count; i++) {
        if (strstr(street->requests[i], "\r\nPAYMENT-SIGNATURE: ") ||
            strstr(street->requests[i], "\r\nX-PAYMENT: "))
            count++;
    }
    return count;
}

/* Exactly one outcome, of this state; waits for it. */
const json_t *street_outcome(struct street *street, const char *state)
{
    STREET_UNTIL(street, street->outcome_count > 0);
    street_rest(street);
    assert_int_equal(street->outcome_count, 1);
    assert_string_equal(aegis_json_text(street->outcomes[0], "state", ""), state);
    assert_string_equal(aegis_json_text(street->outcomes[0], "payment", ""), "pay_1");
    return street->outcomes[0];
}

void street_serve_nothing(struct wire *wire, const char *request)
{
    (void)wire, (void)request;
}

/* The keeper's answer to the last question, by hand. */
void street_send_authorized(struct street *street)
{
    json_t *body = json_pack("{s:O, s:s, s:i, s:b, s:{s:s, s:s, s:s, s:s, s:s, s:s}, s:o}", "id",
                             json_object_get(street->last_authorize, "id"), "payment", "pay_1", "index", 0,
                             "repeated", 0, "authorization", "from", STREET_PAYER, "to", STREET_PAYEE,
                             "value", "10000", "validAfter", "0", "validBefore", "4000000000", "nonce",
                             "0x2222222222222222222222222222222222222222222222222222222222222222",
                             "signature", json_sprintf("0x%0128d1b", 7));
    assert_non_null(body);
    aegis_channel_send(street->keeper, &aegis_message_authorized, body);
}

void street_serve_challenge_only(struct wire *wire, const char *request)
{
    if (!strstr(request, "PAYMENT-SIGNATURE"))
        street_say_challenge(wire);
}

void street_serve_v1(struct wire *wire, const char *request)
{
    if (strstr(request, "\r\nX-PAYMENT: "))
        street_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: private\r\n\r\nok");
    else
        street_say_challenge_v1(wire, "");
}

void street_serve_v1_in_pieces(struct wire *wire, const char *request)
{
    if (strstr(request, "\r\nX-PAYMENT: ")) {
        street_serve_v1(wire, request);
        return;
    }
    street_say(
        wire,
        "HTTP/1.1 402 Payment Required\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n{\"x402Version\":1,\r\n");
}

void street_serve_first_event(struct wire *wire, const char *request)
{
    (void)request;
    street_say(wire, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
}
