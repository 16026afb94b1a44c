/* Heads of HTTP/1.1 messages: read strictly, written anew. The core allocates nothing: a parsed head points
 * into the bytes it was parsed from. RFC 9112 sections 2 to 7, RFC 9110 sections 5 and 6; where the RFCs
 * allow leniency, this codec does not use it. */
#ifndef AEGIS_HTTP_HEAD_H
#define AEGIS_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEGIS_HTTP_FIELDS_MAX 128

struct aegis_http_text {
    const char *at;
    size_t length;
};

struct aegis_http_field {
    struct aegis_http_text name;
    struct aegis_http_text value; /* without white space around */
};

enum aegis_http_framing {
    AEGIS_HTTP_NO_BODY,
    AEGIS_HTTP_LENGTH,
    AEGIS_HTTP_CHUNKED,
    AEGIS_HTTP_UNTIL_CLOSE, /* responses only */
};

struct aegis_http_head {
    int minor; /* HTTP/1.minor: 0 or 1 */
    /* request */
    struct aegis_http_text method;
    /* As it came: origin-form, absolute-form, authority-form (CONNECT) or `*`. */
    struct aegis_http_text target;
    /* The one Host field, validated; of an absolute target or of CONNECT, the target's authority. Empty: an
     * HTTP/1.0 request without Host. */
    struct aegis_http_text host;
    /* response */
    int status;
    struct aegis_http_text reason;

    struct aegis_http_field fields[AEGIS_HTTP_FIELDS_MAX];
    size_t field_count;
    enum aegis_http_framing framing;
    uint64_t length; /* when framing is LENGTH */
    bool keep_alive; /* what version and Connection say about this side */
    bool expect_continue;
    bool upgrade;    /* Connection: upgrade and an Upgrade field */
    bool has_length; /* `length` is a Content-Length that came, also where no body follows (HEAD, 304) */
    bool connection_names; /* Connection names other fields than close, keep-alive and upgrade */
};

enum aegis_http_result {
    AEGIS_HTTP_OK,
    AEGIS_HTTP_MORE,      /* not all there yet */
    AEGIS_HTTP_BAD,       /* 400 / a response that is none */
    AEGIS_HTTP_TOO_LARGE, /* 431: head or field count above the limit */
    AEGIS_HTTP_URI_TOO_LONG,
    AEGIS_HTTP_VERSION,     /* 505 */
    AEGIS_HTTP_UNSUPPORTED, /* 501: a transfer coding that is not exactly chunked */
    AEGIS_HTTP_EXPECTATION, /* 417: an Expect that is not 100-continue */
};

/* Parses a request head from the beginning of `bytes`. OK: *consumed is its length with the empty line. For
 * everything but OK and MORE, `problem` (static text) says what was wrong. `limit`: longest head in bytes. At
 * most one empty line in front is skipped. */
enum aegis_http_result aegis_http_parse_request(const char *bytes, size_t size, size_t limit,
                                                struct aegis_http_head *head, size_t *consumed,
                                                const char **problem);

/* `request_method` decides about the body (HEAD, CONNECT); 1xx, 204 and 304 have none. */
enum aegis_http_result aegis_http_parse_response(const char *bytes, size_t size, size_t limit,
                                                 struct aegis_http_text request_method,
                                                 struct aegis_http_head *head, size_t *consumed,
                                                 const char **problem);

bool aegis_http_text_is(struct aegis_http_text text, const char *other);    /* ASCII case ignored */
bool aegis_http_text_equal(struct aegis_http_text text, const char *other); /* exact */
char *aegis_http_text_copy(struct aegis_http_text text);                    /* the caller frees */

/* The only field of this name (ASCII case ignored); NULL when there is none, *count says how many there are
 * (may be NULL). */
const struct aegis_http_field *aegis_http_find(const struct aegis_http_head *head, const char *name,
                                               size_t *count);

/* The usual phrase for a status, or an empty text. */
struct aegis_http_text aegis_http_reason(int status);

/* Whether the comma-separated list in all fields of this name holds `token`. */
bool aegis_http_list_has(const struct aegis_http_head *head, const char *name, const char *token);

/* Hop-by-hop: Connection and what it names, Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade. A
 * field that carries a payment (PAYMENT-SIGNATURE, X-PAYMENT, PAYMENT-REQUIRED, PAYMENT-RESPONSE,
 * X-PAYMENT-RESPONSE) or frames the message is never one, whoever names it: such a head is refused when it is
 * parsed. */
bool aegis_http_hop_by_hop(const struct aegis_http_head *head, const struct aegis_http_field *field);

/* The incremental reader of a body. */
struct aegis_http_body {
    enum aegis_http_framing framing;
    uint64_t left; /* of the length, or of the current chunk */
    unsigned state;
    unsigned line;         /* bytes of the present chunk or trailer line */
    unsigned trailers;     /* bytes of trailers so far */
    unsigned overhead;     /* bytes of chunk lines beyond what honest senders need */
    const char *forbidden; /* what is missing for the present trailer to be a forbidden one, or NULL */
    bool done;
};

void aegis_http_body_begin(struct aegis_http_body *body, const struct aegis_http_head *head);

/* Takes bytes from `bytes`: *consumed of them were read, of which data (points into `bytes`) is payload; call
 * again until *consumed is 0. OK: progress or `done`; MORE: nothing can be done without more bytes; BAD:
 * problem says why. Chunk extensions and trailers are checked and dropped; a trailer that would frame a
 * message is refused. */
enum aegis_http_result aegis_http_body_read(struct aegis_http_body *body, const char *bytes, size_t size,
                                            size_t *consumed, struct aegis_http_text *data,
                                            const char **problem);

/* A target or URL in its parts, all pointing into the text. Accepts http and https; no userinfo, no fragment;
 * port 1 to 65535, never empty; host is a name (letters, digits, `-`, `_`, `.`, no empty label, no dot at its
 * end), an IPv4 address or an IPv6 address in brackets (returned without them). A query needs a path in front
 * of it. */
struct aegis_http_url {
    bool https;
    struct aegis_http_text host;
    uint16_t port; /* the default when absent */
    bool ipv6;
    struct aegis_http_text path; /* with the query; "/" when empty */
};
bool aegis_http_url_parse(struct aegis_http_text text, struct aegis_http_url *out, const char **problem);

#endif
