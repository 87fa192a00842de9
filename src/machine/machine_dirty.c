/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/machine_dirty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t count_pages(struct memory_backing *ram)
{
    const uint64_t words = ((ram->size >> MEMORY_PAGE_SHIFT) + 63) / 64;
    uint64_t *pages = calloc(words, sizeof *pages), count = 0;
    if (pages && memory_backing_take_dirty(ram, pages) == 0)
        for (uint64_t i = 0; i < words; i++)
            count += (unsigned)__builtin_popcountll(pages[i]);
    free(pages);
    return count;
}

/* No vCPU runs meanwhile. */
static int track(struct machine_dirty *dirty, bool on)
{
    struct machine *machine = dirty->machine;
    machine_hold(machine);
    if (!on)
        dirty->pages = count_pages(machine->ram);
    const int code = memory_backing_track_dirty(machine->ram, on);
    machine_release(machine);
    return code;
}

void machine_dirty_end(struct machine_dirty *dirty)
{
    timer_cancel(&dirty->timer);
    if (dirty->status == MACHINE_DIRTY_MEASURING)
        track(dirty, false);
    dirty->status = MACHINE_DIRTY_UNSTARTED;
}

static void measured(void *opaque)
{
    struct machine_dirty *dirty = opaque;
    machine_dirty_end(dirty);
    dirty->status = MACHINE_DIRTY_MEASURED;
}

void machine_dirty_init(struct machine_dirty *dirty, struct machine *machine)
{
    *dirty = (struct machine_dirty){.machine = machine};
    timer_init(&dirty->timer, &machine->timers, measured, dirty);
}

int machine_dirty_begin(struct machine_dirty *dirty, uint64_t seconds, struct error *error)
{
    if (seconds < 1 || seconds > MACHINE_DIRTY_SECONDS)
        return error_set(error, -EINVAL, "what a machine writes is measured for 1 to %u seconds",
                         MACHINE_DIRTY_SECONDS);
    if (dirty->machine->ram->tracks_dirty)
        return error_set(error, -EBUSY, "what the machine writes is being measured");
    const int code = track(dirty, true);
    if (code)
        return error_set(error, code, "cannot find out what the machine writes: %s", strerror(-code));
    dirty->status = MACHINE_DIRTY_MEASURING;
    dirty->start = (uint64_t)time(NULL);
    dirty->seconds = seconds;
    timer_set(&dirty->timer, clock_now(&dirty->machine->clock) + seconds * TIMER_SECOND);
    return 0;
}
