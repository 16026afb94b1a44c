#include "gate/daemon/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

enum { STATE_LIMIT = 1 << 20 };

struct aegis_lock {
    int fd;
    char *home;
};

static char *pid_path(const char *home)
{
    return aegis_format("%s/aegis-gate.pid", home);
}

static char *state_path(const char *home)
{
    return aegis_format("%s/aegis-gate.state", home);
}

static pid_t read_pid(int fd)
{
    char text[32] = "";
    ssize_t size = pread(fd, text, sizeof(text) - 1, 0);

    return size > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* The lock belongs to the open file: it ends when the last descriptor of it is closed, and looking for it
 * takes nothing. */
static bool is_locked(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* The file is never removed: a second gate could hold the lock on one that has no name any more. */
static bool lock_file(int fd, const char *path, struct aegis_error *error)
{
    char text[32];
    int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fd < 0)
        return aegis_error_set(error, "%s: cannot be opened: %s", path, strerror(errno));
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0)
        return aegis_error_set(error, "%s: a gate runs here already, process %d", path, (int)read_pid(fd));
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length)
        return aegis_error_set(error, "%s: cannot be written: %s", path, strerror(errno));
    return true;
}

struct aegis_lock *aegis_lock_take(const char *home, struct aegis_error *error)
{
    struct aegis_lock *lock;
    char *path;
    int fd;
    bool locked;

    if (!aegis_folder_make(home, 0700, error))
        return NULL;
    path = pid_path(home);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    locked = lock_file(fd, path, error);
    free(path);
    if (!locked) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    lock = aegis_alloc(sizeof(*lock));
    lock->fd = fd;
    lock->home = aegis_strdup(home);
    return lock;
}

void aegis_lock_release(struct aegis_lock **lock)
{
    char *path;

    if (*lock == NULL)
        return;
    path = state_path((*lock)->home);
    unlink(path);
    free(path);
    if (ftruncate((*lock)->fd, 0) != 0)
        aegis_log(AEGIS_LOG_DEBUG, "the pid file could not be emptied: %s", strerror(errno));
    close((*lock)->fd);
    free((*lock)->home);
    free(*lock);
    *lock = NULL;
}

void aegis_lock_say(const struct aegis_lock *lock, const json_t *state)
{
    struct aegis_error error;
    char *path = state_path(lock->home), *text = aegis_json_compact(state);

    if (!aegis_file_write(path, text, strlen(text), 0600, &error))
        aegis_log(AEGIS_LOG_WARNING, "%s", error.text);
    free(text);
    free(path);
}

pid_t aegis_lock_holder(const char *home)
{
    char *path = pid_path(home);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    pid_t pid = 0;

    free(path);
    if (fd < 0)
        return 0;
    if (is_locked(fd))
        pid = read_pid(fd);
    close(fd);
    return pid;
}

json_t *aegis_lock_read(const char *home)
{
    struct aegis_error error;
    size_t size;
    char *path = state_path(home),
         *text = aegis_file_read(path, STATE_LIMIT, AEGIS_FILE_TRUSTED, &size, &error);
    json_t *state = text == NULL ? NULL : aegis_json_parse(text, size, &error);

    free(path);
    free(text);
    /* A gate that was killed leaves its last words behind. */
    if (state != NULL && aegis_json_integer(state, "pid", 0) != aegis_lock_holder(home)) {
        json_decref(state);
        state = NULL;
    }
    return state;
}
