#include "gate/daemon/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate/base/confine.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/judge/host.h"
#include "gate/judge/policies.h"

enum { PATIENCE_MS = 10000 }; /* for one document */

/* What the child says about one document. */
struct finding {
    bool good;
    struct aegis_error error;
};

static void judge_one(json_t *row, struct aegis_plugins *plugins, bool strict, struct finding *finding)
{
    json_t *documents = json_pack("[{s:O,s:O}]", "path", json_object_get(row, "path"), "document",
                                  json_object_get(row, "document"));
    struct aegis_policies *policies = aegis_policies_new(documents, NULL, plugins, NULL, &finding->error);

    finding->good = policies != NULL && (!strict || aegis_policies_strict(policies, &finding->error));
    aegis_policies_free(&policies);
    json_decref(documents);
}

/* In the child: findings about the documents from `first` on, in order, until all are told. */
static void judge_all(const json_t *rows, size_t first, const json_t *plugin_path, bool strict, int out)
{
    struct aegis_error error;
    struct aegis_plugins *plugins = aegis_plugins_new(plugin_path);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!aegis_confine(AEGIS_CONFINE_NETWORK, &error))
        _exit(EXIT_FAILURE);
    for (size_t i = first; i < json_array_size(rows); i++) {
        struct finding finding = {false, {""}};
        judge_one(json_array_get(rows, i), plugins, strict, &finding);
        if (write(out, &finding, sizeof(finding)) != sizeof(finding))
            break;
    }
    _exit(EXIT_SUCCESS);
}

static bool read_finding(int fd, struct finding *finding)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int ready;

    /* Shorter than PIPE_BUF: it comes as a whole or not at all. */
    while ((ready = poll(&wait, 1, PATIENCE_MS)) < 0 && errno == EINTR)
        ;
    return ready == 1 && read(fd, finding, sizeof(*finding)) == sizeof(*finding);
}

/* One child, for the documents from `first` on; broken ones are taken out. Returns the number of the document
 * that the next one has to begin with. */
static size_t probe_from(struct aegis_documents *documents, size_t first, const json_t *plugin_path,
                         bool strict)
{
    size_t at = first;
    struct finding finding;
    int ends[2];
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0 || (child = fork()) < 0)
        aegis_panic("policies cannot be tried out: %s", strerror(errno));
    if (child == 0)
        judge_all(documents->good, first, plugin_path, strict, ends[1]);
    close(ends[1]);
    while (at < json_array_size(documents->good) && read_finding(ends[0], &finding)) {
        if (finding.good)
            at++;
        else
            aegis_documents_break(documents, at, finding.error.text);
    }
    close(ends[0]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return at;
}

void aegis_probe_documents(struct aegis_documents *documents, const json_t *plugin_path, bool strict)
{
    for (size_t at = 0; at < json_array_size(documents->good);) {
        struct aegis_error error;

        at = probe_from(documents, at, plugin_path, strict);
        if (at == json_array_size(documents->good))
            break;
        aegis_error_set(&error, "%s: plugin: it hung or died when it was opened",
                        aegis_json_text(json_array_get(documents->good, at), "path", ""));
        aegis_documents_break(documents, at, error.text);
    }
}
