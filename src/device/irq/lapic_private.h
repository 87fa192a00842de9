/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lapic_private: between lapic.c (registers, priorities), lapic_bus.c (messages) and lapic_timer.c. */
#ifndef VISOR_DEVICE_IRQ_LAPIC_PRIVATE_H
#define VISOR_DEVICE_IRQ_LAPIC_PRIVATE_H

#include "device/irq/lapic.h"

#define SVR_ENABLED      (1u << 8)
#define SVR_NO_BROADCAST (1u << 12)
#define LVT_REMOTE_IRR   (1u << 14)
#define LVT_LEVEL        (1u << 15)
#define LVT_MASKED       (1u << 16)
#define ERROR_SEND       (1u << 5) /* illegal vector sent */
#define ERROR_RECEIVE    (1u << 6)
#define ERROR_REGISTER   (1u << 7)

/* Register numbers: the address over 16, or the MSR less 800h. Registers of 256 bits have eight. */
enum lapic_register {
    REGISTER_ID = 0x02,
    REGISTER_VERSION = 0x03,
    REGISTER_TPR = 0x08,
    REGISTER_APR = 0x09,
    REGISTER_PPR = 0x0a,
    REGISTER_EOI = 0x0b,
    REGISTER_LDR = 0x0d,
    REGISTER_DFR = 0x0e,
    REGISTER_SVR = 0x0f,
    REGISTER_ISR = 0x10,
    REGISTER_TMR = 0x18,
    REGISTER_IRR = 0x20,
    REGISTER_ESR = 0x28,
    REGISTER_ICR_LOW = 0x30,
    REGISTER_ICR_HIGH = 0x31,
    REGISTER_LVT = 0x32,
    REGISTER_TIMER_INITIAL = 0x38,
    REGISTER_TIMER_CURRENT = 0x39,
    REGISTER_TIMER_DIVIDE = 0x3e,
    REGISTER_SELF_IPI = 0x3f,
};

enum delivery_mode {
    MODE_FIXED = 0,
    MODE_LOWEST = 1,
    MODE_SMI = 2,
    MODE_NMI = 4,
    MODE_INIT = 5,
    MODE_STARTUP = 6,
    MODE_EXTINT = 7,
};

static inline bool lapic_enabled(const struct lapic *lapic)
{
    return lapic->base & LAPIC_BASE_ENABLED;
}

static inline bool lapic_x2apic(const struct lapic *lapic)
{
    return lapic->base & LAPIC_BASE_X2APIC;
}

/* The processor priority, 0 to 255. */
unsigned lapic_processor_priority(const struct lapic *lapic);
uint32_t lapic_logical_id(const struct lapic *lapic);

/* Delivers to this lapic, from any thread; whether it accepts. */
bool lapic_deliver(struct lapic *lapic, unsigned mode, uint8_t vector, bool level);
/* A local interrupt by its LVT entry. */
void lapic_deliver_local(struct lapic *lapic, enum lapic_lvt entry);
void lapic_error(struct lapic *lapic, uint32_t error);
uint32_t lapic_version(void);
/* What asserting a pin means; `rises`: it was not asserted. */
void lapic_lint_update(struct lapic *lapic, unsigned pin, bool rises);

/* Sends what the interrupt command register says. */
void lapic_send_ipi(struct lapic *lapic, uint64_t icr);

void lapic_timer_due(void *lapic);
/* Of a lapic that is lent: what it counts, which stands still from then on; whether it does count. */
bool lapic_timer_lend(struct lapic *lapic, uint32_t *current);
/* It counts so from now on; the LVT entry and the divisor are there already. */
void lapic_timer_return(struct lapic *lapic, uint32_t initial, uint32_t current, uint64_t tsc_deadline);
void lapic_timer_reset(struct lapic *lapic);
uint32_t lapic_timer_current(const struct lapic *lapic);
void lapic_timer_set_initial(struct lapic *lapic, uint32_t value);
void lapic_timer_set_divide(struct lapic *lapic, uint32_t value);
void lapic_timer_set_lvt(struct lapic *lapic, uint32_t value);
uint64_t lapic_timer_tsc_deadline(const struct lapic *lapic);
void lapic_timer_set_tsc_deadline(struct lapic *lapic, uint64_t value);

#endif
