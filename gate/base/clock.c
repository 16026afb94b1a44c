#include "gate/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MS_SECOND ((int64_t)1000)
#define MS_HOUR   (3600 * MS_SECOND)
#define MS_DAY    (24 * MS_HOUR)

static int64_t read_clock(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * MS_SECOND + now.tv_nsec / 1000000;
}

int64_t aegis_clock_now(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t aegis_clock_boot(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

struct timeval aegis_clock_interval(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / MS_SECOND, .tv_usec = ms % MS_SECOND * 1000};
}

/* Towards minus infinity, so that times before 1970 fall into the right window. */
static int64_t floor_to(int64_t value, int64_t step)
{
    int64_t rest = value % step;

    return value - (rest < 0 ? rest + step : rest);
}

char *aegis_time_format(int64_t ms, char out[AEGIS_TIME_TEXT])
{
    time_t seconds = (time_t)(ms / MS_SECOND);
    int fraction = (int)(ms % MS_SECOND);
    struct tm tm;

    if (fraction < 0) {
        fraction += MS_SECOND;
        seconds--;
    }
    gmtime_r(&seconds, &tm);
    snprintf(out, AEGIS_TIME_TEXT, "%04lld-%02u-%02uT%02u:%02u:%02u.%03uZ", (long long)tm.tm_year + 1900,
             (unsigned)tm.tm_mon % 12 + 1, (unsigned)tm.tm_mday % 32, (unsigned)tm.tm_hour % 24,
             (unsigned)tm.tm_min % 60, (unsigned)tm.tm_sec % 61, (unsigned)fraction % 1000);
    return out;
}

/* Exactly `count` digits; advances *text. */
static bool take_digits(const char **text, unsigned count, int *out)
{
    int value = 0;

    for (unsigned i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9') {
            return false;
        }
        value = value * 10 + (**text - '0');
    }
    *out = value;
    return true;
}

static bool take_letter(const char **text, const char *letters)
{
    return **text != '\0' && strchr(letters, *(*text)++) != NULL;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

static bool take_date(const char **text, struct tm *tm)
{
    int year, month, day;

    if (!take_digits(text, 4, &year) || !take_letter(text, "-") || !take_digits(text, 2, &month) ||
        !take_letter(text, "-") || !take_digits(text, 2, &day)) {
        return false;
    }
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) {
        return false;
    }
    tm->tm_year = year - 1900;
    tm->tm_mon = month - 1;
    tm->tm_mday = day;
    return true;
}

static bool take_time(const char **text, struct tm *tm)
{
    return take_digits(text, 2, &tm->tm_hour) && take_letter(text, ":") &&
           take_digits(text, 2, &tm->tm_min) && take_letter(text, ":") && take_digits(text, 2, &tm->tm_sec) &&
           tm->tm_hour < 24 && tm->tm_min < 60 &&
           tm->tm_sec <= 60; /* 60: a leap second, read as the second after it */
}

static bool take_fraction(const char **text, int *ms)
{
    int unit = 100;

    *ms = 0;
    if (**text != '.') {
        return true;
    }
    (*text)++;
    if (**text < '0' || **text > '9') {
        return false;
    }
    for (; **text >= '0' && **text <= '9'; (*text)++, unit /= 10) {
        *ms += (**text - '0') * unit;
    }
    return true;
}

static bool take_zone(const char **text, int *minutes)
{
    int hour, minute;
    char sign = **text;

    *minutes = 0;
    if (sign == 'Z' || sign == 'z') {
        (*text)++;
        return true;
    }
    if (!take_letter(text, "+-") || !take_digits(text, 2, &hour) || !take_letter(text, ":") ||
        !take_digits(text, 2, &minute) || hour > 23 || minute > 59) {
        return false;
    }
    *minutes = (hour * 60 + minute) * (sign == '-' ? -1 : 1);
    return true;
}

bool aegis_time_parse(const char *text, int64_t *ms)
{
    struct tm tm = {0};
    int fraction, zone;

    if (!take_date(&text, &tm) || !take_letter(&text, "Tt ") || !take_time(&text, &tm) ||
        !take_fraction(&text, &fraction) || !take_zone(&text, &zone) || *text != '\0') {
        return false;
    }
    *ms = ((int64_t)timegm(&tm) - (int64_t)zone * 60) * MS_SECOND + fraction;
    return true;
}

static int64_t month_start(int year, int month)
{
    struct tm tm = {.tm_year = year, .tm_mon = month, .tm_mday = 1};

    return (int64_t)timegm(&tm) * MS_SECOND;
}

void aegis_window_bounds(enum aegis_window window, int64_t now, int64_t *start, int64_t *end)
{
    const int64_t week = 7 * MS_DAY, monday = 4 * MS_DAY; /* 1970-01-01 was a Thursday, the 5th a Monday */
    time_t seconds = (time_t)(floor_to(now, MS_SECOND) / MS_SECOND);
    struct tm tm;

    switch (window) {
    case AEGIS_WINDOW_HOUR:
        *start = floor_to(now, MS_HOUR);
        *end = *start + MS_HOUR;
        return;
    case AEGIS_WINDOW_DAY:
        *start = floor_to(now, MS_DAY);
        *end = *start + MS_DAY;
        return;
    case AEGIS_WINDOW_WEEK:
        *start = floor_to(now - monday, week) + monday;
        *end = *start + week;
        return;
    case AEGIS_WINDOW_MONTH:
        gmtime_r(&seconds, &tm);
        *start = month_start(tm.tm_year, tm.tm_mon);
        *end = month_start(tm.tm_year, tm.tm_mon + 1);
        return;
    case AEGIS_WINDOW_TOTAL:
        break;
    }
    *start = 0;
    *end = INT64_MAX;
}
