/* The nine families of chains that an OWS wallet lists: where each one's key is derived, and how its address
 * is made. */
#ifndef AEGIS_VAULT_FAMILY_H
#define AEGIS_VAULT_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/base/error.h"
#include "gate/vault/derive.h"
#include "gate/x402/address.h"

#define AEGIS_FAMILY_PATH    48  /* room for a derivation path */
#define AEGIS_FAMILY_ADDRESS 128 /* room for any address */

struct aegis_family {
    const char *chain_id; /* the one that stands for the family in a wallet file */
    enum aegis_curve curve;
    const char *path_head; /* the account index stands between head and tail */
    const char *path_tail;
    /* NULL on success, else what the platform lacks. */
    const char *(*address)(const uint8_t key[32], char out[AEGIS_FAMILY_ADDRESS]);
};

/* In the order of OWS; ends with a row whose chain_id is NULL. The first is eip155:1. */
extern const struct aegis_family aegis_families[];

/* Returns `out`. */
char *aegis_family_path(const struct aegis_family *family, uint32_t index, char out[AEGIS_FAMILY_PATH]);

/* The Ethereum address of a secp256k1 key; false when it is not one. */
bool aegis_family_evm_address(const uint8_t key[32], struct aegis_address *out);

#endif
