/* The keeper process: the money keys and the ledger.
 *
 * It gives up, once it is configured: making sockets of any kind, starting programs, looking at other
 * processes. It keeps files: the ledger, and the vault whose keys come and go. */
#include "gate/keeper/keeper.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/confine.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/ipc/process.h"
#include "gate/keeper/peers.h"
#include "gate/keeper/question.h"

enum { GIVEN_UP = AEGIS_CONFINE_NETWORK | AEGIS_CONFINE_EXEC | AEGIS_CONFINE_DEBUG };

enum { PASSPHRASE_MAX = 4096 };

/* Timers */

static void every_second(evutil_socket_t fd, short what, void *context)
{
    struct aegis_keeper *keeper = context;
    (void)fd;
    (void)what;
    int64_t now = aegis_keeper_clock_read(&keeper->clock);
    aegis_identities_sweep(keeper->identities, now);
    aegis_payments_sweep(keeper->payments, now);
    if (keeper->grown != 0)
        aegis_peer_grew(keeper, keeper->grown);
}

static void every_tick(evutil_socket_t fd, short what, void *context)
{
    struct aegis_keeper *keeper = context;
    (void)fd;
    (void)what;
    aegis_keeper_clock_read(&keeper->clock);
    aegis_ticks_run(keeper);
}

static void repeat_every(struct aegis_keeper *keeper, struct event **event, event_callback_fn run, int64_t ms)
{
    struct timeval every = aegis_clock_interval(ms);
    if (*event == NULL)
        *event = event_new(keeper->base, -1, EV_PERSIST, run, keeper);
    AEGIS_ASSERT(*event != NULL && event_add(*event, &every) == 0);
}

/* The ledger */

static void ledger_grew(int64_t seq, void *context)
{
    aegis_peer_grew(context, seq);
}

static void ledger_reopened(void *context)
{
    struct aegis_keeper *keeper = context;
    struct aegis_error error;
    aegis_counters_reset(keeper->counters, keeper->clock.now);
    aegis_loaded_forget_records(keeper->loaded);
    aegis_identities_forget_records(keeper->identities);
    aegis_outcome_reread(keeper);
    if (!aegis_outcome_recover(keeper, "the ledger failed before the signature was handed out", &error))
        aegis_panic("the ledger was reopened and cannot be read: %s", error.text);
    aegis_chain_watch_all(keeper); /* a witness that came meanwhile was told of nothing */
}

static bool open_ledger(struct aegis_keeper *keeper, struct aegis_error *error)
{
    struct aegis_commit_hooks hooks = {ledger_grew, ledger_reopened, keeper};
    keeper->ledger = aegis_ledger_open(keeper->settings.ledger, error);
    if (keeper->ledger == NULL)
        return false;
    keeper->commit = aegis_commit_new(keeper->base, keeper->ledger, &hooks);
    aegis_keeper_clock_start(&keeper->clock, keeper->settings.clock_step_ms, aegis_ledger_at(keeper->ledger));
    return true;
}

/* Configuration */

static bool read_assets(const json_t *config, struct aegis_assets **out, struct aegis_error *error)
{
    *out = aegis_assets_new();
    if (aegis_assets_add(*out, json_object_get(config, "assets"), error))
        return true;
    aegis_assets_free(out);
    return false;
}

/* What is in force from now on. Questions that are under way keep what they began with. */
static void put_in_force(struct aegis_keeper *keeper, struct aegis_keeper_settings *settings,
                         struct aegis_assets *assets)
{
    bool rewatch = !json_equal(keeper->settings.watched, settings->watched);
    aegis_keeper_settings_clear(&keeper->settings);
    keeper->settings = *settings;
    aegis_assets_free(&keeper->assets);
    keeper->assets = assets;
    keeper->clock.step_ms = settings->clock_step_ms;
    aegis_identities_cache(keeper->identities, settings->key_cache_ms);
    aegis_identities_policies(keeper->identities, settings->policies);
    aegis_identities_owners(keeper->identities, settings->owners);
    repeat_every(keeper, &keeper->tick, every_tick, settings->tick_ms);
    aegis_peer_forget(keeper, NULL);
    if (rewatch)
        aegis_chain_watch_all(keeper);
}

bool aegis_keeper_configure(struct aegis_keeper *keeper, const json_t *config, struct aegis_error *error)
{
    struct aegis_keeper_settings settings;
    struct aegis_assets *assets;
    if (!aegis_keeper_settings_read(&settings, config, error))
        return false;
    if (strcmp(settings.ledger, keeper->settings.ledger) != 0 ||
        strcmp(settings.vault, keeper->settings.vault) != 0 ||
        settings.judge_timeout_ms != keeper->settings.judge_timeout_ms) {
        aegis_keeper_settings_clear(&settings);
        return aegis_error_set(error,
                               "the ledger, the vault and the judge's timeout change only with a restart");
    }
    if (!read_assets(config, &assets, error)) {
        aegis_keeper_settings_clear(&settings);
        return false;
    }
    put_in_force(keeper, &settings, assets);
    return true;
}

static void make_parts(struct aegis_keeper *keeper)
{
    keeper->counters = aegis_counters_new();
    keeper->vault = aegis_vault_new(keeper->settings.vault, keeper->settings.scrypt_max_memory);
    keeper->signer = aegis_signer_new();
    keeper->identities = aegis_identities_new(keeper->vault, keeper->signer, keeper->settings.key_cache_ms);
    keeper->payments = aegis_payments_new();
    keeper->loaded = aegis_loaded_new();
    keeper->questions =
        aegis_parking_new(keeper->base, keeper->settings.judge_timeout_ms, aegis_question_expired, keeper);
    keeper->wanted = aegis_table_new();
    keeper->asking = aegis_table_new();
    keeper->watching = aegis_table_new();
    keeper->ticking = aegis_table_new();
    LIST_INIT(&keeper->asks);
    LIST_INIT(&keeper->commands);
}

struct aegis_keeper *aegis_keeper_new(struct event_base *base, const json_t *config,
                                      const struct aegis_keeper_clock *clock, struct aegis_error *error)
{
    struct aegis_keeper *keeper = aegis_alloc(sizeof *keeper);
    keeper->base = base;
    if (clock != NULL)
        keeper->clock = *clock;
    if (!aegis_keeper_settings_read(&keeper->settings, config, error)) {
        free(keeper);
        return NULL;
    }
    make_parts(keeper);
    if (read_assets(config, &keeper->assets, error) && aegis_vault_check(keeper->vault, error) &&
        open_ledger(keeper, error) &&
        aegis_outcome_recover(keeper, "the gate stopped before an answer came", error)) {
        aegis_identities_policies(keeper->identities, keeper->settings.policies);
        aegis_identities_owners(keeper->identities, keeper->settings.owners);
        repeat_every(keeper, &keeper->second, every_second, 1000);
        repeat_every(keeper, &keeper->tick, every_tick, keeper->settings.tick_ms);
        return keeper;
    }
    aegis_keeper_free(&keeper);
    return NULL;
}

static bool free_wanted(const char *key, void *value, void *context)
{
    (void)key;
    (void)context;
    json_decref(value);
    return true;
}

void aegis_keeper_free(struct aegis_keeper **pointer)
{
    struct aegis_keeper *keeper = *pointer;
    *pointer = NULL;
    if (keeper == NULL)
        return;
    keeper->closing = true;
    keeper->stopped = NULL;
    /* Who waits for the judge is answered, then who waits for the ledger; nothing waits after that. */
    aegis_question_judge_gone(keeper);
    aegis_commit_free(&keeper->commit);
    aegis_peer_end_all(keeper);
    if (keeper->second != NULL)
        event_free(keeper->second);
    if (keeper->tick != NULL)
        event_free(keeper->tick);
    aegis_parking_free(&keeper->questions);
    aegis_payments_free(&keeper->payments);
    aegis_identities_free(&keeper->identities);
    aegis_counters_free(&keeper->counters);
    aegis_loaded_free(&keeper->loaded);
    aegis_table_sweep(keeper->wanted, free_wanted, NULL);
    aegis_table_free(&keeper->wanted);
    aegis_table_free(&keeper->asking);
    aegis_table_free(&keeper->watching);
    aegis_table_free(&keeper->ticking);
    aegis_vault_free(&keeper->vault);
    aegis_signer_free(&keeper->signer);
    aegis_assets_free(&keeper->assets);
    aegis_ledger_close(&keeper->ledger);
    aegis_keeper_settings_clear(&keeper->settings);
    free(keeper);
}

/* Stopping: what is in flight may still be reported on, nothing new begins. */

static void count_flying(struct aegis_held *held, void *context)
{
    *(size_t *)context += held->owner != 0 || held->changes != 0;
}

void aegis_keeper_rest(struct aegis_keeper *keeper)
{
    size_t flying = 0;
    if (!keeper->stopping || keeper->stopped == NULL)
        return;
    aegis_payments_each(keeper->payments, count_flying, &flying);
    if (flying == 0 && keeper->asks_count == 0 && aegis_commit_idle(keeper->commit)) {
        void (*stopped)(void *) = keeper->stopped;
        keeper->stopped = NULL;
        stopped(keeper->context);
    }
}

void aegis_keeper_stop(struct aegis_keeper *keeper, void (*stopped)(void *context), void *context)
{
    keeper->stopping = true;
    keeper->stopped = stopped;
    keeper->context = context;
    aegis_keeper_rest(keeper);
}

/* Descriptors by name: the control socket, and the passphrases of owners. */

static void read_passphrase(struct aegis_keeper *keeper, const char *listener, int fd)
{
    struct aegis_error error;
    struct aegis_secret *passphrase = aegis_secret_read(fd, PASSPHRASE_MAX, &error);
    if (passphrase == NULL || !aegis_identities_unlock(keeper->identities, listener, passphrase, &error))
        aegis_log(AEGIS_LOG_ERROR, "listener %s: the owner's wallet stays closed: %s", listener, error.text);
    aegis_secret_free(&passphrase);
    close(fd);
}

void aegis_keeper_listen(struct aegis_keeper *keeper, const char *name, int fd)
{
    if (strcmp(name, "control") == 0) {
        aegis_peer_control(keeper, fd);
    } else if (strncmp(name, "passphrase:", 11) == 0) {
        read_passphrase(keeper, name + 11, fd);
    } else {
        aegis_log(AEGIS_LOG_ERROR, "the keeper has no use for the descriptor \"%s\"", name);
        close(fd);
    }
}

/* The process */

struct room {
    struct aegis_process *process;
    struct aegis_keeper *keeper;
};

static bool room_configure(struct aegis_process *process, const json_t *config, struct aegis_error *error,
                           void *context)
{
    struct room *room = context;
    room->process = process;
    if (room->keeper != NULL)
        return aegis_keeper_configure(room->keeper, config, error);
    room->keeper = aegis_keeper_new(aegis_process_base(process), config, NULL, error);
    return room->keeper != NULL;
}

static bool room_confine(struct aegis_process *process, struct aegis_error *error, void *context)
{
    (void)process;
    (void)context;
    return aegis_confine(GIVEN_UP, error);
}

static void room_peer(struct aegis_process *process, const char *kind, unsigned index, int fd, void *context)
{
    (void)process;
    aegis_keeper_peer(((struct room *)context)->keeper, kind, index, fd);
}

static void room_listen(struct aegis_process *process, const char *name, int fd, void *context)
{
    (void)process;
    aegis_keeper_listen(((struct room *)context)->keeper, name, fd);
}

static void room_stopped(void *context)
{
    aegis_process_exit(((struct room *)context)->process, EXIT_SUCCESS);
}

static void room_stop(struct aegis_process *process, int64_t deadline_ms, void *context)
{
    struct room *room = context;
    (void)deadline_ms;
    if (room->keeper == NULL)
        aegis_process_exit(process, EXIT_SUCCESS);
    else
        aegis_keeper_stop(room->keeper, room_stopped, room);
}

/* The loop is over; its events must go before it does. */
static void room_leave(struct aegis_process *process, void *context)
{
    (void)process;
    aegis_keeper_free(&((struct room *)context)->keeper);
}

int aegis_keeper_run(void)
{
    struct room room = {0};
    struct aegis_process_room shared = {
        .name = "keeper",
        .configure = room_configure,
        .confine = room_confine,
        .peer = room_peer,
        .listen = room_listen,
        .stop = room_stop,
        .leave = room_leave,
        .context = &room,
    };
    if (sodium_init() < 0)
        aegis_panic("libsodium cannot start");
    return aegis_process_run(&shared);
}
