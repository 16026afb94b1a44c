#include "gate/proxy/cache.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "gate/base/log.h"
#include "gate/base/text.h"

struct entry {
    TAILQ_ENTRY(entry) age;
    struct entry *next; /* in its bucket */
    uint64_t hash;
    int64_t expires;
    void *value;
    size_t size;
    unsigned char key[];
};

struct aegis_cache {
    TAILQ_HEAD(ages, entry) ages; /* most recently used first */
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    size_t limit;
    void (*free_value)(void *value);
    /* Agents choose what the keys are made of, so that the buckets are chosen with a secret. */
    unsigned char secret[crypto_shorthash_KEYBYTES];
};

struct aegis_cache *aegis_cache_new(size_t limit, void (*free_value)(void *value))
{
    AEGIS_ASSERT(limit > 0);
    struct aegis_cache *cache = aegis_alloc(sizeof(*cache));
    TAILQ_INIT(&cache->ages);
    cache->limit = limit;
    cache->free_value = free_value;
    cache->bucket_count = 16;
    while (cache->bucket_count < limit)
        cache->bucket_count *= 2;
    cache->buckets = aegis_alloc(cache->bucket_count * sizeof(*cache->buckets));
    randombytes_buf(cache->secret, sizeof(cache->secret));
    return cache;
}

static uint64_t hash_of(const struct aegis_cache *cache, const void *key, size_t size)
{
    uint64_t hash;
    crypto_shorthash((unsigned char *)&hash, key, size, cache->secret);
    return hash;
}

static struct entry **place_of(struct aegis_cache *cache, uint64_t hash, const void *key, size_t size)
{
    struct entry **place = &cache->buckets[hash & (cache->bucket_count - 1)];
    while (*place &&
           ((*place)->hash != hash || (*place)->size != size || memcmp((*place)->key, key, size) != 0))
        place = &(*place)->next;
    return place;
}

static void remove_entry(struct aegis_cache *cache, struct entry *entry)
{
    struct entry **place = place_of(cache, entry->hash, entry->key, entry->size);
    AEGIS_ASSERT(*place == entry);
    *place = entry->next;
    TAILQ_REMOVE(&cache->ages, entry, age);
    cache->count--;
    cache->free_value(entry->value);
    sodium_memzero(entry->key, entry->size);
    free(entry);
}

void aegis_cache_free(struct aegis_cache **pointer)
{
    struct aegis_cache *cache = *pointer;
    *pointer = NULL;
    if (!cache)
        return;
    aegis_cache_sweep(cache, NULL, NULL);
    free(cache->buckets);
    free(cache);
}

void *aegis_cache_get(struct aegis_cache *cache, const void *key, size_t size, int64_t now)
{
    struct entry *entry = *place_of(cache, hash_of(cache, key, size), key, size);
    if (!entry)
        return NULL;
    if (entry->expires <= now) {
        remove_entry(cache, entry);
        return NULL;
    }
    TAILQ_REMOVE(&cache->ages, entry, age);
    TAILQ_INSERT_HEAD(&cache->ages, entry, age);
    return entry->value;
}

void aegis_cache_put(struct aegis_cache *cache, const void *key, size_t size, void *value, int64_t expires)
{
    uint64_t hash = hash_of(cache, key, size);
    struct entry *old = *place_of(cache, hash, key, size);
    if (old)
        remove_entry(cache, old);
    else if (cache->count == cache->limit)
        remove_entry(cache, TAILQ_LAST(&cache->ages, ages));
    struct entry *entry = aegis_alloc(sizeof(*entry) + size);
    entry->hash = hash;
    entry->expires = expires;
    entry->value = value;
    entry->size = size;
    memcpy(entry->key, key, size);
    struct entry **bucket = &cache->buckets[hash & (cache->bucket_count - 1)];
    entry->next = *bucket;
    *bucket = entry;
    TAILQ_INSERT_HEAD(&cache->ages, entry, age);
    cache->count++;
}

void aegis_cache_sweep(struct aegis_cache *cache, bool (*leaves)(const void *value, const void *context),
                       const void *context)
{
    struct entry *entry = TAILQ_FIRST(&cache->ages);
    while (entry) {
        struct entry *next = TAILQ_NEXT(entry, age);
        if (!leaves || leaves(entry->value, context))
            remove_entry(cache, entry);
        entry = next;
    }
}

size_t aegis_cache_count(const struct aegis_cache *cache)
{
    return cache->count;
}
