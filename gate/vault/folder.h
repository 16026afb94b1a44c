/* The folder that holds a vault: wallets/, keys/ (both 700, their files 600) and policies/. */
#ifndef AEGIS_VAULT_FOLDER_H
#define AEGIS_VAULT_FOLDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/base/error.h"

#define AEGIS_VAULT_ID         37      /* room for a UUID */
#define AEGIS_VAULT_FILE_LIMIT 1048576 /* longest wallet or key file that is read */

struct aegis_vault {
    char *folder;
    uint64_t scrypt_max_memory; /* bytes that opening a wallet may take */
};

/* `scrypt_max_memory` 0 stands for AEGIS_SCRYPT_MEMORY. Nothing is read or made yet. Never fails. */
struct aegis_vault *aegis_vault_new(const char *folder, uint64_t scrypt_max_memory);
void aegis_vault_free(struct aegis_vault **vault);

/* Refuses a folder that others can change, and wallets/ or keys/ that others can read; the error names path
 * and mode. A missing folder is an empty one. */
bool aegis_vault_check(const struct aegis_vault *vault, struct aegis_error *error);

/* A fresh random UUID (version 4), lower case. Returns `out`. */
char *aegis_vault_id_new(char out[AEGIS_VAULT_ID]);

#endif
