#include "gate/base/error.h"

#include <stdio.h>
#include <string.h>

/* Takes back the bytes of a character that was cut in the middle. */
static void end_at_character(char *text, size_t size)
{
    size_t length = size - 1;

    while (length > 0 && ((unsigned char)text[length - 1] & 0xc0) == 0x80) {
        length--;
    }
    if (length > 0 && (unsigned char)text[length - 1] >= 0xc0) {
        unsigned char lead = (unsigned char)text[length - 1];
        size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;

        length = length - 1 + need <= size - 1 ? length - 1 + need : length - 1;
    }
    text[length] = '\0';
}

static void format_cut(char *out, size_t size, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void format_cut(char *out, size_t size, const char *format, va_list arguments)
{
    int length = vsnprintf(out, size, format, arguments);

    if (length < 0) {
        out[0] = '\0';
    } else if ((size_t)length >= size) {
        end_at_character(out, size);
    }
}

_Bool aegis_error_set(struct aegis_error *error, const char *format, ...)
{
    char text[sizeof error->text];
    va_list arguments;

    if (error == NULL) {
        return 0;
    }
    va_start(arguments, format);
    format_cut(text, sizeof text, format, arguments);
    va_end(arguments);
    /* Through a copy, so that an argument may be the old text. */
    memcpy(error->text, text, sizeof text);
    return 0;
}

_Bool aegis_error_prefix(struct aegis_error *error, const char *format, ...)
{
    char prefix[sizeof error->text];
    va_list arguments;

    if (error == NULL) {
        return 0;
    }
    va_start(arguments, format);
    format_cut(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    return aegis_error_set(error, "%s: %s", prefix, error->text);
}
