#include "gate/proxy/outcome.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gate/base/amount.h"
#include "gate/base/error.h"

const char *aegis_outcome_name(enum aegis_outcome_state state)
{
    static const char *const names[] = {
        [AEGIS_OUTCOME_SETTLED] = "settled",
        [AEGIS_OUTCOME_DELIVERED] = "delivered",
        [AEGIS_OUTCOME_REFUSED] = "refused",
        [AEGIS_OUTCOME_UNKNOWN] = "unknown",
    };
    return names[state];
}

enum aegis_outcome_state aegis_outcome_told(enum aegis_outcome_state state, const char *recorded)
{
    if (!strcmp(recorded, "settled"))
        return AEGIS_OUTCOME_SETTLED;
    if (!strcmp(recorded, "delivered") && state != AEGIS_OUTCOME_SETTLED)
        return AEGIS_OUTCOME_DELIVERED;
    return state;
}

static void conclude(struct aegis_outcome *outcome, enum aegis_outcome_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void conclude(struct aegis_outcome *outcome, enum aegis_outcome_state state, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    outcome->state = state;
    vsnprintf(outcome->reason, sizeof(outcome->reason), format, arguments);
    va_end(arguments);
}

/* The settlement header of the version that was paid by, else of the other one. NULL with a reason ("" when
 * there simply is none): two of a name say nothing that could be relied on. */
static const struct aegis_http_field *settlement_field(const struct aegis_http_head *head, int version,
                                                       const char **reason)
{
    static const char *const names[] = {"PAYMENT-RESPONSE", "X-PAYMENT-RESPONSE"};
    size_t first = version == 1 ? 1 : 0;
    *reason = "";
    for (size_t i = 0; i < 2; i++) {
        size_t count = 0;
        const struct aegis_http_field *field = aegis_http_find(head, names[(first + i) % 2], &count);
        if (count == 1)
            return field;
        if (count > 1) {
            *reason = "the settlement header came more than once";
            return NULL;
        }
    }
    return NULL;
}

/* What in the seller's report does not belong to this payment, or NULL. A member that it left out contradicts
 * nothing. */
static const char *contradiction(const struct aegis_settlement *settlement,
                                 const struct aegis_requirement *requirement,
                                 const struct aegis_authorization *authorization)
{
    char from[AEGIS_ADDRESS_TEXT];
    aegis_amount amount;
    if (settlement->network[0] && strcmp(settlement->network, requirement->network) != 0)
        return "network";
    if (settlement->payer[0] &&
        strcasecmp(settlement->payer, aegis_address_format(&authorization->from, from)) != 0)
        return "payer";
    if (settlement->amount[0] &&
        (!aegis_amount_parse(settlement->amount, &amount) || amount != authorization->value))
        return "amount";
    return NULL;
}

static void by_status(struct aegis_outcome *outcome, int status, const char *reason)
{
    if (status == 402)
        conclude(outcome, AEGIS_OUTCOME_REFUSED, "%s", reason);
    else if (status >= 200 && status < 300)
        conclude(outcome, AEGIS_OUTCOME_DELIVERED, "%s", reason);
    else
        conclude(outcome, AEGIS_OUTCOME_UNKNOWN, "%s",
                 reason[0] ? reason : "no report, and no success either");
}

static void by_report(struct aegis_outcome *outcome, int status, const struct aegis_requirement *requirement,
                      const struct aegis_authorization *authorization)
{
    const struct aegis_settlement *said = &outcome->settlement;
    const char *other = contradiction(said, requirement, authorization);
    if (other)
        conclude(outcome, AEGIS_OUTCOME_UNKNOWN, "the seller's report is about another %s", other);
    else if (said->success && status == 402)
        conclude(outcome, AEGIS_OUTCOME_UNKNOWN, "the seller reports success and asks for money again");
    else if (said->success)
        conclude(outcome, AEGIS_OUTCOME_SETTLED, "%s", "");
    else if (said->transaction[0] || !strcmp(said->reason, "settlement_pending"))
        conclude(outcome, AEGIS_OUTCOME_UNKNOWN, "not settled yet: %s", said->reason);
    else
        conclude(outcome, AEGIS_OUTCOME_REFUSED, "%s", said->reason);
}

void aegis_outcome_read(const struct aegis_http_head *head, int version,
                        const struct aegis_requirement *requirement,
                        const struct aegis_authorization *authorization, struct aegis_outcome *outcome)
{
    const char *reason;
    struct aegis_error error = {0};
    *outcome = (struct aegis_outcome){0};
    const struct aegis_http_field *field = settlement_field(head, version, &reason);
    if (!field) {
        by_status(outcome, head->status, reason);
        return;
    }
    outcome->reported =
        aegis_settlement_parse(field->value.at, field->value.length, &outcome->settlement, &error);
    if (outcome->reported)
        by_report(outcome, head->status, requirement, authorization);
    else
        by_status(outcome, head->status, "the settlement header cannot be read");
}
