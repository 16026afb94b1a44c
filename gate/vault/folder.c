#include "gate/vault/folder.h"

#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/vault/envelope.h"

struct aegis_vault *aegis_vault_new(const char *folder, uint64_t scrypt_max_memory)
{
    struct aegis_vault *vault = aegis_alloc(sizeof *vault);
    vault->folder = aegis_strdup(folder);
    vault->scrypt_max_memory = scrypt_max_memory != 0 ? scrypt_max_memory : AEGIS_SCRYPT_MEMORY;
    return vault;
}

void aegis_vault_free(struct aegis_vault **vault)
{
    if (*vault == NULL)
        return;
    free((*vault)->folder);
    free(*vault);
    *vault = NULL;
}

/* `forbidden`: permission bits that the folder must not have. */
static bool folder_check(const char *path, mode_t forbidden, const char *expected, struct aegis_error *error)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return errno == ENOENT || aegis_error_set(error, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return aegis_error_set(error, "%s: expected a folder", path);
    if (status.st_uid != geteuid() && status.st_uid != 0)
        return aegis_error_set(error, "%s: belongs to user %u, expected user %u", path,
                               (unsigned)status.st_uid, (unsigned)geteuid());
    if ((status.st_mode & forbidden) != 0)
        return aegis_error_set(error, "%s: its mode is %03o, expected %s", path,
                               (unsigned)status.st_mode & 0777, expected);
    return true;
}

bool aegis_vault_check(const struct aegis_vault *vault, struct aegis_error *error)
{
    static const char *const parts[] = {"wallets", "keys"};
    if (!folder_check(vault->folder, 022, "700 (nobody else may write)", error))
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char *path = aegis_format("%s/%s", vault->folder, parts[i]);
        bool good = folder_check(path, 077, "700 (nobody else may read)", error);
        free(path);
        if (!good)
            return false;
    }
    return true;
}

char *aegis_vault_id_new(char out[AEGIS_VAULT_ID])
{
    uint8_t bytes[16];
    AEGIS_ASSERT(sodium_init() >= 0);
    randombytes_buf(bytes, sizeof bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    char hex[33];
    aegis_hex_encode(bytes, sizeof bytes, hex);
    snprintf(out, AEGIS_VAULT_ID, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    return out;
}

bool aegis_vault_id_valid(const char *text)
{
    if (strlen(text) != AEGIS_VAULT_ID - 1)
        return false;
    for (size_t i = 0; i < AEGIS_VAULT_ID - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : strchr("0123456789abcdefABCDEF", text[i]) == NULL)
            return false;
    }
    return true;
}

char *aegis_vault_time(int64_t now)
{
    time_t seconds = (time_t)(now / 1000);
    struct tm parts;
    char text[32];
    AEGIS_ASSERT(now >= 0 && gmtime_r(&seconds, &parts) != NULL);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    return aegis_format("%s.%03d000000+00:00", text, (int)(now % 1000));
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_json_name(const char *name)
{
    size_t length = strlen(name);
    return name[0] != '.' && length > 5 && strcmp(name + length - 5, ".json") == 0;
}

static void paths_add(struct aegis_vault_paths *paths, char *path)
{
    if ((paths->count & (paths->count - 1)) == 0) {
        size_t room = paths->count == 0 ? 1 : paths->count * 2;
        paths->items = realloc(paths->items, room * sizeof *paths->items);
        AEGIS_ASSERT(paths->items != NULL);
    }
    paths->items[paths->count++] = path;
}

bool aegis_vault_list(const struct aegis_vault *vault, const char *part, struct aegis_vault_paths *out,
                      struct aegis_error *error)
{
    memset(out, 0, sizeof *out);
    if (!aegis_vault_check(vault, error))
        return false;
    char *path = aegis_format("%s/%s", vault->folder, part);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        bool missing = errno == ENOENT;
        aegis_error_set(error, "%s: %s", path, strerror(errno));
        free(path);
        return missing;
    }
    errno = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL; errno = 0)
        if (is_json_name(entry->d_name))
            paths_add(out, aegis_format("%s/%s", path, entry->d_name));
    bool good = errno == 0 || aegis_error_set(error, "%s: %s", path, strerror(errno));
    closedir(folder);
    free(path);
    if (!good)
        aegis_vault_paths_free(out);
    if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, compare_texts);
    return good;
}

void aegis_vault_paths_free(struct aegis_vault_paths *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        free(paths->items[i]);
    free(paths->items);
    memset(paths, 0, sizeof *paths);
}

json_t *aegis_vault_read(const char *path, struct aegis_error *error)
{
    size_t size = 0;
    char *text = aegis_file_read(path, AEGIS_VAULT_FILE_LIMIT, AEGIS_FILE_SECRET, &size, error);
    if (text == NULL)
        return NULL;
    json_t *document = aegis_json_parse(text, size, error);
    free(text);
    if (document != NULL && !json_is_object(document)) {
        json_decref(document);
        document = NULL;
        aegis_error_set(error, "expected an object");
    }
    if (document == NULL)
        aegis_error_prefix(error, "%s", path);
    return document;
}

bool aegis_vault_write(const struct aegis_vault *vault, const char *part, const char *id,
                       const json_t *document, struct aegis_error *error)
{
    char *folder = aegis_format("%s/%s", vault->folder, part);
    char *path = aegis_format("%s/%s.json", folder, id);
    char *text = json_dumps(document, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    AEGIS_ASSERT(text != NULL);
    bool good = aegis_folder_make(folder, 0700, error) && aegis_vault_check(vault, error) &&
                aegis_file_write(path, text, strlen(text), 0600, error);
    free(text);
    free(path);
    free(folder);
    return good;
}
