#include "gate/base/hash.h"

#include <openssl/sha.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/base/text.h"

#define RATE 136 /* bytes taken per permutation by a 256-bit Keccak */

static uint64_t rotate(uint64_t word, unsigned by)
{
    return word << by | word >> (64 - by);
}

/* Keccak-f[1600], FIPS 202 section 3, on lanes in the order x + 5 * y. */
static void permute(uint64_t a[25])
{
    static const uint64_t round_constants[24] = {
        0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
        0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
        0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
        0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
        0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
    };
    /* Rho and pi together walk all lanes but the first in one cycle. */
    static const unsigned rotations[24] = {1,  3,  6,  10, 15, 21, 28, 36, 45, 55, 2,  14,
                                           27, 41, 56, 8,  25, 43, 62, 18, 39, 61, 20, 44};
    static const unsigned lanes[24] = {10, 7,  11, 17, 18, 3, 5,  16, 8,  21, 24, 4,
                                       15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,  1};

    for (unsigned round = 0; round < 24; round++) {
        uint64_t c[5], moving;

        for (unsigned x = 0; x < 5; x++) {
            c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
        }
        for (unsigned x = 0; x < 5; x++) {
            uint64_t d = c[(x + 4) % 5] ^ rotate(c[(x + 1) % 5], 1);

            for (unsigned y = 0; y < 25; y += 5) {
                a[x + y] ^= d;
            }
        }
        moving = a[1];
        for (unsigned i = 0; i < 24; i++) {
            uint64_t next = a[lanes[i]];

            a[lanes[i]] = rotate(moving, rotations[i]);
            moving = next;
        }
        for (unsigned y = 0; y < 25; y += 5) {
            memcpy(c, a + y, sizeof c);
            for (unsigned x = 0; x < 5; x++) {
                a[x + y] = c[x] ^ (~c[(x + 1) % 5] & c[(x + 2) % 5]);
            }
        }
        a[0] ^= round_constants[round];
    }
}

static void absorb(uint64_t state[25], const uint8_t block[RATE])
{
    for (unsigned i = 0; i < RATE / 8; i++) {
        uint64_t lane = 0;

        for (unsigned j = 8; j > 0; j--) {
            lane = lane << 8 | block[8 * i + j - 1];
        }
        state[i] ^= lane;
    }
    permute(state);
}

void aegis_keccak256(const void *bytes, size_t size, uint8_t out[AEGIS_HASH_SIZE])
{
    uint64_t state[25] = {0};
    uint8_t last[RATE] = {0};
    const uint8_t *in = bytes;

    for (; size >= RATE; size -= RATE, in += RATE) {
        absorb(state, in);
    }
    if (size > 0) {
        memcpy(last, in, size);
    }
    last[size] = 0x01; /* Keccak's own padding; SHA3 would begin with 0x06 */
    last[RATE - 1] |= 0x80;
    absorb(state, last);
    for (unsigned i = 0; i < AEGIS_HASH_SIZE; i++) {
        out[i] = (uint8_t)(state[i / 8] >> (8 * (i % 8)));
    }
}

void aegis_sha256(const void *bytes, size_t size, uint8_t out[AEGIS_HASH_SIZE])
{
    AEGIS_ASSERT(SHA256(bytes != NULL ? bytes : (const void *)"", size, out) != NULL);
}

char *aegis_sha256_hex(const void *bytes, size_t size, char out[AEGIS_HASH_HEX])
{
    uint8_t hash[AEGIS_HASH_SIZE];

    aegis_sha256(bytes, size, hash);
    return aegis_hex_encode(hash, sizeof hash, out);
}
