/* The courier process: what `aegis-gate --process=courier` runs. */
#ifndef AEGIS_COURIER_COURIER_H
#define AEGIS_COURIER_COURIER_H

/* Runs until the supervisor stops it. Returns the exit status. */
int aegis_courier_run(void);

#endif
