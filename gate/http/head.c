/* Start lines, and the two ways into the parser. */
#include <string.h>

#include "gate/http/parse.h"

enum { METHOD_MAX = 32 };

enum aegis_http_result aegis_http_read_line_end(struct aegis_http_reader *reader, const char *otherwise)
{
    if (reader->at == reader->end) {
        return AEGIS_HTTP_MORE;
    }
    if (*reader->at != '\r') {
        return aegis_http_refuse(reader->problem, AEGIS_HTTP_BAD,
                                 *reader->at == '\n' ? "a line ends without a carriage return" : otherwise);
    }
    if (reader->at + 1 == reader->end) {
        return AEGIS_HTTP_MORE;
    }
    if (reader->at[1] != '\n') {
        return aegis_http_refuse(reader->problem, AEGIS_HTTP_BAD, "a carriage return without a line feed");
    }
    reader->at += 2;
    return AEGIS_HTTP_OK;
}

/* "HTTP/1.0" or "HTTP/1.1". */
static enum aegis_http_result read_version(struct aegis_http_reader *reader, int *minor)
{
    static const char name[] = "HTTP/";
    size_t left = (size_t)(reader->end - reader->at);
    size_t length = left < 5 ? left : 5;
    if (memcmp(reader->at, name, length) != 0) {
        return aegis_http_refuse(reader->problem, AEGIS_HTTP_BAD, "the version does not begin with HTTP/");
    }
    const char *digits = reader->at + 5;
    if ((left > 5 && !aegis_http_char_is(digits[0], AEGIS_HTTP_CHAR_DIGIT)) ||
        (left > 6 && digits[1] != '.') ||
        (left > 7 && !aegis_http_char_is(digits[2], AEGIS_HTTP_CHAR_DIGIT))) {
        return aegis_http_refuse(reader->problem, AEGIS_HTTP_BAD, "the version is not of the form HTTP/1.1");
    }
    if (left < 8) {
        return AEGIS_HTTP_MORE;
    }
    if (digits[0] != '1' || digits[2] > '1') {
        return aegis_http_refuse(reader->problem, AEGIS_HTTP_VERSION,
                                 "only HTTP/1.0 and HTTP/1.1 are spoken here");
    }
    *minor = digits[2] - '0';
    reader->at += 8;
    return AEGIS_HTTP_OK;
}

/* A run of characters and the one space behind it. */
static enum aegis_http_result read_word(struct aegis_http_reader *reader, unsigned class,
                                        struct aegis_http_text *word, const char *otherwise)
{
    const char *stop = aegis_http_run(reader->at, reader->end, class);
    *word = (struct aegis_http_text){reader->at, (size_t)(stop - reader->at)};
    if (stop == reader->end) {
        return AEGIS_HTTP_MORE;
    }
    if (*stop != ' ' || word->length == 0) {
        return aegis_http_refuse(reader->problem, AEGIS_HTTP_BAD, otherwise);
    }
    reader->at = stop + 1;
    return AEGIS_HTTP_OK;
}

static enum aegis_http_result read_request_line(struct aegis_http_reader *reader,
                                                struct aegis_http_head *head)
{
    enum aegis_http_result result = read_word(reader, AEGIS_HTTP_CHAR_TOKEN, &head->method,
                                              "the method is no token with one space behind it");
    if (head->method.length > METHOD_MAX) {
        return aegis_http_refuse(reader->problem, AEGIS_HTTP_BAD, "the method is longer than 32 characters");
    }
    if (result != AEGIS_HTTP_OK) {
        return result;
    }
    result =
        read_word(reader, AEGIS_HTTP_CHAR_TARGET, &head->target,
                  "the target is empty, or holds a control character, a fragment or a byte beyond ASCII");
    if (result != AEGIS_HTTP_OK) {
        return result;
    }
    result = read_version(reader, &head->minor);
    return result != AEGIS_HTTP_OK
               ? result
               : aegis_http_read_line_end(reader, "the request line does not end with the version");
}

static enum aegis_http_result read_status(struct aegis_http_reader *reader, int *status)
{
    int value = 0;
    const char *at = reader->at;
    for (int i = 0; i < 3; i++, at++) {
        if (at == reader->end) {
            return AEGIS_HTTP_MORE;
        }
        if (!aegis_http_char_is(*at, AEGIS_HTTP_CHAR_DIGIT) || (i == 0 && (*at < '1' || *at > '5'))) {
            return aegis_http_refuse(reader->problem, AEGIS_HTTP_BAD,
                                     "the status is not a number from 100 to 599");
        }
        value = value * 10 + (*at - '0');
    }
    *status = value;
    reader->at = at;
    return AEGIS_HTTP_OK;
}

/* The space before an empty reason is often left out. */
static enum aegis_http_result read_reason(struct aegis_http_reader *reader, struct aegis_http_text *reason)
{
    *reason = (struct aegis_http_text){"", 0};
    if (reader->at < reader->end && *reader->at == ' ') {
        reader->at++;
        const char *stop = aegis_http_field_run(reader->at, reader->end);
        *reason = (struct aegis_http_text){reader->at, (size_t)(stop - reader->at)};
        reader->at = stop;
    }
    return aegis_http_read_line_end(reader, "the status line holds a character that is not permitted");
}

static enum aegis_http_result read_status_line(struct aegis_http_reader *reader, struct aegis_http_head *head)
{
    enum aegis_http_result result = read_version(reader, &head->minor);
    if (result != AEGIS_HTTP_OK) {
        return result;
    }
    if (reader->at == reader->end) {
        return AEGIS_HTTP_MORE;
    }
    if (*reader->at != ' ') {
        return aegis_http_refuse(reader->problem, AEGIS_HTTP_BAD,
                                 "no single space stands behind the version");
    }
    reader->at++;
    result = read_status(reader, &head->status);
    return result != AEGIS_HTTP_OK ? result : read_reason(reader, &head->reason);
}

static void begin(struct aegis_http_reader *reader, struct aegis_http_head *head, const char *bytes,
                  size_t size, size_t limit, const char **problem)
{
    *reader = (struct aegis_http_reader){bytes, bytes + (size < limit ? size : limit), problem};
    head->method = head->target = head->host = head->reason = (struct aegis_http_text){"", 0};
    head->minor = head->status = 0;
    head->field_count = 0;
    head->framing = AEGIS_HTTP_NO_BODY;
    head->length = 0;
    head->keep_alive = head->expect_continue = head->upgrade = false;
    head->has_length = head->connection_names = false;
}

/* The reader never sees beyond the limit, so that a verdict does not depend on how the bytes were cut. */
static enum aegis_http_result out_of_bytes(size_t size, size_t limit, enum aegis_http_result too_large,
                                           const char **problem)
{
    if (size < limit) {
        return AEGIS_HTTP_MORE;
    }
    return aegis_http_refuse(problem, too_large,
                             too_large == AEGIS_HTTP_URI_TOO_LONG
                                 ? "the request line is longer than permitted"
                                 : "the head is longer than permitted");
}

enum aegis_http_result aegis_http_parse_request(const char *bytes, size_t size, size_t limit,
                                                struct aegis_http_head *head, size_t *consumed,
                                                const char **problem)
{
    struct aegis_http_reader reader;
    struct aegis_http_notes notes = {0};
    begin(&reader, head, bytes, size, limit, problem);
    if (reader.at < reader.end && *reader.at == '\r') {
        enum aegis_http_result empty = aegis_http_read_line_end(&reader, "");
        if (empty != AEGIS_HTTP_OK) {
            return empty == AEGIS_HTTP_MORE ? out_of_bytes(size, limit, AEGIS_HTTP_TOO_LARGE, problem)
                                            : empty;
        }
    }
    enum aegis_http_result result = read_request_line(&reader, head);
    if (result == AEGIS_HTTP_MORE) {
        return out_of_bytes(size, limit, AEGIS_HTTP_URI_TOO_LONG, problem);
    }
    result = result != AEGIS_HTTP_OK ? result : aegis_http_read_fields(&reader, head, &notes);
    if (result == AEGIS_HTTP_MORE) {
        return out_of_bytes(size, limit, AEGIS_HTTP_TOO_LARGE, problem);
    }
    result = result != AEGIS_HTTP_OK ? result : aegis_http_settle_target(head, &notes, problem);
    result = result != AEGIS_HTTP_OK ? result : aegis_http_settle_request(head, &notes, problem);
    if (result == AEGIS_HTTP_OK) {
        *consumed = (size_t)(reader.at - bytes);
    }
    return result;
}

enum aegis_http_result aegis_http_parse_response(const char *bytes, size_t size, size_t limit,
                                                 struct aegis_http_text request_method,
                                                 struct aegis_http_head *head, size_t *consumed,
                                                 const char **problem)
{
    struct aegis_http_reader reader;
    struct aegis_http_notes notes = {0};
    begin(&reader, head, bytes, size, limit, problem);
    enum aegis_http_result result = read_status_line(&reader, head);
    result = result != AEGIS_HTTP_OK ? result : aegis_http_read_fields(&reader, head, &notes);
    if (result == AEGIS_HTTP_MORE) {
        return out_of_bytes(size, limit, AEGIS_HTTP_TOO_LARGE, problem);
    }
    result =
        result != AEGIS_HTTP_OK ? result : aegis_http_settle_response(head, &notes, request_method, problem);
    if (result == AEGIS_HTTP_OK) {
        *consumed = (size_t)(reader.at - bytes);
    }
    return result;
}
