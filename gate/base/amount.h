/* Amounts of money: unsigned 128-bit integers in atomic units. No floating point anywhere near them; what
 * does not fit is refused, never wrapped. */
#ifndef AEGIS_BASE_AMOUNT_H
#define AEGIS_BASE_AMOUNT_H

#include <stdbool.h>
#include <stddef.h>

typedef unsigned __int128 aegis_amount;

#define AEGIS_AMOUNT_TEXT         40 /* room for the longest decimal text with its NUL */
#define AEGIS_AMOUNT_DECIMAL_TEXT 64 /* the same for a whole-token text such as 12.500000 */
/* Decimals of "scaled" amounts, in which tokens of unequal decimals are summed. */
#define AEGIS_AMOUNT_SCALE 18

/* Decimal digits only: no sign, no space, no leading zero except "0" itself. False when it is anything else
 * or above 2^128-1. */
bool aegis_amount_parse(const char *text, aegis_amount *out);

/* Writes the decimal text into `out` and returns `out`. */
char *aegis_amount_format(aegis_amount amount, char out[AEGIS_AMOUNT_TEXT]);

/* A whole-token text ("1", "0.05", "12.500000") in units of 10^-decimals. False when it is not of that form,
 * has more digits after the point than `decimals` (trailing zeros beyond are accepted), or does not fit.
 * decimals <= 38. */
bool aegis_amount_parse_decimal(const char *text, unsigned decimals, aegis_amount *out);

/* The opposite: shortest exact text, without trailing zeros ("0.05", "3"). Returns `out`. */
char *aegis_amount_format_decimal(aegis_amount amount, unsigned decimals,
                                  char out[AEGIS_AMOUNT_DECIMAL_TEXT]);

/* False on overflow (add, scale) or when b > a (sub); *out is then untouched. */
bool aegis_amount_add(aegis_amount a, aegis_amount b, aegis_amount *out);
bool aegis_amount_sub(aegis_amount a, aegis_amount b, aegis_amount *out);

/* From atomic units of a token with `decimals` (<= AEGIS_AMOUNT_SCALE, else false) to scaled units. */
bool aegis_amount_scale(aegis_amount atomic, unsigned decimals, aegis_amount *out);

#endif
