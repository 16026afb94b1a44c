#include "gate/cli/name.h"

#include <stdio.h>

void aegis_cli_print_name(const char *name)
{
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        /* 0xc2 0x80 to 0xc2 0x9f are the C1 controls in UTF-8. */
        if (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
            c++, putchar('?');
        else
            putchar(*c < 0x20 || *c == 0x7f ? '?' : *c);
    }
}
