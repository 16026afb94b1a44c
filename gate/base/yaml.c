#include "gate/base/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "gate/base/log.h"
#include "gate/base/text.h"

#define DEPTH_MAX 32
#define NODES_MAX 100000

/* Where a value, or (with a key) a member of an object, stood. */
struct place {
    const json_t *value;
    const char *key; /* NULL: the value itself; borrowed from the object */
    unsigned line;
};

struct aegis_yaml {
    json_t *root;
    struct place *places;
    size_t count, room;
};

struct reader {
    struct aegis_yaml *yaml;
    const char *file;
    yaml_parser_t parser;
    unsigned depth;
    struct aegis_error *error;
};

static json_t *read_node(struct reader *reader, const yaml_event_t *event);

static unsigned line_of(const yaml_event_t *event)
{
    return (unsigned)event->start_mark.line + 1;
}

static bool fail(struct reader *reader, unsigned line, const char *what)
{
    return aegis_error_set(reader->error, "%s:%u: %s", reader->file, line, what);
}

static void remember(struct aegis_yaml *yaml, const json_t *value, const char *key, unsigned line)
{
    if (yaml->count == yaml->room) {
        yaml->room = yaml->room * 2 + 64;
        yaml->places = reallocarray(yaml->places, yaml->room, sizeof *yaml->places);
        if (yaml->places == NULL) {
            aegis_panic("out of memory: reading YAML");
        }
    }
    yaml->places[yaml->count++] = (struct place){value, key, line};
}

/* The next event, to be deleted by the caller when true. */
static bool next(struct reader *reader, yaml_event_t *event)
{
    if (yaml_parser_parse(&reader->parser, event)) {
        return true;
    }
    aegis_error_set(reader->error, "%s:%zu: %s%s%s", reader->file,
                    (size_t)reader->parser.problem_mark.line + 1,
                    reader->parser.problem != NULL ? reader->parser.problem : "not YAML",
                    reader->parser.context != NULL ? " " : "",
                    reader->parser.context != NULL ? reader->parser.context : "");
    return false;
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

static bool decimal_integer(const char *text, long long *value)
{
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    char *end;

    if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0') {
        return false;
    }
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0;
}

/* The YAML 1.2 core schema, less what would surprise: see the header. */
static json_t *plain_scalar(const char *text, size_t length)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    long long integer;

    if (is_one_of(text, nulls)) {
        return json_null();
    }
    if (is_one_of(text, trues) || is_one_of(text, falses)) {
        return json_boolean(is_one_of(text, trues));
    }
    if (decimal_integer(text, &integer)) {
        return json_integer(integer);
    }
    return json_stringn(text, length);
}

static bool known_tag(const char *tag)
{
    return tag == NULL || strcmp(tag, "!") == 0 || strcmp(tag, YAML_STR_TAG) == 0;
}

static json_t *read_scalar(struct reader *reader, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    json_t *value;

    if (!known_tag((const char *)event->data.scalar.tag)) {
        fail(reader, line_of(event), "tags other than !!str are not supported");
        return NULL;
    }
    if (!aegis_utf8_valid(text, length)) {
        fail(reader, line_of(event), "a text that is not UTF-8 or holds a NUL");
        return NULL;
    }
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && event->data.scalar.tag == NULL) {
        value = plain_scalar(text, length);
    } else {
        value = json_stringn(text, length);
    }
    AEGIS_ASSERT(value != NULL);
    return value;
}

static bool add_element(struct reader *reader, json_t *array, const yaml_event_t *event)
{
    json_t *value = read_node(reader, event);

    return value != NULL && json_array_append_new(array, value) == 0;
}

static bool add_member(struct reader *reader, json_t *object, const yaml_event_t *key_event)
{
    char *key;
    yaml_event_t event;
    json_t *value;
    bool ok;

    if (key_event->type != YAML_SCALAR_EVENT ||
        !aegis_utf8_valid((const char *)key_event->data.scalar.value, key_event->data.scalar.length)) {
        return fail(reader, line_of(key_event), "a key must be a text");
    }
    key = aegis_strdup((const char *)key_event->data.scalar.value);
    if (json_object_get(object, key) != NULL) {
        aegis_error_set(reader->error, "%s:%u: duplicate key %s", reader->file, line_of(key_event), key);
        free(key);
        return false;
    }
    ok = next(reader, &event);
    if (ok) {
        value = read_node(reader, &event);
        ok = value != NULL && json_object_set_new(object, key, value) == 0;
        yaml_event_delete(&event);
    }
    if (ok) {
        remember(reader->yaml, object, json_object_iter_key(json_object_iter_at(object, key)),
                 line_of(key_event));
    }
    free(key);
    return ok;
}

/* The inside of a sequence or mapping, until the event that ends it. */
static json_t *read_collection(struct reader *reader, json_t *collection, yaml_event_type_t end)
{
    bool ok = true, ended = false;

    while (ok && !ended) {
        yaml_event_t event;

        ok = next(reader, &event);
        if (!ok) {
            break;
        }
        ended = event.type == end;
        if (!ended) {
            ok = json_is_array(collection) ? add_element(reader, collection, &event)
                                           : add_member(reader, collection, &event);
        }
        yaml_event_delete(&event);
    }
    if (!ok) {
        json_decref(collection);
        return NULL;
    }
    return collection;
}

static json_t *read_nested(struct reader *reader, const yaml_event_t *event)
{
    bool sequence = event->type == YAML_SEQUENCE_START_EVENT;
    const yaml_char_t *tag = sequence ? event->data.sequence_start.tag : event->data.mapping_start.tag;
    json_t *value;

    if (tag != NULL) {
        fail(reader, line_of(event), "tags other than !!str are not supported");
        return NULL;
    }
    if (reader->depth == DEPTH_MAX) {
        fail(reader, line_of(event), "nested too deep");
        return NULL;
    }
    reader->depth++;
    value = read_collection(reader, sequence ? json_array() : json_object(),
                            sequence ? YAML_SEQUENCE_END_EVENT : YAML_MAPPING_END_EVENT);
    reader->depth--;
    return value;
}

static json_t *read_node(struct reader *reader, const yaml_event_t *event)
{
    json_t *value = NULL;

    if (reader->yaml->count >= NODES_MAX) {
        fail(reader, line_of(event), "too many values");
        return NULL;
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        value = read_scalar(reader, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        value = read_nested(reader, event);
        break;
    case YAML_ALIAS_EVENT:
        fail(reader, line_of(event), "aliases are not supported");
        break;
    default:
        fail(reader, line_of(event), "unexpected end");
        break;
    }
    if (value != NULL) {
        remember(reader->yaml, value, NULL, line_of(event));
    }
    return value;
}

/* Skips the events that only frame the document; on true, `event` is the first that says something. */
static bool next_said(struct reader *reader, yaml_event_t *event)
{
    while (next(reader, event)) {
        if (event->type != YAML_STREAM_START_EVENT && event->type != YAML_DOCUMENT_START_EVENT &&
            event->type != YAML_DOCUMENT_END_EVENT) {
            return true;
        }
        yaml_event_delete(event);
    }
    return false;
}

static bool read_document(struct reader *reader)
{
    yaml_event_t event;
    bool ok;

    if (!next_said(reader, &event)) {
        return false;
    }
    if (event.type == YAML_STREAM_END_EVENT) {
        reader->yaml->root = json_null();
        yaml_event_delete(&event);
        return true;
    }
    reader->yaml->root = read_node(reader, &event);
    yaml_event_delete(&event);
    if (reader->yaml->root == NULL || !next_said(reader, &event)) {
        return false;
    }
    ok = event.type == YAML_STREAM_END_EVENT || fail(reader, line_of(&event), "more than one document");
    yaml_event_delete(&event);
    return ok;
}

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left, *b = right;

    if (a->value != b->value) {
        return a->value < b->value ? -1 : 1;
    }
    if (a->key == NULL || b->key == NULL) {
        return (a->key != NULL) - (b->key != NULL);
    }
    return strcmp(a->key, b->key);
}

struct aegis_yaml *aegis_yaml_parse(const char *file, const char *text, size_t length,
                                    struct aegis_error *error)
{
    struct aegis_yaml *yaml = aegis_alloc(sizeof *yaml);
    struct reader reader = {.yaml = yaml, .file = file, .error = error};
    bool ok;

    if (!yaml_parser_initialize(&reader.parser)) {
        aegis_panic("out of memory: reading YAML");
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, length);
    ok = read_document(&reader);
    yaml_parser_delete(&reader.parser);
    if (!ok) {
        aegis_yaml_free(yaml);
        return NULL;
    }
    if (yaml->count > 0) {
        qsort(yaml->places, yaml->count, sizeof *yaml->places, compare_places);
    }
    return yaml;
}

void aegis_yaml_free(struct aegis_yaml *yaml)
{
    if (yaml == NULL) {
        return;
    }
    json_decref(yaml->root);
    free(yaml->places);
    free(yaml);
}

json_t *aegis_yaml_root(const struct aegis_yaml *yaml)
{
    return yaml->root;
}

static unsigned find(const struct aegis_yaml *yaml, const json_t *value, const char *key)
{
    struct place wanted = {value, key, 0};
    const struct place *place = NULL;

    if (yaml->count > 0) {
        place = bsearch(&wanted, yaml->places, yaml->count, sizeof *yaml->places, compare_places);
    }
    return place != NULL ? place->line : 0;
}

unsigned aegis_yaml_line(const struct aegis_yaml *yaml, const json_t *value)
{
    /* true, false and null are one object each in jansson, wherever they stand. */
    return json_is_boolean(value) || json_is_null(value) ? 0 : find(yaml, value, NULL);
}

unsigned aegis_yaml_key_line(const struct aegis_yaml *yaml, const json_t *object, const char *key)
{
    return find(yaml, object, key);
}
