/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pic8259: the two cascaded interrupt controllers of a PC (Intel 8259A data sheet, order number 231468), at
 * ports 20h and A0h, with the edge/level control registers 4D0h and 4D1h of EISA and all chipsets since.
 *
 * The vCPU that is connected to `intr` calls pic8259_acknowledge() when it takes the interrupt.
 */
#ifndef VISOR_DEVICE_IRQ_PIC8259_H
#define VISOR_DEVICE_IRQ_PIC8259_H

#include "device/device.h"
#include "device/irq.h"
#include "memory/io_space.h"

struct pic8259;

struct pic8259_chip {
    uint8_t lines; /* levels of the inputs */
    uint8_t irr;   /* requests: inputs, or edges that were seen and not yet acknowledged */
    uint8_t imr, isr;
    uint8_t elcr;    /* inputs that are level-triggered */
    uint8_t lowest;  /* the input of lowest priority; the one above it, modulo 8, has the highest */
    uint8_t base;    /* vector of input 0 */
    uint8_t cascade; /* ICW3 */
    uint8_t expects; /* the ICW that comes next, 2 to 4; 0: initialised */
    bool single, wants_icw4;
    bool auto_eoi, rotate_on_auto_eoi, fully_nested, special_mask;
    bool read_isr, poll;
    struct pic8259 *pic;
};

struct pic8259 {
    struct pic8259_chip chips[2]; /* master, slave */
    bool output;                  /* what `intr` is driven to */
    struct irq_line intr;
    struct irq_watcher ended; /* may be set after pic8259_init(): of inputs 0 to 15 */
};

extern const struct device_type pic8259_type;

void pic8259_init(struct pic8259 *pic, struct irq_line intr);
int pic8259_attach(struct pic8259 *pic, struct io_space *io, struct error *error);
/* Inputs 0 to 15; 2 is the cascade and not connected. Fits an irq_line. */
void pic8259_set(void *pic, unsigned irq, bool level);
/* The processor's interrupt acknowledge cycles: the vector. If the request has gone, that of input 7. */
uint8_t pic8259_acknowledge(struct pic8259 *pic);

#endif
