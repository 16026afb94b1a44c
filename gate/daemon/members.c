#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/daemon/notify.h"
#include "gate/daemon/sections.h"
#include "gate/daemon/state.h"

enum {
    JUDGE_START_MS = 60000, /* plugins are opened then */
    HANG_MS = 30000,        /* for everybody but the judge, whose plugins are not ours */
    QUICK_DEATH_MS = 10000, /* a process that lived longer had not failed at once */
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MOST_MS = 10000,
};

static const char *kind_name(const struct aegis_slot *slot)
{
    return aegis_kinds[slot->kind].name;
}

struct aegis_slot *aegis_members_slot(struct aegis_supervisor *supervisor, enum aegis_kind_name kind,
                                      unsigned index)
{
    for (size_t i = 0; i < supervisor->slot_count; i++)
        if (supervisor->slots[i].kind == kind && supervisor->slots[i].index == index)
            return &supervisor->slots[i];
    return NULL;
}

static bool is_ready(const struct aegis_slot *slot)
{
    return slot != NULL && slot->current != NULL && aegis_child_is_ready(slot->current->child) &&
           !aegis_child_stopping(slot->current->child);
}

/* One channel between two processes, new to both. */
static void introduce(const struct aegis_slot *a, const struct aegis_slot *b)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        aegis_panic("no socket pair between %s and %s", kind_name(a), kind_name(b));
    aegis_child_peer(a->current->child, kind_name(b), b->index, ends[0]);
    aegis_child_peer(b->current->child, kind_name(a), a->index, ends[1]);
    close(ends[0]);
    close(ends[1]);
}

/* Every edge of the graph that ends in this slot and whose other end is ready. */
static void introduce_to_all(struct aegis_slot *slot)
{
    struct aegis_supervisor *supervisor = slot->supervisor;
    struct aegis_member *member = slot->current;

    member->introduced = true;
    for (size_t e = 0; e < aegis_edge_count; e++) {
        for (size_t i = 0; i < supervisor->slot_count; i++) {
            struct aegis_slot *other = &supervisor->slots[i];
            bool joined = (aegis_edges[e].a == slot->kind && aegis_edges[e].b == other->kind) ||
                          (aegis_edges[e].b == slot->kind && aegis_edges[e].a == other->kind);
            if (joined && other != slot && is_ready(other) && other->current->introduced)
                introduce(slot, other);
        }
    }
}

static void pass_listener(const char *name, int fd, void *context)
{
    aegis_child_listen(context, name, fd);
}

static void pass_passphrases(struct aegis_supervisor *supervisor, struct aegis_child *keeper)
{
    const json_t *listeners = aegis_config_get(supervisor->config, "listeners");

    for (size_t i = 0; i < json_array_size(listeners); i++) {
        const json_t *listener = json_array_get(listeners, i);
        struct aegis_error error;
        char *name = aegis_format("passphrase:%s", aegis_json_text(listener, "name", ""));
        int fd = -1;

        if (json_object_get(listener, "owner") != NULL) {
            fd = aegis_passphrase_open(supervisor->passphrases, listener, &error);
            if (fd < 0)
                aegis_log(AEGIS_LOG_ERROR, "%s", error.text);
            else
                aegis_child_listen(keeper, name, fd);
        }
        if (fd >= 0)
            close(fd);
        free(name);
    }
}

/* A worker gets its sockets once it has somebody to ask; until then connections wait in their queues. */
static void serve_worker(struct aegis_supervisor *supervisor, struct aegis_member *member)
{
    bool fresh = member->served != 0;

    if (!is_ready(aegis_members_slot(supervisor, AEGIS_KIND_KEEPER, 0)) ||
        !is_ready(aegis_members_slot(supervisor, AEGIS_KIND_JUDGE, 0)))
        return;
    member->served = supervisor->generation;
    aegis_listeners_each(supervisor->listeners, member->slot->index, fresh, pass_listener, member->child);
}

static void serve_keeper(struct aegis_supervisor *supervisor, struct aegis_member *member)
{
    if (member->served == 0)
        aegis_child_listen(member->child, "control", supervisor->control);
    member->served = supervisor->generation;
    pass_passphrases(supervisor, member->child);
}

void aegis_members_serve(struct aegis_supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->slot_count; i++) {
        struct aegis_slot *slot = &supervisor->slots[i];
        struct aegis_member *member = slot->current;

        if (!is_ready(slot) || aegis_child_generation(member->child) != supervisor->generation ||
            member->served == supervisor->generation)
            continue;
        if (slot->kind == AEGIS_KIND_WORKER)
            serve_worker(supervisor, member);
        else if (slot->kind == AEGIS_KIND_KEEPER)
            serve_keeper(supervisor, member);
    }
}

void aegis_members_unserve(struct aegis_supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->slot_count; i++)
        if (supervisor->slots[i].kind == AEGIS_KIND_WORKER && supervisor->slots[i].current != NULL)
            supervisor->slots[i].current->served = 0;
}

static bool all_serve(const struct aegis_supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->slot_count; i++)
        if (!is_ready(&supervisor->slots[i]) ||
            (supervisor->slots[i].kind == AEGIS_KIND_WORKER && supervisor->slots[i].current->served == 0))
            return false;
    return true;
}

static void look_whether_ready(struct aegis_supervisor *supervisor)
{
    if (supervisor->phase != AEGIS_PHASE_STARTING || !all_serve(supervisor))
        return;
    supervisor->phase = AEGIS_PHASE_READY;
    aegis_log(AEGIS_LOG_INFO, "ready");
    aegis_notify("READY=1");
    if (supervisor->reload_wanted)
        aegis_reload_begin(supervisor);
}

/* A process has put a configuration into force, its first or a later one. */
static void member_ready(struct aegis_child *child, int64_t generation, void *context)
{
    struct aegis_member *member = context;
    struct aegis_slot *slot = member->slot;
    struct aegis_supervisor *supervisor = slot->supervisor;

    (void)child;
    (void)generation;
    if (member == slot->current && !member->introduced)
        introduce_to_all(slot);
    aegis_reload_ready(supervisor, member);
    aegis_members_serve(supervisor);
    look_whether_ready(supervisor);
    aegis_supervisor_publish(supervisor);
}

static void member_failed(struct aegis_child *child, int64_t generation, const char *problem, void *context)
{
    struct aegis_member *member = context;

    (void)child;
    aegis_log(AEGIS_LOG_ERROR, "%s %u does not take configuration %lld: %s", kind_name(member->slot),
              member->slot->index, (long long)generation, problem);
    aegis_reload_failed(member->slot->supervisor, member, problem);
}

static int64_t hang_ms(const struct aegis_slot *slot)
{
    return slot->kind == AEGIS_KIND_JUDGE ? aegis_config_integer(slot->supervisor->config, "judge.hang_ms")
                                          : HANG_MS;
}

static struct aegis_member *start_member(struct aegis_slot *slot, int64_t generation, json_t *config)
{
    struct aegis_supervisor *supervisor = slot->supervisor;
    struct aegis_member *member = aegis_alloc(sizeof(*member));
    const struct aegis_child_options options = {
        .kind = kind_name(slot),
        .index = slot->index,
        .log_level = aegis_config_text(supervisor->config, "log.level"),
        .log_format = aegis_config_text(supervisor->config, "log.format"),
        .start_ms = slot->kind == AEGIS_KIND_JUDGE ? JUDGE_START_MS : 0,
        .hang_ms = hang_ms(slot),
        .ready = member_ready,
        .failed = member_failed,
        .context = member,
    };
    struct aegis_error error;

    member->slot = slot;
    member->started = aegis_clock_boot();
    if (slot->kind == AEGIS_KIND_JUDGE && (member->page = aegis_page_new(&error)) == NULL)
        aegis_log(AEGIS_LOG_ERROR, "%s", error.text);
    member->child = aegis_child_start(supervisor->base, &options, &error);
    if (member->child == NULL) {
        aegis_log(AEGIS_LOG_ERROR, "%s", error.text);
        aegis_page_free(&member->page);
        free(member);
        json_decref(config);
        return NULL;
    }
    LIST_INSERT_HEAD(&supervisor->members, member, link);
    /* Before the configuration: a plugin may crash while it is loaded. */
    if (member->page != NULL)
        aegis_child_listen(member->child, "notepad", aegis_page_descriptor(member->page));
    aegis_child_configure(member->child, generation, config);
    return member;
}

static json_t *section(const struct aegis_slot *slot)
{
    const struct aegis_supervisor *supervisor = slot->supervisor;

    return aegis_section(slot->kind, supervisor->config, &supervisor->documents,
                         aegis_quarantine_list(supervisor->quarantine));
}

static void restart_later(struct aegis_slot *slot, int64_t ms)
{
    struct timeval in = aegis_clock_interval(ms);

    evtimer_add(slot->restart, &in);
}

static int64_t backoff(unsigned failures)
{
    int64_t ms = BACKOFF_FIRST_MS;

    if (failures == 0)
        return 0;
    while (--failures > 0 && ms < BACKOFF_MOST_MS)
        ms *= 2;
    return ms < BACKOFF_MOST_MS ? ms : BACKOFF_MOST_MS;
}

static void fill(struct aegis_slot *slot)
{
    slot->current = start_member(slot, slot->supervisor->generation, section(slot));
    if (slot->current == NULL)
        restart_later(slot, backoff(++slot->failures));
}

static void restart_due(evutil_socket_t fd, short what, void *context)
{
    struct aegis_slot *slot = context;

    (void)fd;
    (void)what;
    slot->restarts++;
    fill(slot);
}

/* A process that nobody asked to go is gone. */
static void slot_died(struct aegis_slot *slot, const struct aegis_member *member,
                      const struct aegis_child_end *end)
{
    struct aegis_supervisor *supervisor = slot->supervisor;
    bool quick = aegis_clock_boot() - member->started < QUICK_DEATH_MS;

    aegis_log(AEGIS_LOG_ERROR, "%s %u (pid %d) is gone: %s", kind_name(slot), slot->index,
              (int)aegis_child_pid(member->child), end->how);
    if (member->page != NULL && !end->stranger)
        aegis_quarantine_died(supervisor->quarantine, member->page, end->hung);
    if (supervisor->phase == AEGIS_PHASE_STARTING && !member->introduced) {
        aegis_log(AEGIS_LOG_ERROR, "the gate cannot start without it");
        aegis_stop_begin(supervisor, EXIT_FAILURE);
        return;
    }
    if (supervisor->phase == AEGIS_PHASE_STOPPING && aegis_kinds[slot->kind].stage <= supervisor->stage)
        return;
    slot->failures = quick ? slot->failures : 0;
    restart_later(slot, backoff(slot->failures));
    slot->failures++;
}

static void member_ended(struct aegis_member *member, const struct aegis_child_end *end)
{
    struct aegis_slot *slot = member->slot;
    struct aegis_supervisor *supervisor = slot->supervisor;
    bool was_current = slot->current == member, was_next = slot->next == member;

    if (was_current)
        slot->current = NULL;
    if (was_next)
        slot->next = NULL;
    if (was_current && !end->asked)
        slot_died(slot, member, end);
    if (was_next)
        aegis_reload_failed(supervisor, member, end->how);
    aegis_child_free(&member->child);
    aegis_page_free(&member->page);
    free(member);
    aegis_reload_look(supervisor);
    if (supervisor->phase == AEGIS_PHASE_STOPPING)
        aegis_stop_advance(supervisor);
    aegis_supervisor_publish(supervisor);
}

void aegis_members_reap(struct aegis_supervisor *supervisor)
{
    struct aegis_member *member = LIST_FIRST(&supervisor->members), *after;
    struct aegis_child_end end;

    for (; member != NULL; member = after) {
        after = LIST_NEXT(member, link);
        if (aegis_child_reap(member->child, &end)) {
            LIST_REMOVE(member, link);
            member_ended(member, &end);
        }
    }
}

void aegis_members_make(struct aegis_supervisor *supervisor)
{
    size_t count = 0;

    for (int kind = 0; kind < AEGIS_KINDS; kind++)
        count += aegis_section_processes((enum aegis_kind_name)kind, supervisor->config);
    supervisor->slots = aegis_alloc(count * sizeof(*supervisor->slots));
    LIST_INIT(&supervisor->members);
    for (int kind = 0; kind < AEGIS_KINDS; kind++) {
        unsigned processes = aegis_section_processes((enum aegis_kind_name)kind, supervisor->config);
        for (unsigned index = 0; index < processes; index++) {
            struct aegis_slot *slot = &supervisor->slots[supervisor->slot_count++];
            slot->supervisor = supervisor;
            slot->kind = (enum aegis_kind_name)kind;
            slot->index = index;
            slot->restart = evtimer_new(supervisor->base, restart_due, slot);
            AEGIS_ASSERT(slot->restart != NULL);
        }
    }
}

void aegis_members_free(struct aegis_supervisor *supervisor)
{
    AEGIS_ASSERT(LIST_EMPTY(&supervisor->members));
    for (size_t i = 0; i < supervisor->slot_count; i++)
        event_free(supervisor->slots[i].restart);
    free(supervisor->slots);
    supervisor->slots = NULL;
    supervisor->slot_count = 0;
}

void aegis_members_start(struct aegis_supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->slot_count; i++)
        fill(&supervisor->slots[i]);
}

bool aegis_members_start_next(struct aegis_slot *slot, int64_t generation, json_t *config)
{
    slot->next = start_member(slot, generation, config);
    return slot->next != NULL;
}

void aegis_members_promote(struct aegis_slot *slot)
{
    if (slot->current != NULL)
        aegis_child_stop(slot->current->child, hang_ms(slot));
    evtimer_del(slot->restart);
    slot->current = slot->next;
    slot->next = NULL;
    slot->failures = 0;
    aegis_child_hang_set(slot->current->child, hang_ms(slot));
    introduce_to_all(slot);
}

void aegis_members_drop_next(struct aegis_slot *slot)
{
    struct aegis_member *member = slot->next;

    slot->next = NULL;
    if (member != NULL)
        aegis_child_kill(member->child);
}

void aegis_members_configure(struct aegis_supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->slot_count; i++) {
        struct aegis_slot *slot = &supervisor->slots[i];
        if (slot->current != NULL && slot->kind != AEGIS_KIND_JUDGE)
            aegis_child_configure(slot->current->child, supervisor->generation, section(slot));
    }
}

bool aegis_members_settled(const struct aegis_supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->slot_count; i++) {
        const struct aegis_member *member = supervisor->slots[i].current;
        if (member != NULL && aegis_child_generation(member->child) != supervisor->generation)
            return false;
    }
    return true;
}
