#include "gate/judge/policies.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/clock.h"
#include "gate/base/text.h"

/* The plugin that runs OWS executables, for documents which name one without naming it. */
#define RUNNER "exec"

struct aegis_policies {
    struct aegis_installed *installed;
    size_t count;
    struct aegis_notepad *pad;
};

/* Opens an instance of `plugin`; while its code runs, the notepad says so. */
static void *instance_open(const struct aegis_policies *policies, const struct aegis_document *document,
                           const struct aegis_policy *plugin, const json_t *config, struct aegis_error *error)
{
    char reason[256] = "";
    json_t *none = json_object();
    aegis_notepad_write(policies->pad, document->id, aegis_clock_boot());
    void *instance = plugin->open(config == NULL ? none : config, reason, sizeof(reason));
    aegis_notepad_write(policies->pad, "", 0);
    json_decref(none);
    reason[sizeof(reason) - 1] = '\0';
    if (instance == NULL)
        aegis_error_set(
            error, "%s: config: %s", document->path,
            *reason != '\0' && aegis_utf8_valid(reason, strlen(reason)) ? reason : "refused by the plugin");
    return instance;
}

static bool install_plugin(struct aegis_policies *policies, struct aegis_installed *installed,
                           struct aegis_plugins *plugins, struct aegis_error *error)
{
    const struct aegis_document *document = installed->document;
    if (document->plugin == NULL)
        return true;
    aegis_notepad_write(policies->pad, document->id, aegis_clock_boot());
    installed->plugin = aegis_plugins_get(plugins, document->plugin, error);
    aegis_notepad_write(policies->pad, "", 0);
    if (installed->plugin == NULL)
        return aegis_error_prefix(error, "%s", document->path);
    installed->instance = instance_open(policies, document, installed->plugin, document->config, error);
    return installed->instance != NULL;
}

/* An executable of the document itself is run by the plugin `exec`, so that there is one way to run one. */
static bool install_runner(struct aegis_policies *policies, struct aegis_installed *installed,
                           struct aegis_plugins *plugins, struct aegis_error *error)
{
    const struct aegis_document *document = installed->document;
    if (!aegis_document_runs(document))
        return true;
    installed->runner = aegis_plugins_get(plugins, RUNNER, error);
    if (installed->runner == NULL)
        return aegis_error_prefix(error, "%s: executable", document->path);
    json_t *config =
        json_pack("{s:s,s:O*}", "executable", document->executable, "config", (json_t *)document->config);
    installed->runner_instance = instance_open(policies, document, installed->runner, config, error);
    json_decref(config);
    return installed->runner_instance != NULL;
}

static bool install(struct aegis_policies *policies, const json_t *entry, const json_t *quarantined,
                    struct aegis_plugins *plugins, struct aegis_error *error)
{
    const char *path = json_string_value(json_object_get(entry, "path"));
    const json_t *json = json_object_get(entry, "document");
    if (path == NULL || json == NULL)
        return aegis_error_set(error, "documents: expected objects of path and document");
    struct aegis_document *document = aegis_document_new(path, json, error);
    if (document == NULL)
        return false;
    const struct aegis_installed *other = aegis_policies_find(policies, document->id);
    if (other != NULL) {
        aegis_error_set(error, "%s: id: \"%s\" is also the id of %s", path, document->id,
                        other->document->path);
        aegis_document_free(&document);
        return false;
    }
    struct aegis_installed *installed = &policies->installed[policies->count++];
    installed->document = document;
    size_t index;
    json_t *id;
    json_array_foreach((json_t *)quarantined, index, id)
    {
        if (json_is_string(id) && strcmp(json_string_value(id), document->id) == 0)
            installed->quarantined = true;
    }
    if (installed->quarantined) {
        /* Only to know what it would have checked, and so must be denied now. */
        struct aegis_error ignored;
        if (document->plugin != NULL)
            installed->plugin = aegis_plugins_get(plugins, document->plugin, &ignored);
        return true;
    }
    return install_plugin(policies, installed, plugins, error) &&
           install_runner(policies, installed, plugins, error);
}

struct aegis_policies *aegis_policies_new(const json_t *documents, const json_t *quarantined,
                                          struct aegis_plugins *plugins, struct aegis_notepad *pad,
                                          struct aegis_error *error)
{
    struct aegis_policies *policies = aegis_alloc(sizeof(*policies));
    policies->installed = aegis_alloc((json_array_size(documents) + 1) * sizeof(*policies->installed));
    policies->pad = pad;
    size_t index;
    json_t *entry;
    json_array_foreach((json_t *)documents, index, entry)
    {
        if (!install(policies, entry, quarantined, plugins, error)) {
            aegis_policies_free(&policies);
            return NULL;
        }
    }
    return policies;
}

static void instance_close(const struct aegis_policies *policies, const struct aegis_document *document,
                           const struct aegis_policy *plugin, void *instance)
{
    if (instance == NULL)
        return;
    aegis_notepad_write(policies->pad, document->id, aegis_clock_boot());
    plugin->close(instance);
    aegis_notepad_write(policies->pad, "", 0);
}

void aegis_policies_free(struct aegis_policies **policies)
{
    if (*policies == NULL)
        return;
    for (size_t i = 0; i < (*policies)->count; i++) {
        struct aegis_installed *installed = &(*policies)->installed[i];
        instance_close(*policies, installed->document, installed->plugin, installed->instance);
        instance_close(*policies, installed->document, installed->runner, installed->runner_instance);
        aegis_document_free(&installed->document);
    }
    free((*policies)->installed);
    free(*policies);
    *policies = NULL;
}

const struct aegis_installed *aegis_policies_find(const struct aegis_policies *policies, const char *id)
{
    for (size_t i = 0; i < policies->count; i++) {
        if (strcmp(policies->installed[i].document->id, id) == 0)
            return &policies->installed[i];
    }
    return NULL;
}

size_t aegis_policies_count(const struct aegis_policies *policies)
{
    return policies->count;
}

const struct aegis_installed *aegis_policies_at(const struct aegis_policies *policies, size_t index)
{
    return index < policies->count ? &policies->installed[index] : NULL;
}

bool aegis_policies_strict(const struct aegis_policies *policies, struct aegis_error *error)
{
    for (size_t i = 0; i < policies->count; i++) {
        if (!aegis_document_strict(policies->installed[i].document, error))
            return false;
    }
    return true;
}

bool aegis_installed_checks_requests(const struct aegis_installed *installed)
{
    if (installed->plugin == NULL)
        return installed->quarantined && installed->document->plugin != NULL;
    return installed->plugin->check_request != NULL;
}

/* Every policy has a say about payments: one that has nothing to check allows. */
static json_t *installed_checks(const struct aegis_installed *installed)
{
    const struct aegis_policy *plugin = installed->plugin;
    json_t *checks = json_pack("[s]", "payment");
    if (aegis_installed_checks_requests(installed))
        json_array_append_new(checks, json_string("request"));
    if (plugin != NULL && plugin->check_customer != NULL)
        json_array_append_new(checks, json_string("customer"));
    if (plugin != NULL && plugin->observe != NULL)
        json_array_append_new(checks, json_string("observe"));
    if (plugin != NULL && plugin->tick != NULL)
        json_array_append_new(checks, json_string("tick"));
    return checks;
}

json_t *aegis_policies_describe(const struct aegis_policies *policies)
{
    json_t *list = json_array();
    for (size_t i = 0; i < policies->count; i++) {
        const struct aegis_installed *installed = &policies->installed[i];
        const struct aegis_document *document = installed->document;
        json_array_append_new(list,
                              json_pack("{s:s,s:I,s:s,s:O,s:o}", "id", document->id, "version",
                                        (json_int_t)document->version, "hash", document->hash, "document",
                                        document->json, "checks", installed_checks(installed)));
    }
    return list;
}

void aegis_policies_notepad(struct aegis_policies *policies, struct aegis_notepad *pad)
{
    policies->pad = pad;
}

struct aegis_notepad *aegis_policies_pad(const struct aegis_policies *policies)
{
    return policies->pad;
}
