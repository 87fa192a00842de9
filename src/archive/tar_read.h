/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tar_read: a tar archive of any kind, read from a descriptor by libarchive. It may be hostile: what leads
 * out of the tree that it describes is an error here.
 */
#ifndef VISOR_ARCHIVE_TAR_READ_H
#define VISOR_ARCHIVE_TAR_READ_H

#include <stddef.h>

#include "archive/tar_entry.h"
#include "base/error.h"

struct tar_reader;

int tar_reader_new(struct tar_reader **out, int fd, struct error *error);
void tar_reader_free(struct tar_reader *reader); /* NULL: nothing */

/* 1: the next entry, whose texts are there until the next call; 0: there are no more. -EPROTO: it is no
 * archive, or ends too soon; -EPERM: a path is absolute or has "..". */
int tar_reader_next(struct tar_reader *reader, struct tar_entry *entry, struct error *error);
/* Of the current file: 1: bytes that are at `offset`, and zeros before them; 0: there are no more. */
int tar_reader_data(struct tar_reader *reader, const void **data, size_t *size, uint64_t *offset,
                    struct error *error);

/* A path without empty parts and "."; it fits into the same room. -EPERM: it is absolute or has "..". */
int tar_path_clean(char *path);

#endif
