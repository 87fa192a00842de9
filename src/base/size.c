/* SPDX-License-Identifier: GPL-2.0-or-later */
/* size: see size.h. */
#include "base/size.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char units[] = "KMGTPE";

/* How often to multiply by 1024; -1: no unit. */
static int unit_of(const char *text)
{
    if (!*text || strcasecmp(text, "B") == 0)
        return 0;
    const char *unit = strchr(units, toupper((unsigned char)*text));
    text++;
    if (!unit || (*text && strcasecmp(text, "B") != 0 && strcasecmp(text, "iB") != 0))
        return -1;
    return (int)(unit - units) + 1;
}

/* Digits with at most one point: number * 10^places. False: something else, or too many. */
static bool scan_number(const char **text, uint64_t *number, unsigned *places)
{
    const char *at = *text;
    bool point = false;
    unsigned digits = 0;
    *number = 0;
    *places = 0;
    for (; isdigit((unsigned char)*at) || (*at == '.' && !point); at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        if (++digits > 15)
            return false;
        *number = *number * 10 + (uint64_t)(*at - '0');
        *places += point;
    }
    *text = at;
    return digits > 0;
}

int size_parse(const char *text, const char *what, uint64_t least, uint64_t most, uint64_t *bytes,
               struct error *error)
{
    const char *at = text;
    uint64_t number;
    unsigned places;
    bool valid = scan_number(&at, &number, &places);
    while (valid && *at == ' ')
        at++;
    int unit = valid ? unit_of(at) : -1;
    if (unit < 0) {
        error_set(error, -EINVAL, "%s \"%s\" is not a size", what, text);
        error_hint(error, "a size is a number of bytes, or one with K, M, G or T behind it, such as 512M");
        return -EINVAL;
    }
    unsigned __int128 value = (unsigned __int128)number << 10 * unit;
    for (; places; places--)
        value /= 10;
    if (value < least || value > most) {
        char low[SIZE_TEXT], high[SIZE_TEXT];
        return error_set(error, -ERANGE, "%s %s is not between %s and %s", what, text, size_print(least, low),
                         size_print(most, high));
    }
    *bytes = (uint64_t)value;
    return 0;
}

char *size_print(uint64_t bytes, char text[SIZE_TEXT])
{
    int unit = 0;
    while (unit < (int)sizeof units - 1 && bytes >> 10 * (unit + 1))
        unit++;
    if (unit == 0) {
        snprintf(text, SIZE_TEXT, "%u bytes", (unsigned)bytes);
        return text;
    }
    const uint64_t whole = bytes >> 10 * unit, rest = bytes - (whole << 10 * unit);
    const unsigned tenth = (unsigned)((unsigned __int128)rest * 10 >> 10 * unit);
    if (tenth)
        snprintf(text, SIZE_TEXT, "%u.%u %ciB", (unsigned)whole, tenth, units[unit - 1]);
    else
        snprintf(text, SIZE_TEXT, "%u %ciB", (unsigned)whole, units[unit - 1]);
    return text;
}
