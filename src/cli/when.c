/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/when.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"
#include "domain/state.h"

int when_parse(const char *text, const char *where, int64_t *time, struct error *error)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end;
    if (state_time_parse(text, time))
        return 0;
    unsigned long value = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
    for (unsigned i = 0; isdigit((unsigned char)*text) && value < 1000000 && i < ARRAY_SIZE(units); i++) {
        if (*end == units[i].letter && !end[1]) {
            *time = state_time_now() - (int64_t)value * units[i].seconds * 1000000000;
            return 0;
        }
    }
    error_set(error, -EINVAL, "%s \"%s\" is no time", where, text);
    error_hint(error, "2026-01-31T12:00:00Z, or 30s, 10m, 2h, 1d for so long ago");
    return -EINVAL;
}
