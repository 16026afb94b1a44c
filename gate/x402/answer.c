/* The payment header: what we signed, and what the seller said, echoed as the official client does. */
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/x402/challenge_internal.h"
#include "gate/x402/signature.h"

static const struct aegis_requirement *requirement_at(const struct aegis_challenge *challenge, size_t index)
{
    for (size_t i = 0; i < challenge->count; i++) {
        if (challenge->entries[i].requirement.index == index) {
            return &challenge->entries[i].requirement;
        }
    }
    return NULL;
}

static bool valid_payment_id(const char *id)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t length = strlen(id);

    return length >= 16 && length <= 128 && strspn(id, letters) == length;
}

/* The seller's extensions (NULL when it had none), with our id where the payment-identifier extension asks
 * for one. */
static json_t *echo_extensions(const struct aegis_challenge *challenge, const char *payment_id)
{
    json_t *extensions = json_object_get(challenge->root, "extensions"), *copy;
    const json_t *info = json_object_get(json_object_get(extensions, "payment-identifier"), "info");

    if (payment_id == NULL || !json_is_boolean(json_object_get(info, "required")) ||
        !valid_payment_id(payment_id)) {
        return json_incref(extensions);
    }
    copy = json_deep_copy(extensions);
    AEGIS_ASSERT(copy != NULL);
    json_object_set_new(json_object_get(json_object_get(copy, "payment-identifier"), "info"), "id",
                        json_string(payment_id));
    return copy;
}

static void set_if(json_t *object, const char *name, json_t *value)
{
    if (value != NULL) {
        json_object_set_new(object, name, value);
    }
}

static json_t *signed_payload(const struct aegis_authorization *authorization, const char *signature)
{
    return json_pack("{s:o, s:s}", "authorization", aegis_authorization_json(authorization), "signature",
                     signature);
}

static json_t *answer_v2(const struct aegis_challenge *challenge, json_t *entry, json_t *payload,
                         const char *payment_id)
{
    json_t *answer = json_pack("{s:i, s:o}", "x402Version", 2, "payload", payload);

    set_if(answer, "extensions", echo_extensions(challenge, payment_id));
    set_if(answer, "resource", json_incref(json_object_get(challenge->root, "resource")));
    set_if(answer, "accepted", json_incref(entry));
    return answer;
}

static json_t *answer_v1(const json_t *entry, json_t *payload)
{
    return json_pack("{s:i, s:O, s:O, s:o}", "x402Version", 1, "scheme", json_object_get(entry, "scheme"),
                     "network", json_object_get(entry, "network"), "payload", payload);
}

/* base64 of the text that JSON.stringify would make; consumes `answer`. */
static char *encode(json_t *answer, struct aegis_error *error)
{
    char *text = aegis_json_compact(answer), *value;

    json_decref(answer);
    AEGIS_ASSERT(text != NULL);
    value = aegis_base64_encode(text, strlen(text));
    free(text);
    AEGIS_ASSERT(value != NULL);
    if (strlen(value) > AEGIS_PAYMENT_HEADER_MAX) {
        aegis_error_set(error, "the payment header would be %zu bytes long, more than %d", strlen(value),
                        AEGIS_PAYMENT_HEADER_MAX);
        free(value);
        return NULL;
    }
    return value;
}

char *aegis_challenge_answer(const struct aegis_challenge *challenge, size_t index,
                             const struct aegis_authorization *authorization, const char *signature,
                             const char *payment_id, const char **header_name, struct aegis_error *error)
{
    const struct aegis_requirement *requirement = requirement_at(challenge, index);
    json_t *entry = json_array_get(challenge->accepts, index), *payload;
    uint8_t bytes[AEGIS_SIGNATURE_SIZE];

    if (requirement == NULL) {
        aegis_error_set(error, "accepts[%zu] is no requirement that can be met", index);
        return NULL;
    }
    if (authorization->value != requirement->amount ||
        !aegis_address_equal(&authorization->to, &requirement->pay_to)) {
        aegis_error_set(error, "the authorization is not for accepts[%zu]", index);
        return NULL;
    }
    if (!aegis_signature_parse(signature, bytes)) {
        aegis_error_set(error, "the signature is not 0x and 130 hex digits");
        return NULL;
    }
    payload = signed_payload(authorization, signature);
    *header_name = challenge->version == 1 ? "X-PAYMENT" : "PAYMENT-SIGNATURE";
    return encode(challenge->version == 1 ? answer_v1(entry, payload)
                                          : answer_v2(challenge, entry, payload, payment_id),
                  error);
}
