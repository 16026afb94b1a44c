#include "gate/x402/asset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/amount.h"
#include "gate/base/json.h"
#include "gate/base/hash.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/x402/eip712.h"

/* What JavaScript counts exactly, and so every peer of ours. */
#define CHAIN_ID_MAX ((UINT64_C(1) << 53) - 1)

struct aegis_assets {
    struct aegis_asset *rows;
    size_t count, room;
};

/* The stablecoins that the official x402 packages know to transfer by EIP-3009 (the table of
 * @x402/evm 2.27.0, and Circle's own USDC on the two test networks that only x402 1.2.0 lists). */
static const struct {
    const char *network, *address, *symbol;
    unsigned decimals;
    const char *name, *version;
} built_in[] = {
    {"eip155:8453", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USDC", 6, "USD Coin", "2"},
    {"eip155:84532", "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC", 6, "USDC", "2"},
    {"eip155:1", "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "USDC", 6, "USD Coin", "2"},
    {"eip155:43114", "0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E", "USDC", 6, "USD Coin", "2"},
    {"eip155:143", "0x754704Bc059F8C67012fEd69BC8A327a5aafb603", "USDC", 6, "USDC", "2"},
    {"eip155:988", "0x779Ded0c9e1022225f8E0630b35a9b54bE713736", "USDT0", 6, "USDT0", "1"},
    {"eip155:2201", "0x78Cf24370174180738C5B8E352B6D14c83a6c9A9", "USDT0", 6, "USDT0", "1"},
    {"eip155:137", "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359", "USDC", 6, "USD Coin", "2"},
    {"eip155:42161", "0xaf88d065e77c8cC2239327C5EDb3A432268e5831", "USDC", 6, "USD Coin", "2"},
    {"eip155:421614", "0x75faf114eafb1BDbe2F0316DF893fd58CE46AA4d", "USDC", 6, "USD Coin", "2"},
    {"eip155:36900", "0x9cb8142aEBBcdc60AF7c97Af897A67A8f3CA71C2", "USDC.e", 6, "USDC.e", "2"},
    {"eip155:190415", "0x401eCb1D350407f13ba348573E5630B83638E30D", "USDC.e", 6, "Bridged USDC", "2"},
    {"eip155:181228", "0x401eCb1D350407f13ba348573E5630B83638E30D", "USDC.e", 6, "Bridged USDC", "2"},
    {"eip155:50", "0xfA2958CB79b0491CC627c1557F441eF849Ca8eb1", "USDC", 6, "USDC", "2"},
    {"eip155:51", "0xb5AB69F7bBada22B28e79C8FFAECe55eF1c771D4", "USDC", 6, "USDC", "2"},
    {"eip155:14", "0xe7cd86e13AC4309349F30B3435a9d337750fC82D", "USDT0", 6, "USD₮0", "1"},
    {"eip155:42220", "0xcebA9300f2b948710d2653dD7B07f33A8B32118C", "USDC", 6, "USDC", "2"},
    {"eip155:42220", "0x48065fbBE25f71C9282ddf5e1cD6D6A887483D5e", "USDT", 6, "Tether USD", "1"},
    {"eip155:42220", "0xD2ab3C9A02DBBAB236BfEC45D1d755DF4267F771", "USAT", 6, "Tether America USD", "1"},
    {"eip155:11142220", "0x01C5C0122039549AD1493B8220cABEdD739BC44E", "USDC", 6, "USDC", "2"},
    {"eip155:1329", "0xe15fC38F6D8c56aF07bbCBe3BAf5708A2Bf42392", "USDC", 6, "USDC", "2"},
    {"eip155:1328", "0x4fCF1784B31630811181f670Aea7A7bEF803eaED", "USDC", 6, "USDC", "2"},
    {"eip155:43113", "0x5425890298aed601595a70AB815c96711a31Bc65", "USDC", 6, "USD Coin", "2"},
    {"eip155:80002", "0x41E94Eb019C0762f9Bfcf9Fb1E58725BfB0e7582", "USDC", 6, "USDC", "2"},
};

static const struct {
    const char *name, *network;
} v1_names[] = {
    {"abstract", "eip155:2741"},
    {"abstract-testnet", "eip155:11124"},
    {"avalanche", "eip155:43114"},
    {"avalanche-fuji", "eip155:43113"},
    {"base", "eip155:8453"},
    {"base-sepolia", "eip155:84532"},
    {"educhain", "eip155:41923"},
    {"ethereum", "eip155:1"},
    {"iotex", "eip155:4689"},
    {"megaeth", "eip155:4326"},
    {"monad", "eip155:143"},
    {"peaq", "eip155:3338"},
    {"polygon", "eip155:137"},
    {"polygon-amoy", "eip155:80002"},
    {"sei", "eip155:1329"},
    {"sei-testnet", "eip155:1328"},
    {"sepolia", "eip155:11155111"},
    {"skale-base-sepolia", "eip155:324705682"},
    {"solana", "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"},
    {"solana-devnet", "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"},
    {"stable", "eip155:988"},
    {"stable-testnet", "eip155:2201"},
    {"story", "eip155:1514"},
};

const char *aegis_network_from_v1(const char *name)
{
    for (size_t i = 0; i < sizeof v1_names / sizeof *v1_names; i++) {
        if (strcmp(name, v1_names[i].name) == 0) {
            return v1_names[i].network;
        }
    }
    return NULL;
}

bool aegis_network_chain_id(const char *network, uint64_t *chain_id)
{
    uint64_t value = 0;
    const char *digits;

    if (strncmp(network, "eip155:", 7) != 0 || network[7] < '1' || network[7] > '9' ||
        strlen(network + 7) > 16) {
        return false;
    }
    for (digits = network + 7; *digits != '\0'; digits++) {
        if (*digits < '0' || *digits > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(*digits - '0');
    }
    if (value > CHAIN_ID_MAX) {
        return false;
    }
    *chain_id = value;
    return true;
}

static struct aegis_asset *find(const struct aegis_assets *assets, const char *network,
                                const struct aegis_address *address)
{
    for (size_t i = 0; i < assets->count; i++) {
        if (aegis_address_equal(&assets->rows[i].address, address) &&
            strcmp(assets->rows[i].network, network) == 0) {
            return &assets->rows[i];
        }
    }
    return NULL;
}

/* What follows from the other members. */
static void complete(struct aegis_asset *asset)
{
    struct aegis_words words = {.size = 0};

    aegis_words_hash_of(&words,
                        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    aegis_words_hash_of(&words, asset->domain_name);
    aegis_words_hash_of(&words, asset->domain_version);
    aegis_words_number(&words, asset->chain_id);
    aegis_words_address(&words, &asset->address);
    aegis_keccak256(words.bytes, words.size, asset->domain_separator);
    aegis_address_format(&asset->address, asset->address_text);
}

static void put(struct aegis_assets *assets, struct aegis_asset *asset)
{
    struct aegis_asset *known = find(assets, asset->network, &asset->address);

    complete(asset);

    if (known != NULL) {
        *known = *asset;
        return;
    }
    if (assets->count == assets->room) {
        assets->room = assets->room * 2 + 32;
        assets->rows = reallocarray(assets->rows, assets->room, sizeof *assets->rows);
        if (assets->rows == NULL) {
            aegis_panic("out of memory: %zu assets", assets->room);
        }
    }
    assets->rows[assets->count++] = *asset;
}

struct aegis_assets *aegis_assets_new(void)
{
    struct aegis_assets *assets = aegis_alloc(sizeof *assets);

    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
        struct aegis_asset asset = {.decimals = built_in[i].decimals};

        AEGIS_ASSERT(aegis_address_parse(built_in[i].address, &asset.address));
        AEGIS_ASSERT(aegis_network_chain_id(built_in[i].network, &asset.chain_id));
        AEGIS_ASSERT(aegis_text_copy(asset.network, sizeof asset.network, built_in[i].network));
        AEGIS_ASSERT(aegis_text_copy(asset.symbol, sizeof asset.symbol, built_in[i].symbol));
        AEGIS_ASSERT(aegis_text_copy(asset.domain_name, sizeof asset.domain_name, built_in[i].name));
        AEGIS_ASSERT(aegis_text_copy(asset.domain_version, sizeof asset.domain_version, built_in[i].version));
        put(assets, &asset);
    }
    return assets;
}

void aegis_assets_free(struct aegis_assets **assets)
{
    if (*assets != NULL) {
        free((*assets)->rows);
        free(*assets);
        *assets = NULL;
    }
}

/* Symbols stand in policies, in paths of facts and in messages, so they are kept plain. */
static bool plain_symbol(const char *symbol)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

    return symbol[0] != '\0' && symbol[strspn(symbol, letters)] == '\0';
}

static bool read_asset(const json_t *object, struct aegis_asset *asset, struct aegis_error *error)
{
    static const struct aegis_json_field fields[] = {
        {"network", AEGIS_JSON_STRING, true, AEGIS_NETWORK_TEXT - 1},
        {"address", AEGIS_JSON_STRING, true, AEGIS_ADDRESS_TEXT - 1},
        {"symbol", AEGIS_JSON_STRING, true, sizeof asset->symbol - 1},
        {"decimals", AEGIS_JSON_INTEGER, true, AEGIS_AMOUNT_SCALE},
        {"name", AEGIS_JSON_STRING, true, sizeof asset->domain_name - 1},
        {"version", AEGIS_JSON_STRING, true, sizeof asset->domain_version - 1},
        {0}};

    if (!aegis_json_check(object, fields, error)) {
        return false;
    }
    aegis_text_copy(asset->network, sizeof asset->network, aegis_json_text(object, "network", ""));
    aegis_text_copy(asset->symbol, sizeof asset->symbol, aegis_json_text(object, "symbol", ""));
    aegis_text_copy(asset->domain_name, sizeof asset->domain_name, aegis_json_text(object, "name", ""));
    aegis_text_copy(asset->domain_version, sizeof asset->domain_version,
                    aegis_json_text(object, "version", ""));
    asset->decimals = (unsigned)aegis_json_integer(object, "decimals", 0);
    if (!aegis_network_chain_id(asset->network, &asset->chain_id)) {
        return aegis_error_set(error, "network: expected eip155:N");
    }
    if (!aegis_address_parse(aegis_json_text(object, "address", ""), &asset->address) ||
        aegis_address_is_zero(&asset->address)) {
        return aegis_error_set(error, "address: expected 0x and 40 hex digits with the right checksum");
    }
    return plain_symbol(asset->symbol) ||
           aegis_error_set(error, "symbol: expected letters, digits, dots, hyphens or underscores");
}

bool aegis_assets_add(struct aegis_assets *assets, const json_t *array, struct aegis_error *error)
{
    size_t count = json_array_size(array);
    struct aegis_asset *read;
    bool ok = true;

    if (!json_is_array(array)) {
        return aegis_error_set(error, "assets: expected an array");
    }
    read = aegis_alloc((count + 1) * sizeof *read);
    for (size_t i = 0; ok && i < count; i++) {
        ok = read_asset(json_array_get(array, i), &read[i], error) ||
             aegis_error_prefix(error, "assets[%zu]", i);
    }
    /* All or nothing: a table of which half was replaced would be nobody's. */
    for (size_t i = 0; ok && i < count; i++) {
        put(assets, &read[i]);
    }
    free(read);
    return ok;
}

const struct aegis_asset *aegis_assets_find(const struct aegis_assets *assets, const char *network,
                                            const struct aegis_address *address)
{
    return find(assets, network, address);
}

const struct aegis_asset *aegis_assets_symbol(const struct aegis_assets *assets, const char *network,
                                              const char *symbol)
{
    for (size_t i = 0; i < assets->count; i++) {
        if (strcmp(assets->rows[i].network, network) == 0 && strcmp(assets->rows[i].symbol, symbol) == 0) {
            return &assets->rows[i];
        }
    }
    return NULL;
}

size_t aegis_assets_count(const struct aegis_assets *assets)
{
    return assets->count;
}

const struct aegis_asset *aegis_assets_at(const struct aegis_assets *assets, size_t index)
{
    return index < assets->count ? &assets->rows[index] : NULL;
}
