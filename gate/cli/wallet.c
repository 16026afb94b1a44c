/* aegis wallet create | import | list | export-address */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/cli/common.h"
#include "gate/cli/name.h"
#include "gate/cli/secrets.h"
#include "gate/vault/wallet.h"

static const char usage[] =
    "usage: %s wallet create NAME [--words 12|15|18|21|24] [--show-phrase] [PASSPHRASE]\n"
    "       %s wallet import NAME --mnemonic-file FILE|--mnemonic-fd N [--index N] [PASSPHRASE]\n"
    "       %s wallet import NAME --key-file FILE|--key-fd N [PASSPHRASE]\n"
    "       %s wallet list\n"
    "       %s wallet export-address NAME|ID [--chain FAMILY]\n"
    "\n"
    "PASSPHRASE is --passphrase-file FILE or --passphrase-fd N; without it you are asked on the terminal.\n"
    "FILE may be - for standard input; a file must be readable by you alone.\n"
    "--show-phrase prints the new wallet's recovery phrase. FAMILY is eip155 unless you name another.\n";

struct options {
    const char *name; /* by --name or as the argument that is no option */
    const char *words;
    const char *index;
    const char *chain;
    bool show_phrase;
    struct aegis_cli_source passphrase;
    struct aegis_cli_source mnemonic;
    struct aegis_cli_source key;
};

void aegis_cli_wallet_usage(FILE *out, const char *program)
{
    fprintf(out, usage, program, program, program, program, program);
}

static int wrong(const struct aegis_cli *cli)
{
    aegis_cli_wallet_usage(stderr, cli->program);
    return 2;
}

static bool parse(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"name", required_argument, NULL, 'n'},          {"words", required_argument, NULL, 'w'},
        {"show-phrase", no_argument, NULL, 's'},         {"index", required_argument, NULL, 'i'},
        {"chain", required_argument, NULL, 'c'},         {"passphrase-file", required_argument, NULL, 'p'},
        {"passphrase-fd", required_argument, NULL, 'P'}, {"mnemonic-file", required_argument, NULL, 'm'},
        {"mnemonic-fd", required_argument, NULL, 'M'},   {"key-file", required_argument, NULL, 'k'},
        {"key-fd", required_argument, NULL, 'K'},        {NULL, 0, NULL, 0}};
    const char **const places[128] = {
        ['n'] = &options->name,          ['w'] = &options->words,           ['i'] = &options->index,
        ['c'] = &options->chain,         ['p'] = &options->passphrase.file, ['P'] = &options->passphrase.fd,
        ['m'] = &options->mnemonic.file, ['M'] = &options->mnemonic.fd,     ['k'] = &options->key.file,
        ['K'] = &options->key.fd};
    optind = 0;
    for (int letter; (letter = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (letter == 's')
            options->show_phrase = true;
        else if (letter < 0 || letter > 127 || places[letter] == NULL || *places[letter] != NULL)
            return false; /* unknown, or given twice */
        else
            *places[letter] = optarg;
    }
    if (optind < argc && options->name == NULL)
        options->name = argv[optind++];
    return optind == argc;
}

static unsigned given(const struct aegis_cli_source *source)
{
    return (source->file != NULL) + (source->fd != NULL);
}

/* Digits only. */
static bool parse_number(const char *text, unsigned long most, unsigned long *out)
{
    size_t length = strlen(text);
    if (length == 0 || length > 10 || strspn(text, "0123456789") != length)
        return false;
    *out = strtoul(text, NULL, 10);
    return *out <= most;
}

static json_t *wallet_json(const struct aegis_wallet *wallet)
{
    json_t *accounts = json_array();
    for (size_t i = 0; i < wallet->account_count; i++)
        json_array_append_new(accounts, json_pack("{s:s, s:s, s:s}", "chain_id", wallet->accounts[i].chain_id,
                                                  "address", wallet->accounts[i].address, "derivation_path",
                                                  wallet->accounts[i].derivation_path));
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:s, s:o}", "id", wallet->id, "name", wallet->name, "created_at", wallet->created_at,
        "key_type", wallet->kind == AEGIS_WALLET_MNEMONIC ? "mnemonic" : "private_key", "accounts", accounts);
    AEGIS_ASSERT(object != NULL);
    return object;
}

/* `phrase` may be NULL. */
static void print_new(const struct aegis_cli *cli, const struct aegis_wallet *wallet,
                      const struct aegis_secret *phrase)
{
    if (cli->json) {
        json_t *object = wallet_json(wallet);
        if (phrase != NULL)
            json_object_set_new(object, "phrase", json_string(aegis_secret_text(phrase)));
        aegis_cli_print_json(object);
        return;
    }
    const struct aegis_wallet_account *account = aegis_wallet_account(wallet, "eip155");
    printf("wallet  ");
    aegis_cli_print_name(wallet->name);
    printf("\nid      %s\naddress %s\n", wallet->id, account->address);
    if (phrase != NULL)
        printf("phrase  %s\n", aegis_secret_text(phrase));
}

static int create(const struct aegis_cli *cli, const struct aegis_vault *vault, const struct options *options)
{
    struct aegis_error error = {""};
    unsigned long words = 12;
    if (given(&options->passphrase) > 1 || given(&options->mnemonic) > 0 || given(&options->key) > 0 ||
        (options->words != NULL && !parse_number(options->words, 24, &words)))
        return wrong(cli);
    struct aegis_secret *passphrase = aegis_cli_passphrase(&options->passphrase, true, &error);
    if (passphrase == NULL)
        return aegis_cli_fail(cli, &error);
    struct aegis_wallet *wallet =
        aegis_wallet_create(vault, options->name, (unsigned)words, passphrase, aegis_clock_now(), &error);
    struct aegis_secret *phrase =
        wallet != NULL && options->show_phrase ? aegis_wallet_open(vault, wallet, passphrase, &error) : NULL;
    bool good = wallet != NULL && (phrase != NULL || !options->show_phrase);
    if (good)
        print_new(cli, wallet, phrase);
    aegis_secret_free(&phrase);
    aegis_secret_free(&passphrase);
    aegis_wallet_free(&wallet);
    return good ? 0 : aegis_cli_fail(cli, &error);
}

/* 64 hex digits, with or without 0x. */
static struct aegis_secret *key_of_text(const struct aegis_secret *text, struct aegis_error *error)
{
    const char *digits = aegis_secret_text(text);
    size_t length = aegis_secret_size(text);
    if (length > 2 && digits[0] == '0' && digits[1] == 'x') {
        digits += 2;
        length -= 2;
    }
    struct aegis_secret *key = aegis_secret_new(AEGIS_WALLET_KEY_SIZE);
    if (!aegis_hex_decode(digits, length, aegis_secret_bytes(key), AEGIS_WALLET_KEY_SIZE)) {
        aegis_error_set(error, "a private key must be 64 hex digits, with or without 0x");
        aegis_secret_free(&key);
    }
    return key;
}

static struct aegis_wallet *import_text(const struct aegis_vault *vault, const struct options *options,
                                        uint32_t index, const struct aegis_secret *passphrase,
                                        struct aegis_error *error)
{
    bool mnemonic = given(&options->mnemonic) > 0;
    struct aegis_secret *text = aegis_cli_secret_read(mnemonic ? &options->mnemonic : &options->key, error);
    if (text == NULL)
        return NULL;
    struct aegis_wallet *wallet = NULL;
    struct aegis_secret *key = mnemonic ? NULL : key_of_text(text, error);
    int64_t now = aegis_clock_now();
    if (mnemonic)
        wallet = aegis_wallet_import_mnemonic(vault, options->name, text, index, passphrase, now, error);
    else if (key != NULL)
        wallet = aegis_wallet_import_key(vault, options->name, key, passphrase, now, error);
    aegis_secret_free(&key);
    aegis_secret_free(&text);
    return wallet;
}

static int import(const struct aegis_cli *cli, const struct aegis_vault *vault, const struct options *options)
{
    struct aegis_error error = {""};
    unsigned long index = 0;
    if (given(&options->passphrase) > 1 || options->words != NULL || options->show_phrase ||
        given(&options->mnemonic) + given(&options->key) != 1 ||
        (options->index != NULL &&
         (given(&options->key) > 0 || !parse_number(options->index, INT32_MAX, &index))))
        return wrong(cli);
    struct aegis_secret *passphrase = aegis_cli_passphrase(&options->passphrase, true, &error);
    if (passphrase == NULL)
        return aegis_cli_fail(cli, &error);
    struct aegis_wallet *wallet = import_text(vault, options, (uint32_t)index, passphrase, &error);
    aegis_secret_free(&passphrase);
    if (wallet == NULL)
        return aegis_cli_fail(cli, &error);
    print_new(cli, wallet, NULL);
    aegis_wallet_free(&wallet);
    return 0;
}

static int list(const struct aegis_cli *cli, const struct aegis_vault *vault, const struct options *options)
{
    (void)options;
    struct aegis_error error = {""};
    struct aegis_wallets wallets;
    if (!aegis_wallets_list(vault, &wallets, &error))
        return aegis_cli_fail(cli, &error);
    json_t *all = json_array();
    for (size_t i = 0; i < wallets.count; i++) {
        const struct aegis_wallet_account *account = aegis_wallet_account(wallets.items[i], "eip155");
        json_array_append_new(all, wallet_json(wallets.items[i]));
        if (cli->json)
            continue;
        printf("%s  %-42s  ", wallets.items[i]->id, account != NULL ? account->address : "-");
        aegis_cli_print_name(wallets.items[i]->name);
        putchar('\n');
    }
    if (cli->json)
        aegis_cli_print_json(json_incref(all));
    json_decref(all);
    aegis_wallets_free(&wallets);
    return 0;
}

static int export_address(const struct aegis_cli *cli, const struct aegis_vault *vault,
                          const struct options *options)
{
    struct aegis_error error = {""};
    const char *family = options->chain != NULL ? options->chain : "eip155";
    struct aegis_wallet *wallet = aegis_wallet_find(vault, options->name, &error);
    if (wallet == NULL)
        return aegis_cli_fail(cli, &error);
    char *until_colon = aegis_strdup(family);
    until_colon[strcspn(until_colon, ":")] = '\0';
    const struct aegis_wallet_account *account = aegis_wallet_account(wallet, until_colon);
    free(until_colon);
    if (account == NULL)
        aegis_error_set(&error, "wallet %s has no account for '%s'", wallet->id, family);
    else if (cli->json)
        aegis_cli_print_json(json_pack("{s:s, s:s, s:s}", "wallet_id", wallet->id, "chain_id",
                                       account->chain_id, "address", account->address));
    else
        printf("%s\n", account->address);
    int status = account != NULL ? 0 : aegis_cli_fail(cli, &error);
    aegis_wallet_free(&wallet);
    return status;
}

int aegis_cli_wallet(const struct aegis_cli *cli, int argc, char **argv)
{
    static const struct {
        const char *name;
        bool named;
        int (*run)(const struct aegis_cli *cli, const struct aegis_vault *vault,
                   const struct options *options);
    } verbs[] = {{"create", true, create},
                 {"import", true, import},
                 {"list", false, list},
                 {"export-address", true, export_address}};
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
