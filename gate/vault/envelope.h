/* The Open Wallet Standard's `crypto` object: a secret under AES-256-GCM, the key out of a passphrase
 * (scrypt) or out of a token (HKDF-SHA256). */
#ifndef AEGIS_VAULT_ENVELOPE_H
#define AEGIS_VAULT_ENVELOPE_H

#include <jansson.h>
#include <stdint.h>

#include "gate/base/error.h"
#include "gate/vault/secret.h"

#define AEGIS_SCRYPT_MEMORY                                                                                  \
    (256u << 20) /* what a wallet file may ask for unless the caller says otherwise                          \
                  */

/* New envelopes, fresh salt and iv, members in OWS's order. scrypt: n 65536, r 8, p 1. */
json_t *aegis_envelope_seal_passphrase(const struct aegis_secret *plain,
                                       const struct aegis_secret *passphrase, struct aegis_error *error);
json_t *aegis_envelope_seal_token(const struct aegis_secret *plain, const struct aegis_secret *token,
                                  struct aegis_error *error);

/* Opens either kind; `kdf` must be the one that is asked for. Refused before any work: a cipher that is not
 * aes-256-gcm, an iv that is not 12 bytes, a tag that is not 16, scrypt parameters below OWS's own or in need
 * of more than `scrypt_max_memory` bytes (128 * n * r) or of more than 16 passes, any missing or mistyped
 * member. NULL with the reason; a wrong passphrase or token and a changed file look alike. */
struct aegis_secret *aegis_envelope_open_passphrase(const json_t *envelope,
                                                    const struct aegis_secret *passphrase,
                                                    uint64_t scrypt_max_memory, struct aegis_error *error);
struct aegis_secret *aegis_envelope_open_token(const json_t *envelope, const struct aegis_secret *token,
                                               struct aegis_error *error);

/* The checks above without opening. */
bool aegis_envelope_check(const json_t *envelope, uint64_t scrypt_max_memory, struct aegis_error *error);

#endif
