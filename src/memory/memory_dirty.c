/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which pages were written. An engine sets the pages' flags at once, or is asked (memory_dirty_source). */
#include <errno.h>
#include <string.h>

#include "memory/memory_map.h"

static bool test_and_clear(struct memory_backing *backing, uint64_t page)
{
    return atomic_load_explicit(&backing->page_flags[page], memory_order_relaxed) & MEMORY_PAGE_DIRTY &&
           atomic_fetch_and(&backing->page_flags[page], (uint8_t)~MEMORY_PAGE_DIRTY) & MEMORY_PAGE_DIRTY;
}

static int begin(struct memory_backing *backing)
{
    const struct memory_dirty_source *source = backing->dirty_source;
    if (!source)
        return 0;
    return backing->tracks_dirty ? source->collect(source->opaque) : source->track(source->opaque, true);
}

void memory_backing_writer_add(struct memory_backing *backing, struct memory_writer *writer)
{
    writer->next = backing->writers;
    backing->writers = writer;
}

void memory_backing_writer_remove(struct memory_backing *backing, struct memory_writer *writer)
{
    struct memory_writer **link = &backing->writers;
    while (*link && *link != writer)
        link = &(*link)->next;
    if (*link)
        *link = writer->next;
}

static void tell_writers(const struct memory_backing *backing, bool on)
{
    for (struct memory_writer *writer = backing->writers; writer; writer = writer->next)
        writer->tracked(writer->opaque, on);
}

int memory_backing_track_dirty(struct memory_backing *backing, bool on)
{
    const struct memory_dirty_source *source = backing->dirty_source;
    if (on)
        tell_writers(backing, true);
    const int code = on ? begin(backing) : 0;
    if ((!on || code) && backing->tracks_dirty && source)
        source->track(source->opaque, false);
    for (uint64_t page = 0; page < backing->size >> MEMORY_PAGE_SHIFT; page++)
        test_and_clear(backing, page);
    backing->tracks_dirty = on && !code;
    if (backing->tracks_dirty && backing->dirty_cleared)
        backing->dirty_cleared(backing->opaque);
    if (!backing->tracks_dirty)
        tell_writers(backing, false);
    return code;
}

int memory_backing_take_dirty(struct memory_backing *backing, uint64_t *pages)
{
    const struct memory_dirty_source *source = backing->dirty_source;
    const uint64_t count = backing->size >> MEMORY_PAGE_SHIFT;
    if (!backing->tracks_dirty)
        return -EINVAL;
    const int code = source ? source->collect(source->opaque) : 0;
    if (code)
        return code;
    memset(pages, 0, (count + 63) / 64 * sizeof *pages);
    for (uint64_t page = 0; page < count; page++)
        pages[page / 64] |= (uint64_t)test_and_clear(backing, page) << page % 64;
    if (backing->dirty_cleared)
        backing->dirty_cleared(backing->opaque);
    return 0;
}
