/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * generation: the number by which an operating system sees that it goes on as another machine than it was: a
 * copy, or what it had been some time ago (Microsoft, "Virtual Machine Generation ID"). It has 16 random
 * bytes in guest memory, at an address that ACPI's tables tell, and is notified when they have become others.
 * Linux stirs its random numbers with them. The machine's restart changes nothing.
 *
 * Here is the number only; what brings it to memory and notifies is the board.
 */
#ifndef VISOR_DEVICE_MISC_GENERATION_H
#define VISOR_DEVICE_MISC_GENERATION_H

#include "device/device.h"

#define GENERATION_SIZE 16

struct generation {
    uint8_t id[GENERATION_SIZE];
};

extern const struct device_type generation_type;

/* Another number; at first it has none. A negative errno: the host gives no random numbers. */
int generation_renew(struct generation *generation);

#endif
