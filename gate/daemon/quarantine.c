#include "gate/daemon/quarantine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/judge/notepad.h"

struct aegis_quarantine {
    json_t *list;
    char last[AEGIS_NOTEPAD_POLICY]; /* on the page of the judge that died last */
};

struct aegis_page {
    int fd;
    struct aegis_notepad *pad;
};

struct aegis_quarantine *aegis_quarantine_new(void)
{
    struct aegis_quarantine *quarantine = aegis_alloc(sizeof(*quarantine));

    quarantine->list = json_array();
    return quarantine;
}

void aegis_quarantine_free(struct aegis_quarantine **quarantine)
{
    if (*quarantine == NULL)
        return;
    json_decref((*quarantine)->list);
    free(*quarantine);
    *quarantine = NULL;
}

const json_t *aegis_quarantine_list(const struct aegis_quarantine *quarantine)
{
    return quarantine->list;
}

void aegis_quarantine_clear(struct aegis_quarantine *quarantine)
{
    json_array_clear(quarantine->list);
    quarantine->last[0] = '\0';
}

struct aegis_page *aegis_page_new(struct aegis_error *error)
{
    struct aegis_page *page = aegis_alloc(sizeof(*page));

    page->fd = memfd_create("aegis-notepad", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    page->pad = MAP_FAILED;
    if (page->fd >= 0 && ftruncate(page->fd, sizeof(*page->pad)) == 0)
        page->pad = mmap(NULL, sizeof(*page->pad), PROT_READ, MAP_SHARED, page->fd, 0);
    /* The judge must not be able to shrink what we read: that would be a bus error here. */
    if (page->pad == MAP_FAILED ||
        fcntl(page->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        aegis_error_set(error, "no page to share with the judge: %s", strerror(errno));
        aegis_page_free(&page);
    }
    return page;
}

void aegis_page_free(struct aegis_page **page)
{
    if (*page == NULL)
        return;
    if ((*page)->pad != MAP_FAILED)
        munmap((*page)->pad, sizeof(*(*page)->pad));
    if ((*page)->fd >= 0)
        close((*page)->fd);
    free(*page);
    *page = NULL;
}

int aegis_page_descriptor(const struct aegis_page *page)
{
    return page->fd;
}

static bool listed(const json_t *list, const char *policy)
{
    size_t i;
    json_t *value;

    json_array_foreach(list, i, value)
    {
        if (strcmp(json_string_value(value), policy) == 0)
            return true;
    }
    return false;
}

bool aegis_quarantine_died(struct aegis_quarantine *quarantine, const struct aegis_page *page, bool hung)
{
    char policy[AEGIS_NOTEPAD_POLICY];
    int64_t since;
    bool again;
    json_t *name;

    if (!aegis_notepad_read(page->pad, policy, &since)) {
        quarantine->last[0] = '\0';
        return false;
    }
    again = strcmp(policy, quarantine->last) == 0;
    memcpy(quarantine->last, policy, sizeof(policy));
    /* The page is the judge's, so what stands there may be anything: json_string refuses what is not
     * UTF-8. */
    name = again && !listed(quarantine->list, policy) ? json_string(policy) : NULL;
    aegis_log(AEGIS_LOG_ERROR, "the judge %s while policy %s was being asked", hung ? "hung" : "died",
              policy);
    if (name == NULL)
        return false;
    json_array_append_new(quarantine->list, name);
    aegis_log(AEGIS_LOG_ERROR,
              "policy %s took the judge down twice in a row: whatever needs it is denied until an operator "
              "has looked "
              "and reloads (aegis reload)",
              policy);
    return true;
}
