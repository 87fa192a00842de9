/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/pci/vfio_memory.h"

#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"

struct piece {
    uint64_t start, size;
    uint8_t *host;
};

struct pieces {
    struct piece *items;
    unsigned count;
};

struct vfio_memory {
    struct memory_map *map;
    struct memory_backing *ram;
    struct vfio_space *space;
    struct memory_listener listener;
    struct pieces pieces; /* what the space has */
};

/* The whole pages of a range of RAM. False: there are none. */
static bool piece_of(const struct memory_range *range, const struct memory_backing *ram, struct piece *piece)
{
    if (range->region->kind != MEMORY_RAM || range->region->backing != ram)
        return false;
    const uint64_t start = ALIGN_UP(range->start, MEMORY_PAGE_SIZE),
                   end = ALIGN_DOWN(range->last + 1, MEMORY_PAGE_SIZE);
    *piece = (struct piece){start, end - start, range->host + (start - range->start)};
    return start < end && (uintptr_t)piece->host % MEMORY_PAGE_SIZE == 0;
}

static int take_pieces(struct pieces *out, const struct memory_view *view, const struct memory_backing *ram)
{
    struct piece piece;
    *out = (struct pieces){.items = calloc(view->count + 1, sizeof *out->items)};
    if (!out->items)
        return -ENOMEM;
    for (unsigned i = 0; i < view->count; i++) {
        struct piece *last = out->count ? &out->items[out->count - 1] : NULL;
        if (!piece_of(&view->ranges[i], ram, &piece))
            continue;
        if (last && last->start + last->size == piece.start && last->host + last->size == piece.host)
            last->size += piece.size;
        else
            out->items[out->count++] = piece;
    }
    return 0;
}

static bool has(const struct pieces *pieces, const struct piece *piece)
{
    for (unsigned i = 0; i < pieces->count; i++) {
        const struct piece *other = &pieces->items[i];
        if (other->start == piece->start && other->size == piece->size && other->host == piece->host)
            return true;
    }
    return false;
}

/* What was not there before comes when what is no more has gone: both may have the same addresses. Of what
 * the host refuses, nothing is the space's, and it is tried again with the next change. */
static int follow(struct vfio_memory *memory, const struct memory_view *view, struct error *error)
{
    struct pieces before = memory->pieces, now;
    struct error first = ERROR_INIT, *told = error;
    unsigned kept = 0;
    if (take_pieces(&now, view, memory->ram))
        return error_set(error, -ENOMEM, "out of memory for what devices reach");
    for (unsigned i = 0; i < before.count; i++)
        if (!has(&now, &before.items[i]))
            memory->space->ops->unmap(memory->space, before.items[i].start, before.items[i].size);
    for (unsigned i = 0; i < now.count; i++) {
        const struct piece piece = now.items[i];
        if (!has(&before, &piece) &&
            memory->space->ops->map(memory->space, piece.start, piece.host, piece.size, told)) {
            told = &first; /* one error is enough */
            continue;
        }
        now.items[kept++] = piece;
    }
    now.count = kept;
    free(before.items);
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
    free(memory->pieces.items);
    free(memory);
}
