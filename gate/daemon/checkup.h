/* `aegis-gate -t`: everything that can be known to be wrong before a gate runs. */
#ifndef AEGIS_DAEMON_CHECKUP_H
#define AEGIS_DAEMON_CHECKUP_H

#include <stdbool.h>

/* Complains on standard error, one line for each fault, and returns whether there was none. `running`: for a
 * gate that runs already, whose inherited descriptors were read long ago. */
bool aegis_checkup(const char *file, bool running);

#endif
