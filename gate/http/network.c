#include "gate/http/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"

struct aegis_network {
    struct aegis_ip address;
    unsigned bits;
};

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void map(const void *four, struct aegis_ip *out)
{
    memcpy(out->bytes, mapped, sizeof(mapped));
    memcpy(out->bytes + 12, four, 4);
}

bool aegis_ip_parse(const char *text, struct aegis_ip *out)
{
    uint8_t four[4];
    if (inet_pton(AF_INET, text, four) == 1) {
        map(four, out);
        return true;
    }
    return inet_pton(AF_INET6, text, out->bytes) == 1;
}

bool aegis_ip_of(const struct sockaddr *address, struct aegis_ip *out)
{
    if (address->sa_family == AF_INET) {
        map(&((const struct sockaddr_in *)(const void *)address)->sin_addr, out);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        memcpy(out->bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
               sizeof(out->bytes));
        return true;
    }
    return false;
}

static bool inside(const struct aegis_ip *address, const struct aegis_ip *network, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned rest = bits % 8;
    if (memcmp(address->bytes, network->bytes, whole) != 0) {
        return false;
    }
    uint8_t mask = (uint8_t)(0xff00U >> rest);
    return rest == 0 || (address->bytes[whole] & mask) == (network->bytes[whole] & mask);
}

bool aegis_networks_hold(const struct aegis_networks *networks, const struct aegis_ip *address)
{
    for (size_t i = 0; i < networks->count; i++) {
        if (inside(address, &networks->rows[i].address, networks->rows[i].bits)) {
            return true;
        }
    }
    return false;
}

static bool parse_bits(const char *text, unsigned most, unsigned *bits)
{
    size_t length = strlen(text);
    if (length < 1 || length > 3 || strspn(text, "0123456789") != length || (length > 1 && text[0] == '0')) {
        return false;
    }
    *bits = (unsigned)strtoul(text, NULL, 10);
    return *bits <= most;
}

static bool parse_network(const char *text, struct aegis_network *out)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof(address)) {
        return false;
    }
    memcpy(address, text, length);
    address[length] = '\0';
    if (!aegis_ip_parse(address, &out->address)) {
        return false;
    }
    unsigned most = strchr(address, ':') == NULL ? 32 : 128;
    unsigned bits = most;
    if (slash != NULL && !parse_bits(slash + 1, most, &bits)) {
        return false;
    }
    out->bits = bits + 128 - most;
    return true;
}

static bool has_bits_behind(const struct aegis_network *network)
{
    for (unsigned bit = network->bits; bit < 128; bit++) {
        if ((network->address.bytes[bit / 8] >> (7 - bit % 8) & 1) != 0) {
            return true;
        }
    }
    return false;
}

bool aegis_networks_add(struct aegis_networks *networks, const char *text, struct aegis_error *error)
{
    struct aegis_network network;
    if (!parse_network(text, &network)) {
        return aegis_error_set(error, "\"%s\" is no network; expected a form like 10.0.0.0/8 or fe80::/10",
                               text);
    }
    if (has_bits_behind(&network)) {
        return aegis_error_set(error, "\"%s\" has bits set behind its prefix", text);
    }
    struct aegis_network *rows = realloc(networks->rows, (networks->count + 1) * sizeof(*rows));
    AEGIS_ASSERT(rows != NULL);
    rows[networks->count++] = network;
    networks->rows = rows;
    return true;
}

bool aegis_networks_read(struct aegis_networks *networks, const json_t *list, struct aegis_error *error)
{
    size_t index;
    json_t *element;
    if (!json_is_array(list)) {
        return aegis_error_set(error, "expected a list of networks");
    }
    json_array_foreach(list, index, element)
    {
        if (!json_is_string(element)) {
            return aegis_error_set(error, "element %zu is not a text; expected a network", index);
        }
        if (!aegis_networks_add(networks, json_string_value(element), error)) {
            return false;
        }
    }
    return true;
}

void aegis_networks_add_builtin(struct aegis_networks *networks)
{
    static const char *const rows[] = {
        "0.0.0.0/8",       /* this host */
        "169.254.0.0/16",  /* link-local; metadata of most clouds */
        "168.63.129.16",   /* Azure's host */
        "100.100.100.200", /* Alibaba's metadata */
        "192.0.0.192",     /* Oracle's metadata */
        "224.0.0.0/4",     /* multicast */
        "240.0.0.0/4",     /* reserved, broadcast */
        "::",              /* unspecified */
        "fe80::/10",       /* link-local */
        "ff00::/8",        /* multicast */
        "fd00:ec2::254",   /* Amazon's metadata */
        "fd20:ce::254",    /* Google's metadata */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AEGIS_ASSERT(aegis_networks_add(networks, rows[i], NULL));
    }
}

void aegis_networks_free(struct aegis_networks *networks)
{
    free(networks->rows);
    *networks = (struct aegis_networks){0};
}

bool aegis_ip_embedded(const struct aegis_ip *address, struct aegis_ip *out)
{
    static const struct {
        uint8_t prefix[12];
        unsigned at, size; /* where the prefix stands */
        unsigned inner;    /* where the IPv4 address begins */
        uint8_t mask;      /* Teredo hides it */
    } forms[] = {
        {{0}, 0, 12, 12, 0},                                           /* IPv4-compatible */
        {{0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}, 0, 12, 12, 0}, /* NAT64 */
        {{0, 0x64, 0xff, 0x9b, 0, 1}, 0, 6, 12, 0},                    /* NAT64, local */
        {{0x20, 0x02}, 0, 2, 2, 0},                                    /* 6to4 */
        {{0x20, 0x01, 0, 0}, 0, 4, 12, 0xff},                          /* Teredo */
        {{0, 0, 0x5e, 0xfe}, 8, 4, 12, 0},                             /* ISATAP */
        {{2, 0, 0x5e, 0xfe}, 8, 4, 12, 0},
    };
    static const uint8_t loopback[16] = {[15] = 1};
    if (memcmp(address->bytes, loopback, sizeof(loopback)) == 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (memcmp(address->bytes + forms[i].at, forms[i].prefix, forms[i].size) == 0) {
            uint8_t four[4];
            for (unsigned j = 0; j < 4; j++) {
                four[j] = address->bytes[forms[i].inner + j] ^ forms[i].mask;
            }
            map(four, out);
            return true;
        }
    }
    return false;
}
