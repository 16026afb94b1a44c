/* A stream of responses: what is understood does not depend on how the bytes arrive; what is sent on is read
 * as the same and sent on as the same; nothing is taken that a simple judge refuses. */
#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "tests/fuzz/http_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_cuts(const uint8_t *data, size_t size)
{
    uint64_t cuts = 1;
    for (size_t i = 0; i < size; i++) {
        cuts = (cuts ^ data[i]) * UINT64_C(1099511628211);
    }
    struct http_text whole = http_stream_read(false, data, size, 0);
    struct http_text parts = http_stream_read(false, data, size, cuts | 1);
    AEGIS_ASSERT(whole.size == parts.size && memcmp(whole.bytes, parts.bytes, whole.size) == 0);
    http_text_free(&whole);
    http_text_free(&parts);
}

static void check_canonical(const uint8_t *data, size_t size)
{
    struct http_text once = http_stream_canonical(false, data, size);
    if (once.bytes != NULL && once.size < 4096) {
        struct http_text twice = http_stream_canonical(false, (const uint8_t *)once.bytes, once.size);
        AEGIS_ASSERT(twice.size == once.size && memcmp(twice.bytes, once.bytes, once.size) == 0);
        http_text_free(&twice);
    }
    http_text_free(&once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    http_stream_judge(false, data, size);
    check_cuts(data, size);
    check_canonical(data, size);
    return 0;
}
