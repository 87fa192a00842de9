/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_sse: instructions on vectors that compute. Intel SDM volume 1, chapters 10 to 12; volume 2 by name.
 *
 * The rows of ir/x86_vector.def are the instructions; their shape says what operands they have.
 */
#include "translator/guest/x86/lift_sse.h"

/* -- operands ----------------------------------------------------------------------------------------------
 */

/* The r/m operand. 16 bytes in memory must be aligned, but for PCMPxSTRx (volume 1, 14.9); processors differ
 * about SHA. */
static bool must_be_aligned(const struct x86_vector_info *row)
{
    return row->bytes == 16 && (row->shape < X86_SHAPE_LEGACY || row->shape > X86_SHAPE_INDEX_OF);
}

static ir_value read_source(struct x86_lift *l, const struct x86_vector_info *row)
{
    if (!l->insn.memory)
        return x86_read_xmm(l, l->insn.rm);
    const unsigned size = (unsigned)__builtin_ctz(row->bytes);
    return x86_read_xmm_rm(l, size | (must_be_aligned(row) ? IR_MEM_ALIGNED : 0));
}

/* What of the immediate means something. */
static unsigned immediate_of(const struct x86_lift *l, unsigned row)
{
    const unsigned imm = l->insn.imm & 255;

    switch (row) {
    case X86V_CMPPS:
    case X86V_CMPPD:
    case X86V_CMPSS:
    case X86V_CMPSD: return imm & 7; /* VEX has more comparisons */
    case X86V_INSERTPS: return l->insn.memory ? imm & 0x3f : imm;
    default: return imm;
    }
}

static uint64_t traps(const struct x86_lift *l)
{
    return l->mode & X86_MODE_SSE_TRAPS ? IR_TRAPS : 0;
}

static ir_value emit_vector(struct x86_lift *l, unsigned row, ir_value a, ir_value b, ir_value c)
{
    const bool raises = x86_vector_info[row].raises_status;
    return ir_emit(l->ir, raises ? IR_X86VF : IR_X86V, IR_V128, row, a, b, c, immediate_of(l, row),
                   raises ? traps(l) : 0);
}

/* -- strings --------------------------------------------------------------------------------------------- */

/* A length of 64 bits as one of 32, which says as much. */
static ir_value narrow_length(struct x86_lift *l, enum x86_gpr n)
{
    ir_value x = x86_gpr(l, n), low = ir_trunc(l->ir, x);
    if (!(l->insn.rex & 8))
        return low;
    ir_value fits = ir_cmp(l->ir, IR_EQ, ir_sext(l->ir, low), x);
    return ir_select(l->ir, fits, low, ir_const(l->ir, IR_I32, 0x7fffffff));
}

/* PCMPESTRx: EAX and EDX as an I64. */
static ir_value read_lengths(struct x86_lift *l)
{
    ir_value a = ir_zext(l->ir, narrow_length(l, X86_RAX));
    return ir_bfi(l->ir, a, ir_zext(l->ir, narrow_length(l, X86_RDX)), 32, 32);
}

static void lift_string(struct x86_lift *l, unsigned row)
{
    const unsigned shape = x86_vector_info[row].shape, imm = l->insn.imm & 255;
    const bool given = shape == X86_SHAPE_MASK_OF || shape == X86_SHAPE_INDEX_OF;
    ir_value a = x86_read_xmm(l, l->insn.reg), b = read_source(l, &x86_vector_info[row]);
    ir_value lengths = given ? read_lengths(l) : IR_NONE;

    if (shape == X86_SHAPE_MASK || shape == X86_SHAPE_MASK_OF) {
        ir_value c = given ? ir_emit(l->ir, IR_VFROM_INT, IR_V128, 0, lengths, IR_NONE, IR_NONE, 0, 0) : a;
        x86_write_xmm(l, 0, emit_vector(l, row, a, b, c));
    } else {
        ir_value index = ir_emit(l->ir, IR_X86V_TO_INT, IR_I32, row, a, b, lengths, imm, 0);
        x86_write_named(l, X86_RCX, 2, index);
    }
    ir_set_flags(l->ir, ir_emit(l->ir, IR_X86V_FLAGS, IR_FLAGS, row, a, b, lengths, imm, 0));
}

/* -- rows ------------------------------------------------------------------------------------------------ */

static bool is_zero_idiom(const struct x86_lift *l, unsigned row)
{
    return (row == X86V_PXOR || row == X86V_XORPS || row == X86V_XORPD) && !l->insn.memory &&
           l->insn.reg == l->insn.rm;
}

static void lift_to_int(struct x86_lift *l, unsigned row)
{
    const bool converts = x86_vector_info[row].raises_status;
    const unsigned size = converts ? x86_rex_size(l) : 2;
    ir_value a = read_source(l, &x86_vector_info[row]);

    if (converts)
        a = ir_emit(l->ir, IR_X86VF_TO_INT, x86_type(size), row, a, IR_NONE, IR_NONE, 0, traps(l));
    else
        a = ir_emit(l->ir, IR_X86V_TO_INT, IR_I32, row, a, a, IR_NONE, 0, 0);
    x86_write_named(l, l->insn.reg, size, a);
}

static void lift_from_int(struct x86_lift *l, unsigned row)
{
    const unsigned size = x86_rex_size(l);
    ir_value b = l->insn.memory ? x86_load(l, x86_type(size), size, x86_operand_address(l))
                                : x86_read_named(l, l->insn.rm, size);
    ir_value a = x86_read_xmm(l, l->insn.reg);
    x86_write_xmm(l, l->insn.reg,
                  ir_emit(l->ir, IR_X86VF_FROM_INT, IR_V128, row, a, b, IR_NONE, 0, traps(l)));
}

bool x86_lift_vector(struct x86_lift *l)
{
    const unsigned row = l->insn.row->argument;
    const struct x86_vector_info *info = &x86_vector_info[row];
    ir_value a, b, c;

    if (!x86_vector_available((enum x86_vector)row))
        return false;
    switch (info->shape) {
    case X86_SHAPE_TO_INT: lift_to_int(l, row); return true;
    case X86_SHAPE_FROM_INT: lift_from_int(l, row); return true;
    case X86_SHAPE_MASK:
    case X86_SHAPE_MASK_OF:
    case X86_SHAPE_INDEX:
    case X86_SHAPE_INDEX_OF: lift_string(l, row); return true;
    case X86_SHAPE_TEST:
        b = read_source(l, info);
        a = x86_read_xmm(l, l->insn.reg);
        ir_set_flags(l->ir, ir_emit(l->ir, IR_X86V_FLAGS, IR_FLAGS, row, a, b, IR_NONE, 0, 0));
        return true;
    case X86_SHAPE_RM:
    case X86_SHAPE_RMI:
        a = read_source(l, info);
        x86_write_xmm(l, l->insn.reg, emit_vector(l, row, a, a, a));
        return true;
    default: break;
    }
    if (is_zero_idiom(l, row)) {
        x86_write_xmm(l, l->insn.reg, ir_emit(l->ir, IR_VCONST, IR_V128, 0, IR_NONE, IR_NONE, IR_NONE, 0, 0));
        return true;
    }
    b = read_source(l, info);
    a = c = x86_read_xmm(l, l->insn.reg);
    if (info->shape == X86_SHAPE_RVMR || info->shape == X86_SHAPE_LEGACY_XMM0)
        c = x86_read_xmm(l, 0);
    x86_write_xmm(l, l->insn.reg, emit_vector(l, row, a, b, c));
    return true;
}

/* Groups 12 to 14: the r/m operand is shifted, the reg field chooses. */
bool x86_lift_vector_shift(struct x86_lift *l)
{
    for (unsigned row = X86V_PSRLW_IMM; row <= X86V_PSLLDQ_IMM; row++) {
        const struct x86_vector_info *info = &x86_vector_info[row];
        if (info->opcode != l->insn.opcode || info->digit != (l->insn.reg & 7))
            continue;
        ir_value a = x86_read_xmm(l, l->insn.rm);
        x86_write_xmm(l, l->insn.rm, emit_vector(l, row, a, a, a));
        return true;
    }
    return false;
}

/* COMISS and its kin. */
bool x86_lift_compare_scalar(struct x86_lift *l)
{
    const unsigned argument = l->insn.row->argument;
    const enum ir_type type = argument & X86_COMPARE_DOUBLE ? IR_F64 : IR_F32;
    ir_value a, b;

    if (l->insn.memory)
        b = x86_load(l, type, type == IR_F64 ? 3 : 2, x86_operand_address(l));
    else
        b = ir_emit(l->ir, IR_VGET_FLOAT, type, 0, x86_read_xmm(l, l->insn.rm), IR_NONE, IR_NONE, 0, 0);
    a = ir_emit(l->ir, IR_VGET_FLOAT, type, 0, x86_read_xmm(l, l->insn.reg), IR_NONE, IR_NONE, 0, 0);
    ir_set_flags(l->ir, ir_emit(l->ir, IR_FLAGS_UCOM, IR_FLAGS, !!(argument & X86_COMPARE_SIGNALS), a, b,
                                IR_NONE, 0, traps(l)));
    return true;
}
