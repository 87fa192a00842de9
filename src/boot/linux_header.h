/* SPDX-License-Identifier: GPL-2.0-or-later */
/* linux_header: between the bzImage's loader and what unpacks it. */
#ifndef VISOR_BOOT_LINUX_HEADER_H
#define VISOR_BOOT_LINUX_HEADER_H

#include "boot/loader.h"

enum { XLF_KERNEL_64 = 1 << 0, XLF_CAN_BE_LOADED_ABOVE_4G = 1 << 1 };

/* The setup header, with what older protocols imply for what they lack. */
struct linux_header {
    unsigned version;
    uint64_t setup_size, code_size; /* in the file */
    uint64_t payload, payload_size; /* in the file: the compressed kernel; size 0: not said */
    uint64_t init_size;             /* memory it takes before it has set up its own */
    uint64_t preferred, alignment;
    bool relocatable;
    unsigned flags;
    uint64_t initrd_last;
    uint64_t command_line_max;
};

/* The kernel in memory. */
struct linux_kernel {
    uint64_t address, entry;
    bool randomized; /* its addresses were chosen at random */
};

/* Unpacks the kernel as its own code would, and puts it at random addresses, leaving room for an initial RAM
 * disk. False: this kernel must do it itself; nothing is claimed. */
bool linux_unpack(struct loader *load, const struct linux_header *h, uint64_t initrd_size,
                  struct linux_kernel *kernel);

#endif
