/* What a facilitator does, with play money: is this payment good for this requirement, and cash it. Answers
 * and reasons are spelled as the official facilitator spells them (x402-specification-v2.md section 7). */
#ifndef AEGIS_SANDBOX_FACILITATOR_H
#define AEGIS_SANDBOX_FACILITATOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "contrib/sandbox/book.h"
#include "gate/x402/signature.h"

struct sandbox_facilitator {
    struct sandbox_book *book;
    struct aegis_assets *assets;
    struct aegis_signer *signer;
};

/* Reads `paymentRequirements` of either version. */
bool sandbox_requirement_parse(const struct sandbox_facilitator *facilitator, int version,
                               const json_t *object, struct aegis_requirement *out);

/* NULL when `payment` (the decoded payment header) meets the requirement at `now` (ms), else the reason. On
 * NULL, and whenever it could be read, *authorization is set. */
const char *sandbox_verify(const struct sandbox_facilitator *facilitator, const json_t *payment,
                           const struct aegis_requirement *requirement, int64_t now,
                           struct aegis_authorization *authorization);

/* {success, transaction, network, payer, errorReason?} after trying to move the money. A new reference. */
json_t *sandbox_settle(const struct sandbox_facilitator *facilitator, const json_t *payment,
                       const struct aegis_requirement *requirement, int64_t now);

/* The bodies of GET /supported, POST /verify and POST /settle. NULL when `request` is none that they could
 * answer. */
json_t *sandbox_answer_supported(const struct sandbox_facilitator *facilitator);
json_t *sandbox_answer_verify(const struct sandbox_facilitator *facilitator, const json_t *request,
                              int64_t now);
json_t *sandbox_answer_settle(const struct sandbox_facilitator *facilitator, const json_t *request,
                              int64_t now);

#endif
