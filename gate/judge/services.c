#include "gate/judge/services.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/amount.h"
#include "gate/base/hash.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/judge/subject.h"

/* What one policy may ask and cause in one check. */
enum { QUERIES = 96, EFFECTS = 32, JSON_BYTES = 8192, INPUT_BYTES = 1 << 20 };

static void fail(struct aegis_services *services, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The first failure is the one that is told. */
static void fail(struct aegis_services *services, const char *format, ...)
{
    if (services->failure[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(services->failure, sizeof(services->failure), format, arguments);
    va_end(arguments);
}

static bool one_of(const char *text, const char *const *list)
{
    for (; text != NULL && *list != NULL; list++) {
        if (strcmp(text, *list) == 0)
            return true;
    }
    return false;
}

/* A part of a query: printable, no slash, not endless. */
static bool part_good(const char *text, size_t limit)
{
    size_t length = text == NULL ? 0 : strnlen(text, limit + 1);
    if (length == 0 || length > limit)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] <= ' ' || text[i] > '~' || text[i] == '/')
            return false;
    }
    return true;
}

static bool list_has(const json_t *list, const char *text)
{
    size_t index;
    json_t *element;
    json_array_foreach((json_t *)list, index, element)
    {
        if (strcmp(json_string_value(element), text) == 0)
            return true;
    }
    return false;
}

/* The value of a fact; NULL when it is not there (yet). */
static const json_t *fact(struct aegis_services *services, const char *query)
{
    if (services->facts == NULL) {
        fail(services, "the plugin asked for a fact where there are none");
        return NULL;
    }
    if (!list_has(services->used, query)) {
        if (json_array_size(services->used) >= QUERIES) {
            fail(services, "the plugin asked for more than %d facts", QUERIES);
            return NULL;
        }
        json_array_append_new(services->used, json_string(query));
    }
    const json_t *value = json_object_get(services->facts, query);
    if (value == NULL) {
        services->waiting = true;
        if (!list_has(services->needed, query))
            json_array_append_new(services->needed, json_string(query));
    }
    return value;
}

static bool amount_member(const json_t *value, const char *name, aegis_amount *out)
{
    const char *text = json_string_value(json_object_get(value, name));
    return text != NULL && aegis_amount_parse(text, out);
}

static bool integer_member(const json_t *value, const char *name, int64_t *out)
{
    const json_t *member = json_object_get(value, name);
    *out = json_integer_value(member);
    return json_is_integer(member) && *out >= 0;
}

static bool malformed(struct aegis_services *services, const char *query)
{
    fail(services, "the fact %.100s is malformed", query);
    return false;
}

static bool window_good(const char *window)
{
    static const char *const calendar[] = {"hour", "day", "week", "month", "total", NULL};
    if (one_of(window, calendar))
        return true;
    if (window == NULL || strncmp(window, "rolling:", 8) != 0)
        return false;
    aegis_amount seconds;
    return strlen(window) < 20 && aegis_amount_parse(window + 8, &seconds) && seconds >= 60 &&
           seconds <= 2678400;
}

static bool host_spent(void *context, const char *scope, const char *window, const char *chain,
                       const char *token, struct aegis_spent *out)
{
    static const char *const scopes[] = {"agent", "gate", "agent+host", "agent+payee", "host", "payee", NULL};
    struct aegis_services *services = context;
    char query[256];
    if (!one_of(scope, scopes) || !window_good(window) || !part_good(chain, 64) || !part_good(token, 32)) {
        fail(services,
             "the plugin asked what was spent in a scope, window, chain or token that there cannot be");
        return false;
    }
    snprintf(query, sizeof(query), "spent/%s/%s/%s/%s", scope, window, chain, token);
    const json_t *value = fact(services, query);
    if (value == NULL)
        return false;
    int64_t payments;
    if (!amount_member(value, "settled", &out->settled) || !amount_member(value, "exposed", &out->exposed) ||
        !integer_member(value, "payments", &payments) || !integer_member(value, "resets_at", &out->resets_at))
        return malformed(services, query);
    out->payments = (uint64_t)payments;
    return true;
}

static bool scope_good(struct aegis_services *services, const char *scope)
{
    static const char *const scopes[] = {"agent", "gate", NULL};
    if (one_of(scope, scopes))
        return true;
    fail(services, "the plugin asked in a scope that is neither agent nor gate");
    return false;
}

static bool host_last_payment(void *context, const char *scope, int64_t *at)
{
    struct aegis_services *services = context;
    char query[64];
    if (!scope_good(services, scope))
        return false;
    snprintf(query, sizeof(query), "last_payment/%s", scope);
    const json_t *value = fact(services, query);
    return value != NULL && (integer_member(value, "at", at) || malformed(services, query));
}

static bool host_last_heartbeat(void *context, int64_t *at)
{
    const json_t *value = fact(context, "last_heartbeat");
    return value != NULL && (integer_member(value, "at", at) || malformed(context, "last_heartbeat"));
}

static bool host_paid_before(void *context, const char *scope, uint64_t *times)
{
    struct aegis_services *services = context;
    char query[64];
    int64_t found;
    if (!scope_good(services, scope))
        return false;
    snprintf(query, sizeof(query), "paid_before/%s", scope);
    const json_t *value = fact(services, query);
    if (value == NULL)
        return false;
    if (!integer_member(value, "times", &found))
        return malformed(services, query);
    *times = (uint64_t)found;
    return true;
}

static bool host_last_price(void *context, aegis_amount *scaled, int64_t *at)
{
    const json_t *value = fact(context, "last_price");
    if (value == NULL)
        return false;
    return (amount_member(value, "scaled", scaled) && integer_member(value, "at", at)) ||
           malformed(context, "last_price");
}

static bool key_good(struct aegis_services *services, const char *key)
{
    if (part_good(key, 100))
        return true;
    fail(services,
         "the plugin used a key of state that is not 1 to 100 printable ASCII characters without slash");
    return false;
}

static bool host_state_get(void *context, const char *key, const json_t **value)
{
    struct aegis_services *services = context;
    char query[256];
    if (!key_good(services, key))
        return false;
    snprintf(query, sizeof(query), "state/%s/%s", services->policy, key);
    const json_t *found = fact(services, query);
    if (found == NULL)
        return false;
    *value = json_is_null(found) ? NULL : found;
    return true;
}

static const char *host_typed_data(void *context)
{
    struct aegis_services *services = context;
    if (services->typed_data == NULL && services->payment != NULL)
        services->typed_data = aegis_subject_typed_data(services->subject, services->payment);
    return services->typed_data;
}

/* An executable is run by another process; what it answered comes back among the facts, bound to the very
 * input that it was given. */
static bool host_run(void *context, const char *executable, const char *input, int64_t timeout_ms,
                     struct aegis_run *out)
{
    struct aegis_services *services = context;
    char hash[AEGIS_HASH_HEX];
    if (services->facts == NULL || executable == NULL || input == NULL || strnlen(executable, 4097) > 4096 ||
        strlen(input) > INPUT_BYTES || timeout_ms < 1 || timeout_ms > 60000 ||
        !aegis_utf8_valid(executable, strlen(executable)) || !aegis_utf8_valid(input, strlen(input))) {
        fail(services, "the plugin wanted to run what cannot be run");
        return false;
    }
    aegis_sha256_hex(input, strlen(input), hash);
    char *query = aegis_format("run/%s/%s", services->policy, executable);
    const json_t *value = json_object_get(services->facts, query);
    if (value == NULL || strcmp(aegis_json_text(value, "input", ""), hash) != 0) {
        services->waiting = true;
        json_array_append_new(services->runs, json_pack("{s:s,s:s,s:s,s:s,s:I}", "query", query, "executable",
                                                        executable, "input", input, "input_hash", hash,
                                                        "timeout_ms", (json_int_t)timeout_ms));
        free(query);
        return false;
    }
    free(query);
    json_object_set(services->ran, executable, (json_t *)value);
    out->status = (int)aegis_json_integer(value, "status", -1);
    out->output = aegis_json_text(value, "output", "");
    out->error = aegis_json_text(value, "error", "");
    return true;
}

/* Steals `effect`. */
static void effect_add(struct aegis_services *services, json_t *effect)
{
    if (effect == NULL)
        fail(services, "the plugin caused something with a text that is missing or not UTF-8");
    else if (json_array_size(services->effects) >= EFFECTS)
        fail(services, "the plugin caused more than %d effects", EFFECTS);
    else if (services->recording)
        json_array_append(services->effects, effect);
    json_decref(effect);
}

/* Whether a value of the plugin's is small enough to be carried and kept. */
static bool value_good(struct aegis_services *services, const json_t *value)
{
    char *canonical = value == NULL ? NULL : aegis_json_canonical(value, NULL);
    bool good = value == NULL || (canonical != NULL && strlen(canonical) <= JSON_BYTES);
    free(canonical);
    if (!good)
        fail(services, "the plugin left a value that is larger than %d bytes or has no canonical form",
             JSON_BYTES);
    return good;
}

static void host_state_set(void *context, const char *key, json_t *value)
{
    struct aegis_services *services = context;
    if (key_good(services, key) && value_good(services, value))
        effect_add(services, json_pack("{s:s,s:s,s:s,s:O?}", "policy", services->policy, "effect", "state",
                                       "key", key, "value", value));
    json_decref(value);
}

static void host_notify(void *context, enum aegis_severity severity, const char *kind, const char *once,
                        const char *title, const char *message, json_t *metadata)
{
    static const char *const names[] = {"info", "warning", "critical"};
    struct aegis_services *services = context;
    if ((unsigned)severity >= sizeof(names) / sizeof(names[0]) || kind == NULL || title == NULL ||
        message == NULL || strnlen(title, 257) > 256 || strnlen(message, 1025) > 1024 ||
        !part_good(kind, 48) || (once != NULL && strnlen(once, 513) > 512) ||
        (metadata != NULL && !json_is_object(metadata))) {
        fail(services, "the plugin sent a notification that is incomplete or too long");
    } else if (value_good(services, metadata)) {
        json_t *effect =
            json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "policy", services->policy, "effect", "notice", "severity",
                      names[severity], "kind", kind, "title", title, "message", message);
        if (effect != NULL)
            json_object_set_new(effect, "metadata", metadata == NULL ? json_object() : json_incref(metadata));
        if (effect != NULL && once != NULL && json_object_set_new(effect, "once", json_string(once)) != 0) {
            json_decref(effect);
            effect = NULL;
        }
        effect_add(services, effect);
    }
    json_decref(metadata);
}

static void host_revoke(void *context, const char *reason)
{
    struct aegis_services *services = context;
    if (!services->ticking || reason == NULL || strnlen(reason, 257) > 256)
        fail(services, "the plugin wanted to revoke a key outside of tick, or without a reason");
    else
        effect_add(services, json_pack("{s:s,s:s,s:s}", "policy", services->policy, "effect", "revoke",
                                       "reason", reason));
}

static void host_log(void *context, const char *message)
{
    struct aegis_services *services = context;
    if (message != NULL)
        aegis_log(AEGIS_LOG_INFO, "policy %s: %.500s", services->policy, message);
}

void aegis_services_open(struct aegis_services *services, struct aegis_host *host)
{
    services->used = json_array();
    services->ran = json_object();
    services->effects = json_array();
    services->typed_data = NULL;
    services->waiting = false;
    services->failure[0] = '\0';
    *host = (struct aegis_host){
        .size = sizeof(*host),
        .context = services,
        .spent = host_spent,
        .last_payment = host_last_payment,
        .last_heartbeat = host_last_heartbeat,
        .paid_before = host_paid_before,
        .last_price = host_last_price,
        .state_get = host_state_get,
        .typed_data = host_typed_data,
        .run = host_run,
        .state_set = host_state_set,
        .notify = host_notify,
        .revoke = host_revoke,
        .log = host_log,
    };
}

void aegis_services_close(struct aegis_services *services)
{
    json_decref(services->used);
    json_decref(services->ran);
    json_decref(services->effects);
    free(services->typed_data);
}
