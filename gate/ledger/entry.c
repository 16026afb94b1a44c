#include "gate/ledger/entry.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/base/text.h"

#define FIELDS(...) ((const struct aegis_json_field[]){__VA_ARGS__, {0}})
#define REQUIRED(name, kind)                                                                                 \
    {                                                                                                        \
        name, AEGIS_JSON_##kind, true, 0                                                                     \
    }
#define OPTIONAL(name, kind)                                                                                 \
    {                                                                                                        \
        name, AEGIS_JSON_##kind, false, 0                                                                    \
    }
#define KIND(symbol, name, about, ...) [AEGIS_ENTRY_##symbol] = {name, about, FIELDS(__VA_ARGS__)}

/* What money was put under a name, and for what: the same for a payment of ours and one that stock OWS signs.
 * `at` is when it was judged, which is the time it counts at in every window. */
#define RESERVATION                                                                                          \
    REQUIRED("at", INTEGER), REQUIRED("authorization", OBJECT), REQUIRED("network", STRING),                 \
        REQUIRED("asset", STRING), REQUIRED("token", STRING), REQUIRED("decimals", INTEGER),                 \
        REQUIRED("amount", AMOUNT), REQUIRED("scaled", AMOUNT), REQUIRED("pay_to", STRING),                  \
        REQUIRED("host", STRING), REQUIRED("method", STRING), REQUIRED("url", STRING),                       \
        REQUIRED("request_hash", STRING), REQUIRED("x402_version", INTEGER),                                 \
        OPTIONAL("idempotency_key", STRING)

const struct aegis_entry_row aegis_entry_rows[AEGIS_ENTRY_KINDS] = {
    KIND(POLICY, "policy", "a version of a policy, before the first decision that used it",
         REQUIRED("id", STRING), REQUIRED("version", ANY), REQUIRED("hash", STRING),
         REQUIRED("document", OBJECT)),
    KIND(AGENT, "agent", "an agent was seen for the first time, or with other properties than before",
         REQUIRED("name", STRING), REQUIRED("wallet", STRING), REQUIRED("address", STRING),
         REQUIRED("policies", ARRAY)),
    KIND(DECISION, "decision", "what was decided about a payment, with every fact that was used",
         REQUIRED("verdict", STRING), REQUIRED("outcome", STRING), REQUIRED("subject", OBJECT),
         REQUIRED("verdicts", ARRAY), REQUIRED("facts", OBJECT), REQUIRED("effects", ARRAY),
         REQUIRED("now", INTEGER), OPTIONAL("candidate", INTEGER), OPTIONAL("passed_over", ARRAY),
         OPTIONAL("code", STRING), OPTIONAL("detail", STRING), OPTIONAL("policy", STRING),
         OPTIONAL("limit", STRING), OPTIONAL("remaining", STRING), OPTIONAL("resets_at", INTEGER),
         OPTIONAL("request_hash", STRING), OPTIONAL("idempotency_key", STRING)),
    KIND(RESERVED, "reserved", "the money was set aside and the authorization fixed", RESERVATION),
    KIND(SIGNED, "signed", "the authorization was signed", REQUIRED("digest", STRING),
         REQUIRED("signature", STRING)),
    {"repeated", "the same authorization was handed out again for a repeated request", FIELDS({0})},
    KIND(EXTERNAL, "external", "stock OWS was allowed to sign an authorization; it counts as exposed",
         RESERVATION, OPTIONAL("wallet", STRING)),
    KIND(SETTLED, "settled", "the money moved: the seller said so, or the chain shows it",
         REQUIRED("by", STRING), OPTIONAL("transaction", STRING), OPTIONAL("status", INTEGER),
         OPTIONAL("block", INTEGER), OPTIONAL("block_time", INTEGER)),
    KIND(DELIVERED, "delivered", "the seller served without a word about the money",
         REQUIRED("status", INTEGER)),
    KIND(REFUSED, "refused", "the seller says that it did not take the money; it can still",
         REQUIRED("status", INTEGER), OPTIONAL("reason", STRING), OPTIONAL("transaction", STRING)),
    KIND(UNKNOWN, "unknown", "no answer that says what became of the money", REQUIRED("status", INTEGER),
         OPTIONAL("reason", STRING)),
    KIND(EXPIRED, "expired",
         "proof: the chain's clock is past the end and the nonce unused; the money is back",
         REQUIRED("block", INTEGER), REQUIRED("block_time", INTEGER)),
    KIND(CANCELLED, "cancelled", "proof: the authorization was cancelled on the chain; the money is back",
         REQUIRED("block", INTEGER), REQUIRED("block_time", INTEGER), OPTIONAL("transaction", STRING)),
    KIND(STATE, "state", "a policy changed its durable state outside of a decision",
         REQUIRED("policy", STRING), REQUIRED("key", STRING), OPTIONAL("value", ANY)),
    KIND(NOTICE, "notice", "something a person should hear of", REQUIRED("kind", STRING),
         REQUIRED("severity", STRING), REQUIRED("title", STRING), REQUIRED("message", STRING),
         REQUIRED("metadata", OBJECT), OPTIONAL("once", STRING), OPTIONAL("policy", STRING)),
    {"heartbeat", "the agent or its operator said that it is alive", FIELDS({0})},
    KIND(REVOKED, "revoked", "an agent's key was ended", REQUIRED("key", STRING), REQUIRED("reason", STRING),
         OPTIONAL("policy", STRING)),
    KIND(RESUMED, "resumed", "an operator lifted a stop", REQUIRED("what", STRING)),
};

bool aegis_entry_kind_find(const char *name, enum aegis_entry_kind *out)
{
    for (int kind = 0; kind < AEGIS_ENTRY_KINDS; kind++) {
        if (strcmp(aegis_entry_rows[kind].name, name) == 0) {
            *out = (enum aegis_entry_kind)kind;
            return true;
        }
    }
    return false;
}

/* Writes `text` as a JSON string in the form of RFC 8785; at most 6 bytes a byte and the quotes. */
static char *put_string(char *out, const char *text)
{
    static const char named[] = "b\bt\tn\nf\fr\r\"\"\\\\";
    *out++ = '"';
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        const char *pair = named;
        if (c >= 0x20 && c != '"' && c != '\\') {
            *out++ = *text;
            continue;
        }
        while (*pair != '\0' && (unsigned char)pair[1] != c)
            pair += 2;
        if (*pair != '\0')
            out += sprintf(out, "\\%c", *pair);
        else
            out += sprintf(out, "\\u%04x", c);
    }
    *out++ = '"';
    return out;
}

static char *put(char *out, const void *bytes, size_t size)
{
    memcpy(out, bytes, size);
    return out + size;
}

/* The canonical form of an object is the canonical forms of its members in the order of their names, so that
 * a body which is canonical already goes in as it stands. */
bool aegis_entry_hash(const struct aegis_entry *entry, uint8_t out[AEGIS_HASH_SIZE])
{
    const char *texts[] = {entry->agent, entry->kind, entry->payment};
    size_t room = entry->body_length + 256;
    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(texts[i]);
        if (!aegis_utf8_valid(texts[i], length))
            return false;
        room += 6 * length;
    }
    char prev[2 * AEGIS_HASH_SIZE + 1];
    aegis_hex_encode(entry->prev, AEGIS_HASH_SIZE, prev);
    char *text = aegis_alloc(room), *at = text;
    at = put_string(put(at, "{\"agent\":", 9), entry->agent);
    at += sprintf(at, ",\"at\":%lld,\"body\":", (long long)entry->at);
    at = put(at, entry->body, entry->body_length);
    at = put_string(put(at, ",\"kind\":", 8), entry->kind);
    at = put_string(put(at, ",\"payment\":", 11), entry->payment);
    at += sprintf(at, ",\"prev\":\"%s\",\"seq\":%lld}", prev, (long long)entry->seq);
    AEGIS_ASSERT((size_t)(at - text) < room);
    aegis_sha256(text, (size_t)(at - text), out);
    free(text);
    return true;
}

json_t *aegis_entry_json(const struct aegis_entry *entry)
{
    char prev[2 * AEGIS_HASH_SIZE + 1], hash[2 * AEGIS_HASH_SIZE + 1];
    struct aegis_error error;
    json_t *body = aegis_json_parse(entry->body, entry->body_length, &error);
    if (body == NULL)
        return NULL;
    return json_pack("{s:I,s:I,s:s,s:s,s:s,s:o,s:s,s:s}", "seq", (json_int_t)entry->seq, "at",
                     (json_int_t)entry->at, "kind", entry->kind, "agent", entry->agent, "payment",
                     entry->payment, "body", body, "prev",
                     aegis_hex_encode(entry->prev, AEGIS_HASH_SIZE, prev), "hash",
                     aegis_hex_encode(entry->hash, AEGIS_HASH_SIZE, hash));
}

char *aegis_entry_id(const char *prefix, int64_t now, char out[AEGIS_ENTRY_ID_TEXT])
{
    uint8_t bytes[16];
    AEGIS_ASSERT(strlen(prefix) + 33 <= AEGIS_ENTRY_ID_TEXT);
    randombytes_buf(bytes, sizeof bytes);
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)((uint64_t)now >> (40 - 8 * i));
    strcpy(out, prefix);
    aegis_hex_encode(bytes, sizeof bytes, out + strlen(prefix));
    return out;
}
