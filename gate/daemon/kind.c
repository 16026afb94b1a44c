#include "gate/daemon/kind.h"

/* Workers first, so that what they carry is finished while everybody still answers; the courier last, so that
 * it has followed the ledger to its end. */
const struct aegis_kind aegis_kinds[AEGIS_KINDS] = {
    [AEGIS_KIND_KEEPER] = {"keeper", 2},   [AEGIS_KIND_JUDGE] = {"judge", 1},
    [AEGIS_KIND_RUNNER] = {"runner", 1},   [AEGIS_KIND_WITNESS] = {"witness", 1},
    [AEGIS_KIND_COURIER] = {"courier", 3}, [AEGIS_KIND_WORKER] = {"worker", 0},
};

const struct aegis_edge aegis_edges[] = {
    {AEGIS_KIND_KEEPER, AEGIS_KIND_JUDGE},   {AEGIS_KIND_KEEPER, AEGIS_KIND_WORKER},
    {AEGIS_KIND_KEEPER, AEGIS_KIND_WITNESS}, {AEGIS_KIND_KEEPER, AEGIS_KIND_COURIER},
    {AEGIS_KIND_JUDGE, AEGIS_KIND_WORKER},   {AEGIS_KIND_JUDGE, AEGIS_KIND_RUNNER},
};

const size_t aegis_edge_count = sizeof(aegis_edges) / sizeof(aegis_edges[0]);
