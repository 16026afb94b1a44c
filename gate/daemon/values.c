#include "gate/daemon/values.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/x402/address.h"
#include "gate/x402/asset.h"

/* What every process that is told of them takes. */
enum { NAME_MOST = 100, TEXT_MOST = 256, PATH_MOST = 4000 };

static bool is_name(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

    return length > 0 && length <= NAME_MOST && text[length] == '\0';
}

static bool is_printable(const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

static bool is_text(const char *text)
{
    return is_printable(text) && text[0] != '\0' && strlen(text) <= TEXT_MOST;
}

static bool is_path(const char *text)
{
    return text[0] != '\0' && strlen(text) <= PATH_MOST && is_printable(text);
}

/* 1 to 65535 in its one spelling. */
static bool parse_port(const char *text, uint16_t *port)
{
    size_t length = strspn(text, "0123456789");
    unsigned long number;

    if (length == 0 || length > 5 || text[length] != '\0' || text[0] == '0')
        return false;
    number = strtoul(text, NULL, 10);
    *port = (uint16_t)number;
    return number <= UINT16_MAX;
}

static bool parse_unix(const char *path, struct sockaddr_storage *out, socklen_t *size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (path[0] != '/' || !aegis_text_copy(address.sun_path, sizeof(address.sun_path), path))
        return false;
    memcpy(out, &address, sizeof(address));
    *size = sizeof(address);
    return true;
}

static bool parse_ipv6(const char *host, uint16_t port, struct sockaddr_storage *out, socklen_t *size)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (inet_pton(AF_INET6, host, &address.sin6_addr) != 1)
        return false;
    memcpy(out, &address, sizeof(address));
    *size = sizeof(address);
    return true;
}

static bool parse_ipv4(const char *host, uint16_t port, struct sockaddr_storage *out, socklen_t *size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return false;
    memcpy(out, &address, sizeof(address));
    *size = sizeof(address);
    return true;
}

bool aegis_value_address(const char *text, struct sockaddr_storage *out, socklen_t *size)
{
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN + 2];
    uint16_t port;

    memset(out, 0, sizeof(*out));
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, out, size);
    if (colon == NULL || (size_t)(colon - text) >= sizeof(host) || !parse_port(colon + 1, &port))
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    if (host[0] != '[')
        return parse_ipv4(host, port, out, size);
    if (host[strlen(host) - 1] != ']')
        return false;
    host[strlen(host) - 1] = '\0';
    return parse_ipv6(host + 1, port, out, size);
}

bool aegis_value_is_local(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_UNIX)
        return true;
    if (address->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static bool is_address(const char *text)
{
    struct sockaddr_storage address;
    socklen_t size;

    return aegis_value_address(text, &address, &size);
}

static bool is_network(const char *text)
{
    uint64_t chain_id;

    return aegis_network_chain_id(text, &chain_id);
}

static bool is_contract(const char *text)
{
    struct aegis_address address;

    return aegis_address_parse(text, &address) && !aegis_address_is_zero(&address);
}

/* HOST or HOST:PORT, HOST a name, an IPv4 address or an IPv6 address in brackets; `length` bytes of
 * `text`. */
static bool is_authority(const char *text, size_t length)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    char copy[300], *port;
    struct in6_addr ipv6;
    uint16_t number;
    size_t host;

    if (length == 0 || length >= sizeof(copy))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (copy[0] == '[') {
        char *end = strchr(copy, ']');
        if (end == NULL)
            return false;
        *end = '\0';
        port = end + 1;
        if (inet_pton(AF_INET6, copy + 1, &ipv6) != 1)
            return false;
    } else {
        host = strspn(copy, letters);
        port = copy + host;
        if (host == 0)
            return false;
    }
    return *port == '\0' || (*port == ':' && parse_port(port + 1, &number));
}

static bool is_origin(const char *text)
{
    return is_authority(text, strlen(text));
}

static bool is_url(const char *text)
{
    const char *authority = strncmp(text, "http://", 7) == 0    ? text + 7
                            : strncmp(text, "https://", 8) == 0 ? text + 8
                                                                : NULL;

    if (authority == NULL || strlen(text) > 4096)
        return false;
    for (const char *at = text; *at != '\0'; at++)
        if (*at <= 0x20 || *at >= 0x7f || *at == '#' || *at == '"' || *at == '\\')
            return false;
    return is_authority(authority, strcspn(authority, "/?"));
}

/* Nothing stands behind the first `bits`: 10.0.0.1/8 is an address or a block, but which? */
static bool ends_behind(const unsigned char *address, size_t size, size_t bits)
{
    for (size_t i = bits; i < size * 8; i++)
        if ((address[i / 8] >> (7 - i % 8) & 1) != 0)
            return false;
    return bits <= size * 8;
}

static bool is_block(const char *text)
{
    char host[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];
    const char *slash = strchr(text, '/');
    size_t digits = slash == NULL ? 0 : strspn(slash + 1, "0123456789");
    long bits = slash == NULL ? 0 : strtol(slash + 1, NULL, 10);

    if (slash == NULL || digits == 0 || digits > 3 || slash[1 + digits] != '\0' ||
        (size_t)(slash - text) >= sizeof(host))
        return false;
    memcpy(host, text, (size_t)(slash - text));
    host[slash - text] = '\0';
    return (inet_pton(AF_INET, host, address) == 1 && ends_behind(address, 4, (size_t)bits)) ||
           (inet_pton(AF_INET6, host, address) == 1 && ends_behind(address, 16, (size_t)bits));
}

static bool is_network_pattern(const char *text)
{
    size_t length = strlen(text);

    return is_network(text) || strcmp(text, "eip155:*") == 0 || (length == 1 && text[0] == '*');
}

static bool is_preference(const char *text)
{
    const char *slash = strchr(text, '/');
    char network[AEGIS_NETWORK_TEXT];

    if (slash == NULL)
        return is_network_pattern(text) || is_name(text);
    if ((size_t)(slash - text) >= sizeof(network))
        return false;
    memcpy(network, text, (size_t)(slash - text));
    network[slash - text] = '\0';
    return is_network_pattern(network) && is_name(slash + 1);
}

/* No dot segments and no escapes: the prefix is compared with paths byte by byte. */
static bool is_prefix(const char *text)
{
    return text[0] == '/' && strpbrk(text, "?#%\\ \"") == NULL && strstr(text, "/.") == NULL &&
           strstr(text, "//") == NULL && is_text(text);
}

/* How a text of each type is checked and what a person is told to write. */
static const struct {
    const char *type;
    const char *expected;
    bool (*fits)(const char *text);
} kinds[] = {
    [AEGIS_OPTION_SECTION] = {"section", "a mapping", NULL},
    [AEGIS_OPTION_LIST] = {"list of sections", "a list", NULL},
    [AEGIS_OPTION_TEXT] = {"text", "a text of at most 256 printable bytes", is_text},
    [AEGIS_OPTION_NAME] = {"name", "a name of at most 100 letters, digits, `-`, `_` and `.`", is_name},
    [AEGIS_OPTION_PATH] = {"path", "a path", is_path},
    [AEGIS_OPTION_INTEGER] = {"integer", NULL, NULL},
    [AEGIS_OPTION_CHOICE] = {"choice", NULL, NULL},
    [AEGIS_OPTION_ADDRESS] = {"address", "IPV4:PORT, [IPV6]:PORT or unix:/PATH", is_address},
    [AEGIS_OPTION_NETWORK] = {"network", "a network such as eip155:8453", is_network},
    [AEGIS_OPTION_CONTRACT] = {"contract", "a contract's address: 0x and 40 hex digits, right checksum",
                               is_contract},
    [AEGIS_OPTION_URL] = {"URL", "http://HOST[:PORT][/PATH] or the same with https", is_url},
    [AEGIS_OPTION_BLOCK] = {"network block",
                            "a network block such as 10.0.0.0/8 or fd00::/8, all zero behind its prefix",
                            is_block},
    [AEGIS_OPTION_ORIGIN] = {"origin", "HOST or HOST:PORT", is_origin},
    [AEGIS_OPTION_PREFERENCE] = {"preference", "NETWORK/SYMBOL, NETWORK or SYMBOL", is_preference},
    [AEGIS_OPTION_PREFIX] = {"path prefix", "the beginning of a path, such as /api/", is_prefix},
};

const char *aegis_value_type(enum aegis_option_type type)
{
    return kinds[type].type;
}

/* What stands there, as one would say it. Returns `out`. */
static const char *found(const json_t *value, char *out, size_t size)
{
    if (json_is_string(value))
        snprintf(out, size, "\"%.80s\"", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(out, size, "%lld", (long long)json_integer_value(value));
    else
        snprintf(out, size, "%s",
                 json_is_array(value)    ? "a list"
                 : json_is_object(value) ? "a mapping"
                 : json_is_true(value)   ? "true"
                 : json_is_false(value)  ? "false"
                                         : "nothing");
    return out;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);

    for (const char *at = choices; length > 0; at++) {
        size_t width = strcspn(at, "|");
        if (width == length && strncmp(at, text, length) == 0)
            return true;
        at += width;
        if (*at == '\0')
            break;
    }
    return false;
}

bool aegis_option_check(const struct aegis_option *option, const json_t *value, struct aegis_error *error)
{
    char there[100];
    const char *text = json_string_value(value);

    found(value, there, sizeof(there));
    switch (option->type) {
    case AEGIS_OPTION_SECTION:
        return json_is_object(value) || aegis_error_set(error, "expected a mapping, found %s", there);
    case AEGIS_OPTION_LIST:
        return json_is_array(value) || aegis_error_set(error, "expected a list, found %s", there);
    case AEGIS_OPTION_INTEGER:
        return (json_is_integer(value) && json_integer_value(value) >= option->min &&
                json_integer_value(value) <= option->max) ||
               aegis_error_set(error, "expected an integer from %lld to %lld, found %s",
                               (long long)option->min, (long long)option->max, there);
    case AEGIS_OPTION_CHOICE:
        return (text != NULL && is_choice(option->choices, text)) ||
               aegis_error_set(error, "expected one of %s, found %s", option->choices, there);
    default:
        return (text != NULL && kinds[option->type].fits(text)) ||
               aegis_error_set(error, "expected %s, found %s", kinds[option->type].expected, there);
    }
}
