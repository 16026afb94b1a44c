/* Bodies, read as they come. Chunk lines and trailers go through a state machine byte by byte; data is passed
 * on in one piece. */
#include "gate/http/chars.h"

enum {
    LINE_MAX = 1024,      /* a chunk's line with its extensions */
    SIZE_DIGITS_MAX = 15, /* of a chunk's size: no sum can overflow */
    TRAILERS_MAX = 8192,
    OVERHEAD_FREE = 16, /* per chunk line; twice the data is free as well */
    OVERHEAD_MAX = 16384,
};

enum state {
    SIZE,
    EXTENSION,
    EXTENSION_NAME,
    VALUE,
    VALUE_TOKEN,
    QUOTED,
    QUOTED_PAIR,
    QUOTED_END,
    LINE_FEED,
    DATA,
    DATA_RETURN,
    DATA_FEED,
    TRAILER,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_FEED,
    LAST_FEED,
};

void aegis_http_body_begin(struct aegis_http_body *body, const struct aegis_http_head *head)
{
    *body = (struct aegis_http_body){.framing = head->framing};
    body->left = head->framing == AEGIS_HTTP_LENGTH ? head->length : 0;
    body->done =
        head->framing == AEGIS_HTTP_NO_BODY || (head->framing == AEGIS_HTTP_LENGTH && head->length == 0);
}

/* The steps return NULL, or what is wrong with the byte. */
static const char *to(struct aegis_http_body *body, enum state state)
{
    body->state = state;
    return NULL;
}

static const char *step_end(struct aegis_http_body *body, char c, const char *otherwise)
{
    if (c == ';') {
        return to(body, EXTENSION);
    }
    return c == '\r' ? to(body, LINE_FEED) : otherwise;
}

static const char *step_size(struct aegis_http_body *body, char c)
{
    if (aegis_http_char_is(c, AEGIS_HTTP_CHAR_HEX)) {
        unsigned digit = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
        body->left = body->left << 4 | digit;
        return body->line <= SIZE_DIGITS_MAX ? NULL : "a chunk's size has more than 15 digits";
    }
    if (body->line == 1) {
        return "a chunk's size does not begin with a hexadecimal digit";
    }
    return step_end(body, c, "a chunk's size is not hexadecimal digits only");
}

static const char *step_extension(struct aegis_http_body *body, char c)
{
    static const char wrong[] = "a chunk extension is not name, name=token or name=quoted text";
    bool token = aegis_http_char_is(c, AEGIS_HTTP_CHAR_TOKEN);
    switch (body->state) {
    case EXTENSION:
        return token ? to(body, EXTENSION_NAME) : wrong;
    case EXTENSION_NAME:
        if (c == '=') {
            return to(body, VALUE);
        }
        return token ? NULL : step_end(body, c, wrong);
    case VALUE:
        if (c == '"') {
            return to(body, QUOTED);
        }
        return token ? to(body, VALUE_TOKEN) : wrong;
    case VALUE_TOKEN:
        return token ? NULL : step_end(body, c, wrong);
    case QUOTED:
        if (c == '"' || c == '\\') {
            return to(body, c == '"' ? QUOTED_END : QUOTED_PAIR);
        }
        return aegis_http_char_is(c, AEGIS_HTTP_CHAR_FIELD) ? NULL : wrong;
    case QUOTED_PAIR:
        return aegis_http_char_is(c, AEGIS_HTTP_CHAR_FIELD) ? to(body, QUOTED) : wrong;
    default:
        return step_end(body, c, wrong);
    }
}

/* Tiny chunks in long lines make a receiver read far more than it is given: what goes beyond a fair share is
 * counted. */
static const char *step_line_feed(struct aegis_http_body *body, char c)
{
    if (c != '\n') {
        return "a chunk's line has a carriage return without a line feed";
    }
    uint64_t excess = (uint64_t)body->overhead + body->line;
    uint64_t fair = OVERHEAD_FREE + body->left * 2;
    body->overhead = excess > fair ? (unsigned)(excess - fair) : 0;
    if (body->overhead > OVERHEAD_MAX) {
        return "chunk extensions outweigh the data";
    }
    body->line = 0;
    return to(body, body->left > 0 ? DATA : TRAILER);
}

static const char *step_data_end(struct aegis_http_body *body, char c)
{
    if (c != (body->state == DATA_RETURN ? '\r' : '\n')) {
        return "a chunk's data does not end where its size said";
    }
    return to(body, body->state == DATA_RETURN ? DATA_FEED : SIZE);
}

/* Fields that say where a message ends and whose it is come too late in a trailer: a reader that merges
 * trailers into the head would be led astray. The present name is compared as it comes; no two of these begin
 * with the same letter. */
static const char *may_become(char c)
{
    static const char *const names[] = {"content-length", "host", "transfer-encoding"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((c | 0x20) == names[i][0]) {
            return names[i] + 1;
        }
    }
    return NULL;
}

static const char *step_trailer_name(struct aegis_http_body *body, char c)
{
    if (c == ':') {
        bool forbidden = body->forbidden != NULL && *body->forbidden == '\0';
        return forbidden ? "a trailer that would frame the message" : to(body, TRAILER_VALUE);
    }
    body->forbidden = body->forbidden != NULL && (c | 0x20) == *body->forbidden ? body->forbidden + 1 : NULL;
    return aegis_http_char_is(c, AEGIS_HTTP_CHAR_TOKEN) ? NULL : "a trailer's name is no token";
}

static const char *step_trailer(struct aegis_http_body *body, char c)
{
    switch (body->state) {
    case TRAILER:
        if (c == '\r') {
            return to(body, LAST_FEED);
        }
        body->forbidden = may_become(c);
        return aegis_http_char_is(c, AEGIS_HTTP_CHAR_TOKEN) ? to(body, TRAILER_NAME)
                                                            : "a trailer does not begin with a name";
    case TRAILER_NAME:
        return step_trailer_name(body, c);
    case TRAILER_VALUE:
        if (c == '\r') {
            return to(body, TRAILER_FEED);
        }
        return aegis_http_char_is(c, AEGIS_HTTP_CHAR_FIELD) ? NULL
                                                            : "a trailer's value holds a control character";
    case TRAILER_FEED:
        return c == '\n' ? to(body, TRAILER) : "a trailer has a carriage return without a line feed";
    default:
        body->done = c == '\n';
        return c == '\n' ? NULL : "the body's end has a carriage return without a line feed";
    }
}

static const char *step(struct aegis_http_body *body, char c)
{
    if (body->state >= TRAILER) {
        return ++body->trailers > TRAILERS_MAX ? "the trailers are longer than permitted"
                                               : step_trailer(body, c);
    }
    if (body->state >= DATA_RETURN) {
        return step_data_end(body, c);
    }
    if (++body->line > LINE_MAX) {
        return "a chunk's line is longer than 1024 bytes";
    }
    if (body->state == SIZE) {
        return step_size(body, c);
    }
    return body->state == LINE_FEED ? step_line_feed(body, c) : step_extension(body, c);
}

/* As much of what is left as there is. */
static size_t take(struct aegis_http_body *body, const char *at, size_t size, struct aegis_http_text *data)
{
    size_t length = size < body->left ? size : (size_t)body->left;
    *data = (struct aegis_http_text){at, length};
    body->left -= length;
    return length;
}

static enum aegis_http_result read_chunked(struct aegis_http_body *body, const char *bytes, size_t size,
                                           size_t *consumed, struct aegis_http_text *data,
                                           const char **problem)
{
    size_t at = 0;
    while (at < size && !body->done && body->state != DATA) {
        const char *wrong = step(body, bytes[at++]);
        if (wrong != NULL) {
            *problem = wrong;
            return AEGIS_HTTP_BAD;
        }
    }
    if (body->state == DATA) {
        at += take(body, bytes + at, size - at, data);
        if (body->left == 0) {
            body->state = DATA_RETURN;
        }
    }
    *consumed = at;
    return at > 0 || body->done ? AEGIS_HTTP_OK : AEGIS_HTTP_MORE;
}

enum aegis_http_result aegis_http_body_read(struct aegis_http_body *body, const char *bytes, size_t size,
                                            size_t *consumed, struct aegis_http_text *data,
                                            const char **problem)
{
    *consumed = 0;
    *data = (struct aegis_http_text){bytes, 0};
    if (body->done) {
        return AEGIS_HTTP_OK;
    }
    if (body->framing == AEGIS_HTTP_CHUNKED) {
        return read_chunked(body, bytes, size, consumed, data, problem);
    }
    if (body->framing == AEGIS_HTTP_UNTIL_CLOSE) {
        body->left = size;
        *consumed = take(body, bytes, size, data);
        return size > 0 ? AEGIS_HTTP_OK : AEGIS_HTTP_MORE;
    }
    *consumed = take(body, bytes, size, data);
    body->done = body->left == 0;
    return *consumed > 0 ? AEGIS_HTTP_OK : AEGIS_HTTP_MORE;
}
