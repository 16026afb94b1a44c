/* One entry of `accepts`: what must be true before it may be judged, let alone signed. */
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/x402/challenge_internal.h"

#define TIMEOUT_MAX 86400

/* The text of a member; NULL when it is missing, not a string, or holds a NUL. */
static const char *text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value)
               ? json_string_value(value)
               : NULL;
}

static bool read_network(int version, const json_t *entry, struct aegis_requirement *out,
                         struct aegis_error *error)
{
    const char *network = text_of(entry, "network");
    uint64_t chain_id;

    if (network == NULL) {
        return aegis_error_set(error, "network: expected a string");
    }
    if (version == 1) {
        network = aegis_network_from_v1(network);
    }
    if (network == NULL || !aegis_network_chain_id(network, &chain_id)) {
        return aegis_error_set(error, version == 1 ? "network: not an EVM network of x402 version 1"
                                                   : "network: not eip155:N in its one spelling");
    }
    return aegis_text_copy(out->network, sizeof out->network, network);
}

static bool read_asset(const json_t *entry, const struct aegis_assets *assets, struct aegis_requirement *out,
                       struct aegis_error *error)
{
    const char *text = text_of(entry, "asset");
    struct aegis_address address;

    if (text == NULL || !aegis_address_parse(text, &address)) {
        return aegis_error_set(error, "asset: not an address");
    }
    out->asset = aegis_assets_find(assets, out->network, &address);
    return out->asset != NULL || aegis_error_set(error, "asset: not in the table of known assets");
}

/* Each version has its own name for the amount. An entry may carry both, for clients of both, but then they
 * must say the same. */
static bool read_amount(int version, const json_t *entry, struct challenge_entry *out,
                        struct aegis_error *error)
{
    const char *name = version == 1 ? "maxAmountRequired" : "amount";
    const json_t *other = json_object_get(entry, version == 1 ? "amount" : "maxAmountRequired");
    const char *text = text_of(entry, name);

    if (text == NULL || !aegis_amount_parse(text, &out->requirement.amount)) {
        return aegis_error_set(error, "%s: not a whole number in decimal digits below 2^128", name);
    }
    if (out->requirement.amount == 0) {
        return aegis_error_set(error, "%s: zero", name);
    }
    if (other != NULL && (!json_is_string(other) || strcmp(json_string_value(other), text) != 0)) {
        return aegis_error_set(error, "amount and maxAmountRequired contradict each other");
    }
    return aegis_amount_scale(out->requirement.amount, out->requirement.asset->decimals, &out->scaled) ||
           aegis_error_set(error, "%s: absurdly large", name);
}

static bool read_pay_to(const json_t *entry, struct aegis_requirement *out, struct aegis_error *error)
{
    const char *text = text_of(entry, "payTo");

    if (text == NULL || !aegis_address_parse(text, &out->pay_to)) {
        return aegis_error_set(error, "payTo: not an address with the right checksum");
    }
    return !aegis_address_is_zero(&out->pay_to) || aegis_error_set(error, "payTo: the zero address");
}

static bool read_timeout(const json_t *entry, struct aegis_requirement *out, struct aegis_error *error)
{
    const json_t *value = json_object_get(entry, "maxTimeoutSeconds");
    double seconds = json_real_value(value);

    if (!json_is_real(value) || !(seconds >= 1 && seconds <= TIMEOUT_MAX) ||
        seconds != (double)(int64_t)seconds) {
        return aegis_error_set(error, "maxTimeoutSeconds: not a whole number from 1 to %d", TIMEOUT_MAX);
    }
    out->max_timeout_seconds = (int64_t)seconds;
    return true;
}

/* We sign under the domain of our own table. A seller that names another one could never verify what we
 * sign. */
static bool same_domain(const json_t *extra, const struct aegis_asset *asset)
{
    const json_t *name = json_object_get(extra, "name");
    const json_t *version = json_object_get(extra, "version");
    const char *name_text = text_of(extra, "name"), *version_text = text_of(extra, "version");

    return (name == NULL || (name_text != NULL && strcmp(name_text, asset->domain_name) == 0)) &&
           (version == NULL || (version_text != NULL && strcmp(version_text, asset->domain_version) == 0));
}

static bool read_extra(const json_t *entry, struct challenge_entry *out, struct aegis_error *error)
{
    const json_t *extra = json_object_get(entry, "extra");
    const char *method = text_of(extra, "assetTransferMethod"), *flow = text_of(extra, "paymentFlow");

    if (extra == NULL || json_is_null(extra)) {
        return true;
    }
    if (!json_is_object(extra)) {
        return aegis_error_set(error, "extra: not an object");
    }
    if (!same_domain(extra, out->requirement.asset)) {
        return aegis_error_set(error, "extra: name or version is not the asset's");
    }
    if (json_object_get(extra, "assetTransferMethod") != NULL &&
        (method == NULL || strcmp(method, "eip3009") != 0)) {
        return aegis_error_set(error, "extra: assetTransferMethod is not eip3009");
    }
    out->upfront = flow != NULL && strcmp(flow, "upfront") == 0;
    return json_object_get(extra, "paymentFlow") == NULL || out->upfront ||
           (flow != NULL && strcmp(flow, "authorization") == 0) ||
           aegis_error_set(error, "extra: paymentFlow is neither authorization nor upfront");
}

bool challenge_read_entry(int version, const json_t *entry, const struct aegis_assets *assets,
                          struct challenge_entry *out, struct aegis_error *error)
{
    const char *scheme = text_of(entry, "scheme");

    memset(out, 0, sizeof *out);
    if (!json_is_object(entry)) {
        return aegis_error_set(error, "not an object");
    }
    if (scheme == NULL || strcmp(scheme, "exact") != 0) {
        return aegis_error_set(error, "scheme: not exact");
    }
    return read_network(version, entry, &out->requirement, error) &&
           read_asset(entry, assets, &out->requirement, error) && read_amount(version, entry, out, error) &&
           read_pay_to(entry, &out->requirement, error) && read_timeout(entry, &out->requirement, error) &&
           read_extra(entry, out, error);
}
