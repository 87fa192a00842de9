/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lift_mmx: instructions on MMX registers, which the host's executes (ir/x87.h). Intel SDM volume 1, chapter
 * 9, volume 2 by name. MASKMOVQ and conversions are the owner's. */
#include "translator/guest/x86/lift_sse.h"
#include "translator/ir/x87.h"

enum { MOVQ_FROM = 0x6e, MOVQ_LOAD = 0x6f, MOVQ_TO = 0x7e };

static ir_value emit(struct x86_lift *l, enum ir_op op, enum ir_type type, ir_value a, unsigned opcode,
                     unsigned reg, unsigned rm)
{
    const unsigned map = l->insn.map;
    return ir_emit(l->ir, op, type, 0, a, IR_NONE, IR_NONE,
                   IR_MMX_CODE(map, opcode, reg & 7, rm & 7, l->insn.imm & 0xff), 0);
}

/*
 * Before the instruction's first effect: the x87's state is that of MMX from here on. An instruction that may
 * still fault must not change it: what `may_fault` is left to the owner where there is something to change.
 */
static void enter(struct x86_lift *l, bool may_fault)
{
    if (l->x87 == IR_X87_MMX)
        return;
    ir_value state = ir_emit(l->ir, IR_MMX_ENTER, IR_I64, 0, IR_NONE, IR_NONE, IR_NONE, may_fault, 0);
    ir_value other = ir_cmp(l->ir, IR_NE, state, ir_const(l->ir, IR_I64, IR_X87_MMX));
    x86_raise_if(l, other, TRANSLATOR_EMULATE, l->insn.length);
    l->x87 = IR_X87_MMX;
}

static ir_value read_mm(struct x86_lift *l, unsigned n)
{
    return emit(l, IR_MMX_TO_INT, IR_I64, IR_NONE, MOVQ_TO, n, 0);
}

static void write_mm(struct x86_lift *l, unsigned n, ir_value v)
{
    emit(l, IR_MMX_FROM_INT, IR_VOID, v, MOVQ_FROM, n, 0);
}

/* -- what computes, and loads ------------------------------------------------------------------------------
 */

bool x86_lift_mmx(struct x86_lift *l)
{
    const unsigned opcode = l->insn.opcode, size = l->insn.row->argument;
    ir_value v = IR_NONE;

    if (l->insn.memory)
        v = x86_load(l, IR_I64, size, x86_operand_address(l));
    enter(l, false);
    if (!l->insn.memory)
        emit(l, IR_MMX, IR_VOID, IR_NONE, opcode, l->insn.reg, l->insn.rm);
    else if (l->insn.map == X86_MAP_0F && opcode == MOVQ_LOAD)
        write_mm(l, l->insn.reg, v);
    else
        emit(l, IR_MMX_LOAD, IR_VOID, v, opcode, l->insn.reg, 0);
    return true;
}

/* Groups 12 to 14: the reg field chooses. */
bool x86_lift_mmx_shift(struct x86_lift *l)
{
    const unsigned digit = l->insn.reg & 7;
    const bool quad = l->insn.opcode == 0x73;

    if (digit != 2 && digit != 6 && (digit != 4 || quad))
        return false;
    enter(l, false);
    emit(l, IR_MMX, IR_VOID, IR_NONE, l->insn.opcode, digit, l->insn.rm);
    return true;
}

bool x86_lift_emms(struct x86_lift *l)
{
    enter(l, false);
    ir_emit(l->ir, IR_MMX, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, IR_MMX_EMMS, 0);
    l->x87 = IR_X87_LIVE;
    return true;
}

/* -- between MMX registers and others ----------------------------------------------------------------------
 */

/* MOVD and its REX.W form, MOVQ */
bool x86_lift_mmx_from_rm(struct x86_lift *l)
{
    const struct x86_place place = x86_place_rm_of(l, x86_rex_size(l));
    ir_value v = x86_convert(l, x86_read(l, &place), IR_I64);

    enter(l, false);
    write_mm(l, l->insn.reg, v);
    return true;
}

bool x86_lift_mmx_to_rm(struct x86_lift *l)
{
    const unsigned size = x86_rex_size(l);

    enter(l, l->insn.memory);
    ir_value v = x86_convert(l, read_mm(l, l->insn.reg), x86_type(size));
    if (l->insn.memory)
        x86_store(l, size, x86_operand_address(l), v);
    else
        x86_write_named(l, l->insn.rm, size, v);
    return true;
}

bool x86_lift_mmx_store(struct x86_lift *l)
{
    enter(l, l->insn.memory);
    if (l->insn.memory)
        x86_store(l, 3, x86_operand_address(l), read_mm(l, l->insn.reg));
    else
        emit(l, IR_MMX, IR_VOID, IR_NONE, MOVQ_LOAD, l->insn.rm, l->insn.reg);
    return true;
}

/* PINSRW */
bool x86_lift_mmx_insert(struct x86_lift *l)
{
    ir_value v = l->insn.memory ? x86_load(l, IR_I64, 1, x86_operand_address(l)) : x86_gpr(l, l->insn.rm);

    enter(l, false);
    emit(l, IR_MMX_FROM_INT, IR_VOID, v, l->insn.opcode, l->insn.reg, 0);
    return true;
}

/* PEXTRW, PMOVMSKB */
bool x86_lift_mmx_to_reg(struct x86_lift *l)
{
    enter(l, false);
    x86_write_named(l, l->insn.reg, 2,
                    emit(l, IR_MMX_TO_INT, IR_I64, IR_NONE, l->insn.opcode, 0, l->insn.rm));
    return true;
}

/* MOVQ2DQ, MOVDQ2Q: they count as SSE, but wait for exceptions of the x87. */
bool x86_lift_mmx_to_vector(struct x86_lift *l)
{
    if (l->mode & X86_MODE_X87_TRAPS)
        return x86_lift_emulate(l);
    enter(l, false);
    ir_value v = read_mm(l, l->insn.rm);
    x86_write_xmm(l, l->insn.reg, ir_emit(l->ir, IR_VFROM_INT, IR_V128, 0, v, IR_NONE, IR_NONE, 0, 0));
    return true;
}

bool x86_lift_mmx_from_vector(struct x86_lift *l)
{
    if (l->mode & X86_MODE_X87_TRAPS)
        return x86_lift_emulate(l);
    enter(l, false);
    write_mm(l, l->insn.reg,
             ir_emit(l->ir, IR_VGET, IR_I64, 3, x86_read_xmm(l, l->insn.rm), IR_NONE, IR_NONE, 0, 0));
    return true;
}
