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

/* Theta: every column takes the parity of its two neighbours. */
static inline void mix_columns(uint64_t a[25])
{
    uint64_t c0 = a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20], c1 = a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21];
    uint64_t c2 = a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22], c3 = a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23];
    uint64_t c4 = a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24];
    uint64_t d0 = c4 ^ rotate(c1, 1), d1 = c0 ^ rotate(c2, 1), d2 = c1 ^ rotate(c3, 1);
    uint64_t d3 = c2 ^ rotate(c4, 1), d4 = c3 ^ rotate(c0, 1);

    for (unsigned y = 0; y < 25; y += 5) {
        a[y] ^= d0;
        a[y + 1] ^= d1;
        a[y + 2] ^= d2;
        a[y + 3] ^= d3;
        a[y + 4] ^= d4;
    }
}

/* Rho and pi: the lanes are rotated and change places; all but the first lie on one cycle. Spelled out, it is
 * twice as fast as from a table. */
static inline void move_lanes(uint64_t a[25])
{
    uint64_t first = a[1];

    a[1] = rotate(a[6], 44);
    a[6] = rotate(a[9], 20);
    a[9] = rotate(a[22], 61);
    a[22] = rotate(a[14], 39);
    a[14] = rotate(a[20], 18);
    a[20] = rotate(a[2], 62);
    a[2] = rotate(a[12], 43);
    a[12] = rotate(a[13], 25);
    a[13] = rotate(a[19], 8);
    a[19] = rotate(a[23], 56);
    a[23] = rotate(a[15], 41);
    a[15] = rotate(a[4], 27);
    a[4] = rotate(a[24], 14);
    a[24] = rotate(a[21], 2);
    a[21] = rotate(a[8], 55);
    a[8] = rotate(a[16], 45);
    a[16] = rotate(a[5], 36);
    a[5] = rotate(a[3], 28);
    a[3] = rotate(a[18], 21);
    a[18] = rotate(a[17], 15);
    a[17] = rotate(a[11], 10);
    a[11] = rotate(a[7], 6);
    a[7] = rotate(a[10], 3);
    a[10] = rotate(first, 1);
}

/* Chi, the one step that is not linear, on one row. */
static inline void bend_row(uint64_t *a)
{
    uint64_t a0 = a[0], a1 = a[1];

    a[0] = a0 ^ (~a1 & a[2]);
    a[1] = a1 ^ (~a[2] & a[3]);
    a[2] ^= ~a[3] & a[4];
    a[3] ^= ~a[4] & a0;
    a[4] ^= ~a0 & a1;
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

    for (unsigned round = 0; round < 24; round++) {
        mix_columns(a);
        move_lanes(a);
        for (unsigned y = 0; y < 25; y += 5) {
            bend_row(a + y);
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
