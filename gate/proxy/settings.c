#include "gate/proxy/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/x402/challenge.h"

enum { SECOND = 1000, HOUR = 3600 * SECOND, KIB = 1024, MIB = 1024 * KIB };

#define REQUIRED(name, kind, max)                                                                            \
    {                                                                                                        \
        name, AEGIS_JSON_##kind, true, max                                                                   \
    }
#define OPTIONAL(name, kind, max)                                                                            \
    {                                                                                                        \
        name, AEGIS_JSON_##kind, false, max                                                                  \
    }

static const struct aegis_json_field config_fields[] = {
    REQUIRED("listeners", ARRAY, 64),
    OPTIONAL("assets", ARRAY, 4096),
    OPTIONAL("preference", ARRAY, 256),
    OPTIONAL("limits", OBJECT, 0),
    OPTIONAL("timeouts", OBJECT, 0),
    OPTIONAL("refused_addresses", ARRAY, 4096),
    OPTIONAL("allowed_addresses", ARRAY, 4096),
    OPTIONAL("ca_file", STRING, 4096),
    OPTIONAL("free_origins", ARRAY, 4096),
    OPTIONAL("via", STRING, 64),
    {0},
};

static const struct aegis_json_field listener_fields[] = {
    REQUIRED("name", STRING, AEGIS_LISTENER_NAME - 1),
    REQUIRED("mode", STRING, 16),
    OPTIONAL("token_required", BOOLEAN, 0),
    OPTIONAL("routes", ARRAY, 4096),
    {0},
};

static const struct aegis_json_field route_fields[] = {
    REQUIRED("prefix", STRING, 1024),
    REQUIRED("upstream", STRING, 2048),
    {0},
};

static const struct aegis_json_field limit_fields[] = {
    OPTIONAL("head_bytes", INTEGER, MIB),
    OPTIONAL("request_body_bytes", INTEGER, 1024LL * MIB),
    OPTIONAL("challenge_body_bytes", INTEGER, AEGIS_CHALLENGE_BODY_MAX),
    OPTIONAL("connections", INTEGER, 1000000),
    OPTIONAL("pool_per_origin", INTEGER, 65536),
    OPTIONAL("write_high_bytes", INTEGER, 1024LL * MIB),
    {0},
};

static const struct aegis_json_field timeout_fields[] = {
    OPTIONAL("head_ms", INTEGER, HOUR),
    OPTIONAL("idle_ms", INTEGER, HOUR),
    OPTIONAL("first_byte_ms", INTEGER, HOUR),
    OPTIONAL("read_ms", INTEGER, HOUR),
    OPTIONAL("write_ms", INTEGER, HOUR),
    OPTIONAL("connect_ms", INTEGER, HOUR),
    OPTIONAL("pool_idle_ms", INTEGER, HOUR),
    OPTIONAL("authorize_ms", INTEGER, HOUR),
    {0},
};

static bool strings_only(const json_t *array, const char *what, struct aegis_error *error)
{
    size_t index;
    json_t *value;
    json_array_foreach(array, index, value)
    {
        if (!json_is_string(value))
            return aegis_error_set(error, "%s[%zu]: expected a text", what, index);
    }
    return true;
}

static int by_prefix_length(const void *a, const void *b)
{
    size_t left = strlen(((const struct aegis_settings_route *)a)->prefix);
    size_t right = strlen(((const struct aegis_settings_route *)b)->prefix);
    return left < right ? 1 : left > right ? -1 : 0;
}

static void drop_last_slash(char *text)
{
    size_t length = strlen(text);
    if (length > 0 && text[length - 1] == '/')
        text[length - 1] = '\0';
}

static bool read_route(const json_t *value, struct aegis_settings_route *route, struct aegis_error *error)
{
    if (!aegis_json_check(value, route_fields, error))
        return false;
    const char *prefix = aegis_json_text(value, "prefix", "");
    if (prefix[0] != '/')
        return aegis_error_set(error, "prefix: expected a path that begins with \"/\", found \"%s\"", prefix);
    route->prefix = aegis_strdup(prefix);
    drop_last_slash(route->prefix);
    route->upstream = aegis_strdup(aegis_json_text(value, "upstream", ""));
    struct aegis_http_text text = {route->upstream, strlen(route->upstream)};
    struct aegis_http_url url;
    const char *problem = NULL;
    if (!aegis_http_url_parse(text, &url, &problem))
        return aegis_error_set(error, "upstream: expected http://... or https://..., found \"%s\": %s",
                               route->upstream, problem);
    if (strchr(route->upstream, '?'))
        return aegis_error_set(error, "upstream: expected a URL without a query, found \"%s\"",
                               route->upstream);
    drop_last_slash(route->upstream);
    return true;
}

static bool read_routes(const json_t *routes, struct aegis_settings_listener *listener,
                        struct aegis_error *error)
{
    size_t index;
    json_t *value;
    listener->routes = aegis_alloc((json_array_size(routes) + 1) * sizeof(*listener->routes));
    json_array_foreach(routes, index, value)
    {
        if (!read_route(value, &listener->routes[listener->route_count++], error))
            return aegis_error_prefix(error, "routes[%zu]", index);
    }
    qsort(listener->routes, listener->route_count, sizeof(*listener->routes), by_prefix_length);
    for (size_t i = 1; i < listener->route_count; i++) {
        if (!strcmp(listener->routes[i].prefix, listener->routes[i - 1].prefix))
            return aegis_error_set(error, "routes: two of them have the prefix \"%s/\"",
                                   listener->routes[i].prefix);
    }
    return true;
}

static bool read_listener(const json_t *value, struct aegis_settings_listener *listener,
                          struct aegis_error *error)
{
    if (!aegis_json_check(value, listener_fields, error))
        return false;
    aegis_text_copy(listener->name, sizeof(listener->name), aegis_json_text(value, "name", ""));
    const char *mode = aegis_json_text(value, "mode", "");
    listener->reverse = !strcmp(mode, "reverse");
    if (!listener->reverse && strcmp(mode, "forward") != 0)
        return aegis_error_set(error, "mode: expected \"forward\" or \"reverse\", found \"%s\"", mode);
    listener->token_required = aegis_json_boolean(value, "token_required", true);
    return read_routes(json_object_get(value, "routes"), listener, error);
}

static bool read_listeners(const json_t *array, struct aegis_settings *settings, struct aegis_error *error)
{
    size_t index;
    json_t *value;
    settings->listeners = aegis_alloc((json_array_size(array) + 1) * sizeof(*settings->listeners));
    json_array_foreach(array, index, value)
    {
        struct aegis_settings_listener *listener = &settings->listeners[settings->listener_count++];
        if (!read_listener(value, listener, error))
            return aegis_error_prefix(error, "listeners[%zu]", index);
        if (aegis_settings_listener_find(settings, listener->name) != listener)
            return aegis_error_set(error, "listeners[%zu].name: \"%s\" is used twice", index, listener->name);
    }
    return true;
}

static bool read_limits(const json_t *limits, struct aegis_settings *settings, struct aegis_error *error)
{
    if (limits && !aegis_json_check(limits, limit_fields, error))
        return aegis_error_prefix(error, "limits");
    settings->request_body = (size_t)aegis_json_integer(limits, "request_body_bytes", MIB);
    snprintf(settings->request_body_text, sizeof(settings->request_body_text), "%zu bytes",
             settings->request_body);
    settings->challenge_body =
        (size_t)aegis_json_integer(limits, "challenge_body_bytes", AEGIS_CHALLENGE_BODY_MAX);
    settings->connections = (size_t)aegis_json_integer(limits, "connections", 4096);
    settings->pool_per_origin = (size_t)aegis_json_integer(limits, "pool_per_origin", 64);
    struct aegis_http_limits *side = &settings->agent_side;
    side->head = (size_t)aegis_json_integer(limits, "head_bytes", (json_int_t)side->head);
    side->write_high = (size_t)aegis_json_integer(limits, "write_high_bytes", (json_int_t)side->write_high);
    return true;
}

static bool read_timeouts(const json_t *timeouts, struct aegis_settings *settings, struct aegis_error *error)
{
    if (timeouts && !aegis_json_check(timeouts, timeout_fields, error))
        return aegis_error_prefix(error, "timeouts");
    struct aegis_http_limits *side = &settings->agent_side;
    side->head_ms = aegis_json_integer(timeouts, "head_ms", side->head_ms);
    side->idle_ms = aegis_json_integer(timeouts, "idle_ms", side->idle_ms);
    side->first_byte_ms = aegis_json_integer(timeouts, "first_byte_ms", side->first_byte_ms);
    side->read_ms = aegis_json_integer(timeouts, "read_ms", side->read_ms);
    side->write_ms = aegis_json_integer(timeouts, "write_ms", side->write_ms);
    settings->origin_side = *side;
    settings->origin_side.idle_ms = aegis_json_integer(timeouts, "pool_idle_ms", 30L * SECOND);
    settings->connect_ms = aegis_json_integer(timeouts, "connect_ms", 10L * SECOND);
    settings->authorize_ms = aegis_json_integer(timeouts, "authorize_ms", 10L * SECOND);
    return true;
}

static bool read_money(const json_t *config, struct aegis_settings *settings, struct aegis_error *error)
{
    settings->assets = aegis_assets_new();
    const json_t *assets = json_object_get(config, "assets");
    if (assets && !aegis_assets_add(settings->assets, assets, error))
        return false;
    settings->preference = json_incref(json_object_get(config, "preference"));
    return strings_only(settings->preference, "preference", error);
}

static bool read_network(const json_t *config, struct aegis_settings *settings, struct aegis_error *error)
{
    settings->refused = json_incref(json_object_get(config, "refused_addresses"));
    settings->allowed = json_incref(json_object_get(config, "allowed_addresses"));
    settings->free_origins = json_incref(json_object_get(config, "free_origins"));
    const char *ca_file = aegis_json_text(config, "ca_file", NULL);
    settings->ca_file = ca_file ? aegis_strdup(ca_file) : NULL;
    const char *name = aegis_json_text(config, "via", "aegis");
    if (name[0] == '\0' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != strlen(name))
        return aegis_error_set(error, "via: expected letters, digits, \"-\", \".\" and \"_\", found \"%s\"",
                               name);
    char *via = aegis_format("1.1 %s", name);
    aegis_text_copy(settings->via, sizeof(settings->via), via);
    free(via);
    return strings_only(settings->refused, "refused_addresses", error) &&
           strings_only(settings->allowed, "allowed_addresses", error) &&
           strings_only(settings->free_origins, "free_origins", error);
}

struct aegis_settings *aegis_settings_new(const json_t *config, struct aegis_error *error)
{
    if (!aegis_json_check(config, config_fields, error))
        return NULL;
    struct aegis_settings *settings = aegis_alloc(sizeof(*settings));
    settings->references = 1;
    aegis_http_limits_default(&settings->agent_side);
    if (!read_listeners(json_object_get(config, "listeners"), settings, error) ||
        !read_limits(json_object_get(config, "limits"), settings, error) ||
        !read_timeouts(json_object_get(config, "timeouts"), settings, error) ||
        !read_money(config, settings, error) || !read_network(config, settings, error))
        aegis_settings_release(&settings);
    return settings;
}

struct aegis_settings *aegis_settings_retain(struct aegis_settings *settings)
{
    settings->references++;
    return settings;
}

static void free_listener(struct aegis_settings_listener *listener)
{
    for (size_t i = 0; i < listener->route_count; i++) {
        free(listener->routes[i].prefix);
        free(listener->routes[i].upstream);
    }
    free(listener->routes);
}

void aegis_settings_release(struct aegis_settings **pointer)
{
    struct aegis_settings *settings = *pointer;
    *pointer = NULL;
    if (!settings || --settings->references > 0)
        return;
    for (size_t i = 0; i < settings->listener_count; i++)
        free_listener(&settings->listeners[i]);
    free(settings->listeners);
    aegis_assets_free(&settings->assets);
    json_decref(settings->preference);
    json_decref(settings->refused);
    json_decref(settings->allowed);
    json_decref(settings->free_origins);
    free(settings->ca_file);
    free(settings);
}

const struct aegis_settings_listener *aegis_settings_listener_find(const struct aegis_settings *settings,
                                                                   const char *name)
{
    for (size_t i = 0; i < settings->listener_count; i++) {
        if (!strcmp(settings->listeners[i].name, name))
            return &settings->listeners[i];
    }
    return NULL;
}

static bool same_list(const json_t *a, const json_t *b)
{
    return (!a && !b) || (a && b && json_equal(a, b));
}

static bool same_text(const char *a, const char *b)
{
    return (!a && !b) || (a && b && !strcmp(a, b));
}

bool aegis_settings_same_start(const struct aegis_settings *first, const struct aegis_settings *later,
                               struct aegis_error *error)
{
    const struct {
        const char *option;
        bool same;
    } fixed[] = {
        {"ca_file", same_text(first->ca_file, later->ca_file)},
        {"refused_addresses", same_list(first->refused, later->refused)},
        {"allowed_addresses", same_list(first->allowed, later->allowed)},
        {"timeouts.connect_ms", first->connect_ms == later->connect_ms},
        {"timeouts.authorize_ms", first->authorize_ms == later->authorize_ms},
    };
    for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++) {
        if (!fixed[i].same)
            return aegis_error_set(error, "%s: cannot change while the worker runs; restart the gate",
                                   fixed[i].option);
    }
    return true;
}
