/* The plugin host: what it refuses, in which words, and that nothing of it stays. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/judge/host.h"

static struct aegis_plugins *plugins_in(const char *folder)
{
    json_t *folders = json_pack("[s,s]", "no/such/folder", folder);
    struct aegis_plugins *plugins = aegis_plugins_new(folders);
    json_decref(folders);
    return plugins;
}

/* Whether the object at `file` is mapped. */
static bool loaded(const char *file)
{
    void *object = dlopen(file, RTLD_NOW | RTLD_NOLOAD);
    if (object != NULL)
        dlclose(object);
    return object != NULL;
}

static void refused(const char *folder, const char *name, const char *expected)
{
    struct aegis_error error = {{0}};
    struct aegis_plugins *plugins = plugins_in(folder);
    if (aegis_plugins_get(plugins, name, &error) != NULL)
        fail_msg("%s was accepted", name);
    if (strstr(error.text, expected) == NULL)
        fail_msg("expected \"%s\" in: %s", expected, error.text);
    char file[512];
    snprintf(file, sizeof(file), "%s/%s.so", folder, name);
    assert_false(loaded(file));
    aegis_plugins_free(&plugins);
}

static void test_good_ones(void **state)
{
    static const char *const names[] = {"budget", "guard", "deadswitch", "exec"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct aegis_error error = {{0}};
        struct aegis_plugins *plugins = plugins_in("plugins");
        const struct aegis_policy *policy = aegis_plugins_get(plugins, names[i], &error);
        if (policy == NULL)
            fail_msg("%s", error.text);
        assert_string_equal(policy->name, names[i]);
        assert_ptr_equal(aegis_plugins_get(plugins, names[i], &error), policy);
        aegis_plugins_free(&plugins);
    }
}

static void test_symbols(void **state)
{
    (void)state;
    refused("tests/plugins", "wrong_abi",
            "tests/plugins/wrong_abi.so: symbol aegis_policy: expected abi 1, found 77");
    refused("tests/plugins", "wrong_size", "symbol aegis_policy: expected size ");
    refused("tests/plugins", "lying_size", "expected a struct aegis_policy of 4096 bytes, found ");
    refused("tests/plugins", "wrong_name", "expected the name \"wrong_name\", found \"misbehave\"");
    refused("tests/plugins", "no_symbol", "no_symbol.so: expected the symbol aegis_policy, found none");
}

static void test_names_are_not_paths(void **state)
{
    (void)state;
    refused("tests/plugins", "../plugins/budget", "expected a name of lower-case letters");
    refused("tests/plugins", "/etc/passwd", "expected a name of lower-case letters");
    refused("tests/plugins", "", "expected a name of lower-case letters");
    refused("tests/plugins", "nowhere", "found no nowhere.so in [\"no/such/folder\",\"tests/plugins\"]");
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_files(void **state)
{
    char folder[] = "/tmp/aegis-test-host-XXXXXX", path[512];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/text.so", folder);
    write_file(path, "this is no shared object", 0644);
    refused(folder, "text", "/text.so: ");
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof(path), "%s/open.so", folder);
    write_file(path, "x", 0666);
    refused(folder, "open", "/open.so: expected a regular file that only its owner can write");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    refused(folder, "open", ": expected a folder that only its owner can write");
    assert_int_equal(chmod(folder, 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 65534, 65534), 0);
        refused(folder, "open",
                "/open.so: expected a regular file that only its owner can write, of this user");
    }
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof(path), "%s/folder.so", folder);
    assert_int_equal(mkdir(path, 0755), 0);
    refused(folder, "folder", "/folder.so: expected a regular file");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_sealed(void **state)
{
    struct aegis_error error = {{0}};
    struct aegis_plugins *plugins = plugins_in("plugins");
    (void)state;
    assert_non_null(aegis_plugins_get(plugins, "guard", &error));
    aegis_plugins_seal(plugins);
    assert_non_null(aegis_plugins_get(plugins, "guard", &error));
    assert_null(aegis_plugins_get(plugins, "budget", &error));
    assert_non_null(strstr(error.text, "was not loaded when this process started"));
    aegis_plugins_free(&plugins);
    assert_false(loaded("plugins/guard.so"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_ones),
        cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_names_are_not_paths),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
