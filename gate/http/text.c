/* Texts inside heads, and the questions asked of a head that was parsed. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gate/base/text.h"
#include "gate/http/chars.h"
#include "gate/http/head.h"

bool aegis_http_text_is(struct aegis_http_text text, const char *other)
{
    size_t length = strlen(other);
    return text.length == length && strncasecmp(text.at, other, length) == 0;
}

bool aegis_http_text_equal(struct aegis_http_text text, const char *other)
{
    size_t length = strlen(other);
    return text.length == length && memcmp(text.at, other, length) == 0;
}

char *aegis_http_text_copy(struct aegis_http_text text)
{
    char *copy = aegis_alloc(text.length + 1);
    if (text.length > 0) {
        memcpy(copy, text.at, text.length);
    }
    return copy;
}

const struct aegis_http_field *aegis_http_find(const struct aegis_http_head *head, const char *name,
                                               size_t *count)
{
    const struct aegis_http_field *found = NULL;
    size_t seen = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        if (aegis_http_text_is(head->fields[i].name, name)) {
            found = found != NULL ? found : &head->fields[i];
            seen++;
        }
    }
    if (count != NULL) {
        *count = seen;
    }
    return seen == 1 ? found : NULL;
}

static struct aegis_http_text trim(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t')) {
        at++;
    }
    while (end > at && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    return (struct aegis_http_text){at, (size_t)(end - at)};
}

bool aegis_http_list_each(struct aegis_http_text list,
                          bool (*each)(struct aegis_http_text element, void *context), void *context)
{
    const char *at = list.at;
    const char *end = list.at + list.length;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        struct aegis_http_text element = trim(at, stop);
        if (element.length > 0 && !each(element, context)) {
            return false;
        }
        at = stop + 1;
    }
    return true;
}

struct sought {
    const char *token;
    size_t length;
};

static bool is_other(struct aegis_http_text element, void *context)
{
    const struct sought *sought = context;
    return element.length != sought->length || strncasecmp(element.at, sought->token, sought->length) != 0;
}

static bool list_has(const struct aegis_http_head *head, const char *name, struct sought sought)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < head->field_count; i++) {
        const struct aegis_http_field *field = &head->fields[i];
        if (field->name.length == length && strncasecmp(field->name.at, name, length) == 0 &&
            !aegis_http_list_each(field->value, is_other, &sought)) {
            return true;
        }
    }
    return false;
}

bool aegis_http_list_has(const struct aegis_http_head *head, const char *name, const char *token)
{
    return list_has(head, name, (struct sought){token, strlen(token)});
}

static bool always_hop_by_hop(struct aegis_http_text name)
{
    if (name.length > 6 && aegis_http_same(name.at, "proxy-", 6)) {
        return true;
    }
    switch (name.length) {
    case 2:
        return aegis_http_same(name.at, "te", 2);
    case 7:
        return aegis_http_same(name.at, "trailer", 7) || aegis_http_same(name.at, "upgrade", 7);
    case 10:
        return aegis_http_same(name.at, "connection", 10) || aegis_http_same(name.at, "keep-alive", 10);
    case 17:
        return aegis_http_same(name.at, "transfer-encoding", 17);
    default:
        return false;
    }
}

bool aegis_http_hop_by_hop(const struct aegis_http_head *head, const struct aegis_http_field *field)
{
    if (always_hop_by_hop(field->name)) {
        return true;
    }
    return head->connection_names &&
           list_has(head, "Connection", (struct sought){field->name.at, field->name.length});
}

struct aegis_http_text aegis_http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {100, "Continue"},
        {103, "Early Hints"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return (struct aegis_http_text){reasons[i].reason, strlen(reasons[i].reason)};
        }
    }
    return (struct aegis_http_text){"", 0};
}
