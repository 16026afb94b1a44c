/* Passphrases and other secrets for commands: from a file, from a descriptor, or typed without echo. Never
 * from the command line, which every user of the machine can read. */
#ifndef AEGIS_CLI_SECRETS_H
#define AEGIS_CLI_SECRETS_H

#include <stdbool.h>

#include "gate/base/error.h"
#include "gate/vault/secret.h"

#define AEGIS_CLI_SECRET_LIMIT 4096

/* Where a secret comes from: at most one of the two is set. */
struct aegis_cli_source {
    const char *file; /* a path, or "-" for standard input; NULL: not given */
    const char *fd;   /* a number; NULL: not given */
};

/* The text there, less one line end. A regular file must not be readable by others. NULL with the reason. */
struct aegis_secret *aegis_cli_secret_read(const struct aegis_cli_source *source, struct aegis_error *error);

/* Asks on the terminal, without echo; twice when `confirm`. NULL with the reason: no terminal, given up,
 * unequal. */
struct aegis_secret *aegis_cli_secret_ask(const char *what, bool confirm, struct aegis_error *error);

/* The passphrase from its source, or asked for when there is none. `confirm` for new ones, which may
 * not be empty. */
struct aegis_secret *aegis_cli_passphrase(const struct aegis_cli_source *source, bool confirm,
                                          struct aegis_error *error);

#endif
