/* A reload has three steps, and until the last one begins nothing of the running gate has changed:
 *
 *   1. `aegis-gate -t` looks at the file in a process of its own;
 *   2. new listening sockets are opened, and a new judge is started beside the old one and loads the
 * policies;
 *   3. the new judge takes over and everybody else is told. When one of them refuses after all, everybody is
 * told the old configuration again. */
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/daemon/notify.h"
#include "gate/daemon/sections.h"
#include "gate/daemon/state.h"
#include "gate/daemon/validate.h"

/* What a generation consists of. */
struct part {
    struct aegis_config *config;
    struct aegis_documents documents;
    struct aegis_listeners *listeners;
};

struct aegis_reload {
    struct aegis_validation *validation; /* step 1 */
    json_t *left_out;                    /* its result: documents that are broken and that nobody needs */
    struct part other;                   /* step 2: what is to come; step 3: what was */
    bool told;                           /* step 3 has begun */
    bool again;                          /* SIGHUP came in between */
};

static struct aegis_slot *judge_slot(struct aegis_supervisor *supervisor)
{
    return aegis_members_slot(supervisor, AEGIS_KIND_JUDGE, 0);
}

static void exchange(struct aegis_supervisor *supervisor, struct part *other)
{
    struct part mine = {supervisor->config, supervisor->documents, supervisor->listeners};

    supervisor->config = other->config;
    supervisor->documents = other->documents;
    supervisor->listeners = other->listeners;
    *other = mine;
}

static void clear_part(struct part *part, const struct aegis_listeners *kept)
{
    aegis_listeners_close(&part->listeners, kept);
    aegis_documents_clear(&part->documents);
    aegis_config_free(&part->config);
}

static void reload_free(const struct aegis_supervisor *supervisor, struct aegis_reload *reload)
{
    aegis_validation_free(&reload->validation);
    json_decref(reload->left_out);
    clear_part(&reload->other, supervisor->listeners);
    free(reload);
}

/* The end of every reload; `problem` NULL: the new configuration is in force. */
static void finish(struct aegis_supervisor *supervisor, const char *problem)
{
    struct aegis_reload *reload = supervisor->reload;
    bool again = reload->again;

    supervisor->reload = NULL;
    supervisor->reloads++;
    aegis_text_copy(supervisor->reload_problem, sizeof(supervisor->reload_problem),
                    problem == NULL ? "" : problem);
    if (problem == NULL)
        aegis_log(AEGIS_LOG_INFO, "reloaded: %s is in force", aegis_config_file(supervisor->config));
    else
        aegis_log(AEGIS_LOG_ERROR, "the new configuration is refused and the old one stays in force: %s",
                  problem);
    reload_free(supervisor, reload);
    aegis_notify("READY=1");
    aegis_supervisor_publish(supervisor);
    if (again)
        aegis_reload_begin(supervisor);
}

void aegis_reload_begin(struct aegis_supervisor *supervisor)
{
    struct aegis_error error;

    if (supervisor->phase != AEGIS_PHASE_READY) {
        supervisor->reload_wanted = true;
        return;
    }
    supervisor->reload_wanted = false;
    if (supervisor->reload != NULL) {
        supervisor->reload->again = true;
        return;
    }
    aegis_log(AEGIS_LOG_INFO, "reloading %s", aegis_config_file(supervisor->config));
    aegis_notify("RELOADING=1");
    supervisor->reload = aegis_alloc(sizeof(*supervisor->reload));
    supervisor->reload->left_out = json_array();
    supervisor->reload->validation =
        aegis_validation_start(supervisor->base, aegis_config_file(supervisor->config), &error);
    if (supervisor->reload->validation == NULL)
        finish(supervisor, error.text);
}

void aegis_reload_cancel(struct aegis_supervisor *supervisor)
{
    struct aegis_reload *reload = supervisor->reload;

    if (reload == NULL)
        return;
    supervisor->reload = NULL;
    aegis_members_drop_next(judge_slot(supervisor));
    reload_free(supervisor, reload);
}

static void say_kept(const char *name, void *context)
{
    (void)context;
    aegis_log(AEGIS_LOG_WARNING, "%s was changed: that takes effect when the gate is restarted", name);
}

/* Reads what was just found to be good. It may have been written to since; then it is refused here. */
static bool read_part(const struct aegis_supervisor *supervisor, struct part *part, struct aegis_error *error)
{
    part->config = aegis_config_load(aegis_config_file(supervisor->config), error);
    if (part->config == NULL)
        return false;
    aegis_config_keep(part->config, supervisor->config, say_kept, NULL);
    if (!aegis_documents_load(aegis_config_home(part->config), aegis_config_vault(part->config),
                              &part->documents, error))
        return false;
    aegis_documents_leave_out(&part->documents, supervisor->reload->left_out);
    if (json_array_size(part->documents.broken) > 0)
        return aegis_error_set(error, "%s",
                               aegis_json_text(json_array_get(part->documents.broken, 0), "problem", ""));
    part->listeners = aegis_listeners_open(aegis_config_get(part->config, "listeners"),
                                           aegis_section_processes(AEGIS_KIND_WORKER, part->config),
                                           supervisor->listeners, error);
    return part->listeners != NULL;
}

/* Step 2. */
static void say_left_out(const json_t *paths)
{
    size_t i;
    json_t *path;

    json_array_foreach((json_t *)(uintptr_t)paths, i, path)
    {
        aegis_log(AEGIS_LOG_WARNING, "%s: is broken and left out; nobody refers to it",
                  json_string_value(path));
    }
}

static void prepare(struct aegis_supervisor *supervisor)
{
    struct part *part = &supervisor->reload->other;
    struct aegis_error error;
    json_t *nobody = json_array();

    say_left_out(supervisor->reload->left_out);

    if (!read_part(supervisor, part, &error))
        finish(supervisor, error.text);
    else if (!aegis_members_start_next(
                 judge_slot(supervisor), supervisor->generation + 1,
                 aegis_section(AEGIS_KIND_JUDGE, part->config, &part->documents, nobody)))
        finish(supervisor, "no new judge can be started");
    json_decref(nobody);
}

void aegis_reload_reap(struct aegis_supervisor *supervisor)
{
    struct aegis_reload *reload = supervisor->reload;
    struct aegis_error error;
    bool good;

    if (reload == NULL || reload->validation == NULL ||
        !aegis_validation_reap(reload->validation, &good, reload->left_out, &error))
        return;
    aegis_validation_free(&reload->validation);
    if (good)
        prepare(supervisor);
    else
        finish(supervisor, error.text);
}

/* Step 3. */
static void tell_everybody(struct aegis_supervisor *supervisor)
{
    supervisor->reload->told = true;
    exchange(supervisor, &supervisor->reload->other);
    supervisor->generation++;
    aegis_quarantine_clear(supervisor->quarantine);
    aegis_members_configure(supervisor);
    aegis_members_promote(judge_slot(supervisor));
}

void aegis_reload_ready(struct aegis_supervisor *supervisor, struct aegis_member *member)
{
    if (supervisor->reload == NULL)
        return;
    if (member == member->slot->next)
        tell_everybody(supervisor);
    aegis_reload_look(supervisor);
}

void aegis_reload_look(struct aegis_supervisor *supervisor)
{
    if (supervisor->reload != NULL && supervisor->reload->told && aegis_members_settled(supervisor))
        finish(supervisor, NULL);
}

/* The judge that runs already has the policies of the configuration that failed; the next one gets the old
 * ones. */
static void go_back(struct aegis_supervisor *supervisor, const char *problem)
{
    struct aegis_slot *judge = judge_slot(supervisor);

    exchange(supervisor, &supervisor->reload->other);
    supervisor->generation++;
    finish(supervisor, problem);
    aegis_members_configure(supervisor);
    aegis_members_unserve(supervisor);
    if (judge->current != NULL)
        aegis_child_kill(judge->current->child);
}

void aegis_reload_failed(struct aegis_supervisor *supervisor, struct aegis_member *member,
                         const char *problem)
{
    struct aegis_error error;

    if (supervisor->reload == NULL)
        return;
    aegis_error_set(&error, "%s: %s", aegis_kinds[member->slot->kind].name, problem);
    if (supervisor->reload->told) {
        go_back(supervisor, error.text);
        return;
    }
    if (member->slot->kind != AEGIS_KIND_JUDGE || member == member->slot->current)
        return; /* somebody who is being restarted with the old configuration */
    aegis_members_drop_next(member->slot);
    finish(supervisor, error.text);
}
