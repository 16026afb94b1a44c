/* The folder that holds a vault: wallets/, keys/ (both 700, their files 600) and policies/. */
#ifndef AEGIS_VAULT_FOLDER_H
#define AEGIS_VAULT_FOLDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
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
bool aegis_vault_id_valid(const char *text);

/* `now` (ms) as OWS writes times: 2026-11-20T08:16:24.206000000+00:00. The caller frees. */
char *aegis_vault_time(int64_t now);

/* Paths of the *.json files in the subfolder `part` ("wallets", "keys"), sorted; none when it is missing. The
 * vault is checked first. */
struct aegis_vault_paths {
    char **items;
    size_t count;
};
bool aegis_vault_list(const struct aegis_vault *vault, const char *part, struct aegis_vault_paths *out,
                      struct aegis_error *error);
void aegis_vault_paths_free(struct aegis_vault_paths *paths);

/* One file, refused when anybody else can read it. A new reference, or NULL; the error begins with the
 * path. */
json_t *aegis_vault_read(const char *path, struct aegis_error *error);

/* Writes part/id.json (600) as OWS does: two spaces, members in insertion order, no newline at the end. */
bool aegis_vault_write(const struct aegis_vault *vault, const char *part, const char *id,
                       const json_t *document, struct aegis_error *error);

#endif
