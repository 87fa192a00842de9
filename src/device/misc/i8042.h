/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8042: the keyboard controller of a PC (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and
 * Auxiliary Device Controller"), ports 60h and 64h, without a keyboard, and without an auxiliary port. What
 * is left: its self-tests, its output port with A20 and the reset line, and a time-out for what is sent to
 * the keyboard.
 */
#ifndef VISOR_DEVICE_MISC_I8042_H
#define VISOR_DEVICE_MISC_I8042_H

#include "device/device.h"
#include "device/irq.h"
#include "device/misc/board.h"
#include "memory/io_space.h"

struct i8042 {
    uint8_t status;
    uint8_t memory[32]; /* byte 0: the command byte */
    uint8_t command;    /* that waits for its data; 0: none */
    uint8_t output;     /* the output buffer */
    uint8_t output_port;
    bool asserted;
    struct irq_line irq; /* IRQ 1 */
    struct irq_line a20; /* its vote for the address line */
    struct board board;
};

extern const struct device_type i8042_type;

void i8042_init(struct i8042 *i8042, struct irq_line irq, struct irq_line a20, struct board board);
int i8042_attach(struct i8042 *i8042, struct io_space *io, struct error *error);

#endif
