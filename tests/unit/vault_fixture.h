/* A vault of one's own for a test: a fresh folder, filled with the official library's files when asked. */
#ifndef AEGIS_TESTS_VAULT_FIXTURE_H
#define AEGIS_TESTS_VAULT_FIXTURE_H

#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/base/file.h"
#include "gate/base/text.h"
#include "gate/vault/folder.h"
#include "tests/unit/vectors.h"

static inline void fixture_require(bool good, const struct aegis_error *error)
{
    if (!good) {
        fprintf(stderr, "fixture: %s\n", error->text);
        exit(99);
    }
}

static inline void fixture_write(const struct aegis_vault *vault, const char *part, const char *name,
                                 const char *text)
{
    struct aegis_error error = {""};
    char *folder = aegis_format("%s/%s", vault->folder, part);
    char *path = aegis_format("%s/%s", folder, name);
    fixture_require(aegis_folder_make(folder, 0700, &error) &&
                        aegis_file_write(path, text, strlen(text), 0600, &error),
                    &error);
    free(path);
    free(folder);
}

/* One of the official library's files, `part`/id.json. */
static inline void fixture_copy(const struct aegis_vault *vault, const char *part, const char *id)
{
    struct aegis_error error = {""};
    const char *srcdir = getenv("srcdir");
    size_t size = 0;
    char *from = aegis_format("%s/tests/data/vault/%s/%s.json", srcdir != NULL ? srcdir : ".", part, id);
    char *name = aegis_format("%s.json", id);
    char *text = aegis_file_read(from, 1 << 20, AEGIS_FILE_ANY, &size, &error);
    fixture_require(text != NULL, &error);
    fixture_write(vault, part, name, text);
    free(text);
    free(name);
    free(from);
}

static inline struct aegis_vault *fixture_vault(void)
{
    char folder[] = "/tmp/aegis-vault-XXXXXX";
    if (mkdtemp(folder) == NULL)
        exit(99);
    return aegis_vault_new(folder, 0);
}

/* All wallets and keys of the official library. */
static inline struct aegis_vault *fixture_official(const json_t *facts)
{
    struct aegis_vault *vault = fixture_vault();
    size_t i;
    json_t *item;
    json_array_foreach(vectors_get(facts, "wallets"), i, item)
    {
        fixture_copy(vault, "wallets", vectors_text(item, "id"));
    }
    json_array_foreach(vectors_get(facts, "api_keys"), i, item)
    {
        fixture_copy(vault, "keys", vectors_text(item, "id"));
    }
    return vault;
}

static inline int fixture_remove(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static inline void fixture_free(struct aegis_vault **vault)
{
    nftw((*vault)->folder, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
    aegis_vault_free(vault);
}

#endif
