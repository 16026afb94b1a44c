/* The supervisor: starts the processes of a gate, connects them, restarts what dies, stops what hangs. It
 * holds no key, opens no connection and reads nothing that a stranger sent. */
#ifndef AEGIS_DAEMON_SUPERVISOR_H
#define AEGIS_DAEMON_SUPERVISOR_H

#include "gate/daemon/config.h"

/* Runs a gate with this configuration (taken over) until it is told to stop. Returns the exit status. */
int aegis_supervisor_run(struct aegis_config *config);

#endif
