/* What a head means: whose it is, how long the body is, whether the connection goes on. RFC 9112
 * sections 3.2, 3.3, 6.3 and 9.3, each without its leniency. */
#include "gate/http/parse.h"

enum { LENGTH_DIGITS_MAX = 18 };

static enum aegis_http_result bad(const char **problem, const char *why)
{
    return aegis_http_refuse(problem, AEGIS_HTTP_BAD, why);
}

static enum aegis_http_result settle_host_field(struct aegis_http_head *head,
                                                const struct aegis_http_notes *notes, const char **problem)
{
    struct aegis_http_authority parts;
    if (notes->hosts == 0 && head->minor == 0) {
        return AEGIS_HTTP_OK;
    }
    if (notes->hosts != 1) {
        return bad(problem, notes->hosts == 0 ? "there is no Host" : "there is more than one Host");
    }
    head->host = notes->host->value;
    return aegis_http_authority_parse(head->host, &parts, problem) ? AEGIS_HTTP_OK : AEGIS_HTTP_BAD;
}

enum aegis_http_result aegis_http_settle_target(struct aegis_http_head *head,
                                                const struct aegis_http_notes *notes, const char **problem)
{
    enum aegis_http_result result = settle_host_field(head, notes, problem);
    if (result != AEGIS_HTTP_OK) {
        return result;
    }
    if (aegis_http_text_equal(head->method, "CONNECT")) {
        struct aegis_http_authority parts;
        head->host = head->target;
        if (!aegis_http_authority_parse(head->target, &parts, problem)) {
            return AEGIS_HTTP_BAD;
        }
        return parts.port != 0 ? AEGIS_HTTP_OK : bad(problem, "the target of CONNECT is not host:port");
    }
    if (head->target.at[0] == '/') {
        return AEGIS_HTTP_OK;
    }
    if (aegis_http_text_equal(head->target, "*")) {
        return aegis_http_text_equal(head->method, "OPTIONS")
                   ? AEGIS_HTTP_OK
                   : bad(problem, "the target * belongs to OPTIONS");
    }
    struct aegis_http_url url;
    return aegis_http_url_split(head->target, &url, &head->host, problem) ? AEGIS_HTTP_OK : AEGIS_HTTP_BAD;
}

static bool parse_length(struct aegis_http_text text, uint64_t *length)
{
    if (text.length == 0 || text.length > LENGTH_DIGITS_MAX) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!aegis_http_char_is(text.at[i], AEGIS_HTTP_CHAR_DIGIT)) {
            return false;
        }
        value = value * 10 + (uint64_t)(text.at[i] - '0');
    }
    *length = value;
    return true;
}

static enum aegis_http_result settle_coding(struct aegis_http_head *head,
                                            const struct aegis_http_notes *notes, const char **problem)
{
    if (notes->codings > 1) {
        return bad(problem, "there is more than one Transfer-Encoding");
    }
    if (head->minor == 0) {
        return bad(problem, "HTTP/1.0 has no Transfer-Encoding");
    }
    if (notes->lengths > 0) {
        return bad(problem, "Content-Length and Transfer-Encoding stand side by side");
    }
    if (notes->coding->value.length == 0) {
        return bad(problem, "the Transfer-Encoding is empty");
    }
    if (!aegis_http_text_is(notes->coding->value, "chunked")) {
        return aegis_http_refuse(problem, AEGIS_HTTP_UNSUPPORTED,
                                 "the Transfer-Encoding is not exactly chunked");
    }
    head->framing = AEGIS_HTTP_CHUNKED;
    return AEGIS_HTTP_OK;
}

/* What the fields say, before method and status have their word. `head->framing` is NO_BODY when they say
 * nothing. */
static enum aegis_http_result settle_framing(struct aegis_http_head *head,
                                             const struct aegis_http_notes *notes, const char **problem)
{
    if (notes->codings > 0) {
        return settle_coding(head, notes, problem);
    }
    if (notes->lengths == 0) {
        return AEGIS_HTTP_OK;
    }
    if (notes->lengths > 1) {
        return bad(problem, "there is more than one Content-Length");
    }
    if (!parse_length(notes->length->value, &head->length)) {
        return bad(problem, "the Content-Length is not 1 to 18 digits");
    }
    head->framing = AEGIS_HTTP_LENGTH;
    head->has_length = true;
    return AEGIS_HTTP_OK;
}

static void settle_connection(struct aegis_http_head *head, const struct aegis_http_notes *notes)
{
    head->keep_alive = !notes->close && (head->minor == 1 || notes->keep_alive);
    head->upgrade = notes->upgrade && notes->upgrades > 0;
    head->connection_names = notes->names;
}

static bool never_has_body(struct aegis_http_text method)
{
    return aegis_http_text_equal(method, "HEAD") || aegis_http_text_equal(method, "TRACE") ||
           aegis_http_text_equal(method, "CONNECT");
}

static enum aegis_http_result settle_expect(struct aegis_http_head *head,
                                            const struct aegis_http_notes *notes, const char **problem)
{
    if (notes->expects == 0 || head->minor == 0) {
        return AEGIS_HTTP_OK;
    }
    if (notes->expects > 1 || !aegis_http_text_is(notes->expect->value, "100-continue")) {
        return aegis_http_refuse(problem, AEGIS_HTTP_EXPECTATION,
                                 "only 100-continue can be expected, and once");
    }
    head->expect_continue = head->framing != AEGIS_HTTP_NO_BODY;
    return AEGIS_HTTP_OK;
}

enum aegis_http_result aegis_http_settle_request(struct aegis_http_head *head,
                                                 const struct aegis_http_notes *notes, const char **problem)
{
    enum aegis_http_result result = settle_framing(head, notes, problem);
    if (result != AEGIS_HTTP_OK) {
        return result;
    }
    if (notes->names_coding) {
        return bad(problem, "Connection names Transfer-Encoding");
    }
    if (head->framing != AEGIS_HTTP_NO_BODY && never_has_body(head->method)) {
        if (head->framing == AEGIS_HTTP_CHUNKED || head->length > 0) {
            return bad(problem, "a request of this method has no body");
        }
        head->framing = AEGIS_HTTP_NO_BODY;
    }
    settle_connection(head, notes);
    return settle_expect(head, notes, problem);
}

enum aegis_http_result aegis_http_settle_response(struct aegis_http_head *head,
                                                  const struct aegis_http_notes *notes,
                                                  struct aegis_http_text request_method, const char **problem)
{
    enum aegis_http_result result = settle_framing(head, notes, problem);
    if (result != AEGIS_HTTP_OK) {
        return result;
    }
    settle_connection(head, notes);
    if (head->status < 200 || head->status == 204) {
        /* Servers that frame what has no body are common only in the form Content-Length: 0. */
        if (head->framing == AEGIS_HTTP_CHUNKED || head->length > 0) {
            return bad(problem, "an answer of this status has no body");
        }
        head->framing = AEGIS_HTTP_NO_BODY;
    } else if (head->status == 304 || aegis_http_text_equal(request_method, "HEAD") ||
               (head->status < 300 && aegis_http_text_equal(request_method, "CONNECT"))) {
        head->framing = AEGIS_HTTP_NO_BODY;
    } else if (head->framing == AEGIS_HTTP_NO_BODY) {
        head->framing = AEGIS_HTTP_UNTIL_CLOSE;
        head->keep_alive = false;
    }
    return AEGIS_HTTP_OK;
}
