/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x86_emulate: x86_machine.h's CPU with a platform around it, and instructions given as bytes.
 */
#ifndef VISOR_TESTS_UNIT_X86_EMULATE_H
#define VISOR_TESTS_UNIT_X86_EMULATE_H

#include "arch/x86/emulate.h"
#include "arch/x86/features.h"
#include "arch/x86/interrupt.h"
#include "x86_machine.h"

static struct {
    struct x86_model model;
    uint32_t port_value; /* what ports read; what was written last */
    uint16_t port;
    unsigned port_size, port_count;
    uint64_t msr_value; /* of the MSRs outside: those of the local APIC */
    uint64_t cr8, tsc;
    uint64_t call, arguments[4]; /* of the last hypercall, which gives its number's complement */
    unsigned flushed;            /* 1 + enum x86_flush of the last one */
    uint64_t flushed_linear;
} around;

static inline uint32_t around_port_read(void *opaque, uint16_t port, unsigned size)
{
    (void)opaque;
    around.port = port, around.port_size = size, around.port_count++;
    return around.port_value++;
}

static inline void around_port_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
    (void)opaque;
    around.port = port, around.port_size = size, around.port_value = value, around.port_count++;
}

static inline bool around_msr_read(void *opaque, uint32_t msr, uint64_t *value)
{
    (void)opaque;
    *value = around.msr_value;
    return msr == 0x800 || msr == 0x1b || msr == 0x6e0;
}

static inline bool around_msr_write(void *opaque, uint32_t msr, uint64_t value)
{
    (void)opaque;
    if (msr == 0x800 || msr == 0x1b || msr == 0x6e0)
        around.msr_value = value;
    return msr == 0x800 || msr == 0x1b || msr == 0x6e0;
}

static inline uint64_t around_cr8_read(void *opaque)
{
    (void)opaque;
    return around.cr8;
}

static inline void around_cr8_write(void *opaque, uint64_t value)
{
    (void)opaque;
    around.cr8 = value;
}

static inline uint64_t around_tsc(void *opaque)
{
    (void)opaque;
    return around.tsc;
}

static inline uint64_t around_hypercall(void *opaque, uint64_t number, const uint64_t arguments[4])
{
    (void)opaque;
    around.call = number;
    memcpy(around.arguments, arguments, sizeof around.arguments);
    return ~number;
}

static inline bool around_physical_read(void *opaque, uint64_t physical, unsigned size, uint64_t *value)
{
    (void)opaque;
    if (physical > ABSENT - size)
        return false;
    memcpy(value, machine.memory + physical, size);
    return true;
}

static inline void around_flush(void *opaque, enum x86_flush what, uint64_t linear)
{
    (void)opaque;
    around.flushed = 1 + what, around.flushed_linear = linear;
}

/* A platform with a model that has these features. */
static inline void around_init(const char *model)
{
    struct error error = ERROR_INIT;
    memset(&around, 0, sizeof around);
    if (x86_model_parse(&around.model, model, &error) < 0)
        fail_msg("%s", error.message);
}

static inline enum x86_emulated run_bytes(const uint8_t *code, unsigned length)
{
    const struct x86_platform platform = {
        .model = &around.model,
        .topology = {.apic_id = 0, .vcpu_count = 1},
        .port_read = around_port_read,
        .port_write = around_port_write,
        .msr_read = around_msr_read,
        .msr_write = around_msr_write,
        .cr8_read = around_cr8_read,
        .cr8_write = around_cr8_write,
        .tsc = around_tsc,
        .hypercall = around_hypercall,
        .physical_read = around_physical_read,
        .flush = around_flush,
    };
    return x86_emulate(CORE, &platform, code, length);
}

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define RUN(...)   run_bytes(BYTES(__VA_ARGS__))

/* Executes it; it goes on behind it. */
#define DOES(...)                                                                                            \
    do {                                                                                                     \
        const uint64_t rip_ = S->rip;                                                                        \
        assert_int_equal(RUN(__VA_ARGS__), X86_EMULATED);                                                    \
        assert_int_equal(S->rip, rip_ + sizeof((const uint8_t[]){__VA_ARGS__}));                             \
    } while (0)

/* It raises an exception, and all registers are as they were; error -1: without an error code. */
#define FAULTS(vector_, error_, ...)                                                                         \
    do {                                                                                                     \
        const struct x86_state before_ = machine.state;                                                      \
        assert_int_equal(RUN(__VA_ARGS__), X86_EMULATE_EXCEPTION);                                           \
        check_raised(X86_RAISED, &before_, vector_, error_);                                                 \
    } while (0)

#endif
