/* BIP-39, English list. */
#ifndef AEGIS_VAULT_MNEMONIC_H
#define AEGIS_VAULT_MNEMONIC_H

#include "gate/base/error.h"
#include "gate/vault/secret.h"

#define AEGIS_MNEMONIC_WORDS     2048
#define AEGIS_MNEMONIC_SEED_SIZE 64

/* A fresh phrase of 12, 15, 18, 21 or 24 words, single spaces between them. NULL for any other count. */
struct aegis_secret *aegis_mnemonic_generate(unsigned words, struct aegis_error *error);

/* From 16, 20, 24, 28 or 32 bytes; NULL for any other size. */
struct aegis_secret *aegis_mnemonic_from_entropy(const uint8_t *entropy, size_t size);

/* Lower-case words of the list, one space between, the right checksum. The error names the position of a word
 * that is not in the list, never the word. */
bool aegis_mnemonic_check(const struct aegis_secret *phrase, struct aegis_error *error);

/* The 64-byte seed. The phrase is ASCII when it passed the check; `passphrase` is used as it is (OWS uses
 * ""), so a caller with other than ASCII must bring it to NFKD. */
struct aegis_secret *aegis_mnemonic_seed(const struct aegis_secret *phrase, const char *passphrase);

#endif
