/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tar_entry: a file as a tar archive has it, for tar_write.h and tar_read.h. */
#ifndef VISOR_ARCHIVE_TAR_ENTRY_H
#define VISOR_ARCHIVE_TAR_ENTRY_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum tar_type {
    TAR_FILE = '0',
    TAR_HARD_LINK = '1',
    TAR_SYMBOLIC_LINK = '2',
    TAR_DIRECTORY = '5',
    TAR_FIFO = '6',
    TAR_OTHER = 0, /* a device, and what else nobody copies */
};

struct tar_entry {
    enum tar_type type;
    const char
        *path; /* relative, without "." and "..", and no slash at its ends; "": what all others are in */
    const char *link; /* a hard link's other path, likewise; or what a symbolic link says */
    mode_t mode;      /* 07777 */
    uid_t uid;
    gid_t gid;
    uint64_t size; /* of a TAR_FILE */
    struct timespec changed;
};

#endif
