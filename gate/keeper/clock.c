#include "gate/keeper/clock.h"

#include <stddef.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"

/* What adjtime and NTP may do to the speed of a clock, with room: a thousandth. */
enum { DRIFT_DIVISOR = 1000 };

void aegis_keeper_clock_start(struct aegis_keeper_clock *clock, int64_t step_ms, int64_t latest)
{
    if (clock->wall == NULL)
        clock->wall = aegis_clock_now;
    if (clock->boot == NULL)
        clock->boot = aegis_clock_boot;
    int64_t wall = clock->wall();
    clock->step_ms = step_ms;
    clock->boot_at = clock->boot();
    clock->offset = wall - clock->boot_at;
    clock->now = wall > latest ? wall : latest;
    clock->state = wall < latest - step_ms ? AEGIS_CLOCK_BEHIND : AEGIS_CLOCK_STEADY;
    if (clock->state == AEGIS_CLOCK_BEHIND)
        aegis_log(AEGIS_LOG_ERROR,
                  "the clock is %lld s behind the last entry of the ledger: nothing is signed until it has "
                  "caught up, "
                  "or \"aegis resume\"",
                  (long long)(latest - wall) / 1000);
}

static void follow_drift(struct aegis_keeper_clock *clock, int64_t boot, int64_t offset)
{
    int64_t most = (boot - clock->boot_at) / DRIFT_DIVISOR;
    int64_t drift = offset - clock->offset;
    if (most <= 0)
        return;
    clock->boot_at = boot;
    clock->offset += drift > most ? most : drift < -most ? -most : drift;
}

static void notice_step(struct aegis_keeper_clock *clock, int64_t apart)
{
    if (apart > clock->step_ms) {
        clock->state = AEGIS_CLOCK_AHEAD;
        aegis_log(AEGIS_LOG_ERROR,
                  "the clock jumped ahead by %lld s: nothing is signed until \"aegis resume\"",
                  (long long)apart / 1000);
    } else if (apart < -clock->step_ms) {
        clock->state = AEGIS_CLOCK_BEHIND;
        aegis_log(AEGIS_LOG_ERROR,
                  "the clock jumped back by %lld s: nothing is signed until it has caught up, or "
                  "\"aegis resume\"",
                  (long long)-apart / 1000);
    }
}

static void notice_end(struct aegis_keeper_clock *clock, int64_t wall, int64_t boot, int64_t apart)
{
    if (clock->state == AEGIS_CLOCK_AHEAD && apart > clock->step_ms)
        return;
    if (clock->state == AEGIS_CLOCK_BEHIND && wall < clock->now)
        return;
    clock->state = AEGIS_CLOCK_STEADY;
    clock->offset = wall - boot;
    clock->boot_at = boot;
    aegis_log(AEGIS_LOG_INFO, "the clock is where it should be again");
}

int64_t aegis_keeper_clock_read(struct aegis_keeper_clock *clock)
{
    int64_t wall = clock->wall(), boot = clock->boot();
    int64_t apart = wall - boot - clock->offset;
    if (clock->state == AEGIS_CLOCK_STEADY)
        notice_step(clock, apart);
    else
        notice_end(clock, wall, boot, apart);
    if (clock->state == AEGIS_CLOCK_STEADY)
        follow_drift(clock, boot, wall - boot);
    /* While the clock is ahead, time goes on as if it had not stepped, so that what is recorded meanwhile is
     * not from the future. */
    int64_t now = clock->state == AEGIS_CLOCK_AHEAD ? boot + clock->offset : wall;
    if (now > clock->now)
        clock->now = now;
    return clock->now;
}

void aegis_keeper_clock_resume(struct aegis_keeper_clock *clock)
{
    int64_t wall = clock->wall();
    clock->boot_at = clock->boot();
    clock->offset = wall - clock->boot_at;
    clock->now = wall;
    clock->state = AEGIS_CLOCK_STEADY;
}
