#include "tests/fuzz/http_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gate/base/log.h"
#include "gate/http/connection.h"
#include "gate/http/head.h"

enum { LIMIT = 4096, MESSAGES_MAX = 64 };

void http_text_add(struct http_text *text, const void *bytes, size_t size)
{
    text->bytes = realloc(text->bytes, text->size + size + 1);
    AEGIS_ASSERT(text->bytes != NULL);
    if (size > 0) {
        memcpy(text->bytes + text->size, bytes, size);
    }
    text->size += size;
    text->bytes[text->size] = '\0';
}

void http_text_free(struct http_text *text)
{
    free(text->bytes);
    *text = (struct http_text){0};
}

static void say(struct http_text *text, const char *words)
{
    http_text_add(text, words, strlen(words));
}

static enum aegis_http_result parse(bool requests, const char *bytes, size_t size,
                                    struct aegis_http_head *head, size_t *consumed, const char **problem)
{
    struct aegis_http_text get = {"GET", 3};
    return requests ? aegis_http_parse_request(bytes, size, LIMIT, head, consumed, problem)
                    : aegis_http_parse_response(bytes, size, LIMIT, get, head, consumed, problem);
}

/* The start line and the fields that travel. */
static void write_head(struct http_text *out, bool requests, const struct aegis_http_head *head)
{
    struct aegis_http_message *message = requests ? aegis_http_request_new(head->method, head->target)
                                                  : aegis_http_response_new(head->status, head->reason);
    if (requests && aegis_http_find(head, "Host", NULL) == NULL) {
        aegis_http_message_add(message, "Host", "unnamed");
    }
    for (size_t i = 0; i < head->field_count; i++) {
        if (!aegis_http_hop_by_hop(head, &head->fields[i]) &&
            !aegis_http_text_is(head->fields[i].name, "Expect")) {
            AEGIS_ASSERT(aegis_http_message_add_field(message, &head->fields[i]));
        }
    }
    struct aegis_http_text text = aegis_http_message_text(message);
    http_text_add(out, text.at, text.length);
    aegis_http_message_free(&message);
}

/* A reader that is given its bytes in pieces. */
struct feed {
    const uint8_t *bytes;
    size_t size, given, taken;
    uint64_t cuts;
};

static bool give(struct feed *feed)
{
    if (feed->given == feed->size) {
        return false;
    }
    size_t left = feed->size - feed->given;
    size_t piece = left;
    if (feed->cuts != 0) {
        feed->cuts = feed->cuts * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        piece = 1 + (size_t)(feed->cuts >> 33) % (feed->cuts >> 60 == 0 ? 64 : 4);
    }
    feed->given += piece < left ? piece : left;
    return true;
}

static const char *at(const struct feed *feed)
{
    return (const char *)feed->bytes + feed->taken;
}

static void tell_head(struct http_text *out, bool requests, const struct aegis_http_head *head)
{
    char line[96];
    write_head(out, requests, head);
    snprintf(line, sizeof(line), "[framing %d length %llu keep %d expect %d upgrade %d]", (int)head->framing,
             (unsigned long long)head->length, head->keep_alive, head->expect_continue, head->upgrade);
    say(out, line);
}

/* Says whether another message may follow. */
static bool read_head(struct feed *feed, bool requests, struct aegis_http_head *head, struct http_text *out)
{
    for (;;) {
        const char *problem = NULL;
        size_t consumed = 0;
        enum aegis_http_result result =
            parse(requests, at(feed), feed->given - feed->taken, head, &consumed, &problem);
        if (result == AEGIS_HTTP_OK) {
            AEGIS_ASSERT(consumed > 0 && consumed <= feed->given - feed->taken && consumed <= LIMIT);
            feed->taken += consumed;
            tell_head(out, requests, head);
            return true;
        }
        if (result != AEGIS_HTTP_MORE) {
            AEGIS_ASSERT(problem != NULL);
            say(out, problem);
            return false;
        }
        if (!give(feed)) {
            say(out, "[unfinished head]");
            return false;
        }
    }
}

static bool read_body(struct feed *feed, const struct aegis_http_head *head, struct http_text *out)
{
    struct aegis_http_body body;
    aegis_http_body_begin(&body, head);
    while (!body.done) {
        struct aegis_http_text data;
        size_t consumed = 0;
        const char *problem = NULL;
        enum aegis_http_result result =
            aegis_http_body_read(&body, at(feed), feed->given - feed->taken, &consumed, &data, &problem);
        if (result == AEGIS_HTTP_BAD) {
            say(out, problem);
            return false;
        }
        AEGIS_ASSERT(consumed <= feed->given - feed->taken);
        AEGIS_ASSERT(data.length <= consumed);
        feed->taken += consumed;
        http_text_add(out, data.at, data.length);
        if (consumed == 0 && !body.done && !give(feed)) {
            say(out, body.framing == AEGIS_HTTP_UNTIL_CLOSE ? "[closed]" : "[cut]");
            return false;
        }
    }
    say(out, "[whole]");
    return true;
}

struct http_text http_stream_read(bool requests, const uint8_t *bytes, size_t size, uint64_t cuts)
{
    struct http_text out = {0};
    struct aegis_http_head head;
    struct feed feed = {.bytes = bytes, .size = size, .cuts = cuts};
    say(&out, "");
    for (int i = 0; i < MESSAGES_MAX && read_head(&feed, requests, &head, &out); i++) {
        if (!read_body(&feed, &head, &out)) {
            break;
        }
    }
    return out;
}

static void frame(struct http_text *out, const struct aegis_http_head *head, const struct http_text *body)
{
    char line[64];
    if (head->framing == AEGIS_HTTP_CHUNKED) {
        snprintf(line, sizeof(line), "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", body->size);
        say(out, body->size > 0 ? line : "Transfer-Encoding: chunked\r\n\r\n");
        http_text_add(out, body->bytes, body->size);
        say(out, body->size > 0 ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
        return;
    }
    snprintf(line, sizeof(line), "Content-Length: %zu\r\n", body->size);
    say(out, head->framing == AEGIS_HTTP_LENGTH ? line : "");
    say(out, "\r\n");
    http_text_add(out, body->bytes, body->size);
}

struct http_text http_stream_canonical(bool requests, const uint8_t *bytes, size_t size)
{
    struct http_text told = {0};
    struct http_text body = {0};
    struct http_text out = {0};
    struct aegis_http_head head;
    struct feed feed = {.bytes = bytes, .size = size, .given = size};
    if (read_head(&feed, requests, &head, &told)) {
        bool whole = read_body(&feed, &head, &body);
        if (whole || head.framing == AEGIS_HTTP_UNTIL_CLOSE) {
            body.size -= whole ? strlen("[whole]") : strlen("[closed]");
            write_head(&out, requests, &head);
            frame(&out, &head, &body);
        }
    }
    http_text_free(&told);
    http_text_free(&body);
    return out;
}

/* How often a line begins with this name and a colon. */
static size_t count_lines(const char *bytes, size_t size, const char *name)
{
    size_t count = 0;
    size_t length = strlen(name);
    for (size_t i = 0; i + length + 3 <= size; i++) {
        if (bytes[i] == '\r' && bytes[i + 1] == '\n' && strncasecmp(bytes + i + 2, name, length) == 0 &&
            i + 2 + length < size && bytes[i + 2 + length] == ':') {
            count++;
        }
    }
    return count;
}

static void judge_bytes(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\r') {
            AEGIS_ASSERT(i + 1 < size && bytes[i + 1] == '\n');
        } else if (c == '\n') {
            AEGIS_ASSERT(i > 0 && bytes[i - 1] == '\r');
            AEGIS_ASSERT(i + 1 == size || (bytes[i + 1] != ' ' && bytes[i + 1] != '\t'));
        } else {
            AEGIS_ASSERT((c >= 0x20 && c != 0x7f) || c == '\t');
        }
    }
}

void http_stream_judge(bool requests, const uint8_t *bytes, size_t size)
{
    struct aegis_http_head head;
    const char *problem = NULL;
    const char *text = (const char *)bytes;
    size_t consumed = 0;
    if (parse(requests, text, size, &head, &consumed, &problem) != AEGIS_HTTP_OK) {
        return;
    }
    judge_bytes(text, consumed);
    AEGIS_ASSERT(consumed >= 4 && memcmp(text + consumed - 4, "\r\n\r\n", 4) == 0);
    size_t lengths = count_lines(text, consumed, "Content-Length");
    size_t codings = count_lines(text, consumed, "Transfer-Encoding");
    AEGIS_ASSERT(lengths + codings <= 1 && head.has_length == (lengths == 1));
    if (requests) {
        size_t hosts = count_lines(text, consumed, "Host");
        AEGIS_ASSERT(hosts <= 1 && hosts >= (head.minor == 1 ? 1U : 0U));
        AEGIS_ASSERT((head.framing == AEGIS_HTTP_CHUNKED) == (codings == 1));
        AEGIS_ASSERT(head.framing != AEGIS_HTTP_UNTIL_CLOSE);
        AEGIS_ASSERT(memchr(head.target.at, ' ', head.target.length) == NULL);
    }
    for (size_t i = 0; i < head.field_count; i++) {
        AEGIS_ASSERT(head.fields[i].name.length > 0 && head.fields[i].name.at >= text &&
                     head.fields[i].value.at + head.fields[i].value.length <= text + consumed);
    }
}
