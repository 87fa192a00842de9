/* SPDX-License-Identifier: GPL-2.0-or-later */
/* eval_saturate: vector operations whose results are cut to the element's range, noting that in the QC flag.
 */
#include "translator/ir/evaluation_lanes.h"

/* `value` cut to the range of a signed or unsigned integer of `bits`; *saturated is set if it was outside. */
static uint64_t saturate_signed(wide value, unsigned bits, bool *saturated)
{
    const wide max = ((wide)1 << (bits - 1)) - 1, min = -max - 1;
    if (value > max || value < min) {
        *saturated = true;
        value = value > max ? max : min;
    }
    return (uint64_t)value;
}

static uint64_t saturate_unsigned(wide value, unsigned bits, bool *saturated)
{
    const wide max = ((wide)1 << bits) - 1;
    if (value > max || value < 0) {
        *saturated = true;
        value = value > max ? max : 0;
    }
    return (uint64_t)value;
}

/* A shift by `bits` or more is a shift by `bits` to the result and to the flag, and fits the wide type. */
static uint64_t shift_saturating_unsigned(uint64_t x, int shift, unsigned bits, bool rounding,
                                          bool *saturated)
{
    if (shift < 0)
        return shift_right_variable(x, (unsigned)-shift, bits, rounding);
    if (shift >= (int)bits)
        return saturate_unsigned(x ? (wide)1 << bits : 0, bits, saturated);
    return saturate_unsigned((wide)x << shift, bits, saturated);
}

static uint64_t shift_saturating_signed(int64_t x, int shift, unsigned bits, bool rounding, bool *saturated)
{
    if (shift < 0)
        return (uint64_t)shift_right_variable_signed(x, (unsigned)-shift, bits, rounding);
    return saturate_signed((wide)x * ((wide)1 << (shift >= (int)bits ? (int)bits : shift)), bits, saturated);
}

/* A lane function with `saturated` in scope. */
#define SATURATING_FUNCTION(name, ...)                                                                       \
    static void name(const struct evaluation *e)                                                             \
    {                                                                                                        \
        const union vector128 va = *e->a, vb = *e->b;                                                        \
        union vector128 vr;                                                                                  \
        bool saturated = false;                                                                              \
        switch (e->insn->aux & 3) {                                                                          \
        case 0: LANE_LOOP(uint8_t, int8_t, 8, b, sb, __VA_ARGS__)                                            \
        case 1: LANE_LOOP(uint16_t, int16_t, 16, h, sh, __VA_ARGS__)                                         \
        case 2: LANE_LOOP(uint32_t, int32_t, 32, w, sw, __VA_ARGS__)                                         \
        default: LANE_LOOP(uint64_t, int64_t, 64, d, sd, __VA_ARGS__)                                        \
        }                                                                                                    \
        *e->r = vr;                                                                                          \
        if (saturated)                                                                                       \
            evaluation_saturated(e);                                                                         \
    }

#define SIGNED(...)   saturate_signed((__VA_ARGS__), BITS, &saturated)
#define UNSIGNED(...) saturate_unsigned((__VA_ARGS__), BITS, &saturated)
#define SHIFT         ((int8_t)(y & 255))

SATURATING_FUNCTION(evaluate_uqadd, UNSIGNED((wide)x + y))
SATURATING_FUNCTION(evaluate_sqadd, SIGNED((wide)sx + sy))
SATURATING_FUNCTION(evaluate_uqsub, UNSIGNED((wide)x - (wide)y))
SATURATING_FUNCTION(evaluate_sqsub, SIGNED((wide)sx - sy))
SATURATING_FUNCTION(evaluate_suqadd, SIGNED((wide)sx + y))
SATURATING_FUNCTION(evaluate_usqadd, UNSIGNED((wide)x + sy))
SATURATING_FUNCTION(evaluate_sqabs, SIGNED(sx < 0 ? -(wide)sx : sx))
SATURATING_FUNCTION(evaluate_sqneg, SIGNED(-(wide)sx))
SATURATING_FUNCTION(evaluate_uqshl, shift_saturating_unsigned(x, SHIFT, BITS, false, &saturated))
SATURATING_FUNCTION(evaluate_sqshl, shift_saturating_signed(sx, SHIFT, BITS, false, &saturated))
SATURATING_FUNCTION(evaluate_uqrshl, shift_saturating_unsigned(x, SHIFT, BITS, true, &saturated))
SATURATING_FUNCTION(evaluate_sqrshl, shift_saturating_signed(sx, SHIFT, BITS, true, &saturated))
SATURATING_FUNCTION(evaluate_sqshlu, UNSIGNED((wide)sx *((wide)1 << (e->insn->imm & (BITS - 1)))))
SATURATING_FUNCTION(evaluate_sqdmulh, SIGNED(((wide)sx * sy * 2) >> BITS))
SATURATING_FUNCTION(evaluate_sqrdmulh, SIGNED(((wide)sx * sy * 2 + ((wide)1 << (BITS - 1))) >> BITS))

/* SQRDMLAH and SQRDMLSH: only the sum is rounded and saturated. */
static void evaluate_sqrdmla(const struct evaluation *e)
{
    const bool is_half = (e->insn->aux & 3) == 1;
    const unsigned bits = is_half ? 16 : 32;
    bool saturated = false;

    for (unsigned i = 0; i < 128 / bits; i++) {
        const wide a = is_half ? e->a->sh[i] : e->a->sw[i];
        const wide product = is_half ? e->b->sh[i] * (wide)e->c->sh[i] : e->b->sw[i] * (wide)e->c->sw[i];
        const wide sum = a * ((wide)1 << bits) + 2 * (e->insn->op == IR_VSQRDMLAH ? product : -product);
        const uint64_t r = saturate_signed((sum + ((wide)1 << (bits - 1))) >> bits, bits, &saturated);
        if (is_half)
            e->r->h[i] = (uint16_t)r;
        else
            e->r->w[i] = (uint32_t)r;
    }
    if (saturated)
        evaluation_saturated(e);
}

/* Twice the product of elements of a half, saturated to twice the size. */
static void evaluate_sqdmull(const struct evaluation *e)
{
    const bool high = e->insn->op == IR_VSQDMULL_HI;
    bool saturated = false;

    if ((e->insn->aux & 3) == 1) {
        for (unsigned i = 0; i < 4; i++)
            e->r->w[i] = (uint32_t)saturate_signed((wide)e->a->sh[4 * high + i] * e->b->sh[4 * high + i] * 2,
                                                   32, &saturated);
    } else {
        for (unsigned i = 0; i < 2; i++)
            e->r->d[i] =
                saturate_signed((wide)e->a->sw[2 * high + i] * e->b->sw[2 * high + i] * 2, 64, &saturated);
    }
    if (saturated)
        evaluation_saturated(e);
}

static uint64_t narrow(unsigned op, uint64_t x, int64_t sx, unsigned bits, bool *saturated)
{
    switch (op) {
    case IR_VSQXTN: return saturate_signed(sx, bits, saturated);
    case IR_VUQXTN: return saturate_unsigned((wide)x, bits, saturated);
    default: return saturate_unsigned(sx, bits, saturated);
    }
}

static void evaluate_narrow(const struct evaluation *e)
{
    const union vector128 *a = e->a;
    const unsigned op = e->insn->op, esize = e->insn->aux & 3;
    bool saturated = false;

    for (unsigned i = 0; i < 8u >> esize; i++) {
        if (esize == 0)
            e->r->b[i] = (uint8_t)narrow(op, a->h[i], a->sh[i], 8, &saturated);
        else if (esize == 1)
            e->r->h[i] = (uint16_t)narrow(op, a->w[i], a->sw[i], 16, &saturated);
        else
            e->r->w[i] = (uint32_t)narrow(op, a->d[i], a->sd[i], 32, &saturated);
    }
    if (saturated)
        evaluation_saturated(e);
}

void ir_evaluate_saturate(const struct evaluation *e)
{
    switch (e->insn->op) {
    case IR_VUQSHL_VAR: evaluate_uqshl(e); break;
    case IR_VSQSHL_VAR: evaluate_sqshl(e); break;
    case IR_VUQRSHL_VAR: evaluate_uqrshl(e); break;
    case IR_VSQRSHL_VAR: evaluate_sqrshl(e); break;
    case IR_VSQSHLU: evaluate_sqshlu(e); break;
    case IR_VUQADD: evaluate_uqadd(e); break;
    case IR_VSQADD: evaluate_sqadd(e); break;
    case IR_VUQSUB: evaluate_uqsub(e); break;
    case IR_VSQSUB: evaluate_sqsub(e); break;
    case IR_VSUQADD: evaluate_suqadd(e); break;
    case IR_VUSQADD: evaluate_usqadd(e); break;
    case IR_VSQABS: evaluate_sqabs(e); break;
    case IR_VSQNEG: evaluate_sqneg(e); break;
    case IR_VSQDMULL_LO:
    case IR_VSQDMULL_HI: evaluate_sqdmull(e); break;
    case IR_VSQDMULH: evaluate_sqdmulh(e); break;
    case IR_VSQRDMULH: evaluate_sqrdmulh(e); break;
    case IR_VSQRDMLAH:
    case IR_VSQRDMLSH: evaluate_sqrdmla(e); break;
    case IR_VSQXTN:
    case IR_VUQXTN:
    case IR_VSQXTUN: evaluate_narrow(e); break;
    default: break;
    }
}
