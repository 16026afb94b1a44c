#include "gate/judge/context.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gate/base/amount.h"
#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/judge/subject.h"
#include "gate/x402/address.h"
#include "gate/x402/asset.h"

static const struct aegis_json_field domain_fields[] = {
    {"name", AEGIS_JSON_STRING, true, 64}, {"version", AEGIS_JSON_STRING, true, 16},
    {"chainId", AEGIS_JSON_ANY, true, 0},  {"verifyingContract", AEGIS_JSON_STRING, true, 42},
    {NULL, AEGIS_JSON_ANY, false, 0},
};

static const struct aegis_json_field message_fields[] = {
    {"from", AEGIS_JSON_STRING, true, 42},    {"to", AEGIS_JSON_STRING, true, 42},
    {"value", AEGIS_JSON_ANY, true, 0},       {"validAfter", AEGIS_JSON_ANY, true, 0},
    {"validBefore", AEGIS_JSON_ANY, true, 0}, {"nonce", AEGIS_JSON_STRING, true, 66},
    {NULL, AEGIS_JSON_ANY, false, 0},
};

/* A number as a decimal text or a JSON integer, in its one spelling; NULL when it is anything else. New
 * reference. */
static json_t *number(const json_t *object, const char *name, struct aegis_error *error)
{
    char text[AEGIS_AMOUNT_TEXT];
    aegis_amount amount;
    const json_t *value = json_object_get(object, name);
    if (json_is_string(value) && aegis_amount_parse(json_string_value(value), &amount))
        return json_string(aegis_amount_format(amount, text));
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return json_string(aegis_amount_format((aegis_amount)json_integer_value(value), text));
    aegis_error_set(error, "%s: expected a decimal number", name);
    return NULL;
}

static json_t *address(const json_t *object, const char *name, struct aegis_error *error)
{
    char text[AEGIS_ADDRESS_TEXT];
    struct aegis_address parsed;
    if (aegis_address_parse(aegis_json_text(object, name, ""), &parsed))
        return json_string(aegis_address_format(&parsed, text));
    aegis_error_set(error, "%s: expected an address", name);
    return NULL;
}

static json_t *nonce(const json_t *object, struct aegis_error *error)
{
    uint8_t bytes[32];
    char hex[2 * sizeof(bytes) + 1];
    const char *text = aegis_json_text(object, "nonce", "");
    if (strncmp(text, "0x", 2) != 0 || !aegis_hex_decode(text + 2, strlen(text) - 2, bytes, sizeof(bytes))) {
        aegis_error_set(error, "nonce: expected 0x and 64 hex digits");
        return NULL;
    }
    aegis_hex_encode(bytes, sizeof(bytes), hex);
    return json_sprintf("0x%s", hex);
}

/* Steals `value` into `object`; false when there is none. */
static bool put(json_t *object, const char *name, json_t *value)
{
    return value != NULL && json_object_set_new(object, name, value) == 0;
}

static bool put_authorization(json_t *out, const json_t *message, struct aegis_error *error)
{
    if (!aegis_json_check(message, message_fields, error))
        return aegis_error_prefix(error, "typed_data.message");
    json_t *authorization = json_object();
    json_object_set_new(out, "authorization", authorization);
    if (put(authorization, "from", address(message, "from", error)) &&
        put(authorization, "to", address(message, "to", error)) &&
        put(authorization, "value", number(message, "value", error)) &&
        put(authorization, "validAfter", number(message, "validAfter", error)) &&
        put(authorization, "validBefore", number(message, "validBefore", error)) &&
        put(authorization, "nonce", nonce(message, error)))
        return true;
    return aegis_error_prefix(error, "typed_data.message");
}

/* The chain that was asked for must be the chain that is signed for. */
static bool put_network(json_t *out, const json_t *context, const json_t *domain, struct aegis_error *error)
{
    uint64_t chain_id;
    char expected[24];
    const char *network = aegis_json_text(context, "chain_id", "");
    json_t *signed_id = number(domain, "chainId", error);
    if (signed_id == NULL)
        return aegis_error_prefix(error, "typed_data.domain");
    bool same = aegis_network_chain_id(network, &chain_id);
    snprintf(expected, sizeof(expected), "%" PRIu64, same ? chain_id : 0);
    same = same && strcmp(json_string_value(signed_id), expected) == 0;
    json_decref(signed_id);
    if (!same)
        return aegis_error_set(error, "chain_id: not the chain of the typed data");
    return put(out, "network", json_string(network));
}

static bool put_domain(json_t *out, const json_t *context, const json_t *domain, struct aegis_error *error)
{
    if (!aegis_json_check(domain, domain_fields, error))
        return aegis_error_prefix(error, "typed_data.domain");
    return put_network(out, context, domain, error) &&
           put(out, "asset", address(domain, "verifyingContract", error));
}

static bool typed_data_shape(const json_t *typed, struct aegis_error *error)
{
    static const struct aegis_json_field fields[] = {
        {"types", AEGIS_JSON_OBJECT, true, 0},  {"primaryType", AEGIS_JSON_STRING, true, 0},
        {"domain", AEGIS_JSON_OBJECT, true, 0}, {"message", AEGIS_JSON_OBJECT, true, 0},
        {NULL, AEGIS_JSON_ANY, false, 0},
    };
    if (!aegis_json_check(typed, fields, error))
        return aegis_error_prefix(error, "typed_data");
    json_t *types = aegis_subject_types();
    bool known = strcmp(aegis_json_text(typed, "primaryType", ""), "TransferWithAuthorization") == 0 &&
                 json_equal(json_object_get(typed, "types"), types);
    json_decref(types);
    return known ||
           aegis_error_set(error, "only payments by EIP-3009 (TransferWithAuthorization) can be judged");
}

static bool read_payment(const json_t *context, const json_t *typed, json_t *out, struct aegis_error *error)
{
    return typed_data_shape(typed, error) &&
           put_domain(out, context, json_object_get(typed, "domain"), error) &&
           put_authorization(out, json_object_get(typed, "message"), error);
}

/* What OWS calls a transaction may be any bytes; those that begin with 1901 sign like typed data. */
static bool no_raw_bytes(const json_t *context, struct aegis_error *error)
{
    const char *raw = aegis_json_text(json_object_get(context, "transaction"), "raw_hex", "");
    if (strncasecmp(raw, "0x", 2) == 0)
        raw += 2;
    if (strncmp(raw, "1901", 4) == 0)
        return aegis_error_set(error, "raw bytes that sign like typed data are refused");
    return raw[0] == '\0' ||
           aegis_error_set(error, "raw bytes cannot be judged: only payments by typed data can");
}

json_t *aegis_context_payment(const char *text, size_t length, struct aegis_error *error)
{
    json_t *typed = NULL, *out = NULL, *context = aegis_json_parse(text, length, error);
    const char *raw = aegis_json_text(json_object_get(context, "typed_data"), "raw_json", NULL);
    if (context != NULL && no_raw_bytes(context, error)) {
        if (raw == NULL)
            aegis_error_set(error, "there is no typed data in the context");
        else
            typed = aegis_json_parse(raw, strlen(raw), error);
    }
    if (typed != NULL) {
        out = json_pack("{s:s}", "agent", aegis_json_text(context, "api_key_id", ""));
        if (!read_payment(context, typed, out, error)) {
            json_decref(out);
            out = NULL;
        }
    }
    json_decref(context);
    json_decref(typed);
    return out;
}
