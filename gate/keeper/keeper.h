/* The keeper process: what `aegis-gate --process=keeper` runs. */
#ifndef AEGIS_KEEPER_KEEPER_H
#define AEGIS_KEEPER_KEEPER_H

/* Runs until the supervisor stops it. Returns the exit status. */
int aegis_keeper_run(void);

#endif
