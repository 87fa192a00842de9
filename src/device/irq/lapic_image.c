/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APIC's registers while an engine has them elsewhere. */
#include "device/irq/lapic_private.h"

enum timer_mode_bits { MODE_BITS = 3 << 17, MODE_TSC_DEADLINE = 2 << 17 };

/* Those that are as they are read, and can be written. */
#define PLAIN(number, member)                                                                                \
    {                                                                                                        \
        number, offsetof(struct lapic, member), 1                                                            \
    }
#define ROW(number, member)                                                                                  \
    {                                                                                                        \
        number, offsetof(struct lapic, member),                                                              \
            sizeof(((struct lapic *)0)->member) / sizeof(((struct lapic *)0)->member[0])                     \
    }
static const struct {
    uint8_t number;
    uint16_t offset;
    uint8_t count;
} registers[] = {
    PLAIN(REGISTER_TPR, tpr), PLAIN(REGISTER_DFR, dfr),
    PLAIN(REGISTER_SVR, svr), ROW(REGISTER_ISR, isr),
    ROW(REGISTER_TMR, tmr),   ROW(REGISTER_IRR, irr),
    ROW(REGISTER_LVT, lvt),   PLAIN(REGISTER_TIMER_DIVIDE, timer_divide),
};
#undef PLAIN
#undef ROW

static _Atomic uint32_t *register_at(struct lapic *lapic, unsigned entry, unsigned i)
{
    return (_Atomic uint32_t *)((char *)lapic + registers[entry].offset) + i;
}

/* Nothing of it is to be acted upon while it is lent. */
static void empty(struct lapic *lapic)
{
    for (unsigned i = 0; i < 8; i++)
        lapic->irr[i] = lapic->isr[i] = lapic->tmr[i] = 0;
    for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
        lapic->lvt[i] = LVT_MASKED;
    lapic->timer_due = TIMER_NEVER;
}

void lapic_lend(struct lapic *lapic, struct lapic_image *out)
{
    uint32_t current;
    const bool counts = lapic_timer_lend(lapic, &current);
    *out = (struct lapic_image){.base = lapic->base};
    for (unsigned entry = 0; entry < ARRAY_SIZE(registers); entry++) {
        for (unsigned i = 0; i < registers[entry].count; i++)
            out->registers[registers[entry].number + i] = *register_at(lapic, entry, i);
    }
    out->registers[REGISTER_ID] = lapic_x2apic(lapic) ? lapic->initial_id : lapic->id << 24;
    out->registers[REGISTER_VERSION] = lapic_version();
    out->registers[REGISTER_PPR] = lapic_processor_priority(lapic);
    out->registers[REGISTER_LDR] = lapic_logical_id(lapic);
    out->registers[REGISTER_ESR] = lapic->esr;
    out->registers[REGISTER_ICR_LOW] = (uint32_t)lapic->icr;
    out->registers[REGISTER_ICR_HIGH] = (uint32_t)(lapic->icr >> 32);
    out->registers[REGISTER_TIMER_INITIAL] = counts ? lapic->timer_initial : 0;
    out->registers[REGISTER_TIMER_CURRENT] = current;
    if ((lapic->lvt[LAPIC_LVT_TIMER] & MODE_BITS) == MODE_TSC_DEADLINE)
        out->tsc_deadline = lapic_timer_tsc_deadline(lapic);
    lapic->lent_over = !counts;
    lapic->lent = true;
    empty(lapic);
}

void lapic_return(struct lapic *lapic, const struct lapic_image *image)
{
    const uint32_t *from = image->registers;
    uint32_t initial = from[REGISTER_TIMER_INITIAL];
    lapic->base = image->base;
    for (unsigned entry = 0; entry < ARRAY_SIZE(registers); entry++) {
        for (unsigned i = 0; i < registers[entry].count; i++)
            *register_at(lapic, entry, i) = from[registers[entry].number + i];
    }
    if (!lapic_x2apic(lapic)) {
        lapic->id = from[REGISTER_ID] >> 24;
        lapic->ldr = from[REGISTER_LDR];
    }
    lapic->esr = from[REGISTER_ESR];
    lapic->icr = (uint64_t)from[REGISTER_ICR_HIGH] << 32 | from[REGISTER_ICR_LOW];
    if (lapic->lent_over && !initial && !from[REGISTER_TIMER_CURRENT])
        initial = lapic->timer_initial; /* which was not lent: it would have begun anew */
    lapic->lent = false;
    lapic_timer_return(lapic, initial, from[REGISTER_TIMER_CURRENT], image->tsc_deadline);
    for (unsigned pin = 0; pin < 2; pin++) {
        const uint32_t rose = pin ? LAPIC_LINT1_ROSE : LAPIC_LINT0_ROSE;
        if (atomic_fetch_and(&lapic->events, ~rose) & rose)
            lapic_lint_update(lapic, pin, true);
    }
}
