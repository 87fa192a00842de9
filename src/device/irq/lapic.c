/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APIC's registers, priorities and local interrupts. Sections are those of Intel's manual, volume
 * 3, chapter "Advanced Programmable Interrupt Controller (APIC)". */
#include "device/irq/lapic.h"

#include "device/irq/lapic_private.h"

/* Six LVT entries, EOI broadcasts can be suppressed. */
/* 14h is the version that other virtual machines have, and that test kernels ask for. */
#define VERSION (0x14 | (LAPIC_LVT_COUNT - 1) << 16 | 1 << 24)

#define MSR_BASE         0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC       0x800

/* "Local Vector Table": what can be written, and what can be read besides. */
static const uint32_t lvt_writable[LAPIC_LVT_COUNT] = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};
#define LVT_READ_ONLY (1u << 12 | LVT_REMOTE_IRR)

#define ICR_WRITABLE UINT64_C(0xffffffff000ccfff)

static const struct device_field lapic_fields[] = {
    DEVICE_FIELD(struct lapic, base),
    DEVICE_FIELD(struct lapic, id),
    DEVICE_FIELD(struct lapic, tpr),
    DEVICE_FIELD(struct lapic, ldr),
    DEVICE_FIELD(struct lapic, dfr),
    DEVICE_FIELD(struct lapic, svr),
    DEVICE_ARRAY(struct lapic, irr),
    DEVICE_ARRAY(struct lapic, isr),
    DEVICE_ARRAY(struct lapic, tmr),
    DEVICE_FIELD(struct lapic, errors),
    DEVICE_FIELD(struct lapic, esr),
    DEVICE_FIELD(struct lapic, icr),
    DEVICE_ARRAY(struct lapic, lvt),
    DEVICE_FIELD(struct lapic, lint),
    DEVICE_FIELD(struct lapic, events),
    DEVICE_FIELD(struct lapic, sipi_vector),
    DEVICE_FIELD(struct lapic, timer_initial),
    DEVICE_FIELD(struct lapic, timer_divide),
    DEVICE_LIMITED(struct lapic, timer_counts, 1),
    DEVICE_FIELD(struct lapic, timer_start),
    DEVICE_FIELD(struct lapic, tsc_deadline),
    DEVICE_FIELD(struct lapic, tsc_offset),
    DEVICE_FIELD(struct lapic, timer_due),
    DEVICE_TIMER_FIELD(struct lapic, timer),
};

static int highest(const _Atomic uint32_t bits[8])
{
    for (int i = 7; i >= 0; i--) {
        uint32_t word = atomic_load_explicit(&bits[i], memory_order_relaxed);
        if (word)
            return 32 * i + 31 - __builtin_clz(word);
    }
    return -1;
}

static bool bit_test(const _Atomic uint32_t bits[8], unsigned vector)
{
    return bits[vector / 32] >> vector % 32 & 1;
}

static void bit_set(_Atomic uint32_t bits[8], unsigned vector)
{
    atomic_fetch_or(&bits[vector / 32], UINT32_C(1) << vector % 32);
}

static void bit_clear(_Atomic uint32_t bits[8], unsigned vector)
{
    atomic_fetch_and(&bits[vector / 32], ~(UINT32_C(1) << vector % 32));
}

static void lapic_kick(struct lapic *lapic)
{
    const struct lapic_host *host = &lapic->bus->host;
    if (host->kick)
        host->kick(host->opaque, lapic->vcpu);
}

static void lapic_add_event(struct lapic *lapic, uint32_t event)
{
    atomic_fetch_or(&lapic->events, event);
    lapic_kick(lapic);
}

static void add_nmi(struct lapic *lapic)
{
    if (atomic_fetch_or(&lapic->events, LAPIC_NMI) & LAPIC_NMI)
        atomic_fetch_or(&lapic->events, LAPIC_NMI_AGAIN);
    lapic_kick(lapic);
}

/* "Task and Processor Priorities". */
unsigned lapic_processor_priority(const struct lapic *lapic)
{
    int serving = highest(lapic->isr);
    unsigned class = serving < 0 ? 0 : (unsigned)serving & 0xf0, tpr = lapic->tpr;
    return (tpr & 0xf0) >= class ? tpr : class;
}

/* The vector in `irr` that may interrupt now, or -1. */
static int lapic_deliverable(const struct lapic *lapic)
{
    int vector = highest(lapic->irr);
    if (UNLIKELY(lapic->automatic != NULL)) {
        const int automatic = highest(lapic->automatic);
        vector = MAX(vector, automatic);
    }
    return vector >= 0 && (unsigned)vector >> 4 > lapic_processor_priority(lapic) >> 4 ? vector : -1;
}

/* The 8259's request: by LINT0 as an ExtINT entry, or past a lapic that is switched off. */
static bool lapic_extint(const struct lapic *lapic)
{
    uint32_t lint0 = lapic->lvt[LAPIC_LVT_LINT0];
    if (!lapic_enabled(lapic))
        return lapic->lint & 1;
    return (lapic->events & LAPIC_EXTINT_MESSAGE) ||
           ((lapic->lint & 1) && !(lint0 & LVT_MASKED) && (lint0 >> 8 & 7) == MODE_EXTINT);
}

int lapic_pending(const struct lapic *lapic)
{
    if (lapic_extint(lapic))
        return LAPIC_EXTINT;
    int vector = lapic_enabled(lapic) ? lapic_deliverable(lapic) : -1;
    return vector < 0 ? LAPIC_NONE : vector;
}

int lapic_acknowledge(struct lapic *lapic)
{
    int vector = lapic_pending(lapic);
    if (vector == LAPIC_EXTINT) {
        atomic_fetch_and(&lapic->events, ~(uint32_t)LAPIC_EXTINT_MESSAGE);
    } else if (vector >= 0 && lapic->automatic && bit_test(lapic->automatic, (unsigned)vector)) {
        bit_clear(lapic->automatic, (unsigned)vector);
    } else if (vector >= 0) {
        bit_clear(lapic->irr, (unsigned)vector);
        bit_set(lapic->isr, (unsigned)vector);
    }
    return vector;
}

uint32_t lapic_take_events(struct lapic *lapic)
{
    return atomic_fetch_and(&lapic->events, LAPIC_EXTINT_MESSAGE) & ~(uint32_t)LAPIC_EXTINT_MESSAGE;
}

bool lapic_has_events(const struct lapic *lapic)
{
    return lapic->events & ~(uint32_t)LAPIC_EXTINT_MESSAGE;
}

/* "Error Handling": kept until software asks, and told of by an interrupt of its own. */
void lapic_error(struct lapic *lapic, uint32_t error)
{
    if (!(atomic_fetch_or(&lapic->errors, error) & error))
        lapic_deliver_local(lapic, LAPIC_LVT_ERROR);
}

bool lapic_deliver(struct lapic *lapic, unsigned mode, uint8_t vector, bool level)
{
    switch (mode) {
    case MODE_FIXED:
    case MODE_LOWEST:
        if (!(lapic->svr & SVR_ENABLED))
            return false;
        if (vector < 16) {
            lapic_error(lapic, ERROR_RECEIVE);
            return false;
        }
        (level ? bit_set : bit_clear)(lapic->tmr, vector);
        bit_set(lapic->irr, vector);
        lapic_kick(lapic);
        return true;
    case MODE_SMI: lapic_add_event(lapic, LAPIC_SMI); return true;
    case MODE_NMI: add_nmi(lapic); return true;
    case MODE_INIT: lapic_add_event(lapic, LAPIC_INIT); return true;
    case MODE_STARTUP:
        lapic->sipi_vector = vector;
        lapic_add_event(lapic, LAPIC_SIPI);
        return true;
    case MODE_EXTINT: lapic_add_event(lapic, LAPIC_EXTINT_MESSAGE); return true;
    }
    return false;
}

void lapic_deliver_local(struct lapic *lapic, enum lapic_lvt entry)
{
    uint32_t lvt = lapic->lvt[entry];
    bool fixed_only = entry == LAPIC_LVT_TIMER || entry == LAPIC_LVT_ERROR;
    unsigned mode = fixed_only ? MODE_FIXED : lvt >> 8 & 7;
    if ((lvt & LVT_MASKED) || !lapic_enabled(lapic))
        return;
    if (entry == LAPIC_LVT_ERROR && (lvt & 0xff) < 16)
        return; /* the error interrupt's own vector is illegal: the bit is set, once is enough */
    if (mode != MODE_LOWEST && mode != MODE_STARTUP && mode != MODE_EXTINT)
        lapic_deliver(lapic, mode, (uint8_t)lvt, false);
}

/* A LINT pin with a fixed, level-triggered entry asks until it is taken, and again after its EOI. */
void lapic_lint_update(struct lapic *lapic, unsigned pin, bool rises)
{
    enum lapic_lvt entry = pin ? LAPIC_LVT_LINT1 : LAPIC_LVT_LINT0;
    uint32_t lvt = lapic->lvt[entry];
    if (!lapic_enabled(lapic)) {
        if (rises && pin)
            add_nmi(lapic); /* the pins are INTR and NMI then */
        else
            lapic_kick(lapic);
        return;
    }
    if ((lvt >> 8 & 7) == MODE_FIXED && (lvt & LVT_LEVEL)) {
        if ((lapic->lint >> pin & 1) && !(lvt & (LVT_MASKED | LVT_REMOTE_IRR)) &&
            lapic_deliver(lapic, MODE_FIXED, (uint8_t)lvt, true))
            atomic_fetch_or(&lapic->lvt[entry], LVT_REMOTE_IRR);
    } else if (rises) {
        lapic_deliver_local(lapic, entry);
        lapic_kick(lapic); /* for ExtINT */
    }
}

void lapic_set_lint(struct lapic *lapic, unsigned pin, bool level)
{
    uint32_t bit = UINT32_C(1) << (pin & 1);
    uint32_t before = level ? atomic_fetch_or(&lapic->lint, bit) : atomic_fetch_and(&lapic->lint, ~bit);
    if (level && lapic->lent)
        lapic_add_event(lapic, before & bit ? 0 : pin & 1 ? LAPIC_LINT1_ROSE : LAPIC_LINT0_ROSE);
    else if (level)
        lapic_lint_update(lapic, pin & 1, !(before & bit));
}

bool lapic_interrupt(struct lapic *lapic, uint8_t vector, bool automatic)
{
    const struct lapic_borrower *borrower = &lapic->bus->borrower;
    if (vector < 16)
        return false;
    if (!automatic && borrower->send)
        return borrower->send(borrower->opaque, 0xfee00000 | lapic->initial_id << 12, vector);
    if (!automatic)
        return lapic_enabled(lapic) && lapic_deliver(lapic, MODE_FIXED, vector, false);
    if (!lapic->lent && !(lapic->svr & SVR_ENABLED))
        return false;
    bit_set(lapic->automatic, vector);
    lapic_kick(lapic);
    return true;
}

/* "Signaling Interrupt Servicing Completion". */
static void lapic_eoi(struct lapic *lapic)
{
    int vector = highest(lapic->isr);
    if (vector < 0)
        return;
    bit_clear(lapic->isr, (unsigned)vector);
    if (!bit_test(lapic->tmr, (unsigned)vector))
        return;
    for (unsigned pin = 0; pin < 2; pin++) {
        enum lapic_lvt entry = pin ? LAPIC_LVT_LINT1 : LAPIC_LVT_LINT0;
        uint32_t lvt = lapic->lvt[entry];
        if ((lvt & LVT_REMOTE_IRR) && (lvt & 0xff) == (uint32_t)vector) {
            atomic_fetch_and(&lapic->lvt[entry], ~LVT_REMOTE_IRR);
            lapic_lint_update(lapic, pin, false);
        }
    }
    const struct lapic_host *host = &lapic->bus->host;
    if (!(lapic->svr & SVR_NO_BROADCAST) && host->eoi)
        host->eoi(host->opaque, (uint8_t)vector);
}

uint32_t lapic_version(void)
{
    return VERSION;
}

uint32_t lapic_logical_id(const struct lapic *lapic)
{
    if (lapic_x2apic(lapic)) /* "Deriving Logical x2APIC ID" */
        return lapic->initial_id >> 4 << 16 | UINT32_C(1) << (lapic->initial_id & 15);
    return lapic->ldr;
}

/* False: there is no such register. */
static bool register_read(const struct lapic *lapic, unsigned number, uint32_t *value)
{
    if (number >= REGISTER_ISR && number < REGISTER_ESR) {
        const _Atomic uint32_t *bits = number >= REGISTER_IRR   ? lapic->irr
                                       : number >= REGISTER_TMR ? lapic->tmr
                                                                : lapic->isr;
        *value = bits[number & 7];
        return true;
    }
    if (number >= REGISTER_LVT && number < REGISTER_LVT + LAPIC_LVT_COUNT) {
        *value = lapic->lvt[number - REGISTER_LVT];
        return true;
    }
    switch (number) {
    case REGISTER_ID: *value = lapic_x2apic(lapic) ? lapic->initial_id : lapic->id << 24; return true;
    case REGISTER_VERSION: *value = VERSION; return true;
    case REGISTER_TPR: *value = lapic->tpr; return true;
    case REGISTER_APR:
    case REGISTER_PPR: *value = lapic_processor_priority(lapic); return true;
    case REGISTER_EOI: *value = 0; return true;
    case REGISTER_LDR: *value = lapic_logical_id(lapic); return true;
    case REGISTER_DFR: *value = lapic->dfr; return true;
    case REGISTER_SVR: *value = lapic->svr; return true;
    case REGISTER_ESR: *value = lapic->esr; return true;
    case REGISTER_ICR_LOW: *value = (uint32_t)lapic->icr; return true;
    case REGISTER_ICR_HIGH: *value = (uint32_t)(lapic->icr >> 32); return true;
    case REGISTER_TIMER_INITIAL: *value = lapic->timer_initial; return true;
    case REGISTER_TIMER_CURRENT: *value = lapic_timer_current(lapic); return true;
    case REGISTER_TIMER_DIVIDE: *value = lapic->timer_divide; return true;
    }
    return false;
}

static void lvt_write(struct lapic *lapic, enum lapic_lvt entry, uint32_t value)
{
    value &= lvt_writable[entry];
    if (!(lapic->svr & SVR_ENABLED))
        value |= LVT_MASKED;
    if (entry == LAPIC_LVT_TIMER) {
        lapic_timer_set_lvt(lapic, value);
        return;
    }
    bool level = (value & LVT_LEVEL) && (value >> 8 & 7) == MODE_FIXED;
    lapic->lvt[entry] = value | (level ? lapic->lvt[entry] & LVT_REMOTE_IRR : 0);
    if (entry == LAPIC_LVT_LINT0 || entry == LAPIC_LVT_LINT1)
        lapic_lint_update(lapic, entry == LAPIC_LVT_LINT1, false);
}

/* "Local APIC State After It Has Been Software Disabled": all entries are masked. */
static void svr_write(struct lapic *lapic, uint32_t value)
{
    const uint32_t before = lapic->svr;
    lapic->svr = value & (0xff | SVR_ENABLED | SVR_NO_BROADCAST);
    if (lapic->svr & ~before & SVR_ENABLED)
        lapic_add_event(lapic, LAPIC_SWITCHED_ON);
    if (!(value & SVR_ENABLED))
        for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
            lapic->lvt[i] |= LVT_MASKED;
}

/* False: there is no such register, or it cannot be written. */
static bool register_write(struct lapic *lapic, unsigned number, uint32_t value)
{
    if (number >= REGISTER_LVT && number < REGISTER_LVT + LAPIC_LVT_COUNT) {
        lvt_write(lapic, number - REGISTER_LVT, value);
        return true;
    }
    switch (number) {
    case REGISTER_ID: lapic->id = value >> 24; return true;
    case REGISTER_TPR: lapic->tpr = value & 0xff; return true;
    case REGISTER_EOI: lapic_eoi(lapic); return true;
    case REGISTER_LDR: lapic->ldr = value & 0xff000000; return true;
    case REGISTER_DFR: lapic->dfr = value | 0x0fffffff; return true;
    case REGISTER_SVR: svr_write(lapic, value); return true;
    case REGISTER_ESR: lapic->esr = atomic_exchange(&lapic->errors, 0); return true;
    case REGISTER_ICR_LOW:
        lapic->icr = (lapic->icr >> 32 << 32) | (value & ICR_WRITABLE);
        lapic_send_ipi(lapic, lapic->icr);
        return true;
    case REGISTER_ICR_HIGH:
        lapic->icr = (uint64_t)(value & 0xff000000) << 32 | (uint32_t)lapic->icr;
        return true;
    case REGISTER_TIMER_INITIAL: lapic_timer_set_initial(lapic, value); return true;
    case REGISTER_TIMER_DIVIDE: lapic_timer_set_divide(lapic, value); return true;
    }
    return false;
}

bool lapic_page(const struct lapic *lapic, uint64_t *address)
{
    uint64_t base = lapic->base;
    *address = base & lapic->address_mask & ~UINT64_C(0xfff);
    return (base & LAPIC_BASE_ENABLED) && !(base & LAPIC_BASE_X2APIC);
}

uint64_t lapic_mmio_read(struct lapic *lapic, uint64_t offset, unsigned size)
{
    uint32_t value = 0;
    if (offset % 16 + size > 4 || offset >= LAPIC_SIZE)
        return 0; /* undefined: registers have 4 bytes of 16 */
    if (offset >= 0x400 || !register_read(lapic, (unsigned)offset / 16, &value))
        lapic_error(lapic, ERROR_REGISTER);
    return value >> (8 * (offset % 4));
}

void lapic_mmio_write(struct lapic *lapic, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset % 16 || size != 4 || offset >= LAPIC_SIZE)
        return;
    if (offset >= 0x400 || !register_write(lapic, (unsigned)offset / 16, (uint32_t)value))
        lapic_error(lapic, ERROR_REGISTER);
}

static bool x2apic_read(const struct lapic *lapic, unsigned number, uint64_t *value)
{
    uint32_t low = 0;
    if (number == REGISTER_ICR_LOW) {
        *value = lapic->icr;
        return true;
    }
    if (number == REGISTER_EOI || number == REGISTER_DFR || number == REGISTER_APR ||
        number == REGISTER_ICR_HIGH || !register_read(lapic, number, &low))
        return false;
    *value = low;
    return true;
}

/* Which bits of the register may be written as ones; the others fault. Table "x2APIC ... MSR Address Space".
 */
static uint64_t x2apic_writable(unsigned number)
{
    if (number >= REGISTER_LVT && number < REGISTER_LVT + LAPIC_LVT_COUNT)
        return lvt_writable[number - REGISTER_LVT] | LVT_READ_ONLY;
    switch (number) {
    case REGISTER_TPR:
    case REGISTER_SELF_IPI: return 0xff;
    case REGISTER_SVR: return 0xff | SVR_ENABLED | SVR_NO_BROADCAST;
    case REGISTER_ICR_LOW: return ICR_WRITABLE;
    case REGISTER_TIMER_INITIAL: return UINT32_MAX;
    case REGISTER_TIMER_DIVIDE: return 11;
    }
    return 0; /* EOI and ESR, or not at all */
}

static bool x2apic_write(struct lapic *lapic, unsigned number, uint64_t value)
{
    if ((value & ~x2apic_writable(number)) || number == REGISTER_ID || number == REGISTER_LDR ||
        number == REGISTER_DFR || number == REGISTER_ICR_HIGH)
        return false;
    if (number == REGISTER_ICR_LOW) {
        lapic->icr = value;
        lapic_send_ipi(lapic, value);
        return true;
    }
    if (number == REGISTER_SELF_IPI) {
        lapic_deliver(lapic, MODE_FIXED, (uint8_t)value, false);
        return true;
    }
    return register_write(lapic, number, (uint32_t)value);
}

/* "Local APIC State After Power-Up or Reset"; what is asserted at the pins stays. */
static void registers_reset(struct lapic *lapic)
{
    lapic->id = lapic->initial_id & 0xff;
    lapic->tpr = lapic->ldr = 0;
    lapic->dfr = UINT32_MAX;
    lapic->svr = 0xff;
    for (unsigned i = 0; i < 8; i++)
        lapic->irr[i] = lapic->isr[i] = lapic->tmr[i] = 0;
    for (unsigned i = 0; lapic->automatic && i < 8; i++)
        lapic->automatic[i] = 0;
    lapic->errors = lapic->esr = 0;
    lapic->icr = 0;
    for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
        lapic->lvt[i] = LVT_MASKED;
    atomic_fetch_and(&lapic->events, ~(uint32_t)LAPIC_EXTINT_MESSAGE);
    lapic_timer_reset(lapic);
}

/* "x2APIC State Transitions". */
static bool base_write(struct lapic *lapic, uint64_t value)
{
    uint64_t before = lapic->base;
    uint64_t flags = LAPIC_BASE_BSP | LAPIC_BASE_X2APIC | LAPIC_BASE_ENABLED;
    bool on = value & LAPIC_BASE_ENABLED, x2apic = value & LAPIC_BASE_X2APIC;
    if ((value & ~(lapic->address_mask & ~UINT64_C(0xfff)) & ~flags) || (x2apic && !on))
        return false;
    if (((before & LAPIC_BASE_X2APIC) && on && !x2apic) || (!(before & LAPIC_BASE_ENABLED) && x2apic))
        return false;
    lapic->base = value;
    if ((before & LAPIC_BASE_ENABLED) && !on)
        registers_reset(lapic);
    return true;
}

bool lapic_msr_read(struct lapic *lapic, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_BASE: *value = lapic->base; return true;
    case MSR_TSC_DEADLINE: *value = lapic_timer_tsc_deadline(lapic); return true;
    }
    return msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x40 && lapic_x2apic(lapic) &&
           x2apic_read(lapic, msr - MSR_X2APIC, value);
}

bool lapic_msr_write(struct lapic *lapic, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case MSR_BASE: return base_write(lapic, value);
    case MSR_TSC_DEADLINE: lapic_timer_set_tsc_deadline(lapic, value); return true;
    }
    return msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x40 && lapic_x2apic(lapic) &&
           x2apic_write(lapic, msr - MSR_X2APIC, value);
}

uint8_t lapic_priority_class(const struct lapic *lapic)
{
    return lapic->tpr >> 4 & 15;
}

void lapic_set_priority_class(struct lapic *lapic, uint8_t class)
{
    lapic->tpr = (uint32_t)(class & 15) << 4;
}

void lapic_init_processor(struct lapic *lapic)
{
    registers_reset(lapic);
}

void lapic_set_virtual_wire(struct lapic *lapic)
{
    lapic->svr = 0xff | SVR_ENABLED;
    lapic->lvt[LAPIC_LVT_LINT0] = MODE_EXTINT << 8;
    lapic->lvt[LAPIC_LVT_LINT1] = MODE_NMI << 8;
}

static void lapic_reset(void *opaque)
{
    struct lapic *lapic = opaque;
    lapic->base = 0xfee00000 | LAPIC_BASE_ENABLED | (lapic->vcpu ? 0 : LAPIC_BASE_BSP);
    lapic->events = 0;
    lapic->sipi_vector = 0;
    lapic->tsc_offset = 0;
    registers_reset(lapic);
}

const struct device_type lapic_type = {
    .name = "lapic",
    .version = 1,
    .fields = lapic_fields,
    .field_count = ARRAY_SIZE(lapic_fields),
    .reset = lapic_reset,
};

void lapic_init(struct lapic *lapic, struct lapic_bus *bus, unsigned vcpu, uint32_t id, unsigned address_bits,
                struct timers *timers)
{
    *lapic = (struct lapic){
        .bus = bus,
        .vcpu = vcpu,
        .initial_id = id,
        .address_mask = (UINT64_C(1) << address_bits) - 1,
        .clock = &timers->clock,
        .tsc_hz = LAPIC_TIMER_HZ,
    };
    timer_init(&lapic->timer, timers, lapic_timer_due, lapic);
    lapic_reset(lapic);
}
