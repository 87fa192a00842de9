/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evaluation: what the files behind ir_eval_op() share. Private to this folder.
 *
 * eval.c has integers, flags and the dispatch; eval_vector.c and eval_saturate.c vectors of integers;
 * eval_float.c floating point, with its conversions in eval_convert.c and Arm's estimates in eval_estimate.c;
 * eval_crypto.c cryptography.
 */
#ifndef VISOR_TRANSLATOR_IR_EVALUATION_H
#define VISOR_TRANSLATOR_IR_EVALUATION_H

#include "translator/ir/eval.h"

/* One operation being computed. *r is zero at the start and no argument. */
struct evaluation {
    const struct guest_isa *isa;
    struct translator_cpu *cpu;
    const struct ir_insn *insn;
    const union vector128 *a, *b, *c;
    union vector128 *r;
};

typedef void (*evaluation_function)(const struct evaluation *e);

/* Each serves the operations of one range of ops.def. */
void ir_evaluate_moving(const struct evaluation *e);       /* VCONST .. VREV */
void ir_evaluate_vector(const struct evaluation *e);       /* VAND .. VURSQRTE, those below excepted */
void ir_evaluate_saturate(const struct evaluation *e);     /* the operations that set QC */
void ir_evaluate_scalar_float(const struct evaluation *e); /* FCONST .. FRECPX, FLAGS_FCMP */
void ir_evaluate_vector_float(const struct evaluation *e); /* VFADD .. VFRSQRTS */
void ir_evaluate_crypto(const struct evaluation *e);       /* AESE .. SHA256SU1 */

/* Makes the sticky saturation flag non-zero. */
static inline void evaluation_saturated(const struct evaluation *e)
{
    *(uint32_t *)((uint8_t *)e->cpu + e->isa->qc_offset) |= 1;
}

/* -- floating point, one lane of `type` F32 or F64, as bits ------------------------------------------------
 */

/* The exception flags of the host's control word. */
enum {
    FP_INVALID = 1 << 0,
    FP_DIVIDE_BY_ZERO = 1 << 2,
    FP_OVERFLOW = 1 << 3,
    FP_UNDERFLOW = 1 << 4,
    FP_INEXACT = 1 << 5,
};

/* Adds sticky exception flags to the host FPU's. */
void ir_fp_raise(unsigned flags);
/* True if denormal operands count as zero and denormal results become zero. */
bool ir_fp_flushes(void);
/* The rounding mode in the host FPU: IR_ROUND_EVEN, UP, DOWN or ZERO. */
enum ir_round ir_fp_rounding(void);

static inline uint64_t fp_sign(enum ir_type type)
{
    return type == IR_F32 ? 1ull << 31 : 1ull << 63;
}

static inline uint64_t fp_infinity(enum ir_type type)
{
    return type == IR_F32 ? 0x7f800000 : 0x7ff0000000000000;
}

static inline uint64_t fp_quiet_bit(enum ir_type type)
{
    return type == IR_F32 ? 1ull << 22 : 1ull << 51;
}

static inline uint64_t fp_default_nan(enum ir_type type)
{
    return fp_infinity(type) | fp_quiet_bit(type);
}

static inline uint64_t fp_magnitude(enum ir_type type, uint64_t x)
{
    return x & (fp_sign(type) - 1);
}

static inline bool fp_is_nan(enum ir_type type, uint64_t x)
{
    return fp_magnitude(type, x) > fp_infinity(type);
}

static inline bool fp_is_signalling(enum ir_type type, uint64_t x)
{
    return fp_is_nan(type, x) && !(x & fp_quiet_bit(type));
}

static inline bool fp_is_infinite(enum ir_type type, uint64_t x)
{
    return fp_magnitude(type, x) == fp_infinity(type);
}

/* Zero, or a denormal number that counts as zero. */
static inline bool fp_is_zero(enum ir_type type, uint64_t x)
{
    uint64_t magnitude = fp_magnitude(type, x);
    return magnitude == 0 || (magnitude < (type == IR_F32 ? 1u << 23 : 1ull << 52) && ir_fp_flushes());
}

/* The quiet form of a NaN operand, or the default NaN where the guest asks for it; raises invalid if it
 * signals. */
uint64_t ir_fp_process_nan(const struct evaluation *e, enum ir_type type, uint64_t x);

/* FADD FSUB FMUL FDIV FMA FCONVERT by the host, with the flags and flushing of tiny results that Arm defines.
 * A NaN is not corrected. `type` is the result's. */
uint64_t ir_fp_compute(enum ir_op op, enum ir_type type, uint64_t a, uint64_t b, uint64_t c);

/* Conversions (eval_convert.c). `bits` is what IR_ROUND_* and IR_UNSIGNED bits the operation has. */
uint64_t ir_fp_round(const struct evaluation *e, enum ir_type type, unsigned bits, uint64_t x);
uint64_t ir_fp_to_int(enum ir_type from, unsigned width, unsigned bits, unsigned scale, uint64_t x);
uint64_t ir_fp_from_int(enum ir_type type, unsigned width, unsigned bits, unsigned scale, uint64_t x);
uint64_t ir_fp_convert(const struct evaluation *e, enum ir_type to, uint64_t x);
uint64_t ir_fp_from_half(const struct evaluation *e, enum ir_type to, uint32_t half);
uint32_t ir_fp_to_half(const struct evaluation *e, enum ir_type from, uint64_t x);
uint64_t ir_fp_narrow_odd(const struct evaluation *e, uint64_t x);

/* Estimates (eval_estimate.c) */
uint64_t ir_fp_recip_estimate(const struct evaluation *e, enum ir_type type, uint64_t x);
uint64_t ir_fp_rsqrt_estimate(const struct evaluation *e, enum ir_type type, uint64_t x);
uint64_t ir_fp_recip_step(enum ir_type type, uint64_t a, uint64_t b);
uint64_t ir_fp_rsqrt_step(enum ir_type type, uint64_t a, uint64_t b);
uint64_t ir_fp_recip_exponent(const struct evaluation *e, enum ir_type type, uint64_t x);
uint32_t ir_unsigned_recip_estimate(uint32_t x);
uint32_t ir_unsigned_rsqrt_estimate(uint32_t x);

#endif
