/* The judge process: what `aegis-gate --process=judge` runs. */
#ifndef AEGIS_JUDGE_JUDGE_H
#define AEGIS_JUDGE_JUDGE_H

/* Runs until the supervisor stops it. Returns the exit status. */
int aegis_judge_run(void);

#endif
