/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irq: the wires between devices and interrupt controllers.
 *
 * An irq_line is the driver's end of a wire. Its level says whether the interrupt is asserted, whatever the
 * polarity on a real board. An msi_port takes message-signalled interrupts as writes to FEExxxxxh: from PCI
 * functions, HPET and I/O APIC alike, since every engine can take those (for KVM's own APICs it is
 * KVM_SIGNAL_MSI).
 */
#ifndef VISOR_DEVICE_IRQ_H
#define VISOR_DEVICE_IRQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct irq_line {
    void (*set)(void *opaque, unsigned number, bool level); /* NULL: not connected */
    void *opaque;
    unsigned number;
};

static inline void irq_set(const struct irq_line *line, bool level)
{
    if (line->set)
        line->set(line->opaque, line->number, level);
}

/* A wire with several drivers, of which one is enough to assert it. Each has a number. */
struct irq_or {
    uint16_t drivers; /* a bit for each that asserts it */
    struct irq_line output;
};

static inline void irq_or_set(struct irq_or *wire, unsigned driver, bool level)
{
    const uint16_t before = wire->drivers, bit = (uint16_t)(1u << driver);
    wire->drivers = level ? before | bit : before & (uint16_t)~bit;
    if (!wire->drivers != !before)
        irq_set(&wire->output, level);
}

/* An edge for an edge-triggered input. The line stays asserted, since an 8259 forgets requests that go away
 * before they are acknowledged. */
static inline void irq_pulse(const struct irq_line *line)
{
    irq_set(line, false);
    irq_set(line, true);
}

/* Who wants to hear that a processor is done with an interrupt, before its input may ask again: for a level
 * that nobody takes back by himself. */
struct irq_watcher {
    void (*ended)(void *opaque, unsigned input); /* NULL: nobody */
    void *opaque;
};

static inline void irq_ended(const struct irq_watcher *watcher, unsigned input)
{
    if (watcher->ended)
        watcher->ended(watcher->opaque, input);
}

struct msi_port {
    bool (*send)(void *opaque, uint64_t address, uint32_t data); /* whether any processor took it */
    void *opaque;
    /* From now on, until it is disconnected, whoever adds to an eventfd sends this message, and nobody else
     * waits for it; what was added before is sent as well. False: nobody does that here. Both may be NULL. */
    bool (*connect)(void *opaque, int fd, uint64_t address, uint32_t data);
    void (*disconnect)(void *opaque, int fd);
};

static inline bool msi_send(const struct msi_port *port, uint64_t address, uint32_t data)
{
    return port->send && port->send(port->opaque, address, data);
}

#endif
