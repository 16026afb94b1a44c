/* Fields: name, colon, value, CR LF. No space before the colon, no folded lines, no control characters. */
#include "gate/http/parse.h"

static const char *wrong_name(char c, bool empty)
{
    if (empty && (c == ' ' || c == '\t')) {
        return "a folded field line";
    }
    if (empty && c == ':') {
        return "a field without a name";
    }
    if (c == ' ' || c == '\t') {
        return "white space in or behind a field's name";
    }
    return c == '\n' ? "a line ends without a carriage return" : "a field's name is no token";
}

static enum aegis_http_result read_name(struct aegis_http_reader *reader, struct aegis_http_text *name)
{
    const char *stop = aegis_http_run(reader->at, reader->end, AEGIS_HTTP_CHAR_TOKEN);
    *name = (struct aegis_http_text){reader->at, (size_t)(stop - reader->at)};
    if (stop == reader->end) {
        return AEGIS_HTTP_MORE;
    }
    if (*stop != ':' || name->length == 0) {
        return aegis_http_refuse(reader->problem, AEGIS_HTTP_BAD, wrong_name(*stop, name->length == 0));
    }
    reader->at = stop + 1;
    return AEGIS_HTTP_OK;
}

static enum aegis_http_result read_value(struct aegis_http_reader *reader, struct aegis_http_text *value)
{
    const char *from = reader->at;
    const char *stop = aegis_http_field_run(from, reader->end);
    reader->at = stop;
    while (from < stop && (*from == ' ' || *from == '\t')) {
        from++;
    }
    while (stop > from && (stop[-1] == ' ' || stop[-1] == '\t')) {
        stop--;
    }
    *value = (struct aegis_http_text){from, (size_t)(stop - from)};
    return aegis_http_read_line_end(reader, "a control character in a field's value");
}

/* Naming one of these in Connection would take away a payment, or what says where the message ends. */
static bool must_stay(struct aegis_http_text name)
{
    static const char *const names[] = {
        "payment-signature", "x-payment", "payment-required", "payment-response", "x-payment-response",
        "content-length",    "host",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (aegis_http_text_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

static bool note_option(struct aegis_http_text option, void *context)
{
    struct aegis_http_notes *notes = context;
    if (aegis_http_text_is(option, "close")) {
        notes->close = true;
    } else if (aegis_http_text_is(option, "keep-alive")) {
        notes->keep_alive = true;
    } else if (aegis_http_text_is(option, "upgrade")) {
        notes->upgrade = true;
    } else {
        const char *end = option.at + option.length;
        notes->names = true;
        notes->names_coding |= aegis_http_text_is(option, "transfer-encoding");
        return aegis_http_run(option.at, end, AEGIS_HTTP_CHAR_TOKEN) == end && !must_stay(option);
    }
    return true;
}

/* Content_Length and Transfer_Encoding are other fields here, and the same ones to a server that turns names
 * into variables. */
static bool underscored(const char *name, const char *lower, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((name[i] | 0x20) != lower[i] && !(name[i] == '_' && lower[i] == '-')) {
            return false;
        }
    }
    return true;
}

/* Readers disagree about tabs around these values: some see chunked there, some do not. Spaces are common and
 * harmless. */
static const char *tabs_around(const struct aegis_http_field *field)
{
    static const char wrong[] = "a tab beside the value of a framing field";
    for (const char *at = field->name.at + field->name.length; at < field->value.at; at++) {
        if (*at == '\t') {
            return wrong;
        }
    }
    for (const char *at = field->value.at + field->value.length; *at != '\r'; at++) {
        if (*at == '\t') {
            return wrong;
        }
    }
    return NULL;
}

/* Nearly all fields say nothing about the message; the length of the name tells them apart cheaply. NULL, or
 * what is wrong with the field. */
static const char *note(struct aegis_http_notes *notes, const struct aegis_http_field *field)
{
    static const char misspelt[] = "a field's name is that of a framing field with an underscore";
    const char *name = field->name.at;
    switch (field->name.length) {
    case 4:
        if (aegis_http_same(name, "host", 4)) {
            notes->host = field;
            notes->hosts++;
        }
        return NULL;
    case 6:
        if (aegis_http_same(name, "expect", 6)) {
            notes->expect = field;
            notes->expects++;
        }
        return NULL;
    case 7:
        notes->upgrades += aegis_http_same(name, "upgrade", 7);
        return NULL;
    case 10:
        if (aegis_http_same(name, "connection", 10) &&
            !aegis_http_list_each(field->value, note_option, notes)) {
            return "Connection names no token, or a field that must not be taken away";
        }
        return NULL;
    case 14:
        if (aegis_http_same(name, "content-length", 14)) {
            notes->length = field;
            notes->lengths++;
            return tabs_around(field);
        }
        return underscored(name, "content-length", 14) ? misspelt : NULL;
    case 17:
        if (aegis_http_same(name, "transfer-encoding", 17)) {
            notes->coding = field;
            notes->codings++;
            return tabs_around(field);
        }
        return underscored(name, "transfer-encoding", 17) ? misspelt : NULL;
    default:
        return NULL;
    }
}

enum aegis_http_result aegis_http_read_fields(struct aegis_http_reader *reader, struct aegis_http_head *head,
                                              struct aegis_http_notes *notes)
{
    for (;;) {
        if (reader->at == reader->end) {
            return AEGIS_HTTP_MORE;
        }
        if (*reader->at == '\r') {
            return aegis_http_read_line_end(reader, "");
        }
        if (head->field_count == AEGIS_HTTP_FIELDS_MAX) {
            return aegis_http_refuse(reader->problem, AEGIS_HTTP_TOO_LARGE, "more than 128 fields");
        }
        struct aegis_http_field *field = &head->fields[head->field_count];
        enum aegis_http_result result = read_name(reader, &field->name);
        result = result != AEGIS_HTTP_OK ? result : read_value(reader, &field->value);
        if (result != AEGIS_HTTP_OK) {
            return result;
        }
        const char *wrong = note(notes, field);
        if (wrong != NULL) {
            return aegis_http_refuse(reader->problem, AEGIS_HTTP_BAD, wrong);
        }
        head->field_count++;
    }
}
