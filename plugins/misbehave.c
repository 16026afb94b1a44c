/* misbehave: does on purpose what a plugin must not do, so that tests can show that the gate survives it. Not
 * installed.
 *
 * Compiled with MISBEHAVE_SYMBOL, MISBEHAVE_ABI or MISBEHAVE_SIZE it is one that cannot be loaded. */
#include <aegis/plugin.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef MISBEHAVE_ABI
#define MISBEHAVE_ABI AEGIS_PLUGIN_ABI
#endif
#ifndef MISBEHAVE_SIZE
#define MISBEHAVE_SIZE sizeof(struct aegis_policy)
#endif
#ifndef MISBEHAVE_SYMBOL
#define MISBEHAVE_SYMBOL aegis_policy
#endif
#ifndef MISBEHAVE_NAME
#define MISBEHAVE_NAME "misbehave"
#endif

/* A sanitizer's handler would report this one as a find. */
static void crash(void)
{
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

static void *misbehave_open(const json_t *config, char *error, size_t size)
{
    const char *how = json_string_value(json_object_get(config, "how"));
    if (how == NULL) {
        snprintf(error, size, "how: expected a text");
        return NULL;
    }
    if (strcmp(how, "open_fails_silently") == 0)
        return NULL;
    if (strcmp(how, "open_crash") == 0)
        crash();
    return strdup(how);
}

/* Never returns; keeps the compiler from proving so. */
static void hang(void)
{
    for (volatile int forever = 1; forever;)
        ;
}

/* Endless, and every byte is touched. */
static void allocate(void)
{
    for (;;) {
        char *block = malloc(1 << 20);
        if (block == NULL)
            abort();
        memset(block, 1, 1 << 20);
    }
}

/* Asks for a new fact each time that the last one was answered. */
static void ask_forever(const struct aegis_host *host, struct aegis_decision *decision)
{
    struct aegis_spent spent;
    char window[32];
    for (int seconds = 60; seconds < 100000; seconds++) {
        snprintf(window, sizeof(window), "rolling:%d", seconds);
        if (!host->spent(host->context, "agent", window, "*", "*", &spent))
            return;
    }
    decision->verdict = AEGIS_ALLOW;
}

static void flood(const struct aegis_host *host, struct aegis_decision *decision)
{
    for (int i = 0; i < 100000; i++)
        host->notify(host->context, AEGIS_SEVERITY_INFO, "flood", NULL, "title", "message", NULL);
    decision->verdict = AEGIS_ALLOW;
}

static void leave_nonsense(const char *how, struct aegis_decision *decision)
{
    decision->verdict = AEGIS_ALLOW;
    if (strcmp(how, "nonsense") == 0)
        memset(&decision->verdict, 0x5a, sizeof(decision->verdict));
    else if (strcmp(how, "unterminated") == 0)
        memset(decision->reason, 'x', sizeof(decision->reason));
    else if (strcmp(how, "not_utf8") == 0)
        memcpy(decision->code, "\xc0\xaf\xff", 4);
    else if (strcmp(how, "negative") == 0)
        decision->resets_at = -1;
    else if (strcmp(how, "far_future") == 0)
        decision->resets_at = INT64_MAX;
    else if (strcmp(how, "silent") == 0)
        decision->verdict = AEGIS_ERROR;
}

static void ask_nonsense(const char *how, const struct aegis_host *host, struct aegis_decision *decision)
{
    struct aegis_spent spent;
    decision->verdict = AEGIS_ALLOW;
    if (strcmp(how, "bad_scope") == 0)
        host->spent(host->context, "everybody", "day", "*", "*", &spent);
    else if (strcmp(how, "bad_key") == 0)
        host->state_set(host->context, "a/b", json_integer(1));
    else if (strcmp(how, "revoke") == 0)
        host->revoke(host->context, "because");
    else if (strcmp(how, "huge_state") == 0)
        host->state_set(host->context, "k", json_sprintf("%100000d", 1));
}

/* Tries what a plugin must not be able to do; allows when none of it worked. */
static void break_out(struct aegis_decision *decision)
{
    int file = open("/etc/passwd", O_RDONLY), network = socket(AF_INET, SOCK_STREAM, 0);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    execl("/bin/true", "true", (char *)NULL);
    if (file < 0 && network < 0 && child < 0)
        decision->verdict = AEGIS_ALLOW;
}

static void misbehave(const char *how, const struct aegis_host *host, struct aegis_decision *decision)
{
    if (strcmp(how, "crash") == 0)
        crash();
    else if (strcmp(how, "hang") == 0)
        hang();
    else if (strcmp(how, "exit") == 0)
        exit(0);
    else if (strcmp(how, "allocate") == 0)
        allocate();
    else if (strcmp(how, "break_out") == 0)
        break_out(decision);
    else if (strcmp(how, "ask_forever") == 0)
        ask_forever(host, decision);
    else if (strcmp(how, "flood") == 0)
        flood(host, decision);
    else if (strncmp(how, "bad_", 4) == 0 || strcmp(how, "revoke") == 0 || strcmp(how, "huge_state") == 0)
        ask_nonsense(how, host, decision);
    else
        leave_nonsense(how, decision);
}

static void misbehave_check_payment(void *policy, const struct aegis_payment *payment,
                                    const struct aegis_host *host, struct aegis_decision *decision)
{
    (void)payment;
    misbehave(policy, host, decision);
}

/* A plugin that asks for facts where there are none. */
static void misbehave_check_request(void *policy, const struct aegis_request *request,
                                    const struct aegis_host *host, struct aegis_decision *decision)
{
    (void)request;
    if (strncmp(policy, "request_", 8) == 0)
        misbehave((const char *)policy + 8, host, decision);
    else
        decision->verdict = AEGIS_ALLOW;
}

const struct aegis_policy MISBEHAVE_SYMBOL = {
    .abi = MISBEHAVE_ABI,
    .size = MISBEHAVE_SIZE,
    .name = MISBEHAVE_NAME,
    .version = "1.0.0",
    .summary = "Does what a plugin must not do.",
    .configuration =
        "how  text  crash, hang, exit, allocate, break_out, nonsense, unterminated, not_utf8, negative, "
        "far_future, silent, "
        "ask_forever,\n"
        "  flood, bad_scope, bad_key, huge_state, revoke, open_crash, open_fails_silently; request_...: in "
        "check_request",
    .open = misbehave_open,
    .close = free,
    .check_request = misbehave_check_request,
    .check_payment = misbehave_check_payment,
};
