/* Reads other projects' HTTP cases with our codec and prints both verdicts side by side.
 *
 *     tests/suites/replay PATH...
 *
 * A path is a checkout of benoitc/gunicorn, the test cases of which are
 * tests/requests/{valid,invalid}/NAME.http, or of nodejs/llhttp, the test cases of which are blocks in
 * test/{request,response}/NAME.md; or any folder of files of either kind. None of these files are ours, so
 * this is no part of the check.
 *
 * Many cases carry no Host because their parsers do not ask for one. It is added, so that the case shows what
 * it is about. A line says: mark, suite and case, their verdict, ours. The marks: `=` agreed, `S` we are
 * stricter, `L` we are laxer, which wants an explanation. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gate/http/head.h"
#include "tests/fuzz/http_stream.h"

enum { LIMIT = 32768 };

struct tally {
    unsigned agreed, stricter, laxer;
};

static struct http_text read_whole(const char *path)
{
    struct http_text text = {0};
    char block[4096];
    size_t size;
    FILE *stream = fopen(path, "rb");
    http_text_add(&text, "", 0);
    while (stream != NULL && (size = fread(block, 1, sizeof(block), stream)) > 0) {
        http_text_add(&text, block, size);
    }
    if (stream != NULL) {
        fclose(stream);
    }
    return text;
}

static enum aegis_http_result parse(bool requests, const char *bytes, size_t size,
                                    struct aegis_http_head *head, size_t *consumed, const char **problem)
{
    struct aegis_http_text get = {"GET", 3};
    return requests ? aegis_http_parse_request(bytes, size, LIMIT, head, consumed, problem)
                    : aegis_http_parse_response(bytes, size, LIMIT, get, head, consumed, problem);
}

/* Puts a Host behind the request line that begins at `from`. False when there is none. */
static bool add_host(struct http_text *input, size_t from)
{
    static const char host[] = "Host: added\r\n";
    const char *end = memmem(input->bytes + from + 2, input->size - from - 2, "\r\n", 2);
    if (end == NULL) {
        return false;
    }
    size_t at = (size_t)(end - input->bytes) + 2;
    struct http_text changed = {0};
    http_text_add(&changed, input->bytes, at);
    http_text_add(&changed, host, sizeof(host) - 1);
    http_text_add(&changed, input->bytes + at, input->size - at);
    http_text_free(input);
    *input = changed;
    return true;
}

static size_t read_body(const struct http_text *input, size_t at, const struct aegis_http_head *head,
                        bool *whole, const char **problem)
{
    struct aegis_http_body body;
    aegis_http_body_begin(&body, head);
    for (;;) {
        struct aegis_http_text data;
        size_t consumed = 0;
        enum aegis_http_result result =
            aegis_http_body_read(&body, input->bytes + at, input->size - at, &consumed, &data, problem);
        at += consumed;
        if (result == AEGIS_HTTP_BAD || body.done || consumed == 0) {
            *whole = result != AEGIS_HTTP_BAD && (body.done || body.framing == AEGIS_HTTP_UNTIL_CLOSE);
            return at;
        }
    }
}

/* What is wrong with the stream, or NULL; how many messages were whole before that. */
static const char *judge(bool requests, struct http_text *input, unsigned *messages, bool *unfinished)
{
    struct aegis_http_head head;
    const char *problem = NULL;
    size_t at = 0;
    *messages = 0;
    *unfinished = false;
    while (at < input->size) {
        size_t consumed = 0;
        enum aegis_http_result result =
            parse(requests, input->bytes + at, input->size - at, &head, &consumed, &problem);
        if (result == AEGIS_HTTP_BAD && strcmp(problem, "there is no Host") == 0 && add_host(input, at)) {
            continue;
        }
        if (result != AEGIS_HTTP_OK) {
            *unfinished = result == AEGIS_HTTP_MORE;
            return *unfinished ? NULL : problem;
        }
        bool whole = false;
        problem = NULL;
        at = read_body(input, at + consumed, &head, &whole, &problem);
        if (!whole) {
            *unfinished = problem == NULL;
            return problem;
        }
        (*messages)++;
    }
    return NULL;
}

static void compare(struct tally *tally, const char *name, bool requests, struct http_text *input,
                    bool refused, const char *theirs)
{
    unsigned messages = 0;
    bool unfinished = false;
    const char *problem = judge(requests, input, &messages, &unfinished);
    char mark = '=';
    if (refused && problem == NULL) {
        mark = unfinished && messages == 0 ? '=' : 'L';
    } else if (!refused && problem != NULL) {
        mark = 'S';
    }
    tally->agreed += mark == '=';
    tally->stricter += mark == 'S';
    tally->laxer += mark == 'L';
    printf("%c  %-72s %-40s %u whole%s%s\n", mark, name, theirs, messages, unfinished ? ", unfinished" : "",
           problem != NULL ? ", refused: " : "");
    if (problem != NULL) {
        printf("   %s\n", problem);
    }
}

/* gunicorn: one case a file; line ends are written out, the real ones mean nothing. */
static struct http_text gunicorn_input(const struct http_text *file)
{
    struct http_text input = {0};
    http_text_add(&input, "", 0);
    for (size_t i = 0; i < file->size; i++) {
        char c = file->bytes[i];
        char next = i + 1 < file->size ? file->bytes[i + 1] : '\0';
        if (c == '\\' && next == 'x' && i + 3 < file->size) {
            char digits[3] = {file->bytes[i + 2], file->bytes[i + 3], '\0'};
            c = (char)strtoul(digits, NULL, 16);
            i += 3;
        } else if (c == '\\' && next != '\0' && strchr("rnt0", next) != NULL) {
            c = next == 'r' ? '\r' : next == 'n' ? '\n' : next == 't' ? '\t' : '\0';
            i++;
        } else if (c == '\n') {
            continue;
        }
        http_text_add(&input, &c, 1);
    }
    return input;
}

static void replay_gunicorn(struct tally *tally, const char *path)
{
    bool refused = strstr(path, "/invalid/") != NULL;
    struct http_text file = read_whole(path);
    struct http_text input = gunicorn_input(&file);
    const char *name = strstr(path, "requests/") != NULL ? strstr(path, "requests/") + 9 : path;
    compare(tally, name, true, &input, refused, refused ? "refused" : "taken");
    http_text_free(&input);
    http_text_free(&file);
}

/* llhttp: a block of HTTP in Markdown. Line ends are CR LF; escapes as in JavaScript, octal ones too. */
static size_t llhttp_escape(const char *at, const char *end, struct http_text *input)
{
    static const char named[] = "r\rn\nt\tf\f";
    size_t used = 1;
    unsigned value = 0;
    const char *known = at + 1 < end ? strchr(named, at[1]) : NULL;
    if (at + 1 < end && at[1] == '\n') {
        return 2;
    }
    if (known != NULL && at[1] != '\0' && (known - named) % 2 == 0) {
        http_text_add(input, known + 1, 1);
        return 2;
    }
    if (at + 1 < end && at[1] == 'x') {
        for (used = 2; at + used < end && strchr("0123456789abcdefABCDEF", at[used]) != NULL; used++) {
            value = value * 16 + (unsigned)strtoul((char[]){at[used], '\0'}, NULL, 16);
        }
    } else {
        for (; used < 4 && at + used < end && at[used] >= '0' && at[used] <= '7'; used++) {
            value = value * 8 + (unsigned)(at[used] - '0');
        }
    }
    char c = used > 1 ? (char)value : '\\';
    http_text_add(input, &c, 1);
    return used;
}

static struct http_text llhttp_input(const char *at, const char *end)
{
    struct http_text input = {0};
    http_text_add(&input, "", 0);
    while (at < end) {
        if (*at == '\\') {
            at += llhttp_escape(at, end, &input);
        } else {
            http_text_add(&input, *at == '\n' ? "\r\n" : at, *at == '\n' ? 2 : 1);
            at++;
        }
    }
    return input;
}

static void take_reason(char *theirs, size_t size, const char *log, const char *end)
{
    const char *error = memmem(log, (size_t)(end - log), "error code=", 11);
    const char *reason = error != NULL ? strstr(error, "reason=\"") : NULL;
    if (error == NULL) {
        snprintf(theirs, size, "taken");
    } else if (reason == NULL || reason > end) {
        snprintf(theirs, size, "refused");
    } else {
        snprintf(theirs, size, "%.*s", (int)strcspn(reason + 8, "\""), reason + 8);
    }
}

/* One case: the block behind `block`, and the log that follows it. Returns where to go on. */
static const char *replay_block(struct tally *tally, const char *file, const char *title, const char *meta,
                                const char *block)
{
    char name[160];
    char theirs[40];
    const char *from = block + strlen("```http\n");
    const char *end = strstr(from, "\n```");
    const char *log = end != NULL ? strstr(end + 4, "```log\n") : NULL;
    const char *log_end = log != NULL ? strstr(log + 7, "\n```") : NULL;
    if (log_end == NULL) {
        return from;
    }
    bool lenient = memmem(meta, (size_t)(block - meta), "lenient", 7) != NULL;
    bool requests = memmem(meta, (size_t)(block - meta), "\"type\": \"request", 16) != NULL;
    bool skipped = memmem(meta, (size_t)(block - meta), "${", 2) != NULL || lenient;
    snprintf(name, sizeof(name), "%s: %.*s", file, (int)strcspn(title, "\n"), title);
    take_reason(theirs, sizeof(theirs), log, log_end);
    if (!skipped) {
        struct http_text input = llhttp_input(from, end);
        compare(tally, name, requests, &input, strcmp(theirs, "taken") != 0, theirs);
        http_text_free(&input);
    }
    return log_end;
}

static void replay_llhttp(struct tally *tally, const char *path)
{
    struct http_text file = read_whole(path);
    const char *title = "";
    const char *meta = file.bytes;
    const char *name = strstr(path, "test/") != NULL ? strstr(path, "test/") + 5 : path;
    for (const char *at = file.bytes; at != NULL && *at != '\0';) {
        if (*at == '#') {
            title = at + strspn(at, "# ");
        } else if (strncmp(at, "<!-- meta=", 10) == 0) {
            meta = at;
        } else if (strncmp(at, "```http\n", 8) == 0) {
            at = replay_block(tally, name, title, meta, at);
        }
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    http_text_free(&file);
}

static bool ends_in(const char *path, const char *end)
{
    size_t length = strlen(path);
    return length >= strlen(end) && strcmp(path + length - strlen(end), end) == 0;
}

static void replay(struct tally *tally, const char *path)
{
    struct stat about;
    struct dirent **names;
    if (stat(path, &about) != 0) {
        fprintf(stderr, "%s is not there\n", path);
        exit(1);
    }
    if (!S_ISDIR(about.st_mode)) {
        if (ends_in(path, ".http")) {
            replay_gunicorn(tally, path);
        } else if (ends_in(path, ".md") && strstr(path, "test/re") != NULL) {
            replay_llhttp(tally, path);
        }
        return;
    }
    int count = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char inner[4096];
        if (names[i]->d_name[0] != '.' && strcmp(names[i]->d_name, "node_modules") != 0) {
            snprintf(inner, sizeof(inner), "%s/%s", path, names[i]->d_name);
            replay(tally, inner);
        }
        free(names[i]);
    }
    free(names);
}

int main(int count, char **arguments)
{
    struct tally tally = {0};
    if (count < 2) {
        fprintf(stderr, "usage: %s CHECKOUT...\n", arguments[0]);
        return 1;
    }
    for (int i = 1; i < count; i++) {
        replay(&tally, arguments[i]);
    }
    printf("%u agreed, %u stricter, %u laxer\n", tally.agreed, tally.stricter, tally.laxer);
    return 0;
}
