/* Reading one key file; for the list and the index. */
#ifndef AEGIS_VAULT_APIKEY_READ_H
#define AEGIS_VAULT_APIKEY_READ_H

#include "gate/vault/apikey.h"

/* NULL with the reason, which begins with the path. */
struct aegis_apikey *aegis_apikey_read(const char *path, struct aegis_error *error);

#endif
