#include "gate/witness/proof.h"

#include <string.h>

#include "gate/base/hash.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/witness/rpc.h"

#define TRANSFER "Transfer(address,address,uint256)"
#define USED     "AuthorizationUsed(address,bytes32)"
#define CANCELED "AuthorizationCanceled(address,bytes32)"
#define STATE    "authorizationState(address,bytes32)"

typedef uint8_t word[WITNESS_WORD];

static void hash_of(const char *signature, word out)
{
    aegis_keccak256(signature, strlen(signature), out);
}

static void address_word(const struct aegis_address *address, word out)
{
    memset(out, 0, WITNESS_WORD - sizeof address->bytes);
    memcpy(out + WITNESS_WORD - sizeof address->bytes, address->bytes, sizeof address->bytes);
}

static void amount_word(aegis_amount amount, word out)
{
    for (unsigned i = WITNESS_WORD; i > 0; amount >>= 8) {
        out[--i] = (uint8_t)amount;
    }
}

static bool is_word(const json_t *value, const word expected)
{
    word found;

    return rpc_data(value, found, sizeof found) && memcmp(found, expected, sizeof found) == 0;
}

bool witness_read_block(const json_t *answer, uint64_t number, struct witness_block *out,
                        struct aegis_error *error)
{
    uint64_t time;

    if (!json_is_object(answer) || !rpc_quantity(json_object_get(answer, "number"), &out->number) ||
        !rpc_data(json_object_get(answer, "hash"), out->hash, sizeof out->hash) ||
        !rpc_quantity(json_object_get(answer, "timestamp"), &time)) {
        return aegis_error_set(error, "block %llu: the node has no such block", (unsigned long long)number);
    }
    if (out->number != number) {
        return aegis_error_set(error, "block %llu: the node answered with block %llu",
                               (unsigned long long)number, (unsigned long long)out->number);
    }
    out->time = (int64_t)time;
    return true;
}

json_t *witness_state_call(const struct witness_authorization *authorization,
                           const struct witness_block *block)
{
    uint8_t data[4 + 2 * WITNESS_WORD];
    char asset[AEGIS_ADDRESS_TEXT];
    word selector;

    hash_of(STATE, selector);
    memcpy(data, selector, 4);
    address_word(&authorization->from, data + 4);
    memcpy(data + 4 + WITNESS_WORD, authorization->nonce, WITNESS_WORD);
    return json_pack("[{s:s, s:o}, {s:o, s:b}]", "to", aegis_address_format(&authorization->asset, asset),
                     "data", rpc_data_json(data, sizeof data), "blockHash",
                     rpc_data_json(block->hash, sizeof block->hash), "requireCanonical", 1);
}

enum witness_nonce witness_read_state(const json_t *answer, struct aegis_error *error)
{
    word value, yes = {0}, no = {0};

    yes[WITNESS_WORD - 1] = 1;
    if (rpc_data(answer, value, sizeof value)) {
        if (memcmp(value, no, sizeof no) == 0) {
            return WITNESS_NONCE_UNUSED;
        }
        if (memcmp(value, yes, sizeof yes) == 0) {
            return WITNESS_NONCE_GONE;
        }
    }
    /* "0x" is what an address without code answers. */
    aegis_error_set(error,
                    "authorizationState did not answer true or false: is the asset a token with EIP-3009?");
    return WITNESS_NONCE_UNKNOWN;
}

bool witness_expired(const struct witness_authorization *authorization, const struct witness_block *block)
{
    /* The token takes an authorization while the block's time is below validBefore, and times do not go
     * back. */
    return block->time > authorization->valid_before;
}

json_t *witness_logs_call(const struct witness_authorization *authorization, uint64_t first, uint64_t last)
{
    char asset[AEGIS_ADDRESS_TEXT];
    word used, canceled, from;

    hash_of(USED, used);
    hash_of(CANCELED, canceled);
    address_word(&authorization->from, from);
    return json_pack(
        "[{s:s, s:o, s:o, s:[[o, o], o, o]}]", "address", aegis_address_format(&authorization->asset, asset),
        "fromBlock", rpc_quantity_json(first), "toBlock", rpc_quantity_json(last), "topics",
        rpc_data_json(used, sizeof used), rpc_data_json(canceled, sizeof canceled),
        rpc_data_json(from, sizeof from), rpc_data_json(authorization->nonce, sizeof authorization->nonce));
}

static bool is_from_asset(const struct witness_authorization *authorization, const json_t *log)
{
    const char *text = json_string_value(json_object_get(log, "address"));
    struct aegis_address address;

    return text != NULL && aegis_address_parse(text, &address) &&
           aegis_address_equal(&address, &authorization->asset);
}

/* Whether `log` is the asset's event `signature` with exactly these indexed values. */
static bool is_event(const struct witness_authorization *authorization, const json_t *log,
                     const char *signature, const word first, const word second)
{
    const json_t *topics = json_object_get(log, "topics");
    word hash;

    hash_of(signature, hash);
    return is_from_asset(authorization, log) && json_array_size(topics) == 3 &&
           is_word(json_array_get(topics, 0), hash) && is_word(json_array_get(topics, 1), first) &&
           is_word(json_array_get(topics, 2), second) && !json_is_true(json_object_get(log, "removed"));
}

static bool is_nonce_event(const struct witness_authorization *authorization, const json_t *log,
                           bool cancelled)
{
    word from;

    address_word(&authorization->from, from);
    return is_event(authorization, log, cancelled ? CANCELED : USED, from, authorization->nonce);
}

static bool is_our_transfer(const struct witness_authorization *authorization, const json_t *log)
{
    word from, to, value;

    address_word(&authorization->from, from);
    address_word(&authorization->to, to);
    amount_word(authorization->value, value);
    return is_event(authorization, log, TRANSFER, from, to) && is_word(json_object_get(log, "data"), value);
}

static bool read_log(const json_t *log, uint64_t first, uint64_t last, struct witness_event *out)
{
    return rpc_quantity(json_object_get(log, "blockNumber"), &out->block) && out->block >= first &&
           out->block <= last && rpc_data(json_object_get(log, "blockHash"), out->block_hash, WITNESS_WORD) &&
           rpc_data(json_object_get(log, "transactionHash"), out->transaction, WITNESS_WORD);
}

bool witness_read_logs(const struct witness_authorization *authorization, const json_t *answer,
                       uint64_t first, uint64_t last, bool *found, struct witness_event *out,
                       struct aegis_error *error)
{
    const json_t *log = json_array_get(answer, 0);

    *found = false;
    if (!json_is_array(answer)) {
        return aegis_error_set(error, "eth_getLogs did not answer a list");
    }
    if (json_array_size(answer) == 0) {
        return true;
    }
    out->cancelled = is_nonce_event(authorization, log, true);
    if (json_array_size(answer) > 1 || (!out->cancelled && !is_nonce_event(authorization, log, false)) ||
        !read_log(log, first, last, out)) {
        return aegis_error_set(error, "eth_getLogs answered something else than the one event of a nonce");
    }
    *found = true;
    return true;
}

static bool receipt_has(const struct witness_authorization *authorization, const json_t *receipt,
                        bool cancelled)
{
    const json_t *logs = json_object_get(receipt, "logs"), *log;
    bool event = false, transfer = false;
    size_t i;

    json_array_foreach((json_t *)logs, i, log)
    {
        event = event || is_nonce_event(authorization, log, cancelled);
        transfer = transfer || is_our_transfer(authorization, log);
    }
    return event && (transfer || cancelled);
}

bool witness_confirm(const struct witness_authorization *authorization, const struct witness_event *event,
                     const json_t *receipt, const struct witness_block *block, struct aegis_error *error)
{
    uint64_t status, number;

    if (block->number != event->block || memcmp(block->hash, event->block_hash, WITNESS_WORD) != 0 ||
        !is_word(json_object_get(receipt, "blockHash"), block->hash) ||
        !rpc_quantity(json_object_get(receipt, "blockNumber"), &number) || number != block->number) {
        return aegis_error_set(error, "the block of the event is not the one that stands at its height");
    }
    if (!is_word(json_object_get(receipt, "transactionHash"), event->transaction) ||
        !rpc_quantity(json_object_get(receipt, "status"), &status) || status != 1) {
        return aegis_error_set(error, "the receipt is not of a transaction that succeeded");
    }
    return receipt_has(authorization, receipt, event->cancelled) ||
           aegis_error_set(error, event->cancelled
                                      ? "the receipt does not hold the cancellation"
                                      : "the receipt does not hold the transfer that was signed");
}
