#include "gate/proxy/free_paths.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/text.h"

/* A set-associative table of keyed hashes: it is written for every answer that passes, so it must cost next
 * to nothing and may forget. That two resources share all 64 bits is as good as impossible; it would cost a
 * useless upload. */
enum { SETS = 1024, WAYS = 4 };

struct slot {
    uint64_t hash; /* 0: empty */
    int64_t seen;
};

struct aegis_free_paths {
    struct slot slots[SETS][WAYS];
    unsigned char secret[crypto_shorthash_KEYBYTES];
};

struct aegis_free_paths *aegis_free_paths_new(void)
{
    struct aegis_free_paths *paths = aegis_alloc(sizeof(*paths));
    randombytes_buf(paths->secret, sizeof(paths->secret));
    return paths;
}

void aegis_free_paths_free(struct aegis_free_paths **paths)
{
    free(*paths);
    *paths = NULL;
}

static uint64_t hash_of(const struct aegis_free_paths *paths, uint64_t origin, struct aegis_http_text target)
{
    uint64_t hash;
    const char *query = memchr(target.at, '?', target.length);
    size_t length = query ? (size_t)(query - target.at) : target.length;
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)target.at, length, paths->secret);
    hash ^= origin * UINT64_C(0x9e3779b97f4a7c15);
    return hash ? hash : 1;
}

static struct slot *find(struct slot *set, uint64_t hash)
{
    for (int way = 0; way < WAYS; way++) {
        if (set[way].hash == hash)
            return &set[way];
    }
    return NULL;
}

static struct slot *oldest(struct slot *set)
{
    struct slot *found = &set[0];
    for (int way = 1; way < WAYS; way++) {
        if (set[way].seen < found->seen)
            found = &set[way];
    }
    return found;
}

void aegis_free_paths_note(struct aegis_free_paths *paths, uint64_t origin, struct aegis_http_text target,
                           bool asked_for_money, int64_t now)
{
    uint64_t hash = hash_of(paths, origin, target);
    struct slot *set = paths->slots[hash % SETS];
    struct slot *slot = find(set, hash);
    if (asked_for_money) {
        if (slot)
            *slot = (struct slot){0};
        return;
    }
    if (!slot)
        slot = oldest(set);
    *slot = (struct slot){.hash = hash, .seen = now};
}

bool aegis_free_paths_has(const struct aegis_free_paths *paths, uint64_t origin,
                          struct aegis_http_text target, int64_t now)
{
    uint64_t hash = hash_of(paths, origin, target);
    const struct slot *set = paths->slots[hash % SETS];
    for (int way = 0; way < WAYS; way++) {
        if (set[way].hash == hash)
            return now - set[way].seen < AEGIS_FREE_PATHS_MS;
    }
    return false;
}

bool aegis_free_origin(const json_t *free_origins, const char *authority)
{
    size_t index;
    json_t *value;
    json_array_foreach(free_origins, index, value)
    {
        if (!strcasecmp(json_string_value(value), authority))
            return true;
    }
    return false;
}
