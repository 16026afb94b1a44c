/* Bytes that must not outlive their use: in libsodium's guarded memory (locked where the limit on locked
 * memory allows, left out of cores), wiped when freed. */
#ifndef AEGIS_VAULT_SECRET_H
#define AEGIS_VAULT_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/base/error.h"

struct aegis_secret;

/* Zeroed. Ends the process when memory is gone. `size` may be 0. There is always one NUL byte beyond the end,
 * so that a text can be read as one. */
struct aegis_secret *aegis_secret_new(size_t size);
struct aegis_secret *aegis_secret_copy(const void *bytes, size_t size);

/* Wipes, frees, sets *secret to NULL. NULL is fine. */
void aegis_secret_free(struct aegis_secret **secret);

uint8_t *aegis_secret_bytes(struct aegis_secret *secret);
const char *aegis_secret_text(const struct aegis_secret *secret);
size_t aegis_secret_size(const struct aegis_secret *secret);

/* Makes it shorter; the bytes cut off are wiped. */
void aegis_secret_cut(struct aegis_secret *secret, size_t size);

/* Same length and bytes, compared in constant time. */
bool aegis_secret_equal(const struct aegis_secret *a, const struct aegis_secret *b);

/* Reads a descriptor to its end: at most `limit` bytes, less one line end ("\n" or "\r\n") at the end. NULL
 * with the reason when there is more, when it holds a NUL, or when reading fails. The descriptor stays
 * open. */
struct aegis_secret *aegis_secret_read(int fd, size_t limit, struct aegis_error *error);

#endif
