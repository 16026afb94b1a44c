/* Ethereum addresses. */
#ifndef AEGIS_X402_ADDRESS_H
#define AEGIS_X402_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#define AEGIS_ADDRESS_TEXT 43

struct aegis_address {
    uint8_t bytes[20];
};

/* 0x and 40 hex digits; mixed case must be the right EIP-55 checksum. */
bool aegis_address_parse(const char *text, struct aegis_address *out);

/* EIP-55. Returns `out`. */
char *aegis_address_format(const struct aegis_address *address, char out[AEGIS_ADDRESS_TEXT]);
bool aegis_address_equal(const struct aegis_address *a, const struct aegis_address *b);
bool aegis_address_is_zero(const struct aegis_address *address);

#endif
