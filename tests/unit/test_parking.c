/* Questions that wait: taken once, by id, or expired in the order in which they came. */
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gate/ipc/parking.h"

static int order[8];
static size_t expired_count;

static void expired(void *asker, void *context)
{
    struct aegis_parking **parking = context;
    order[expired_count++] = *(int *)asker;
    (void)aegis_parking_count(*parking);
}

static void test_taken_once(void **state)
{
    (void)state;
    struct event_base *base = event_base_new();
    struct aegis_parking *parking = aegis_parking_new(base, 60000, expired, &parking);
    int askers[5000];
    uint64_t ids[5000];
    for (size_t i = 0; i < 5000; i++)
        ids[i] = aegis_parking_put(parking, &askers[i]);
    assert_int_equal(aegis_parking_count(parking), 5000);
    assert_null(aegis_parking_take(parking, 0));
    assert_null(aegis_parking_take(parking, ids[4999] + 1));
    for (size_t i = 5000; i-- > 0;) {
        assert_true(ids[i] != 0);
        assert_ptr_equal(aegis_parking_take(parking, ids[i]), &askers[i]);
        assert_null(aegis_parking_take(parking, ids[i]));
    }
    assert_int_equal(aegis_parking_count(parking), 0);
    aegis_parking_free(&parking);
    event_base_free(base);
}

static void test_expiry(void **state)
{
    (void)state;
    struct event_base *base = event_base_new();
    struct aegis_parking *parking = aegis_parking_new(base, 20, expired, &parking);
    int askers[] = {0, 1, 2, 3};
    uint64_t ids[4];
    for (size_t i = 0; i < 4; i++)
        ids[i] = aegis_parking_put(parking, &askers[i]);
    assert_ptr_equal(aegis_parking_take(parking, ids[1]), &askers[1]);
    expired_count = 0;
    event_base_dispatch(base);
    assert_int_equal(expired_count, 3);
    assert_int_equal(order[0], 0);
    assert_int_equal(order[1], 2);
    assert_int_equal(order[2], 3);
    assert_null(aegis_parking_take(parking, ids[0]));
    aegis_parking_free(&parking);
    event_base_free(base);
}

static void test_peer_died(void **state)
{
    (void)state;
    struct event_base *base = event_base_new();
    struct aegis_parking *parking = aegis_parking_new(base, 60000, expired, &parking);
    int askers[3];
    for (size_t i = 0; i < 3; i++)
        aegis_parking_put(parking, &askers[i]);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(aegis_parking_take_any(parking), &askers[i]);
    assert_null(aegis_parking_take_any(parking));
    aegis_parking_free(&parking);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_taken_once), cmocka_unit_test(test_expiry),
                                       cmocka_unit_test(test_peer_died)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
