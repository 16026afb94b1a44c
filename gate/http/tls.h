/* Inside gate/http: what TLS towards an origin means here. */
#ifndef AEGIS_HTTP_TLS_H
#define AEGIS_HTTP_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "gate/base/error.h"

/* TLS 1.2 at least, certificates verified strictly against the system's roots and `ca_file` (may be NULL),
 * ALPN http/1.1. All files are read now. The caller frees with SSL_CTX_free. */
SSL_CTX *aegis_tls_new(const char *ca_file, struct aegis_error *error);

/* A connection to be made to `host`, a name or an address (`is_address`): server name sent, name verified. */
SSL *aegis_tls_connect(SSL_CTX *context, const char *host, bool is_address);

/* Why the handshake failed, a static text. */
const char *aegis_tls_problem(SSL *ssl, unsigned long code);

#endif
