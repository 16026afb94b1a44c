#include "gate/courier/notification.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/amount.h"
#include "gate/base/clock.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

#define TITLE_LIMIT   160
#define MESSAGE_LIMIT 1024

/* What a message says; the rest is the same for all. */
struct saying {
    const char *severity;
    char *title;
    char *message;
    json_t *metadata;
};

char *aegis_notification_id(const struct aegis_entry *entry, char out[AEGIS_NOTIFICATION_ID])
{
    strcpy(out, "msg_");
    aegis_hex_encode(entry->hash, 16, out + 4);
    return out;
}

/* Cuts to `limit` bytes at a character's end and puts a space for every control character. */
static json_t *clean_text(const char *text, size_t limit)
{
    char *copy = aegis_strdup(text);
    size_t length = strlen(copy);
    if (length > limit) {
        length = limit;
        while (length > 0 && ((unsigned char)copy[length] & 0xc0) == 0x80)
            length--;
        copy[length] = '\0';
    }
    for (unsigned char *c = (unsigned char *)copy; *c != '\0'; c++) {
        if (*c < 0x20 || *c == 0x7f)
            *c = ' ';
        if (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
            c[0] = c[1] = ' ';
    }
    json_t *value = json_string(copy);
    free(copy);
    return value != NULL ? value : json_string("");
}

static void put_text(json_t *object, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_object_set_new(object, name, clean_text(text, MESSAGE_LIMIT));
}

static void put_time(json_t *object, const char *name, const json_t *value)
{
    char text[AEGIS_TIME_TEXT];
    if (json_is_integer(value) && json_integer_value(value) > 0)
        json_object_set_new(object, name, json_string(aegis_time_format(json_integer_value(value), text)));
}

/* "0.05 USDC", or "a payment" when the subject does not say. The caller frees. */
static char *amount_of(const json_t *subject)
{
    aegis_amount amount;
    char text[AEGIS_AMOUNT_DECIMAL_TEXT];
    int64_t decimals = aegis_json_integer(subject, "decimals", -1);
    if (decimals < 0 || decimals > 38 || !aegis_amount_parse(aegis_json_text(subject, "amount", ""), &amount))
        return aegis_strdup("a payment");
    return aegis_format("%s %s", aegis_amount_format_decimal(amount, (unsigned)decimals, text),
                        aegis_json_text(subject, "token", ""));
}

static json_t *decision_metadata(const struct aegis_entry *entry, const json_t *body, const char *agent_name)
{
    static const char *const of_subject[] = {"host", "network", "token"};
    const json_t *subject = json_object_get(body, "subject");
    json_t *metadata = json_pack("{s:s, s:s}", "kind", "policy_block", "decision", entry->payment);
    char *amount = amount_of(subject);
    put_text(metadata, "agent", entry->agent);
    put_text(metadata, "agentName", agent_name);
    put_text(metadata, "verdict", aegis_json_text(body, "verdict", NULL));
    put_text(metadata, "outcome", aegis_json_text(body, "outcome", NULL));
    put_text(metadata, "policy", aegis_json_text(body, "policy", NULL));
    put_text(metadata, "code", aegis_json_text(body, "code", NULL));
    put_text(metadata, "reason", aegis_json_text(body, "detail", NULL));
    for (size_t i = 0; i < sizeof of_subject / sizeof of_subject[0]; i++)
        put_text(metadata, of_subject[i], aegis_json_text(subject, of_subject[i], NULL));
    put_text(metadata, "payTo", aegis_json_text(subject, "pay_to", NULL));
    put_text(metadata, "amount", amount);
    put_text(metadata, "limit", aegis_json_text(body, "limit", NULL));
    put_text(metadata, "remaining", aegis_json_text(body, "remaining", NULL));
    put_time(metadata, "resetsAt", json_object_get(body, "resets_at"));
    free(amount);
    return metadata;
}

/* Failures are ours to mend, so they weigh more than a policy that did its work. */
static const char *what_happened(const char *verdict, const char *outcome, const char **severity)
{
    *severity = "warning";
    if (strcmp(verdict, "hold") == 0)
        return "A payment needs approval";
    if (strcmp(verdict, "deny") == 0 && strcmp(outcome, "unrecorded") != 0 && strcmp(outcome, "failed") != 0)
        return "A payment was blocked";
    *severity = "critical";
    return "A payment could not be judged";
}

static bool say_decision(const struct aegis_entry *entry, const json_t *body,
                         const struct aegis_notification_context *context, struct saying *out)
{
    const char *verdict = aegis_json_text(body, "verdict", "error");
    const char *outcome = aegis_json_text(body, "outcome", "failed");
    const char *policy = aegis_json_text(body, "policy", "");
    const char *detail = aegis_json_text(body, "detail", "");
    const json_t *subject = json_object_get(body, "subject");
    if (strcmp(verdict, "allow") == 0 && strcmp(outcome, "allowed") == 0)
        return false;
    const char *agent_name = context->agent_name(entry->agent, context->context);
    char *amount = amount_of(subject);
    const char *title = what_happened(verdict, outcome, &out->severity);
    out->title = policy[0] != '\0' ? aegis_format("%s by policy %s", title, policy) : aegis_strdup(title);
    out->message = aegis_format(
        "%s wanted to pay %s to %s on %s: %s%s%s", agent_name[0] != '\0' ? agent_name : "An agent", amount,
        aegis_json_text(subject, "host", "an unknown host"),
        aegis_json_text(subject, "network", "an unknown network"), aegis_json_text(body, "code", "refused"),
        detail[0] != '\0' ? ". " : "", detail);
    out->metadata = decision_metadata(entry, body, agent_name);
    free(amount);
    return true;
}

static bool is_severity(const char *text)
{
    return strcmp(text, "info") == 0 || strcmp(text, "warning") == 0 || strcmp(text, "critical") == 0;
}

static bool say_notice(const struct aegis_entry *entry, const json_t *body,
                       const struct aegis_notification_context *context, struct saying *out)
{
    json_t *metadata = json_object_get(body, "metadata");
    const char *agent_name = context->agent_name(entry->agent, context->context);
    const char *severity = aegis_json_text(body, "severity", "");
    out->severity = is_severity(severity) ? severity : "info";
    out->title = aegis_strdup(aegis_json_text(body, "title", ""));
    out->message = aegis_strdup(aegis_json_text(body, "message", ""));
    out->metadata = json_is_object(metadata) ? json_deep_copy(metadata) : json_object();
    put_text(out->metadata, "kind", aegis_json_text(body, "kind", NULL));
    put_text(out->metadata, "policy", aegis_json_text(body, "policy", NULL));
    put_text(out->metadata, "agent", entry->agent);
    put_text(out->metadata, "agentName", agent_name);
    return true;
}

static bool say_revoked(const struct aegis_entry *entry, const json_t *body,
                        const struct aegis_notification_context *context, struct saying *out)
{
    const char *agent_name = context->agent_name(entry->agent, context->context);
    const char *name = agent_name[0] != '\0' ? agent_name : aegis_json_text(body, "key", "an agent");
    out->severity = "critical";
    out->title = aegis_strdup("An agent's key was revoked");
    out->message = aegis_format("The key of %s is revoked: %s. It can pay no more.", name,
                                aegis_json_text(body, "reason", "no reason given"));
    out->metadata = json_pack("{s:s}", "kind", "key_revoked");
    put_text(out->metadata, "agent", entry->agent);
    put_text(out->metadata, "agentName", agent_name);
    put_text(out->metadata, "key", aegis_json_text(body, "key", NULL));
    put_text(out->metadata, "reason", aegis_json_text(body, "reason", NULL));
    put_text(out->metadata, "policy", aegis_json_text(body, "policy", NULL));
    return true;
}

static json_t *put_together(const struct aegis_entry *entry, const struct aegis_notification_context *context,
                            struct saying *saying)
{
    char id[AEGIS_NOTIFICATION_ID];
    char time[AEGIS_TIME_TEXT];
    json_t *message =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "type", "xmtp_notification", "id",
                  aegis_notification_id(entry, id), "agentId", context->agent_id, "toAgent",
                  context->operator_id, "timestamp", aegis_time_format(entry->at, time), "severity",
                  saying->severity, "title", clean_text(saying->title, TITLE_LIMIT), "message",
                  clean_text(saying->message, MESSAGE_LIMIT), "metadata", saying->metadata);
    AEGIS_ASSERT(message != NULL);
    free(saying->title);
    free(saying->message);
    return message;
}

json_t *aegis_notification_of(const struct aegis_entry *entry,
                              const struct aegis_notification_context *context)
{
    static const struct {
        const char *kind;
        bool (*say)(const struct aegis_entry *entry, const json_t *body,
                    const struct aegis_notification_context *context, struct saying *out);
    } kinds[] = {{"decision", say_decision}, {"notice", say_notice}, {"revoked", say_revoked}};
    /* A decision about a payment's own id is an allow (gate/ledger/entry.h): most of a ledger need not be
     * parsed. */
    if (strcmp(entry->kind, "decision") == 0 && strncmp(entry->payment, "pay_", 4) == 0)
        return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(entry->kind, kinds[i].kind) != 0)
            continue;
        struct aegis_error error;
        struct saying saying = {0};
        json_t *body = aegis_json_parse(entry->body, entry->body_length, &error);
        json_t *message = NULL;
        if (body == NULL)
            aegis_log(AEGIS_LOG_ERROR, "ledger entry %lld cannot be read: %s", (long long)entry->seq,
                      error.text);
        else if (kinds[i].say(entry, body, context, &saying))
            message = put_together(entry, context, &saying);
        json_decref(body);
        return message;
    }
    return NULL;
}
