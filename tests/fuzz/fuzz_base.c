/* Any bytes as JSON, YAML, base64, an amount, a time: no crash, and what was written is read back as the
 * same. */
#include <stdlib.h>
#include <string.h>

#include "gate/base/amount.h"
#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A canonical text is its own canonical form, and the compact one means the same; but for doubles between
 * 2^63 and 10^21, which are written as integers that jansson does not hold. */
static void check_json(const char *text, size_t size)
{
    json_t *value = aegis_json_parse(text, size, NULL);
    char *canonical = aegis_json_canonical(value, NULL), *compact;

    if (canonical != NULL) {
        json_t *again = aegis_json_parse(canonical, strlen(canonical), NULL);
        char *second = aegis_json_canonical(again, NULL);

        AEGIS_ASSERT(again == NULL || (second != NULL && strcmp(canonical, second) == 0));
        free(second);
        json_decref(again);
        compact = aegis_json_compact(value);
        again = aegis_json_parse(compact, strlen(compact), NULL);
        second = aegis_json_canonical(again, NULL);
        AEGIS_ASSERT(again == NULL || (second != NULL && strcmp(canonical, second) == 0));
        free(second);
        json_decref(again);
        free(compact);
    }
    free(canonical);
    json_decref(value);
}

static void check_yaml(const char *text, size_t size)
{
    struct aegis_yaml *yaml = aegis_yaml_parse("fuzz", text, size, NULL);

    if (yaml != NULL) {
        char *out = json_dumps(aegis_yaml_root(yaml), JSON_ENCODE_ANY);

        AEGIS_ASSERT(out != NULL);
        free(out);
    }
    aegis_yaml_free(yaml);
}

static void check_base64(const char *text, size_t size)
{
    size_t decoded_size, again_size;
    unsigned char *decoded = aegis_base64_decode(text, size, &decoded_size), *again;
    char *encoded;

    if (decoded == NULL) {
        return;
    }
    encoded = aegis_base64_encode(decoded, decoded_size);
    again = aegis_base64_decode(encoded, strlen(encoded), &again_size);
    AEGIS_ASSERT(again_size == decoded_size && memcmp(again, decoded, again_size) == 0);
    free(again);
    free(encoded);
    free(decoded);
}

static void check_texts(const char *text)
{
    char amount_text[AEGIS_AMOUNT_TEXT], decimal[AEGIS_AMOUNT_DECIMAL_TEXT], time_text[AEGIS_TIME_TEXT];
    aegis_amount amount, again;
    int64_t ms, ms_again;

    if (aegis_amount_parse(text, &amount)) {
        AEGIS_ASSERT(strcmp(aegis_amount_format(amount, amount_text), text) == 0);
    }
    for (unsigned decimals = 0; decimals <= 38; decimals += 19) {
        if (aegis_amount_parse_decimal(text, decimals, &amount)) {
            aegis_amount_format_decimal(amount, decimals, decimal);
            AEGIS_ASSERT(aegis_amount_parse_decimal(decimal, decimals, &again) && again == amount);
        }
    }
    if (aegis_time_parse(text, &ms) && ms >= INT64_C(-62135596800000) && ms < INT64_C(253402300800000)) {
        AEGIS_ASSERT(aegis_time_parse(aegis_time_format(ms, time_text), &ms_again) && ms_again == ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = aegis_alloc(size + 1);

    if (size > 0) {
        memcpy(text, data, size);
    }
    check_json(text, size);
    check_yaml(text, size);
    check_base64(text, size);
    check_texts(text);
    free(text);
    return 0;
}
