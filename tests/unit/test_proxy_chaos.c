/* Agents, origin and keeper that do anything at any time, from a printed seed (AEGIS_SEED repeats it).
 * Whatever they do:
 *
 *  - a payment reaches the origin at most once,
 *  - a payment that was authorized is reported exactly once (to the keeper that authorized it),
 *  - what was reported settled had been sent,
 *  - no answer looks whole that the origin did not finish,
 *  - in the end nothing is left: no agent, no connection in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "tests/unit/proxy_street.h"

enum { ROUNDS = 8, AGENTS = 60, TURNS = 150 };

struct chaos {
    uint64_t random;
    size_t sent[STREET_OUTCOMES + 1];
};

static struct chaos chaos;

static unsigned pick(unsigned sides)
{
    chaos.random ^= chaos.random << 13;
    chaos.random ^= chaos.random >> 7;
    chaos.random ^= chaos.random << 17;
    return (unsigned)(chaos.random >> 11) % sides;
}

static void say_part_of_challenge(struct wire *wire)
{
    char *header = street_challenge_header();
    char *answer = aegis_format(
        "HTTP/1.1 402 Payment Required\r\nContent-Length: 20\r\nPAYMENT-REQUIRED: %s\r\n\r\n12345", header);
    street_say(wire, answer);
    free(answer);
    free(header);
}

/* A seller in all its moods, before and after the payment. */
static void serve_anything(struct wire *wire, const char *request)
{
    bool paid = strstr(request, "\r\nPAYMENT-SIGNATURE: ") || strstr(request, "\r\nX-PAYMENT: ");
    switch (pick(18)) {
    case 0:
        street_close(wire);
        return;
    case 1:
        street_reset(wire);
        return;
    case 2:
        return; /* silence */
    case 3:
        street_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        street_close(wire);
        return;
    case 4:
        say_part_of_challenge(wire);
        if (pick(2))
            street_close(wire);
        return;
    case 5:
        street_say(wire, "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops");
        return;
    case 6:
        street_serve_hello(wire, request);
        if (pick(2))
            street_close(wire);
        return;
    case 7:
        street_say(wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmore\r\n");
        return;
    default:
        if (paid)
            street_say_settled(wire);
        else if (pick(3))
            street_say_challenge(wire);
        else
            street_say_challenge_v1(wire, "");
    }
}

static void begin_request(struct wire *agent)
{
    switch (pick(5)) {
    case 0:
        street_ask(agent, "POST", "/", "Content-Length: 10\r\n", "half-");
        if (pick(2))
            street_say(agent, "again");
        return;
    case 1:
        street_ask(agent, "POST", "/", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n");
        return;
    case 2:
        street_ask(agent, "PUT", "/x", "Content-Length: 3\r\n", "abc");
        return;
    default:
        street_ask(agent, "GET", "/", "", "");
    }
}

static void do_something(struct street *street)
{
    struct wire *agent = street->agent_count > 0 ? street->agents[pick((unsigned)street->agent_count)] : NULL;
    struct wire *origin =
        street->origin_count > 0 ? street->origins[pick((unsigned)street->origin_count)] : NULL;
    switch (pick(24)) {
    case 0:
        if (agent)
            street_close(agent);
        return;
    case 1:
        if (agent)
            street_reset(agent);
        return;
    case 2:
        if (origin)
            street_close(origin);
        return;
    case 3:
        street->keeper_silent = pick(4) == 0;
        return;
    case 4:
        if (agent && agent->transport)
            begin_request(agent);
        return;
    case 5:
        aegis_channel_send(street->keeper, &aegis_message_forget, NULL);
        return;
    default:
        if (street->agent_count < AGENTS)
            begin_request(street_agent(street));
    }
}

/* The number in the payment that a request carries; payments are told apart by their nonce. */
static size_t payment_in(const char *request)
{
    static const char *const names[] = {"\r\nPAYMENT-SIGNATURE: ", "\r\nX-PAYMENT: "};
    for (size_t i = 0; i < 2; i++) {
        const char *at = strstr(request, names[i]);
        if (!at)
            continue;
        at += strlen(names[i]);
        size_t size = 0;
        char *json = (char *)aegis_base64_decode(at, strcspn(at, "\r"), &size);
        assert_non_null(json);
        const char *nonce = strstr(json, "\"nonce\":\"0x");
        assert_non_null(nonce);
        size_t number = (size_t)strtoul(nonce + strlen("\"nonce\":\"0x") + 48, NULL, 16);
        free(json);
        return number;
    }
    return 0;
}

static void check_books(struct street *street)
{
    size_t reported[STREET_OUTCOMES + 1] = {0};
    memset(chaos.sent, 0, sizeof(chaos.sent));
    for (size_t i = 0; i < street->request_count; i++)
        chaos.sent[payment_in(street->requests[i])]++;
    for (size_t i = 0; i < street->outcome_count; i++) {
        size_t number = strtoul(aegis_json_text(street->outcomes[i], "payment", "pay_0") + 4, NULL, 10);
        assert_in_range(number, 1, street->authorized_count);
        reported[number]++;
        if (!strcmp(aegis_json_text(street->outcomes[i], "state", ""), "settled"))
            assert_int_equal(chaos.sent[number], 1);
        if (strstr(aegis_json_text(street->outcomes[i], "reason", ""), "never sent"))
            assert_int_equal(chaos.sent[number], 0);
    }
    for (size_t number = 1; number <= street->authorized_count; number++) {
        assert_in_range(chaos.sent[number], 0, 1);
        assert_int_equal(reported[number], 1);
    }
}

static void one_round(void)
{
    struct street *street = street_new(
        NULL, "{\"first_byte_ms\": 150, \"read_ms\": 150, \"authorize_ms\": 100, \"idle_ms\": 2000}");
    street->serve = serve_anything;
    street->cache_ms = pick(2) ? 60000 : 0;
    for (int turn = 0; turn < TURNS; turn++) {
        do_something(street);
        if (pick(3))
            street_turn(street);
    }
    street->keeper_silent = false;
    for (int i = 0; i < 4; i++)
        street_rest(street);
    for (size_t i = 0; i < street->agent_count; i++)
        street_close(street->agents[i]);
    STREET_UNTIL(street, street->proxy->agent_count == 0);
    street_rest(street);
    check_books(street);
    aegis_pool_close_all(street->proxy->pool);
    for (size_t i = 0; i < street->origin_count; i++)
        STREET_UNTIL(street, !street->origins[i]->transport || street->origins[i]->closed);
    street_free(street);
}

static void the_books_are_right_whatever_happens(void **state)
{
    (void)state;
    const char *given = getenv("AEGIS_SEED");
    chaos.random = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 2654435761u + 1;
    const char *rounds = getenv("AEGIS_ROUNDS");
    for (int round = 0; round < (rounds ? atoi(rounds) : ROUNDS); round++) {
        printf("AEGIS_SEED=%llu\n", (unsigned long long)chaos.random);
        fflush(stdout);
        one_round();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_books_are_right_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
