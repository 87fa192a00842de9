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
    static const uint16_t ops[][2] = {
        [0x2f] = {IR_VFABS, IR_NOP},        [0x6f] = {IR_VFNEG, IR_NOP},  [0x3d] = {IR_VFRECPE, IR_FRECPE},
        [0x7d] = {IR_VFRSQRTE, IR_FRSQRTE}, [0x7f] = {IR_VFSQRT, IR_NOP}, [0x3f] = {IR_VFRECPX, IR_FRECPX},
    };
    unsigned esize = simd_float_esize(f->half, f->sz);
    if (simd_is_reserved_1d(f->q, f->scalar, esize))
        return false;
    if (f->scalar && f->half) {
        simd_write(l, 1, f->rd, ir_vec1(l->ir, ops[f->op][0], 1, simd_read_half(l, f->rn), 0));
        return true;
    }
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
    unsigned esize = simd_float_esize(f->half, f->sz);
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
    static const uint16_t ops[] = {IR_VFCMPGT, IR_VFCMPEQ, IR_VFCMPGT, IR_VFCMPGE, IR_VFCMPGE};
    unsigned esize = simd_float_esize(f->half, f->sz);
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

/* -- conversions to and from integers and fixed point ---------------------------------------------------- */

/* What converts: a vector or a scalar of 2^esize bytes. */
struct conversion {
    unsigned q, scalar, esize, mode, fraction, rd, rn;
};

static bool float_to_int(struct lift *l, const struct conversion *c)
{
    if (simd_is_reserved_1d(c->q, c->scalar, c->esize))
        return false;
    if (c->scalar && c->esize > 1) {
        unsigned is_double = c->esize == 3;
        ir_value v = ir_emit(l->ir, IR_FTO_INT, simd_int_type(is_double), c->mode,
                             lift_read_f(l, is_double, c->rn), IR_NONE, IR_NONE, c->fraction, 0);
        lift_write_v(l, c->rd, simd_from_int(l, v));
        return true;
    }
    ir_value n = c->scalar ? simd_read_half(l, c->rn) : simd_read_float(l, c->q, c->rn);
    ir_value v = ir_vec1(l->ir, IR_VFTO_INT, c->esize | c->mode << 8, n, c->fraction);
    simd_write(l, simd_width(c->q, c->scalar, c->esize), c->rd, v);
    return true;
}

static bool float_from_int(struct lift *l, const struct conversion *c)
{
    if (simd_is_reserved_1d(c->q, c->scalar, c->esize))
        return false;
    if (c->scalar && c->esize > 1) {
        unsigned is_double = c->esize == 3;
        ir_value n = simd_get_lane(l, simd_int_type(is_double), c->esize, 0, lift_read_v(l, c->rn), 0);
        lift_write_f(l, c->rd,
                     ir_emit(l->ir, IR_FFROM_INT, simd_float_type(is_double), c->mode, n, IR_NONE, IR_NONE,
                             c->fraction, 0));
        return true;
    }
    ir_value n = c->scalar ? simd_read_half(l, c->rn) : simd_read_float(l, c->q, c->rn);
    ir_value v = ir_vec1(l->ir, IR_VFFROM_INT, c->esize | c->mode << 8, n, c->fraction);
    simd_write(l, simd_width(c->q, c->scalar, c->esize), c->rd, v);
    return true;
}

bool lift_simd_float_to_int(struct lift *l, const struct arm64_simd_float_to_int *f)
{
    return float_to_int(l, &(struct conversion){f->q, f->scalar, simd_float_esize(f->half, f->sz),
                                                simd_round(f->round) | (f->u ? IR_UNSIGNED : 0), 0, f->rd,
                                                f->rn});
}

bool lift_simd_float_from_int(struct lift *l, const struct arm64_simd_float_from_int *f)
{
    return float_from_int(l, &(struct conversion){f->q, f->scalar, simd_float_esize(f->half, f->sz),
                                                  f->u ? IR_UNSIGNED : 0, 0, f->rd, f->rn});
}

/*
 * immh:immb is 128 - fraction bits for doubles, 64 - fraction bits for singles; of halves, where it is 32 -
 * fraction bits, immh is here only the lowest bit of it.
 */
static void fixed_format(unsigned half, unsigned immh, unsigned immb, unsigned *esize, unsigned *fraction)
{
    *esize = half ? 1 : immh >= 8 ? 3 : 2;
    *fraction = (half ? 16 : *esize == 3 ? 128 : 64) - (immh << 3 | immb);
}

bool lift_simd_fixed_to_float(struct lift *l, const struct arm64_simd_fixed_to_float *f)
{
    struct conversion c = {
        .q = f->q, .scalar = f->scalar, .mode = f->u ? IR_UNSIGNED : 0, .rd = f->rd, .rn = f->rn};
    fixed_format(f->half, f->immh, f->immb, &c.esize, &c.fraction);
    return float_from_int(l, &c);
}

bool lift_simd_float_to_fixed(struct lift *l, const struct arm64_simd_float_to_fixed *f)
{
    struct conversion c = {.q = f->q, .scalar = f->scalar, .rd = f->rd, .rn = f->rn};
    c.mode = IR_ROUND_ZERO | (f->u ? IR_UNSIGNED : 0);
    fixed_format(f->half, f->immh, f->immb, &c.esize, &c.fraction);
    return float_to_int(l, &c);
}

/* -- across lanes, scalar pairwise: op 0 FMAXNM, 1 FMINNM, 2 FADD, 3 FMAX, 4 FMIN ------------------------ */

static const uint8_t reductions[][2] = {{IR_VFMAXNM, IR_FMAXNM},
                                        {IR_VFMINNM, IR_FMINNM},
                                        {IR_VFADD, IR_FADD},
                                        {IR_VFMAX, IR_FMAX},
                                        {IR_VFMIN, IR_FMIN}};

/* In the manual's order, Reduce(): (e0 op e1) op (e2 op e3). */
bool lift_simd_across_float(struct lift *l, const struct arm64_simd_across_float *f)
{
    unsigned esize = simd_float_esize(f->half, 0);
    int steps = f->half && f->q ? 3 : 2; /* four elements, or eight */
    ir_value v = f->half ? simd_read_float(l, f->q, f->rn) : lift_read_v(l, f->rn);
    for (int step = 0; step < steps; step++) {
        ir_value even = ir_vec2(l->ir, IR_VUZP1, esize, v, v, 0);
        ir_value odd = ir_vec2(l->ir, IR_VUZP2, esize, v, v, 0);
        v = ir_vec2(l->ir, reductions[f->op][0], esize, even, odd, 0);
    }
    simd_write(l, esize, f->rd, v);
    return true;
}

bool lift_simd_pair_float(struct lift *l, const struct arm64_simd_pair_float *f)
{
    ir_value v = lift_read_v(l, f->rn);
    if (f->half) {
        ir_value first = ir_vec1(l->ir, IR_VDUP_LANE, 1, v, 0),
                 second = ir_vec1(l->ir, IR_VDUP_LANE, 1, v, 1);
        simd_write(l, 1, f->rd, ir_vec2(l->ir, reductions[f->op][0], 1, first, second, 0));
        return true;
    }
    ir_value first = simd_float_lane(l, f->sz, v, 0), second = simd_float_lane(l, f->sz, v, 1);
    lift_write_f(l, f->rd, ir_binary(l->ir, reductions[f->op][1], first, second));
    return true;
}
