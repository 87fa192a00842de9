/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot: states of a machine, with its memory, that are kept with its domain under names of their own, and
 * to which it can go back.
 *
 *     STORE/domains/ID/snapshots/NAME.state    as domain_save() writes it; when it is there, so is the rest
 *                                NAME.disk0    of disks that are written in place: what they had
 *
 * The directory is locked (flock) by who changes what is in it. The domain's lock is not held by who makes a
 * snapshot, since the domain's process takes it meanwhile.
 */
#ifndef VISOR_DOMAIN_SNAPSHOT_H
#define VISOR_DOMAIN_SNAPSHOT_H

#include "domain/store.h"

struct domain_snapshot {
    char name[STORE_NAME_MAX + 1];
    int64_t created; /* nanoseconds since 1970 */
    uint64_t size;   /* bytes that it takes, but for blocks that are shared with the disks */
};

/* Of a machine that runs; it stands still meanwhile. -EEXIST: there is one of this name; -ESRCH: it does not
 * run; -EOPNOTSUPP: one of its disks cannot be kept. */
int domain_snapshot_create(struct domain *domain, const char *name, struct error *error);

/* The oldest first; to be freed. */
int domain_snapshot_list(const struct domain *domain, struct domain_snapshot **list, unsigned *count,
                         struct error *error);

/* Ends the machine at once, if it runs, brings its disks to what they were, and has it go on from there.
 * -ENOENT: there is no such snapshot. After a failure it does not run. */
int domain_snapshot_restore(struct domain *domain, const char *name, struct error *error);

int domain_snapshot_remove(const struct domain *domain, const char *name, struct error *error);

#endif
