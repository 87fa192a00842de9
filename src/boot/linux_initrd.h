/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux_initrd: initial RAM disks that the host has unpacked, which takes it a fraction of the time that the
 * guest's processor would need. What it does not know, or what is larger than an eighth of the machine's
 * memory, stays packed, for the kernel.
 */
#ifndef VISOR_BOOT_LINUX_INITRD_H
#define VISOR_BOOT_LINUX_INITRD_H

#include "boot/boot.h"

struct linux_initrds {
    struct boot_config config; /* the other one's, with these */
    struct boot_module *modules;
};

void linux_initrds_open(struct linux_initrds *initrds, const struct boot_config *config);
void linux_initrds_close(struct linux_initrds *initrds);

#endif
