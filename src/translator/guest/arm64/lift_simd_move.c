/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_simd_move: vector constants and movements: Arm ARM C4.1 "Advanced SIMD modified immediate",
 * "copy", "permute", "extract", "table lookup".
 */
#include "arm64_decode.h"
#include "translator/guest/arm64/lift_simd.h"

/* -- modified immediate ---------------------------------------------------------------------------------- */

/* AdvSIMDExpandImm of the manual, as 64 bits. */
static uint64_t immediate_expand(const struct arm64_simd_immediate *f)
{
    uint64_t imm8 = f->abc << 5 | f->defgh;
    if (f->float_form)
        return simd_repeat(f->size, simd_expand_float(f->size, (unsigned)imm8));
    if (f->ones) /* ones are shifted in from the right: one or two bytes */
        return simd_repeat(2, f->byte ? imm8 << 16 | 0xffff : imm8 << 8 | 0xff);
    if (f->size < 3)
        return simd_repeat(f->size, imm8 << 8 * f->byte);
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++) /* each bit becomes a byte */
        v |= imm8 >> i & 1 ? UINT64_C(0xff) << 8 * i : 0;
    return v;
}

bool lift_simd_immediate(struct lift *l, const struct arm64_simd_immediate *f)
{
    uint64_t v = immediate_expand(f);
    if (f->op == 1)
        v = ~v;
    ir_value constant = simd_const(l, v, f->q ? v : 0);
    if (f->op < 2) {
        lift_write_v(l, f->rd, constant);
        return true;
    }
    ir_value d = lift_read_v(l, f->rd);
    simd_write(l, simd_width(f->q, 0, 0), f->rd,
               ir_vec2(l->ir, f->op == 2 ? IR_VOR : IR_VANDN, 0, d, constant, 0));
    return true;
}

/* -- copy: the lowest one of imm5 gives the element size, the bits above it the index -------------------- */

static bool copy_element(unsigned imm5, unsigned *esize, unsigned *index)
{
    if (!(imm5 & 15))
        return false;
    *esize = (unsigned)__builtin_ctz(imm5);
    *index = imm5 >> (*esize + 1);
    return true;
}

bool lift_simd_dup_element(struct lift *l, const struct arm64_simd_dup_element *f)
{
    unsigned esize, index;
    if (!copy_element(f->imm5, &esize, &index) || simd_is_reserved_1d(f->q, 0, esize))
        return false;
    ir_value v = ir_vec1(l->ir, IR_VDUP_LANE, esize, lift_read_v(l, f->rn), index);
    simd_write(l, simd_width(f->q, 0, esize), f->rd, v);
    return true;
}

bool lift_simd_dup_scalar(struct lift *l, const struct arm64_simd_dup_scalar *f)
{
    unsigned esize, index;
    if (!copy_element(f->imm5, &esize, &index))
        return false;
    ir_value n = lift_read_v(l, f->rn);
    if (esize >= 2)
        lift_write_f(l, f->rd, simd_float_lane(l, esize == 3, n, index));
    else
        lift_write_v(l, f->rd, simd_from_int(l, simd_get_lane(l, IR_I32, esize, 0, n, index)));
    return true;
}

bool lift_simd_dup_general(struct lift *l, const struct arm64_simd_dup_general *f)
{
    unsigned esize, index;
    if (!copy_element(f->imm5, &esize, &index) || simd_is_reserved_1d(f->q, 0, esize))
        return false;
    ir_value v = simd_dup(l, esize, lift_read(l, esize == 3, f->rn));
    simd_write(l, simd_width(f->q, 0, esize), f->rd, v);
    return true;
}

/* SMOV and UMOV: q is the size of the general register. */
bool lift_simd_to_general(struct lift *l, const struct arm64_simd_to_general *f)
{
    unsigned esize, index;
    if (!copy_element(f->imm5, &esize, &index))
        return false;
    if (f->signed_form ? esize > (f->q ? 2 : 1) : f->q != (esize == 3))
        return false;
    ir_value n = lift_read_v(l, f->rn);
    lift_write(l, f->rd,
               simd_get_lane(l, simd_int_type(f->q), esize, f->signed_form ? IR_SIGNED : 0, n, index));
    return true;
}

bool lift_simd_insert_general(struct lift *l, const struct arm64_simd_insert_general *f)
{
    unsigned esize, index;
    if (!copy_element(f->imm5, &esize, &index))
        return false;
    ir_value x = lift_read(l, esize == 3, f->rn);
    lift_write_v(l, f->rd, simd_set_lane(l, esize, lift_read_v(l, f->rd), index, x));
    return true;
}

bool lift_simd_insert_element(struct lift *l, const struct arm64_simd_insert_element *f)
{
    unsigned esize, index;
    if (!copy_element(f->imm5, &esize, &index))
        return false;
    ir_value d = lift_read_v(l, f->rd), n = lift_read_v(l, f->rn);
    lift_write_v(l, f->rd, ir_vec2(l->ir, IR_VSET_LANE, esize, d, n, index | (f->imm4 >> esize) << 4));
    return true;
}

/* -- permute, extract, table ----------------------------------------------------------------------------- */

bool lift_simd_permute(struct lift *l, const struct arm64_simd_permute *f)
{
    static const uint16_t ops[] = {
        IR_NOP, IR_VUZP1, IR_VTRN1, IR_VZIP1, IR_NOP, IR_VUZP2, IR_VTRN2, IR_VZIP2,
    };
    if (simd_is_reserved_1d(f->q, 0, f->size))
        return false;
    ir_value n = lift_read_v(l, f->rn), m = lift_read_v(l, f->rm);
    enum ir_op op = ops[f->op];
    if (!f->q && op == IR_VZIP2) { /* the high half of the interleaved low halves */
        ir_value v = ir_vec2(l->ir, IR_VZIP1, f->size, n, m, 0);
        lift_write_v(l, f->rd, ir_vec2(l->ir, IR_VZIP2, 3, v, simd_const(l, 0, 0), 0));
        return true;
    }
    if (!f->q && (op == IR_VUZP1 || op == IR_VUZP2))
        n = m = simd_join(l, n, m);
    simd_write(l, simd_width(f->q, 0, 0), f->rd, ir_vec2(l->ir, op, f->size, n, m, 0));
    return true;
}

bool lift_simd_extract(struct lift *l, const struct arm64_simd_extract *f)
{
    if (!f->q && f->imm >= 8)
        return false;
    ir_value n = lift_read_v(l, f->rn), m = lift_read_v(l, f->rm);
    if (!f->q)
        n = m = simd_join(l, n, m);
    simd_write(l, simd_width(f->q, 0, 0), f->rd, f->imm ? ir_vec2(l->ir, IR_VEXT, 0, n, m, f->imm) : n);
    return true;
}

/* TBL, TBX: each further table register is looked up with the indices lowered by 16 more. */
bool lift_simd_table(struct lift *l, const struct arm64_simd_table *f)
{
    unsigned tables = f->count + 1;
    ir_value index = lift_read_v(l, f->rm);
    ir_value v = IR_NONE;
    for (unsigned i = 0; i < tables; i++) {
        ir_value lowered = i ? ir_vec2(l->ir, IR_VSUB, 0, index, simd_splat(l, 0, 16 * i), 0) : index;
        ir_value found = ir_vec2(l->ir, IR_VTBL, 0, lift_read_v(l, (f->rn + i) % 32), lowered, 0);
        v = i ? ir_vec2(l->ir, IR_VOR, 0, v, found, 0) : found;
    }
    if (f->keep) {
        ir_value is_outside = ir_vec2(l->ir, IR_VCMPHS, 0, index, simd_splat(l, 0, 16 * tables), 0);
        v = ir_vec3(l->ir, IR_VBSL, 0, is_outside, lift_read_v(l, f->rd), v);
    }
    simd_write(l, simd_width(f->q, 0, 0), f->rd, v);
    return true;
}
