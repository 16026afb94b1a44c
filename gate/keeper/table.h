/* Texts to pointers. The hash is keyed with fresh randomness, since hosts, keys and urls are chosen by
 * strangers. */
#ifndef AEGIS_KEEPER_TABLE_H
#define AEGIS_KEEPER_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct aegis_table;

struct aegis_table *aegis_table_new(void);

/* Frees the table and its copies of the keys, not the values. */
void aegis_table_free(struct aegis_table **table);

/* NULL when there is none. */
void *aegis_table_get(const struct aegis_table *table, const char *key);

/* Adds or replaces; returns the value that was there, or NULL. `value` is not NULL. */
void *aegis_table_put(struct aegis_table *table, const char *key, void *value);
void *aegis_table_remove(struct aegis_table *table, const char *key);
size_t aegis_table_count(const struct aegis_table *table);

/* Calls `each` for every pair in no order until it returns false; the table may not be changed meanwhile,
 * except that `aegis_table_sweep` takes the pairs out for which `each` returns true. */
void aegis_table_each(const struct aegis_table *table,
                      bool (*each)(const char *key, void *value, void *context), void *context);
void aegis_table_sweep(struct aegis_table *table, bool (*each)(const char *key, void *value, void *context),
                       void *context);

#endif
