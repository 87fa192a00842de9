/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/descriptors.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/macros.h"

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

void descriptors_close_others(int *keep, unsigned count)
{
    int next = STDERR_FILENO + 1;
    qsort(keep, count, sizeof *keep, compare);
    for (unsigned i = 0; i < count; i++) {
        if (keep[i] > next)
            close_range((unsigned)next, (unsigned)keep[i] - 1, 0);
        next = MAX(next, keep[i] + 1);
    }
    close_range((unsigned)next, ~0u, 0);
}
