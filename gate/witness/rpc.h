/* JSON-RPC 2.0 as Ethereum nodes speak it: requests in batches, answers read strictly. Pure functions. */
#ifndef AEGIS_WITNESS_RPC_H
#define AEGIS_WITNESS_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/base/error.h"

/* Calls that travel in one request. Ids go on counting over the life of a process, so that an answer to
 * another request is never taken for this one's. */
struct rpc_batch {
    json_t *calls;
    uint64_t first_id;
};

void rpc_batch_begin(struct rpc_batch *batch, uint64_t *next_id);
void rpc_batch_end(struct rpc_batch *batch);

/* Adds a call (`params` is stolen). Returns its place in the batch, from 0. */
size_t rpc_batch_add(struct rpc_batch *batch, uint64_t *next_id, const char *method, json_t *params);

/* The request's body; the caller frees. */
char *rpc_batch_text(const struct rpc_batch *batch);

/* Reads the answer: an array that holds, in the order of the calls, the result of each, or {"error": text} in
 * a wrapper that rpc_result tells apart. NULL when the answer as a whole is not one to this batch: wrong
 * length, an id that was not asked, twice the same, not JSON-RPC. */
json_t *rpc_batch_read(const struct rpc_batch *batch, const char *text, size_t size,
                       struct aegis_error *error);

/* The result of call `at` (may be JSON null), or NULL with the node's reason. */
const json_t *rpc_result(const json_t *answers, size_t at, struct aegis_error *error);

/* "0x1b4": at most 2^53. */
bool rpc_quantity(const json_t *value, uint64_t *out);

/* "0x" and exactly 2 * size hex digits. */
bool rpc_data(const json_t *value, void *out, size_t size);

/* The text that rpc_quantity reads, as a new JSON string. */
json_t *rpc_quantity_json(uint64_t value);

/* "0x" and the hex of the bytes, as a new JSON string. */
json_t *rpc_data_json(const void *bytes, size_t size);

#endif
