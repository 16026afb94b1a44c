/* The tables of raw messages against the parser: every row as a whole, every row cut at every place, and what
 * was understood written anew and read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/http/connection.h"
#include "gate/http/head.h"
#include "tests/unit/http_cases.h"

enum { LIMIT = 32768 };

struct outcome {
    char verdict[16];
    struct aegis_http_head head;
    char *body;
    size_t body_size, rest;
    const char *problem;
};

static const char *verdict_of(enum aegis_http_result result)
{
    static const char *const names[] = {
        [AEGIS_HTTP_OK] = "ok",           [AEGIS_HTTP_MORE] = "more",        [AEGIS_HTTP_BAD] = "400",
        [AEGIS_HTTP_TOO_LARGE] = "431",   [AEGIS_HTTP_URI_TOO_LONG] = "414", [AEGIS_HTTP_VERSION] = "505",
        [AEGIS_HTTP_UNSUPPORTED] = "501", [AEGIS_HTTP_EXPECTATION] = "417",
    };
    return names[result];
}

static enum aegis_http_result parse(bool request, const struct http_case *row, const char *bytes, size_t size,
                                    struct aegis_http_head *head, size_t *consumed, const char **problem)
{
    char *method = NULL;
    if (request) {
        return aegis_http_parse_request(bytes, size, LIMIT, head, consumed, problem);
    }
    http_case_fact(row, "to=", &method);
    const char *to = method != NULL ? method : "GET";
    enum aegis_http_result result = aegis_http_parse_response(
        bytes, size, LIMIT, (struct aegis_http_text){to, strlen(to)}, head, consumed, problem);
    free(method);
    return result;
}

/* Reads the body with the rest of the row, at most `step` bytes at a time. */
static void read_body(struct outcome *out, const char *bytes, size_t size, size_t step)
{
    struct aegis_http_body body;
    size_t at = 0;
    aegis_http_body_begin(&body, &out->head);
    out->body = calloc(1, size + 1);
    while (!body.done && at < size) {
        struct aegis_http_text data;
        size_t consumed = 0;
        size_t piece = size - at < step ? size - at : step;
        if (aegis_http_body_read(&body, bytes + at, piece, &consumed, &data, &out->problem) ==
            AEGIS_HTTP_BAD) {
            strcpy(out->verdict, "bad-body");
            return;
        }
        assert_true(consumed > 0 && consumed <= piece);
        memcpy(out->body + out->body_size, data.at, data.length);
        out->body_size += data.length;
        at += consumed;
    }
    out->rest = size - at;
    strcpy(out->verdict, body.done || body.framing == AEGIS_HTTP_UNTIL_CLOSE ? "ok" : "cut");
}

static void judge(bool request, const struct http_case *row, size_t step, struct outcome *out)
{
    size_t consumed = 0;
    *out = (struct outcome){0};
    enum aegis_http_result result =
        parse(request, row, row->bytes, row->size, &out->head, &consumed, &out->problem);
    strcpy(out->verdict, verdict_of(result));
    if (result == AEGIS_HTTP_OK) {
        read_body(out, row->bytes + consumed, row->size - consumed, step);
    }
}

static bool fact_holds(const struct http_case *row, const char *fact, const char *bytes, size_t size)
{
    char *value = NULL;
    bool holds =
        !http_case_fact(row, fact, &value) || (strlen(value) == size && memcmp(value, bytes, size) == 0);
    free(value);
    return holds;
}

static bool number_holds(const struct http_case *row, const char *fact, size_t number)
{
    char text[32];
    snprintf(text, sizeof(text), "%zu", number);
    return fact_holds(row, fact, text, strlen(text));
}

static bool flag_holds(const struct http_case *row, const char *yes, const char *no, bool flag)
{
    return (!http_case_fact(row, yes, NULL) || flag) && (!http_case_fact(row, no, NULL) || !flag);
}

static bool facts_hold(const struct http_case *row, const struct outcome *out)
{
    const struct aegis_http_head *head = &out->head;
    static const struct {
        const char *name;
        enum aegis_http_framing framing;
    } framings[] = {{"none", AEGIS_HTTP_NO_BODY},
                    {"length", AEGIS_HTTP_LENGTH},
                    {"chunked", AEGIS_HTTP_CHUNKED},
                    {"until-close", AEGIS_HTTP_UNTIL_CLOSE}};
    for (size_t i = 0; i < 4; i++) {
        if (http_case_fact(row, framings[i].name, NULL) && head->framing != framings[i].framing) {
            return false;
        }
    }
    return fact_holds(row, "host=", head->host.at, head->host.length) &&
           fact_holds(row, "method=", head->method.at, head->method.length) &&
           fact_holds(row, "target=", head->target.at, head->target.length) &&
           fact_holds(row, "reason=", head->reason.at, head->reason.length) &&
           fact_holds(row, "body=", out->body, out->body_size) && number_holds(row, "rest=", out->rest) &&
           number_holds(row, "fields=", head->field_count) &&
           number_holds(row, "status=", (size_t)head->status) &&
           flag_holds(row, "keep", "close", head->keep_alive) &&
           flag_holds(row, "expect", "no-expect", head->expect_continue) &&
           flag_holds(row, "upgrade", "no-upgrade", head->upgrade);
}

static size_t check_whole(bool request, const struct http_cases *cases)
{
    static const size_t steps[] = {SIZE_MAX, 1, 2, 7};
    size_t wrong = 0;
    for (size_t i = 0; i < cases->count; i++) {
        for (size_t j = 0; j < sizeof(steps) / sizeof(steps[0]); j++) {
            struct outcome out;
            judge(request, &cases->rows[i], steps[j], &out);
            if (strcmp(out.verdict, cases->rows[i].verdict) != 0 ||
                (strcmp(out.verdict, "ok") == 0 && !facts_hold(&cases->rows[i], &out))) {
                print_error("%s, by %zu: %s instead of %s | %s (%s)\n", cases->rows[i].name, steps[j],
                            out.verdict, cases->rows[i].verdict, cases->rows[i].facts,
                            out.problem ? out.problem : "no problem");
                wrong++;
            }
            if (out.problem == NULL && strchr("45b", out.verdict[0]) != NULL) {
                print_error("%s: refused without a word\n", cases->rows[i].name);
                wrong++;
            }
            free(out.body);
        }
    }
    return wrong;
}

static void requests_are_judged_as_the_table_says(void **state)
{
    struct http_cases *cases = *state;
    assert_true(cases[0].count >= 200);
    assert_int_equal(check_whole(true, &cases[0]), 0);
}

static void responses_are_judged_as_the_table_says(void **state)
{
    struct http_cases *cases = *state;
    assert_true(cases[1].count >= 80);
    assert_int_equal(check_whole(false, &cases[1]), 0);
}

/* However the bytes of a head arrive, they are waited for until the verdict, and the verdict does not change
 * then. The bytes lie at the end of an allocation, so that a sanitizer sees every read beyond them. */
static void check_cuts(bool request, const struct http_case *row)
{
    struct aegis_http_head whole;
    struct aegis_http_head part;
    size_t consumed = 0;
    const char *problem = NULL;
    enum aegis_http_result last = parse(request, row, row->bytes, row->size, &whole, &consumed, &problem);
    size_t step = row->size > 4096 ? 97 : 1;
    bool settled = false;
    for (size_t size = 0; size <= row->size; size += step) {
        char *copy = malloc(size + 1);
        if (size > 0) {
            memcpy(copy + 1, row->bytes, size);
        }
        size_t part_consumed = 0;
        const char *part_problem = NULL;
        enum aegis_http_result result =
            parse(request, row, copy + 1, size, &part, &part_consumed, &part_problem);
        free(copy);
        if (result == AEGIS_HTTP_MORE) {
            assert_false(settled);
            continue;
        }
        settled = true;
        if (result != last || part_consumed != consumed || part_problem != problem) {
            fail_msg("%s cut at %zu: %s instead of %s", row->name, size, verdict_of(result),
                     verdict_of(last));
        }
    }
}

static void a_verdict_does_not_depend_on_where_the_bytes_are_cut(void **state)
{
    struct http_cases *cases = *state;
    for (size_t i = 0; i < cases[0].count; i++) {
        check_cuts(true, &cases[0].rows[i]);
    }
    for (size_t i = 0; i < cases[1].count; i++) {
        check_cuts(false, &cases[1].rows[i]);
    }
}

/* As a proxy would. */
static struct aegis_http_message *write_anew(bool request, const struct aegis_http_head *head)
{
    struct aegis_http_message *message = request ? aegis_http_request_new(head->method, head->target)
                                                 : aegis_http_response_new(head->status, head->reason);
    if (request && aegis_http_find(head, "Host", NULL) == NULL) {
        aegis_http_message_add(message, "Host", "unnamed");
    }
    for (size_t i = 0; i < head->field_count; i++) {
        if (!aegis_http_hop_by_hop(head, &head->fields[i]) &&
            !aegis_http_text_is(head->fields[i].name, "Expect")) {
            assert_true(aegis_http_message_add_field(message, &head->fields[i]));
        }
    }
    return message;
}

/* Canonical form: what is written from what was read reads the same and is written the same. */
static void check_canonical(bool request, const struct http_case *row)
{
    struct aegis_http_head head;
    struct aegis_http_head again;
    size_t consumed = 0;
    const char *problem = NULL;
    if (parse(request, row, row->bytes, row->size, &head, &consumed, &problem) != AEGIS_HTTP_OK) {
        return;
    }
    struct aegis_http_message *first = write_anew(request, &head);
    struct aegis_http_text text = aegis_http_message_text(first);
    char *bytes = calloc(1, text.length + 3);
    memcpy(bytes, text.at, text.length);
    memcpy(bytes + text.length, "\r\n", 2);
    if (parse(request, row, bytes, text.length + 2, &again, &consumed, &problem) != AEGIS_HTTP_OK) {
        fail_msg("%s: written anew it is refused: %s", row->name, problem);
    }
    assert_int_equal(consumed, text.length + 2);
    struct aegis_http_message *second = write_anew(request, &again);
    struct aegis_http_text twice = aegis_http_message_text(second);
    assert_int_equal(twice.length, text.length);
    assert_memory_equal(twice.at, text.at, text.length);
    aegis_http_message_free(&second);
    aegis_http_message_free(&first);
    free(bytes);
}

static void what_is_written_anew_reads_the_same(void **state)
{
    struct http_cases *cases = *state;
    for (size_t i = 0; i < cases[0].count; i++) {
        check_canonical(true, &cases[0].rows[i]);
    }
    for (size_t i = 0; i < cases[1].count; i++) {
        check_canonical(false, &cases[1].rows[i]);
    }
}

static struct aegis_http_text text(const char *bytes)
{
    return (struct aegis_http_text){bytes, strlen(bytes)};
}

static void read_request(const char *bytes, struct aegis_http_head *head)
{
    size_t consumed = 0;
    const char *problem = NULL;
    assert_int_equal(aegis_http_parse_request(bytes, strlen(bytes), LIMIT, head, &consumed, &problem),
                     AEGIS_HTTP_OK);
}

static void a_head_answers_questions(void **state)
{
    (void)state;
    struct aegis_http_head head;
    size_t count = 0;
    read_request("GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\nAccept: b , C,,d\r\n\r\n", &head);
    assert_null(aegis_http_find(&head, "x-A", &count));
    assert_int_equal(count, 2);
    assert_null(aegis_http_find(&head, "absent", NULL));
    assert_true(aegis_http_text_equal(aegis_http_find(&head, "HOST", &count)->value, "a"));
    assert_int_equal(count, 1);
    assert_true(aegis_http_list_has(&head, "accept", "c"));
    assert_true(aegis_http_list_has(&head, "x-a", "2"));
    assert_false(aegis_http_list_has(&head, "accept", ""));
    assert_false(aegis_http_list_has(&head, "accept", "b , C"));
    char *copy = aegis_http_text_copy(head.method);
    assert_string_equal(copy, "GET");
    free(copy);
    assert_true(aegis_http_text_equal(aegis_http_reason(402), "Payment Required"));
    assert_int_equal(aegis_http_reason(299).length, 0);
}

static void hop_by_hop_fields_are_known(void **state)
{
    (void)state;
    static const char *const stay[] = {"Host", "X-Payment", "Content-Length", "Accept", "Proxy"};
    struct aegis_http_head head;
    read_request("GET / HTTP/1.1\r\nHost: a\r\nX-Payment: p\r\nContent-Length: 0\r\nAccept: x\r\nProxy: z\r\n"
                 "Connection: close, X-Hop\r\nx-hop: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\nTrailer: x\r\n"
                 "Upgrade: y\r\nProxy-Authorization: secret\r\nproxy-connection: close\r\n\r\n",
                 &head);
    assert_int_equal(head.field_count, 13);
    for (size_t i = 0; i < head.field_count; i++) {
        bool stays = false;
        for (size_t j = 0; j < sizeof(stay) / sizeof(stay[0]); j++) {
            stays |= aegis_http_text_is(head.fields[i].name, stay[j]);
        }
        assert_int_equal(aegis_http_hop_by_hop(&head, &head.fields[i]), !stays);
    }
}

static void urls_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *path;
        uint16_t port;
        bool https, ipv6;
    } good[] = {
        {"http://a", "a", "/", 80, false, false},
        {"https://a", "a", "/", 443, true, false},
        {"HTTPS://Shop.Example:8443/x?y=/z", "Shop.Example", "/x?y=/z", 8443, true, false},
        {"http://127.0.0.1:1/", "127.0.0.1", "/", 1, false, false},
        {"http://[::ffff:1.2.3.4]:65535/", "::ffff:1.2.3.4", "/", 65535, false, true},
        {"http://a-b_c.d/", "a-b_c.d", "/", 80, false, false},
    };
    static const char *const bad[] = {
        "",
        "a",
        "//a/",
        "http:",
        "http://",
        "http:///",
        "http://a b/",
        "http://a/ b",
        "http://a/#b",
        "http://a#b",
        "http://a?b",
        "http://u@a/",
        "http://a:/",
        "http://a:0/",
        "http://a:65536/",
        "http://a:x/",
        "http://a:00080/",
        "http://[::1/",
        "http://[::1]a/",
        "http://[v1.a]/",
        "http://::1/",
        "http://1.2.3/",
        "http://0x1/",
        "http://a./",
        "http://.a/",
        "http://a\x80/",
        "http://a/\x80",
        "http://a%41/",
        "ftp://a/",
        "http:/\\a/",
        "http://a\\b/",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct aegis_http_url url;
        const char *problem = NULL;
        assert_true(aegis_http_url_parse(text(good[i].url), &url, &problem));
        assert_true(aegis_http_text_equal(url.host, good[i].host));
        assert_true(aegis_http_text_equal(url.path, good[i].path));
        assert_int_equal(url.port, good[i].port);
        assert_int_equal(url.https, good[i].https);
        assert_int_equal(url.ipv6, good[i].ipv6);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct aegis_http_url url;
        const char *problem = NULL;
        if (aegis_http_url_parse(text(bad[i]), &url, &problem) || problem == NULL) {
            fail_msg("%s was taken", bad[i]);
        }
    }
}

static void a_message_takes_only_what_a_head_can_carry(void **state)
{
    (void)state;
    struct aegis_http_message *message = aegis_http_response_new(200, aegis_http_reason(200));
    static const struct aegis_http_field wrong[] = {
        {{"", 0}, {"x", 1}},     {{"A B", 3}, {"x", 1}},       {{"A:", 2}, {"x", 1}},
        {{"A", 1}, {"x\ny", 3}}, {{"A", 1}, {"x\r\nB: c", 7}}, {{"A", 1}, {"x\0y", 3}},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(aegis_http_message_add_field(message, &wrong[i]));
    }
    aegis_http_message_add(message, "Content-Length", "7");
    aegis_http_message_add(message, "connection", "close");
    aegis_http_message_add(message, "TRANSFER-ENCODING", "chunked");
    aegis_http_message_add(message, "A", "b");
    char long_value[4000];
    memset(long_value, 'v', sizeof(long_value) - 1);
    long_value[sizeof(long_value) - 1] = '\0';
    aegis_http_message_add(message, "B", long_value);
    struct aegis_http_text written = aegis_http_message_text(message);
    static const char start[] = "HTTP/1.1 200 OK\r\nA: b\r\nB: vvv";
    assert_int_equal(written.length, sizeof(start) - 1 - 3 + sizeof(long_value) - 1 + 2);
    assert_memory_equal(written.at, start, sizeof(start) - 1);
    aegis_http_message_free(&message);
    assert_null(message);
}

static int read_tables(void **state)
{
    static struct http_cases cases[2];
    cases[0] = http_cases_read("requests.txt");
    cases[1] = http_cases_read("responses.txt");
    *state = cases;
    return 0;
}

static int free_tables(void **state)
{
    struct http_cases *cases = *state;
    http_cases_free(&cases[0]);
    http_cases_free(&cases[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_judged_as_the_table_says),
        cmocka_unit_test(responses_are_judged_as_the_table_says),
        cmocka_unit_test(a_verdict_does_not_depend_on_where_the_bytes_are_cut),
        cmocka_unit_test(what_is_written_anew_reads_the_same),
        cmocka_unit_test(a_head_answers_questions),
        cmocka_unit_test(hop_by_hop_fields_are_known),
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(a_message_takes_only_what_a_head_can_carry),
    };
    return cmocka_run_group_tests(tests, read_tables, free_tables);
}
