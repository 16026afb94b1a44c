/* The running sums against the slow reference, which adds up payments one by one. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#include <sodium.h>

#include "gate/base/clock.h"
#include "gate/keeper/counters.h"
#include "gate/keeper/rolling.h"
#include "tests/unit/ledger_maker.h"

#define TOKEN ((aegis_amount)1000000000000000000u)

static const char *const agents[] = {"agent-1", "agent-2"};
static const char *const hosts[] = {"a.example", "b.example"};
static const char *const payees[] = {"0xA", "0xB"};
static const char *const networks[] = {"eip155:1", "eip155:8453"};
static const char *const tokens[] = {"USDC", "EURC"};
static const char *const scopes[] = {"agent", "gate", "agent+host", "agent+payee", "host", "payee"};
static const char *const windows[] = {"hour",  "day",        "week",         "month",
                                      "total", "rolling:60", "rolling:4000", "rolling:200000"};
static const char *const chains[] = {"*", "eip155:*", "eip155:1"};
static const char *const symbols[] = {"*", "USDC"};

static uint32_t seed;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

enum { MODEL = 600, JUDGED = 12 };

struct payment {
    struct made made;
    struct aegis_share share;
    char id[AEGIS_ENTRY_ID_TEXT];
    enum aegis_payment_state state;
    uint64_t number;
};

struct world {
    char *folder;
    char path[300];
    struct aegis_ledger *ledger;
    struct aegis_counters *counters;
    struct payment done[MODEL];
    size_t count;
    struct payment judged[JUDGED];
    size_t judging;
    int64_t now;
    struct aegis_error error;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->folder = maker_folder();
    snprintf(world->path, sizeof world->path, "%s/ledger.db", world->folder);
    world->ledger = aegis_ledger_open(world->path, &world->error);
    assert_non_null(world->ledger);
    world->counters = aegis_counters_new();
    world->now = 1763600000000;
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    aegis_counters_free(&world->counters);
    aegis_ledger_close(&world->ledger);
    maker_clean(world->folder);
    free(world);
    return 0;
}

static struct payment random_payment(int64_t at)
{
    struct payment payment = {
        .made = {.agent = agents[dice(2)],
                 .host = hosts[dice(2)],
                 .payee = payees[dice(2)],
                 .network = networks[dice(2)],
                 .token = tokens[dice(2)],
                 .url = "http://x/",
                 .amount = dice(100000) + 1,
                 .decimals = 6,
                 .at = at,
                 .valid_before = at / 1000 + 60},
        .state = AEGIS_PAYMENT_SIGNED,
    };
    payment.share = (struct aegis_share){payment.made.agent,
                                         payment.made.host,
                                         payment.made.payee,
                                         payment.made.network,
                                         payment.made.token,
                                         at,
                                         0};
    aegis_amount_scale(payment.made.amount, 6, &payment.share.scaled);
    return payment;
}

static bool share_in(const struct aegis_share *share, const struct aegis_books_scope *scope)
{
    return (scope->agent == NULL || strcmp(scope->agent, share->agent) == 0) &&
           (scope->host == NULL || strcmp(scope->host, share->host) == 0) &&
           (scope->payee == NULL || strcmp(scope->payee, share->payee) == 0) &&
           aegis_books_pattern(scope->network, share->network) &&
           (strcmp(scope->token, "*") == 0 || strcmp(scope->token, share->token) == 0);
}

static struct aegis_books_scope scope_of(size_t scope, const struct aegis_share *share, const char *chain,
                                         const char *token)
{
    const char *name = scopes[scope];
    return (struct aegis_books_scope){
        .agent = strncmp(name, "agent", 5) == 0 ? share->agent : NULL,
        .host = strstr(name, "host") != NULL ? share->host : NULL,
        .payee = strstr(name, "payee") != NULL ? share->payee : NULL,
        .network = chain,
        .token = token,
    };
}

/* One question, asked of both. */
static void compare(struct world *world, size_t scope, size_t window, size_t chain, size_t symbol,
                    const struct aegis_share *share, uint64_t number)
{
    struct aegis_books *books = aegis_ledger_books(world->ledger);
    struct aegis_books_sum fast, slow;
    int64_t fast_reset, slow_reset, start = 0, end;
    struct aegis_books_scope of = scope_of(scope, share, chains[chain], symbols[symbol]);
    if (!aegis_counters_spent(world->counters, books, scopes[scope], windows[window], chains[chain],
                              symbols[symbol], share, number, world->now, &fast, &fast_reset,
                              &world->error) ||
        !aegis_books_spent(books, &of, windows[window], world->now, &slow, &slow_reset, &world->error))
        fail_msg("%s", world->error.text);
    if (window < 5)
        aegis_window_bounds((enum aegis_window)window, world->now, &start, &end);
    else
        start = world->now - strtoll(windows[window] + 8, NULL, 10) * 1000 + 1;
    for (size_t i = 0; i < world->judging; i++) {
        const struct payment *judged = &world->judged[i];
        if (judged->number >= number || judged->share.at < start || !share_in(&judged->share, &of))
            continue;
        slow.exposed += judged->share.scaled;
        slow.payments++;
        if (window >= 5 && (slow_reset == 0 || judged->share.at + (world->now - start + 1) < slow_reset))
            slow_reset = judged->share.at + (world->now - start + 1);
    }
    if (fast.settled != slow.settled || fast.exposed != slow.exposed || fast.payments != slow.payments ||
        fast.settlements != slow.settlements || fast_reset != slow_reset)
        fail_msg("%s %s %s %s: %" PRIu64 " payments, expected %" PRIu64 "; resets at %" PRId64
                 ", expected %" PRId64,
                 scopes[scope], windows[window], chains[chain], symbols[symbol], fast.payments, slow.payments,
                 fast_reset, slow_reset);
}

static void compare_some(struct world *world)
{
    struct payment like = random_payment(world->now);
    uint64_t number = AEGIS_NUMBER_LAST;
    if (world->judging > 0 && dice(2)) {
        like = world->judged[dice((uint32_t)world->judging)];
        number = like.number;
    }
    compare(world, dice(6), dice(8), dice(3), dice(2), &like.share, number);
}

static void begin_judging(struct world *world)
{
    if (world->judging == JUDGED)
        return;
    struct payment *payment = &world->judged[world->judging++];
    *payment = random_payment(world->now);
    payment->number = aegis_counters_try(world->counters, &payment->share);
}

static void end_judging(struct world *world)
{
    if (world->judging == 0 || world->count == MODEL)
        return;
    size_t index = dice((uint32_t)world->judging);
    struct payment payment = world->judged[index];
    world->judged[index] = world->judged[--world->judging];
    if (dice(3) == 0) {
        aegis_counters_drop(world->counters, payment.number);
        return;
    }
    aegis_entry_id("pay_", world->now, payment.id);
    assert_true(aegis_ledger_begin(world->ledger, &world->error));
    assert_true(maker_buy(world->ledger, &payment.made, payment.id, world->count));
    assert_int_equal(aegis_ledger_commit(world->ledger, &world->error), AEGIS_LEDGER_OK);
    aegis_counters_keep(world->counters, payment.number);
    world->done[world->count++] = payment;
}

static enum aegis_counted counted(enum aegis_payment_state state)
{
    return state == AEGIS_PAYMENT_SETTLED       ? AEGIS_COUNTED_SETTLED
           : aegis_payment_state_exposed(state) ? AEGIS_COUNTED_EXPOSED
                                                : AEGIS_COUNTED_NOT;
}

static void change_one(struct world *world)
{
    static const enum aegis_entry_kind kinds[] = {AEGIS_ENTRY_SETTLED, AEGIS_ENTRY_UNKNOWN,
                                                  AEGIS_ENTRY_EXPIRED};
    if (world->count == 0)
        return;
    struct payment *payment = &world->done[dice((uint32_t)world->count)];
    enum aegis_entry_kind kind = kinds[dice(3)];
    enum aegis_payment_state to;
    if (!aegis_payment_state_next(payment->state, kind, &to))
        return;
    json_t *body = kind == AEGIS_ENTRY_SETTLED   ? json_pack("{s:s}", "by", "chain")
                   : kind == AEGIS_ENTRY_UNKNOWN ? json_pack("{s:i}", "status", 0)
                                                 : json_pack("{s:i,s:i}", "block", 1, "block_time", 1);
    assert_true(aegis_ledger_begin(world->ledger, &world->error));
    assert_true(maker_append(world->ledger, kind, world->now, payment->made.agent, payment->id, body));
    assert_int_equal(aegis_ledger_commit(world->ledger, &world->error), AEGIS_LEDGER_OK);
    aegis_counters_move(world->counters, &payment->share, counted(payment->state), counted(to));
    payment->state = to;
}

static void random_operations(void **state)
{
    struct world *world = *state;
    const char *given = getenv("AEGIS_SEED");
    seed = given != NULL ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)time(NULL) * 2654435761u;
    print_message("AEGIS_SEED=%" PRIu32 "\n", seed);
    for (int step = 0; step < 6000; step++) {
        static const uint32_t steps[] = {1, 50, 3000, 100000, 5000000, 90000000};
        switch (dice(8)) {
        case 0:
            world->now += dice(steps[dice(dice(40) == 0 ? 6 : 4)]);
            break;
        case 1:
        case 2:
            begin_judging(world);
            break;
        case 3:
            end_judging(world);
            break;
        case 4:
            change_one(world);
            break;
        case 5:
            if (dice(400) == 0)
                aegis_counters_reset(world->counters, world->now);
            break;
        default:
            compare_some(world);
        }
    }
    for (size_t scope = 0; scope < 6; scope++)
        for (size_t window = 0; window < 8; window++)
            for (size_t chain = 0; chain < 3; chain++)
                for (size_t symbol = 0; symbol < 2; symbol++) {
                    struct payment like = random_payment(world->now);
                    compare(world, scope, window, chain, symbol, &like.share, AEGIS_NUMBER_LAST);
                }
    assert_true(world->count > 100);
}

/* Who came later is not seen; who came earlier is, whether the scope was ever asked about before or not. */
static void sees_only_the_earlier(void **state)
{
    struct world *world = *state;
    struct aegis_books_sum sum;
    int64_t resets_at;
    struct aegis_share share = {"agent-1", "h", "p", "eip155:1", "USDC", world->now, TOKEN};
    uint64_t numbers[5];
    for (int i = 0; i < 5; i++)
        numbers[i] = aegis_counters_try(world->counters, &share);
    for (int i = 0; i < 5; i++) {
        assert_true(aegis_counters_spent(world->counters, aegis_ledger_books(world->ledger), "agent", "day",
                                         "*", "*", &share, numbers[i], world->now, &sum, &resets_at,
                                         &world->error));
        assert_true(sum.exposed == (aegis_amount)i * TOKEN);
        assert_int_equal(sum.payments, i);
    }
    aegis_counters_drop(world->counters, numbers[0]);
    assert_true(aegis_counters_spent(world->counters, aegis_ledger_books(world->ledger), "agent", "day", "*",
                                     "*", &share, numbers[4], world->now, &sum, &resets_at, &world->error));
    assert_true(sum.exposed == 3 * TOKEN);
    for (int i = 1; i < 5; i++)
        aegis_counters_drop(world->counters, numbers[i]);
    assert_int_equal(aegis_counters_tentative(world->counters), 0);
}

/* What is durable is seen by everybody, whatever its number was. */
static void sees_all_that_is_durable(void **state)
{
    struct world *world = *state;
    struct aegis_books_sum sum;
    int64_t resets_at;
    struct aegis_share share = {"agent-1", "h", "p", "eip155:1", "USDC", world->now, TOKEN};
    uint64_t first = aegis_counters_try(world->counters, &share),
             second = aegis_counters_try(world->counters, &share);
    assert_true(aegis_counters_spent(world->counters, aegis_ledger_books(world->ledger), "agent", "day", "*",
                                     "*", &share, first, world->now, &sum, &resets_at, &world->error));
    assert_true(sum.exposed == 0);
    aegis_counters_keep(world->counters, second);
    assert_true(aegis_counters_spent(world->counters, aegis_ledger_books(world->ledger), "agent", "day", "*",
                                     "*", &share, first, world->now, &sum, &resets_at, &world->error));
    assert_true(sum.exposed == TOKEN);
    aegis_counters_drop(world->counters, first);
}

static void refuses_queries(void **state)
{
    struct world *world = *state;
    struct aegis_books_sum sum;
    int64_t resets_at;
    struct aegis_share share = {"agent-1", "h", "p", "eip155:1", "USDC", world->now, TOKEN};
    static const char *const bad[][2] = {{"nobody", "day"},
                                         {"agent", "year"},
                                         {"agent", "rolling:59"},
                                         {"agent", "rolling:"},
                                         {"agent", "rolling:2678401"},
                                         {"agent", "rolling:60x"},
                                         {"agent", "rolling:-60"},
                                         {"", ""},
                                         {"agent", "rolling: 60"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(aegis_counters_spent(world->counters, aegis_ledger_books(world->ledger), bad[i][0],
                                          bad[i][1], "*", "*", &share, 1, world->now, &sum, &resets_at,
                                          &world->error));
}

static aegis_amount exposed(struct world *world, const char *window, const struct aegis_share *share,
                            uint64_t number)
{
    struct aegis_books_sum sum;
    int64_t resets_at;
    if (!aegis_counters_spent(world->counters, aegis_ledger_books(world->ledger), "agent", window, "*", "*",
                              share, number, share->at, &sum, &resets_at, &world->error))
        fail_msg("%s", world->error.text);
    return sum.exposed;
}

static void buy_at(struct world *world, uint64_t number, int64_t at)
{
    struct made made = {.agent = "agent-1",
                        .host = "h",
                        .payee = "p",
                        .network = "eip155:1",
                        .token = "USDC",
                        .url = "http://x/",
                        .amount = 1000000,
                        .decimals = 6,
                        .at = at,
                        .valid_before = at / 1000 + 60};
    char id[AEGIS_ENTRY_ID_TEXT];
    aegis_entry_id("pay_", at, id);
    assert_true(aegis_ledger_begin(world->ledger, &world->error));
    assert_true(maker_buy(world->ledger, &made, id, (unsigned long)number));
    assert_int_equal(aegis_ledger_commit(world->ledger, &world->error), AEGIS_LEDGER_OK);
    aegis_counters_keep(world->counters, number);
}

/* One payment begins before midnight and is judged after it, when another one was asked about the new day:
 * each sees and joins the window that it began in. `asked` says whether anybody asked before. */
static void across_the_boundary(struct world *world, const char *window, int64_t boundary, bool asked)
{
    struct aegis_share early = {"agent-1", "h", "p", "eip155:1", "USDC", boundary - 100, TOKEN}, late = early;
    late.at = boundary + 10;
    uint64_t first = aegis_counters_try(world->counters, &early);
    buy_at(world, first, early.at);
    if (asked)
        assert_true(exposed(world, window, &early, AEGIS_NUMBER_LAST) == TOKEN);
    uint64_t second = aegis_counters_try(world->counters, &early),
             third = aegis_counters_try(world->counters, &late);
    bool rolling = strncmp(window, "rolling", 7) == 0;
    if (asked)
        assert_true(exposed(world, window, &late, third) == (rolling ? TOKEN : 0));
    buy_at(world, third, late.at);
    assert_true(exposed(world, window, &early, second) >= TOKEN);
    buy_at(world, second, early.at);
    assert_true(exposed(world, window, &late, AEGIS_NUMBER_LAST) == (rolling ? 2 * TOKEN : TOKEN));
    assert_true(exposed(world, window, &early, AEGIS_NUMBER_LAST) >= 2 * TOKEN);
}

static void judged_past_a_boundary(void **state)
{
    static const char *const all[] = {"hour", "day", "week", "month"};
    struct world *world = *state;
    int64_t boundary = 1764547200000; /* 2025-12-01, a Monday */
    for (size_t i = 0; i < 8; i++) {
        across_the_boundary(world, all[i / 2], boundary, i % 2 == 0);
        void *again = world;
        teardown(&again);
        setup(&again);
        *state = world = again;
    }
}

/* Likewise where what counts leaves by the millisecond. */
static void judged_past_a_rolling_end(void **state)
{
    struct world *world = *state;
    struct aegis_share old = {"agent-1", "h", "p", "eip155:1", "USDC", 1764547200000, TOKEN}, early = old,
                       late = old;
    early.at += 59900;
    late.at += 60010;
    buy_at(world, aegis_counters_try(world->counters, &old), old.at);
    uint64_t second = aegis_counters_try(world->counters, &early),
             third = aegis_counters_try(world->counters, &late);
    assert_true(exposed(world, "rolling:60", &late, third) == TOKEN); /* `early`, not `old` */
    assert_true(exposed(world, "rolling:60", &early, second) == TOKEN);
    buy_at(world, second, early.at);
    buy_at(world, third, late.at);
    late.at++;
    assert_true(exposed(world, "rolling:60", &late, AEGIS_NUMBER_LAST) == 2 * TOKEN);
}

/* Payments that come out of order, leave, and empty places. */
static void rolls(void **state)
{
    struct aegis_rolling rolling = {0};
    struct aegis_books_sum left, old;
    (void)state;
    static const int64_t times[] = {50, 10, 30, 20, 40, 30};
    for (size_t i = 0; i < 6; i++)
        aegis_rolling_at(&rolling, times[i])->payments++;
    assert_int_equal(aegis_rolling_before(&rolling, 0, &old), 10);
    assert_int_equal(old.payments, 0);
    assert_int_equal(aegis_rolling_before(&rolling, 31, &old), 40);
    assert_int_equal(old.payments, 4);
    assert_int_equal(aegis_rolling_at(&rolling, 30)->payments, 2);
    assert_true(aegis_rolling_leave(&rolling, 11, &left));
    assert_int_equal(left.payments, 1);
    assert_false(aegis_rolling_leave(&rolling, 20, &left));
    aegis_rolling_at(&rolling, 20)->payments--;
    assert_int_equal(aegis_rolling_before(&rolling, 0, &old), 30);
    for (int64_t at = 100; at < 1000; at++)
        aegis_rolling_at(&rolling, at)->payments++;
    for (int64_t at = 100; at < 1000; at++)
        assert_int_equal(aegis_rolling_at(&rolling, at)->payments, 1);
    while (aegis_rolling_leave(&rolling, 2000, &left))
        ;
    assert_int_equal(aegis_rolling_before(&rolling, 0, &old), INT64_MAX);
    aegis_rolling_clear(&rolling);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(rolls),
        CASE(refuses_queries),
        CASE(sees_only_the_earlier),
        CASE(sees_all_that_is_durable),
        CASE(judged_past_a_boundary),
        CASE(judged_past_a_rolling_end),
        CASE(random_operations),
    };
    if (sodium_init() < 0)
        return 99;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
