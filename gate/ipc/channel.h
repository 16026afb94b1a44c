/* The only corridor between processes: length-prefixed JSON frames over a Unix stream socket.
 *
 *     | length, 4 bytes, big-endian | {"type":"authorize","id":7,...} |
 *
 * The length is judged before anything is allocated. A frame that is not JSON, whose type is not in the
 * receiver's table for this peer, is not permitted in the channel's present state, or has an unknown,
 * missing, duplicate or wrong field, closes the channel. Nothing blocks: what cannot be sent is kept, up to a
 * limit, and frames of one loop turn leave in one write. */
#ifndef AEGIS_IPC_CHANNEL_H
#define AEGIS_IPC_CHANNEL_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "gate/base/error.h"
#include "gate/ipc/messages.h"

struct aegis_channel;

/* `message` is the whole frame, borrowed, already checked against the type's fields. `fd` is a descriptor
 * that came with it, or -1; the handler owns it. */
typedef void aegis_channel_handler(struct aegis_channel *channel, const json_t *message, int fd,
                                   void *context);

/* One row of a peer's table. The frame is handled when permit is 0 or shares a bit with the channel's state.
 * The table ends with a row whose type is NULL. */
struct aegis_channel_rule {
    const struct aegis_message *type;
    unsigned permit;
    aegis_channel_handler *handle;
};

struct aegis_channel_options {
    const char *peer; /* for messages; kept, not copied */
    const struct aegis_channel_rule *rules;
    size_t receive_limit; /* longest frame, bytes */
    size_t backlog_limit; /* a peer that lets this much pile up unread loses the channel */
    bool descriptors;     /* frames may carry one descriptor each, both ways */
    /* Called once, from the loop, when the peer is gone or was cut off (`reason` says why). The channel is
     * still there and must be freed by its owner, in or after the call. */
    void (*closed)(struct aegis_channel *channel, const char *reason, void *context);
    void *context;
};

/* Takes `fd` over (a connected stream socket; set non-blocking here). */
struct aegis_channel *aegis_channel_new(struct event_base *base, int fd,
                                        const struct aegis_channel_options *options);

/* Flushes what it can without waiting, closes, and sets *channel to NULL. NULL is fine. Safe from inside a
 * handler. */
void aegis_channel_free(struct aegis_channel **channel);

/* Sends `type` with the fields of `body` (stolen; NULL for none). The body is checked against the type's own
 * table: a mistake of ours ends the process. False when the channel is closed. */
bool aegis_channel_send(struct aegis_channel *channel, const struct aegis_message *type, json_t *body);

/* The same with a descriptor, which is duplicated. */
bool aegis_channel_send_descriptor(struct aegis_channel *channel, const struct aegis_message *type,
                                   json_t *body, int fd);

/* Sends what waits now, as far as the peer takes it, instead of at the end of the loop turn: for what must be
 * with the peer before something else leaves this process. */
void aegis_channel_flush(struct aegis_channel *channel);

/* The bits that rules' `permit` is matched with; 0 at first. */
void aegis_channel_state_set(struct aegis_channel *channel, unsigned state);

/* Bytes waiting to be sent. */
size_t aegis_channel_backlog(const struct aegis_channel *channel);

/* For `closed`: the other side has closed, as everybody does who stops or dies; it was not cut off. */
bool aegis_channel_ended(const struct aegis_channel *channel);

/* Cuts the peer off from inside a handler (`closed` is called from the loop). */
void aegis_channel_reject(struct aegis_channel *channel, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Waits, blocking, for one frame on a descriptor and checks that it is of `type`; for the CLI and for
 * start-up, never inside a loop. Returns a new reference or NULL. */
json_t *aegis_channel_read_blocking(int fd, const struct aegis_message *type, size_t limit, int timeout_ms,
                                    struct aegis_error *error);
bool aegis_channel_write_blocking(int fd, const struct aegis_message *type, json_t *body,
                                  struct aegis_error *error);

#endif
