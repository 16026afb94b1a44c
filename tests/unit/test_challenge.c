/* Challenges of every kind that a seller should not send: none of them crashes, none of them can be paid. And
 * the order in which good ones are tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/x402/challenge.h"

#define PAY_TO  "0xAFdD32642687ED13B68BB957cE27eeF0457a306E"
#define SEPOLIA "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
#define MAINNET "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
#define SIGNATURE                                                                                            \
    "0xc43aa96ffad7e3c5ac5ae66944c7c76328951d7b8e90fb100c398e86a161a1776b09247fa52ae1c6c8800ebdaed9a5fb8f76" \
    "f5f3ac73bc4e"                                                                                           \
    "9a3d05f1e4c1f3981c"

#define ENTRY_V2                                                                                             \
    "{\"scheme\":\"exact\",\"network\":\"eip155:84532\",\"amount\":\"10000\",\"asset\":\"" SEPOLIA           \
    "\",\"payTo\":\"" PAY_TO "\",\"maxTimeoutSeconds\":300,\"extra\":{\"name\":\"USDC\",\"version\":\"2\"}}"
#define ENTRY_V1                                                                                             \
    "{\"scheme\":\"exact\",\"network\":\"base-sepolia\",\"maxAmountRequired\":\"10000\",\"asset\":"          \
    "\"" SEPOLIA "\",\"payTo\":\"" PAY_TO                                                                    \
    "\",\"maxTimeoutSeconds\":300,\"extra\":{\"name\":\"USDC\",\"version\":\"2\"}}"
#define HEAD_V2 "{\"x402Version\":2,\"resource\":{\"url\":\"https://a.example/\"},\"accepts\":"
#define HEAD_V1 "{\"x402Version\":1,\"error\":\"pay\",\"accepts\":"

static struct aegis_assets *assets;

static int open_assets(void **state)
{
    (void)state;
    assets = aegis_assets_new();
    return 0;
}

static int close_assets(void **state)
{
    (void)state;
    aegis_assets_free(&assets);
    return 0;
}

/* Parses; on OK says how many requirements could be met, and that the first can be answered. */
static enum aegis_challenge_result parse(const char *header, const char *body, size_t body_length,
                                         size_t *payable, struct aegis_error *error)
{
    const struct aegis_requirement *ranked[AEGIS_CHALLENGE_ACCEPTS_MAX];
    struct aegis_challenge *challenge;
    enum aegis_challenge_result result = aegis_challenge_parse(header, header != NULL ? strlen(header) : 0,
                                                               body, body_length, assets, &challenge, error);

    *payable = 0;
    assert_int_equal(challenge != NULL, result == AEGIS_CHALLENGE_OK);
    if (challenge != NULL) {
        *payable = aegis_challenge_rank(challenge, NULL, ranked, AEGIS_CHALLENGE_ACCEPTS_MAX);
        assert_true(aegis_utf8_valid(aegis_challenge_left_out(challenge),
                                     strlen(aegis_challenge_left_out(challenge))));
        assert_non_null(aegis_challenge_error(challenge));
    }
    aegis_challenge_free(&challenge);
    return result;
}

static enum aegis_challenge_result parse_v2(const char *json, size_t length, size_t *payable)
{
    struct aegis_error error = {""};
    char *header = aegis_base64_encode(json, length);
    enum aegis_challenge_result result = parse(header, NULL, 0, payable, &error);

    assert_int_equal(result == AEGIS_CHALLENGE_MALFORMED, error.text[0] != '\0');
    free(header);
    return result;
}

static enum aegis_challenge_result parse_v1(const char *json, size_t length, size_t *payable)
{
    struct aegis_error error = {""};

    return parse(NULL, json, length, payable, &error);
}

/* The entry with one member replaced by a raw JSON text, or without it when that is NULL. */
static char *changed_entry(int version, const char *member, const char *value)
{
    json_t *entry = json_loads(version == 2 ? ENTRY_V2 : ENTRY_V1, 0, NULL);
    char *marked, *text, *at;

    assert_non_null(entry);
    if (value == NULL) {
        json_object_del(entry, member);
        marked = aegis_json_compact(entry);
        json_decref(entry);
        return marked;
    }
    json_object_set_new(entry, member, json_string("@"));
    marked = aegis_json_compact(entry);
    json_decref(entry);
    at = strstr(marked, "\"@\"");
    text = aegis_format("%.*s%s%s", (int)(at - marked), marked, value, at + 3);
    free(marked);
    return text;
}

static void test_good(void **state)
{
    size_t payable;
    (void)state;

    assert_int_equal(parse_v2(HEAD_V2 "[" ENTRY_V2 "]}", strlen(HEAD_V2 "[" ENTRY_V2 "]}"), &payable),
                     AEGIS_CHALLENGE_OK);
    assert_int_equal(payable, 1);
    assert_int_equal(parse_v1(HEAD_V1 "[" ENTRY_V1 "]}", strlen(HEAD_V1 "[" ENTRY_V1 "]}"), &payable),
                     AEGIS_CHALLENGE_OK);
    assert_int_equal(payable, 1);
}

/* One member of the entry is wrong. The rest of the challenge is not the worse for it: the second entry can
 * be paid. */
static void test_bad_members(void **state)
{
    static const struct {
        const char *member, *value;
    } cases[] = {
        {"scheme", NULL},
        {"scheme", "null"},
        {"scheme", "\"upto\""},
        {"scheme", "\"Exact\""},
        {"scheme", "\"exact \""},
        {"scheme", "[\"exact\"]"},
        {"network", NULL},
        {"network", "84532"},
        {"network", "\"\""},
        {"network", "\"eip155\""},
        {"network", "\"eip155:\""},
        {"network", "\"eip155:0\""},
        {"network", "\"eip155:084532\""},
        {"network", "\"eip155:+84532\""},
        {"network", "\"eip155: 84532\""},
        {"network", "\"eip155:84532 \""},
        {"network", "\"EIP155:84532\""},
        {"network", "\"eip155:0x14a34\""},
        {"network", "\"eip155:84532.0\""},
        {"network", "\"eip155:9007199254740993\""},
        {"network", "\"eip155:99999999999999999999999999\""},
        {"network", "\"eip155:abc\""},
        {"network", "\"eip155:*\""},
        {"network", "\"eip155:8453\""}, /* another chain: the asset is not known there */
        {"network", "\"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp\""},
        {"network", "\"dogechain\""},
        {"network", "\"ethereum-but-not-quite\""},
        {"network", "\"base-sepolia \""},
        {"asset", NULL},
        {"asset", "\"USDC\""},
        {"asset", "\"\""},
        {"asset", "{}"},
        {"asset", "\"" PAY_TO "\""},
        {"asset", "\"" MAINNET "\""},
        {"asset", "\"0x036cbD53842c5426634e7929541eC2318f3dCF7e\""},
        {"asset", "\"036CbD53842c5426634e7929541eC2318f3dCF7e\""},
        {"asset", "\"0x0000000000000000000000000000000000000000\""},
        {"@amount", NULL},
        {"@amount", "null"},
        {"@amount", "10000"},
        {"@amount", "10000.0"},
        {"@amount", "-1"},
        {"@amount", "\"\""},
        {"@amount", "\"0\""},
        {"@amount", "\"-1\""},
        {"@amount", "\"+1\""},
        {"@amount", "\" 1\""},
        {"@amount", "\"1 \""},
        {"@amount", "\"1\\n\""},
        {"@amount", "\"0x2710\""},
        {"@amount", "\"0010000\""},
        {"@amount", "\"1e4\""},
        {"@amount", "\"1.5\""},
        {"@amount", "\"10000.0\""},
        {"@amount", "\"1_000\""},
        {"@amount", "\"1,000\""},
        {"@amount", "\"NaN\""},
        {"@amount", "\"Infinity\""},
        {"@amount", "\"\xd9\xa1\xd9\xa0\""},
        {"@amount", "[\"10000\"]"},
        {"@amount", "\"340282366920938463463374607431768211455\""},
        {"@amount", "\"340282366920938463463374607431768211456\""},
        {"@amount", "\"340282366920938463463374608\""},
        {"@amount", "\"115792089237316195423570985008687907853269984665640564039457584007913129639935\""},
        {"@amount", "\"115792089237316195423570985008687907853269984665640564039457584007913129639936\""},
        {"@other", "\"9999\""},
        {"@other", "10000"},
        {"payTo", NULL},
        {"payTo", "null"},
        {"payTo", "\"\""},
        {"payTo", "\"0x1234\""},
        {"payTo", "\"0x0000000000000000000000000000000000000000\""},
        {"payTo", "\"0xAFdD32642687ED13B68BB957cE27eeF0457a306e\""},
        {"payTo", "\"0xafdD32642687ed13b68bb957ce27eef0457a306e\""},
        {"payTo", "\"AFdD32642687ED13B68BB957cE27eeF0457a306E\""},
        {"payTo", "\"0XAFdD32642687ED13B68BB957cE27eeF0457a306E\""},
        {"payTo", "\"0xAFdD32642687ED13B68BB957cE27eeF0457a306E0\""},
        {"payTo", "\"0xAFdD32642687ED13B68BB957cE27eeF0457a306G\""},
        {"payTo", "\"vitalik.eth\""},
        {"payTo", "[\"" PAY_TO "\"]"},
        {"maxTimeoutSeconds", NULL},
        {"maxTimeoutSeconds", "null"},
        {"maxTimeoutSeconds", "0"},
        {"maxTimeoutSeconds", "-60"},
        {"maxTimeoutSeconds", "\"60\""},
        {"maxTimeoutSeconds", "60.5"},
        {"maxTimeoutSeconds", "86401"},
        {"maxTimeoutSeconds", "31536000"},
        {"maxTimeoutSeconds", "1e300"},
        {"maxTimeoutSeconds", "9223372036854775807"},
        {"maxTimeoutSeconds", "99999999999999999999999999"},
        {"maxTimeoutSeconds", "true"},
        {"extra", "\"USDC\""},
        {"extra", "[]"},
        {"extra", "{\"name\":\"USD Coin\",\"version\":\"2\"}"},
        {"extra", "{\"name\":\"usdc\",\"version\":\"2\"}"},
        {"extra", "{\"name\":\"USDC\",\"version\":\"1\"}"},
        {"extra", "{\"name\":\"USDC\",\"version\":2}"},
        {"extra", "{\"name\":null,\"version\":\"2\"}"},
        {"extra", "{\"name\":\"USDC\",\"version\":\"2\",\"assetTransferMethod\":\"permit2\"}"},
        {"extra", "{\"name\":\"USDC\",\"version\":\"2\",\"assetTransferMethod\":7}"},
        {"extra", "{\"name\":\"USDC\",\"version\":\"2\",\"paymentFlow\":\"escrow\"}"},
        {"extra", "{\"name\":\"USDC\",\"version\":\"2\",\"paymentFlow\":{}}"},
    };
    (void)state;

    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
        int version = i % 2 == 0 ? 2 : 1;
        const char *member = cases[i / 2].member, *value = cases[i / 2].value;
        enum aegis_challenge_result result;
        char *entry, *alone, *both;
        size_t payable;

        if (strcmp(member, "@amount") == 0 || strcmp(member, "@other") == 0) {
            member = (strcmp(member, "@amount") == 0) == (version == 2) ? "amount" : "maxAmountRequired";
        }
        entry = changed_entry(version, member, value);
        alone = aegis_format("%s[%s]}", version == 2 ? HEAD_V2 : HEAD_V1, entry);
        both = aegis_format("%s[%s,%s]}", version == 2 ? HEAD_V2 : HEAD_V1, entry,
                            version == 2 ? ENTRY_V2 : ENTRY_V1);
        result = version == 2 ? parse_v2(alone, strlen(alone), &payable)
                              : parse_v1(alone, strlen(alone), &payable);
        if (result != AEGIS_CHALLENGE_OK || payable != 0) {
            fail_msg("version %d, %s: %s can be paid", version, member, value != NULL ? value : "(missing)");
        }
        result =
            version == 2 ? parse_v2(both, strlen(both), &payable) : parse_v1(both, strlen(both), &payable);
        assert_int_equal(result, AEGIS_CHALLENGE_OK);
        assert_int_equal(payable, 1);
        free(both);
        free(alone);
        free(entry);
    }
}

#define V2(text)                                                                                             \
    {                                                                                                        \
        text, sizeof text - 1, 2, AEGIS_CHALLENGE_MALFORMED                                                  \
    }
#define V1(text)                                                                                             \
    {                                                                                                        \
        text, sizeof text - 1, 1, AEGIS_CHALLENGE_MALFORMED                                                  \
    }
#define NO(text)                                                                                             \
    {                                                                                                        \
        text, sizeof text - 1, 1, AEGIS_CHALLENGE_NONE                                                       \
    }

/* The challenge as a whole is wrong. */
static void test_bad_texts(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        int version;
        enum aegis_challenge_result result;
    } cases[] = {
        V2(""),
        V2("null"),
        V2("true"),
        V2("2"),
        V2("\"x402Version\""),
        V2("[]"),
        V2("{}"),
        V2("hello"),
        V2("{\"x402Version\":2}"),
        V2("{\"x402Version\":2,\"accepts\":null}"),
        V2("{\"x402Version\":2,\"accepts\":{}}"),
        V2("{\"x402Version\":2,\"accepts\":\"[]\"}"),
        V2("{\"x402Version\":1,\"accepts\":[" ENTRY_V1 "]}"),
        V2("{\"x402Version\":1,\"accepts\":[" ENTRY_V2 "]}"),
        V2("{\"x402Version\":3,\"accepts\":[" ENTRY_V2 "]}"),
        V2("{\"x402Version\":0,\"accepts\":[" ENTRY_V2 "]}"),
        V2("{\"x402Version\":-2,\"accepts\":[" ENTRY_V2 "]}"),
        V2("{\"x402Version\":\"2\",\"accepts\":[" ENTRY_V2 "]}"),
        V2("{\"x402Version\":2.5,\"accepts\":[" ENTRY_V2 "]}"),
        V2("{\"x402Version\":null,\"accepts\":[" ENTRY_V2 "]}"),
        V2("{\"x402version\":2,\"accepts\":[" ENTRY_V2 "]}"),
        V2("{\"accepts\":[" ENTRY_V2 "]}"),
        V2("{\"x402Version\":2,\"x402Version\":2,\"accepts\":[" ENTRY_V2 "]}"),
        V2("{\"x402Version\":2,\"accepts\":[],\"accepts\":[" ENTRY_V2 "]}"),
        V2("{\"x402Version\":2,\"accepts\":[{\"amount\":\"1\",\"amount\":\"2\"}]}"),
        V2("{\"x402Version\":2,\"accepts\":[{\"amount\":\"1\",\"\\u0061mount\":\"2\"}]}"),
        V2("\xef\xbb\xbf" HEAD_V2 "[" ENTRY_V2 "]}"),
        V2(HEAD_V2 "[" ENTRY_V2 "]} x"),
        V2(HEAD_V2 "[" ENTRY_V2 "]}\0"),
        V2(HEAD_V2 "[" ENTRY_V2 "],}"),
        V2(HEAD_V2 "[" ENTRY_V2),
        V2(HEAD_V2 "[" ENTRY_V2 "],\"a\":\"\xff\"}"),
        V2(HEAD_V2 "[" ENTRY_V2 "],\"a\":\"\xc0\xaf\"}"),
        V2(HEAD_V2 "[" ENTRY_V2 "],\"a\":\"\\ud800\"}"),
        V2(HEAD_V2 "[" ENTRY_V2 "],\"a\":\"\\u0000\"}"),
        V2(HEAD_V2 "[" ENTRY_V2 "],\"a\\u0000b\":1}"),
        V2(HEAD_V2 "[" ENTRY_V2 "],\"a\":1e999}"),
        V2(HEAD_V2 "[" ENTRY_V2 "],\"a\":NaN}"),
        V2(HEAD_V2 "[" ENTRY_V2 "],'a':1}"),
        V2("// comment\n" HEAD_V2 "[" ENTRY_V2 "]}"),
        V1("{\"x402Version\":1}"),
        V1("{\"x402Version\":1,\"accepts\":7}"),
        V1("{\"x402Version\":2,\"accepts\":[" ENTRY_V2 "]}"), /* version 2 speaks in the header only */
        V1("{\"x402Version\":3,\"accepts\":[" ENTRY_V1 "]}"),
        V1("{\"x402Version\":\"1\",\"accepts\":[" ENTRY_V1 "]}"),
        V1("{\"x402Version\":1,\"accepts\":[" ENTRY_V1 "],\"accepts\":[]}"),
        V1("\xef\xbb\xbf" HEAD_V1 "[" ENTRY_V1 "]}"),
        V1(HEAD_V1 "[" ENTRY_V1 "]"),
        V1(HEAD_V1 "[" ENTRY_V1 "]}{}"),
        V1(HEAD_V1 "[" ENTRY_V1 "],\"a\":\"\xed\xa0\x80\"}"),
        NO(""),
        NO("Payment required"),
        NO("{}"),
        NO("{\"error\":\"pay me\"}"),
        NO("[1,2,3]"),
        NO("<html>402</html>"),
        NO("{\"accepts\":[" ENTRY_V1 "]}"),
        NO("[{\"x402Version\":1,\"accepts\":[]}]"),
        NO("{\"data\":{\"x402Version\":1,\"accepts\":[" ENTRY_V1 "]}}"),
        NO("\0\0\0\0"),
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t payable;
        enum aegis_challenge_result result = cases[i].version == 2
                                                 ? parse_v2(cases[i].text, cases[i].length, &payable)
                                                 : parse_v1(cases[i].text, cases[i].length, &payable);

        if (result != cases[i].result) {
            fail_msg("case %zu, version %d: %s", i, cases[i].version, cases[i].text);
        }
        assert_int_equal(payable, 0);
    }
}

/* Well-formed, but nothing in it to be paid. */
static void test_nothing_to_pay(void **state)
{
    static const char *const accepts[] = {
        "[]", "[null]", "[[]]", "[\"exact\"]", "[1,2]", "[{}]", "[{\"scheme\":\"exact\"}]", "[" ENTRY_V1 "]"};
    size_t payable;
    (void)state;

    for (size_t i = 0; i < sizeof accepts / sizeof *accepts; i++) {
        char *text = aegis_format("%s%s}", HEAD_V2, accepts[i]);

        assert_int_equal(parse_v2(text, strlen(text), &payable), AEGIS_CHALLENGE_OK);
        assert_int_equal(payable, 0);
        free(text);
    }
    /* Version 1 with entries of version 2. */
    assert_int_equal(parse_v1(HEAD_V1 "[" ENTRY_V2 "]}", strlen(HEAD_V1 "[" ENTRY_V2 "]}"), &payable),
                     AEGIS_CHALLENGE_OK);
    assert_int_equal(payable, 0);
}

static void test_bad_headers(void **state)
{
    static const char *const bad[] = {"=",        "====",  "e30",   "###",       "eyJ4NDAyVmVyc2lvbiI6Mn0-",
                                      "e30=\n",   " e30=", "e3 0=", "e30=,e30=", "Zm8==",
                                      "\xff\xfe", "bnVsbA"};
    char *good = aegis_base64_encode(HEAD_V2 "[" ENTRY_V2 "]}", strlen(HEAD_V2 "[" ENTRY_V2 "]}")), *bent;
    struct aegis_error error = {""};
    size_t payable;
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(bad[i], NULL, 0, &payable, &error), AEGIS_CHALLENGE_MALFORMED);
    }
    bent = aegis_format("%s\r\nX: y", good);
    assert_int_equal(parse(bent, NULL, 0, &payable, &error), AEGIS_CHALLENGE_MALFORMED);
    free(bent);
    bent = aegis_format("%s, %s", good, good); /* two fields joined */
    assert_int_equal(parse(bent, NULL, 0, &payable, &error), AEGIS_CHALLENGE_MALFORMED);
    free(bent);
    free(good);
}

/* With both, the header wins, also when it is the worse of the two. */
static void test_header_wins(void **state)
{
    static const char body[] = HEAD_V1 "[" ENTRY_V1 "]}";
    char *header = aegis_base64_encode(HEAD_V2 "[]}", strlen(HEAD_V2 "[]}"));
    struct aegis_error error = {""};
    size_t payable;
    (void)state;

    assert_int_equal(parse(header, body, sizeof body - 1, &payable, &error), AEGIS_CHALLENGE_OK);
    assert_int_equal(payable, 0);
    assert_int_equal(parse("###", body, sizeof body - 1, &payable, &error), AEGIS_CHALLENGE_MALFORMED);
    assert_int_equal(parse("", body, sizeof body - 1, &payable, &error), AEGIS_CHALLENGE_MALFORMED);
    free(header);
}

/* `count` copies of `piece` with commas between, in brackets. */
static char *array_of(const char *piece, size_t count)
{
    size_t length = strlen(piece), used = 0;
    char *text = aegis_alloc(count * (length + 1) + 3);

    text[used++] = '[';
    for (size_t i = 0; i < count; i++) {
        memcpy(text + used, piece, length);
        used += length;
        text[used++] = i + 1 < count ? ',' : ']';
    }
    return text;
}

static void test_oversized(void **state)
{
    char *many = array_of("1", 100000), *entries = array_of(ENTRY_V1, 65), *few = array_of(ENTRY_V1, 64),
         *text;
    struct aegis_error error = {""};
    size_t payable;
    (void)state;

    text = aegis_format("%s%s}", HEAD_V1, entries);
    assert_int_equal(parse_v1(text, strlen(text), &payable), AEGIS_CHALLENGE_MALFORMED);
    free(text);
    text = aegis_format("%s%s}", HEAD_V1, few);
    assert_int_equal(parse_v1(text, strlen(text), &payable), AEGIS_CHALLENGE_OK);
    assert_int_equal(payable, 64);
    free(text);
    text = aegis_format("%s%s}", HEAD_V1, many);
    assert_int_equal(parse_v1(text, strlen(text), &payable), AEGIS_CHALLENGE_MALFORMED);
    free(text);
    text = aegis_format("%s[%s],\"a\":%s}", HEAD_V1, ENTRY_V1, many);
    assert_true(strlen(text) < AEGIS_CHALLENGE_BODY_MAX);
    assert_int_equal(parse_v1(text, strlen(text), &payable), AEGIS_CHALLENGE_OK);
    assert_int_equal(payable, 1);
    free(text);
    text = aegis_format("%s[%s],\"a\":[%s,%s]}", HEAD_V1, ENTRY_V1, many, many);
    assert_int_equal(parse_v1(text, strlen(text), &payable), AEGIS_CHALLENGE_MALFORMED);
    free(text);
    text = aegis_alloc(AEGIS_CHALLENGE_HEADER_MAX + 5);
    memset(text, 'A', AEGIS_CHALLENGE_HEADER_MAX + 4);
    assert_int_equal(parse(text, NULL, 0, &payable, &error), AEGIS_CHALLENGE_MALFORMED);
    assert_non_null(strstr(error.text, "too long"));
    free(text);
    free(few);
    free(entries);
    free(many);
}

static void check_depth(size_t depth, enum aegis_challenge_result expected)
{
    char *open = aegis_alloc(depth + 1), *closed = aegis_alloc(depth + 1), *text;
    size_t payable;

    memset(open, '[', depth);
    memset(closed, ']', depth);
    text = aegis_format("%s[%s],\"a\":%s%s}", HEAD_V1, ENTRY_V1, open, closed);
    assert_int_equal(parse_v1(text, strlen(text), &payable), expected);
    free(text);
    free(closed);
    free(open);
}

static void test_deep(void **state)
{
    (void)state;
    check_depth(63, AEGIS_CHALLENGE_OK);
    check_depth(64, AEGIS_CHALLENGE_MALFORMED);
    check_depth(1000, AEGIS_CHALLENGE_MALFORMED);
    check_depth(100000, AEGIS_CHALLENGE_MALFORMED);
}

/* Every prefix of a good challenge, and every copy with one byte changed: never a crash, and what can be paid
 * says so with the amount, asset and payee that stand in the text. */
static void test_mutations(void **state)
{
    static const char good[] = HEAD_V1 "[" ENTRY_V1 "]}";
    char text[sizeof good];
    size_t payable;
    (void)state;

    for (size_t length = 0; length < sizeof good - 1; length++) {
        parse_v1(good, length, &payable);
        assert_int_equal(payable, 0);
    }
    for (size_t at = 0; at < sizeof good - 1; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            memcpy(text, good, sizeof text);
            text[at] = (char)byte;
            parse_v1(text, sizeof good - 1, &payable);
        }
    }
}

static struct aegis_challenge *make_v2(const char *accepts)
{
    char *text = aegis_format("%s%s}", HEAD_V2, accepts), *header = aegis_base64_encode(text, strlen(text));
    struct aegis_challenge *challenge;

    assert_int_equal(aegis_challenge_parse(header, strlen(header), NULL, 0, assets, &challenge, NULL),
                     AEGIS_CHALLENGE_OK);
    free(header);
    free(text);
    return challenge;
}

/* `order`: the indices in `accepts` that are expected, as digits. */
static void check_rank(struct aegis_challenge *challenge, const char *preference, const char *order)
{
    const struct aegis_requirement *ranked[AEGIS_CHALLENGE_ACCEPTS_MAX];
    json_t *list = preference != NULL ? json_loads(preference, 0, NULL) : NULL;
    size_t count = aegis_challenge_rank(challenge, list, ranked, AEGIS_CHALLENGE_ACCEPTS_MAX);
    char found[AEGIS_CHALLENGE_ACCEPTS_MAX + 1] = "";

    for (size_t i = 0; i < count; i++) {
        found[i] = (char)('0' + ranked[i]->index);
    }
    assert_string_equal(found, order);
    json_decref(list);
}

#define OFFER(network, asset, amount, name)                                                                  \
    "{\"scheme\":\"exact\",\"network\":\"" network "\",\"amount\":\"" amount "\",\"asset\":\"" asset         \
    "\",\"payTo\":\"" PAY_TO "\",\"maxTimeoutSeconds\":60,\"extra\":{\"name\":\"" name "\"}}"

/* clang-format off */
static const char offers[] =
    "[" OFFER("eip155:84532", SEPOLIA, "5000", "USDC") ","
    OFFER("eip155:988", "0x779Ded0c9e1022225f8E0630b35a9b54bE713736", "1", "USDT0") ","
    OFFER("eip155:8453", MAINNET, "4000", "USD Coin") ",{},"
    OFFER("eip155:31337", "0x00000000000000000000000000000000000000aa", "4500000000000000", "Wide") "]";
/* clang-format on */

static void test_rank(void **state)
{
    json_t *wide = json_pack("[{s:s,s:s,s:s,s:i,s:s,s:s}]", "network", "eip155:31337", "address",
                             "0x00000000000000000000000000000000000000aa", "symbol", "USDC", "decimals", 18,
                             "name", "Wide", "version", "1");
    struct aegis_challenge *challenge;
    const struct aegis_requirement *ranked[2];
    (void)state;

    assert_true(aegis_assets_add(assets, wide, NULL));
    json_decref(wide);
    challenge = make_v2(offers);
    check_rank(challenge, NULL, "2401"); /* USDC from the cheapest in whole tokens, then the other symbol */
    check_rank(challenge, "[]", "2401");
    check_rank(challenge, "[\"USDT0\"]", "1240");
    check_rank(challenge, "[\"eip155:84532\"]", "0124");
    check_rank(challenge, "[\"eip155:84532/USDC\",\"eip155:31337\"]", "0412");
    check_rank(challenge, "[\"eip155:84532/USDT0\",\"eip155:8453*/USDC\",\"*\"]", "2014");
    check_rank(challenge, "[\"eip155:*\"]", "2401");
    check_rank(challenge, "[7,null,\"USDT0\"]", "1240");
    check_rank(challenge, "[\"eip155:8453\"]", "2401"); /* not a prefix of eip155:84532 without an asterisk */
    assert_int_equal(aegis_challenge_rank(challenge, NULL, ranked, 2), 2);
    assert_int_equal(ranked[0]->index, 2);
    assert_string_equal(aegis_challenge_left_out(challenge), "accepts[3]: scheme: not exact");
    assert_int_equal(aegis_challenge_version(challenge), 2);
    aegis_challenge_free(&challenge);
    aegis_challenge_free(&challenge);
}

static char *answer(const struct aegis_challenge *challenge, size_t index, const char *id,
                    const char *signature, aegis_amount value, struct aegis_error *error)
{
    struct aegis_authorization authorization = {.value = value, .valid_before = 60};
    const char *name;

    assert_true(aegis_address_parse(PAY_TO, &authorization.to));
    return aegis_challenge_answer(challenge, index, &authorization, signature, id, &name, error);
}

static char *decoded(char *header)
{
    size_t size;
    char *text = (char *)aegis_base64_decode(header, strlen(header), &size);

    free(header);
    return text;
}

static void test_payment_identifier(void **state)
{
    struct aegis_challenge *challenge =
        make_v2("[" ENTRY_V2 "],\"extensions\":{\"a\":1,\"payment-identifier\":{\"info\":{\"required\":true},"
                "\"schema\":{\"x\":[]}},\"b\":2}");
    char *text = decoded(answer(challenge, 0, "pay_0123456789abcdef", SIGNATURE, 10000, NULL));
    (void)state;

    assert_non_null(strstr(text,
                           "\"extensions\":{\"a\":1,\"payment-identifier\":{\"info\":{\"required\":true,"
                           "\"id\":\"pay_0123456789abcdef\"},\"schema\":{\"x\":[]}},\"b\":2},\"resource\""));
    free(text);
    /* What was shown is not changed by what is sent. */
    text = decoded(answer(challenge, 0, "short", SIGNATURE, 10000, NULL));
    assert_non_null(strstr(text, "{\"info\":{\"required\":true},"));
    free(text);
    text = decoded(answer(challenge, 0, NULL, SIGNATURE, 10000, NULL));
    assert_non_null(strstr(text, "{\"info\":{\"required\":true},"));
    free(text);
    aegis_challenge_free(&challenge);
    challenge =
        make_v2("[" ENTRY_V2 "],\"extensions\":{\"payment-identifier\":{\"info\":{\"required\":\"yes\"}}}");
    text = decoded(answer(challenge, 0, "pay_0123456789abcdef", SIGNATURE, 10000, NULL));
    assert_null(strstr(text, "pay_0123456789abcdef"));
    free(text);
    aegis_challenge_free(&challenge);
}

/* What was judged is what is answered: another amount, another payee, another entry are refused. */
static void test_answer_refuses(void **state)
{
    struct aegis_challenge *challenge = make_v2("[" ENTRY_V2 ",{}]");
    struct aegis_error error = {""};
    (void)state;

    assert_null(answer(challenge, 1, NULL, SIGNATURE, 10000, &error));
    assert_string_equal(error.text, "accepts[1] is no requirement that can be met");
    assert_null(answer(challenge, 99, NULL, SIGNATURE, 10000, &error));
    assert_null(answer(challenge, 0, NULL, SIGNATURE, 10001, &error));
    assert_string_equal(error.text, "the authorization is not for accepts[0]");
    assert_null(answer(challenge, 0, NULL, "0x1234", 10000, &error));
    aegis_challenge_free(&challenge);
}

static void test_answer_too_long(void **state)
{
    char *padding = aegis_alloc(12001), *accepts;
    struct aegis_challenge *challenge;
    struct aegis_error error = {""};
    (void)state;

    memset(padding, 'x', 12000);
    accepts = aegis_format("[%s],\"extensions\":{\"a\":\"%s\"}", ENTRY_V2, padding);
    challenge = make_v2(accepts);
    assert_null(answer(challenge, 0, NULL, SIGNATURE, 10000, &error));
    assert_non_null(strstr(error.text, "more than 16000"));
    aegis_challenge_free(&challenge);
    free(accepts);
    free(padding);
}

static void test_networks(void **state)
{
    static const char *const bad[] = {"",
                                      "eip155",
                                      "eip155:",
                                      "eip155:-1",
                                      "eip155:1 ",
                                      "eip155:01",
                                      "eip155:1:2",
                                      "eip155:9007199254740992",
                                      "eip155:10000000000000000000",
                                      "solana:1"};
    uint64_t id;
    (void)state;

    assert_true(aegis_network_chain_id("eip155:1", &id) && id == 1);
    assert_true(aegis_network_chain_id("eip155:9007199254740991", &id) && id == 9007199254740991);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(aegis_network_chain_id(bad[i], &id));
    }
    assert_string_equal(aegis_network_from_v1("base-sepolia"), "eip155:84532");
    assert_null(aegis_network_from_v1("Base"));
    assert_null(aegis_network_from_v1("eip155:84532"));
}

static void test_assets(void **state)
{
    static const struct {
        const char *array, *problem;
    } bad[] = {
        {"{}", "assets: expected an array"},
        {"[1]", "assets[0]: expected an object"},
        {"[{\"network\":\"base\",\"address\":\"" PAY_TO
         "\",\"symbol\":\"X\",\"decimals\":6,\"name\":\"X\",\"version\":"
         "\"1\"}]",
         "assets[0]: network: "},
        {"[{\"network\":\"eip155:1\",\"address\":\"0x12\",\"symbol\":\"X\",\"decimals\":6,\"name\":\"X\","
         "\"version\":"
         "\"1\"}]",
         "assets[0]: address: "},
        {"[{\"network\":\"eip155:1\",\"address\":\"" PAY_TO
         "\",\"symbol\":\"X/Y\",\"decimals\":6,\"name\":\"X\","
         "\"version\":\"1\"}]",
         "assets[0]: symbol: "},
        {"[{\"network\":\"eip155:1\",\"address\":\"" PAY_TO
         "\",\"symbol\":\"X\",\"decimals\":19,\"name\":\"X\","
         "\"version\":\"1\"}]",
         "assets[0]: decimals: "},
        {"[{\"network\":\"eip155:1\",\"address\":\"" PAY_TO
         "\",\"symbol\":\"X\",\"decimals\":6,\"name\":\"X\"}]",
         "assets[0]: version: missing"},
    };
    struct aegis_assets *own = aegis_assets_new();
    size_t count = aegis_assets_count(own);
    struct aegis_address address;
    const struct aegis_asset *asset;
    json_t *array;
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct aegis_error error = {""};

        array = json_loads(bad[i].array, 0, NULL);
        assert_false(aegis_assets_add(own, array, &error));
        assert_memory_equal(error.text, bad[i].problem, strlen(bad[i].problem));
        json_decref(array);
    }
    assert_int_equal(aegis_assets_count(own), count);
    asset = aegis_assets_symbol(own, "eip155:8453", "USDC");
    assert_non_null(asset);
    assert_string_equal(asset->domain_name, "USD Coin");
    assert_int_equal(asset->chain_id, 8453);
    assert_null(aegis_assets_symbol(own, "eip155:8453", "usdc"));
    /* The operator's word replaces ours. */
    array = json_loads("[{\"network\":\"eip155:8453\",\"address\":\"" MAINNET
                       "\",\"symbol\":\"MINE\",\"decimals\":2,"
                       "\"name\":\"N\",\"version\":\"9\"}]",
                       0, NULL);
    assert_true(aegis_assets_add(own, array, NULL));
    json_decref(array);
    assert_int_equal(aegis_assets_count(own), count);
    assert_true(aegis_address_parse(MAINNET, &address));
    assert_string_equal(aegis_assets_find(own, "eip155:8453", &address)->symbol, "MINE");
    assert_null(aegis_assets_find(own, "eip155:84532", &address));
    assert_non_null(aegis_assets_at(own, count - 1));
    assert_null(aegis_assets_at(own, count));
    aegis_assets_free(&own);
    assert_null(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad_members),
        cmocka_unit_test(test_bad_texts),
        cmocka_unit_test(test_nothing_to_pay),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_header_wins),
        cmocka_unit_test(test_oversized),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_rank),
        cmocka_unit_test(test_payment_identifier),
        cmocka_unit_test(test_answer_refuses),
        cmocka_unit_test(test_answer_too_long),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_assets),
    };

    return cmocka_run_group_tests(tests, open_assets, close_assets);
}
