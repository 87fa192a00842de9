/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk_kernel: what a disk's boot loader would start: kernel, initial RAM disks and command line, read out of
 * the disk's own file systems. No code of the disk's boot loader runs; its configuration is followed.
 *
 * Looked for, in each file system (ext2, ext3, ext4) of a partition, or on a disk without partitions, in
 * /boot and in the root: extlinux or syslinux configurations, GRUB's grub.cfg, entries as the Boot Loader
 * Specification has them, and last the links vmlinuz and initrd.img.
 */
#ifndef VISOR_BOOT_DISK_KERNEL_H
#define VISOR_BOOT_DISK_KERNEL_H

#include "boot/file.h"

#define DISK_KERNEL_INITRDS 8

struct disk_kernel {
    struct boot_file *kernel, *initrds[DISK_KERNEL_INITRDS]; /* they read from the disk */
    unsigned initrd_count;
    char *command_line;
    char *source; /* what said so, for messages: "disk.img: partition 1: /boot/grub/grub.cfg: Debian
                     GNU/Linux" */
    void *file_systems;
};

/* `disk` has the disk's bytes, as the guest sees them, and is open until disk_kernel_close(). -ENOENT: there
 * is nothing to boot; the error says what was looked for. */
int disk_kernel_open(struct disk_kernel *out, struct boot_file *disk, struct error *error);
void disk_kernel_close(struct disk_kernel *kernel);

#endif
