/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_simd_extra: what later versions of the architecture add to vectors: FEAT_RDM, FEAT_DotProd, FEAT_FHM,
 * FEAT_FCMA. Arm ARM C4.1 "Advanced SIMD three same extra", "vector x indexed element".
 */
#include "arm64_decode.h"
#include "translator/guest/arm64/lift_simd.h"

/* Element H:L:M of V0..V15 (halfwords), H:L of V0..V31 (words), repeated over a vector. */
static ir_value splat_element(struct lift *l, unsigned size, unsigned rm, unsigned h, unsigned low,
                              unsigned m)
{
    unsigned index = size == 1 ? h << 2 | low << 1 | m : h << 1 | low;
    return ir_vec1(l->ir, IR_VDUP_LANE, size, lift_read_v(l, size == 1 ? rm : m << 4 | rm), index);
}

/* -- SQRDMLAH, SQRDMLSH ------------------------------------------------------------------------------------
 */

static void multiply_round(struct lift *l, bool sub, unsigned size, unsigned width, unsigned rd, unsigned rn,
                           ir_value m)
{
    ir_value d = simd_low(l, lift_read_v(l, rd), width), n = simd_low(l, lift_read_v(l, rn), width);
    /* zeroes gave zeroes */
    lift_write_v(l, rd, ir_vec3(l->ir, sub ? IR_VSQRDMLSH : IR_VSQRDMLAH, size, d, n, m));
}

bool lift_simd_multiply_round(struct lift *l, const struct arm64_simd_multiply_round *f)
{
    multiply_round(l, f->sub, f->size, simd_width(f->q, f->scalar, f->size), f->rd, f->rn,
                   lift_read_v(l, f->rm));
    return true;
}

bool lift_simd_element_multiply_round(struct lift *l, const struct arm64_simd_element_multiply_round *f)
{
    ir_value m = splat_element(l, f->size, f->rm, f->h, f->l, f->m);
    multiply_round(l, f->sub, f->size, simd_width(f->q, f->scalar, f->size), f->rd, f->rn, m);
    return true;
}

/* -- UDOT, SDOT --------------------------------------------------------------------------------------------
 */

static void dot(struct lift *l, unsigned u, unsigned q, unsigned rd, unsigned rn, ir_value m)
{
    ir_value v = ir_vec2(l->ir, u ? IR_VUDOT : IR_VSDOT, 2, lift_read_v(l, rn), m, 0);
    simd_write(l, simd_width(q, 0, 2), rd, ir_vec2(l->ir, IR_VADD, 2, lift_read_v(l, rd), v, 0));
}

bool lift_simd_dot(struct lift *l, const struct arm64_simd_dot *f)
{
    dot(l, f->u, f->q, f->rd, f->rn, lift_read_v(l, f->rm));
    return true;
}

bool lift_simd_element_dot(struct lift *l, const struct arm64_simd_element_dot *f)
{
    dot(l, f->u, f->q, f->rd, f->rn,
        ir_vec1(l->ir, IR_VDUP_LANE, 2, lift_read_v(l, f->rm), f->h << 1 | f->l));
    return true;
}

/* -- FMLAL, FMLSL: products of halves added to singles --------------------------------------------------- */

/* Of a 64-bit form two halves count, which are doubled as by simd_read_float(). */
static ir_value widen_part(struct lift *l, unsigned q, unsigned part, ir_value v)
{
    if (q)
        v = part ? simd_high(l, v) : v;
    else
        v = ir_vec1(l->ir, IR_VDUP_LANE, 2, v, part);
    return ir_vec1(l->ir, IR_VFWIDEN, 1 | IR_HALF_OPERAND << 8, v, 0);
}

static void multiply_half(struct lift *l, unsigned sub, unsigned q, unsigned rd, ir_value n, ir_value m)
{
    if (sub)
        n = ir_vec1(l->ir, IR_VFNEG, 2, n, 0);
    ir_value v = ir_vec3(l->ir, IR_VFMA, 2, n, m, simd_read_float(l, q, rd));
    simd_write(l, simd_width(q, 0, 2), rd, v);
}

bool lift_simd_multiply_half(struct lift *l, const struct arm64_simd_multiply_half *f)
{
    ir_value n = widen_part(l, f->q, f->part, lift_read_v(l, f->rn));
    ir_value m = widen_part(l, f->q, f->part, lift_read_v(l, f->rm));
    multiply_half(l, f->sub, f->q, f->rd, n, m);
    return true;
}

bool lift_simd_element_multiply_half(struct lift *l, const struct arm64_simd_element_multiply_half *f)
{
    ir_value n = widen_part(l, f->q, f->part, lift_read_v(l, f->rn));
    ir_value m = splat_element(l, 1, f->rm, f->h, f->l, f->m);
    multiply_half(l, f->sub, f->q, f->rd, n, ir_vec1(l->ir, IR_VFWIDEN, 1 | IR_HALF_OPERAND << 8, m, 0));
    return true;
}

/* -- FCADD, FCMLA: even elements are real parts, odd ones imaginary -------------------------------------- */

/* v with the sign of the real parts changed, of the imaginary ones, or of both. */
static ir_value negate_parts(struct lift *l, unsigned esize, bool real, bool imaginary, ir_value v)
{
    unsigned bits = 8u << esize;
    uint64_t sign = UINT64_C(1) << (bits - 1);
    if (!real && !imaginary)
        return v;
    if (esize == 3)
        return ir_vec2(l->ir, IR_VXOR, 0, v, simd_const(l, real ? sign : 0, imaginary ? sign : 0), 0);
    uint64_t pair = (real ? sign : 0) | (imaginary ? sign << bits : 0);
    return ir_vec2(l->ir, IR_VXOR, 0, v, simd_splat(l, esize + 1, pair), 0);
}

/* Real and imaginary parts exchanged. */
static ir_value exchange_parts(struct lift *l, unsigned esize, ir_value v)
{
    if (esize == 3)
        return ir_vec2(l->ir, IR_VEXT, 0, v, v, 8);
    return ir_vec1(l->ir, IR_VREV, esize, v, esize + 1);
}

/* n + m * i, or n - m * i */
bool lift_simd_complex_add(struct lift *l, const struct arm64_simd_complex_add *f)
{
    if (simd_is_reserved_1d(f->q, 0, f->size))
        return false;
    ir_value n = simd_read_float(l, f->q, f->rn), m = simd_read_float(l, f->q, f->rm);
    m = negate_parts(l, f->size, !f->rotate, f->rotate, exchange_parts(l, f->size, m));
    simd_write(l, simd_width(f->q, 0, f->size), f->rd, ir_vec2(l->ir, IR_VFADD, f->size, n, m, 0));
    return true;
}

/* d + the real (or, by an odd rotation, imaginary) part of n times m, turned by quarters. */
static void complex_multiply(struct lift *l, unsigned q, unsigned esize, unsigned rotate, unsigned rd,
                             unsigned rn, ir_value m)
{
    ir_value n = simd_read_float(l, q, rn), d = simd_read_float(l, q, rd);
    bool odd = rotate & 1;
    n = ir_vec2(l->ir, odd ? IR_VTRN2 : IR_VTRN1, esize, n, n, 0);
    if (odd)
        m = exchange_parts(l, esize, m);
    m = negate_parts(l, esize, rotate == 1 || rotate == 2, rotate >= 2, m);
    simd_write(l, simd_width(q, 0, esize), rd, ir_vec3(l->ir, IR_VFMA, esize, n, m, d));
}

bool lift_simd_complex_multiply(struct lift *l, const struct arm64_simd_complex_multiply *f)
{
    if (simd_is_reserved_1d(f->q, 0, f->size))
        return false;
    complex_multiply(l, f->q, f->size, f->rotate, f->rd, f->rn, simd_read_float(l, f->q, f->rm));
    return true;
}

/* The element is a pair: H:L of halves, H of singles. */
bool lift_simd_element_complex(struct lift *l, const struct arm64_simd_element_complex *f)
{
    if (f->size == 1 ? f->h && !f->q : f->l || !f->q)
        return false;
    unsigned index = f->size == 1 ? f->h << 1 | f->l : f->h;
    ir_value m = ir_vec1(l->ir, IR_VDUP_LANE, f->size + 1, lift_read_v(l, f->rm), index);
    complex_multiply(l, f->q, f->size, f->rotate, f->rd, f->rn, m);
    return true;
}
