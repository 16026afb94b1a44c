/* EIP-712's encodeData: every member is one word of 32 bytes. For this room only. */
#ifndef AEGIS_X402_EIP712_H
#define AEGIS_X402_EIP712_H

#include <stddef.h>
#include <stdint.h>

#include "gate/base/amount.h"
#include "gate/x402/address.h"

#define AEGIS_WORD 32

struct aegis_words {
    uint8_t bytes[7 * AEGIS_WORD];
    size_t size;
};

/* The next word, zeroed, to be filled in. */
uint8_t *aegis_words_next(struct aegis_words *words);

/* The hash of a string member, a number, an address. */
void aegis_words_hash_of(struct aegis_words *words, const char *text);
void aegis_words_number(struct aegis_words *words, aegis_amount number);
void aegis_words_address(struct aegis_words *words, const struct aegis_address *address);

#endif
