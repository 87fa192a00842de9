/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ranges: a set of address ranges, kept sorted and merged. Not thread-safe by itself. */
#ifndef VISOR_PERSONALITY_LINUX_RANGES_H
#define VISOR_PERSONALITY_LINUX_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct address_range {
    uint64_t start, end; /* end is excluded */
};

struct address_ranges {
    struct address_range *ranges; /* owned */
    size_t count, capacity;
};

void ranges_free(struct address_ranges *set);

/* Room for one more range, so that the next ranges_add() or ranges_remove() cannot fail: 0 or -ENOMEM. */
int ranges_reserve(struct address_ranges *set);

/* Adds or takes away [start, end). To be preceded by ranges_reserve(). */
void ranges_add(struct address_ranges *set, uint64_t start, uint64_t end);
void ranges_remove(struct address_ranges *set, uint64_t start, uint64_t end);

/* End of the range that contains `address`, 0 if none does. */
uint64_t ranges_end(const struct address_ranges *set, uint64_t address);
/* The first range that ends above `address`; false if there is none. */
bool ranges_next(const struct address_ranges *set, uint64_t address, struct address_range *range);
/* Are they in order, not empty, and apart? For sets that come from elsewhere. */
bool ranges_are_sound(const struct address_ranges *set);
bool ranges_overlap(const struct address_ranges *set, uint64_t start, uint64_t end);

/* The highest place in [low, high) for `size` bytes, a multiple of `alignment` (a power of two), where
 * neither set has anything; 0 if there is none. */
uint64_t ranges_find_room(const struct address_ranges *set, const struct address_ranges *other, uint64_t low,
                          uint64_t high, uint64_t size, uint64_t alignment);

#endif
