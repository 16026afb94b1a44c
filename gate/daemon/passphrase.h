/* Passphrases of owners, on their way to the keeper. They are handed over as a descriptor to read from and
 * never stand in a message, an argument or the environment. */
#ifndef AEGIS_DAEMON_PASSPHRASE_H
#define AEGIS_DAEMON_PASSPHRASE_H

#include <jansson.h>
#include <stdbool.h>

#include "gate/base/error.h"

/* Passphrases that came by inherited descriptors, which can be read only once; in locked memory. */
struct aegis_passphrases;

struct aegis_passphrases *aegis_passphrases_new(void);
void aegis_passphrases_free(struct aegis_passphrases **passphrases);

/* A descriptor from which the passphrase of this listener's owner can be read once; the caller closes it. -1
 * with the reason. */
int aegis_passphrase_open(struct aegis_passphrases *passphrases, const json_t *listener,
                          struct aegis_error *error);

#endif
