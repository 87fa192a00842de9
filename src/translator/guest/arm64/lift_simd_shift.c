/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_simd_shift: Arm ARM C4.1 "Advanced SIMD shift by immediate" and its scalar form.
 *
 * The highest one of immh gives the element size; the rest of immh:immb the shift, which counts down
 * from twice the element's width for right shifts and up from the width for left shifts.
 */
#include "arm64_decode.h"
#include "translator/guest/arm64/lift_simd.h"

static unsigned shift_esize(unsigned immh)
{
    return immh >= 8 ? 3 : immh >= 4 ? 2 : immh >= 2 ? 1 : 0;
}

static unsigned shift_right_amount(unsigned esize, unsigned immh, unsigned immb)
{
    return (16u << esize) - (immh << 3 | immb);
}

static unsigned shift_left_amount(unsigned esize, unsigned immh, unsigned immb)
{
    return (immh << 3 | immb) - (8u << esize);
}

/* Bits [from, to) of each element. */
static ir_value shift_mask(struct lift *l, unsigned esize, unsigned from, unsigned to)
{
    uint64_t below_from = from >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << from) - 1;
    uint64_t below_to = to >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << to) - 1;
    return simd_splat(l, esize, below_to & ~below_from);
}

/* By U:opcode: opcode<2> rounds, opcode<1> accumulates; SRI inserts. */
bool lift_simd_shift_right(struct lift *l, const struct arm64_simd_shift_right *f)
{
    static const uint16_t ops[2][2] = {{IR_VSSHR, IR_VSRSHR}, {IR_VUSHR, IR_VURSHR}};
    unsigned esize = shift_esize(f->immh);
    unsigned amount = shift_right_amount(esize, f->immh, f->immb);
    if ((f->scalar && esize != 3) || simd_is_reserved_1d(f->q, f->scalar, esize))
        return false;
    bool is_insert = f->op == 0x28;
    ir_value n = lift_read_v(l, f->rn);
    ir_value v = ir_vec1(l->ir, ops[f->op >> 5][f->op >> 2 & 1], esize, n, amount);
    if (is_insert) {
        ir_value mask = shift_mask(l, esize, 0, (8u << esize) - amount);
        v = ir_vec2(l->ir, IR_VOR, 0, ir_vec2(l->ir, IR_VANDN, 0, lift_read_v(l, f->rd), mask, 0), v, 0);
    } else if (f->op & 2) {
        v = ir_vec2(l->ir, IR_VADD, esize, lift_read_v(l, f->rd), v, 0);
    }
    simd_write(l, simd_width(f->q, f->scalar, esize), f->rd, v);
    return true;
}

/* By U:opcode: SHL, SLI, and the saturating SQSHLU, SQSHL, UQSHL. */
bool lift_simd_shift_left(struct lift *l, const struct arm64_simd_shift_left *f)
{
    unsigned esize = shift_esize(f->immh);
    unsigned amount = shift_left_amount(esize, f->immh, f->immb);
    unsigned width = simd_width(f->q, f->scalar, esize);
    bool is_plain = f->op == 0x0a || f->op == 0x2a;
    if ((f->scalar && is_plain && esize != 3) || simd_is_reserved_1d(f->q, f->scalar, esize))
        return false;
    ir_value n = lift_read_v(l, f->rn);
    if (is_plain) {
        ir_value v = ir_vec1(l->ir, IR_VSHL, esize, n, amount);
        if (f->op == 0x2a) {
            ir_value mask = shift_mask(l, esize, amount, 64);
            v = ir_vec2(l->ir, IR_VOR, 0, ir_vec2(l->ir, IR_VANDN, 0, lift_read_v(l, f->rd), mask, 0), v, 0);
        }
        simd_write(l, width, f->rd, v);
        return true;
    }
    n = simd_low(l, n, width);
    if (f->op == 0x2c)
        n = ir_vec1(l->ir, IR_VSQSHLU, esize, n, amount);
    else
        n = ir_vec2(l->ir, f->op == 0x0e ? IR_VSQSHL_VAR : IR_VUQSHL_VAR, esize, n,
                    simd_splat(l, esize, amount), 0);
    lift_write_v(l, f->rd, n); /* zeroes gave zeroes */
    return true;
}

/* By U:opcode: a right shift of the wide elements, then a narrowing. opcode<0> rounds. */
bool lift_simd_shift_narrow(struct lift *l, const struct arm64_simd_shift_narrow *f)
{
    static const struct {
        uint8_t shift, narrow;
    } ops[] = {
        [0x10] = {IR_VUSHR, IR_VNARROW}, [0x11] = {IR_VURSHR, IR_VNARROW}, /* SHRN */
        [0x12] = {IR_VSSHR, IR_VSQXTN},  [0x13] = {IR_VSRSHR, IR_VSQXTN},  /* SQSHRN */
        [0x30] = {IR_VSSHR, IR_VSQXTUN}, [0x31] = {IR_VSRSHR, IR_VSQXTUN}, /* SQSHRUN */
        [0x32] = {IR_VUSHR, IR_VUQXTN},  [0x33] = {IR_VURSHR, IR_VUQXTN},  /* UQSHRN */
    };
    if (f->immh >= 8)
        return false;
    unsigned esize = shift_esize(f->immh);
    unsigned amount = shift_right_amount(esize, f->immh, f->immb);
    ir_value n = lift_read_v(l, f->rn);
    if (f->scalar)
        n = simd_low(l, n, esize + 1);
    n = ir_vec1(l->ir, ops[f->op].shift, esize + 1, n, amount);
    simd_write_narrow(l, f->q, f->rd, ir_vec1(l->ir, ops[f->op].narrow, esize, n, 0));
    return true;
}

/* SSHLL, USHLL; SXTL and UXTL are shifts by zero. */
bool lift_simd_shift_left_long(struct lift *l, const struct arm64_simd_shift_left_long *f)
{
    static const uint16_t ops[2][2] = {{IR_VSEXT_LO, IR_VSEXT_HI}, {IR_VUEXT_LO, IR_VUEXT_HI}};
    if (f->immh >= 8)
        return false;
    unsigned esize = shift_esize(f->immh);
    unsigned amount = shift_left_amount(esize, f->immh, f->immb);
    ir_value v = ir_vec1(l->ir, ops[f->u][f->q], esize, lift_read_v(l, f->rn), 0);
    if (amount)
        v = ir_vec1(l->ir, IR_VSHL, esize + 1, v, amount);
    lift_write_v(l, f->rd, v);
    return true;
}
