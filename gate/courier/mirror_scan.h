/* Reading messages.json: is it what we would have written, did somebody add to it, is it damaged. */
#ifndef AEGIS_COURIER_MIRROR_SCAN_H
#define AEGIS_COURIER_MIRROR_SCAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "gate/base/error.h"
#include "gate/courier/bus.h"

#define AEGIS_MIRROR_HEAD "{\"messages\":["
#define AEGIS_MIRROR_TAIL "\n]}\n"

struct aegis_mirror_scan {
    struct aegis_bus *bus;
    int fd;
    off_t size;
    int64_t now;
    /* The results, when the file is good: */
    off_t end;       /* where the next message goes */
    bool empty;      /* no message in it */
    int64_t last;    /* messages of the bus up to this number are in the file */
    json_t *present; /* and those whose ids are members of this object; NULL: none. The caller releases it */
};

enum aegis_mirror_state {
    AEGIS_MIRROR_GOOD,    /* others' messages are in the bus now */
    AEGIS_MIRROR_TORN,    /* the beginning of what we would have written, and nothing else */
    AEGIS_MIRROR_DAMAGED, /* no JSON, or not {"messages":[...]}; what could be read is in the bus */
    AEGIS_MIRROR_FAILED,  /* disk or database; `error` says what */
};

enum aegis_mirror_state aegis_mirror_scan_file(struct aegis_mirror_scan *scan, struct aegis_error *error);

#endif
