#include "tests/unit/certificates.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "certificates: %s failed\n", what);
        abort();
    }
}

static void extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    if (value == NULL) {
        return;
    }
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

static void fill(X509 *certificate, const struct certificate_plan *plan, EVP_PKEY *key)
{
    long serial;
    long day = 24L * 60 * 60;
    bool usual = plan->from_days == 0 && plan->to_days == 0;
    must(RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1, "RAND_bytes");
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), labs(serial) | 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), usual ? -day : plan->from_days * day);
    X509_gmtime_adj(X509_getm_notAfter(certificate), usual ? day : plan->to_days * day);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)plan->common_name, -1, -1, 0);
    X509_set_pubkey(certificate, key);
}

struct identity identity_make(const struct certificate_plan *plan, const struct identity *issuer)
{
    struct identity made = {EVP_EC_gen("P-256"), X509_new()};
    must(made.key != NULL && made.certificate != NULL, "key");
    const struct identity *signer = issuer != NULL ? issuer : &made;
    fill(made.certificate, plan, made.key);
    X509_set_issuer_name(made.certificate, X509_get_subject_name(signer->certificate));
    extend(made.certificate, signer->certificate, NID_basic_constraints,
           plan->authority ? "critical,CA:TRUE" : "CA:FALSE");
    extend(made.certificate, signer->certificate, NID_key_usage,
           plan->authority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
    extend(made.certificate, signer->certificate, NID_subject_key_identifier, "hash");
    if (issuer != NULL) {
        extend(made.certificate, signer->certificate, NID_authority_key_identifier, "keyid:always");
    }
    extend(made.certificate, signer->certificate, NID_subject_alt_name, plan->alternative);
    extend(made.certificate, signer->certificate, NID_name_constraints, plan->constraints);
    must(X509_sign(made.certificate, signer->key, EVP_sha256()) > 0, "X509_sign");
    return made;
}

void identity_free(struct identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->certificate);
    *identity = (struct identity){0};
}

SSL_CTX *identity_server(const struct identity *identity, const struct identity *between)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    must(context != NULL && SSL_CTX_use_certificate(context, identity->certificate) == 1 &&
             SSL_CTX_use_PrivateKey(context, identity->key) == 1,
         "SSL_CTX");
    if (between != NULL) {
        must(SSL_CTX_add1_chain_cert(context, between->certificate) == 1, "SSL_CTX_add1_chain_cert");
    }
    return context;
}

void identity_write(const struct identity *identity, char *path)
{
    int file = mkstemp(path);
    FILE *stream = file >= 0 ? fdopen(file, "w") : NULL;
    must(stream != NULL && PEM_write_X509(stream, identity->certificate) == 1 && fclose(stream) == 0, path);
}
