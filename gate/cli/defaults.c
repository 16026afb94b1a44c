#include "gate/cli/defaults.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/judge/document.h"

/* Made from policies/ when the command is built. */
static const char *const texts[] = {
#include "gate/cli/default_policies.h"
};

const char *const aegis_default_policy_ids[] = {"default-budget", "default-guard"};
const size_t aegis_default_policy_count = 2;

_Static_assert(sizeof(texts) / sizeof(texts[0]) == 2, "one document for each id");

json_t *aegis_default_policy(size_t index)
{
    struct aegis_error error;
    json_t *document = aegis_json_parse(texts[index], strlen(texts[index]), &error);

    AEGIS_ASSERT(document != NULL);
    AEGIS_ASSERT(strcmp(aegis_json_text(document, "id", ""), aegis_default_policy_ids[index]) == 0);
    aegis_policy_add_executable(document);
    return document;
}

/* The program of that name beside this one. */
static char *own_executable(void)
{
    char path[PATH_MAX], *slash;
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (length <= 0)
        return aegis_strdup(AEGIS_DOCUMENT_OWN_EXECUTABLE);
    path[length] = '\0';
    slash = strrchr(path, '/');
    *(slash == NULL ? path : slash) = '\0';
    return aegis_format("%s/%s", path, AEGIS_DOCUMENT_OWN_EXECUTABLE);
}

void aegis_policy_add_executable(json_t *document)
{
    const char *executable = aegis_json_text(document, "executable", AEGIS_DOCUMENT_OWN_EXECUTABLE);
    char *path;

    if (!json_is_string(json_object_get(document, "plugin")) ||
        strcmp(executable, AEGIS_DOCUMENT_OWN_EXECUTABLE) != 0)
        return;
    path = own_executable();
    json_object_set_new(document, "executable", json_string(path));
    free(path);
}

bool aegis_policy_write(const char *folder, const json_t *document, struct aegis_error *error)
{
    char *policies = aegis_format("%s/policies", folder);
    char *path = aegis_format("%s/%s.json", policies, aegis_json_text(document, "id", ""));
    char *text = json_dumps(document, JSON_INDENT(2));
    bool done =
        aegis_folder_make(policies, 0700, error) && aegis_file_write(path, text, strlen(text), 0600, error);

    free(text);
    free(path);
    free(policies);
    return done;
}
