#include "gate/ipc/channel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

/* The length word: its highest bit says that a descriptor comes with the frame. */
#define WITH_DESCRIPTOR 0x80000000u
#define PREFIX          4u

enum { READ_SIZE = 65536, READS_PER_TURN = 4, DESCRIPTORS_QUEUED = 16 };

/* A descriptor that waits to leave with the byte at `position` of the stream. */
struct outgoing {
    uint64_t position;
    int fd;
    STAILQ_ENTRY(outgoing) next;
};

struct aegis_channel {
    struct aegis_channel_options options;
    int fd;
    unsigned state;
    bool busy;  /* in a dispatch: memory must outlive it */
    bool freed; /* the owner has let go */
    bool over;  /* nothing is read or sent any more */
    bool ended; /* because the other side has closed */
    struct event *readable;
    struct event *writable;
    struct event *flush;
    struct event *finish;
    char *space; /* READ_SIZE bytes that reads go into: most frames leave at once, and the heap is not churned
                    for them */
    struct evbuffer *input;
    struct evbuffer *output;
    uint64_t sent; /* position in the outgoing stream */
    STAILQ_HEAD(, outgoing) outgoing;
    int incoming[DESCRIPTORS_QUEUED];
    size_t incoming_count;
    char reason[256];
};

static void channel_destroy(struct aegis_channel *channel)
{
    event_free(channel->readable);
    event_free(channel->writable);
    event_free(channel->flush);
    event_free(channel->finish);
    free(channel->space);
    evbuffer_free(channel->input);
    evbuffer_free(channel->output);
    free(channel);
}

static void channel_close(struct aegis_channel *channel)
{
    if (channel->over)
        return;
    channel->over = true;
    event_del(channel->readable);
    event_del(channel->writable);
    event_del(channel->flush);
    close(channel->fd);
    for (size_t i = 0; i < channel->incoming_count; i++)
        close(channel->incoming[i]);
    channel->incoming_count = 0;
    struct outgoing *item;
    while ((item = STAILQ_FIRST(&channel->outgoing)) != NULL) {
        STAILQ_REMOVE_HEAD(&channel->outgoing, next);
        close(item->fd);
        free(item);
    }
}

static void channel_fail(struct aegis_channel *channel, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void channel_fail_va(struct aegis_channel *channel, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void channel_fail_va(struct aegis_channel *channel, const char *format, va_list arguments)
{
    if (channel->over)
        return;
    vsnprintf(channel->reason, sizeof channel->reason, format, arguments);
    channel_close(channel);
    event_active(channel->finish, EV_TIMEOUT, 0);
}

/* As everybody does who stops, or dies. */
static void channel_end(struct aegis_channel *channel)
{
    channel->ended = channel->ended || !channel->over;
    channel_fail(channel, "%s: has closed", channel->options.peer);
}

static void channel_fail(struct aegis_channel *channel, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    channel_fail_va(channel, format, arguments);
    va_end(arguments);
}

void aegis_channel_reject(struct aegis_channel *channel, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    channel_fail_va(channel, format, arguments);
    va_end(arguments);
}

static void channel_finish(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct aegis_channel *channel = context;
    if (channel->freed)
        return;
    channel->busy = true;
    if (channel->options.closed != NULL)
        channel->options.closed(channel, channel->reason, channel->options.context);
    channel->busy = false;
    if (channel->freed)
        channel_destroy(channel);
}

/* Sends up to the next descriptor's position, with the descriptor whose position this is. */
static ssize_t channel_write_some(struct aegis_channel *channel)
{
    struct evbuffer_iovec vector[16];
    size_t most = evbuffer_get_length(channel->output);
    struct outgoing *item = STAILQ_FIRST(&channel->outgoing);
    bool with_descriptor = item != NULL && item->position == channel->sent;
    struct outgoing *limit = with_descriptor ? STAILQ_NEXT(item, next) : item;
    if (limit != NULL && limit->position - channel->sent < most)
        most = (size_t)(limit->position - channel->sent);
    int count = evbuffer_peek(channel->output, (ev_ssize_t)most, NULL, vector, 16);
    if (count > 16)
        count = 16;
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        if (vector[i].iov_len > most - total)
            vector[i].iov_len = most - total;
        total += vector[i].iov_len;
    }
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = (struct iovec *)vector, .msg_iovlen = (size_t)count};
    if (with_descriptor) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &item->fd, sizeof(int));
    }
    ssize_t size = sendmsg(channel->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size <= 0)
        return size;
    evbuffer_drain(channel->output, (size_t)size);
    channel->sent += (uint64_t)size;
    if (with_descriptor) {
        STAILQ_REMOVE_HEAD(&channel->outgoing, next);
        close(item->fd);
        free(item);
    }
    return size;
}

static void channel_flush(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct aegis_channel *channel = context;
    while (!channel->over && evbuffer_get_length(channel->output) > 0) {
        ssize_t size = channel_write_some(channel);
        if (size > 0 || (size < 0 && errno == EINTR))
            continue;
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            event_add(channel->writable, NULL);
        else if (size < 0 && (errno == EPIPE || errno == ECONNRESET))
            channel_end(channel);
        else
            channel_fail(channel, "%s: cannot send: %s", channel->options.peer, strerror(errno));
        return;
    }
}

static bool channel_take_descriptors(struct aegis_channel *channel, struct msghdr *message)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            if (!channel->options.descriptors || channel->incoming_count == DESCRIPTORS_QUEUED) {
                close(fd);
                channel_fail(channel, "%s: sent a descriptor where none may come", channel->options.peer);
                continue;
            }
            channel->incoming[channel->incoming_count++] = fd;
        }
    }
    return !channel->over;
}

/* One read; its size, 0 at the end of the stream, -1 with errno. */
static ssize_t channel_receive(struct aegis_channel *channel)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * DESCRIPTORS_QUEUED)];
    } control = {0};
    struct iovec one = {channel->space, READ_SIZE};
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t size = recvmsg(channel->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (size > 0) {
        AEGIS_ASSERT(evbuffer_add(channel->input, channel->space, (size_t)size) == 0);
        channel_take_descriptors(channel, &message);
    }
    return size;
}

static const struct aegis_channel_rule *channel_rule(const struct aegis_channel *channel, const char *name)
{
    for (const struct aegis_channel_rule *rule = channel->options.rules; rule->type != NULL; rule++)
        if (strcmp(rule->type->name, name) == 0)
            return rule;
    return NULL;
}

static void channel_dispatch(struct aegis_channel *channel, json_t *frame, int fd)
{
    char name[64];
    const struct aegis_channel_rule *rule = NULL;
    struct aegis_error error;
    if (aegis_text_copy(name, sizeof name, aegis_json_text(frame, "type", "")))
        rule = channel_rule(channel, name);
    if (rule == NULL) {
        channel_fail(channel, "%s: sent a message that it may not send: \"%s\"", channel->options.peer, name);
    } else if (rule->permit != 0 && (rule->permit & channel->state) == 0) {
        channel_fail(channel, "%s: sent \"%s\" at a time when it may not", channel->options.peer, name);
    } else {
        json_t *type = json_incref(json_object_get(frame, "type"));
        json_object_del(frame, "type");
        if (!aegis_json_check(frame, rule->type->fields, &error)) {
            channel_fail(channel, "%s: message \"%s\": %s", channel->options.peer, name, error.text);
            json_decref(type);
        } else {
            json_object_set_new(frame, "type", type);
            rule->handle(channel, frame, fd, channel->options.context);
            return;
        }
    }
    if (fd >= 0)
        close(fd);
}

/* Takes one whole frame out of the input. False when there is none, or the channel failed. */
static bool channel_next(struct aegis_channel *channel)
{
    uint32_t word;
    if (evbuffer_copyout(channel->input, &word, PREFIX) != (ev_ssize_t)PREFIX)
        return false;
    word = ntohl(word);
    size_t length = word & ~WITH_DESCRIPTOR;
    if (length == 0 || length > channel->options.receive_limit) {
        channel_fail(channel, "%s: sent a frame of %zu bytes, the limit is %zu", channel->options.peer,
                     length, channel->options.receive_limit);
        return false;
    }
    if (evbuffer_get_length(channel->input) < PREFIX + length)
        return false;
    int fd = -1;
    if (word & WITH_DESCRIPTOR) {
        if (channel->incoming_count == 0) {
            channel_fail(channel, "%s: promised a descriptor that did not come", channel->options.peer);
            return false;
        }
        fd = channel->incoming[0];
        memmove(channel->incoming, channel->incoming + 1, --channel->incoming_count * sizeof(int));
    }
    const unsigned char *bytes = evbuffer_pullup(channel->input, (ev_ssize_t)(PREFIX + length));
    struct aegis_error error;
    json_t *frame = aegis_json_parse((const char *)bytes + PREFIX, length, &error);
    evbuffer_drain(channel->input, PREFIX + length);
    if (!json_is_object(frame)) {
        channel_fail(channel, "%s: sent a frame that is not a JSON object: %s", channel->options.peer,
                     frame == NULL ? error.text : "another value");
        if (fd >= 0)
            close(fd);
    } else {
        channel_dispatch(channel, frame, fd);
    }
    json_decref(frame);
    return !channel->over;
}

static void channel_readable(evutil_socket_t unused, short what, void *context)
{
    (void)unused;
    (void)what;
    struct aegis_channel *channel = context;
    channel->busy = true;
    for (int i = 0; i < READS_PER_TURN && !channel->over; i++) {
        ssize_t size = channel_receive(channel);
        if (size < 0 && errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)
            channel_fail(channel, "%s: cannot read: %s", channel->options.peer, strerror(errno));
        else if (size == 0)
            channel_end(channel);
        if (size <= 0)
            break;
        while (!channel->over && channel_next(channel))
            ;
        if (size < READ_SIZE)
            break;
    }
    channel->busy = false;
    if (channel->freed)
        channel_destroy(channel);
}

struct aegis_channel *aegis_channel_new(struct event_base *base, int fd,
                                        const struct aegis_channel_options *options)
{
    struct aegis_channel *channel = aegis_alloc(sizeof *channel);
    channel->options = *options;
    channel->fd = fd;
    STAILQ_INIT(&channel->outgoing);
    AEGIS_ASSERT(evutil_make_socket_nonblocking(fd) == 0 && evutil_make_socket_closeonexec(fd) == 0);
    channel->space = aegis_alloc(READ_SIZE);
    channel->input = evbuffer_new();
    channel->output = evbuffer_new();
    channel->readable = event_new(base, fd, EV_READ | EV_PERSIST, channel_readable, channel);
    channel->writable = event_new(base, fd, EV_WRITE, channel_flush, channel);
    channel->flush = event_new(base, -1, 0, channel_flush, channel);
    channel->finish = event_new(base, -1, 0, channel_finish, channel);
    AEGIS_ASSERT(channel->input && channel->output && channel->readable && channel->writable &&
                 channel->flush && channel->finish && event_add(channel->readable, NULL) == 0);
    return channel;
}

void aegis_channel_free(struct aegis_channel **pointer)
{
    struct aegis_channel *channel = *pointer;
    *pointer = NULL;
    if (channel == NULL)
        return;
    if (!channel->over)
        channel_flush(-1, 0, channel);
    channel_close(channel);
    event_del(channel->finish);
    channel->freed = true;
    if (!channel->busy)
        channel_destroy(channel);
}

/* The frame's bytes without the length word. The caller frees. */
static char *frame_text(const struct aegis_message *type, json_t *body, size_t *length)
{
    struct aegis_error error;
    if (!aegis_json_check(body, type->fields, &error))
        aegis_panic("message \"%s\" of ours: %s", type->name, error.text);
    char *fields = aegis_json_compact(body);
    AEGIS_ASSERT(fields != NULL);
    char *text = aegis_format("{\"type\":\"%s\"%s%s", type->name, fields[1] == '}' ? "" : ",", fields + 1);
    free(fields);
    *length = strlen(text);
    AEGIS_ASSERT(*length < WITH_DESCRIPTOR);
    return text;
}

static bool channel_send(struct aegis_channel *channel, const struct aegis_message *type, json_t *body,
                         int fd)
{
    if (body == NULL)
        body = json_object();
    if (channel == NULL || channel->over) {
        json_decref(body);
        return false;
    }
    size_t length;
    char *text = frame_text(type, body, &length);
    json_decref(body);
    uint32_t word = htonl((uint32_t)length | (fd >= 0 ? WITH_DESCRIPTOR : 0));
    if (fd >= 0) {
        struct outgoing *item = aegis_alloc(sizeof *item);
        item->position = channel->sent + evbuffer_get_length(channel->output);
        item->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        AEGIS_ASSERT(channel->options.descriptors && item->fd >= 0);
        STAILQ_INSERT_TAIL(&channel->outgoing, item, next);
    }
    AEGIS_ASSERT(evbuffer_add(channel->output, &word, PREFIX) == 0 &&
                 evbuffer_add(channel->output, text, length) == 0);
    free(text);
    if (evbuffer_get_length(channel->output) > channel->options.backlog_limit)
        channel_fail(channel, "%s: does not read what it is sent", channel->options.peer);
    else if (!event_pending(channel->writable, EV_WRITE, NULL))
        event_active(channel->flush, EV_TIMEOUT, 0);
    return !channel->over;
}

bool aegis_channel_send(struct aegis_channel *channel, const struct aegis_message *type, json_t *body)
{
    return channel_send(channel, type, body, -1);
}

bool aegis_channel_send_descriptor(struct aegis_channel *channel, const struct aegis_message *type,
                                   json_t *body, int fd)
{
    return channel_send(channel, type, body, fd);
}

void aegis_channel_flush(struct aegis_channel *channel)
{
    channel_flush(-1, 0, channel);
}

void aegis_channel_state_set(struct aegis_channel *channel, unsigned state)
{
    channel->state = state;
}

bool aegis_channel_ended(const struct aegis_channel *channel)
{
    return channel->ended;
}

size_t aegis_channel_backlog(const struct aegis_channel *channel)
{
    return evbuffer_get_length(channel->output);
}

/* Reads exactly `size` bytes before the boot clock reaches `deadline`. */
static bool read_exactly(int fd, void *out, size_t size, int64_t deadline, struct aegis_error *error)
{
    char *at = out;
    while (size > 0) {
        int64_t left = deadline - aegis_clock_boot();
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        int ready = left <= 0 ? 0 : poll(&waiting, 1, (int)left);
        if (ready == 0)
            return aegis_error_set(error, "no answer in time");
        ssize_t got = ready < 0 ? -1 : read(fd, at, size);
        if (got == 0)
            return aegis_error_set(error, "the other side has closed");
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            return aegis_error_set(error, "cannot read: %s", strerror(errno));
        at += got;
        size -= (size_t)got;
    }
    return true;
}

json_t *aegis_channel_read_blocking(int fd, const struct aegis_message *type, size_t limit, int timeout_ms,
                                    struct aegis_error *error)
{
    int64_t deadline = aegis_clock_boot() + timeout_ms;
    uint32_t word;
    if (!read_exactly(fd, &word, PREFIX, deadline, error))
        return NULL;
    size_t length = ntohl(word);
    if (length == 0 || length > limit) {
        aegis_error_set(error, "a frame of %zu bytes came, the limit is %zu", length, limit);
        return NULL;
    }
    char *text = malloc(length);
    json_t *frame = NULL;
    if (text == NULL)
        aegis_error_set(error, "no memory for a frame of %zu bytes", length);
    else if (read_exactly(fd, text, length, deadline, error))
        frame = aegis_json_parse(text, length, error);
    free(text);
    if (frame == NULL)
        return NULL;
    if (strcmp(aegis_json_text(frame, "type", ""), type->name) != 0) {
        aegis_error_set(error, "another message than \"%s\" came", type->name);
    } else if (json_object_del(frame, "type") == 0 && aegis_json_check(frame, type->fields, error)) {
        return frame;
    }
    json_decref(frame);
    return NULL;
}

bool aegis_channel_write_blocking(int fd, const struct aegis_message *type, json_t *body,
                                  struct aegis_error *error)
{
    if (body == NULL)
        body = json_object();
    size_t length;
    char *text = frame_text(type, body, &length);
    json_decref(body);
    uint32_t word = htonl((uint32_t)length);
    char *frame = aegis_alloc(PREFIX + length);
    memcpy(frame, &word, PREFIX);
    memcpy(frame + PREFIX, text, length);
    free(text);
    bool done = true;
    for (size_t at = 0; done && at < PREFIX + length;) {
        ssize_t size = send(fd, frame + at, PREFIX + length - at, MSG_NOSIGNAL);
        if (size > 0)
            at += (size_t)size;
        else if (errno != EINTR)
            done = aegis_error_set(error, "cannot send: %s", strerror(errno));
    }
    free(frame);
    return done;
}
