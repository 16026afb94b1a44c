#include "gate/vault/secret.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/log.h"
#include "gate/base/text.h"

struct aegis_secret {
    uint8_t *bytes; /* guarded pages; `size` bytes and a NUL */
    size_t size;
};

struct aegis_secret *aegis_secret_new(size_t size)
{
    AEGIS_ASSERT(sodium_init() >= 0);
    struct aegis_secret *secret = aegis_alloc(sizeof *secret);
    secret->size = size;
    /* The memory is given back unlocked when the lock limit is too low; there is nothing better to do
     * then. */
    secret->bytes = sodium_malloc(size + 1);
    AEGIS_ASSERT(secret->bytes != NULL);
    memset(secret->bytes, 0, size + 1);
    return secret;
}

struct aegis_secret *aegis_secret_copy(const void *bytes, size_t size)
{
    struct aegis_secret *secret = aegis_secret_new(size);
    if (size > 0)
        memcpy(secret->bytes, bytes, size);
    return secret;
}

void aegis_secret_free(struct aegis_secret **secret)
{
    if (*secret == NULL)
        return;
    sodium_free((*secret)->bytes);
    free(*secret);
    *secret = NULL;
}

uint8_t *aegis_secret_bytes(struct aegis_secret *secret)
{
    return secret->bytes;
}

const char *aegis_secret_text(const struct aegis_secret *secret)
{
    return (const char *)secret->bytes;
}

size_t aegis_secret_size(const struct aegis_secret *secret)
{
    return secret->size;
}

void aegis_secret_cut(struct aegis_secret *secret, size_t size)
{
    AEGIS_ASSERT(size <= secret->size);
    sodium_memzero(secret->bytes + size, secret->size - size);
    secret->size = size;
}

bool aegis_secret_equal(const struct aegis_secret *a, const struct aegis_secret *b)
{
    return a->size == b->size && sodium_memcmp(a->bytes, b->bytes, a->size) == 0;
}

static void cut_line_end(struct aegis_secret *secret)
{
    size_t size = secret->size;
    if (size > 0 && secret->bytes[size - 1] == '\n')
        size--;
    if (size < secret->size && size > 0 && secret->bytes[size - 1] == '\r')
        size--;
    aegis_secret_cut(secret, size);
}

struct aegis_secret *aegis_secret_read(int fd, size_t limit, struct aegis_error *error)
{
    struct aegis_secret *secret = aegis_secret_new(limit + 1);
    size_t size = 0;
    while (size <= limit) {
        ssize_t got = read(fd, secret->bytes + size, limit + 1 - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            aegis_error_set(error, "reading a secret from descriptor %d: %s", fd, strerror(errno));
            aegis_secret_free(&secret);
            return NULL;
        }
        if (got == 0)
            break;
        size += (size_t)got;
    }
    if (size > limit || memchr(secret->bytes, 0, size) != NULL) {
        aegis_error_set(error, "the secret on descriptor %d must be a text of at most %zu bytes", fd, limit);
        aegis_secret_free(&secret);
        return NULL;
    }
    aegis_secret_cut(secret, size);
    cut_line_end(secret);
    return secret;
}
