/* base64 and base58 of gate/base/text.h. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/text.h"

static const char letters64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char letters58[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

char *aegis_base64_encode(const void *bytes, size_t size)
{
    const unsigned char *in = bytes;
    char *text = size < SIZE_MAX / 2 ? malloc((size + 2) / 3 * 4 + 1) : NULL;
    char *out = text;

    if (text == NULL) {
        return NULL;
    }
    for (; size >= 3; size -= 3, in += 3) {
        *out++ = letters64[in[0] >> 2];
        *out++ = letters64[(in[0] & 3) << 4 | in[1] >> 4];
        *out++ = letters64[(in[1] & 15) << 2 | in[2] >> 6];
        *out++ = letters64[in[2] & 63];
    }
    if (size > 0) {
        unsigned second = size == 2 ? in[1] : 0;

        *out++ = letters64[in[0] >> 2];
        *out++ = letters64[(in[0] & 3) << 4 | second >> 4];
        *out++ = (char)(size == 2 ? letters64[(second & 15) << 2] : '=');
        *out++ = '=';
    }
    *out = '\0';
    return text;
}

static int value64(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The length without padding; false when there is padding that does not fill up a group of four, or no byte
 * could have made that length. */
static bool unpadded(const char *text, size_t *length)
{
    size_t padding = 0;

    while (padding < 2 && padding < *length && text[*length - 1 - padding] == '=') {
        padding++;
    }
    if (padding > 0 && *length % 4 != 0) {
        return false;
    }
    *length -= padding;
    return *length % 4 != 1;
}

unsigned char *aegis_base64_decode(const char *text, size_t length, size_t *size)
{
    unsigned char *bytes, *out;
    uint32_t group = 0;

    if (!unpadded(text, &length)) {
        return NULL;
    }
    bytes = out = malloc(length / 4 * 3 + 3);
    if (bytes == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < length; i++) {
        int value = value64(text[i]);

        if (value < 0) {
            free(bytes);
            return NULL;
        }
        group = group << 6 | (uint32_t)value;
        switch (i % 4) {
        case 1:
            *out++ = (unsigned char)(group >> 4);
            break;
        case 2:
            *out++ = (unsigned char)(group >> 2);
            break;
        case 3:
            *out++ = (unsigned char)group;
            break;
        }
    }
    *size = (size_t)(out - bytes);
    *out = '\0';
    return bytes;
}

char *aegis_base58_encode(const void *bytes, size_t size)
{
    const unsigned char *in = bytes;
    size_t zeros = 0, count = 0, room;
    unsigned char *digits; /* least significant first */
    char *text, *out;

    while (zeros < size && in[zeros] == 0) {
        zeros++;
    }
    room = (size - zeros) * 138 / 100 + 1; /* log 256 / log 58, rounded up */
    digits = aegis_alloc(room);
    for (size_t i = zeros; i < size; i++) {
        unsigned carry = in[i];

        for (size_t j = 0; j < count || carry > 0; j++) {
            carry += j < count ? 256U * digits[j] : 0;
            digits[j] = (unsigned char)(carry % 58);
            carry /= 58;
            count = j >= count ? j + 1 : count;
        }
    }
    text = out = aegis_alloc(zeros + count + 1);
    memset(out, '1', zeros);
    out += zeros;
    while (count > 0) {
        *out++ = letters58[digits[--count]];
    }
    free(digits);
    return text;
}

/* number = number * 58 + digit over `size` big-endian bytes; false when it does not fit. */
static bool shift_in58(unsigned char *number, size_t size, unsigned digit)
{
    for (size_t i = size; i > 0; i--) {
        digit += 58U * number[i - 1];
        number[i - 1] = (unsigned char)digit;
        digit >>= 8;
    }
    return digit == 0;
}

bool aegis_base58_decode(const char *text, void *out, size_t size)
{
    unsigned char *bytes = out;
    size_t ones = strspn(text, "1"), zeros = 0;

    memset(bytes, 0, size);
    for (const char *at = text + ones; *at != '\0'; at++) {
        const char *letter = strchr(letters58, *at);

        if (letter == NULL || !shift_in58(bytes, size, (unsigned)(letter - letters58))) {
            return false;
        }
    }
    /* Each leading 1 stands for one leading zero byte, no more and no fewer. */
    while (zeros < size && bytes[zeros] == 0) {
        zeros++;
    }
    return zeros == ones;
}
