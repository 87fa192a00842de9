/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volume: a file system on a disk, read only: ext2, ext3 and ext4 by libext2fs. What is only in its journal
 * is seen. */
#ifndef VISOR_BOOT_VOLUME_H
#define VISOR_BOOT_VOLUME_H

#include <stdbool.h>

#include "boot/file.h"
#include "boot/partition.h"

struct volume {
    unsigned partition; /* 0: the whole disk */
    char uuid[37];
    char label[17];
    void *file_system;
};

/* -EINVAL: no such file system; `error` is filled only if there is one that cannot be used. */
int volume_open(struct volume *volume, struct boot_file *disk, const struct partition *partition,
                struct error *error);
void volume_close(struct volume *volume);
/* The name of another kind of file system or container that begins there, or NULL. */
const char *volume_foreign_kind(struct boot_file *disk, const struct partition *partition);

/* A regular file, links followed; valid while the volume is open. -ENOENT, -EISDIR and so on. */
int volume_open_file(struct volume *volume, const char *path, struct boot_file **out, struct error *error);
bool volume_has(struct volume *volume, const char *path, bool *is_directory);
/* Calls back with the name of everything in a directory; -ENOENT. */
int volume_list(struct volume *volume, const char *path, void (*found)(void *opaque, const char *name),
                void *opaque);

#endif
