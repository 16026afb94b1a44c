/* The keeper's time. It never runs backwards, and it knows when the system's clock was moved.
 *
 * Windows and lifetimes hang on the time, so whoever can move the clock can empty a window. The wall clock is
 * compared with the clock that counts since boot: when the two drift apart by more than `step_ms`, the time
 * cannot be trusted and nothing is signed until an operator says `aegis resume`, or, after a step backwards,
 * until the time has caught up. */
#ifndef AEGIS_KEEPER_CLOCK_H
#define AEGIS_KEEPER_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum aegis_keeper_clock_state {
    AEGIS_CLOCK_STEADY,
    AEGIS_CLOCK_AHEAD,  /* stepped forward: ends when it is stepped back, or by `resume` */
    AEGIS_CLOCK_BEHIND, /* stepped back, or behind the ledger: ends when it has caught up, or by `resume` */
};

struct aegis_keeper_clock {
    int64_t (*wall)(void);
    int64_t (*boot)(void);
    int64_t step_ms;
    int64_t now;     /* the last time that was handed out */
    int64_t offset;  /* wall - boot, as trusted; follows what clock discipline may do and no faster */
    int64_t boot_at; /* when offset was last brought up to date */
    enum aegis_keeper_clock_state state;
};

/* `latest`: the time of the ledger's last entry; a clock behind it by more than the step has jumped. */
void aegis_keeper_clock_start(struct aegis_keeper_clock *clock, int64_t step_ms, int64_t latest);

/* Reads the clocks. Never less than before. */
int64_t aegis_keeper_clock_read(struct aegis_keeper_clock *clock);

/* An operator has looked: the clocks are right as they stand. */
void aegis_keeper_clock_resume(struct aegis_keeper_clock *clock);

#endif
