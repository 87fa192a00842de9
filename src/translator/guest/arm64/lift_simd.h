/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_simd: what the floating-point and vector lifting functions share. Private to this folder.
 *
 * Vector operations of the IR work on 128 bits. A form that uses less of its registers has a
 * "width", log2 of the bytes used: 4 for a full vector, 3 for a 64-bit vector, the element size for a
 * scalar. Lanes beyond the width hold anything; they must be zero in the result, and must not raise
 * floating-point exceptions or saturate on the way.
 */
#ifndef VISOR_TRANSLATOR_GUEST_ARM64_LIFT_SIMD_H
#define VISOR_TRANSLATOR_GUEST_ARM64_LIFT_SIMD_H

#include "translator/guest/arm64/lift.h"

#define SIMD_FULL 4

static inline unsigned simd_width(unsigned q, unsigned scalar, unsigned esize)
{
    return scalar ? esize : q ? SIMD_FULL : 3;
}

/* 64-bit elements need a full vector or a scalar form: "1D" is reserved. */
static inline bool simd_is_reserved_1d(unsigned q, unsigned scalar, unsigned esize)
{
    return esize == 3 && !q && !scalar;
}

static inline ir_value simd_const(struct lift *l, uint64_t low, uint64_t high)
{
    return ir_emit(l->ir, IR_VCONST, IR_V128, 0, IR_NONE, IR_NONE, IR_NONE, low, high);
}

/* `element` repeated over 64 bits. */
static inline uint64_t simd_repeat(unsigned esize, uint64_t element)
{
    static const uint64_t ones[] = {0x0101010101010101, 0x0001000100010001, 0x0000000100000001, 1};
    static const uint64_t masks[] = {0xff, 0xffff, 0xffffffff, ~UINT64_C(0)};
    return (element & masks[esize]) * ones[esize];
}

static inline ir_value simd_splat(struct lift *l, unsigned esize, uint64_t element)
{
    uint64_t half = simd_repeat(esize, element);
    return simd_const(l, half, half);
}

/* v with the lanes beyond the width zeroed. */
static inline ir_value simd_low(struct lift *l, ir_value v, unsigned width)
{
    return width == SIMD_FULL ? v : ir_vec1(l->ir, IR_VLOW, width, v, 0);
}

/* The low halves of a and b as one vector. */
static inline ir_value simd_join(struct lift *l, ir_value a, ir_value b)
{
    return ir_vec2(l->ir, IR_VZIP1, 3, a, b, 0);
}

static inline ir_value simd_high(struct lift *l, ir_value v)
{
    return ir_vec2(l->ir, IR_VZIP2, 3, v, v, 0);
}

/* Writes a result that has the low half only: there, or (q) above Vd's old low half. */
static inline void simd_write_narrow(struct lift *l, unsigned q, unsigned rd, ir_value v)
{
    lift_write_v(l, rd, q ? simd_join(l, lift_read_v(l, rd), v) : v);
}

/*
 * Vn for a floating-point vector operation: of a 64-bit vector the low half is doubled, so that the
 * surplus lanes raise no exception that the others do not raise.
 */
static inline ir_value simd_read_float(struct lift *l, unsigned q, unsigned n)
{
    ir_value v = lift_read_v(l, n);
    return q ? v : simd_join(l, v, v);
}

/* The last operation of a vector form: zeroes what is beyond the width and writes Vd. */
static inline void simd_write(struct lift *l, unsigned width, unsigned rd, ir_value v)
{
    lift_write_v(l, rd, simd_low(l, v, width));
}

static inline enum ir_type simd_float_type(unsigned is_double)
{
    return is_double ? IR_F64 : IR_F32;
}

static inline enum ir_type simd_int_type(unsigned is_64)
{
    return is_64 ? IR_I64 : IR_I32;
}

/* Lane `lane` of v as a scalar. */
static inline ir_value simd_float_lane(struct lift *l, unsigned is_double, ir_value v, unsigned lane)
{
    return ir_emit(l->ir, IR_VGET_FLOAT, simd_float_type(is_double), 0, v, IR_NONE, IR_NONE, lane, 0);
}

/* a * b + c */
static inline ir_value simd_float_fma(struct lift *l, ir_value a, ir_value b, ir_value c)
{
    return ir_emit(l->ir, IR_FMA, ir_type_of(l->ir, a), 0, a, b, c, 0, 0);
}

/* An integer lane, zero-extended or, with IR_SIGNED in `sign`, sign-extended. */
static inline ir_value simd_get_lane(struct lift *l, enum ir_type type, unsigned esize, unsigned sign,
                                     ir_value v, unsigned lane)
{
    return ir_emit(l->ir, IR_VGET, type, esize | sign, v, IR_NONE, IR_NONE, lane, 0);
}

static inline ir_value simd_set_lane(struct lift *l, unsigned esize, ir_value v, unsigned lane,
                                     ir_value value)
{
    return ir_emit(l->ir, IR_VSET, IR_V128, esize, v, value, IR_NONE, lane, 0);
}

static inline ir_value simd_from_int(struct lift *l, ir_value value)
{
    return ir_emit(l->ir, IR_VFROM_INT, IR_V128, 0, value, IR_NONE, IR_NONE, 0, 0);
}

static inline ir_value simd_dup(struct lift *l, unsigned esize, ir_value value)
{
    return ir_emit(l->ir, IR_VDUP, IR_V128, esize, value, IR_NONE, IR_NONE, 0, 0);
}

/* The IR's rounding mode for the patterns' `round`. */
static inline unsigned simd_round(unsigned round)
{
    static const uint8_t modes[] = {IR_ROUND_EVEN, IR_ROUND_UP,   IR_ROUND_DOWN,
                                    IR_ROUND_ZERO, IR_ROUND_AWAY, IR_ROUND_CURRENT};
    return modes[round];
}

/* The element size of a floating-point vector: bit `sz`, unless it is of halves. */
static inline unsigned simd_float_esize(unsigned half, unsigned sz)
{
    return half ? 1 : sz ? 3 : 2;
}

/*
 * A scalar of half precision is computed in all lanes of a vector, so that none raises another exception.
 * simd_write(l, 1, ...) writes it.
 */
static inline ir_value simd_read_half(struct lift *l, unsigned n)
{
    return ir_vec1(l->ir, IR_VDUP_LANE, 1, lift_read_v(l, n), 0);
}

/* The bits of Hn as an I32. */
static inline ir_value simd_half_bits(struct lift *l, unsigned n)
{
    return simd_get_lane(l, IR_I32, 1, 0, lift_read_v(l, n), 0);
}

/* Hn as an F32, exactly: for what compares it or makes an integer of it. */
static inline ir_value simd_half_operand(struct lift *l, unsigned n)
{
    return ir_emit(l->ir, IR_FFROM_HALF, IR_F32, IR_HALF_OPERAND, simd_half_bits(l, n), IR_NONE, IR_NONE, 0,
                   0);
}

/* VFPExpandImm of the manual: an 8-bit floating-point constant's bits. */
static inline uint64_t simd_expand_float(unsigned esize, unsigned imm8)
{
    uint64_t sign = imm8 >> 7, low = imm8 & 0x3f;
    bool b = imm8 & 0x40;
    if (esize == 1)
        return sign << 15 | (b ? 0x3000u : 0x4000u) | low << 6;
    if (esize == 3)
        return sign << 63 | (b ? UINT64_C(0x3fc0000000000000) : UINT64_C(0x4000000000000000)) | low << 48;
    return sign << 31 | (b ? 0x3e000000u : 0x40000000u) | low << 19;
}

#endif
