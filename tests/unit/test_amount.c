/* Amounts: exact, bounded, one spelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/base/amount.h"

#define LARGEST "340282366920938463463374607431768211455"
#define ABOVE   "340282366920938463463374607431768211456"

static void test_parse_and_format(void **state)
{
    static const char *const good[] = {"0", "1", "9", "10", "1000000", "18446744073709551616", LARGEST};
    (void)state;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[AEGIS_AMOUNT_TEXT];
        aegis_amount amount;

        assert_true(aegis_amount_parse(good[i], &amount));
        assert_string_equal(aegis_amount_format(amount, text), good[i]);
    }
}

static void test_parse_refuses(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "-1",
        "+1",
        " 1",
        "1 ",
        "01",
        "00",
        "0x1",
        "1e4",
        "1.0",
        "1,0",
        "1_0",
        "\n1",
        "1\n",
        "a",
        ABOVE,
        "٣",
        "3402823669209384634633746074317682114550",
        "115792089237316195423570985008687907853269984665640564039457584007913129639935"};
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        aegis_amount amount = 7;

        assert_false(aegis_amount_parse(bad[i], &amount));
        assert_true(amount == 7);
    }
}

static void test_decimal(void **state)
{
    static const struct {
        const char *text;
        unsigned decimals;
        const char *atomic, *back;
    } cases[] = {
        {"1", 6, "1000000", "1"},
        {"0.05", 6, "50000", "0.05"},
        {"12.500000", 6, "12500000", "12.5"},
        {"12.50000000000", 6, "12500000", "12.5"},
        {"0", 6, "0", "0"},
        {"0.000001", 6, "1", "0.000001"},
        {"123456789.123456", 6, "123456789123456", "123456789.123456"},
        {"5", 0, "5", "5"},
        {"5.0", 0, "5", "5"},
        {"0.000000000000000001", 18, "1", "0.000000000000000001"},
        {"340282366920938463463.374607431768211455", 18, LARGEST, "340282366920938463463.374607431768211455"},
        {"3.40282366920938463463374607431768211455", 38, LARGEST, "3.40282366920938463463374607431768211455"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[AEGIS_AMOUNT_DECIMAL_TEXT];
        aegis_amount amount, expected;

        assert_true(aegis_amount_parse(cases[i].atomic, &expected));
        assert_true(aegis_amount_parse_decimal(cases[i].text, cases[i].decimals, &amount));
        assert_true(amount == expected);
        assert_string_equal(aegis_amount_format_decimal(amount, cases[i].decimals, text), cases[i].back);
    }
}

static void test_decimal_refuses(void **state)
{
    static const char *const bad[] = {
        "",          ".",         "1.",  ".5",    "-1",   "+1",
        "1e3",       " 1",        "1 ",  "01",    "00.1", "1.2.3",
        "0.0000001", "1.0000001", "0x1", "1,000", "inf",  "340282366920938463463374607431769"};
    aegis_amount amount;
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(aegis_amount_parse_decimal(bad[i], 6, &amount));
    }
    assert_false(aegis_amount_parse_decimal("0", 39, &amount));
    assert_false(aegis_amount_parse_decimal("0.5", 0, &amount));
}

static void test_arithmetic(void **state)
{
    aegis_amount largest = ~(aegis_amount)0, out = 7;
    (void)state;

    assert_true(aegis_amount_add(1, 2, &out) && out == 3);
    assert_true(aegis_amount_add(largest - 1, 1, &out) && out == largest);
    out = 7;
    assert_false(aegis_amount_add(largest, 1, &out));
    assert_false(aegis_amount_add(largest, largest, &out));
    assert_false(aegis_amount_sub(1, 2, &out));
    assert_true(out == 7);
    assert_true(aegis_amount_sub(2, 2, &out) && out == 0);
}

static void test_scale(void **state)
{
    aegis_amount out = 7, largest = ~(aegis_amount)0;
    (void)state;

    assert_false(aegis_amount_scale(1, 19, &out));
    assert_false(aegis_amount_scale(largest, 17, &out));
    assert_true(out == 7);
    assert_true(aegis_amount_scale(largest, 18, &out) && out == largest);
    assert_true(aegis_amount_scale(1500000, 6, &out) && out == (aegis_amount)1500000000000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_format), cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_decimal),          cmocka_unit_test(test_decimal_refuses),
        cmocka_unit_test(test_arithmetic),       cmocka_unit_test(test_scale),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
