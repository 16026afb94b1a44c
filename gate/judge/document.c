#include "gate/judge/document.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/judge/rules.h"

static const char id_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

bool aegis_document_id_valid(const char *id)
{
    size_t length = strlen(id);
    return length >= 1 && length <= AEGIS_DOCUMENT_ID && id[0] != '.' && strspn(id, id_letters) == length;
}

bool aegis_document_runs(const struct aegis_document *document)
{
    if (document->executable == NULL)
        return false;
    const char *slash = strrchr(document->executable, '/');
    return strcmp(slash == NULL ? document->executable : slash + 1, AEGIS_DOCUMENT_OWN_EXECUTABLE) != 0;
}

/* A member that is absent or null, as OWS treats them alike. */
static const json_t *member(const json_t *json, const char *name)
{
    const json_t *value = json_object_get(json, name);
    return json_is_null(value) ? NULL : value;
}

static bool required_text(const json_t *json, const char *name, const char **out, struct aegis_error *error)
{
    *out = json_string_value(json_object_get(json, name));
    if (*out == NULL)
        return aegis_error_set(error, "%s: expected a text", name);
    return true;
}

static bool optional_text(const json_t *json, const char *name, const char **out, struct aegis_error *error)
{
    const json_t *value = member(json, name);
    *out = json_string_value(value);
    if (value != NULL && (*out == NULL || **out == '\0'))
        return aegis_error_set(error, "%s: expected a text that is not empty, or nothing", name);
    return true;
}

static bool read_version(struct aegis_document *document, struct aegis_error *error)
{
    const json_t *version = json_object_get(document->json, "version");
    document->version = json_integer_value(version);
    if (!json_is_integer(version) || document->version < 0 || document->version > UINT32_MAX)
        return aegis_error_set(error, "version: expected an integer from 0 to 4294967295");
    return true;
}

static bool read_rules(struct aegis_document *document, struct aegis_error *error)
{
    document->rules = json_object_get(document->json, "rules");
    if (!json_is_array(document->rules))
        return aegis_error_set(error, "rules: expected an array (it may be empty)");
    size_t index;
    json_t *rule;
    json_array_foreach((json_t *)document->rules, index, rule)
    {
        if (!aegis_rule_check(rule, error))
            return aegis_error_prefix(error, "rules[%zu]", index);
    }
    return true;
}

/* A plugin is named, never located: the operator says where plugins live. */
static bool read_plugin(struct aegis_document *document, struct aegis_error *error)
{
    if (!optional_text(document->json, "plugin", &document->plugin, error))
        return false;
    const char *name = document->plugin;
    if (name != NULL &&
        (strlen(name) > 64 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(name)))
        return aegis_error_set(
            error, "plugin: expected the name of a plugin, of lower-case letters, digits, _ and -");
    return true;
}

static bool read_executable(struct aegis_document *document, struct aegis_error *error)
{
    if (!optional_text(document->json, "executable", &document->executable, error))
        return false;
    if (document->executable != NULL && !aegis_document_runs(document) && document->plugin == NULL)
        return aegis_error_set(error, "plugin: expected beside the executable %s, which asks it",
                               AEGIS_DOCUMENT_OWN_EXECUTABLE);
    return true;
}

static bool read_config(struct aegis_document *document, struct aegis_error *error)
{
    document->config = member(document->json, "config");
    if (document->plugin != NULL && document->config != NULL && !json_is_object(document->config))
        return aegis_error_set(error, "config: expected an object");
    return true;
}

static bool read_fields(struct aegis_document *document, struct aegis_error *error)
{
    const json_t *json = document->json;
    const char *text;
    if (!json_is_object(json))
        return aegis_error_set(error, "expected a policy document, an object");
    if (!required_text(json, "id", &document->id, error))
        return false;
    if (!aegis_document_id_valid(document->id))
        return aegis_error_set(error, "id: expected 1 to %d letters, digits, dots, _ and -",
                               AEGIS_DOCUMENT_ID);
    if (!required_text(json, "name", &document->name, error) || !read_version(document, error))
        return false;
    if (!required_text(json, "created_at", &text, error) || !read_rules(document, error))
        return false;
    if (!read_plugin(document, error) || !read_executable(document, error) || !read_config(document, error))
        return false;
    if (!required_text(json, "action", &text, error))
        return false;
    if (strcmp(text, "deny") != 0)
        return aegis_error_set(error, "action: expected \"deny\", found \"%.40s\"", text);
    return true;
}

static bool read_hash(struct aegis_document *document, struct aegis_error *error)
{
    size_t length;
    char *canonical = aegis_json_canonical(document->json, &length);
    if (canonical == NULL)
        return aegis_error_set(error,
                               "has a number that other programs would read differently; write it as a text");
    aegis_sha256_hex(canonical, length, document->hash);
    free(canonical);
    return true;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* Aegis's own configuration file as the document that it stands for; NULL when it is not one. */
static json_t *from_aegis_format(const char *path, const json_t *json)
{
    static const struct {
        const char *file, *plugin, *id, *name;
    } formats[] = {
        {"budget-config.json", "budget", "aegis-budget", "Aegis budget"},
        {"guard-config.json", "guard", "aegis-guard", "Aegis guard"},
        {"deadswitch-config.json", "deadswitch", "aegis-deadswitch", "Aegis deadswitch"},
    };
    if (!json_is_object(json) || json_object_get(json, "id") != NULL)
        return NULL;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (strcmp(file_name(path), formats[i].file) == 0)
            return json_pack("{s:s,s:s,s:i,s:s,s:[],s:s,s:s,s:O,s:s}", "id", formats[i].id, "name",
                             formats[i].name, "version", 1, "created_at", "1970-01-01T00:00:00Z", "rules",
                             "plugin", formats[i].plugin, "executable", AEGIS_DOCUMENT_OWN_EXECUTABLE,
                             "config", (json_t *)json, "action", "deny");
    }
    return NULL;
}

struct aegis_document *aegis_document_new(const char *path, const json_t *json, struct aegis_error *error)
{
    struct aegis_document *document = aegis_alloc(sizeof(*document));
    document->path = aegis_strdup(path);
    json_t *wrapped = from_aegis_format(path, json);
    document->json = json_deep_copy(wrapped != NULL ? wrapped : json);
    json_decref(wrapped);
    if (read_fields(document, error) && read_hash(document, error))
        return document;
    aegis_error_prefix(error, "%s", path);
    aegis_document_free(&document);
    return NULL;
}

void aegis_document_free(struct aegis_document **document)
{
    if (*document == NULL)
        return;
    json_decref((*document)->json);
    free((*document)->path);
    free(*document);
    *document = NULL;
}

bool aegis_document_strict(const struct aegis_document *document, struct aegis_error *error)
{
    size_t index;
    json_t *rule;
    json_array_foreach((json_t *)document->rules, index, rule)
    {
        if (!aegis_rule_strict(rule, error))
            return aegis_error_prefix(error, "%s: rules[%zu]", document->path, index);
    }
    return true;
}
