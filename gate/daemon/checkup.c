#include "gate/daemon/checkup.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/daemon/config.h"
#include "gate/daemon/documents.h"
#include "gate/daemon/passphrase.h"
#include "gate/daemon/probe.h"
#include "gate/daemon/sections.h"
#include "gate/daemon/validate.h"
#include "gate/judge/document.h"
#include "gate/runner/executable.h"
#include "gate/vault/apikey.h"
#include "gate/vault/folder.h"
#include "gate/vault/wallet.h"

enum { PASSPHRASE_MAX = 4096 };

struct checkup {
    struct aegis_config *config;
    struct aegis_documents documents;
    json_t *used; /* policy id -> true, for those that somebody refers to */
    bool running;
    unsigned faults;
};

static void complain(struct checkup *checkup, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void complain(struct checkup *checkup, const char *format, ...)
{
    va_list arguments;

    checkup->faults++;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

static void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What harms nobody, or only one agent, is told and does not count. */
static void warn(const char *format, ...)
{
    va_list arguments;

    fputs("warning: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

static bool is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static void check_home(struct checkup *checkup)
{
    const char *home = aegis_config_home(checkup->config);
    char *control = aegis_config_path(checkup->config, "control.sock");
    struct stat status;

    if (stat(home, &status) != 0) {
        if (errno != ENOENT)
            complain(checkup, "%s: home: %s: %s", aegis_config_file(checkup->config), home, strerror(errno));
    } else if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 022) != 0) {
        complain(
            checkup,
            "%s: home: %s: expected a folder of this user that nobody else can write to, found mode %03o",
            aegis_config_file(checkup->config), home, status.st_mode & 0777);
    }
    if (strlen(control) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        complain(checkup, "%s: home: expected a shorter path, a Unix socket must fit into it: %s",
                 aegis_config_file(checkup->config), control);
    free(control);
}

static void use(struct checkup *checkup, const json_t *ids)
{
    size_t i;
    json_t *id;

    json_array_foreach((json_t *)(uintptr_t)ids, i, id)
    {
        json_object_set_new(checkup->used, json_string_value(id), json_true());
    }
}

/* Who refers to which policy: the gate, owners, and every agent's key. */
static void find_used(struct checkup *checkup, const struct aegis_apikey_list *keys)
{
    size_t i;
    json_t *listener;

    use(checkup, aegis_config_get(checkup->config, "policies"));
    use(checkup, checkup->documents.gates);
    json_array_foreach((json_t *)(uintptr_t)aegis_config_get(checkup->config, "listeners"), i, listener)
    {
        use(checkup, json_object_get(json_object_get(listener, "owner"), "policies"));
    }
    for (i = 0; i < keys->count; i++)
        for (char **id = keys->items[i]->policy_ids; *id != NULL; id++)
            json_object_set_new(checkup->used, *id, json_true());
}

static void load_documents(struct checkup *checkup)
{
    struct aegis_error error;
    json_t *path = aegis_section_plugin_path(checkup->config);

    if (!aegis_documents_load(aegis_config_home(checkup->config), aegis_config_vault(checkup->config),
                              &checkup->documents, &error)) {
        complain(checkup, "%s", error.text);
        checkup->documents = (struct aegis_documents){json_array(), json_array(), json_array()};
    }
    aegis_probe_documents(&checkup->documents, path, true);
    json_decref(path);
}

/* An executable that is not there would deny whatever asks for it. */
static void look_for_executables(struct checkup *checkup)
{
    for (size_t i = json_array_size(checkup->documents.good); i > 0; i--) {
        const json_t *row = json_array_get(checkup->documents.good, i - 1);
        const char *path = aegis_json_text(row, "path", "");
        struct aegis_error error = {""};
        struct aegis_document *document = aegis_document_new(path, json_object_get(row, "document"), &error);
        char *file = document == NULL || !aegis_document_runs(document)
                         ? aegis_strdup("")
                         : aegis_executable_find(document->executable, aegis_config_vault(checkup->config),
                                                 getenv("PATH"), &error);

        aegis_document_free(&document);
        if (file == NULL) {
            aegis_error_prefix(&error, "%s: executable", path);
            aegis_documents_break(&checkup->documents, i - 1, error.text);
        }
        free(file);
    }
}

/* Other tools keep documents in the same folder: one that nobody here refers to stops nothing. */
static void tell_broken(struct checkup *checkup)
{
    json_t *row;
    size_t i;

    json_array_foreach(checkup->documents.broken, i, row)
    {
        const char *problem = aegis_json_text(row, "problem", "");
        if (json_object_get(checkup->used, aegis_json_text(row, "id", "")) != NULL) {
            complain(checkup, "%s", problem);
            continue;
        }
        warn("%s; nobody refers to it", problem);
        if (checkup->running)
            fprintf(stderr, AEGIS_VALIDATION_LEFT_OUT "%s\n", aegis_json_text(row, "path", ""));
    }
}

static void check_documents(struct checkup *checkup, const struct aegis_apikey_list *keys)
{
    load_documents(checkup);
    look_for_executables(checkup);
    find_used(checkup, keys);
    tell_broken(checkup);
}

/* What is wrong with a broken one was told already. */
static void check_policy_ids(struct checkup *checkup, const json_t *ids, unsigned line, const char *where)
{
    size_t i;
    json_t *id;

    json_array_foreach((json_t *)(uintptr_t)ids, i, id)
    {
        const char *text = json_string_value(id);
        if (!aegis_documents_have(&checkup->documents, text) &&
            !aegis_documents_have_broken(&checkup->documents, text))
            complain(checkup, "%s:%u: %s[%zu]: expected the id of a policy in %s/policies, found \"%s\"",
                     aegis_config_file(checkup->config), line, where, i, aegis_config_vault(checkup->config),
                     text);
    }
}

/* Opens the wallet, which takes a moment and as much memory as in the gate. */
static void try_passphrase(struct checkup *checkup, const struct aegis_vault *vault,
                           const struct aegis_wallet *wallet, int fd, unsigned line, size_t index)
{
    struct aegis_error error;
    struct aegis_secret *passphrase = aegis_secret_read(fd, PASSPHRASE_MAX, &error);
    struct aegis_secret *key =
        passphrase == NULL ? NULL : aegis_wallet_unlock(vault, wallet, passphrase, &error);

    if (key == NULL)
        complain(checkup, "%s:%u: listeners[%zu].owner: the passphrase does not open the wallet: %s",
                 aegis_config_file(checkup->config), line, index, error.text);
    aegis_secret_free(&passphrase);
    aegis_secret_free(&key);
}

static void check_owner(struct checkup *checkup, const struct aegis_vault *vault, size_t index)
{
    const json_t *listener = json_array_get(aegis_config_get(checkup->config, "listeners"), index);
    const json_t *owner = json_object_get(listener, "owner");
    unsigned line = aegis_config_line(checkup->config, "listeners", index);
    struct aegis_error error;
    struct aegis_wallet *wallet;
    char *where;
    int fd;

    if (owner == NULL)
        return;
    wallet = aegis_wallet_find(vault, aegis_json_text(owner, "wallet", ""), &error);
    if (wallet == NULL)
        complain(checkup, "%s:%u: listeners[%zu].owner.wallet: %s", aegis_config_file(checkup->config), line,
                 index, error.text);
    where = aegis_format("listeners[%zu].owner.policies", index);
    check_policy_ids(checkup, json_object_get(owner, "policies"), line, where);
    free(where);
    /* What comes by a descriptor can be read only once, and not by a test. */
    fd = (int)aegis_json_integer(owner, "passphrase_descriptor", -1);
    if (fd >= 0) {
        if (!checkup->running && fcntl(fd, F_GETFD) < 0)
            complain(checkup, "%s:%u: listeners[%zu].owner.passphrase_descriptor: descriptor %d is not open",
                     aegis_config_file(checkup->config), line, index, fd);
    } else if ((fd = aegis_passphrase_open(NULL, listener, &error)) < 0) {
        complain(checkup, "%s:%u: %s", aegis_config_file(checkup->config), line, error.text);
    } else {
        if (wallet != NULL)
            try_passphrase(checkup, vault, wallet, fd, line, index);
        close(fd);
    }
    aegis_wallet_free(&wallet);
}

/* A socket can be made in its folder, and what is in its place may be removed. */
static void check_address(struct checkup *checkup, size_t index)
{
    const json_t *listener = json_array_get(aegis_config_get(checkup->config, "listeners"), index);
    const char *address = aegis_json_text(listener, "address", ""), *path = address + strlen("unix:");
    unsigned line = aegis_config_line(checkup->config, "listeners", index);
    struct stat status;

    if (strncmp(address, "unix:", 5) != 0)
        return;
    char *folder = aegis_strdup(path);
    *strrchr(folder, '/') = '\0';
    if (!is_folder(*folder == '\0' ? "/" : folder))
        complain(checkup, "%s:%u: listeners[%zu].address: there is no folder %s",
                 aegis_config_file(checkup->config), line, index, folder);
    else if (lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode))
        complain(checkup, "%s:%u: listeners[%zu].address: %s is there, and is no socket",
                 aegis_config_file(checkup->config), line, index, path);
    free(folder);
}

static bool gate_has_policies(const struct checkup *checkup)
{
    return json_array_size(aegis_config_get(checkup->config, "policies")) > 0 ||
           json_array_size(checkup->documents.gates) > 0;
}

/* A key that cannot pay harms nobody but its agent. */
static void look_at_key(const struct checkup *checkup, const struct aegis_vault *vault,
                        const struct aegis_apikey *key)
{
    struct aegis_error error;

    for (size_t i = 0; key->policy_ids[i] != NULL; i++)
        if (!aegis_documents_have(&checkup->documents, key->policy_ids[i]) &&
            !aegis_documents_have_broken(&checkup->documents, key->policy_ids[i]))
            warn("key %s (%s) names policy %s, which is not there: its agent is always denied", key->name,
                 key->id, key->policy_ids[i]);
    if (key->policy_ids[0] == NULL && !gate_has_policies(checkup))
        warn("key %s (%s): no policy applies to its agent, which %s", key->name, key->id,
             strcmp(aegis_config_text(checkup->config, "payment.without_policy"), "allow") == 0
                 ? "nothing limits"
                 : "pays nothing");
    for (size_t i = 0; key->wallet_ids[i] != NULL; i++) {
        struct aegis_wallet *wallet = aegis_wallet_find(vault, key->wallet_ids[i], &error);
        if (wallet == NULL)
            warn("key %s (%s): %s", key->name, key->id, error.text);
        aegis_wallet_free(&wallet);
    }
}

/* A gate that runs without its vault is told so, and can be reloaded all the same. */
static void check_vault(struct checkup *checkup, const struct aegis_vault *vault,
                        struct aegis_apikey_list *keys)
{
    struct aegis_error error;

    if (!is_folder(vault->folder) && checkup->running)
        warn("%s: vault: there is no folder %s", aegis_config_file(checkup->config), vault->folder);
    else if (!is_folder(vault->folder))
        complain(checkup, "%s: vault: there is no folder %s", aegis_config_file(checkup->config),
                 vault->folder);
    else if (!aegis_vault_check(vault, &error) || !aegis_apikey_list(vault, keys, &error))
        complain(checkup, "%s", error.text);
}

static void check_plugin_path(struct checkup *checkup)
{
    const json_t *folders = aegis_config_get(checkup->config, "judge.plugin_path");

    for (size_t i = 0; i < json_array_size(folders); i++)
        if (!is_folder(json_string_value(json_array_get(folders, i))))
            complain(checkup, "%s: judge.plugin_path[%zu]: there is no folder %s",
                     aegis_config_file(checkup->config), i, json_string_value(json_array_get(folders, i)));
}

static void check_authorities(struct checkup *checkup)
{
    const char *path = aegis_config_text(checkup->config, "upstream.ca_file");
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    X509 *certificate = file == NULL ? NULL : PEM_read_X509(file, NULL, NULL, NULL);

    if (path != NULL && file == NULL)
        complain(checkup, "%s: upstream.ca_file: %s: %s", aegis_config_file(checkup->config), path,
                 strerror(errno));
    else if (path != NULL && certificate == NULL)
        complain(checkup, "%s: upstream.ca_file: %s: expected certificates in PEM form",
                 aegis_config_file(checkup->config), path);
    X509_free(certificate);
    if (file != NULL)
        fclose(file);
}

static void check_all(struct checkup *checkup)
{
    struct aegis_vault *vault =
        aegis_vault_new(aegis_config_vault(checkup->config),
                        (uint64_t)aegis_config_integer(checkup->config, "payment.scrypt_memory_bytes"));
    struct aegis_apikey_list keys = {0};

    check_home(checkup);
    check_vault(checkup, vault, &keys);
    check_plugin_path(checkup);
    check_documents(checkup, &keys);
    check_policy_ids(checkup, aegis_config_get(checkup->config, "policies"),
                     aegis_config_line(checkup->config, "policies", 0), "policies");
    for (size_t i = 0; i < keys.count; i++)
        look_at_key(checkup, vault, keys.items[i]);
    for (size_t i = 0; i < json_array_size(aegis_config_get(checkup->config, "listeners")); i++) {
        check_address(checkup, i);
        check_owner(checkup, vault, i);
    }
    check_authorities(checkup);
    aegis_apikey_list_free(&keys);
    aegis_vault_free(&vault);
}

bool aegis_checkup(const char *file, bool running)
{
    struct checkup checkup = {.running = running};
    struct aegis_error error;

    checkup.config = aegis_config_load(file, &error);
    if (checkup.config == NULL) {
        fprintf(stderr, "%s\n", error.text);
        return false;
    }
    checkup.used = json_object();
    check_all(&checkup);
    aegis_documents_clear(&checkup.documents);
    json_decref(checkup.used);
    aegis_config_free(&checkup.config);
    return checkup.faults == 0;
}
