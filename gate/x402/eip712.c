#include "gate/x402/eip712.h"

#include <string.h>

#include "gate/base/hash.h"
#include "gate/base/log.h"

uint8_t *aegis_words_next(struct aegis_words *words)
{
    uint8_t *word = words->bytes + words->size;

    AEGIS_ASSERT(words->size + AEGIS_WORD <= sizeof words->bytes);
    memset(word, 0, AEGIS_WORD);
    words->size += AEGIS_WORD;
    return word;
}

void aegis_words_hash_of(struct aegis_words *words, const char *text)
{
    aegis_keccak256(text, strlen(text), aegis_words_next(words));
}

void aegis_words_number(struct aegis_words *words, aegis_amount number)
{
    uint8_t *word = aegis_words_next(words);

    for (unsigned i = AEGIS_WORD; number > 0; number >>= 8) {
        word[--i] = (uint8_t)number;
    }
}

void aegis_words_address(struct aegis_words *words, const struct aegis_address *address)
{
    memcpy(aegis_words_next(words) + AEGIS_WORD - sizeof address->bytes, address->bytes,
           sizeof address->bytes);
}
