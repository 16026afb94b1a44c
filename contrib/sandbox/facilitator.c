#include "contrib/sandbox/facilitator.h"

#include <string.h>

#include "gate/base/json.h"

static const char *caip_network(int version, const json_t *name)
{
    const char *text = json_string_value(name);
    return text != NULL && version == 1 ? aegis_network_from_v1(text) : text;
}

bool sandbox_requirement_parse(const struct sandbox_facilitator *facilitator, int version,
                               const json_t *object, struct aegis_requirement *out)
{
    const char *network = caip_network(version, json_object_get(object, "network"));
    const char *scheme = aegis_json_text(object, "scheme", "");
    const char *amount = aegis_json_text(object, version == 1 ? "maxAmountRequired" : "amount", "");
    struct aegis_address asset;
    memset(out, 0, sizeof *out);
    if (network == NULL || strcmp(scheme, "exact") != 0 || !aegis_amount_parse(amount, &out->amount) ||
        !aegis_address_parse(aegis_json_text(object, "payTo", ""), &out->pay_to) ||
        !aegis_address_parse(aegis_json_text(object, "asset", ""), &asset))
        return false;
    out->asset = aegis_assets_find(facilitator->assets, network, &asset);
    out->max_timeout_seconds = aegis_json_integer(object, "maxTimeoutSeconds", 60);
    return out->asset != NULL;
}

/* The network that the payment itself names. */
static const char *payment_network(const json_t *payment, int version)
{
    const json_t *holder = version == 1 ? payment : json_object_get(payment, "accepted");
    return caip_network(version, json_object_get(holder, "network"));
}

static const char *check_terms(const struct sandbox_facilitator *facilitator,
                               const struct aegis_requirement *requirement,
                               const struct aegis_authorization *authorization, int64_t now)
{
    if (!aegis_address_equal(&authorization->to, &requirement->pay_to))
        return "invalid_exact_evm_recipient_mismatch";
    if (authorization->value != requirement->amount)
        return "invalid_exact_evm_payload_authorization_value_mismatch";
    if (authorization->valid_before <= now / 1000)
        return "invalid_exact_evm_payload_authorization_valid_before";
    if (authorization->valid_after > now / 1000)
        return "invalid_exact_evm_payload_authorization_valid_after";
    if (sandbox_book_used(facilitator->book, authorization))
        return "invalid_exact_evm_nonce_already_used";
    if (sandbox_book_balance(facilitator->book, requirement->asset, &authorization->from) <
        authorization->value)
        return "invalid_exact_evm_insufficient_balance";
    return NULL;
}

static bool signed_by_payer(const struct sandbox_facilitator *facilitator, const json_t *payload,
                            const struct aegis_requirement *requirement,
                            const struct aegis_authorization *authorization)
{
    uint8_t signature[AEGIS_SIGNATURE_SIZE];
    uint8_t digest[32];
    struct aegis_address signer;
    aegis_authorization_digest(authorization, requirement->asset, digest);
    return aegis_signature_parse(aegis_json_text(payload, "signature", ""), signature) &&
           aegis_signer_recover(facilitator->signer, digest, signature, &signer) &&
           aegis_address_equal(&signer, &authorization->from);
}

const char *sandbox_verify(const struct sandbox_facilitator *facilitator, const json_t *payment,
                           const struct aegis_requirement *requirement, int64_t now,
                           struct aegis_authorization *authorization)
{
    int version = (int)aegis_json_integer(payment, "x402Version", 0);
    const json_t *payload = json_object_get(payment, "payload");
    memset(authorization, 0, sizeof *authorization);
    if (version != 1 && version != 2)
        return "invalid_x402_version";
    if (!aegis_authorization_parse(json_object_get(payload, "authorization"), authorization, NULL))
        return "invalid_payload";
    const char *network = payment_network(payment, version);
    if (network == NULL || strcmp(network, requirement->asset->network) != 0)
        return "invalid_exact_evm_network_mismatch";
    if (!signed_by_payer(facilitator, payload, requirement, authorization))
        return "invalid_exact_evm_signature";
    return check_terms(facilitator, requirement, authorization, now);
}

/* `network` is spelled as the payment spells it: a v1 client expects "base-sepolia" back. */
static json_t *settlement(const char *network, const struct aegis_authorization *authorization,
                          const char *transaction, const char *reason)
{
    char payer[AEGIS_ADDRESS_TEXT];
    json_t *object =
        json_pack("{s:b, s:s, s:s, s:s}", "success", reason == NULL, "transaction", transaction, "network",
                  network, "payer", aegis_address_format(&authorization->from, payer));
    if (reason != NULL)
        json_object_set_new(object, "errorReason", json_string(reason));
    return object;
}

json_t *sandbox_settle(const struct sandbox_facilitator *facilitator, const json_t *payment,
                       const struct aegis_requirement *requirement, int64_t now)
{
    struct aegis_authorization authorization;
    char transaction[SANDBOX_TRANSACTION_TEXT] = "";
    const char *reason = sandbox_verify(facilitator, payment, requirement, now, &authorization);
    const char *network = aegis_json_text(payment, "network", requirement->asset->network);
    if (reason != NULL)
        return settlement(network, &authorization, "", reason);
    enum sandbox_move moved =
        sandbox_book_move(facilitator->book, requirement->asset, &authorization, now, transaction);
    return settlement(network, &authorization, transaction,
                      moved == SANDBOX_MOVED ? NULL : "unexpected_settle_error");
}

json_t *sandbox_answer_supported(const struct sandbox_facilitator *facilitator)
{
    json_t *kinds = json_array();
    for (size_t i = 0; i < aegis_assets_count(facilitator->assets); i++) {
        const char *network = aegis_assets_at(facilitator->assets, i)->network;
        json_array_append_new(
            kinds, json_pack("{s:i, s:s, s:s}", "x402Version", 2, "scheme", "exact", "network", network));
    }
    json_array_append_new(
        kinds, json_pack("{s:i, s:s, s:s}", "x402Version", 1, "scheme", "exact", "network", "base-sepolia"));
    return json_pack("{s:o, s:[], s:{}, s:b}", "kinds", kinds, "extensions", "signers", "sandbox", 1);
}

/* The two halves of a facilitator's request. */
static bool read_request(const struct sandbox_facilitator *facilitator, const json_t *request,
                         const json_t **payment, struct aegis_requirement *requirement)
{
    *payment = json_object_get(request, "paymentPayload");
    int version = (int)aegis_json_integer(*payment, "x402Version", 0);
    return json_is_object(*payment) &&
           sandbox_requirement_parse(facilitator, version, json_object_get(request, "paymentRequirements"),
                                     requirement);
}

json_t *sandbox_answer_verify(const struct sandbox_facilitator *facilitator, const json_t *request,
                              int64_t now)
{
    const json_t *payment;
    struct aegis_requirement requirement;
    struct aegis_authorization authorization;
    char payer[AEGIS_ADDRESS_TEXT];
    if (!read_request(facilitator, request, &payment, &requirement))
        return NULL;
    const char *reason = sandbox_verify(facilitator, payment, &requirement, now, &authorization);
    json_t *answer = json_pack("{s:b, s:s}", "isValid", reason == NULL, "payer",
                               aegis_address_format(&authorization.from, payer));
    if (reason != NULL)
        json_object_set_new(answer, "invalidReason", json_string(reason));
    return answer;
}

json_t *sandbox_answer_settle(const struct sandbox_facilitator *facilitator, const json_t *request,
                              int64_t now)
{
    const json_t *payment;
    struct aegis_requirement requirement;
    if (!read_request(facilitator, request, &payment, &requirement))
        return NULL;
    return sandbox_settle(facilitator, payment, &requirement, now);
}
