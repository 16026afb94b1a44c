/* The word list of mnemonics. */
#ifndef AEGIS_VAULT_WORDS_H
#define AEGIS_VAULT_WORDS_H

#include "gate/vault/mnemonic.h"

extern const char aegis_mnemonic_words[AEGIS_MNEMONIC_WORDS][9];

#endif
