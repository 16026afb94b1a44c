/* aegis: asks and instructs a gate, and keeps its wallets, keys and policies. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/cli/cli.h"
#include "gate/cli/common.h"
#include "gate/daemon/config.h"
#include "gate/daemon/home.h"
#include "gate/daemon/lock.h"

static aegis_cli_command help;

/* Whether a command must know where wallets, keys and policies are. One that guesses takes the usual place
 * when the configuration cannot be read: it changes nothing there, and an agent must be stoppable even then.
 */
enum vault_need { NO, YES, GUESS };

/* Every command, in the order in which a newcomer meets them. */
static const struct command {
    const char *name;
    const char *arguments;
    const char *meaning;
    aegis_cli_command *run;
    enum vault_need vault;
} commands[] = {
    {"init",
     "[--wallet NAME] [--agent NAME] [--listen ADDRESS] [--plugin-path FOLDER]... "
     "[--passphrase-file FILE|--passphrase-fd N|--generate-passphrase]",
     "make a working setup: configuration, wallet, one agent, cautious policies", aegis_cli_init, YES},
    {"status", "", "whether the gate runs, what its processes do, what its agents spent", aegis_cli_status,
     GUESS},
    {"wallet", "create|import|list|export-address ...", "wallets of the Open Wallet Standard",
     aegis_cli_wallet, YES},
    {"key", "create|list|revoke ...", "API keys: what an agent has instead of a wallet", aegis_cli_key, YES},
    {"policy", "list|check [--plugin-path FOLDER]... FILE...|explain PAYMENT|FILE",
     "policies, and why they would allow or deny", aegis_cli_policy, YES},
    {"install", "[FILE]...", "put policy documents where agents' keys and other OWS tools find them",
     aegis_cli_install, YES},
    {"guard", "[--add ADDRESS|--remove ADDRESS] [--chain CHAIN|--block]",
     "who may be paid: shows and changes guard-config.json", aegis_cli_guard, NO},
    {"budget",
     "[--agent AGENT] [--chain CHAIN] [--period payment|hourly|daily|weekly|monthly|total|rolling:SECONDS]",
     "caps, what was spent of them, what is left, and when they begin anew", aegis_cli_budget, YES},
    {"receipts", "[--agent AGENT] [--since TIME] [--limit N]", "what was paid for, and what became of it",
     aegis_cli_receipts, NO},
    {"payment", "ID", "everything that is known about one payment or refusal", aegis_cli_payment, NO},
    {"ledger", "verify|replay|export [--format jsonl|csv]",
     "prove that the books are whole, judge again, take them along", aegis_cli_ledger, NO},
    {"heartbeat", "AGENT", "say that an agent is alive, for the policies that watch for it",
     aegis_cli_heartbeat, GUESS},
    {"revoke", "AGENT [--reason TEXT]", "end an agent's key now", aegis_cli_revoke, GUESS},
    {"resume", "", "go on paying after the clock jumped", aegis_cli_resume, NO},
    {"reload", "", "put a changed configuration and changed policies into force", aegis_cli_reload, NO},
    {"stop", "", "finish what runs and stop the gate", aegis_cli_stop, NO},
    {"help", "[COMMAND]", "explain a command", help, NO},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int aegis_cli_misuse(const struct aegis_cli *cli, const char *name)
{
    const struct command *command = find(name);

    AEGIS_ASSERT(command != NULL);
    fprintf(stderr, "usage: %s %s %s\n", cli->program, command->name, command->arguments);
    return 2;
}

static void print_overview(const char *program)
{
    printf("Usage: %s [--home FOLDER] [--vault FOLDER] [--json] COMMAND ...\n\n", program);
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].meaning);
    printf("\nThe gate itself is aegis-gate. --home is AEGIS_HOME, else ~/.ows/aegis; --vault is what its "
           "configuration says.\n"
           "`%s help COMMAND` shows the arguments.\n",
           program);
}

static void print_usage(FILE *out, const char *program, const struct command *command)
{
    /* One line does not say it. */
    if (command->run == aegis_cli_wallet)
        aegis_cli_wallet_usage(out, program);
    else if (command->run == aegis_cli_key)
        aegis_cli_key_usage(out, program);
    else
        fprintf(out, "usage: %s %s %s\n", program, command->name, command->arguments);
}

static int help(const struct aegis_cli *cli, int argc, char **argv)
{
    const struct command *command = argc == 1 ? NULL : find(argv[1]);

    if (argc == 1) {
        print_overview(cli->program);
        return 0;
    }
    if (command == NULL) {
        fprintf(stderr, "%s: there is no command %s\n", cli->program, argv[1]);
        return 2;
    }
    print_usage(stdout, cli->program, command);
    printf("\n%s\n", command->meaning);
    return 0;
}

/* Takes the options that every command has out of argv. False with a complaint when one lacks its value. */
static bool take_globals(struct aegis_cli *cli, int *argc, char **argv)
{
    int kept = 1;
    bool options = true;

    for (int i = 1; i < *argc; i++) {
        const char **place = strcmp(argv[i], "--home") == 0    ? &cli->home
                             : strcmp(argv[i], "--vault") == 0 ? &cli->vault
                                                               : NULL;
        options = options && strcmp(argv[i], "--") != 0;
        if (options && strcmp(argv[i], "--json") == 0) {
            cli->json = true;
        } else if (options && place != NULL) {
            if (++i == *argc) {
                fprintf(stderr, "%s: %s: expected a folder behind it\n", cli->program, argv[i - 1]);
                return false;
            }
            *place = argv[i];
        } else {
            argv[kept++] = argv[i];
        }
    }
    argv[kept] = NULL;
    *argc = kept;
    return true;
}

/* The vault of the gate that runs; NULL when none does, or it is too young to have said. */
static char *running_vault(const struct aegis_cli *cli)
{
    json_t *state = aegis_lock_read(cli->home);
    const char *vault = aegis_json_text(state, "vault", "");
    char *out = vault[0] == '\0' ? NULL : aegis_strdup(vault);

    json_decref(state);
    return out;
}

/* The vault that the gate of this home uses; without a configuration the usual one. NULL with a complaint
 * when there is a configuration that cannot be read: a wallet in the wrong folder would be worse. */
static char *find_vault(const struct aegis_cli *cli, enum vault_need need)
{
    char *path = aegis_cli_config_file(cli), *vault = NULL;
    struct aegis_error error;
    struct aegis_config *config;

    if (access(path, F_OK) != 0) {
        vault = aegis_vault_default(cli->home);
    } else if ((config = aegis_config_load(path, &error)) != NULL) {
        vault = aegis_strdup(aegis_config_vault(config));
        aegis_config_free(&config);
    } else if ((vault = running_vault(cli)) != NULL) {
        fprintf(stderr, "%s: %s; taking the vault of the running gate, %s\n", cli->program, error.text,
                vault);
    } else if (need == GUESS) {
        vault = aegis_vault_default(cli->home);
        fprintf(stderr, "%s: %s; taking the vault %s (--vault FOLDER names another)\n", cli->program,
                error.text, vault);
    } else {
        fprintf(stderr, "%s: %s (--vault FOLDER goes past it)\n", cli->program, error.text);
    }
    free(path);
    return vault;
}

static int run(struct aegis_cli *cli, const struct command *command, int argc, char **argv)
{
    char *home = cli->home == NULL ? aegis_home_default() : aegis_home_expand_here(cli->home), *vault = NULL;
    int status = 1;

    if (cli->home != NULL && access(home, F_OK) != 0 && command->run != aegis_cli_init)
        fprintf(stderr, "%s: there is no folder %s\n", cli->program, home);
    cli->home = home;
    if (cli->vault != NULL)
        vault = aegis_home_expand_here(cli->vault);
    else
        vault = command->vault == NO ? aegis_vault_default(home) : find_vault(cli, command->vault);
    cli->vault = vault;
    if (vault != NULL)
        status = command->run(cli, argc, argv);
    free(vault);
    free(home);
    return status;
}

int main(int argc, char **argv)
{
    struct aegis_cli cli = {.program = argc > 0 ? argv[0] : "aegis"};
    const struct command *command;

    aegis_log_open("aegis", AEGIS_LOG_WARNING, false);
    if (sodium_init() < 0 || !take_globals(&cli, &argc, argv))
        return 2;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_overview(cli.program);
        return argc < 2 ? 2 : 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("aegis %s\n", PACKAGE_VERSION);
        return 0;
    }
    command = find(argv[1]);
    if (command == NULL) {
        fprintf(stderr, "%s: there is no command %s; `%s help` lists them\n", cli.program, argv[1],
                cli.program);
        return 2;
    }
    if (argc > 2 && (strcmp(argv[argc - 1], "--help") == 0 || strcmp(argv[argc - 1], "-h") == 0)) {
        char *words[] = {argv[argc - 1], argv[1], NULL};
        return help(&cli, 2, words);
    }
    return run(&cli, command, argc - 1, argv + 1);
}
