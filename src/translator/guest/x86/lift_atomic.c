/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_atomic: LOCK, and what compares and exchanges. Intel SDM volume 1, 7.3.1.2, volume 3, 9.1 "Locked
 * atomic operations".
 */
#include "translator/guest/x86/lift_atomic.h"

ir_value x86_atomic(struct x86_lift *l, enum ir_atomic operation, const struct x86_place *place, ir_value b)
{
    ir_value address = x86_update_address(l, place->size, place->address);
    return ir_emit(l->ir, IR_ATOMIC, x86_type(place->size), place->size, address, b, IR_NONE, operation, 0);
}

static ir_value compare_and_swap(struct x86_lift *l, const struct x86_place *place, ir_value old,
                                 ir_value new)
{
    ir_value address = x86_update_address(l, place->size, place->address);
    return ir_emit(l->ir, IR_CAS, x86_type(place->size), place->size, address, old, new, 0, 0);
}

void x86_replace_locked(struct x86_lift *l, const struct x86_place *place, ir_value old, ir_value new)
{
    ir_value found = compare_and_swap(l, place, old, new);
    ir_emit(l->ir, IR_EXIT_IF, IR_VOID, 0, ir_cmp(l->ir, IR_NE, found, old), IR_NONE, IR_NONE, l->pc, 0);
}

/* What leaves the flags to be computed anew from the old value. False: there is none such. */
static bool find_atomic(struct x86_lift *l, enum ir_op op, enum ir_type type, ir_value *b,
                        enum ir_atomic *atomic)
{
    *atomic = IR_ATOMIC_ADD;
    switch (op) {
    case IR_PART_ADD: return true;
    case IR_PART_SUB: *b = ir_unary(l->ir, IR_NEG, *b, 0); return true;
    case IR_PART_INC: *b = ir_const(l->ir, type, 1); return true;
    case IR_PART_DEC: *b = ir_const(l->ir, type, ~0ull); return true;
    case IR_PART_AND: *atomic = IR_ATOMIC_AND; return true;
    case IR_PART_OR: *atomic = IR_ATOMIC_OR; return true;
    case IR_PART_XOR: *atomic = IR_ATOMIC_XOR; return true;
    default: return false;
    }
}

void x86_compute_locked(struct x86_lift *l, enum ir_op op, const struct x86_place *place, ir_value b)
{
    const enum ir_type type = x86_type(place->size);
    ir_value operand = b, flags = IR_NONE, old;
    enum ir_atomic atomic;

    if (ir_op_info[op].arguments[2] == 'l')
        flags = ir_get_flags(l->ir);
    if (find_atomic(l, op, type, &operand, &atomic)) {
        old = x86_atomic(l, atomic, place, operand);
        flags = x86_flags_of(l, x86_part(l, op, place->size, old, b ? b : old, flags));
    } else {
        old = x86_read(l, place);
        ir_value v = x86_part(l, op, place->size, old, b, flags);
        flags = x86_flags_of(l, v);
        x86_replace_locked(l, place, old, v);
    }
    ir_set_flags(l->ir, flags);
}

/* -- XADD, CMPXCHG ------------------------------------------------------------------------------------- */

bool x86_lift_xadd(struct x86_lift *l)
{
    struct x86_place rm = x86_place_rm(l), reg = x86_place_reg(l);
    ir_value b = x86_read(l, &reg);
    ir_value a = l->insn.lock ? x86_atomic(l, IR_ATOMIC_ADD, &rm, b) : x86_read(l, &rm);
    ir_value sum = x86_part(l, IR_PART_ADD, rm.size, a, b, IR_NONE);
    ir_value flags = x86_flags_of(l, sum);

    if (rm.memory && !l->insn.lock)
        x86_write(l, &rm, sum);
    x86_write(l, &reg, a);
    if (!rm.memory)
        x86_write(l, &rm, sum);
    ir_set_flags(l->ir, flags);
    return true;
}

/* `then` written to a register if a condition holds; else all of it stays as it is. */
static void write_if(struct x86_lift *l, ir_value condition, unsigned n, const struct x86_place *to,
                     ir_value then)
{
    ir_value old = x86_gpr(l, n);
    then = x86_convert(l, then, IR_I64);
    if (to->size < 2)
        then = ir_bfi(l->ir, old, then, to->high ? 8 : 0, 8u << to->size);
    x86_set_gpr(l, n, ir_select(l->ir, condition, then, old));
}

bool x86_lift_cmpxchg(struct x86_lift *l)
{
    struct x86_place rm = x86_place_rm(l), reg = x86_place_reg(l);
    const struct x86_place accumulator = {.size = rm.size, .reg = X86_RAX};
    ir_value new = x86_read(l, &reg), expected = x86_read(l, &accumulator);
    ir_value old = l->insn.lock ? compare_and_swap(l, &rm, expected, new) : x86_read(l, &rm);
    ir_value flags = x86_flags_of(l, x86_part(l, IR_PART_SUB, rm.size, expected, old, IR_NONE));
    ir_value equal = ir_cond(l->ir, flags, IR_EQ);

    if (rm.memory && !l->insn.lock)
        x86_write(l, &rm, ir_select(l->ir, equal, new, old)); /* always a write */
    write_if(l, ir_cond(l->ir, flags, IR_NE), X86_RAX, &accumulator, old);
    if (!rm.memory)
        write_if(l, equal, rm.reg, &rm, new);
    ir_set_flags(l->ir, flags);
    return true;
}

/* ZF = condition, nothing else */
static void set_zero_flag(struct x86_lift *l, ir_value condition)
{
    ir_value bit = ir_select(l->ir, condition, ir_const(l->ir, IR_I32, 1), ir_const(l->ir, IR_I32, 0));
    ir_value packed = ir_emit(l->ir, IR_FLAGS_PACK, IR_I32, 0, ir_get_flags(l->ir), IR_NONE, IR_NONE, 0, 0);
    packed = ir_bfi(l->ir, packed, bit, 14, 1);
    ir_set_flags(l->ir, ir_emit(l->ir, IR_FLAGS_UNPACK, IR_FLAGS, 0, packed, IR_NONE, IR_NONE, 0, 0));
}

static void compare_8_bytes(struct x86_lift *l, ir_value address)
{
    ir_value rax = x86_gpr(l, X86_RAX), rdx = x86_gpr(l, X86_RDX);
    ir_value expected = ir_bfi(l->ir, rax, rdx, 32, 32);
    ir_value new = ir_bfi(l->ir, x86_gpr(l, X86_RBX), x86_gpr(l, X86_RCX), 32, 32);
    ir_value old = ir_emit(l->ir, IR_CAS, IR_I64, 3, address, expected, new, 0, 0);
    ir_value equal = ir_cmp(l->ir, IR_EQ, old, expected);

    x86_set_gpr(l, X86_RAX, ir_select(l->ir, equal, rax, ir_ubfx(l->ir, old, 0, 32)));
    x86_set_gpr(l, X86_RDX, ir_select(l->ir, equal, rdx, ir_ubfx(l->ir, old, 32, 32)));
    set_zero_flag(l, equal);
}

static void compare_16_bytes(struct x86_lift *l, ir_value address)
{
    ir_value rax = x86_gpr(l, X86_RAX), rdx = x86_gpr(l, X86_RDX);
    ir_value expected = ir_emit(l->ir, IR_VFROM_PAIR, IR_V128, 0, rax, rdx, IR_NONE, 0, 0);
    ir_value new =
        ir_emit(l->ir, IR_VFROM_PAIR, IR_V128, 0, x86_gpr(l, X86_RBX), x86_gpr(l, X86_RCX), IR_NONE, 0, 0);
    ir_value old = ir_emit(l->ir, IR_CAS, IR_V128, 4 | IR_MEM_ALIGNED, address, expected, new, 0, 0);
    ir_value low = ir_emit(l->ir, IR_VGET, IR_I64, 3, old, IR_NONE, IR_NONE, 0, 0);
    ir_value high = ir_emit(l->ir, IR_VGET, IR_I64, 3, old, IR_NONE, IR_NONE, 1, 0);
    ir_value difference =
        ir_binary(l->ir, IR_OR, ir_binary(l->ir, IR_XOR, low, rax), ir_binary(l->ir, IR_XOR, high, rdx));

    x86_set_gpr(l, X86_RAX, low);
    x86_set_gpr(l, X86_RDX, high);
    set_zero_flag(l, ir_cmp(l->ir, IR_EQ, difference, ir_const(l->ir, IR_I64, 0)));
}

/* Group 9: CMPXCHG8B and CMPXCHG16B; RDRAND and RDSEED are the owner's */
bool x86_lift_cmpxchg_pair(struct x86_lift *l)
{
    const unsigned reg = l->insn.reg & 7;

    if (!l->insn.memory)
        return reg >= 6 && !l->insn.repeat && x86_lift_emulate(l);
    if (reg != 1)
        return false;
    const bool wide = l->insn.size == 3;
    ir_value address = x86_update_address(l, wide ? 4 | IR_MEM_ALIGNED : 3, x86_operand_address(l));
    if (wide)
        compare_16_bytes(l, address);
    else
        compare_8_bytes(l, address);
    return true;
}
