/* The kinds of process that a gate is made of, and which of them talk to each other. */
#ifndef AEGIS_DAEMON_KIND_H
#define AEGIS_DAEMON_KIND_H

#include <stdbool.h>
#include <stddef.h>

enum aegis_kind_name {
    AEGIS_KIND_KEEPER,
    AEGIS_KIND_JUDGE,
    AEGIS_KIND_RUNNER,
    AEGIS_KIND_WITNESS,
    AEGIS_KIND_COURIER,
    AEGIS_KIND_WORKER,
    AEGIS_KINDS
};

enum { AEGIS_STOP_STAGES = 4 };

struct aegis_kind {
    const char *name;
    unsigned stage; /* when it stops: all of stage 0 first */
};

extern const struct aegis_kind aegis_kinds[AEGIS_KINDS];

struct aegis_edge {
    enum aegis_kind_name a, b;
};

/* The whole graph; besides it, every process has its channel to the supervisor. */
extern const struct aegis_edge aegis_edges[];
extern const size_t aegis_edge_count;

#endif
