/* Payments as the official client makes them: digest, signature and header, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/x402/challenge.h"
#include "gate/x402/signature.h"
#include "tests/unit/vectors.h"

static struct aegis_signer *signer;
static size_t compared; /* payments that were equal to the official client's */

static int open_signer(void **state)
{
    (void)state;
    signer = aegis_signer_new();
    return 0;
}

static int close_signer(void **state)
{
    (void)state;
    aegis_signer_free(&signer);
    return 0;
}

static bool is_one_of(const char *text, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, text) == 0) {
            return true;
        }
    }
    return false;
}

static void unhex(const char *text, void *out, size_t size)
{
    size_t skip = strncmp(text, "0x", 2) == 0 ? 2 : 0;

    assert_true(aegis_hex_decode(text + skip, strlen(text) - skip, out, size));
}

/* The built-in assets, and the one that the first entry of `challenge_json` asks for, under the domain it
 * names: as if the operator had configured it. */
static struct aegis_assets *assets_for(const char *challenge_json)
{
    struct aegis_assets *assets = aegis_assets_new();
    json_t *challenge = json_loads(challenge_json, JSON_DECODE_INT_AS_REAL, NULL);
    json_t *entry = json_array_get(json_object_get(challenge, "accepts"), 0),
           *extra = json_object_get(entry, "extra");
    const char *network = aegis_json_text(entry, "network", "");
    json_t *array;

    if (aegis_network_from_v1(network) != NULL) {
        network = aegis_network_from_v1(network);
    }
    array =
        json_pack("[{s:s, s:s, s:s, s:i, s:s, s:s}]", "network", network, "address",
                  aegis_json_text(entry, "asset", ""), "symbol", "TEST", "decimals", 6, "name",
                  aegis_json_text(extra, "name", "USDC"), "version", aegis_json_text(extra, "version", "2"));
    aegis_assets_add(assets, array, NULL); /* odd inputs name odd assets */
    json_decref(array);
    json_decref(challenge);
    return assets;
}

/* Does what the gate does, at the time and with the nonce of the vector, and compares. */
static void check_payment(const json_t *vector, const struct aegis_challenge *challenge,
                          const struct aegis_requirement *requirement, const char *header_name)
{
    int64_t now = json_integer_value(vectors_get(vector, "now"));
    struct aegis_authorization authorization = {.to = requirement->pay_to,
                                                .value = requirement->amount,
                                                .valid_after =
                                                    aegis_challenge_version(challenge) == 1 ? now - 600 : 0,
                                                .valid_before = now + requirement->max_timeout_seconds};
    const json_t *typed = json_array_get(json_object_get(vector, "eip712"), 0);
    uint8_t key[32], digest[32], signature[AEGIS_SIGNATURE_SIZE];
    char text[AEGIS_SIGNATURE_TEXT], hex[65];
    const char *name = NULL;
    char *header;

    unhex(vectors_text(vector, "private_key"), key, sizeof key);
    unhex(json_string_value(json_array_get(vectors_get(vector, "random_hex"), 0)), authorization.nonce, 32);
    assert_true(aegis_signer_address(signer, key, &authorization.from));
    aegis_authorization_digest(&authorization, requirement->asset, digest);
    assert_true(aegis_signer_sign(signer, key, digest, signature));
    aegis_signature_format(signature, text);
    if (typed != NULL) {
        assert_string_equal(aegis_hex_encode(digest, 32, hex), vectors_text(typed, "digest") + 2);
        assert_string_equal(text, vectors_text(typed, "signature"));
    }
    header = aegis_challenge_answer(challenge, requirement->index, &authorization, text,
                                    "pay_0123456789abcdef", &name, NULL);
    assert_non_null(header);
    assert_string_equal(header, vectors_text(vector, "header_value"));
    assert_string_equal(name, header_name);
    free(header);
}

/* Whether the vector's challenge can be paid; if so, the payment is compared. */
static bool try_payment(const json_t *vector, const char *header, const char *json_text, const char *body,
                        const char *header_name)
{
    struct aegis_assets *assets = assets_for(body != NULL ? body : json_text);
    const struct aegis_requirement *requirement[AEGIS_CHALLENGE_ACCEPTS_MAX];
    struct aegis_challenge *challenge;
    enum aegis_challenge_result result;
    bool payable = false;

    result = aegis_challenge_parse(header, header != NULL ? strlen(header) : 0, body,
                                   body != NULL ? strlen(body) : 0, assets, &challenge, NULL);
    if (result == AEGIS_CHALLENGE_OK) {
        size_t count = aegis_challenge_rank(challenge, NULL, requirement, AEGIS_CHALLENGE_ACCEPTS_MAX);

        payable = count > 0;
        for (size_t i = 0; i < count; i++) { /* the official client took the first, not the cheapest */
            if (requirement[i]->index == 0 && json_object_get(vector, "header_value") != NULL) {
                check_payment(vector, challenge, requirement[i], header_name);
                compared++;
            }
        }
    } else {
        assert_null(challenge);
    }
    aegis_challenge_free(&challenge);
    aegis_assets_free(&assets);
    return payable;
}

static void check_v2_group(const json_t *cases, const char *json_name, const char *const *exceptions,
                           bool payable)
{
    const json_t *vector;
    size_t i;

    json_array_foreach((json_t *)cases, i, vector)
    {
        const char *name = vectors_text(vector, "name");
        bool expected = is_one_of(name, exceptions) ? !payable : payable;

        if (try_payment(vector, vectors_text(vector, "payment_required_header"),
                        vectors_text(vector, json_name), NULL, "PAYMENT-SIGNATURE") != expected) {
            fail_msg("%s: expected it %s", name, expected ? "paid" : "refused");
        }
    }
}

static void test_v2(void **state)
{
    static const char *const refused[] = {"amount 0",
                                          "amount 2^128-1",
                                          "amount 2^128",
                                          "amount near 2^256",
                                          "amount 2^256-1",
                                          "payTo with a wrong checksum (accepted, re-checksummed)",
                                          "payTo zero address",
                                          "maxTimeoutSeconds of a year",
                                          NULL};
    json_t *vectors = vectors_load("x402/evm-exact-eip3009-v2.json");
    (void)state;

    compared = 0;
    check_v2_group(vectors_get(vectors, "cases"), "payment_required_json", refused, true);
    assert_int_equal(compared, 35 - 8);
    json_decref(vectors);
}

/* The official client signs many of these. The gate signs none but those whose meaning is plain: the domain
 * is in our table anyway, and to settle before serving is the seller's right. */
static void test_v2_odd(void **state)
{
    static const char *const paid[] = {"extra missing", "extra.version missing", "paymentFlow upfront", NULL};
    json_t *vectors = vectors_load("x402/evm-exact-eip3009-v2.json");
    (void)state;

    check_v2_group(vectors_get(vectors, "odd_inputs"), "payment_required_json", paid, false);
    json_decref(vectors);
}

/* Duplicate keys and lone surrogates are where two readers of one text differ. */
static void test_v2_echo(void **state)
{
    static const char *const refused[] = {"string escapes are rewritten",
                                          "duplicate keys: last value, first place", NULL};
    static const char *const headers_refused[] = {"URL-safe alphabet",
                                                  "white space inside",
                                                  "not JSON",
                                                  "invalid UTF-8 inside",
                                                  "UTF-8 BOM inside",
                                                  "empty",
                                                  NULL};
    json_t *vectors = vectors_load("x402/echo-v2.json"), *vector;
    size_t i;
    (void)state;

    check_v2_group(vectors_get(vectors, "cases"), "payment_required_raw_json", refused, true);
    json_array_foreach(vectors_get(vectors, "header_decoding"), i, vector)
    {
        bool payable = try_payment(vector, vectors_text(vector, "payment_required_header"),
                                   aegis_json_text(vector, "decoded_json", "{}"), NULL, "PAYMENT-SIGNATURE");

        assert_int_equal(payable, !is_one_of(vectors_text(vector, "name"), headers_refused));
    }
    json_decref(vectors);
}

static void test_v1(void **state)
{
    static const char *const refused[] = {"amount 2^256-1", "network unknown", NULL};
    json_t *vectors = vectors_load("x402/evm-exact-eip3009-v1.json"), *vector;
    size_t i;
    (void)state;

    json_array_foreach(vectors_get(vectors, "cases"), i, vector)
    {
        const char *name = vectors_text(vector, "name");
        bool payable =
            try_payment(vector, NULL, NULL, vectors_text(vector, "payment_required_body"), "X-PAYMENT");

        if (payable != !is_one_of(name, refused)) {
            fail_msg("%s", name);
        }
    }
    json_decref(vectors);
}

static void test_authorization_json(void **state)
{
    static const char good[] =
        "{\"from\":\"0xa464B969Fe22b5cF8E4FF30A5F9BF017cBB853f1\",\"to\":"
        "\"0xAFdD32642687ED13B68BB957cE27eeF0457a306E\","
        "\"value\":\"10000\",\"validAfter\":\"0\",\"validBefore\":\"9223372036854775807\","
        "\"nonce\":\"0x57c0f1e2f3db48a789555c57194064ae63942941e60a94ecdce44d080f11b095\"}";
    static const struct {
        const char *field, *value;
    } bad[] = {{"from", "\"0xa464\""}, {"from", "null"},         {"to", "\"\""},
               {"value", "10000"},     {"value", "\"-1\""},      {"value", "\"0x10\""},
               {"validAfter", "0"},    {"validAfter", "\"-1\""}, {"validBefore", "\"9223372036854775808\""},
               {"nonce", "\"0x57\""},  {"nonce", "\"57\""},      {"extra", "1"}};
    struct aegis_authorization authorization;
    json_t *object = json_loads(good, 0, NULL), *again;
    char *text;
    (void)state;

    assert_true(aegis_authorization_parse(object, &authorization, NULL));
    again = aegis_authorization_json(&authorization);
    text = aegis_json_compact(again);
    assert_string_equal(text, good);
    free(text);
    json_decref(again);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct aegis_error error = {""};

        again = json_copy(object);
        json_object_set_new(again, bad[i].field, json_loads(bad[i].value, JSON_DECODE_ANY, NULL));
        assert_false(aegis_authorization_parse(again, &authorization, &error));
        assert_true(strncmp(error.text, bad[i].field, strlen(bad[i].field)) == 0);
        json_decref(again);
    }
    json_object_del(object, "nonce");
    assert_false(aegis_authorization_parse(object, &authorization, NULL));
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v2),
        cmocka_unit_test(test_v2_odd),
        cmocka_unit_test(test_v2_echo),
        cmocka_unit_test(test_v1),
        cmocka_unit_test(test_authorization_json),
    };

    return cmocka_run_group_tests(tests, open_signer, close_signer);
}
