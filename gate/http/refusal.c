/* Answers that the connection gives itself: to what is no request, and to a request that never ends. Fixed
 * texts only; nothing of what the peer sent comes back. */
#include <stdio.h>

#include "gate/http/inside.h"

static void refuse(struct aegis_http_connection *connection, int status, const char *code, const char *detail)
{
    char body[512];
    char head[512];
    const char *title = aegis_http_reason(status).at;
    int size = snprintf(body, sizeof(body),
                        "{\"type\":\"urn:aegis:problem:%s\",\"title\":\"%s\",\"status\":%d,\"code\":\"%s\","
                        "\"detail\":\"%s\",\"signed\":false}\n",
                        code, title, status, code, detail);
    int length =
        snprintf(head, sizeof(head),
                 "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n"
                 "Content-Length: %d\r\nConnection: close\r\n\r\n",
                 status, title, size);
    AEGIS_ASSERT(size > 0 && (size_t)size < sizeof(body) && length > 0 && (size_t)length < sizeof(head));
    aegis_http_stage(connection, head, (size_t)length);
    aegis_http_stage(connection, body, (size_t)size);
    connection->writing = AEGIS_HTTP_WRITE_OVER;
    connection->last = true;
}

static bool can_answer(const struct aegis_http_connection *connection)
{
    return connection->server && connection->writing == AEGIS_HTTP_WRITE_NONE && !connection->unwritable;
}

void aegis_http_refuse_head(struct aegis_http_connection *connection, enum aegis_http_result result,
                            const char *problem)
{
    static const struct {
        int status;
        const char *code;
    } answers[] = {
        [AEGIS_HTTP_BAD] = {400, "bad_request"},
        [AEGIS_HTTP_TOO_LARGE] = {431, "head_too_large"},
        [AEGIS_HTTP_URI_TOO_LONG] = {414, "uri_too_long"},
        [AEGIS_HTTP_VERSION] = {505, "version_not_supported"},
        [AEGIS_HTTP_UNSUPPORTED] = {501, "transfer_coding_not_supported"},
        [AEGIS_HTTP_EXPECTATION] = {417, "expectation_not_supported"},
    };
    if (can_answer(connection)) {
        refuse(connection, answers[result].status, answers[result].code, problem);
    }
}

void aegis_http_refuse_late(struct aegis_http_connection *connection)
{
    if (can_answer(connection)) {
        refuse(connection, 408, "request_timeout", "the request was not whole in time");
    }
}
