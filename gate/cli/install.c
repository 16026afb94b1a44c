/* aegis install: policy documents into VAULT/policies, where keys, the gate and other OWS tools find them. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/file.h"
#include "gate/base/json.h"
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

static bool install(const struct aegis_cli *cli, json_t *document, json_t *done, struct aegis_error *error)
{
    aegis_policy_add_executable(document);
    if (!aegis_policy_write(cli->vault, document, error))
        return false;
    json_array_append(done, json_object_get(document, "id"));
    return true;
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

int aegis_cli_install(const struct aegis_cli *cli, int argc, char **argv)
{
    struct aegis_error error;
    json_t *done = json_array(), *id;
    bool good = true, running = false;
    size_t i;

    if (argc > 1 && argv[1][0] == '-') {
        json_decref(done);
        return aegis_cli_misuse(cli, argv[0]);
    }
    for (int at = 1; good && at < argc; at++)
        good = install_file(cli, argv[at], done, &error);
    if (argc == 1)
        good = install_all(cli, done, &error);
    good = good && aegis_cli_reload_gate(cli, &running, &error);
    if (cli->json) {
        aegis_cli_print_json(json_pack("{s:O,s:b}", "installed", done, "in_force", (int)(good && running)));
    } else {
        json_array_foreach(done, i, id)
        {
            printf("%s/policies/%s.json\n", cli->vault, json_string_value(id));
        }
        if (good && json_array_size(done) == 0)
            puts("nothing to install: all of it is there");
    }
    json_decref(done);
    return good ? 0 : aegis_cli_fail(cli, &error);
}
