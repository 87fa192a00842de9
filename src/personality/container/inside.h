/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inside: paths in a directory tree that somebody else may have made, and may be changing now.
 *
 * Everything is resolved by the kernel with the tree's root as "/": symbolic links and ".." cannot lead out,
 * and links of /proc are not followed at all. What comes out is a descriptor, and what is done next is done
 * to that and not to a path: there is nothing to exchange in between.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_INSIDE_H
#define VISOR_PERSONALITY_CONTAINER_INSIDE_H

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"

/* A descriptor, close-on-exec; or a negative errno. `flags` of openat(). */
int inside_open(int root, const char *path, uint64_t flags);

/* Likewise; -ELOOP if there is a symbolic link in `path`, also as its end. */
int inside_open_plain(int root, const char *path, uint64_t flags);

/* Opens `path` (O_PATH) and makes what is missing of it: directories, and at its end a directory or an empty
 * file. */
int inside_make(int root, const char *path, bool directory, struct error *error);

/* The directory in which the last part of `path` is, made if missing, and in *name that part. -EINVAL: it has
 * none, as "/" and "a/..". */
int inside_parent(int root, const char *path, char name[NAME_MAX + 1], struct error *error);

#endif
