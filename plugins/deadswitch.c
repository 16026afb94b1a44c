/* deadswitch: an agent that has neither paid nor sent a heartbeat for too long loses its key. A warning goes
 * out as the countdown begins.
 *
 * The gate cannot move the wallet's money without the agent's own token, which it does not keep: `sweepFunds`
 * and `recoveryWallet` are passed on in the notices, for the person or program that holds the wallet. */
#include <aegis/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_MS 60000

struct deadswitch {
    int64_t limit_minutes;
    int64_t warn_minutes; /* how long before the end the warning goes out */
    bool enabled;
    bool sweep;
    char recovery[128];
};

static bool refuse(char *error, size_t size, const char *where, const char *expected)
{
    snprintf(error, size, "%s: expected %s", where, expected);
    return false;
}

static bool read_minutes(const json_t *config, struct deadswitch *deadswitch, char *error, size_t size)
{
    const json_t *limit = json_object_get(config, "maxInactiveMinutes");
    const json_t *warn = json_object_get(config, "warnMinutes");
    deadswitch->limit_minutes = json_integer_value(limit);
    if (!json_is_integer(limit) || deadswitch->limit_minutes < 1 || deadswitch->limit_minutes > 5256000)
        return refuse(error, size, "maxInactiveMinutes", "an integer from 1 to 5256000");
    deadswitch->warn_minutes = warn == NULL ? (deadswitch->limit_minutes + 3) / 4 : json_integer_value(warn);
    if (warn != NULL && (!json_is_integer(warn) || deadswitch->warn_minutes < 0 ||
                         deadswitch->warn_minutes > deadswitch->limit_minutes))
        return refuse(error, size, "warnMinutes", "an integer from 0 to maxInactiveMinutes");
    return true;
}

static bool read_flag(const json_t *config, const char *field, bool otherwise, bool *out, char *error,
                      size_t size)
{
    const json_t *value = json_object_get(config, field);
    *out = value == NULL ? otherwise : json_is_true(value);
    return value == NULL || json_is_boolean(value) || refuse(error, size, field, "true or false");
}

static bool read_action(const json_t *config, struct deadswitch *deadswitch, char *error, size_t size)
{
    const json_t *action = json_object_get(config, "onTrigger");
    const json_t *recovery = json_object_get(config, "recoveryWallet");
    if (!json_is_string(action) || strcmp(json_string_value(action), "revoke_key") != 0)
        return refuse(error, size, "onTrigger", "\"revoke_key\"");
    if (recovery != NULL && !json_is_null(recovery) &&
        (!json_is_string(recovery) || json_string_length(recovery) == 0 ||
         json_string_length(recovery) >= sizeof(deadswitch->recovery)))
        return refuse(error, size, "recoveryWallet", "an address");
    if (json_is_string(recovery))
        snprintf(deadswitch->recovery, sizeof(deadswitch->recovery), "%s", json_string_value(recovery));
    return true;
}

static bool read_config(const json_t *config, struct deadswitch *deadswitch, char *error, size_t size)
{
    static const char *const fields[] = {"maxInactiveMinutes", "warnMinutes", "onTrigger", "recoveryWallet",
                                         "sweepFunds",         "enabled",     NULL};
    const char *field;
    json_t *value;
    json_object_foreach((json_t *)config, field, value)
    {
        size_t i = 0;
        while (fields[i] != NULL && strcmp(field, fields[i]) != 0)
            i++;
        if (fields[i] == NULL) {
            snprintf(error, size, "%.40s: is not a field of deadswitch", field);
            return false;
        }
    }
    if (!read_minutes(config, deadswitch, error, size) || !read_action(config, deadswitch, error, size) ||
        !read_flag(config, "enabled", true, &deadswitch->enabled, error, size) ||
        !read_flag(config, "sweepFunds", false, &deadswitch->sweep, error, size))
        return false;
    return !deadswitch->sweep || deadswitch->recovery[0] != '\0' ||
           refuse(error, size, "recoveryWallet", "an address, since sweepFunds is true");
}

static void *deadswitch_open(const json_t *config, char *error, size_t size)
{
    struct deadswitch *deadswitch = calloc(1, sizeof(*deadswitch));
    if (deadswitch != NULL && read_config(config, deadswitch, error, size))
        return deadswitch;
    if (deadswitch == NULL)
        snprintf(error, size, "no memory");
    free(deadswitch);
    return NULL;
}

static void deadswitch_close(void *policy)
{
    free(policy);
}

/* When the agent last showed that it is there; 0: it never did, and nothing runs out. False: not answered
 * yet. */
static bool last_sign(const struct aegis_host *host, int64_t *at)
{
    int64_t payment, heartbeat;
    bool paid = host->last_payment(host->context, "agent", &payment);
    bool beat = host->last_heartbeat(host->context, &heartbeat);
    if (!paid || !beat)
        return false;
    *at = payment > heartbeat ? payment : heartbeat;
    return true;
}

static json_t *metadata_of(const struct deadswitch *deadswitch, const char *agent, int64_t last, int64_t end)
{
    json_t *metadata = json_pack("{s:s,s:I,s:I,s:I,s:b}", "agent", agent, "maxInactiveMinutes",
                                 (json_int_t)deadswitch->limit_minutes, "lastActivity", (json_int_t)last,
                                 "revokesAt", (json_int_t)end, "sweepFunds", deadswitch->sweep);
    if (deadswitch->recovery[0] != '\0')
        json_object_set_new(metadata, "recoveryWallet", json_string(deadswitch->recovery));
    return metadata;
}

static void trigger(const struct deadswitch *deadswitch, const char *agent, const char *agent_name,
                    int64_t last, int64_t end, const struct aegis_host *host)
{
    char once[192], message[640];
    snprintf(once, sizeof(once), "triggered/%.128s/%lld", agent, (long long)last);
    snprintf(message, sizeof(message),
             "%.128s has neither paid nor sent a heartbeat for %lld minutes. Its key is revoked.%s%s",
             agent_name, (long long)deadswitch->limit_minutes,
             deadswitch->sweep
                 ? " The gate holds no key with which it could move the money that is left: move it to the "
                   "recovery wallet yourself: "
                 : "",
             deadswitch->sweep ? deadswitch->recovery : "");
    host->notify(host->context, AEGIS_SEVERITY_CRITICAL, "deadswitch_triggered", once,
                 "The deadswitch has triggered", message, metadata_of(deadswitch, agent, last, end));
    host->revoke(host->context, "deadswitch: no payment and no heartbeat for too long");
}

static void warn(const struct deadswitch *deadswitch, const char *agent, const char *agent_name, int64_t now,
                 int64_t last, int64_t end, const struct aegis_host *host)
{
    char once[192], message[384];
    long long left = (long long)((end - now + MINUTE_MS - 1) / MINUTE_MS);
    snprintf(once, sizeof(once), "warning/%.128s/%lld", agent, (long long)last);
    snprintf(
        message, sizeof(message),
        "%.128s has neither paid nor sent a heartbeat for a while. In %lld minutes its key will be revoked.",
        agent_name, left);
    json_t *metadata = metadata_of(deadswitch, agent, last, end);
    json_object_set_new(metadata, "minutesLeft", json_integer(left));
    host->notify(host->context, AEGIS_SEVERITY_WARNING, "deadswitch_warning", once,
                 "The deadswitch is counting down", message, metadata);
}

static void deadswitch_tick(void *policy, const char *agent, const char *agent_name, int64_t now,
                            const struct aegis_host *host)
{
    const struct deadswitch *deadswitch = policy;
    int64_t last;
    if (!deadswitch->enabled || !last_sign(host, &last) || last == 0)
        return;
    int64_t end = last + deadswitch->limit_minutes * MINUTE_MS;
    if (now >= end)
        trigger(deadswitch, agent, agent_name, last, end, host);
    else if (now >= end - deadswitch->warn_minutes * MINUTE_MS)
        warn(deadswitch, agent, agent_name, now, last, end, host);
}

/* A gate that was off while the time ran out must not let the first payment through before the first tick. */
static void deadswitch_check_payment(void *policy, const struct aegis_payment *payment,
                                     const struct aegis_host *host, struct aegis_decision *decision)
{
    const struct deadswitch *deadswitch = policy;
    int64_t last = 0;
    if (deadswitch->enabled && !last_sign(host, &last))
        return;
    if (!deadswitch->enabled || last == 0 || payment->now < last + deadswitch->limit_minutes * MINUTE_MS) {
        decision->verdict = AEGIS_ALLOW;
        return;
    }
    decision->verdict = AEGIS_DENY;
    snprintf(decision->code, sizeof(decision->code), "deadswitch_triggered");
    snprintf(decision->reason, sizeof(decision->reason),
             "no payment and no heartbeat for %lld minutes or more", (long long)deadswitch->limit_minutes);
}

const struct aegis_policy aegis_policy = {
    .abi = AEGIS_PLUGIN_ABI,
    .size = sizeof(struct aegis_policy),
    .name = "deadswitch",
    .version = "1.0.0",
    .summary = "Revokes the key of an agent that has neither paid nor sent a heartbeat for too long.",
    .configuration =
        "maxInactiveMinutes  integer  after so many minutes without payment and heartbeat it triggers\n"
        "warnMinutes  integer  so long before that a warning goes out (default: a quarter of it)\n"
        "onTrigger  text  revoke_key\n"
        "recoveryWallet  text  an address, for the notices\n"
        "sweepFunds  boolean  ask, in the notice, that what is left be moved to recoveryWallet\n"
        "enabled  boolean  false: does nothing (default true)",
    .open = deadswitch_open,
    .close = deadswitch_close,
    .check_payment = deadswitch_check_payment,
    .tick = deadswitch_tick,
};
