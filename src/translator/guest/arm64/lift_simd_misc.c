/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_simd_misc: vector and scalar integer operations of one source register: Arm ARM C4.1 "Advanced
 * SIMD two-register miscellaneous", "across lanes", "scalar pairwise".
 */
#include "arm64_decode.h"
#include "translator/guest/arm64/lift_simd.h"

/* -- two-register miscellaneous ----------------------------------------------------------------------------
 */

enum two_form {
    TWO_PLAIN,
    TWO_SATURATE,
    TWO_SATURATE_BOTH, /* Vd is the first operand */
    TWO_ZERO,          /* zero is the second operand */
    TWO_ZERO_FIRST,    /* zero is the first operand */
};

/* By U:opcode; RBIT, which differs from NOT in `size` only, is 0x40. */
static const struct two_op {
    uint16_t op;
    uint8_t form;
} two_ops[] = {
    [0x03] = {IR_VSUQADD, TWO_SATURATE_BOTH},
    [0x23] = {IR_VUSQADD, TWO_SATURATE_BOTH},
    [0x04] = {IR_VCLS, TWO_PLAIN},
    [0x24] = {IR_VCLZ, TWO_PLAIN},
    [0x05] = {IR_VCNT, TWO_PLAIN},
    [0x25] = {IR_VNOT, TWO_PLAIN},
    [0x40] = {IR_VRBIT, TWO_PLAIN},
    [0x07] = {IR_VSQABS, TWO_SATURATE},
    [0x27] = {IR_VSQNEG, TWO_SATURATE},
    [0x08] = {IR_VCMPGT, TWO_ZERO},
    [0x28] = {IR_VCMPGE, TWO_ZERO},
    [0x09] = {IR_VCMPEQ, TWO_ZERO},
    [0x29] = {IR_VCMPGE, TWO_ZERO_FIRST}, /* CMLE */
    [0x0a] = {IR_VCMPGT, TWO_ZERO_FIRST}, /* CMLT */
    [0x0b] = {IR_VABS, TWO_PLAIN},
    [0x2b] = {IR_VNEG, TWO_PLAIN},
    [0x1c] = {IR_VURECPE, TWO_PLAIN},
    [0x3c] = {IR_VURSQRTE, TWO_PLAIN},
};

bool lift_simd_two(struct lift *l, const struct arm64_simd_two *f)
{
    const struct two_op *o = &two_ops[f->op];
    unsigned width = simd_width(f->q, f->scalar, f->size);
    if (simd_is_reserved_1d(f->q, f->scalar, f->size))
        return false;
    ir_value n = lift_read_v(l, f->rn);
    ir_value v = IR_NONE;
    switch (o->form) {
    case TWO_PLAIN: v = ir_vec1(l->ir, o->op, f->size, n, 0); break;
    case TWO_SATURATE: v = ir_vec1(l->ir, o->op, f->size, simd_low(l, n, width), 0); break;
    case TWO_SATURATE_BOTH:
        v = simd_low(l, lift_read_v(l, f->rd), width);
        v = ir_vec2(l->ir, o->op, f->size, v, simd_low(l, n, width), 0);
        break;
    case TWO_ZERO: v = ir_vec2(l->ir, o->op, f->size, n, simd_const(l, 0, 0), 0); break;
    case TWO_ZERO_FIRST: v = ir_vec2(l->ir, o->op, f->size, simd_const(l, 0, 0), n, 0); break;
    }
    simd_write(l, width, f->rd, v);
    return true;
}

bool lift_simd_reverse(struct lift *l, const struct arm64_simd_reverse *f)
{
    if (f->size >= f->container)
        return false;
    ir_value v = ir_vec1(l->ir, IR_VREV, f->size, lift_read_v(l, f->rn), f->container);
    simd_write(l, simd_width(f->q, 0, 0), f->rd, v);
    return true;
}

bool lift_simd_add_pairs_long(struct lift *l, const struct arm64_simd_add_pairs_long *f)
{
    ir_value v = ir_vec1(l->ir, f->u ? IR_VUADDLP : IR_VSADDLP, f->size, lift_read_v(l, f->rn), 0);
    if (f->accumulate)
        v = ir_vec2(l->ir, IR_VADD, f->size + 1, lift_read_v(l, f->rd), v, 0);
    simd_write(l, simd_width(f->q, 0, 0), f->rd, v);
    return true;
}

/* XTN, SQXTN, UQXTN, SQXTUN: by U:opcode. A zero stays a zero. */
bool lift_simd_extract_narrow(struct lift *l, const struct arm64_simd_extract_narrow *f)
{
    static const uint16_t ops[] = {
        [0x12] = IR_VNARROW, [0x14] = IR_VSQXTN, [0x32] = IR_VSQXTUN, [0x34] = IR_VUQXTN};
    ir_value n = lift_read_v(l, f->rn);
    if (f->scalar)
        n = simd_low(l, n, f->size + 1);
    simd_write_narrow(l, f->q, f->rd, ir_vec1(l->ir, ops[f->op], f->size, n, 0));
    return true;
}

/* SHLL: by the element's width. */
bool lift_simd_shift_left_long_full(struct lift *l, const struct arm64_simd_shift_left_long_full *f)
{
    ir_value v = ir_vec1(l->ir, f->q ? IR_VUEXT_HI : IR_VUEXT_LO, f->size, lift_read_v(l, f->rn), 0);
    lift_write_v(l, f->rd, ir_vec1(l->ir, IR_VSHL, f->size + 1, v, 8u << f->size));
    return true;
}

/* -- across lanes, scalar pairwise ----------------------------------------------------------------------- */

/* By U:opcode. Of a 64-bit vector the surplus half is zeroed for sums, doubled for the others. */
bool lift_simd_across(struct lift *l, const struct arm64_simd_across *f)
{
    static const uint16_t ops[] = {
        [0x0a] = IR_VSMAXV, [0x1a] = IR_VSMINV,  [0x1b] = IR_VADDV,  [0x2a] = IR_VUMAXV,
        [0x3a] = IR_VUMINV, [0x03] = IR_VSADDLP, [0x23] = IR_VUADDLP};
    bool is_long = (f->op & 0x1f) == 0x03;
    if (f->size == 2 && !f->q)
        return false;
    ir_value n = lift_read_v(l, f->rn);
    if (!f->q)
        n = is_long || f->op == 0x1b ? simd_low(l, n, 3) : simd_join(l, n, n);
    ir_value v = ir_vec1(l->ir, ops[f->op], f->size, n, 0);
    if (is_long && f->size == 2)
        v = simd_low(l, ir_vec2(l->ir, IR_VADDP, 3, v, v, 0), 3);
    else if (is_long)
        v = ir_vec1(l->ir, IR_VADDV, f->size + 1, v, 0);
    lift_write_v(l, f->rd, v);
    return true;
}

bool lift_simd_add_pair(struct lift *l, const struct arm64_simd_add_pair *f)
{
    ir_value n = lift_read_v(l, f->rn);
    lift_write_v(l, f->rd, simd_low(l, ir_vec2(l->ir, IR_VADDP, 3, n, n, 0), 3));
    return true;
}
