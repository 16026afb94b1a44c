#include "gate/http/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "gate/base/log.h"

/* OpenSSL would look into its folder of roots when it needs one, and by then a worker opens no files any
 * more. So the bundle is read, wherever this system keeps it. */
static void load_system_roots(SSL_CTX *context)
{
    const char *files[] = {
        getenv(X509_get_default_cert_file_env()),
        X509_get_default_cert_file(),
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (files[i] != NULL && access(files[i], R_OK) == 0 &&
            SSL_CTX_load_verify_file(context, files[i]) == 1) {
            return;
        }
    }
    aegis_log(AEGIS_LOG_WARNING, "no bundle of root certificates was found: no https server will be trusted "
                                 "except by ca_file");
}

static bool set_verification(SSL_CTX *context)
{
    X509_VERIFY_PARAM *parameters = SSL_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                                    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT) == 1;
}

static bool set_protocol(SSL_CTX *context)
{
    static const unsigned char http_1_1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_alpn_protos(context, http_1_1, sizeof(http_1_1)) == 0;
}

SSL_CTX *aegis_tls_new(const char *ca_file, struct aegis_error *error)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || !set_protocol(context) || !set_verification(context)) {
        aegis_error_set(error, "TLS cannot be set up: %s", ERR_reason_error_string(ERR_get_error()));
        SSL_CTX_free(context);
        return NULL;
    }
    load_system_roots(context);
    ERR_clear_error();
    if (ca_file != NULL && SSL_CTX_load_verify_file(context, ca_file) != 1) {
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());
        aegis_error_set(error, "%s: no certificates could be read: %s", ca_file,
                        reason != NULL ? reason : "unknown");
        ERR_clear_error();
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

SSL *aegis_tls_connect(SSL_CTX *context, const char *host, bool is_address)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(context);
    if (ssl == NULL) {
        return NULL;
    }
    bool named = is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1
                            : SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
    if (!named) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

const char *aegis_tls_problem(SSL *ssl, unsigned long code)
{
    long verdict = SSL_get_verify_result(ssl);
    if (verdict != X509_V_OK) {
        return X509_verify_cert_error_string(verdict);
    }
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    return reason != NULL ? reason : "the server closed during the handshake";
}
