#include "gate/base/amount.h"

#include <string.h>

#define AMOUNT_MAX   (~(aegis_amount)0)
#define DECIMALS_MAX 38 /* 10^38 is the largest power of ten below 2^128 */

static bool append_digit(aegis_amount *amount, char digit)
{
    unsigned value = (unsigned)(digit - '0');

    if (*amount > (AMOUNT_MAX - value) / 10) {
        return false;
    }
    *amount = *amount * 10 + value;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool aegis_amount_parse(const char *text, aegis_amount *out)
{
    aegis_amount amount = 0;

    if (!is_digit(text[0]) || (text[0] == '0' && text[1] != '\0')) {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (!is_digit(*text) || !append_digit(&amount, *text)) {
            return false;
        }
    }
    *out = amount;
    return true;
}

char *aegis_amount_format(aegis_amount amount, char out[AEGIS_AMOUNT_TEXT])
{
    char digits[AEGIS_AMOUNT_TEXT];
    size_t at = sizeof digits;

    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + (int)(amount % 10));
        amount /= 10;
    } while (amount > 0);
    memcpy(out, digits + at, sizeof digits - at);
    return out;
}

/* Reads the digits behind the point as if there were exactly `decimals` of them. */
static bool parse_fraction(const char *text, unsigned decimals, aegis_amount *amount)
{
    unsigned count = 0;

    if (!is_digit(*text)) {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (!is_digit(*text) || (count >= decimals && *text != '0')) {
            return false;
        }
        if (count < decimals && !append_digit(amount, *text)) {
            return false;
        }
        count += count < decimals;
    }
    for (; count < decimals; count++) {
        if (!append_digit(amount, '0')) {
            return false;
        }
    }
    return true;
}

bool aegis_amount_parse_decimal(const char *text, unsigned decimals, aegis_amount *out)
{
    aegis_amount amount = 0;

    if (decimals > DECIMALS_MAX || !is_digit(text[0]) || (text[0] == '0' && is_digit(text[1]))) {
        return false;
    }
    for (; is_digit(*text); text++) {
        if (!append_digit(&amount, *text)) {
            return false;
        }
    }
    if (*text != '.' && *text != '\0') {
        return false;
    }
    if (!parse_fraction(*text == '.' ? text + 1 : "0", decimals, &amount)) {
        return false;
    }
    *out = amount;
    return true;
}

char *aegis_amount_format_decimal(aegis_amount amount, unsigned decimals, char out[AEGIS_AMOUNT_DECIMAL_TEXT])
{
    char digits[AEGIS_AMOUNT_DECIMAL_TEXT];
    size_t at = sizeof digits;
    bool significant = false;

    if (decimals > DECIMALS_MAX) {
        decimals = DECIMALS_MAX;
    }
    digits[--at] = '\0';
    for (unsigned i = 0; i < decimals; i++, amount /= 10) {
        significant = significant || amount % 10 != 0;
        if (significant) {
            digits[--at] = (char)('0' + (int)(amount % 10));
        }
    }
    if (significant) {
        digits[--at] = '.';
    }
    do {
        digits[--at] = (char)('0' + (int)(amount % 10));
        amount /= 10;
    } while (amount > 0);
    memcpy(out, digits + at, sizeof digits - at);
    return out;
}

bool aegis_amount_add(aegis_amount a, aegis_amount b, aegis_amount *out)
{
    if (a > AMOUNT_MAX - b) {
        return false;
    }
    *out = a + b;
    return true;
}

bool aegis_amount_sub(aegis_amount a, aegis_amount b, aegis_amount *out)
{
    if (b > a) {
        return false;
    }
    *out = a - b;
    return true;
}

bool aegis_amount_scale(aegis_amount atomic, unsigned decimals, aegis_amount *out)
{
    if (decimals > AEGIS_AMOUNT_SCALE) {
        return false;
    }
    for (; decimals < AEGIS_AMOUNT_SCALE; decimals++) {
        if (atomic > AMOUNT_MAX / 10) {
            return false;
        }
        atomic *= 10;
    }
    *out = atomic;
    return true;
}
