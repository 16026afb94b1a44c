/* An SQLite VFS over the ordinary one that counts the calls which change files, and fails the one it is told
 * to: once, or from then on. Registered as the default, so that the code under test knows nothing of it. */
#ifndef AEGIS_TESTS_FAILING_VFS_H
#define AEGIS_TESTS_FAILING_VFS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct failing {
    long calls;   /* so far */
    long fail_at; /* the call that fails, from 1; 0: none */
    bool forever; /* and all after it */
    int code;     /* SQLITE_IOERR_WRITE, SQLITE_FULL, ... ; 0: the one that suits the call */
    bool after;   /* the call is done, and reported as failed */
};

extern struct failing failing;

struct failing_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static inline bool failing_now(void)
{
    failing.calls++;
    return failing.fail_at != 0 &&
           (failing.calls == failing.fail_at || (failing.forever && failing.calls > failing.fail_at));
}

static inline sqlite3_file *failing_real(sqlite3_file *file)
{
    return ((struct failing_file *)file)->real;
}

#define FAILING_FORWARD(name, parameters, arguments)                                                         \
    static inline int failing_##name parameters                                                              \
    {                                                                                                        \
        sqlite3_file *real = failing_real(file);                                                             \
        return real->pMethods->name arguments;                                                               \
    }
#define FAILING_CHANGE(name, parameters, arguments, suits)                                                   \
    static inline int failing_##name parameters                                                              \
    {                                                                                                        \
        sqlite3_file *real = failing_real(file);                                                             \
        bool fail = failing_now();                                                                           \
        if (!fail || failing.after) {                                                                        \
            int code = real->pMethods->name arguments;                                                       \
            if (!fail)                                                                                       \
                return code;                                                                                 \
        }                                                                                                    \
        return failing.code != 0 ? failing.code : suits;                                                     \
    }

FAILING_FORWARD(xRead, (sqlite3_file * file, void *to, int size, sqlite3_int64 at), (real, to, size, at))
FAILING_CHANGE(xWrite, (sqlite3_file * file, const void *from, int size, sqlite3_int64 at),
               (real, from, size, at), SQLITE_IOERR_WRITE)
FAILING_CHANGE(xTruncate, (sqlite3_file * file, sqlite3_int64 size), (real, size), SQLITE_IOERR_TRUNCATE)
FAILING_CHANGE(xSync, (sqlite3_file * file, int flags), (real, flags), SQLITE_IOERR_FSYNC)
FAILING_FORWARD(xFileSize, (sqlite3_file * file, sqlite3_int64 *size), (real, size))
FAILING_FORWARD(xLock, (sqlite3_file * file, int lock), (real, lock))
FAILING_FORWARD(xUnlock, (sqlite3_file * file, int lock), (real, lock))
FAILING_FORWARD(xCheckReservedLock, (sqlite3_file * file, int *out), (real, out))
FAILING_FORWARD(xFileControl, (sqlite3_file * file, int what, void *argument), (real, what, argument))
FAILING_FORWARD(xSectorSize, (sqlite3_file * file), (real))
FAILING_FORWARD(xDeviceCharacteristics, (sqlite3_file * file), (real))
FAILING_FORWARD(xShmMap, (sqlite3_file * file, int page, int size, int extend, void volatile **out),
                (real, page, size, extend, out))
FAILING_FORWARD(xShmLock, (sqlite3_file * file, int offset, int n, int flags), (real, offset, n, flags))
FAILING_FORWARD(xShmUnmap, (sqlite3_file * file, int remove), (real, remove))

static inline void failing_xShmBarrier(sqlite3_file *file)
{
    failing_real(file)->pMethods->xShmBarrier(failing_real(file));
}

static inline int failing_xClose(sqlite3_file *file)
{
    sqlite3_file *real = failing_real(file);
    return real->pMethods == NULL ? SQLITE_OK : real->pMethods->xClose(real);
}

static inline int failing_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
                               int *out)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 2,
        .xClose = failing_xClose,
        .xRead = failing_xRead,
        .xWrite = failing_xWrite,
        .xTruncate = failing_xTruncate,
        .xSync = failing_xSync,
        .xFileSize = failing_xFileSize,
        .xLock = failing_xLock,
        .xUnlock = failing_xUnlock,
        .xCheckReservedLock = failing_xCheckReservedLock,
        .xFileControl = failing_xFileControl,
        .xSectorSize = failing_xSectorSize,
        .xDeviceCharacteristics = failing_xDeviceCharacteristics,
        .xShmMap = failing_xShmMap,
        .xShmLock = failing_xShmLock,
        .xShmBarrier = failing_xShmBarrier,
        .xShmUnmap = failing_xShmUnmap,
    };
    sqlite3_vfs *real = vfs->pAppData;
    struct failing_file *own = (struct failing_file *)file;
    own->real = (sqlite3_file *)(own + 1);
    memset(own->real, 0, (size_t)real->szOsFile);
    int code = real->xOpen(real, name, own->real, flags, out);
    own->base.pMethods = code == SQLITE_OK ? &methods : NULL;
    return code;
}

static inline void failing_register(void)
{
    static sqlite3_vfs vfs;
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    vfs = *real;
    vfs.zName = "failing";
    vfs.pAppData = real;
    vfs.szOsFile = (int)sizeof(struct failing_file) + real->szOsFile;
    vfs.xOpen = failing_open;
    vfs.pNext = NULL;
    sqlite3_vfs_register(&vfs, 1);
}

#endif
