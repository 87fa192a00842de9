/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tree: files and directories to and from a tar archive (tar_write.h, tar_read.h), while somebody who is not
 * trusted may be changing them.
 *
 * Everything goes by descriptors: a directory that was opened stays the one, whatever takes its place, and
 * no symbolic link is followed below what the caller has opened. What a file is is known before it is opened
 * for reading: to open some devices is to use them.
 */
#ifndef VISOR_ARCHIVE_TREE_H
#define VISOR_ARCHIVE_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct tree_options {
    bool owner;   /* keep users and groups; else they are 0 in an archive, and the caller's of files */
    bool special; /* keep the bits set-user-ID, set-group-ID and sticky */
    int self;     /* /proc/self/fd, open: see tree_open_self() */
    /* May be NULL: so many bytes more of files' content. */
    void (*copied)(void *opaque, uint64_t bytes);
    /* What was left out: a socket, a device. May be NULL. */
    void (*left_out)(void *opaque, const char *path, const char *why);
    void *opaque;
};

/* For `self`: a process opens it for itself, before its root is another. -errno. */
int tree_open_self(struct error *error);

/* Writes what the descriptor `object` (O_PATH) is, under the name `as`; "": it is a directory, and only what
 * is in it. */
int tree_pack(int object, const char *as, int stream, const struct tree_options *options,
              struct error *error);

/* How many bytes are in it, roughly: for who shows how far packing is. */
uint64_t tree_size(int object);

struct tree_unpack {
    int directory;  /* where it goes to (O_PATH) */
    const char *as; /* each path's first part becomes this; NULL: paths are as they are */
};
/* Makes what the archive has. Files and links of the same name are replaced, directories joined. -EPROTO,
 * -EPERM: as tar_read.h says; -ELOOP, -EXDEV: there is a symbolic link in the way. */
int tree_unpack(const struct tree_unpack *unpack, int stream, const struct tree_options *options,
                struct error *error);

/* Reads an archive and writes another: only what tree_unpack() would make, by `owner` and `special`. */
int tree_repack(int from, int to, const struct tree_options *options, struct error *error);

#endif
