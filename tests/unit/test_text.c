/* Hex, base64, base58, UTF-8, hashes: against known answers of other implementations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/base/hash.h"
#include "gate/base/text.h"
#include "tests/unit/vectors.h"

static void *unhex(const char *text, size_t *size)
{
    void *bytes;

    *size = strlen(text) / 2;
    bytes = aegis_alloc(*size);
    assert_true(aegis_hex_decode(text, strlen(text), bytes, *size));
    return bytes;
}

static void test_hex(void **state)
{
    unsigned char bytes[4];
    char text[9];
    (void)state;

    assert_true(aegis_hex_decode("00fFA9b1", 8, bytes, 4));
    assert_string_equal(aegis_hex_encode(bytes, 4, text), "00ffa9b1");
    assert_string_equal(aegis_hex_encode("", 0, text), "");
    assert_true(aegis_hex_decode("", 0, bytes, 0));
    assert_false(aegis_hex_decode("00ffa9b", 7, bytes, 4));
    assert_false(aegis_hex_decode("00ffa9b1", 8, bytes, 3));
    assert_false(aegis_hex_decode("00ffa9g1", 8, bytes, 4));
    assert_false(aegis_hex_decode("0x000000", 8, bytes, 4));
    assert_false(aegis_hex_decode(" 0ffa9b1", 8, bytes, 4));
}

static void test_keccak(void **state)
{
    json_t *vectors = vectors_load("base/keccak256.json"), *entry;
    size_t i;
    (void)state;

    json_array_foreach(vectors_get(vectors, "cases"), i, entry)
    {
        json_t *pattern = json_object_get(entry, "pattern");
        uint8_t hash[AEGIS_HASH_SIZE];
        char text[AEGIS_HASH_HEX + 2] = "0x";
        unsigned char *bytes;
        size_t size;

        if (pattern != NULL) {
            size = (size_t)json_integer_value(vectors_get(pattern, "length"));
            bytes = aegis_alloc(size);
            for (size_t at = 0; at < size; at++) {
                bytes[at] = (unsigned char)(at * (size_t)json_integer_value(vectors_get(pattern, "mul")) +
                                            (size_t)json_integer_value(vectors_get(pattern, "add")));
            }
        } else if (json_object_get(entry, "input_hex") != NULL) {
            bytes = unhex(vectors_text(entry, "input_hex"), &size);
        } else {
            bytes = (unsigned char *)aegis_strdup(vectors_text(entry, "input_utf8"));
            size = strlen((char *)bytes);
        }
        aegis_keccak256(bytes, size, hash);
        aegis_hex_encode(hash, sizeof hash, text + 2);
        assert_string_equal(text, vectors_text(entry, "hash"));
        free(bytes);
    }
    json_decref(vectors);
}

static void test_sha256(void **state)
{
    char hex[AEGIS_HASH_HEX];
    (void)state;

    assert_string_equal(aegis_sha256_hex("abc", 3, hex),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(aegis_sha256_hex(NULL, 0, hex),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_base64_encode(void **state)
{
    json_t *vectors = vectors_load("base/base64.json"), *entry;
    size_t i;
    (void)state;

    json_array_foreach(vectors_get(vectors, "encode"), i, entry)
    {
        size_t size, back_size;
        void *bytes = unhex(vectors_text(entry, "utf8_hex"), &size), *back;
        char *text = aegis_base64_encode(bytes, size);

        assert_string_equal(text, vectors_text(entry, "base64"));
        back = aegis_base64_decode(text, strlen(text), &back_size);
        assert_non_null(back);
        assert_int_equal(back_size, size);
        assert_memory_equal(back, bytes, size);
        free(back);
        free(text);
        free(bytes);
    }
    json_decref(vectors);
}

/* What the SDK takes for a payment header, we take; what its header expression or its decoder refuses, we
 * refuse. */
static void test_base64_decode(void **state)
{
    json_t *vectors = vectors_load("base/base64.json"), *entry;
    size_t i;
    (void)state;

    json_array_foreach(vectors_get(vectors, "decode"), i, entry)
    {
        const char *input = vectors_text(entry, "input");
        json_t *text = json_object_get(entry, "text");
        size_t size;
        unsigned char *bytes = aegis_base64_decode(input, strlen(input), &size);

        if (text == NULL || !json_is_true(vectors_get(entry, "header_regex"))) {
            assert_null(bytes);
        } else {
            assert_non_null(bytes);
            if (aegis_utf8_valid((char *)bytes, size)) { /* else JavaScript put in replacement characters */
                assert_string_equal(bytes, json_string_value(text));
            }
        }
        free(bytes);
    }
    json_decref(vectors);
}

static void test_base58(void **state)
{
    static const char *const groups[] = {"cases", "solana_address_32_bytes"};
    json_t *vectors = vectors_load("base/base58.json"), *entry;
    unsigned char out[64];
    size_t i;
    (void)state;

    for (size_t group = 0; group < 2; group++) {
        json_array_foreach(vectors_get(vectors, groups[group]), i, entry)
        {
            size_t size;
            void *bytes = unhex(vectors_text(entry, "hex"), &size);
            char *text = aegis_base58_encode(bytes, size);
            unsigned char *back = aegis_alloc(size + 1);

            assert_string_equal(text, vectors_text(entry, "base58"));
            assert_true(aegis_base58_decode(text, back, size));
            assert_memory_equal(back, bytes, size);
            assert_false(aegis_base58_decode(text, back, size + 1));
            free(back);
            free(text);
            free(bytes);
        }
    }
    json_array_foreach(vectors_get(vectors, "invalid"), i, entry)
    {
        for (size_t size = 0; size <= sizeof out; size++) {
            assert_false(aegis_base58_decode(json_string_value(entry), out, size));
        }
    }
    json_array_foreach(vectors_get(vectors, "not_32_bytes"), i, entry)
    {
        assert_false(aegis_base58_decode(json_string_value(entry), out, 32));
    }
    json_decref(vectors);
}

static void test_utf8(void **state)
{
    static const char *const good[] = {"",
                                       "abc",
                                       "\xc2\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xc2",         "\xe2\x82",         "\xf0\x9f\x98",     "\xff",
        "\xc2\x20",     "ab\xe2\x28\xa1"};
    (void)state;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(aegis_utf8_valid(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(aegis_utf8_valid(bad[i], strlen(bad[i])));
    }
    assert_false(aegis_utf8_valid("a\0b", 3));
}

static void test_copy_and_format(void **state)
{
    char out[4] = "zzz";
    char *text;
    (void)state;

    assert_true(aegis_text_copy(out, sizeof out, "abc"));
    assert_string_equal(out, "abc");
    assert_false(aegis_text_copy(out, sizeof out, "wxyz"));
    assert_string_equal(out, "wxy");
    assert_false(aegis_text_copy(out, sizeof out, "w\xe2\x82\xac"));
    assert_string_equal(out, "w");
    assert_false(aegis_text_copy(out, sizeof out, "\xc3\xa9\xc3\xa9"));
    assert_string_equal(out, "\xc3\xa9");
    assert_false(aegis_text_copy(out, 0, ""));
    text = aegis_format("%s-%d", "a", 7);
    assert_string_equal(text, "a-7");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex),           cmocka_unit_test(test_keccak),
        cmocka_unit_test(test_sha256),        cmocka_unit_test(test_base64_encode),
        cmocka_unit_test(test_base64_decode), cmocka_unit_test(test_base58),
        cmocka_unit_test(test_utf8),          cmocka_unit_test(test_copy_and_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
