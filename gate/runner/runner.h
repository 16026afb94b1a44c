/* The runner process: what `aegis-gate --process=runner` runs. */
#ifndef AEGIS_RUNNER_RUNNER_H
#define AEGIS_RUNNER_RUNNER_H

/* Runs until the supervisor stops it. Returns the exit status. */
int aegis_runner_run(void);

#endif
