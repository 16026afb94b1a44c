/* Log lines on standard error: time, level, process, message. The one piece of process-wide state in the
 * house. */
#ifndef AEGIS_BASE_LOG_H
#define AEGIS_BASE_LOG_H

#include <stdbool.h>

enum aegis_log_level {
    AEGIS_LOG_ERROR,   /* something that must not happen did; an operator must look */
    AEGIS_LOG_WARNING, /* something was refused or lost that somebody may miss */
    AEGIS_LOG_INFO,    /* what a person wants to see in normal running */
    AEGIS_LOG_DEBUG,
};

/* `process` (kept, not copied) stands in every line. `json`: one JSON object a line instead of text. */
void aegis_log_open(const char *process, enum aegis_log_level level, bool json);
void aegis_log_level_set(enum aegis_log_level level);
bool aegis_log_level_parse(const char *text, enum aegis_log_level *out);

/* One write(2) a line. Control characters are escaped. Never pass a token, a key or a passphrase. */
void aegis_log(enum aegis_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The impossible happened, or going on would be worse: logs and aborts (no core is written). */
_Noreturn void aegis_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Stays on in every build. */
#define AEGIS_ASSERT(condition)                                                                              \
    ((condition) ? (void)0 : aegis_panic("%s:%d: expected %s", __FILE__, __LINE__, #condition))

#endif
