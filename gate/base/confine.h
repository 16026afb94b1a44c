/* What a process gives up for the rest of its life. Each process states its list at the top of its file. */
#ifndef AEGIS_BASE_CONFINE_H
#define AEGIS_BASE_CONFINE_H

#include <stdbool.h>

#include "gate/base/error.h"

enum aegis_confine {
    AEGIS_CONFINE_NETWORK = 1 << 0, /* no new sockets; sockets that are there, Unix sockets' accept, go on */
    AEGIS_CONFINE_EXEC = 1 << 1,    /* no execve, no fork, no new processes */
    AEGIS_CONFINE_FILES = 1 << 2,   /* no opening, making, renaming or removing of files */
    AEGIS_CONFINE_DEBUG = 1 << 3,   /* no ptrace, no reading of other processes' memory */
};

/* Sets no-new-privileges, not dumpable, no core, drops all capabilities, and installs a seccomp filter for
 * the given bits: a forbidden call fails with EPERM. Where the platform has no seccomp, or a sanitizer needs
 * the calls, the rest is done and a warning logged once. */
bool aegis_confine(unsigned what, struct aegis_error *error);

#endif
