/* What answers to a paid request say about the payment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/text.h"
#include "gate/proxy/outcome.h"

#define FROM  "0x857b06519E91e3A54538791bDbb0E22373e36b66"
#define OTHER "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
#define HASH  "0x1111111111111111111111111111111111111111111111111111111111111111"

struct row {
    const char *what;
    int version;
    int status;
    const char *first;  /* JSON for PAYMENT-RESPONSE, "-" for a value that is no base64, or NULL */
    const char *second; /* for X-PAYMENT-RESPONSE */
    bool twice;         /* the first comes twice */
    enum aegis_outcome_state state;
    const char *reason; /* contained in it, or NULL */
};

#define SUCCESS                                                                                              \
    "{\"success\":true,\"transaction\":\"" HASH "\",\"network\":\"eip155:84532\",\"payer\":\"" FROM "\"}"

static const struct row rows[] = {
    {"success", 2, 200, SUCCESS, NULL, false, AEGIS_OUTCOME_SETTLED, NULL},
    {"success in the other version's name", 2, 200, NULL, SUCCESS, false, AEGIS_OUTCOME_SETTLED, NULL},
    {"version 1", 1, 200, NULL,
     "{\"success\":true,\"transaction\":\"" HASH "\",\"network\":\"base-sepolia\",\"payer\":\"" FROM "\"}",
     false, AEGIS_OUTCOME_SETTLED, NULL},
    {"success and a redirect", 2, 302, SUCCESS, NULL, false, AEGIS_OUTCOME_SETTLED, NULL},
    {"success and an error of the handler", 2, 500, SUCCESS, NULL, false, AEGIS_OUTCOME_SETTLED, NULL},
    {"success with another spelling of the payer", 2, 200,
     "{\"success\":true,\"transaction\":\"" HASH
     "\",\"network\":\"eip155:84532\",\"payer\":\"0x857b06519e91e3a54538791bdbb0e22373e36b66\"}",
     NULL, false, AEGIS_OUTCOME_SETTLED, NULL},
    {"another network", 2, 200,
     "{\"success\":true,\"transaction\":\"" HASH "\",\"network\":\"eip155:8453\",\"payer\":\"" FROM "\"}",
     NULL, false, AEGIS_OUTCOME_UNKNOWN, "another network"},
    {"another payer", 2, 200,
     "{\"success\":true,\"transaction\":\"" HASH "\",\"network\":\"eip155:84532\",\"payer\":\"" OTHER "\"}",
     NULL, false, AEGIS_OUTCOME_UNKNOWN, "another payer"},
    {"another amount", 2, 200,
     "{\"success\":true,\"transaction\":\"" HASH "\",\"network\":\"eip155:84532\",\"payer\":\"" FROM
     "\",\"amount\":\"10001\"}",
     NULL, false, AEGIS_OUTCOME_UNKNOWN, "another amount"},
    {"the same amount", 2, 200,
     "{\"success\":true,\"transaction\":\"" HASH "\",\"network\":\"eip155:84532\",\"payer\":\"" FROM
     "\",\"amount\":\"10000\"}",
     NULL, false, AEGIS_OUTCOME_SETTLED, NULL},
    {"success and 402", 2, 402, SUCCESS, NULL, false, AEGIS_OUTCOME_UNKNOWN, "asks for money again"},
    {"failure", 2, 402,
     "{\"success\":false,\"errorReason\":\"insufficient_funds\",\"transaction\":\"\",\"network\":\"eip155:"
     "84532\"}",
     NULL, false, AEGIS_OUTCOME_REFUSED, "insufficient_funds"},
    {"pending", 2, 402,
     "{\"success\":false,\"errorReason\":\"settlement_pending\",\"transaction\":\"" HASH
     "\",\"network\":\"eip155:84532\"}",
     NULL, false, AEGIS_OUTCOME_UNKNOWN, "settlement_pending"},
    {"a plain 402", 2, 402, NULL, NULL, false, AEGIS_OUTCOME_REFUSED, NULL},
    {"a plain 200", 2, 200, NULL, NULL, false, AEGIS_OUTCOME_DELIVERED, NULL},
    {"a plain 204", 1, 204, NULL, NULL, false, AEGIS_OUTCOME_DELIVERED, NULL},
    {"a plain 302", 2, 302, NULL, NULL, false, AEGIS_OUTCOME_UNKNOWN, NULL},
    {"a plain 404", 2, 404, NULL, NULL, false, AEGIS_OUTCOME_UNKNOWN, NULL},
    {"a plain 502", 2, 502, NULL, NULL, false, AEGIS_OUTCOME_UNKNOWN, NULL},
    {"twice", 2, 200, SUCCESS, NULL, true, AEGIS_OUTCOME_DELIVERED, "more than once"},
    {"rubbish", 2, 200, "-", NULL, false, AEGIS_OUTCOME_DELIVERED, "cannot be read"},
    {"rubbish and 402", 2, 402, "-", NULL, false, AEGIS_OUTCOME_REFUSED, "cannot be read"},
    {"rubbish and 500", 2, 500, "-", NULL, false, AEGIS_OUTCOME_UNKNOWN, "cannot be read"},
    {"success is no boolean", 2, 200, "{\"success\":\"true\",\"transaction\":\"" HASH "\"}", NULL, false,
     AEGIS_OUTCOME_DELIVERED, "cannot be read"},
};

static char *add(struct aegis_http_head *head, const char *name, const char *json)
{
    if (!json)
        return NULL;
    char *value = !strcmp(json, "-") ? aegis_strdup("!!") : aegis_base64_encode(json, strlen(json));
    head->fields[head->field_count++] =
        (struct aegis_http_field){{name, strlen(name)}, {value, strlen(value)}};
    return value;
}

static void outcomes_are_read_as_the_table_says(void **state)
{
    (void)state;
    struct aegis_requirement requirement = {.network = "eip155:84532", .amount = 10000};
    struct aegis_authorization authorization = {.value = 10000};
    assert_true(aegis_address_parse(FROM, &authorization.from));
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct row *row = &rows[i];
        struct aegis_http_head head = {.status = row->status};
        struct aegis_outcome outcome;
        char *values[] = {add(&head, "Payment-Response", row->first),
                          row->twice ? add(&head, "PAYMENT-RESPONSE", row->first) : NULL,
                          add(&head, "X-Payment-Response", row->second)};
        aegis_outcome_read(&head, row->version, &requirement, &authorization, &outcome);
        if (outcome.state != row->state || (row->reason && !strstr(outcome.reason, row->reason)))
            fail_msg("%s: %s (%s)", row->what, aegis_outcome_name(outcome.state), outcome.reason);
        for (size_t v = 0; v < 3; v++)
            free(values[v]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes_are_read_as_the_table_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
