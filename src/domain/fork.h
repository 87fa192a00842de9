/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fork: a machine that runs becomes several: copies that go on from where it is, and share with it, and with
 * one another, all memory that none of them writes (docs/state.md).
 *
 * The machine is saved to a file in memory that the command makes, and from which all of them have their
 * memory from then on; it stands still meanwhile. What there can be only once is the machine's: published
 * ports, sockets, its debugger. A disk that is written in place cannot be two machines'.
 */
#ifndef VISOR_DOMAIN_FORK_H
#define VISOR_DOMAIN_FORK_H

#include "domain/store.h"

#define DOMAIN_FORKS_MAX 300 /* each takes three descriptors of the command, which has 1024 */

struct domain_fork_options {
    bool remove; /* the copies are removed at their end, whatever the machine's configuration says */
};

struct domain_fork {
    const char *name;     /* that it shall have */
    struct domain domain; /* it runs, and is the caller's to close; or */
    int code;             /* it could not be started, and is gone */
    struct error error;   /* why */
};

/* `forks` have their names, which are free. 0: see each; -errno: nothing was made. */
int domain_fork(struct domain *machine, const struct domain_fork_options *options, struct domain_fork *forks,
                unsigned count, struct error *error);

#endif
