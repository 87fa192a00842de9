/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eval_convert: rounding to integral values, and conversions between floating-point formats and integers.
 *
 * Done on integers, so that each operation raises exactly the flags that it should. Specification: Arm ARM,
 * pseudo-code functions FPRoundInt, FPToFixed, FixedToFP, FPConvert.
 */
#include "translator/ir/evaluation.h"

static enum ir_round resolve_mode(const struct evaluation *e, unsigned bits)
{
    enum ir_round mode = (enum ir_round)(bits & IR_ROUND_MODE);
    return mode == IR_ROUND_CURRENT ? e->fp.round : mode;
}

uint64_t ir_fp_round(const struct evaluation *e, enum ir_type type, unsigned bits, uint64_t x)
{
    const struct fp_format f = fp_format_of(type);
    const uint64_t sign = x & fp_sign(type), magnitude = fp_magnitude(type, x), one = 1ull << f.mantissa;
    const int exponent = (int)(magnitude >> f.mantissa) - f.bias;
    uint64_t r;
    enum fp_cut cut;

    if (exponent >= (int)f.mantissa)
        return x;
    if (fp_is_zero(type, x))
        return sign;

    const enum ir_round mode = resolve_mode(e, bits);
    if (exponent < 0) {
        /* Below one; at least a half if the exponent is -1. */
        cut = exponent < -1 ? CUT_BELOW_HALF : magnitude & (one - 1) ? CUT_ABOVE_HALF : CUT_HALF;
        r = ir_fp_rounds_away(mode, sign, false, cut) ? (uint64_t)f.bias << f.mantissa : 0;
    } else {
        const unsigned fraction = f.mantissa - (unsigned)exponent;
        cut = ir_fp_cut_of(magnitude, fraction);
        r = magnitude & ~((1ull << fraction) - 1);
        /* The last integral bit; of 1.x it is the lowest bit of the exponent field, set because the bias is
         * odd. A carry out of the mantissa makes the next exponent. */
        if (ir_fp_rounds_away(mode, sign, magnitude >> fraction & 1, cut))
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
    const uint64_t ones = width == 64 ? ~0ull : (1ull << width) - 1, top = 1ull << (width - 1);
    const uint64_t limit = is_unsigned ? (negative ? 0 : ones) : negative ? top : top - 1;

    *fits = magnitude <= limit;
    const uint64_t r = *fits ? (uint64_t)magnitude : limit;
    return (negative ? 0 - r : r) & ones;
}

uint64_t ir_fp_to_int(const struct evaluation *e, enum ir_type from, unsigned width, unsigned bits,
                      unsigned scale, uint64_t x)
{
    const bool negative = x & fp_sign(from);
    unsigned __int128 magnitude;
    enum fp_cut cut = CUT_NOTHING;
    bool fits;

    x = ir_fp_operand(e, from, x);
    if (fp_is_nan(from, x)) {
        ir_fp_raise(FP_INVALID);
        return 0;
    }
    if (fp_is_zero(from, x))
        return 0;
    const struct fp_number number = ir_fp_unpack(from, x);
    const int exponent = number.exponent + (int)scale;
    if (exponent > 0) { /* beyond all integers; infinity has a large exponent, too */
        magnitude = (unsigned __int128)1 << 64;
    } else {
        const unsigned n = (unsigned)-exponent;
        magnitude = n < 64 ? number.mantissa >> n : 0;
        cut = ir_fp_cut_of(number.mantissa, n);
        magnitude += ir_fp_rounds_away(resolve_mode(e, bits), negative, magnitude & 1, cut);
    }
    const uint64_t r = to_integer(magnitude, negative, width, bits & IR_UNSIGNED, &fits);
    if (!fits)
        ir_fp_raise(FP_INVALID);
    else if (cut != CUT_NOTHING)
        ir_fp_raise(FP_INEXACT);
    return r;
}

/* FPToFixedJS: modulo 2^32. Bit 32: the number was that integer, and not -0. */
uint64_t ir_fp_to_int_script(const struct evaluation *e, uint64_t original)
{
    const uint64_t x = ir_fp_operand(e, IR_F64, original);
    const bool negative = x >> 63;

    if (fp_is_nan(IR_F64, x) || fp_is_infinite(IR_F64, x)) {
        ir_fp_raise(FP_INVALID);
        return 0;
    }
    if (fp_is_zero(IR_F64, x))
        return original == 0 ? 1ull << 32 : 0;
    const struct fp_number number = ir_fp_unpack(IR_F64, x);
    const unsigned right = number.exponent < 0 ? (unsigned)-number.exponent : 0;
    const uint64_t magnitude = right < 64 ? number.mantissa >> right : 0;
    const bool cut = ir_fp_cut_of(number.mantissa, right) != CUT_NOTHING;
    uint64_t low = number.exponent >= 64 ? 0 : magnitude << (number.exponent > 0 ? number.exponent : 0);
    const bool fits = number.exponent <= 0 && magnitude <= (negative ? 1ull << 31 : (1ull << 31) - 1);

    if (!fits)
        ir_fp_raise(FP_INVALID);
    else if (cut)
        ir_fp_raise(FP_INEXACT);
    low = (uint32_t)(negative ? 0 - low : low);
    return low | (fits && !cut ? 1ull << 32 : 0);
}

uint64_t ir_fp_from_int(const struct evaluation *e, enum ir_type type, unsigned width, unsigned bits,
                        unsigned scale, uint64_t x)
{
    bool negative = false;

    if (width < 64)
        x = bits & IR_UNSIGNED ? x & ((1ull << width) - 1)
                               : (uint64_t)((int64_t)(x << (64 - width)) >> (64 - width));
    if (!(bits & IR_UNSIGNED) && (int64_t)x < 0) {
        negative = true;
        x = 0 - x;
    }
    if (x == 0)
        return 0;
    const int zeros = __builtin_clzll(x);
    return ir_fp_pack(e, type, (struct fp_number){x << zeros, -zeros - (int)scale, negative}, 0);
}

/* -- between formats ----------------------------------------------------------------------------------------
 */

/* The NaN in another format: the sign and the upper bits of the payload stay. */
static uint64_t resize_nan(enum ir_type to, enum ir_type from, uint64_t x)
{
    const unsigned narrow = fp_format_of(from).mantissa, wide = fp_format_of(to).mantissa;
    const uint64_t payload = x & (fp_smallest_normal(from) - 1);
    return (x & fp_sign(from) ? fp_sign(to) : 0) | fp_infinity(to) |
           (wide > narrow ? payload << (wide - narrow) : payload >> (narrow - wide));
}

/* The alternative half has no such thing: FPConvert() gives zero for a NaN, the greatest number for infinity.
 */
static uint64_t special_to_alternative(uint64_t sign, bool is_nan)
{
    ir_fp_raise(FP_INVALID);
    return sign | (is_nan ? 0 : 0x7fff);
}

/* All bits of the exponent may belong to a number. */
static struct fp_number unpack_alternative(uint64_t x)
{
    const uint64_t top = x & 0x7c00;
    if (top != 0x7c00)
        return ir_fp_unpack(IR_F16, x);
    struct fp_number n = ir_fp_unpack(IR_F16, x & ~0x4000ull); /* the exponent less 16 */
    n.exponent += 16;
    return n;
}

uint64_t ir_fp_convert(const struct evaluation *e, enum ir_type to, enum ir_type from, uint64_t x)
{
    const bool from_alternative = from == IR_F16 && e->fp.alternative;
    const bool to_alternative = to == IR_F16 && e->fp.alternative;
    unsigned options = to_alternative ? PACK_ALTERNATIVE : 0;

    if (from != IR_F16) /* FZ16 does not count here */
        x = ir_fp_operand(e, from, x);
    if (to == IR_F16)
        options |= PACK_UNFLUSHED;
    const uint64_t sign = x & fp_sign(from) ? fp_sign(to) : 0;
    if (fp_is_zero(from, x))
        return sign;
    if (from_alternative)
        return ir_fp_pack(e, to, unpack_alternative(x), options);
    if (fp_is_nan(from, x) || fp_is_infinite(from, x)) {
        const bool is_nan = fp_is_nan(from, x);
        if (to_alternative)
            return special_to_alternative(sign, is_nan);
        return is_nan ? resize_nan(to, from, ir_fp_process_nan(e, from, x)) : sign | fp_infinity(to);
    }
    return ir_fp_pack(e, to, ir_fp_unpack(from, x), options);
}

/* As F32, exactly: a signalling NaN stays one. */
uint64_t ir_fp_half_operand(const struct evaluation *e, uint32_t half)
{
    const uint64_t x = ir_fp_operand(e, IR_F16, half), sign = x & fp_sign(IR_F16) ? fp_sign(IR_F32) : 0;

    if (fp_is_nan(IR_F16, x))
        return resize_nan(IR_F32, IR_F16, x);
    if (fp_is_infinite(IR_F16, x))
        return sign | fp_infinity(IR_F32);
    return fp_is_zero(IR_F16, x) ? sign : ir_fp_pack(e, IR_F32, ir_fp_unpack(IR_F16, x), 0);
}

uint64_t ir_fp_narrow_odd(const struct evaluation *e, uint64_t x)
{
    x = ir_fp_operand(e, IR_F64, x);
    const uint64_t sign = x >> 63 ? fp_sign(IR_F32) : 0;

    if (fp_is_nan(IR_F64, x))
        return resize_nan(IR_F32, IR_F64, ir_fp_process_nan(e, IR_F64, x));
    if (fp_is_infinite(IR_F64, x))
        return sign | fp_infinity(IR_F32);
    if (fp_is_zero(IR_F64, x))
        return sign;
    return ir_fp_pack(e, IR_F32, ir_fp_unpack(IR_F64, x), PACK_ODD);
}
