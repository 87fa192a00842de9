/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_simd_three: vector and scalar operations of two source registers: Arm ARM C4.1 "Advanced SIMD
 * three same", "three different", "vector x indexed element" and their scalar forms.
 */
#include "arm64_decode.h"
#include "translator/guest/arm64/lift_simd.h"

/* -- three same: integers ----------------------------------------------------------------------------------
 */

enum three_form {
    THREE_PLAIN,
    THREE_SATURATE,          /* sets QC: surplus lanes of both operands must be zero */
    THREE_SATURATE_MULTIPLY, /* a zero in the first operand is enough */
    THREE_PAIRS,             /* adjacent elements of Vn, then of Vm */
    THREE_ADD,               /* Vd + result */
    THREE_SUB,               /* Vd - result */
};

struct three_op {
    uint16_t op;
    uint8_t sizes; /* bit n: elements of 2^n bytes exist */
    uint8_t form;
};

#define BHSD 0xf
#define BHS  0x7
#define HS   0x6
#define B    0x1

/* By U:opcode. */
static const struct three_op three_ops[0x40] = {
    [0x00] = {IR_VSHADD, BHS, THREE_PLAIN},
    [0x20] = {IR_VUHADD, BHS, THREE_PLAIN},
    [0x01] = {IR_VSQADD, BHSD, THREE_SATURATE},
    [0x21] = {IR_VUQADD, BHSD, THREE_SATURATE},
    [0x02] = {IR_VSRHADD, BHS, THREE_PLAIN},
    [0x22] = {IR_VURHADD, BHS, THREE_PLAIN},
    [0x04] = {IR_VSHSUB, BHS, THREE_PLAIN},
    [0x24] = {IR_VUHSUB, BHS, THREE_PLAIN},
    [0x05] = {IR_VSQSUB, BHSD, THREE_SATURATE},
    [0x25] = {IR_VUQSUB, BHSD, THREE_SATURATE},
    [0x06] = {IR_VCMPGT, BHSD, THREE_PLAIN},
    [0x26] = {IR_VCMPHI, BHSD, THREE_PLAIN},
    [0x07] = {IR_VCMPGE, BHSD, THREE_PLAIN},
    [0x27] = {IR_VCMPHS, BHSD, THREE_PLAIN},
    [0x08] = {IR_VSSHL_VAR, BHSD, THREE_PLAIN},
    [0x28] = {IR_VUSHL_VAR, BHSD, THREE_PLAIN},
    [0x09] = {IR_VSQSHL_VAR, BHSD, THREE_SATURATE_MULTIPLY},
    [0x29] = {IR_VUQSHL_VAR, BHSD, THREE_SATURATE_MULTIPLY},
    [0x0a] = {IR_VSRSHL_VAR, BHSD, THREE_PLAIN},
    [0x2a] = {IR_VURSHL_VAR, BHSD, THREE_PLAIN},
    [0x0b] = {IR_VSQRSHL_VAR, BHSD, THREE_SATURATE_MULTIPLY},
    [0x2b] = {IR_VUQRSHL_VAR, BHSD, THREE_SATURATE_MULTIPLY},
    [0x0c] = {IR_VSMAX, BHS, THREE_PLAIN},
    [0x2c] = {IR_VUMAX, BHS, THREE_PLAIN},
    [0x0d] = {IR_VSMIN, BHS, THREE_PLAIN},
    [0x2d] = {IR_VUMIN, BHS, THREE_PLAIN},
    [0x0e] = {IR_VSABD, BHS, THREE_PLAIN},
    [0x2e] = {IR_VUABD, BHS, THREE_PLAIN},
    [0x0f] = {IR_VSABD, BHS, THREE_ADD},
    [0x2f] = {IR_VUABD, BHS, THREE_ADD},
    [0x10] = {IR_VADD, BHSD, THREE_PLAIN},
    [0x30] = {IR_VSUB, BHSD, THREE_PLAIN},
    [0x11] = {IR_VTST, BHSD, THREE_PLAIN},
    [0x31] = {IR_VCMPEQ, BHSD, THREE_PLAIN},
    [0x12] = {IR_VMUL, BHS, THREE_ADD},
    [0x32] = {IR_VMUL, BHS, THREE_SUB},
    [0x13] = {IR_VMUL, BHS, THREE_PLAIN},
    [0x33] = {IR_VPMUL, B, THREE_PLAIN},
    [0x14] = {IR_VSMAXP, BHS, THREE_PAIRS},
    [0x34] = {IR_VUMAXP, BHS, THREE_PAIRS},
    [0x15] = {IR_VSMINP, BHS, THREE_PAIRS},
    [0x35] = {IR_VUMINP, BHS, THREE_PAIRS},
    [0x16] = {IR_VSQDMULH, HS, THREE_SATURATE_MULTIPLY},
    [0x36] = {IR_VSQRDMULH, HS, THREE_SATURATE_MULTIPLY},
    [0x17] = {IR_VADDP, BHSD, THREE_PAIRS},
};

static void three_lift(struct lift *l, const struct three_op *o, unsigned esize, unsigned width, unsigned rd,
                       ir_value n, ir_value m)
{
    switch (o->form) {
    case THREE_SATURATE:
        m = simd_low(l, m, width);
        n = simd_low(l, n, width);
        break;
    case THREE_SATURATE_MULTIPLY: n = simd_low(l, n, width); break;
    case THREE_PAIRS:
        if (width != SIMD_FULL)
            n = m = simd_join(l, n, m);
        break;
    default: break;
    }
    ir_value v = ir_vec2(l->ir, o->op, esize, n, m, 0);
    if (o->form == THREE_SATURATE || o->form == THREE_SATURATE_MULTIPLY) {
        lift_write_v(l, rd, v); /* zeroes gave zeroes */
        return;
    }
    if (o->form == THREE_ADD || o->form == THREE_SUB)
        v = ir_vec2(l->ir, o->form == THREE_ADD ? IR_VADD : IR_VSUB, esize, lift_read_v(l, rd), v, 0);
    simd_write(l, width, rd, v);
}

bool lift_simd_three(struct lift *l, const struct arm64_simd_three *f)
{
    const struct three_op *o = &three_ops[f->op];
    if (!(o->sizes >> f->size & 1) || simd_is_reserved_1d(f->q, f->scalar, f->size))
        return false;
    three_lift(l, o, f->size, simd_width(f->q, f->scalar, f->size), f->rd, lift_read_v(l, f->rn),
               lift_read_v(l, f->rm));
    return true;
}

bool lift_simd_logic(struct lift *l, const struct arm64_simd_logic *f)
{
    static const uint16_t ops[] = {IR_VAND, IR_VANDN, IR_VOR, IR_VORN, IR_VXOR};
    ir_value n = lift_read_v(l, f->rn);
    ir_value v;
    if (f->op == 2 && f->rn == f->rm) { /* MOV */
        v = n;
    } else if (f->op <= 4) {
        v = ir_vec2(l->ir, ops[f->op], 0, n, lift_read_v(l, f->rm), 0);
    } else {
        ir_value d = lift_read_v(l, f->rd), m = lift_read_v(l, f->rm);
        if (f->op == 5) /* BSL: Vd is the mask */
            v = ir_vec3(l->ir, IR_VBSL, 0, d, n, m);
        else if (f->op == 6) /* BIT: insert Vn where Vm is one */
            v = ir_vec3(l->ir, IR_VBSL, 0, m, n, d);
        else /* BIF */
            v = ir_vec3(l->ir, IR_VBSL, 0, m, d, n);
    }
    simd_write(l, simd_width(f->q, 0, 0), f->rd, v);
    return true;
}

/* -- three same: floating point -------------------------------------------------------------------------- */

enum float_form {
    FLOAT_PLAIN,
    FLOAT_COMPARE,
    FLOAT_COMPARE_ABSOLUTE,
    FLOAT_DIFFERENCE, /* the absolute value of the result */
    FLOAT_PAIRS,
    FLOAT_ADD, /* fused: Vd + product */
    FLOAT_SUB, /* fused: Vd - product */
};

struct float_op {
    uint16_t op;
    uint8_t scalar_op; /* IR_NOP where the vector operation must do */
    uint8_t form;
};

/* By U:size<1>:opcode. */
static const struct float_op float_ops[0x80] = {
    [0x18] = {IR_VFMAXNM, IR_NOP, FLOAT_PLAIN},
    [0x19] = {IR_VFMA, IR_FMA, FLOAT_ADD},
    [0x1a] = {IR_VFADD, IR_NOP, FLOAT_PLAIN},
    [0x1b] = {IR_VFMULX, IR_FMULX, FLOAT_PLAIN},
    [0x1c] = {IR_VFCMPEQ, IR_NOP, FLOAT_COMPARE},
    [0x1e] = {IR_VFMAX, IR_NOP, FLOAT_PLAIN},
    [0x1f] = {IR_VFRECPS, IR_FRECPS, FLOAT_PLAIN},
    [0x38] = {IR_VFMINNM, IR_NOP, FLOAT_PLAIN},
    [0x39] = {IR_VFMA, IR_FMA, FLOAT_SUB},
    [0x3a] = {IR_VFSUB, IR_NOP, FLOAT_PLAIN},
    [0x3e] = {IR_VFMIN, IR_NOP, FLOAT_PLAIN},
    [0x3f] = {IR_VFRSQRTS, IR_FRSQRTS, FLOAT_PLAIN},
    [0x58] = {IR_VFMAXNM, IR_NOP, FLOAT_PAIRS},
    [0x5a] = {IR_VFADD, IR_NOP, FLOAT_PAIRS},
    [0x5b] = {IR_VFMUL, IR_FMUL, FLOAT_PLAIN},
    [0x5c] = {IR_VFCMPGE, IR_NOP, FLOAT_COMPARE},
    [0x5d] = {IR_VFCMPGE, IR_NOP, FLOAT_COMPARE_ABSOLUTE},
    [0x5e] = {IR_VFMAX, IR_NOP, FLOAT_PAIRS},
    [0x5f] = {IR_VFDIV, IR_NOP, FLOAT_PLAIN},
    [0x78] = {IR_VFMINNM, IR_NOP, FLOAT_PAIRS},
    [0x7a] = {IR_VFSUB, IR_FSUB, FLOAT_DIFFERENCE},
    [0x7c] = {IR_VFCMPGT, IR_NOP, FLOAT_COMPARE},
    [0x7d] = {IR_VFCMPGT, IR_NOP, FLOAT_COMPARE_ABSOLUTE},
    [0x7e] = {IR_VFMIN, IR_NOP, FLOAT_PAIRS},
};

/* n and m are vectors whose surplus lanes are harmless. */
static ir_value float_vector(struct lift *l, const struct float_op *o, unsigned esize, ir_value d, ir_value n,
                             ir_value m)
{
    switch (o->form) {
    case FLOAT_COMPARE_ABSOLUTE:
        n = ir_vec1(l->ir, IR_VFABS, esize, n, 0);
        m = ir_vec1(l->ir, IR_VFABS, esize, m, 0);
        break;
    case FLOAT_SUB: n = ir_vec1(l->ir, IR_VFNEG, esize, n, 0); break;
    default: break;
    }
    if (o->op == IR_VFMA)
        return ir_vec3(l->ir, IR_VFMA, esize, n, m, d);
    ir_value v = ir_vec2(l->ir, o->op, esize, n, m, 0);
    return o->form == FLOAT_DIFFERENCE ? ir_vec1(l->ir, IR_VFABS, esize, v, 0) : v;
}

static ir_value float_scalar(struct lift *l, const struct float_op *o, unsigned sz, unsigned rd, ir_value n,
                             ir_value m)
{
    if (o->form == FLOAT_SUB)
        n = ir_unary(l->ir, IR_FNEG, n, 0);
    if (o->scalar_op == IR_FMA)
        return simd_float_fma(l, n, m, lift_read_f(l, sz, rd));
    ir_value v = ir_binary(l->ir, o->scalar_op, n, m);
    return o->form == FLOAT_DIFFERENCE ? ir_unary(l->ir, IR_FABS, v, 0) : v;
}

bool lift_simd_three_float(struct lift *l, const struct arm64_simd_three_float *f)
{
    const struct float_op *o = &float_ops[f->op];
    unsigned esize = simd_float_esize(f->half, f->sz);
    if (simd_is_reserved_1d(f->q, f->scalar, esize))
        return false;
    if (f->scalar && f->half) {
        ir_value v = float_vector(l, o, 1, IR_NONE, simd_read_half(l, f->rn), simd_read_half(l, f->rm));
        simd_write(l, 1, f->rd, v);
        return true;
    }
    if (f->scalar && o->scalar_op != IR_NOP) {
        ir_value n = lift_read_f(l, f->sz, f->rn), m = lift_read_f(l, f->sz, f->rm);
        lift_write_f(l, f->rd, float_scalar(l, o, f->sz, f->rd, n, m));
        return true;
    }
    ir_value n, m;
    if (f->scalar) { /* comparisons of zeroes raise nothing */
        n = simd_low(l, lift_read_v(l, f->rn), esize);
        m = simd_low(l, lift_read_v(l, f->rm), esize);
    } else if (o->form == FLOAT_PAIRS) {
        n = lift_read_v(l, f->rn);
        m = lift_read_v(l, f->rm);
        if (!f->q)
            n = m = simd_join(l, n, m);
        ir_value even = ir_vec2(l->ir, IR_VUZP1, esize, n, m, 0);
        m = ir_vec2(l->ir, IR_VUZP2, esize, n, m, 0);
        n = even;
    } else {
        n = simd_read_float(l, f->q, f->rn);
        m = simd_read_float(l, f->q, f->rm);
    }
    ir_value d = o->op == IR_VFMA ? simd_read_float(l, f->q, f->rd) : IR_NONE;
    simd_write(l, simd_width(f->q, f->scalar, esize), f->rd, float_vector(l, o, esize, d, n, m));
    return true;
}

/* -- three different ------------------------------------------------------------------------------------- */

enum long_form {
    LONG_WIDEN,        /* both operands, then op */
    LONG_WIDEN_SECOND, /* Vn is wide already */
    LONG_DIFFERENCE,
    LONG_MULTIPLY,
    LONG_SATURATE, /* multiply, saturating */
};

struct long_op {
    uint8_t form;
    uint16_t op[2];     /* of the low halves, of the high halves */
    uint8_t accumulate; /* how the result joins Vd; IR_NOP: it replaces it */
};

/* By U:opcode. */
static const struct long_op long_ops[0x20] = {
    [0x00] = {LONG_WIDEN, {IR_VADD, IR_VADD}, IR_NOP},
    [0x01] = {LONG_WIDEN_SECOND, {IR_VADD, IR_VADD}, IR_NOP},
    [0x02] = {LONG_WIDEN, {IR_VSUB, IR_VSUB}, IR_NOP},
    [0x03] = {LONG_WIDEN_SECOND, {IR_VSUB, IR_VSUB}, IR_NOP},
    [0x05] = {LONG_DIFFERENCE, {IR_VSABD, IR_VSABD}, IR_VADD},
    [0x07] = {LONG_DIFFERENCE, {IR_VSABD, IR_VSABD}, IR_NOP},
    [0x08] = {LONG_MULTIPLY, {IR_VSMULL_LO, IR_VSMULL_HI}, IR_VADD},
    [0x09] = {LONG_SATURATE, {IR_VSQDMULL_LO, IR_VSQDMULL_HI}, IR_VSQADD},
    [0x0a] = {LONG_MULTIPLY, {IR_VSMULL_LO, IR_VSMULL_HI}, IR_VSUB},
    [0x0b] = {LONG_SATURATE, {IR_VSQDMULL_LO, IR_VSQDMULL_HI}, IR_VSQSUB},
    [0x0c] = {LONG_MULTIPLY, {IR_VSMULL_LO, IR_VSMULL_HI}, IR_NOP},
    [0x0d] = {LONG_SATURATE, {IR_VSQDMULL_LO, IR_VSQDMULL_HI}, IR_NOP},
    [0x0e] = {LONG_MULTIPLY, {IR_VPMULL_LO, IR_VPMULL_HI}, IR_NOP},
    [0x10] = {LONG_WIDEN, {IR_VADD, IR_VADD}, IR_NOP},
    [0x11] = {LONG_WIDEN_SECOND, {IR_VADD, IR_VADD}, IR_NOP},
    [0x12] = {LONG_WIDEN, {IR_VSUB, IR_VSUB}, IR_NOP},
    [0x13] = {LONG_WIDEN_SECOND, {IR_VSUB, IR_VSUB}, IR_NOP},
    [0x15] = {LONG_DIFFERENCE, {IR_VUABD, IR_VUABD}, IR_VADD},
    [0x17] = {LONG_DIFFERENCE, {IR_VUABD, IR_VUABD}, IR_NOP},
    [0x18] = {LONG_MULTIPLY, {IR_VUMULL_LO, IR_VUMULL_HI}, IR_VADD},
    [0x1a] = {LONG_MULTIPLY, {IR_VUMULL_LO, IR_VUMULL_HI}, IR_VSUB},
    [0x1c] = {LONG_MULTIPLY, {IR_VUMULL_LO, IR_VUMULL_HI}, IR_NOP},
};

/* `high`: the operands are in the high halves (the "2" forms). */
static void long_lift(struct lift *l, unsigned op, unsigned esize, unsigned high, unsigned scalar,
                      unsigned rd, ir_value n, ir_value m)
{
    static const uint8_t extensions[2][2] = {{IR_VSEXT_LO, IR_VSEXT_HI}, {IR_VUEXT_LO, IR_VUEXT_HI}};
    const struct long_op *o = &long_ops[op];
    enum ir_op extend = extensions[op >> 4][high];
    ir_value v;

    switch (o->form) {
    case LONG_WIDEN: n = ir_vec1(l->ir, extend, esize, n, 0); /* fall through */
    case LONG_WIDEN_SECOND:
        m = ir_vec1(l->ir, extend, esize, m, 0);
        v = ir_vec2(l->ir, o->op[0], esize + 1, n, m, 0);
        break;
    case LONG_DIFFERENCE: /* fits the narrow element unsigned */
        v = ir_vec2(l->ir, o->op[0], esize, n, m, 0);
        v = ir_vec1(l->ir, high ? IR_VUEXT_HI : IR_VUEXT_LO, esize, v, 0);
        break;
    case LONG_SATURATE:
        if (scalar)
            n = simd_low(l, n, esize);
        /* fall through */
    default: v = ir_vec2(l->ir, o->op[high], esize, n, m, 0); break;
    }
    if (o->accumulate != IR_NOP) {
        ir_value d = lift_read_v(l, rd);
        if (scalar)
            d = simd_low(l, d, esize + 1);
        v = ir_vec2(l->ir, o->accumulate, esize + 1, d, v, 0);
    }
    lift_write_v(l, rd, v);
}

bool lift_simd_long(struct lift *l, const struct arm64_simd_long *f)
{
    long_lift(l, f->op, f->size, f->q, f->scalar, f->rd, lift_read_v(l, f->rn), lift_read_v(l, f->rm));
    return true;
}

/* ADDHN, SUBHN and their rounding forms: the high half of each wide element of the result. */
bool lift_simd_narrow_high(struct lift *l, const struct arm64_simd_narrow_high *f)
{
    ir_value n = lift_read_v(l, f->rn), m = lift_read_v(l, f->rm);
    ir_value v = ir_vec2(l->ir, f->sub ? IR_VSUB : IR_VADD, f->size + 1, n, m, 0);
    v = ir_vec1(l->ir, f->round ? IR_VURSHR : IR_VUSHR, f->size + 1, v, 8u << f->size);
    simd_write_narrow(l, f->q, f->rd, ir_vec1(l->ir, IR_VNARROW, f->size, v, 0));
    return true;
}

/* -- vector x indexed element ---------------------------------------------------------------------------- */

/* Element H:L:M of V0..V15 (halfwords), H:L of V0..V31 (words), repeated over a vector. */
static ir_value element_splat(struct lift *l, unsigned size, unsigned rm, unsigned h, unsigned low,
                              unsigned m)
{
    unsigned index = size == 1 ? h << 2 | low << 1 | m : h << 1 | low;
    ir_value v = lift_read_v(l, size == 1 ? rm : m << 4 | rm);
    return ir_vec1(l->ir, IR_VDUP_LANE, size, v, index);
}

bool lift_simd_element(struct lift *l, const struct arm64_simd_element *f)
{
    ir_value n = lift_read_v(l, f->rn);
    ir_value m = element_splat(l, f->size, f->rm, f->h, f->l, f->m);
    three_lift(l, &three_ops[f->op], f->size, simd_width(f->q, f->scalar, f->size), f->rd, n, m);
    return true;
}

bool lift_simd_element_long(struct lift *l, const struct arm64_simd_element_long *f)
{
    ir_value n = lift_read_v(l, f->rn);
    ir_value m = element_splat(l, f->size, f->rm, f->h, f->l, f->m);
    long_lift(l, f->op, f->size, f->q, f->scalar, f->rd, n, m);
    return true;
}

bool lift_simd_element_float(struct lift *l, const struct arm64_simd_element_float *f)
{
    const struct float_op *o = &float_ops[f->op];
    unsigned esize = simd_float_esize(f->half, f->sz);
    unsigned index = f->half ? f->h << 2 | f->l << 1 | f->m : f->sz ? f->h : f->h << 1 | f->l;
    if (simd_is_reserved_1d(f->q, f->scalar, esize) || (f->sz && f->l))
        return false;
    ir_value m = lift_read_v(l, f->rm);
    if (f->scalar && !f->half) {
        ir_value n = lift_read_f(l, f->sz, f->rn);
        m = simd_float_lane(l, f->sz, m, index);
        lift_write_f(l, f->rd, float_scalar(l, o, f->sz, f->rd, n, m));
        return true;
    }
    m = ir_vec1(l->ir, IR_VDUP_LANE, esize, m, index);
    ir_value n = f->scalar ? simd_read_half(l, f->rn) : simd_read_float(l, f->q, f->rn);
    ir_value d = IR_NONE;
    if (o->op == IR_VFMA)
        d = f->scalar ? simd_read_half(l, f->rd) : simd_read_float(l, f->q, f->rd);
    simd_write(l, simd_width(f->q, f->scalar, esize), f->rd, float_vector(l, o, esize, d, n, m));
    return true;
}
