#include "gate/daemon/sections.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

enum { MOST_WORKERS = 64 };

static json_t *integer(const struct aegis_config *config, const char *name)
{
    return json_integer(aegis_config_integer(config, name));
}

static json_t *text(const struct aegis_config *config, const char *name)
{
    return json_string(aegis_config_text(config, name));
}

/* A list, empty when nothing was configured. */
static json_t *list(const struct aegis_config *config, const char *name)
{
    const json_t *value = aegis_config_get(config, name);

    return value == NULL ? json_array() : json_deep_copy(value);
}

static json_t *in_home(const struct aegis_config *config, const char *name)
{
    char *path = aegis_config_path(config, name);
    json_t *value = json_string(path);

    free(path);
    return value;
}

static void set(json_t *object, const char *name, json_t *value)
{
    AEGIS_ASSERT(value != NULL && json_object_set_new(object, name, value) == 0);
}

/* Copies an option that may be absent, under another name. */
static void set_optional(json_t *object, const char *name, const struct aegis_config *config,
                         const char *option)
{
    const json_t *value = aegis_config_get(config, option);

    if (value != NULL)
        set(object, name, json_deep_copy(value));
}

/* Without where the passphrase comes from: that is the supervisor's business. */
static json_t *owner_without_passphrase(const json_t *owner)
{
    json_t *out = json_deep_copy(owner);

    json_object_del(out, "passphrase_file");
    json_object_del(out, "passphrase_credential");
    json_object_del(out, "passphrase_descriptor");
    return out;
}

static json_t *keeper_listeners(const struct aegis_config *config)
{
    json_t *out = json_array(), *listener;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)aegis_config_get(config, "listeners"), i, listener)
    {
        const json_t *owner = json_object_get(listener, "owner");
        json_t *row = json_pack("{s:O}", "name", json_object_get(listener, "name"));

        if (owner != NULL)
            set(row, "owner", owner_without_passphrase(owner));
        json_array_append_new(out, row);
    }
    return out;
}

/* Only with a node to ask can anything be proved. */
static json_t *watched_networks(const struct aegis_config *config)
{
    json_t *out = json_array(), *network;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)aegis_config_get(config, "networks"), i, network)
    {
        json_array_append(out, json_object_get(network, "network"));
    }
    return out;
}

static json_t *gate_policies(const struct aegis_config *config, const struct aegis_documents *documents)
{
    json_t *out = list(config, "policies");

    json_array_extend(out, documents->gates);
    return out;
}

static json_t *keeper(const struct aegis_config *config, const struct aegis_documents *documents)
{
    json_t *out = json_object();

    set(out, "ledger", in_home(config, "ledger.db"));
    set(out, "vault", json_string(aegis_config_vault(config)));
    set(out, "operator", text(config, "operator"));
    set(out, "lifetime_seconds", integer(config, "payment.lifetime_seconds"));
    set(out, "key_cache_ms", json_integer(1000 * aegis_config_integer(config, "payment.key_cache_seconds")));
    set(out, "identity_cache_ms", integer(config, "payment.identity_cache_ms"));
    set(out, "judge_timeout_ms", integer(config, "judge.timeout_ms"));
    set(out, "tick_ms", integer(config, "judge.tick_ms"));
    set(out, "clock_step_ms", integer(config, "payment.clock_step_ms"));
    set(out, "policies", gate_policies(config, documents));
    set(out, "without_policy", text(config, "payment.without_policy"));
    set(out, "assets", list(config, "assets"));
    set(out, "watched", watched_networks(config));
    set(out, "listeners", keeper_listeners(config));
    set(out, "scrypt_max_memory", integer(config, "payment.scrypt_memory_bytes"));
    return out;
}

json_t *aegis_section_plugin_path(const struct aegis_config *config)
{
    json_t *out = list(config, "judge.plugin_path");

    json_array_append_new(out, json_string(AEGIS_PLUGIN_FOLDER));
    return out;
}

static json_t *judge(const struct aegis_config *config, const struct aegis_documents *documents,
                     const json_t *quarantined)
{
    json_t *out = json_object(), *rows = json_array(), *row;
    size_t i;

    json_array_foreach(documents->good, i, row)
    {
        json_array_append_new(rows, json_pack("{s:O,s:O}", "path", json_object_get(row, "path"), "document",
                                              json_object_get(row, "document")));
    }
    set(out, "documents", rows);
    set(out, "plugin_path", aegis_section_plugin_path(config));
    set(out, "quarantined", json_deep_copy(quarantined));
    set(out, "memory_bytes", integer(config, "judge.memory_bytes"));
    set(out, "notepad", json_true());
    return out;
}

static json_t *worker_listeners(const struct aegis_config *config)
{
    json_t *out = json_array(), *listener;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)aegis_config_get(config, "listeners"), i, listener)
    {
        const json_t *routes = json_object_get(listener, "routes");
        json_t *row = json_pack("{s:O,s:O,s:b}", "name", json_object_get(listener, "name"), "mode",
                                json_object_get(listener, "mode"), "token_required",
                                json_object_get(listener, "owner") == NULL);

        set(row, "routes", routes == NULL ? json_array() : json_deep_copy(routes));
        json_array_append_new(out, row);
    }
    return out;
}

static json_t *worker(const struct aegis_config *config)
{
    json_t *out = json_object();

    set(out, "listeners", worker_listeners(config));
    set(out, "assets", list(config, "assets"));
    set(out, "preference", list(config, "preference"));
    set(out, "limits", json_deep_copy(aegis_config_get(config, "limits")));
    set(out, "timeouts", json_deep_copy(aegis_config_get(config, "timeouts")));
    set_optional(out, "refused_addresses", config, "addresses.refused");
    set_optional(out, "allowed_addresses", config, "addresses.allowed");
    set_optional(out, "ca_file", config, "upstream.ca_file");
    set(out, "free_origins", list(config, "upstream.free_origins"));
    set(out, "via", json_string("aegis"));
    return out;
}

static json_t *courier(const struct aegis_config *config)
{
    json_t *out = json_object();

    set(out, "ledger", in_home(config, "ledger.db"));
    set(out, "messages", in_home(config, "messages.db"));
    set(out, "mirror", in_home(config, "messages.json"));
    set(out, "identities", in_home(config, "identities"));
    set(out, "agent_id", text(config, "messages.agent_id"));
    set(out, "operator", text(config, "operator"));
    return out;
}

/* The refused addresses are for what agents ask for; which node to ask is the operator's word. */
static json_t *witness(const struct aegis_config *config)
{
    json_t *out = json_object();

    set(out, "networks", list(config, "networks"));
    set_optional(out, "ca_file", config, "upstream.ca_file");
    return out;
}

static json_t *runner(const struct aegis_config *config)
{
    return json_pack("{s:s}", "vault", aegis_config_vault(config));
}

json_t *aegis_section(enum aegis_kind_name kind, const struct aegis_config *config,
                      const struct aegis_documents *documents, const json_t *quarantined)
{
    switch (kind) {
    case AEGIS_KIND_KEEPER:
        return keeper(config, documents);
    case AEGIS_KIND_JUDGE:
        return judge(config, documents, quarantined);
    case AEGIS_KIND_RUNNER:
        return runner(config);
    case AEGIS_KIND_WITNESS:
        return witness(config);
    case AEGIS_KIND_COURIER:
        return courier(config);
    case AEGIS_KIND_WORKER:
        return worker(config);
    case AEGIS_KINDS:
        break;
    }
    aegis_panic("no process of kind %d", (int)kind);
}

unsigned aegis_section_processes(enum aegis_kind_name kind, const struct aegis_config *config)
{
    int64_t workers = aegis_config_integer(config, "workers");
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (kind != AEGIS_KIND_WORKER)
        return 1;
    if (workers == 0)
        workers = processors < 1 ? 1 : processors > MOST_WORKERS ? MOST_WORKERS : processors;
    return (unsigned)workers;
}
