/* In which order the requirements are tried. */
#include <stdlib.h>
#include <string.h>

#include "gate/x402/challenge_internal.h"

/* What decides, most important first. A total order: only amounts of equal symbols can be compared, so
 * entries are grouped by symbol first, in the order in which the seller first names each. */
struct standing {
    const struct challenge_entry *entry;
    size_t preferred; /* the first preference that fits, or the number of preferences */
    size_t group;     /* index of the first entry with this standing and symbol */
};

/* NETWORK, which may end in an asterisk. */
static bool network_fits(const char *pattern, size_t length, const char *network)
{
    if (length > 0 && pattern[length - 1] == '*') {
        return strncmp(pattern, network, length - 1) == 0;
    }
    return strlen(network) == length && strncmp(pattern, network, length) == 0;
}

static bool preference_fits(const char *preference, const struct aegis_requirement *requirement)
{
    const char *symbol = requirement->asset->symbol, *slash = strchr(preference, '/');

    if (slash != NULL) {
        return strcmp(slash + 1, symbol) == 0 &&
               network_fits(preference, (size_t)(slash - preference), requirement->network);
    }
    return strcmp(preference, symbol) == 0 ||
           network_fits(preference, strlen(preference), requirement->network);
}

static size_t first_fitting(const json_t *preference, const struct aegis_requirement *requirement)
{
    size_t count = json_array_size(preference);

    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(preference, i));

        if (text != NULL && preference_fits(text, requirement)) {
            return i;
        }
    }
    return count;
}

static size_t group_of(const struct standing *all, size_t count, const struct standing *wanted)
{
    const char *symbol = wanted->entry->requirement.asset->symbol;
    size_t i = 0;

    while (i < count && (all[i].preferred != wanted->preferred ||
                         strcmp(all[i].entry->requirement.asset->symbol, symbol) != 0)) {
        i++;
    }
    return i;
}

static int compare(const void *left, const void *right)
{
    const struct standing *a = left, *b = right;

    if (a->preferred != b->preferred) {
        return a->preferred < b->preferred ? -1 : 1;
    }
    if (a->group != b->group) {
        return a->group < b->group ? -1 : 1;
    }
    if (a->entry->scaled != b->entry->scaled) {
        return a->entry->scaled < b->entry->scaled ? -1 : 1;
    }
    if (a->entry->upfront != b->entry->upfront) {
        return a->entry->upfront ? 1 : -1;
    }
    return a->entry->requirement.index < b->entry->requirement.index ? -1 : 1;
}

size_t aegis_challenge_rank(struct aegis_challenge *challenge, const json_t *preference,
                            const struct aegis_requirement **out, size_t size)
{
    struct standing standings[AEGIS_CHALLENGE_ACCEPTS_MAX];
    size_t count = challenge->count;

    for (size_t i = 0; i < count; i++) {
        standings[i].entry = &challenge->entries[i];
        standings[i].preferred = first_fitting(preference, &challenge->entries[i].requirement);
    }
    for (size_t i = 0; i < count; i++) {
        standings[i].group = group_of(standings, count, &standings[i]);
    }
    if (count > 1) {
        qsort(standings, count, sizeof *standings, compare);
    }
    if (count > size) {
        count = size;
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = &standings[i].entry->requirement;
    }
    return count;
}
