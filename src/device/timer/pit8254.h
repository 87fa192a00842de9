/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pit8254: the programmable interval timer of a PC (Intel 8254 data sheet, order number 231164), at ports 40h
 * to 43h, and port 61h: gate and output of counter 2, speaker, memory refresh.
 *
 * Counter 0 drives `irq`. Nothing here counts: outputs and counts are computed from the time at which a
 * counter was loaded.
 */
#ifndef VISOR_DEVICE_TIMER_PIT8254_H
#define VISOR_DEVICE_TIMER_PIT8254_H

#include "device/device.h"
#include "device/irq.h"
#include "memory/io_space.h"

#define PIT_HZ 1193182

struct pit8254_counter {
    uint8_t mode;   /* 0 to 5 */
    uint8_t access; /* 1: low byte, 2: high byte, 3: low, then high */
    bool bcd, gate;
    bool loaded;                /* counts, or would if the gate let it */
    bool reload_pending;        /* a new count waits for the end of the period, or a trigger */
    bool null_count;            /* the count that was written has not been loaded */
    bool write_high, read_high; /* the next byte is the high one */
    bool status_latched;
    uint8_t status;
    uint8_t latched; /* bytes of `latch` that are still to be read: bit 0: low, bit 1: high */
    uint16_t latch;
    uint16_t written; /* CR: as the guest wrote it */
    uint32_t count;   /* what is being counted down from, 1 to 65536 */
    int64_t start;    /* the tick at which the counter held `count`; while stopped: ticks since then, see
                         `stopped` */
    bool stopped;
};

struct pit8254 {
    struct pit8254_counter counters[3];
    uint8_t port61; /* gate of counter 2, speaker, and two bits without a meaning */
    uint64_t seen;  /* the tick up to which counter 0 has driven `irq` */
    bool output;    /* what `irq` is driven to */
    struct timer timer;
    struct irq_line irq;
    const struct clock *clock;
};

extern const struct device_type pit8254_type;

void pit8254_init(struct pit8254 *pit, struct timers *timers, struct irq_line irq);
int pit8254_attach(struct pit8254 *pit, struct io_space *io, struct error *error);

#endif
