#include "gate/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/text.h"

#define LINE_MAX_BYTES 4096
#define MESSAGE_MAX    2048

static struct {
    const char *process;
    enum aegis_log_level level;
    bool json;
} state = {"aegis", AEGIS_LOG_INFO, false};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void aegis_log_open(const char *process, enum aegis_log_level level, bool json)
{
    state.process = process;
    state.level = level;
    state.json = json;
}

void aegis_log_level_set(enum aegis_log_level level)
{
    state.level = level;
}

bool aegis_log_level_parse(const char *text, enum aegis_log_level *out)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum aegis_log_level)i;
            return true;
        }
    }
    return false;
}

/* Copies `text`, with whatever could confuse a terminal, a line reader or a JSON parser escaped; bytes above
 * ASCII, when the text as a whole is not UTF-8. */
static void escape(char *out, size_t room, const char *text)
{
    bool utf8 = aegis_utf8_valid(text, strlen(text));
    size_t used = 0;

    for (; *text != '\0' && used + 8 < room; text++) {
        unsigned char c = (unsigned char)*text;

        if (state.json && (c == '"' || c == '\\')) {
            out[used++] = '\\';
            out[used++] = (char)c;
        } else if (c < 0x20 || c == 0x7f || (!utf8 && c >= 0x80)) {
            used += (size_t)snprintf(out + used, room - used, state.json ? "\\u%04x" : "\\x%02x", c);
        } else {
            out[used++] = (char)c;
        }
    }
    out[used] = '\0';
}

static void write_all(const char *line, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDERR_FILENO, line, size);

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return; /* nobody can be told that nobody can be told */
        }
        line += written;
        size -= (size_t)written;
    }
}

static void write_line(const char *level, const char *message)
{
    char line[LINE_MAX_BYTES], escaped[LINE_MAX_BYTES - 256], process[64], time[AEGIS_TIME_TEXT];
    int length;

    aegis_time_format(aegis_clock_now(), time);
    escape(escaped, sizeof escaped, message);
    escape(process, sizeof process, state.process);
    length = snprintf(
        line, sizeof line,
        state.json ? "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"pid\":%d,\"message\":\"%s\"}\n"
                   : "%s %s %s[%d]: %s\n",
        time, level, process, (int)getpid(), escaped);
    if (length > 0 && (size_t)length < sizeof line) {
        write_all(line, (size_t)length);
    }
}

void aegis_log(enum aegis_log_level level, const char *format, ...)
{
    char message[MESSAGE_MAX];
    va_list arguments;
    int saved = errno;

    if (level > state.level) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    write_line(level_names[level], message);
    errno = saved;
}

void aegis_panic(const char *format, ...)
{
    char message[MESSAGE_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    write_line("panic", message);
    abort();
}
