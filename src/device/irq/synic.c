/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The synthetic interrupt controller: registers, messages, interrupts. */
#include "device/irq/synic.h"

#include <errno.h>
#include <string.h>

enum {
    MSR_ASSIST_PAGE = 0x40000073, /* what it would have, of local APICs, is not there: it is empty */
    MSR_CONTROL = 0x40000080,
    MSR_VERSION = 0x40000081,
    MSR_FLAGS_PAGE = 0x40000082,
    MSR_MESSAGE_PAGE = 0x40000083,
    MSR_END_OF_MESSAGE = 0x40000084,
    MSR_SOURCE = 0x40000090, /* and the others behind it */
    MSR_TIMER = 0x400000b0,  /* configuration and count of each */
    VERSION = 1,
};

#define ENABLED UINT64_C(1) /* the controller; a page */

#define SOURCE_VECTOR    0xffu
#define SOURCE_MASKED    (1u << 16)
#define SOURCE_AUTOMATIC (1u << 17) /* its interrupts end as they are delivered */
#define SOURCE_POLLED    (1u << 18) /* there are none, but there are messages, masked or not */
#define VECTOR_FIRST     16         /* that a source that is not masked may have */

#define MESSAGE_PENDING 1 /* of a slot's flags: another one waits for it */

_Static_assert(sizeof(struct synic_message) * SYNIC_SOURCES == MEMORY_PAGE_SIZE, "");
_Static_assert(sizeof(struct synic_message) == SYNIC_FLAGS / 8, "");

static const struct device_field timer_fields[] = {
    DEVICE_FIELD(struct synic_timer, config),  DEVICE_FIELD(struct synic_timer, count),
    DEVICE_FIELD(struct synic_timer, started), DEVICE_FIELD(struct synic_timer, clock),
    DEVICE_FIELD(struct synic_timer, next),    DEVICE_FIELD(struct synic_timer, expired),
    DEVICE_FIELD(struct synic_timer, waits),   DEVICE_TIMER_FIELD(struct synic_timer, timer),
};

static const struct device_field synic_fields[] = {
    DEVICE_FIELD(struct synic, control),
    DEVICE_FIELD(struct synic, flags_page),
    DEVICE_FIELD(struct synic, message_page),
    DEVICE_FIELD(struct synic, assist_page),
    DEVICE_ARRAY(struct synic, sources),
    DEVICE_ARRAY(struct synic, automatic),
    DEVICE_STRUCTS(struct synic, timers, timer_fields),
};

/* -- interrupts and messages ----------------------------------------------------------------------------- */

void synic_interrupt(struct synic *synic, unsigned source)
{
    const uint64_t value = synic->sources[source];
    if ((synic->control & ENABLED) && !(value & (SOURCE_MASKED | SOURCE_POLLED)))
        lapic_interrupt(synic->lapic, (uint8_t)(value & SOURCE_VECTOR), value & SOURCE_AUTOMATIC);
}

/* What a page has for a source. NULL: nothing can be delivered to it. */
static uint8_t *slot_of(const struct synic *synic, uint64_t page, unsigned source, uint64_t *address)
{
    const uint64_t value = synic->sources[source];
    *address = (page & ~(MEMORY_PAGE_SIZE - 1)) + source * sizeof(struct synic_message);
    if (!(synic->control & ENABLED) || !(page & ENABLED) ||
        (value & SOURCE_MASKED && !(value & SOURCE_POLLED)))
        return NULL;
    return memory_pointer(synic->memory, *address, sizeof(struct synic_message), true);
}

/* The guest empties a slot by its type, and looks at the flags afterwards; here it is the other way round, so
 * that one of the two sees what the other has done. */
static bool is_free(struct synic *synic, uint8_t *slot, uint64_t address)
{
    const _Atomic uint32_t *type = (_Atomic uint32_t *)(void *)slot;
    _Atomic uint8_t *flags = (_Atomic uint8_t *)slot + offsetof(struct synic_message, flags);
    if (!atomic_load(type))
        return true;
    atomic_fetch_or(flags, MESSAGE_PENDING);
    memory_written(synic->memory, address, sizeof(struct synic_message));
    return !atomic_load(type);
}

bool synic_post(struct synic *synic, unsigned source, const struct synic_message *message)
{
    const size_t behind = offsetof(struct synic_message, size);
    uint64_t address;
    uint8_t *slot = slot_of(synic, synic->message_page, source, &address);
    if (!slot || !is_free(synic, slot, address))
        return false;
    memcpy(slot + behind, (const char *)message + behind, sizeof *message - behind);
    atomic_store((_Atomic uint32_t *)(void *)slot, message->type);
    memory_written(synic->memory, address, sizeof *message);
    synic_interrupt(synic, source);
    return true;
}

void synic_signal(struct synic *synic, unsigned source, unsigned flag)
{
    uint64_t address;
    uint8_t *flags = slot_of(synic, synic->flags_page, source, &address);
    if (!flags)
        return;
    const uint8_t bit = (uint8_t)(1u << flag % 8);
    const uint8_t before = atomic_fetch_or((_Atomic uint8_t *)flags + flag / 8, bit);
    memory_written(synic->memory, address, SYNIC_FLAGS / 8);
    if (!(before & bit))
        synic_interrupt(synic, source);
}

/* -- registers ------------------------------------------------------------------------------------------- */

bool synic_is_timer_msr(uint32_t msr)
{
    return msr >= MSR_TIMER && msr < MSR_TIMER + 2 * SYNIC_TIMERS;
}

bool synic_has_msr(uint32_t msr)
{
    return msr == MSR_ASSIST_PAGE || (msr >= MSR_CONTROL && msr <= MSR_END_OF_MESSAGE) ||
           (msr >= MSR_SOURCE && msr < MSR_SOURCE + SYNIC_SOURCES) || synic_is_timer_msr(msr);
}

bool synic_msr_read(const struct synic *synic, uint32_t msr, uint64_t *value)
{
    if (synic_is_timer_msr(msr)) {
        const struct synic_timer *timer = &synic->timers[(msr - MSR_TIMER) / 2];
        *value = msr % 2 ? timer->count : timer->config;
        return true;
    }
    if (msr >= MSR_SOURCE) {
        *value = synic->sources[msr - MSR_SOURCE];
        return true;
    }
    switch (msr) {
    case MSR_ASSIST_PAGE: *value = synic->assist_page; return true;
    case MSR_CONTROL: *value = synic->control; return true;
    case MSR_VERSION: *value = VERSION; return true;
    case MSR_FLAGS_PAGE: *value = synic->flags_page; return true;
    case MSR_MESSAGE_PAGE: *value = synic->message_page; return true;
    case MSR_END_OF_MESSAGE: *value = 0; return true;
    }
    return false;
}

/* One that is turned on, or elsewhere, is empty. */
static bool set_page(struct synic *synic, uint64_t *page, uint64_t value)
{
    const uint64_t address = value & ~(MEMORY_PAGE_SIZE - 1), changed = *page ^ value;
    if ((value & ENABLED) && (changed & (ENABLED | ~(MEMORY_PAGE_SIZE - 1)))) {
        uint8_t *host = memory_pointer(synic->memory, address, MEMORY_PAGE_SIZE, true);
        if (!host)
            return false;
        memset(host, 0, MEMORY_PAGE_SIZE);
        memory_written(synic->memory, address, MEMORY_PAGE_SIZE);
    }
    *page = value;
    return true;
}

static bool set_source(struct synic *synic, unsigned source, uint64_t value)
{
    if (!(value & (SOURCE_MASKED | SOURCE_POLLED)) && (value & SOURCE_VECTOR) < VECTOR_FIRST)
        return false;
    synic->sources[source] = value;
    return true;
}

static bool set_register(struct synic *synic, uint32_t msr, uint64_t value)
{
    if (msr >= MSR_SOURCE)
        return set_source(synic, msr - MSR_SOURCE, value);
    switch (msr) {
    case MSR_ASSIST_PAGE: return set_page(synic, &synic->assist_page, value);
    case MSR_CONTROL: synic->control = value; return true;
    case MSR_FLAGS_PAGE: return set_page(synic, &synic->flags_page, value);
    case MSR_MESSAGE_PAGE: return set_page(synic, &synic->message_page, value);
    case MSR_END_OF_MESSAGE: return true;
    }
    return false; /* the version */
}

bool synic_msr_write(struct synic *synic, uint32_t msr, uint64_t value, uint64_t now)
{
    if (synic_is_timer_msr(msr)) {
        struct synic_timer *timer = &synic->timers[(msr - MSR_TIMER) / 2];
        if (msr % 2 == 0)
            return synic_timer_set_config(timer, value, now);
        synic_timer_set_count(timer, value, now);
        return true;
    }
    if (!set_register(synic, msr, value))
        return false;
    for (unsigned i = 0; i < SYNIC_TIMERS; i++)
        synic_timer_retry(&synic->timers[i]);
    if (synic->waiting.retry)
        synic->waiting.retry(synic->waiting.opaque, synic);
    return true;
}

static void synic_reset(void *opaque)
{
    struct synic *synic = opaque;
    synic->control = synic->flags_page = synic->message_page = synic->assist_page = 0;
    for (unsigned i = 0; i < SYNIC_SOURCES; i++)
        synic->sources[i] = SOURCE_MASKED;
    for (unsigned i = 0; i < ARRAY_SIZE(synic->automatic); i++)
        synic->automatic[i] = 0;
    for (unsigned i = 0; i < SYNIC_TIMERS; i++)
        synic_timer_reset(&synic->timers[i]);
}

static int synic_loaded(void *opaque, struct error *error)
{
    const struct synic *synic = opaque;
    for (unsigned i = 0; i < SYNIC_TIMERS; i++) {
        if (synic->timers[i].clock > clock_now(synic->clock))
            return error_set(error, -EINVAL, "a timer was started later than now");
    }
    return 0;
}

const struct device_type synic_type = {
    .name = "synic",
    .version = 1,
    .fields = synic_fields,
    .field_count = ARRAY_SIZE(synic_fields),
    .reset = synic_reset,
    .loaded = synic_loaded,
};

void synic_init(struct synic *synic, struct lapic *lapic, struct memory_map *memory, struct timers *timers)
{
    *synic = (struct synic){.lapic = lapic, .memory = memory, .clock = &timers->clock};
    for (unsigned i = 0; i < SYNIC_TIMERS; i++)
        synic_timer_init(&synic->timers[i], synic, timers);
    lapic->automatic = synic->automatic;
    synic_reset(synic);
}
