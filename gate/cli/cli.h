/* What every command of `aegis` gets, and the functions that the command table in main.c names. */
#ifndef AEGIS_CLI_CLI_H
#define AEGIS_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

struct aegis_cli {
    const char *home;    /* the state folder: --home, AEGIS_HOME or ~/.ows/aegis */
    const char *vault;   /* the OWS folder with wallets/, keys/ and policies/ */
    const char *program; /* argv[0] as typed, for usage texts */
    bool json;           /* --json: one JSON value on standard output, for programs */
};

/* A command: argv[0] is its own name, the rest is its arguments (global options are gone already). What a
 * person or program asked for goes to standard output, complaints to standard error. Returns the exit status:
 * 0 done, 1 it failed or the answer is no, 2 the arguments are wrong. */
typedef int aegis_cli_command(const struct aegis_cli *cli, int argc, char **argv);

aegis_cli_command aegis_cli_init;
aegis_cli_command aegis_cli_install;
aegis_cli_command aegis_cli_wallet; /* create | import | list | export-address */
aegis_cli_command aegis_cli_key;    /* create | list | revoke */
void aegis_cli_wallet_usage(FILE *out, const char *program);
void aegis_cli_key_usage(FILE *out, const char *program);
aegis_cli_command aegis_cli_policy; /* list | check | explain */
aegis_cli_command aegis_cli_guard;
aegis_cli_command aegis_cli_status;
aegis_cli_command aegis_cli_budget;
aegis_cli_command aegis_cli_receipts;
aegis_cli_command aegis_cli_payment;
aegis_cli_command aegis_cli_ledger; /* verify | replay | export */
aegis_cli_command aegis_cli_heartbeat;
aegis_cli_command aegis_cli_revoke;
aegis_cli_command aegis_cli_resume;
aegis_cli_command aegis_cli_reload;
aegis_cli_command aegis_cli_stop;

#endif
