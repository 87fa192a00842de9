/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * code_memory: the mappings of a code cache, code and tables, and how its arenas divide them. Private to
 * code_cache.
 */
#ifndef VISOR_TRANSLATOR_CODE_MEMORY_H
#define VISOR_TRANSLATOR_CODE_MEMORY_H

#include "translator/code_cache.h"

#define CODE_BLOCK_ALIGNMENT 64               /* blocks begin at multiples of it */
#define CODE_BLOCKS_MOST     ((1u << 22) - 2) /* indices of blocks are below it */

/* For cache->size and has_passing: maps everything, with the routines in it and empty arenas. 0, or a
 * negative errno: what there is must be freed. */
int code_memory_make(struct code_cache *cache, const struct guest_isa *isa);
void code_memory_free(struct code_cache *cache);

/* The arena's part of the table up to the entry `end` will be used: some pages ahead at a time. */
void code_memory_prepare(const struct code_cache *cache, struct code_arena *arena, enum code_table table,
                         uint32_t end);

/* In the child of a fork, with which the memory of the code is still shared: puts in its place memory of its
 * own with the same code, or with nothing but the routines, and empty tables. 0 or a negative errno. */
int code_memory_copy(struct code_cache *cache);
int code_memory_empty(struct code_cache *cache);

#endif
