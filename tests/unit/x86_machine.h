/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x86_machine: a CPU's registers with flat memory, descriptor tables and a TSS, for the tests of arch/x86.
 * Everything is in one static `machine`, which each test begins with one of the machine_*() set-ups.
 */
#ifndef VISOR_TESTS_UNIT_X86_MACHINE_H
#define VISOR_TESTS_UNIT_X86_MACHINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/segment.h"

/* Where things are. */
enum {
    GDT = 0x1000,
    LDT = 0x1800,
    IDT = 0x2000,
    TSS = 0x3000,
    OTHER_TSS = 0x3200,
    OTHER_TSS16 = 0x3400,
    STACK0 = 0x6000, /* of the TSS, for privilege 0 */
    STACK1 = 0x6800,
    IST1 = 0x7008,   /* not aligned to 16 bytes */
    STACK = 0x8000,  /* the current one */
    ABSENT = 0xe000, /* from here on accesses fault */
    HANDLER = 0x4000,
    RIP = 0x1234,
    TABLE_LIMIT = 0x7ff,
};

/* What the GDT has. */
enum {
    CODE0 = 0x08,
    DATA0 = 0x10,
    CODE3 = 0x18 | 3,
    DATA3 = 0x20 | 3,
    TASK = 0x28,  /* 16 bytes in long mode */
    LOCAL = 0x38, /* as well */
    CONFORMING0 = 0x48,
    CODE16 = 0x50,
    DATA16 = 0x58,
    CODE64 = 0x60,
    CODE64_3 = 0x68 | 3,
    CODE1 = 0x70 | 1,
    DATA1 = 0x78 | 1,
    OTHER_TASK = 0x80,
    OTHER_TASK16 = 0x88,
    CONFORMING3 = 0x90 | 3,
    READ_ONLY0 = 0x98,
    EXECUTE_ONLY0 = 0xa0,
    ABSENT_CODE0 = 0xa8,
    ABSENT_DATA0 = 0xb0,
    DATA3_16 = 0xb8 | 3,
    CODE_D_L = 0xc0, /* both D and L */
    CONFORMING64 = 0xc8,
    FREE = 0x100, /* and on: for the tests */
};

/* Descriptors' attributes. */
enum {
    A_PRESENT = X86_SEGMENT_PRESENT,
    A_SEGMENT = A_PRESENT | X86_SEGMENT_NOT_SYSTEM,
    A_FLAT = A_SEGMENT | X86_SEGMENT_BIG | X86_SEGMENT_GRANULAR,
    A_DATA = A_FLAT | X86_SEGMENT_WRITABLE,
    A_CODE = A_FLAT | X86_SEGMENT_CODE | X86_SEGMENT_READABLE,
    A_CODE64 = A_SEGMENT | X86_SEGMENT_CODE | X86_SEGMENT_READABLE | X86_SEGMENT_LONG,
};
#define A_DPL(n) ((n) << X86_SEGMENT_DPL_SHIFT)

struct machine {
    uint8_t memory[ABSENT];
    struct x86_state state;
    struct x86_core core;
    uint64_t absent_page;     /* one more page that faults */
    uint64_t program_written; /* where the last write was that was not the processor's own */
};

static struct machine machine;
#define S    (&machine.state)
#define CORE (&machine.core)

/* The memory is once more at the beginning of the upper half of the addresses, where kernels are. */
#define UPPER_HALF 0xffff800000000000

static inline uint64_t machine_physical(uint64_t linear)
{
    return linear >= UPPER_HALF ? linear - UPPER_HALF : linear;
}

static inline int machine_access(struct x86_core *core, uint64_t linear, unsigned size, uint32_t error)
{
    const struct machine *m = core->owner;
    const uint64_t physical = machine_physical(linear);
    const uint64_t first = physical >> 12, last = (physical + size - 1) >> 12;
    if (physical <= ABSENT - size && (!m->absent_page || (first != m->absent_page && last != m->absent_page)))
        return 0;
    core->exception =
        (struct x86_exception){.vector = X86_PF, .has_error = true, .error = error, .address = linear};
    return X86_RAISED;
}

static inline int machine_read(struct x86_core *core, uint64_t linear, void *buffer, unsigned size,
                               bool system)
{
    if (machine_access(core, linear, size, !system && x86_cpl(core->state) == 3 ? X86_PF_USER : 0) < 0)
        return X86_RAISED;
    memcpy(buffer, machine.memory + machine_physical(linear), size);
    return 0;
}

static inline int machine_write(struct x86_core *core, uint64_t linear, const void *buffer, unsigned size,
                                bool system)
{
    const uint32_t user = !system && x86_cpl(core->state) == 3 ? X86_PF_USER : 0;
    if (machine_access(core, linear, size, X86_PF_WRITE | user) < 0)
        return X86_RAISED;
    if (!system)
        machine.program_written = linear;
    memcpy(machine.memory + machine_physical(linear), buffer, size);
    return 0;
}

static inline uint64_t memory_get(uint64_t address, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, machine.memory + machine_physical(address), size);
    return value;
}

static inline void memory_put(uint64_t address, unsigned size, uint64_t value)
{
    memcpy(machine.memory + machine_physical(address), &value, size);
}

/* -- descriptors ----------------------------------------------------------------------------------------- */

static inline uint64_t descriptor(uint32_t base, uint32_t limit, unsigned attributes)
{
    if (attributes & X86_SEGMENT_GRANULAR)
        limit >>= 12;
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)attributes << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(base >> 24) << 56;
}

static inline uint64_t gate_low(uint16_t selector, uint64_t offset, unsigned type, unsigned dpl,
                                unsigned count)
{
    return (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)count << 32 |
           (uint64_t)(A_PRESENT | type | dpl << 5) << 40 | (offset >> 16 & 0xffff) << 48;
}

static inline void gdt_put(uint16_t selector, uint64_t value)
{
    memory_put(GDT + (selector & ~7u), 8, value);
}

static inline uint64_t gdt_get(uint16_t selector)
{
    return memory_get(GDT + (selector & ~7u), 8);
}

/* Clears bits of the second word and sets others. */
static inline void gdt_change(uint16_t selector, unsigned clear, unsigned set)
{
    gdt_put(selector, (gdt_get(selector) & ~((uint64_t)clear << 40)) | (uint64_t)set << 40);
}

static inline bool gdt_accessed(uint16_t selector)
{
    return gdt_get(selector) >> 40 & 1;
}

static inline bool gdt_busy(uint16_t selector)
{
    return gdt_get(selector) >> 41 & 1;
}

/* A gate of the IDT; in long mode of 16 bytes. */
static inline void idt_gate(unsigned vector, uint16_t selector, uint64_t offset, unsigned type, unsigned dpl,
                            unsigned ist)
{
    const bool wide = x86_long_mode(S);
    memory_put(IDT + vector * (wide ? 16u : 8u), 8, gate_low(selector, offset, type, dpl, ist));
    if (wide)
        memory_put(IDT + vector * 16u + 8, 8, offset >> 32);
}

/* -- set-ups --------------------------------------------------------------------------------------------- */

static inline void machine_tables(void)
{
    const unsigned readable = X86_SEGMENT_CODE | X86_SEGMENT_READABLE, conforming = X86_SEGMENT_CONFORMING;
    gdt_put(CODE0, descriptor(0, ~0u, A_CODE));
    gdt_put(DATA0, descriptor(0, ~0u, A_DATA));
    gdt_put(CODE3, descriptor(0, ~0u, A_CODE | A_DPL(3)));
    gdt_put(DATA3, descriptor(0, ~0u, A_DATA | A_DPL(3)));
    gdt_put(TASK, descriptor(TSS, 0xff, A_PRESENT | X86_TYPE_TSS));
    gdt_put(LOCAL, descriptor(LDT, 0xff, A_PRESENT | X86_TYPE_LDT));
    gdt_put(CONFORMING0, descriptor(0, ~0u, A_CODE | conforming));
    gdt_put(CODE16, descriptor(0, 0xffff, A_SEGMENT | readable));
    gdt_put(DATA16, descriptor(0, 0xffff, A_SEGMENT | X86_SEGMENT_WRITABLE));
    gdt_put(CODE64, descriptor(0, 0, A_CODE64));
    gdt_put(CODE64_3, descriptor(0, 0, A_CODE64 | A_DPL(3)));
    gdt_put(CODE1, descriptor(0, ~0u, A_CODE | A_DPL(1)));
    gdt_put(DATA1, descriptor(0, ~0u, A_DATA | A_DPL(1)));
    gdt_put(OTHER_TASK, descriptor(OTHER_TSS, 0x67, A_PRESENT | X86_TYPE_TSS));
    gdt_put(OTHER_TASK16, descriptor(OTHER_TSS16, 0x2b, A_PRESENT | X86_TYPE_TSS16));
    gdt_put(CONFORMING3, descriptor(0, ~0u, A_CODE | conforming | A_DPL(3)));
    gdt_put(READ_ONLY0, descriptor(0, ~0u, A_FLAT));
    gdt_put(EXECUTE_ONLY0, descriptor(0, ~0u, A_FLAT | X86_SEGMENT_CODE));
    gdt_put(ABSENT_CODE0, descriptor(0, ~0u, A_CODE & ~A_PRESENT));
    gdt_put(ABSENT_DATA0, descriptor(0, ~0u, A_DATA & ~A_PRESENT));
    gdt_put(DATA3_16, descriptor(0, 0xffff, A_SEGMENT | X86_SEGMENT_WRITABLE | A_DPL(3)));
    gdt_put(CODE_D_L, descriptor(0, ~0u, A_CODE | X86_SEGMENT_LONG));
    gdt_put(CONFORMING64, descriptor(0, 0, A_CODE64 | conforming));
}

/* Real-address mode. */
static inline void machine_real(void)
{
    static const struct x86_linear linear = {machine_read, machine_write};
    memset(&machine, 0, sizeof machine);
    machine.core = (struct x86_core){.state = S, .linear = &linear, .owner = &machine};
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        S->segment[i].limit = 0xffff;
        S->segment[i].attributes = A_SEGMENT | X86_SEGMENT_WRITABLE | X86_SEGMENT_ACCESSED;
        x86_segment_set_real(S, i, 0);
    }
    S->gdtr = (struct x86_table_register){GDT, TABLE_LIMIT};
    S->idtr = (struct x86_table_register){0, 0x3ff};
    x86_eflags_set(S, 0);
    S->rip = RIP;
    S->gpr[X86_RSP] = STACK;
    machine_tables();
}

/* A segment register as if loaded, without the checks. */
static inline void machine_segment(enum x86_segment segment, uint16_t selector)
{
    const struct x86_descriptor d = {.low = gdt_get(selector) | (selector & ~3u ? 1ull << 40 : 0)};
    x86_segment_set(S, segment, selector, &d);
}

static inline void machine_segments(uint16_t code, uint16_t data)
{
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        machine_segment(i, i == X86_CS ? code : data);
}

/* 32-bit protected mode at privilege 0 with a TSS. */
static inline void machine_protected(void)
{
    machine_real();
    S->cr0 = X86_CR0_PE;
    S->idtr = (struct x86_table_register){IDT, TABLE_LIMIT};
    machine_segments(CODE0, DATA0);
    assert_int_equal(x86_load_tr(CORE, TASK), 0);
    memory_put(TSS + 4, 4, STACK0);
    memory_put(TSS + 8, 4, DATA0);
    memory_put(TSS + 12, 4, STACK1);
    memory_put(TSS + 16, 4, DATA1);
}

static inline void machine_user(void)
{
    machine_protected();
    machine_segments(CODE3, DATA3);
}

static inline void machine_vm86(void)
{
    static const uint16_t selectors[] = {0x10, 0x21, 0x30, 0x43, 0x50, 0x60};
    machine_protected();
    S->eflags_system |= X86_EFLAGS_VM | X86_EFLAGS_IOPL;
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        x86_segment_set_vm86(S, i, selectors[i]);
    S->gpr[X86_RSP] = 0x7000;
}

/* 64-bit code at privilege 0 with a TSS. */
static inline void machine_long(void)
{
    machine_real();
    S->cr0 = X86_CR0_PE | X86_CR0_PG;
    S->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE;
    S->idtr = (struct x86_table_register){IDT, 0xfff};
    machine_segments(CODE64, DATA0);
    assert_int_equal(x86_load_tr(CORE, TASK), 0);
    memory_put(TSS + 4, 8, STACK0);
    memory_put(TSS + 12, 8, STACK1);
    memory_put(TSS + 0x24, 8, IST1);
}

static inline void machine_long_user(void)
{
    machine_long();
    machine_segments(CODE64_3, DATA3);
}

/* 32-bit code of long mode. */
static inline void machine_compatible_user(void)
{
    machine_long();
    machine_segments(CODE3, DATA3);
}

/* -- checks ---------------------------------------------------------------------------------------------- */

static inline void check_raised(int result, const struct x86_state *before, int vector, int error)
{
    assert_int_equal(result, X86_RAISED);
    assert_int_equal(machine.core.exception.vector, vector);
    assert_int_equal(machine.core.exception.has_error, error >= 0);
    if (error >= 0)
        assert_int_equal(machine.core.exception.error, error);
    assert_memory_equal(S, before, sizeof *before);
}

/* `call` raises an exception, with all registers as they were; error -1: it has no code. */
#define RAISES(call, vector, error)                                                                          \
    do {                                                                                                     \
        const struct x86_state before_ = machine.state;                                                      \
        check_raised(call, &before_, vector, error);                                                         \
    } while (0)

#define WORKS(call) assert_int_equal(call, 0)

/* The stack at rsp, from its top. */
static inline void check_stack(unsigned size, unsigned count, const uint64_t *values)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(memory_get(S->segment_base[X86_SS] + S->gpr[X86_RSP] + i * size, size), values[i]);
}
#define STACK_IS(size, ...)                                                                                  \
    check_stack(size, sizeof((uint64_t[]){__VA_ARGS__}) / 8, (const uint64_t[]){__VA_ARGS__})

/* Puts what a return pops. */
static inline void fill_stack(unsigned size, unsigned count, const uint64_t *values)
{
    for (unsigned i = 0; i < count; i++)
        memory_put(S->segment_base[X86_SS] + S->gpr[X86_RSP] + i * size, size, values[i]);
}
#define POPS(size, ...)                                                                                      \
    fill_stack(size, sizeof((uint64_t[]){__VA_ARGS__}) / 8, (const uint64_t[]){__VA_ARGS__})

#endif
