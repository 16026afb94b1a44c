/* Heads on their way out: composed in one buffer, which most heads fit into without a second allocation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/http/chars.h"
#include "gate/http/inside.h"

enum { MESSAGE_SPACE = 1472 };

struct aegis_http_message {
    int status; /* 0: a request */
    size_t method_length;
    size_t size, capacity;
    char *bytes; /* `space` until that is too small */
    char space[MESSAGE_SPACE];
};

static char *reserve(struct aegis_http_message *message, size_t size)
{
    if (message->capacity - message->size < size) {
        size_t capacity = (message->size + size) * 2;
        char *grown = realloc(message->bytes == message->space ? NULL : message->bytes, capacity);
        AEGIS_ASSERT(grown != NULL);
        if (message->bytes == message->space) {
            memcpy(grown, message->space, message->size);
        }
        message->bytes = grown;
        message->capacity = capacity;
    }
    char *at = message->bytes + message->size;
    message->size += size;
    return at;
}

static char *put(char *at, struct aegis_http_text text)
{
    memcpy(at, text.at, text.length);
    return at + text.length;
}

static struct aegis_http_message *message_new(void)
{
    struct aegis_http_message *message = malloc(sizeof(*message));
    AEGIS_ASSERT(message != NULL);
    message->status = 0;
    message->method_length = message->size = 0;
    message->capacity = sizeof(message->space);
    message->bytes = message->space;
    return message;
}

static bool all(struct aegis_http_text text, unsigned class)
{
    return aegis_http_run(text.at, text.at + text.length, class) == text.at + text.length;
}

struct aegis_http_message *aegis_http_request_new(struct aegis_http_text method,
                                                  struct aegis_http_text target)
{
    AEGIS_ASSERT(method.length > 0 && all(method, AEGIS_HTTP_CHAR_TOKEN));
    AEGIS_ASSERT(target.length > 0 && all(target, AEGIS_HTTP_CHAR_TARGET));
    struct aegis_http_message *message = message_new();
    message->method_length = method.length;
    char *at = reserve(message, method.length + target.length + 12);
    at = put(at, method);
    *at++ = ' ';
    at = put(at, target);
    memcpy(at, " HTTP/1.1\r\n", 11);
    return message;
}

struct aegis_http_message *aegis_http_response_new(int status, struct aegis_http_text reason)
{
    AEGIS_ASSERT(status >= 100 && status <= 599 && all(reason, AEGIS_HTTP_CHAR_FIELD));
    struct aegis_http_message *message = message_new();
    message->status = status;
    char *at = reserve(message, reason.length + 15);
    memcpy(at, "HTTP/1.1 ", 9);
    at[9] = (char)('0' + status / 100);
    at[10] = (char)('0' + status / 10 % 10);
    at[11] = (char)('0' + status % 10);
    at[12] = ' ';
    at = put(at + 13, reason);
    memcpy(at, "\r\n", 2);
    return message;
}

void aegis_http_message_free(struct aegis_http_message **message)
{
    if (*message != NULL) {
        if ((*message)->bytes != (*message)->space) {
            free((*message)->bytes);
        }
        free(*message);
        *message = NULL;
    }
}

static bool is_framing(struct aegis_http_text name)
{
    switch (name.length) {
    case 10:
        return aegis_http_same(name.at, "connection", 10);
    case 14:
        return aegis_http_same(name.at, "content-length", 14);
    case 17:
        return aegis_http_same(name.at, "transfer-encoding", 17);
    default:
        return false;
    }
}

bool aegis_http_message_add_field(struct aegis_http_message *message, const struct aegis_http_field *field)
{
    struct aegis_http_text name = field->name;
    struct aegis_http_text value = field->value;
    if (name.length == 0 || !all(name, AEGIS_HTTP_CHAR_TOKEN) ||
        aegis_http_field_run(value.at, value.at + value.length) != value.at + value.length) {
        return false;
    }
    if (is_framing(name)) {
        return true;
    }
    char *at = put(reserve(message, name.length + value.length + 4), name);
    *at++ = ':';
    *at++ = ' ';
    at = put(at, value);
    *at++ = '\r';
    *at = '\n';
    return true;
}

void aegis_http_message_add(struct aegis_http_message *message, const char *name, const char *value)
{
    struct aegis_http_field field = {{name, strlen(name)}, {value, strlen(value)}};
    AEGIS_ASSERT(aegis_http_message_add_field(message, &field));
}

struct aegis_http_text aegis_http_message_text(const struct aegis_http_message *message)
{
    return (struct aegis_http_text){message->bytes, message->size};
}

bool aegis_http_message_is_request(const struct aegis_http_message *message)
{
    return message->status == 0;
}

int aegis_http_message_status(const struct aegis_http_message *message)
{
    return message->status;
}

struct aegis_http_text aegis_http_message_method(const struct aegis_http_message *message)
{
    return (struct aegis_http_text){message->bytes, message->method_length};
}
