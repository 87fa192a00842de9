/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rdt: classes of service of processor caches and memory bandwidth (resctrl, Linux's
 * Documentation/filesystems/resctrl): `linux.intelRdt` of the OCI runtime specification 1.3 (config-linux.md,
 * "IntelRdt"); what versions before have is served as well.
 *
 *     rdt_find(root, RDT_MOUNTS)     the file system; an error if there is none
 *     rdt_claim(&rdt, root, settings, id)      the class's directory, made unless it is a given one
 *     rdt_apply(&rdt)                          its schemata, the group that is monitored
 *     rdt_enter(&rdt, pid)                     each process that comes from outside
 *     rdt_remove(&rdt)
 */
#ifndef VISOR_PERSONALITY_CONTAINER_RDT_H
#define VISOR_PERSONALITY_CONTAINER_RDT_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "personality/container/oci_config.h"

#define RDT_MOUNTS "/proc/self/mounts"

struct rdt {
    const struct oci_rdt *settings; /* NULL: the container is in no class, and the others do nothing */
    const char *id;
    char root[PATH_MAX]; /* of the file system */
    bool existed;        /* the class was there before: its schemata are compared, not written */
};

/* The first resctrl file system of a table as /proc/self/mounts is one. -ENOTSUP: there is none. */
int rdt_find(char root[PATH_MAX], const char *mounts, struct error *error);
/* Of a container that there is: nothing is made. Without such a file system there is nothing left of it. */
void rdt_open(struct rdt *rdt, const struct oci_linux *platform, const char *id);
/* -ENOENT: closID is not there, and there is nothing to make it with. -EEXIST: the container's own is there.
 */
int rdt_claim(struct rdt *rdt, const char *root, const struct oci_rdt *settings, const char *id,
              struct error *error);
/* -EINVAL: the class that there is has other values; or the kernel does not like them, and says why. */
int rdt_apply(const struct rdt *rdt, struct error *error);
int rdt_enter(const struct rdt *rdt, pid_t pid, struct error *error);
/* The container's own directories; those that are gone are no error. */
int rdt_remove(const struct rdt *rdt, struct error *error);

#endif
