/* aegis key create | list | revoke */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/cli/agents.h"
#include "gate/cli/common.h"
#include "gate/cli/name.h"
#include "gate/cli/secrets.h"
#include "gate/vault/apikey.h"

#define LIST_LIMIT 64

static const char usage[] =
    "usage: %s key create AGENT --wallet WALLET... [--policy ID]... [--expires TIME] [PASSPHRASE]\n"
    "       %s key list\n"
    "       %s key revoke ID|NAME\n"
    "\n"
    "PASSPHRASE is --passphrase-file FILE (- for standard input) or --passphrase-fd N; without it you are "
    "asked on\n"
    "the terminal. TIME is 2027-01-31T00:00:00Z, or a while from now: 90m, 12h, 30d. The token is printed "
    "once and\n"
    "cannot be shown again. Policies are judged in the order given, then those of the whole gate; all must "
    "allow.\n";

struct texts {
    const char *items[LIST_LIMIT];
    size_t count;
};

struct options {
    const char *name; /* by --name or as the argument that is no option */
    const char *expires;
    struct texts wallets;
    struct texts policies;
    struct aegis_cli_source passphrase;
};

void aegis_cli_key_usage(FILE *out, const char *program)
{
    fprintf(out, usage, program, program, program);
}

static int wrong(const struct aegis_cli *cli)
{
    aegis_cli_key_usage(stderr, cli->program);
    return 2;
}

static bool add(struct texts *texts, const char *text)
{
    if (texts->count == LIST_LIMIT)
        return false;
    texts->items[texts->count++] = text;
    return true;
}

static bool set_once(const char **place, const char *text)
{
    bool first = *place == NULL;
    *place = text;
    return first;
}

static bool take_option(struct options *options, int letter)
{
    switch (letter) {
    case 'w':
        return add(&options->wallets, optarg);
    case 'o':
        return add(&options->policies, optarg);
    case 'n':
        return set_once(&options->name, optarg);
    case 'e':
        return set_once(&options->expires, optarg);
    case 'p':
        return set_once(&options->passphrase.file, optarg);
    case 'P':
        return set_once(&options->passphrase.fd, optarg);
    default:
        return false;
    }
}

static bool parse(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {{"wallet", required_argument, NULL, 'w'},
                                          {"policy", required_argument, NULL, 'o'},
                                          {"name", required_argument, NULL, 'n'},
                                          {"expires", required_argument, NULL, 'e'},
                                          {"passphrase-file", required_argument, NULL, 'p'},
                                          {"passphrase-fd", required_argument, NULL, 'P'},
                                          {NULL, 0, NULL, 0}};
    optind = 0;
    for (int letter; (letter = getopt_long(argc, argv, "", names, NULL)) != -1;)
        if (!take_option(options, letter))
            return false;
    if (optind < argc && options->name == NULL)
        options->name = argv[optind++];
    return optind == argc;
}

/* A full time, or a number with s, m, h or d. */
static bool parse_expiry(const char *text, int64_t now, int64_t *out)
{
    static const struct {
        char letter;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 7 || text[digits] == '\0' || text[digits + 1] != '\0')
        return aegis_time_parse(text, out);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (text[digits] == units[i].letter) {
            *out = now + strtoll(text, NULL, 10) * units[i].ms;
            return true;
        }
    return false;
}

static bool file_is_there(const char *folder, const char *id)
{
    char *path = aegis_format("%s/policies/%s.json", folder, id);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

/* A policy that is not there denies everything, so that naming one too early is safe; but it is said. */
static bool policies_check(const struct aegis_cli *cli, const struct texts *policies,
                           struct aegis_error *error)
{
    for (size_t i = 0; i < policies->count; i++) {
        const char *id = policies->items[i];
        if (id[0] == '\0' || id[0] == '.' || strchr(id, '/') != NULL)
            return aegis_error_set(error, "'%s' is not a policy's id", id);
        if (!file_is_there(cli->vault, id) && !file_is_there(cli->home, id))
            fprintf(
                stderr,
                "%s: there is no policy '%s' in %s/policies or %s/policies; until there is, every payment "
                "with this key is denied\n",
                cli->program, id, cli->vault, cli->home);
    }
    return true;
}

static bool find_wallets(const struct aegis_vault *vault, const struct texts *names,
                         struct aegis_wallet **out, struct aegis_error *error)
{
    for (size_t i = 0; i < names->count; i++)
        if ((out[i] = aegis_wallet_find(vault, names->items[i], error)) == NULL)
            return false;
    return true;
}

/* What the agent's payments must pass: the key's policies and the whole gate's. A new reference; NULL when
 * the configuration cannot be read. */
static json_t *policies_in_force(const struct aegis_cli *cli, const char *id, bool *unlimited)
{
    struct aegis_error error;
    struct aegis_setup setup;
    json_t *agent, *policies = NULL;
    size_t i;
    if (!aegis_setup_read(cli, &setup, &error)) {
        aegis_cli_fail(cli, &error);
        return NULL;
    }
    json_array_foreach(setup.agents, i, agent)
    {
        if (strcmp(aegis_json_text(agent, "id", ""), id) == 0)
            policies = json_incref(json_object_get(agent, "policies"));
    }
    *unlimited = strcmp(aegis_config_text(setup.config, "payment.without_policy"), "allow") == 0;
    aegis_setup_clear(&setup);
    return policies;
}

static void print_policies(const json_t *policies)
{
    size_t i;
    json_t *id;
    printf("policies ");
    json_array_foreach((json_t *)policies, i, id)
    {
        printf("%s", i == 0 ? "" : ", ");
        aegis_cli_print_name(json_string_value(id));
    }
    printf("%s\n", json_array_size(policies) == 0 ? "none" : "");
}

static void warn_of_none(const struct aegis_cli *cli, bool unlimited)
{
    fprintf(stderr,
            "%s: no policy applies to this agent: %s; name one with --policy, or for all agents in "
            "`policies` of %s/aegis.yaml\n",
            cli->program, unlimited ? "nothing limits what it pays" : "all its payments are denied",
            cli->home);
}

static void print_new(const struct aegis_cli *cli, const struct aegis_apikey_request *request, const char *id,
                      const struct aegis_secret *token)
{
    bool unlimited = false;
    json_t *policies = policies_in_force(cli, id, &unlimited);
    if (policies != NULL && json_array_size(policies) == 0)
        warn_of_none(cli, unlimited);
    if (cli->json) {
        aegis_cli_print_json(json_pack("{s:s, s:s, s:s, s:O*}", "id", id, "name", request->name, "token",
                                       aegis_secret_text(token), "policies", policies));
    } else {
        printf("key      %s\nname     ", id);
        aegis_cli_print_name(request->name);
        printf("\ntoken    %s\n", aegis_secret_text(token));
        if (policies != NULL)
            print_policies(policies);
    }
    json_decref(policies);
}

static int create_with(const struct aegis_cli *cli, const struct aegis_vault *vault,
                       const struct aegis_apikey_request *request, const struct aegis_cli_source *source,
                       struct aegis_error *error)
{
    char id[AEGIS_VAULT_ID];
    struct aegis_secret *passphrase = aegis_cli_passphrase(source, false, error);
    struct aegis_secret *token =
        passphrase != NULL ? aegis_apikey_create(vault, request, passphrase, id, error) : NULL;
    int status = token != NULL ? 0 : aegis_cli_fail(cli, error);
    if (token != NULL)
        print_new(cli, request, id, token);
    aegis_secret_free(&token);
    aegis_secret_free(&passphrase);
    return status;
}

static int create(const struct aegis_cli *cli, const struct aegis_vault *vault, const struct options *options)
{
    struct aegis_error error = {""};
    int64_t now = aegis_clock_now();
    int64_t expires_at = AEGIS_APIKEY_NEVER;
    if (options->wallets.count == 0 || (options->passphrase.file != NULL && options->passphrase.fd != NULL))
        return wrong(cli);
    if (options->expires != NULL && !parse_expiry(options->expires, now, &expires_at)) {
        fprintf(stderr, "%s: '%s' is not a time; expected 2027-01-31T00:00:00Z or 30d\n", cli->program,
                options->expires);
        return 2;
    }
    struct aegis_wallet *wallets[LIST_LIMIT] = {NULL};
    const struct aegis_apikey_request request = {.name = options->name,
                                                 .wallets = (const struct aegis_wallet *const *)wallets,
                                                 .wallet_count = options->wallets.count,
                                                 .policy_ids = options->policies.items,
                                                 .policy_count = options->policies.count,
                                                 .expires_at = expires_at,
                                                 .now = now};
    int status = 1;
    if (!policies_check(cli, &options->policies, &error) ||
        !find_wallets(vault, &options->wallets, wallets, &error))
        aegis_cli_fail(cli, &error);
    else
        status = create_with(cli, vault, &request, &options->passphrase, &error);
    for (size_t i = 0; i < LIST_LIMIT; i++)
        aegis_wallet_free(&wallets[i]);
    return status;
}

static json_t *texts_json(char *const *texts)
{
    json_t *list = json_array();
    for (; *texts != NULL; texts++)
        json_array_append_new(list, json_string(*texts));
    return list;
}

static const char *expiry_text(const struct aegis_apikey *key, char out[AEGIS_TIME_TEXT])
{
    if (key->expires_at == AEGIS_APIKEY_NEVER)
        return NULL;
    return key->expires_at == INT64_MIN ? "unreadable" : aegis_time_format(key->expires_at, out);
}

static json_t *key_json(const struct aegis_apikey *key)
{
    char expiry[AEGIS_TIME_TEXT];
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:s?, s:b}", "id", key->id, "name", key->name, "created_at",
        key->created_at, "wallet_ids", texts_json(key->wallet_ids), "policy_ids", texts_json(key->policy_ids),
        "expires_at", expiry_text(key, expiry), "expired", aegis_apikey_expired(key, aegis_clock_now()));
    AEGIS_ASSERT(object != NULL);
    return object;
}

static void print_key(const struct aegis_apikey *key)
{
    char expiry[AEGIS_TIME_TEXT];
    const char *expires = expiry_text(key, expiry);
    printf("%s  ", key->id);
    aegis_cli_print_name(key->name);
    if (expires != NULL)
        printf("  %s %s", aegis_apikey_expired(key, aegis_clock_now()) ? "EXPIRED" : "until", expires);
    for (char **policy = key->policy_ids; *policy != NULL; policy++) {
        printf("%s", policy == key->policy_ids ? "  policies " : ", ");
        aegis_cli_print_name(*policy);
    }
    if (*key->policy_ids == NULL)
        printf("  no policies of its own");
    putchar('\n');
}

static int list(const struct aegis_cli *cli, const struct aegis_vault *vault, const struct options *options)
{
    (void)options;
    struct aegis_error error = {""};
    struct aegis_apikey_list keys;
    if (!aegis_apikey_list(vault, &keys, &error))
        return aegis_cli_fail(cli, &error);
    json_t *all = json_array();
    for (size_t i = 0; i < keys.count; i++) {
        json_array_append_new(all, key_json(keys.items[i]));
        if (!cli->json)
            print_key(keys.items[i]);
    }
    if (cli->json)
        aegis_cli_print_json(json_incref(all));
    json_decref(all);
    aegis_apikey_list_free(&keys);
    return 0;
}

static int revoke_key(const struct aegis_cli *cli, const struct aegis_vault *vault,
                      const struct options *options)
{
    struct aegis_error error = {""};
    if (!aegis_apikey_revoke(vault, options->name, &error))
        return aegis_cli_fail(cli, &error);
    if (cli->json)
        printf("{\"revoked\": true}\n");
    else
        printf("revoked: the gate refuses this key from its next request on\n");
    return 0;
}

int aegis_cli_key(const struct aegis_cli *cli, int argc, char **argv)
{
    static const struct {
        const char *name;
        bool named;
        int (*run)(const struct aegis_cli *cli, const struct aegis_vault *vault,
                   const struct options *options);
    } verbs[] = {{"create", true, create}, {"list", false, list}, {"revoke", true, revoke_key}};
    struct options options = {0};
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        if (!parse(&options, argc - 1, argv + 1) || (options.name != NULL) != verbs[i].named)
            return wrong(cli);
        struct aegis_error error = {""};
        struct aegis_vault *vault = aegis_cli_open_vault(cli, &error);
        if (vault == NULL)
            return aegis_cli_fail(cli, &error);
        int status = verbs[i].run(cli, vault, &options);
        aegis_vault_free(&vault);
        return status;
    }
    return wrong(cli);
}
