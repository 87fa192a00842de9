/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eval_convert: rounding to integral values, and conversions between floating-point formats and integers.
 *
 * Done on integers, so that each operation raises exactly the flags that it should. Specification: Arm ARM,
 * pseudo-code functions FPRoundInt, FPToFixed, FixedToFP, FPConvert.
 */
#include "translator/ir/evaluation.h"

struct format {
    unsigned mantissa; /* explicit bits */
    int bias;
};

static const struct format half_format = {10, 15}, single_format = {23, 127}, double_format = {52, 1023};

static const struct format *format_of(enum ir_type type)
{
    return type == IR_F32 ? &single_format : &double_format;
}

static uint64_t format_infinity(const struct format *f)
{
    return (uint64_t)(2 * f->bias + 1) << f->mantissa;
}

static enum ir_round resolve_mode(unsigned bits)
{
    enum ir_round mode = (enum ir_round)(bits & IR_ROUND_MODE);
    return mode == IR_ROUND_CURRENT ? ir_fp_rounding() : mode;
}

/* What was cut off a number: nothing, less than half of the last place, half, more. */
enum cut { CUT_NOTHING, CUT_BELOW_HALF, CUT_HALF, CUT_ABOVE_HALF };

/* The lowest n bits of x, n <= 64, as what is cut off; x < 2^64 also stands for n > 64. */
static enum cut cut_of(uint64_t x, unsigned n)
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

/* Whether the magnitude is to be incremented. */
static bool rounds_away(enum ir_round mode, bool negative, bool odd, enum cut cut)
{
    switch (mode) {
    case IR_ROUND_EVEN: return cut == CUT_ABOVE_HALF || (cut == CUT_HALF && odd);
    case IR_ROUND_UP: return cut != CUT_NOTHING && !negative;
    case IR_ROUND_DOWN: return cut != CUT_NOTHING && negative;
    case IR_ROUND_AWAY: return cut >= CUT_HALF;
    default: return false;
    }
}

/* Finite: value = mantissa * 2^exponent. */
static void unpack(enum ir_type type, uint64_t x, uint64_t *mantissa, int *exponent)
{
    const struct format *f = format_of(type);
    const uint64_t magnitude = fp_magnitude(type, x);
    int biased = (int)(magnitude >> f->mantissa);

    *mantissa = magnitude & ((1ull << f->mantissa) - 1);
    if (biased)
        *mantissa |= 1ull << f->mantissa;
    else
        biased = 1;
    *exponent = biased - f->bias - (int)f->mantissa;
}

uint64_t ir_fp_round(const struct evaluation *e, enum ir_type type, unsigned bits, uint64_t x)
{
    const struct format *f = format_of(type);
    const uint64_t sign = x & fp_sign(type), magnitude = fp_magnitude(type, x), one = 1ull << f->mantissa;
    const int exponent = (int)(magnitude >> f->mantissa) - f->bias;
    uint64_t r;
    enum cut cut;

    if (fp_is_nan(type, x))
        return ir_fp_process_nan(e, type, x);
    if (exponent >= (int)f->mantissa)
        return x;
    if (fp_is_zero(type, x))
        return sign;

    const enum ir_round mode = resolve_mode(bits);
    if (exponent < 0) {
        /* Below one; at least a half if the exponent is -1. */
        cut = exponent < -1 ? CUT_BELOW_HALF : magnitude & (one - 1) ? CUT_ABOVE_HALF : CUT_HALF;
        r = rounds_away(mode, sign, false, cut) ? (uint64_t)f->bias << f->mantissa : 0;
    } else {
        const unsigned fraction = f->mantissa - (unsigned)exponent;
        cut = cut_of(magnitude, fraction);
        r = magnitude & ~((1ull << fraction) - 1);
        /* The last integral bit; of 1.x it is the lowest bit of the exponent field, set because the bias is
         * odd. A carry out of the mantissa makes the next exponent. */
        if (rounds_away(mode, sign, magnitude >> fraction & 1, cut))
            r += 1ull << fraction;
    }
    if (cut != CUT_NOTHING && bits & IR_ROUND_EXACT)
        ir_fp_raise(FP_INEXACT);
    return sign | r;
}

/* `magnitude` with its sign as an integer of `width` bits, the nearest one if it does not fit. */
static uint64_t to_integer(unsigned __int128 magnitude, bool negative, unsigned width, bool is_unsigned,
                           bool *fits)
{
    const uint64_t ones = width == 32 ? 0xffffffffu : ~0ull, top = 1ull << (width - 1);
    const uint64_t limit = is_unsigned ? (negative ? 0 : ones) : negative ? top : top - 1;

    *fits = magnitude <= limit;
    const uint64_t r = *fits ? (uint64_t)magnitude : limit;
    return (negative ? 0 - r : r) & ones;
}

uint64_t ir_fp_to_int(enum ir_type from, unsigned width, unsigned bits, unsigned scale, uint64_t x)
{
    const bool negative = x & fp_sign(from);
    uint64_t mantissa;
    unsigned __int128 magnitude;
    enum cut cut = CUT_NOTHING;
    int exponent;
    bool fits;

    if (fp_is_nan(from, x)) {
        ir_fp_raise(FP_INVALID);
        return 0;
    }
    if (fp_is_zero(from, x))
        return 0;
    unpack(from, x, &mantissa, &exponent);
    exponent += (int)scale;
    if (exponent >= 0) {
        /* 2^64 is beyond all integers; infinity has a large exponent, too. */
        magnitude = exponent > 64 ? (unsigned __int128)1 << 64 : (unsigned __int128)mantissa << exponent;
    } else {
        const unsigned n = (unsigned)-exponent;
        magnitude = n < 64 ? mantissa >> n : 0;
        cut = cut_of(mantissa, n);
        magnitude += rounds_away(resolve_mode(bits), negative, magnitude & 1, cut);
    }
    const uint64_t r = to_integer(magnitude, negative, width, bits & IR_UNSIGNED, &fits);
    if (!fits)
        ir_fp_raise(FP_INVALID);
    else if (cut != CUT_NOTHING)
        ir_fp_raise(FP_INEXACT);
    return r;
}

/* (-1)^negative * mantissa * 2^exponent, mantissa with bit 63 set, in a format and not flushed; raises its
 * flags. With `odd`, what is cut off sets the last bit instead of rounding, and nothing becomes infinite. */
static uint64_t pack(const struct format *f, bool negative, uint64_t mantissa, int exponent,
                     enum ir_round mode, bool odd)
{
    const int biased = exponent + 63 + f->bias;
    const bool tiny = biased < 1;
    const unsigned shift = 63 - f->mantissa + (tiny ? (unsigned)(1 - biased) : 0);
    const enum cut cut = cut_of(mantissa, shift);
    uint64_t r = shift < 64 ? mantissa >> shift : 0;

    if (odd)
        r |= cut != CUT_NOTHING;
    else
        r += rounds_away(mode, negative, r & 1, cut);
    /* The mantissa's leading one adds to the exponent field, and so does a carry. */
    if (!tiny)
        r += (uint64_t)(biased - 1) << f->mantissa;

    if (r >= format_infinity(f)) {
        const bool to_infinity =
            !odd && (mode == IR_ROUND_EVEN || mode == (negative ? IR_ROUND_DOWN : IR_ROUND_UP));
        ir_fp_raise(FP_OVERFLOW | FP_INEXACT);
        r = format_infinity(f) - !to_infinity;
    } else if (cut != CUT_NOTHING) {
        ir_fp_raise(tiny ? FP_UNDERFLOW | FP_INEXACT : FP_INEXACT);
    }
    return r;
}

uint64_t ir_fp_from_int(enum ir_type type, unsigned width, unsigned bits, unsigned scale, uint64_t x)
{
    bool negative = false;

    if (width == 32)
        x = bits & IR_UNSIGNED ? (uint32_t)x : (uint64_t)(int32_t)x;
    if (!(bits & IR_UNSIGNED) && (int64_t)x < 0) {
        negative = true;
        x = 0 - x;
    }
    if (x == 0)
        return 0;
    const int zeros = __builtin_clzll(x);
    return (negative ? fp_sign(type) : 0) |
           pack(format_of(type), negative, x << zeros, -zeros - (int)scale, ir_fp_rounding(), false);
}

uint64_t ir_fp_convert(const struct evaluation *e, enum ir_type to, uint64_t x)
{
    const uint64_t r = ir_fp_compute(IR_FCONVERT, to, x, 0, 0);
    return fp_is_nan(to, r) ? ir_fp_fix_nan(e->isa, e->cpu, IR_FCONVERT, to, x, 0, 0) : r;
}

/* The NaN's quiet form in another format: the sign and the upper bits of the payload stay. */
static uint64_t convert_nan(const struct evaluation *e, enum ir_type from, uint64_t x,
                            const struct format *to)
{
    const uint64_t nan = ir_fp_process_nan(e, from, x);
    const unsigned mantissa = format_of(from)->mantissa;
    const uint64_t payload = nan & ((1ull << mantissa) - 1);
    const uint64_t sign = nan & fp_sign(from) ? (format_infinity(to) + (1ull << to->mantissa)) : 0;
    return sign | format_infinity(to) | payload >> (mantissa - to->mantissa);
}

uint32_t ir_fp_to_half(const struct evaluation *e, enum ir_type from, uint64_t x)
{
    const bool negative = x & fp_sign(from);
    const uint32_t sign = negative ? 0x8000 : 0;
    uint64_t mantissa;
    int exponent;

    if (fp_is_nan(from, x))
        return (uint32_t)convert_nan(e, from, x, &half_format);
    if (fp_is_infinite(from, x))
        return sign | 0x7c00;
    if (fp_is_zero(from, x))
        return sign;
    unpack(from, x, &mantissa, &exponent);
    const int zeros = __builtin_clzll(mantissa);
    return sign | (uint32_t)pack(&half_format, negative, mantissa << zeros, exponent - zeros,
                                 ir_fp_rounding(), false);
}

/* Exact; a denormal half is never flushed (FPCR.FZ16 does not exist here). */
uint64_t ir_fp_from_half(const struct evaluation *e, enum ir_type to, uint32_t half)
{
    const struct format *f = format_of(to);
    const uint64_t sign = half & 0x8000 ? fp_sign(to) : 0;
    const unsigned biased = half >> 10 & 31;
    uint64_t fraction = half & 0x3ff;

    if (biased == 31) {
        const uint64_t x = sign | fp_infinity(to) | fraction << (f->mantissa - 10);
        return fraction ? ir_fp_process_nan(e, to, x) : x;
    }
    if (biased == 0 && fraction == 0)
        return sign;
    int exponent = (int)biased - 15;
    if (biased == 0) {
        const int zeros = __builtin_clzll(fraction) - 53; /* to put the leading one at bit 10 */
        fraction = fraction << zeros & 0x3ff;
        exponent = -14 - zeros;
    }
    return sign | (uint64_t)(exponent + f->bias) << f->mantissa | fraction << (f->mantissa - 10);
}

uint64_t ir_fp_narrow_odd(const struct evaluation *e, uint64_t x)
{
    const bool negative = x >> 63;
    const uint64_t sign = negative ? fp_sign(IR_F32) : 0;
    uint64_t mantissa;
    int exponent;

    if (fp_is_nan(IR_F64, x))
        return convert_nan(e, IR_F64, x, &single_format);
    if (fp_is_infinite(IR_F64, x))
        return sign | fp_infinity(IR_F32);
    if (fp_is_zero(IR_F64, x))
        return sign;
    unpack(IR_F64, x, &mantissa, &exponent);
    const int zeros = __builtin_clzll(mantissa);
    if (ir_fp_flushes() && exponent - zeros + 63 < 1 - single_format.bias) {
        ir_fp_raise(FP_UNDERFLOW);
        return sign;
    }
    return sign | pack(&single_format, negative, mantissa << zeros, exponent - zeros, IR_ROUND_ZERO, true);
}
