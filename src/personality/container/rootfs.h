/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rootfs: the tree that a container sees: its mounts, devices, hidden and protected paths; and making it the
 * root.
 *
 * The creator calls rootfs_prepare() for what takes rights or paths that the container's first process will
 * not have; that process, in its own mount namespace, calls the others, in this order.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_ROOTFS_H
#define VISOR_PERSONALITY_CONTAINER_ROOTFS_H

#include <stdbool.h>

#include "personality/container/oci_config.h"

struct limits;

struct rootfs {
    const struct oci_config *config;
    const char *path;            /* of the root directory, absolute */
    int bundle;                  /* the bundle's directory: relative sources begin there */
    bool no_pivot;               /* the host's root is a RAM disk's, which pivot_root() cannot leave */
    const struct limits *limits; /* whose cgroups are shown as /sys/fs/cgroup */
    int *sources;                /* per mount: a detached copy that the creator has made, or -1; once it is
                                    mounted: itself, where it has something to be hidden or protected in it */
    int tree;                    /* the root itself: likewise before, mounted after rootfs_attach() */
};

/* Makes what only the creator can. `*rootfs` has its first members; rootfs_release() at the end, in both. */
int rootfs_prepare(struct rootfs *rootfs, struct error *error);
void rootfs_release(struct rootfs *rootfs);

/* The mount namespace is cut off from the host's, and the root a mount of its own. */
int rootfs_attach(struct rootfs *rootfs, struct error *error);
/* Mounts, then devices, then what is to be hidden or read-only, the root among it. */
int rootfs_mount(struct rootfs *rootfs, struct error *error);
int rootfs_protect(struct rootfs *rootfs, struct error *error);
/* /dev/console is this terminal. */
int rootfs_console(struct rootfs *rootfs, int terminal, struct error *error);
/* The calling process's root and working directory, and nothing of the host is left below it. */
int rootfs_enter(struct rootfs *rootfs, struct error *error);

/* Makes the devices that every container has, and those of the configuration. */
int devices_make(struct rootfs *rootfs, struct error *error);
/* Mounts what the container may see of the cgroups. */
int cgroup_mount_make(struct rootfs *rootfs, const struct oci_mount *mount, struct error *error);

#endif
