/* The token in Proxy-Authorization: Basic with any user name, or Bearer. */
#ifndef AEGIS_PROXY_CREDENTIAL_H
#define AEGIS_PROXY_CREDENTIAL_H

#include <stdbool.h>

#include "gate/http/head.h"

#define AEGIS_CREDENTIAL_MAX 640 /* longest field value that is looked at */
#define AEGIS_TOKEN_TEXT     257

/* False when the value is of neither form, or the token is empty, too long, or not printable ASCII without
 * spaces. The caller wipes `token`. */
bool aegis_credential_token(struct aegis_http_text value, char token[AEGIS_TOKEN_TEXT]);

#endif
