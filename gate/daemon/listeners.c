#include "gate/daemon/listeners.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/daemon/values.h"

enum { BACKLOG = 4096 };

struct listener {
    char *name;
    char *address;
    bool is_unix;
    bool fresh;   /* not taken over from the listeners before */
    int *sockets; /* one for each worker; on a Unix address all the same number */
};

struct aegis_listeners {
    struct listener *items;
    size_t count;
    unsigned workers;
};

static bool close_with(int fd)
{
    int saved = errno;

    close(fd);
    errno = saved;
    return false;
}

/* A socket of a name that nobody listens on any more is left over from a gate that was killed. */
static bool remove_stale(const struct sockaddr_un *address, socklen_t size)
{
    struct stat status;
    int probe;
    bool alive;

    if (lstat(address->sun_path, &status) != 0)
        return errno == ENOENT;
    if (!S_ISSOCK(status.st_mode)) {
        errno = EEXIST;
        return false;
    }
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    alive = probe >= 0 && (connect(probe, (const struct sockaddr *)address, size) == 0 || errno == EAGAIN);
    if (probe >= 0)
        close(probe);
    if (alive) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(address->sun_path) == 0;
}

static int open_unix(const struct sockaddr_un *address, socklen_t size, mode_t mode)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t old;
    bool done;

    if (fd < 0)
        return -1;
    /* The mask is right from the start, so that nobody slips in before a chmod. */
    old = umask(~mode & 0777);
    done = remove_stale(address, size) && bind(fd, (const struct sockaddr *)address, size) == 0 &&
           listen(fd, BACKLOG) == 0;
    umask(old);
    return done || close_with(fd) ? fd : -1;
}

int aegis_listeners_unix(const char *path, struct aegis_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (!aegis_text_copy(address.sun_path, sizeof(address.sun_path), path)) {
        aegis_error_set(error, "%s: a Unix socket's path has at most %zu bytes", path,
                        sizeof(address.sun_path) - 1);
        return -1;
    }
    fd = open_unix(&address, sizeof(address), 0600);
    if (fd < 0)
        aegis_error_set(error, "%s: cannot be listened on: %s", path, strerror(errno));
    return fd;
}

static int open_tcp(const struct sockaddr_storage *address, socklen_t size, bool shared)
{
    const int on = 1;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
        (address->ss_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
        bind(fd, (const struct sockaddr *)address, size) == 0 && (!shared || listen(fd, BACKLOG) == 0))
        return fd;
    close_with(fd);
    return -1;
}

/* Another program of the same user could share the port with us unnoticed; a socket that shares with nobody
 * finds out. */
static bool is_free(const struct sockaddr_storage *address, socklen_t size)
{
    int probe = open_tcp(address, size, false);

    if (probe >= 0)
        close(probe);
    return probe >= 0;
}

static bool open_sockets(struct listener *listener, unsigned workers, const struct sockaddr_storage *address,
                         socklen_t size, mode_t mode)
{
    if (listener->is_unix) {
        int fd = open_unix((const struct sockaddr_un *)(const void *)address, size, mode);
        for (unsigned i = 0; i < workers; i++)
            listener->sockets[i] = fd;
        return fd >= 0;
    }
    if (!is_free(address, size))
        return false;
    for (unsigned i = 0; i < workers; i++)
        if ((listener->sockets[i] = open_tcp(address, size, true)) < 0)
            return false;
    return true;
}

static const struct listener *find(const struct aegis_listeners *listeners, const struct listener *like)
{
    for (size_t i = 0; listeners != NULL && i < listeners->count; i++)
        if (strcmp(listeners->items[i].name, like->name) == 0 &&
            strcmp(listeners->items[i].address, like->address) == 0)
            return &listeners->items[i];
    return NULL;
}

static bool open_one(struct listener *listener, const json_t *configured, unsigned workers,
                     const struct aegis_listeners *before, struct aegis_error *error)
{
    struct sockaddr_storage address;
    socklen_t size;
    const struct listener *same;
    mode_t mode = json_object_get(json_object_get(configured, "owner"), "uids") == NULL ? 0600 : 0666;

    listener->name = aegis_strdup(aegis_json_text(configured, "name", ""));
    listener->address = aegis_strdup(aegis_json_text(configured, "address", ""));
    listener->sockets = aegis_alloc(workers * sizeof(*listener->sockets));
    for (unsigned i = 0; i < workers; i++)
        listener->sockets[i] = -1;
    AEGIS_ASSERT(aegis_value_address(listener->address, &address, &size));
    listener->is_unix = address.ss_family == AF_UNIX;
    same = find(before, listener);
    listener->fresh = same == NULL;
    if (same != NULL && listener->is_unix)
        chmod(listener->address + strlen("unix:"), mode);
    if (same != NULL)
        memcpy(listener->sockets, same->sockets, workers * sizeof(*listener->sockets));
    else if (!open_sockets(listener, workers, &address, size, mode))
        return aegis_error_set(error, "listener %s: %s cannot be listened on: %s", listener->name,
                               listener->address, strerror(errno));
    return true;
}

struct aegis_listeners *aegis_listeners_open(const json_t *configured, unsigned workers,
                                             const struct aegis_listeners *before, struct aegis_error *error)
{
    struct aegis_listeners *listeners = aegis_alloc(sizeof(*listeners));

    AEGIS_ASSERT(before == NULL || before->workers == workers);
    listeners->workers = workers;
    listeners->items = aegis_alloc((json_array_size(configured) + 1) * sizeof(*listeners->items));
    for (size_t i = 0; i < json_array_size(configured); i++) {
        listeners->count++;
        if (!open_one(&listeners->items[i], json_array_get(configured, i), workers, before, error)) {
            aegis_listeners_close(&listeners, before);
            return NULL;
        }
    }
    return listeners;
}

static void close_one(struct listener *listener, unsigned workers, bool keep)
{
    unsigned sockets = listener->is_unix ? 1 : workers;

    for (unsigned i = 0; !keep && i < sockets; i++)
        if (listener->sockets[i] >= 0)
            close(listener->sockets[i]);
    if (!keep && listener->is_unix && listener->sockets[0] >= 0)
        unlink(listener->address + strlen("unix:"));
    free(listener->name);
    free(listener->address);
    free(listener->sockets);
}

void aegis_listeners_close(struct aegis_listeners **listeners, const struct aegis_listeners *after)
{
    if (*listeners == NULL)
        return;
    for (size_t i = 0; i < (*listeners)->count; i++)
        close_one(&(*listeners)->items[i], (*listeners)->workers,
                  find(after, &(*listeners)->items[i]) != NULL);
    free((*listeners)->items);
    free(*listeners);
    *listeners = NULL;
}

void aegis_listeners_each(const struct aegis_listeners *listeners, unsigned worker, bool fresh,
                          void (*each)(const char *name, int fd, void *context), void *context)
{
    for (size_t i = 0; i < listeners->count; i++)
        if (!fresh || listeners->items[i].fresh)
            each(listeners->items[i].name, listeners->items[i].sockets[worker], context);
}
