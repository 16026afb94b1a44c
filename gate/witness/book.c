#include "gate/witness/book.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/witness/rpc.h"

struct witness_book {
    struct witness_payment **payments;
    size_t count, room;
};

struct witness_book *witness_book_new(void)
{
    return aegis_alloc(sizeof(struct witness_book));
}

void witness_book_free(struct witness_book **book)
{
    if (*book != NULL) {
        witness_book_drop_all(*book);
        free((*book)->payments);
        free(*book);
        *book = NULL;
    }
}

void witness_payment_release(struct witness_payment **payment)
{
    AEGIS_ASSERT((*payment)->references > 0);
    if (--(*payment)->references == 0) {
        free((*payment)->id);
        free(*payment);
    }
    *payment = NULL;
}

static void remove_at(struct witness_book *book, size_t at)
{
    struct witness_payment *payment = book->payments[at];

    book->payments[at] = book->payments[--book->count];
    payment->gone = true;
    witness_payment_release(&payment);
}

void witness_book_drop(struct witness_book *book, const char *id)
{
    for (size_t i = 0; i < book->count; i++) {
        if (strcmp(book->payments[i]->id, id) == 0) {
            remove_at(book, i);
            return;
        }
    }
}

void witness_book_drop_all(struct witness_book *book)
{
    while (book->count > 0) {
        remove_at(book, book->count - 1);
    }
}

bool witness_book_has(const struct witness_book *book, const char *network)
{
    for (size_t i = 0; i < book->count; i++) {
        if (strcmp(book->payments[i]->network, network) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_address(const json_t *watch, const char *name, struct aegis_address *out,
                         struct aegis_error *error)
{
    return aegis_address_parse(aegis_json_text(watch, name, ""), out) ||
           aegis_error_set(error, "%s: expected an address", name);
}

static bool read_authorization(const json_t *watch, struct witness_authorization *out,
                               struct aegis_error *error)
{
    if (!read_address(watch, "asset", &out->asset, error) ||
        !read_address(watch, "from", &out->from, error) || !read_address(watch, "to", &out->to, error)) {
        return false;
    }
    if (!rpc_data(json_object_get(watch, "nonce"), out->nonce, sizeof out->nonce)) {
        return aegis_error_set(error, "nonce: expected 0x and 64 hex digits");
    }
    out->valid_before = aegis_json_integer(watch, "valid_before", 0);
    return aegis_amount_parse(aegis_json_text(watch, "value", ""), &out->value) ||
           aegis_error_set(error, "value: expected an amount");
}

static void append(struct witness_book *book, struct witness_payment *payment)
{
    if (book->count == book->room) {
        book->room = book->room * 2 + 64;
        book->payments = reallocarray(book->payments, book->room, sizeof(struct witness_payment *));
        if (book->payments == NULL) {
            aegis_panic("out of memory: %zu payments", book->room);
        }
    }
    book->payments[book->count++] = payment;
}

const struct witness_payment *witness_book_put(struct witness_book *book, const json_t *watch,
                                               struct aegis_error *error)
{
    const char *id = aegis_json_text(watch, "payment", ""), *network = aegis_json_text(watch, "network", "");
    struct witness_payment *payment = aegis_alloc(sizeof *payment);

    payment->references = 1;
    payment->id = aegis_strdup(id);
    payment->reserved_at = aegis_json_integer(watch, "reserved_at", 0);
    if (!aegis_text_copy(payment->network, sizeof payment->network, network)) {
        aegis_error_set(error, "network: too long");
        witness_payment_release(&payment);
        return NULL;
    }
    if (!read_authorization(watch, &payment->authorization, error)) {
        witness_payment_release(&payment);
        return NULL;
    }
    witness_book_drop(book, id);
    append(book, payment);
    return payment;
}

void witness_walk_begin(const struct witness_book *book, struct witness_walk *walk)
{
    walk->left = book->count;
}

struct witness_payment *witness_walk_next(struct witness_book *book, struct witness_walk *walk,
                                          const char *network)
{
    for (; walk->left > 0 && book->count > 0; walk->left--) {
        struct witness_payment *payment = book->payments[walk->at++ % book->count];

        walk->at %= book->count;
        if (strcmp(payment->network, network) == 0) {
            walk->left--;
            payment->references++;
            return payment;
        }
    }
    return NULL;
}
