/* Channels between processes: what arrives, what is refused, and what a refusal costs. */
#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gate/base/text.h"
#include "gate/ipc/channel.h"

struct side {
    struct event_base *base;
    struct aegis_channel *channel;
    int raw; /* the other end, driven by hand */
    unsigned handled;
    int64_t last;
    int fd;
    bool free_in_handler;
    bool reject_in_handler;
    unsigned closed;
    bool ended;
    char reason[256];
};

static void on_pong(struct aegis_channel *channel, const json_t *message, int fd, void *context)
{
    struct side *side = context;
    side->handled++;
    side->last = aegis_json_integer(message, "number", -1);
    side->fd = fd;
    if (side->free_in_handler)
        aegis_channel_free(&side->channel);
    if (side->reject_in_handler)
        aegis_channel_reject(channel, "enough");
}

static void on_closed(struct aegis_channel *channel, const char *reason, void *context)
{
    struct side *side = context;
    side->closed++;
    side->ended = aegis_channel_ended(channel);
    aegis_text_copy(side->reason, sizeof side->reason, reason);
    aegis_channel_free(&side->channel);
}

static const struct aegis_channel_rule rules[] = {
    {&aegis_message_pong, 0, on_pong}, {&aegis_message_ping, 2, on_pong}, {NULL, 0, NULL}};

static void side_open(struct side *side, bool descriptors)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    *side = (struct side){.base = event_base_new(), .raw = pair[1], .fd = -1};
    struct aegis_channel_options options = {.peer = "test",
                                            .rules = rules,
                                            .receive_limit = 1000,
                                            .backlog_limit = 1 << 20,
                                            .descriptors = descriptors,
                                            .closed = on_closed,
                                            .context = side};
    side->channel = aegis_channel_new(side->base, pair[0], &options);
}

static void side_close(struct side *side)
{
    aegis_channel_free(&side->channel);
    if (side->raw >= 0)
        close(side->raw);
    event_base_free(side->base);
}

static void turn(struct side *side)
{
    event_base_loop(side->base, EVLOOP_NONBLOCK);
    event_base_loop(side->base, EVLOOP_NONBLOCK);
}

static size_t put_frame(char *out, const char *text)
{
    uint32_t word = htonl((uint32_t)strlen(text));
    memcpy(out, &word, 4);
    memcpy(out + 4, text, strlen(text));
    return 4 + strlen(text);
}

static void send_frame(struct side *side, const char *text)
{
    char bytes[4096];
    size_t size = put_frame(bytes, text);
    assert_int_equal(write(side->raw, bytes, size), (ssize_t)size);
    turn(side);
}

static void test_frames_in_any_pieces(void **state)
{
    (void)state;
    struct side side;
    side_open(&side, false);
    char bytes[256];
    size_t size = put_frame(bytes, "{\"type\":\"pong\",\"number\":1}");
    size += put_frame(bytes + size, "{\"number\":2,\"type\":\"pong\"}");
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(write(side.raw, bytes + i, 1), 1);
        turn(&side);
    }
    assert_int_equal(side.handled, 2);
    assert_int_equal(write(side.raw, bytes, size), (ssize_t)size);
    turn(&side);
    assert_int_equal(side.handled, 4);
    assert_int_equal(side.last, 2);
    assert_int_equal(side.closed, 0);
    side_close(&side);
}

/* Every row closes the channel, and the reason says why. */
static void test_bad_frames(void **state)
{
    (void)state;
    static const struct {
        const char *frame, *reason;
    } cases[] = {
        {"nonsense", "not a JSON object"},
        {"[1]", "not a JSON object"},
        {"{}", "may not send"},
        {"{\"type\":7}", "may not send"},
        {"{\"type\":\"authorize\"}", "may not send"},
        {"{\"type\":\"pong\"}", "number"},
        {"{\"type\":\"pong\",\"number\":\"1\"}", "number"},
        {"{\"type\":\"pong\",\"number\":-1}", "number"},
        {"{\"type\":\"pong\",\"number\":1,\"more\":1}", "more"},
        {"{\"type\":\"pong\",\"number\":1,\"number\":2}", "not a JSON object"},
        {"{\"type\":\"pong\",\"number\":1} ", ""},
        {"{\"type\":\"pong\",\"number\":1}x", "not a JSON object"},
        {"{\"type\":\"ping\",\"number\":1}", "at a time when it may not"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct side side;
        side_open(&side, false);
        send_frame(&side, cases[i].frame);
        bool good = cases[i].reason[0] == '\0';
        assert_int_equal(side.closed, good ? 0 : 1);
        assert_int_equal(side.handled, good ? 1 : 0);
        if (!good && strstr(side.reason, cases[i].reason) == NULL)
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].frame, side.reason, cases[i].reason);
        side_close(&side);
    }
}

static void test_permit_follows_state(void **state)
{
    (void)state;
    struct side side;
    side_open(&side, false);
    aegis_channel_state_set(side.channel, 2);
    send_frame(&side, "{\"type\":\"ping\",\"number\":9}");
    assert_int_equal(side.last, 9);
    assert_int_equal(side.closed, 0);
    aegis_channel_state_set(side.channel, 1);
    send_frame(&side, "{\"type\":\"ping\",\"number\":9}");
    assert_int_equal(side.closed, 1);
    side_close(&side);
}

static void test_length_is_judged_first(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {0, 1001, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct side side;
        side_open(&side, false);
        uint32_t word = htonl(lengths[i]);
        assert_int_equal(write(side.raw, &word, 4), 4);
        turn(&side);
        assert_int_equal(side.closed, 1);
        side_close(&side);
    }
}

static void test_peer_that_leaves(void **state)
{
    (void)state;
    struct side side;
    side_open(&side, false);
    close(side.raw);
    side.raw = -1;
    turn(&side);
    assert_int_equal(side.closed, 1);
    assert_non_null(strstr(side.reason, "has closed"));
    assert_true(side.ended);
    side_close(&side);
}

static void test_free_and_reject_inside_handler(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct side side;
        side_open(&side, false);
        side.free_in_handler = i == 0;
        side.reject_in_handler = i == 1;
        char bytes[256];
        size_t size = put_frame(bytes, "{\"type\":\"pong\",\"number\":1}");
        size += put_frame(bytes + size, "{\"type\":\"pong\",\"number\":2}");
        assert_int_equal(write(side.raw, bytes, size), (ssize_t)size);
        turn(&side);
        assert_int_equal(side.handled, 1);
        assert_int_equal(side.closed, i);
        side_close(&side);
    }
}

static void test_backlog_is_bounded(void **state)
{
    (void)state;
    struct side side;
    side_open(&side, false);
    bool open = true;
    for (int i = 0; open && i < 1000000; i++) {
        open = aegis_channel_send(side.channel, &aegis_message_pong, json_pack("{s:i}", "number", i));
        if (i % 100 == 0)
            turn(&side);
    }
    assert_false(open);
    turn(&side);
    assert_int_equal(side.closed, 1);
    assert_non_null(strstr(side.reason, "does not read"));
    assert_false(side.ended);
    side_close(&side);
}

/* Descriptors arrive with their own frame, whatever is sent around them. */
static void test_descriptors(void **state)
{
    (void)state;
    struct side from, to;
    side_open(&to, true);
    from = (struct side){.base = to.base, .fd = -1};
    struct aegis_channel_options options = {.peer = "sender",
                                            .rules = rules,
                                            .receive_limit = 1000,
                                            .backlog_limit = 1 << 20,
                                            .descriptors = true,
                                            .closed = on_closed,
                                            .context = &from};
    from.channel = aegis_channel_new(to.base, to.raw, &options);
    to.raw = -1;
    for (int i = 0; i < 40; i++) {
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        aegis_channel_send(from.channel, &aegis_message_pong, json_pack("{s:i}", "number", i));
        aegis_channel_send_descriptor(from.channel, &aegis_message_pong,
                                      json_pack("{s:i}", "number", 100 + i), pipes[1]);
        close(pipes[1]);
        turn(&to);
        assert_int_equal(to.last, 100 + i);
        assert_true(to.fd >= 0);
        assert_int_equal(fcntl(to.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(write(to.fd, "x", 1), 1);
        char byte;
        assert_int_equal(read(pipes[0], &byte, 1), 1);
        close(to.fd);
        close(pipes[0]);
    }
    aegis_channel_free(&from.channel);
    side_close(&to);
}

static void test_unwanted_descriptor(void **state)
{
    (void)state;
    struct side to;
    side_open(&to, false);
    char bytes[256];
    struct iovec vector = {bytes, put_frame(bytes, "{\"type\":\"pong\",\"number\":1}")};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    int zero = 0;
    memcpy(CMSG_DATA(header), &zero, sizeof zero);
    assert_true(sendmsg(to.raw, &message, 0) > 0);
    turn(&to);
    assert_int_equal(to.handled, 0);
    assert_int_equal(to.closed, 1);
    side_close(&to);
}

static void test_blocking_helpers(void **state)
{
    (void)state;
    int pair[2];
    struct aegis_error error;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(
        aegis_channel_write_blocking(pair[0], &aegis_message_pong, json_pack("{s:i}", "number", 5), &error));
    json_t *frame = aegis_channel_read_blocking(pair[1], &aegis_message_pong, 1000, 1000, &error);
    assert_int_equal(aegis_json_integer(frame, "number", 0), 5);
    json_decref(frame);
    assert_true(
        aegis_channel_write_blocking(pair[0], &aegis_message_ping, json_pack("{s:i}", "number", 5), &error));
    assert_null(aegis_channel_read_blocking(pair[1], &aegis_message_pong, 1000, 1000, &error));
    assert_non_null(strstr(error.text, "another message"));
    assert_null(aegis_channel_read_blocking(pair[1], &aegis_message_pong, 1000, 10, &error));
    assert_non_null(strstr(error.text, "in time"));
    close(pair[0]);
    assert_null(aegis_channel_read_blocking(pair[1], &aegis_message_pong, 1000, 1000, &error));
    assert_non_null(strstr(error.text, "closed"));
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_in_any_pieces), cmocka_unit_test(test_bad_frames),
        cmocka_unit_test(test_permit_follows_state), cmocka_unit_test(test_length_is_judged_first),
        cmocka_unit_test(test_peer_that_leaves),     cmocka_unit_test(test_free_and_reject_inside_handler),
        cmocka_unit_test(test_backlog_is_bounded),   cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_unwanted_descriptor),  cmocka_unit_test(test_blocking_helpers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
