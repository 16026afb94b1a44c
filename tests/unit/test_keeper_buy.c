/* The life of a payment through the keeper, with a judge and workers played by the test. */
#include "tests/unit/keeper_fixture.h"

int64_t fixture_wall, fixture_boot;

static int setup(void **state)
{
    *state = fixture_new();
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static void signature_is_ours(struct fixture *fixture, const json_t *answer)
{
    struct aegis_authorization authorization;
    struct aegis_error error;
    struct aegis_address asset, signer;
    uint8_t digest[32], signature[AEGIS_SIGNATURE_SIZE];
    struct aegis_signer *context = aegis_signer_new();
    assert_true(aegis_authorization_parse(json_object_get(answer, "authorization"), &authorization, &error));
    assert_true(aegis_address_parse(USDC, &asset));
    aegis_authorization_digest(&authorization, aegis_assets_find(fixture->keeper->assets, NETWORK, &asset), digest);
    assert_true(aegis_signature_parse(aegis_json_text(answer, "signature", ""), signature));
    assert_true(aegis_signer_recover(context, digest, signature, &signer));
    assert_true(aegis_address_equal(&signer, &fixture->address));
    assert_true(aegis_address_equal(&authorization.from, &fixture->address));
    assert_int_equal(authorization.valid_before, fixture_wall / 1000 + 60);
    aegis_signer_free(&context);
}

static void a_purchase(void **state)
{
    struct fixture *fixture = *state;
    char payment[64];
    json_t *answer = fixture_buy(fixture, 0, &(struct request){.path = "/a"});
    assert_string_equal(aegis_json_text(answer, "type", ""), "authorized");
    assert_false(aegis_json_boolean(answer, "repeated", true));
    signature_is_ours(fixture, answer);
    fixture_expect(answer, "authorized", NULL, payment);
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_SIGNED);
    fixture_outcome(fixture, 0, payment, "settled");
    assert_int_equal(fixture_state(fixture, payment), AEGIS_PAYMENT_SETTLED);
    assert_int_equal(aegis_payments_count(fixture->keeper->payments), 0);
    assert_int_equal(end_count(&fixture->judge, "observe"), 1);
    assert_int_equal(fixture_entries(fixture, "agent", NULL), 1);
    assert_int_equal(fixture_entries(fixture, "policy", NULL), 2);
    struct aegis_books_sum sum = fixture_spent(fixture);
    assert_true(sum.settled == 1000000000000000000u && sum.exposed == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_purchase, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
