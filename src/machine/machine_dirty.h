/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine_dirty: how much of its memory a machine writes in some seconds, which says whether it can be copied
 * to another host while it runs.
 *
 * All of it on the loop's thread, under the machine's lock.
 */
#ifndef VISOR_MACHINE_MACHINE_DIRTY_H
#define VISOR_MACHINE_MACHINE_DIRTY_H

#include "machine/machine.h"

#define MACHINE_DIRTY_SECONDS 60 /* the most */

struct machine_dirty {
    struct machine *machine;
    struct timer timer;
    enum { MACHINE_DIRTY_UNSTARTED, MACHINE_DIRTY_MEASURING, MACHINE_DIRTY_MEASURED } status;
    uint64_t start, seconds; /* the host's clock; of the machine's */
    uint64_t pages;          /* that were written, each once; when it is measured */
};

void machine_dirty_init(struct machine_dirty *dirty, struct machine *machine);
/* -EBUSY: it is under way. -EINVAL: not so long. */
int machine_dirty_begin(struct machine_dirty *dirty, uint64_t seconds, struct error *error);
/* Ends what is under way. */
void machine_dirty_end(struct machine_dirty *dirty);

#endif
