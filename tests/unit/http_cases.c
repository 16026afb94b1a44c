#include "tests/unit/http_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
    char *bytes;
    size_t size;
};

_Noreturn static void give_up(const char *what, const char *where)
{
    fprintf(stderr, "%s: %s\n", what, where);
    exit(1);
}

static void append(struct text *text, const char *bytes, size_t size)
{
    text->bytes = realloc(text->bytes, text->size + size + 1);
    if (text->bytes == NULL) {
        give_up("no memory", "http_cases");
    }
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size] = '\0';
}

static const char *unescape(struct text *out, const char *at, const char *end);

/* "<N:text>", in which text may hold the same again. */
static const char *repeat(struct text *out, const char *at, const char *end)
{
    char *colon;
    unsigned long times = strtoul(at + 1, &colon, 10);
    const char *stop = colon + 1;
    for (int depth = 1; stop < end; stop++) {
        depth += stop[0] == '\\' && stop[1] == '<';
        if (*stop == '>' && --depth == 0) {
            break;
        }
    }
    if (*colon != ':' || stop == end) {
        give_up("bad repetition", at);
    }
    struct text once = {0};
    append(&once, "", 0);
    for (const char *from = colon + 1; from < stop;) {
        from = unescape(&once, from, stop);
    }
    for (unsigned long i = 0; i < times; i++) {
        append(out, once.bytes, once.size);
    }
    free(once.bytes);
    return stop + 1;
}

/* One character or escape; returns what is behind it. */
static const char *unescape(struct text *out, const char *at, const char *end)
{
    if (*at != '\\' || at + 1 == end) {
        append(out, at, 1);
        return at + 1;
    }
    char digits[3] = {0};
    char c = at[1];
    switch (c) {
    case '<':
        return repeat(out, at + 1, end);
    case 'x':
        memcpy(digits, at + 2, 2);
        c = (char)strtoul(digits, NULL, 16);
        append(out, &c, 1);
        return at + 4;
    case 'r':
    case 'n':
    case 't':
        c = c == 'r' ? '\r' : c == 'n' ? '\n' : '\t';
        break;
    default:
        break;
    }
    append(out, &c, 1);
    return at + 2;
}

static char *word(const char *from, const char *to)
{
    while (from < to && *from == ' ') {
        from++;
    }
    while (to > from && to[-1] == ' ') {
        to--;
    }
    return strndup(from, (size_t)(to - from));
}

static void begin_row(struct http_cases *cases, const char *line)
{
    const char *first = strchr(line, '|');
    const char *second = first != NULL ? strchr(first + 1, '|') : NULL;
    if (second == NULL) {
        give_up("not == name | verdict | facts", line);
    }
    cases->rows = realloc(cases->rows, (cases->count + 1) * sizeof(*cases->rows));
    struct http_case *row = &cases->rows[cases->count++];
    *row = (struct http_case){.name = word(line + 2, first),
                              .verdict = word(first + 1, second),
                              .facts = word(second + 1, line + strlen(line))};
}

static void add_line(struct http_case *row, const char *line)
{
    struct text text = {row->bytes, row->size};
    for (const char *end = line + strlen(line); line < end;) {
        line = unescape(&text, line, end);
    }
    row->bytes = text.bytes;
    row->size = text.size;
}

struct http_cases http_cases_read(const char *file)
{
    char path[1024];
    char *line = NULL;
    size_t room = 0;
    struct http_cases cases = {0};
    const char *folder = getenv("srcdir");
    snprintf(path, sizeof(path), "%s/tests/data/http/%s", folder != NULL ? folder : ".", file);
    FILE *stream = fopen(path, "r");
    if (stream == NULL) {
        give_up("cannot open", path);
    }
    while (getline(&line, &room, stream) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "== ", 3) == 0) {
            begin_row(&cases, line);
        } else if (line[0] != '#' && cases.count > 0) {
            add_line(&cases.rows[cases.count - 1], line);
        }
    }
    free(line);
    fclose(stream);
    return cases;
}

void http_cases_free(struct http_cases *cases)
{
    for (size_t i = 0; i < cases->count; i++) {
        free(cases->rows[i].name);
        free(cases->rows[i].verdict);
        free(cases->rows[i].facts);
        free(cases->rows[i].bytes);
    }
    free(cases->rows);
    *cases = (struct http_cases){0};
}

/* Where the value of a fact ends: at the next word that is a fact itself. */
static const char *value_end(const char *at)
{
    static const char *const facts[] = {
        " status=", " reason=", " body=", " rest=", " fields=", " host=", " target=", " method=", " to="};
    const char *end = at + strlen(at);
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        const char *next = strstr(at, facts[i]);
        end = next != NULL && next < end ? next : end;
    }
    return end;
}

bool http_case_fact(const struct http_case *row, const char *fact, char **value)
{
    size_t length = strlen(fact);
    bool valued = fact[length - 1] == '=';
    for (const char *at = row->facts; (at = strstr(at, fact)) != NULL; at++) {
        bool begins = at == row->facts || at[-1] == ' ';
        if (begins && (valued || at[length] == '\0' || at[length] == ' ')) {
            if (valued && value != NULL) {
                struct text text = {0};
                const char *end = value_end(at + length);
                append(&text, "", 0);
                for (const char *from = at + length; from < end;) {
                    from = unescape(&text, from, end);
                }
                *value = text.bytes;
            }
            return true;
        }
    }
    return false;
}
