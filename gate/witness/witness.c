/* The witness: the only process that talks to nodes, so that no process that talks to sellers can claim
 * proof.
 *
 * Gives up: exec, files (the dialer has read what it needs), debugging. Keeps: the network. It holds no key,
 * no token and no ledger; what it tells the keeper is believed, so it is told nothing by anybody else. */
#include "gate/witness/witness.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/confine.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/ipc/channel.h"
#include "gate/ipc/process.h"
#include "gate/witness/chain.h"

enum { RECEIVE_LIMIT = 64 << 10, BACKLOG_LIMIT = 8 << 20, NETWORKS_MAX = 64, CONNECT_MS = 10000 };

struct room {
    struct aegis_process *process;
    struct aegis_channel *keeper;
    struct aegis_dialer *dialer;
    json_t *dialing; /* the part of the configuration that the dialer was made from */
    struct witness_book *book;
    struct witness_chain *chains[NETWORKS_MAX];
    size_t count;
};

/* The keeper. */

static struct witness_chain *chain_of(struct room *room, const char *network)
{
    for (size_t i = 0; i < room->count; i++) {
        if (strcmp(witness_chain_network(room->chains[i]), network) == 0) {
            return room->chains[i];
        }
    }
    return NULL;
}

static void watch(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct room *room = context;
    const struct witness_payment *payment;
    struct witness_chain *chain;
    struct aegis_error error;

    if (fd >= 0) {
        close(fd);
    }
    payment = witness_book_put(room->book, message, &error);
    if (payment == NULL) {
        aegis_channel_reject(channel, "watch: %s", error.text);
        return;
    }
    /* Without a node for its network it waits in the book for a configuration that names one. */
    chain = chain_of(room, payment->network);
    if (chain != NULL) {
        witness_chain_wake(chain);
    }
}

static void unwatch(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct room *room = context;

    (void)channel;
    if (fd >= 0) {
        close(fd);
    }
    witness_book_drop(room->book, aegis_json_text(message, "payment", ""));
}

static const struct aegis_channel_rule keeper_rules[] = {
    {&aegis_message_watch, 0, watch},
    {&aegis_message_unwatch, 0, unwatch},
    {NULL, 0, NULL},
};

static void keeper_closed(struct aegis_channel *channel, const char *reason, void *context)
{
    struct room *room = context;

    (void)channel;
    aegis_log(AEGIS_LOG_INFO, "the keeper is gone: %s", reason);
    aegis_channel_free(&room->keeper);
    witness_book_drop_all(room->book); /* the next keeper says anew what it waits for */
}

static void proven(const struct witness_payment *payment, const struct witness_proof *proof, void *context)
{
    struct room *room = context;
    json_t *body = json_pack("{s:s, s:s, s:I, s:I}", "payment", payment->id, "kind", proof->kind, "block",
                             (json_int_t)proof->block.number, "block_time", (json_int_t)proof->block.time);
    char transaction[2 + 2 * WITNESS_WORD + 1] = "0x";

    if (proof->transaction != NULL) {
        aegis_hex_encode(proof->transaction, WITNESS_WORD, transaction + 2);
        json_object_set_new(body, "transaction", json_string(transaction));
    }
    aegis_log(AEGIS_LOG_INFO, "%s: %s on %s, block %" PRIu64, payment->id, proof->kind, payment->network,
              proof->block.number);
    if (room->keeper == NULL || !aegis_channel_send(room->keeper, &aegis_message_proof, body)) {
        aegis_log(AEGIS_LOG_INFO, "%s: nobody to tell; the keeper will ask again", payment->id);
        if (room->keeper == NULL) {
            json_decref(body);
        }
    }
}

/* Configuration. */

static bool check_network(const json_t *network, struct aegis_error *error)
{
    static const struct aegis_json_field fields[] = {
        {"network", AEGIS_JSON_STRING, true, AEGIS_NETWORK_TEXT - 1},
        {"rpc", AEGIS_JSON_STRING, true, 4096},
        {"confirmations", AEGIS_JSON_INTEGER, true, 1000000},
        {"poll_ms", AEGIS_JSON_INTEGER, true, 86400000},
        {0}};
    uint64_t chain_id;

    if (!aegis_json_check(network, fields, error)) {
        return false;
    }
    if (aegis_json_integer(network, "poll_ms", 0) < 1) {
        return aegis_error_set(error, "poll_ms: expected at least 1");
    }
    return aegis_network_chain_id(aegis_json_text(network, "network", ""), &chain_id) ||
           aegis_error_set(error, "network: expected eip155:N");
}

static bool check_config(const json_t *config, struct aegis_error *error)
{
    static const struct aegis_json_field fields[] = {{"networks", AEGIS_JSON_ARRAY, true, NETWORKS_MAX},
                                                     {"refused_addresses", AEGIS_JSON_ARRAY, false, 0},
                                                     {"allowed_addresses", AEGIS_JSON_ARRAY, false, 0},
                                                     {"ca_file", AEGIS_JSON_STRING, false, 4096},
                                                     {0}};
    const json_t *network;
    size_t i;

    if (!aegis_json_check(config, fields, error)) {
        return false;
    }
    json_array_foreach(json_object_get(config, "networks"), i, network)
    {
        if (!check_network(network, error)) {
            return aegis_error_prefix(error, "networks[%zu]", i);
        }
    }
    return true;
}

/* A new dialer when what it is made from changed. That reads files, which a confined process cannot: then the
 * error says so, the old configuration stays, and a restart helps. */
static bool make_dialer(struct room *room, const json_t *config, struct aegis_dialer **out,
                        struct aegis_error *error)
{
    struct aegis_dialer_options options = {.connect_ms = CONNECT_MS,
                                           .refused = json_object_get(config, "refused_addresses"),
                                           .allowed = json_object_get(config, "allowed_addresses"),
                                           .ca_file = aegis_json_text(config, "ca_file", NULL)};
    json_t *dialing = json_deep_copy(config);

    json_object_del(dialing, "networks");
    if (room->dialer != NULL && json_equal(dialing, room->dialing)) {
        json_decref(dialing);
        *out = room->dialer;
        return true;
    }
    *out = aegis_dialer_new(aegis_process_base(room->process), &options, error);
    if (*out == NULL) {
        json_decref(dialing);
        return false;
    }
    json_decref(room->dialing);
    room->dialing = dialing;
    return true;
}

static void free_chains(struct room *room)
{
    while (room->count > 0) {
        witness_chain_free(&room->chains[--room->count]);
    }
}

static void make_chains(struct room *room, const json_t *networks)
{
    const json_t *network;
    size_t i;

    json_array_foreach(networks, i, network)
    {
        struct witness_chain_options options = {
            .network = aegis_json_text(network, "network", ""),
            .rpc = aegis_json_text(network, "rpc", ""),
            .confirmations = (uint64_t)aegis_json_integer(network, "confirmations", 0),
            .poll_ms = aegis_json_integer(network, "poll_ms", 0),
            .proven = proven,
            .context = room,
        };

        room->chains[room->count++] =
            witness_chain_new(aegis_process_base(room->process), room->dialer, room->book, &options);
        witness_chain_wake(room->chains[room->count - 1]);
    }
}

static bool configure(struct aegis_process *process, const json_t *config, struct aegis_error *error,
                      void *context)
{
    struct room *room = context;
    struct aegis_dialer *dialer;

    room->process = process;
    if (!check_config(config, error) || !make_dialer(room, config, &dialer, error)) {
        return false;
    }
    free_chains(room);
    if (room->dialer != NULL && room->dialer != dialer) {
        aegis_dialer_free(&room->dialer);
    }
    room->dialer = dialer;
    make_chains(room, json_object_get(config, "networks"));
    return true;
}

/* The process. */

static bool confine(struct aegis_process *process, struct aegis_error *error, void *context)
{
    (void)process;
    (void)context;
    return aegis_confine(AEGIS_CONFINE_EXEC | AEGIS_CONFINE_FILES | AEGIS_CONFINE_DEBUG, error);
}

static void peer(struct aegis_process *process, const char *kind, unsigned index, int fd, void *context)
{
    struct room *room = context;
    struct aegis_channel_options options = {
        .peer = "keeper",
        .rules = keeper_rules,
        .receive_limit = RECEIVE_LIMIT,
        .backlog_limit = BACKLOG_LIMIT,
        .closed = keeper_closed,
        .context = room,
    };

    (void)index;
    if (strcmp(kind, "keeper") != 0) {
        aegis_log(AEGIS_LOG_ERROR, "a channel to a %s is not for the witness", kind);
        close(fd);
        return;
    }
    aegis_channel_free(&room->keeper);
    witness_book_drop_all(room->book);
    room->keeper = aegis_channel_new(aegis_process_base(process), fd, &options);
}

static void stop(struct aegis_process *process, int64_t deadline_ms, void *context)
{
    (void)deadline_ms;
    (void)context;
    /* Nothing to finish: what was not proven yet is asked for again at the next start. */
    aegis_process_exit(process, EXIT_SUCCESS);
}

static void leave(struct aegis_process *process, void *context)
{
    struct room *room = context;

    (void)process;
    free_chains(room);
    aegis_channel_free(&room->keeper);
    if (room->dialer != NULL) {
        aegis_dialer_free(&room->dialer);
    }
    json_decref(room->dialing);
    witness_book_free(&room->book);
}

int aegis_witness_run(void)
{
    struct room room = {.book = witness_book_new()};
    struct aegis_process_room process = {
        .name = "witness",
        .configure = configure,
        .confine = confine,
        .peer = peer,
        .stop = stop,
        .leave = leave,
        .context = &room,
    };

    return aegis_process_run(&process);
}
