/* What a seller reports after a payment. It is believed only when it says that it took the money. */
#include <stdlib.h>
#include <string.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/x402/challenge_internal.h"

/* Letters and digits, as in the hashes and signatures of every chain; anything else is left out. */
static void read_transaction(const json_t *object, struct aegis_settlement *out)
{
    const char *text = aegis_json_text(object, "transaction", "");

    if (strlen(text) < sizeof out->transaction &&
        strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == strlen(text)) {
        aegis_text_copy(out->transaction, sizeof out->transaction, text);
    }
}

static void read_network(const json_t *object, struct aegis_settlement *out)
{
    const char *text = aegis_json_text(object, "network", ""), *known = aegis_network_from_v1(text);
    uint64_t chain_id;

    if (known != NULL) {
        aegis_text_copy(out->network, sizeof out->network, known);
    } else if (aegis_network_chain_id(text, &chain_id)) {
        aegis_text_copy(out->network, sizeof out->network, text);
    }
}

static void read_payer(const json_t *object, struct aegis_settlement *out)
{
    struct aegis_address payer;

    if (aegis_address_parse(aegis_json_text(object, "payer", ""), &payer)) {
        aegis_address_format(&payer, out->payer);
    }
}

static void read_amount(const json_t *object, struct aegis_settlement *out)
{
    aegis_amount amount;

    if (aegis_amount_parse(aegis_json_text(object, "amount", ""), &amount)) {
        aegis_amount_format(amount, out->amount);
    }
}

/* For the ledger and the log only: one line of printable ASCII. Facilitators put whole stack traces here. */
static void read_reason(const json_t *object, struct aegis_settlement *out)
{
    const char *text = aegis_json_text(object, "errorReason", "");
    size_t used = 0;

    for (; *text != '\0' && used < sizeof out->reason - 1; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= 0x20 && c < 0x7f) {
            out->reason[used++] = (char)c;
        } else if (used > 0 && out->reason[used - 1] != ' ') {
            out->reason[used++] = ' ';
        }
    }
    out->reason[used] = '\0';
}

bool aegis_settlement_parse(const char *header, size_t length, struct aegis_settlement *out,
                            struct aegis_error *error)
{
    unsigned char *bytes;
    json_t *object;
    size_t size;
    bool ok;

    memset(out, 0, sizeof *out);
    if (length > AEGIS_CHALLENGE_HEADER_MAX) {
        return aegis_error_set(error, "the settlement header is too long");
    }
    bytes = aegis_base64_decode(header, length, &size);
    if (bytes == NULL) {
        return aegis_error_set(error, "the settlement header is not base64");
    }
    object = challenge_json((const char *)bytes, size, error);
    free(bytes);
    if (object == NULL) {
        return aegis_error_prefix(error, "the settlement header");
    }
    ok = json_is_boolean(json_object_get(object, "success")) ||
         aegis_error_set(error, "the settlement header does not say success: true or false");
    if (ok) {
        out->success = aegis_json_boolean(object, "success", false);
        read_transaction(object, out);
        read_network(object, out);
        read_payer(object, out);
        read_amount(object, out);
        read_reason(object, out);
    }
    json_decref(object);
    return ok;
}
