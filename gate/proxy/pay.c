/* From a 402 to a paid answer. The order of this file is the order of events. */
#include "gate/proxy/pay.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/amount.h"
#include "gate/base/hash.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/proxy/inflate.h"
#include "gate/proxy/outcome.h"
#include "gate/x402/challenge.h"

enum { CANDIDATES_MAX = 16, PAYMENT_TEXT = 129 };

/* What is known about one request's payment. It grows from top to bottom. */
struct aegis_purchase {
    /* the 402 */
    bool by_header; /* the challenge came in PAYMENT-REQUIRED; the body says nothing that matters */
    bool packed;    /* the body has a content coding that must be undone to look into it */
    bool read;      /* all of it */
    enum aegis_http_framing framing;
    uint64_t length;
    char *body; /* as much as has come, when the challenge may be in it */
    size_t size;
    struct aegis_challenge *challenge;
    struct aegis_requirement candidates[CANDIDATES_MAX]; /* as ranked: what the keeper is asked about */
    size_t count;

    /* the authorization */
    char payment[PAYMENT_TEXT]; /* the keeper's id; "": nothing was authorized */
    char recorded[16];          /* what the ledger said of it when it was handed out; "" */
    uint64_t keeper;            /* which keeper: the outcome is its business, not its successor's */
    const struct aegis_requirement *chosen;
    struct aegis_authorization authorization;

    /* what became of it */
    bool sent;
    bool reported;
    enum aegis_outcome_state state; /* once it was reported */
};

/* ---- A 402 that is passed on ---- */

/* `code` for the agent (NULL: it was no x402 and there is nothing to say), `why` for the log. */
static void pass_on_noted(const struct aegis_exchange *exchange, struct aegis_http_message *answer,
                          const char *code, const char *why)
{
    if (!code)
        return;
    aegis_log(AEGIS_LOG_INFO, "%s %s: a 402 is passed on unpaid: %s: %s", exchange->method,
              exchange->route.authority, code, why);
    aegis_exchange_note(answer, "Aegis-Problem", code);
}

/* The 402 that was being read goes to the agent with the body as it came. */
static void pass_on_read(struct aegis_exchange *exchange, const char *code, const char *why)
{
    struct aegis_purchase *purchase = exchange->purchase;
    struct aegis_http_message *answer = exchange->answer;
    exchange->answer = NULL;
    pass_on_noted(exchange, answer, code, why);
    enum aegis_http_framing framing = purchase->read ? AEGIS_HTTP_LENGTH : purchase->framing;
    uint64_t length = purchase->read ? purchase->size : purchase->length;
    aegis_exchange_relay_read(exchange, answer, framing, length, purchase->body, purchase->size,
                              purchase->read);
}

/* ---- The 402 ---- */

/* The challenge from either place. */
static enum aegis_challenge_result parse_challenge(struct aegis_exchange *exchange,
                                                   const struct aegis_http_field *header,
                                                   struct aegis_error *why)
{
    struct aegis_purchase *purchase = exchange->purchase;
    const struct aegis_settings *settings = exchange->settings;
    size_t size = purchase->size;
    char *unpacked = NULL;
    if (purchase->packed) {
        unpacked =
            aegis_inflate(purchase->body ? purchase->body : "", size, settings->challenge_body, &size, why);
        if (!unpacked)
            return AEGIS_CHALLENGE_MALFORMED;
    }
    const char *body = unpacked ? unpacked : purchase->body ? purchase->body : "";
    enum aegis_challenge_result result =
        aegis_challenge_parse(header ? header->value.at : NULL, header ? header->value.length : 0, body, size,
                              settings->assets, &purchase->challenge, why);
    free(unpacked);
    return result;
}

/* Reads the challenge and ranks what could be met. True when something could; else *code is NULL for what is
 * no x402, or the code under which it is passed on. */
static bool understand(struct aegis_exchange *exchange, const struct aegis_http_field *header,
                       const char **code, struct aegis_error *why)
{
    struct aegis_purchase *purchase = exchange->purchase;
    const struct aegis_settings *settings = exchange->settings;
    enum aegis_challenge_result result = parse_challenge(exchange, header, why);
    *code = NULL;
    if (result == AEGIS_CHALLENGE_NONE)
        return false;
    *code = "challenge_malformed";
    if (result != AEGIS_CHALLENGE_OK)
        return false;
    const struct aegis_requirement *ranked[CANDIDATES_MAX];
    purchase->count = aegis_challenge_rank(purchase->challenge, settings->preference, ranked, CANDIDATES_MAX);
    if (purchase->count > CANDIDATES_MAX)
        purchase->count = CANDIDATES_MAX;
    for (size_t i = 0; i < purchase->count; i++)
        purchase->candidates[i] = *ranked[i];
    *code = "no_acceptable_requirement";
    if (purchase->count == 0)
        return aegis_error_set(why, "%s", aegis_challenge_left_out(purchase->challenge));
    return true;
}

enum packing { PLAIN, PACKED, UNREADABLE };

static enum packing packing_of(const struct aegis_http_head *head)
{
    static const char *const known[] = {"gzip", "x-gzip", "deflate"};
    size_t count = 0;
    const struct aegis_http_field *field = aegis_http_find(head, "Content-Encoding", &count);
    if (count == 0 || (count == 1 && aegis_http_text_is(field->value, "identity")))
        return PLAIN;
    for (size_t i = 0; count == 1 && i < sizeof(known) / sizeof(*known); i++) {
        if (aegis_http_text_is(field->value, known[i]))
            return PACKED;
    }
    return UNREADABLE;
}

/* What keeps a 402 from being paid, as far as its head tells. False: read on. */
static bool cannot_be_paid(struct aegis_exchange *exchange, const struct aegis_http_head *head,
                           const char **code, struct aegis_error *why)
{
    size_t count = 0;
    const struct aegis_http_field *header = aegis_http_find(head, "PAYMENT-REQUIRED", &count);
    bool has_body = head->framing != AEGIS_HTTP_NO_BODY;
    *code = NULL;
    if (count == 0 && !has_body)
        return true;
    if (!exchange->body.kept) {
        *code = "request_body_not_kept";
        return !aegis_error_set(why, "the request's body was too large to be sent again");
    }
    if (!aegis_route_can_be_told(&exchange->route)) {
        *code = "url_too_long";
        return !aegis_error_set(why, "the URL is too long for the keeper's books");
    }
    if (count > 1) {
        *code = "challenge_ambiguous";
        return !aegis_error_set(why, "there is more than one PAYMENT-REQUIRED");
    }
    if (count == 0 && packing_of(head) == UNREADABLE) {
        *code = "challenge_encoded";
        return !aegis_error_set(why, "the body has a content coding that is not known here");
    }
    exchange->purchase->by_header = count == 1;
    exchange->purchase->packed = count == 0 && packing_of(head) == PACKED;
    return count == 1 && !understand(exchange, header, code, why);
}

static void purchase_free(struct aegis_purchase **pointer)
{
    struct aegis_purchase *purchase = *pointer;
    *pointer = NULL;
    if (!purchase)
        return;
    aegis_challenge_free(&purchase->challenge);
    free(purchase->body);
    free(purchase);
}

void aegis_pay_challenged(struct aegis_exchange *exchange, const struct aegis_http_head *head)
{
    const char *code = NULL;
    struct aegis_error why = {0};
    struct aegis_http_message *answer = aegis_exchange_answer_new(exchange, head);
    exchange->purchase = aegis_alloc(sizeof(*exchange->purchase));
    if (cannot_be_paid(exchange, head, &code, &why)) {
        purchase_free(&exchange->purchase);
        pass_on_noted(exchange, answer, code, why.text);
        aegis_exchange_relay(exchange, head, answer);
        return;
    }
    exchange->purchase->framing = head->has_length ? AEGIS_HTTP_LENGTH : head->framing;
    exchange->purchase->length = head->length;
    exchange->answer = answer;
    aegis_exchange_move(exchange, AEGIS_EXCHANGE_CHALLENGE);
}

static void keep(struct aegis_purchase *purchase, const char *data, size_t size)
{
    char *body = realloc(purchase->body, purchase->size + size);
    AEGIS_ASSERT(body);
    memcpy(body + purchase->size, data, size);
    purchase->body = body;
    purchase->size += size;
}

void aegis_pay_challenge_body(struct aegis_exchange *exchange, const char *data, size_t size)
{
    struct aegis_purchase *purchase = exchange->purchase;
    size_t room = exchange->settings->challenge_body - purchase->size;
    if (!purchase->by_header) {
        keep(purchase, data, size);
        if (size > room)
            pass_on_read(exchange, "challenge_too_large", "its body is above limits.challenge_body_bytes");
        return;
    }
    if (size <= room) {
        purchase->size += size; /* counted only: nothing in it matters */
        return;
    }
    /* Not worth reading to its end just to use the connection again. */
    aegis_upstream_close(&exchange->upstream);
    purchase->read = true;
    aegis_pay_proceed(exchange);
}

void aegis_pay_challenge_end(struct aegis_exchange *exchange)
{
    const char *code = NULL;
    struct aegis_error why = {0};
    exchange->purchase->read = true;
    if (exchange->purchase->by_header || understand(exchange, NULL, &code, &why))
        aegis_pay_proceed(exchange);
    else
        pass_on_read(exchange, code, why.text);
}

bool aegis_pay_has_read_challenge(const struct aegis_exchange *exchange)
{
    return exchange->state == AEGIS_EXCHANGE_CHALLENGE && exchange->purchase->read;
}

/* ---- The question to the keeper ---- */

static json_t *candidates_json(const struct aegis_purchase *purchase)
{
    json_t *array = json_array();
    for (size_t i = 0; i < purchase->count; i++) {
        const struct aegis_requirement *one = &purchase->candidates[i];
        char amount[AEGIS_AMOUNT_TEXT], asset[AEGIS_ADDRESS_TEXT], pay_to[AEGIS_ADDRESS_TEXT];
        json_array_append_new(array,
                              json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:I}", "index",
                                        (json_int_t)one->index, "network", one->network, "scheme", "exact",
                                        "asset", aegis_address_format(&one->asset->address, asset), "amount",
                                        aegis_amount_format(one->amount, amount), "pay_to",
                                        aegis_address_format(&one->pay_to, pay_to), "max_timeout_seconds",
                                        (json_int_t)one->max_timeout_seconds));
    }
    return array;
}

/* The same request again gives the same hash: method, the whole URL, the body. */
static void hash_request(const struct aegis_exchange *exchange, char out[AEGIS_HASH_HEX])
{
    char body[AEGIS_HASH_HEX];
    AEGIS_ASSERT(exchange->body.whole && exchange->body.kept && !exchange->body.dropped);
    aegis_sha256_hex(exchange->body.size ? exchange->body.bytes : "", exchange->body.size, body);
    char *url = aegis_route_url(&exchange->route, true);
    char *text = aegis_format("%s\n%s\n%s", exchange->method, url, body);
    aegis_sha256_hex(text, strlen(text), out);
    free(text);
    free(url);
}

static json_t *question(const struct aegis_exchange *exchange)
{
    char hash[AEGIS_HASH_HEX];
    hash_request(exchange, hash);
    char *url = aegis_route_url(&exchange->route, false);
    json_t *body = aegis_agent_credential_json(exchange->agent);
    json_object_set_new(body, "method", json_string(exchange->method));
    json_object_set_new(body, "url", json_string(url));
    json_object_set_new(body, "host", json_string(exchange->route.authority));
    json_object_set_new(body, "request_hash", json_string(hash));
    if (exchange->idempotency_key)
        json_object_set_new(body, "idempotency_key", json_string(exchange->idempotency_key));
    json_object_set_new(body, "x402_version",
                        json_integer(aegis_challenge_version(exchange->purchase->challenge)));
    json_object_set_new(body, "candidates", candidates_json(exchange->purchase));
    free(url);
    return body;
}

static void on_authorized(void *asker, const json_t *message, const char *code);

void aegis_pay_proceed(struct aegis_exchange *exchange)
{
    if (!exchange->purchase->read || !exchange->body.whole)
        return;
    aegis_exchange_move(exchange, AEGIS_EXCHANGE_AUTHORIZE);
    exchange->question = aegis_peers_ask(exchange->proxy->peers, AEGIS_PEER_KEEPER, &aegis_message_authorize,
                                         question(exchange), on_authorized, exchange);
    if (!exchange->question)
        aegis_exchange_refuse(exchange, "keeper_unavailable",
                              "The payment could not be asked for; nothing was paid.");
}

/* ---- The keeper's answer ---- */

static void report(struct aegis_exchange *exchange, const struct aegis_outcome *outcome, int status)
{
    struct aegis_purchase *purchase = exchange->purchase;
    const struct aegis_settlement *said = &outcome->settlement;
    AEGIS_ASSERT(purchase->payment[0] && !purchase->reported);
    purchase->reported = true;
    purchase->state = outcome->state;
    aegis_log(AEGIS_LOG_INFO, "%s %s: %s is %s, status %d%s%s", exchange->method, exchange->route.authority,
              purchase->payment, aegis_outcome_name(outcome->state), status, outcome->reason[0] ? ": " : "",
              outcome->reason);
    json_t *body = json_pack("{s:s, s:s, s:i}", "payment", purchase->payment, "state",
                             aegis_outcome_name(outcome->state), "status", status);
    AEGIS_ASSERT(body);
    const struct {
        const char *name;
        const char *value;
    } members[] = {{"reason", outcome->reason},
                   {"transaction", said->transaction},
                   {"payer", said->payer},
                   {"network", said->network},
                   {"amount", said->amount}};
    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
        if (members[i].value[0])
            json_object_set_new(body, members[i].name, json_string(members[i].value));
    }
    aegis_peers_outcome(exchange->proxy->peers, purchase->keeper, body);
}

void aegis_pay_lost(struct aegis_exchange *exchange, const char *reason)
{
    const struct aegis_purchase *purchase = exchange->purchase;
    if (!purchase || !purchase->payment[0] || purchase->reported)
        return;
    struct aegis_outcome outcome = {.state = AEGIS_OUTCOME_UNKNOWN};
    char *text = aegis_format("%s%s", purchase->sent ? "" : "never sent: ", reason);
    aegis_text_copy(outcome.reason, sizeof(outcome.reason), text);
    free(text);
    report(exchange, &outcome, 0);
}

static void denied(struct aegis_exchange *exchange, const json_t *message)
{
    const char *code = aegis_json_text(message, "code", "denied");
    struct aegis_problem problem = {
        .code = code,
        .detail = aegis_json_text(message, "detail", NULL),
        .status = aegis_problem_denied_status(aegis_json_text(message, "outcome", ""), code),
        .policy = aegis_json_text(message, "policy", NULL),
        .limit = aegis_json_text(message, "limit", NULL),
        .remaining = aegis_json_text(message, "remaining", NULL),
        .decision = aegis_json_text(message, "decision", NULL),
        .resets_at = aegis_json_integer(message, "resets_at", 0),
        .retry_after_ms = aegis_json_integer(message, "retry_after_ms", 0),
        .is_signed = aegis_json_boolean(message, "signed", false),
    };
    aegis_exchange_problem(exchange, &problem);
}

/* What was authorized must be what was asked for, member by member. */
static bool take_authorization(struct aegis_purchase *purchase, const json_t *message,
                               struct aegis_error *error)
{
    size_t index = (size_t)aegis_json_integer(message, "index", 0);
    for (size_t i = 0; i < purchase->count; i++) {
        if (purchase->candidates[i].index == index)
            purchase->chosen = &purchase->candidates[i];
    }
    if (!purchase->chosen)
        return aegis_error_set(error, "entry %zu was not among the candidates", index);
    if (!aegis_authorization_parse(json_object_get(message, "authorization"), &purchase->authorization,
                                   error))
        return false;
    if (purchase->authorization.value != purchase->chosen->amount)
        return aegis_error_set(error, "the authorization is for another amount");
    if (!aegis_address_equal(&purchase->authorization.to, &purchase->chosen->pay_to))
        return aegis_error_set(error, "the authorization is for another payee");
    return true;
}

/* Puts the payment into the request. */
static bool attach(struct aegis_exchange *exchange, const json_t *message, struct aegis_error *error)
{
    struct aegis_purchase *purchase = exchange->purchase;
    if (!take_authorization(purchase, message, error))
        return false;
    const char *name = NULL;
    char *value =
        aegis_challenge_answer(purchase->challenge, purchase->chosen->index, &purchase->authorization,
                               aegis_json_text(message, "signature", ""), purchase->payment, &name, error);
    if (!value)
        return false;
    aegis_http_message_add(exchange->request, name, value);
    free(value);
    return true;
}

static void authorized(struct aegis_exchange *exchange, const json_t *message)
{
    struct aegis_error error = {0};
    exchange->purchase->keeper = aegis_peers_keeper(exchange->proxy->peers);
    aegis_text_copy(exchange->purchase->payment, sizeof(exchange->purchase->payment),
                    aegis_json_text(message, "payment", ""));
    aegis_text_copy(exchange->purchase->recorded, sizeof(exchange->purchase->recorded),
                    aegis_json_text(message, "state", ""));
    if (!attach(exchange, message, &error)) {
        aegis_log(AEGIS_LOG_ERROR, "%s: %s", exchange->purchase->payment, error.text);
        aegis_pay_lost(exchange, error.text);
        aegis_exchange_refuse(
            exchange, "payment_unusable",
            "The payment was authorized but could not be put into a request; it was not sent.");
        return;
    }
    /* Over the connection by which the 402 came, or over a new one. One that waited in the pool could turn
     * out to be dead, and a paid request is never sent twice. */
    if (exchange->upstream && aegis_http_connection_reusable(exchange->upstream->connection))
        aegis_exchange_send(exchange);
    else
        aegis_exchange_connect_fresh(exchange);
}

static void on_authorized(void *asker, const json_t *message, const char *code)
{
    struct aegis_exchange *exchange = asker;
    exchange->question = NULL;
    if (!message)
        aegis_exchange_refuse(exchange, code, "The payment was not authorized; nothing was sent.");
    else if (!strcmp(aegis_json_text(message, "type", ""), "authorized"))
        authorized(exchange, message);
    else
        denied(exchange, message);
}

/* ---- The paid request ---- */

void aegis_pay_sending(struct aegis_exchange *exchange)
{
    struct aegis_purchase *purchase = exchange->purchase;
    AEGIS_ASSERT(purchase && purchase->payment[0] && !purchase->sent && !purchase->reported);
    purchase->sent = true;
}

void aegis_pay_answered(struct aegis_exchange *exchange, const struct aegis_http_head *head)
{
    struct aegis_purchase *purchase = exchange->purchase;
    struct aegis_outcome outcome;
    AEGIS_ASSERT(purchase->sent);
    aegis_outcome_read(head, aegis_challenge_version(purchase->challenge), purchase->chosen,
                       &purchase->authorization, &outcome);
    report(exchange, &outcome, head->status);
    struct aegis_http_message *answer = aegis_exchange_answer_new(exchange, head);
    aegis_pay_mark(exchange, answer);
    aegis_exchange_relay(exchange, head, answer);
}

/* ---- The end ---- */

void aegis_pay_mark(const struct aegis_exchange *exchange, struct aegis_http_message *answer)
{
    const struct aegis_purchase *purchase = exchange->purchase;
    if (!purchase || !purchase->payment[0])
        return;
    enum aegis_outcome_state state = purchase->reported ? purchase->state : AEGIS_OUTCOME_UNKNOWN;
    char *value = aegis_format("%s; state=%s", purchase->payment,
                               aegis_outcome_name(aegis_outcome_told(state, purchase->recorded)));
    aegis_exchange_note(answer, "Aegis-Payment", value);
    free(value);
}

void aegis_pay_describe(const struct aegis_exchange *exchange, struct aegis_problem *problem)
{
    const struct aegis_purchase *purchase = exchange->purchase;
    if (!purchase || !purchase->payment[0])
        return;
    problem->payment = purchase->payment;
    problem->is_signed = true;
}

void aegis_pay_end(struct aegis_exchange *exchange, const char *reason)
{
    aegis_pay_lost(exchange, reason);
    purchase_free(&exchange->purchase);
}
