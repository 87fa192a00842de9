/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/number_list.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Digits at *text; negative: there are none, or it is too large. */
static long take_number(const char **text)
{
    char *end;
    if (!isdigit((unsigned char)**text))
        return -1;
    unsigned long number = strtoul(*text, &end, 10);
    *text = end;
    return number < NUMBER_LIST_MAX ? (long)number : -1;
}

bool number_list_parse(struct number_list *list, const char *text)
{
    const unsigned width = 8 * sizeof list->bits[0];
    memset(list, 0, sizeof *list);
    for (;;) {
        long first = take_number(&text), last = first;
        if (first >= 0 && *text == '-') {
            text++;
            last = take_number(&text);
        }
        if (first < 0 || last < first)
            return false;
        for (long i = first; i <= last; i++)
            list->bits[(unsigned long)i / width] |= 1ul << ((unsigned long)i % width);
        if (!*text)
            return true;
        if (*text++ != ',')
            return false;
    }
}
