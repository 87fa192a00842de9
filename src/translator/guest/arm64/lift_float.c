/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lift_float: scalar floating point, Arm ARM C4.1 "Data Processing -- Scalar Floating-Point". */
#include "arm64_decode.h"
#include "translator/guest/arm64/lift_simd.h"

/* Half precision has ptype 3. */
#define FT_HALF 3

/* -- data processing (C4.1: 1, 2, 3 source) ------------------------------------------------------------- */

bool lift_float2(struct lift *l, const struct arm64_float2 *f)
{
    static const uint8_t ops[] = {IR_FMUL, IR_FDIV,   IR_FADD,   IR_FSUB, IR_FMAX,
                                  IR_FMIN, IR_FMAXNM, IR_FMINNM, IR_FMUL};
    ir_value n = lift_read_f(l, f->ft, f->rn);
    ir_value m = lift_read_f(l, f->ft, f->rm);
    ir_value v = ir_binary(l->ir, ops[f->op], n, m);
    if (f->op == 8) /* FNMUL */
        v = ir_unary(l->ir, IR_FNEG, v, 0);
    lift_write_f(l, f->rd, v);
    return true;
}

/* op<0>: subtract the product, i.e. negate Vn; op<1>: FNMADD and FNMSUB negate Va, and Vn once more. */
bool lift_float3(struct lift *l, const struct arm64_float3 *f)
{
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
    static const uint8_t ops[] = {IR_NOP, IR_FABS, IR_FNEG, IR_FSQRT};
    lift_write_f(l, f->rd, ir_unary(l->ir, ops[f->op], lift_read_f(l, f->ft, f->rn), 0));
    return true;
}

bool lift_float_move(struct lift *l, const struct arm64_float_move *f)
{
    simd_write(l, f->ft ? 3 : 2, f->rd, lift_read_v(l, f->rn));
    return true;
}

bool lift_float_immediate(struct lift *l, const struct arm64_float_immediate *f)
{
    lift_write_v(l, f->rd, simd_const(l, simd_expand_float(f->ft, f->imm), 0));
    return true;
}

bool lift_float_round(struct lift *l, const struct arm64_float_round *f)
{
    unsigned aux = simd_round(f->round) | (f->exact ? IR_ROUND_EXACT : 0);
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

/* -- compare and select
 * -------------------------------------------------------------------------------------- */

static ir_value float_zero(struct lift *l, unsigned ft)
{
    return ir_emit(l->ir, IR_FCONST, simd_float_type(ft), 0, IR_NONE, IR_NONE, IR_NONE, 0, 0);
}

static ir_value float_flags(struct lift *l, ir_value n, ir_value m, bool signal)
{
    return ir_emit(l->ir, IR_FLAGS_FCMP, IR_FLAGS, signal, n, m, IR_NONE, 0, 0);
}

bool lift_float_compare(struct lift *l, const struct arm64_float_compare *f)
{
    ir_value n = lift_read_f(l, f->ft, f->rn);
    ir_value m = f->zero ? float_zero(l, f->ft) : lift_read_f(l, f->ft, f->rm);
    ir_set_flags(l->ir, float_flags(l, n, m, f->signal));
    return true;
}

/*
 * Where the condition fails nothing is compared, so that nothing may raise an exception: two zeros
 * are compared then.
 */
bool lift_float_conditional_compare(struct lift *l, const struct arm64_float_conditional_compare *f)
{
    ir_value n = lift_read_f(l, f->ft, f->rn);
    ir_value m = lift_read_f(l, f->ft, f->rm);
    if (f->cond >= 14) {
        ir_set_flags(l->ir, float_flags(l, n, m, f->signal));
        return true;
    }
    ir_value zero = float_zero(l, f->ft);
    ir_value condition = lift_cond(l, f->cond);
    ir_value flags =
        float_flags(l, ir_select(l->ir, condition, n, zero), ir_select(l->ir, condition, m, zero), f->signal);
    unsigned nzcv = (f->nzcv & 8 ? NZCV_N : 0) | (f->nzcv & 4 ? NZCV_Z : 0) | (f->nzcv & 2 ? 0 : NZCV_B) |
                    (f->nzcv & 1 ? NZCV_V : 0);
    ir_set_flags(l->ir, ir_emit(l->ir, IR_FLAGS_SELECT, IR_FLAGS, 0, condition, flags, IR_NONE, nzcv, 0));
    return true;
}

bool lift_float_select(struct lift *l, const struct arm64_float_select *f)
{
    ir_value n = lift_read_f(l, f->ft, f->rn);
    if (f->cond < 14)
        n = ir_select(l->ir, lift_cond(l, f->cond), n, lift_read_f(l, f->ft, f->rm));
    lift_write_f(l, f->rd, n);
    return true;
}

/* -- general registers: conversions to and from integers and fixed point, moves
 * ------------------------------- */

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
               ir_emit(l->ir, IR_FTO_INT, simd_int_type(f->sf), aux, lift_read_f(l, f->ft, f->rn), IR_NONE,
                       IR_NONE, (uint64_t)fraction, 0));
    return true;
}

bool lift_float_from_int(struct lift *l, const struct arm64_float_from_int *f)
{
    int fraction = float_fraction_bits(f->fixed, f->sf, f->scale);
    if (fraction < 0)
        return false;
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
    ir_value x = lift_read(l, f->sf, f->rn);
    if (f->lane)
        lift_write_v(l, f->rd, simd_set_lane(l, 3, lift_read_v(l, f->rd), 1, x));
    else
        lift_write_v(l, f->rd, simd_from_int(l, x));
    return true;
}
