/* What stock OWS tells a policy executable, read as a payment: for aegis-policy. */
#ifndef AEGIS_JUDGE_CONTEXT_H
#define AEGIS_JUDGE_CONTEXT_H

#include <jansson.h>

#include "gate/base/error.h"

/* `text`: a PolicyContext. When it asks for a signature under exactly one EIP-3009 authorization, returns the
 * arguments of the keeper's command `external` (a new reference): {agent, network, asset, authorization
 * {from, to, value, validAfter, validBefore, nonce}}. NULL with the reason for anything else: raw bytes (they
 * may be typed data in disguise), other typed data, what does not fit together, what two readers could read
 * differently. */
json_t *aegis_context_payment(const char *text, size_t length, struct aegis_error *error);

#endif
