/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copy: files and directories between this host and a domain that runs, whatever its kind, as a stream of tar
 * between a process that goes there and this one.
 *
 * Neither side trusts the other: whoever unpacks does not follow symbolic links and lets nothing out of the
 * directory that was meant (archive/tree.h).
 */
#ifndef VISOR_DOMAIN_COPY_H
#define VISOR_DOMAIN_COPY_H

#include "domain/visit.h"

struct domain_copy {
    bool into;           /* the domain; else out of it */
    const char *outside; /* path on the host; NULL: an archive from or to `stream` */
    int stream;
    const char *inside; /* path in the domain, from its root */
    bool follow;        /* if the source's end is a symbolic link: what that names */
    bool owner;         /* keep users and groups, and out of a domain the bits set-user-ID and set-group-ID */
    /* Now and then; `total` is 0 if it is not known. May be NULL. */
    void (*copied)(void *opaque, uint64_t done, uint64_t total);
    /* Something cannot be copied, which is no error. May be NULL. */
    void (*left_out)(void *opaque, const char *path, const char *why);
    void *opaque;
};

/* -ENOENT and others: why not. What was copied before stays. */
int domain_visit_copy(struct domain_visit *visit, const struct domain_copy *copy, struct error *error);

#endif
