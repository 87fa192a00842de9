/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APIC's timer: section "APIC Timer". It counts at LAPIC_TIMER_HZ over the divisor. What happens in
 * the past, because the machine's loop was late, happens once. */
#include "device/irq/lapic_private.h"

#include "base/macros.h"

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

static unsigned timer_mode(uint32_t lvt)
{
    return lvt >> 17 & 3;
}

/* Divide configuration: bits 0, 1 and 3 are 0 for 2 up to 6 for 128, and 7 for 1. */
static uint64_t timer_divisor(const struct lapic *lapic)
{
    unsigned code = (lapic->timer_divide & 3) | (lapic->timer_divide >> 1 & 4);
    return UINT64_C(1) << ((code + 1) & 7);
}

/* Whichever of vCPU and loop thread comes last: the timer is set to what is due. */
static void timer_follow(struct lapic *lapic)
{
    uint64_t due;
    do {
        due = atomic_load(&lapic->timer_due);
        timer_set(&lapic->timer, due);
    } while (atomic_load(&lapic->timer_due) != due);
}

static void timer_arm(struct lapic *lapic, uint64_t due)
{
    atomic_store(&lapic->timer_due, due);
    timer_follow(lapic);
}

/* From the initial count, the mode and when it was started: when the count reaches zero next. */
static uint64_t timer_next(const struct lapic *lapic, uint64_t now)
{
    uint64_t period = lapic->timer_initial * timer_divisor(lapic), start = lapic->timer_start;
    if (!period || !lapic->timer_counts)
        return TIMER_NEVER;
    if (now < start + period)
        return start + period;
    if (timer_mode(lapic->lvt[LAPIC_LVT_TIMER]) != TIMER_PERIODIC)
        return TIMER_NEVER;
    return now - (now - start) % period + period;
}

/* The vCPU may just have set another time: then this one is over. */
static void timer_reach(struct lapic *lapic, uint64_t now)
{
    uint64_t due = atomic_load(&lapic->timer_due);
    if (due > now)
        return;
    uint64_t next = TIMER_NEVER;
    if (timer_mode(lapic->lvt[LAPIC_LVT_TIMER]) == TIMER_PERIODIC)
        next = timer_next(lapic, now);
    if (!atomic_compare_exchange_strong(&lapic->timer_due, &due, next))
        return;
    timer_follow(lapic);
    lapic_deliver_local(lapic, LAPIC_LVT_TIMER);
}

/* On the loop thread. */
void lapic_timer_due(void *opaque)
{
    struct lapic *lapic = opaque;
    timer_reach(lapic, clock_now(lapic->clock));
}

void lapic_timer_reset(struct lapic *lapic)
{
    lapic->timer_initial = lapic->timer_divide = 0;
    lapic->timer_counts = 0;
    lapic->timer_start = lapic->tsc_deadline = 0;
    timer_arm(lapic, TIMER_NEVER);
}

static uint32_t timer_current(const struct lapic *lapic, uint64_t now)
{
    unsigned mode = timer_mode(lapic->lvt[LAPIC_LVT_TIMER]);
    if (mode == TIMER_TSC_DEADLINE || !lapic->timer_initial || !lapic->timer_counts)
        return 0;
    uint64_t ticks = (now - lapic->timer_start) / timer_divisor(lapic);
    uint32_t initial = lapic->timer_initial;
    if (mode == TIMER_PERIODIC)
        return initial - (uint32_t)(ticks % initial);
    return ticks < initial ? initial - (uint32_t)ticks : 0;
}

uint32_t lapic_timer_current(const struct lapic *lapic)
{
    return timer_current(lapic, clock_now(lapic->clock));
}

void lapic_timer_set_initial(struct lapic *lapic, uint32_t value)
{
    if (timer_mode(lapic->lvt[LAPIC_LVT_TIMER]) == TIMER_TSC_DEADLINE)
        return;
    lapic->timer_initial = value;
    lapic->timer_counts = value != 0;
    lapic->timer_start = clock_now(lapic->clock);
    timer_arm(lapic, timer_next(lapic, lapic->timer_start));
}

/* The count goes on from where it is, at the new speed. */
void lapic_timer_set_divide(struct lapic *lapic, uint32_t value)
{
    uint32_t current = lapic_timer_current(lapic);
    lapic->timer_divide = value & 11;
    if (!current)
        return;
    uint64_t now = clock_now(lapic->clock);
    uint64_t passed = (lapic->timer_initial - current) * timer_divisor(lapic);
    if (passed > now) { /* longer than there has been time: the machine is younger than the timer would be */
        lapic->timer_initial = current;
        passed = 0;
    }
    lapic->timer_start = now - passed;
    timer_arm(lapic, timer_next(lapic, now));
}

void lapic_timer_set_lvt(struct lapic *lapic, uint32_t value)
{
    unsigned before = timer_mode(lapic->lvt[LAPIC_LVT_TIMER]), after = timer_mode(value);
    if (before == after) {
        lapic->lvt[LAPIC_LVT_TIMER] = value;
        return;
    }
    uint64_t now = clock_now(lapic->clock);
    uint32_t current = lapic_timer_current(lapic);
    lapic->lvt[LAPIC_LVT_TIMER] = value;
    if (before == TIMER_TSC_DEADLINE || after >= TIMER_TSC_DEADLINE) { /* the change disarms */
        lapic->timer_initial = 0;
        lapic->timer_counts = 0;
        lapic->tsc_deadline = 0;
        timer_arm(lapic, TIMER_NEVER);
    } else if (current) { /* goes on from where it is */
        lapic->timer_start = now - (lapic->timer_initial - current) * timer_divisor(lapic);
        timer_arm(lapic, timer_next(lapic, now));
    } else {
        lapic->timer_counts = 0; /* a one-shot that is over does not begin again */
    }
}

/* Reads as zero once it has been reached. */
uint64_t lapic_timer_tsc_deadline(const struct lapic *lapic)
{
    return atomic_load(&lapic->timer_due) == TIMER_NEVER ? 0 : lapic->tsc_deadline;
}

/* One that is past fires at once. */
static void deadline_arm(struct lapic *lapic)
{
    uint64_t now = clock_now(lapic->clock), due = now;
    uint64_t tsc = clock_ticks(now, lapic->tsc_hz) + lapic->tsc_offset;
    if (lapic->tsc_deadline > tsc)
        due += MIN(clock_ticks_time(lapic->tsc_deadline - tsc, lapic->tsc_hz), TIMER_NEVER - 1 - now);
    timer_arm(lapic, due);
    lapic_timer_due(lapic);
}

void lapic_timer_set_tsc_deadline(struct lapic *lapic, uint64_t value)
{
    if (timer_mode(lapic->lvt[LAPIC_LVT_TIMER]) != TIMER_TSC_DEADLINE)
        return;
    lapic->tsc_deadline = value;
    if (value)
        deadline_arm(lapic);
    else
        timer_arm(lapic, TIMER_NEVER);
}

void lapic_set_tsc_offset(struct lapic *lapic, uint64_t offset)
{
    lapic->tsc_offset = offset;
    if (lapic_timer_tsc_deadline(lapic) && timer_mode(lapic->lvt[LAPIC_LVT_TIMER]) == TIMER_TSC_DEADLINE)
        deadline_arm(lapic);
}

/* -- lent ------------------------------------------------------------------------------------------------ */

/* The loop may be late. What there is to count is of the same moment: it has interrupted, or it will. */
bool lapic_timer_lend(struct lapic *lapic, uint32_t *current)
{
    const uint64_t now = clock_now(lapic->clock);
    timer_reach(lapic, now);
    *current = timer_current(lapic, now);
    timer_set(&lapic->timer, TIMER_NEVER);
    return *current != 0;
}

/* As from where it is; one that is over stays that. */
static uint64_t count_on(struct lapic *lapic, uint32_t current)
{
    const uint64_t now = clock_now(lapic->clock);
    const uint64_t passed = (lapic->timer_initial - current) * timer_divisor(lapic);
    lapic->timer_counts = current != 0;
    lapic->timer_start = current ? now - MIN(passed, now) : 0;
    return timer_next(lapic, now);
}

void lapic_timer_return(struct lapic *lapic, uint32_t initial, uint32_t current, uint64_t tsc_deadline)
{
    const bool by_tsc = timer_mode(lapic->lvt[LAPIC_LVT_TIMER]) == TIMER_TSC_DEADLINE;
    lapic->timer_initial = initial;
    const uint64_t due = count_on(lapic, by_tsc ? 0 : MIN(current, initial));
    lapic->tsc_deadline = by_tsc ? tsc_deadline : 0;
    timer_arm(lapic, due);
    if (lapic->tsc_deadline)
        deadline_arm(lapic);
}
