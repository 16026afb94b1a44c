/* What a wallet's envelope holds, ready to give keys: the seed of a phrase, or the two private keys. */
#ifndef AEGIS_VAULT_MATERIAL_H
#define AEGIS_VAULT_MATERIAL_H

#include "gate/base/error.h"
#include "gate/vault/derive.h"
#include "gate/vault/secret.h"
#include "gate/vault/wallet.h"

struct aegis_material;

/* Reads the plain text of an envelope. NULL with the reason when it is not a phrase with a right checksum, or
 * not a JSON object with exactly one `ed25519` and one `secp256k1`, 64 hex digits each. */
struct aegis_material *aegis_material_open(enum aegis_wallet_kind kind, const struct aegis_secret *plain,
                                           struct aegis_error *error);
void aegis_material_free(struct aegis_material **material);

/* The 32-byte key at `path` of a phrase; of private keys the one for the curve, whatever the path. */
struct aegis_secret *aegis_material_key(const struct aegis_material *material, enum aegis_curve curve,
                                        const char *path, struct aegis_error *error);

/* The plain text for an envelope that holds these two keys of 32 bytes. */
struct aegis_secret *aegis_material_of_keys(const struct aegis_secret *ed25519,
                                            const struct aegis_secret *secp256k1);

#endif
