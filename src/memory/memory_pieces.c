/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/memory_pieces.h"

#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"

/* The whole pages of a range of RAM. False: there are none. */
static bool piece_of(const struct memory_range *range, const struct memory_backing *ram,
                     struct memory_piece *piece)
{
    if (range->region->kind != MEMORY_RAM || range->region->backing != ram)
        return false;
    const uint64_t start = ALIGN_UP(range->start, MEMORY_PAGE_SIZE),
                   end = ALIGN_DOWN(range->last + 1, MEMORY_PAGE_SIZE);
    *piece = (struct memory_piece){start, end - start, range->host + (start - range->start)};
    return start < end && (uintptr_t)piece->host % MEMORY_PAGE_SIZE == 0;
}

int memory_pieces_take(struct memory_pieces *out, const struct memory_view *view,
                       const struct memory_backing *ram)
{
    struct memory_piece piece;
    *out = (struct memory_pieces){.items = calloc(view->count + 1, sizeof *out->items)};
    if (!out->items)
        return -ENOMEM;
    for (unsigned i = 0; i < view->count; i++) {
        struct memory_piece *last = out->count ? &out->items[out->count - 1] : NULL;
        if (!piece_of(&view->ranges[i], ram, &piece))
            continue;
        if (last && last->start + last->size == piece.start && last->host + last->size == piece.host)
            last->size += piece.size;
        else
            out->items[out->count++] = piece;
    }
    return 0;
}

bool memory_pieces_have(const struct memory_pieces *pieces, const struct memory_piece *piece)
{
    for (unsigned i = 0; i < pieces->count; i++) {
        const struct memory_piece *other = &pieces->items[i];
        if (other->start == piece->start && other->size == piece->size && other->host == piece->host)
            return true;
    }
    return false;
}

void memory_pieces_free(struct memory_pieces *pieces)
{
    free(pieces->items);
    *pieces = (struct memory_pieces){0};
}
