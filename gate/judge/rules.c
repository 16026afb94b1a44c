#include "gate/judge/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gate/base/clock.h"
#include "gate/x402/address.h"

struct rule {
    const char *type;
    const char *field;
    bool is_list;
    bool (*strict)(const json_t *value, struct aegis_error *error);
    void (*judge)(const json_t *value, const struct aegis_payment *payment, struct aegis_decision *decision);
};

static void deny(struct aegis_decision *decision, enum aegis_verdict verdict, const char *code,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

static void deny(struct aegis_decision *decision, enum aegis_verdict verdict, const char *code,
                 const char *format, ...)
{
    va_list arguments;
    decision->verdict = verdict;
    snprintf(decision->code, sizeof(decision->code), "%s", code);
    va_start(arguments, format);
    vsnprintf(decision->reason, sizeof(decision->reason), format, arguments);
    va_end(arguments);
}

/* The texts are compared as they stand, as OWS does: a chain spelled otherwise is another chain. */
static void judge_chains(const json_t *value, const struct aegis_payment *payment,
                         struct aegis_decision *decision)
{
    size_t index;
    json_t *chain;
    json_array_foreach((json_t *)value, index, chain)
    {
        if (strcmp(json_string_value(chain), payment->network) == 0)
            return;
    }
    deny(decision, AEGIS_DENY, "chain_not_allowed", "chain %.80s is not in the allowlist", payment->network);
}

static void judge_expiry(const json_t *value, const struct aegis_payment *payment,
                         struct aegis_decision *decision)
{
    int64_t end;
    if (!aegis_time_parse(json_string_value(value), &end))
        deny(decision, AEGIS_ERROR, "policy_expiry_invalid",
             "the policy's expires_at is not an RFC 3339 time");
    else if (payment->now > end)
        deny(decision, AEGIS_DENY, "policy_expired", "the policy expired at %.40s", json_string_value(value));
}

static void judge_contracts(const json_t *value, const struct aegis_payment *payment,
                            struct aegis_decision *decision)
{
    size_t index;
    json_t *contract;
    json_array_foreach((json_t *)value, index, contract)
    {
        if (strcasecmp(json_string_value(contract), payment->asset) == 0)
            return;
    }
    deny(decision, AEGIS_DENY, "contract_not_allowed", "contract %.64s is not in the allowlist",
         payment->asset);
}

static bool strict_any(const json_t *value, struct aegis_error *error)
{
    (void)value;
    (void)error;
    return true;
}

static bool strict_expiry(const json_t *value, struct aegis_error *error)
{
    int64_t end;
    if (!aegis_time_parse(json_string_value(value), &end))
        return aegis_error_set(
            error, "timestamp: expected an RFC 3339 time with zone, such as 2027-01-31T00:00:00Z");
    return true;
}

static bool strict_contracts(const json_t *value, struct aegis_error *error)
{
    struct aegis_address address;
    size_t index;
    json_t *contract;
    json_array_foreach((json_t *)value, index, contract)
    {
        if (!aegis_address_parse(json_string_value(contract), &address))
            return aegis_error_set(
                error, "contracts[%zu]: expected an address (0x, 40 hex digits, right checksum)", index);
    }
    return true;
}

static const struct rule known[] = {
    {"allowed_chains", "chain_ids", true, strict_any, judge_chains},
    {"expires_at", "timestamp", false, strict_expiry, judge_expiry},
    {"allowed_typed_data_contracts", "contracts", true, strict_contracts, judge_contracts},
};

static const struct rule *find(const json_t *rule)
{
    const char *type = json_string_value(json_object_get(rule, "type"));
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(type, known[i].type) == 0)
            return &known[i];
    }
    return NULL;
}

static bool list_of_texts(const json_t *value)
{
    size_t index;
    json_t *element;
    if (!json_is_array(value))
        return false;
    json_array_foreach((json_t *)value, index, element)
    {
        if (!json_is_string(element))
            return false;
    }
    return true;
}

bool aegis_rule_check(const json_t *rule, struct aegis_error *error)
{
    if (!json_is_object(rule))
        return aegis_error_set(error, "expected an object");
    if (!json_is_string(json_object_get(rule, "type")))
        return aegis_error_set(error, "type: expected a text");
    const struct rule *kind = find(rule);
    if (kind == NULL)
        return true;
    const json_t *value = json_object_get(rule, kind->field);
    if (kind->is_list ? !list_of_texts(value) : !json_is_string(value))
        return aegis_error_set(error, "%s: expected %s", kind->field,
                               kind->is_list ? "an array of texts" : "a text");
    return true;
}

bool aegis_rule_strict(const json_t *rule, struct aegis_error *error)
{
    const struct rule *kind = find(rule);
    if (kind == NULL)
        return aegis_error_set(
            error,
            "type: expected allowed_chains, expires_at or allowed_typed_data_contracts, found "
            "\"%.60s\"",
            json_string_value(json_object_get(rule, "type")));
    return kind->strict(json_object_get(rule, kind->field), error);
}

void aegis_rules_judge(const json_t *rules, const struct aegis_payment *payment,
                       struct aegis_decision *decision)
{
    size_t index;
    json_t *rule;
    decision->verdict = AEGIS_ALLOW;
    json_array_foreach((json_t *)rules, index, rule)
    {
        const struct rule *kind = find(rule);
        if (kind == NULL)
            deny(decision, AEGIS_DENY, "rule_unknown",
                 "the policy has a rule of a type that is not known here: %.60s",
                 json_string_value(json_object_get(rule, "type")));
        else
            kind->judge(json_object_get(rule, kind->field), payment, decision);
        if (decision->verdict != AEGIS_ALLOW)
            return;
    }
}
