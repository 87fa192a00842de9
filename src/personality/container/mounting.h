/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mounting: file systems and parts of them as detached mounts, which get all their attributes before they are
 * put anywhere (fsopen(2) and its relatives, Linux 5.12).
 */
#ifndef VISOR_PERSONALITY_CONTAINER_MOUNTING_H
#define VISOR_PERSONALITY_CONTAINER_MOUNTING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "personality/container/mount_option.h"

/* A new mount of a file system of this type: a descriptor. `source` may be NULL. `label`: what SELinux is
 * told, or NULL. */
int mounting_new(const char *type, const char *source, const struct mount_options *options, const char *label,
                 struct error *error);

/* A copy of what is mounted at a path, with what is mounted below it if `recursive`: a descriptor. */
int mounting_copy(int directory, const char *path, bool recursive, struct error *error);

/* Gives a mount its attributes, user namespace (-1: none) and propagation. `name` is for the error. */
int mounting_change(int mount, const struct mount_options *options, int user_namespace, const char *name,
                    struct error *error);

/* Puts a detached mount where `target` is open. Its descriptor is that of the mounted then. */
int mounting_attach(int mount, int target, const char *name, struct error *error);

/* One attribute for one mount, or it and all below: MOUNT_ATTR_*. 0 or a negative errno. */
int mounting_attribute(int mount, uint64_t set, bool recursive);

#endif
