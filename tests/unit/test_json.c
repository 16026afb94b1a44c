/* JSON: strict reading, canonical and JavaScript writing, the checker of shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/base/hash.h"
#include "gate/base/json.h"
#include "gate/base/text.h"
#include "tests/unit/vectors.h"

static json_t *parse(const char *text)
{
    return aegis_json_parse(text, strlen(text), NULL);
}

static void test_canonical_documents(void **state)
{
    json_t *vectors = vectors_load("base/jcs.json"), *entry;
    size_t i, refused = 0;
    (void)state;

    json_array_foreach(vectors_get(vectors, "documents"), i, entry)
    {
        json_t *value = parse(vectors_text(entry, "input_json"));
        char *text, hex[AEGIS_HASH_HEX];
        size_t length;

        if (value == NULL) {
            refused++; /* a duplicate key, a NUL, an integer beyond 64 bits */
            continue;
        }
        text = aegis_json_canonical(value, &length);
        assert_non_null(text);
        assert_int_equal(length, strlen(text));
        assert_string_equal(text, vectors_text(entry, "canonical"));
        assert_string_equal(aegis_sha256_hex(text, length, hex), vectors_text(entry, "sha256"));
        free(text);
        json_decref(value);
    }
    assert_int_equal(refused, 3);
    json_decref(vectors);
}

static void test_numbers(void **state)
{
    json_t *vectors = vectors_load("base/jcs.json"), *entry;
    size_t i;
    (void)state;

    json_array_foreach(vectors_get(vectors, "numbers"), i, entry)
    {
        uint64_t bits = strtoull(vectors_text(entry, "bits"), NULL, 16);
        double number;
        json_t *value;
        char *text;

        memcpy(&number, &bits, sizeof number);
        value = json_real(number);
        text = aegis_json_canonical(value, NULL);
        assert_string_equal(text, vectors_text(entry, "text"));
        free(text);
        json_decref(value);
    }
    json_decref(vectors);
}

/* A power of two whose nearest 16-digit decimal belongs to its lower neighbour; the longest plain forms. */
static void test_number_corners(void **state)
{
    static const struct {
        double number;
        const char *text;
    } cases[] = {{0x1p-44, "5.684341886080802e-14"},
                 {1e21, "1e+21"},
                 {123456789012345678901.0, "123456789012345680000"},
                 {1e-6, "0.000001"},
                 {1e-7, "1e-7"},
                 {0x1p-1074, "5e-324"},
                 {0x1p-1022, "2.2250738585072014e-308"},
                 {1.7976931348623157e308, "1.7976931348623157e+308"},
                 {9007199254740992.0, "9007199254740992"},
                 {-0.0, "0"},
                 {-1.5, "-1.5"}};
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *value = json_real(cases[i].number);
        char *text = aegis_json_compact(value);

        assert_string_equal(text, cases[i].text);
        free(text);
        json_decref(value);
    }
}

/* Each power of two, its neighbours, and a walk over all exponents: what is written is read back as the same
 * double, and no shorter text would be. */
static void test_numbers_round_trip(void **state)
{
    uint64_t seed = 88172645463325252U;
    (void)state;

    for (unsigned i = 0; i < 200000; i++) {
        uint64_t bits;
        double number;
        json_t *value;
        char *text;

        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        bits = i < 3 * 2046 ? ((uint64_t)(i / 3 + 1) << 52) + i % 3 - 1 : seed;
        memcpy(&number, &bits, sizeof number);
        value = json_real(number);
        if (value == NULL) {
            continue; /* jansson knows no infinities */
        }
        text = aegis_json_canonical(value, NULL);
        assert_true(strtod(text, NULL) == number);
        free(text);
        json_decref(value);
    }
}

static void test_no_canonical_form(void **state)
{
    json_t *value = json_pack("{s:[I]}", "a", (json_int_t)9007199254740993);
    char *text;
    (void)state;

    assert_null(aegis_json_canonical(value, NULL));
    text = aegis_json_compact(value);
    assert_string_equal(text, "{\"a\":[9007199254740992]}");
    free(text);
    json_decref(value);
    value = json_integer(-9007199254740992);
    text = aegis_json_canonical(value, NULL);
    assert_string_equal(text, "-9007199254740992");
    free(text);
    json_decref(value);
    assert_null(aegis_json_canonical(NULL, NULL));
}

/* What is written for 8e16 is read as an integer, and written the same again. */
static void test_canonical_is_stable(void **state)
{
    static const char *const texts[] = {"80000000000000000", "-80000000000000000", "123456789012345680"};
    static const char *const refused[] = {"9007199254740993", "-9007199254740993", "1152921504606846976",
                                          "9223372036854775807"};
    (void)state;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *value = parse(texts[i]);
        char *text = aegis_json_canonical(value, NULL);

        assert_string_equal(text, texts[i]);
        free(text);
        json_decref(value);
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        json_t *value = parse(refused[i]);

        assert_null(aegis_json_canonical(value, NULL));
        json_decref(value);
    }
}

static void test_refused(void **state)
{
    static const char *const groups[] = {"refused", "not_json"};
    json_t *vectors = vectors_load("base/jcs.json"), *entry;
    struct aegis_error error;
    size_t i;
    (void)state;

    for (size_t group = 0; group < 2; group++) {
        json_array_foreach(vectors_get(vectors, groups[group]), i, entry)
        {
            json_t *text = json_is_string(entry) ? entry : vectors_get(entry, "input_json");

            error.text[0] = '\0';
            assert_null(aegis_json_parse(json_string_value(text), json_string_length(text), &error));
            assert_non_null(strstr(error.text, "line "));
        }
    }
    json_decref(vectors);
    assert_null(parse("{\"a\":1,\"b\":2,\"a\":1}"));
    assert_null(parse("{\"a\":{\"b\":1,\"\\u0062\":2}}"));
    assert_null(parse("\xef\xbb\xbf{}"));
    assert_null(parse("\"\\u0000\""));
    assert_null(parse("\"\xff\""));
    assert_null(parse("{} {}"));
    assert_null(aegis_json_parse("{}\0", 3, NULL));
}

static void test_deep(void **state)
{
    char *text = aegis_alloc(200001);
    (void)state;

    memset(text, '[', 200000);
    assert_null(parse(text));
    free(text);
}

static void test_many_members(void **state)
{
    json_t *object = json_object();
    char *text, *expected, key[16], *at;
    (void)state;

    for (int i = 999; i >= 0; i--) {
        snprintf(key, sizeof key, "k%03d", i);
        json_object_set_new(object, key, json_integer(i));
    }
    text = aegis_json_canonical(object, NULL);
    expected = at = aegis_alloc(20000);
    for (int i = 0; i < 1000; i++) {
        at += sprintf(at, "%c\"k%03d\":%d", i == 0 ? '{' : ',', i, i);
    }
    strcpy(at, "}");
    assert_string_equal(text, expected);
    free(expected);
    free(text);
    json_decref(object);
}

/* Array indices first and in order, then the rest as inserted; 2^32-1, 01 and -1 are no indices. */
static void test_javascript_order(void **state)
{
    json_t *value =
        parse("{\"b\":1,\"10\":2,\"2\":3,\"a\":4,\"0\":5,\"4294967295\":6,\"4294967294\":7,\"01\":8,"
              "\"-1\":9,\"\":10}");
    char *text = aegis_json_compact(value);
    (void)state;

    assert_string_equal(
        text, "{\"0\":5,\"2\":3,\"10\":2,\"4294967294\":7,\"b\":1,\"a\":4,\"4294967295\":6,\"01\":8,"
              "\"-1\":9,\"\":10}");
    free(text);
    json_decref(value);
}

static const struct aegis_json_field fields[] = {{"name", AEGIS_JSON_STRING, true, 4},
                                                 {"count", AEGIS_JSON_INTEGER, false, 10},
                                                 {"any", AEGIS_JSON_INTEGER, false, 0},
                                                 {"on", AEGIS_JSON_BOOLEAN, false, 0},
                                                 {"object", AEGIS_JSON_OBJECT, false, 0},
                                                 {"list", AEGIS_JSON_ARRAY, false, 2},
                                                 {"amount", AEGIS_JSON_AMOUNT, false, 0},
                                                 {"what", AEGIS_JSON_ANY, false, 0},
                                                 {0}};

static void test_check(void **state)
{
    static const char *const good[] = {
        "{\"name\":\"abcd\"}",
        ("{\"name\":\"\",\"count\":0,\"any\":-5,\"on\":false,\"object\":{},\"list\":[1,2],\"amount\":\"0\","
         "\"what\":[]}"),
        "{\"name\":\"a\",\"count\":10,\"amount\":\"340282366920938463463374607431768211455\"}"};
    static const struct {
        const char *text, *problem;
    } bad[] = {{"[]", "expected an object"},
               {"{}", "name: missing"},
               {"{\"name\":null}", "name: expected a string"},
               {"{\"name\":\"abcde\"}", "name: expected a string of at most 4 bytes"},
               {"{\"name\":\"a\",\"count\":11}", "count: expected an integer from 0 to 10"},
               {"{\"name\":\"a\",\"count\":-1}", "count: expected an integer from 0 to 10"},
               {"{\"name\":\"a\",\"count\":1.0}", "count: expected an integer"},
               {"{\"name\":\"a\",\"on\":1}", "on: expected true or false"},
               {"{\"name\":\"a\",\"object\":[]}", "object: expected an object"},
               {"{\"name\":\"a\",\"list\":[1,2,3]}", "list: expected an array of at most 2 elements"},
               {"{\"name\":\"a\",\"list\":{}}", "list: expected an array"},
               {"{\"name\":\"a\",\"amount\":5}", "amount: expected an amount"},
               {"{\"name\":\"a\",\"amount\":\"-5\"}", "amount: expected an amount"},
               {"{\"name\":\"a\",\"what\":null}", "what: expected a value"},
               {"{\"name\":\"a\",\"other\":1}", "other: unknown field"}};
    struct aegis_error error;
    (void)state;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        json_t *value = parse(good[i]);

        assert_true(aegis_json_check(value, fields, &error));
        json_decref(value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *value = parse(bad[i].text);

        assert_non_null(value);
        assert_false(aegis_json_check(value, fields, &error));
        assert_memory_equal(error.text, bad[i].problem, strlen(bad[i].problem));
        json_decref(value);
    }
    assert_false(aegis_json_check(NULL, fields, NULL));
}

static void test_members(void **state)
{
    json_t *value = parse("{\"t\":\"x\",\"i\":7,\"b\":true}");
    (void)state;

    assert_string_equal(aegis_json_text(value, "t", "y"), "x");
    assert_string_equal(aegis_json_text(value, "i", "y"), "y");
    assert_int_equal(aegis_json_integer(value, "i", 1), 7);
    assert_int_equal(aegis_json_integer(value, "t", 1), 1);
    assert_true(aegis_json_boolean(value, "b", false));
    assert_true(aegis_json_boolean(value, "none", true));
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical_documents),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_number_corners),
        cmocka_unit_test(test_numbers_round_trip),
        cmocka_unit_test(test_no_canonical_form),
        cmocka_unit_test(test_canonical_is_stable),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_many_members),
        cmocka_unit_test(test_javascript_order),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_members),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
