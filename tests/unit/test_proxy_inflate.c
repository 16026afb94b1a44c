/* Undoing a content coding: whole, damaged, too long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "gate/base/error.h"
#include "gate/base/text.h"
#include "gate/proxy/inflate.h"

enum { GZIP = 15 + 16, ZLIB = 15, LIMIT = 1000 };

/* Compresses `size` bytes of `text`; the caller frees. */
static char *packed(const char *text, size_t size, int kind, size_t *out)
{
    size_t room = size + 1000;
    char *bytes = aegis_alloc(room);
    z_stream stream = {.next_in = (Bytef *)(size_t)text,
                       .avail_in = (uInt)size,
                       .next_out = (Bytef *)bytes,
                       .avail_out = (uInt)room};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, kind, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *out = room - stream.avail_out;
    deflateEnd(&stream);
    return bytes;
}

static void both_codings(void **state)
{
    (void)state;
    static const int kinds[] = {GZIP, ZLIB};
    static const char text[] = "{\"x402Version\":1,\"accepts\":[]}";
    for (size_t i = 0; i < 2; i++) {
        struct aegis_error error = {0};
        size_t size, length = 0;
        char *bytes = packed(text, strlen(text), kinds[i], &size);
        char *plain = aegis_inflate(bytes, size, LIMIT, &length, &error);
        assert_non_null(plain);
        assert_int_equal(length, strlen(text));
        assert_memory_equal(plain, text, length);
        free(plain);
        free(bytes);
    }
}

/* Cut at every byte, with a byte changed anywhere, or with something behind it. */
static void damaged(void **state)
{
    (void)state;
    static const char text[] = "{\"x402Version\":1,\"error\":\"payment required\",\"accepts\":[1,2,3]}";
    struct aegis_error error = {0};
    size_t size, length;
    char *bytes = packed(text, strlen(text), GZIP, &size);
    for (size_t cut = 0; cut < size; cut++) {
        assert_null(aegis_inflate(bytes, cut, LIMIT, &length, &error));
        assert_true(error.text[0] != '\0');
    }
    for (size_t at = 0; at < size; at++) {
        bytes[at] = (char)(bytes[at] ^ 0x55);
        char *plain = aegis_inflate(bytes, size, LIMIT, &length, &error);
        /* Time and operating system in gzip's header say nothing. */
        if (plain != NULL)
            assert_memory_equal(plain, text, strlen(text));
        free(plain);
        bytes[at] = (char)(bytes[at] ^ 0x55);
    }
    bytes[size] = 'x';
    assert_null(aegis_inflate(bytes, size + 1, LIMIT, &length, &error));
    free(bytes);
}

static void the_limit_holds(void **state)
{
    (void)state;
    char *zeros = aegis_alloc(10 << 20);
    struct aegis_error error = {0};
    const size_t sizes[] = {LIMIT, LIMIT + 1, 10 << 20};
    for (size_t i = 0; i < 3; i++) {
        size_t size, length;
        char *bytes = packed(zeros, sizes[i], GZIP, &size);
        char *plain = aegis_inflate(bytes, size, LIMIT, &length, &error);
        assert_int_equal(plain != NULL, sizes[i] <= LIMIT);
        free(plain);
        free(bytes);
    }
    free(zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_codings),
        cmocka_unit_test(damaged),
        cmocka_unit_test(the_limit_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
