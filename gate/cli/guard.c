/* aegis guard: who may be paid. Shows and changes HOME/guard-config.json, which is in Aegis's own format and
 * holds for every agent of the gate. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/cli/common.h"
#include "gate/x402/address.h"

enum { FILE_LIMIT = 1 << 20 };

struct change {
    const char *address; /* NULL: only show */
    const char *chain;
    bool block;
    bool remove;
};

static json_t *read_config(const char *path, struct aegis_error *error)
{
    size_t size;
    char *text;
    json_t *config;

    if (access(path, F_OK) != 0)
        return json_object();
    text = aegis_file_read(path, FILE_LIMIT, AEGIS_FILE_TRUSTED, &size, error);
    config = text == NULL ? NULL : aegis_json_parse(text, size, error);
    if (text != NULL && config == NULL)
        aegis_error_prefix(error, "%s", path);
    free(text);
    if (config != NULL && !json_is_object(config)) {
        aegis_error_set(error, "%s: expected an object", path);
        json_decref(config);
        config = NULL;
    }
    return config;
}

static bool write_config(const char *path, const json_t *config, struct aegis_error *error)
{
    char *text = json_dumps(config, JSON_INDENT(2)), *whole = aegis_format("%s\n", text);
    bool done = aegis_file_write(path, whole, strlen(whole), 0600, error);

    free(whole);
    free(text);
    return done;
}

/* The list under `name`, made when it is not there. */
static json_t *list_in(json_t *object, const char *name)
{
    json_t *list = json_object_get(object, name);

    if (!json_is_array(list)) {
        list = json_array();
        json_object_set_new(object, name, list);
    }
    return list;
}

static bool find(const json_t *list, const char *address, size_t *at)
{
    for (*at = 0; *at < json_array_size(list); ++*at) {
        const char *text = json_string_value(json_array_get(list, *at));
        if (text != NULL && strcasecmp(text, address) == 0)
            return true;
    }
    return false;
}

static void add_to(json_t *list, const char *address)
{
    size_t at;

    if (!find(list, address, &at))
        json_array_append_new(list, json_string(address));
}

static void remove_from(json_t *list, const char *address)
{
    size_t at;

    if (find(list, address, &at))
        json_array_remove(list, at);
}

/* An address that may be paid makes the file an allowlist: then nobody else may. */
static bool allow(json_t *config, const struct change *change, const char *address, struct aegis_error *error)
{
    const char *mode = aegis_json_text(config, "mode", NULL);
    json_t *addresses = json_object_get(config, "addresses");

    if (mode != NULL && strcmp(mode, "allowlist") != 0 && json_object_size(addresses) > 0)
        return aegis_error_set(
            error, "guard-config.json is a blocklist (mode): its addresses are those that are never paid. "
                   "Use --block, or make it an allowlist by hand");
    if (!json_is_object(addresses)) {
        addresses = json_object();
        json_object_set_new(config, "addresses", addresses);
    }
    json_object_set_new(config, "mode", json_string("allowlist"));
    add_to(list_in(addresses, change->chain), address);
    return true;
}

static void block(json_t *config, const char *address)
{
    if (json_object_get(config, "mode") == NULL) {
        json_object_set_new(config, "mode", json_string("blocklist"));
        json_object_set_new(config, "addresses", json_object());
    }
    add_to(list_in(config, "blockAddresses"), address);
}

static void forget(json_t *config, const struct change *change, const char *address)
{
    json_t *addresses = json_object_get(config, "addresses"), *list;
    const char *chain;

    if (change->block) {
        remove_from(json_object_get(config, "blockAddresses"), address);
        return;
    }
    json_object_foreach(addresses, chain, list)
    {
        if (strcmp(change->chain, "*") == 0 || strcmp(change->chain, chain) == 0)
            remove_from(list, address);
    }
}

/* EVM addresses in their one spelling; what is none is for another family of chains. */
static bool spell(const char *text, char *out, size_t size, struct aegis_error *error)
{
    struct aegis_address address;
    char spelled[AEGIS_ADDRESS_TEXT];

    if (strncmp(text, "0x", 2) == 0) {
        if (!aegis_address_parse(text, &address))
            return aegis_error_set(
                error, "%s: expected 0x and 40 hex digits, in mixed case the right checksum", text);
        return aegis_text_copy(out, size, aegis_address_format(&address, spelled));
    }
    if (strspn(text, "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz") != strlen(text) ||
        strlen(text) < 32 || !aegis_text_copy(out, size, text))
        return aegis_error_set(error, "%s: expected an address", text);
    return true;
}

static bool apply(json_t *config, const struct change *change, struct aegis_error *error)
{
    char address[64];

    if (!spell(change->address, address, sizeof(address), error))
        return false;
    if (change->remove)
        forget(config, change, address);
    else if (change->block)
        block(config, address);
    else
        return allow(config, change, address, error);
    return true;
}

static void print_list(const char *what, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        printf("%s %s\n", what, json_string_value(json_array_get(list, i)));
}

static void print_config(const json_t *config)
{
    bool allowlist = strcmp(aegis_json_text(config, "mode", "blocklist"), "allowlist") == 0;
    const char *chain;
    json_t *list;

    print_list("never       ", json_object_get(config, "blockAddresses"));
    json_object_foreach(json_object_get(config, "addresses"), chain, list)
    {
        char *what = aegis_format("%s %s", allowlist ? "may be paid " : "never       ", chain);
        print_list(what, list);
        free(what);
    }
    puts(allowlist ? "nobody else may be paid" : "everybody else may be paid, as far as this list goes");
}

static int change_and_reload(const struct aegis_cli *cli, const struct change *change)
{
    char *path = aegis_cli_path(cli, "guard-config.json");
    struct aegis_error error;
    json_t *config = read_config(path, &error);
    bool running = false;
    int status = 0;

    if (config == NULL ||
        (change->address != NULL && (!apply(config, change, &error) || !write_config(path, config, &error) ||
                                     !aegis_cli_reload_gate(cli, &running, &error))))
        status = aegis_cli_fail(cli, &error);
    else if (cli->json)
        aegis_cli_print_json(json_pack("{s:s,s:O,s:b}", "file", path, "guard", config, "in_force", running));
    else
        print_config(config);
    json_decref(config);
    free(path);
    return status;
}

int aegis_cli_guard(const struct aegis_cli *cli, int argc, char **argv)
{
    static const struct option options[] = {{"add", required_argument, NULL, 'a'},
                                            {"remove", required_argument, NULL, 'r'},
                                            {"chain", required_argument, NULL, 'c'},
                                            {"block", no_argument, NULL, 'b'},
                                            {0}};
    struct change change = {.chain = "*"};
    bool misuse = false;

    optind = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        misuse = misuse || option == '?' || ((option == 'a' || option == 'r') && change.address != NULL);
        if (option == 'a' || option == 'r') {
            change.address = optarg;
            change.remove = option == 'r';
        } else if (option == 'c') {
            change.chain = optarg;
        } else {
            change.block = change.block || option == 'b';
        }
    }
    if (misuse || optind != argc || (change.block && strcmp(change.chain, "*") != 0))
        return aegis_cli_misuse(cli, "guard");
    return change_and_reload(cli, &change);
}
