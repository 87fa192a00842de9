/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_simd_float: floating-point vectors and their scalar forms with one source register: Arm ARM
 * C4.1 "Advanced SIMD two-register miscellaneous", "across lanes", "scalar pairwise", and the
 * fixed-point conversions of "shift by immediate".
 */
#include "arm64_decode.h"
#include "translator/guest/arm64/lift_simd.h"

/* -- two-register miscellaneous ----------------------------------------------------------------------------
 */

bool lift_simd_two_float(struct lift *l, const struct arm64_simd_two_float *f)
{
    /* By U:size<1>:opcode: the vector and the scalar operation. */
    static const uint8_t ops[][2] = {
        [0x2f] = {IR_VFABS, IR_NOP},        [0x6f] = {IR_VFNEG, IR_NOP},  [0x3d] = {IR_VFRECPE, IR_FRECPE},
        [0x7d] = {IR_VFRSQRTE, IR_FRSQRTE}, [0x7f] = {IR_VFSQRT, IR_NOP}, [0x3f] = {IR_NOP, IR_FRECPX},
    };
    unsigned esize = f->sz ? 3 : 2;
    if (simd_is_reserved_1d(f->q, f->scalar, esize))
        return false;
    if (f->scalar) {
        lift_write_f(l, f->rd, ir_unary(l->ir, ops[f->op][1], lift_read_f(l, f->sz, f->rn), 0));
        return true;
    }
    ir_value v = ir_vec1(l->ir, ops[f->op][0], esize, simd_read_float(l, f->q, f->rn), 0);
    simd_write(l, simd_width(f->q, 0, esize), f->rd, v);
    return true;
}

bool lift_simd_float_round(struct lift *l, const struct arm64_simd_float_round *f)
{
    unsigned esize = f->sz ? 3 : 2;
    unsigned mode = simd_round(f->round) | (f->exact ? IR_ROUND_EXACT : 0);
    if (simd_is_reserved_1d(f->q, 0, esize))
        return false;
    ir_value v = ir_vec1(l->ir, IR_VFROUND, esize | mode << 8, simd_read_float(l, f->q, f->rn), 0);
    simd_write(l, simd_width(f->q, 0, esize), f->rd, v);
    return true;
}

/* Comparisons with zero: op 0 GT, 1 EQ, 2 LT, 3 GE, 4 LE. */
bool lift_simd_float_compare_zero(struct lift *l, const struct arm64_simd_float_compare_zero *f)
{
    static const uint8_t ops[] = {IR_VFCMPGT, IR_VFCMPEQ, IR_VFCMPGT, IR_VFCMPGE, IR_VFCMPGE};
    unsigned esize = f->sz ? 3 : 2;
    bool is_swapped = f->op == 2 || f->op == 4;
    if (simd_is_reserved_1d(f->q, f->scalar, esize))
        return false;
    unsigned width = simd_width(f->q, f->scalar, esize);
    ir_value n = simd_low(l, lift_read_v(l, f->rn), width); /* zeroes raise nothing */
    ir_value zero = simd_const(l, 0, 0);
    ir_value v = ir_vec2(l->ir, ops[f->op], esize, is_swapped ? zero : n, is_swapped ? n : zero, 0);
    simd_write(l, width, f->rd, v);
    return true;
}

/* FCVTN, FCVTXN (round to odd): sz is that of the wide element less one: single, double. */
bool lift_simd_float_narrow(struct lift *l, const struct arm64_simd_float_narrow *f)
{
    ir_value n = lift_read_v(l, f->rn);
    if (f->scalar)
        n = simd_low(l, n, 3);
    ir_value v = ir_vec1(l->ir, f->odd ? IR_VFNARROW_ODD : IR_VFNARROW, f->sz ? 2 : 1, n, 0);
    simd_write_narrow(l, f->q, f->rd, v);
    return true;
}

bool lift_simd_float_widen(struct lift *l, const struct arm64_simd_float_widen *f)
{
    ir_value n = lift_read_v(l, f->rn);
    lift_write_v(l, f->rd, ir_vec1(l->ir, IR_VFWIDEN, f->sz ? 2 : 1, f->q ? simd_high(l, n) : n, 0));
    return true;
}

/* -- conversions to and from integers and fixed point
 * ----------------------------------------------------------- */

static void float_to_int(struct lift *l, unsigned q, unsigned scalar, unsigned is_double, unsigned mode,
                         unsigned fraction, unsigned rd, unsigned rn)
{
    if (scalar) {
        ir_value n = lift_read_f(l, is_double, rn);
        ir_value v =
            ir_emit(l->ir, IR_FTO_INT, simd_int_type(is_double), mode, n, IR_NONE, IR_NONE, fraction, 0);
        lift_write_v(l, rd, simd_from_int(l, v));
        return;
    }
    unsigned esize = is_double ? 3 : 2;
    ir_value v = ir_vec1(l->ir, IR_VFTO_INT, esize | mode << 8, simd_read_float(l, q, rn), fraction);
    simd_write(l, simd_width(q, 0, esize), rd, v);
}

static void float_from_int(struct lift *l, unsigned q, unsigned scalar, unsigned is_double, unsigned u,
                           unsigned fraction, unsigned rd, unsigned rn)
{
    unsigned esize = is_double ? 3 : 2;
    unsigned mode = u ? IR_UNSIGNED : 0;
    if (scalar) {
        ir_value n = simd_get_lane(l, simd_int_type(is_double), esize, 0, lift_read_v(l, rn), 0);
        lift_write_f(
            l, rd,
            ir_emit(l->ir, IR_FFROM_INT, simd_float_type(is_double), mode, n, IR_NONE, IR_NONE, fraction, 0));
        return;
    }
    ir_value v = ir_vec1(l->ir, IR_VFFROM_INT, esize | mode << 8, simd_read_float(l, q, rn), fraction);
    simd_write(l, simd_width(q, 0, esize), rd, v);
}

bool lift_simd_float_to_int(struct lift *l, const struct arm64_simd_float_to_int *f)
{
    if (simd_is_reserved_1d(f->q, f->scalar, f->sz ? 3 : 2))
        return false;
    unsigned mode = simd_round(f->round) | (f->u ? IR_UNSIGNED : 0);
    float_to_int(l, f->q, f->scalar, f->sz, mode, 0, f->rd, f->rn);
    return true;
}

bool lift_simd_float_from_int(struct lift *l, const struct arm64_simd_float_from_int *f)
{
    if (simd_is_reserved_1d(f->q, f->scalar, f->sz ? 3 : 2))
        return false;
    float_from_int(l, f->q, f->scalar, f->sz, f->u, 0, f->rd, f->rn);
    return true;
}

/* immh:immb is 128 - fraction bits for doubles, 64 - fraction bits for singles; halves do not exist here. */
static bool fixed_fraction(unsigned q, unsigned scalar, unsigned immh, unsigned immb, unsigned *fraction)
{
    if (immh < 4 || simd_is_reserved_1d(q, scalar, immh >= 8 ? 3 : 2))
        return false;
    *fraction = (immh >= 8 ? 128 : 64) - (immh << 3 | immb);
    return true;
}

bool lift_simd_fixed_to_float(struct lift *l, const struct arm64_simd_fixed_to_float *f)
{
    unsigned fraction;
    if (!fixed_fraction(f->q, f->scalar, f->immh, f->immb, &fraction))
        return false;
    float_from_int(l, f->q, f->scalar, f->immh >= 8, f->u, fraction, f->rd, f->rn);
    return true;
}

bool lift_simd_float_to_fixed(struct lift *l, const struct arm64_simd_float_to_fixed *f)
{
    unsigned fraction;
    if (!fixed_fraction(f->q, f->scalar, f->immh, f->immb, &fraction))
        return false;
    unsigned mode = IR_ROUND_ZERO | (f->u ? IR_UNSIGNED : 0);
    float_to_int(l, f->q, f->scalar, f->immh >= 8, mode, fraction, f->rd, f->rn);
    return true;
}

/* -- across lanes, scalar pairwise: op 0 FMAXNM, 1 FMINNM, 2 FADD, 3 FMAX, 4 FMIN
 * --------------------------------- */

static const uint8_t reductions[][2] = {{IR_VFMAXNM, IR_FMAXNM},
                                        {IR_VFMINNM, IR_FMINNM},
                                        {IR_VFADD, IR_FADD},
                                        {IR_VFMAX, IR_FMAX},
                                        {IR_VFMIN, IR_FMIN}};

/* In the manual's order, Reduce(): (e0 op e1) op (e2 op e3). */
bool lift_simd_across_float(struct lift *l, const struct arm64_simd_across_float *f)
{
    ir_value v = lift_read_v(l, f->rn);
    for (int step = 0; step < 2; step++) {
        ir_value even = ir_vec2(l->ir, IR_VUZP1, 2, v, v, 0);
        ir_value odd = ir_vec2(l->ir, IR_VUZP2, 2, v, v, 0);
        v = ir_vec2(l->ir, reductions[f->op][0], 2, even, odd, 0);
    }
    simd_write(l, 2, f->rd, v);
    return true;
}

bool lift_simd_pair_float(struct lift *l, const struct arm64_simd_pair_float *f)
{
    ir_value v = lift_read_v(l, f->rn);
    ir_value first = simd_float_lane(l, f->sz, v, 0), second = simd_float_lane(l, f->sz, v, 1);
    lift_write_f(l, f->rd, ir_binary(l->ir, reductions[f->op][1], first, second));
    return true;
}
