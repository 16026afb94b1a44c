#include "gate/daemon/config.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/base/yaml.h"
#include "gate/daemon/check.h"
#include "gate/daemon/home.h"
#include "gate/daemon/options.h"

enum { FILE_LIMIT = 4 << 20 };

struct aegis_config {
    json_t *tree;
    struct aegis_yaml *yaml; /* as it was written, for the line numbers of later complaints */
    char *file;
    char *home;
    char *vault;
};

struct reader {
    const struct aegis_yaml *yaml;
    const char *file;
    char *folder;
    struct aegis_error *error;
};

/* `where` is a concrete place ("listeners[0].owner"), `parent` its name in the table
 * ("listeners[].owner"). */
static json_t *read_mapping(const struct reader *reader, const char *parent, const char *where,
                            const json_t *mapping, unsigned line);

static char *below(const char *parent, const char *name)
{
    return parent[0] == '\0' ? aegis_strdup(name) : aegis_format("%s.%s", parent, name);
}

static unsigned element_line(const struct reader *reader, const json_t *value, unsigned otherwise)
{
    unsigned line = aegis_yaml_line(reader->yaml, value);

    return line == 0 ? otherwise : line;
}

static json_t *read_one(const struct reader *reader, const struct aegis_option *option, const char *where,
                        const json_t *value, unsigned line)
{
    char *path;
    json_t *out;

    if (!aegis_option_check(option, value, reader->error)) {
        aegis_error_prefix(reader->error, "%s:%u: %s", reader->file, line, where);
        return NULL;
    }
    if (option->type == AEGIS_OPTION_SECTION)
        return read_mapping(reader, option->name, where, value, line);
    if (option->type != AEGIS_OPTION_PATH)
        return json_deep_copy(value);
    path = aegis_home_expand(json_string_value(value), reader->folder);
    out = json_string(path);
    free(path);
    return out;
}

/* The elements of a list of sections are read as mappings with the list's name and `[]` as parent, those of a
 * list of values as values of the option itself. */
static json_t *read_element(const struct reader *reader, const struct aegis_option *option, const char *where,
                            const json_t *value, unsigned line)
{
    char *parent;
    json_t *out;

    if (option->type != AEGIS_OPTION_LIST)
        return read_one(reader, option, where, value, line);
    if (!json_is_object(value)) {
        aegis_error_set(reader->error, "%s:%u: %s: expected a mapping", reader->file, line, where);
        return NULL;
    }
    parent = aegis_format("%s[]", option->name);
    out = read_mapping(reader, parent, where, value, line);
    free(parent);
    return out;
}

static json_t *read_list(const struct reader *reader, const struct aegis_option *option, const char *where,
                         const json_t *list, unsigned line)
{
    json_t *out = json_array(), *value, *read = NULL;
    size_t i;

    if (!json_is_array(list)) {
        aegis_error_set(reader->error, "%s:%u: %s: expected a list", reader->file, line, where);
        json_decref(out);
        return NULL;
    }
    json_array_foreach(list, i, value)
    {
        char *at = aegis_format("%s[%zu]", where, i);
        read = read_element(reader, option, at, value, element_line(reader, value, line));
        free(at);
        if (read == NULL || json_array_append_new(out, read) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static bool check_names(const struct reader *reader, const char *parent, const char *where,
                        const json_t *mapping)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)mapping, key, value)
    {
        char *name = below(parent, key), *at = below(where, key);
        bool known = aegis_option_find(name) != NULL && strchr(key, '.') == NULL;

        if (!known)
            aegis_error_set(reader->error, "%s:%u: %s: there is no such option here, the nearest is `%s`",
                            reader->file, aegis_yaml_key_line(reader->yaml, mapping, key), at,
                            aegis_option_nearest(parent, key));
        free(name);
        free(at);
        if (!known)
            return false;
    }
    return true;
}

/* What stands in the file, or else the default; *out stays NULL when there is neither. */
static bool read_option(const struct reader *reader, const struct aegis_option *option, const char *where,
                        const json_t *mapping, unsigned line, json_t **out)
{
    const json_t *value = json_object_get(mapping, aegis_option_leaf(option));
    bool listed = option->many || option->type == AEGIS_OPTION_LIST;

    if (value != NULL) {
        line = aegis_yaml_key_line(reader->yaml, mapping, aegis_option_leaf(option));
        *out = listed ? read_list(reader, option, where, value, line)
                      : read_one(reader, option, where, value, line);
        return *out != NULL;
    }
    if (option->required)
        return aegis_error_set(reader->error, "%s:%u: %s: required, and missing", reader->file, line, where);
    /* The sections of the file itself are there even when nobody wrote them; those in lists mean
     * something. */
    if (option->type == AEGIS_OPTION_SECTION && strchr(option->name, '.') == NULL) {
        json_t *nothing = json_object();
        *out = read_mapping(reader, option->name, where, nothing, line);
        json_decref(nothing);
        return *out != NULL;
    }
    *out = aegis_option_default(option);
    return true;
}

static json_t *read_mapping(const struct reader *reader, const char *parent, const char *where,
                            const json_t *mapping, unsigned line)
{
    json_t *out = json_object();
    bool done = check_names(reader, parent, where, mapping);

    for (const struct aegis_option *option = NULL;
         done && (option = aegis_option_next(parent, option)) != NULL;) {
        char *at = below(where, aegis_option_leaf(option));
        json_t *value = NULL;

        done = read_option(reader, option, at, mapping, line, &value);
        if (value != NULL)
            json_object_set_new(out, aegis_option_leaf(option), value);
        free(at);
    }
    if (done)
        return out;
    json_decref(out);
    return NULL;
}

/* The folder that relative paths start from. */
static char *folder_of(const char *file)
{
    char *copy = aegis_strdup(file), *here = getcwd(NULL, 0);
    char *folder = aegis_home_expand(dirname(copy), here == NULL ? "" : here);

    free(copy);
    free(here);
    return folder;
}

static void add_default_listener(json_t *tree)
{
    if (json_object_get(tree, "listeners") == NULL)
        json_object_set_new(
            tree, "listeners",
            json_pack("[{s:s,s:s,s:s}]", "name", "agents", "address", "127.0.0.1:8402", "mode", "forward"));
}

static json_t *read_tree(const struct reader *reader)
{
    const json_t *root = aegis_yaml_root(reader->yaml);
    json_t *empty = json_object(), *tree = NULL;

    if (json_is_null(root))
        root = empty; /* a file of comments: all defaults */
    if (!json_is_object(root))
        aegis_error_set(reader->error, "%s:1: expected a mapping of options", reader->file);
    else
        tree = read_mapping(reader, "", "", root, 1);
    if (tree != NULL && !aegis_config_check(reader->file, reader->yaml, tree, reader->error)) {
        json_decref(tree);
        tree = NULL;
    }
    json_decref(empty);
    return tree;
}

static struct aegis_config *make(const char *file, struct aegis_yaml *yaml, json_t *tree)
{
    struct aegis_config *config = aegis_alloc(sizeof(*config));
    const char *home = aegis_json_text(tree, "home", NULL), *vault = aegis_json_text(tree, "vault", NULL);

    add_default_listener(tree);
    config->tree = tree;
    config->yaml = yaml;
    config->file = aegis_strdup(file);
    config->home = home != NULL ? aegis_strdup(home) : aegis_home_default();
    config->vault = vault != NULL ? aegis_strdup(vault) : aegis_vault_default(config->home);
    return config;
}

struct aegis_config *aegis_config_parse(const char *file, const char *text, size_t length,
                                        struct aegis_error *error)
{
    struct aegis_yaml *yaml = aegis_yaml_parse(file, text, length, error);
    struct reader reader = {.yaml = yaml, .file = file, .error = error};
    json_t *tree;

    if (yaml == NULL)
        return NULL;
    reader.folder = folder_of(file);
    tree = read_tree(&reader);
    free(reader.folder);
    if (tree != NULL)
        return make(file, yaml, tree);
    aegis_yaml_free(yaml);
    return NULL;
}

struct aegis_config *aegis_config_load(const char *file, struct aegis_error *error)
{
    size_t size;
    char *text = aegis_file_read(file, FILE_LIMIT, AEGIS_FILE_TRUSTED, &size, error);
    struct aegis_config *config = text == NULL ? NULL : aegis_config_parse(file, text, size, error);

    free(text);
    return config;
}

void aegis_config_free(struct aegis_config **config)
{
    if (*config == NULL)
        return;
    json_decref((*config)->tree);
    aegis_yaml_free((*config)->yaml);
    free((*config)->file);
    free((*config)->home);
    free((*config)->vault);
    free(*config);
    *config = NULL;
}

/* The mapping that holds the option, and what it is called there. */
static json_t *holder(const struct aegis_config *config, const char *name, const char **leaf)
{
    json_t *at = config->tree;
    const char *dot;

    AEGIS_ASSERT(aegis_option_find(name) != NULL);
    while ((dot = strchr(name, '.')) != NULL) {
        at = json_object_getn(at, name, (size_t)(dot - name));
        name = dot + 1;
    }
    *leaf = name;
    return at;
}

const json_t *aegis_config_get(const struct aegis_config *config, const char *name)
{
    const char *leaf;
    json_t *at = holder(config, name, &leaf);

    return json_object_get(at, leaf);
}

const char *aegis_config_text(const struct aegis_config *config, const char *name)
{
    return json_string_value(aegis_config_get(config, name));
}

int64_t aegis_config_integer(const struct aegis_config *config, const char *name)
{
    const json_t *value = aegis_config_get(config, name);

    AEGIS_ASSERT(json_is_integer(value));
    return json_integer_value(value);
}

const char *aegis_config_home(const struct aegis_config *config)
{
    return config->home;
}

const char *aegis_config_vault(const struct aegis_config *config)
{
    return config->vault;
}

const char *aegis_config_file(const struct aegis_config *config)
{
    return config->file;
}

char *aegis_config_path(const struct aegis_config *config, const char *name)
{
    return aegis_format("%s/%s", config->home, name);
}

unsigned aegis_config_line(const struct aegis_config *config, const char *list, size_t index)
{
    const json_t *written = json_object_get(aegis_yaml_root(config->yaml), list);

    return aegis_yaml_line(config->yaml, json_array_get(written, index));
}

static void keep_text(char **mine, const char *running)
{
    free(*mine);
    *mine = aegis_strdup(running);
}

static void keep_option(struct aegis_config *config, const struct aegis_config *running, const char *name,
                        void (*changed)(const char *name, void *context), void *context)
{
    const json_t *value = aegis_config_get(running, name), *mine = aegis_config_get(config, name);
    const char *leaf;
    json_t *at = holder(config, name, &leaf);

    if (value == mine || (value != NULL && mine != NULL && json_equal(value, mine)))
        return;
    changed(name, context);
    if (value == NULL)
        json_object_del(at, leaf);
    else
        json_object_set_new(at, leaf, json_deep_copy(value));
}

void aegis_config_keep(struct aegis_config *config, const struct aegis_config *running,
                       void (*changed)(const char *name, void *context), void *context)
{
    if (strcmp(config->home, running->home) != 0)
        changed("home", context);
    if (strcmp(config->vault, running->vault) != 0)
        changed("vault", context);
    keep_text(&config->home, running->home);
    keep_text(&config->vault, running->vault);
    for (const struct aegis_option *option = aegis_options; option->name != NULL; option++)
        if (option->restart && strcmp(option->name, "home") != 0 && strcmp(option->name, "vault") != 0)
            keep_option(config, running, option->name, changed, context);
}
