/* The index of a folder of keys. Every file there has an entry, the unreadable ones too, so that nothing is
 * read twice without need; a table leads from token hashes to entries.
 *
 *     table:  hash of token_hash -> entry -> key        (open addressing, at most half full)
 *
 * Two files with the same token hash belong to nobody: one of them may be a copy with the policies taken
 * out. */
#include <string.h>

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/vault/apikey.h"
#include "gate/vault/apikey_read.h"

#define SETTLING_SECONDS                                                                                     \
    2 /* a folder that changed this recently may change again within the same tick of its clock */

struct entry {
    char *path;
    struct stat status;
    struct aegis_apikey *key; /* NULL: no good */
    bool twin;                /* another file has the same token hash */
};

struct aegis_apikeys {
    const struct aegis_vault *vault;
    char *folder;
    struct stat folder_status;
    bool folder_settled;   /* an unchanged folder_status means an unchanged folder */
    struct entry *entries; /* in order of their paths */
    size_t count;
    size_t unreadable;
    struct entry **table;
    size_t table_size; /* a power of two; 0 before the first refresh */
    uint64_t generation;
};

struct aegis_apikeys *aegis_apikeys_new(const struct aegis_vault *vault)
{
    struct aegis_apikeys *keys = aegis_alloc(sizeof *keys);
    keys->vault = vault;
    keys->folder = aegis_format("%s/keys", vault->folder);
    return keys;
}

static void entries_free(struct entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        aegis_apikey_free(&entries[i].key);
        free(entries[i].path);
    }
    free(entries);
}

void aegis_apikeys_free(struct aegis_apikeys **keys)
{
    if (*keys == NULL)
        return;
    entries_free((*keys)->entries, (*keys)->count);
    free((*keys)->table);
    free((*keys)->folder);
    free(*keys);
    *keys = NULL;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_uid == b->st_uid && same_time(&a->st_mtim, &b->st_mtim) &&
           same_time(&a->st_ctim, &b->st_ctim);
}

/* The first slot that is empty or holds this hash. */
static struct entry **slot_of(const struct aegis_apikeys *keys, const char *token_hash)
{
    size_t at = 0;
    for (size_t i = 0; i < 8; i++)
        at = at << 8 | (unsigned char)token_hash[i * 7];
    for (at *= 0x9e3779b97f4a7c15u, at >>= 32;; at++) {
        struct entry **slot = &keys->table[at & (keys->table_size - 1)];
        if (*slot == NULL || strcmp((*slot)->key->token_hash, token_hash) == 0)
            return slot;
    }
}

static void rebuild_table(struct aegis_apikeys *keys)
{
    free(keys->table);
    keys->table_size = 16;
    while (keys->table_size < 2 * keys->count)
        keys->table_size *= 2;
    keys->table = aegis_alloc(keys->table_size * sizeof *keys->table);
    keys->unreadable = 0;
    for (size_t i = 0; i < keys->count; i++) {
        struct entry *entry = &keys->entries[i];
        entry->twin = false;
        if (entry->key == NULL) {
            keys->unreadable++;
            continue;
        }
        struct entry **slot = slot_of(keys, entry->key->token_hash);
        if (*slot == NULL) {
            *slot = entry;
        } else {
            (*slot)->twin = true;
            aegis_log(AEGIS_LOG_WARNING, "%s and %s have the same token: neither is used", (*slot)->path,
                      entry->path);
        }
    }
}

static struct entry *entry_of_path(const struct aegis_apikeys *keys, const char *path)
{
    size_t low = 0;
    size_t high = keys->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(path, keys->entries[middle].path);
        if (order == 0)
            return &keys->entries[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Fills `entry` for a path: the key known already when the file is the same, else what is read now. The
 * status is taken before the reading, so that a change in between is seen next time. */
static void entry_load(const struct aegis_apikeys *keys, const char *path, struct entry *entry, bool *changed)
{
    struct entry *old = entry_of_path(keys, path);
    entry->path = aegis_strdup(path);
    bool there = stat(path, &entry->status) == 0;
    if (there && old != NULL && same_file(&old->status, &entry->status)) {
        entry->key = old->key;
        old->key = NULL;
        return;
    }
    struct aegis_error problem;
    *changed = true;
    entry->key = aegis_apikey_read(path, &problem);
    if (entry->key == NULL)
        aegis_log(AEGIS_LOG_WARNING, "key file skipped: %s", problem.text);
}

/* A folder that was touched just now may be touched again without its times showing it. */
static void note_folder(struct aegis_apikeys *keys, const struct stat *status)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    keys->folder_status = *status;
    keys->folder_settled = status->st_mtim.tv_sec + SETTLING_SECONDS < now.tv_sec;
}

static void forget_all(struct aegis_apikeys *keys)
{
    if (keys->count > 0)
        keys->generation++;
    entries_free(keys->entries, keys->count);
    keys->entries = NULL;
    keys->count = 0;
    keys->folder_settled = false;
    rebuild_table(keys);
}

bool aegis_apikeys_refresh(struct aegis_apikeys *keys, struct aegis_error *error)
{
    struct stat folder = {0};
    struct aegis_vault_paths paths;
    bool there = stat(keys->folder, &folder) == 0;
    if (!aegis_vault_list(keys->vault, "keys", &paths, error)) {
        forget_all(keys);
        return false;
    }
    bool changed = keys->table == NULL || paths.count != keys->count;
    struct entry *entries = aegis_alloc((paths.count + 1) * sizeof *entries);
    for (size_t i = 0; i < paths.count; i++)
        entry_load(keys, paths.items[i], &entries[i], &changed);
    entries_free(keys->entries, keys->count);
    keys->entries = entries;
    keys->count = paths.count;
    aegis_vault_paths_free(&paths);
    note_folder(keys, &folder);
    keys->folder_settled = keys->folder_settled && there;
    rebuild_table(keys);
    if (changed)
        keys->generation++;
    return true;
}

/* Whether the folder may hold something that the index does not know. */
static bool folder_moved(const struct aegis_apikeys *keys)
{
    struct stat status;
    return !keys->folder_settled || keys->unreadable > 0 || stat(keys->folder, &status) != 0 ||
           !same_file(&status, &keys->folder_status);
}

static bool entry_current(const struct entry *entry)
{
    struct stat status;
    return stat(entry->path, &status) == 0 && same_file(&status, &entry->status);
}

static void refresh_or_complain(struct aegis_apikeys *keys)
{
    struct aegis_error error;
    if (!aegis_apikeys_refresh(keys, &error))
        aegis_log(AEGIS_LOG_ERROR, "no key can be used: %s", error.text);
}

static struct entry *lookup(const struct aegis_apikeys *keys, const char *token_hash)
{
    return keys->table != NULL ? *slot_of(keys, token_hash) : NULL;
}

const struct aegis_apikey *aegis_apikeys_find_hash(struct aegis_apikeys *keys,
                                                   const char token_hash[AEGIS_HASH_HEX])
{
    struct entry *entry = lookup(keys, token_hash);
    bool current = entry != NULL ? entry_current(entry) : keys->table != NULL && !folder_moved(keys);
    if (!current) {
        refresh_or_complain(keys);
        entry = lookup(keys, token_hash);
    }
    return entry != NULL && !entry->twin ? entry->key : NULL;
}

const struct aegis_apikey *aegis_apikeys_find(struct aegis_apikeys *keys, const char *token, size_t length)
{
    char hash[AEGIS_HASH_HEX];
    if (length != AEGIS_APIKEY_TOKEN_SIZE)
        return NULL;
    return aegis_apikeys_find_hash(keys, aegis_sha256_hex(token, length, hash));
}

/* The hash of the key with this id, copied: looking it up may read the folder anew. */
static bool hash_of_id(const struct aegis_apikeys *keys, const char *id, char token_hash[AEGIS_HASH_HEX])
{
    for (size_t i = 0; i < keys->count; i++)
        if (keys->entries[i].key != NULL && strcmp(keys->entries[i].key->id, id) == 0)
            return aegis_text_copy(token_hash, AEGIS_HASH_HEX, keys->entries[i].key->token_hash);
    return false;
}

const struct aegis_apikey *aegis_apikeys_find_id(struct aegis_apikeys *keys, const char *id)
{
    char token_hash[AEGIS_HASH_HEX];
    bool known = hash_of_id(keys, id, token_hash);
    if (!known && (keys->table == NULL || folder_moved(keys))) {
        refresh_or_complain(keys);
        known = hash_of_id(keys, id, token_hash);
    }
    const struct aegis_apikey *key = known ? aegis_apikeys_find_hash(keys, token_hash) : NULL;
    return key != NULL && strcmp(key->id, id) == 0 ? key : NULL;
}

uint64_t aegis_apikeys_generation(const struct aegis_apikeys *keys)
{
    return keys->generation;
}
