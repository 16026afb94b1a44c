#include "gate/proxy/body.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"

static void check(const struct aegis_body *body)
{
    AEGIS_ASSERT(body->sent <= body->size && body->size <= body->room);
}

static void make_room(struct aegis_body *body, size_t size)
{
    size_t needed = body->size + size;
    if (needed <= body->room)
        return;
    size_t room = body->room ? body->room : 1024;
    while (room < needed)
        room *= 2;
    char *bytes = realloc(body->bytes, room);
    AEGIS_ASSERT(bytes);
    body->bytes = bytes;
    body->room = room;
}

void aegis_body_append(struct aegis_body *body, const char *data, size_t size)
{
    if (size == 0)
        return;
    make_room(body, size);
    memcpy(body->bytes + body->size, data, size);
    body->size += size;
    check(body);
}

struct aegis_http_text aegis_body_unsent(const struct aegis_body *body)
{
    return (struct aegis_http_text){body->size ? body->bytes + body->sent : "", body->size - body->sent};
}

static void drop_sent(struct aegis_body *body)
{
    if (body->kept || body->sent < body->size || body->size == 0)
        return;
    body->dropped = true;
    body->size = body->sent = 0;
}

void aegis_body_sent(struct aegis_body *body)
{
    body->sent = body->size;
    drop_sent(body);
    check(body);
}

void aegis_body_let_go(struct aegis_body *body)
{
    body->kept = false;
    drop_sent(body);
    if (body->size > 0)
        return;
    free(body->bytes);
    body->bytes = NULL;
    body->room = 0;
}

bool aegis_body_replayable(const struct aegis_body *body)
{
    return !body->dropped;
}

void aegis_body_rewind(struct aegis_body *body)
{
    AEGIS_ASSERT(aegis_body_replayable(body));
    body->sent = 0;
}

void aegis_body_clear(struct aegis_body *body)
{
    free(body->bytes);
    *body = (struct aegis_body){0};
}
