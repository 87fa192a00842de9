/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hpet: the high-precision event timers (IA-PC HPET specification 1.0a), a page of memory at FED00000h on a
 * PC. The counter runs at 100 MHz; there are three 64-bit comparators, all of which can be periodic and send
 * messages.
 */
#ifndef VISOR_DEVICE_TIMER_HPET_H
#define VISOR_DEVICE_TIMER_HPET_H

#include "device/device.h"
#include "device/irq.h"
#include "memory/memory_map.h"

#define HPET_SIZE   0x400
#define HPET_TIMERS 3
#define HPET_LEGACY 2u          /* in `config`: it replaces 8254 and RTC */
#define HPET_ROUTES 0x00f00000u /* inputs of the I/O APIC that a comparator may drive: 20 to 23 */

struct hpet_comparator {
    uint32_t config;
    uint64_t value;   /* at which it fires next */
    uint64_t period;  /* of a periodic one; 0: none */
    uint64_t message; /* FSB route: data, and address from bit 32 */
};

struct hpet {
    uint32_t config;
    uint32_t status;  /* level-triggered interrupts that are active */
    uint64_t counter; /* while it runs: what it would have been when the clock was 0 */
    uint64_t seen;    /* counter up to which comparators have fired */
    struct hpet_comparator comparators[HPET_TIMERS];
    struct timer timer;
    /* The board's: inputs of the I/O APIC by number; in legacy mode instead, for the first two, IRQ 0 and IRQ
     * 8, from which 8254 and RTC are then to be disconnected, as legacy_mode says. */
    struct irq_line irq, legacy[2], legacy_mode;
    struct msi_port messages;
    const struct clock *clock;
};

static inline bool hpet_is_legacy(const struct hpet *hpet)
{
    return hpet->config & HPET_LEGACY;
}

extern const struct device_type hpet_type;
extern const struct access_ops hpet_ops; /* `opaque` is the struct hpet */

void hpet_init(struct hpet *hpet, struct timers *timers, struct irq_line irq, const struct irq_line legacy[2],
               struct irq_line legacy_mode, struct msi_port messages);

#endif
