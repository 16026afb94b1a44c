/* A 402 read as x402: v2 (PAYMENT-REQUIRED header, x402-specification-v2.md section 5.1,
 * transports-v2/http.md) or v1 (JSON body, x402-specification-v1.md). Pure functions over bytes; whatever a
 * seller sends ends in a challenge, "not x402", or a reason why it is not one that can be answered. */
#ifndef AEGIS_X402_CHALLENGE_H
#define AEGIS_X402_CHALLENGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "gate/base/amount.h"
#include "gate/base/error.h"
#include "gate/x402/asset.h"

#define AEGIS_CHALLENGE_HEADER_MAX  32768
#define AEGIS_CHALLENGE_BODY_MAX    262144
#define AEGIS_CHALLENGE_ACCEPTS_MAX 64

/* One entry of `accepts` that could be met: scheme exact on an eip155 network by EIP-3009, in a known asset,
 * for an amount above zero that fits, to an address that is not zero. */
struct aegis_requirement {
    size_t index; /* in `accepts` */
    char network[AEGIS_NETWORK_TEXT];
    const struct aegis_asset *asset; /* borrowed from the assets */
    aegis_amount amount;
    struct aegis_address pay_to;
    int64_t max_timeout_seconds; /* 1 to 86400 as the seller said, or refused */
};

struct aegis_challenge;

enum aegis_challenge_result {
    AEGIS_CHALLENGE_NONE,      /* not x402: nothing to say */
    AEGIS_CHALLENGE_MALFORMED, /* claims to be x402 and is not; see error */
    AEGIS_CHALLENGE_OK,        /* x402; it may still have no requirement that we could meet */
};

/* `header` is the value of PAYMENT-REQUIRED or NULL when there was none or more than one is passed as
 * malformed by the caller; `body` the response's body. With both, the header wins. On OK *out is new and the
 * caller's. */
enum aegis_challenge_result aegis_challenge_parse(const char *header, size_t header_length, const char *body,
                                                  size_t body_length, const struct aegis_assets *assets,
                                                  struct aegis_challenge **out, struct aegis_error *error);
void aegis_challenge_free(struct aegis_challenge **challenge);

int aegis_challenge_version(const struct aegis_challenge *challenge); /* 1 or 2 */

/* The requirements that could be met, in the order in which they should be tried: by `preference` (array of
 * texts "NETWORK/SYMBOL", "NETWORK", "SYMBOL", NETWORK may end in `*`; NULL or empty: none), then the
 * cheapest in whole tokens among equal symbols, then the seller's order. Borrowed. */
size_t aegis_challenge_rank(struct aegis_challenge *challenge, const json_t *preference,
                            const struct aegis_requirement **out, size_t size);

/* Why the entries that are not among them were left out, one sentence. Borrowed; "" when none was. */
const char *aegis_challenge_left_out(const struct aegis_challenge *challenge);

/* The seller's own text about itself: for the log only. Borrowed, may be "". */
const char *aegis_challenge_error(const struct aegis_challenge *challenge);

/* What the gate put its name under. */
struct aegis_authorization {
    struct aegis_address from;
    struct aegis_address to;
    aegis_amount value;
    int64_t valid_after;  /* seconds */
    int64_t valid_before; /* seconds */
    uint8_t nonce[32];
};

/* {from, to, value, validAfter, validBefore, nonce}, texts as x402 spells them. parse is strict. */
json_t *aegis_authorization_json(const struct aegis_authorization *authorization);
bool aegis_authorization_parse(const json_t *object, struct aegis_authorization *out,
                               struct aegis_error *error);

/* The EIP-712 digest of TransferWithAuthorization under the asset's own domain (EIP-3009). */
void aegis_authorization_digest(const struct aegis_authorization *authorization,
                                const struct aegis_asset *asset, uint8_t digest[32]);

/* Header name (static) and value (the caller frees) that answer requirement `index`; the entry, the resource
 * and the extensions are echoed as the official client does (OWN spelling of nothing; a `payment-identifier`
 * extension that asks for an id gets `payment_id`). `signature` is "0x" and 130 hex digits. NULL with a
 * reason when the value would be longer than AEGIS_PAYMENT_HEADER_MAX. */
#define AEGIS_PAYMENT_HEADER_MAX 16000
char *aegis_challenge_answer(const struct aegis_challenge *challenge, size_t index,
                             const struct aegis_authorization *authorization, const char *signature,
                             const char *payment_id, const char **header_name, struct aegis_error *error);

/* The settlement header of either version (PAYMENT-RESPONSE, X-PAYMENT-RESPONSE). */
struct aegis_settlement {
    bool success;
    char transaction[80];             /* "" when absent */
    char network[AEGIS_NETWORK_TEXT]; /* CAIP-2, "" when absent or unknown */
    char payer[AEGIS_ADDRESS_TEXT];
    char amount[AEGIS_AMOUNT_TEXT];
    char reason[128]; /* errorReason, printable ASCII only */
};

bool aegis_settlement_parse(const char *header, size_t length, struct aegis_settlement *out,
                            struct aegis_error *error);

#endif
