/* A fresh folder for a test, and whole files in it. */
#ifndef AEGIS_TESTS_FOLDER_FIXTURE_H
#define AEGIS_TESTS_FOLDER_FIXTURE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static inline char *folder_make(void)
{
    char template[] = "/tmp/aegis-test-XXXXXX";
    if (mkdtemp(template) == NULL)
        exit(99);
    return strdup(template);
}

static inline int folder_remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static inline void folder_remove(char *folder)
{
    nftw(folder, folder_remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(folder);
}

/* The caller frees. */
static inline char *folder_path(const char *folder, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        exit(99);
    return path;
}

/* In place when the file is there, as a program that appends or rewrites would. */
static inline void file_put(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        exit(99);
}

/* NUL-terminated; the caller frees. The file must be there. */
static inline char *file_get(const char *path, size_t *size)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        exit(99);
    char *bytes = NULL;
    FILE *memory = open_memstream(&bytes, size);
    for (int c; (c = fgetc(file)) != EOF;)
        fputc(c, memory);
    fclose(memory);
    fclose(file);
    return bytes;
}

#endif
