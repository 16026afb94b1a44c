/* A round:  head -> block -> states -> (logs -> receipts) -> states -> ... until every payment had its turn.
 *
 * Each arrow is one batch of calls and one answer. What an answer means is decided in proof.c; here is only
 * who is asked when. Whatever is wrong with an answer ends the round without a conclusion, and the next one
 * comes later and asks for less. */
#include "gate/witness/chain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/clock.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/http/fetch.h"
#include "gate/witness/rpc.h"

enum {
    BATCH_MAX = 64,    /* calls in one request, at first */
    REQUESTS_MAX = 40, /* requests in one round */
    SPAN_MIN = 10,
    SPAN_MAX = 2000,         /* blocks in one search for an event, at first */
    ANSWER_MAX = 8 << 20,    /* bytes */
    DEADLINE_MS = 15000,     /* for one request */
    BACKOFF_MAX_MS = 60000,  /* between rounds, when the node does not answer */
    CLOCK_SLACK_MS = 600000, /* how far our clock may be ahead of the chain's */
};

/* A payment in a question that is under way. */
struct item {
    struct witness_payment *payment;
    size_t call; /* its first call in the batch */
    uint64_t first, last;
    struct witness_event event;
};

struct witness_chain {
    struct event_base *base;
    struct aegis_dialer *dialer;
    struct witness_book *book;
    struct witness_chain_options options;
    uint64_t chain_id;
    struct event *timer;
    struct aegis_fetch *fetch; /* not NULL: a round is under way */

    uint64_t next_id;
    struct rpc_batch batch;
    void (*answered)(struct witness_chain *chain, const json_t *answers);
    unsigned requests; /* in this round */

    struct witness_block head;
    struct witness_walk walk;
    struct item items[BATCH_MAX / 2];
    size_t count;

    size_t batch_max;  /* calls; halved when the node refuses */
    uint64_t span;     /* blocks; likewise */
    unsigned failures; /* rounds in a row */
    bool complained;   /* once, until a round is clean again */
    bool clean;
};

static void ask_head(struct witness_chain *chain);
static void ask_states(struct witness_chain *chain);

/* Rounds. */

static void arm(struct witness_chain *chain, int64_t ms)
{
    struct timeval in = aegis_clock_interval(ms);

    AEGIS_ASSERT(evtimer_add(chain->timer, &in) == 0);
}

static void release_items(struct witness_chain *chain)
{
    while (chain->count > 0) {
        witness_payment_release(&chain->items[--chain->count].payment);
    }
}

/* One warning for a trouble that may last for hours; the node's address may hold a secret and is not
 * named. */
static void complain(struct witness_chain *chain, const char *what)
{
    chain->clean = false;
    if (!chain->complained) {
        aegis_log(AEGIS_LOG_WARNING, "%s: %s; payments stay open until there is proof",
                  chain->options.network, what);
        chain->complained = true;
    }
}

static void end_round(struct witness_chain *chain)
{
    release_items(chain);
    if (chain->clean && chain->complained) {
        aegis_log(AEGIS_LOG_INFO, "%s: the node answers as it should again", chain->options.network);
        chain->complained = false;
    }
    chain->failures = 0;
    if (witness_book_has(chain->book, chain->options.network)) {
        arm(chain, chain->options.poll_ms);
    }
}

static void fail_round(struct witness_chain *chain, const char *what)
{
    int64_t delay = chain->options.poll_ms;

    release_items(chain);
    complain(chain, what);
    chain->failures++;
    for (unsigned i = 0; i < chain->failures && delay < BACKOFF_MAX_MS; i++) {
        delay *= 2;
    }
    arm(chain, delay < BACKOFF_MAX_MS || chain->options.poll_ms > BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS);
}

static void begin_round(evutil_socket_t fd, short what, void *context)
{
    struct witness_chain *chain = context;

    (void)fd;
    (void)what;
    if (!witness_book_has(chain->book, chain->options.network)) {
        return;
    }
    chain->requests = 0;
    chain->clean = true;
    witness_walk_begin(chain->book, &chain->walk);
    ask_head(chain);
}

/* Requests. */

/* Nodes differ in how many calls they take in one batch, and in how they say that it was too many. */
static bool may_be_too_much(int status)
{
    return status == 200 || status == 400 || status == 413;
}

static void fetched(int status, const char *body, size_t size, const char *problem, void *context)
{
    struct witness_chain *chain = context;
    struct aegis_error error = {""};
    json_t *answers = NULL;

    chain->fetch = NULL;
    if (status == 0) {
        aegis_error_set(&error, "the node cannot be reached: %s", problem);
    } else if (status != 200) {
        aegis_error_set(&error, "the node answers with HTTP status %d", status);
    } else {
        answers = rpc_batch_read(&chain->batch, body, size, &error);
    }
    rpc_batch_end(&chain->batch);
    if (answers == NULL) {
        if (may_be_too_much(status)) {
            chain->batch_max = chain->batch_max > 4 ? chain->batch_max / 2 : 2;
        }
        fail_round(chain, error.text);
        return;
    }
    chain->answered(chain, answers);
    json_decref(answers);
}

static void send_batch(struct witness_chain *chain, void (*answered)(struct witness_chain *, const json_t *))
{
    char *body = rpc_batch_text(&chain->batch);
    struct aegis_fetch_request request = {.method = "POST",
                                          .url = chain->options.rpc,
                                          .content_type = "application/json",
                                          .body = body,
                                          .body_size = strlen(body),
                                          .answer_limit = ANSWER_MAX,
                                          .deadline_ms = DEADLINE_MS};

    chain->answered = answered;
    chain->requests++;
    chain->fetch = aegis_fetch(chain->base, chain->dialer, &request, fetched, chain);
    free(body);
}

static size_t call(struct witness_chain *chain, const char *method, json_t *params)
{
    return rpc_batch_add(&chain->batch, &chain->next_id, method, params);
}

static size_t call_block(struct witness_chain *chain, uint64_t number)
{
    return call(chain, "eth_getBlockByNumber", json_pack("[o, b]", rpc_quantity_json(number), 0));
}

/* Keeps the items for which `keep` is true, releases the others. */
static void keep_items(struct witness_chain *chain, const json_t *answers,
                       bool (*keep)(struct witness_chain *, struct item *, const json_t *))
{
    size_t kept = 0;

    for (size_t i = 0; i < chain->count; i++) {
        struct item *item = &chain->items[i];

        if (!item->payment->gone && keep(chain, item, answers)) {
            chain->items[kept++] = *item;
        } else {
            witness_payment_release(&item->payment);
        }
    }
    chain->count = kept;
}

static void prove(struct witness_chain *chain, const struct item *item, const char *kind,
                  const struct witness_block *block, const uint8_t *transaction)
{
    struct witness_proof proof = {.kind = kind, .block = *block, .transaction = transaction};

    chain->options.proven(item->payment, &proof, chain->options.context);
    witness_book_drop(chain->book, item->payment->id);
}

/* Receipts: of each event the receipt of its transaction and the block at its height. */

static bool receipt_answered(struct witness_chain *chain, struct item *item, const json_t *answers)
{
    const struct witness_authorization *authorization = &item->payment->authorization;
    struct aegis_error error = {""};
    struct witness_block block;
    const json_t *receipt = rpc_result(answers, item->call, &error);
    const json_t *header = rpc_result(answers, item->call + 1, &error);

    if (receipt == NULL || header == NULL || !witness_read_block(header, item->event.block, &block, &error) ||
        !witness_confirm(authorization, &item->event, receipt, &block, &error)) {
        complain(chain, error.text);
        return false;
    }
    prove(chain, item, item->event.cancelled ? "cancelled" : "transferred", &block, item->event.transaction);
    return false;
}

static void receipts_answered(struct witness_chain *chain, const json_t *answers)
{
    keep_items(chain, answers, receipt_answered);
    ask_states(chain);
}

static void ask_receipts(struct witness_chain *chain)
{
    rpc_batch_begin(&chain->batch, &chain->next_id);
    for (size_t i = 0; i < chain->count; i++) {
        struct item *item = &chain->items[i];

        item->call = call(chain, "eth_getTransactionReceipt",
                          json_pack("[o]", rpc_data_json(item->event.transaction, WITNESS_WORD)));
        call_block(chain, item->event.block);
    }
    send_batch(chain, receipts_answered);
}

/* Logs: which event took the nonce, searched for in steps from the head backwards to the reservation. */

static void search_further(struct witness_chain *chain, struct item *item, const json_t *answers)
{
    struct aegis_error error = {""};
    struct witness_block block;
    const json_t *header = rpc_result(answers, item->call + 1, &error);

    if (header == NULL || !witness_read_block(header, item->first, &block, &error)) {
        complain(chain, error.text);
        return;
    }
    if (item->first > 0 && block.time * 1000 >= item->payment->reserved_at - CLOCK_SLACK_MS) {
        item->payment->search_to = item->first - 1;
        return;
    }
    item->payment->search_to = 0;
    complain(chain, "a nonce is used up, but the node finds no event that says how");
}

/* Perhaps it was too many blocks: nodes differ in how many they search. Half of what was asked, also when
 * several items of one batch were refused. */
static void narrow_search(struct witness_chain *chain, uint64_t asked)
{
    uint64_t less = asked / 2 > SPAN_MIN ? asked / 2 : SPAN_MIN;

    if (less < chain->span) {
        chain->span = less;
    }
}

static bool log_answered(struct witness_chain *chain, struct item *item, const json_t *answers)
{
    struct aegis_error error = {""};
    const json_t *logs = rpc_result(answers, item->call, &error);
    bool found;

    if (logs == NULL) {
        narrow_search(chain, item->last - item->first + 1);
        complain(chain, error.text);
        return false;
    }
    if (!witness_read_logs(&item->payment->authorization, logs, item->first, item->last, &found, &item->event,
                           &error)) {
        complain(chain, error.text);
        return false;
    }
    if (!found) {
        search_further(chain, item, answers);
    }
    return found;
}

static void logs_answered(struct witness_chain *chain, const json_t *answers)
{
    keep_items(chain, answers, log_answered);
    if (chain->count > 0) {
        ask_receipts(chain);
    } else {
        ask_states(chain);
    }
}

static void ask_logs(struct witness_chain *chain)
{
    rpc_batch_begin(&chain->batch, &chain->next_id);
    for (size_t i = 0; i < chain->count; i++) {
        struct item *item = &chain->items[i];
        uint64_t from = item->payment->search_to;

        item->last = from > 0 && from < chain->head.number ? from : chain->head.number;
        item->first = item->last >= chain->span ? item->last - chain->span + 1 : 0;
        item->call = call(chain, "eth_getLogs",
                          witness_logs_call(&item->payment->authorization, item->first, item->last));
        call_block(chain, item->first);
    }
    send_batch(chain, logs_answered);
}

/* States: is the nonce gone? */

static bool state_answered(struct witness_chain *chain, struct item *item, const json_t *answers)
{
    const struct witness_authorization *authorization = &item->payment->authorization;
    struct aegis_error error = {""};
    const json_t *answer = rpc_result(answers, item->call, &error);
    enum witness_nonce nonce = answer != NULL ? witness_read_state(answer, &error) : WITNESS_NONCE_UNKNOWN;

    if (nonce == WITNESS_NONCE_UNKNOWN) {
        complain(chain, error.text);
    } else if (nonce == WITNESS_NONCE_UNUSED && witness_expired(authorization, &chain->head)) {
        prove(chain, item, "expired", &chain->head, NULL);
    }
    return nonce == WITNESS_NONCE_GONE;
}

static void states_answered(struct witness_chain *chain, const json_t *answers)
{
    keep_items(chain, answers, state_answered);
    if (chain->count > 0) {
        ask_logs(chain);
    } else {
        ask_states(chain);
    }
}

static void ask_states(struct witness_chain *chain)
{
    struct witness_payment *payment;

    /* Two calls a payment at most, in any of the requests. */
    while (chain->requests < REQUESTS_MAX && chain->count < chain->batch_max / 2 &&
           (payment = witness_walk_next(chain->book, &chain->walk, chain->options.network)) != NULL) {
        chain->items[chain->count++].payment = payment;
    }
    if (chain->count == 0) {
        end_round(chain);
        return;
    }
    rpc_batch_begin(&chain->batch, &chain->next_id);
    for (size_t i = 0; i < chain->count; i++) {
        struct item *item = &chain->items[i];

        item->call = call(chain, "eth_call", witness_state_call(&item->payment->authorization, &chain->head));
    }
    send_batch(chain, states_answered);
}

/* The block that is believed. */

static void block_answered(struct witness_chain *chain, const json_t *answers)
{
    struct aegis_error error = {""};
    const json_t *answer = rpc_result(answers, 0, &error);

    if (answer == NULL || !witness_read_block(answer, chain->head.number, &chain->head, &error)) {
        fail_round(chain, error.text);
        return;
    }
    ask_states(chain);
}

/* The chain must be the one that the network is called by: on any other one every nonce of ours is unused. */
static void head_answered(struct witness_chain *chain, const json_t *answers)
{
    struct aegis_error error = {"the node does not say which chain it is on"};
    const json_t *id = rpc_result(answers, 0, &error), *number = rpc_result(answers, 1, &error);
    uint64_t chain_id, newest;

    if (id == NULL || number == NULL || !rpc_quantity(id, &chain_id) || !rpc_quantity(number, &newest)) {
        fail_round(chain, error.text);
        return;
    }
    if (chain_id != chain->chain_id) {
        aegis_error_set(&error, "the node is on another chain, eip155:%" PRIu64, chain_id);
        fail_round(chain, error.text);
        return;
    }
    if (newest < chain->options.confirmations) {
        end_round(chain);
        return;
    }
    chain->head.number = newest - chain->options.confirmations;
    rpc_batch_begin(&chain->batch, &chain->next_id);
    call_block(chain, chain->head.number);
    send_batch(chain, block_answered);
}

static void ask_head(struct witness_chain *chain)
{
    rpc_batch_begin(&chain->batch, &chain->next_id);
    call(chain, "eth_chainId", json_array());
    call(chain, "eth_blockNumber", json_array());
    send_batch(chain, head_answered);
}

/* Life. */

struct witness_chain *witness_chain_new(struct event_base *base, struct aegis_dialer *dialer,
                                        struct witness_book *book,
                                        const struct witness_chain_options *options)
{
    struct witness_chain *chain = aegis_alloc(sizeof *chain);

    AEGIS_ASSERT(aegis_network_chain_id(options->network, &chain->chain_id));
    chain->base = base;
    chain->dialer = dialer;
    chain->book = book;
    chain->options = *options;
    chain->options.network = aegis_strdup(options->network);
    chain->options.rpc = aegis_strdup(options->rpc);
    chain->next_id = 1;
    chain->batch_max = BATCH_MAX;
    chain->span = SPAN_MAX;
    chain->timer = evtimer_new(base, begin_round, chain);
    AEGIS_ASSERT(chain->timer != NULL);
    return chain;
}

void witness_chain_free(struct witness_chain **chain)
{
    if (*chain == NULL) {
        return;
    }
    if ((*chain)->fetch != NULL) {
        aegis_fetch_cancel(&(*chain)->fetch);
        rpc_batch_end(&(*chain)->batch);
    }
    release_items(*chain);
    event_free((*chain)->timer);
    free((char *)(uintptr_t)(*chain)->options.network);
    free((char *)(uintptr_t)(*chain)->options.rpc);
    free(*chain);
    *chain = NULL;
}

const char *witness_chain_network(const struct witness_chain *chain)
{
    return chain->options.network;
}

void witness_chain_wake(struct witness_chain *chain)
{
    if (chain->fetch == NULL && !evtimer_pending(chain->timer, NULL)) {
        arm(chain, chain->options.poll_ms);
    }
}
