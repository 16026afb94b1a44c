#include "gate/daemon/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/daemon/check.h"
#include "gate/daemon/probe.h"
#include "gate/daemon/sections.h"
#include "gate/daemon/state.h"
#include "gate/vault/folder.h"

static const char *phase_name(const struct aegis_supervisor *supervisor)
{
    if (supervisor->reload != NULL)
        return "reloading";
    return supervisor->phase == AEGIS_PHASE_STARTING ? "starting"
           : supervisor->phase == AEGIS_PHASE_READY  ? "ready"
                                                     : "stopping";
}

static json_t *processes(const struct aegis_supervisor *supervisor)
{
    json_t *out = json_array();

    for (size_t i = 0; i < supervisor->slot_count; i++) {
        const struct aegis_slot *slot = &supervisor->slots[i];
        bool ready = slot->current != NULL && aegis_child_is_ready(slot->current->child);
        int pid = slot->current == NULL ? 0 : (int)aegis_child_pid(slot->current->child);

        json_array_append_new(out, json_pack("{s:s,s:i,s:i,s:b,s:I}", "kind", aegis_kinds[slot->kind].name,
                                             "index", (int)slot->index, "pid", pid, "ready", (int)ready,
                                             "restarts", (json_int_t)slot->restarts));
    }
    return out;
}

static void publish(evutil_socket_t fd, short what, void *context)
{
    const struct aegis_supervisor *supervisor = context;
    json_t *state = json_pack(
        "{s:i,s:s,s:s,s:I,s:s,s:s,s:o,s:O,s:{s:I,s:s}}", "pid", (int)getpid(), "version", PACKAGE_VERSION,
        "state", phase_name(supervisor), "generation", (json_int_t)supervisor->generation, "file",
        aegis_config_file(supervisor->config), "vault", aegis_config_vault(supervisor->config), "processes",
        processes(supervisor), "quarantined", aegis_quarantine_list(supervisor->quarantine), "reload",
        "number", (json_int_t)supervisor->reloads, "problem", supervisor->reload_problem);

    (void)fd;
    (void)what;
    AEGIS_ASSERT(state != NULL);
    aegis_lock_say(supervisor->lock, state);
    json_decref(state);
}

/* Many things change at once; what others read is written once. */
void aegis_supervisor_publish(struct aegis_supervisor *supervisor)
{
    const struct timeval soon = {.tv_usec = 10000};

    if (!evtimer_pending(supervisor->publish, NULL))
        evtimer_add(supervisor->publish, &soon);
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
    struct aegis_supervisor *supervisor = context;

    (void)what;
    if (number == SIGCHLD) {
        aegis_reload_reap(supervisor);
        aegis_members_reap(supervisor);
    } else if (number == SIGHUP) {
        aegis_reload_begin(supervisor);
    } else if (supervisor->phase == AEGIS_PHASE_STOPPING) {
        aegis_stop_now(supervisor);
    } else {
        aegis_stop_begin(supervisor, EXIT_SUCCESS);
    }
}

static void watch_signals(struct aegis_supervisor *supervisor)
{
    static const int numbers[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT};

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        supervisor->signals[i] = evsignal_new(supervisor->base, numbers[i], on_signal, supervisor);
        AEGIS_ASSERT(supervisor->signals[i] != NULL && evsignal_add(supervisor->signals[i], NULL) == 0);
    }
}

/* Every connection is a descriptor. What is set here, every process inherits. */
static void set_limits(void)
{
    const struct rlimit none = {0, 0};
    struct rlimit limit;

    umask(077);
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* owners' passphrases pass through here */
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* A token in the clear is anybody's on the way. */
static void warn_of_exposed_listeners(const struct aegis_config *config)
{
    const json_t *listeners = aegis_config_get(config, "listeners");

    for (size_t i = 0; i < json_array_size(listeners); i++)
        if (!aegis_check_is_local(json_array_get(listeners, i)))
            aegis_log(AEGIS_LOG_WARNING,
                      "listener %s: agents that come over a network send their tokens unencrypted",
                      aegis_json_text(json_array_get(listeners, i), "name", ""));
}

/* Without a vault that can be read nobody is known. */
static void warn_of_vault(const struct aegis_config *config)
{
    struct aegis_vault *vault = aegis_vault_new(aegis_config_vault(config), 0);
    struct aegis_vault_paths keys = {0};
    struct aegis_error error;

    if (access(vault->folder, F_OK) != 0)
        aegis_log(AEGIS_LOG_WARNING, "vault: %s: %s; no token is known until it is there", vault->folder,
                  strerror(errno));
    else if (!aegis_vault_list(vault, "keys", &keys, &error))
        aegis_log(AEGIS_LOG_WARNING, "vault: %s; no token is known while that is so", error.text);
    aegis_vault_paths_free(&keys);
    aegis_vault_free(&vault);
}

static void say_broken(const struct aegis_documents *documents)
{
    size_t i;
    json_t *row;

    json_array_foreach(documents->broken, i, row)
    {
        aegis_log(AEGIS_LOG_WARNING, "%s; whatever needs this policy is denied",
                  aegis_json_text(row, "problem", ""));
    }
}

static bool load_documents(struct aegis_supervisor *supervisor, struct aegis_error *error)
{
    json_t *path = aegis_section_plugin_path(supervisor->config);
    bool done = aegis_documents_load(aegis_config_home(supervisor->config),
                                     aegis_config_vault(supervisor->config), &supervisor->documents, error);

    if (done) {
        aegis_probe_documents(&supervisor->documents, path, false);
        say_broken(&supervisor->documents);
    }
    json_decref(path);
    return done;
}

static bool open_sockets(struct aegis_supervisor *supervisor, struct aegis_error *error)
{
    char *path = aegis_config_path(supervisor->config, "control.sock");

    supervisor->control = aegis_listeners_unix(path, error);
    free(path);
    supervisor->listeners =
        supervisor->control < 0
            ? NULL
            : aegis_listeners_open(aegis_config_get(supervisor->config, "listeners"),
                                   aegis_section_processes(AEGIS_KIND_WORKER, supervisor->config), NULL,
                                   error);
    return supervisor->listeners != NULL;
}

static bool prepare(struct aegis_supervisor *supervisor, struct aegis_error *error)
{
    supervisor->lock = aegis_lock_take(aegis_config_home(supervisor->config), error);
    return supervisor->lock != NULL && load_documents(supervisor, error) && open_sockets(supervisor, error);
}

static void run(struct aegis_supervisor *supervisor)
{
    supervisor->base = event_base_new();
    AEGIS_ASSERT(supervisor->base != NULL);
    supervisor->publish = evtimer_new(supervisor->base, publish, supervisor);
    AEGIS_ASSERT(supervisor->publish != NULL);
    watch_signals(supervisor);
    aegis_members_make(supervisor);
    aegis_members_start(supervisor);
    aegis_supervisor_publish(supervisor);
    event_base_dispatch(supervisor->base);
    aegis_members_free(supervisor);
    for (size_t i = 0; i < sizeof(supervisor->signals) / sizeof(supervisor->signals[0]); i++)
        event_free(supervisor->signals[i]);
    event_free(supervisor->publish);
    event_base_free(supervisor->base);
}

static void close_control(struct aegis_supervisor *supervisor)
{
    char *path = aegis_config_path(supervisor->config, "control.sock");

    if (supervisor->control >= 0) {
        close(supervisor->control);
        unlink(path);
    }
    free(path);
}

int aegis_supervisor_run(struct aegis_config *config)
{
    struct aegis_supervisor supervisor = {.config = config,
                                          .generation = 1,
                                          .control = -1,
                                          .status = EXIT_SUCCESS,
                                          .phase = AEGIS_PHASE_STARTING};
    struct aegis_error error;

    set_limits();
    warn_of_exposed_listeners(config);
    warn_of_vault(config);
    supervisor.passphrases = aegis_passphrases_new();
    supervisor.quarantine = aegis_quarantine_new();
    if (prepare(&supervisor, &error)) {
        run(&supervisor);
    } else {
        aegis_log(AEGIS_LOG_ERROR, "%s", error.text);
        supervisor.status = EXIT_FAILURE;
    }
    close_control(&supervisor);
    aegis_listeners_close(&supervisor.listeners, NULL);
    aegis_lock_release(&supervisor.lock);
    aegis_documents_clear(&supervisor.documents);
    aegis_quarantine_free(&supervisor.quarantine);
    aegis_passphrases_free(&supervisor.passphrases);
    aegis_config_free(&supervisor.config);
    aegis_log(AEGIS_LOG_INFO, "stopped");
    return supervisor.status;
}
