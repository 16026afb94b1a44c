/* The reader of bodies by itself: its contract call by call, its limits, and bodies that no table can hold.
 * What is valid in a chunk line or trailer is in the tables of raw messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/http/head.h"

static struct aegis_http_body begin(enum aegis_http_framing framing, uint64_t length)
{
    struct aegis_http_head head = {.framing = framing, .length = length};
    struct aegis_http_body body;
    aegis_http_body_begin(&body, &head);
    return body;
}

/* One call; says what it returned, consumed and gave. */
static void step(struct aegis_http_body *body, const char *bytes, enum aegis_http_result result,
                 size_t consumed, const char *given)
{
    struct aegis_http_text data = {0};
    size_t used = 99;
    const char *problem = NULL;
    assert_int_equal(aegis_http_body_read(body, bytes, strlen(bytes), &used, &data, &problem), result);
    if (result == AEGIS_HTTP_BAD) {
        assert_non_null(problem);
        return;
    }
    assert_int_equal(used, consumed);
    assert_true(aegis_http_text_equal(data, given));
}

static void a_length_is_kept_to_the_byte(void **state)
{
    (void)state;
    struct aegis_http_body body = begin(AEGIS_HTTP_LENGTH, 5);
    step(&body, "", AEGIS_HTTP_MORE, 0, "");
    step(&body, "he", AEGIS_HTTP_OK, 2, "he");
    assert_false(body.done);
    step(&body, "lloGET", AEGIS_HTTP_OK, 3, "llo");
    assert_true(body.done);
    step(&body, "GET", AEGIS_HTTP_OK, 0, "");
    body = begin(AEGIS_HTTP_LENGTH, 0);
    assert_true(body.done);
    body = begin(AEGIS_HTTP_NO_BODY, 7);
    assert_true(body.done);
    body = begin(AEGIS_HTTP_LENGTH, UINT64_C(999999999999999999));
    step(&body, "hello", AEGIS_HTTP_OK, 5, "hello");
    assert_true(body.left == UINT64_C(999999999999999994));
}

static void a_body_until_close_never_ends_by_itself(void **state)
{
    (void)state;
    struct aegis_http_body body = begin(AEGIS_HTTP_UNTIL_CLOSE, 0);
    step(&body, "", AEGIS_HTTP_MORE, 0, "");
    step(&body, "0\r\n\r\n", AEGIS_HTTP_OK, 5, "0\r\n\r\n");
    step(&body, "x", AEGIS_HTTP_OK, 1, "x");
    assert_false(body.done);
}

static void chunks_are_given_piece_by_piece(void **state)
{
    (void)state;
    struct aegis_http_body body = begin(AEGIS_HTTP_CHUNKED, 0);
    step(&body, "", AEGIS_HTTP_MORE, 0, "");
    step(&body, "5", AEGIS_HTTP_OK, 1, "");
    step(&body, "\r", AEGIS_HTTP_OK, 1, "");
    step(&body, "\n", AEGIS_HTTP_OK, 1, "");
    step(&body, "he", AEGIS_HTTP_OK, 2, "he");
    step(&body, "llo\r\n3;a=b\r\nabc\r\n", AEGIS_HTTP_OK, 3, "llo");
    step(&body, "\r\n3;a=b\r\nabc\r\n", AEGIS_HTTP_OK, 12, "abc");
    step(&body, "\r\n0\r\nX: y\r\n\r\nGET", AEGIS_HTTP_OK, 13, "");
    assert_true(body.done);
    step(&body, "GET", AEGIS_HTTP_OK, 0, "");
}

static void sizes_do_not_overflow(void **state)
{
    (void)state;
    struct aegis_http_body body = begin(AEGIS_HTTP_CHUNKED, 0);
    step(&body, "fffffffffffffff\r\nabc", AEGIS_HTTP_OK, 20, "abc");
    assert_true(body.left == UINT64_C(0xffffffffffffffc));
    body = begin(AEGIS_HTTP_CHUNKED, 0);
    step(&body, "1000000000000000\r\n", AEGIS_HTTP_BAD, 0, "");
    body = begin(AEGIS_HTTP_CHUNKED, 0);
    step(&body, "0000000000000000", AEGIS_HTTP_BAD, 0, "");
}

/* Sends the text `times` over; says how often it went well. */
static unsigned feed(struct aegis_http_body *body, const char *text, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        for (size_t at = 0; text[at] != '\0';) {
            struct aegis_http_text data;
            size_t used = 0;
            const char *problem = NULL;
            if (aegis_http_body_read(body, text + at, strlen(text + at), &used, &data, &problem) ==
                AEGIS_HTTP_BAD) {
                return i;
            }
            at += used;
        }
    }
    return times;
}

static void extensions_may_not_outweigh_the_data(void **state)
{
    (void)state;
    struct aegis_http_body body = begin(AEGIS_HTTP_CHUNKED, 0);
    assert_int_equal(feed(&body, "1\r\nx\r\n", 100000), 100000);
    body = begin(AEGIS_HTTP_CHUNKED, 0);
    assert_int_equal(feed(&body, "a;signature=0123456789abcdef\r\n0123456789\r\n", 100000), 100000);
    char text[1100] = "1;";
    memset(text + 2, 'a', 900);
    strcpy(text + 902, "\r\nx\r\n");
    body = begin(AEGIS_HTTP_CHUNKED, 0);
    unsigned taken = feed(&body, text, 100000);
    assert_true(taken > 10 && taken < 30);
}

static void lines_and_trailers_are_bounded(void **state)
{
    (void)state;
    struct aegis_http_body body = begin(AEGIS_HTTP_CHUNKED, 0);
    assert_int_equal(feed(&body, "0;", 1), 1);
    assert_int_equal(feed(&body, "a", 5000), 1022);
    body = begin(AEGIS_HTTP_CHUNKED, 0);
    assert_int_equal(feed(&body, "0\r\n", 1), 1);
    assert_int_equal(feed(&body, "X: y\r\n", 5000), 8192 / 6);
}

static void trailers_that_would_frame_are_known_by_name(void **state)
{
    (void)state;
    static const char *const refused[] = {"Content-Length", "CONTENT-LENGTH", "Transfer-Encoding", "host",
                                          "HOST"};
    static const char *const taken[] = {
        "Content-Lengt",  "Content-Length1", "Content-Length-",  "Hos",      "Hosts", "X-Host",
        "Content_Length", "Content-Type",    "transfer-encodin", "x-payment"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct aegis_http_body body = begin(AEGIS_HTTP_CHUNKED, 0);
        char text[64];
        snprintf(text, sizeof(text), "0\r\nA: b\r\n%s:1\r\n\r\n", refused[i]);
        assert_int_equal(feed(&body, text, 1), 0);
    }
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        struct aegis_http_body body = begin(AEGIS_HTTP_CHUNKED, 0);
        char text[64];
        snprintf(text, sizeof(text), "0\r\nA: b\r\n%s:1\r\n\r\n", taken[i]);
        assert_int_equal(feed(&body, text, 1), 1);
        assert_true(body.done);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_is_kept_to_the_byte),
        cmocka_unit_test(a_body_until_close_never_ends_by_itself),
        cmocka_unit_test(chunks_are_given_piece_by_piece),
        cmocka_unit_test(sizes_do_not_overflow),
        cmocka_unit_test(extensions_may_not_outweigh_the_data),
        cmocka_unit_test(lines_and_trailers_are_bounded),
        cmocka_unit_test(trailers_that_would_frame_are_known_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
