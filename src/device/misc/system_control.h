/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * system_control: port 92h of the PS/2 (fast A20 and reset) and the reset control register of Intel's
 * chipsets, port CF9h.
 *
 * CF9h lies within the four bytes of the PCI configuration address, which answers only to accesses of four
 * bytes. So a board with a PCI host bridge gives `reset_control_ops` to that, for bytes at CF9h; one without
 * calls the second attach.
 */
#ifndef VISOR_DEVICE_MISC_SYSTEM_CONTROL_H
#define VISOR_DEVICE_MISC_SYSTEM_CONTROL_H

#include "device/device.h"
#include "device/irq.h"
#include "device/misc/board.h"
#include "memory/io_space.h"

struct system_control {
    uint8_t port92;
    uint8_t reset_control;
    struct irq_line a20; /* its vote for the address line */
    struct board board;
};

extern const struct device_type system_control_type;
extern const struct access_ops reset_control_ops; /* `opaque` is the struct system_control */

void system_control_init(struct system_control *control, struct irq_line a20, struct board board);
int system_control_attach(struct system_control *control, struct io_space *io, struct error *error);
int system_control_attach_reset(struct system_control *control, struct io_space *io, struct error *error);

#endif
