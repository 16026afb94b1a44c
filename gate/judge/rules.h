/* The declarative rules of OWS policy files. */
#ifndef AEGIS_JUDGE_RULES_H
#define AEGIS_JUDGE_RULES_H

#include <jansson.h>
#include <stdbool.h>

#include "aegis/plugin.h"
#include "gate/base/error.h"

/* Whether `rule` is an object with a type and, when the type is known, with that type's fields. */
bool aegis_rule_check(const json_t *rule, struct aegis_error *error);

/* Whether the type is known and the rule can be met at all. */
bool aegis_rule_strict(const json_t *rule, struct aegis_error *error);

/* AEGIS_ALLOW, or AEGIS_DENY or AEGIS_ERROR with code and reason, for the first of `rules` that `payment`
 * does not meet. */
void aegis_rules_judge(const json_t *rules, const struct aegis_payment *payment,
                       struct aegis_decision *decision);

#endif
