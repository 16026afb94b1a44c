/* The worker process: the network side of the gate under the supervisor. */
#include "gate/proxy/worker.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/confine.h"
#include "gate/base/log.h"
#include "gate/ipc/process.h"
#include "gate/proxy/proxy.h"

/* It talks to the world and sees tokens, so this is what it gives up once its first configuration has been
 * read. The vault is out of its reach by that, and so is every other process. */
enum { GIVEN_UP = AEGIS_CONFINE_EXEC | AEGIS_CONFINE_FILES | AEGIS_CONFINE_DEBUG };

struct worker {
    struct aegis_process *process;
    struct aegis_proxy *proxy;
};

static void stopped(void *context)
{
    struct worker *worker = context;
    aegis_process_exit(worker->process, 0);
}

static bool configure(struct aegis_process *process, const json_t *config, struct aegis_error *error,
                      void *context)
{
    struct worker *worker = context;
    worker->process = process;
    if (!worker->proxy)
        worker->proxy = aegis_proxy_new(aegis_process_base(process), stopped, worker);
    return aegis_proxy_configure(worker->proxy, config, error);
}

static bool confine(struct aegis_process *process, struct aegis_error *error, void *context)
{
    (void)process, (void)context;
    return aegis_confine(GIVEN_UP, error);
}

static void peer(struct aegis_process *process, const char *kind, unsigned index, int fd, void *context)
{
    (void)process, (void)index;
    struct worker *worker = context;
    if (!strcmp(kind, "keeper")) {
        aegis_peers_connect(worker->proxy->peers, AEGIS_PEER_KEEPER, fd);
    } else if (!strcmp(kind, "judge")) {
        aegis_peers_connect(worker->proxy->peers, AEGIS_PEER_JUDGE, fd);
    } else {
        aegis_log(AEGIS_LOG_WARNING, "a worker has no business with a peer of kind %s", kind);
        close(fd);
    }
}

static void listening(struct aegis_process *process, const char *name, int fd, void *context)
{
    (void)process;
    struct worker *worker = context;
    aegis_proxy_listen(worker->proxy, name, fd);
}

static void stop(struct aegis_process *process, int64_t deadline_ms, void *context)
{
    (void)deadline_ms;
    struct worker *worker = context;
    if (worker->proxy)
        aegis_proxy_stop(worker->proxy);
    else
        aegis_process_exit(process, 0);
}

static void leave(struct aegis_process *process, void *context)
{
    (void)process;
    struct worker *worker = context;
    aegis_proxy_free(&worker->proxy);
}

int aegis_worker_run(void)
{
    struct worker worker = {0};
    struct aegis_process_room room = {
        .name = "worker",
        .configure = configure,
        .confine = confine,
        .peer = peer,
        .listen = listening,
        .stop = stop,
        .leave = leave,
        .context = &worker,
    };
    signal(SIGPIPE, SIG_IGN); /* a peer that closes is seen as an error of the write */
    return aegis_process_run(&room);
}
