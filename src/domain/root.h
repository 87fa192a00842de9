/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * root: enters another root directory, with root's rights or, without them, in a user namespace.
 *
 * The calling process gets a mount namespace of its own, in which the host's /proc, /sys, /dev and resolver
 * configuration and the asked-for volumes are bound below the new root; nothing of it outlives the process
 * and its children. Without root's rights the process becomes root of a new user namespace, as podman does
 * it: its own user is mapped to 0 and, where /etc/subuid allows and newuidmap is installed, further ones
 * behind.
 */
#ifndef VISOR_DOMAIN_ROOT_H
#define VISOR_DOMAIN_ROOT_H

#include <stdbool.h>

struct error;

#define ROOT_VOLUMES_MAX 64

struct root_volume {
    const char *source;      /* host path */
    const char *destination; /* absolute path in the domain */
    bool read_only;
};

struct root {
    const char *directory; /* NULL: the host's own root */
    struct root_volume volumes[ROOT_VOLUMES_MAX];
    unsigned volume_count;
};

/* Changes the calling process for good. 0, or a negative errno and *error. */
int root_enter(const struct root *root, struct error *error);

#endif
