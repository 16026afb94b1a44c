#include "gate/proxy/problem.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

enum { OPERATOR_S = 60 }; /* how soon to ask again when a person must act first */

/* Every problem that this room finds by itself. The codes of policies and of the keeper's denials come on top
 * of it. */
static const struct {
    const char *code;
    int status;
    const char *title;
} table[] = {
    {"bad_target", 400, "The request's target cannot be used"},
    {"path_not_allowed", 400, "The path cannot be used behind a prefix"},
    {"idempotency_key_invalid", 400, "The idempotency key cannot be used"},
    {"address_refused", 403, "The address must not be reached"},
    {"no_such_route", 404, "Nothing is routed there"},
    {"credentials_required", 407, "A token is needed"},
    {"credentials_malformed", 407, "The credentials cannot be read"},
    {"agent_unknown", 407, "The token is not known"},
    {"key_expired", 407, "The key has expired"},
    {"key_revoked", 407, "The key was revoked"},
    {"idempotency_key_in_use", 409, "A request with this idempotency key is in flight"},
    {"previous_payment_unresolved", 409, "An earlier payment for this request is not resolved"},
    {"request_body_too_large", 413, "The request's body is too large to be sent again with a payment"},
    {"url_too_long", 414, "The URL is too long"},
    {"misdirected_request", 421, "This listener does not serve that origin"},
    {"idempotency_key_reused", 422, "The idempotency key belongs to another request"},
    {"tunnel_unsupported", 501, "Tunnels are not supported"},
    {"method_unsupported", 501, "The method is not supported"},
    {"name_unresolved", 502, "The origin's name does not resolve"},
    {"upstream_unreachable", 502, "The origin cannot be reached"},
    {"upstream_tls", 502, "No trusted connection to the origin"},
    {"upstream_closed", 502, "The origin closed the connection"},
    {"upstream_protocol", 502, "The origin's answer cannot be understood"},
    {"payment_unusable", 502, "The payment could not be put into a request"},
    {"keeper_unavailable", 503, "The gate cannot look at payments and tokens now"},
    {"keeper_timeout", 503, "The gate took too long"},
    {"judge_unavailable", 503, "The policies cannot be asked now"},
    {"judge_timeout", 503, "The policies took too long"},
    {"shutting_down", 503, "The gate is shutting down"},
    {"too_many_connections", 503, "Too many connections"},
    {"upstream_timeout", 504, "The origin took too long"},
};

static ptrdiff_t row_of(const char *code)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        if (!strcmp(table[i].code, code))
            return (ptrdiff_t)i;
    }
    return -1;
}

int aegis_problem_status(const struct aegis_problem *problem)
{
    if (problem->status)
        return problem->status;
    ptrdiff_t row = row_of(problem->code);
    return row < 0 ? 403 : table[row].status;
}

int aegis_problem_denied_status(const char *outcome, const char *code)
{
    if (!strcmp(outcome, "failed") || !strcmp(outcome, "unrecorded"))
        return 503;
    ptrdiff_t row = row_of(code);
    bool about_repeating = row >= 0 && (table[row].status == 409 || table[row].status == 422);
    return about_repeating ? table[row].status : 403;
}

/* What only a person can end. */
static bool needs_operator(const char *code)
{
    return !strcmp(code, "policy_quarantined") || !strcmp(code, "clock_jumped");
}

int64_t aegis_problem_retry_after(const struct aegis_problem *problem)
{
    if (problem->retry_after_ms > 0)
        return (problem->retry_after_ms + 999) / 1000;
    if (aegis_problem_status(problem) != 503)
        return 0;
    return needs_operator(problem->code) ? OPERATOR_S : 1;
}

static const char *title_of(const struct aegis_problem *problem)
{
    ptrdiff_t row = row_of(problem->code);
    if (row >= 0)
        return table[row].title;
    return aegis_problem_status(problem) < 500 ? "Not allowed" : "Not decided";
}

static void set_text(json_t *object, const char *name, const char *text)
{
    if (text && *text)
        json_object_set_new(object, name, json_string(text));
}

char *aegis_problem_json(const struct aegis_problem *problem)
{
    char time[AEGIS_TIME_TEXT];
    char *type = aegis_format("urn:aegis:problem:%s", problem->code);
    json_t *object = json_pack("{s:s, s:s, s:i, s:s}", "type", type, "title", title_of(problem), "status",
                               aegis_problem_status(problem), "code", problem->code);
    AEGIS_ASSERT(object);
    set_text(object, "detail", problem->detail);
    set_text(object, "policy", problem->policy);
    set_text(object, "limit", problem->limit);
    set_text(object, "remaining", problem->remaining);
    if (problem->resets_at > 0)
        set_text(object, "resets_at", aegis_time_format(problem->resets_at, time));
    if (aegis_problem_retry_after(problem) > 0)
        json_object_set_new(object, "retry_after", json_integer(aegis_problem_retry_after(problem)));
    set_text(object, "decision", problem->decision);
    set_text(object, "payment", problem->payment);
    json_object_set_new(object, "signed", json_boolean(problem->is_signed));
    char *text = json_dumps(object, JSON_COMPACT);
    AEGIS_ASSERT(text);
    json_decref(object);
    free(type);
    return text;
}
