/* The entries of the ledger: their kinds, what their bodies hold, and the hash that chains them.
 *
 *     hash = SHA-256( RFC 8785 of {"agent","at","body","kind","payment","prev","seq"} )
 *
 * `prev` is the hash of the entry before in lower-case hex, 64 zeros for the first. `body` enters as the JSON
 * value that it is, in its canonical form, so that any JCS library in any language can check a ledger. */
#ifndef AEGIS_LEDGER_ENTRY_H
#define AEGIS_LEDGER_ENTRY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/base/hash.h"
#include "gate/base/json.h"

enum aegis_entry_kind {
    AEGIS_ENTRY_POLICY,
    AEGIS_ENTRY_AGENT,
    AEGIS_ENTRY_DECISION,
    AEGIS_ENTRY_RESERVED,
    AEGIS_ENTRY_SIGNED,
    AEGIS_ENTRY_REPEATED,
    AEGIS_ENTRY_EXTERNAL,
    AEGIS_ENTRY_SETTLED,
    AEGIS_ENTRY_DELIVERED,
    AEGIS_ENTRY_REFUSED,
    AEGIS_ENTRY_UNKNOWN,
    AEGIS_ENTRY_EXPIRED,
    AEGIS_ENTRY_CANCELLED,
    AEGIS_ENTRY_STATE,
    AEGIS_ENTRY_NOTICE,
    AEGIS_ENTRY_HEARTBEAT,
    AEGIS_ENTRY_REVOKED,
    AEGIS_ENTRY_RESUMED,
    AEGIS_ENTRY_KINDS
};

struct aegis_entry_row {
    const char *name;
    const char *about; /* one sentence for `aegis ledger --help` and the README */
    const struct aegis_json_field *fields;
};

/* One row per kind, in the order of the enum. */
extern const struct aegis_entry_row aegis_entry_rows[AEGIS_ENTRY_KINDS];

/* False when there is no such kind. */
bool aegis_entry_kind_find(const char *name, enum aegis_entry_kind *out);

/* One entry as stored. Every pointer is borrowed. `agent` and `payment` are "" when the entry is about none;
 * `payment` of a denial is its decision's id ("dec_..."). `body` is canonical JSON. */
struct aegis_entry {
    int64_t seq; /* from 1, without gaps */
    int64_t at;  /* ms since 1970 */
    const char *kind;
    const char *agent;
    const char *payment;
    const char *body;
    size_t body_length;
    uint8_t prev[AEGIS_HASH_SIZE];
    uint8_t hash[AEGIS_HASH_SIZE];
};

/* What `hash` must be. False when agent, payment or kind are no UTF-8. */
bool aegis_entry_hash(const struct aegis_entry *entry, uint8_t out[AEGIS_HASH_SIZE]);

/* The entry as one JSON object, hashes in hex, body as an object: a new reference; NULL when its body is no
 * JSON. */
json_t *aegis_entry_json(const struct aegis_entry *entry);

/* "pay_" or "dec_" and 32 hex digits: 48 bits of time and 80 random ones, so that ids are unguessable and yet
 * sort by age, which keeps their indexes appending at one end. */
#define AEGIS_ENTRY_ID_TEXT 40
char *aegis_entry_id(const char *prefix, int64_t now, char out[AEGIS_ENTRY_ID_TEXT]);

#endif
