/* Every option of the configuration file, one row each. The parser, `aegis-gate --help-config`, the reload
 * and the test of the sample file all live on this table; an option exists by having a row. */
#ifndef AEGIS_DAEMON_OPTIONS_H
#define AEGIS_DAEMON_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gate/base/error.h"

enum aegis_option_type {
    AEGIS_OPTION_SECTION, /* a mapping of further options */
    AEGIS_OPTION_LIST,    /* a list of mappings */
    AEGIS_OPTION_TEXT,
    AEGIS_OPTION_NAME,       /* letters, digits, `-`, `_` and `.` */
    AEGIS_OPTION_PATH,       /* absolute, `~/...`, or relative to the folder of the configuration file */
    AEGIS_OPTION_INTEGER,    /* min to max */
    AEGIS_OPTION_CHOICE,     /* one of `choices` */
    AEGIS_OPTION_ADDRESS,    /* where to listen */
    AEGIS_OPTION_NETWORK,    /* CAIP-2 */
    AEGIS_OPTION_CONTRACT,   /* an address on a chain */
    AEGIS_OPTION_URL,        /* http or https */
    AEGIS_OPTION_BLOCK,      /* addresses in CIDR form */
    AEGIS_OPTION_ORIGIN,     /* host or host:port */
    AEGIS_OPTION_PREFERENCE, /* NETWORK/SYMBOL, NETWORK or SYMBOL */
    AEGIS_OPTION_PREFIX,     /* of a URL's path */
};

struct aegis_option {
    const char *name; /* dotted; what stands in a list has `[]` behind the list's name */
    enum aegis_option_type type;
    const char
        *fallback; /* the default as one would write it; NULL: none, or worked out (the meaning says how) */
    const char *unit;    /* or NULL */
    const char *meaning; /* one line */
    const char *choices; /* separated by `|` */
    int64_t min, max;
    bool many;     /* a list of such values */
    bool required; /* wherever the mapping that it belongs to stands */
    bool restart;  /* a reload does not change it */
};

/* Ends with a row whose name is NULL. */
extern const struct aegis_option aegis_options[];

/* The row with this name, or NULL. */
const struct aegis_option *aegis_option_find(const char *name);

/* The row after `previous` (NULL: the first) that stands directly in the mapping `parent` ("" for the file
 * itself, "payment", "listeners[]", ...); NULL: no more. */
const struct aegis_option *aegis_option_next(const char *parent, const struct aegis_option *previous);

/* The last part of its name. */
const char *aegis_option_leaf(const struct aegis_option *option);

/* Whether `value` can be one value of this option; the error says what was expected and what was found.
 * Sections and lists only say whether it is a mapping or a list. */
bool aegis_option_check(const struct aegis_option *option, const json_t *value, struct aegis_error *error);

/* The default as a new reference; NULL when there is none. */
json_t *aegis_option_default(const struct aegis_option *option);

/* The name nearest to `name` among the options directly in `parent`. */
const char *aegis_option_nearest(const char *parent, const char *name);

/* The table as a person reads it. */
void aegis_options_print(FILE *out);

#endif
