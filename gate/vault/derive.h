/* Keys out of a seed: BIP-32 on secp256k1, SLIP-10 on ed25519. */
#ifndef AEGIS_VAULT_DERIVE_H
#define AEGIS_VAULT_DERIVE_H

#include <stdint.h>

#include "gate/base/error.h"
#include "gate/vault/secret.h"

enum aegis_curve { AEGIS_CURVE_SECP256K1, AEGIS_CURVE_ED25519 };

/* `path` is "m" or "m/44'/60'/0'/0/5": decimal indices below 2^31, ' for hardened. For ed25519 every step
 * must be hardened. Returns the 32-byte private key (for ed25519: its seed), or NULL with the reason. */
struct aegis_secret *aegis_derive(enum aegis_curve curve, const struct aegis_secret *seed, const char *path,
                                  struct aegis_error *error);

/* The same, and the chain code. */
struct aegis_secret *aegis_derive_with_chain_code(enum aegis_curve curve, const struct aegis_secret *seed,
                                                  const char *path, uint8_t chain_code[32],
                                                  struct aegis_error *error);

#endif
