/* Taking a ledger elsewhere: payments as comma-separated values, entries as JSON lines. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/clock.h"
#include "gate/base/text.h"
#include "gate/ledger/private.h"

/* RFC 4180: quoted when it holds a comma, a quote or a line end. A text that a spreadsheet would run as a
 * formula gets an apostrophe in front: urls are chosen by strangers. */
static void csv_field(FILE *out, const char *text, char separator)
{
    bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    if (quoted)
        fputc('"', out);
    if (*text != '\0' && strchr("=+-@\t", *text) != NULL)
        fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    if (quoted)
        fputc('"', out);
    if (separator == '\n')
        fputc('\r', out);
    fputc(separator, out);
}

static const char csv_columns[] = "payment,agent,state,at,changed,method,url,host,network,asset,token,amount,"
                                  "value,payer,pay_to,nonce,valid_before,"
                                  "transaction,status,idempotency_key\r\n";

static bool csv_row(const struct aegis_payment_row *row, void *context)
{
    FILE *out = context;
    char at[AEGIS_TIME_TEXT], changed[AEGIS_TIME_TEXT], amount[AEGIS_AMOUNT_TEXT],
        value[AEGIS_AMOUNT_DECIMAL_TEXT];
    char valid_before[AEGIS_TIME_TEXT], status[16];
    snprintf(status, sizeof status, "%d", row->status);
    const char *fields[] = {
        row->id,
        row->agent,
        aegis_payment_state_name(row->state),
        aegis_time_format(row->at, at),
        aegis_time_format(row->changed, changed),
        row->method,
        row->url,
        row->host,
        row->network,
        row->asset,
        row->token,
        aegis_amount_format(row->amount, amount),
        aegis_amount_format_decimal(row->amount, row->decimals, value),
        row->payer,
        row->pay_to,
        row->nonce,
        aegis_time_format(row->valid_before * 1000, valid_before),
        row->transaction,
        status,
        row->idempotency_key,
    };
    size_t count = sizeof fields / sizeof fields[0];
    for (size_t i = 0; i < count; i++)
        csv_field(out, fields[i], i + 1 == count ? '\n' : ',');
    return !ferror(out);
}

static bool finish(FILE *out, bool ok, struct aegis_error *error)
{
    if (ok && (fflush(out) != 0 || ferror(out)))
        return aegis_error_set(error, "cannot write the export: %s", strerror(errno));
    return ok;
}

bool aegis_reader_export_csv(struct aegis_reader *reader, const struct aegis_payment_filter *filter,
                             FILE *out, struct aegis_error *error)
{
    fputs(csv_columns, out);
    return finish(out, aegis_books_payments(reader->store, filter, csv_row, out, error), error);
}

/* The columns as they are and the body in place: a line is the object whose hash it carries, plus that
 * hash. */
static bool line_row(const struct aegis_entry *entry, void *context)
{
    FILE *out = context;
    json_t *object = aegis_entry_json(entry);
    char *text = object == NULL ? NULL : aegis_json_canonical(object, NULL);
    if (text != NULL)
        fprintf(out, "%s\n", text);
    json_decref(object);
    free(text);
    return text != NULL && !ferror(out);
}

struct lines {
    FILE *out;
    int64_t broken;
};

static bool checked_line(const struct aegis_entry *entry, void *context)
{
    struct lines *lines = context;
    if (line_row(entry, lines->out))
        return true;
    lines->broken = entry->seq;
    return false;
}

bool aegis_reader_export_lines(struct aegis_reader *reader, int64_t after, FILE *out,
                               struct aegis_error *error)
{
    struct lines lines = {.out = out};
    bool ok = aegis_reader_follow(reader, after, 0, checked_line, &lines, error);
    if (ok && lines.broken != 0 && !ferror(out))
        return aegis_error_set(error, "entry %lld: its body cannot be read", (long long)lines.broken);
    return finish(out, ok, error);
}
