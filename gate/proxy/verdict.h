/* What the judge said about requests, for as long as it said that it holds: per agent, method and host. */
#ifndef AEGIS_PROXY_VERDICT_H
#define AEGIS_PROXY_VERDICT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/proxy/cache.h"
#include "gate/proxy/identity.h"

struct aegis_request_verdict {
    bool allowed;
    char *agent;
    char *outcome; /* allow, deny, hold or error */
    char *policy;
    char *code;
    char *reason;
};

/* From a `checked`. The caller frees. */
struct aegis_request_verdict *aegis_request_verdict_new(const char *agent, const json_t *checked);
void aegis_request_verdict_free(struct aegis_request_verdict **verdict);

struct aegis_cache *aegis_verdicts_new(size_t limit);
/* Borrowed, or NULL. */
const struct aegis_request_verdict *aegis_verdicts_get(struct aegis_cache *verdicts,
                                                       const struct aegis_identity *identity,
                                                       const char *method, const char *host, int64_t now);
/* Takes `verdict` over. */
void aegis_verdicts_put(struct aegis_cache *verdicts, const struct aegis_identity *identity,
                        const char *method, const char *host, struct aegis_request_verdict *verdict,
                        int64_t expires);
void aegis_verdicts_forget(struct aegis_cache *verdicts, const char *agent);

#endif
