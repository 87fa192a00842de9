/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tar_write: a tar archive, written to a descriptor: POSIX.1-1988's blocks with GNU's long names (types L and
 * K) and large numbers, which all tar programs know, busybox's too. Names are bytes in no character set.
 *
 * The library that reads archives (tar_read.h) does not write them here: its writers come only all together,
 * with libraries for each of their formats.
 */
#ifndef VISOR_ARCHIVE_TAR_WRITE_H
#define VISOR_ARCHIVE_TAR_WRITE_H

#include <stddef.h>

#include "archive/tar_entry.h"
#include "base/error.h"

#define TAR_BLOCK 512

struct tar_writer {
    int fd;
    size_t used, padding; /* padding: of the file under way */
    uint8_t buffer[128 * TAR_BLOCK];
};

void tar_write_begin(struct tar_writer *writer, int fd);
/* Errors are those of write(): -EPIPE: nobody reads any more. */
int tar_write_entry(struct tar_writer *writer, const struct tar_entry *entry, struct error *error);
/* All of a file's `size` bytes, in as many calls as wanted. */
int tar_write_data(struct tar_writer *writer, const void *data, size_t size, struct error *error);
/* That many bytes of zero. */
int tar_write_hole(struct tar_writer *writer, uint64_t size, struct error *error);
/* After the data. */
int tar_write_file_end(struct tar_writer *writer, struct error *error);
/* After the last entry; nothing is kept back. */
int tar_write_end(struct tar_writer *writer, struct error *error);

#endif
