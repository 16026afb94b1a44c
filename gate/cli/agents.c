#include "gate/cli/agents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/cli/common.h"
#include "gate/vault/apikey.h"

static void add_each_once(json_t *ids, const json_t *more)
{
    json_t *id;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)more, i, id)
    {
        bool there = false;
        for (size_t j = 0; j < json_array_size(ids); j++)
            there = there || json_equal(json_array_get(ids, j), id);
        if (!there)
            json_array_append(ids, id);
    }
}

/* Those of the agent itself, then the gate's. */
static json_t *with_gates(const struct aegis_setup *setup, json_t *own)
{
    if (setup->config != NULL)
        add_each_once(own, aegis_config_get(setup->config, "policies"));
    add_each_once(own, setup->documents.gates);
    return own;
}

static void add_key(struct aegis_setup *setup, const struct aegis_apikey *key)
{
    json_t *policies = json_array();

    for (size_t i = 0; key->policy_ids[i] != NULL; i++)
        json_array_append_new(policies, json_string(key->policy_ids[i]));
    json_array_append_new(setup->agents, json_pack("{s:s,s:s,s:o,s:b}", "id", key->id, "name", key->name,
                                                   "policies", with_gates(setup, policies), "expired",
                                                   (int)aegis_apikey_expired(key, aegis_clock_now())));
}

static void add_owners(struct aegis_setup *setup)
{
    const json_t *listeners = aegis_config_get(setup->config, "listeners");

    for (size_t i = 0; i < json_array_size(listeners); i++) {
        const json_t *listener = json_array_get(listeners, i), *owner = json_object_get(listener, "owner");
        char *id = aegis_format("listener:%s", aegis_json_text(listener, "name", ""));

        if (owner != NULL)
            json_array_append_new(
                setup->agents,
                json_pack("{s:s,s:O,s:o,s:b}", "id", id, "name", json_object_get(owner, "agent"), "policies",
                          with_gates(setup, json_deep_copy(json_object_get(owner, "policies"))), "expired",
                          0));
        free(id);
    }
}

static bool add_keys(const struct aegis_cli *cli, struct aegis_setup *setup, struct aegis_error *error)
{
    struct aegis_vault *vault = aegis_vault_new(cli->vault, 0);
    struct aegis_apikey_list keys = {0};
    bool read = aegis_apikey_list(vault, &keys, error);

    for (size_t i = 0; read && i < keys.count; i++)
        add_key(setup, keys.items[i]);
    if (read)
        aegis_apikey_list_free(&keys);
    aegis_vault_free(&vault);
    return read;
}

bool aegis_setup_read(const struct aegis_cli *cli, struct aegis_setup *out, struct aegis_error *error)
{
    *out = (struct aegis_setup){.config = aegis_cli_config(cli, error)};
    if (out->config == NULL || !aegis_documents_load(cli->home, cli->vault, &out->documents, error)) {
        aegis_setup_clear(out);
        return false;
    }
    out->agents = json_array();
    if (!add_keys(cli, out, error)) {
        aegis_setup_clear(out);
        return false;
    }
    add_owners(out);
    return true;
}

bool aegis_setup_read_keys(const struct aegis_cli *cli, struct aegis_setup *out, struct aegis_error *error)
{
    if (aegis_setup_read(cli, out, error))
        return true;
    fprintf(stderr, "%s: %s\n", cli->program, error->text);
    *out = (struct aegis_setup){.agents = json_array()};
    if (add_keys(cli, out, error))
        return true;
    aegis_setup_clear(out);
    return false;
}

void aegis_setup_clear(struct aegis_setup *setup)
{
    aegis_config_free(&setup->config);
    aegis_documents_clear(&setup->documents);
    json_decref(setup->agents);
    setup->agents = NULL;
}

static const char *find_agent(const json_t *agents, const char *wanted, unsigned *matches)
{
    const char *found = NULL;
    json_t *agent;
    size_t i;

    *matches = 0;
    json_array_foreach((json_t *)(uintptr_t)agents, i, agent)
    {
        if (strcmp(aegis_json_text(agent, "id", ""), wanted) == 0) {
            *matches = 1;
            return aegis_json_text(agent, "id", "");
        }
        if (strcmp(aegis_json_text(agent, "name", ""), wanted) == 0) {
            ++*matches;
            found = aegis_json_text(agent, "id", "");
        }
    }
    return found;
}

char *aegis_setup_agent(const struct aegis_cli *cli, const char *id_or_name, struct aegis_error *error)
{
    struct aegis_setup setup;
    unsigned matches;
    const char *found;
    char *id = NULL;

    if (!aegis_setup_read_keys(cli, &setup, error))
        return NULL;
    found = find_agent(setup.agents, id_or_name, &matches);
    if (matches == 1)
        id = aegis_strdup(found);
    else
        aegis_error_set(error,
                        matches == 0 ? "there is no agent %s" : "several agents are called %s: name the id",
                        id_or_name);
    aegis_setup_clear(&setup);
    return id;
}
