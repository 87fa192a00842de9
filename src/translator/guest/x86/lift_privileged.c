/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_privileged: what operating systems execute too often for the owner's C code: interrupt flag, EFLAGS,
 * AC, SWAPGS, selectors, the time-stamp counter. Each leaves to the owner what is not the common case.
 *
 * That an interrupt waits for IF is in `waiting`; the owner renews it before generated code runs on.
 */
#include "translator/guest/x86/lift.h"

enum { PAGE_SIZE = 4096 };

/* 32- or 64-bit code with CPL <= IOPL. 16-bit code may be virtual-8086 mode's, which has rules of its own. */
static bool controls_interrupts(const struct x86_lift *l)
{
    return l->mode & X86_MODE_SYSTEM && l->insn.code != X86_CODE_16;
}

static bool is_kernel(const struct x86_lift *l)
{
    const unsigned tlb = (l->mode & X86_MODE_TLB) >> X86_MODE_TLB_SHIFT;
    return controls_interrupts(l) && (tlb == X86_TLB_SYSTEM || tlb == X86_TLB_EXPLICIT);
}

static ir_value eflags(struct x86_lift *l)
{
    return ir_get(l->ir, X86_REGISTER_EFLAGS, IR_I64);
}

static void emulate_if(struct x86_lift *l, ir_value v)
{
    x86_raise_if(l, ir_cmp(l->ir, IR_NE, v, ir_const(l->ir, IR_I64, 0)), TRANSLATOR_EMULATE, l->insn.length);
}

/* -- EFLAGS -------------------------------------------------------------------------------------------- */

bool x86_lift_cli(struct x86_lift *l)
{
    if (!controls_interrupts(l))
        return x86_lift_emulate(l);
    ir_set(l->ir, X86_REGISTER_EFLAGS, ir_binary_imm(l->ir, IR_AND, eflags(l), ~(uint64_t)X86_EFLAGS_IF));
    return true;
}

/* The next instruction is executed before any interrupt: it must be in this region. */
bool x86_lift_sti(struct x86_lift *l)
{
    if (!controls_interrupts(l) || l->last || l->next % PAGE_SIZE > PAGE_SIZE - X86_INSTRUCTION_MAX)
        return x86_lift_emulate(l);
    emulate_if(l, ir_get(l->ir, X86_REGISTER_WAITING, IR_I64));
    ir_set(l->ir, X86_REGISTER_EFLAGS, ir_binary_imm(l->ir, IR_OR, eflags(l), X86_EFLAGS_IF));
    return true;
}

bool x86_lift_pushf(struct x86_lift *l)
{
    if (l->mode & X86_MODE_SYSTEM && !controls_interrupts(l))
        return x86_lift_emulate(l);
    ir_value v = ir_binary_imm(l->ir, IR_AND, x86_eflags_pack(l), ~(uint64_t)(X86_EFLAGS_RF | X86_EFLAGS_VM));
    x86_push(l, l->insn.size, x86_convert(l, v, x86_type(l->insn.size)));
    return true;
}

/* Those of EFLAGS that no other register has. */
static void set_system_flags(struct x86_lift *l, ir_value v, uint64_t changed)
{
    ir_value kept = ir_binary_imm(l->ir, IR_AND, eflags(l), ~changed);
    ir_value taken = ir_binary_imm(l->ir, IR_AND, v, changed);
    ir_set(l->ir, X86_REGISTER_EFLAGS, ir_binary(l->ir, IR_OR, kept, taken));
}

/* What a user program can change, or besides what can change IF. To step through code is the owner's, and in
 * the system what changes privileges, the mode, or lets an interrupt in. */
bool x86_lift_popf(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    const bool system = l->mode & X86_MODE_SYSTEM;
    uint64_t changed = size == 1 ? X86_EFLAGS_NT : X86_EFLAGS_NT | X86_EFLAGS_ID;
    uint64_t beyond = size == 1 ? X86_EFLAGS_TF : X86_EFLAGS_TF | X86_EFLAGS_AC; /* which is the mode's */

    if (system && (!controls_interrupts(l) || size == 1))
        return x86_lift_emulate(l);
    ir_value v = x86_load(l, x86_type(size), size, x86_stack_address(l, 0));
    ir_value wide = x86_convert(l, v, IR_I64), always = ir_const(l->ir, IR_I64, X86_EFLAGS_TF);
    if (system) {
        changed = X86_EFLAGS_NT | X86_EFLAGS_ID | X86_EFLAGS_IF;
        beyond = X86_EFLAGS_TF | X86_EFLAGS_IOPL | X86_EFLAGS_AC;
        always = ir_binary(l->ir, IR_OR, always, ir_get(l->ir, X86_REGISTER_WAITING, IR_I64));
    }
    ir_value differs = ir_binary_imm(l->ir, IR_AND, ir_binary(l->ir, IR_XOR, wide, eflags(l)), beyond);
    ir_value owner = ir_binary(l->ir, IR_OR, differs, ir_binary(l->ir, IR_AND, wide, always));
    emulate_if(l, owner);
    x86_set_stack(l, x86_stack_moved(l, 1 << size));
    x86_set_eflags_low(l, wide);
    set_system_flags(l, wide, changed);
    return true;
}

/* STAC, CLAC: what memory the code behind may reach is another. */
static bool lift_ac(struct x86_lift *l, bool set)
{
    const unsigned tlb = set ? X86_TLB_EXPLICIT : X86_TLB_SYSTEM;
    const unsigned mode = (l->mode & ~(unsigned)X86_MODE_TLB) | tlb << X86_MODE_TLB_SHIFT;
    ir_value v = eflags(l);

    v = set ? ir_binary_imm(l->ir, IR_OR, v, X86_EFLAGS_AC)
            : ir_binary_imm(l->ir, IR_AND, v, ~(uint64_t)X86_EFLAGS_AC);
    ir_set(l->ir, X86_REGISTER_EFLAGS, v);
    if (mode == l->mode)
        return true;
    ir_set(l->ir, X86_REGISTER_MODE, ir_const(l->ir, IR_I64, mode));
    x86_raise(l, TRANSLATOR_LOOKUP, 0, l->next);
    return true;
}

/* -- others -------------------------------------------------------------------------------------------- */

static bool lift_swapgs(struct x86_lift *l)
{
    ir_value gs = ir_get(l->ir, X86_REGISTER_BASE + X86_GS, IR_I64);
    ir_value other = ir_get(l->ir, X86_REGISTER_KERNEL_GS, IR_I64);
    ir_set(l->ir, X86_REGISTER_BASE + X86_GS, other);
    ir_set(l->ir, X86_REGISTER_KERNEL_GS, gs);
    return true;
}

bool x86_lift_group7_system(struct x86_lift *l)
{
    const unsigned reg = l->insn.reg & 7, rm = l->insn.rm & 7;

    if (!l->insn.memory && is_kernel(l)) {
        if (reg == 7 && rm == 0)
            return lift_swapgs(l);
        if (reg == 1 && (rm == 2 || rm == 3))
            return lift_ac(l, rm == 3);
    }
    return x86_lift_emulate(l);
}

bool x86_lift_mov_rm_segment(struct x86_lift *l)
{
    const unsigned segment = l->insn.reg & 7;
    if (segment >= X86_SEGMENT_COUNT)
        return false;
    ir_value v = ir_ubfx(l->ir, ir_get(l->ir, X86_REGISTER_SEGMENT + segment, IR_I64), 0, 16);
    if (l->insn.memory)
        x86_store(l, 1, x86_operand_address(l), v);
    else
        x86_write_named(l, l->insn.rm, l->insn.size, v);
    return true;
}

static uint64_t pause_cpu(void *opaque, uint64_t a, uint64_t b)
{
    struct x86_cpu *cpu = opaque;
    (void)a, (void)b;
    if (cpu->pause)
        cpu->pause(cpu);
    return 0;
}

bool x86_lift_pause(struct x86_lift *l)
{
    ir_call(l->ir, pause_cpu, IR_NONE, IR_NONE);
    return true;
}

/* argument: the segment. Of 32 bits 16 are written, as processors do. */
bool x86_lift_push_segment(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    const int64_t bytes = 1 << size;
    ir_value whole = ir_get(l->ir, X86_REGISTER_SEGMENT + l->insn.row->argument, IR_I64);
    ir_value selector = ir_ubfx(l->ir, whole, 0, 16);

    x86_store(l, size == 2 ? 1 : size, x86_stack_address(l, -bytes), selector);
    x86_set_stack(l, x86_stack_moved(l, -bytes));
    return true;
}

static uint64_t read_tsc(void *opaque, uint64_t a, uint64_t b)
{
    const struct x86_cpu *cpu = opaque;
    (void)a, (void)b;
    return cpu->tsc(cpu);
}

bool x86_lift_rdtsc(struct x86_lift *l)
{
    ir_value here = ir_get(l->ir, X86_REGISTER_TSC, IR_I64);
    x86_raise_if(l, ir_cmp(l->ir, IR_EQ, here, ir_const(l->ir, IR_I64, 0)), TRANSLATOR_EMULATE,
                 l->insn.length);
    ir_value v = ir_call(l->ir, read_tsc, IR_NONE, IR_NONE);
    x86_set_gpr(l, X86_RAX, ir_ubfx(l->ir, v, 0, 32));
    x86_set_gpr(l, X86_RDX, ir_binary_imm(l->ir, IR_SHR, v, 32));
    return true;
}
