#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/keeper/room.h"

static const struct aegis_json_field config_fields[] = {
    {"ledger", AEGIS_JSON_STRING, true, 4096},
    {"vault", AEGIS_JSON_STRING, true, 4096},
    {"operator", AEGIS_JSON_STRING, true, 512},
    {"lifetime_seconds", AEGIS_JSON_INTEGER, true, 86400},
    {"key_cache_ms", AEGIS_JSON_INTEGER, true, 86400000},
    {"identity_cache_ms", AEGIS_JSON_INTEGER, true, 86400000},
    {"judge_timeout_ms", AEGIS_JSON_INTEGER, true, 600000},
    {"tick_ms", AEGIS_JSON_INTEGER, true, 86400000},
    {"clock_step_ms", AEGIS_JSON_INTEGER, true, 86400000},
    {"policies", AEGIS_JSON_ARRAY, true, 64},
    {"without_policy", AEGIS_JSON_STRING, true, 16},
    {"assets", AEGIS_JSON_ARRAY, true, 4096},
    {"watched", AEGIS_JSON_ARRAY, true, 256},
    {"listeners", AEGIS_JSON_ARRAY, true, 256},
    {"scrypt_max_memory", AEGIS_JSON_INTEGER, true, 0},
    {0},
};

static const struct aegis_json_field listener_fields[] = {
    {"name", AEGIS_JSON_STRING, true, 128},
    {"owner", AEGIS_JSON_OBJECT, false, 0},
    {0},
};

static const struct aegis_json_field owner_fields[] = {
    {"agent", AEGIS_JSON_STRING, true, 512},
    {"wallet", AEGIS_JSON_STRING, true, 512},
    {"policies", AEGIS_JSON_ARRAY, true, 64},
    {"uids", AEGIS_JSON_ARRAY, false, 1024},
    {0},
};

static bool all_texts(const json_t *array, const char *name, struct aegis_error *error)
{
    size_t i;
    json_t *value;
    json_array_foreach((json_t *)array, i, value)
    {
        if (!json_is_string(value) || json_string_length(value) > 128)
            return aegis_error_set(error, "%s[%zu]: expected a text of at most 128 bytes", name, i);
    }
    return true;
}

static bool read_listeners(json_t *owners, const json_t *listeners, struct aegis_error *error)
{
    size_t i;
    json_t *listener;
    json_array_foreach((json_t *)listeners, i, listener)
    {
        if (!aegis_json_check(listener, listener_fields, error))
            return aegis_error_prefix(error, "listeners[%zu]", i);
        json_t *owner = json_object_get(listener, "owner");
        if (owner == NULL)
            continue;
        if (!aegis_json_check(owner, owner_fields, error) ||
            !all_texts(json_object_get(owner, "policies"), "policies", error))
            return aegis_error_prefix(error, "listeners[%zu].owner", i);
        json_object_set(owners, aegis_json_text(listener, "name", ""), owner);
    }
    return true;
}

bool aegis_keeper_settings_read(struct aegis_keeper_settings *settings, const json_t *config,
                                struct aegis_error *error)
{
    memset(settings, 0, sizeof *settings);
    if (!aegis_json_check(config, config_fields, error) ||
        !all_texts(json_object_get(config, "policies"), "policies", error) ||
        !all_texts(json_object_get(config, "watched"), "watched", error))
        return false;
    json_t *owners = json_object();
    if (!read_listeners(owners, json_object_get(config, "listeners"), error)) {
        json_decref(owners);
        return false;
    }
    settings->ledger = aegis_strdup(aegis_json_text(config, "ledger", ""));
    settings->vault = aegis_strdup(aegis_json_text(config, "vault", ""));
    settings->operator_name = aegis_strdup(aegis_json_text(config, "operator", ""));
    settings->lifetime_seconds = aegis_json_integer(config, "lifetime_seconds", 60);
    settings->key_cache_ms = aegis_json_integer(config, "key_cache_ms", 60000);
    settings->identity_cache_ms = aegis_json_integer(config, "identity_cache_ms", 5000);
    settings->judge_timeout_ms = aegis_json_integer(config, "judge_timeout_ms", 2000);
    settings->tick_ms = aegis_json_integer(config, "tick_ms", 5000);
    settings->clock_step_ms = aegis_json_integer(config, "clock_step_ms", 60000);
    settings->pay_without_policy = strcmp(aegis_json_text(config, "without_policy", "deny"), "allow") == 0;
    settings->scrypt_max_memory = (uint64_t)aegis_json_integer(config, "scrypt_max_memory", 0);
    settings->policies = json_deep_copy(json_object_get(config, "policies"));
    settings->watched = json_deep_copy(json_object_get(config, "watched"));
    settings->owners = json_deep_copy(owners);
    json_decref(owners);
    if (settings->lifetime_seconds >= 1 && settings->judge_timeout_ms >= 1 && settings->tick_ms >= 1)
        return true;
    aegis_keeper_settings_clear(settings);
    return aegis_error_set(error, "lifetime_seconds, judge_timeout_ms and tick_ms: expected at least 1");
}

void aegis_keeper_settings_clear(struct aegis_keeper_settings *settings)
{
    free(settings->ledger);
    free(settings->vault);
    free(settings->operator_name);
    json_decref(settings->policies);
    json_decref(settings->watched);
    json_decref(settings->owners);
    memset(settings, 0, sizeof *settings);
}
