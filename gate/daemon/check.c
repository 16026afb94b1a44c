#include "gate/daemon/check.h"

#include <stdarg.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/daemon/values.h"
#include "gate/x402/asset.h"

struct checker {
    const char *file;
    const struct aegis_yaml *yaml;
    struct aegis_error *error;
};

/* `list` and `index` say where to find the line: element `index` of the top-level list as it was written. */
static bool fail(const struct checker *checker, const char *list, size_t index, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static bool fail(const struct checker *checker, const char *list, size_t index, const char *format, ...)
{
    const json_t *element = json_array_get(json_object_get(aegis_yaml_root(checker->yaml), list), index);
    char text[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return aegis_error_set(checker->error, "%s:%u: %s[%zu]%s", checker->file,
                           aegis_yaml_line(checker->yaml, element), list, index, text);
}

/* No two elements of the list may say the same under `name`. */
static bool check_unique(const struct checker *checker, const json_t *tree, const char *list,
                         const char *name)
{
    const json_t *elements = json_object_get(tree, list);

    for (size_t i = 0; i < json_array_size(elements); i++) {
        const char *mine = aegis_json_text(json_array_get(elements, i), name, "");
        for (size_t j = 0; j < i; j++)
            if (strcmp(mine, aegis_json_text(json_array_get(elements, j), name, "")) == 0)
                return fail(checker, list, i, ".%s: \"%s\" stands in %s[%zu] already", name, mine, list, j);
    }
    return true;
}

static bool check_routes(const struct checker *checker, const json_t *listener, size_t index)
{
    const json_t *routes = json_object_get(listener, "routes");
    bool reverse = strcmp(aegis_json_text(listener, "mode", ""), "reverse") == 0;

    if (!reverse && routes != NULL)
        return fail(checker, "listeners", index, ".routes: only a listener with mode reverse has routes");
    if (reverse && json_array_size(routes) == 0)
        return fail(checker, "listeners", index, ".routes: a listener with mode reverse needs at least one");
    for (size_t i = 0; i < json_array_size(routes); i++)
        for (size_t j = 0; j < i; j++)
            if (json_equal(json_object_get(json_array_get(routes, i), "prefix"),
                           json_object_get(json_array_get(routes, j), "prefix")))
                return fail(checker, "listeners", index, ".routes[%zu].prefix: stands in routes[%zu] already",
                            i, j);
    return true;
}

bool aegis_check_is_local(const json_t *listener)
{
    struct sockaddr_storage address;
    socklen_t size;

    return aegis_value_address(aegis_json_text(listener, "address", ""), &address, &size) &&
           aegis_value_is_local(&address);
}

/* Whoever reaches an owner's listener can spend, so nobody else may. */
static bool check_owner(const struct checker *checker, const json_t *listener, size_t index)
{
    static const char *const sources[] = {"passphrase_file", "passphrase_credential",
                                          "passphrase_descriptor"};
    const json_t *owner = json_object_get(listener, "owner");
    int given = 0;

    if (owner == NULL)
        return true;
    for (size_t i = 0; i < 3; i++)
        given += json_object_get(owner, sources[i]) != NULL;
    if (given != 1)
        return fail(checker, "listeners", index,
                    ".owner: expected exactly one of passphrase_file, passphrase_credential and "
                    "passphrase_descriptor, found %d",
                    given);
    if (!aegis_check_is_local(listener))
        return fail(checker, "listeners", index,
                    ".address: a listener with an owner must be a Unix socket or a loopback address");
    if (json_object_get(owner, "uids") != NULL &&
        strncmp(aegis_json_text(listener, "address", ""), "unix:", 5) != 0)
        return fail(checker, "listeners", index, ".owner.uids: only a Unix socket knows who connects");
    return true;
}

static bool check_listeners(const struct checker *checker, const json_t *tree)
{
    const json_t *listeners = json_object_get(tree, "listeners");

    if (listeners != NULL && json_array_size(listeners) == 0)
        return aegis_error_set(
            checker->error, "%s:%u: listeners: expected at least one", checker->file,
            aegis_yaml_key_line(checker->yaml, aegis_yaml_root(checker->yaml), "listeners"));
    for (size_t i = 0; i < json_array_size(listeners); i++)
        if (!check_routes(checker, json_array_get(listeners, i), i) ||
            !check_owner(checker, json_array_get(listeners, i), i))
            return false;
    return check_unique(checker, tree, "listeners", "name") &&
           check_unique(checker, tree, "listeners", "address");
}

static bool check_assets(const struct checker *checker, const json_t *tree)
{
    const json_t *assets = json_object_get(tree, "assets");
    struct aegis_assets *known;
    bool done = true;

    for (size_t i = 0; done && i < json_array_size(assets); i++) {
        struct aegis_error problem;
        json_t *one = json_pack("[O]", json_array_get(assets, i));

        known = aegis_assets_new();
        done = aegis_assets_add(known, one, &problem);
        aegis_assets_free(&known);
        json_decref(one);
        if (!done) /* it speaks of assets[0] */
            fail(checker, "assets", i, "%s",
                 strncmp(problem.text, "assets[0]", 9) == 0 ? problem.text + 9 : problem.text);
    }
    return done;
}

bool aegis_config_check(const char *file, const struct aegis_yaml *yaml, const json_t *tree,
                        struct aegis_error *error)
{
    const struct checker checker = {file, yaml, error};

    return check_listeners(&checker, tree) && check_unique(&checker, tree, "networks", "network") &&
           check_assets(&checker, tree);
}
