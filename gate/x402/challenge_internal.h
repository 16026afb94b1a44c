/* What the files of the challenge share; nobody else includes it. */
#ifndef AEGIS_X402_CHALLENGE_INTERNAL_H
#define AEGIS_X402_CHALLENGE_INTERNAL_H

#include "gate/x402/challenge.h"

#define CHALLENGE_DEPTH_MAX 64

/* One requirement with what ranking needs besides. */
struct challenge_entry {
    struct aegis_requirement requirement;
    aegis_amount scaled; /* the amount in 10^-18 of a whole token */
    bool upfront;        /* the seller wants to settle before it serves */
};

struct aegis_challenge {
    int version;
    json_t *root;
    const json_t *accepts; /* inside root */
    struct challenge_entry entries[AEGIS_CHALLENGE_ACCEPTS_MAX];
    size_t count;
    char left_out[512];
};

/* JSON as JavaScript reads it, every number a double, but nothing nested deeper than CHALLENGE_DEPTH_MAX. */
json_t *challenge_json(const char *text, size_t length, struct aegis_error *error);

/* Reads accepts[index]; false with the reason, in words of our own only. */
bool challenge_read_entry(int version, const json_t *entry, const struct aegis_assets *assets,
                          struct challenge_entry *out, struct aegis_error *error);

#endif
