/* Names that others chose, on a terminal. */
#ifndef AEGIS_CLI_NAME_H
#define AEGIS_CLI_NAME_H

/* Writes `name` to standard output with every control character (escape sequences begin with one) as '?'. */
void aegis_cli_print_name(const char *name);

#endif
