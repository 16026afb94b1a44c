/* Addresses and signatures: byte for byte those of viem and ethers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/base/text.h"
#include "gate/x402/address.h"
#include "gate/x402/signature.h"
#include "tests/unit/vectors.h"

static void unhex(const char *text, void *out, size_t size)
{
    assert_true(aegis_hex_decode(text + 2, strlen(text) - 2, out, size));
}

static void test_checksums(void **state)
{
    json_t *vectors = vectors_load("x402/eip55.json"), *entry;
    struct aegis_address address, other;
    char text[AEGIS_ADDRESS_TEXT];
    size_t i;
    (void)state;

    json_array_foreach(vectors_get(vectors, "checksum"), i, entry)
    {
        assert_true(aegis_address_parse(vectors_text(entry, "lower"), &address));
        assert_string_equal(aegis_address_format(&address, text), vectors_text(entry, "checksummed"));
        assert_true(aegis_address_parse(text, &other));
        assert_true(aegis_address_equal(&address, &other));
    }
    json_decref(vectors);
}

/* EIP-55 also takes digits that are all upper case: they carry no checksum that could be wrong. */
static bool all_upper(const char *text)
{
    return strncmp(text, "0x", 2) == 0 && strlen(text) == 42 && strspn(text + 2, "0123456789ABCDEF") == 40;
}

static void test_validity(void **state)
{
    json_t *vectors = vectors_load("x402/eip55.json"), *entry;
    struct aegis_address address;
    size_t i;
    (void)state;

    json_array_foreach(vectors_get(vectors, "validity"), i, entry)
    {
        const char *input = vectors_text(entry, "input");
        bool valid = json_is_true(vectors_get(entry, "strict_checksum")) || all_upper(input);

        assert_int_equal(aegis_address_parse(input, &address), valid);
    }
    json_decref(vectors);
    assert_true(aegis_address_parse("0x0000000000000000000000000000000000000000", &address));
    assert_true(aegis_address_is_zero(&address));
    address.bytes[19] = 1;
    assert_false(aegis_address_is_zero(&address));
}

static void test_sign(void **state)
{
    json_t *vectors = vectors_load("x402/secp256k1.json"), *entry;
    struct aegis_signer *signer = aegis_signer_new();
    size_t i;
    (void)state;

    json_array_foreach(vectors_get(vectors, "sign"), i, entry)
    {
        uint8_t key[32], digest[32], signature[AEGIS_SIGNATURE_SIZE], back[AEGIS_SIGNATURE_SIZE];
        char text[AEGIS_SIGNATURE_TEXT], address_text[AEGIS_ADDRESS_TEXT];
        struct aegis_address address, recovered;

        unhex(vectors_text(entry, "private_key"), key, sizeof key);
        unhex(vectors_text(entry, "digest"), digest, sizeof digest);
        assert_true(aegis_signer_address(signer, key, &address));
        assert_string_equal(aegis_address_format(&address, address_text), vectors_text(entry, "address"));
        assert_true(aegis_signer_sign(signer, key, digest, signature));
        assert_string_equal(aegis_signature_format(signature, text), vectors_text(entry, "signature"));
        assert_true(aegis_signature_parse(text, back));
        assert_memory_equal(back, signature, sizeof back);
        assert_true(aegis_signer_recover(signer, digest, signature, &recovered));
        assert_true(aegis_address_equal(&recovered, &address));
    }
    aegis_signer_free(&signer);
    assert_null(signer);
    aegis_signer_free(&signer);
    json_decref(vectors);
}

/* What viem recovers, we recover; and we refuse what a token contract would refuse: high s, v other than 27
 * and 28. */
static void test_recover(void **state)
{
    json_t *vectors = vectors_load("x402/secp256k1.json"), *entry;
    struct aegis_signer *signer = aegis_signer_new();
    size_t i, recovered_count = 0;
    (void)state;

    json_array_foreach(vectors_get(vectors, "recover"), i, entry)
    {
        const char *what = vectors_text(entry, "what");
        bool refused = json_object_get(entry, "recovered") == NULL || strncmp(what, "high s", 6) == 0 ||
                       strncmp(what, "v 0 or 1", 8) == 0;
        uint8_t digest[32], signature[AEGIS_SIGNATURE_SIZE];
        struct aegis_address address;
        char text[AEGIS_ADDRESS_TEXT];
        bool ok;

        unhex(vectors_text(entry, "digest"), digest, sizeof digest);
        ok = aegis_signature_parse(vectors_text(entry, "signature"), signature) &&
             aegis_signer_recover(signer, digest, signature, &address);
        assert_int_equal(ok, !refused);
        if (ok) {
            assert_string_equal(aegis_address_format(&address, text), vectors_text(entry, "recovered"));
            recovered_count++;
        }
    }
    assert_int_equal(recovered_count, 2);
    aegis_signer_free(&signer);
    json_decref(vectors);
}

static void test_bad_keys(void **state)
{
    json_t *vectors = vectors_load("x402/secp256k1.json"), *entry;
    struct aegis_signer *signer = aegis_signer_new();
    uint8_t key[32], digest[32] = {1}, signature[AEGIS_SIGNATURE_SIZE];
    struct aegis_address address;
    size_t i;
    (void)state;

    json_array_foreach(vectors_get(vectors, "invalid_private_keys"), i, entry)
    {
        unhex(json_string_value(entry), key, sizeof key);
        assert_false(aegis_signer_address(signer, key, &address));
        assert_false(aegis_signer_sign(signer, key, digest, signature));
    }
    aegis_signer_free(&signer);
    json_decref(vectors);
    assert_false(aegis_signature_parse("", signature));
    assert_false(aegis_signature_parse("0x00", signature));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksums), cmocka_unit_test(test_validity), cmocka_unit_test(test_sign),
        cmocka_unit_test(test_recover),   cmocka_unit_test(test_bad_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
