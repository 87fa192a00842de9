/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ioapic: a 24-input I/O APIC (Intel 82093AA data sheet, order number 290566), version 20h: with the EOI
 * register of later ones. It is accessed in a page of memory, FEC00000h on a PC, and sends its interrupts as
 * messages.
 */
#ifndef VISOR_DEVICE_IRQ_IOAPIC_H
#define VISOR_DEVICE_IRQ_IOAPIC_H

#include "device/device.h"
#include "device/irq.h"
#include "memory/memory_map.h"

#define IOAPIC_PINS 24
#define IOAPIC_SIZE 0x1000

/* Who wants to know what a pin's entry is now, as the message that it sends; changed NULL: nobody. */
struct ioapic_watcher {
    void (*changed)(void *opaque, unsigned pin, uint64_t address, uint32_t data);
    void *opaque;
};

struct ioapic {
    uint8_t select; /* register that the window shows */
    uint8_t id;
    uint32_t lines;             /* levels of the inputs */
    uint64_t pins[IOAPIC_PINS]; /* redirection table */
    struct msi_port messages;
    struct ioapic_watcher watcher; /* may be set after ioapic_init() */
    struct irq_watcher ended;      /* likewise; of level-triggered inputs */
};

extern const struct device_type ioapic_type;
extern const struct access_ops ioapic_ops; /* `opaque` is the struct ioapic */

void ioapic_init(struct ioapic *ioapic, struct msi_port messages);
/* Fits an irq_line. */
void ioapic_set(void *ioapic, unsigned pin, bool level);
/* A processor has ended the interrupt of this vector: level-triggered inputs may ask again. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

#endif
