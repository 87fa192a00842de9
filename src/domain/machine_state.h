/* SPDX-License-Identifier: GPL-2.0-or-later */
/* machine_state: a machine that is a domain, and the file it is saved to (docs/state.md). */
#ifndef VISOR_DOMAIN_MACHINE_STATE_H
#define VISOR_DOMAIN_MACHINE_STATE_H

#include "backend/block/options.h"
#include "domain/kind.h"
#include "machine/machine_save.h"

/* What of a machine's state is the domain's. */
struct machine_state {
    struct domain_run *run;
    struct machine *machine;
    const struct block_options *disks;
    unsigned disk_count;
    int disk_fds[DOMAIN_DISKS_MAX]; /* open all the time: who is in a cage opens nothing; -1: unreadable */
    struct loop_call turn;
    struct domain_save *save; /* NULL: it is not being saved */
    bool was_paused;          /* before that, by somebody else */
    bool is_saved;            /* and it stands still since, until somebody says what becomes of it */
};

/* Before the machine runs. `disks` stay the caller's, and in place. */
void machine_state_init(struct machine_state *state, struct domain_run *run, struct machine *machine,
                        const struct block_options *disks, unsigned disk_count);
/* Of one that is zeros, too. */
void machine_state_release(struct machine_state *state);

/* As save() and saved() of struct domain_kind; who has it end does so afterwards. */
int machine_state_save(struct machine_state *state, struct domain_save *save, struct error *error);
int machine_state_saved(struct machine_state *state, bool ends, struct error *error);
/* It ends: who still waits is told. Under the lock. */
void machine_state_cancel(struct machine_state *state);

/* Before the machine is made: opens what was saved, sees that disks are what they were, and has the
 * processors be what they were. `devices`, the caller's, gets what devices are to be. */
int machine_state_open(struct state_reader *reader, const struct domain_resume *resume,
                       const struct block_options *disks, unsigned disk_count, struct x86_model *model,
                       struct buffer *devices, struct error *error);
/* When it has been made. */
int machine_state_load(struct machine *machine, struct state_reader *reader,
                       const struct domain_resume *resume, struct error *error);

#endif
