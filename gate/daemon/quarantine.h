/* Which policies took the judge down, and which of them stay denied for it.
 *
 * Every judge gets a page (gate/judge/notepad.h) on which it writes whose plugin is running. When a judge
 * dies with a name on its page, that policy is remembered; when the next one dies with the same name, the
 * policy is quarantined until an operator looks at it. A judge that somebody killed from outside proves
 * nothing against a policy. */
#ifndef AEGIS_DAEMON_QUARANTINE_H
#define AEGIS_DAEMON_QUARANTINE_H

#include <jansson.h>
#include <stdbool.h>

#include "gate/base/error.h"

struct aegis_quarantine;
struct aegis_page;

struct aegis_quarantine *aegis_quarantine_new(void);
void aegis_quarantine_free(struct aegis_quarantine **quarantine);

/* Array of policy ids. Borrowed. */
const json_t *aegis_quarantine_list(const struct aegis_quarantine *quarantine);

/* An operator has looked. */
void aegis_quarantine_clear(struct aegis_quarantine *quarantine);

/* A fresh page and a descriptor of it for the judge, which the page owns. */
struct aegis_page *aegis_page_new(struct aegis_error *error);
void aegis_page_free(struct aegis_page **page);
int aegis_page_descriptor(const struct aegis_page *page);

/* A judge died while nobody had asked it to. True when that put a policy into quarantine. */
bool aegis_quarantine_died(struct aegis_quarantine *quarantine, const struct aegis_page *page, bool hung);

#endif
