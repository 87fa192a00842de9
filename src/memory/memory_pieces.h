/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory_pieces: a machine's RAM as a list of pieces that are in one on both sides, for those of the host's
 * who reach guest memory by themselves and are told of it as a table: an IOMMU, the kernel's vhost.
 */
#ifndef VISOR_MEMORY_MEMORY_PIECES_H
#define VISOR_MEMORY_MEMORY_PIECES_H

#include "memory/memory_map.h"

struct memory_piece {
    uint64_t start, size; /* whole pages */
    uint8_t *host;
};

struct memory_pieces {
    struct memory_piece *items; /* owned */
    unsigned count;
};

/* What the view has of `ram`, and may be written. -ENOMEM. */
int memory_pieces_take(struct memory_pieces *out, const struct memory_view *view,
                       const struct memory_backing *ram);
bool memory_pieces_have(const struct memory_pieces *pieces, const struct memory_piece *piece);
void memory_pieces_free(struct memory_pieces *pieces);

#endif
