/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lift_float: scalar floating point, Arm ARM C4.1 "Data Processing -- Scalar Floating-Point". */
#include "arm64_decode.h"
#include "translator/guest/arm64/lift_simd.h"

/* Half precision has ptype 3. */
#define FT_HALF 3

static unsigned float_size(unsigned ft)
{
    return simd_float_esize(ft == FT_HALF, ft);
}

/* -- data processing (C4.1: 1, 2, 3 source) ------------------------------------------------------------- */

static bool lift_half2(struct lift *l, const struct arm64_float2 *f)
{
    static const uint16_t ops[] = {IR_VFMUL, IR_VFDIV,   IR_VFADD,   IR_VFSUB, IR_VFMAX,
                                   IR_VFMIN, IR_VFMAXNM, IR_VFMINNM, IR_VFMUL};
    ir_value n = simd_read_half(l, f->rn), m = simd_read_half(l, f->rm);
    ir_value v = ir_vec2(l->ir, ops[f->op], 1, n, m, 0);
    if (f->op == 8) /* FNMUL */
        v = ir_vec1(l->ir, IR_VFNEG, 1, v, 0);
    simd_write(l, 1, f->rd, v);
    return true;
}

bool lift_float2(struct lift *l, const struct arm64_float2 *f)
{
    static const uint16_t ops[] = {IR_FMUL, IR_FDIV,   IR_FADD,   IR_FSUB, IR_FMAX,
                                   IR_FMIN, IR_FMAXNM, IR_FMINNM, IR_FMUL};
    if (f->ft == FT_HALF)
        return lift_half2(l, f);
    ir_value n = lift_read_f(l, f->ft, f->rn);
    ir_value m = lift_read_f(l, f->ft, f->rm);
    ir_value v = ir_binary(l->ir, ops[f->op], n, m);
    if (f->op == 8) /* FNMUL */
        v = ir_unary(l->ir, IR_FNEG, v, 0);
    lift_write_f(l, f->rd, v);
    return true;
}

/* op<0>: subtract the product, i.e. negate Vn; op<1>: FNMADD and FNMSUB negate Va, and Vn once more. */
static bool lift_half3(struct lift *l, const struct arm64_float3 *f)
{
    ir_value n = simd_read_half(l, f->rn), m = simd_read_half(l, f->rm), a = simd_read_half(l, f->ra);
    if (f->op == 1 || f->op == 2)
        n = ir_vec1(l->ir, IR_VFNEG, 1, n, 0);
    if (f->op & 2)
        a = ir_vec1(l->ir, IR_VFNEG, 1, a, 0);
    simd_write(l, 1, f->rd, ir_vec3(l->ir, IR_VFMA, 1, n, m, a));
    return true;
}

bool lift_float3(struct lift *l, const struct arm64_float3 *f)
{
    if (f->ft == FT_HALF)
        return lift_half3(l, f);
    ir_value n = lift_read_f(l, f->ft, f->rn);
    ir_value m = lift_read_f(l, f->ft, f->rm);
    ir_value a = lift_read_f(l, f->ft, f->ra);
    if (f->op == 1 || f->op == 2)
        n = ir_unary(l->ir, IR_FNEG, n, 0);
    if (f->op & 2)
        a = ir_unary(l->ir, IR_FNEG, a, 0);
    lift_write_f(l, f->rd, simd_float_fma(l, n, m, a));
    return true;
}

bool lift_float1(struct lift *l, const struct arm64_float1 *f)
{
    static const uint16_t ops[] = {IR_NOP, IR_FABS, IR_FNEG, IR_FSQRT};
    static const uint8_t half_ops[] = {IR_NOP, IR_VFABS, IR_VFNEG, IR_VFSQRT};
    if (f->ft == FT_HALF) {
        simd_write(l, 1, f->rd, ir_vec1(l->ir, half_ops[f->op], 1, simd_read_half(l, f->rn), 0));
        return true;
    }
    lift_write_f(l, f->rd, ir_unary(l->ir, ops[f->op], lift_read_f(l, f->ft, f->rn), 0));
    return true;
}

bool lift_float_move(struct lift *l, const struct arm64_float_move *f)
{
    simd_write(l, float_size(f->ft), f->rd, lift_read_v(l, f->rn));
    return true;
}

bool lift_float_immediate(struct lift *l, const struct arm64_float_immediate *f)
{
    lift_write_v(l, f->rd, simd_const(l, simd_expand_float(float_size(f->ft), f->imm), 0));
    return true;
}

bool lift_float_round(struct lift *l, const struct arm64_float_round *f)
{
    unsigned aux = simd_round(f->round) | (f->exact ? IR_ROUND_EXACT : 0);
    if (f->ft == FT_HALF) {
        simd_write(l, 1, f->rd, ir_vec1(l->ir, IR_VFROUND, 1 | aux << 8, simd_read_half(l, f->rn), 0));
        return true;
    }
    lift_write_f(l, f->rd, ir_unary(l->ir, IR_FROUND, lift_read_f(l, f->ft, f->rn), aux));
    return true;
}

bool lift_float_convert(struct lift *l, const struct arm64_float_convert *f)
{
    if (f->ft == f->to)
        return false;
    if (f->ft == FT_HALF) {
        ir_value half = simd_get_lane(l, IR_I32, 1, 0, lift_read_v(l, f->rn), 0);
        lift_write_f(l, f->rd,
                     ir_emit(l->ir, IR_FFROM_HALF, simd_float_type(f->to), 0, half, IR_NONE, IR_NONE, 0, 0));
        return true;
    }
    ir_value n = lift_read_f(l, f->ft, f->rn);
    if (f->to == FT_HALF) {
        ir_value half = ir_emit(l->ir, IR_FTO_HALF, IR_I32, 0, n, IR_NONE, IR_NONE, 0, 0);
        lift_write_v(l, f->rd, simd_from_int(l, half));
        return true;
    }
    lift_write_f(l, f->rd, ir_emit(l->ir, IR_FCONVERT, simd_float_type(f->to), 0, n, IR_NONE, IR_NONE, 0, 0));
    return true;
}

/* -- compare and select ---------------------------------------------------------------------------------- */

static ir_value float_zero(struct lift *l, unsigned ft)
{
    return ir_emit(l->ir, IR_FCONST, simd_float_type(ft & 1 && ft != FT_HALF), 0, IR_NONE, IR_NONE, IR_NONE,
                   0, 0);
}

/* What is compared; of half precision its value in single precision. */
static ir_value float_operand(struct lift *l, unsigned ft, unsigned n)
{
    return ft == FT_HALF ? simd_half_operand(l, n) : lift_read_f(l, ft, n);
}

/* Code that must tell of flushed operands leaves the comparison to ir_eval_op(), which has no FLAGS. */
static ir_value float_flags(struct lift *l, ir_value n, ir_value m, bool signal)
{
    if (ir_fp_evaluates(l->ir->fp_mode)) {
        ir_value packed = ir_emit(l->ir, IR_FCMP_PACK, IR_I32, signal, n, m, IR_NONE, 0, 0);
        return ir_emit(l->ir, IR_FLAGS_UNPACK, IR_FLAGS, 0, packed, IR_NONE, IR_NONE, 0, 0);
    }
    return ir_emit(l->ir, IR_FLAGS_FCMP, IR_FLAGS, signal, n, m, IR_NONE, 0, 0);
}

bool lift_float_compare(struct lift *l, const struct arm64_float_compare *f)
{
    ir_value n = float_operand(l, f->ft, f->rn);
    ir_value m = f->zero ? float_zero(l, f->ft) : float_operand(l, f->ft, f->rm);
    ir_set_flags(l->ir, float_flags(l, n, m, f->signal));
    return true;
}

/* Numbers of half precision that are converted raise an exception of their own, so that their bits are
 * chosen. */
static ir_value float_operand_if(struct lift *l, unsigned ft, ir_value condition, unsigned n)
{
    if (ft != FT_HALF)
        return ir_select(l->ir, condition, lift_read_f(l, ft, n), float_zero(l, ft));
    ir_value bits = ir_select(l->ir, condition, simd_half_bits(l, n), ir_const(l->ir, IR_I32, 0));
    return ir_emit(l->ir, IR_FFROM_HALF, IR_F32, IR_HALF_OPERAND, bits, IR_NONE, IR_NONE, 0, 0);
}

/*
 * Where the condition fails nothing is compared, so that nothing may raise an exception: two zeros
 * are compared then.
 */
bool lift_float_conditional_compare(struct lift *l, const struct arm64_float_conditional_compare *f)
{
    if (f->cond >= 14) {
        ir_value n = float_operand(l, f->ft, f->rn), m = float_operand(l, f->ft, f->rm);
        ir_set_flags(l->ir, float_flags(l, n, m, f->signal));
        return true;
    }
    ir_value condition = lift_cond(l, f->cond);
    ir_value n = float_operand_if(l, f->ft, condition, f->rn);
    ir_value m = float_operand_if(l, f->ft, condition, f->rm);
    ir_value flags = float_flags(l, n, m, f->signal);
    unsigned nzcv = (f->nzcv & 8 ? NZCV_N : 0) | (f->nzcv & 4 ? NZCV_Z : 0) | (f->nzcv & 2 ? 0 : NZCV_B) |
                    (f->nzcv & 1 ? NZCV_V : 0);
    ir_set_flags(l->ir, ir_emit(l->ir, IR_FLAGS_SELECT, IR_FLAGS, 0, condition, flags, IR_NONE, nzcv, 0));
    return true;
}

bool lift_float_select(struct lift *l, const struct arm64_float_select *f)
{
    if (f->ft == FT_HALF) {
        ir_value bits = simd_half_bits(l, f->rn);
        if (f->cond < 14)
            bits = ir_select(l->ir, lift_cond(l, f->cond), bits, simd_half_bits(l, f->rm));
        lift_write_v(l, f->rd, simd_from_int(l, bits));
        return true;
    }
    ir_value n = lift_read_f(l, f->ft, f->rn);
    if (f->cond < 14)
        n = ir_select(l->ir, lift_cond(l, f->cond), n, lift_read_f(l, f->ft, f->rm));
    lift_write_f(l, f->rd, n);
    return true;
}

/* -- general registers: conversions to and from integers and fixed point, moves -------------------------- */

/* The number of fraction bits, or -1 if the scale is not one of a 32-bit register. */
static int float_fraction_bits(unsigned fixed, unsigned sf, unsigned scale)
{
    if (!fixed)
        return 0;
    return sf || scale >= 32 ? 64 - (int)scale : -1;
}

bool lift_float_to_int(struct lift *l, const struct arm64_float_to_int *f)
{
    int fraction = float_fraction_bits(f->fixed, f->sf, f->scale);
    if (fraction < 0)
        return false;
    unsigned aux = simd_round(f->round) | (f->u ? IR_UNSIGNED : 0);
    lift_write(l, f->rd,
               ir_emit(l->ir, IR_FTO_INT, simd_int_type(f->sf), aux, float_operand(l, f->ft, f->rn), IR_NONE,
                       IR_NONE, (uint64_t)fraction, 0));
    return true;
}

bool lift_float_from_int(struct lift *l, const struct arm64_float_from_int *f)
{
    int fraction = float_fraction_bits(f->fixed, f->sf, f->scale);
    if (fraction < 0)
        return false;
    if (f->ft == FT_HALF) {
        ir_value half = ir_emit(l->ir, IR_HALF_FROM_INT, IR_I32, f->u ? IR_UNSIGNED : 0,
                                lift_read(l, f->sf, f->rn), IR_NONE, IR_NONE, (uint64_t)fraction, 0);
        lift_write_v(l, f->rd, simd_from_int(l, half));
        return true;
    }
    lift_write_f(l, f->rd,
                 ir_emit(l->ir, IR_FFROM_INT, simd_float_type(f->ft), f->u ? IR_UNSIGNED : 0,
                         lift_read(l, f->sf, f->rn), IR_NONE, IR_NONE, (uint64_t)fraction, 0));
    return true;
}

bool lift_float_to_general(struct lift *l, const struct arm64_float_to_general *f)
{
    lift_write(l, f->rd,
               simd_get_lane(l, simd_int_type(f->size == 3), f->size, 0, lift_read_v(l, f->rn), f->lane));
    return true;
}

bool lift_float_from_general(struct lift *l, const struct arm64_float_from_general *f)
{
    ir_value x = lift_read(l, f->sf && !f->half, f->rn);
    if (f->half)
        x = ir_ubfx(l->ir, x, 0, 16);
    if (f->lane)
        lift_write_v(l, f->rd, simd_set_lane(l, 3, lift_read_v(l, f->rd), 1, x));
    else
        lift_write_v(l, f->rd, simd_from_int(l, x));
    return true;
}

/* FJCVTZS: FPToFixedJS(). Z tells that the result is exact. */
bool lift_float_to_int_script(struct lift *l, const struct arm64_float_to_int_script *f)
{
    ir_value both =
        ir_emit(l->ir, IR_FTO_INT_SCRIPT, IR_I64, 0, lift_read_f(l, 1, f->rn), IR_NONE, IR_NONE, 0, 0);
    ir_value exact = ir_trunc(l->ir, ir_ubfx(l->ir, both, 32, 1));
    ir_value packed =
        ir_bfi(l->ir, ir_const(l->ir, IR_I32, NZCV_B), exact, (unsigned)__builtin_ctz(NZCV_Z), 1);
    lift_write(l, f->rd, ir_trunc(l->ir, both));
    ir_set_flags(l->ir, ir_emit(l->ir, IR_FLAGS_UNPACK, IR_FLAGS, 0, packed, IR_NONE, IR_NONE, 0, 0));
    return true;
}
