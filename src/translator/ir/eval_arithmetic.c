/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eval_arithmetic: floating-point arithmetic on integers, for all formats: exact, then rounded once.
 *
 * Nothing is left to the host's floating-point unit, so that each operation raises the flags that Arm
 * defines: a result is tiny if it is so before it is rounded, and one that is flushed is not inexact.
 * Specification: Arm ARM, pseudo-code functions FPRound, FPAdd, FPMul, FPDiv, FPSqrt, FPMulAdd.
 */
#include "translator/ir/evaluation.h"

typedef unsigned __int128 uwide;

enum fp_cut ir_fp_cut_of(uint64_t x, unsigned n)
{
    if (n == 0)
        return CUT_NOTHING;
    if (n < 64)
        x &= (1ull << n) - 1;
    if (x == 0)
        return CUT_NOTHING;
    if (n > 64)
        return CUT_BELOW_HALF;
    const uint64_t half = 1ull << (n - 1);
    return x < half ? CUT_BELOW_HALF : x == half ? CUT_HALF : CUT_ABOVE_HALF;
}

bool ir_fp_rounds_away(enum ir_round mode, bool negative, bool odd, enum fp_cut cut)
{
    switch (mode) {
    case IR_ROUND_EVEN: return cut == CUT_ABOVE_HALF || (cut == CUT_HALF && odd);
    case IR_ROUND_UP: return cut != CUT_NOTHING && !negative;
    case IR_ROUND_DOWN: return cut != CUT_NOTHING && negative;
    case IR_ROUND_AWAY: return cut >= CUT_HALF;
    default: return false;
    }
}

struct fp_number ir_fp_unpack(enum ir_type type, uint64_t x)
{
    const struct fp_format f = fp_format_of(type);
    const uint64_t magnitude = fp_magnitude(type, x);
    uint64_t mantissa = magnitude & (fp_smallest_normal(type) - 1);
    int biased = (int)(magnitude >> f.mantissa);

    if (biased)
        mantissa |= fp_smallest_normal(type);
    else
        biased = 1;
    const int zeros = __builtin_clzll(mantissa);
    return (struct fp_number){mantissa << zeros, biased - f.bias - (int)f.mantissa - zeros,
                              x & fp_sign(type)};
}

/* Infinity or the greatest number, as the rounding mode says. */
static uint64_t overflow(enum ir_type type, bool negative, enum ir_round mode, unsigned options)
{
    if (options & PACK_ALTERNATIVE) {
        ir_fp_raise(FP_INVALID);
        return fp_sign(type) - 1;
    }
    const bool to_infinity =
        !(options & PACK_ODD) && (mode == IR_ROUND_EVEN || mode == (negative ? IR_ROUND_DOWN : IR_ROUND_UP));
    ir_fp_raise(FP_OVERFLOW | FP_INEXACT);
    return fp_infinity(type) - !to_infinity;
}

uint64_t ir_fp_pack(const struct evaluation *e, enum ir_type type, struct fp_number n, unsigned options)
{
    const struct fp_format f = fp_format_of(type);
    const uint64_t sign = n.negative ? fp_sign(type) : 0;
    const int biased = n.exponent + 63 + f.bias;
    const bool tiny = biased < 1;

    if (tiny && !(options & PACK_UNFLUSHED) && fp_flushes(e, type)) {
        ir_fp_raise(FP_UNDERFLOW);
        return sign;
    }
    const unsigned shift = 63 - f.mantissa + (tiny ? (unsigned)(1 - biased) : 0);
    const enum fp_cut cut = ir_fp_cut_of(n.mantissa, shift);
    uint64_t r = shift < 64 ? n.mantissa >> shift : 0;

    if (options & PACK_ODD)
        r |= cut != CUT_NOTHING;
    else
        r += ir_fp_rounds_away(e->fp.round, n.negative, r & 1, cut);
    /* The mantissa's leading one adds to the exponent field, and so does a carry. */
    if (!tiny)
        r += (uint64_t)(biased - 1) << f.mantissa;

    if (r >= (options & PACK_ALTERNATIVE ? fp_sign(type) : fp_infinity(type)))
        return sign | overflow(type, n.negative, e->fp.round, options);
    if (cut != CUT_NOTHING)
        ir_fp_raise(tiny ? FP_UNDERFLOW | FP_INEXACT : FP_INEXACT);
    return sign | r;
}

/* -- sums --------------------------------------------------------------------------------------------------
 */

/* A term of a sum: zero, or with bit 125 of the mantissa set, so that two of them add without loss. */
struct term {
    uwide mantissa;
    int exponent;
    bool negative;
};

static struct term term_of(enum ir_type type, uint64_t x)
{
    if (fp_is_zero(type, x))
        return (struct term){0, 0, x & fp_sign(type)};
    const struct fp_number n = ir_fp_unpack(type, x);
    return (struct term){(uwide)n.mantissa << 62, n.exponent - 62, n.negative};
}

/* Exact: mantissas of at most 53 bits leave the lowest bits of their product zero. */
static struct term product_of(enum ir_type type, uint64_t a, uint64_t b)
{
    const bool negative = (a ^ b) & fp_sign(type);
    if (fp_is_zero(type, a) || fp_is_zero(type, b))
        return (struct term){0, 0, negative};
    const struct fp_number x = ir_fp_unpack(type, a), y = ir_fp_unpack(type, b);
    const uwide product = (uwide)x.mantissa * y.mantissa;
    const unsigned shift = product >> 127 ? 2 : 1;
    return (struct term){product >> shift, x.exponent + y.exponent + (int)shift, negative};
}

/* x >> n; what is lost makes the last bit one. */
static uwide shift_sticky(uwide x, unsigned n)
{
    if (n == 0)
        return x;
    if (n > 127)
        return x != 0;
    return x >> n | ((x & (((uwide)1 << n) - 1)) != 0);
}

static uint64_t round_wide(const struct evaluation *e, enum ir_type type, uwide mantissa, int exponent,
                           bool negative)
{
    const uint64_t high = (uint64_t)(mantissa >> 64);
    const unsigned length =
        high ? 128 - (unsigned)__builtin_clzll(high) : 64 - (unsigned)__builtin_clzll((uint64_t)mantissa);
    struct fp_number n = {.exponent = exponent + (int)length - 64, .negative = negative};
    n.mantissa =
        length > 64 ? (uint64_t)shift_sticky(mantissa, length - 64) : (uint64_t)mantissa << (64 - length);
    return ir_fp_pack(e, type, n, 0);
}

/* a + b, scaled by 2^scale before it is rounded */
static uint64_t sum(const struct evaluation *e, enum ir_type type, struct term a, struct term b, int scale)
{
    if (b.mantissa && (!a.mantissa || b.exponent > a.exponent)) {
        const struct term swap = a;
        a = b;
        b = swap;
    }
    if (b.mantissa)
        b.mantissa = shift_sticky(b.mantissa, (unsigned)(a.exponent - b.exponent));
    uwide r = a.mantissa + b.mantissa;
    bool negative = a.negative;
    if (a.negative != b.negative) {
        negative = a.mantissa >= b.mantissa ? a.negative : b.negative;
        r = a.mantissa >= b.mantissa ? a.mantissa - b.mantissa : b.mantissa - a.mantissa;
        if (r == 0)
            negative = e->fp.round == IR_ROUND_DOWN;
    }
    if (r == 0)
        return negative ? fp_sign(type) : 0;
    return round_wide(e, type, r, a.exponent + scale, negative);
}

static uint64_t invalid(enum ir_type type)
{
    ir_fp_raise(FP_INVALID);
    return fp_default_nan(type);
}

uint64_t ir_fp_add(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b)
{
    const bool differ = (a ^ b) & fp_sign(type);

    if (fp_is_infinite(type, a))
        return fp_is_infinite(type, b) && differ ? invalid(type) : a;
    if (fp_is_infinite(type, b))
        return b;
    return sum(e, type, term_of(type, a), term_of(type, b), 0);
}

uint64_t ir_fp_multiply_add(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b, uint64_t c,
                            unsigned halvings)
{
    const uint64_t sign = (a ^ b) & fp_sign(type);

    if (fp_is_infinite(type, a) || fp_is_infinite(type, b)) {
        if (fp_is_zero(type, a) || fp_is_zero(type, b))
            return invalid(type);
        if (fp_is_infinite(type, c) && (c & fp_sign(type)) != sign)
            return invalid(type);
        return sign | fp_infinity(type);
    }
    if (fp_is_infinite(type, c))
        return c;
    return sum(e, type, product_of(type, a, b), term_of(type, c), -(int)halvings);
}

/* -- products -------------------------------------------------------------------------------------------- */

uint64_t ir_fp_multiply(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b)
{
    const uint64_t sign = (a ^ b) & fp_sign(type);
    const bool zero = fp_is_zero(type, a) || fp_is_zero(type, b);

    if (fp_is_infinite(type, a) || fp_is_infinite(type, b))
        return zero ? invalid(type) : sign | fp_infinity(type);
    if (zero)
        return sign;
    const struct term product = product_of(type, a, b);
    return round_wide(e, type, product.mantissa, product.exponent, sign);
}

uint64_t ir_fp_divide(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b)
{
    const uint64_t sign = (a ^ b) & fp_sign(type);

    if (fp_is_infinite(type, a))
        return fp_is_infinite(type, b) ? invalid(type) : sign | fp_infinity(type);
    if (fp_is_infinite(type, b))
        return sign;
    if (fp_is_zero(type, b)) {
        if (fp_is_zero(type, a))
            return invalid(type);
        ir_fp_raise(FP_DIVIDE_BY_ZERO);
        return sign | fp_infinity(type);
    }
    if (fp_is_zero(type, a))
        return sign;
    const struct fp_number x = ir_fp_unpack(type, a), y = ir_fp_unpack(type, b);
    const uwide dividend = (uwide)x.mantissa << 63;
    const uwide quotient = dividend / y.mantissa, rest = dividend % y.mantissa;
    /* of 63 bits at least; the last one of 65 says whether anything is left */
    return round_wide(e, type, quotient << 1 | (rest != 0), x.exponent - y.exponent - 64, sign);
}

uint64_t ir_fp_square_root(const struct evaluation *e, enum ir_type type, uint64_t a)
{
    if (fp_is_zero(type, a))
        return a;
    if (a & fp_sign(type))
        return invalid(type);
    if (fp_is_infinite(type, a))
        return a;
    struct fp_number n = ir_fp_unpack(type, a);
    uwide x = (uwide)n.mantissa << 62; /* * 2^(exponent - 62), which is to be even */
    int exponent = n.exponent - 62;
    if (exponent & 1) {
        x <<= 1;
        exponent--;
    }
    uint64_t root = 0;
    for (int bit = 63; bit >= 0; bit--) {
        const uint64_t next = root | 1ull << bit;
        if ((uwide)next * next <= x)
            root = next;
    }
    return round_wide(e, type, (uwide)root << 1 | ((uwide)root * root != x), exponent / 2 - 1, false);
}
