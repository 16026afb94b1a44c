#include "gate/proxy/identity.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/hash.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

static char *join(const json_t *policies)
{
    return json_array_size(policies) ? json_dumps(policies, JSON_COMPACT) : aegis_strdup("");
}

struct aegis_identity *aegis_identity_new(const json_t *identified, int64_t now)
{
    struct aegis_identity *identity = aegis_alloc(sizeof(*identity));
    json_t *policies = json_object_get(identified, "request_policies");
    identity->references = 1;
    identity->expires = now + aegis_json_integer(identified, "cache_ms", 0);
    identity->agent = aegis_strdup(aegis_json_text(identified, "agent", ""));
    identity->agent_name = aegis_strdup(aegis_json_text(identified, "agent_name", ""));
    identity->policies = policies ? json_incref(policies) : json_array();
    identity->policies_text = join(policies);
    AEGIS_ASSERT(identity->policies && identity->policies_text);
    return identity;
}

struct aegis_identity *aegis_identity_retain(struct aegis_identity *identity)
{
    identity->references++;
    return identity;
}

void aegis_identity_release(struct aegis_identity **pointer)
{
    struct aegis_identity *identity = *pointer;
    *pointer = NULL;
    if (!identity || --identity->references > 0)
        return;
    free(identity->agent);
    free(identity->agent_name);
    json_decref(identity->policies);
    free(identity->policies_text);
    free(identity);
}

bool aegis_identity_holds(const struct aegis_identity *identity, int64_t now)
{
    return !identity->forgotten && now < identity->expires;
}

void aegis_identity_key_token(const char *token, struct aegis_identity_key *key)
{
    key->bytes[0] = 't';
    aegis_sha256(token, strlen(token), key->bytes + 1);
}

void aegis_identity_key_listener(const char *listener, bool has_uid, uid_t uid,
                                 struct aegis_identity_key *key)
{
    char *text = aegis_format("%s\n%d\n%lu", listener, has_uid, has_uid ? (unsigned long)uid : 0);
    key->bytes[0] = 'l';
    aegis_sha256(text, strlen(text), key->bytes + 1);
    free(text);
}

/* Connections remember identities besides the cache: what leaves it, for whatever reason, must be looked up
 * again. */
static void leave(void *value)
{
    struct aegis_identity *identity = value;
    identity->forgotten = true;
    aegis_identity_release(&identity);
}

struct aegis_cache *aegis_identity_cache_new(size_t limit)
{
    return aegis_cache_new(limit, leave);
}

struct aegis_identity *aegis_identity_cache_get(struct aegis_cache *identities,
                                                const struct aegis_identity_key *key, int64_t now)
{
    struct aegis_identity *identity = aegis_cache_get(identities, key->bytes, sizeof(key->bytes), now);
    return identity ? aegis_identity_retain(identity) : NULL;
}

void aegis_identity_cache_put(struct aegis_cache *identities, const struct aegis_identity_key *key,
                              struct aegis_identity *identity)
{
    aegis_cache_put(identities, key->bytes, sizeof(key->bytes), aegis_identity_retain(identity),
                    identity->expires);
}

static bool is_agent(const void *value, const void *agent)
{
    const struct aegis_identity *identity = value;
    return !agent || !strcmp(identity->agent, agent);
}

void aegis_identity_cache_forget(struct aegis_cache *identities, const char *agent)
{
    aegis_cache_sweep(identities, is_agent, agent);
}
