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
#include "gate/vault/apikey.h"
#include "gate/vault/folder.h"
#include "gate/vault/wallet.h"

struct checkup {
    struct aegis_config *config;
    struct aegis_documents documents;
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

static void check_documents(struct checkup *checkup)
{
    json_t *path = aegis_section_plugin_path(checkup->config), *text;
    struct aegis_error error;
    size_t i;

    if (!aegis_documents_load(aegis_config_home(checkup->config), aegis_config_vault(checkup->config),
                              &checkup->documents, &error)) {
        complain(checkup, "%s", error.text);
        checkup->documents = (struct aegis_documents){json_array(), json_array(), json_array()};
    }
    aegis_probe_documents(&checkup->documents, path, true);
    json_array_foreach(checkup->documents.broken, i, text)
    {
        complain(checkup, "%s", json_string_value(text));
    }
    json_decref(path);
}

static void check_policy_ids(struct checkup *checkup, const json_t *ids, unsigned line, const char *where)
{
    size_t i;
    json_t *id;

    json_array_foreach((json_t *)(uintptr_t)ids, i, id)
    {
        if (!aegis_documents_have(&checkup->documents, json_string_value(id)))
            complain(checkup, "%s:%u: %s[%zu]: expected the id of a policy in %s/policies, found \"%s\"",
                     aegis_config_file(checkup->config), line, where, i, aegis_config_vault(checkup->config),
                     json_string_value(id));
    }
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
    aegis_wallet_free(&wallet);
    where = aegis_format("listeners[%zu].owner.policies", index);
    check_policy_ids(checkup, json_object_get(owner, "policies"), line, where);
    free(where);
    /* What comes by a descriptor can be read only once, and not by a test. */
    if (json_object_get(owner, "passphrase_descriptor") != NULL) {
        fd = (int)aegis_json_integer(owner, "passphrase_descriptor", 0);
        if (!checkup->running && fcntl(fd, F_GETFD) < 0)
            complain(checkup, "%s:%u: listeners[%zu].owner.passphrase_descriptor: descriptor %d is not open",
                     aegis_config_file(checkup->config), line, index, fd);
        return;
    }
    fd = aegis_passphrase_open(NULL, listener, &error);
    if (fd < 0)
        complain(checkup, "%s:%u: %s", aegis_config_file(checkup->config), line, error.text);
    else
        close(fd);
}

/* A key that cannot pay harms nobody but its agent, so it is told and does not count. */
static void look_at_key(const struct checkup *checkup, const struct aegis_vault *vault,
                        const struct aegis_apikey *key)
{
    struct aegis_error error;

    for (size_t i = 0; key->policy_ids[i] != NULL; i++)
        if (!aegis_documents_have(&checkup->documents, key->policy_ids[i]))
            fprintf(stderr,
                    "warning: key %s (%s) names policy %s, which is not there: its agent is always denied\n",
                    key->name, key->id, key->policy_ids[i]);
    for (size_t i = 0; key->wallet_ids[i] != NULL; i++) {
        struct aegis_wallet *wallet = aegis_wallet_find(vault, key->wallet_ids[i], &error);
        if (wallet == NULL)
            fprintf(stderr, "warning: key %s (%s): %s\n", key->name, key->id, error.text);
        aegis_wallet_free(&wallet);
    }
}

static void check_vault(struct checkup *checkup)
{
    struct aegis_vault *vault =
        aegis_vault_new(aegis_config_vault(checkup->config),
                        (uint64_t)aegis_config_integer(checkup->config, "payment.scrypt_memory_bytes"));
    struct aegis_apikey_list keys = {0};
    struct aegis_error error;

    if (!aegis_vault_check(vault, &error) || !aegis_apikey_list(vault, &keys, &error))
        complain(checkup, "%s", error.text);
    for (size_t i = 0; i < keys.count; i++)
        look_at_key(checkup, vault, keys.items[i]);
    for (size_t i = 0; i < json_array_size(aegis_config_get(checkup->config, "listeners")); i++)
        check_owner(checkup, vault, i);
    aegis_apikey_list_free(&keys);
    aegis_vault_free(&vault);
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

bool aegis_checkup(const char *file, bool running)
{
    struct checkup checkup = {.running = running};
    struct aegis_error error;

    checkup.config = aegis_config_load(file, &error);
    if (checkup.config == NULL) {
        fprintf(stderr, "%s\n", error.text);
        return false;
    }
    check_home(&checkup);
    check_documents(&checkup);
    check_policy_ids(&checkup, aegis_config_get(checkup.config, "policies"),
                     aegis_config_line(checkup.config, "policies", 0), "policies");
    check_vault(&checkup);
    check_authorities(&checkup);
    aegis_documents_clear(&checkup.documents);
    aegis_config_free(&checkup.config);
    return checkup.faults == 0;
}
