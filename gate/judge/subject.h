/* The subject of a question as plugins see it. */
#ifndef AEGIS_JUDGE_SUBJECT_H
#define AEGIS_JUDGE_SUBJECT_H

#include <jansson.h>
#include <stdbool.h>

#include "aegis/plugin.h"
#include "gate/base/error.h"

/* Fills `out` from the members of `subject`, whose texts it borrows. README.md lists the members. */
bool aegis_subject_payment(const json_t *subject, int64_t now, struct aegis_payment *out,
                           struct aegis_error *error);
bool aegis_subject_customer(const json_t *subject, int64_t now, struct aegis_customer *out,
                            struct aegis_error *error);

/* The only types that an EIP-3009 authorization can be signed under. Others would be other digests, worth
 * nothing at the token. A new reference. */
json_t *aegis_subject_types(void);

/* What will be signed for `payment`, as far as it is settled before it is allowed: EIP-712 typed data as
 * JSON. The caller frees. */
char *aegis_subject_typed_data(const json_t *subject, const struct aegis_payment *payment);

#endif
