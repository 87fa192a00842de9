/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emit_x87: the floating-point unit of an x86 guest, which is the host's: instructions are emitted as
 * themselves, with operands in the CPU structure (ir/x87.h). */
#include "translator/host/x86_64/emit_core.h"
#include "translator/ir/x87.h"

enum {
    FLDCW = 0xd928,
    FLD_80 = 0xdb28,
    FSTP_80 = 0xdb38,
    MASKS = 0x3f,
};

static struct mem scratch(struct emit *e, unsigned n)
{
    return emit_cpu(e, CPU_EVAL_ARGUMENT(n));
}

static struct mem live(struct emit *e)
{
    return emit_cpu(e, offsetof(struct translator_cpu, x87_live));
}

static void on_memory(struct emit *e, unsigned code, struct mem m)
{
    asm_x87(e->a, code >> 8 & 7, code >> 3 & 7, m);
}

static void enter_cold(struct emit *e, struct cold *c)
{
    emit_cold_eval(e, c);
}

EMITTER(x87_enter)
{
    (void)insn, (void)v;
    emit_clobber_flags(e);
    asm_alu_imm(e->a, ALU_CMP, false, rm_mem(live(e)), IR_X87_LIVE);
    emit_cold_back(e, emit_cold_jcc(e, CC_NE, enter_cold));
}

EMITTER(x87)
{
    (void)v;
    asm_byte(e->a, (uint8_t)(insn->imm >> 8));
    asm_byte(e->a, (uint8_t)insn->imm);
}

EMITTER(x87_if)
{
    flags_load(e, insn->a);
    emit_op_x87(e, insn, v);
}

EMITTER(x87_flags)
{
    emit_clobber_flags(e);
    emit_op_x87(e, insn, v);
    flags_define(e, v, FLAGS_BORROW);
}

EMITTER(x87_load)
{
    (void)v;
    asm_store(e->a, true, scratch(e, 0), emit_use_gpr(e, insn->a));
    if (insn->b) {
        struct mem high = scratch(e, 0);
        high.disp += 8;
        asm_store16(e->a, high, emit_use_gpr(e, insn->b));
    }
    on_memory(e, (unsigned)insn->imm, scratch(e, 0));
}

EMITTER(x87_store)
{
    const unsigned code = (unsigned)insn->imm & 0xffff;
    if (insn->imm & IR_X87_KEEP && code != FSTP_80) {
        on_memory(e, FSTP_80, scratch(e, 1));
        on_memory(e, FLD_80, scratch(e, 1));
    }
    on_memory(e, code, scratch(e, 0));
    if (insn->imm & IR_X87_KEEP)
        on_memory(e, FLD_80, scratch(e, code != FSTP_80));
    if (e->values[v].uses)
        asm_load(e->a, true, emit_def_gpr_last(e, v), scratch(e, 0));
}

EMITTER(x87_store_high)
{
    struct mem high = scratch(e, 0);
    (void)insn;
    high.disp += 8;
    asm_movzx(e->a, 1, emit_def_gpr_last(e, v), rm_mem(high));
}

EMITTER(x87_status)
{
    (void)insn;
    emit_take_gpr(e, RAX);
    asm_byte(e->a, 0xdf);
    asm_byte(e->a, 0xe0);
    asm_movzx(e->a, 1, RAX, rm_reg(RAX));
    emit_def_in_gpr(e, v, RAX);
}

EMITTER(x87_control)
{
    (void)v;
    emit_clobber_flags(e);
    asm_store(e->a, true, scratch(e, 0), emit_use_gpr(e, insn->a));
    asm_alu_imm(e->a, ALU_OR, false, rm_mem(scratch(e, 0)), MASKS);
    on_memory(e, FLDCW, scratch(e, 0));
}

/* -- MMX ----------------------------------------------------------------------------------------------------
 */

static void mmx_enter_cold(struct emit *e, struct cold *c)
{
    emit_cold_eval(e, c);
    asm_load(e->a, false, c->r[0], emit_cpu(e, CPU_EVAL_RESULT));
}

EMITTER(mmx_enter)
{
    (void)insn;
    emit_clobber_flags(e);
    const unsigned state = emit_def_gpr(e, v);
    asm_load(e->a, false, state, live(e));
    asm_alu_imm(e->a, ALU_CMP, false, rm_reg(state), IR_X87_MMX);
    struct cold *c = emit_cold_jcc(e, CC_NE, mmx_enter_cold);
    c->r[0] = (uint8_t)state;
    emit_cold_back(e, c);
}

/* reg, rm: MMX registers as the encoding has them, or what stands for them. */
static void mmx(struct emit *e, const struct ir_mmx_code *code, bool wide, unsigned reg, struct rm rm)
{
    asm_mmx(e->a, code->map, code->opcode, wide, reg, rm, code->has_immediate ? code->immediate : -1);
}

EMITTER(mmx)
{
    const struct ir_mmx_code code = ir_mmx_code(insn->imm);
    (void)v;
    if (insn->imm == IR_MMX_EMMS) {
        asm_byte(e->a, 0x0f);
        asm_byte(e->a, code.opcode);
        asm_store_imm(e->a, 2, live(e), IR_X87_LIVE);
        return;
    }
    mmx(e, &code, false, code.reg, rm_reg(code.rm));
}

EMITTER(mmx_load)
{
    const struct ir_mmx_code code = ir_mmx_code(insn->imm);
    struct rm a = emit_use_rm(e, insn->a);
    (void)v;
    if (!a.is_mem) {
        asm_store(e->a, true, scratch(e, 0), a.reg);
        a = rm_mem(scratch(e, 0));
    }
    mmx(e, &code, false, code.reg, a);
}

EMITTER(mmx_from_int)
{
    const struct ir_mmx_code code = ir_mmx_code(insn->imm);
    (void)v;
    mmx(e, &code, !code.has_immediate, code.reg, emit_use_rm(e, insn->a));
}

EMITTER(mmx_to_int)
{
    const struct ir_mmx_code code = ir_mmx_code(insn->imm);
    const unsigned to = emit_def_gpr_last(e, v);
    if (code.opcode == 0x7e) /* MOVQ */
        mmx(e, &code, true, code.reg, rm_reg(to));
    else
        mmx(e, &code, false, to, rm_reg(code.rm));
}
