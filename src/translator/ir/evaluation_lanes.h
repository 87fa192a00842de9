/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evaluation_lanes: makes functions that compute each lane by one expression, for all element sizes.
 *
 * In the expression, U and S are the unsigned and signed element types and BITS their width; x, y, z are the
 * operands' lanes, unsigned, and sx, sy the same, signed. Its value is cut to the element.
 */
#ifndef VISOR_TRANSLATOR_IR_EVALUATION_LANES_H
#define VISOR_TRANSLATOR_IR_EVALUATION_LANES_H

#include "translator/ir/evaluation.h"

typedef __int128 wide;
typedef unsigned __int128 uwide;

/* The type parameters are named as the expression sees them. */
#define LANE_LOOP(UNSIGNED, SIGNED, WIDTH, field, sfield, ...)                                               \
    {                                                                                                        \
        typedef UNSIGNED U;                                                                                  \
        typedef SIGNED S;                                                                                    \
        enum { BITS = WIDTH };                                                                               \
        for (unsigned i = 0; i < 128 / BITS; i++) {                                                          \
            const U x = va.field[i], y = vb.field[i];                                                        \
            const S sx = va.sfield[i], sy = vb.sfield[i];                                                    \
            (void)x, (void)y, (void)sx, (void)sy;                                                            \
            vr.field[i] = (U)(__VA_ARGS__);                                                                  \
        }                                                                                                    \
        (void)sizeof(S);                                                                                     \
        break;                                                                                               \
    }

#define LANE_FUNCTION(name, ...)                                                                             \
    static void name(const struct evaluation *e)                                                             \
    {                                                                                                        \
        const union vector128 va = *e->a, vb = *e->b;                                                        \
        union vector128 vr;                                                                                  \
        switch (e->insn->aux & 3) {                                                                          \
        case 0: LANE_LOOP(uint8_t, int8_t, 8, b, sb, __VA_ARGS__)                                            \
        case 1: LANE_LOOP(uint16_t, int16_t, 16, h, sh, __VA_ARGS__)                                         \
        case 2: LANE_LOOP(uint32_t, int32_t, 32, w, sw, __VA_ARGS__)                                         \
        default: LANE_LOOP(uint64_t, int64_t, 64, d, sd, __VA_ARGS__)                                        \
        }                                                                                                    \
        *e->r = vr;                                                                                          \
    }

/* (x + half) >> n without losing the carry; 1 <= n <= 64 */
static inline uint64_t shift_right_rounding(uint64_t x, unsigned n)
{
    return (uint64_t)(((uwide)x + ((uwide)1 << (n - 1))) >> n);
}

static inline int64_t shift_right_rounding_signed(int64_t x, unsigned n)
{
    return (int64_t)(((wide)x + ((wide)1 << (n - 1))) >> n);
}

/* Arm's shifts by a signed amount, right if negative, of elements of `bits`; left ones are not cut to the
 * element and are of less than `bits`. */
static inline uint64_t shift_right_variable(uint64_t x, unsigned n, unsigned bits, bool rounding)
{
    if (n > bits || (n == bits && !rounding))
        return 0;
    return rounding ? shift_right_rounding(x, n) : x >> n;
}

static inline int64_t shift_right_variable_signed(int64_t x, unsigned n, unsigned bits, bool rounding)
{
    if (rounding)
        return n > bits ? 0 : shift_right_rounding_signed(x, n);
    return x >> (n >= bits ? bits - 1 : n);
}

#endif
