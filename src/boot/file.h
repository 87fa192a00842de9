/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot_file: a kernel or an initial RAM disk, wherever it is: a file of the host, one in the file system of a
 * guest's disk, bytes in memory. It is read piece by piece straight into guest memory.
 */
#ifndef VISOR_BOOT_FILE_H
#define VISOR_BOOT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct boot_file {
    char *name; /* for messages */
    uint64_t size;
    /* Exactly `length` bytes within the file, or a negative errno and the reason. */
    int (*read)(struct boot_file *file, uint64_t offset, void *buffer, size_t length, struct error *error);
    void (*close)(struct boot_file *file); /* what `opaque` stands for; may be NULL */
    void *opaque;
};

int boot_file_open(struct boot_file **out, const char *path, struct error *error);
/* Bytes that stay the caller's; NULL: memory has run out. */
struct boot_file *boot_file_of_memory(const char *name, const void *data, size_t size);
void boot_file_close(struct boot_file *file); /* may be NULL */

/* As file->read, but the range may be anything: beyond the end, -EINVAL says that the file is too short. */
int boot_file_read(struct boot_file *file, uint64_t offset, void *buffer, uint64_t length,
                   struct error *error);

#endif
