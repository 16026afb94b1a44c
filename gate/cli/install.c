/* aegis install: policy documents into VAULT/policies, where keys, the gate and other OWS tools find them. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/cli/common.h"
#include "gate/cli/defaults.h"
#include "gate/judge/document.h"

enum { DOCUMENT_LIMIT = 1 << 20 };

/* What the document of the file says as a policy: a file in Aegis's own format becomes one. A new
 * reference. */
static json_t *read_policy(const char *path, struct aegis_error *error)
{
    size_t size;
    char *text = aegis_file_read(path, DOCUMENT_LIMIT, AEGIS_FILE_ANY, &size, error);
    json_t *json = text == NULL ? NULL : aegis_json_parse(text, size, error), *out = NULL;
    struct aegis_document *document;

    if (text != NULL && json == NULL)
        aegis_error_prefix(error, "%s", path);
    document = json == NULL ? NULL : aegis_document_new(path, json, error);
    if (document != NULL && aegis_document_strict(document, error))
        out = json_deep_copy(document->json);
    aegis_document_free(&document);
    json_decref(json);
    free(text);
    return out;
}

/* What stands in the file now, a text; null when there is none. */
static json_t *present_text(const char *path)
{
    struct aegis_error error;
    size_t size = 0;
    char *text = aegis_file_read(path, DOCUMENT_LIMIT, AEGIS_FILE_ANY, &size, &error);
    json_t *out = text == NULL ? json_null() : json_stringn(text, size);

    free(text);
    return out;
}

/* `done` gets a row of id, path, and what stood there before. */
static bool install(const struct aegis_cli *cli, json_t *document, json_t *done, struct aegis_error *error)
{
    const char *id = aegis_json_text(document, "id", "");
    char *path = aegis_format("%s/policies/%s.json", cli->vault, id);
    json_t *row = json_pack("{s:s,s:s,s:o?}", "id", id, "path", path, "before", present_text(path));
    bool written;

    AEGIS_ASSERT(row != NULL);
    free(path);
    aegis_policy_add_executable(document);
    written = aegis_policy_write(cli->vault, document, error);
    if (written)
        json_array_append(done, row);
    json_decref(row);
    return written;
}

/* The running gate refused what was installed: its next start should not find it either. */
static void take_back(const json_t *done, struct aegis_error *error)
{
    struct aegis_error ignored;

    for (size_t i = json_array_size(done); i > 0; i--) {
        const json_t *row = json_array_get(done, i - 1), *before = json_object_get(row, "before");
        const char *path = aegis_json_text(row, "path", "");
        if (json_is_string(before))
            aegis_file_write(path, json_string_value(before), json_string_length(before), 0600, &ignored);
        else
            unlink(path);
    }
    aegis_error_prefix(error, "nothing is installed");
}

static bool install_file(const struct aegis_cli *cli, const char *path, json_t *done,
                         struct aegis_error *error)
{
    json_t *document = read_policy(path, error);
    bool installed = document != NULL && install(cli, document, done, error);

    json_decref(document);
    return installed;
}

static int is_json(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
}

/* Everything in HOME/policies, and the default policies where they are missing. */
static bool install_all(const struct aegis_cli *cli, json_t *done, struct aegis_error *error)
{
    char *folder = aegis_cli_path(cli, "policies");
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_json, alphasort);
    bool good = true;

    for (int i = 0; i < count; i++) {
        char *path = aegis_format("%s/%s", folder, entries[i]->d_name);
        good = good && install_file(cli, path, done, error);
        free(path);
        free(entries[i]);
    }
    free(entries);
    free(folder);
    for (size_t i = 0; good && i < aegis_default_policy_count; i++) {
        char *path = aegis_format("%s/policies/%s.json", cli->vault, aegis_default_policy_ids[i]);
        json_t *document = access(path, F_OK) == 0 ? NULL : aegis_default_policy(i);
        good = document == NULL || install(cli, document, done, error);
        json_decref(document);
        free(path);
    }
    return good;
}

static void tell(const struct aegis_cli *cli, const json_t *done, bool in_force)
{
    json_t *ids = json_array(), *row;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)done, i, row)
    {
        json_array_append(ids, json_object_get(row, "id"));
        if (!cli->json)
            puts(aegis_json_text(row, "path", ""));
    }
    if (cli->json)
        aegis_cli_print_json(json_pack("{s:O,s:b}", "installed", ids, "in_force", (int)in_force));
    else if (json_array_size(done) == 0)
        puts("nothing to install: all of it is there");
    json_decref(ids);
}

int aegis_cli_install(const struct aegis_cli *cli, int argc, char **argv)
{
    struct aegis_error error;
    json_t *done;
    bool good = true, running = false;

    if (argc > 1 && argv[1][0] == '-')
        return aegis_cli_misuse(cli, argv[0]);
    done = json_array();
    for (int at = 1; good && at < argc; at++)
        good = install_file(cli, argv[at], done, &error);
    if (argc == 1)
        good = install_all(cli, done, &error);
    good = good && aegis_cli_reload_gate(cli, &running, &error);
    if (good)
        tell(cli, done, running);
    else
        take_back(done, &error);
    json_decref(done);
    return good ? 0 : aegis_cli_fail(cli, &error);
}
