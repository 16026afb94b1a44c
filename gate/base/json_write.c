/* The two ways to write JSON of gate/base/json.h. They differ in the order of keys and in what they refuse;
 * strings and numbers are spelled the same way, JavaScript's, which RFC 8785 took over. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

#define INTEGER_EXACT (INT64_C(1) << 53) /* up to here a double holds every integer */

/* One buffer that only grows: | written ... size | free ... room | */
struct writer {
    char *bytes;
    size_t size, room;
    bool canonical;
};

struct member {
    const char *key;
    size_t key_length;
    const json_t *value;
};

static bool write_value(struct writer *writer, const json_t *value);

static char *reserve(struct writer *writer, size_t more)
{
    if (writer->room - writer->size < more) {
        size_t room = writer->room * 2 + more;
        char *bytes = realloc(writer->bytes, room);

        if (bytes == NULL) {
            aegis_panic("out of memory: %zu bytes", room);
        }
        writer->bytes = bytes;
        writer->room = room;
    }
    return writer->bytes + writer->size;
}

static void put(struct writer *writer, const char *bytes, size_t size)
{
    memcpy(reserve(writer, size), bytes, size);
    writer->size += size;
}

static void put_char(struct writer *writer, char c)
{
    *reserve(writer, 1) = c;
    writer->size++;
}

static void put_escape(struct writer *writer, unsigned char c)
{
    static const char short_forms[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    char hex[8];

    for (const char *form = short_forms; *form != '\0'; form += 2) {
        if ((unsigned char)form[0] == c) {
            put_char(writer, '\\');
            put_char(writer, form[1]);
            return;
        }
    }
    put(writer, hex, (size_t)snprintf(hex, sizeof hex, "\\u%04x", c));
}

static bool write_string(struct writer *writer, const char *text, size_t length)
{
    size_t begin = 0;

    put_char(writer, '"');
    for (size_t at = 0; at < length; at++) {
        unsigned char c = (unsigned char)text[at];

        if (c < 0x20 || c == '"' || c == '\\') {
            put(writer, text + begin, at - begin);
            put_escape(writer, c);
            begin = at + 1;
        }
    }
    put(writer, text + begin, length - begin);
    put_char(writer, '"');
    return true;
}

static void write_integer(struct writer *writer, int64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        digits[--at] = '-';
    }
    put(writer, digits + at, sizeof digits - at);
}

/* A positive double as digits d1 d2 ... dk times 10^(point - k), k as small as it can be. */
struct decimal {
    char digits[20];
    int count;
    int point;
};

static bool round_trips(const struct decimal *decimal, double value)
{
    char text[40];

    snprintf(text, sizeof text, "%se%d", decimal->digits, decimal->point - decimal->count);
    return strtod(text, NULL) == value;
}

/* The decimal of `count` digits that is nearest to `value`. */
static void nearest(struct decimal *decimal, double value, int count)
{
    char text[40];

    snprintf(text, sizeof text, "%.*e", count - 1, value);
    decimal->digits[0] = text[0];
    memcpy(decimal->digits + 1, text + 2, (size_t)count - 1);
    decimal->digits[count] = '\0';
    decimal->count = count;
    decimal->point = (int)strtol(strchr(text, 'e') + 1, NULL, 10) + 1;
}

/* The next larger decimal of the same length (all nines never come here: they are followed by a shorter
 * one). */
static void next_up(struct decimal *decimal)
{
    int at = decimal->count - 1;

    while (at > 0 && decimal->digits[at] == '9') {
        decimal->digits[at--] = '0';
    }
    if (decimal->digits[at] < '9') {
        decimal->digits[at]++;
    }
}

static void drop_zeros(struct decimal *decimal)
{
    while (decimal->count > 1 && decimal->digits[decimal->count - 1] == '0') {
        decimal->digits[--decimal->count] = '\0';
    }
}

static void shortest(struct decimal *decimal, double value)
{
    /* Up to DBL_DIG digits a normal double prints its own shortest form, zeros apart. */
    int count = value >= DBL_MIN ? DBL_DIG : 1;

    for (;; count++) {
        nearest(decimal, value, count);
        if (count == 17 || round_trips(decimal, value)) {
            break;
        }
        /* Above a power of two doubles lie twice as far apart as below it, so the nearest decimal, below, may
         * belong to another double while the second nearest, above, does not. */
        next_up(decimal);
        if (round_trips(decimal, value)) {
            break;
        }
    }
    drop_zeros(decimal);
}

/* ECMAScript's Number::toString for a finite positive number. */
static size_t format_positive(double value, char out[32])
{
    struct decimal d;
    int exponent;

    shortest(&d, value);
    if (d.count <= d.point && d.point <= 21) {
        return (size_t)snprintf(out, 32, "%s%.*s", d.digits, d.point - d.count, "000000000000000000000");
    }
    if (0 < d.point && d.point <= 21) {
        return (size_t)snprintf(out, 32, "%.*s.%s", d.point, d.digits, d.digits + d.point);
    }
    if (-6 < d.point && d.point <= 0) {
        return (size_t)snprintf(out, 32, "0.%.*s%s", -d.point, "000000", d.digits);
    }
    exponent = d.point - 1;
    return (size_t)snprintf(out, 32, "%c%s%se%c%d", d.digits[0], d.count > 1 ? "." : "", d.digits + 1,
                            exponent < 0 ? '-' : '+', exponent < 0 ? -exponent : exponent);
}

static bool write_double(struct writer *writer, double value)
{
    char text[32];

    if (!isfinite(value)) {
        put(writer, "null", 4);
        return !writer->canonical;
    }
    if (fabs(value) < (double)INTEGER_EXACT && value == (double)(int64_t)value) {
        write_integer(writer, (int64_t)value); /* also -0, which is 0 in JavaScript's spelling */
        return true;
    }
    if (value < 0) {
        put_char(writer, '-');
    }
    put(writer, text, format_positive(fabs(value), text));
    return true;
}

static bool write_whole(struct writer *writer, int64_t value)
{
    char text[32], exact[32];

    if (-INTEGER_EXACT <= value && value <= INTEGER_EXACT) {
        write_integer(writer, value);
        return true;
    }
    /* JavaScript would have read it as a double. In canonical form that must make no difference:
     * 80000000000000000 is how the double 8e16 is written, 9007199254740993 is how no double is written. */
    text[format_positive(fabs((double)value), text)] = '\0';
    snprintf(exact, sizeof exact, "%" PRIu64, value < 0 ? -(uint64_t)value : (uint64_t)value);
    return (!writer->canonical || strcmp(text, exact) == 0) && write_double(writer, (double)value);
}

static bool write_array(struct writer *writer, const json_t *array)
{
    size_t size = json_array_size(array);
    bool ok = true;

    put_char(writer, '[');
    for (size_t i = 0; ok && i < size; i++) {
        if (i > 0) {
            put_char(writer, ',');
        }
        ok = write_value(writer, json_array_get(array, i));
    }
    put_char(writer, ']');
    return ok;
}

/* By UTF-16 code units (RFC 8785, section 3.2.3). That is the order of UTF-8 bytes but for one case: what
 * lies beyond U+FFFF (lead byte F0 and above) is written with surrogates, which sort below U+E000 (lead bytes
 * EE and EF). */
static int compare_canonical(const void *left, const void *right)
{
    const struct member *a = left, *b = right;
    size_t common = a->key_length < b->key_length ? a->key_length : b->key_length;

    for (size_t i = 0; i < common; i++) {
        unsigned char x = (unsigned char)a->key[i], y = (unsigned char)b->key[i];

        if (x != y) {
            bool swapped = x >= 0xee && y >= 0xee && (x >= 0xf0) != (y >= 0xf0);

            return (x < y) != swapped ? -1 : 1;
        }
    }
    return a->key_length < b->key_length ? -1 : a->key_length > b->key_length;
}

/* Whether JavaScript takes the key for an array index (0 to 2^32-2 in its one spelling); those come first in
 * an object, in the order of their value. */
static bool is_index(const struct member *member, uint64_t *index)
{
    uint64_t value = 0;

    if (member->key_length == 0 || member->key_length > 10 ||
        (member->key[0] == '0' && member->key_length > 1)) {
        return false;
    }
    for (size_t i = 0; i < member->key_length; i++) {
        if (member->key[i] < '0' || member->key[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(member->key[i] - '0');
    }
    *index = value;
    return value < UINT32_MAX;
}

static int compare_index(const void *left, const void *right)
{
    uint64_t a = 0, b = 0;

    is_index(left, &a);
    is_index(right, &b);
    return a < b ? -1 : a > b;
}

/* Indices by value, then everything else as it stood. */
static void sort_as_javascript(struct member *members, size_t count)
{
    struct member *others;
    size_t indices = 0, rest = 0;
    uint64_t index;

    for (size_t i = 0; i < count; i++) {
        indices += is_index(&members[i], &index);
    }
    if (indices == 0) {
        return;
    }
    others = aegis_alloc(count * sizeof *others);
    indices = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_index(&members[i], &index)) {
            members[indices++] = members[i];
        } else {
            others[rest++] = members[i];
        }
    }
    memcpy(members + indices, others, rest * sizeof *others);
    free(others);
    qsort(members, indices, sizeof *members, compare_index);
}

static void sort_canonical(struct member *members, size_t count)
{
    if (count > 32) {
        qsort(members, count, sizeof *members, compare_canonical);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        struct member moving = members[i];
        size_t at = i;

        for (; at > 0 && compare_canonical(&moving, &members[at - 1]) < 0; at--) {
            members[at] = members[at - 1];
        }
        members[at] = moving;
    }
}

static bool write_members(struct writer *writer, const struct member *members, size_t count)
{
    bool ok = true;

    put_char(writer, '{');
    for (size_t i = 0; ok && i < count; i++) {
        if (i > 0) {
            put_char(writer, ',');
        }
        write_string(writer, members[i].key, members[i].key_length);
        put_char(writer, ':');
        ok = write_value(writer, members[i].value);
    }
    put_char(writer, '}');
    return ok;
}

static bool write_object(struct writer *writer, const json_t *object)
{
    struct member few[32], *members = few;
    size_t size = json_object_size(object), count = 0;
    bool ok;

    if (size > sizeof few / sizeof *few) {
        members = aegis_alloc(size * sizeof *members);
    }
    for (void *at = json_object_iter((json_t *)object); at != NULL;
         at = json_object_iter_next((json_t *)object, at)) {
        members[count].key = json_object_iter_key(at);
        members[count].key_length = json_object_iter_key_len(at);
        members[count++].value = json_object_iter_value(at);
    }
    if (writer->canonical) {
        sort_canonical(members, count);
    } else {
        sort_as_javascript(members, count);
    }
    ok = write_members(writer, members, count);
    if (members != few) {
        free(members);
    }
    return ok;
}

static bool write_value(struct writer *writer, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return write_object(writer, value);
    case JSON_ARRAY:
        return write_array(writer, value);
    case JSON_STRING:
        return write_string(writer, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return write_whole(writer, json_integer_value(value));
    case JSON_REAL:
        return write_double(writer, json_real_value(value));
    case JSON_TRUE:
        put(writer, "true", 4);
        return true;
    case JSON_FALSE:
        put(writer, "false", 5);
        return true;
    case JSON_NULL:
        put(writer, "null", 4);
        return true;
    }
    return false;
}

static char *write_text(const json_t *value, bool canonical, size_t *length)
{
    struct writer writer = {.canonical = canonical};

    reserve(&writer, 1024);
    if (value == NULL || !write_value(&writer, value)) {
        free(writer.bytes);
        return NULL;
    }
    if (length != NULL) {
        *length = writer.size;
    }
    put_char(&writer, '\0');
    return writer.bytes;
}

char *aegis_json_canonical(const json_t *value, size_t *length)
{
    return write_text(value, true, length);
}

char *aegis_json_compact(const json_t *value)
{
    return write_text(value, false, NULL);
}
