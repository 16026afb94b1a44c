/* The courier process. It gives up: new processes, the network (its messages go to a file and a database as
 * yet), and looking into other processes. It reads the ledger and writes messages.db, messages.json and
 * identity keys. */
#include "gate/courier/courier.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/confine.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/courier/bus.h"
#include "gate/courier/follower.h"
#include "gate/courier/identity.h"
#include "gate/courier/mirror.h"
#include "gate/ipc/process.h"

static const unsigned confinement = AEGIS_CONFINE_EXEC | AEGIS_CONFINE_NETWORK | AEGIS_CONFINE_DEBUG;

enum {
    PACE_MS = 50,      /* news of the ledger are gathered for so long */
    LOOK_MS = 1000,    /* without news it is looked at this often */
    GREW_LIMIT = 4096, /* longest frame from the keeper */
    BACKLOG_LIMIT = 4096,
};

static const struct aegis_json_field config_fields[] = {
    {"ledger", AEGIS_JSON_STRING, true, 4096},  {"messages", AEGIS_JSON_STRING, true, 4096},
    {"mirror", AEGIS_JSON_STRING, true, 4096},  {"identities", AEGIS_JSON_STRING, true, 4096},
    {"agent_id", AEGIS_JSON_STRING, true, 100}, {"operator", AEGIS_JSON_STRING, true, 256},
    {NULL, AEGIS_JSON_ANY, false, 0},
};

/* What a configuration opens. */
struct post {
    struct aegis_courier_identity *identity;
    struct aegis_bus *bus;
    struct aegis_follower *follower;
    struct aegis_mirror *mirror;
};

struct courier {
    struct post post;
    struct aegis_channel *keeper;
    struct event *timer;
    bool hurried;   /* the timer stands at PACE_MS or less */
    bool impatient; /* the mirror was not looked at yet: what was cut short last time is mended at once */
    bool failed;    /* the last time */
    bool told;      /* and that is in the log */
};

static void post_close(struct post *post)
{
    aegis_follower_free(&post->follower);
    aegis_mirror_free(&post->mirror);
    aegis_bus_close(&post->bus);
    aegis_courier_identity_free(&post->identity);
}

static bool post_open(struct post *post, const json_t *config, struct aegis_error *error)
{
    const struct aegis_follower_options options = {.ledger = aegis_json_text(config, "ledger", ""),
                                                   .operator_id = aegis_json_text(config, "operator", "")};
    memset(post, 0, sizeof *post);
    post->identity = aegis_courier_identity_open(aegis_json_text(config, "identities", ""),
                                                 aegis_json_text(config, "agent_id", ""), error);
    if (post->identity != NULL)
        post->bus = aegis_bus_open(aegis_json_text(config, "messages", ""), error);
    if (post->bus == NULL) {
        post_close(post);
        return false;
    }
    post->follower = aegis_follower_new(&options, post->bus, post->identity);
    post->mirror = aegis_mirror_new(aegis_json_text(config, "mirror", ""), post->bus);
    return true;
}

static void schedule(struct courier *courier, int ms)
{
    const struct timeval delay = aegis_clock_interval(ms);
    courier->hurried = ms <= PACE_MS;
    evtimer_add(courier->timer, &delay);
}

/* Says what is wrong once, not every second, and not the first time: in a new home we may be here before the
 * keeper has made the ledger. */
static void complain(struct courier *courier, const struct aegis_error *error)
{
    if (courier->failed && !courier->told) {
        aegis_log(AEGIS_LOG_ERROR, "messages wait: %s", error->text);
        courier->told = true;
    }
    courier->failed = true;
}

/* Entries into messages.db, then messages into messages.json. Returns whether there is more to do at once. */
static bool work(struct courier *courier)
{
    struct aegis_error error;
    bool more = false;
    bool good = aegis_follower_step(courier->post.follower, &more, &error);
    if (good && !more)
        good = aegis_mirror_sync(courier->post.mirror, courier->impatient, aegis_clock_now(), &error);
    if (!good) {
        complain(courier, &error);
        return false;
    }
    if (courier->told)
        aegis_log(AEGIS_LOG_INFO, "messages are delivered again");
    courier->told = courier->failed = false;
    courier->impatient = courier->impatient && more;
    return more;
}

static void timer_fired(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct courier *courier = context;
    schedule(courier, work(courier) ? 0 : LOOK_MS);
}

static bool configure(struct aegis_process *process, const json_t *config, struct aegis_error *error,
                      void *context)
{
    struct courier *courier = context;
    struct post post;
    if (!aegis_json_check(config, config_fields, error) || !post_open(&post, config, error))
        return false;
    if (courier->timer == NULL)
        courier->timer = evtimer_new(aegis_process_base(process), timer_fired, courier);
    post_close(&courier->post);
    courier->post = post;
    courier->impatient = true;
    schedule(courier, 0);
    return true;
}

static bool confine(struct aegis_process *process, struct aegis_error *error, void *context)
{
    (void)process;
    (void)context;
    return aegis_confine(confinement, error);
}

static void grew(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    (void)channel;
    (void)message;
    struct courier *courier = context;
    if (fd >= 0)
        close(fd);
    if (!courier->hurried)
        schedule(courier, PACE_MS);
}

static void keeper_closed(struct aegis_channel *channel, const char *reason, void *context)
{
    (void)channel;
    struct courier *courier = context;
    aegis_log(AEGIS_LOG_DEBUG, "the keeper is gone: %s", reason);
    aegis_channel_free(&courier->keeper);
}

static void peer(struct aegis_process *process, const char *kind, unsigned index, int fd, void *context)
{
    static const struct aegis_channel_rule rules[] = {{&aegis_message_grew, 0, grew}, {NULL, 0, NULL}};
    (void)index;
    struct courier *courier = context;
    if (strcmp(kind, "keeper") != 0) {
        aegis_log(AEGIS_LOG_ERROR, "a channel to a %s was not expected", kind);
        close(fd);
        return;
    }
    const struct aegis_channel_options options = {.peer = "keeper",
                                                  .rules = rules,
                                                  .receive_limit = GREW_LIMIT,
                                                  .backlog_limit = BACKLOG_LIMIT,
                                                  .closed = keeper_closed,
                                                  .context = courier};
    aegis_channel_free(&courier->keeper);
    courier->keeper = aegis_channel_new(aegis_process_base(process), fd, &options);
}

/* What the keeper wrote last is told before we go. */
static void stop(struct aegis_process *process, int64_t deadline_ms, void *context)
{
    struct courier *courier = context;
    int64_t deadline = aegis_clock_boot() + deadline_ms;
    while (courier->post.bus != NULL && work(courier) && aegis_clock_boot() < deadline)
        continue;
    aegis_process_exit(process, EXIT_SUCCESS);
}

static void leave(struct aegis_process *process, void *context)
{
    (void)process;
    struct courier *courier = context;
    aegis_channel_free(&courier->keeper);
    if (courier->timer != NULL)
        event_free(courier->timer);
    post_close(&courier->post);
}

int aegis_courier_run(void)
{
    struct courier courier = {0};
    const struct aegis_process_room room = {.name = "courier",
                                            .configure = configure,
                                            .confine = confine,
                                            .peer = peer,
                                            .stop = stop,
                                            .leave = leave,
                                            .context = &courier};
    return aegis_process_run(&room);
}
