#include "gate/daemon/options.h"

#include <stdlib.h>
#include <string.h>

#include "gate/base/log.h"
#include "gate/daemon/values.h"

#define SECTION(option, text)                                                                                \
    {                                                                                                        \
        .name = (option), .type = AEGIS_OPTION_SECTION, .meaning = (text)                                    \
    }
#define LIST(option, text)                                                                                   \
    {                                                                                                        \
        .name = (option), .type = AEGIS_OPTION_LIST, .meaning = (text)                                       \
    }
#define AMOUNT(option, of, otherwise, low, high, fixed, text)                                                \
    {                                                                                                        \
        .name = (option), .type = AEGIS_OPTION_INTEGER, .fallback = (otherwise), .unit = (of), .min = (low), \
        .max = (high), .restart = (fixed), .meaning = (text)                                                 \
    }
#define BYTES(option, otherwise, low, high, text) AMOUNT(option, "bytes", otherwise, low, high, false, text)
#define BYTES_FIXED(option, otherwise, low, high, text)                                                      \
    AMOUNT(option, "bytes", otherwise, low, high, true, text)
#define DELAY(option, otherwise, low, high, text)       AMOUNT(option, "ms", otherwise, low, high, false, text)
#define DELAY_FIXED(option, otherwise, low, high, text) AMOUNT(option, "ms", otherwise, low, high, true, text)
#define HOUR                                            3600000

const struct aegis_option aegis_options[] = {
    {"home", AEGIS_OPTION_PATH, .restart = true,
     .meaning = "folder of the ledger, the messages and the control socket (AEGIS_HOME, else ~/.ows/aegis)"},
    {"vault", AEGIS_OPTION_PATH, .restart = true,
     .meaning =
         "Open Wallet Standard folder with wallets, keys and policies (the folder above home, else ~/.ows)"},
    {"operator", AEGIS_OPTION_TEXT, .fallback = "operator", .meaning = "who notifications are addressed to"},
    {"workers", AEGIS_OPTION_INTEGER, .fallback = "0", .unit = "processes", .min = 0, .max = 64,
     .restart = true, .meaning = "processes that carry traffic; 0: one per processor"},
    {"drain_ms", AEGIS_OPTION_INTEGER, .fallback = "30000", .unit = "ms", .min = 0, .max = HOUR,
     .meaning = "how long requests that run may take to finish when the gate stops"},
    {"policies", AEGIS_OPTION_NAME, .many = true,
     .meaning = "ids of policies that every payment must pass, besides those of its agent's key"},
    {"preference", AEGIS_OPTION_PREFERENCE, .many = true,
     .meaning =
         "what to pay with when a seller leaves the choice, best first: NETWORK/SYMBOL, NETWORK or SYMBOL"},

    SECTION("log", "lines on standard error"),
    {"log.level", AEGIS_OPTION_CHOICE, .fallback = "info", .choices = "error|warning|info|debug",
     .restart = true, .meaning = "the least important lines that are written"},
    {"log.format", AEGIS_OPTION_CHOICE, .fallback = "text", .choices = "text|json", .restart = true,
     .meaning = "text for people, json for collectors"},

    LIST("listeners", "where agents come in (default: one forward proxy \"agents\" on 127.0.0.1:8402)"),
    {"listeners[].name", AEGIS_OPTION_NAME, .required = true,
     .meaning = "what the listener is called, in the log and in the names of agents without a key"},
    {"listeners[].address", AEGIS_OPTION_ADDRESS, .required = true,
     .meaning = "IPV4:PORT, [IPV6]:PORT or unix:/PATH"},
    {"listeners[].mode", AEGIS_OPTION_CHOICE, .fallback = "forward", .choices = "forward|reverse",
     .meaning = "forward: an HTTP proxy; reverse: path prefixes stand for upstream servers"},
    {"listeners[].owner", AEGIS_OPTION_SECTION,
     .meaning = "clients carry no token: they all pay from this wallet, opened with its owner's passphrase"},
    {"listeners[].owner.agent", AEGIS_OPTION_NAME, .required = true,
     .meaning = "what such clients are called in records"},
    {"listeners[].owner.wallet", AEGIS_OPTION_TEXT, .required = true, .meaning = "name or id of the wallet"},
    {"listeners[].owner.policies", AEGIS_OPTION_NAME, .many = true, .required = true,
     .meaning = "ids of the policies that their payments must pass"},
    {"listeners[].owner.uids", AEGIS_OPTION_INTEGER, .many = true, .min = 0, .max = UINT32_MAX,
     .meaning = "Unix socket only: users that may connect (default: the user that runs the gate)"},
    {"listeners[].owner.passphrase_file", AEGIS_OPTION_PATH,
     .meaning = "file with the passphrase, readable by nobody else; a line end behind it does not count"},
    {"listeners[].owner.passphrase_credential", AEGIS_OPTION_NAME,
     .meaning = "instead: name of a systemd credential"},
    {"listeners[].owner.passphrase_descriptor", AEGIS_OPTION_INTEGER, .min = 0, .max = 1023,
     .meaning = "instead: number of a descriptor that the gate inherits"},
    LIST("listeners[].routes", "reverse only: which path goes where"),
    {"listeners[].routes[].prefix", AEGIS_OPTION_PREFIX, .required = true,
     .meaning = "beginning of the path, /api/ for example; the longest that fits counts"},
    {"listeners[].routes[].upstream", AEGIS_OPTION_URL, .required = true,
     .meaning = "http:// or https:// address that takes the prefix's place"},

    LIST("networks", "chains where the gate looks for proof of what became of a payment"),
    {"networks[].network", AEGIS_OPTION_NETWORK, .required = true,
     .meaning = "CAIP-2 id, eip155:8453 for example"},
    {"networks[].rpc", AEGIS_OPTION_URL, .required = true, .meaning = "JSON-RPC endpoint of a node"},
    {"networks[].confirmations", AEGIS_OPTION_INTEGER, .fallback = "3", .unit = "blocks", .min = 0,
     .max = 10000, .meaning = "how deep a block must lie before what it says is believed"},
    DELAY("networks[].poll_ms", "2000", 100, HOUR, "how often open payments are looked for"),

    LIST("assets", "tokens besides the built-in ones (USDC on the networks where Circle issues it)"),
    {"assets[].network", AEGIS_OPTION_NETWORK, .required = true, .meaning = "CAIP-2 id"},
    {"assets[].address", AEGIS_OPTION_CONTRACT, .required = true,
     .meaning = "the token's contract, which must have EIP-3009"},
    {"assets[].symbol", AEGIS_OPTION_NAME, .required = true,
     .meaning = "what it is called in policies and records"},
    {"assets[].decimals", AEGIS_OPTION_INTEGER, .required = true, .min = 0, .max = 18,
     .meaning = "digits after the point of a whole token"},
    {"assets[].name", AEGIS_OPTION_TEXT, .required = true,
     .meaning = "name in the contract's EIP-712 domain"},
    {"assets[].version", AEGIS_OPTION_TEXT, .required = true,
     .meaning = "version in the contract's EIP-712 domain"},

    SECTION("payment", "how payments are made"),
    {"payment.lifetime_seconds", AEGIS_OPTION_INTEGER, .fallback = "60", .unit = "s", .min = 5, .max = 86400,
     .meaning = "longest time that a signature can be cashed; a seller may ask for less"},
    {"payment.key_cache_seconds", AEGIS_OPTION_INTEGER, .fallback = "60", .unit = "s", .min = 0, .max = 86400,
     .meaning = "how long an opened key stays in locked memory; 0: opened for each payment"},
    {"payment.without_policy", AEGIS_OPTION_CHOICE, .fallback = "deny", .choices = "deny|allow",
     .meaning = "whether an agent to which no policy at all applies may pay: nothing would limit it"},
    DELAY("payment.identity_cache_ms", "5000", 0, HOUR,
          "how long the answer to who a token belongs to is kept"),
    DELAY("payment.clock_step_ms", "60000", 1000, HOUR,
          "a wall clock that jumps further than this stops payments"),
    BYTES_FIXED("payment.scrypt_memory_bytes", "268435456", 67108864, 4294967296,
                "most memory that opening a wallet may take; a wallet file that asks for more is refused"),

    SECTION("judge", "how policies are asked"),
    DELAY_FIXED("judge.timeout_ms", "6000", 50, 120000,
                "a payment waits this long for all its policies, executables included; then it is denied"),
    DELAY_FIXED("judge.hang_ms", "2000", 50, 60000,
                "a plugin whose code runs longer than this is stopped, and has denied"),
    DELAY("judge.tick_ms", "5000", 1000, HOUR, "how often policies that watch the clock are called"),
    BYTES("judge.memory_bytes", "268435456", 33554432, 1099511627776, "most memory for all plugins together"),
    {"judge.plugin_path", AEGIS_OPTION_PATH, .many = true,
     .meaning = "folders with plugins, looked through before the one that the gate was installed with"},

    SECTION("limits", "sizes, in both directions"),
    BYTES("limits.head_bytes", "65536", 1024, 1048576, "longest head of a request or answer"),
    BYTES("limits.request_body_bytes", "1048576", 0, 1073741824,
          "longest request body that is kept so that it can be sent again with a payment"),
    BYTES("limits.challenge_body_bytes", "262144", 1024, 262144, "longest body of a 402 that is looked at"),
    {"limits.connections", AEGIS_OPTION_INTEGER, .fallback = "4096", .unit = "per worker", .min = 1,
     .max = 1048576, .meaning = "clients at a time"},
    {"limits.pool_per_origin", AEGIS_OPTION_INTEGER, .fallback = "32", .unit = "per worker", .min = 0,
     .max = 65536, .meaning = "idle connections that are kept open to one server"},
    BYTES("limits.write_high_bytes", "262144", 4096, 67108864,
          "unsent bytes at which the other side is no longer read from"),

    SECTION("timeouts", "a deadline for every stage"),
    DELAY("timeouts.head_ms", "10000", 100, HOUR, "for a whole request head, from its first byte"),
    DELAY("timeouts.idle_ms", "60000", 100, HOUR, "for a client's next request on an open connection"),
    DELAY_FIXED("timeouts.connect_ms", "10000", 100, HOUR, "for finding, reaching and TLS with a server"),
    DELAY("timeouts.first_byte_ms", "60000", 100, HOUR, "for the head of a server's answer"),
    DELAY("timeouts.read_ms", "60000", 100, HOUR, "between two pieces of a body"),
    DELAY("timeouts.write_ms", "60000", 100, HOUR, "for a receiver to take anything of what waits for it"),
    DELAY("timeouts.pool_idle_ms", "30000", 100, HOUR, "for an unused connection to a server"),
    DELAY_FIXED("timeouts.authorize_ms", "10000", 100, HOUR, "for the gate's own decision about a payment"),

    SECTION("addresses", "networks that no agent reaches, judged after name resolution"),
    {"addresses.refused", AEGIS_OPTION_BLOCK, .many = true, .restart = true,
     .meaning =
         "networks as ADDRESS/BITS (default: link-local, cloud metadata, unspecified, multicast, broadcast)"},
    {"addresses.allowed", AEGIS_OPTION_BLOCK, .many = true, .restart = true,
     .meaning = "exceptions from the refused ones"},

    SECTION("upstream", "the servers that agents ask"),
    {"upstream.ca_file", AEGIS_OPTION_PATH, .restart = true,
     .meaning = "PEM file of authorities to trust besides the system's"},
    {"upstream.free_origins", AEGIS_OPTION_ORIGIN, .many = true,
     .meaning = "HOST or HOST:PORT that never ask for money: bodies of any length are streamed to them"},

    SECTION("messages", "notifications and receipts"),
    {"messages.agent_id", AEGIS_OPTION_NAME, .fallback = "aegis-gate", .restart = true,
     .meaning = "the name under which the gate speaks"},
    {0},
};

const struct aegis_option *aegis_option_find(const char *name)
{
    for (const struct aegis_option *option = aegis_options; option->name != NULL; option++)
        if (strcmp(option->name, name) == 0)
            return option;
    return NULL;
}

const char *aegis_option_leaf(const struct aegis_option *option)
{
    const char *dot = strrchr(option->name, '.');

    return dot == NULL ? option->name : dot + 1;
}

static bool stands_in(const struct aegis_option *option, const char *parent)
{
    size_t length = strlen(parent);

    if (length == 0)
        return strchr(option->name, '.') == NULL;
    return strncmp(option->name, parent, length) == 0 &&
           option->name + length + 1 == aegis_option_leaf(option);
}

const struct aegis_option *aegis_option_next(const char *parent, const struct aegis_option *previous)
{
    const struct aegis_option *option = previous == NULL ? aegis_options : previous + 1;

    while (option->name != NULL && !stands_in(option, parent))
        option++;
    return option->name == NULL ? NULL : option;
}

json_t *aegis_option_default(const struct aegis_option *option)
{
    if (option->fallback == NULL)
        return NULL;
    if (option->type == AEGIS_OPTION_INTEGER)
        return json_integer(strtoll(option->fallback, NULL, 10));
    return json_string(option->fallback);
}

/* Levenshtein's distance, two rows of the matrix at a time; names are short. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], length = strlen(b);

    AEGIS_ASSERT(length < 64);
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= length; j++) {
            size_t change = diagonal + (a[i] != b[j - 1]);
            diagonal = row[j];
            size_t shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < shift ? change : shift;
        }
    }
    return row[length];
}

const char *aegis_option_nearest(const char *parent, const char *name)
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;

    for (const struct aegis_option *option = NULL; (option = aegis_option_next(parent, option)) != NULL;) {
        size_t away = distance(name, aegis_option_leaf(option));
        if (away < least) {
            least = away;
            nearest = aegis_option_leaf(option);
        }
    }
    return nearest;
}

static void print_range(FILE *out, const struct aegis_option *option)
{
    if (option->type == AEGIS_OPTION_INTEGER)
        fprintf(out, "integer, %lld to %lld", (long long)option->min, (long long)option->max);
    else if (option->type == AEGIS_OPTION_CHOICE)
        fprintf(out, "%s", option->choices);
    else
        fprintf(out, "%s", aegis_value_type(option->type));
    if (option->many)
        fprintf(out, ", a list");
    if (option->unit != NULL)
        fprintf(out, ", %s", option->unit);
}

void aegis_options_print(FILE *out)
{
    for (const struct aegis_option *option = aegis_options; option->name != NULL; option++) {
        fprintf(out, "%s\n    %s\n    ", option->name, option->meaning);
        print_range(out, option);
        if (option->fallback != NULL)
            fprintf(out, "; default %s", option->fallback);
        if (option->required)
            fprintf(out, "; required");
        fprintf(out, "%s\n", option->restart ? "; needs a restart" : "");
    }
}
