/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lift_sse_move: moves of vectors and of parts of them. Intel SDM volume 2 by name. */
#include "translator/guest/x86/lift_sse.h"

static unsigned access_of(const struct x86_lift *l)
{
    const unsigned argument = l->insn.row->argument;
    return (argument & IR_MEM_SIZE) | (argument & X86_VECTOR_ALIGNED ? IR_MEM_ALIGNED : 0);
}

/* a with lane `to` of 2^esize bytes replaced by b's lane `from`. */
static ir_value set_lane(struct x86_lift *l, unsigned esize, ir_value a, unsigned to, ir_value b,
                         unsigned from)
{
    return ir_vec2(l->ir, IR_VSET_LANE, esize, a, b, to | from << 4);
}

static ir_value get_lane(struct x86_lift *l, unsigned esize, ir_value a, unsigned lane)
{
    return ir_emit(l->ir, IR_VGET, x86_type(esize == 3 ? 3 : 2), esize, a, IR_NONE, IR_NONE, lane, 0);
}

/* -- whole registers ----------------------------------------------------------------------------------------
 */

bool x86_lift_vector_load(struct x86_lift *l)
{
    x86_write_xmm(l, l->insn.reg, x86_read_xmm_rm(l, access_of(l)));
    return true;
}

bool x86_lift_vector_store(struct x86_lift *l)
{
    ir_value v = x86_read_xmm(l, l->insn.reg);
    if (l->insn.memory)
        x86_store(l, access_of(l), x86_operand_address(l), v);
    else
        x86_write_xmm(l, l->insn.rm, v);
    return true;
}

/* -- the low element ------------------------------------------------------------------------------------- */

/* MOVSS, MOVSD: from memory the rest becomes zero, from a register it stays. */
bool x86_lift_scalar_load(struct x86_lift *l)
{
    const unsigned size = l->insn.row->argument;
    ir_value v = x86_read_xmm_rm(l, size);
    if (!l->insn.memory)
        v = set_lane(l, size, x86_read_xmm(l, l->insn.reg), 0, v, 0);
    x86_write_xmm(l, l->insn.reg, v);
    return true;
}

bool x86_lift_scalar_store(struct x86_lift *l)
{
    const unsigned size = l->insn.row->argument;
    ir_value v = x86_read_xmm(l, l->insn.reg);
    if (l->insn.memory)
        x86_store(l, size, x86_operand_address(l), v);
    else
        x86_write_xmm(l, l->insn.rm, set_lane(l, size, x86_read_xmm(l, l->insn.rm), 0, v, 0));
    return true;
}

/* MOVQ: the rest becomes zero in any case. */
bool x86_lift_quad_load(struct x86_lift *l)
{
    ir_value v = x86_read_xmm_rm(l, 3);
    x86_write_xmm(l, l->insn.reg, l->insn.memory ? v : ir_vec1(l->ir, IR_VLOW, 3, v, 0));
    return true;
}

bool x86_lift_quad_store(struct x86_lift *l)
{
    ir_value v = x86_read_xmm(l, l->insn.reg);
    if (l->insn.memory)
        x86_store(l, 3, x86_operand_address(l), v);
    else
        x86_write_xmm(l, l->insn.rm, ir_vec1(l->ir, IR_VLOW, 3, v, 0));
    return true;
}

/* -- halves ---------------------------------------------------------------------------------------------- */

/* MOVLPx, MOVHPx; between registers MOVHLPS and MOVLHPS, from the other half. */
bool x86_lift_half_load(struct x86_lift *l)
{
    const unsigned half = l->insn.row->argument;
    ir_value v = x86_read_xmm_rm(l, 3);
    v = set_lane(l, 3, x86_read_xmm(l, l->insn.reg), half, v, l->insn.memory ? 0 : !half);
    x86_write_xmm(l, l->insn.reg, v);
    return true;
}

bool x86_lift_half_store(struct x86_lift *l)
{
    ir_value v = x86_read_xmm(l, l->insn.reg);
    if (l->insn.row->argument)
        v = get_lane(l, 3, v, 1);
    x86_store(l, 3, x86_operand_address(l), v);
    return true;
}

/* -- integer registers ----------------------------------------------------------------------------------- */

/* log2 of the bytes of the lane that the instruction names. */
static unsigned lane_size(const struct x86_lift *l)
{
    const unsigned argument = l->insn.row->argument;
    return argument & (X86_LANE_SIZED | X86_LANE_FIRST) ? x86_rex_size(l) : argument;
}

static unsigned lane_number(const struct x86_lift *l, unsigned size)
{
    return l->insn.row->argument & X86_LANE_FIRST ? 0 : l->insn.imm & ((16u >> size) - 1);
}

/* MOVD, MOVQ */
bool x86_lift_vector_from_reg(struct x86_lift *l)
{
    const unsigned size = x86_rex_size(l);
    ir_value v = l->insn.memory ? x86_read_xmm_rm(l, size)
                                : ir_emit(l->ir, IR_VFROM_INT, IR_V128, 0,
                                          x86_read_named(l, l->insn.rm, size), IR_NONE, IR_NONE, 0, 0);
    x86_write_xmm(l, l->insn.reg, v);
    return true;
}

/* MOVD, MOVQ, PEXTRx, EXTRACTPS: a register gets the lane zero-extended. */
bool x86_lift_lane_to_rm(struct x86_lift *l)
{
    const unsigned size = lane_size(l), lane = lane_number(l, size);
    ir_value v = x86_read_xmm(l, l->insn.reg);

    if (l->insn.memory)
        x86_store(l, size, x86_operand_address(l), lane ? get_lane(l, size, v, lane) : v);
    else
        x86_write_named(l, l->insn.rm, size == 3 ? 3 : 2, get_lane(l, size, v, lane));
    return true;
}

/* PEXTRW as SSE2 has it: the operands the other way round. */
bool x86_lift_lane_to_reg(struct x86_lift *l)
{
    const unsigned size = lane_size(l);
    ir_value v = get_lane(l, size, x86_read_xmm(l, l->insn.rm), lane_number(l, size));
    x86_write_named(l, l->insn.reg, 2, v);
    return true;
}

/* PINSRx */
bool x86_lift_lane_from_rm(struct x86_lift *l)
{
    const unsigned size = lane_size(l);
    const enum ir_type type = x86_type(size == 3 ? 3 : 2);
    ir_value v = l->insn.memory ? x86_load(l, type, size, x86_operand_address(l))
                                : x86_convert(l, x86_gpr(l, l->insn.rm), type);
    v = ir_vec2(l->ir, IR_VSET, size, x86_read_xmm(l, l->insn.reg), v, lane_number(l, size));
    x86_write_xmm(l, l->insn.reg, v);
    return true;
}

/* -- MXCSR: that of the guest is translator_cpu.fp_control ----------------------------------------------- */

enum { MXCSR_RESERVED = 0xffff0000, MXCSR_MASKS = 0x1f80 };

static uint64_t set_control(void *cpu, uint64_t value, uint64_t unused)
{
    (void)unused;
    ((struct translator_cpu *)cpu)->fp_control = (uint32_t)value;
    return 0;
}

static uint64_t get_control(void *cpu, uint64_t unused, uint64_t unused_too)
{
    (void)unused, (void)unused_too;
    return ((const struct translator_cpu *)cpu)->fp_control;
}

/* LDMXCSR. Reserved bits are #GP, and what is masked belongs to the mode: the owner's. */
bool x86_lift_load_mxcsr(struct x86_lift *l)
{
    if (l->mode & X86_MODE_SSE_TRAPS)
        return x86_lift_emulate(l);
    const uint32_t fixed = MXCSR_RESERVED | MXCSR_MASKS;
    ir_value v = x86_load(l, IR_I32, 2, x86_operand_address(l));
    ir_value plain = ir_const(l->ir, IR_I32, MXCSR_MASKS);
    x86_raise_if(l, ir_cmp(l->ir, IR_NE, ir_binary_imm(l->ir, IR_AND, v, fixed), plain), TRANSLATOR_EMULATE,
                 l->insn.length);
    ir_call(l->ir, set_control, ir_zext(l->ir, v), IR_NONE);
    return true;
}

bool x86_lift_store_mxcsr(struct x86_lift *l)
{
    ir_value v = ir_call(l->ir, get_control, IR_NONE, IR_NONE);
    x86_store(l, 2, x86_operand_address(l), v);
    return true;
}
