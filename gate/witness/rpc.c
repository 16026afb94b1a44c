#include "gate/witness/rpc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

/* What every reader of JSON counts exactly: it goes into messages and into the ledger. */
#define QUANTITY_MAX (UINT64_C(1) << 53)

void rpc_batch_begin(struct rpc_batch *batch, uint64_t *next_id)
{
    batch->calls = json_array();
    batch->first_id = *next_id;
    AEGIS_ASSERT(batch->calls != NULL);
}

void rpc_batch_end(struct rpc_batch *batch)
{
    json_decref(batch->calls);
    batch->calls = NULL;
}

size_t rpc_batch_add(struct rpc_batch *batch, uint64_t *next_id, const char *method, json_t *params)
{
    json_t *call = json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id", (json_int_t)(*next_id)++,
                             "method", method, "params", params);

    AEGIS_ASSERT(call != NULL && json_array_append_new(batch->calls, call) == 0);
    return json_array_size(batch->calls) - 1;
}

char *rpc_batch_text(const struct rpc_batch *batch)
{
    return aegis_json_compact(batch->calls);
}

/* What a node says goes to the log; the log escapes it, this bounds it. */
static json_t *failure(const json_t *error)
{
    const char *message = aegis_json_text(error, "message", "an error without a message");
    struct aegis_error text;

    aegis_error_set(&text, "%.200s", message);
    return json_pack("{s:s}", "failed",
                     aegis_utf8_valid(text.text, strlen(text.text)) ? text.text : "an error");
}

/* Puts one element of the answer at the place of the call that it answers. */
static bool place(const struct rpc_batch *batch, json_t *slots, const json_t *element,
                  struct aegis_error *error)
{
    const json_t *id = json_object_get(element, "id"), *problem = json_object_get(element, "error");
    json_t *result = json_object_get(element, "result");
    uint64_t at = (uint64_t)json_integer_value(id) - batch->first_id;

    if (!json_is_object(element) || strcmp(aegis_json_text(element, "jsonrpc", ""), "2.0") != 0) {
        return aegis_error_set(error, "an element is not JSON-RPC 2.0");
    }
    if (!json_is_integer(id) || at >= json_array_size(slots) || !json_is_null(json_array_get(slots, at))) {
        return aegis_error_set(error, "an element answers nothing that was asked");
    }
    if (problem != NULL && !json_is_null(problem)) {
        return json_array_set_new(slots, at, failure(problem)) == 0;
    }
    if (result == NULL) {
        return aegis_error_set(error, "an element has neither result nor error");
    }
    return json_array_set_new(slots, at, json_pack("{s:O}", "result", result)) == 0;
}

static json_t *empty_slots(size_t count)
{
    json_t *slots = json_array();

    for (size_t i = 0; i < count; i++) {
        AEGIS_ASSERT(json_array_append_new(slots, json_null()) == 0);
    }
    return slots;
}

json_t *rpc_batch_read(const struct rpc_batch *batch, const char *text, size_t size,
                       struct aegis_error *error)
{
    json_t *answer = aegis_json_parse(text, size, error), *slots, *element;
    size_t i, count = json_array_size(batch->calls);

    if (answer == NULL) {
        return NULL;
    }
    slots = empty_slots(count);
    if (json_is_object(answer) && json_object_get(answer, "error") != NULL) {
        json_t *reason = failure(json_object_get(answer, "error"));

        aegis_error_set(error, "the node refused the batch: %s", aegis_json_text(reason, "failed", ""));
        json_decref(reason);
        goto refused;
    }
    if (!json_is_array(answer) || json_array_size(answer) != count) {
        aegis_error_set(error, "not an answer to a batch of %zu", count);
        goto refused;
    }
    json_array_foreach(answer, i, element)
    {
        if (!place(batch, slots, element, error)) {
            goto refused;
        }
    }
    json_decref(answer);
    return slots;
refused:
    json_decref(slots);
    json_decref(answer);
    return NULL;
}

const json_t *rpc_result(const json_t *answers, size_t at, struct aegis_error *error)
{
    const json_t *slot = json_array_get(answers, at), *result = json_object_get(slot, "result");

    if (result == NULL) {
        aegis_error_set(error, "the node says: %s", aegis_json_text(slot, "failed", "nothing"));
    }
    return result;
}

bool rpc_quantity(const json_t *value, uint64_t *out)
{
    const char *text = json_string_value(value);
    uint8_t bytes[8] = {0};
    char padded[17] = "0000000000000000";
    size_t digits;

    if (text == NULL || strncmp(text, "0x", 2) != 0) {
        return false;
    }
    digits = strlen(text + 2);
    if (digits == 0 || digits > 16) {
        return false;
    }
    memcpy(padded + 16 - digits, text + 2, digits);
    if (!aegis_hex_decode(padded, 16, bytes, sizeof bytes)) {
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        *out = *out << 8 | bytes[i];
    }
    return *out <= QUANTITY_MAX;
}

bool rpc_data(const json_t *value, void *out, size_t size)
{
    const char *text = json_string_value(value);

    return text != NULL && strncmp(text, "0x", 2) == 0 &&
           aegis_hex_decode(text + 2, strlen(text + 2), out, size);
}

json_t *rpc_quantity_json(uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "0x%" PRIx64, value);
    return json_string(text);
}

json_t *rpc_data_json(const void *bytes, size_t size)
{
    char *text = aegis_alloc(2 * size + 3);
    json_t *value;

    memcpy(text, "0x", 2);
    aegis_hex_encode(bytes, size, text + 2);
    value = json_string(text);
    free(text);
    return value;
}
