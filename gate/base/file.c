#include "gate/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/base/text.h"

static bool failed(struct aegis_error *error, const char *path, const char *what)
{
    return aegis_error_set(error, "%s: cannot %s: %s", path, what, strerror(errno));
}

static bool check_trust(const char *path, const struct stat *info, enum aegis_file_trust trust,
                        struct aegis_error *error)
{
    if (!S_ISREG(info->st_mode)) {
        return aegis_error_set(error, "%s: not a regular file", path);
    }
    if (trust == AEGIS_FILE_ANY) {
        return true;
    }
    if (info->st_uid != geteuid() && info->st_uid != 0) {
        return aegis_error_set(error, "%s: owned by uid %u, expected uid %u or root", path,
                               (unsigned)info->st_uid, (unsigned)geteuid());
    }
    if ((info->st_mode & 022) != 0) {
        return aegis_error_set(error, "%s: mode %04o lets others write it; expected at most 0644", path,
                               (unsigned)info->st_mode & 07777);
    }
    if (trust == AEGIS_FILE_SECRET && (info->st_mode & 077) != 0) {
        return aegis_error_set(error, "%s: mode %04o lets others read it; expected 0600", path,
                               (unsigned)info->st_mode & 07777);
    }
    return true;
}

/* Reads until the end or until `room` bytes are there. */
static ssize_t read_full(int fd, char *out, size_t room)
{
    size_t used = 0;

    while (used < room) {
        ssize_t got = read(fd, out + used, room - used);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        used += (size_t)got;
    }
    return (ssize_t)used;
}

static char *read_descriptor(const char *path, int fd, size_t limit, enum aegis_file_trust trust,
                             size_t *size, struct aegis_error *error)
{
    struct stat info;
    char *bytes;
    ssize_t got;
    size_t room;

    if (fstat(fd, &info) < 0) {
        failed(error, path, "stat");
        return NULL;
    }
    if (!check_trust(path, &info, trust, error)) {
        return NULL;
    }
    if ((uintmax_t)info.st_size > limit) {
        aegis_error_set(error, "%s: longer than %zu bytes", path, limit);
        return NULL;
    }
    /* One byte more than the file had, to see that it is at its end and has not grown. */
    room = (size_t)info.st_size + 1;
    bytes = malloc(room + 1);
    if (bytes == NULL) {
        aegis_error_set(error, "%s: no memory for %zu bytes", path, room);
        return NULL;
    }
    got = read_full(fd, bytes, room);
    if (got < 0 || (size_t)got == room) {
        if (got < 0) {
            failed(error, path, "read");
        } else {
            aegis_error_set(error, "%s: changed while it was read", path);
        }
        sodium_memzero(bytes, room);
        free(bytes);
        return NULL;
    }
    bytes[got] = '\0';
    *size = (size_t)got;
    return bytes;
}

char *aegis_file_read(const char *path, size_t limit, enum aegis_file_trust trust, size_t *size,
                      struct aegis_error *error)
{
    /* Non-blocking, so that a FIFO in the place of a file does not stop the process. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char *bytes;

    if (fd < 0) {
        failed(error, path, "open");
        return NULL;
    }
    bytes = read_descriptor(path, fd, limit, trust, size, error);
    close(fd);
    return bytes;
}

static bool write_full(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return false;
        }
        bytes += written;
        size -= (size_t)written;
    }
    return true;
}

static bool sync_folder_of(const char *path, struct aegis_error *error)
{
    char *copy = aegis_strdup(path);
    const char *folder = dirname(copy);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (!ok) {
        failed(error, folder, "sync");
    }
    if (fd >= 0) {
        close(fd);
    }
    free(copy);
    return ok;
}

static bool fill(int fd, const char *path, const void *bytes, size_t size, mode_t mode,
                 struct aegis_error *error)
{
    if (fchmod(fd, mode) < 0) {
        return failed(error, path, "set the mode");
    }
    if (!write_full(fd, bytes, size)) {
        return failed(error, path, "write");
    }
    return fsync(fd) == 0 || failed(error, path, "sync");
}

bool aegis_file_write(const char *path, const void *bytes, size_t size, mode_t mode,
                      struct aegis_error *error)
{
    char *temporary = aegis_format("%s.%08x%08x.tmp", path, randombytes_random(), randombytes_random());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600 & mode);
    bool ok;

    if (fd < 0) {
        failed(error, temporary, "create");
        free(temporary);
        return false;
    }
    ok = fill(fd, temporary, bytes, size, mode, error);
    if (close(fd) < 0 && ok) {
        ok = failed(error, temporary, "close");
    }
    if (ok && rename(temporary, path) < 0) {
        ok = failed(error, path, "replace");
    }
    if (!ok) {
        unlink(temporary);
    }
    free(temporary);
    return ok && sync_folder_of(path, error);
}

static bool make_one(const char *path, mode_t mode, struct aegis_error *error)
{
    struct stat info;

    if (mkdir(path, mode) == 0) {
        return true;
    }
    if (errno == EEXIST && stat(path, &info) == 0) {
        return S_ISDIR(info.st_mode) || aegis_error_set(error, "%s: not a folder", path);
    }
    return failed(error, path, "make the folder");
}

bool aegis_folder_make(const char *path, mode_t mode, struct aegis_error *error)
{
    char *copy = aegis_strdup(path);
    bool ok = copy[0] != '\0' || aegis_error_set(error, "the name of a folder is empty");

    for (char *at = copy + 1; ok; at++) {
        char end = *at;

        if (end != '/' && end != '\0') {
            continue;
        }
        *at = '\0';
        ok = make_one(copy, mode, error);
        *at = end;
        if (end == '\0') {
            break;
        }
    }
    free(copy);
    return ok;
}
