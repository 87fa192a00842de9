/* SPDX-License-Identifier: GPL-2.0-or-later */
/* partition: the partitions of a disk, as a GPT (UEFI specification, chapter 5) or an MBR with its chain of
 * logical partitions has them. */
#ifndef VISOR_BOOT_PARTITION_H
#define VISOR_BOOT_PARTITION_H

#include "boot/file.h"

#define PARTITIONS_MAX 128

struct partition {
    uint64_t start, size; /* bytes, within the disk */
    unsigned number;      /* from 1, as Linux and GRUB count */
};

/* How many there are; a negative errno if the disk cannot be read. What the tables say that cannot be is left
 * out. */
int partition_scan(struct boot_file *disk, struct partition out[PARTITIONS_MAX], struct error *error);

#endif
