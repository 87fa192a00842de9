/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/pci/vfio_memory.h"

#include <errno.h>
#include <stdlib.h>

#include "memory/memory_pieces.h"

struct vfio_memory {
    struct memory_map *map;
    struct memory_backing *ram;
    struct vfio_space *space;
    struct memory_listener listener;
    struct memory_pieces pieces; /* what the space has */
};

/* What was not there before comes when what is no more has gone: both may have the same addresses. Of what
 * the host refuses, nothing is the space's, and it is tried again with the next change. */
static int follow(struct vfio_memory *memory, const struct memory_view *view, struct error *error)
{
    struct memory_pieces before = memory->pieces, now;
    struct error first = ERROR_INIT, *told = error;
    unsigned kept = 0;
    if (memory_pieces_take(&now, view, memory->ram))
        return error_set(error, -ENOMEM, "out of memory for what devices reach");
    for (unsigned i = 0; i < before.count; i++)
        if (!memory_pieces_have(&now, &before.items[i]))
            memory->space->ops->unmap(memory->space, before.items[i].start, before.items[i].size);
    for (unsigned i = 0; i < now.count; i++) {
        const struct memory_piece piece = now.items[i];
        if (!memory_pieces_have(&before, &piece) &&
            memory->space->ops->map(memory->space, piece.start, piece.host, piece.size, told)) {
            told = &first; /* one error is enough */
            continue;
        }
        now.items[kept++] = piece;
    }
    now.count = kept;
    memory_pieces_free(&before);
    memory->pieces = now;
    return told == error ? 0 : error->code;
}

static void map_changed(void *opaque, const struct memory_view *old, const struct memory_view *now)
{
    struct vfio_memory *memory = opaque;
    struct error error = ERROR_INIT;
    (void)old;
    if (follow(memory, now, &error))
        error_report(&error);
}

int vfio_memory_new(struct vfio_memory **out, struct memory_map *map, struct memory_backing *ram,
                    struct vfio_space *space, struct error *error)
{
    struct vfio_memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    *memory =
        (struct vfio_memory){.map = map, .ram = ram, .space = space, .listener = {.changed = map_changed}};
    memory->listener.opaque = memory;
    int code = memory_backing_pin(ram, error);
    if (!code)
        code = follow(memory, atomic_load(&map->view), error);
    memory_listener_add(map, &memory->listener);
    if (code)
        vfio_memory_free(memory);
    else
        *out = memory;
    return code;
}

void vfio_memory_free(struct vfio_memory *memory)
{
    if (!memory)
        return;
    memory_listener_remove(memory->map, &memory->listener);
    for (unsigned i = 0; i < memory->pieces.count; i++)
        memory->space->ops->unmap(memory->space, memory->pieces.items[i].start, memory->pieces.items[i].size);
    memory_pieces_free(&memory->pieces);
    free(memory);
}
