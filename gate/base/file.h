/* Files that decide anything: read whole with a limit, judged on the open descriptor, replaced atomically. */
#ifndef AEGIS_BASE_FILE_H
#define AEGIS_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "gate/base/error.h"

enum aegis_file_trust {
    AEGIS_FILE_ANY,     /* whoever may write it */
    AEGIS_FILE_TRUSTED, /* owned by us or root, writable by nobody else */
    AEGIS_FILE_SECRET,  /* and readable by nobody else */
};

/* Reads a regular file of at most `limit` bytes. Returns bytes that the caller frees (NUL beyond *size), or
 * NULL with a sentence that begins with the path. The mode is judged on the descriptor that is read. */
char *aegis_file_read(const char *path, size_t limit, enum aegis_file_trust trust, size_t *size,
                      struct aegis_error *error);

/* Writes a temporary file beside `path`, syncs it, renames it over `path`, syncs the folder. The mode is set
 * at creation, so that a secret is never readable in between. */
bool aegis_file_write(const char *path, const void *bytes, size_t size, mode_t mode,
                      struct aegis_error *error);

/* mkdir -p with `mode` for what it makes. */
bool aegis_folder_make(const char *path, mode_t mode, struct aegis_error *error);

#endif
