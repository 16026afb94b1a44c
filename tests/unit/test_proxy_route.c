/* Where requests go, and who asks: routes and credentials. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "gate/base/text.h"
#include "gate/proxy/credential.h"
#include "gate/proxy/route.h"
#include "gate/proxy/settings.h"

static struct aegis_settings *settings_of(const char *text)
{
    struct aegis_error error = {0};
    json_t *config = json_loads(text, 0, NULL);
    assert_non_null(config);
    struct aegis_settings *settings = aegis_settings_new(config, &error);
    if (!settings)
        fail_msg("%s", error.text);
    json_decref(config);
    return settings;
}

static const char config[] = "{\"listeners\": [{\"name\": \"forward\", \"mode\": \"forward\"},"
                             " {\"name\": \"reverse\", \"mode\": \"reverse\", \"routes\": ["
                             "  {\"prefix\": \"/weather\", \"upstream\": \"https://api.example/v1/\"},"
                             "  {\"prefix\": \"/weather/paid/\", \"upstream\": \"http://paid.example:8080\"},"
                             "  {\"prefix\": \"/whole\", \"upstream\": \"http://whole.example\"}]},"
                             " {\"name\": \"all\", \"mode\": \"reverse\", \"routes\": [{\"prefix\": \"/\", "
                             "\"upstream\": \"http://only.example/base\"}]}]}";

struct row {
    const char *listener;
    const char *method;
    const char *target;
    const char *url;  /* what is asked for in the end, or NULL */
    const char *code; /* the problem instead */
};

static const struct row rows[] = {
    {"forward", "GET", "http://Example.COM/a?b=c", "http://example.com/a?b=c", NULL},
    {"forward", "GET", "http://example.com", "http://example.com/", NULL},
    {"forward", "GET", "http://example.com?x=/y", "http://example.com/?x=/y", NULL},
    {"forward", "GET", "http://example.com:80/x", "http://example.com/x", NULL},
    {"forward", "GET", "http://example.com:8080/x", "http://example.com:8080/x", NULL},
    {"forward", "GET", "https://example.com:443/x", "https://example.com/x", NULL},
    {"forward", "GET", "http://example.com:443/x", "http://example.com:443/x", NULL},
    {"forward", "GET", "http://[::1]:81/x", "http://[::1]:81/x", NULL},
    {"forward", "GET", "/https/example.com/x?y", "https://example.com/x?y", NULL},
    {"forward", "GET", "/https/example.com", "https://example.com/", NULL},
    {"forward", "GET", "/https/example.com?q=1", "https://example.com/?q=1", NULL},
    {"forward", "GET", "/https/Example.com:8443/x", "https://example.com:8443/x", NULL},
    {"forward", "GET", "/http/127.0.0.1:4021/x", "http://127.0.0.1:4021/x", NULL},
    {"forward", "GET", "/http/[::1]:4021/x", "http://[::1]:4021/x", NULL},
    {"forward", "GET", "/http/a.example/../x", "http://a.example/../x", NULL},
    {"forward", "GET", "/http/a.example/http/b.example/", "http://a.example/http/b.example/", NULL},
    {"forward", "GET", "/http/", NULL, "bad_target"},
    {"forward", "GET", "/https//x", NULL, "bad_target"},
    {"forward", "GET", "/https/user@example.com/x", NULL, "bad_target"},
    {"forward", "GET", "/https/example.com:0/x", NULL, "bad_target"},
    {"forward", "GET", "/https/example.com:99999/x", NULL, "bad_target"},
    {"forward", "GET", "/https/exa%6dple.com/x", NULL, "bad_target"},
    {"forward", "GET", "/other/x", NULL, "no_such_route"},
    {"forward", "GET", "/", NULL, "no_such_route"},
    {"forward", "OPTIONS", "*", NULL, "bad_target"},
    {"forward", "GET", "ftp://example.com/x", NULL, "bad_target"},
    {"forward", "CONNECT", "example.com:443", NULL, "tunnel_unsupported"},
    {"forward", "CONNECT", "Example.com:80", "http://example.com/", NULL},
    {"forward", "CONNECT", "127.0.0.1:4021", "http://127.0.0.1:4021/", NULL},
    {"forward", "CONNECT", "[::1]:4021", "http://[::1]:4021/", NULL},
    {"reverse", "CONNECT", "example.com:80", NULL, "tunnel_unsupported"},
    {"reverse", "CONNECT", "example.com:443", NULL, "tunnel_unsupported"},
    {"reverse", "GET", "/weather", "https://api.example/v1", NULL},
    {"reverse", "GET", "/weather?day=1", "https://api.example/v1?day=1", NULL},
    {"reverse", "GET", "/weather/oslo?day=1", "https://api.example/v1/oslo?day=1", NULL},
    {"reverse", "GET", "/weather/paid/oslo", "http://paid.example:8080/oslo", NULL},
    {"reverse", "GET", "/weather/paid", "http://paid.example:8080/", NULL},
    {"reverse", "GET", "/weather/paidx", "https://api.example/v1/paidx", NULL},
    {"reverse", "GET", "/weatherman", NULL, "no_such_route"},
    {"reverse", "GET", "/whole", "http://whole.example/", NULL},
    {"reverse", "GET", "/whole?x", "http://whole.example/?x", NULL},
    {"reverse", "GET", "/whole//x", "http://whole.example//x", NULL},
    {"reverse", "GET", "/https/example.com/x", NULL, "no_such_route"},
    {"reverse", "GET", "http://example.com/weather", NULL, "misdirected_request"},
    {"reverse", "GET", "/weather/../admin", NULL, "path_not_allowed"},
    {"reverse", "GET", "/weather/..", NULL, "path_not_allowed"},
    {"reverse", "GET", "/weather/%2e%2E/admin", NULL, "path_not_allowed"},
    {"reverse", "GET", "/weather/.%2e/admin", NULL, "path_not_allowed"},
    {"reverse", "GET", "/weather/a%2f..%2fb", NULL, "path_not_allowed"},
    {"reverse", "GET", "/weather/a%5C..%5Cb", NULL, "path_not_allowed"},
    {"reverse", "GET", "/weather/./x", NULL, "path_not_allowed"},
    {"reverse", "GET", "/weather/..;/admin", NULL, "path_not_allowed"},
    {"reverse", "GET", "/weather/%2e.%3Bv=1/admin", NULL, "path_not_allowed"},
    {"reverse", "GET", "/weather/a;v=../b", "https://api.example/v1/a;v=../b", NULL},
    {"reverse", "GET", "/weather/...", "https://api.example/v1/...", NULL},
    {"reverse", "GET", "/weather/x?path=../y", "https://api.example/v1/x?path=../y", NULL},
    {"all", "GET", "/", "http://only.example/base/", NULL},
    {"all", "GET", "/x", "http://only.example/base/x", NULL},
};

static void check_row(const struct aegis_settings *settings, const char *tunnel, const struct row *row)
{
    struct aegis_route route;
    struct aegis_http_head head = {.method = {row->method, strlen(row->method)},
                                   .target = {row->target, strlen(row->target)}};
    const char *code = NULL, *detail = NULL;
    const struct aegis_settings_listener *listener = aegis_settings_listener_find(settings, row->listener);
    assert_non_null(listener);
    bool found = aegis_route_find(listener, tunnel, &head, &route, &code, &detail);
    if (found != (row->url != NULL))
        fail_msg("%s %s: %s", row->method, row->target, found ? "found" : code);
    if (!found) {
        assert_string_equal(code, row->code);
        assert_non_null(detail);
        return;
    }
    char *url = aegis_route_url(&route, true);
    assert_string_equal(url, row->url);
    char *bare = aegis_route_url(&route, false);
    assert_null(strchr(bare, '?'));
    assert_memory_equal(bare, url, strlen(bare));
    free(bare);
    free(url);
    aegis_route_clear(&route);
}

static void routes_lead_where_they_say(void **state)
{
    (void)state;
    struct aegis_settings *settings = settings_of(config);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check_row(settings, NULL, &rows[i]);
    aegis_settings_release(&settings);
}

static void a_tunnel_leads_to_its_own_origin_only(void **state)
{
    (void)state;
    static const struct row inside[] = {
        {"forward", "GET", "/x?y", "http://inside.example:81/x?y", NULL},
        {"forward", "GET", "/https/example.com/x", "http://inside.example:81/https/example.com/x", NULL},
        {"forward", "GET", "//example.com/x", "http://inside.example:81//example.com/x", NULL},
        {"forward", "GET", "http://example.com/x", NULL, "misdirected_request"},
        {"forward", "OPTIONS", "*", NULL, "bad_target"},
        {"forward", "CONNECT", "example.com:80", NULL, "tunnel_unsupported"},
    };
    struct aegis_settings *settings = settings_of(config);
    for (size_t i = 0; i < sizeof(inside) / sizeof(*inside); i++)
        check_row(settings, "inside.example:81", &inside[i]);
    aegis_settings_release(&settings);
}

static void a_long_target_keeps_every_byte(void **state)
{
    (void)state;
    struct aegis_settings *settings = settings_of(config);
    for (size_t size = 480; size < 530; size++) {
        char *path = aegis_format("/http/h.example/%0*d", (int)size, 7);
        char *url = aegis_format("http://h.example/%0*d", (int)size, 7);
        struct row row = {"forward", "GET", path, url, NULL};
        check_row(settings, NULL, &row);
        free(path);
        free(url);
    }
    aegis_settings_release(&settings);
}

static void bad_settings_name_the_field(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        const char *names;
    } cases[] = {
        {"{}", "listeners"},
        {"{\"listeners\": [{\"name\": \"a\", \"mode\": \"sideways\"}]}", "listeners[0]: mode"},
        {"{\"listeners\": [{\"name\": \"a\", \"mode\": \"forward\"}, {\"name\": \"a\", \"mode\": "
         "\"forward\"}]}",
         "twice"},
        {"{\"listeners\": [{\"name\": \"a\", \"mode\": \"reverse\", \"routes\": [{\"prefix\": \"x\", "
         "\"upstream\": "
         "\"http://h\"}]}]}",
         "routes[0]: prefix"},
        {"{\"listeners\": [{\"name\": \"a\", \"mode\": \"reverse\", \"routes\": [{\"prefix\": \"/x\", "
         "\"upstream\": "
         "\"h/y\"}]}]}",
         "routes[0]: upstream"},
        {"{\"listeners\": [{\"name\": \"a\", \"mode\": \"reverse\", \"routes\": [{\"prefix\": \"/x\", "
         "\"upstream\": "
         "\"http://h/y?z\"}]}]}",
         "without a query"},
        {"{\"listeners\": [], \"limits\": {\"connections\": -1}}", "connections"},
        {"{\"listeners\": [], \"timeouts\": {\"sleep_ms\": 1}}", "sleep_ms"},
        {"{\"listeners\": [], \"via\": \"a b\"}", "via"},
        {"{\"listeners\": [], \"free_origins\": [1]}", "free_origins[0]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct aegis_error error = {0};
        json_t *value = json_loads(cases[i].config, 0, NULL);
        assert_non_null(value);
        assert_null(aegis_settings_new(value, &error));
        if (!strstr(error.text, cases[i].names))
            fail_msg("expected \"%s\" in \"%s\"", cases[i].names, error.text);
        json_decref(value);
    }
}

static void what_is_read_at_the_start_cannot_change(void **state)
{
    (void)state;
    struct aegis_error error = {0};
    struct aegis_settings *first = settings_of("{\"listeners\": []}");
    struct aegis_settings *same = settings_of("{\"listeners\": [], \"limits\": {\"connections\": 7}}");
    struct aegis_settings *other =
        settings_of("{\"listeners\": [], \"refused_addresses\": [\"10.0.0.0/8\"]}");
    assert_true(aegis_settings_same_start(first, same, &error));
    assert_false(aegis_settings_same_start(first, other, &error));
    assert_non_null(strstr(error.text, "refused_addresses"));
    aegis_settings_release(&first);
    aegis_settings_release(&same);
    aegis_settings_release(&other);
}

static void tokens_are_read_from_either_scheme(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *token; /* NULL: none */
    } cases[] = {
        {"Bearer ows_key_1", "ows_key_1"},
        {"bearer   ows_key_1", "ows_key_1"},
        {"Basic YWdlbnQ6b3dzX2tleV8x", "ows_key_1"},
        {"BASIC YWdlbnQ6b3dzX2tleV8x", "ows_key_1"},
        {"Basic OndpdGg6Y29sb24=", "with:colon"},
        {"Basic OndpdGg6Y29sb24", "with:colon"},
        {"Basic YWdlbnQ6", NULL},     /* agent: */
        {"Basic YWdlbnQ=", NULL},     /* agent */
        {"Basic YWdlbnQ6YSBi", NULL}, /* agent:a b */
        {"Basic not*base64", NULL},
        {"Basic", NULL},
        {"Bearer", NULL},
        {"Bearer ", NULL},
        {"Bearer two tokens", NULL},
        {"Digest username=\"x\"", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char token[AEGIS_TOKEN_TEXT];
        struct aegis_http_text value = {cases[i].value, strlen(cases[i].value)};
        bool ok = aegis_credential_token(value, token);
        if (ok != (cases[i].token != NULL))
            fail_msg("%s", cases[i].value);
        if (ok)
            assert_string_equal(token, cases[i].token);
    }
}

static void tokens_have_a_longest_length(void **state)
{
    (void)state;
    char token[AEGIS_TOKEN_TEXT];
    char *fits = aegis_format("Bearer %0*d", AEGIS_TOKEN_TEXT - 1, 1);
    char *long_one = aegis_format("Bearer %0*d", AEGIS_TOKEN_TEXT, 1);
    assert_true(aegis_credential_token((struct aegis_http_text){fits, strlen(fits)}, token));
    assert_false(aegis_credential_token((struct aegis_http_text){long_one, strlen(long_one)}, token));
    free(fits);
    free(long_one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_lead_where_they_say),
        cmocka_unit_test(a_tunnel_leads_to_its_own_origin_only),
        cmocka_unit_test(a_long_target_keeps_every_byte),
        cmocka_unit_test(bad_settings_name_the_field),
        cmocka_unit_test(what_is_read_at_the_start_cannot_change),
        cmocka_unit_test(tokens_are_read_from_either_scheme),
        cmocka_unit_test(tokens_have_a_longest_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
