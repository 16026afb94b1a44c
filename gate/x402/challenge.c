/* From bytes to a challenge: which version it claims to be and whether it is one. */
#include "gate/x402/challenge.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/x402/challenge_internal.h"

static bool too_deep(const json_t *value, unsigned left)
{
    const char *key;
    json_t *child;
    size_t i;

    if (!json_is_object(value) && !json_is_array(value)) {
        return false;
    }
    if (left == 0) {
        return true;
    }
    json_array_foreach(value, i, child)
    {
        if (too_deep(child, left - 1)) {
            return true;
        }
    }
    json_object_foreach((json_t *)value, key, child)
    {
        if (too_deep(child, left - 1)) {
            return true;
        }
    }
    return false;
}

json_t *challenge_json(const char *text, size_t length, struct aegis_error *error)
{
    json_error_t problem;
    json_t *value = json_loadb(text, length,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &problem);

    if (value == NULL) {
        /* Without jansson's text, which quotes the seller. */
        aegis_error_set(error, "not JSON as x402 needs it, at line %d, column %d", problem.line,
                        problem.column);
    } else if (too_deep(value, CHALLENGE_DEPTH_MAX)) {
        aegis_error_set(error, "nested deeper than %d", CHALLENGE_DEPTH_MAX);
        json_decref(value);
        value = NULL;
    }
    return value;
}

static void leave_out(struct aegis_challenge *challenge, size_t index, const struct aegis_error *error)
{
    struct aegis_error all;

    aegis_error_set(&all, "%s%saccepts[%zu]: %s", challenge->left_out,
                    challenge->left_out[0] != '\0' ? "; " : "", index, error->text);
    aegis_text_copy(challenge->left_out, sizeof challenge->left_out, all.text);
}

static void read_entries(struct aegis_challenge *challenge, const struct aegis_assets *assets)
{
    json_t *entry;
    size_t i;

    json_array_foreach((json_t *)challenge->accepts, i, entry)
    {
        struct challenge_entry *out = &challenge->entries[challenge->count];
        struct aegis_error error;

        if (challenge_read_entry(challenge->version, entry, assets, out, &error)) {
            out->requirement.index = i;
            challenge->count++;
        } else {
            leave_out(challenge, i, &error);
        }
    }
}

static enum aegis_challenge_result malformed(struct aegis_error *error, json_t *root, const char *what)
{
    aegis_error_set(error, "%s", what);
    json_decref(root);
    return AEGIS_CHALLENGE_MALFORMED;
}

/* Takes `root` over. */
static enum aegis_challenge_result read_root(json_t *root, int version, const struct aegis_assets *assets,
                                             struct aegis_challenge **out, struct aegis_error *error)
{
    const json_t *accepts = json_object_get(root, "accepts");
    const json_t *claimed = json_object_get(root, "x402Version");
    struct aegis_challenge *challenge;

    if (!json_is_real(claimed) || json_real_value(claimed) != version) {
        return malformed(error, root,
                         version == 2 ? "the PAYMENT-REQUIRED header does not hold x402Version 2"
                                      : "the body does not hold x402Version 1");
    }
    if (!json_is_array(accepts)) {
        return malformed(error, root, "accepts: expected an array");
    }
    if (json_array_size(accepts) > AEGIS_CHALLENGE_ACCEPTS_MAX) {
        return malformed(error, root, "accepts: too many entries");
    }
    challenge = aegis_alloc(sizeof *challenge);
    challenge->version = version;
    challenge->root = root;
    challenge->accepts = accepts;
    read_entries(challenge, assets);
    *out = challenge;
    return AEGIS_CHALLENGE_OK;
}

static enum aegis_challenge_result read_header(const char *header, size_t length,
                                               const struct aegis_assets *assets,
                                               struct aegis_challenge **out, struct aegis_error *error)
{
    unsigned char *bytes;
    size_t size;
    json_t *root;

    if (length > AEGIS_CHALLENGE_HEADER_MAX) {
        return malformed(error, NULL, "the PAYMENT-REQUIRED header is too long");
    }
    bytes = aegis_base64_decode(header, length, &size);
    if (bytes == NULL) {
        return malformed(error, NULL, "the PAYMENT-REQUIRED header is not base64");
    }
    root = challenge_json((const char *)bytes, size, error);
    free(bytes);
    if (root == NULL) {
        aegis_error_prefix(error, "the PAYMENT-REQUIRED header");
        return AEGIS_CHALLENGE_MALFORMED;
    }
    return read_root(root, 2, assets, out, error);
}

/* Only a body that names the version claims to be x402; every other 402 is none of our business. */
static enum aegis_challenge_result read_body(const char *body, size_t length,
                                             const struct aegis_assets *assets, struct aegis_challenge **out,
                                             struct aegis_error *error)
{
    static const char claim[] = "\"x402Version\"";
    json_t *root;

    if (body == NULL || memmem(body, length, claim, sizeof claim - 1) == NULL) {
        return AEGIS_CHALLENGE_NONE;
    }
    if (length > AEGIS_CHALLENGE_BODY_MAX) {
        return malformed(error, NULL, "the body is too long");
    }
    root = challenge_json(body, length, error);
    if (root == NULL) {
        aegis_error_prefix(error, "the body");
        return AEGIS_CHALLENGE_MALFORMED;
    }
    if (!json_is_object(root) || json_object_get(root, "x402Version") == NULL) {
        json_decref(root);
        return AEGIS_CHALLENGE_NONE;
    }
    return read_root(root, 1, assets, out, error);
}

enum aegis_challenge_result aegis_challenge_parse(const char *header, size_t header_length, const char *body,
                                                  size_t body_length, const struct aegis_assets *assets,
                                                  struct aegis_challenge **out, struct aegis_error *error)
{
    *out = NULL;
    return header != NULL ? read_header(header, header_length, assets, out, error)
                          : read_body(body, body_length, assets, out, error);
}

void aegis_challenge_free(struct aegis_challenge **challenge)
{
    if (*challenge != NULL) {
        json_decref((*challenge)->root);
        free(*challenge);
        *challenge = NULL;
    }
}

int aegis_challenge_version(const struct aegis_challenge *challenge)
{
    return challenge->version;
}

const char *aegis_challenge_left_out(const struct aegis_challenge *challenge)
{
    return challenge->left_out;
}

const char *aegis_challenge_error(const struct aegis_challenge *challenge)
{
    return aegis_json_text(challenge->root, "error", "");
}
