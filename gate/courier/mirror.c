#include "gate/courier/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/courier/mirror_scan.h"

#define WRITE_AT_ONCE (256u << 10) /* bytes gathered for one write */

/* What the file was like when we last looked. */
struct look {
    bool known;
    struct stat status;
};

struct aegis_mirror {
    char *path;
    struct aegis_bus *bus;
    struct look settled; /* the file is in order; `end`, `empty` and `last` hold */
    struct look suspect; /* it was no JSON */
    off_t end;           /* where the next message goes: behind the last one, or behind the opening bracket */
    bool empty;          /* no message in it */
    int64_t last;        /* number of the last message of the bus that is in the file, with all before it */
};

struct aegis_mirror *aegis_mirror_new(const char *path, struct aegis_bus *bus)
{
    struct aegis_mirror *mirror = aegis_alloc(sizeof *mirror);
    mirror->path = aegis_strdup(path);
    mirror->bus = bus;
    return mirror;
}

void aegis_mirror_free(struct aegis_mirror **mirror)
{
    if (*mirror == NULL)
        return;
    free((*mirror)->path);
    free(*mirror);
    *mirror = NULL;
}

static bool failed(const struct aegis_mirror *mirror, struct aegis_error *error)
{
    return aegis_error_set(error, "%s: %s", mirror->path, strerror(errno));
}

static bool same_look(const struct look *look, const struct stat *status)
{
    const struct stat *old = &look->status;
    return look->known && old->st_dev == status->st_dev && old->st_ino == status->st_ino &&
           old->st_size == status->st_size && old->st_mtim.tv_sec == status->st_mtim.tv_sec &&
           old->st_mtim.tv_nsec == status->st_mtim.tv_nsec;
}

static bool write_at(int fd, const char *bytes, size_t size, off_t at)
{
    while (size > 0) {
        ssize_t written = pwrite(fd, bytes, size, at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        bytes += written;
        size -= (size_t)written;
        at += written;
    }
    return true;
}

/* Gathers messages and writes them over the closing bracket. */
struct appender {
    struct aegis_mirror *mirror;
    int fd;
    char *bytes;
    size_t size;
    size_t room;
    const json_t *present; /* ids that are in the file already; NULL: none */
    bool good;
};

static void gather(struct appender *appender, const char *bytes, size_t size)
{
    if (appender->size + size > appender->room) {
        appender->room = 2 * appender->room + size;
        appender->bytes = realloc(appender->bytes, appender->room);
        AEGIS_ASSERT(appender->bytes != NULL);
    }
    memcpy(appender->bytes + appender->size, bytes, size);
    appender->size += size;
}

/* One write: separator, messages, closing brackets. The file is complete before and after. */
static bool flush(struct appender *appender)
{
    struct aegis_mirror *mirror = appender->mirror;
    struct stat status;
    size_t size = appender->size;
    gather(appender, AEGIS_MIRROR_TAIL, strlen(AEGIS_MIRROR_TAIL));
    appender->size = 0;
    off_t end = mirror->end + (off_t)size;
    if (!write_at(appender->fd, appender->bytes, size + strlen(AEGIS_MIRROR_TAIL), mirror->end) ||
        fstat(appender->fd, &status) != 0)
        return false;
    /* Another layout may have had more than ours behind the last message. */
    if (status.st_size > end + (off_t)strlen(AEGIS_MIRROR_TAIL) &&
        ftruncate(appender->fd, end + (off_t)strlen(AEGIS_MIRROR_TAIL)) != 0)
        return false;
    mirror->end = end;
    return true;
}

static bool append_row(const struct aegis_bus_message *message, void *context)
{
    struct appender *appender = context;
    struct aegis_mirror *mirror = appender->mirror;
    if (json_object_get(appender->present, message->id) == NULL) {
        gather(appender, mirror->empty ? "\n" : ",\n", mirror->empty ? 1 : 2);
        gather(appender, message->body, strlen(message->body));
        mirror->empty = false;
    }
    if (appender->size >= WRITE_AT_ONCE)
        appender->good = flush(appender);
    mirror->last = message->number;
    return appender->good;
}

/* Writes every message behind mirror->last. After a failure nothing is known of the file any more. */
static bool append_to(struct aegis_mirror *mirror, int fd, const json_t *present, struct aegis_error *error)
{
    struct appender appender = {.mirror = mirror, .fd = fd, .present = present, .good = true};
    mirror->settled.known = false;
    bool good = aegis_bus_follow(mirror->bus, mirror->last, append_row, &appender, error);
    if (good && appender.good && appender.size > 0)
        appender.good = flush(&appender);
    free(appender.bytes);
    if (good && (!appender.good || fstat(fd, &mirror->settled.status) != 0))
        good = failed(mirror, error);
    mirror->settled.known = good;
    return good;
}

static bool append(struct aegis_mirror *mirror, struct aegis_error *error)
{
    int fd = open(mirror->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return failed(mirror, error);
    struct stat status;
    bool good = false;
    /* Others that lock are waited for; those that do not are seen by their traces. */
    if (flock(fd, LOCK_EX) != 0 || fstat(fd, &status) != 0)
        failed(mirror, error);
    else if (!same_look(&mirror->settled, &status))
        good = true; /* changed just now: looked at anew in the next round */
    else
        good = append_to(mirror, fd, NULL, error);
    close(fd);
    return good;
}

/* The whole file out of messages.db, beside the old one and then in its place. */
static bool rebuild(struct aegis_mirror *mirror, struct aegis_error *error)
{
    char *path = aegis_format("%s.tmp", mirror->path);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    mirror->end = (off_t)strlen(AEGIS_MIRROR_HEAD);
    mirror->empty = true;
    mirror->last = 0;
    bool good = fd >= 0 && write_at(fd, AEGIS_MIRROR_HEAD, strlen(AEGIS_MIRROR_HEAD), 0) &&
                write_at(fd, AEGIS_MIRROR_TAIL, strlen(AEGIS_MIRROR_TAIL), mirror->end);
    if (!good)
        failed(mirror, error);
    good = good && append_to(mirror, fd, NULL, error);
    if (good && rename(path, mirror->path) != 0)
        good = failed(mirror, error);
    if (fd >= 0)
        close(fd);
    if (!good)
        unlink(path);
    mirror->settled.known = good;
    free(path);
    return good;
}

static bool set_aside(struct aegis_mirror *mirror, struct aegis_error *error)
{
    char *path = aegis_format("%s.damaged", mirror->path);
    bool good = rename(mirror->path, path) == 0 || errno == ENOENT || failed(mirror, error);
    aegis_log(AEGIS_LOG_WARNING, "%s was damaged: it is %s now and was written anew", mirror->path, path);
    free(path);
    return good && rebuild(mirror, error);
}

/* Whether a bad file may be dealt with now, or may still be in somebody else's hands. */
static bool may_replace(struct aegis_mirror *mirror, const struct stat *status, bool impatient)
{
    bool second_look = same_look(&mirror->suspect, status);
    mirror->suspect = (struct look){.known = true, .status = *status};
    return impatient || second_look;
}

static bool judge(struct aegis_mirror *mirror, int fd, const struct stat *status, bool impatient, int64_t now,
                  struct aegis_error *error)
{
    struct aegis_mirror_scan scan = {.bus = mirror->bus, .fd = fd, .size = status->st_size, .now = now};
    enum aegis_mirror_state state = aegis_mirror_scan_file(&scan, error);
    bool good = state != AEGIS_MIRROR_FAILED;
    if (state == AEGIS_MIRROR_GOOD) {
        mirror->end = scan.end;
        mirror->empty = scan.empty;
        mirror->last = scan.last;
        good = append_to(mirror, fd, scan.present, error);
    } else if (good && may_replace(mirror, status, impatient)) {
        good = state == AEGIS_MIRROR_TORN ? rebuild(mirror, error) : set_aside(mirror, error);
    }
    json_decref(scan.present);
    return good;
}

static bool examine(struct aegis_mirror *mirror, bool impatient, int64_t now, struct aegis_error *error)
{
    struct stat status;
    int fd = open(mirror->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? rebuild(mirror, error) : failed(mirror, error);
    bool good = false;
    if (flock(fd, LOCK_EX) != 0 || fstat(fd, &status) != 0)
        failed(mirror, error);
    else if (!S_ISREG(status.st_mode))
        aegis_error_set(error, "%s: expected a regular file", mirror->path);
    else
        good = judge(mirror, fd, &status, impatient, now, error);
    close(fd);
    return good;
}

bool aegis_mirror_sync(struct aegis_mirror *mirror, bool impatient, int64_t now, struct aegis_error *error)
{
    struct stat status;
    if (stat(mirror->path, &status) == 0 && same_look(&mirror->settled, &status))
        return append(mirror, error);
    mirror->settled.known = false;
    return examine(mirror, impatient, now, error);
}
