/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_emulate: any instruction in any state of an x86 CPU is emulated on a small memory, whose descriptor
 * tables, stacks and operands are the input as well. Nothing crashes, and a fault leaves the registers as
 * they were. What was raised is delivered through the IDT, whatever that says.
 *
 * Input: a byte for the mode, one for the model, 15 of code, 16 times 2 of general registers, then the
 * memory.
 */
#include <stdlib.h>
#include <string.h>

#include "arch/x86/emulate.h"
#include "arch/x86/interrupt.h"
#include "arch/x86/segment.h"
#include "base/macros.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 0x10000, CODE_BYTES = 15, MODES = 8, HEADER = 2 + CODE_BYTES + 32, GDT = 0, IDT = 0x400 };

static uint8_t memory[MEMORY];
static struct x86_state state;
static struct x86_model models[5];

/* -- memory: its upper half is read-only, and what is beyond faults -------------------------------------- */

static int access_memory(struct x86_core *core, uint64_t linear, unsigned size, uint32_t error)
{
    const uint64_t end = error & X86_PF_WRITE ? MEMORY / 2 : MEMORY;
    if (linear <= end - size)
        return 0;
    core->exception =
        (struct x86_exception){.vector = X86_PF, .has_error = true, .error = error, .address = linear};
    return X86_RAISED;
}

static int read_memory(struct x86_core *core, uint64_t linear, void *buffer, unsigned size, bool system)
{
    (void)system;
    if (access_memory(core, linear, size, 0) < 0)
        return X86_RAISED;
    memcpy(buffer, memory + linear, size);
    return 0;
}

static int write_memory(struct x86_core *core, uint64_t linear, const void *buffer, unsigned size,
                        bool system)
{
    (void)system;
    if (access_memory(core, linear, size, X86_PF_WRITE) < 0)
        return X86_RAISED;
    memcpy(memory + linear, buffer, size);
    return 0;
}

/* -- what surrounds it ----------------------------------------------------------------------------------- */

static uint32_t port_read(void *opaque, uint16_t port, unsigned size)
{
    (void)opaque;
    return port * 0x01010101u >> (32 - 8 * size);
}

static void port_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
    (void)opaque, (void)port;
    if (size > 4 || (size < 4 && value >> 8 * size))
        abort();
}

static bool msr_read(void *opaque, uint32_t msr, uint64_t *value)
{
    (void)opaque;
    *value = msr;
    return msr & 1;
}

static bool msr_write(void *opaque, uint32_t msr, uint64_t value)
{
    (void)opaque, (void)value;
    return msr & 1;
}

static bool physical_read(void *opaque, uint64_t physical, unsigned size, uint64_t *value)
{
    (void)opaque;
    if (physical > MEMORY - size)
        return false;
    memcpy(value, memory + physical, size);
    return true;
}

static void flush(void *opaque, enum x86_flush what, uint64_t linear)
{
    (void)opaque, (void)what, (void)linear;
}

/* -- the CPU --------------------------------------------------------------------------------------------- */

enum mode { REAL, VM86, PROTECTED, PROTECTED16, PAE, LONG, COMPATIBLE, COMPATIBLE16 };

static void set_segments(unsigned cpl, unsigned code_bits)
{
    const unsigned common = X86_SEGMENT_PRESENT | X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_WRITABLE |
                            X86_SEGMENT_ACCESSED | cpl << X86_SEGMENT_DPL_SHIFT;
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        state.segment[i] = (struct x86_segment_register){
            (uint16_t)(8 * (i + 1) | cpl),
            (uint16_t)(common | (i == X86_CS ? X86_SEGMENT_CODE | code_bits : X86_SEGMENT_BIG)), MEMORY - 1};
    }
}

static void set_mode(enum mode mode, unsigned cpl, unsigned flags)
{
    static const unsigned code_bits[] = {
        0, 0, X86_SEGMENT_BIG, 0, X86_SEGMENT_BIG, X86_SEGMENT_LONG, X86_SEGMENT_BIG, 0};
    state.cr0 = mode == REAL ? 0 : X86_CR0_PE;
    state.cr0 |= mode >= PAE ? X86_CR0_PG : 0;
    state.cr0 |= flags & 1 ? X86_CR0_TS : flags & 2 ? X86_CR0_EM : 0;
    state.cr0 |= X86_CR0_ET | X86_CR0_NE;
    state.cr4 = flags & 4 ? X86_CR4_OSFXSR | X86_CR4_OSXSAVE | X86_CR4_FSGSBASE | X86_CR4_OSXMMEXCPT : 0;
    state.cr4 |= mode >= PAE ? X86_CR4_PAE : 0;
    state.efer = mode >= LONG ? X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE : 0;
    x86_eflags_set(&state, mode == VM86 ? X86_EFLAGS_VM | (flags & 8 ? X86_EFLAGS_IOPL : 0) : 0);
    if (flags & 16)
        state.eflags_system |= X86_EFLAGS_NT;
    set_segments(mode == VM86 ? 3 : mode == REAL ? 0 : cpl, code_bits[mode]);
}

static void set_state(const uint8_t *data)
{
    memset(&state, 0, sizeof state);
    x86_state_reset(&state, &models[data[1] % ARRAY_SIZE(models)]);
    set_mode(data[0] % MODES, data[0] >> 3 & 3, data[0] >> 5 | (data[1] >> 3 & 0x18));
    for (unsigned n = 0; n < X86_GPR_COUNT; n++) {
        const unsigned value = data[17 + 2 * n] | (unsigned)data[18 + 2 * n] << 8;
        state.gpr[n] = n == X86_RCX && value & 1 ? 0xc0000080 + value % 4 : value;
    }
    state.gdtr = (struct x86_table_register){GDT, 0x3ff};
    state.idtr = (struct x86_table_register){IDT, 0xfff};
    state.tr = (struct x86_segment_register){0x80, X86_SEGMENT_PRESENT | X86_TYPE_TSS_BUSY, 0x1ff};
    state.tr_base = 0x2000;
    state.rip = 0x1000;
    state.x87[2] = data[3], state.x87[3] = data[4];
    state.star = 0x0010000800000000;
    state.sysenter_cs = 8;
    state.cr3 = 0x3000;
}

/* What a fault may have changed all the same: the debug registers by #DB, MXCSR's flags by #XM, and what a
 * repeated instruction did before. */
static void excuse(struct x86_state *s, const struct x86_state *now, const struct x86_exception *x,
                   bool repeated)
{
    if (x->vector == X86_DB)
        s->dr[6] = now->dr[6], s->dr[7] = now->dr[7];
    s->mxcsr |= now->mxcsr & 0x3f;
    if (repeated) {
        s->gpr[X86_RCX] = now->gpr[X86_RCX];
        s->gpr[X86_RSI] = now->gpr[X86_RSI];
        s->gpr[X86_RDI] = now->gpr[X86_RDI];
    }
}

static bool is_repeated(const uint8_t *code)
{
    for (unsigned i = 0; i < CODE_BYTES; i++)
        if (code[i] >= 0x6c && code[i] <= 0x6f)
            return true;
    return false;
}

static void emulate(struct x86_core *core, const uint8_t *data)
{
    const struct x86_platform platform = {.model = &models[data[1] % ARRAY_SIZE(models)],
                                          .topology = {.apic_id = 1, .vcpu_count = 2},
                                          .port_read = port_read,
                                          .port_write = port_write,
                                          .msr_read = msr_read,
                                          .msr_write = msr_write,
                                          .physical_read = physical_read,
                                          .flush = flush};
    struct x86_state before = state;

    if (x86_emulate(core, &platform, data + 2, CODE_BYTES) != X86_EMULATE_EXCEPTION)
        return;
    const struct x86_exception *x = &core->exception;
    if (x->kind == X86_EVENT_EXCEPTION && !x->in_new_task) {
        excuse(&before, &state, x, is_repeated(data + 2));
        if (memcmp(&before, &state, sizeof state) != 0)
            abort();
    }
    (void)x86_deliver(core, x86_exception_event(core));
}

/* With the input again and again. */
static void fill_memory(const uint8_t *data, size_t size)
{
    size_t filled = MIN(size, sizeof memory);
    memset(memory, 0, sizeof memory);
    memcpy(memory, data, filled);
    for (; filled && filled < sizeof memory; filled += MIN(filled, sizeof memory - filled))
        memcpy(memory + filled, memory, MIN(filled, sizeof memory - filled));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct x86_linear linear = {read_memory, write_memory};
    static struct x86_core core;

    if (size < HEADER)
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(models) && !models[i].name[0]; i++)
        if (x86_model_parse(&models[i], x86_model_name(i), NULL) < 0)
            abort();
    core = (struct x86_core){.state = &state, .linear = &linear};
    fill_memory(data + HEADER, size - HEADER);
    set_state(data);
    /* A few instructions, so that one meets what another has set up. */
    for (unsigned i = 0; i < 4; i++)
        emulate(&core, data);
    return 0;
}
