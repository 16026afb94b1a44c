/* A bounded memory of answers: text or bytes as the key, an expiry, the least recently used leaves first. */
#ifndef AEGIS_PROXY_CACHE_H
#define AEGIS_PROXY_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aegis_cache;

/* Holds at most `limit` (> 0) values; `free_value` is called for each that leaves. */
struct aegis_cache *aegis_cache_new(size_t limit, void (*free_value)(void *value));
void aegis_cache_free(struct aegis_cache **cache);

/* Borrowed until the next call that changes the cache; NULL when it is not there or expired by `now`. */
void *aegis_cache_get(struct aegis_cache *cache, const void *key, size_t size, int64_t now);

/* Takes `value` over; replaces what the key had. */
void aegis_cache_put(struct aegis_cache *cache, const void *key, size_t size, void *value, int64_t expires);

/* Removes every value for which `leaves` is true; NULL: all. */
void aegis_cache_sweep(struct aegis_cache *cache, bool (*leaves)(const void *value, const void *context),
                       const void *context);
size_t aegis_cache_count(const struct aegis_cache *cache);

#endif
