/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arena: texts and small things that are all freed at once. When memory runs out, or a disk's content would
 * have it take more than ARENA_MAX, `failed` is set and NULL comes back. */
#ifndef VISOR_BOOT_ARENA_H
#define VISOR_BOOT_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#define ARENA_MAX (32u << 20)

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t taken;
    bool failed;
};

void *arena_take(struct arena *arena, size_t size); /* zeroed */
char *arena_text(struct arena *arena, const char *text, size_t length);
char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *arena);

#endif
