#include <string.h>

#include "gate/base/log.h"
#include "gate/ledger/books.h"

#define BIT(state) (1u << AEGIS_PAYMENT_##state)

static const char *const state_names[AEGIS_PAYMENT_STATES] = {
    [AEGIS_PAYMENT_RESERVED] = "reserved",   [AEGIS_PAYMENT_SIGNED] = "signed",
    [AEGIS_PAYMENT_EXTERNAL] = "external",   [AEGIS_PAYMENT_DELIVERED] = "delivered",
    [AEGIS_PAYMENT_REFUSED] = "refused",     [AEGIS_PAYMENT_UNKNOWN] = "unknown",
    [AEGIS_PAYMENT_SETTLED] = "settled",     [AEGIS_PAYMENT_EXPIRED] = "expired",
    [AEGIS_PAYMENT_CANCELLED] = "cancelled",
};

/* Which states an entry may find. Settled, expired and cancelled are ends: nothing leads out of them. What a
 * seller says moves a payment only while its answer is awaited (signed, or handed out again after refused or
 * unknown; a delivered one can still turn out settled); a proof moves whatever is exposed. */
#define AWAITED (BIT(SIGNED) | BIT(REFUSED) | BIT(UNKNOWN))
#define EXPOSED (BIT(RESERVED) | BIT(SIGNED) | BIT(EXTERNAL) | BIT(DELIVERED) | BIT(REFUSED) | BIT(UNKNOWN))

static const struct {
    enum aegis_entry_kind kind;
    unsigned from;
    enum aegis_payment_state to;
} transitions[] = {
    {AEGIS_ENTRY_SIGNED, BIT(RESERVED), AEGIS_PAYMENT_SIGNED},
    {AEGIS_ENTRY_SETTLED, EXPOSED & ~BIT(RESERVED), AEGIS_PAYMENT_SETTLED},
    {AEGIS_ENTRY_DELIVERED, AWAITED, AEGIS_PAYMENT_DELIVERED},
    {AEGIS_ENTRY_REFUSED, AWAITED, AEGIS_PAYMENT_REFUSED},
    {AEGIS_ENTRY_UNKNOWN, AWAITED | BIT(RESERVED), AEGIS_PAYMENT_UNKNOWN},
    {AEGIS_ENTRY_EXPIRED, EXPOSED, AEGIS_PAYMENT_EXPIRED},
    {AEGIS_ENTRY_CANCELLED, EXPOSED, AEGIS_PAYMENT_CANCELLED},
};

const char *aegis_payment_state_name(enum aegis_payment_state state)
{
    AEGIS_ASSERT(state < AEGIS_PAYMENT_STATES);
    return state_names[state];
}

bool aegis_payment_state_parse(const char *name, enum aegis_payment_state *out)
{
    for (int state = 0; state < AEGIS_PAYMENT_STATES; state++) {
        if (strcmp(state_names[state], name) == 0) {
            *out = (enum aegis_payment_state)state;
            return true;
        }
    }
    return false;
}

bool aegis_payment_state_exposed(enum aegis_payment_state state)
{
    return (EXPOSED & (1u << state)) != 0;
}

bool aegis_payment_state_counts(enum aegis_payment_state state)
{
    return state == AEGIS_PAYMENT_SETTLED || aegis_payment_state_exposed(state);
}

bool aegis_payment_state_next(enum aegis_payment_state from, enum aegis_entry_kind kind,
                              enum aegis_payment_state *to)
{
    if (kind == AEGIS_ENTRY_REPEATED) {
        *to = from;
        return from != AEGIS_PAYMENT_EXPIRED && from != AEGIS_PAYMENT_CANCELLED &&
               from != AEGIS_PAYMENT_EXTERNAL && from != AEGIS_PAYMENT_RESERVED;
    }
    for (size_t i = 0; i < sizeof transitions / sizeof transitions[0]; i++) {
        if (transitions[i].kind == kind) {
            *to = transitions[i].to;
            return (transitions[i].from & (1u << from)) != 0;
        }
    }
    return false;
}
