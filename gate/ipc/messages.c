#include "gate/ipc/messages.h"

#include <stdint.h>

/* Longest texts that a frame may carry, bytes. */
enum { NAME = 128, TEXT = 512, URL = 8192, TOKEN = 256, HASH = 64, ADDRESS = 42, SIGNATURE = 132 };

#define FIELDS(...) ((const struct aegis_json_field[]){__VA_ARGS__, {0}})
#define REQUIRED(name, kind, max)                                                                            \
    {                                                                                                        \
        name, AEGIS_JSON_##kind, true, max                                                                   \
    }
#define OPTIONAL(name, kind, max)                                                                            \
    {                                                                                                        \
        name, AEGIS_JSON_##kind, false, max                                                                  \
    }
#define MESSAGE(symbol, ...)                                                                                 \
    const struct aegis_message aegis_message_##symbol = {#symbol, FIELDS(__VA_ARGS__)}

MESSAGE(configure, REQUIRED("generation", INTEGER, INT64_MAX), REQUIRED("config", OBJECT, 0));
MESSAGE(peer, REQUIRED("kind", STRING, NAME), REQUIRED("index", INTEGER, 1024));
MESSAGE(listen, REQUIRED("name", STRING, NAME));
MESSAGE(ping, REQUIRED("number", INTEGER, INT64_MAX));
MESSAGE(stop, REQUIRED("deadline_ms", INTEGER, INT64_MAX));
MESSAGE(ready, REQUIRED("generation", INTEGER, INT64_MAX));
MESSAGE(failed, REQUIRED("generation", INTEGER, INT64_MAX), REQUIRED("error", STRING, 0));
MESSAGE(pong, REQUIRED("number", INTEGER, INT64_MAX));

/* Who asks: the token that the agent presented, or else the listener it came in by and, on a Unix socket, its
 * uid. The keeper decides which agent that is. */
#define CREDENTIAL                                                                                           \
    REQUIRED("listener", STRING, NAME), OPTIONAL("token", STRING, TOKEN), OPTIONAL("uid", INTEGER, UINT32_MAX)

MESSAGE(identify, REQUIRED("id", INTEGER, INT64_MAX), CREDENTIAL);

/* ok: agent {id, name}, request_policies[] (ids of policies that check requests), cache_ms.
 * not ok: code, detail. */
MESSAGE(identified, REQUIRED("id", INTEGER, INT64_MAX), REQUIRED("ok", BOOLEAN, 0),
        OPTIONAL("agent", STRING, NAME), OPTIONAL("agent_name", STRING, TEXT),
        OPTIONAL("request_policies", ARRAY, 64), OPTIONAL("cache_ms", INTEGER, INT64_MAX),
        OPTIONAL("code", STRING, NAME), OPTIONAL("detail", STRING, TEXT));

/* candidates: in the order of preference, see aegis_message_candidate_fields. url has no query; request_hash
 * covers method, whole URL and body. */
MESSAGE(authorize, REQUIRED("id", INTEGER, INT64_MAX), CREDENTIAL, REQUIRED("method", STRING, 32),
        REQUIRED("url", STRING, URL), REQUIRED("host", STRING, TEXT), REQUIRED("request_hash", STRING, HASH),
        OPTIONAL("idempotency_key", STRING, TEXT), REQUIRED("x402_version", INTEGER, 2),
        REQUIRED("candidates", ARRAY, 16));

/* authorization: {from, to, value, validAfter, validBefore, nonce} as x402 spells them. repeated: this is the
 * payment of an earlier attempt at the same request, signed again to the same bytes; state: what the ledger
 * says became of it so far. */
MESSAGE(authorized, REQUIRED("id", INTEGER, INT64_MAX), REQUIRED("payment", STRING, NAME),
        REQUIRED("index", INTEGER, 1024), REQUIRED("repeated", BOOLEAN, 0),
        REQUIRED("authorization", OBJECT, 0), REQUIRED("signature", STRING, SIGNATURE),
        OPTIONAL("state", STRING, NAME));

/* outcome: denied (a policy or rule said no), held (a person must approve), failed (a policy or the gate
 * could not decide), unrecorded (the ledger could not be written). */
MESSAGE(denied, REQUIRED("id", INTEGER, INT64_MAX), REQUIRED("outcome", STRING, NAME),
        REQUIRED("code", STRING, NAME), REQUIRED("detail", STRING, TEXT), OPTIONAL("decision", STRING, NAME),
        OPTIONAL("policy", STRING, NAME), OPTIONAL("limit", STRING, NAME),
        OPTIONAL("remaining", STRING, NAME), OPTIONAL("resets_at", INTEGER, INT64_MAX),
        OPTIONAL("retry_after_ms", INTEGER, INT64_MAX), OPTIONAL("signed", BOOLEAN, 0));

/* state: settled (the seller reported success), delivered (2xx without a report), refused (402 or a reported
 * failure), unknown (no answer, a cut one, 5xx, the agent left, never sent). */
MESSAGE(outcome, REQUIRED("payment", STRING, NAME), REQUIRED("state", STRING, NAME),
        REQUIRED("status", INTEGER, 999), OPTIONAL("transaction", STRING, NAME),
        OPTIONAL("reason", STRING, TEXT), OPTIONAL("payer", STRING, NAME), OPTIONAL("network", STRING, NAME),
        OPTIONAL("amount", STRING, NAME));

/* Identities and request verdicts that were cached hold no longer; without agent: all of them. */
MESSAGE(forget, OPTIONAL("agent", STRING, NAME));

/* operation: payment | tick. policies: ids in the order of evaluation. subject: aegis_payment's members by
 * name with amounts as decimal strings; for tick: agent, agent_name. facts: query -> value, see
 * gate/judge/README.md. all: evaluate every policy even after a denial (explain). */
MESSAGE(judge, REQUIRED("id", INTEGER, INT64_MAX), REQUIRED("operation", STRING, NAME),
        REQUIRED("policies", ARRAY, 64), REQUIRED("subject", OBJECT, 0), REQUIRED("facts", OBJECT, 0),
        REQUIRED("now", INTEGER, INT64_MAX), OPTIONAL("all", BOOLEAN, 0));

MESSAGE(observe, REQUIRED("policies", ARRAY, 64), REQUIRED("subject", OBJECT, 0),
        REQUIRED("payment", STRING, NAME), REQUIRED("state", STRING, NAME),
        OPTIONAL("transaction", STRING, NAME), REQUIRED("now", INTEGER, INT64_MAX));

/* policies: [{id, version, hash, document, checks: [request|payment|customer|observe|tick]}], once per
 * judge. */
MESSAGE(loaded, REQUIRED("policies", ARRAY, 4096));

/* facts: queries that were not in the question. */
MESSAGE(need, REQUIRED("id", INTEGER, INT64_MAX), REQUIRED("facts", ARRAY, 256));

/* verdicts: [{policy, version, hash, verdict, code?, reason?, limit?, remaining?, resets_at?, facts:
 * [query]}]; effects:
 * [{policy, effect: state|notice|revoke, ...}]. verdict: allow | deny | hold | error, of all of them
 * together. */
MESSAGE(verdict, REQUIRED("id", INTEGER, INT64_MAX), REQUIRED("verdict", STRING, NAME),
        REQUIRED("verdicts", ARRAY, 64), REQUIRED("effects", ARRAY, 256));

MESSAGE(check, REQUIRED("id", INTEGER, INT64_MAX), REQUIRED("agent", STRING, NAME),
        REQUIRED("agent_name", STRING, TEXT), REQUIRED("policies", ARRAY, 64), REQUIRED("method", STRING, 32),
        REQUIRED("url", STRING, URL), REQUIRED("host", STRING, TEXT));

MESSAGE(checked, REQUIRED("id", INTEGER, INT64_MAX), REQUIRED("verdict", STRING, NAME),
        OPTIONAL("policy", STRING, NAME), OPTIONAL("code", STRING, NAME), OPTIONAL("reason", STRING, TEXT),
        OPTIONAL("cache_ms", INTEGER, INT64_MAX));

MESSAGE(run, REQUIRED("id", INTEGER, INT64_MAX), REQUIRED("executable", STRING, 4096),
        REQUIRED("input", STRING, 0), REQUIRED("timeout_ms", INTEGER, 60000));

MESSAGE(ran, REQUIRED("id", INTEGER, INT64_MAX), REQUIRED("status", INTEGER, 0),
        REQUIRED("output", STRING, 65536), REQUIRED("error", STRING, 4096));

MESSAGE(watch, REQUIRED("payment", STRING, NAME), REQUIRED("network", STRING, NAME),
        REQUIRED("asset", STRING, ADDRESS), REQUIRED("from", STRING, ADDRESS),
        REQUIRED("to", STRING, ADDRESS), REQUIRED("value", AMOUNT, 0), REQUIRED("nonce", STRING, 66),
        REQUIRED("valid_before", INTEGER, INT64_MAX), REQUIRED("reserved_at", INTEGER, INT64_MAX));

MESSAGE(unwatch, REQUIRED("payment", STRING, NAME));

/* kind: transferred | cancelled | expired. block_time in seconds, of the block that the statement is
 * about. */
MESSAGE(proof, REQUIRED("payment", STRING, NAME), REQUIRED("kind", STRING, NAME),
        REQUIRED("block", INTEGER, INT64_MAX), REQUIRED("block_time", INTEGER, INT64_MAX),
        OPTIONAL("transaction", STRING, NAME));

MESSAGE(grew, REQUIRED("seq", INTEGER, INT64_MAX));

MESSAGE(command, REQUIRED("id", INTEGER, INT64_MAX), REQUIRED("name", STRING, NAME),
        REQUIRED("arguments", OBJECT, 0));
MESSAGE(answer, REQUIRED("id", INTEGER, INT64_MAX), REQUIRED("ok", BOOLEAN, 0), OPTIONAL("body", ANY, 0),
        OPTIONAL("error", STRING, 0));
