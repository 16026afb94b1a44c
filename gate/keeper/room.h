/* The keeper as its own files see it: what it is made of, and the doors between its parts. Private to
 * gate/keeper. */
#ifndef AEGIS_KEEPER_ROOM_H
#define AEGIS_KEEPER_ROOM_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "gate/ipc/channel.h"
#include "gate/ipc/parking.h"
#include "gate/keeper/clock.h"
#include "gate/keeper/commit.h"
#include "gate/keeper/counters.h"
#include "gate/keeper/identity.h"
#include "gate/keeper/payments.h"
#include "gate/keeper/policies.h"
#include "gate/keeper/table.h"
#include "gate/ledger/ledger.h"
#include "gate/vault/folder.h"
#include "gate/x402/asset.h"
#include "gate/x402/signature.h"

#define AEGIS_KEEPER_WORKERS 256

struct aegis_keeper;
struct aegis_ask;

/* One connection. A number is never given twice, so that what belonged to a dead worker never falls to the
 * next. */
struct aegis_peer {
    struct aegis_keeper *keeper;
    struct aegis_channel *channel;
    uint64_t number;
    bool ready; /* the judge: it has said what it loaded */
    char name[32];
    LIST_ENTRY(aegis_peer) next; /* of the command line only */
};

struct aegis_keeper_settings {
    char *ledger;
    char *vault;
    char *operator_name;
    int64_t lifetime_seconds;
    int64_t key_cache_ms;
    int64_t identity_cache_ms;
    int64_t judge_timeout_ms;
    int64_t tick_ms;
    int64_t clock_step_ms;
    uint64_t scrypt_max_memory;
    bool pay_without_policy; /* for agents to which none applies */
    json_t *policies;        /* the gate's own */
    json_t *watched;         /* networks with a witness */
    json_t *owners;          /* listener -> owner */
};

struct aegis_keeper {
    struct event_base *base;
    struct aegis_keeper_settings settings;
    struct aegis_keeper_clock clock;
    struct aegis_ledger *ledger;
    struct aegis_commit *commit;
    struct aegis_counters *counters;
    struct aegis_vault *vault;
    struct aegis_identities *identities;
    struct aegis_assets *assets;
    struct aegis_signer *signer;
    struct aegis_payments *payments;
    struct aegis_loaded *loaded;
    struct aegis_parking *questions;
    struct aegis_table *wanted;  /* list of policies -> facts that were asked for last time */
    struct aegis_table *asking;  /* request key -> ask that is being judged under an explicit key */
    LIST_HEAD(, aegis_ask) asks; /* being judged or written */
    size_t asks_count;
    struct aegis_peer *judge, *witness, *courier;
    struct aegis_peer *workers[AEGIS_KEEPER_WORKERS];
    LIST_HEAD(, aegis_peer) commands;
    size_t commands_count;
    uint64_t last_peer;
    struct event *control, *tick, *second;
    int64_t grown;                  /* the last entry that the courier has not been told of; 0: none */
    struct aegis_table *watching;   /* ids of payments that the witness was asked about */
    struct aegis_table *ticking;    /* agents about which a tick is being asked */
    bool stopping;                  /* nothing new begins */
    bool closing;                   /* it is being freed: what is lost stays lost */
    void (*stopped)(void *context); /* everything that ran is over */
    void *context;
};

/* keeper.c: the room without its process, as tests use it. `clock` NULL: the system's. */
struct aegis_keeper *aegis_keeper_new(struct event_base *base, const json_t *config,
                                      const struct aegis_keeper_clock *clock, struct aegis_error *error);
bool aegis_keeper_configure(struct aegis_keeper *keeper, const json_t *config, struct aegis_error *error);
void aegis_keeper_peer(struct aegis_keeper *keeper, const char *kind, unsigned index, int fd);
void aegis_keeper_listen(struct aegis_keeper *keeper, const char *name, int fd);
void aegis_keeper_stop(struct aegis_keeper *keeper, void (*stopped)(void *context), void *context);
void aegis_keeper_free(struct aegis_keeper **keeper);
/* After anything ended: tells `stopped` if it was the last. */
void aegis_keeper_rest(struct aegis_keeper *keeper);

/* settings.c */
bool aegis_keeper_settings_read(struct aegis_keeper_settings *settings, const json_t *config,
                                struct aegis_error *error);
void aegis_keeper_settings_clear(struct aegis_keeper_settings *settings);

/* peers.c */
struct aegis_peer *aegis_peer_worker(struct aegis_keeper *keeper, uint64_t number);
void aegis_peer_forget(struct aegis_keeper *keeper, const char *agent); /* NULL: all */
void aegis_peer_grew(struct aegis_keeper *keeper, int64_t seq);
/* The judge is there and has said what it loaded. */
bool aegis_peer_judge_ready(const struct aegis_keeper *keeper);

/* authorize.c */
void aegis_authorize_identify(struct aegis_peer *worker, const json_t *message);
void aegis_authorize(struct aegis_peer *worker, const json_t *message);
/* The worker is gone: nothing that it asked for may be signed any more. */
void aegis_authorize_abandon(struct aegis_keeper *keeper, uint64_t worker);

/* outcome.c: payments change */
void aegis_outcome(struct aegis_peer *worker, const json_t *message);
/* Queues the entry that moves the payment; `body` is stolen. Whether the move is possible is looked at again
 * when it is written; if it is not any more, it is left out. False when that can be said already. */
bool aegis_payments_change(struct aegis_keeper *keeper, struct aegis_held *held, enum aegis_entry_kind kind,
                           json_t *body);
/* The worker that held these is gone. */
void aegis_outcome_abandon(struct aegis_keeper *keeper, uint64_t worker, const char *reason);
/* Signed payments that nobody in this process holds: after a start, or after the ledger was reopened. */
bool aegis_outcome_recover(struct aegis_keeper *keeper, const char *reason, struct aegis_error *error);
void aegis_outcome_reread(struct aegis_keeper *keeper);

/* chain.c */
void aegis_chain_proof(struct aegis_peer *witness, const json_t *message);
void aegis_chain_changed(struct aegis_keeper *keeper, const struct aegis_held *held);
void aegis_chain_watch_all(struct aegis_keeper *keeper);
bool aegis_chain_watched(const struct aegis_keeper *keeper, const char *network);

/* ticks.c */
void aegis_ticks_run(struct aegis_keeper *keeper);
/* Ends an agent: in memory at once, then the entry, then the key's file. `done` (may be NULL) when the entry
 * is durable. */
void aegis_ticks_revoke(struct aegis_keeper *keeper, const char *agent, const char *reason,
                        const char *policy, void (*done)(void *context), void *context);

/* commands.c */
void aegis_commands_handle(struct aegis_peer *peer, const json_t *message);
/* Answers a command, if whoever gave it is still there. `body` is stolen, may be NULL; `error` NULL: it went
 * well. */
void aegis_commands_answer(struct aegis_keeper *keeper, uint64_t peer, int64_t id, json_t *body,
                           const char *error);

/* external.c */
void aegis_external(struct aegis_peer *peer, int64_t id, const json_t *arguments);

#endif
