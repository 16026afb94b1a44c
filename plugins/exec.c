/* exec: asks an executable of the Open Wallet Standard: PolicyContext on its standard input, PolicyResult
 * expected on its standard output. Whatever is odd about the answer is a denial.
 *
 * The context is the one that OWS 1.3 sends, with two differences: `spending` carries true figures (OWS sends
 * zero), and the nonce in typed_data is zero, since it is drawn only after the verdict. */
#include <aegis/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIMEOUT_MS 5000

struct exec {
    char *executable;
    int64_t timeout_ms;
    json_t *config; /* handed on as policy_config, or NULL */
};

static bool read_config(const json_t *config, struct exec *exec, char *error, size_t size)
{
    const json_t *executable = json_object_get(config, "executable");
    const json_t *timeout = json_object_get(config, "timeout_ms");
    const char *field;
    json_t *value;
    json_object_foreach((json_t *)config, field, value)
    {
        if (strcmp(field, "executable") != 0 && strcmp(field, "timeout_ms") != 0 &&
            strcmp(field, "config") != 0) {
            snprintf(error, size, "%.40s: is not a field of exec", field);
            return false;
        }
    }
    if (!json_is_string(executable) || json_string_length(executable) == 0 ||
        json_string_length(executable) > 1024) {
        snprintf(error, size, "executable: expected an absolute path or a name");
        return false;
    }
    exec->timeout_ms = timeout == NULL ? TIMEOUT_MS : json_integer_value(timeout);
    if (timeout != NULL &&
        (!json_is_integer(timeout) || exec->timeout_ms < 100 || exec->timeout_ms > 60000)) {
        snprintf(error, size, "timeout_ms: expected an integer from 100 to 60000");
        return false;
    }
    exec->executable = strdup(json_string_value(executable));
    exec->config = json_incref(json_object_get(config, "config"));
    return true;
}

static void exec_close(void *policy)
{
    struct exec *exec = policy;
    free(exec->executable);
    json_decref(exec->config);
    free(exec);
}

static void *exec_open(const json_t *config, char *error, size_t size)
{
    struct exec *exec = calloc(1, sizeof(*exec));
    if (exec == NULL) {
        snprintf(error, size, "no memory");
        return NULL;
    }
    if (read_config(config, exec, error, size))
        return exec;
    exec_close(exec);
    return NULL;
}

/* What this agent has spent today of this token on this chain, in the token's atomic units. */
static json_t *spending_json(const struct aegis_payment *payment, const struct aegis_spent *spent)
{
    char digits[48], date[16];
    size_t at = sizeof(digits);
    struct tm tm;
    time_t seconds = (time_t)(payment->now / 1000);
    aegis_amount total = spent->settled + spent->exposed;
    if (total < spent->settled)
        total = ~(aegis_amount)0;
    for (unsigned i = payment->decimals; i < 18; i++)
        total /= 10;
    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + (int)(total % 10));
        total /= 10;
    } while (total > 0);
    gmtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%Y-%m-%d", &tm);
    return json_pack("{s:s,s:s}", "daily_total", digits + at, "date", date);
}

/* The fields that OWS takes out of the typed data for those who do not want to read all of it. */
static json_t *typed_data_json(const char *text)
{
    json_t *typed = text == NULL ? NULL : json_loads(text, 0, NULL);
    const json_t *domain = json_object_get(typed, "domain");
    json_t *json = json_pack(
        "{s:O,s:O,s:O,s:O,s:O,s:s}", "verifying_contract", json_object_get(domain, "verifyingContract"),
        "domain_chain_id", json_object_get(domain, "chainId"), "primary_type",
        json_object_get(typed, "primaryType"), "domain_name", json_object_get(domain, "name"),
        "domain_version", json_object_get(domain, "version"), "raw_json", text);
    json_decref(typed);
    return json;
}

static char *context_text(const struct exec *exec, const struct aegis_payment *payment,
                          const struct aegis_spent *spent, const char *typed_data)
{
    char when[32], timestamp[64];
    struct tm tm;
    time_t seconds = (time_t)(payment->now / 1000);
    gmtime_r(&seconds, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(timestamp, sizeof(timestamp), "%s.%03d000000+00:00", when, (int)(payment->now % 1000));
    json_t *typed = typed_data_json(typed_data);
    if (typed == NULL)
        return NULL;
    json_t *context =
        json_pack("{s:s,s:s,s:s,s:{s:s},s:o,s:o,s:s}", "chain_id", payment->network, "wallet_id",
                  payment->wallet, "api_key_id", payment->agent, "transaction", "raw_hex", "", "typed_data",
                  typed, "spending", spending_json(payment, spent), "timestamp", timestamp);
    if (exec->config != NULL)
        json_object_set(context, "policy_config", exec->config);
    char *text = json_dumps(context, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(context);
    return text;
}

static void deny(struct aegis_decision *decision, enum aegis_verdict verdict, const char *code,
                 const char *reason)
{
    decision->verdict = verdict;
    snprintf(decision->code, sizeof(decision->code), "%s", code);
    snprintf(decision->reason, sizeof(decision->reason), "%s", reason);
}

/* Exactly one JSON object whose `allow` is a boolean, from a program that ended well. */
static void judge_answer(const struct aegis_run *run, struct aegis_decision *decision)
{
    char reason[256];
    if (run->status != 0) {
        if (run->status < 0)
            snprintf(reason, sizeof(reason), "the executable failed: %.180s", run->error);
        else
            snprintf(reason, sizeof(reason), "the executable exited with status %d: %.160s", run->status,
                     run->error);
        deny(decision, AEGIS_ERROR, "executable_failed", reason);
        return;
    }
    json_t *answer = json_loads(run->output, JSON_REJECT_DUPLICATES, NULL);
    const json_t *allow = json_object_get(answer, "allow");
    const json_t *why = json_object_get(answer, "reason");
    if (!json_is_boolean(allow) || (why != NULL && !json_is_string(why) && !json_is_null(why))) {
        deny(decision, AEGIS_ERROR, "executable_failed",
             "the executable did not answer {\"allow\": true or false}");
    } else if (json_is_true(allow)) {
        decision->verdict = AEGIS_ALLOW;
    } else {
        snprintf(reason, sizeof(reason), "%.240s",
                 json_is_string(why) ? json_string_value(why) : "denied by executable");
        deny(decision, AEGIS_DENY, "executable_denied", reason);
    }
    json_decref(answer);
}

static void exec_check_payment(void *policy, const struct aegis_payment *payment,
                               const struct aegis_host *host, struct aegis_decision *decision)
{
    const struct exec *exec = policy;
    struct aegis_spent spent;
    struct aegis_run run;
    if (!host->spent(host->context, "agent", "day", payment->network, payment->token, &spent))
        return;
    char *context = context_text(exec, payment, &spent, host->typed_data(host->context));
    if (context == NULL) {
        deny(decision, AEGIS_ERROR, "executable_failed", "the context could not be written");
        return;
    }
    if (host->run(host->context, exec->executable, context, exec->timeout_ms, &run))
        judge_answer(&run, decision);
    free(context);
}

const struct aegis_policy aegis_policy = {
    .abi = AEGIS_PLUGIN_ABI,
    .size = sizeof(struct aegis_policy),
    .name = "exec",
    .version = "1.0.0",
    .summary = "Asks an executable of the Open Wallet Standard.",
    .configuration = "executable  text  absolute path, or a name in the vault's policies folder or on PATH\n"
                     "timeout_ms  integer  how long it may take, 100 to 60000 (default 5000)\n"
                     "config  any  handed to the executable as policy_config",
    .open = exec_open,
    .close = exec_close,
    .check_payment = exec_check_payment,
};
