/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HPET. Sections are those of the specification. Comparators are compared when somebody can see it: `seen` is
 * how far. */
#include "device/timer/hpet.h"

#define TICK_NANOSECONDS 10

/* 2.3.4 General capabilities: period in femtoseconds, vendor, legacy routes, 64 bits, three timers,
 * revision 1. */
#define CAPABILITIES                                                                                         \
    (UINT64_C(10000000) << 32 | UINT64_C(0x8086) << 16 | 1 << 15 | 1 << 13 | (HPET_TIMERS - 1) << 8 | 1)

#define CONFIG_ENABLED 1u

/* 2.3.8 Timer N configuration and capabilities. */
#define TIMER_LEVEL        (1u << 1)
#define TIMER_ENABLED      (1u << 2)
#define TIMER_PERIODIC     (1u << 3)
#define TIMER_SET_VALUE    (1u << 6)
#define TIMER_32_BITS      (1u << 8)
#define TIMER_ROUTE(c)     ((c) >> 9 & 31)
#define TIMER_MESSAGES     (1u << 14)
#define TIMER_WRITABLE     (0x7f4eu & ~(1u << 15))
#define TIMER_CAPABILITIES ((uint64_t)HPET_ROUTES << 32 | 1u << 15 | 1u << 5 | 1u << 4)

enum hpet_register {
    HPET_CAPABILITIES = 0x000,
    HPET_CONFIG = 0x010,
    HPET_STATUS = 0x020,
    HPET_COUNTER = 0x0f0,
    HPET_COMPARATORS = 0x100, /* 20h bytes each: configuration, value, message */
};

static const struct device_field comparator_fields[] = {
    DEVICE_FIELD(struct hpet_comparator, config),
    DEVICE_FIELD(struct hpet_comparator, value),
    DEVICE_FIELD(struct hpet_comparator, period),
    DEVICE_FIELD(struct hpet_comparator, message),
};

static const struct device_field hpet_fields[] = {
    DEVICE_FIELD(struct hpet, config),
    DEVICE_FIELD(struct hpet, status),
    DEVICE_FIELD(struct hpet, counter),
    DEVICE_FIELD(struct hpet, seen),
    DEVICE_STRUCTS(struct hpet, comparators, comparator_fields),
    DEVICE_TIMER_FIELD(struct hpet, timer),
};

static uint64_t hpet_counter(const struct hpet *hpet)
{
    uint64_t running = hpet->config & CONFIG_ENABLED ? clock_now(hpet->clock) / TICK_NANOSECONDS : 0;
    return hpet->counter + running;
}

static uint64_t comparator_mask(const struct hpet_comparator *c)
{
    return c->config & TIMER_32_BITS ? UINT32_MAX : UINT64_MAX;
}

/* Ticks from a counter value to the next match, 1 to the counter's range; 0: as good as never. */
static uint64_t comparator_distance(const struct hpet_comparator *c, uint64_t from)
{
    uint64_t distance = (c->value - from) & comparator_mask(c);
    return distance || comparator_mask(c) == UINT64_MAX ? distance : UINT64_C(1) << 32;
}

static bool comparator_legacy(const struct hpet *hpet, unsigned number)
{
    return (hpet->config & HPET_LEGACY) && number < 2;
}

/* Whether anything holds this comparator's line up. */
static bool line_active(const struct hpet *hpet, unsigned number)
{
    const struct hpet_comparator *own = &hpet->comparators[number];
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        const struct hpet_comparator *c = &hpet->comparators[i];
        bool same = i == number || (!comparator_legacy(hpet, i) && !comparator_legacy(hpet, number) &&
                                    TIMER_ROUTE(c->config) == TIMER_ROUTE(own->config));
        if (same && (hpet->status >> i & 1) &&
            (c->config & (TIMER_LEVEL | TIMER_ENABLED | TIMER_MESSAGES)) == (TIMER_LEVEL | TIMER_ENABLED))
            return true;
    }
    return false;
}

static struct irq_line comparator_line(const struct hpet *hpet, unsigned number)
{
    if (comparator_legacy(hpet, number))
        return hpet->legacy[number];
    struct irq_line line = hpet->irq;
    line.number = TIMER_ROUTE(hpet->comparators[number].config);
    if (!(HPET_ROUTES >> line.number & 1))
        line.set = NULL;
    return line;
}

static void comparator_drive(const struct hpet *hpet, unsigned number)
{
    struct irq_line line = comparator_line(hpet, number);
    irq_set(&line, line_active(hpet, number));
}

static void comparator_fire(struct hpet *hpet, unsigned number)
{
    const struct hpet_comparator *c = &hpet->comparators[number];
    if (!(c->config & TIMER_ENABLED))
        return;
    if (c->config & TIMER_MESSAGES) {
        msi_send(&hpet->messages, c->message >> 32, (uint32_t)c->message);
    } else if (c->config & TIMER_LEVEL) {
        hpet->status |= 1u << number;
        comparator_drive(hpet, number);
    } else {
        struct irq_line line = comparator_line(hpet, number);
        irq_pulse(&line);
    }
}

/* Lets fire what has matched since the last time; a periodic one that matched more than once fires once. */
static void hpet_sync(struct hpet *hpet)
{
    uint64_t counter = hpet_counter(hpet), passed = counter - hpet->seen;
    for (unsigned i = 0; i < HPET_TIMERS && passed; i++) {
        struct hpet_comparator *c = &hpet->comparators[i];
        uint64_t distance = comparator_distance(c, hpet->seen);
        if (!distance || distance > passed)
            continue;
        if ((c->config & TIMER_PERIODIC) && c->period)
            c->value = (c->value + ((passed - distance) / c->period + 1) * c->period) & comparator_mask(c);
        comparator_fire(hpet, i);
    }
    hpet->seen = counter;
}

static void hpet_arm(struct hpet *hpet)
{
    uint64_t next = UINT64_MAX, now = clock_now(hpet->clock);
    for (unsigned i = 0; i < HPET_TIMERS && (hpet->config & CONFIG_ENABLED); i++) {
        const struct hpet_comparator *c = &hpet->comparators[i];
        uint64_t distance = comparator_distance(c, hpet->seen);
        bool pending = (c->config & TIMER_LEVEL) && (hpet->status >> i & 1);
        if ((c->config & TIMER_ENABLED) && distance && !pending)
            next = MIN(next, distance);
    }
    uint64_t start = now - now % TICK_NANOSECONDS; /* of this tick */
    bool far = next > (TIMER_NEVER - start) / TICK_NANOSECONDS;
    timer_set(&hpet->timer, far ? TIMER_NEVER : start + next * TICK_NANOSECONDS);
}

static void hpet_due(void *opaque)
{
    hpet_sync(opaque);
    hpet_arm(opaque);
}

/* 2.3.8: routes that there are not cannot be chosen. */
static void comparator_write_config(struct hpet *hpet, unsigned number, uint32_t value)
{
    struct hpet_comparator *c = &hpet->comparators[number];
    struct irq_line line = comparator_line(hpet, number);
    uint32_t config = value & TIMER_WRITABLE;
    if (!(HPET_ROUTES >> TIMER_ROUTE(config) & 1))
        config = (config & ~(31u << 9)) | (c->config & 31u << 9);
    bool level = config & TIMER_LEVEL;
    uint32_t status = hpet->status;
    hpet->status &= ~(1u << number);
    irq_set(&line, line_active(hpet, number));
    if (level)
        hpet->status = status;
    c->config = config;
    c->value &= comparator_mask(c);
    c->period &= comparator_mask(c);
    comparator_drive(hpet, number);
}

/* 2.3.9: a periodic one's value can be set only after TIMER_SET_VALUE; otherwise what is written is the
 * period. */
static void comparator_write_value(struct hpet_comparator *c, uint64_t value, uint64_t written)
{
    bool periodic = c->config & TIMER_PERIODIC;
    if (!periodic || (c->config & TIMER_SET_VALUE))
        c->value = ((c->value & ~written) | (value & written)) & comparator_mask(c);
    if (periodic)
        c->period = ((c->period & ~written) | (value & written)) & comparator_mask(c);
    c->config &= ~TIMER_SET_VALUE;
}

static void hpet_write_config(struct hpet *hpet, uint32_t value)
{
    uint64_t counter = hpet->seen;
    bool legacy = hpet->config & HPET_LEGACY;
    if (legacy != !!(value & HPET_LEGACY)) {
        for (unsigned i = 0; i < 2; i++) {
            struct irq_line line = comparator_line(hpet, i);
            irq_set(&line, false);
        }
    }
    hpet->config = value & (CONFIG_ENABLED | HPET_LEGACY);
    hpet->counter = 0;
    hpet->counter = counter - hpet_counter(hpet);
    if (legacy != !!(value & HPET_LEGACY)) {
        irq_set(&hpet->legacy_mode, !legacy);
        for (unsigned i = 0; i < 2; i++)
            comparator_drive(hpet, i);
    }
}

static void hpet_write_status(struct hpet *hpet, uint32_t value)
{
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        if (!(hpet->status & value & 1u << i))
            continue;
        hpet->status &= ~(1u << i);
        comparator_drive(hpet, i);
    }
}

/* A register of 64 bits, of which those in `written` are. */
static void hpet_write_register(struct hpet *hpet, uint64_t offset, uint64_t value, uint64_t written)
{
    if (offset >= HPET_COMPARATORS && offset < HPET_COMPARATORS + 0x20 * HPET_TIMERS) {
        unsigned number = (unsigned)(offset - HPET_COMPARATORS) / 0x20;
        struct hpet_comparator *c = &hpet->comparators[number];
        switch (offset & 0x18) {
        case 0x00:
            if (written & UINT32_MAX)
                comparator_write_config(hpet, number, (uint32_t)value);
            break;
        case 0x08: comparator_write_value(c, value, written); break;
        case 0x10: c->message = (c->message & ~written) | (value & written); break;
        }
        return;
    }
    switch (offset) {
    case HPET_CONFIG:
        if (written & UINT32_MAX)
            hpet_write_config(hpet, (uint32_t)value);
        break;
    case HPET_STATUS:
        if (written & UINT32_MAX)
            hpet_write_status(hpet, (uint32_t)value);
        break;
    case HPET_COUNTER: /* 2.3.7: only while it stands */
        if (!(hpet->config & CONFIG_ENABLED))
            hpet->counter = hpet->seen = (hpet->counter & ~written) | (value & written);
        break;
    }
}

static uint64_t hpet_read_register(struct hpet *hpet, uint64_t offset)
{
    if (offset >= HPET_COMPARATORS && offset < HPET_COMPARATORS + 0x20 * HPET_TIMERS) {
        const struct hpet_comparator *c = &hpet->comparators[(offset - HPET_COMPARATORS) / 0x20];
        switch (offset & 0x18) {
        case 0x00: return c->config | TIMER_CAPABILITIES;
        case 0x08: return c->value;
        case 0x10: return c->message;
        }
        return 0;
    }
    switch (offset) {
    case HPET_CAPABILITIES: return CAPABILITIES;
    case HPET_CONFIG: return hpet->config;
    case HPET_STATUS: return hpet->status;
    case HPET_COUNTER: return hpet->seen;
    }
    return 0;
}

static uint64_t hpet_read(void *opaque, uint64_t offset, unsigned size)
{
    struct hpet *hpet = opaque;
    (void)size;
    hpet_sync(hpet);
    hpet_arm(hpet);
    return hpet_read_register(hpet, offset & ~UINT64_C(7)) >> (8 * (offset & 7));
}

static void hpet_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct hpet *hpet = opaque;
    if (size < 4)
        return; /* 2.3.1: accesses are of 32 or 64 bits */
    hpet_sync(hpet);
    if (size == 8)
        hpet_write_register(hpet, offset, value, UINT64_MAX);
    else
        hpet_write_register(hpet, offset & ~UINT64_C(7), value << (8 * (offset & 7)),
                            UINT64_C(0xffffffff) << (8 * (offset & 7)));
    hpet_arm(hpet);
}

const struct access_ops hpet_ops = {hpet_read, hpet_write, 8};

static void hpet_reset(void *opaque)
{
    struct hpet *hpet = opaque;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        struct irq_line line = comparator_line(hpet, i);
        irq_set(&line, false);
    }
    if (hpet->config & HPET_LEGACY)
        irq_set(&hpet->legacy_mode, false);
    hpet->config = hpet->status = 0;
    hpet->counter = hpet->seen = 0;
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        hpet->comparators[i] = (struct hpet_comparator){.value = UINT64_MAX};
    hpet_arm(hpet);
}

const struct device_type hpet_type = {
    .name = "hpet",
    .version = 1,
    .fields = hpet_fields,
    .field_count = ARRAY_SIZE(hpet_fields),
    .reset = hpet_reset,
};

void hpet_init(struct hpet *hpet, struct timers *timers, struct irq_line irq, const struct irq_line legacy[2],
               struct irq_line legacy_mode, struct msi_port messages)
{
    *hpet = (struct hpet){
        .irq = irq,
        .legacy = {legacy[0], legacy[1]},
        .legacy_mode = legacy_mode,
        .messages = messages,
        .clock = &timers->clock,
    };
    timer_init(&hpet->timer, timers, hpet_due, hpet);
    hpet_reset(hpet);
}
