/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pvpanic: the I/O port by which a guest's kernel tells that it has panicked, for which Linux and Windows
 * have drivers: ACPI's QEMU0001. Reading says which events there are.
 */
#ifndef VISOR_DEVICE_MISC_PVPANIC_H
#define VISOR_DEVICE_MISC_PVPANIC_H

#include "device/device.h"
#include "device/misc/board.h"
#include "memory/io_space.h"

#define PVPANIC_PORT 0x505

enum pvpanic_event {
    PVPANIC_PANICKED = 1,
    PVPANIC_CRASH_LOADED = 2, /* panicked, but the guest goes on with another kernel of its own */
};

struct pvpanic {
    uint8_t events; /* that were told */
    struct board board;
};

extern const struct device_type pvpanic_type;

void pvpanic_init(struct pvpanic *pvpanic, struct board board);
int pvpanic_attach(struct pvpanic *pvpanic, struct io_space *io, struct error *error);

#endif
