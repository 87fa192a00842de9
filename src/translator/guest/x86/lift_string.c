/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_string: string instructions. Intel SDM volume 1, 7.3.9. With REP each element is a pass of the block,
 * which goes to itself: so it can be interrupted, and a fault finds the registers as they are between two
 * elements.
 */
#include "translator/guest/x86/lift.h"

/* A register of the address size, zero-extended. */
static ir_value read_register(struct x86_lift *l, enum x86_gpr n)
{
    return ir_ubfx(l->ir, x86_gpr(l, n), 0, 8u << l->insn.address_size);
}

static struct x86_address source(struct x86_lift *l)
{
    return x86_segment_address(l, (enum x86_segment)l->insn.segment, read_register(l, X86_RSI));
}

static struct x86_address destination(struct x86_lift *l)
{
    return x86_segment_address(l, X86_ES, read_register(l, X86_RDI));
}

static ir_value load(struct x86_lift *l, struct x86_address address)
{
    return x86_load(l, x86_type(l->insn.size), l->insn.size, address);
}

/* Goes on by one element. */
static void advance(struct x86_lift *l, enum x86_gpr n)
{
    ir_value step = ir_binary_imm(l->ir, IR_SHL, ir_get(l->ir, X86_REGISTER_DF, IR_I64), l->insn.size);
    ir_value moved = ir_binary(l->ir, IR_ADD, x86_gpr(l, n), step);
    x86_write_named(l, n, l->insn.address_size, ir_ubfx(l->ir, moved, 0, 8u << l->insn.address_size));
}

static void leave_if(struct x86_lift *l, ir_value condition)
{
    ir_emit(l->ir, IR_EXIT_IF, IR_VOID, 0, condition, IR_NONE, IR_NONE, l->next, 0);
}

/* With REP: nothing more to do if the count is zero. */
static void begin(struct x86_lift *l)
{
    if (l->insn.repeat)
        leave_if(l, ir_cmp(l->ir, IR_EQ, read_register(l, X86_RCX), ir_const(l->ir, IR_I64, 0)));
}

/* `stop`: whether the comparison ends the repetition, or IR_NONE. */
static void end(struct x86_lift *l, ir_value stop)
{
    if (!l->insn.repeat)
        return;
    ir_value count = ir_binary_imm(l->ir, IR_SUB, read_register(l, X86_RCX), 1);
    x86_write_named(l, X86_RCX, l->insn.address_size, count);
    leave_if(l, ir_cmp(l->ir, IR_EQ, count, ir_const(l->ir, IR_I64, 0)));
    if (stop)
        leave_if(l, stop);
    ir_emit(l->ir, IR_GOTO, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, l->pc, 0);
    l->ended = true;
}

/* REPE and REPNE stop at the other result. */
static void end_comparison(struct x86_lift *l, ir_value flags)
{
    ir_value stop = ir_cond(l->ir, flags, l->insn.repeat == 0xf3 ? IR_NE : IR_EQ);
    ir_set_flags(l->ir, flags);
    end(l, stop);
}

bool x86_lift_movs(struct x86_lift *l)
{
    begin(l);
    x86_store(l, l->insn.size, destination(l), load(l, source(l)));
    advance(l, X86_RSI);
    advance(l, X86_RDI);
    end(l, IR_NONE);
    return true;
}

bool x86_lift_stos(struct x86_lift *l)
{
    begin(l);
    x86_store(l, l->insn.size, destination(l), x86_read_named(l, X86_RAX, l->insn.size));
    advance(l, X86_RDI);
    end(l, IR_NONE);
    return true;
}

bool x86_lift_lods(struct x86_lift *l)
{
    begin(l);
    x86_write_named(l, X86_RAX, l->insn.size, load(l, source(l)));
    advance(l, X86_RSI);
    end(l, IR_NONE);
    return true;
}

bool x86_lift_cmps(struct x86_lift *l)
{
    begin(l);
    ir_value a = load(l, source(l)), b = load(l, destination(l));
    ir_value flags = x86_flags_of(l, x86_part(l, IR_PART_SUB, l->insn.size, a, b, IR_NONE));
    advance(l, X86_RSI);
    advance(l, X86_RDI);
    end_comparison(l, flags);
    return true;
}

bool x86_lift_scas(struct x86_lift *l)
{
    begin(l);
    ir_value b = load(l, destination(l)), a = x86_read_named(l, X86_RAX, l->insn.size);
    ir_value flags = x86_flags_of(l, x86_part(l, IR_PART_SUB, l->insn.size, a, b, IR_NONE));
    advance(l, X86_RDI);
    end_comparison(l, flags);
    return true;
}
