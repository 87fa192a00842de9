/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eval_estimate: Arm's reciprocal and reciprocal-square-root estimates and their Newton steps. Specification:
 * Arm ARM, pseudo-code functions RecipEstimate, FPRecipEstimate, FPRSqrtEstimate, FPRecipStepFused and so on.
 */
#include "translator/ir/evaluation.h"

/* a / 512 in [0.5, 1): the reciprocal, times 256, in [256, 511] */
static uint32_t recip_estimate(uint32_t a)
{
    a = a * 2 + 1;
    return ((1u << 19) / a + 1) / 2;
}

/* a / 512 in [0.25, 1): the reciprocal square root, times 256, in [256, 511] */
static uint32_t rsqrt_estimate(uint32_t a)
{
    uint64_t b = 512;

    if (a < 256)
        a = a * 2 + 1;
    else
        a = ((a & ~1u) + 1) * 2;
    while (a * (b + 1) * (b + 1) < 1u << 28)
        b++;
    return (uint32_t)(b + 1) / 2;
}

uint32_t ir_unsigned_recip_estimate(uint32_t x)
{
    return x >> 31 ? recip_estimate(x >> 23) << 23 : ~0u;
}

uint32_t ir_unsigned_rsqrt_estimate(uint32_t x)
{
    return x >> 30 ? rsqrt_estimate(x >> 23) << 23 : ~0u;
}

/* The exponent field and the mantissa as 52 bits, denormals normalized with exponents of zero and less. */
static int normalize(enum ir_type type, uint64_t magnitude, uint64_t *fraction)
{
    const struct fp_format f = fp_format_of(type);
    int exponent = (int)(magnitude >> f.mantissa);

    *fraction = magnitude << (52 - f.mantissa) & ((1ull << 52) - 1);
    if (exponent == 0) {
        const int zeros = __builtin_clzll(*fraction) - 12;
        *fraction = *fraction << (zeros + 1) & ((1ull << 52) - 1);
        exponent = -zeros;
    }
    return exponent;
}

/* 1 / x is too large: infinity or the largest number, as the rounding mode says. */
static uint64_t overflow_estimate(const struct evaluation *e, enum ir_type type, uint64_t sign)
{
    const enum ir_round mode = e->fp.round;
    const bool to_infinity = mode == IR_ROUND_EVEN || mode == (sign ? IR_ROUND_DOWN : IR_ROUND_UP);
    ir_fp_raise(FP_OVERFLOW | FP_INEXACT);
    return sign | (fp_infinity(type) - !to_infinity);
}

uint64_t ir_fp_recip_estimate(const struct evaluation *e, enum ir_type type, uint64_t x)
{
    const struct fp_format f = fp_format_of(type);
    const uint64_t sign = x & fp_sign(type), magnitude = fp_magnitude(type, x);
    uint64_t fraction;

    if (fp_is_infinite(type, x))
        return sign;
    if (fp_is_zero(type, x)) {
        ir_fp_raise(FP_DIVIDE_BY_ZERO);
        return sign | fp_infinity(type);
    }
    if (magnitude < 1ull << (f.mantissa - 2)) /* 2^-16, 2^-128 or 2^-1024 */
        return overflow_estimate(e, type, sign);
    if (magnitude >> f.mantissa >= (unsigned)(2 * f.bias - 1) && fp_flushes(e, type)) {
        /* The estimate would be denormal. */
        ir_fp_raise(FP_UNDERFLOW);
        return sign;
    }

    const int exponent = normalize(type, magnitude, &fraction);
    int result_exponent = 2 * f.bias - 1 - exponent;
    fraction = (uint64_t)(recip_estimate(256 | (uint32_t)(fraction >> 44)) & 255) << 44;
    if (result_exponent <= 0) {
        fraction = (1ull << 52 | fraction) >> (1 - result_exponent);
        result_exponent = 0;
    }
    return sign | (uint64_t)result_exponent << f.mantissa | fraction >> (52 - f.mantissa);
}

uint64_t ir_fp_rsqrt_estimate(const struct evaluation *e, enum ir_type type, uint64_t x)
{
    (void)e;
    const struct fp_format f = fp_format_of(type);
    const uint64_t sign = x & fp_sign(type), magnitude = fp_magnitude(type, x);
    uint64_t fraction;

    if (fp_is_zero(type, x)) {
        ir_fp_raise(FP_DIVIDE_BY_ZERO);
        return sign | fp_infinity(type);
    }
    if (sign) {
        ir_fp_raise(FP_INVALID);
        return fp_default_nan(type);
    }
    if (fp_is_infinite(type, x))
        return 0;

    const int exponent = normalize(type, magnitude, &fraction);
    /* An even exponent field is an odd power of two, because the bias is odd. */
    const uint32_t scaled =
        exponent & 1 ? 128 | (uint32_t)(fraction >> 45) : 256 | (uint32_t)(fraction >> 44);
    const int result_exponent = (3 * f.bias - 1 - exponent) / 2;
    return (uint64_t)result_exponent << f.mantissa | (uint64_t)(rsqrt_estimate(scaled) & 255)
                                                         << (f.mantissa - 8);
}

/* 2 + a * b and (3 + a * b) / 2, rounded once. */
static uint64_t step(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b, uint64_t c,
                     unsigned halvings)
{
    if ((fp_is_infinite(type, a) && fp_is_zero(type, b)) || (fp_is_zero(type, a) && fp_is_infinite(type, b)))
        a = b = 0;
    return ir_fp_multiply_add(e, type, a, b, c, halvings);
}

uint64_t ir_fp_recip_step(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b)
{
    return step(e, type, a, b, fp_two(type), 0);
}

uint64_t ir_fp_rsqrt_step(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b)
{
    return step(e, type, a, b, fp_two(type) | fp_quiet_bit(type), 1);
}

uint64_t ir_fp_recip_exponent(const struct evaluation *e, enum ir_type type, uint64_t x)
{
    const uint64_t sign = x & fp_sign(type), exponent = x & fp_infinity(type);
    const struct fp_format f = fp_format_of(type);

    (void)e;
    return sign | (exponent ? exponent ^ fp_infinity(type) : fp_infinity(type) - (1ull << f.mantissa));
}
