/* The keeper's connections: one table per peer says what it may say. What is in no table never reaches a
 * handler. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/keeper/peers.h"
#include "gate/keeper/question.h"

/* Longest frames, and what a peer may leave unread. */
enum {
    WORKER_FRAME = 256 << 10,
    JUDGE_FRAME = 16 << 20,
    SMALL_FRAME = 64 << 10,
    COMMAND_FRAME = 1 << 20,
    BACKLOG = 64 << 20,
    COURIER_BACKLOG = 64 << 10, /* beyond it the courier is told later */
    COMMANDS = 64,              /* connections to the control socket at a time */
};

/* Every handler: no descriptor is expected, and time is read once, here. */
static struct aegis_peer *enter(void *context, int fd)
{
    struct aegis_peer *peer = context;
    if (fd >= 0)
        close(fd);
    aegis_keeper_clock_read(&peer->keeper->clock);
    return peer;
}

#define HANDLER(name, call)                                                                                  \
    static void name(struct aegis_channel *channel, const json_t *message, int fd, void *context)            \
    {                                                                                                        \
        (void)channel;                                                                                       \
        call(enter(context, fd), message);                                                                   \
    }

HANDLER(worker_identify, aegis_authorize_identify)
HANDLER(worker_authorize, aegis_authorize)
HANDLER(worker_outcome, aegis_outcome)
HANDLER(judge_need, aegis_question_need)
HANDLER(judge_verdict, aegis_question_verdict)
HANDLER(witness_proof, aegis_chain_proof)
HANDLER(command_command, aegis_commands_handle)

static void judge_loaded(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct aegis_peer *peer = enter(context, fd);
    struct aegis_error error;
    if (!aegis_loaded_replace(peer->keeper->loaded, json_object_get(message, "policies"), &error)) {
        aegis_channel_reject(channel, "judge: loaded: %s", error.text);
        return;
    }
    peer->ready = true;
    aegis_peer_forget(peer->keeper, NULL);
}

static const struct aegis_channel_rule worker_rules[] = {
    {&aegis_message_identify, 0, worker_identify},
    {&aegis_message_authorize, 0, worker_authorize},
    {&aegis_message_outcome, 0, worker_outcome},
    {0},
};

static const struct aegis_channel_rule judge_rules[] = {
    {&aegis_message_loaded, 0, judge_loaded},
    {&aegis_message_need, 0, judge_need},
    {&aegis_message_verdict, 0, judge_verdict},
    {0},
};

static const struct aegis_channel_rule witness_rules[] = {
    {&aegis_message_proof, 0, witness_proof},
    {0},
};

static const struct aegis_channel_rule courier_rules[] = {{0}};

static const struct aegis_channel_rule command_rules[] = {
    {&aegis_message_command, 0, command_command},
    {0},
};

/* Ends */

static void peer_free(struct aegis_peer **peer)
{
    aegis_channel_free(&(*peer)->channel);
    free(*peer);
    *peer = NULL;
}

/* `slot` is where the peer stands; it is empty before anything else happens, so that nobody writes to the
 * dead. */
static void worker_end(struct aegis_keeper *keeper, struct aegis_peer **slot)
{
    uint64_t number = (*slot)->number;
    peer_free(slot);
    aegis_authorize_abandon(keeper, number);
    aegis_outcome_abandon(keeper, number, "the worker died before it reported");
}

static void judge_end(struct aegis_keeper *keeper)
{
    peer_free(&keeper->judge);
    aegis_question_judge_gone(keeper);
}

static void peer_closed(struct aegis_channel *channel, const char *reason, void *context)
{
    struct aegis_peer *peer = context;
    struct aegis_keeper *keeper = peer->keeper;
    aegis_keeper_clock_read(&keeper->clock);
    /* Whether it should have ended the supervisor knows, and says. */
    aegis_log(aegis_channel_ended(channel) ? AEGIS_LOG_INFO : AEGIS_LOG_WARNING, "%s", reason);
    if (peer == keeper->judge) {
        judge_end(keeper);
    } else if (peer == keeper->witness) {
        peer_free(&keeper->witness);
    } else if (peer == keeper->courier) {
        peer_free(&keeper->courier);
    } else {
        for (size_t i = 0; i < AEGIS_KEEPER_WORKERS; i++) {
            if (keeper->workers[i] == peer) {
                worker_end(keeper, &keeper->workers[i]);
                break;
            }
        }
    }
}

static void command_closed(struct aegis_channel *channel, const char *reason, void *context)
{
    struct aegis_peer *peer = context;
    (void)channel;
    aegis_log(AEGIS_LOG_DEBUG, "command line: %s", reason);
    LIST_REMOVE(peer, next);
    peer->keeper->commands_count--;
    peer_free(&peer);
}

/* Beginnings */

struct kind {
    const char *name;
    const struct aegis_channel_rule *rules;
    size_t frame;
    void (*closed)(struct aegis_channel *, const char *, void *);
};

static const struct kind kinds[] = {
    {"worker", worker_rules, WORKER_FRAME, peer_closed},
    {"judge", judge_rules, JUDGE_FRAME, peer_closed},
    {"witness", witness_rules, SMALL_FRAME, peer_closed},
    {"courier", courier_rules, SMALL_FRAME, peer_closed},
};

static const struct kind command_kind = {"command line", command_rules, COMMAND_FRAME, command_closed};

static struct aegis_peer *peer_new(struct aegis_keeper *keeper, const struct kind *kind, unsigned index,
                                   int fd)
{
    struct aegis_peer *peer = aegis_alloc(sizeof *peer);
    peer->keeper = keeper;
    peer->number = ++keeper->last_peer;
    snprintf(peer->name, sizeof peer->name, "%s %u", kind->name, index);
    struct aegis_channel_options options = {
        .peer = peer->name,
        .rules = kind->rules,
        .receive_limit = kind->frame,
        .backlog_limit = BACKLOG,
        .closed = kind->closed,
        .context = peer,
    };
    peer->channel = aegis_channel_new(keeper->base, fd, &options);
    return peer;
}

static void put_worker(struct aegis_keeper *keeper, struct aegis_peer *peer, unsigned index)
{
    if (keeper->workers[index] != NULL)
        worker_end(keeper, &keeper->workers[index]);
    keeper->workers[index] = peer;
}

static void put_judge(struct aegis_keeper *keeper, struct aegis_peer *peer)
{
    if (keeper->judge != NULL)
        judge_end(keeper);
    keeper->judge = peer;
}

static void put_witness(struct aegis_keeper *keeper, struct aegis_peer *peer)
{
    if (keeper->witness != NULL)
        peer_free(&keeper->witness);
    keeper->witness = peer;
    aegis_chain_watch_all(keeper);
}

static void put_courier(struct aegis_keeper *keeper, struct aegis_peer *peer)
{
    if (keeper->courier != NULL)
        peer_free(&keeper->courier);
    keeper->courier = peer;
    aegis_peer_grew(keeper, aegis_ledger_seq(keeper->ledger));
}

void aegis_keeper_peer(struct aegis_keeper *keeper, const char *kind, unsigned index, int fd)
{
    aegis_keeper_clock_read(&keeper->clock);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, kind) != 0 || index >= AEGIS_KEEPER_WORKERS)
            continue;
        struct aegis_peer *peer = peer_new(keeper, &kinds[i], index, fd);
        if (i == 0)
            put_worker(keeper, peer, index);
        else if (i == 1)
            put_judge(keeper, peer);
        else if (i == 2)
            put_witness(keeper, peer);
        else
            put_courier(keeper, peer);
        return;
    }
    aegis_log(AEGIS_LOG_ERROR, "no peer of the keeper: %s %u", kind, index);
    close(fd);
}

/* The control socket: whoever owns the gate, and root. The file's mode says the same; this holds where it was
 * changed. */

static bool may_command(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    return peer.uid == geteuid() || peer.uid == 0;
}

static void control_accept(evutil_socket_t fd, short what, void *context)
{
    struct aegis_keeper *keeper = context;
    (void)what;
    int connection = accept4((int)fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0)
        return;
    if (!may_command(connection) || keeper->commands_count >= COMMANDS) {
        aegis_log(AEGIS_LOG_WARNING, "the control socket: a connection was refused");
        close(connection);
        return;
    }
    struct aegis_peer *peer = peer_new(keeper, &command_kind, 0, connection);
    LIST_INSERT_HEAD(&keeper->commands, peer, next);
    keeper->commands_count++;
}

void aegis_peer_control(struct aegis_keeper *keeper, int fd)
{
    evutil_make_socket_nonblocking(fd);
    if (keeper->control != NULL) {
        close(event_get_fd(keeper->control));
        event_free(keeper->control);
    }
    keeper->control = event_new(keeper->base, fd, EV_READ | EV_PERSIST, control_accept, keeper);
    AEGIS_ASSERT(keeper->control != NULL && event_add(keeper->control, NULL) == 0);
}

/* Everybody */

void aegis_peer_end_all(struct aegis_keeper *keeper)
{
    for (size_t i = 0; i < AEGIS_KEEPER_WORKERS; i++)
        if (keeper->workers[i] != NULL)
            peer_free(&keeper->workers[i]);
    struct aegis_peer **others[] = {&keeper->judge, &keeper->witness, &keeper->courier};
    for (size_t i = 0; i < 3; i++)
        if (*others[i] != NULL)
            peer_free(others[i]);
    struct aegis_peer *peer;
    while ((peer = LIST_FIRST(&keeper->commands)) != NULL) {
        LIST_REMOVE(peer, next);
        peer_free(&peer);
    }
    if (keeper->control != NULL) {
        close(event_get_fd(keeper->control));
        event_free(keeper->control);
        keeper->control = NULL;
    }
}

struct aegis_peer *aegis_peer_worker(struct aegis_keeper *keeper, uint64_t number)
{
    for (size_t i = 0; i < AEGIS_KEEPER_WORKERS; i++)
        if (keeper->workers[i] != NULL && keeper->workers[i]->number == number)
            return keeper->workers[i];
    return NULL;
}

struct aegis_peer *aegis_peer_command(struct aegis_keeper *keeper, uint64_t number)
{
    struct aegis_peer *peer;
    LIST_FOREACH(peer, &keeper->commands, next)
    {
        if (peer->number == number)
            return peer;
    }
    return NULL;
}

size_t aegis_peer_workers(const struct aegis_keeper *keeper)
{
    size_t count = 0;
    for (size_t i = 0; i < AEGIS_KEEPER_WORKERS; i++)
        count += keeper->workers[i] != NULL;
    return count;
}

void aegis_peer_forget(struct aegis_keeper *keeper, const char *agent)
{
    for (size_t i = 0; i < AEGIS_KEEPER_WORKERS; i++) {
        json_t *body = json_object();
        if (agent != NULL)
            json_object_set_new(body, "agent", json_string(agent));
        if (keeper->workers[i] != NULL)
            aegis_channel_send(keeper->workers[i]->channel, &aegis_message_forget, body);
        else
            json_decref(body);
    }
}

void aegis_peer_grew(struct aegis_keeper *keeper, int64_t seq)
{
    keeper->grown = seq;
    if (keeper->courier == NULL || seq == 0 ||
        aegis_channel_backlog(keeper->courier->channel) > COURIER_BACKLOG)
        return;
    if (aegis_channel_send(keeper->courier->channel, &aegis_message_grew,
                           json_pack("{s:I}", "seq", (json_int_t)seq)))
        keeper->grown = 0;
}

bool aegis_peer_judge_ready(const struct aegis_keeper *keeper)
{
    return keeper->judge != NULL && keeper->judge->ready;
}
