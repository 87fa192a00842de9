/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evaluation: what the files behind ir_eval_op() share. Private to this folder.
 *
 * eval.c has integers, flags and the dispatch; eval_vector.c and eval_saturate.c vectors of integers;
 * eval_float.c floating point by lane, with its exact arithmetic in eval_arithmetic.c, conversions in
 * eval_convert.c and Arm's estimates in eval_estimate.c; eval_crypto.c cryptography; eval_x86.c what only x86
 * has, eval_x86_vector.c its vector instructions.
 */
#ifndef VISOR_TRANSLATOR_IR_EVALUATION_H
#define VISOR_TRANSLATOR_IR_EVALUATION_H

#include "translator/ir/eval.h"

/* The guest's floating-point control while an operation is computed. */
struct fp_mode {
    enum ir_round round; /* EVEN, UP, DOWN or ZERO */
    bool default_nan;    /* instead of an operand's */
    bool flush;          /* denormal F32 and F64 operands and results become zero */
    bool flush_half;     /* the same of F16 */
    bool alternative;    /* conversions of F16: it has neither infinities nor NaNs */
};

/* One operation being computed. *r is zero at the start and no argument. `fp` is filled in for floating-point
 * operations. */
struct evaluation {
    const struct guest_isa *isa;
    struct translator_cpu *cpu;
    const struct ir_insn *insn;
    const union vector128 *a, *b, *c;
    union vector128 *r;
    struct fp_mode fp;
};

typedef void (*evaluation_function)(const struct evaluation *e);

/* Each serves the operations of one range of ops.def. */
void ir_evaluate_moving(const struct evaluation *e);       /* VCONST .. VREV */
void ir_evaluate_vector(const struct evaluation *e);       /* VAND .. VURSQRTE, those below excepted */
void ir_evaluate_saturate(const struct evaluation *e);     /* the operations that set QC */
void ir_evaluate_scalar_float(const struct evaluation *e); /* FCONST .. HALF_FROM_INT, FLAGS_FCMP */
void ir_evaluate_vector_float(const struct evaluation *e); /* VFADD .. VFRECPX */
void ir_evaluate_crypto(const struct evaluation *e);       /* AESE .. SHA512SU1 */
void ir_evaluate_x86(const struct evaluation *e);          /* PART_ADD .. FLAGS_UCOM, STRING_ */
void ir_evaluate_x87(const struct evaluation *e);          /* X87_ENTER .. X87_CONTROL */
void ir_evaluate_mmx(const struct evaluation *e);          /* MMX_ENTER .. MMX_TO_INT */
void ir_evaluate_x86_vector(const struct evaluation *e);   /* X86V .. X86V_FLAGS */

/* Makes the sticky saturation flag non-zero. */
static inline void evaluation_saturated(const struct evaluation *e)
{
    *(uint32_t *)((uint8_t *)e->cpu + e->isa->qc_offset) |= 1;
}

/* -- floating point, one lane of `type` F16, F32 or F64, as bits -------------------------------------------
 */

/* The exception flags of the host's control word. */
enum {
    FP_INVALID = 1 << 0,
    FP_DENORMAL = 1 << 1, /* an operand was flushed to zero */
    FP_DIVIDE_BY_ZERO = 1 << 2,
    FP_OVERFLOW = 1 << 3,
    FP_UNDERFLOW = 1 << 4,
    FP_INEXACT = 1 << 5,
};

struct fp_format {
    unsigned mantissa; /* explicit bits */
    int bias;
};

static inline struct fp_format fp_format_of(enum ir_type type)
{
    return type == IR_F64   ? (struct fp_format){52, 1023}
           : type == IR_F32 ? (struct fp_format){23, 127}
                            : (struct fp_format){10, 15};
}

static inline uint64_t fp_sign(enum ir_type type)
{
    return type == IR_F64 ? 1ull << 63 : type == IR_F32 ? 1ull << 31 : 1ull << 15;
}

static inline uint64_t fp_infinity(enum ir_type type)
{
    return type == IR_F64 ? 0x7ff0000000000000 : type == IR_F32 ? 0x7f800000 : 0x7c00;
}

static inline uint64_t fp_smallest_normal(enum ir_type type)
{
    return 1ull << fp_format_of(type).mantissa;
}

static inline uint64_t fp_quiet_bit(enum ir_type type)
{
    return fp_smallest_normal(type) >> 1;
}

static inline uint64_t fp_default_nan(enum ir_type type)
{
    return fp_infinity(type) | fp_quiet_bit(type);
}

static inline uint64_t fp_two(enum ir_type type)
{
    const struct fp_format f = fp_format_of(type);
    return (uint64_t)(f.bias + 1) << f.mantissa;
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

static inline bool fp_is_zero(enum ir_type type, uint64_t x)
{
    return fp_magnitude(type, x) == 0;
}

static inline bool fp_flushes(const struct evaluation *e, enum ir_type type)
{
    return type == IR_F16 ? e->fp.flush_half : e->fp.flush;
}

/* -- eval_float.c: control and NaNs ------------------------------------------------------------------------
 */

struct fp_mode ir_fp_mode(const struct guest_isa *isa, const struct translator_cpu *cpu);
/* Adds sticky exception flags to the host FPU's. */
void ir_fp_raise(unsigned flags);
/* An operand as arithmetic sees it: a denormal number may count as zero. */
uint64_t ir_fp_operand(const struct evaluation *e, enum ir_type type, uint64_t x);
/* The quiet form of a NaN operand, or the default NaN where the guest asks for it; raises invalid if it
 * signals. */
uint64_t ir_fp_process_nan(const struct evaluation *e, enum ir_type type, uint64_t x);

/* -- eval_arithmetic.c: exact arithmetic and rounding ------------------------------------------------------
 */

/* What was cut off a number: nothing, less than half of the last place, half, more. */
enum fp_cut { CUT_NOTHING, CUT_BELOW_HALF, CUT_HALF, CUT_ABOVE_HALF };

/* The lowest n bits of x, n <= 64, as what is cut off; x < 2^64 also stands for n > 64. */
enum fp_cut ir_fp_cut_of(uint64_t x, unsigned n);
/* Whether the magnitude is to be incremented. */
bool ir_fp_rounds_away(enum ir_round mode, bool negative, bool odd, enum fp_cut cut);

/* A finite number that is not zero: (-1)^negative * mantissa * 2^exponent, bit 63 of the mantissa set. */
struct fp_number {
    uint64_t mantissa;
    int exponent;
    bool negative;
};
struct fp_number ir_fp_unpack(enum ir_type type, uint64_t x);

enum {
    PACK_ODD = 1,       /* what is cut off sets the last bit instead of rounding; nothing becomes infinite */
    PACK_UNFLUSHED = 2, /* denormal results stay */
    PACK_ALTERNATIVE = 4, /* F16 without infinities */
};
/* Rounds to a format in mode e->fp.round and raises flags: FPRound() of the manual. */
uint64_t ir_fp_pack(const struct evaluation *e, enum ir_type type, struct fp_number n, unsigned options);

/* Operands are none of them NaNs, and have been flushed. */
uint64_t ir_fp_add(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b);
uint64_t ir_fp_multiply(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b);
uint64_t ir_fp_divide(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b);
uint64_t ir_fp_square_root(const struct evaluation *e, enum ir_type type, uint64_t a);
/* (a * b + c) / 2^halvings, rounded once */
uint64_t ir_fp_multiply_add(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b, uint64_t c,
                            unsigned halvings);

/* -- eval_convert.c: `bits` is what IR_ROUND_* and IR_UNSIGNED bits the operation has -----------------------
 */

uint64_t ir_fp_round(const struct evaluation *e, enum ir_type type, unsigned bits, uint64_t x);
uint64_t ir_fp_to_int(const struct evaluation *e, enum ir_type from, unsigned width, unsigned bits,
                      unsigned scale, uint64_t x);
uint64_t ir_fp_to_int_script(const struct evaluation *e, uint64_t x);
uint64_t ir_fp_from_int(const struct evaluation *e, enum ir_type type, unsigned width, unsigned bits,
                        unsigned scale, uint64_t x);
uint64_t ir_fp_convert(const struct evaluation *e, enum ir_type to, enum ir_type from, uint64_t x);
uint64_t ir_fp_half_operand(const struct evaluation *e, uint32_t half);
uint64_t ir_fp_narrow_odd(const struct evaluation *e, uint64_t x);

/* -- eval_estimate.c: operands have been flushed ------------------------------------------------------------
 */

uint64_t ir_fp_recip_estimate(const struct evaluation *e, enum ir_type type, uint64_t x);
uint64_t ir_fp_rsqrt_estimate(const struct evaluation *e, enum ir_type type, uint64_t x);
uint64_t ir_fp_recip_step(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b);
uint64_t ir_fp_rsqrt_step(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b);
uint64_t ir_fp_recip_exponent(const struct evaluation *e, enum ir_type type, uint64_t x);
uint32_t ir_unsigned_recip_estimate(uint32_t x);
uint32_t ir_unsigned_rsqrt_estimate(uint32_t x);

#endif
