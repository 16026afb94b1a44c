#include "gate/judge/subject.h"

#include <inttypes.h>
#include <string.h>

#include "gate/base/amount.h"
#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/x402/asset.h"

/* A member that must be there; the first that is missing is remembered. */
static const char *text_of(const json_t *subject, const char *name, const char **missing)
{
    const char *text = json_string_value(json_object_get(subject, name));
    if (text == NULL && *missing == NULL)
        *missing = name;
    return text;
}

static aegis_amount amount_of(const json_t *subject, const char *name, const char **missing)
{
    aegis_amount amount = 0;
    const char *text = json_string_value(json_object_get(subject, name));
    if ((text == NULL || !aegis_amount_parse(text, &amount)) && *missing == NULL)
        *missing = name;
    return amount;
}

static int64_t integer_of(const json_t *subject, const char *name, const char **missing)
{
    const json_t *value = json_object_get(subject, name);
    if ((!json_is_integer(value) || json_integer_value(value) < 0) && *missing == NULL)
        *missing = name;
    return json_integer_value(value);
}

json_t *aegis_subject_types(void)
{
    static const char text[] =
        "{\"EIP712Domain\":[{\"name\":\"name\",\"type\":\"string\"},{\"name\":\"version\",\"type\":"
        "\"string\"},"
        "{\"name\":\"chainId\",\"type\":\"uint256\"},{\"name\":\"verifyingContract\",\"type\":\"address\"}],"
        "\"TransferWithAuthorization\":[{\"name\":\"from\",\"type\":\"address\"},{\"name\":\"to\",\"type\":"
        "\"address\"},"
        "{\"name\":\"value\",\"type\":\"uint256\"},{\"name\":\"validAfter\",\"type\":\"uint256\"},"
        "{\"name\":\"validBefore\",\"type\":\"uint256\"},{\"name\":\"nonce\",\"type\":\"bytes32\"}]}";
    return json_loads(text, 0, NULL);
}

static const char zero_nonce[] = "0x0000000000000000000000000000000000000000000000000000000000000000";

char *aegis_subject_typed_data(const json_t *subject, const struct aegis_payment *payment)
{
    uint64_t chain_id = 0;
    char value[AEGIS_AMOUNT_TEXT], valid_before[24];
    aegis_network_chain_id(payment->network, &chain_id);
    snprintf(valid_before, sizeof(valid_before), "%" PRId64, payment->valid_before / 1000);
    json_t *message = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "from", payment->payer, "to", payment->pay_to,
                                "value", aegis_amount_format(payment->amount, value), "validAfter", "0",
                                "validBefore", valid_before, "nonce", zero_nonce);
    json_t *domain = json_pack("{s:s,s:s,s:I,s:s}", "name", aegis_json_text(subject, "domain_name", ""),
                               "version", aegis_json_text(subject, "domain_version", ""), "chainId",
                               (json_int_t)chain_id, "verifyingContract", payment->asset);
    json_t *typed = json_pack("{s:o,s:s,s:o,s:o}", "types", aegis_subject_types(), "primaryType",
                              "TransferWithAuthorization", "domain", domain, "message", message);
    char *text = aegis_json_compact(typed);
    json_decref(typed);
    return text;
}

bool aegis_subject_payment(const json_t *subject, int64_t now, struct aegis_payment *out,
                           struct aegis_error *error)
{
    const char *missing = NULL;
    memset(out, 0, sizeof(*out));
    out->size = sizeof(*out);
    out->agent = text_of(subject, "agent", &missing);
    out->agent_name = text_of(subject, "agent_name", &missing);
    out->network = text_of(subject, "network", &missing);
    out->scheme = text_of(subject, "scheme", &missing);
    out->asset = text_of(subject, "asset", &missing);
    out->token = text_of(subject, "token", &missing);
    out->decimals = (unsigned)integer_of(subject, "decimals", &missing);
    out->amount = amount_of(subject, "amount", &missing);
    out->scaled = amount_of(subject, "scaled", &missing);
    out->pay_to = text_of(subject, "pay_to", &missing);
    out->payer = text_of(subject, "payer", &missing);
    out->method = text_of(subject, "method", &missing);
    out->url = text_of(subject, "url", &missing);
    out->host = text_of(subject, "host", &missing);
    out->valid_before = integer_of(subject, "valid_before", &missing);
    out->now = now;
    out->wallet = aegis_json_text(subject, "wallet", "");
    if (missing != NULL)
        return aegis_error_set(error, "subject.%s: missing or of the wrong kind", missing);
    return true;
}

bool aegis_subject_customer(const json_t *subject, int64_t now, struct aegis_customer *out,
                            struct aegis_error *error)
{
    const char *missing = NULL;
    memset(out, 0, sizeof(*out));
    out->size = sizeof(*out);
    out->payer = text_of(subject, "payer", &missing);
    out->network = text_of(subject, "network", &missing);
    out->asset = text_of(subject, "asset", &missing);
    out->token = text_of(subject, "token", &missing);
    out->scaled = amount_of(subject, "scaled", &missing);
    out->route = text_of(subject, "route", &missing);
    out->now = now;
    if (missing != NULL)
        return aegis_error_set(error, "subject.%s: missing or of the wrong kind", missing);
    return true;
}
