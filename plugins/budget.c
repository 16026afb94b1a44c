/* budget: caps on what is spent, per chain and token; for one payment, in calendar windows, in rolling
 * windows; and on how many payments are made in a minute.
 *
 * What counts as spent is settled + exposed: money that was signed away and has not provably come back. The
 * payment that is judged passes when that sum and itself stay at or below the cap. */
#include <aegis/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LIMITS = 64, ROLLING = 8, RULES = 6 + ROLLING };

/* One cap of one limit. `window` as the host calls it; "" for a single payment. */
struct rule {
    char window[32];
    char name[24]; /* for people: daily */
    char code[32];
    int64_t length_ms; /* of a rolling window, else 0 */
    aegis_amount cap;  /* scaled */
};

struct limit {
    char chain[64];
    char token[32];
    char scope[16];
    struct rule rules[RULES];
    size_t count;
    uint64_t per_minute; /* 0: no limit */
};

struct budget {
    struct limit limits[LIMITS];
    size_t count;
    bool uncovered_allowed;
};

/* ---- amounts: units of 10^-18 of a whole token ---- */

#define AMOUNT_MAX (~(aegis_amount)0)
#define DECIMALS   18

static bool digit_append(aegis_amount *amount, unsigned digit)
{
    if (*amount > (AMOUNT_MAX - digit) / 10)
        return false;
    *amount = *amount * 10 + digit;
    return true;
}

/* "1", "0.05": digits, and at most 18 of them behind the point. */
static bool amount_parse(const char *text, aegis_amount *out)
{
    aegis_amount amount = 0;
    int behind = -1; /* digits behind the point; -1: no point yet */
    size_t length = strlen(text);
    if (length == 0 || text[0] == '.' || text[length - 1] == '.')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '.' && behind < 0)
            behind = 0;
        else if (text[i] < '0' || text[i] > '9' || behind == DECIMALS ||
                 !digit_append(&amount, text[i] - '0'))
            return false;
        else if (behind >= 0)
            behind++;
    }
    for (int i = behind < 0 ? 0 : behind; i < DECIMALS; i++) {
        if (!digit_append(&amount, 0))
            return false;
    }
    *out = amount;
    return true;
}

static aegis_amount amount_add(aegis_amount a, aegis_amount b)
{
    return a > AMOUNT_MAX - b ? AMOUNT_MAX : a + b;
}

/* The shortest exact text. `out` has room for 64 bytes. */
static char *amount_format(aegis_amount amount, char *out)
{
    char digits[48];
    size_t count = 0, length = 0;
    int skip = 0;
    while (skip < DECIMALS && amount % 10 == 0) {
        amount /= 10;
        skip++;
    }
    int behind = DECIMALS - skip;
    while (amount > 0 || (int)count <= behind) {
        digits[count++] = (char)('0' + (int)(amount % 10));
        amount /= 10;
    }
    while (count > 0) {
        if ((int)count == behind)
            out[length++] = '.';
        out[length++] = digits[--count];
    }
    out[length] = '\0';
    return out;
}

/* ---- configuration ---- */

static const struct {
    const char *field, *window, *code;
} windows[] = {
    {"payment", "", "payment_limit_exceeded"},      {"hourly", "hour", "hourly_limit_exceeded"},
    {"daily", "day", "daily_limit_exceeded"},       {"weekly", "week", "weekly_limit_exceeded"},
    {"monthly", "month", "monthly_limit_exceeded"}, {"total", "total", "total_limit_exceeded"},
};

static bool known_field(const char *field, const char *const *others)
{
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        if (strcmp(field, windows[i].field) == 0)
            return true;
    }
    for (; *others != NULL; others++) {
        if (strcmp(field, *others) == 0)
            return true;
    }
    return false;
}

static bool read_amount(const json_t *value, const char *where, aegis_amount *out, char *error, size_t size)
{
    if (json_is_string(value) && amount_parse(json_string_value(value), out))
        return true;
    snprintf(error, size, "%s: expected whole tokens as a decimal text, such as \"10.00\"", where);
    return false;
}

static bool read_windows(const json_t *json, size_t index, struct limit *limit, char *error, size_t size)
{
    char where[64];
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        const json_t *value = json_object_get(json, windows[i].field);
        struct rule *rule = &limit->rules[limit->count];
        if (value == NULL)
            continue;
        snprintf(where, sizeof(where), "limits[%zu].%s", index, windows[i].field);
        if (!read_amount(value, where, &rule->cap, error, size))
            return false;
        snprintf(rule->window, sizeof(rule->window), "%s", windows[i].window);
        snprintf(rule->name, sizeof(rule->name), "%s", windows[i].field);
        snprintf(rule->code, sizeof(rule->code), "%s", windows[i].code);
        limit->count++;
    }
    return true;
}

static bool read_rolling(const json_t *json, size_t index, struct limit *limit, char *error, size_t size)
{
    const json_t *list = json_object_get(json, "rolling");
    char where[64];
    if (list != NULL && (!json_is_array(list) || json_array_size(list) > ROLLING)) {
        snprintf(error, size, "limits[%zu].rolling: expected an array of at most %d {seconds, amount}", index,
                 ROLLING);
        return false;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        struct rule *rule = &limit->rules[limit->count++];
        json_int_t seconds = json_integer_value(json_object_get(entry, "seconds"));
        snprintf(where, sizeof(where), "limits[%zu].rolling[%zu]", index, i);
        if (!json_is_object(entry) || json_object_size(entry) != 2 || seconds < 60 || seconds > 2678400) {
            snprintf(error, size, "%s: expected {seconds (60 to 2678400), amount}", where);
            return false;
        }
        if (!read_amount(json_object_get(entry, "amount"), where, &rule->cap, error, size))
            return false;
        snprintf(rule->window, sizeof(rule->window), "rolling:%lld", (long long)seconds);
        snprintf(rule->name, sizeof(rule->name), "%lld-second", (long long)seconds);
        snprintf(rule->code, sizeof(rule->code), "rolling_limit_exceeded");
        rule->length_ms = (int64_t)seconds * 1000;
    }
    return true;
}

static bool read_rate(const json_t *json, size_t index, struct limit *limit, char *error, size_t size)
{
    const json_t *value = json_object_get(json, "payments_per_minute");
    if (value == NULL)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 1) {
        snprintf(error, size, "limits[%zu].payments_per_minute: expected an integer above 0", index);
        return false;
    }
    limit->per_minute = (uint64_t)json_integer_value(value);
    return true;
}

/* `*`, a CAIP-2 id, or a part of one before a `*` at the end. */
static bool chain_good(const char *chain)
{
    size_t length = strlen(chain);
    const char *star = strchr(chain, '*');
    if (length == 0 || length >= sizeof(((struct limit *)0)->chain) || strpbrk(chain, "/ ") != NULL)
        return false;
    return star != NULL ? star == chain + length - 1 && (length == 1 || strchr(chain, ':') != NULL)
                        : strchr(chain, ':') != NULL;
}

static bool read_what(const json_t *json, size_t index, struct limit *limit, char *error, size_t size)
{
    const char *chain = json_string_value(json_object_get(json, "chainId"));
    const char *token = json_string_value(json_object_get(json, "token"));
    if (chain == NULL || !chain_good(chain)) {
        snprintf(error, size, "limits[%zu].chainId: expected a chain such as eip155:8453, eip155:* or *",
                 index);
        return false;
    }
    if (token == NULL || *token == '\0' || strlen(token) >= sizeof(limit->token) ||
        strpbrk(token, "/ ") != NULL) {
        snprintf(error, size, "limits[%zu].token: expected a symbol such as USDC, or *", index);
        return false;
    }
    snprintf(limit->chain, sizeof(limit->chain), "%s", chain);
    snprintf(limit->token, sizeof(limit->token), "%s", token);
    return true;
}

static bool read_scope(const json_t *json, size_t index, struct limit *limit, char *error, size_t size)
{
    static const char *const scopes[] = {"agent", "gate", "agent+host", "agent+payee", "host", "payee"};
    const json_t *value = json_object_get(json, "per");
    const char *scope = value == NULL ? "agent" : json_string_value(value);
    for (size_t i = 0; scope != NULL && i < sizeof(scopes) / sizeof(scopes[0]); i++) {
        if (strcmp(scope, scopes[i]) == 0) {
            snprintf(limit->scope, sizeof(limit->scope), "%s", scope);
            return true;
        }
    }
    snprintf(error, size, "limits[%zu].per: expected agent, gate, agent+host, agent+payee, host or payee",
             index);
    return false;
}

static bool read_limit(const json_t *json, size_t index, struct limit *limit, char *error, size_t size)
{
    static const char *const others[] = {"chainId", "token", "per", "rolling", "payments_per_minute", NULL};
    const char *field;
    json_t *value;
    if (!json_is_object(json)) {
        snprintf(error, size, "limits[%zu]: expected an object", index);
        return false;
    }
    json_object_foreach((json_t *)json, field, value)
    {
        if (!known_field(field, others)) {
            snprintf(error, size, "limits[%zu].%.40s: is not a field of a limit", index, field);
            return false;
        }
    }
    if (!read_what(json, index, limit, error, size) || !read_scope(json, index, limit, error, size) ||
        !read_windows(json, index, limit, error, size) || !read_rolling(json, index, limit, error, size) ||
        !read_rate(json, index, limit, error, size))
        return false;
    if (limit->count > 0 || limit->per_minute > 0)
        return true;
    snprintf(error, size,
             "limits[%zu]: expected a cap: payment, hourly, daily, weekly, monthly, total, rolling or "
             "payments_per_minute",
             index);
    return false;
}

static bool read_limits(const json_t *list, struct budget *budget, char *error, size_t size)
{
    if (!json_is_array(list) || json_array_size(list) > LIMITS) {
        snprintf(error, size, "limits: expected an array of at most %d limits", LIMITS);
        return false;
    }
    for (; budget->count < json_array_size(list); budget->count++) {
        if (!read_limit(json_array_get(list, budget->count), budget->count, &budget->limits[budget->count],
                        error, size))
            return false;
    }
    return true;
}

static bool read_config(const json_t *config, struct budget *budget, char *error, size_t size)
{
    const json_t *uncovered = json_object_get(config, "uncovered");
    const char *field;
    json_t *value;
    json_object_foreach((json_t *)config, field, value)
    {
        if (strcmp(field, "limits") != 0 && strcmp(field, "uncovered") != 0) {
            snprintf(error, size, "%.40s: is not a field of budget", field);
            return false;
        }
    }
    if (uncovered != NULL &&
        (!json_is_string(uncovered) || (strcmp(json_string_value(uncovered), "allow") != 0 &&
                                        strcmp(json_string_value(uncovered), "deny") != 0))) {
        snprintf(error, size, "uncovered: expected \"deny\" or \"allow\"");
        return false;
    }
    budget->uncovered_allowed = uncovered != NULL && strcmp(json_string_value(uncovered), "allow") == 0;
    return read_limits(json_object_get(config, "limits"), budget, error, size);
}

static void *budget_open(const json_t *config, char *error, size_t size)
{
    struct budget *budget = calloc(1, sizeof(*budget));
    if (budget != NULL && read_config(config, budget, error, size))
        return budget;
    if (budget == NULL)
        snprintf(error, size, "no memory");
    free(budget);
    return NULL;
}

static void budget_close(void *policy)
{
    free(policy);
}

/* ---- checking ---- */

static bool covers(const struct limit *limit, const struct aegis_payment *payment)
{
    size_t length = strlen(limit->chain);
    bool chain = limit->chain[length - 1] == '*' ? strncmp(limit->chain, payment->network, length - 1) == 0
                                                 : strcmp(limit->chain, payment->network) == 0;
    return chain && (strcmp(limit->token, "*") == 0 || strcasecmp(limit->token, payment->token) == 0);
}

/* The token as the host spells it. */
static const char *token_of(const struct limit *limit, const struct aegis_payment *payment)
{
    return strcmp(limit->token, "*") == 0 ? "*" : payment->token;
}

/* "*" is a token of its own in a sentence for people. */
static const char *unit_of(const struct limit *limit, const struct aegis_payment *payment)
{
    return strcmp(limit->token, "*") == 0 ? "tokens" : payment->token;
}

static void exceeded(const struct limit *limit, const struct rule *rule, const struct aegis_payment *payment,
                     aegis_amount used, int64_t resets_at, struct aegis_decision *decision)
{
    char price[64];
    decision->verdict = AEGIS_DENY;
    snprintf(decision->code, sizeof(decision->code), "%s", rule->code);
    amount_format(rule->cap, decision->limit);
    amount_format(used >= rule->cap ? 0 : rule->cap - used, decision->remaining);
    decision->resets_at = resets_at;
    snprintf(decision->reason, sizeof(decision->reason),
             "%s %s is more than what is left of the %s limit of %s %s (per %s)",
             amount_format(payment->scaled, price), unit_of(limit, payment), rule->name, decision->limit,
             unit_of(limit, payment), limit->scope);
}

static bool payment_caps_hold(const struct budget *budget, const struct aegis_payment *payment,
                              struct aegis_decision *decision)
{
    for (size_t i = 0; i < budget->count; i++) {
        const struct limit *limit = &budget->limits[i];
        for (size_t j = 0; covers(limit, payment) && j < limit->count; j++) {
            if (limit->rules[j].window[0] == '\0' && payment->scaled > limit->rules[j].cap) {
                exceeded(limit, &limit->rules[j], payment, 0, 0, decision);
                return false;
            }
        }
    }
    return true;
}

/* Of several caps that are hit, the one that keeps the payment out longest is the one to tell; 0 is never. */
static bool lasts_longer(const struct aegis_decision *decision, int64_t resets_at)
{
    if (decision->verdict != AEGIS_DENY)
        return true;
    return decision->resets_at != 0 && (resets_at == 0 || resets_at > decision->resets_at);
}

static const char *who(const struct limit *limit, const struct aegis_payment *payment, char *out, size_t size)
{
    const char *other = strstr(limit->scope, "host") != NULL    ? payment->host
                        : strstr(limit->scope, "payee") != NULL ? payment->pay_to
                                                                : "";
    snprintf(out, size, "%.128s %.255s",
             strncmp(limit->scope, "agent", 5) == 0 ? payment->agent : limit->scope, other);
    return out;
}

/* The share that is used, in whole percent, rounded down; for people. */
static int percent_of(aegis_amount used, aegis_amount cap)
{
    if (used >= cap)
        return 100;
    while (used > AMOUNT_MAX / 100) {
        used /= 2;
        cap /= 2;
    }
    return (int)(used * 100 / cap);
}

static void warn(const struct limit *limit, const struct rule *rule, const struct aegis_payment *payment,
                 aegis_amount used, int64_t resets_at, const struct aegis_host *host)
{
    char once[512], title[128], message[384], cap[64], spent[64], left[64], whose[256];
    int percent = percent_of(used, rule->cap);
    int64_t window = rule->length_ms > 0 ? payment->now / rule->length_ms : resets_at;
    amount_format(rule->cap, cap);
    amount_format(used, spent);
    amount_format(rule->cap - used, left);
    snprintf(once, sizeof(once), "90/%s/%s/%s/%s/%lld/%s", limit->chain, limit->token, rule->window, cap,
             (long long)window, who(limit, payment, whose, sizeof(whose)));
    snprintf(title, sizeof(title), "%d %% of the %s limit is used", percent, rule->name);
    snprintf(message, sizeof(message), "%.100s: %s of %s %s are used (%s limit, per %s); %s is left.",
             payment->agent_name, spent, cap, unit_of(limit, payment), rule->name, limit->scope, left);
    json_t *metadata = json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I}", "percent", percent, "limit",
                                 cap, "spent", spent, "remaining", left, "window", rule->name, "per",
                                 limit->scope, "chainId", limit->chain, "token", limit->token, "agent",
                                 payment->agent, "resetsAt", (json_int_t)resets_at);
    host->notify(host->context, AEGIS_SEVERITY_WARNING, "budget_alert", once, title, message, metadata);
}

static void rule_check(const struct limit *limit, const struct rule *rule,
                       const struct aegis_payment *payment, const struct aegis_host *host,
                       struct aegis_decision *decision, bool *answered)
{
    struct aegis_spent spent;
    if (!host->spent(host->context, limit->scope, rule->window, limit->chain, token_of(limit, payment),
                     &spent)) {
        *answered = false;
        return;
    }
    aegis_amount used = amount_add(spent.settled, spent.exposed);
    if (used > rule->cap || payment->scaled > rule->cap - used) {
        if (lasts_longer(decision, spent.resets_at))
            exceeded(limit, rule, payment, used, spent.resets_at, decision);
        return;
    }
    aegis_amount after = used + payment->scaled;
    if (after >= rule->cap - rule->cap / 10)
        warn(limit, rule, payment, after, spent.resets_at, host);
}

static void rate_check(const struct limit *limit, const struct aegis_payment *payment,
                       const struct aegis_host *host, struct aegis_decision *decision, bool *answered)
{
    struct aegis_spent spent;
    if (limit->per_minute == 0)
        return;
    if (!host->spent(host->context, limit->scope, "rolling:60", limit->chain, token_of(limit, payment),
                     &spent)) {
        *answered = false;
        return;
    }
    if (spent.payments < limit->per_minute || !lasts_longer(decision, spent.resets_at))
        return;
    decision->verdict = AEGIS_DENY;
    decision->resets_at = spent.resets_at;
    snprintf(decision->code, sizeof(decision->code), "rate_limit_exceeded");
    snprintf(decision->limit, sizeof(decision->limit), "%llu", (unsigned long long)limit->per_minute);
    snprintf(decision->remaining, sizeof(decision->remaining), "0");
    snprintf(decision->reason, sizeof(decision->reason), "%llu payments a minute are allowed (per %s)",
             (unsigned long long)limit->per_minute, limit->scope);
}

/* All facts are asked for before anything is decided about them, so that one question to the keeper is
 * enough. */
static void budget_check_payment(void *policy, const struct aegis_payment *payment,
                                 const struct aegis_host *host, struct aegis_decision *decision)
{
    const struct budget *budget = policy;
    bool answered = true, covered = false;
    if (!payment_caps_hold(budget, payment, decision))
        return;
    for (size_t i = 0; i < budget->count; i++) {
        const struct limit *limit = &budget->limits[i];
        if (!covers(limit, payment))
            continue;
        covered = true;
        for (size_t j = 0; j < limit->count; j++) {
            if (limit->rules[j].window[0] != '\0')
                rule_check(limit, &limit->rules[j], payment, host, decision, &answered);
        }
        rate_check(limit, payment, host, decision, &answered);
    }
    if (!answered || decision->verdict == AEGIS_DENY)
        return;
    decision->verdict = covered || budget->uncovered_allowed ? AEGIS_ALLOW : AEGIS_DENY;
    if (decision->verdict == AEGIS_DENY) {
        snprintf(decision->code, sizeof(decision->code), "limit_missing");
        snprintf(decision->reason, sizeof(decision->reason), "no limit covers %.40s on %.80s", payment->token,
                 payment->network);
    }
}

const struct aegis_policy aegis_policy = {
    .abi = AEGIS_PLUGIN_ABI,
    .size = sizeof(struct aegis_policy),
    .name = "budget",
    .version = "1.0.0",
    .summary = "Caps on what is spent: per payment, hour, day, week, month, in all, in rolling windows; "
               "payments a minute.",
    .configuration = "limits  array  every limit that covers a payment must hold\n"
                     "limits[].chainId  text  eip155:8453, eip155:* or *\n"
                     "limits[].token  text  a symbol, or * for the sum of all\n"
                     "limits[].per  text  agent (default), gate, agent+host, agent+payee, host, payee: who "
                     "shares the cap\n"
                     "limits[].payment, hourly, daily, weekly, monthly, total  text  cap in whole tokens; "
                     "calendar windows in UTC\n"
                     "limits[].rolling  array  {seconds, amount}: cap for any stretch of so many seconds\n"
                     "limits[].payments_per_minute  integer  how many payments in any 60 seconds\n"
                     "uncovered  text  deny (default) or allow: a payment that no limit covers",
    .open = budget_open,
    .close = budget_close,
    .check_payment = budget_check_payment,
};
