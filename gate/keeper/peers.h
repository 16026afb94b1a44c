/* The keeper's connections. Private to gate/keeper; the rest of what peers.c offers is in room.h. */
#ifndef AEGIS_KEEPER_PEERS_H
#define AEGIS_KEEPER_PEERS_H

#include "gate/keeper/room.h"

/* The listening control socket; taken over. */
void aegis_peer_control(struct aegis_keeper *keeper, int fd);
void aegis_peer_end_all(struct aegis_keeper *keeper);

/* A connection to the control socket by its number; NULL when it is gone. */
struct aegis_peer *aegis_peer_command(struct aegis_keeper *keeper, uint64_t number);
size_t aegis_peer_workers(const struct aegis_keeper *keeper);

#endif
