#include "gate/keeper/policies.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/keeper/table.h"

struct aegis_loaded {
    json_t *policies;             /* id -> {id, version, hash, document, checks}; NULL before the first */
    json_t *before;               /* those that these replaced: verdicts by them may wait to be recorded */
    struct aegis_table *recorded; /* "id hash" */
};

static const struct aegis_json_field fields[] = {
    {"id", AEGIS_JSON_STRING, true, 128},   {"version", AEGIS_JSON_ANY, true, 0},
    {"hash", AEGIS_JSON_STRING, true, 128}, {"document", AEGIS_JSON_OBJECT, true, 0},
    {"checks", AEGIS_JSON_ARRAY, true, 16}, {0},
};

struct aegis_loaded *aegis_loaded_new(void)
{
    struct aegis_loaded *loaded = aegis_alloc(sizeof *loaded);
    loaded->recorded = aegis_table_new();
    return loaded;
}

void aegis_loaded_free(struct aegis_loaded **pointer)
{
    if (*pointer == NULL)
        return;
    json_decref((*pointer)->policies);
    json_decref((*pointer)->before);
    aegis_table_free(&(*pointer)->recorded);
    free(*pointer);
    *pointer = NULL;
}

bool aegis_loaded_replace(struct aegis_loaded *loaded, const json_t *policies, struct aegis_error *error)
{
    size_t i;
    json_t *policy, *fresh = json_object();
    json_array_foreach((json_t *)policies, i, policy)
    {
        if (!aegis_json_check(policy, fields, error)) {
            json_decref(fresh);
            return aegis_error_prefix(error, "policies[%zu]", i);
        }
        json_object_set(fresh, aegis_json_text(policy, "id", ""), policy);
    }
    json_decref(loaded->before);
    loaded->before = loaded->policies;
    loaded->policies = fresh;
    return true;
}

bool aegis_loaded_known(const struct aegis_loaded *loaded)
{
    return loaded->policies != NULL;
}

static const json_t *find(const struct aegis_loaded *loaded, const char *id)
{
    return json_object_get(loaded->policies, id);
}

bool aegis_loaded_has(const struct aegis_loaded *loaded, const char *id)
{
    return find(loaded, id) != NULL;
}

bool aegis_loaded_checks(const struct aegis_loaded *loaded, const char *id, const char *check)
{
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(find(loaded, id), "checks"), i, name)
    {
        if (json_is_string(name) && strcmp(json_string_value(name), check) == 0)
            return true;
    }
    return false;
}

json_t *aegis_loaded_select(const struct aegis_loaded *loaded, const json_t *ids, const char *check,
                            bool unknown)
{
    size_t i;
    json_t *id, *selected = json_array();
    json_array_foreach((json_t *)ids, i, id)
    {
        const char *text = json_string_value(id);
        if (aegis_loaded_has(loaded, text) ? aegis_loaded_checks(loaded, text, check) : unknown)
            json_array_append(selected, id);
    }
    return selected;
}

static bool is_version(const json_t *policy, const char *hash)
{
    return policy != NULL && strcmp(aegis_json_text(policy, "hash", ""), hash) == 0;
}

bool aegis_loaded_is(const struct aegis_loaded *loaded, const char *id, const char *hash)
{
    return is_version(find(loaded, id), hash);
}

json_t *aegis_loaded_entry(const struct aegis_loaded *loaded, const char *id, const char *hash)
{
    const json_t *policy = find(loaded, id);
    if (!is_version(policy, hash))
        policy = json_object_get(loaded->before, id);
    if (!is_version(policy, hash))
        return NULL;
    return json_pack("{s:s,s:O,s:s,s:O}", "id", id, "version", json_object_get(policy, "version"), "hash",
                     hash, "document", json_object_get(policy, "document"));
}

bool aegis_loaded_recorded(const struct aegis_loaded *loaded, const char *id, const char *hash)
{
    char *key = aegis_format("%s %s", id, hash);
    bool is = aegis_table_get(loaded->recorded, key) != NULL;
    free(key);
    return is;
}

void aegis_loaded_record(struct aegis_loaded *loaded, const char *id, const char *hash)
{
    char *key = aegis_format("%s %s", id, hash);
    aegis_table_put(loaded->recorded, key, loaded);
    free(key);
}

void aegis_loaded_forget_records(struct aegis_loaded *loaded)
{
    aegis_table_free(&loaded->recorded);
    loaded->recorded = aegis_table_new();
}

size_t aegis_loaded_count(const struct aegis_loaded *loaded)
{
    return json_object_size(loaded->policies);
}
