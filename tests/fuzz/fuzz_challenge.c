/* Any bytes as a challenge, in the header and in the body, and as a settlement: no crash, and whatever could
 * be paid can also be answered with exactly the amount and payee that ranking showed. */
#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/x402/challenge.h"

#define SIGNATURE_HEX 130

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer_all(struct aegis_challenge *challenge)
{
    const struct aegis_requirement *ranked[AEGIS_CHALLENGE_ACCEPTS_MAX];
    size_t count = aegis_challenge_rank(challenge, NULL, ranked, AEGIS_CHALLENGE_ACCEPTS_MAX);
    char signature[3 + SIGNATURE_HEX] = "0x";

    memset(signature + 2, '1', SIGNATURE_HEX);
    for (size_t i = 0; i < count; i++) {
        struct aegis_authorization authorization = {.to = ranked[i]->pay_to, .value = ranked[i]->amount};
        uint8_t digest[32];
        const char *name;

        AEGIS_ASSERT(ranked[i]->amount > 0 && !aegis_address_is_zero(&ranked[i]->pay_to));
        AEGIS_ASSERT(ranked[i]->max_timeout_seconds >= 1 && ranked[i]->max_timeout_seconds <= 86400);
        aegis_authorization_digest(&authorization, ranked[i]->asset, digest);
        free(aegis_challenge_answer(challenge, ranked[i]->index, &authorization, signature,
                                    "pay_0123456789abcdef", &name, NULL));
    }
}

static void try(const char *header, size_t header_size, const char *body, size_t body_size,
                const struct aegis_assets *assets)
{
    struct aegis_challenge *challenge;
    struct aegis_error error;

    if (aegis_challenge_parse(header, header_size, body, body_size, assets, &challenge, &error) ==
        AEGIS_CHALLENGE_OK) {
        answer_all(challenge);
    }
    aegis_challenge_free(&challenge);
}

/* Made once: it costs more than most inputs. */
static const struct aegis_assets *known_assets(void)
{
    static struct aegis_assets *assets;

    if (assets == NULL) {
        assets = aegis_assets_new();
    }
    return assets;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct aegis_assets *assets = known_assets();
    char *encoded = aegis_base64_encode(data, size);
    struct aegis_settlement settlement;

    try((const char *)data, size, NULL, 0, assets);
    try(encoded, strlen(encoded), NULL, 0, assets);
    try(NULL, 0, (const char *)data, size, assets);
    aegis_settlement_parse(encoded, strlen(encoded), &settlement, NULL);
    free(encoded);
    return 0;
}
