#include <stdlib.h>

#include "gate/base/log.h"
#include "gate/daemon/notify.h"
#include "gate/daemon/state.h"

enum { STAGE_MS = 5000 }; /* for whoever has no traffic to finish */

static bool stage_is_empty(const struct aegis_supervisor *supervisor)
{
    const struct aegis_member *member;

    LIST_FOREACH(member, &supervisor->members, link)
    {
        if (aegis_kinds[member->slot->kind].stage <= supervisor->stage)
            return false;
    }
    return true;
}

static void stop_stage(struct aegis_supervisor *supervisor)
{
    int64_t deadline =
        supervisor->stage == 0 ? aegis_config_integer(supervisor->config, "drain_ms") : STAGE_MS;
    struct aegis_member *member;

    for (size_t i = 0; i < supervisor->slot_count; i++)
        if (aegis_kinds[supervisor->slots[i].kind].stage <= supervisor->stage)
            evtimer_del(supervisor->slots[i].restart);
    LIST_FOREACH(member, &supervisor->members, link)
    {
        if (aegis_kinds[member->slot->kind].stage <= supervisor->stage)
            aegis_child_stop(member->child, deadline);
    }
}

void aegis_stop_advance(struct aegis_supervisor *supervisor)
{
    while (stage_is_empty(supervisor)) {
        if (++supervisor->stage == AEGIS_STOP_STAGES) {
            event_base_loopexit(supervisor->base, NULL);
            return;
        }
        stop_stage(supervisor);
    }
}

void aegis_stop_begin(struct aegis_supervisor *supervisor, int status)
{
    if (supervisor->phase == AEGIS_PHASE_STOPPING)
        return;
    aegis_log(AEGIS_LOG_INFO, "stopping");
    aegis_notify("STOPPING=1");
    supervisor->phase = AEGIS_PHASE_STOPPING;
    supervisor->status = status;
    aegis_reload_cancel(supervisor);
    aegis_listeners_close(&supervisor->listeners, NULL);
    supervisor->stage = 0;
    stop_stage(supervisor);
    aegis_stop_advance(supervisor);
    aegis_supervisor_publish(supervisor);
}

void aegis_stop_now(struct aegis_supervisor *supervisor)
{
    struct aegis_member *member;

    aegis_log(AEGIS_LOG_WARNING, "stopping at once: what still runs is cut off");
    supervisor->stage = AEGIS_STOP_STAGES - 1;
    LIST_FOREACH(member, &supervisor->members, link)
    {
        aegis_child_kill(member->child);
    }
    for (size_t i = 0; i < supervisor->slot_count; i++)
        evtimer_del(supervisor->slots[i].restart);
}
