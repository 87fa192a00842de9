/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signal: how a device hears of a write that an engine has made a signal of (memory_signal), or of what the
 * host's kernel does for it. The machine, which has the loop, makes eventfds and waits for them; of devices
 * only those know them whose queues the host's kernel serves.
 */
#ifndef VISOR_DEVICE_SIGNAL_H
#define VISOR_DEVICE_SIGNAL_H

#include "memory/memory_map.h"

struct signal;

/* Both under the machine's lock. */
struct signal_host {
    /* From now on `rung` may be called, under the machine's lock, in place of the region's callback, soon
     * after a write to `offset` of it; several writes may be one call. The machine sees to it that none is
     * outstanding when it stands still. NULL: there can be no more of them, and the callback is called.
     * Without a region nobody rings but who has its descriptor. */
    struct signal *(*open)(void *opaque, struct memory_region *region, uint64_t offset,
                           void (*rung)(void *device, unsigned number), void *device, unsigned number);
    /* No call comes any more. */
    void (*close)(void *opaque, struct signal *signal);
    int (*descriptor)(void *opaque, struct signal *signal);
    /* While it is lent somebody else waits for it, and the machine calls nobody; then, whoever has rung. */
    void (*lend)(void *opaque, struct signal *signal, bool lent);
    void *opaque;
};

#endif
