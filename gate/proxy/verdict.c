#include "gate/proxy/verdict.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/text.h"

struct aegis_request_verdict *aegis_request_verdict_new(const char *agent, const json_t *checked)
{
    struct aegis_request_verdict *verdict = aegis_alloc(sizeof(*verdict));
    verdict->agent = aegis_strdup(agent);
    verdict->outcome = aegis_strdup(aegis_json_text(checked, "verdict", "error"));
    verdict->policy = aegis_strdup(aegis_json_text(checked, "policy", ""));
    verdict->code = aegis_strdup(aegis_json_text(checked, "code", ""));
    verdict->reason = aegis_strdup(aegis_json_text(checked, "reason", ""));
    verdict->allowed = !strcmp(verdict->outcome, "allow");
    return verdict;
}

void aegis_request_verdict_free(struct aegis_request_verdict **pointer)
{
    struct aegis_request_verdict *verdict = *pointer;
    *pointer = NULL;
    if (!verdict)
        return;
    free(verdict->agent);
    free(verdict->outcome);
    free(verdict->policy);
    free(verdict->code);
    free(verdict->reason);
    free(verdict);
}

static void leave(void *value)
{
    struct aegis_request_verdict *verdict = value;
    aegis_request_verdict_free(&verdict);
}

struct aegis_cache *aegis_verdicts_new(size_t limit)
{
    return aegis_cache_new(limit, leave);
}

/* The policies are part of it: an agent that was given another policy is another question. */
static char *key_of(const struct aegis_identity *identity, const char *method, const char *host)
{
    return aegis_format("%s\n%s\n%s\n%s", identity->agent, method, host, identity->policies_text);
}

const struct aegis_request_verdict *aegis_verdicts_get(struct aegis_cache *verdicts,
                                                       const struct aegis_identity *identity,
                                                       const char *method, const char *host, int64_t now)
{
    char *key = key_of(identity, method, host);
    const struct aegis_request_verdict *verdict = aegis_cache_get(verdicts, key, strlen(key), now);
    free(key);
    return verdict;
}

void aegis_verdicts_put(struct aegis_cache *verdicts, const struct aegis_identity *identity,
                        const char *method, const char *host, struct aegis_request_verdict *verdict,
                        int64_t expires)
{
    char *key = key_of(identity, method, host);
    aegis_cache_put(verdicts, key, strlen(key), verdict, expires);
    free(key);
}

static bool is_agent(const void *value, const void *agent)
{
    const struct aegis_request_verdict *verdict = value;
    return !agent || !strcmp(verdict->agent, agent);
}

void aegis_verdicts_forget(struct aegis_cache *verdicts, const char *agent)
{
    aegis_cache_sweep(verdicts, is_agent, agent);
}
