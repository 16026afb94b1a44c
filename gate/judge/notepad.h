/* The judge's notepad: one page shared with the supervisor, in which the judge writes which policy is being
 * asked, and since when. A plugin that hangs or takes the process down cannot be asked afterwards whose it
 * was; the page can.
 *
 * The judge is the only writer. It may die in the middle of anything, so the reader must expect a torn page:
 * an odd generation, or one that changed while the page was copied. */
#ifndef AEGIS_JUDGE_NOTEPAD_H
#define AEGIS_JUDGE_NOTEPAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define AEGIS_NOTEPAD_POLICY 128

struct aegis_notepad {
    _Atomic uint64_t generation; /* odd while it is being written */
    int64_t since_boot_ms;       /* aegis_clock_boot() at which the plugin was entered; 0: none is running */
    char policy[AEGIS_NOTEPAD_POLICY]; /* id of the policy document whose plugin is running, or "" */
};

/* Entering (`policy`, now) and leaving ("", 0) a plugin. `pad` may be NULL. */
static inline void aegis_notepad_write(struct aegis_notepad *pad, const char *policy, int64_t since_boot_ms)
{
    if (pad == NULL)
        return;
    uint64_t generation = atomic_load(&pad->generation) | 1;
    atomic_store(&pad->generation, generation);
    strncpy(pad->policy, policy, sizeof(pad->policy) - 1);
    pad->policy[sizeof(pad->policy) - 1] = '\0';
    pad->since_boot_ms = since_boot_ms;
    atomic_store(&pad->generation, generation + 1);
}

/* Copies what stands there into `policy` and *since_boot_ms. False when no plugin is running, or the page
 * stayed torn. A judge that died inside the write leaves it torn for good: then the text is copied all the
 * same. */
static inline bool aegis_notepad_read(const struct aegis_notepad *pad, char policy[AEGIS_NOTEPAD_POLICY],
                                      int64_t *since_boot_ms)
{
    for (int attempt = 0; attempt < 100; attempt++) {
        uint64_t before = atomic_load(&pad->generation);
        memcpy(policy, pad->policy, AEGIS_NOTEPAD_POLICY);
        policy[AEGIS_NOTEPAD_POLICY - 1] = '\0';
        *since_boot_ms = pad->since_boot_ms;
        if (before % 2 == 0 && atomic_load(&pad->generation) == before)
            break;
    }
    return policy[0] != '\0';
}

#endif
