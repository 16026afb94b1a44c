#include "gate/base/json.h"

#include <string.h>

#include "gate/base/amount.h"
#include "gate/base/text.h"

json_t *aegis_json_parse(const char *text, size_t length, struct aegis_error *error)
{
    json_error_t problem;
    json_t *value = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);

    if (value == NULL) {
        aegis_error_set(error, "line %d, column %d: %s", problem.line, problem.column, problem.text);
    }
    return value;
}

static bool check_string(const json_t *value, const struct aegis_json_field *field, struct aegis_error *error)
{
    if (!json_is_string(value)) {
        return aegis_error_set(error, "%s: expected a string", field->name);
    }
    if (field->max != 0 && json_string_length(value) > field->max) {
        return aegis_error_set(error, "%s: expected a string of at most %llu bytes", field->name,
                               (unsigned long long)field->max);
    }
    return true;
}

static bool check_integer(const json_t *value, const struct aegis_json_field *field,
                          struct aegis_error *error)
{
    if (!json_is_integer(value)) {
        return aegis_error_set(error, "%s: expected an integer", field->name);
    }
    if (field->max != 0 &&
        (json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > field->max)) {
        return aegis_error_set(error, "%s: expected an integer from 0 to %llu", field->name,
                               (unsigned long long)field->max);
    }
    return true;
}

static bool check_array(const json_t *value, const struct aegis_json_field *field, struct aegis_error *error)
{
    if (!json_is_array(value)) {
        return aegis_error_set(error, "%s: expected an array", field->name);
    }
    if (field->max != 0 && json_array_size(value) > field->max) {
        return aegis_error_set(error, "%s: expected an array of at most %llu elements", field->name,
                               (unsigned long long)field->max);
    }
    return true;
}

static bool check_amount(const json_t *value, const struct aegis_json_field *field, struct aegis_error *error)
{
    aegis_amount amount;

    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value) ||
        !aegis_amount_parse(json_string_value(value), &amount)) {
        return aegis_error_set(error, "%s: expected an amount, a string of decimal digits below 2^128",
                               field->name);
    }
    return true;
}

static bool check_value(const json_t *value, const struct aegis_json_field *field, struct aegis_error *error)
{
    switch (field->kind) {
    case AEGIS_JSON_STRING:
        return check_string(value, field, error);
    case AEGIS_JSON_INTEGER:
        return check_integer(value, field, error);
    case AEGIS_JSON_BOOLEAN:
        return json_is_boolean(value) || aegis_error_set(error, "%s: expected true or false", field->name);
    case AEGIS_JSON_OBJECT:
        return json_is_object(value) || aegis_error_set(error, "%s: expected an object", field->name);
    case AEGIS_JSON_ARRAY:
        return check_array(value, field, error);
    case AEGIS_JSON_AMOUNT:
        return check_amount(value, field, error);
    case AEGIS_JSON_ANY:
        return !json_is_null(value) ||
               aegis_error_set(error, "%s: expected a value, found null", field->name);
    }
    return aegis_error_set(error, "%s: unknown kind", field->name);
}

static bool check_known(const json_t *object, const struct aegis_json_field *fields,
                        struct aegis_error *error)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        const struct aegis_json_field *field = fields;

        while (field->name != NULL && strcmp(field->name, key) != 0) {
            field++;
        }
        if (field->name == NULL) {
            return aegis_error_set(error, "%.64s: unknown field", key);
        }
    }
    return true;
}

bool aegis_json_check(const json_t *object, const struct aegis_json_field *fields, struct aegis_error *error)
{
    size_t found = 0;

    if (!json_is_object(object)) {
        return aegis_error_set(error, "expected an object");
    }
    for (const struct aegis_json_field *field = fields; field->name != NULL; field++) {
        const json_t *value = json_object_get(object, field->name);

        if (value == NULL && field->required) {
            return aegis_error_set(error, "%s: missing", field->name);
        }
        if (value != NULL && !check_value(value, field, error)) {
            return false;
        }
        found += value != NULL;
    }
    /* Every field that was found stands in the table; only when there are more need they be looked at by
     * name. */
    return found == json_object_size(object) || check_known(object, fields, error);
}

const char *aegis_json_text(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : otherwise;
}

int64_t aegis_json_integer(const json_t *object, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(object, name);

    return json_is_integer(value) ? (int64_t)json_integer_value(value) : otherwise;
}

bool aegis_json_boolean(const json_t *object, const char *name, bool otherwise)
{
    const json_t *value = json_object_get(object, name);

    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}
