/* Times and calendar windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/base/clock.h"

static int64_t at(const char *text)
{
    int64_t ms = -1;

    if (!aegis_time_parse(text, &ms)) {
        fail_msg("%s", text);
    }
    return ms;
}

static void test_format(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00.000Z"},
                 {-1, "1969-12-31T23:59:59.999Z"},
                 {1795160161472, "2026-11-20T07:36:01.472Z"},
                 {951782400000, "2000-02-29T00:00:00.000Z"},
                 {253402300799999, "9999-12-31T23:59:59.999Z"}};
    char text[AEGIS_TIME_TEXT];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(aegis_time_format(cases[i].ms, text), cases[i].text);
        assert_int_equal(at(text), cases[i].ms);
    }
    assert_true(strlen(aegis_time_format(INT64_MAX, text)) < AEGIS_TIME_TEXT);
    assert_true(strlen(aegis_time_format(INT64_MIN, text)) < AEGIS_TIME_TEXT);
}

static void test_parse(void **state)
{
    (void)state;
    assert_int_equal(at("2026-11-20T07:36:01Z"), 1795160161000);
    assert_int_equal(at("2026-11-20 07:36:01.5z"), 1795160161500);
    assert_int_equal(at("2026-11-20t09:06:01.4729999+01:30"), 1795160161472);
    assert_int_equal(at("2026-11-19T23:36:01.472-08:00"), 1795160161472);
    assert_int_equal(at("2016-12-31T23:59:60Z"), at("2017-01-01T00:00:00Z"));
    assert_int_equal(at("0001-01-01T00:00:00Z"), -62135596800000);
}

static void test_parse_refuses(void **state)
{
    static const char *const bad[] = {"",
                                      "2026-11-20",
                                      "2026-11-20T07:36:01",
                                      "2026-11-20T07:36Z",
                                      "2026-13-20T07:36:01Z",
                                      "2026-00-20T07:36:01Z",
                                      "2026-02-29T07:36:01Z",
                                      "2026-11-31T07:36:01Z",
                                      "2026-11-20T24:00:00Z",
                                      "2026-11-20T07:60:01Z",
                                      "2026-11-20T07:36:61Z",
                                      "2026-11-20T07:36:01.Z",
                                      "2026-11-20T07:36:01Zx",
                                      "2026-11-20T07:36:01+0100",
                                      "2026-11-20T07:36:01+24:00",
                                      " 2026-11-20T07:36:01Z",
                                      "26-11-20T07:36:01Z",
                                      "2026-1-20T07:36:01Z",
                                      "+2026-11-20T07:36:01Z",
                                      "2026/11/20T07:36:01Z"};
    int64_t ms;
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (aegis_time_parse(bad[i], &ms)) {
            fail_msg("%s", bad[i]);
        }
    }
}

static void check_window(enum aegis_window window, const char *now, const char *start, const char *end)
{
    int64_t from, to;

    aegis_window_bounds(window, at(now), &from, &to);
    assert_int_equal(from, at(start));
    assert_int_equal(to, at(end));
}

static void test_windows(void **state)
{
    int64_t from, to;
    (void)state;

    check_window(AEGIS_WINDOW_HOUR, "2026-11-20T07:59:59.999Z", "2026-11-20T07:00:00Z",
                 "2026-11-20T08:00:00Z");
    check_window(AEGIS_WINDOW_HOUR, "2026-11-20T08:00:00.000Z", "2026-11-20T08:00:00Z",
                 "2026-11-20T09:00:00Z");
    check_window(AEGIS_WINDOW_DAY, "2026-12-31T23:59:59.999Z", "2026-12-31T00:00:00Z",
                 "2027-01-01T00:00:00Z");
    check_window(AEGIS_WINDOW_DAY, "1969-12-31T12:00:00Z", "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z");
    /* 2026-11-20 is a Friday. */
    check_window(AEGIS_WINDOW_WEEK, "2026-11-20T07:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z");
    check_window(AEGIS_WINDOW_WEEK, "2026-11-16T00:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z");
    check_window(AEGIS_WINDOW_WEEK, "2026-11-15T23:59:59.999Z", "2026-11-09T00:00:00Z",
                 "2026-11-16T00:00:00Z");
    check_window(AEGIS_WINDOW_WEEK, "1970-01-01T00:00:00Z", "1969-12-29T00:00:00Z", "1970-01-05T00:00:00Z");
    check_window(AEGIS_WINDOW_MONTH, "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z");
    check_window(AEGIS_WINDOW_MONTH, "2026-12-31T12:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
    aegis_window_bounds(AEGIS_WINDOW_TOTAL, at("2026-12-31T12:00:00Z"), &from, &to);
    assert_int_equal(from, 0);
    assert_true(to == INT64_MAX);
}

static void test_clocks(void **state)
{
    int64_t boot = aegis_clock_boot();
    (void)state;

    assert_true(aegis_clock_now() > at("2020-01-01T00:00:00Z"));
    assert_true(boot > 0 && aegis_clock_boot() >= boot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),  cmocka_unit_test(test_parse),  cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_windows), cmocka_unit_test(test_clocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
