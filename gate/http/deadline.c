/* One timer for all deadlines of a connection. Moving a deadline is an assignment; the timer is touched only
 * when the new one comes before the time it is set for, and looks again when it fires early. So a busy
 * connection touches its timer once in a whole deadline, not once in an exchange. */
#include <time.h>

#include "gate/base/clock.h"
#include "gate/http/inside.h"

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void arm(struct aegis_http_connection *connection, int64_t due, int64_t now)
{
    int64_t wait = due > now ? due - now : 1;
    struct timeval after = aegis_clock_interval(wait);
    event_add(&connection->timer, &after);
    connection->armed = due;
}

void aegis_http_due_set(struct aegis_http_connection *connection, enum aegis_http_due which, int64_t ms)
{
    if (ms <= 0) {
        connection->due[which] = 0;
        return;
    }
    int64_t now = now_ms();
    connection->due[which] = now + ms;
    if (connection->armed == 0 || connection->due[which] < connection->armed) {
        arm(connection, connection->due[which], now);
    }
}

void aegis_http_due_fire(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct aegis_http_connection *connection = context;
    int64_t now = now_ms();
    connection->armed = 0;
    for (int which = 0; which < AEGIS_HTTP_DUES; which++) {
        if (connection->due[which] != 0 && connection->due[which] <= now) {
            connection->due[which] = 0;
            aegis_http_timeout(connection, (enum aegis_http_due)which);
        }
    }
    int64_t next = 0;
    for (int which = 0; which < AEGIS_HTTP_DUES; which++) {
        int64_t due = connection->due[which];
        next = due != 0 && (next == 0 || due < next) ? due : next;
    }
    if (next != 0 && (connection->armed == 0 || next < connection->armed)) {
        arm(connection, next, now);
    }
}
