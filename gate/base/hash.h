/* Keccak-256 (Ethereum's, not SHA3-256) and SHA-256. */
#ifndef AEGIS_BASE_HASH_H
#define AEGIS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define AEGIS_HASH_SIZE 32
#define AEGIS_HASH_HEX  65

void aegis_keccak256(const void *bytes, size_t size, uint8_t out[AEGIS_HASH_SIZE]);
void aegis_sha256(const void *bytes, size_t size, uint8_t out[AEGIS_HASH_SIZE]);

/* SHA-256 as lower-case hex. Returns `out`. */
char *aegis_sha256_hex(const void *bytes, size_t size, char out[AEGIS_HASH_HEX]);

#endif
