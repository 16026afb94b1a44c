#include "gate/daemon/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

enum { LONGEST = 4096, DESCRIPTORS = 1024 }; /* a pipe takes as much in one write, whoever reads when */

struct kept {
    char *bytes; /* LONGEST of them, locked; NULL: not read yet */
    size_t size;
};

struct aegis_passphrases {
    struct kept kept[DESCRIPTORS];
};

struct aegis_passphrases *aegis_passphrases_new(void)
{
    return aegis_alloc(sizeof(struct aegis_passphrases));
}

void aegis_passphrases_free(struct aegis_passphrases **passphrases)
{
    if (*passphrases == NULL)
        return;
    for (size_t i = 0; i < DESCRIPTORS; i++)
        sodium_free((*passphrases)->kept[i].bytes);
    free(*passphrases);
    *passphrases = NULL;
}

static bool read_whole(int fd, struct kept *kept, struct aegis_error *error)
{
    ssize_t size = 0;

    while (kept->size < LONGEST && (size = read(fd, kept->bytes + kept->size, LONGEST - kept->size)) != 0) {
        if (size < 0 && errno != EINTR)
            return aegis_error_set(error, "cannot be read: %s", strerror(errno));
        kept->size += size > 0 ? (size_t)size : 0;
    }
    if (kept->size == LONGEST)
        return aegis_error_set(error, "expected less than %d bytes", LONGEST);
    return kept->size > 0 || aegis_error_set(error, "expected a passphrase, found nothing");
}

/* The descriptor is closed once it was read, so that no process that is started later could have it. */
static const struct kept *keep(struct aegis_passphrases *passphrases, int fd, struct aegis_error *error)
{
    struct kept *kept = &passphrases->kept[fd];

    if (kept->bytes != NULL)
        return kept;
    kept->bytes = sodium_malloc(LONGEST);
    if (kept->bytes != NULL && read_whole(fd, kept, error)) {
        close(fd);
        return kept;
    }
    if (kept->bytes == NULL)
        aegis_error_set(error, "no locked memory is left");
    sodium_free(kept->bytes);
    *kept = (struct kept){NULL, 0};
    aegis_error_prefix(error, "descriptor %d", fd);
    return NULL;
}

static int from_descriptor(struct aegis_passphrases *passphrases, int fd, struct aegis_error *error)
{
    const struct kept *kept = keep(passphrases, fd, error);
    int ends[2];
    bool written;

    if (kept == NULL)
        return -1;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        aegis_error_set(error, "no pipe: %s", strerror(errno));
        return -1;
    }
    written = write(ends[1], kept->bytes, kept->size) == (ssize_t)kept->size;
    close(ends[1]);
    if (written)
        return ends[0];
    close(ends[0]);
    aegis_error_set(error, "a pipe does not take a passphrase: %s", strerror(errno));
    return -1;
}

static int from_file(const char *path, struct aegis_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) != 0)
        aegis_error_set(error, "%s: cannot be opened: %s", path, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        aegis_error_set(error, "%s: expected a regular file", path);
    else if (status.st_uid != geteuid() && status.st_uid != 0)
        aegis_error_set(error, "%s: expected a file of this user or of root", path);
    else if ((status.st_mode & 077) != 0)
        aegis_error_set(error, "%s: expected a file that nobody else can read (mode 600), found mode %03o",
                        path, status.st_mode & 0777);
    else
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int from_credential(const char *name, struct aegis_error *error)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    char *path;
    int fd;

    if (folder == NULL) {
        aegis_error_set(error, "credential %s: CREDENTIALS_DIRECTORY is not set, systemd passed none", name);
        return -1;
    }
    path = aegis_format("%s/%s", folder, name);
    fd = open(path, O_RDONLY | O_CLOEXEC); /* the folder is private, and its files belong to systemd */
    if (fd < 0)
        aegis_error_set(error, "%s: cannot be opened: %s", path, strerror(errno));
    free(path);
    return fd;
}

int aegis_passphrase_open(struct aegis_passphrases *passphrases, const json_t *listener,
                          struct aegis_error *error)
{
    const json_t *owner = json_object_get(listener, "owner");
    const char *file = aegis_json_text(owner, "passphrase_file", NULL);
    const char *credential = aegis_json_text(owner, "passphrase_credential", NULL);
    int fd =
        file != NULL ? from_file(file, error)
        : credential != NULL
            ? from_credential(credential, error)
            : from_descriptor(passphrases, (int)aegis_json_integer(owner, "passphrase_descriptor", 0), error);

    if (fd < 0)
        aegis_error_prefix(error, "listener %s: the owner's passphrase",
                           aegis_json_text(listener, "name", ""));
    return fd;
}
