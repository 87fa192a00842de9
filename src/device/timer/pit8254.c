/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8254 interval timer. Sections are those of the data sheet; "Mode Definitions" above all. */
#include "device/timer/pit8254.h"

#include <errno.h>

#define REFRESH_TICKS 18 /* the usual period of memory refresh, which port 61h shows: 15 us */

static const struct device_field counter_fields[] = {
    DEVICE_LIMITED(struct pit8254_counter, mode, 5),
    DEVICE_LIMITED(struct pit8254_counter, access, 3),
    DEVICE_FIELD(struct pit8254_counter, bcd),
    DEVICE_FIELD(struct pit8254_counter, gate),
    DEVICE_FIELD(struct pit8254_counter, loaded),
    DEVICE_FIELD(struct pit8254_counter, reload_pending),
    DEVICE_FIELD(struct pit8254_counter, null_count),
    DEVICE_FIELD(struct pit8254_counter, write_high),
    DEVICE_FIELD(struct pit8254_counter, read_high),
    DEVICE_FIELD(struct pit8254_counter, status_latched),
    DEVICE_FIELD(struct pit8254_counter, status),
    DEVICE_LIMITED(struct pit8254_counter, latched, 3),
    DEVICE_FIELD(struct pit8254_counter, latch),
    DEVICE_FIELD(struct pit8254_counter, written),
    DEVICE_LIMITED(struct pit8254_counter, count, 65536),
    DEVICE_FIELD(struct pit8254_counter, start),
    DEVICE_FIELD(struct pit8254_counter, stopped),
};

static const struct device_field pit_fields[] = {
    DEVICE_STRUCTS(struct pit8254, counters, counter_fields),
    DEVICE_FIELD(struct pit8254, port61),
    DEVICE_FIELD(struct pit8254, seen),
    DEVICE_FIELD(struct pit8254, output),
    DEVICE_TIMER_FIELD(struct pit8254, timer),
};

static uint64_t pit_tick(const struct pit8254 *pit)
{
    return clock_ticks(clock_now(pit->clock), PIT_HZ);
}

static bool counter_periodic(const struct pit8254_counter *c)
{
    return c->mode == 2 || c->mode == 3;
}

static bool counter_triggered(const struct pit8254_counter *c)
{
    return c->mode == 1 || c->mode == 5;
}

/* Ticks since the count was loaded; negative: it is loaded with the next tick. */
static int64_t counter_elapsed(const struct pit8254_counter *c, uint64_t tick)
{
    return c->stopped ? c->start : (int64_t)tick - c->start;
}

static uint32_t counter_modulus(const struct pit8254_counter *c)
{
    return c->bcd ? 10000 : 65536;
}

/* What the bytes that were written count: BCD or binary, 0 is the largest. */
static uint32_t counter_value(const struct pit8254_counter *c)
{
    uint32_t value = c->written;
    if (c->bcd)
        value = (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 + (value & 15);
    return value ? value : counter_modulus(c);
}

static bool counter_output(const struct pit8254_counter *c, uint64_t tick)
{
    if (!c->loaded)
        return c->mode != 0;
    int64_t elapsed = counter_elapsed(c, tick), count = c->count;
    if (elapsed < 0)
        return c->mode != 0;
    switch (c->mode) {
    case 0:
    case 1: return elapsed >= count;
    case 2: return c->stopped || elapsed % count != count - 1;
    case 3: return c->stopped || elapsed % count < (count + 1) / 2;
    default: return elapsed != count;
    }
}

/* The counting element. */
static uint16_t counter_current(const struct pit8254_counter *c, uint64_t tick)
{
    int64_t elapsed = counter_elapsed(c, tick), count = c->count, value;
    if (!c->loaded || elapsed < 0) {
        value = count;
    } else if (c->mode == 2) {
        value = count - elapsed % count;
    } else if (c->mode == 3) { /* by two, twice through; an odd count is loaded as the even one below */
        int64_t at = elapsed % count, half = (count + 1) / 2;
        value = (count & ~INT64_C(1)) - 2 * (at < half ? at : at - half);
    } else { /* goes on below zero */
        int64_t modulus = counter_modulus(c);
        value = (count - elapsed % modulus + modulus) % modulus;
    }
    value %= counter_modulus(c);
    if (!c->bcd)
        return (uint16_t)value;
    return (uint16_t)(value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10);
}

/* How often the output has risen up to a tick, since the count was loaded. */
static int64_t counter_rises(const struct pit8254_counter *c, uint64_t tick)
{
    int64_t elapsed = counter_elapsed(c, tick), count = c->count;
    if (!c->loaded || c->stopped || elapsed < 0)
        return 0;
    switch (c->mode) {
    case 2:
    case 3: return elapsed / count;
    case 4:
    case 5: return elapsed > count;
    default: return elapsed >= count;
    }
}

/* The next tick at which the interrupt line changes: where it rises, and in mode 3 where it falls. */
static uint64_t counter_next(const struct pit8254_counter *c, uint64_t tick)
{
    int64_t elapsed = counter_elapsed(c, tick), count = c->count, next;
    if (!c->loaded || c->stopped)
        return UINT64_MAX;
    switch (c->mode) {
    case 2:
    case 3:
        next = elapsed < 0 ? count : elapsed - elapsed % count + count;
        if (c->mode == 3 && next - count / 2 > elapsed)
            next -= count / 2;
        break;
    case 4:
    case 5: next = count + 1; break;
    default: next = count;
    }
    return next > elapsed ? (uint64_t)(c->start + next) : UINT64_MAX;
}

/* Puts the count that was written into the counting element, for good or with the next tick. */
static void counter_load(struct pit8254_counter *c, int64_t start)
{
    c->count = counter_value(c);
    c->start = start;
    c->loaded = true;
    c->stopped = false;
    c->reload_pending = c->null_count = false;
}

/* A count that waits for the end of a period is loaded there. */
static void counter_catch_up(struct pit8254_counter *c, uint64_t end)
{
    if (c->reload_pending && counter_periodic(c))
        counter_load(c, (int64_t)end);
}

static uint64_t counter_period_end(const struct pit8254_counter *c)
{
    return (uint64_t)(c->start + c->count);
}

/* Counter 0: drives the interrupt line for all that has happened since the last time. Edges that nobody could
 * see are one. */
static void pit_sync(struct pit8254 *pit)
{
    uint64_t tick = pit_tick(pit);
    for (unsigned i = 0; i < 3; i++) {
        struct pit8254_counter *c = &pit->counters[i];
        bool ends = c->reload_pending && counter_periodic(c) && c->loaded && !c->stopped &&
                    (int64_t)tick >= c->start + (int64_t)c->count;
        if (i == 0) {
            uint64_t seen = MIN(pit->seen, tick);
            if (counter_rises(c, tick) > counter_rises(c, seen)) {
                irq_pulse(&pit->irq);
                pit->output = true;
            }
            pit->seen = tick;
        }
        if (ends) /* the count was written within the first period that `start` and `count` describe */
            counter_catch_up(c, counter_period_end(c));
    }
    bool output = counter_output(&pit->counters[0], tick);
    if (output != pit->output)
        irq_set(&pit->irq, output);
    pit->output = output;
}

/* After any change to counter 0. */
static void pit_update(struct pit8254 *pit)
{
    pit_sync(pit);
    uint64_t next = counter_next(&pit->counters[0], pit->seen);
    timer_set(&pit->timer, next == UINT64_MAX ? TIMER_NEVER : clock_ticks_time(next, PIT_HZ));
}

static void pit_due(void *opaque)
{
    pit_update(opaque);
}

/* The start of the period that a tick is in becomes the counter's start, so that its first period is the one
 * that ends next. */
static void counter_rebase(struct pit8254_counter *c, uint64_t tick)
{
    int64_t elapsed = counter_elapsed(c, tick);
    if (c->loaded && !c->stopped && counter_periodic(c) && elapsed > 0)
        c->start += elapsed - elapsed % c->count;
}

/* A complete count has been written. */
static void counter_written(struct pit8254_counter *c, uint64_t tick)
{
    bool counting = c->loaded && !c->stopped;
    c->null_count = true;
    if (counter_triggered(c)) {
        c->reload_pending = true; /* for the next trigger */
    } else if (counter_periodic(c) && counting && counter_elapsed(c, tick) >= 0) {
        counter_rebase(c, tick);
        c->reload_pending = true;
    } else {
        counter_load(c, (int64_t)tick + 1);
        if (!c->gate) {
            c->stopped = true;
            c->start = 0;
        }
    }
}

static void counter_set_gate(struct pit8254_counter *c, uint64_t tick, bool gate)
{
    bool rises = gate && !c->gate, falls = !gate && c->gate;
    c->gate = gate;
    if (counter_triggered(c)) {
        if (rises && (c->loaded || c->null_count))
            counter_load(c, (int64_t)tick + 1);
        return;
    }
    if (!c->loaded)
        return;
    if (rises && counter_periodic(c)) {
        counter_load(c, (int64_t)tick + 1);
    } else if (rises && c->stopped) {
        c->start = (int64_t)tick - c->start;
        c->stopped = false;
    } else if (falls && !c->stopped) {
        c->start = counter_elapsed(c, tick);
        c->stopped = true;
    }
}

static void counter_latch(struct pit8254_counter *c, uint64_t tick)
{
    if (c->latched) /* "Counter Latch Command": the first one counts until it has been read */
        return;
    c->latch = counter_current(c, tick);
    c->latched = c->access;
}

/* "Read-Back Command", figure 11. */
static void counter_latch_status(struct pit8254_counter *c, uint64_t tick)
{
    if (c->status_latched)
        return;
    bool null = c->null_count || (c->loaded && counter_elapsed(c, tick) < 0);
    c->status = (uint8_t)(counter_output(c, tick) << 7 | null << 6 | c->access << 4 | c->mode << 1 | c->bcd);
    c->status_latched = true;
}

static void counter_control(struct pit8254_counter *c, uint8_t value)
{
    bool gate = c->gate;
    *c = (struct pit8254_counter){
        .mode = value >> 1 & 7,
        .access = value >> 4 & 3,
        .bcd = value & 1,
        .gate = gate,
        .null_count = true,
        .count = 65536,
    };
    if (c->mode > 5) /* 6 and 7 are 2 and 3 */
        c->mode &= 3;
    c->write_high = c->read_high = c->access == 2;
    c->count = counter_modulus(c);
}

static void pit_control(struct pit8254 *pit, uint8_t value)
{
    unsigned which = value >> 6;
    if (which < 3 && !(value & 0x30)) {
        counter_latch(&pit->counters[which], pit->seen);
    } else if (which < 3) {
        counter_control(&pit->counters[which], value);
    } else {
        for (unsigned i = 0; i < 3; i++) {
            if (!(value >> i & 2))
                continue;
            if (!(value & 0x20))
                counter_latch(&pit->counters[i], pit->seen);
            if (!(value & 0x10))
                counter_latch_status(&pit->counters[i], pit->seen);
        }
    }
}

static void pit_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct pit8254 *pit = opaque;
    (void)size;
    pit_sync(pit);
    if (offset == 3) {
        pit_control(pit, (uint8_t)value);
        pit_update(pit);
        return;
    }
    struct pit8254_counter *c = &pit->counters[offset];
    if (!c->write_high)
        c->written = (uint16_t)((c->access == 3 ? c->written & 0xff00 : 0) | (uint8_t)value);
    else
        c->written = (uint16_t)((c->access == 3 ? c->written & 0xff : 0) | (uint8_t)value << 8);
    bool complete = c->access != 3 || c->write_high;
    if (c->access == 3)
        c->write_high = !c->write_high;
    if (complete)
        counter_written(c, pit->seen);
    else if (c->mode == 0)
        c->loaded = false; /* the first byte stops counting, and the output goes low */
    pit_update(pit);
}

static uint64_t pit_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pit8254 *pit = opaque;
    (void)size;
    if (offset == 3)
        return 0xff; /* no operation; nobody drives the bus */
    pit_sync(pit);
    struct pit8254_counter *c = &pit->counters[offset];
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    bool high = c->read_high;
    if (c->access == 3)
        c->read_high = !high;
    uint16_t value = c->latched ? c->latch : counter_current(c, pit->seen);
    c->latched &= high ? 1 : 2;
    return high ? value >> 8 : value & 0xff;
}

/* Port 61h. */
static uint64_t port61_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pit8254 *pit = opaque;
    (void)offset, (void)size;
    pit_sync(pit);
    return pit->port61 | (pit->seen / REFRESH_TICKS & 1) << 4 |
           (uint64_t)counter_output(&pit->counters[2], pit->seen) << 5;
}

static void port61_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct pit8254 *pit = opaque;
    (void)offset, (void)size;
    pit_sync(pit);
    pit->port61 = value & 15;
    counter_set_gate(&pit->counters[2], pit->seen, value & 1);
}

static const struct access_ops pit_ops = {pit_read, pit_write, 1};
static const struct access_ops port61_ops = {port61_read, port61_write, 1};

static void pit_reset(void *opaque)
{
    struct pit8254 *pit = opaque;
    for (unsigned i = 0; i < 3; i++) {
        pit->counters[i].gate = i < 2;
        counter_control(&pit->counters[i], 0x36); /* undefined in the data sheet: mode 3, without a count */
    }
    pit->port61 = 0;
    pit->seen = pit_tick(pit);
    pit_update(pit);
}

/* Counts divide, and nothing has been loaded in the future. */
static int pit_loaded(void *opaque, struct error *error)
{
    struct pit8254 *pit = opaque;
    int64_t most = (int64_t)pit_tick(pit) + 1;
    for (unsigned i = 0; i < 3; i++) {
        const struct pit8254_counter *c = &pit->counters[i];
        if (!c->count || !c->access || c->start > most || c->start < -1)
            return error_set(error, -EINVAL, "counter %u is in a state that cannot be", i);
    }
    return 0;
}

const struct device_type pit8254_type = {
    .name = "pit8254",
    .version = 1,
    .fields = pit_fields,
    .field_count = ARRAY_SIZE(pit_fields),
    .reset = pit_reset,
    .loaded = pit_loaded,
};

void pit8254_init(struct pit8254 *pit, struct timers *timers, struct irq_line irq)
{
    *pit = (struct pit8254){.irq = irq, .clock = &timers->clock};
    timer_init(&pit->timer, timers, pit_due, pit);
    pit_reset(pit);
}

int pit8254_attach(struct pit8254 *pit, struct io_space *io, struct error *error)
{
    bool all = io_add(io, "pit", 0x40, 4, 0, &pit_ops, pit, error) &&
               io_add(io, "port 61h", 0x61, 1, 0, &port61_ops, pit, error);
    return all ? 0 : error->code;
}
