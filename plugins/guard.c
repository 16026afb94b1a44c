/* guard: who may be paid, where and how. Lists of addresses per chain, of hosts and of methods; blocked ones
 * win over everything that is allowed. */
#include <aegis/plugin.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* For how long a verdict about a request may be kept. What it depends on changes only with the
 * configuration. */
#define CACHE_MS 60000

enum mode { ALLOWLIST, BLOCKLIST };

/* The lists stay JSON, checked once: they are read as they were written. */
struct guard {
    enum mode mode;
    json_t *addresses; /* chain pattern -> array, or NULL */
    json_t *blocked;   /* array, or NULL */
    json_t *hosts_allowed;
    json_t *hosts_blocked;
    json_t *methods;
    bool known_assets_only;
};

/* ---- configuration ---- */

static bool refuse(char *error, size_t size, const char *where, const char *expected)
{
    snprintf(error, size, "%s: expected %s", where, expected);
    return false;
}

/* 0x and 40 hex digits; or, for the other families of chains, one word of letters and digits. Digits that
 * lost their 0x would stand for nobody, so they are no address. */
static bool address_good(const char *text, bool hex_only)
{
    size_t length = strlen(text);
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return length == 42 && strspn(text + 2, "0123456789abcdefABCDEF") == 40;
    if (hex_only || length < 26 || length > 128)
        return false;
    if (strspn(text, "0123456789abcdefABCDEF") == length)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)text[i]))
            return false;
    }
    return true;
}

static bool addresses_good(const json_t *list, const char *where, bool hex_only, char *error, size_t size)
{
    size_t index;
    json_t *address;
    char place[128];
    if (!json_is_array(list))
        return refuse(error, size, where, "an array of addresses");
    json_array_foreach((json_t *)list, index, address)
    {
        snprintf(place, sizeof(place), "%.90s[%zu]", where, index);
        if (!json_is_string(address) || !address_good(json_string_value(address), hex_only))
            return refuse(error, size, place, "an address, such as 0x and 40 hex digits");
    }
    return true;
}

/* `*`, a CAIP-2 id, or a part of one with its colon before a `*` at the end. */
static bool chain_good(const char *chain)
{
    size_t length = strlen(chain);
    const char *star = strchr(chain, '*');
    if (strcmp(chain, "*") == 0)
        return true;
    return strchr(chain, ':') != NULL && (star == NULL || star == chain + length - 1);
}

static bool read_addresses(const json_t *config, struct guard *guard, char *error, size_t size)
{
    const char *chain;
    json_t *list, *addresses = json_object_get(config, "addresses");
    char where[96];
    if (addresses == NULL)
        return true;
    if (!json_is_object(addresses))
        return refuse(error, size, "addresses", "an object of chain: [address, ...]");
    json_object_foreach(addresses, chain, list)
    {
        snprintf(where, sizeof(where), "addresses[\"%.64s\"]", chain);
        if (!chain_good(chain))
            return refuse(error, size, where, "a chain such as eip155:8453, eip155:* or *");
        if (!addresses_good(list, where, strncmp(chain, "eip155:", 7) == 0, error, size))
            return false;
    }
    guard->addresses = json_incref(addresses);
    return true;
}

static bool read_mode(const json_t *config, struct guard *guard, char *error, size_t size)
{
    const json_t *value = json_object_get(config, "mode");
    const char *mode = json_string_value(value);
    guard->mode = BLOCKLIST;
    if (value == NULL && guard->addresses == NULL)
        return true;
    if (mode == NULL || (strcmp(mode, "allowlist") != 0 && strcmp(mode, "blocklist") != 0))
        return refuse(error, size, "mode", "\"allowlist\" or \"blocklist\"");
    guard->mode = strcmp(mode, "allowlist") == 0 ? ALLOWLIST : BLOCKLIST;
    return guard->addresses != NULL || refuse(error, size, "addresses", "an object of chain: [address, ...]");
}

static bool read_texts(const json_t *parent, const char *field, const char *where, json_t **out, char *error,
                       size_t size)
{
    size_t index;
    json_t *text, *list = json_object_get(parent, field);
    if (list == NULL)
        return true;
    if (!json_is_array(list))
        return refuse(error, size, where, "an array of texts");
    json_array_foreach(list, index, text)
    {
        if (!json_is_string(text) || json_string_length(text) == 0)
            return refuse(error, size, where, "an array of texts that are not empty");
    }
    *out = json_incref(list);
    return true;
}

/* Host patterns are compared in lower case, without a dot at the end: a copy in that spelling. */
static bool host_patterns(json_t **list, const char *where, char *error, size_t size)
{
    size_t index;
    json_t *text, *lowered;
    if (*list == NULL)
        return true;
    lowered = json_array();
    json_array_foreach(*list, index, text)
    {
        char pattern[300];
        const char *from = json_string_value(text);
        if (strlen(from) >= sizeof(pattern) || strpbrk(from, "/@? ") != NULL ||
            (strchr(from, '*') != NULL && strcmp(from, "*") != 0 && strncmp(from, "*.", 2) != 0) ||
            strchr(from + 1, '*') != NULL) {
            json_decref(lowered);
            return refuse(error, size, where,
                          "hosts such as api.example.com, api.example.com:8443, .example.com, "
                          "*.example.com or *");
        }
        for (size_t i = 0; i <= strlen(from); i++)
            pattern[i] = (char)tolower((unsigned char)from[i]);
        json_array_append_new(lowered, json_string(pattern));
    }
    json_decref(*list);
    *list = lowered;
    return true;
}

static bool known_fields(const json_t *object, const char *const *fields, const char *where, char *error,
                         size_t size)
{
    const char *field;
    json_t *value;
    json_object_foreach((json_t *)object, field, value)
    {
        size_t i = 0;
        while (fields[i] != NULL && strcmp(field, fields[i]) != 0)
            i++;
        if (fields[i] == NULL) {
            snprintf(error, size, "%s%.40s: is not a field of guard", where, field);
            return false;
        }
    }
    return true;
}

static bool read_hosts(const json_t *config, struct guard *guard, char *error, size_t size)
{
    static const char *const fields[] = {"allow", "block", NULL};
    const json_t *hosts = json_object_get(config, "hosts");
    if (hosts == NULL)
        return true;
    if (!json_is_object(hosts))
        return refuse(error, size, "hosts", "an object of allow and block");
    return known_fields(hosts, fields, "hosts.", error, size) &&
           read_texts(hosts, "allow", "hosts.allow", &guard->hosts_allowed, error, size) &&
           read_texts(hosts, "block", "hosts.block", &guard->hosts_blocked, error, size) &&
           host_patterns(&guard->hosts_allowed, "hosts.allow", error, size) &&
           host_patterns(&guard->hosts_blocked, "hosts.block", error, size);
}

/* Methods are compared as they are; one in small letters would never be met, and deny what it was meant to
 * allow. */
static bool read_methods(const json_t *config, struct guard *guard, char *error, size_t size)
{
    size_t index;
    json_t *method;
    if (!read_texts(config, "methods", "methods", &guard->methods, error, size))
        return false;
    json_array_foreach(guard->methods, index, method)
    {
        if (strpbrk(json_string_value(method), "abcdefghijklmnopqrstuvwxyz ") != NULL)
            return refuse(error, size, "methods", "methods in capitals, such as \"GET\"");
    }
    return true;
}

static bool read_config(const json_t *config, struct guard *guard, char *error, size_t size)
{
    static const char *const fields[] = {
        "mode", "addresses", "blockAddresses", "hosts", "methods", "knownAssetsOnly", NULL};
    const json_t *known = json_object_get(config, "knownAssetsOnly");
    json_t *blocked = json_object_get(config, "blockAddresses");
    if (!known_fields(config, fields, "", error, size) || !read_addresses(config, guard, error, size) ||
        !read_mode(config, guard, error, size))
        return false;
    if (blocked != NULL && !addresses_good(blocked, "blockAddresses", false, error, size))
        return false;
    guard->blocked = json_incref(blocked);
    if (known != NULL && !json_is_boolean(known))
        return refuse(error, size, "knownAssetsOnly", "true or false");
    guard->known_assets_only = json_is_true(known);
    return read_hosts(config, guard, error, size) && read_methods(config, guard, error, size);
}

static void guard_close(void *policy)
{
    struct guard *guard = policy;
    json_decref(guard->addresses);
    json_decref(guard->blocked);
    json_decref(guard->hosts_allowed);
    json_decref(guard->hosts_blocked);
    json_decref(guard->methods);
    free(guard);
}

static void *guard_open(const json_t *config, char *error, size_t size)
{
    struct guard *guard = calloc(1, sizeof(*guard));
    if (guard == NULL) {
        snprintf(error, size, "no memory");
        return NULL;
    }
    if (read_config(config, guard, error, size))
        return guard;
    guard_close(guard);
    return NULL;
}

/* ---- checking ---- */

static bool deny(struct aegis_decision *decision, const char *code, const char *reason, const char *what)
{
    decision->verdict = AEGIS_DENY;
    snprintf(decision->code, sizeof(decision->code), "%s", code);
    snprintf(decision->reason, sizeof(decision->reason), "%s: %.150s", reason, what);
    return false;
}

/* Hex has two spellings for one address; other alphabets mean their case. */
static bool address_equal(const char *a, const char *b)
{
    return strncasecmp(a, "0x", 2) == 0 ? strcasecmp(a, b) == 0 : strcmp(a, b) == 0;
}

static bool listed(const json_t *list, const char *address)
{
    size_t index;
    json_t *element;
    json_array_foreach((json_t *)list, index, element)
    {
        if (address_equal(json_string_value(element), address))
            return true;
    }
    return false;
}

static bool listed_for_chain(const json_t *addresses, const char *network, const char *address)
{
    const char *chain;
    json_t *list;
    json_object_foreach((json_t *)addresses, chain, list)
    {
        size_t length = strlen(chain);
        bool applies =
            chain[length - 1] == '*' ? strncmp(chain, network, length - 1) == 0 : strcmp(chain, network) == 0;
        if (applies && listed(list, address))
            return true;
    }
    return false;
}

/* Where the port begins in `host` or a pattern; its end when there is none. [::1]:80 has its colons in
 * brackets. */
static size_t name_length(const char *host)
{
    const char *bracket = strchr(host, ']');
    const char *colon = strchr(bracket == NULL ? host : bracket, ':');
    return colon == NULL ? strlen(host) : (size_t)(colon - host);
}

/* The length of a name without the dot that may stand at its end. */
static size_t trimmed(const char *name, size_t length)
{
    return length > 1 && name[length - 1] == '.' ? length - 1 : length;
}

/* A pattern without a port stands for every port. `.example.com`: the domain and what is under it;
 * `*.example.com`: only what is under it. */
static bool host_matches(const char *pattern, const char *host)
{
    size_t pattern_end = name_length(pattern), host_end = name_length(host);
    if (pattern[pattern_end] == ':' && strcmp(pattern + pattern_end, host + host_end) != 0)
        return false;
    size_t wanted = trimmed(pattern, pattern_end), length = trimmed(host, host_end);
    if (wanted == 1 && pattern[0] == '*')
        return true;
    if (pattern[0] == '.' && length == wanted - 1 && strncasecmp(pattern + 1, host, length) == 0)
        return true;
    if (pattern[0] == '.' || pattern[0] == '*') {
        const char *suffix = pattern[0] == '*' ? pattern + 1 : pattern;
        size_t suffix_length = wanted - (size_t)(suffix - pattern);
        return length > suffix_length &&
               strncasecmp(host + length - suffix_length, suffix, suffix_length) == 0;
    }
    return length == wanted && strncasecmp(pattern, host, length) == 0;
}

static bool host_listed(const json_t *patterns, const char *host)
{
    size_t index;
    json_t *pattern;
    json_array_foreach((json_t *)patterns, index, pattern)
    {
        if (host_matches(json_string_value(pattern), host))
            return true;
    }
    return false;
}

static bool host_passes(const struct guard *guard, const char *host, struct aegis_decision *decision)
{
    if (host_listed(guard->hosts_blocked, host))
        return deny(decision, "host_blocked", "the host is blocked", host);
    if (guard->hosts_allowed != NULL && !host_listed(guard->hosts_allowed, host))
        return deny(decision, "host_not_allowed", "the host is not on the list of allowed hosts", host);
    return true;
}

static bool method_passes(const struct guard *guard, const char *method, struct aegis_decision *decision)
{
    size_t index;
    json_t *allowed;
    if (guard->methods == NULL)
        return true;
    json_array_foreach(guard->methods, index, allowed)
    {
        if (strcmp(json_string_value(allowed), method) == 0)
            return true;
    }
    return deny(decision, "method_not_allowed", "the method is not on the list of allowed methods", method);
}

static void guard_check_request(void *policy, const struct aegis_request *request,
                                const struct aegis_host *host, struct aegis_decision *decision)
{
    const struct guard *guard = policy;
    (void)host;
    decision->cache_ms = CACHE_MS;
    if (host_passes(guard, request->host, decision) && method_passes(guard, request->method, decision))
        decision->verdict = AEGIS_ALLOW;
}

static bool payee_passes(const struct guard *guard, const struct aegis_payment *payment,
                         struct aegis_decision *decision)
{
    if (listed(guard->blocked, payment->pay_to))
        return deny(decision, "payee_blocked", "the payee is blocked", payment->pay_to);
    bool found = listed_for_chain(guard->addresses, payment->network, payment->pay_to);
    if (guard->mode == BLOCKLIST && found)
        return deny(decision, "payee_blocked", "the payee is on the blocklist", payment->pay_to);
    if (guard->mode == ALLOWLIST && !found)
        return deny(decision, "payee_not_allowed", "the payee is not on the allowlist", payment->pay_to);
    return true;
}

static void guard_check_payment(void *policy, const struct aegis_payment *payment,
                                const struct aegis_host *host, struct aegis_decision *decision)
{
    const struct guard *guard = policy;
    (void)host;
    if (!payee_passes(guard, payment, decision) || !host_passes(guard, payment->host, decision) ||
        !method_passes(guard, payment->method, decision))
        return;
    /* The host names tokens from its own table only. */
    if (guard->known_assets_only && payment->token[0] == '\0') {
        deny(decision, "asset_unknown", "the asset is not known here", payment->asset);
        return;
    }
    decision->verdict = AEGIS_ALLOW;
}

/* Who pays us is measured by the lists of the blocked only: the allowlist says whom we pay. */
static void guard_check_customer(void *policy, const struct aegis_customer *customer,
                                 const struct aegis_host *host, struct aegis_decision *decision)
{
    const struct guard *guard = policy;
    (void)host;
    if (listed(guard->blocked, customer->payer) ||
        (guard->mode == BLOCKLIST && listed_for_chain(guard->addresses, customer->network, customer->payer)))
        deny(decision, "payer_blocked", "the payer is blocked", customer->payer);
    else
        decision->verdict = AEGIS_ALLOW;
}

const struct aegis_policy aegis_policy = {
    .abi = AEGIS_PLUGIN_ABI,
    .size = sizeof(struct aegis_policy),
    .name = "guard",
    .version = "1.0.0",
    .summary =
        "Who may be paid, where and how: lists of addresses per chain, hosts and methods; known assets only.",
    .configuration =
        "mode  text  allowlist or blocklist: what `addresses` are\n"
        "addresses  object  chain (eip155:8453, eip155:* or *): array of payees\n"
        "blockAddresses  array  addresses that are never paid, on any chain, whatever else allows them\n"
        "hosts.allow  array  if given, only these: api.example.com[:port], .example.com, *.example.com, *\n"
        "hosts.block  array  never these\n"
        "methods  array  if given, only these HTTP methods\n"
        "knownAssetsOnly  boolean  refuse a token that is not in the gate's table",
    .open = guard_open,
    .close = guard_close,
    .check_request = guard_check_request,
    .check_payment = guard_check_payment,
    .check_customer = guard_check_customer,
};
