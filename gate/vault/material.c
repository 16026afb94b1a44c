#include "gate/vault/material.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/vault/mnemonic.h"

#define KEY_HEX ((size_t)64)

struct aegis_material {
    struct aegis_secret *seed;    /* of a phrase; NULL for keys */
    struct aegis_secret *ed25519; /* of private keys; else NULL */
    struct aegis_secret *secp256k1;
};

/* A reader of the one small JSON object that a private-key wallet holds. A general parser would leave copies
 * of the keys in ordinary memory. */
struct reader {
    const char *at;
};

static void skip_space(struct reader *reader)
{
    while (*reader->at != '\0' && strchr(" \t\r\n", *reader->at) != NULL)
        reader->at++;
}

static bool take(struct reader *reader, char expected)
{
    skip_space(reader);
    if (*reader->at != expected)
        return false;
    reader->at++;
    return true;
}

/* A text without escapes, borrowed. */
static bool take_text(struct reader *reader, const char **text, size_t *length)
{
    if (!take(reader, '"'))
        return false;
    *text = reader->at;
    *length = strcspn(reader->at, "\"\\");
    reader->at += *length;
    if (*reader->at != '"')
        return false;
    reader->at++;
    return true;
}

static bool same(const char *text, size_t length, const char *name)
{
    return length == strlen(name) && memcmp(text, name, length) == 0;
}

static bool take_key(struct reader *reader, struct aegis_material *material)
{
    const char *name = NULL;
    const char *hex = NULL;
    size_t name_length = 0;
    size_t hex_length = 0;
    if (!take_text(reader, &name, &name_length) || !take(reader, ':') ||
        !take_text(reader, &hex, &hex_length))
        return false;
    struct aegis_secret **slot = same(name, name_length, "ed25519")     ? &material->ed25519
                                 : same(name, name_length, "secp256k1") ? &material->secp256k1
                                                                        : NULL;
    if (slot == NULL || *slot != NULL || hex_length != KEY_HEX)
        return false;
    *slot = aegis_secret_new(AEGIS_WALLET_KEY_SIZE);
    return aegis_hex_decode(hex, hex_length, aegis_secret_bytes(*slot), AEGIS_WALLET_KEY_SIZE);
}

static bool read_keys(struct aegis_material *material, const struct aegis_secret *plain,
                      struct aegis_error *error)
{
    struct reader reader = {.at = aegis_secret_text(plain)};
    bool good = take(&reader, '{') && take_key(&reader, material) && take(&reader, ',') &&
                take_key(&reader, material) && take(&reader, '}');
    skip_space(&reader);
    if (!good || reader.at != aegis_secret_text(plain) + aegis_secret_size(plain))
        return aegis_error_set(error,
                               "a private-key wallet must hold {\"ed25519\":\"...\",\"secp256k1\":\"...\"}, "
                               "64 hex digits each; this one holds something else");
    return true;
}

static bool read_phrase(struct aegis_material *material, const struct aegis_secret *plain,
                        struct aegis_error *error)
{
    if (!aegis_mnemonic_check(plain, error))
        return false;
    material->seed = aegis_mnemonic_seed(plain, "");
    return true;
}

struct aegis_material *aegis_material_open(enum aegis_wallet_kind kind, const struct aegis_secret *plain,
                                           struct aegis_error *error)
{
    struct aegis_material *material = aegis_alloc(sizeof *material);
    bool good = kind == AEGIS_WALLET_MNEMONIC ? read_phrase(material, plain, error)
                                              : read_keys(material, plain, error);
    if (!good)
        aegis_material_free(&material);
    return material;
}

void aegis_material_free(struct aegis_material **material)
{
    if (*material == NULL)
        return;
    aegis_secret_free(&(*material)->seed);
    aegis_secret_free(&(*material)->ed25519);
    aegis_secret_free(&(*material)->secp256k1);
    free(*material);
    *material = NULL;
}

struct aegis_secret *aegis_material_key(const struct aegis_material *material, enum aegis_curve curve,
                                        const char *path, struct aegis_error *error)
{
    if (material->seed != NULL)
        return aegis_derive(curve, material->seed, path, error);
    const struct aegis_secret *key = curve == AEGIS_CURVE_ED25519 ? material->ed25519 : material->secp256k1;
    return aegis_secret_copy(aegis_secret_text(key), aegis_secret_size(key));
}

struct aegis_secret *aegis_material_of_keys(const struct aegis_secret *ed25519,
                                            const struct aegis_secret *secp256k1)
{
    static const char first[] = "{\"ed25519\":\"";
    static const char middle[] = "\",\"secp256k1\":\"";
    static const char last[] = "\"}";
    AEGIS_ASSERT(aegis_secret_size(ed25519) == AEGIS_WALLET_KEY_SIZE &&
                 aegis_secret_size(secp256k1) == AEGIS_WALLET_KEY_SIZE);
    struct aegis_secret *plain =
        aegis_secret_new(strlen(first) + strlen(middle) + strlen(last) + 2 * KEY_HEX);
    char *out = (char *)aegis_secret_bytes(plain);
    out = stpcpy(out, first);
    out = aegis_hex_encode(aegis_secret_text(ed25519), AEGIS_WALLET_KEY_SIZE, out) + KEY_HEX;
    out = stpcpy(out, middle);
    out = aegis_hex_encode(aegis_secret_text(secp256k1), AEGIS_WALLET_KEY_SIZE, out) + KEY_HEX;
    stpcpy(out, last);
    return plain;
}
