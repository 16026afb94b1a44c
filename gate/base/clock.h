/* Time: milliseconds since 1970 (UTC) and since boot. Only event loops read clocks; decisions get the time as
 * an argument. */
#ifndef AEGIS_BASE_CLOCK_H
#define AEGIS_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/time.h>

#define AEGIS_TIME_TEXT 32

int64_t aegis_clock_now(void);  /* wall clock */
int64_t aegis_clock_boot(void); /* CLOCK_BOOTTIME: steps never, counts suspend */

/* A while of `ms` (at least 0) as event loops take it. */
struct timeval aegis_clock_interval(int64_t ms);

/* 2026-11-20T07:36:01.472Z. Returns `out`. */
char *aegis_time_format(int64_t ms, char out[AEGIS_TIME_TEXT]);

/* A full RFC 3339 time with zone, fractions of any length (cut to ms). */
bool aegis_time_parse(const char *text, int64_t *ms);

enum aegis_window {
    AEGIS_WINDOW_HOUR,
    AEGIS_WINDOW_DAY,
    AEGIS_WINDOW_WEEK,
    AEGIS_WINDOW_MONTH,
    AEGIS_WINDOW_TOTAL
};

/* The calendar window (UTC; weeks begin on Monday) that holds `now`: its first ms, and the first ms of the
 * next one (INT64_MAX for total). */
void aegis_window_bounds(enum aegis_window window, int64_t now, int64_t *start, int64_t *end);

#endif
