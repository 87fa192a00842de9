/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount_option: the options of an OCI mount (config.md, "Linux mount options"), by a table.
 *
 * What the table does not know is for the file system itself.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_MOUNT_OPTION_H
#define VISOR_PERSONALITY_CONTAINER_MOUNT_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct mount_options {
    uint64_t set, clear;                     /* attributes of the mount: MOUNT_ATTR_* */
    uint64_t recursive_set, recursive_clear; /* and of all mounts below it */
    unsigned long super_set;                 /* flags of the file system, of MS_* */
    uint64_t propagation;                    /* MS_SHARED … MS_UNBINDABLE, or 0 */
    bool propagation_recursive;
    bool bind, recursive_bind; /* recursive: both */
    bool idmap, recursive_idmap;
    bool remount;
    bool copy_up;      /* tmpcopyup */
    bool read_only;    /* "ro" itself: of a file system it is one of the super block's flags, too */
    const char **data; /* options of the file system, the array's own: in order; `data_count` of them */
    unsigned data_count;
};

/* Sorts `count` options; those of the file system go to `data`, which has room for all. -EINVAL: they
 * contradict each other. */
int mount_options_parse(struct mount_options *parsed, const char *const *options, unsigned count,
                        const char **data, struct error *error);

/* The names that the table knows, NULL after the last: for `features`. */
const char *mount_option_name(unsigned index);

#endif
