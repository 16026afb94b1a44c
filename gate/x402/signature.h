/* secp256k1 as Ethereum uses it: RFC 6979, low s, v 27 or 28. */
#ifndef AEGIS_X402_SIGNATURE_H
#define AEGIS_X402_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "gate/x402/address.h"

#define AEGIS_SIGNATURE_SIZE 65
#define AEGIS_SIGNATURE_TEXT 133

struct aegis_signer;

/* One context for a process; blinds itself with fresh randomness. */
struct aegis_signer *aegis_signer_new(void);
void aegis_signer_free(struct aegis_signer **signer);

/* False when the key is zero or not below the group order. */
bool aegis_signer_address(const struct aegis_signer *signer, const uint8_t key[32],
                          struct aegis_address *out);
bool aegis_signer_sign(const struct aegis_signer *signer, const uint8_t key[32], const uint8_t digest[32],
                       uint8_t signature[AEGIS_SIGNATURE_SIZE]);

/* Who signed; false for a signature that nobody could have made, v other than 27/28, or high s. */
bool aegis_signer_recover(const struct aegis_signer *signer, const uint8_t digest[32],
                          const uint8_t signature[AEGIS_SIGNATURE_SIZE], struct aegis_address *out);

/* "0x" and 130 hex digits. */
char *aegis_signature_format(const uint8_t signature[AEGIS_SIGNATURE_SIZE], char out[AEGIS_SIGNATURE_TEXT]);
bool aegis_signature_parse(const char *text, uint8_t signature[AEGIS_SIGNATURE_SIZE]);

#endif
