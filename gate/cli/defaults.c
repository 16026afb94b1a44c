#include "gate/cli/defaults.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/judge/document.h"

const char *const aegis_default_policy_ids[] = {"default-budget", "default-guard"};
const size_t aegis_default_policy_count = 2;

static json_t *make(size_t index, const char *name, const char *plugin, json_t *config, int64_t now)
{
    char created[AEGIS_TIME_TEXT];
    json_t *out = json_pack("{s:s,s:s,s:i,s:s,s:[],s:s,s:o,s:s}", "id", aegis_default_policy_ids[index],
                            "name", name, "version", 1, "created_at", aegis_time_format(now, created),
                            "rules", "plugin", plugin, "config", config, "action", "deny");

    AEGIS_ASSERT(out != NULL);
    aegis_policy_add_executable(out);
    return out;
}

json_t *aegis_default_policy(size_t index, int64_t now)
{
    if (index == 0)
        return make(index, "1 USDC a payment, 10 a day", "budget",
                    json_pack("{s:[{s:s,s:s,s:s,s:s}]}", "limits", "chainId", "*", "token", "USDC", "payment",
                              "1", "daily", "10"),
                    now);
    return make(index, "known assets only", "guard", json_pack("{s:b}", "knownAssetsOnly", 1), now);
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

bool aegis_policy_add_executable(json_t *document)
{
    char *path;

    if (!json_is_string(json_object_get(document, "plugin")) ||
        json_is_string(json_object_get(document, "executable")))
        return false;
    path = own_executable();
    json_object_set_new(document, "executable", json_string(path));
    free(path);
    return true;
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
