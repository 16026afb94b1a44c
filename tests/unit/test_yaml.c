/* YAML as JSON, with lines. */
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
#include "gate/base/yaml.h"

static struct aegis_yaml *parse(const char *text, struct aegis_error *error)
{
    return aegis_yaml_parse("f.yaml", text, strlen(text), error);
}

static void test_values(void **state)
{
    static const struct {
        const char *yaml, *json;
    } cases[] = {
        {"", "null"},
        {"# nothing\n", "null"},
        {"a: 1\nb: -7\nc: +3\nd: 007", "{\"a\":1,\"b\":-7,\"c\":3,\"d\":7}"},
        {"[true, False, TRUE, yes, no, on]", "[true,false,true,\"yes\",\"no\",\"on\"]"},
        {"[~, null, Null, '', \"null\", '~']", "[null,null,null,\"\",\"null\",\"~\"]"},
        {"[1.5, 1., .5, 1e5, .inf, 0x10, 0o7, 1_000, 9223372036854775807, 9223372036854775808]",
         "[\"1.5\",\"1.\",\".5\",\"1e5\",\".inf\",\"0x10\",\"0o7\",\"1_000\",9223372036854775807,"
         "\"9223372036854775808\"]"},
        {"a: 0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
         "{\"a\":\"0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913\"}"},
        {"['1', \"2\", !!str 3, ! 4]", "[\"1\",\"2\",\"3\",\"4\"]"},
        {"a:\n  - b: |\n      x\n      y\n    c: >-\n      p\n      q\n",
         "{\"a\":[{\"b\":\"x\\ny\\n\",\"c\":\"p q\"}]}"},
        {"{\"json\": [1, {\"is\": null}], \"yaml\": true}", "{\"json\":[1,{\"is\":null}],\"yaml\":true}"},
        {"1: a\ntrue: b", "{\"1\":\"a\",\"true\":\"b\"}"},
        {"---\na: &unused x\n...\n", "{\"a\":\"x\"}"},
        {"t: 2026-11-20\nu: \"\\u00e9\"", "{\"t\":\"2026-11-20\",\"u\":\"\xc3\xa9\"}"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct aegis_error error = {""};
        struct aegis_yaml *yaml = parse(cases[i].yaml, &error);
        char *text;

        if (yaml == NULL) {
            fail_msg("%s: %s", cases[i].yaml, error.text);
        }
        text = json_dumps(aegis_yaml_root(yaml), JSON_COMPACT | JSON_ENCODE_ANY);
        /* 9223372036854775807 has no exact double, so not aegis_json_compact. */
        assert_string_equal(text, cases[i].json);
        free(text);
        aegis_yaml_free(yaml);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *yaml, *problem;
    } cases[] = {
        {"a: &x 1\nb: *x", "f.yaml:2: aliases are not supported"},
        {"a: 1\nb: 2\na: 3", "f.yaml:3: duplicate key a"},
        {"a: 1\n---\nb: 2", "f.yaml:3: more than one document"},
        {"? [a, b]\n: c", "f.yaml:1: a key must be a text"},
        {"a: !!int 5", "f.yaml:1: tags other than !!str are not supported"},
        {"a: !mine {}", "f.yaml:1: tags other than !!str are not supported"},
        {"a: \"x\\0y\"", "f.yaml:1: a text that is not UTF-8 or holds a NUL"},
        {"a:\n  - b\n c: d", "f.yaml:3: "},
        {"a: [1, 2", "f.yaml:"},
        {"a: \xff\xfe", "f.yaml:"},
        {"\ta: 1", "f.yaml:1: "},
        {"<<: *x", "f.yaml:1: aliases"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct aegis_error error = {""};

        assert_null(parse(cases[i].yaml, &error));
        assert_memory_equal(error.text, cases[i].problem, strlen(cases[i].problem));
    }
}

static void test_depth_and_size(void **state)
{
    struct aegis_error error = {""};
    char *text = aegis_alloc(300001);
    (void)state;

    memset(text, '[', 32);
    memset(text + 32, ']', 32);
    struct aegis_yaml *yaml = parse(text, &error);
    assert_non_null(yaml);
    aegis_yaml_free(yaml);
    memset(text, '[', 33);
    memset(text + 33, ']', 33);
    assert_null(parse(text, &error));
    assert_non_null(strstr(error.text, "nested too deep"));
    memset(text, '[', 200000);
    assert_null(parse(text, &error));
    for (size_t i = 0; i < 100001; i++) {
        memcpy(text + 2 * i, "-\n", 2);
    }
    text[200002] = '\0';
    assert_null(parse(text, &error));
    assert_non_null(strstr(error.text, "too many values"));
    free(text);
}

static void test_lines(void **state)
{
    struct aegis_yaml *yaml = parse("# head\na: 1\nb:\n  - x\n  - y: true\n    z: ~\n", NULL);
    json_t *root, *list;
    (void)state;

    assert_non_null(yaml);
    root = aegis_yaml_root(yaml);
    list = json_object_get(root, "b");
    assert_int_equal(aegis_yaml_line(yaml, root), 2);
    assert_int_equal(aegis_yaml_line(yaml, json_object_get(root, "a")), 2);
    assert_int_equal(aegis_yaml_line(yaml, json_array_get(list, 0)), 4);
    assert_int_equal(aegis_yaml_line(yaml, json_array_get(list, 1)), 5);
    assert_int_equal(aegis_yaml_line(yaml, json_true()), 0);
    assert_int_equal(aegis_yaml_line(yaml, NULL), 0);
    assert_int_equal(aegis_yaml_key_line(yaml, root, "b"), 3);
    assert_int_equal(aegis_yaml_key_line(yaml, json_array_get(list, 1), "y"), 5);
    assert_int_equal(aegis_yaml_key_line(yaml, json_array_get(list, 1), "z"), 6);
    assert_int_equal(aegis_yaml_key_line(yaml, root, "none"), 0);
    aegis_yaml_free(yaml);
    aegis_yaml_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depth_and_size),
        cmocka_unit_test(test_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
