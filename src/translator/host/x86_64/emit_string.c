/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_string: many bytes at once, 32 by 32 from the end on, then the first 32. The bytes lie within one
 * page, or two, so that a fault comes before anything has been written. Behind a TLB the evaluator does it:
 * there the looking-up takes more registers than there are.
 */
#include "translator/host/x86_64/assembler_vex.h"
#include "translator/host/x86_64/emit_core.h"

enum { STEP = 32 };

/* One step; `from` MEM_NONE: the vector is there already. `index` MEM_NONE: at the beginning. */
static void move(struct emit *e, unsigned x, unsigned to, int from, int index)
{
    struct mem target = mem_base(to, 0), source = target;
    source.base = (int8_t)from;
    source.index = target.index = (int8_t)index;
    if (from != MEM_NONE)
        asm_vex256(e->a, V_MOVUPS_LOAD, x, 0, rm_mem(source));
    asm_vex256(e->a, V_MOVUPS_STORE, x, 0, rm_mem(target));
}

static void emit_moves(struct emit *e, const struct ir_insn *insn, unsigned x, unsigned to, int from)
{
    struct assembler *a = e->a;
    unsigned bytes = emit_use_gpr(e, insn->c), index = emit_tmp_gpr(e);

    asm_lea(a, true, index, mem_base(bytes, -STEP));
    asm_test(a, true, rm_reg(index), index);
    uint32_t none = asm_jcc_short(a, CC_S);
    const uint32_t again = asm_offset(a);
    move(e, x, to, from, (int)index);
    asm_alu_imm(a, ALU_SUB, true, rm_reg(index), STEP);
    asm_jcc_short_back(a, CC_NS, again);
    move(e, x, to, from, MEM_NONE);
    asm_bind_short(a, none);
    emit_alias(e, e->current, insn->c);
}

EMITTER(string_copy)
{
    if (e->isa->tlb_offset) {
        emit_eval(e, insn, v);
        return;
    }
    flags_before_atomic(e);
    unsigned to = emit_use_gpr(e, insn->a), from = emit_use_gpr(e, insn->b);
    emit_moves(e, insn, emit_tmp_xmm(e), to, (int)from);
}

EMITTER(string_fill)
{
    if (e->isa->tlb_offset) {
        emit_eval(e, insn, v);
        return;
    }
    flags_before_atomic(e);
    unsigned to = emit_use_gpr(e, insn->a), pattern = emit_use_gpr(e, insn->b), x = emit_tmp_xmm(e);
    asm_vex(e->a, V_MOVQ_FROM_GPR, x, 0, rm_reg(pattern));
    asm_vex256(e->a, VPBROADCASTQ, x, 0, rm_reg(x));
    emit_moves(e, insn, x, to, MEM_NONE);
}
