/* Certificates made for a test: good ones, and every kind of bad one. */
#ifndef TESTS_CERTIFICATES_H
#define TESTS_CERTIFICATES_H

#include <openssl/ssl.h>
#include <stdbool.h>

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
};

struct certificate_plan {
    const char *common_name;
    const char *alternative; /* as in openssl.cnf: "DNS:localhost", "IP:127.0.0.1"; NULL: none */
    const char *constraints; /* nameConstraints; NULL: none */
    bool authority;
    int from_days, to_days; /* relative to now; both 0: -1 to +1 */
};

/* Signed by `issuer`; NULL: by itself. */
struct identity identity_make(const struct certificate_plan *plan, const struct identity *issuer);
void identity_free(struct identity *identity);

/* A server's context that shows `identity` and, when not NULL, `between`. */
SSL_CTX *identity_server(const struct identity *identity, const struct identity *between);

/* Writes the certificate to a new file; its path in `path` (a mkstemp template). */
void identity_write(const struct identity *identity, char *path);

#endif
