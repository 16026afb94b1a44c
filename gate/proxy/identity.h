/* Which agent a request comes from, as the keeper said, for as long as it said. */
#ifndef AEGIS_PROXY_IDENTITY_H
#define AEGIS_PROXY_IDENTITY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "gate/proxy/cache.h"

struct aegis_identity {
    unsigned references;
    bool forgotten; /* no longer in the cache: to be looked up again */
    int64_t expires;
    char *agent;
    char *agent_name;
    json_t *policies;    /* ids of those that check requests; an array */
    char *policies_text; /* the same as one text, part of the key under which their verdicts are kept; "" for
                            none */
};

/* From an `identified` that is ok; one reference. */
struct aegis_identity *aegis_identity_new(const json_t *identified, int64_t now);
struct aegis_identity *aegis_identity_retain(struct aegis_identity *identity);
void aegis_identity_release(struct aegis_identity **identity);
bool aegis_identity_holds(const struct aegis_identity *identity, int64_t now);

/* The key of the cache: a hash of the token, or else the listener and, on a Unix socket, the peer's uid. */
struct aegis_identity_key {
    unsigned char bytes[33];
};
void aegis_identity_key_token(const char *token, struct aegis_identity_key *key);
void aegis_identity_key_listener(const char *listener, bool has_uid, uid_t uid,
                                 struct aegis_identity_key *key);

struct aegis_cache *aegis_identity_cache_new(size_t limit);
/* A new reference, or NULL. */
struct aegis_identity *aegis_identity_cache_get(struct aegis_cache *identities,
                                                const struct aegis_identity_key *key, int64_t now);
void aegis_identity_cache_put(struct aegis_cache *identities, const struct aegis_identity_key *key,
                              struct aegis_identity *identity);
/* Forgets an agent, NULL: all of them, wherever they are held. */
void aegis_identity_cache_forget(struct aegis_cache *identities, const char *agent);

#endif
