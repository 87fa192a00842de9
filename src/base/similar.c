/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/similar.h"

#include <string.h>

#include "base/macros.h"

#define WORD_MAX 63

unsigned similar_distance(const char *one, const char *two, unsigned most)
{
    unsigned rows[3][WORD_MAX + 2], size_one = (unsigned)strlen(one), size_two = (unsigned)strlen(two);
    if (size_one > WORD_MAX || size_two > WORD_MAX)
        return most + 1;
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= size_two; j++)
        last[j] = j;
    for (unsigned i = 1; i <= size_one; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= size_two; j++) {
            unsigned other = last[j - 1] + (one[i - 1] != two[j - 1]);
            row[j] = MIN(other, MIN(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && one[i - 1] == two[j - 2] && one[i - 2] == two[j - 1])
                row[j] = MIN(row[j], before[j - 2] + 1);
        }
        unsigned *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return MIN(last[size_two], most + 1);
}

const char *similar_find(const char *word, const char *(*next)(void *opaque), void *opaque)
{
    const char *best = NULL, *candidate;
    unsigned most = (unsigned)MIN(strlen(word) / 3, (size_t)2);
    if (strlen(word) == 2)
        most = 1;
    while ((candidate = next(opaque))) {
        unsigned distance = similar_distance(word, candidate, most);
        if (distance > most || distance >= strlen(candidate))
            continue;
        best = candidate;
        if (!distance)
            break;
        most = distance - 1; /* only what is nearer still */
    }
    return best;
}
