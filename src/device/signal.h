/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signal: how a device hears of a write that an engine has made a signal of (memory_signal). The machine,
 * which has the loop, makes eventfds and waits for them; devices know neither.
 */
#ifndef VISOR_DEVICE_SIGNAL_H
#define VISOR_DEVICE_SIGNAL_H

#include "memory/memory_map.h"

struct signal;

/* Both under the machine's lock. */
struct signal_host {
    /* From now on `rung` may be called, under the machine's lock, in place of the region's callback, soon
     * after a write to `offset` of it; several writes may be one call. The machine sees to it that none is
     * outstanding when it stands still. NULL: there can be no more of them, and the callback is called. */
    struct signal *(*open)(void *opaque, struct memory_region *region, uint64_t offset,
                           void (*rung)(void *device, unsigned number), void *device, unsigned number);
    /* No call comes any more. */
    void (*close)(void *opaque, struct signal *signal);
    void *opaque;
};

#endif
