/* The assets that the gate knows, and the names of networks. What an asset is called, how many decimals it
 * has and which EIP-712 domain it signs under is ours to know; what a seller says about it is never used. */
#ifndef AEGIS_X402_ASSET_H
#define AEGIS_X402_ASSET_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate/base/error.h"
#include "gate/x402/address.h"

#define AEGIS_NETWORK_TEXT 64

struct aegis_asset {
    char network[AEGIS_NETWORK_TEXT]; /* CAIP-2 */
    uint64_t chain_id;
    struct aegis_address address;
    char symbol[16];
    unsigned decimals;    /* <= AEGIS_AMOUNT_SCALE */
    char domain_name[64]; /* EIP-712 domain of the contract */
    char domain_version[16];
    uint8_t domain_separator[32]; /* of that domain: every signature needs it */
    char address_text[AEGIS_ADDRESS_TEXT];
};

struct aegis_assets;

/* The built-in table (USDC on the networks where Circle issues it with EIP-3009). */
struct aegis_assets *aegis_assets_new(void);
void aegis_assets_free(struct aegis_assets **assets);

/* Adds or replaces entries from a configuration array of {network, address, symbol, decimals, name, version}.
 * False with `assets[N].FIELD: ...`. */
bool aegis_assets_add(struct aegis_assets *assets, const json_t *array, struct aegis_error *error);

/* Borrowed, or NULL when unknown. */
const struct aegis_asset *aegis_assets_find(const struct aegis_assets *assets, const char *network,
                                            const struct aegis_address *address);
const struct aegis_asset *aegis_assets_symbol(const struct aegis_assets *assets, const char *network,
                                              const char *symbol);
size_t aegis_assets_count(const struct aegis_assets *assets);
const struct aegis_asset *aegis_assets_at(const struct aegis_assets *assets, size_t index);

/* The CAIP-2 id for a v1 network name ("base-sepolia"), NULL when it is not one. */
const char *aegis_network_from_v1(const char *name);

/* eip155:N in its one spelling (no leading zero, N from 1 to 2^53-1). */
bool aegis_network_chain_id(const char *network, uint64_t *chain_id);

#endif
