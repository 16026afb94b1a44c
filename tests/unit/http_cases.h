/* Reads the tables of raw HTTP messages in tests/data/http. */
#ifndef TESTS_HTTP_CASES_H
#define TESTS_HTTP_CASES_H

#include <stdbool.h>
#include <stddef.h>

struct http_case {
    char *name;
    char *verdict;
    char *facts; /* the third column */
    char *bytes;
    size_t size;
};

struct http_cases {
    struct http_case *rows;
    size_t count;
};

/* Ends the program when the file is not there or not of the form. */
struct http_cases http_cases_read(const char *file);
void http_cases_free(struct http_cases *cases);

/* Whether the fact stands in the row; `value` (may be NULL) gets what follows its `=`, unescaped, to be
 * freed. The last fact of a row may hold spaces. */
bool http_case_fact(const struct http_case *row, const char *fact, char **value);

#endif
