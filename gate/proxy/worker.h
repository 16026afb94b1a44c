/* The worker process: what `aegis-gate --process=worker` runs. */
#ifndef AEGIS_PROXY_WORKER_H
#define AEGIS_PROXY_WORKER_H

/* Runs until the supervisor stops it. Returns the exit status. */
int aegis_worker_run(void);

#endif
