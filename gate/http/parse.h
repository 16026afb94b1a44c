/* Inside gate/http: what the parts of the head parser share. */
#ifndef AEGIS_HTTP_PARSE_H
#define AEGIS_HTTP_PARSE_H

#include "gate/http/chars.h"

/* Reads forward only: what was read is never looked at again, and a verdict never changes when more bytes
 * come. */
struct aegis_http_reader {
    const char *at;
    const char *end;
    const char **problem;
};

/* Fields that say something about the message itself, noted as they pass. */
struct aegis_http_notes {
    const struct aegis_http_field *host;
    const struct aegis_http_field *length;
    const struct aegis_http_field *coding;
    const struct aegis_http_field *expect;
    unsigned hosts, lengths, codings, expects, upgrades;
    bool close, keep_alive, upgrade, names, names_coding;
};

static inline enum aegis_http_result aegis_http_refuse(const char **problem, enum aegis_http_result result,
                                                       const char *why)
{
    *problem = why;
    return result;
}

/* CR LF at the reader's place. */
enum aegis_http_result aegis_http_read_line_end(struct aegis_http_reader *reader, const char *otherwise);

/* All fields and the empty line behind them. */
enum aegis_http_result aegis_http_read_fields(struct aegis_http_reader *reader, struct aegis_http_head *head,
                                              struct aegis_http_notes *notes);

/* The target's form against the method, and what the head's `host` is. */
enum aegis_http_result aegis_http_settle_target(struct aegis_http_head *head,
                                                const struct aegis_http_notes *notes, const char **problem);

/* How long the body is, whether the connection goes on, what is expected. */
enum aegis_http_result aegis_http_settle_request(struct aegis_http_head *head,
                                                 const struct aegis_http_notes *notes, const char **problem);
enum aegis_http_result aegis_http_settle_response(struct aegis_http_head *head,
                                                  const struct aegis_http_notes *notes,
                                                  struct aegis_http_text request_method,
                                                  const char **problem);

#endif
