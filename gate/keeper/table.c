#include "gate/keeper/table.h"

#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/base/text.h"

enum { BUCKETS_FIRST = 64 };

struct pair {
    struct pair *next;
    uint64_t hash;
    void *value;
    char key[];
};

struct aegis_table {
    unsigned char secret[crypto_shorthash_KEYBYTES];
    struct pair **buckets;
    size_t size; /* a power of two */
    size_t count;
};

struct aegis_table *aegis_table_new(void)
{
    struct aegis_table *table = aegis_alloc(sizeof *table);
    randombytes_buf(table->secret, sizeof table->secret);
    table->size = BUCKETS_FIRST;
    table->buckets = aegis_alloc(table->size * sizeof *table->buckets);
    return table;
}

void aegis_table_free(struct aegis_table **pointer)
{
    struct aegis_table *table = *pointer;
    *pointer = NULL;
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->size; i++) {
        for (struct pair *pair = table->buckets[i], *next; pair != NULL; pair = next) {
            next = pair->next;
            free(pair);
        }
    }
    free(table->buckets);
    free(table);
}

static uint64_t hash_of(const struct aegis_table *table, const char *key)
{
    uint64_t hash;
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)key, strlen(key), table->secret);
    return hash;
}

/* Where the pointer to the pair is, or to the NULL where it would be. */
static struct pair **place(const struct aegis_table *table, const char *key, uint64_t hash)
{
    struct pair **at = &table->buckets[hash & (table->size - 1)];
    while (*at != NULL && ((*at)->hash != hash || strcmp((*at)->key, key) != 0))
        at = &(*at)->next;
    return at;
}

static void grow(struct aegis_table *table)
{
    size_t size = table->size * 2;
    struct pair **buckets = aegis_alloc(size * sizeof *buckets);
    for (size_t i = 0; i < table->size; i++) {
        for (struct pair *pair = table->buckets[i], *next; pair != NULL; pair = next) {
            next = pair->next;
            pair->next = buckets[pair->hash & (size - 1)];
            buckets[pair->hash & (size - 1)] = pair;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->size = size;
}

void *aegis_table_get(const struct aegis_table *table, const char *key)
{
    struct pair *pair = *place(table, key, hash_of(table, key));
    return pair == NULL ? NULL : pair->value;
}

void *aegis_table_put(struct aegis_table *table, const char *key, void *value)
{
    AEGIS_ASSERT(value != NULL);
    uint64_t hash = hash_of(table, key);
    struct pair **at = place(table, key, hash);
    if (*at != NULL) {
        void *before = (*at)->value;
        (*at)->value = value;
        return before;
    }
    if (table->count >= table->size) {
        grow(table);
        at = place(table, key, hash);
    }
    size_t size = strlen(key) + 1;
    struct pair *pair = aegis_alloc(sizeof *pair + size);
    pair->hash = hash;
    pair->value = value;
    memcpy(pair->key, key, size);
    *at = pair;
    table->count++;
    return NULL;
}

void *aegis_table_remove(struct aegis_table *table, const char *key)
{
    struct pair **at = place(table, key, hash_of(table, key)), *pair = *at;
    if (pair == NULL)
        return NULL;
    void *value = pair->value;
    *at = pair->next;
    free(pair);
    table->count--;
    return value;
}

size_t aegis_table_count(const struct aegis_table *table)
{
    return table->count;
}

void aegis_table_each(const struct aegis_table *table,
                      bool (*each)(const char *key, void *value, void *context), void *context)
{
    for (size_t i = 0; i < table->size; i++)
        for (struct pair *pair = table->buckets[i]; pair != NULL; pair = pair->next)
            if (!each(pair->key, pair->value, context))
                return;
}

void aegis_table_sweep(struct aegis_table *table, bool (*each)(const char *key, void *value, void *context),
                       void *context)
{
    for (size_t i = 0; i < table->size; i++) {
        for (struct pair **at = &table->buckets[i]; *at != NULL;) {
            struct pair *pair = *at;
            if (!each(pair->key, pair->value, context)) {
                at = &pair->next;
                continue;
            }
            *at = pair->next;
            free(pair);
            table->count--;
        }
    }
}
