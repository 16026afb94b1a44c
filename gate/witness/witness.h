/* The witness process: what `aegis-gate --process=witness` runs. */
#ifndef AEGIS_WITNESS_WITNESS_H
#define AEGIS_WITNESS_WITNESS_H

/* Runs until the supervisor stops it. Returns the exit status. */
int aegis_witness_run(void);

#endif
