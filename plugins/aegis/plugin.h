/* The Aegis policy plugin ABI, version 1.
 *
 * A plugin is a shared object that exports one symbol, `const struct aegis_policy aegis_policy`. It runs in a
 * process of its own that has no network, no files, no keys and no ledger; whatever it wants to know about
 * the world it asks the host for, and every answer is recorded with the verdict, so that the same question
 * gets the same verdict months later.
 *
 * Rules for every check:
 *  - Decide from the configuration, the subject and the facts only. No clock, no randomness, no memory
 * between calls that changes a verdict (durable memory is host->state_get / state_set).
 *  - A fact function that returns false has no answer yet: return from the check at once. Whatever verdict
 * you leave is ignored, the host fetches what you asked for and calls the check again from the start.
 *  - A check that leaves the verdict untouched has denied: `AEGIS_ERROR` is what it starts with.
 *
 * Amounts are unsigned 128-bit integers. `scaled` amounts are in units of 10^-18 of a whole token, so that
 * tokens of unequal decimals can be summed and compared; 1 USDC is 10^18. Times are milliseconds since 1970
 * (UTC).
 *
 * The ABI grows only at the end of structs. `size` is what the other side was compiled with: look before you
 * touch a member that is newer than your minimum. */
#ifndef AEGIS_PLUGIN_H
#define AEGIS_PLUGIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AEGIS_PLUGIN_ABI 1

typedef unsigned __int128 aegis_amount;

enum aegis_verdict {
    AEGIS_ERROR = 0, /* could not decide: denied, and recorded as a failure of the policy */
    AEGIS_ALLOW = 1,
    AEGIS_DENY = 2,
    AEGIS_HOLD = 3, /* a person must approve */
};

/* What a check leaves behind. All texts are UTF-8, cut by the host when they are too long; empty means
 * "none". The host hands it in zeroed. */
struct aegis_decision {
    size_t size;
    enum aegis_verdict verdict;
    char code[48];      /* stable, for programs: "daily_limit_exceeded" */
    char reason[256];   /* one sentence for the agent; name the rule, never another agent */
    char limit[64];     /* whole tokens, when the rule is a limit */
    char remaining[64]; /* whole tokens that would still have passed */
    int64_t resets_at;  /* when it would look different; 0: never by itself */
    int64_t
        cache_ms; /* check_request only: how long this verdict holds for the same agent, method and host */
};

/* A payment that is asked for. Every pointer is valid during the call only. */
struct aegis_payment {
    size_t size;
    const char *agent;      /* id of the API key, or `listener:NAME` in owner mode */
    const char *agent_name; /* for people */
    const char *network;    /* CAIP-2: eip155:8453 */
    const char *scheme;     /* exact */
    const char *asset;      /* contract address, EIP-55 */
    const char *token;      /* symbol from the gate's own table: USDC */
    unsigned decimals;
    aegis_amount amount; /* atomic units */
    aegis_amount scaled; /* units of 10^-18 */
    const char *pay_to;  /* EIP-55 */
    const char *payer;   /* EIP-55 */
    const char *method;  /* GET */
    const char *url;     /* without query and fragment */
    const char
        *host; /* the origin that the gate connected to: lower-case name, `:port` unless it is the default */
    int64_t valid_before;
    int64_t now;
    const char *wallet; /* id of the OWS wallet that pays; "" when the host does not know it */
};

/* A request that an agent makes, before it is forwarded. */
struct aegis_request {
    size_t size;
    const char *agent;
    const char *agent_name;
    const char *method;
    const char *url;
    const char *host;
    int64_t now;
};

/* Somebody who pays us, before we serve (inbound). */
struct aegis_customer {
    size_t size;
    const char *payer;
    const char *network;
    const char *asset;
    const char *token;
    aegis_amount scaled;
    const char *route;
    int64_t now;
};

/* What became of a payment. `state` is one of settled, delivered, refused, unknown, expired, cancelled. */
struct aegis_outcome {
    size_t size;
    const struct aegis_payment *payment;
    const char *payment_id;
    const char *state;
    const char *transaction; /* hash, or "" */
};

struct aegis_spent {
    aegis_amount settled; /* scaled */
    aegis_amount exposed; /* scaled: signed or being judged, and not yet proved one way or the other */
    uint64_t payments;    /* how many of both */
    int64_t resets_at;    /* end of the calendar window; for a rolling one, when its oldest payment leaves; 0:
                             never */
};

struct aegis_run {
    int status;         /* exit status; -1: did not start, was killed, or took too long */
    const char *output; /* what it wrote on standard output; valid during the call */
    const char *error;  /* why status is -1, or what it wrote on standard error */
};

enum aegis_severity { AEGIS_SEVERITY_INFO, AEGIS_SEVERITY_WARNING, AEGIS_SEVERITY_CRITICAL };

/* The host, as a check sees it. `context` goes into every call. */
struct aegis_host {
    size_t size;
    void *context;

    /* Facts. Scope: "agent", "gate", "agent+host", "agent+payee", "host", "payee" (of this payment's).
     * Window: "hour", "day", "week", "month", "total" (calendar, UTC), or "rolling:SECONDS" (60 to 2678400).
     * Chain: a CAIP-2 id, or a pattern that ends in `*`. Token: a symbol, or `*`. The payment that is being
     * judged is not in it. */
    bool (*spent)(void *context, const char *scope, const char *window, const char *chain, const char *token,
                  struct aegis_spent *out);
    /* When this agent ("agent") or any ("gate") last paid; 0: never. */
    bool (*last_payment)(void *context, const char *scope, int64_t *at);
    /* When this agent last sent a heartbeat, or was first seen, whichever is later; 0: never. */
    bool (*last_heartbeat)(void *context, int64_t *at);
    /* How many payments to this payee were settled, by this agent or by any. */
    bool (*paid_before)(void *context, const char *scope, uint64_t *times);
    /* What this agent last paid for this method and URL; scaled 0: nothing yet. */
    bool (*last_price)(void *context, aegis_amount *scaled, int64_t *at);
    /* The plugin's own durable state, per policy document; *value is borrowed, NULL when there is none. */
    bool (*state_get)(void *context, const char *key, const json_t **value);
    /* check_payment only: the EIP-712 typed data that will be signed, as JSON; its nonce is zero, for that is
     * drawn after the verdict. Valid during the check; NULL elsewhere. */
    const char *(*typed_data)(void *context);
    /* The answer of an OWS policy executable to `input`, killed after timeout_ms (1 to 60000). Once per
     * check. */
    bool (*run)(void *context, const char *executable, const char *input, int64_t timeout_ms,
                struct aegis_run *out);

    /* Effects. They happen in the transaction that records the verdict, and only if that verdict counts:
     * after an allow those of every policy, after a denial those of the policy that denied. Nothing comes of
     * them in check_request and observe, which record nothing. state_set steals `value`; NULL deletes;
     * state_get goes on answering what was there before the check. Keys are 1 to 100 printable ASCII
     * characters. notify steals `metadata`. `once`: sent only once for this text and policy; NULL: each time.
     * revoke: ends the agent's key; from `tick` only. */
    void (*state_set)(void *context, const char *key, json_t *value);
    void (*notify)(void *context, enum aegis_severity severity, const char *kind, const char *once,
                   const char *title, const char *message, json_t *metadata);
    void (*revoke)(void *context, const char *reason);
    void (*log)(void *context, const char *message);
};

/* What a plugin exports. Checks that it does not need are NULL; everything else must be there. */
struct aegis_policy {
    uint32_t abi;     /* AEGIS_PLUGIN_ABI */
    uint32_t size;    /* sizeof(struct aegis_policy) */
    const char *name; /* as in the file's name: budget for budget.so */
    const char *version;
    const char *summary;       /* one line */
    const char *configuration; /* the fields of `config`, one a line: "name  type  meaning" */

    /* Reads `config` (borrowed; an empty object when the document has none). Returns the instance, never NULL
     * on success; on failure NULL and a sentence in `error` that names the field and what was expected. */
    void *(*open)(const json_t *config, char *error, size_t error_size);
    void (*close)(void *policy);

    /* Facts are not available to check_request, only what the request itself says. */
    void (*check_request)(void *policy, const struct aegis_request *request, const struct aegis_host *host,
                          struct aegis_decision *decision);
    void (*check_payment)(void *policy, const struct aegis_payment *payment, const struct aegis_host *host,
                          struct aegis_decision *decision);
    void (*check_customer)(void *policy, const struct aegis_customer *customer, const struct aegis_host *host,
                           struct aegis_decision *decision);
    /* Told, not asked. */
    void (*observe)(void *policy, const struct aegis_outcome *outcome, const struct aegis_host *host);
    /* Called for every agent that the policy is attached to, about every `tick_ms` of the host. `agent` as in
     * aegis_payment. */
    void (*tick)(void *policy, const char *agent, const char *agent_name, int64_t now,
                 const struct aegis_host *host);
};

#ifdef __cplusplus
}
#endif

#endif
