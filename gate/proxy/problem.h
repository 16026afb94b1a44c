/* What the gate says when it is the gate that answers: RFC 9457 problem details with stable codes. Nothing in
 * them was written by a seller. */
#ifndef AEGIS_PROXY_PROBLEM_H
#define AEGIS_PROXY_PROBLEM_H

#include <stdbool.h>
#include <stdint.h>

#define AEGIS_PROBLEM_TYPE "application/problem+json"

struct aegis_problem {
    const char *code;
    const char *detail;
    int status; /* 0: what the table says about the code */
    /* where there is something to say; else NULL or 0 */
    const char *policy;
    const char *limit;
    const char *remaining;
    const char *decision;
    int64_t resets_at;      /* ms since 1970 */
    int64_t retry_after_ms; /* from now */
    const char *payment;    /* the payment that this request made */
    bool is_signed;         /* whether anything was signed for it */
};

/* The HTTP status for the problem. */
int aegis_problem_status(const struct aegis_problem *problem);

/* The status for a payment that was not authorized: `outcome` and `code` as in the keeper's `denied`. */
int aegis_problem_denied_status(const char *outcome, const char *code);

/* The whole seconds of Retry-After, 0 for none. */
int64_t aegis_problem_retry_after(const struct aegis_problem *problem);

/* The body. The caller frees. */
char *aegis_problem_json(const struct aegis_problem *problem);

#endif
