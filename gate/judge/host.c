#include "gate/judge/host.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/base/text.h"

/* What every version of the ABI has in front, whatever follows. */
#define ABI_HEAD offsetof(struct aegis_policy, name)

#define SYMBOL "aegis_policy"

struct plugin {
    struct plugin *next;
    char *name;
    void *object;
    const struct aegis_policy *policy;
};

struct aegis_plugins {
    json_t *folders;
    struct plugin *first;
    bool sealed;
};

struct aegis_plugins *aegis_plugins_new(const json_t *folders)
{
    struct aegis_plugins *plugins = aegis_alloc(sizeof(*plugins));
    plugins->folders = json_deep_copy(folders);
    return plugins;
}

void aegis_plugins_free(struct aegis_plugins **plugins)
{
    if (*plugins == NULL)
        return;
    for (struct plugin *plugin = (*plugins)->first, *next; plugin != NULL; plugin = next) {
        next = plugin->next;
        dlclose(plugin->object);
        free(plugin->name);
        free(plugin);
    }
    json_decref((*plugins)->folders);
    free(*plugins);
    *plugins = NULL;
}

void aegis_plugins_seal(struct aegis_plugins *plugins)
{
    plugins->sealed = true;
}

/* Whether nobody but the user that runs us, and root, can put other contents behind this name. */
static bool owners_alone(const struct stat *status)
{
    return (status->st_uid == geteuid() || status->st_uid == 0) &&
           (status->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The file of plugin `name`, which the caller frees, in the first folder that has one. */
static char *plugin_file(const struct aegis_plugins *plugins, const char *name, struct aegis_error *error)
{
    size_t index;
    json_t *folder;
    struct stat status = {0};
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(name) || *name == '\0') {
        aegis_error_set(error, "plugin \"%.60s\": expected a name of lower-case letters, digits, _ and -",
                        name);
        return NULL;
    }
    json_array_foreach(plugins->folders, index, folder)
    {
        char *file = aegis_format("%s/%s.so", json_string_value(folder), name);
        bool there = stat(file, &status) == 0 || errno != ENOENT;
        if (!there) {
            free(file);
            continue;
        }
        if (!S_ISREG(status.st_mode) || !owners_alone(&status))
            aegis_error_set(error,
                            "%s: expected a regular file that only its owner can write, of this user or root",
                            file);
        else if (stat(json_string_value(folder), &status) != 0 || !owners_alone(&status))
            aegis_error_set(error,
                            "%s: expected a folder that only its owner can write, of this user or root",
                            json_string_value(folder));
        else
            return file;
        free(file);
        return NULL;
    }
    char *searched = json_dumps(plugins->folders, JSON_COMPACT);
    aegis_error_set(error, "plugin %s: found no %s.so in %s", name, name, searched == NULL ? "[]" : searched);
    free(searched);
    return NULL;
}

static bool text_good(const char *text)
{
    return text != NULL && *text != '\0' && strlen(text) <= 4096 && aegis_utf8_valid(text, strlen(text));
}

/* Version first: it is what protects the reading of the rest. */
static bool policy_check(const struct aegis_policy *policy, const char *name, struct aegis_error *error)
{
    if (policy->abi != AEGIS_PLUGIN_ABI)
        return aegis_error_set(error, "symbol " SYMBOL ": expected abi %d, found %u", AEGIS_PLUGIN_ABI,
                               policy->abi);
    if (policy->size < sizeof(*policy))
        return aegis_error_set(error, "symbol " SYMBOL ": expected size %zu or more, found %u",
                               sizeof(*policy), policy->size);
    if (!text_good(policy->name) || !text_good(policy->version) || !text_good(policy->summary) ||
        !text_good(policy->configuration))
        return aegis_error_set(error,
                               "symbol " SYMBOL ": expected name, version, summary and configuration, found "
                               "one that is missing or not UTF-8");
    if (strcmp(policy->name, name) != 0)
        return aegis_error_set(error, "symbol " SYMBOL ": expected the name \"%s\", found \"%.60s\"", name,
                               policy->name);
    if (policy->open == NULL || policy->close == NULL)
        return aegis_error_set(error, "symbol " SYMBOL ": expected open and close, found none");
    if (policy->check_request == NULL && policy->check_payment == NULL && policy->check_customer == NULL &&
        policy->observe == NULL && policy->tick == NULL)
        return aegis_error_set(error, "symbol " SYMBOL ": expected at least one check, found none");
    return true;
}

/* Whether as much of the symbol is there as it claims: its size in the object's own symbol table. */
static bool symbol_whole(const struct aegis_policy *policy, struct aegis_error *error)
{
    Dl_info info;
    ElfW(Sym) *entry = NULL;
    if (dladdr1(policy, &info, (void **)&entry, RTLD_DL_SYMENT) == 0 || entry == NULL)
        return true;
    size_t found = entry->st_size;
    size_t expected = found < ABI_HEAD ? ABI_HEAD : policy->size;
    return found >= expected ||
           aegis_error_set(error, "symbol " SYMBOL ": expected a struct aegis_policy of %zu bytes, found %zu",
                           expected, found);
}

static const struct aegis_policy *object_policy(void *object, const char *name, struct aegis_error *error)
{
    const struct aegis_policy *policy = dlsym(object, SYMBOL);
    if (policy == NULL) {
        aegis_error_set(error, "expected the symbol " SYMBOL ", found none");
        return NULL;
    }
    if (!symbol_whole(policy, error) || !policy_check(policy, name, error))
        return NULL;
    return policy;
}

static struct plugin *plugin_load(const char *file, const char *name, struct aegis_error *error)
{
    void *object = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) {
        const char *reason = dlerror();
        /* The loader's own text mostly begins with the file. */
        if (reason != NULL && strncmp(reason, file, strlen(file)) == 0)
            aegis_error_set(error, "%s", reason);
        else
            aegis_error_set(error, "%s: %s", file, reason == NULL ? "cannot be loaded" : reason);
        return NULL;
    }
    const struct aegis_policy *policy = object_policy(object, name, error);
    if (policy == NULL) {
        aegis_error_prefix(error, "%s", file);
        dlclose(object);
        return NULL;
    }
    struct plugin *plugin = aegis_alloc(sizeof(*plugin));
    plugin->name = aegis_strdup(name);
    plugin->object = object;
    plugin->policy = policy;
    return plugin;
}

const struct aegis_policy *aegis_plugins_get(struct aegis_plugins *plugins, const char *name,
                                             struct aegis_error *error)
{
    for (struct plugin *plugin = plugins->first; plugin != NULL; plugin = plugin->next) {
        if (strcmp(plugin->name, name) == 0)
            return plugin->policy;
    }
    if (plugins->sealed) {
        aegis_error_set(
            error, "plugin %s: was not loaded when this process started, and it can open no files now", name);
        return NULL;
    }
    char *file = plugin_file(plugins, name, error);
    if (file == NULL)
        return NULL;
    struct plugin *plugin = plugin_load(file, name, error);
    free(file);
    if (plugin == NULL)
        return NULL;
    plugin->next = plugins->first;
    plugins->first = plugin;
    return plugin->policy;
}
