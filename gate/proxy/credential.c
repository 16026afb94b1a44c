#include "gate/proxy/credential.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/text.h"

static bool scheme_is(struct aegis_http_text *value, const char *scheme)
{
    size_t length = strlen(scheme);
    if (value->length <= length || strncasecmp(value->at, scheme, length) != 0 || value->at[length] != ' ')
        return false;
    while (length < value->length && value->at[length] == ' ')
        length++;
    value->at += length;
    value->length -= length;
    return true;
}

static bool take_token(const char *at, size_t length, char token[AEGIS_TOKEN_TEXT])
{
    if (length == 0 || length >= AEGIS_TOKEN_TEXT)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (at[i] <= ' ' || at[i] > '~')
            return false;
    }
    memcpy(token, at, length);
    token[length] = '\0';
    return true;
}

static bool basic_token(struct aegis_http_text encoded, char token[AEGIS_TOKEN_TEXT])
{
    size_t size = 0;
    unsigned char *pair = aegis_base64_decode(encoded.at, encoded.length, &size);
    if (!pair)
        return false;
    const unsigned char *colon = memchr(pair, ':', size);
    bool ok = colon && take_token((const char *)colon + 1, size - (size_t)(colon + 1 - pair), token);
    sodium_memzero(pair, size);
    free(pair);
    return ok;
}

bool aegis_credential_token(struct aegis_http_text value, char token[AEGIS_TOKEN_TEXT])
{
    if (value.length > AEGIS_CREDENTIAL_MAX)
        return false;
    if (scheme_is(&value, "Basic"))
        return basic_token(value, token);
    if (scheme_is(&value, "Bearer"))
        return take_token(value.at, value.length, token);
    return false;
}
