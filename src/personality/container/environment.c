/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static unsigned count_of(const char *const *list)
{
    unsigned count = 0;
    while (list && list[count])
        count++;
    return count;
}

static bool is_said_in(const char *variable, const char *const *list)
{
    const size_t length = strcspn(variable, "=");
    for (; list && *list; list++) {
        if (strncmp(variable, *list, length) == 0 && (*list)[length] == '=')
            return true;
    }
    return false;
}

const char **environment_merge(const char *const *base, const char *const *added, unsigned *count)
{
    const char **merged = calloc(count_of(base) + count_of(added) + 1, sizeof *merged);
    unsigned kept = 0;
    for (; merged && base && *base; base++) {
        if (!is_said_in(*base, added))
            merged[kept++] = *base;
    }
    for (; merged && added && *added; added++) {
        if (!is_said_in(*added, added + 1))
            merged[kept++] = *added;
    }
    *count = kept;
    return merged;
}
