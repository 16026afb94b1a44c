/* aegis init: a working setup in one command. What is there already is kept; the configuration is written
 * last, so that a setup that was interrupted can be begun again. */
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/confine.h"
#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/cli/common.h"
#include "gate/cli/defaults.h"
#include "gate/cli/secrets.h"
#include "gate/daemon/config.h"
#include "gate/daemon/home.h"
#include "gate/vault/apikey.h"
#include "gate/vault/wallet.h"

enum { GENERATED_BYTES = 18, WORDS = 12 };

struct plan {
    const char *wallet;
    const char *agent;
    const char *listen;
    json_t *plugin_path;
    struct aegis_cli_source source;
    bool generate;
};

/* What there is to tell in the end. */
struct outcome {
    struct aegis_secret *passphrase;
    struct aegis_secret *token;
    char key[AEGIS_VAULT_ID];
    char address[AEGIS_ADDRESS_TEXT];
    bool new_wallet;
};

static struct aegis_secret *generate(void)
{
    unsigned char bytes[GENERATED_BYTES];
    char text[sodium_base64_ENCODED_LEN(GENERATED_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
    struct aegis_secret *secret;

    randombytes_buf(bytes, sizeof(bytes));
    sodium_bin2base64(text, sizeof(text), bytes, sizeof(bytes), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    secret = aegis_secret_copy(text, strlen(text));
    sodium_memzero(bytes, sizeof(bytes));
    sodium_memzero(text, sizeof(text));
    return secret;
}

/* The configuration text. JSON's texts are YAML's. */
static char *configuration(const struct aegis_cli *cli, const struct plan *plan)
{
    json_t *home = json_string(cli->home), *vault = json_string(cli->vault),
           *listen = json_string(plan->listen);
    char *texts[] = {json_dumps(home, JSON_ENCODE_ANY), json_dumps(vault, JSON_ENCODE_ANY),
                     json_dumps(listen, JSON_ENCODE_ANY), json_dumps(plan->plugin_path, 0)};
    char *judge = json_array_size(plan->plugin_path) == 0
                      ? aegis_strdup("")
                      : aegis_format("\njudge:\n  plugin_path: %s\n", texts[3]);
    char *out = aegis_format("# Made by `aegis init`. `aegis-gate --help-config` lists every option.\n"
                             "home: %s\n"
                             "vault: %s\n"
                             "\n"
                             "# What every agent's payments must pass, whatever its key says.\n"
                             "policies: [%s, %s]\n"
                             "\n"
                             "# An HTTP proxy for agents, who present their token as its password.\n"
                             "listeners:\n"
                             "  - name: agents\n"
                             "    address: %s\n"
                             "    mode: forward\n%s",
                             texts[0], texts[1], aegis_default_policy_ids[0], aegis_default_policy_ids[1],
                             texts[2], judge);

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        free(texts[i]);
    free(judge);
    json_decref(home);
    json_decref(vault);
    json_decref(listen);
    return out;
}

/* Read as the gate will read it, so that nothing is made for a configuration that it refuses. */
static bool check_configuration(const char *path, const char *text, struct aegis_error *error)
{
    struct aegis_config *config = aegis_config_parse(path, text, strlen(text), error);
    bool good = config != NULL;

    aegis_config_free(&config);
    return good;
}

static struct aegis_wallet *find_or_make_wallet(const struct plan *plan, const struct aegis_vault *vault,
                                                struct outcome *outcome, struct aegis_error *error)
{
    struct aegis_wallets all = {0};
    bool there = false;

    if (!aegis_wallets_list(vault, &all, error))
        return NULL;
    for (size_t i = 0; i < all.count; i++)
        there = there || strcmp(all.items[i]->name, plan->wallet) == 0;
    aegis_wallets_free(&all);
    outcome->new_wallet = !there;
    outcome->passphrase =
        plan->generate && !there ? generate() : aegis_cli_passphrase(&plan->source, !there, error);
    if (outcome->passphrase == NULL)
        return NULL;
    return there ? aegis_wallet_find(vault, plan->wallet, error)
                 : aegis_wallet_create(vault, plan->wallet, WORDS, outcome->passphrase, aegis_clock_now(),
                                       error);
}

static bool write_policies(const struct aegis_cli *cli, struct aegis_error *error)
{
    for (size_t i = 0; i < aegis_default_policy_count; i++) {
        char *path = aegis_format("%s/policies/%s.json", cli->vault, aegis_default_policy_ids[i]);
        json_t *document = access(path, F_OK) == 0 ? NULL : aegis_default_policy(i);
        bool done = document == NULL || aegis_policy_write(cli->vault, document, error);

        json_decref(document);
        free(path);
        if (!done)
            return false;
    }
    return true;
}

static bool make_key(const struct plan *plan, const struct aegis_vault *vault,
                     const struct aegis_wallet *wallet, struct outcome *outcome, struct aegis_error *error)
{
    const struct aegis_apikey_request request = {.name = plan->agent,
                                                 .wallets = &wallet,
                                                 .wallet_count = 1,
                                                 .policy_ids = aegis_default_policy_ids,
                                                 .policy_count = aegis_default_policy_count,
                                                 .expires_at = AEGIS_APIKEY_NEVER,
                                                 .now = aegis_clock_now()};

    outcome->token = aegis_apikey_create(vault, &request, outcome->passphrase, outcome->key, error);
    return outcome->token != NULL;
}

static bool make(const struct aegis_cli *cli, const struct plan *plan, const char *path, const char *text,
                 struct outcome *outcome, struct aegis_error *error)
{
    struct aegis_vault *vault = aegis_vault_new(cli->vault, 0);
    struct aegis_wallet *wallet = NULL;
    struct aegis_address address;
    bool done = aegis_folder_make(cli->vault, 0700, error) && aegis_folder_make(cli->home, 0700, error) &&
                (wallet = find_or_make_wallet(plan, vault, outcome, error)) != NULL &&
                aegis_wallet_address(wallet, &address, error) && write_policies(cli, error) &&
                make_key(plan, vault, wallet, outcome, error) &&
                aegis_file_write(path, text, strlen(text), 0600, error);

    if (done)
        aegis_address_format(&address, outcome->address);
    aegis_wallet_free(&wallet);
    aegis_vault_free(&vault);
    return done;
}

/* How to ask the gate of this home: who wrote --home must write it again. */
static void print_status_command(const struct aegis_cli *cli)
{
    char *usual = aegis_home_default();

    if (strcmp(cli->home, usual) == 0)
        printf("  %s status\n", cli->program);
    else
        printf("  %s --home %s status\n", cli->program, cli->home);
    free(usual);
}

static void print_outcome(const struct aegis_cli *cli, const struct plan *plan, const char *path,
                          const struct outcome *outcome)
{
    const char *token = aegis_secret_text(outcome->token);
    bool told = plan->generate && outcome->new_wallet, local = strncmp(plan->listen, "unix:", 5) == 0;

    if (cli->json) {
        json_t *out = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "file", path, "wallet", plan->wallet, "address",
                                outcome->address, "agent", plan->agent, "key", outcome->key, "token", token);
        if (told)
            json_object_set_new(out, "passphrase", json_string(aegis_secret_text(outcome->passphrase)));
        aegis_cli_print_json(out);
        return;
    }
    printf("configuration  %s\n", path);
    printf("wallet         %s, %s%s\n", plan->wallet, outcome->address, outcome->new_wallet ? ", new" : "");
    if (told)
        printf("passphrase     %s   (shown only now; it opens the wallet)\n",
               aegis_secret_text(outcome->passphrase));
    printf("agent          %s\n", plan->agent);
    printf("token          %s   (shown only now; it is what the agent presents)\n", token);
    printf(
        "policies       1 USDC a payment, 10 USDC a day, known assets only, for every agent: %s/policies\n",
        cli->vault);
    printf("\nTo use it, with some USDC on %s:\n", outcome->address);
    printf("  aegis-gate -c %s\n", path);
    if (local)
        printf("  curl --unix-socket %s -H 'Proxy-Authorization: Bearer TOKEN' http://a-shop.example/\n",
               plan->listen + 5);
    else
        printf("  curl -x http://%s:TOKEN@%s http://a-shop.example/\n", plan->agent, plan->listen);
    print_status_command(cli);
}

static int run(const struct aegis_cli *cli, const struct plan *plan)
{
    char *path = aegis_cli_path(cli, "aegis.yaml"), *text = configuration(cli, plan);
    struct outcome outcome = {0};
    struct aegis_error error;
    int status = 0;

    if (access(path, F_OK) == 0) {
        aegis_error_set(&error, "%s: is there already; aegis wallet, aegis key and an editor go on from here",
                        path);
        status = aegis_cli_fail(cli, &error);
    } else if (!check_configuration(path, text, &error) ||
               !aegis_confine(AEGIS_CONFINE_NETWORK | AEGIS_CONFINE_EXEC | AEGIS_CONFINE_DEBUG, &error) ||
               !make(cli, plan, path, text, &outcome, &error)) {
        status = aegis_cli_fail(cli, &error);
    } else {
        print_outcome(cli, plan, path, &outcome);
    }
    aegis_secret_free(&outcome.passphrase);
    aegis_secret_free(&outcome.token);
    free(text);
    free(path);
    return status;
}

static void add_folder(json_t *folders, const char *name)
{
    char *path = aegis_home_expand_here(name);

    json_array_append_new(folders, json_string(path));
    free(path);
}

static bool parse(int argc, char **argv, struct plan *plan)
{
    static const struct option options[] = {
        {"wallet", required_argument, NULL, 'w'},          {"agent", required_argument, NULL, 'a'},
        {"listen", required_argument, NULL, 'l'},          {"plugin-path", required_argument, NULL, 'p'},
        {"passphrase-file", required_argument, NULL, 'f'}, {"passphrase-fd", required_argument, NULL, 'd'},
        {"generate-passphrase", no_argument, NULL, 'g'},   {0}};

    optind = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'w')
            plan->wallet = optarg;
        else if (option == 'a')
            plan->agent = optarg;
        else if (option == 'l')
            plan->listen = optarg;
        else if (option == 'p')
            add_folder(plan->plugin_path, optarg);
        else if (option == 'f')
            plan->source.file = optarg;
        else if (option == 'd')
            plan->source.fd = optarg;
        else if (option == 'g')
            plan->generate = true;
        else
            return false;
    }
    return optind == argc && plan->generate + (plan->source.file != NULL) + (plan->source.fd != NULL) <= 1;
}

int aegis_cli_init(const struct aegis_cli *cli, int argc, char **argv)
{
    struct plan plan = {
        .wallet = "main", .agent = "agent", .listen = "127.0.0.1:8402", .plugin_path = json_array()};
    int status = parse(argc, argv, &plan) ? run(cli, &plan) : aegis_cli_misuse(cli, "init");

    json_decref(plan.plugin_path);
    return status;
}
