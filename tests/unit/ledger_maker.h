/* Entries for tests: payments with everything that their bodies need. */
#ifndef AEGIS_TESTS_LEDGER_MAKER_H
#define AEGIS_TESTS_LEDGER_MAKER_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/amount.h"
#include "gate/base/log.h"
#include "gate/ledger/ledger.h"

struct made {
    const char *agent;
    const char *host;
    const char *payee;
    const char *network;
    const char *token;
    const char *url;
    const char *key; /* NULL: none */
    aegis_amount amount;
    unsigned decimals;
    int64_t at;
    int64_t valid_before;
};

/* A fresh folder under TMPDIR; the caller removes it with maker_clean. */
static inline char *maker_folder(void)
{
    const char *base = getenv("TMPDIR");
    char *path = malloc(256);
    snprintf(path, 256, "%s/aegis-test-XXXXXX", base == NULL ? "/tmp" : base);
    AEGIS_ASSERT(mkdtemp(path) != NULL);
    return path;
}

static inline void maker_clean(char *folder)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    AEGIS_ASSERT(system(command) == 0);
    free(folder);
}

static inline json_t *maker_reservation(const struct made *made, unsigned long number)
{
    char amount[AEGIS_AMOUNT_TEXT], scaled[AEGIS_AMOUNT_TEXT], nonce[67], before[24];
    aegis_amount wide;
    AEGIS_ASSERT(aegis_amount_scale(made->amount, made->decimals, &wide));
    aegis_amount_format(made->amount, amount);
    aegis_amount_format(wide, scaled);
    snprintf(nonce, sizeof nonce, "0x%064lx", number);
    snprintf(before, sizeof before, "%lld", (long long)made->valid_before);
    json_t *body = json_pack(
        "{s:I,s:{s:s,s:s,s:s,s:s,s:s,s:s},s:s,s:s,s:s,s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i}", "at",
        (json_int_t)made->at, "authorization", "from", "0x00000000000000000000000000000000000000F1", "to",
        made->payee, "value", amount, "validAfter", "0", "validBefore", before, "nonce", nonce, "network",
        made->network, "asset", "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "token", made->token,
        "decimals", (int)made->decimals, "amount", amount, "scaled", scaled, "pay_to", made->payee, "host",
        made->host, "method", "GET", "url", made->url, "request_hash", nonce + 2, "x402_version", 2);
    AEGIS_ASSERT(body != NULL);
    if (made->key != NULL)
        json_object_set_new(body, "idempotency_key", json_string(made->key));
    return body;
}

static inline json_t *maker_decision(const struct made *made)
{
    json_t *body =
        json_pack("{s:s,s:s,s:{s:s,s:s,s:s,s:s,s:s},s:[{s:s,s:s,s:s,s:[s,s,s]}],s:{s:{s:s,s:s,s:i,s:I},s:{s:"
                  "s,s:s,s:i,s:I}},s:[],s:I,s:i}",
                  "verdict", "allow", "outcome", "allowed", "subject", "agent", made->agent, "host",
                  made->host, "url", made->url, "network", made->network, "pay_to", made->payee, "verdicts",
                  "policy", "aegis-budget", "verdict", "allow", "hash", "00112233445566778899aabbccddeeff",
                  "facts", "spent/agent/day/*/*", "spent/agent/month/*/*", "spent/gate/day/*/*", "facts",
                  "spent/agent/day/*/*", "settled", "1000000000000000000", "exposed", "1000000000000000",
                  "payments", 12, "resets_at", (json_int_t)1763683200000, "spent/agent/month/*/*", "settled",
                  "1000000000000000000", "exposed", "1000000000000000", "payments", 12, "resets_at",
                  (json_int_t)1763683200000, "effects", "now", (json_int_t)made->at, "candidate", 0);
    AEGIS_ASSERT(body != NULL);
    return body;
}

static inline bool maker_append(struct aegis_ledger *ledger, enum aegis_entry_kind kind, int64_t at,
                                const char *agent, const char *payment, json_t *body)
{
    struct aegis_error error = {0};
    bool ok = aegis_ledger_append(ledger, kind, at, agent, payment, body, &error);
    json_decref(body);
    return ok;
}

static inline json_t *maker_signed(void)
{
    return json_pack("{s:s,s:s}", "digest",
                     "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "signature",
                     "0x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
                     "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff1b");
}

/* decision, reserved, signed. */
static inline bool maker_buy(struct aegis_ledger *ledger, const struct made *made, const char *id,
                             unsigned long number)
{
    return maker_append(ledger, AEGIS_ENTRY_DECISION, made->at, made->agent, id, maker_decision(made)) &&
           maker_append(ledger, AEGIS_ENTRY_RESERVED, made->at, made->agent, id,
                        maker_reservation(made, number)) &&
           maker_append(ledger, AEGIS_ENTRY_SIGNED, made->at, made->agent, id, maker_signed());
}

static inline bool maker_settle(struct aegis_ledger *ledger, const struct made *made, const char *id,
                                int64_t at)
{
    return maker_append(ledger, AEGIS_ENTRY_SETTLED, at, made->agent, id,
                        json_pack("{s:s,s:s,s:i}", "by", "seller", "transaction", "0xabc", "status", 200));
}

#endif
