/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ranges: see ranges.h. A sorted array: sets have tens of members, and look-ups are far more frequent than
 * changes. */
#include "personality/linux/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ranges_free(struct address_ranges *set)
{
    free(set->ranges);
    *set = (struct address_ranges){0};
}

int ranges_reserve(struct address_ranges *set)
{
    if (set->count < set->capacity)
        return 0;
    size_t capacity = set->capacity ? set->capacity * 2 : 16;
    struct address_range *ranges = realloc(set->ranges, capacity * sizeof *ranges);
    if (!ranges)
        return -ENOMEM;
    set->ranges = ranges;
    set->capacity = capacity;
    return 0;
}

/* Index of the first range whose end is above `address`. */
static size_t find(const struct address_ranges *set, uint64_t address)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (set->ranges[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Replaces `removed` ranges at index `i` by the `inserted` ones. */
static void splice(struct address_ranges *set, size_t i, size_t removed, const struct address_range *with,
                   size_t inserted)
{
    memmove(set->ranges + i + inserted, set->ranges + i + removed,
            (set->count - i - removed) * sizeof *set->ranges);
    if (inserted)
        memcpy(set->ranges + i, with, inserted * sizeof *with);
    set->count += inserted - removed;
}

void ranges_add(struct address_ranges *set, uint64_t start, uint64_t end)
{
    if (start >= end)
        return;
    size_t first = start ? find(set, start - 1) : 0, last = first;
    struct address_range merged = {start, end};
    for (; last < set->count && set->ranges[last].start <= end; last++) {
        if (set->ranges[last].start < merged.start)
            merged.start = set->ranges[last].start;
        if (set->ranges[last].end > merged.end)
            merged.end = set->ranges[last].end;
    }
    splice(set, first, last - first, &merged, 1);
}

void ranges_remove(struct address_ranges *set, uint64_t start, uint64_t end)
{
    if (start >= end)
        return;
    size_t first = find(set, start), last = first, kept = 0;
    struct address_range rest[2];
    for (; last < set->count && set->ranges[last].start < end; last++) {
        struct address_range r = set->ranges[last];
        if (r.start < start)
            rest[kept++] = (struct address_range){r.start, start};
        if (r.end > end)
            rest[kept++] = (struct address_range){end, r.end};
    }
    splice(set, first, last - first, rest, kept);
}

uint64_t ranges_end(const struct address_ranges *set, uint64_t address)
{
    size_t i = find(set, address);
    return i < set->count && set->ranges[i].start <= address ? set->ranges[i].end : 0;
}

bool ranges_next(const struct address_ranges *set, uint64_t address, struct address_range *range)
{
    size_t i = find(set, address);
    if (i == set->count)
        return false;
    *range = set->ranges[i];
    return true;
}

bool ranges_overlap(const struct address_ranges *set, uint64_t start, uint64_t end)
{
    size_t i = find(set, start);
    return start < end && i < set->count && set->ranges[i].start < end;
}

bool ranges_are_sound(const struct address_ranges *set)
{
    uint64_t end = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (set->ranges[i].start >= set->ranges[i].end || (i && set->ranges[i].start <= end))
            return false;
        end = set->ranges[i].end;
    }
    return true;
}

uint64_t ranges_find_room(const struct address_ranges *set, const struct address_ranges *other, uint64_t low,
                          uint64_t high, uint64_t size, uint64_t alignment)
{
    struct address_range obstacle;
    while (size && high >= low && high - low >= size) {
        const uint64_t start = (high - size) & -alignment;
        if (start < low)
            break;
        /* All lower places that reach above its start meet it, too. */
        if ((ranges_next(set, start, &obstacle) && obstacle.start < start + size) ||
            (ranges_next(other, start, &obstacle) && obstacle.start < start + size))
            high = obstacle.start;
        else
            return start;
    }
    return 0;
}
