/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_system: flags, conditions, exceptions, and what is the owner's to execute. Intel SDM volume 1, 7.3.11
 * and 7.3.13, volume 2, tables A-6.
 */
#include "translator/guest/clock.h"
#include "translator/guest/x86/lift_sse.h"

/* -- flags --------------------------------------------------------------------------------------------- */

bool x86_lift_carry(struct x86_lift *l)
{
    ir_value flags = ir_get_flags(l->ir),
             bit = ir_const(l->ir, IR_I32, l->insn.row->argument == X86_CARRY_SET);

    if (l->insn.row->argument == X86_CARRY_INVERT) {
        ir_value carry = ir_cond(l->ir, flags, IR_ULT);
        bit = ir_select(l->ir, carry, bit, ir_const(l->ir, IR_I32, 1));
    }
    ir_set_flags(l->ir, ir_flags_bit(l->ir, bit, ir_const(l->ir, IR_I32, 0), flags));
    return true;
}

/* CLD, STD */
bool x86_lift_direction(struct x86_lift *l)
{
    ir_set(l->ir, X86_REGISTER_DF, ir_const(l->ir, IR_I64, l->insn.row->argument ? ~0ull : 1));
    return true;
}

bool x86_lift_lahf(struct x86_lift *l)
{
    ir_value ah = ir_ubfx(l->ir, x86_eflags_pack(l), 0, 8);
    x86_set_gpr(l, X86_RAX, ir_bfi(l->ir, x86_gpr(l, X86_RAX), ah, 8, 8));
    return true;
}

/* Flags of the low bits of `eflags` (I32); OF is bit 0 of `overflow`. */
static void set_conditions(struct x86_lift *l, ir_value eflags, ir_value overflow)
{
    ir_value low = ir_binary_imm(l->ir, IR_AND, eflags, X86_EFLAGS_CONDITIONS & 0xff);
    ir_value packed = ir_bfi(l->ir, ir_binary_imm(l->ir, IR_SHL, low, 8), overflow, 0, 1);
    ir_set_flags(l->ir, ir_emit(l->ir, IR_FLAGS_UNPACK, IR_FLAGS, 0, packed, IR_NONE, IR_NONE, 0, 0));
}

bool x86_lift_sahf(struct x86_lift *l)
{
    ir_value old = ir_emit(l->ir, IR_FLAGS_PACK, IR_I32, 0, ir_get_flags(l->ir), IR_NONE, IR_NONE, 0, 0);
    set_conditions(l, ir_ubfx(l->ir, ir_trunc(l->ir, x86_gpr(l, X86_RAX)), 8, 8), old);
    return true;
}

/* CF PF AF ZF SF OF and the direction, from EFLAGS (I64). */
void x86_set_eflags_low(struct x86_lift *l, ir_value v)
{
    ir_value low = ir_trunc(l->ir, v);
    set_conditions(l, low, ir_ubfx(l->ir, low, 11, 1));
    ir_value twice = ir_binary_imm(l->ir, IR_SHL, ir_ubfx(l->ir, v, 10, 1), 1);
    ir_set(l->ir, X86_REGISTER_DF, ir_binary(l->ir, IR_SUB, ir_const(l->ir, IR_I64, 1), twice));
}

/* -- conditions ---------------------------------------------------------------------------------------- */

/* The source is read, and the upper half cleared, whether the condition holds or not. */
bool x86_lift_cmov(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    ir_value v = x86_read_rm(l), old = x86_read_named(l, l->insn.reg, size);
    ir_value condition = x86_condition(l, l->insn.opcode);
    x86_write_named(l, l->insn.reg, size, ir_select(l->ir, condition, v, old));
    return true;
}

bool x86_lift_setcc(struct x86_lift *l)
{
    ir_value condition = x86_condition(l, l->insn.opcode);
    x86_write_rm(l, ir_select(l->ir, condition, ir_const(l->ir, IR_I64, 1), ir_const(l->ir, IR_I64, 0)));
    return true;
}

/* -- exceptions ---------------------------------------------------------------------------------------- */

/* UD1 EAX, [RSP + 72736976h], without prefixes, in a program: visor's own, for its vDSO. */
#define CLOCK_LENGTH       8
#define CLOCK_OPCODE       0xb9
#define CLOCK_DISPLACEMENT 0x72736976

static bool is_clock(const struct x86_lift *l)
{
    const struct x86_insn *n = &l->insn;
    return !(l->mode & X86_MODE_SYSTEM) && n->opcode == CLOCK_OPCODE && n->length == CLOCK_LENGTH &&
           n->memory && n->disp == CLOCK_DISPLACEMENT && n->base == X86_RSP && n->reg == X86_RAX;
}

bool x86_lift_ud(struct x86_lift *l)
{
    if (is_clock(l)) {
        x86_set_gpr(l, X86_RAX, ir_call(l->ir, guest_read_clock, x86_gpr(l, X86_RAX), IR_NONE));
        return true;
    }
    x86_raise(l, TRANSLATOR_UNDEFINED, 0, l->pc);
    return true;
}

bool x86_lift_int3(struct x86_lift *l)
{
    x86_raise(l, TRANSLATOR_BREAKPOINT, 0, l->pc);
    return true;
}

/* What it does to RCX and R11 is the owner's, too. */
bool x86_lift_syscall(struct x86_lift *l)
{
    if (l->mode & X86_MODE_SYSTEM)
        return x86_lift_emulate(l);
    x86_raise(l, TRANSLATOR_SYSCALL, 0, l->next);
    return true;
}

/* -- system instructions ------------------------------------------------------------------------------- */

bool x86_lift_nop(struct x86_lift *l)
{
    (void)l;
    return true;
}

/* SLDT, STR, LLDT, LTR, VERR, VERW */
bool x86_lift_group6(struct x86_lift *l)
{
    return (l->insn.reg & 7) <= 5 && x86_lift_emulate(l);
}

/* Those of the register form, by `reg` and `rm`: VMCALL; MONITOR, MWAIT, CLAC, STAC; XGETBV, XSETBV; VMMCALL;
 * SWAPGS, RDTSCP */
bool x86_lift_group7(struct x86_lift *l)
{
    static const uint8_t registers[8] = {
        [0] = 0x02, [1] = 0x0f, [2] = 0x03, [3] = 0x02, [4] = 0xff, [6] = 0xff, [7] = 0x03};
    const unsigned reg = l->insn.reg & 7, rm = l->insn.rm & 7;

    if (l->insn.memory)
        return reg != 5 && x86_lift_emulate(l);
    if (reg == 7 && rm == 0 && l->insn.code != X86_CODE_64)
        return false;
    if (reg <= 2 && l->insn.prefix != X86_NP)
        return false;
    return registers[reg] >> rm & 1 && x86_lift_group7_system(l);
}

/* FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, XSAVE, XRSTOR, XSAVEOPT; CLFLUSH; fences */
bool x86_lift_group15(struct x86_lift *l)
{
    static const uint8_t fences[] = {IR_FENCE_LOAD, IR_FENCE_FULL, IR_FENCE_STORE};
    const unsigned reg = l->insn.reg & 7;

    if (l->insn.memory) {
        switch (reg) {
        case 2: return x86_lift_load_mxcsr(l);
        case 3: return x86_lift_store_mxcsr(l);
        case 7: return true;
        default: return x86_lift_emulate(l);
        }
    }
    if (reg < 5)
        return false;
    ir_emit(l->ir, IR_FENCE, IR_VOID, fences[reg - 5], IR_NONE, IR_NONE, IR_NONE, 0, 0);
    return true;
}

/* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE: an operating system must have allowed them. */
bool x86_lift_fsgsbase(struct x86_lift *l)
{
    return (l->insn.reg & 7) <= 3 && x86_lift_emulate(l);
}

/* MOV to and from CR0, 2, 3, 4, 8, and the debug registers */
bool x86_lift_control(struct x86_lift *l)
{
    const unsigned reg = l->insn.reg;
    if (l->insn.opcode & 1)
        return reg < 8 && x86_lift_emulate(l);
    return (reg == 0 || (reg >= 2 && reg <= 4) || reg == 8) && x86_lift_emulate(l);
}
