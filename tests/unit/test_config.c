/* The configuration: the sample documents every option and says what the defaults are; every mistake is
 * answered with file, line, field and expectation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/daemon/config.h"
#include "gate/daemon/home.h"
#include "gate/daemon/options.h"

static char *sample_text(void)
{
    const char *folder = getenv("srcdir");
    char *path = aegis_format("%s/contrib/aegis.yaml", folder == NULL ? "." : folder);
    struct aegis_error error;
    size_t size;
    char *text = aegis_file_read(path, 1 << 20, AEGIS_FILE_ANY, &size, &error);

    if (text == NULL)
        fail_msg("%s", error.text);
    free(path);
    return text;
}

/* In the sample, prose is `# prose`; an option is `#option: value`, and the options in it are indented as
 * usual. */
static char *uncomment(const char *text)
{
    char *out = aegis_alloc(strlen(text) + 1), *to = out;

    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n") + 1, skip = line[0] == '#' && strncmp(line, "# ", 2) != 0;

        skip = skip || strncmp(line, "#  ", 3) == 0;
        if (line[0] != '#' || skip) {
            memcpy(to, line + skip, length - skip);
            to += length - skip;
        } else {
            *to++ = '\n';
        }
        line += length;
    }
    return out;
}

static struct aegis_config *parse(const char *text)
{
    struct aegis_error error;
    struct aegis_config *config = aegis_config_parse("/etc/aegis.yaml", text, strlen(text), &error);

    if (config == NULL)
        fail_msg("%s", error.text);
    return config;
}

static void sample_is_all_defaults(void **state)
{
    char *text = sample_text();
    struct aegis_config *config = parse(text), *nothing = parse("");

    (void)state;
    for (const struct aegis_option *option = NULL; (option = aegis_option_next("", option)) != NULL;)
        assert_true(
            json_equal(aegis_config_get(config, option->name), aegis_config_get(nothing, option->name)) ||
            (aegis_config_get(config, option->name) == NULL &&
             aegis_config_get(nothing, option->name) == NULL));
    aegis_config_free(&config);
    aegis_config_free(&nothing);
    free(text);
}

/* The value that the whole sample has for a row of the table, looked for in every element of lists. */
static const json_t *find_value(const json_t *at, const char *name)
{
    size_t length = strcspn(name, ".");
    bool list = length > 2 && strncmp(name + length - 2, "[]", 2) == 0;
    const json_t *value = json_object_getn(at, name, list ? length - 2 : length), *found = NULL;

    if (name[length] == '\0')
        return value;
    if (!list)
        return find_value(value, name + length + 1);
    for (size_t i = 0; found == NULL && i < json_array_size(value); i++)
        found = find_value(json_array_get(value, i), name + length + 1);
    return found;
}

/* As text, for options in lists as well, whose values are found through their list. */
static json_t *whole_tree(const struct aegis_config *config)
{
    json_t *tree = json_object();

    for (const struct aegis_option *option = NULL; (option = aegis_option_next("", option)) != NULL;)
        if (aegis_config_get(config, option->name) != NULL)
            json_object_set_new(tree, option->name, json_deep_copy(aegis_config_get(config, option->name)));
    return tree;
}

static void sample_documents_every_option(void **state)
{
    char *text = sample_text(), *all = uncomment(text);
    struct aegis_config *config = parse(all);
    json_t *tree = whole_tree(config);

    (void)state;
    for (const struct aegis_option *option = aegis_options; option->name != NULL; option++) {
        char *line = aegis_format("%s:", aegis_option_leaf(option));
        if (strstr(all, line) == NULL || find_value(tree, option->name) == NULL)
            fail_msg("contrib/aegis.yaml does not document %s", option->name);
        free(line);
    }
    json_decref(tree);
    aegis_config_free(&config);
    free(all);
    free(text);
}

static void sample_states_the_defaults(void **state)
{
    char *text = sample_text(), *all = uncomment(text);
    struct aegis_config *config = parse(all);
    json_t *tree = whole_tree(config);

    (void)state;
    for (const struct aegis_option *option = aegis_options; option->name != NULL; option++) {
        json_t *fallback = aegis_option_default(option);
        if (fallback != NULL && !json_equal(find_value(tree, option->name), fallback))
            fail_msg("contrib/aegis.yaml states another default of %s", option->name);
        json_decref(fallback);
    }
    json_decref(tree);
    aegis_config_free(&config);
    free(all);
    free(text);
}

static const struct {
    const char *text;
    const char *expected;
} mistakes[] = {
    {"- a\n", "/etc/aegis.yaml:1: expected a mapping of options"},
    {"wrokers: 2\n", "/etc/aegis.yaml:1: wrokers: there is no such option here, the nearest is `workers`"},
    {"operator: x\npayment:\n  lifetime: 3\n",
     "/etc/aegis.yaml:3: payment.lifetime: there is no such option here, the nearest is `lifetime_seconds`"},
    {"payment.lifetime_seconds: 30\n",
     "/etc/aegis.yaml:1: payment.lifetime_seconds: there is no such option here, the nearest is `payment`"},
    {"workers: two\n", "/etc/aegis.yaml:1: workers: expected an integer from 0 to 64, found \"two\""},
    {"workers: 65\n", "/etc/aegis.yaml:1: workers: expected an integer from 0 to 64, found 65"},
    {"workers: -1\n", "/etc/aegis.yaml:1: workers: expected an integer from 0 to 64, found -1"},
    {"workers: 1.5\n", "/etc/aegis.yaml:1: workers: expected an integer from 0 to 64, found \"1.5\""},
    {"workers:\n", "/etc/aegis.yaml:1: workers: expected an integer from 0 to 64, found nothing"},
    {"workers: true\n", "/etc/aegis.yaml:1: workers: expected an integer from 0 to 64, found true"},
    {"operator: [a]\n",
     "/etc/aegis.yaml:1: operator: expected a text of at most 256 printable bytes, found a list"},
    {"log:\n  level: loud\n",
     "/etc/aegis.yaml:2: log.level: expected one of error|warning|info|debug, found \"loud\""},
    {"log: debug\n", "/etc/aegis.yaml:1: log: expected a mapping, found \"debug\""},
    {"log:\n", "/etc/aegis.yaml:1: log: expected a mapping, found nothing"},
    {"listeners: none\n", "/etc/aegis.yaml:1: listeners: expected a list"},
    {"listeners: []\n", "/etc/aegis.yaml:1: listeners: expected at least one"},
    {"listeners:\n  - agents\n", "/etc/aegis.yaml:2: listeners[0]: expected a mapping"},
    {"listeners:\n  - name: a\n", "/etc/aegis.yaml:2: listeners[0].address: required, and missing"},
    {"listeners:\n  - name: a b\n    address: 127.0.0.1:1\n",
     "/etc/aegis.yaml:2: listeners[0].name: expected a name of at most 100 letters, digits, `-`, `_` and "
     "`.`, found \"a "
     "b\""},
    {"listeners:\n  - name: a\n    address: localhost:8402\n",
     "/etc/aegis.yaml:3: listeners[0].address: expected IPV4:PORT, [IPV6]:PORT or unix:/PATH, found "
     "\"localhost:8402\""},
    {"listeners:\n  - name: a\n    address: 127.0.0.1:65536\n",
     "/etc/aegis.yaml:3: listeners[0].address: expected IPV4:PORT, [IPV6]:PORT or unix:/PATH, found "
     "\"127.0.0.1:65536\""},
    {"listeners:\n  - name: a\n    address: '::1:8402'\n",
     "/etc/aegis.yaml:3: listeners[0].address: expected IPV4:PORT, [IPV6]:PORT or unix:/PATH, found "
     "\"::1:8402\""},
    {"listeners:\n  - {name: a, address: '127.0.0.1:1'}\n  - {name: a, address: '127.0.0.1:2'}\n",
     "/etc/aegis.yaml:3: listeners[1].name: \"a\" stands in listeners[0] already"},
    {"listeners:\n  - {name: a, address: '127.0.0.1:1'}\n  - {name: b, address: '127.0.0.1:1'}\n",
     "/etc/aegis.yaml:3: listeners[1].address: \"127.0.0.1:1\" stands in listeners[0] already"},
    {"listeners:\n  - {name: a, address: '127.0.0.1:1', mode: reverse}\n",
     "/etc/aegis.yaml:2: listeners[0].routes: a listener with mode reverse needs at least one"},
    {"listeners:\n  - {name: a, address: '127.0.0.1:1', routes: [{prefix: /, upstream: 'http://x'}]}\n",
     "/etc/aegis.yaml:2: listeners[0].routes: only a listener with mode reverse has routes"},
    {"listeners:\n  - name: a\n    address: 127.0.0.1:1\n    mode: reverse\n    routes:\n      - prefix: "
     "api\n"
     "        upstream: http://x\n",
     "/etc/aegis.yaml:6: listeners[0].routes[0].prefix: expected the beginning of a path, such as /api/, "
     "found "
     "\"api\""},
    {"listeners:\n  - name: a\n    address: 127.0.0.1:1\n    mode: reverse\n    routes:\n      - prefix: /\n"
     "        upstream: ftp://x\n",
     "/etc/aegis.yaml:7: listeners[0].routes[0].upstream: expected http://HOST[:PORT][/PATH] or the same "
     "with https, "
     "found \"ftp://x\""},
    {"listeners:\n  - name: a\n    address: 0.0.0.0:1\n    owner: {agent: x, wallet: w, policies: [], "
     "passphrase_file: p}\n",
     "/etc/aegis.yaml:2: listeners[0].address: a listener with an owner must be a Unix socket or a loopback "
     "address"},
    {"listeners:\n  - name: a\n    address: 127.0.0.1:1\n    owner: {agent: x, wallet: w, policies: []}\n",
     "/etc/aegis.yaml:2: listeners[0].owner: expected exactly one of passphrase_file, passphrase_credential "
     "and "
     "passphrase_descriptor, found 0"},
    {"listeners:\n  - name: a\n    address: 127.0.0.1:1\n    owner: {agent: x, wallet: w, policies: [], "
     "passphrase_file: p, passphrase_descriptor: 5}\n",
     "/etc/aegis.yaml:2: listeners[0].owner: expected exactly one of passphrase_file, passphrase_credential "
     "and "
     "passphrase_descriptor, found 2"},
    {"listeners:\n  - name: a\n    address: 127.0.0.1:1\n    owner: {agent: x, wallet: w, passphrase_file: "
     "p}\n",
     "/etc/aegis.yaml:4: listeners[0].owner.policies: required, and missing"},
    {"listeners:\n  - name: a\n    address: 127.0.0.1:1\n    owner: {agent: x, wallet: w, policies: [], "
     "uids: [1], "
     "passphrase_file: p}\n",
     "/etc/aegis.yaml:2: listeners[0].owner.uids: only a Unix socket knows who connects"},
    {"networks:\n  - network: base\n    rpc: http://x\n",
     "/etc/aegis.yaml:2: networks[0].network: expected a network such as eip155:8453, found \"base\""},
    {"networks:\n  - network: eip155:8453\n    rpc: node.example\n",
     "/etc/aegis.yaml:3: networks[0].rpc: expected http://HOST[:PORT][/PATH] or the same with https, found "
     "\"node.example\""},
    {"networks:\n  - {network: 'eip155:1', rpc: 'http://x'}\n  - {network: 'eip155:1', rpc: 'http://y'}\n",
     "/etc/aegis.yaml:3: networks[1].network: \"eip155:1\" stands in networks[0] already"},
    {"assets:\n  - network: eip155:1\n    address: '0x12'\n    symbol: X\n    decimals: 6\n    name: X\n"
     "    version: '1'\n",
     "/etc/aegis.yaml:3: assets[0].address: expected a contract's address: 0x and 40 hex digits, right "
     "checksum, found "
     "\"0x12\""},
    {"assets:\n  - network: eip155:1\n    address: '0x0000000000000000000000000000000000000001'\n    symbol: "
     "X\n"
     "    decimals: 19\n    name: X\n    version: '1'\n",
     "/etc/aegis.yaml:5: assets[0].decimals: expected an integer from 0 to 18, found 19"},
    {"preference: [eip155:8453/USDC, 'a b']\n",
     "/etc/aegis.yaml:1: preference[1]: expected NETWORK/SYMBOL, NETWORK or SYMBOL, found \"a b\""},
    {"addresses:\n  refused:\n    - 10.0.0.0/33\n", "/etc/aegis.yaml:3: addresses.refused[0]: expected a "
                                                    "network block such as 10.0.0.0/8 or fd00::/8, all "
                                                    "zero behind its prefix, found \"10.0.0.0/33\""},
    {"addresses:\n  allowed: [10.0.0.0/8, fd00::/8, 0.0.0.0/0, 10.0.0.1/32, 10.0.0.1/8]\n",
     "/etc/aegis.yaml:2: addresses.allowed[4]: expected a network block such as 10.0.0.0/8 or fd00::/8, all "
     "zero behind its prefix, found \"10.0.0.1/8\""},
    {"upstream:\n  free_origins: ['http://x']\n",
     "/etc/aegis.yaml:2: upstream.free_origins[0]: expected HOST or HOST:PORT, found \"http://x\""},
    {"policies: default-budget\n", "/etc/aegis.yaml:1: policies: expected a list"},
    {"judge:\n  timeout_ms: 0\n",
     "/etc/aegis.yaml:2: judge.timeout_ms: expected an integer from 50 to 120000, found 0"},
};

static void mistakes_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        struct aegis_error error = {""};
        struct aegis_config *config =
            aegis_config_parse("/etc/aegis.yaml", mistakes[i].text, strlen(mistakes[i].text), &error);

        assert_null(config);
        assert_string_equal(error.text, mistakes[i].expected);
    }
}

static void defaults_stand_where_nothing_was_written(void **state)
{
    struct aegis_config *config = parse("# nothing\n");
    const json_t *listener = json_array_get(aegis_config_get(config, "listeners"), 0);

    (void)state;
    assert_string_equal(aegis_json_text(listener, "address", ""), "127.0.0.1:8402");
    assert_int_equal(aegis_config_integer(config, "payment.lifetime_seconds"), 60);
    assert_string_equal(aegis_config_text(config, "log.level"), "info");
    assert_null(aegis_config_get(config, "addresses.refused"));
    assert_null(aegis_config_text(config, "upstream.ca_file"));
    aegis_config_free(&config);
}

static void json_is_yaml(void **state)
{
    struct aegis_config *config = parse("{\"workers\": 3, \"log\": {\"level\": \"debug\"}}");

    (void)state;
    assert_int_equal(aegis_config_integer(config, "workers"), 3);
    assert_string_equal(aegis_config_text(config, "log.level"), "debug");
    aegis_config_free(&config);
}

static void paths_become_absolute(void **state)
{
    struct aegis_config *config =
        parse("home: state\nvault: ~/v\njudge:\n  plugin_path: [/a, b]\nupstream:\n  ca_file: ca.pem\n");
    const json_t *path = aegis_config_get(config, "judge.plugin_path");
    char *vault = aegis_home_expand("~/v", "/");

    (void)state;
    assert_string_equal(aegis_config_home(config), "/etc/state");
    assert_string_equal(aegis_config_vault(config), vault);
    assert_string_equal(json_string_value(json_array_get(path, 0)), "/a");
    assert_string_equal(json_string_value(json_array_get(path, 1)), "/etc/b");
    assert_string_equal(aegis_config_text(config, "upstream.ca_file"), "/etc/ca.pem");
    free(vault);
    aegis_config_free(&config);
}

static void count(const char *name, void *context)
{
    (void)name;
    ++*(unsigned *)context;
}

static void a_reload_keeps_what_needs_a_restart(void **state)
{
    struct aegis_config *running =
        parse("home: /a\nworkers: 2\noperator: x\naddresses: {refused: [10.0.0.0/8]}\n");
    struct aegis_config *wanted = parse("home: /b\nworkers: 3\noperator: y\nupstream: {ca_file: /c}\n");
    unsigned changes = 0;

    (void)state;
    aegis_config_keep(wanted, running, count, &changes);
    assert_int_equal(changes, 4);
    assert_string_equal(aegis_config_home(wanted), "/a");
    assert_int_equal(aegis_config_integer(wanted, "workers"), 2);
    assert_string_equal(aegis_config_text(wanted, "operator"), "y");
    assert_non_null(aegis_config_get(wanted, "addresses.refused"));
    assert_null(aegis_config_get(wanted, "upstream.ca_file"));
    aegis_config_free(&running);
    aegis_config_free(&wanted);
}

static void every_option_says_what_it_means(void **state)
{
    (void)state;
    for (const struct aegis_option *option = aegis_options; option->name != NULL; option++) {
        json_t *fallback = aegis_option_default(option);
        struct aegis_error error;

        assert_true(strlen(option->meaning) > 5 && strlen(option->meaning) < 120);
        if (fallback != NULL && !option->many && !aegis_option_check(option, fallback, &error))
            fail_msg("%s: %s", option->name, error.text);
        json_decref(fallback);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_says_what_it_means),
        cmocka_unit_test(defaults_stand_where_nothing_was_written),
        cmocka_unit_test(json_is_yaml),
        cmocka_unit_test(paths_become_absolute),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(sample_is_all_defaults),
        cmocka_unit_test(sample_documents_every_option),
        cmocka_unit_test(sample_states_the_defaults),
        cmocka_unit_test(a_reload_keeps_what_needs_a_restart),
    };

    aegis_log_open("test", AEGIS_LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
