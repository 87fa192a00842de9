/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * save: a domain that runs becomes a file (docs/state.md).
 *
 * Whoever asks opens a file beside the one that is wanted, with his own rights, and gives it to the domain's
 * process with the command "save". The domain stands still from then on until it is told what is to become of
 * it ("save-end"), which is when the file is on the disk under its name, or until its client leaves, and goes
 * on then; so whatever fails, there is the domain or the file.
 */
#ifndef VISOR_DOMAIN_SAVE_H
#define VISOR_DOMAIN_SAVE_H

#include "control/qmp.h"
#include "domain/store.h"

struct domain_save_options {
    bool compress;
    bool keep_running;
    bool force;                                       /* replaces a file that is no saved domain */
    void (*progress)(void *opaque, unsigned percent); /* NULL: nobody wants to know */
    /* The machine stands still, and all of it is written: what else is to be kept. A negative errno: it goes
     * on, and there is no file. NULL: nothing. */
    int (*still)(void *opaque, struct error *error);
    void *opaque;
};

/* -ESRCH: it does not run; -EEXIST: the file is something else. */
int domain_save(struct domain *domain, const char *path, const struct domain_save_options *options,
                struct error *error);

/* Writes it to this open file, empty, and has it go on, if it ran. `share`: to a file that stays, and with
 * which it shares its memory from then on. */
int domain_save_copy(struct domain *domain, int fd, bool share, struct error *error);

/* What a domain's process has for it, for kinds that can be saved; what is asked is the struct domain_run. */
extern const struct qmp_table domain_save_control;

#endif
