/* Connections to servers of our own: addresses that are refused, names, certificates of every kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <unistd.h>

#include "gate/http/dial.h"
#include "tests/unit/certificates.h"

struct room {
    struct event_base *base;
    struct aegis_dialer *dialer;
    struct evconnlistener *listener;
    uint16_t port;
    SSL_CTX *server;
    struct bufferevent *accepted[16];
    size_t accepted_count;

    struct aegis_dial *dial;
    unsigned calls;
    enum aegis_dial_result result;
    struct bufferevent *transport;
    char problem[256];
};

static void on_dialed(enum aegis_dial_result result, struct bufferevent *transport, const char *problem,
                      void *context)
{
    struct room *room = context;
    room->calls++;
    room->result = result;
    room->transport = transport;
    room->dial = NULL;
    snprintf(room->problem, sizeof(room->problem), "%s", problem != NULL ? problem : "");
    assert_true((result == AEGIS_DIAL_OK) == (transport != NULL));
    assert_true((result == AEGIS_DIAL_OK) == (problem == NULL));
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                      void *context)
{
    (void)listener;
    (void)address;
    (void)size;
    struct room *room = context;
    assert_true(room->accepted_count < 16);
    room->accepted[room->accepted_count++] =
        room->server != NULL
            ? bufferevent_openssl_socket_new(room->base, fd, SSL_new(room->server), BUFFEREVENT_SSL_ACCEPTING,
                                             BEV_OPT_CLOSE_ON_FREE)
            : bufferevent_socket_new(room->base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_enable(room->accepted[room->accepted_count - 1], EV_READ | EV_WRITE);
}

static void open_room(struct room *room, const struct aegis_dialer_options *options)
{
    struct aegis_error error = {0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    *room = (struct room){.base = event_base_new()};
    signal(SIGPIPE, SIG_IGN);
    room->dialer = aegis_dialer_new(room->base, options, &error);
    if (room->dialer == NULL) {
        fail_msg("%s", error.text);
    }
    room->listener = evconnlistener_new_bind(room->base, on_accept, room, LEV_OPT_CLOSE_ON_FREE, 16,
                                             (struct sockaddr *)&address, sizeof(address));
    assert_non_null(room->listener);
    assert_int_equal(getsockname(evconnlistener_get_fd(room->listener), (struct sockaddr *)&address, &size),
                     0);
    room->port = ntohs(address.sin_port);
}

static void let_go(struct room *room)
{
    if (room->transport != NULL) {
        bufferevent_free(room->transport);
        room->transport = NULL;
    }
    while (room->accepted_count > 0) {
        bufferevent_free(room->accepted[--room->accepted_count]);
    }
}

static void close_room(struct room *room)
{
    let_go(room);
    evconnlistener_free(room->listener);
    for (int i = 0; i < 3; i++) {
        event_base_loop(room->base, EVLOOP_NONBLOCK);
    }
    aegis_dialer_free(&room->dialer);
    assert_null(room->dialer);
    event_base_loop(room->base, EVLOOP_NONBLOCK);
    event_base_free(room->base);
}

static enum aegis_dial_result dial(struct room *room, const char *host, uint16_t port, bool tls)
{
    let_go(room);
    room->calls = 0;
    room->dial = aegis_dial(room->dialer, host, port, tls, on_dialed, room);
    assert_non_null(room->dial);
    while (room->calls == 0) {
        event_base_loop(room->base, EVLOOP_ONCE);
    }
    assert_int_equal(room->calls, 1);
    return room->result;
}

static void plain_connections(void **state)
{
    (void)state;
    struct room room;
    struct aegis_dialer_options options = {0};
    open_room(&room, &options);
    assert_int_equal(dial(&room, "127.0.0.1", room.port, false), AEGIS_DIAL_OK);
    assert_int_equal(bufferevent_get_enabled(room.transport) & EV_READ, 0);
    assert_int_equal(dial(&room, "localhost", room.port, false), AEGIS_DIAL_OK);
    assert_int_equal(dial(&room, "::ffff:127.0.0.1", room.port, false), AEGIS_DIAL_OK);
    evconnlistener_disable(room.listener);
    uint16_t port = room.port;
    close_room(&room);

    open_room(&room, &options);
    assert_int_equal(dial(&room, "127.0.0.1", port, false), AEGIS_DIAL_CONNECT);
    assert_string_equal(room.problem, "Connection refused");
    assert_int_equal(dial(&room, "localhost", port, false), AEGIS_DIAL_CONNECT);
    close_room(&room);
}

static void forbidden_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "169.254.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "febf::1",
        "ff02::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:1234::5601:5601",
        "2001:db8::5efe:169.254.169.254",
        "2001:db8::200:5efe:169.254.169.254",
        "::ffff:0.0.0.0",
        "not an address",
        "",
    };
    static const char *const taken[] = {
        "127.0.0.1",       "::1",     "10.0.0.1",       "192.168.1.1",      "8.8.8.8",        "100.64.0.1",
        "2606:4700::1111", "fd00::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"};
    struct room room;
    struct aegis_dialer_options options = {0};
    open_room(&room, &options);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (!aegis_dialer_refuses(room.dialer, refused[i])) {
            fail_msg("%s is taken", refused[i]);
        }
    }
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        if (aegis_dialer_refuses(room.dialer, taken[i])) {
            fail_msg("%s is refused", taken[i]);
        }
    }
    assert_int_equal(dial(&room, "169.254.169.254", 80, false), AEGIS_DIAL_REFUSED);
    assert_int_equal(dial(&room, "::ffff:169.254.169.254", 80, false), AEGIS_DIAL_REFUSED);
    close_room(&room);
}

static void the_lists_are_configurable(void **state)
{
    (void)state;
    struct room room;
    json_t *refused = json_pack("[s,s]", "127.0.0.0/8", "::1/128");
    json_t *allowed = json_pack("[s]", "127.0.0.2");
    struct aegis_dialer_options options = {.refused = refused, .allowed = allowed};
    open_room(&room, &options);
    assert_int_equal(dial(&room, "127.0.0.1", room.port, false), AEGIS_DIAL_REFUSED);
    assert_int_equal(dial(&room, "localhost", room.port, false), AEGIS_DIAL_REFUSED);
    assert_true(aegis_dialer_refuses(room.dialer, "64:ff9b::127.0.0.1"));
    assert_false(aegis_dialer_refuses(room.dialer, "127.0.0.2"));
    assert_false(aegis_dialer_refuses(room.dialer, "64:ff9b::127.0.0.2"));
    assert_false(aegis_dialer_refuses(room.dialer, "169.254.169.254"));
    close_room(&room);
    json_decref(refused);
    json_decref(allowed);
}

static void bad_lists_are_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"",         "x",          "10.0.0.0/33", "10.0.0.1/8",  "fe80::/129",
                                      "10.0.0/8", "10.0.0.0/",  "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/8/8",
                                      "::1%lo",   "1.2.3.4/32 "};
    struct event_base *base = event_base_new();
    for (size_t i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
        bool last = i == sizeof(bad) / sizeof(bad[0]);
        json_t *list = last ? json_pack("[i]", 7) : json_pack("[s]", bad[i]);
        struct aegis_dialer_options options = {.refused = list};
        struct aegis_error error = {0};
        assert_null(aegis_dialer_new(base, &options, &error));
        assert_memory_equal(error.text, "refused addresses: ", 19);
        json_decref(list);
    }
    struct aegis_dialer_options options = {.ca_file = "/nowhere/at/all.pem"};
    struct aegis_error error = {0};
    assert_null(aegis_dialer_new(base, &options, &error));
    assert_memory_equal(error.text, "/nowhere/at/all.pem: ", 21);
    event_base_loop(base, EVLOOP_NONBLOCK);
    event_base_free(base);
}

static void a_dial_can_be_called_off(void **state)
{
    (void)state;
    struct room room;
    struct aegis_dialer_options options = {0};
    open_room(&room, &options);
    static const char *const hosts[] = {"127.0.0.1", "localhost", "name.invalid"};
    for (size_t i = 0; i < 3; i++) {
        for (int turns = 0; turns < 2; turns++) {
            room.dial = aegis_dial(room.dialer, hosts[i], room.port, false, on_dialed, &room);
            if (turns > 0 && i < 2) {
                continue;
            }
            aegis_dial_cancel(&room.dial);
            assert_null(room.dial);
        }
        for (int turns = 0; turns < 5; turns++) {
            event_base_loop(room.base, EVLOOP_NONBLOCK);
        }
        let_go(&room);
    }
    assert_int_equal(room.calls, 2);
    close_room(&room);
}

static void a_server_that_never_shakes_hands_is_left(void **state)
{
    (void)state;
    struct room room;
    struct aegis_dialer_options options = {.connect_ms = 50};
    open_room(&room, &options);
    assert_int_equal(dial(&room, "127.0.0.1", room.port, true), AEGIS_DIAL_TIMEOUT);
    close_room(&room);
}

/* The authority that the dialer trusts, one that it does not, and what each case shows. */
struct authorities {
    struct identity trusted, unknown;
    char file[64];
};

static const struct certificate_plan authority_plan = {.common_name = "Test Authority", .authority = true};

static void make_authorities(struct authorities *out)
{
    out->trusted = identity_make(&authority_plan, NULL);
    out->unknown = identity_make(&authority_plan, NULL);
    strcpy(out->file, "/tmp/aegis-test-authority-XXXXXX");
    identity_write(&out->trusted, out->file);
}

static void free_authorities(struct authorities *authorities)
{
    identity_free(&authorities->trusted);
    identity_free(&authorities->unknown);
    unlink(authorities->file);
}

/* What a dialer that trusts the authority says to a server with this certificate. */
static void shake(const struct authorities *authorities, const char *host, const struct identity *shown,
                  const struct identity *between, enum aegis_dial_result expected, const char *problem)
{
    struct room room;
    struct aegis_dialer_options options = {.ca_file = authorities->file};
    open_room(&room, &options);
    room.server = identity_server(shown, between);
    enum aegis_dial_result result = dial(&room, host, room.port, true);
    if (result != expected || (problem != NULL && strstr(room.problem, problem) == NULL)) {
        fail_msg("%s: %d (%s) instead of %d (%s)", host, result, room.problem, expected,
                 problem ? problem : "");
    }
    SSL_CTX *server = room.server;
    close_room(&room);
    SSL_CTX_free(server);
}

static void certificates_are_judged(void **state)
{
    (void)state;
    static const struct {
        struct certificate_plan plan;
        enum { TRUSTED, UNKNOWN, ITSELF } issuer;
        const char *host;
        enum aegis_dial_result result;
        const char *problem;
    } rows[] = {
        {{.common_name = "a", .alternative = "DNS:localhost"}, TRUSTED, "localhost", AEGIS_DIAL_OK, NULL},
        {{.common_name = "a", .alternative = "IP:127.0.0.1"}, TRUSTED, "127.0.0.1", AEGIS_DIAL_OK, NULL},
        {{.common_name = "a", .alternative = "DNS:other,DNS:LOCALHOST"},
         TRUSTED,
         "localhost",
         AEGIS_DIAL_OK,
         NULL},
        {{.common_name = "a", .alternative = "DNS:localhost", .from_days = -3, .to_days = -1},
         TRUSTED,
         "localhost",
         AEGIS_DIAL_TLS,
         "expired"},
        {{.common_name = "a", .alternative = "DNS:localhost", .from_days = 1, .to_days = 3},
         TRUSTED,
         "localhost",
         AEGIS_DIAL_TLS,
         "not yet valid"},
        {{.common_name = "a", .alternative = "DNS:other"},
         TRUSTED,
         "localhost",
         AEGIS_DIAL_TLS,
         "hostname mismatch"},
        {{.common_name = "localhost"}, TRUSTED, "localhost", AEGIS_DIAL_TLS, NULL},
        {{.common_name = "localhost", .alternative = "DNS:other"},
         TRUSTED,
         "localhost",
         AEGIS_DIAL_TLS,
         "mismatch"},
        {{.common_name = "a", .alternative = "DNS:*"}, TRUSTED, "localhost", AEGIS_DIAL_TLS, "mismatch"},
        {{.common_name = "a", .alternative = "DNS:l*"}, TRUSTED, "localhost", AEGIS_DIAL_TLS, "mismatch"},
        {{.common_name = "a", .alternative = "DNS:localhost.example"},
         TRUSTED,
         "localhost",
         AEGIS_DIAL_TLS,
         "mismatch"},
        {{.common_name = "a", .alternative = "DNS:127.0.0.1"},
         TRUSTED,
         "127.0.0.1",
         AEGIS_DIAL_TLS,
         "IP address mismatch"},
        {{.common_name = "a", .alternative = "IP:127.0.0.2"},
         TRUSTED,
         "127.0.0.1",
         AEGIS_DIAL_TLS,
         "IP address mismatch"},
        {{.common_name = "a", .alternative = "DNS:localhost"}, UNKNOWN, "localhost", AEGIS_DIAL_TLS, NULL},
        {{.common_name = "a", .alternative = "DNS:localhost"},
         ITSELF,
         "localhost",
         AEGIS_DIAL_TLS,
         "self-signed"},
    };
    struct authorities authorities;
    make_authorities(&authorities);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct identity *issuers[] = {&authorities.trusted, &authorities.unknown, NULL};
        struct identity shown = identity_make(&rows[i].plan, issuers[rows[i].issuer]);
        shake(&authorities, rows[i].host, &shown, NULL, rows[i].result, rows[i].problem);
        identity_free(&shown);
    }
    free_authorities(&authorities);
}

static void chains_are_judged(void **state)
{
    (void)state;
    static const struct {
        struct certificate_plan between;
        enum aegis_dial_result result;
        const char *problem;
    } rows[] = {
        {{.common_name = "Between", .authority = true}, AEGIS_DIAL_OK, NULL},
        {{.common_name = "Between", .authority = false}, AEGIS_DIAL_TLS, NULL},
        {{.common_name = "Between", .authority = true, .from_days = -3, .to_days = -1},
         AEGIS_DIAL_TLS,
         "expired"},
        {{.common_name = "Between", .authority = true, .constraints = "permitted;DNS:.example"},
         AEGIS_DIAL_TLS,
         "permitted subtree violation"},
        {{.common_name = "Between", .authority = true, .constraints = "excluded;DNS:localhost"},
         AEGIS_DIAL_TLS,
         "excluded subtree violation"},
    };
    struct authorities authorities;
    make_authorities(&authorities);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct certificate_plan leaf = {.common_name = "a", .alternative = "DNS:localhost"};
        struct identity between = identity_make(&rows[i].between, &authorities.trusted);
        struct identity shown = identity_make(&leaf, &between);
        shake(&authorities, "localhost", &shown, &between, rows[i].result, rows[i].problem);
        identity_free(&shown);
        identity_free(&between);
    }
    free_authorities(&authorities);
}

/* A name with a NUL inside, as certificates for another's name were once got. */
static void a_name_with_a_nul_is_another_name(void **state)
{
    (void)state;
    struct authorities authorities;
    make_authorities(&authorities);
    struct certificate_plan leaf = {.common_name = "a"};
    struct identity shown = identity_make(&leaf, NULL);
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, "localhost\0.evil.example", 23);
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    sk_GENERAL_NAME_push(names, name);
    X509_add1_ext_i2d(shown.certificate, NID_subject_alt_name, names, 0, 0);
    X509_set_issuer_name(shown.certificate, X509_get_subject_name(authorities.trusted.certificate));
    X509_sign(shown.certificate, authorities.trusted.key, EVP_sha256());
    shake(&authorities, "localhost", &shown, NULL, AEGIS_DIAL_TLS, NULL);
    GENERAL_NAMES_free(names);
    identity_free(&shown);
    free_authorities(&authorities);
}

static void old_protocols_are_refused(void **state)
{
    (void)state;
    struct authorities authorities;
    struct room room;
    make_authorities(&authorities);
    struct certificate_plan leaf = {.common_name = "a", .alternative = "DNS:localhost"};
    struct identity shown = identity_make(&leaf, &authorities.trusted);
    struct aegis_dialer_options options = {.ca_file = authorities.file};
    open_room(&room, &options);
    SSL_CTX *server = room.server = identity_server(&shown, NULL);
    SSL_CTX_set_security_level(server, 0);
    SSL_CTX_set_min_proto_version(server, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(server, TLS1_1_VERSION);
    assert_int_equal(dial(&room, "localhost", room.port, true), AEGIS_DIAL_TLS);
    SSL_CTX_set_max_proto_version(server, TLS1_2_VERSION);
    assert_int_equal(dial(&room, "localhost", room.port, true), AEGIS_DIAL_OK);
    assert_int_equal(SSL_version(bufferevent_openssl_get_ssl(room.transport)), TLS1_2_VERSION);
    close_room(&room);
    SSL_CTX_free(server);
    identity_free(&shown);
    free_authorities(&authorities);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_connections),
        cmocka_unit_test(forbidden_addresses_are_refused),
        cmocka_unit_test(the_lists_are_configurable),
        cmocka_unit_test(bad_lists_are_named),
        cmocka_unit_test(a_dial_can_be_called_off),
        cmocka_unit_test(a_server_that_never_shakes_hands_is_left),
        cmocka_unit_test(certificates_are_judged),
        cmocka_unit_test(chains_are_judged),
        cmocka_unit_test(a_name_with_a_nul_is_another_name),
        cmocka_unit_test(old_protocols_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
