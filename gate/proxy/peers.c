#include "gate/proxy/peers.h"

#include <stdlib.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/ipc/channel.h"
#include "gate/ipc/parking.h"

enum { RECEIVE_LIMIT = 64 * 1024, BACKLOG_LIMIT = 16 * 1024 * 1024 };

struct peer {
    struct aegis_peers *peers;
    enum aegis_peer kind;
    struct aegis_channel *channel; /* NULL: not connected */
    uint64_t number;               /* of connections so far */
    struct aegis_parking *parking;
};

struct aegis_peers {
    struct event_base *base;
    struct peer peer[AEGIS_PEER_COUNT];
    void (*forget)(const char *agent, void *context);
    void *context;
};

/* Stays parked when its asker is gone, so that the answer is not taken for one that nobody asked for. */
struct aegis_question {
    const struct aegis_message *type; /* what was asked */
    aegis_answer *answer;
    void *asker; /* NULL: withdrawn */
};

static const struct {
    const char *name;
    const char *unavailable;
    const char *timeout;
} peer_names[AEGIS_PEER_COUNT] = {
    [AEGIS_PEER_KEEPER] = {"keeper", "keeper_unavailable", "keeper_timeout"},
    [AEGIS_PEER_JUDGE] = {"judge", "judge_unavailable", "judge_timeout"},
};

static void settle(struct aegis_question *question, const json_t *message, const char *code)
{
    void *asker = question->asker;
    aegis_answer *answer = question->answer;
    free(question);
    if (asker)
        answer(asker, message, code);
}

static void too_late(void *asker, void *context)
{
    const struct peer *peer = context;
    settle(asker, NULL, peer_names[peer->kind].timeout);
}

/* The keeper has put money aside and signed; nobody will send it. */
static void report_unsent(struct aegis_peers *peers, const json_t *authorized)
{
    static const char reason[] = "never sent: the agent was gone before the payment was authorized";
    json_t *body = json_pack("{s:O, s:s, s:i, s:s}", "payment", json_object_get(authorized, "payment"),
                             "state", "unknown", "status", 0, "reason", reason);
    aegis_peers_outcome(peers, aegis_peers_keeper(peers), body);
}

static struct aegis_question *take(struct peer *peer, const json_t *message)
{
    uint64_t id = (uint64_t)aegis_json_integer(message, "id", 0);
    struct aegis_question *question = aegis_parking_take(peer->parking, id);
    if (!question)
        aegis_log(AEGIS_LOG_WARNING, "the %s answered question %llu, which waits no more",
                  peer_names[peer->kind].name, (unsigned long long)id);
    return question;
}

/* An answer to another question than was asked ends the channel, and with it every question that waits on it.
 */
static void answer_to(const struct aegis_message *asked, struct aegis_channel *channel, const json_t *message,
                      struct peer *peer)
{
    struct aegis_question *question = take(peer, message);
    if (!question)
        return;
    if (question->type == asked) {
        settle(question, message, NULL);
        return;
    }
    aegis_channel_reject(channel, "%s answers a question of type %s", aegis_json_text(message, "type", ""),
                         question->type->name);
    settle(question, NULL, peer_names[peer->kind].unavailable);
}

static void on_identified(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)fd;
    answer_to(&aegis_message_identify, channel, message, context);
}

static void on_denied(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)fd;
    answer_to(&aegis_message_authorize, channel, message, context);
}

static void on_checked(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)fd;
    answer_to(&aegis_message_check, channel, message, context);
}

static void on_authorized(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)fd;
    struct peer *peer = context;
    struct aegis_question *question = take(peer, message);
    if (question && question->asker && question->type == &aegis_message_authorize) {
        settle(question, message, NULL);
        return;
    }
    report_unsent(peer->peers, message);
    if (question && question->asker)
        aegis_channel_reject(channel, "authorized answers a question of type %s", question->type->name);
    if (question)
        settle(question, NULL, peer_names[peer->kind].unavailable);
}

static void on_forget(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)channel, (void)fd;
    struct peer *peer = context;
    peer->peers->forget(aegis_json_text(message, "agent", NULL), peer->peers->context);
}

static const struct aegis_channel_rule keeper_rules[] = {
    {&aegis_message_identified, 0, on_identified},
    {&aegis_message_authorized, 0, on_authorized},
    {&aegis_message_denied, 0, on_denied},
    {&aegis_message_forget, 0, on_forget},
    {NULL, 0, NULL},
};

static const struct aegis_channel_rule judge_rules[] = {
    {&aegis_message_checked, 0, on_checked},
    {NULL, 0, NULL},
};

static void disconnect(struct peer *peer)
{
    struct aegis_question *question;
    aegis_channel_free(&peer->channel);
    while ((question = aegis_parking_take_any(peer->parking)))
        settle(question, NULL, peer_names[peer->kind].unavailable);
}

static void on_closed(struct aegis_channel *channel, const char *reason, void *context)
{
    struct peer *peer = context;
    AEGIS_ASSERT(channel == peer->channel);
    aegis_log(AEGIS_LOG_WARNING, "lost the %s: %s", peer_names[peer->kind].name, reason);
    disconnect(peer);
}

struct aegis_peers *aegis_peers_new(struct event_base *base, int64_t timeout_ms,
                                    void (*forget)(const char *agent, void *context), void *context)
{
    struct aegis_peers *peers = aegis_alloc(sizeof(*peers));
    peers->base = base;
    peers->forget = forget;
    peers->context = context;
    for (int kind = 0; kind < AEGIS_PEER_COUNT; kind++) {
        struct peer *peer = &peers->peer[kind];
        peer->peers = peers;
        peer->kind = (enum aegis_peer)kind;
        peer->parking = aegis_parking_new(base, timeout_ms, too_late, peer);
    }
    return peers;
}

void aegis_peers_free(struct aegis_peers **pointer)
{
    struct aegis_peers *peers = *pointer;
    *pointer = NULL;
    if (!peers)
        return;
    for (int kind = 0; kind < AEGIS_PEER_COUNT; kind++) {
        struct peer *peer = &peers->peer[kind];
        struct aegis_question *question;
        aegis_channel_free(&peer->channel);
        while ((question = aegis_parking_take_any(peer->parking)))
            free(question);
        aegis_parking_free(&peer->parking);
    }
    free(peers);
}

void aegis_peers_connect(struct aegis_peers *peers, enum aegis_peer kind, int fd)
{
    struct peer *peer = &peers->peer[kind];
    disconnect(peer);
    struct aegis_channel_options options = {
        .peer = peer_names[kind].name,
        .rules = kind == AEGIS_PEER_KEEPER ? keeper_rules : judge_rules,
        .receive_limit = RECEIVE_LIMIT,
        .backlog_limit = BACKLOG_LIMIT,
        .closed = on_closed,
        .context = peer,
    };
    peer->channel = aegis_channel_new(peers->base, fd, &options);
    peer->number++;
}

struct aegis_question *aegis_peers_ask(struct aegis_peers *peers, enum aegis_peer kind,
                                       const struct aegis_message *type, json_t *body, aegis_answer *answer,
                                       void *asker)
{
    struct peer *peer = &peers->peer[kind];
    if (!peer->channel) {
        json_decref(body);
        return NULL;
    }
    struct aegis_question *question = aegis_alloc(sizeof(*question));
    question->type = type;
    question->answer = answer;
    question->asker = asker;
    uint64_t id = aegis_parking_put(peer->parking, question);
    json_object_set_new(body, "id", json_integer((json_int_t)id));
    if (aegis_channel_send(peer->channel, type, body))
        return question;
    aegis_parking_take(peer->parking, id);
    free(question);
    return NULL;
}

void aegis_question_withdraw(struct aegis_question **question)
{
    if (*question)
        (*question)->asker = NULL;
    *question = NULL;
}

uint64_t aegis_peers_keeper(const struct aegis_peers *peers)
{
    return peers->peer[AEGIS_PEER_KEEPER].number;
}

void aegis_peers_outcome(struct aegis_peers *peers, uint64_t number, json_t *body)
{
    struct peer *keeper = &peers->peer[AEGIS_PEER_KEEPER];
    if (keeper->channel && keeper->number == number) {
        /* Before the agent can see what the outcome was: it may ask again at once, through another worker. */
        if (aegis_channel_send(keeper->channel, &aegis_message_outcome, body))
            aegis_channel_flush(keeper->channel);
        return;
    }
    aegis_log(AEGIS_LOG_WARNING, "%s: the keeper that authorized it is gone; it stays of unknown outcome",
              aegis_json_text(body, "payment", ""));
    json_decref(body);
}
