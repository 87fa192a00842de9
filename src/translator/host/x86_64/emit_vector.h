/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_vector: what the emitters of floating-point, vector and cryptographic operations share.
 *
 * The shapes of instructions, by their operands in Intel's order: r = XMM register, m = register or memory,
 * i = 8-bit immediate.
 */
#ifndef VISOR_TRANSLATOR_HOST_X86_64_EMIT_VECTOR_H
#define VISOR_TRANSLATOR_HOST_X86_64_EMIT_VECTOR_H

#include "translator/host/x86_64/assembler_vex.h"
#include "translator/host/x86_64/emit.h"

static inline void vex_rm(struct emit *e, uint32_t op, unsigned d, struct rm s)
{
    asm_vex(e->a, op, d, 0, s);
}

static inline void vex_rr(struct emit *e, uint32_t op, unsigned d, unsigned s)
{
    asm_vex(e->a, op, d, 0, rm_reg(s));
}

static inline void vex_rri(struct emit *e, uint32_t op, unsigned d, unsigned s, unsigned imm)
{
    asm_vex_imm(e->a, op, d, 0, rm_reg(s), (uint8_t)imm);
}

static inline void vex_rmi(struct emit *e, uint32_t op, unsigned d, struct rm s, unsigned imm)
{
    asm_vex_imm(e->a, op, d, 0, s, (uint8_t)imm);
}

static inline void vex_rrm(struct emit *e, uint32_t op, unsigned d, unsigned a, struct rm b)
{
    asm_vex(e->a, op, d, a, b);
}

static inline void vex_rrr(struct emit *e, uint32_t op, unsigned d, unsigned a, unsigned b)
{
    asm_vex(e->a, op, d, a, rm_reg(b));
}

static inline void vex_rrri(struct emit *e, uint32_t op, unsigned d, unsigned a, unsigned b, unsigned imm)
{
    asm_vex_imm(e->a, op, d, a, rm_reg(b), (uint8_t)imm);
}

static inline void vex_rrmi(struct emit *e, uint32_t op, unsigned d, unsigned a, struct rm b, unsigned imm)
{
    asm_vex_imm(e->a, op, d, a, b, (uint8_t)imm);
}

/* Variable blends: d = sign of each element of m ? b : a. */
static inline void vex_blend(struct emit *e, uint32_t op, unsigned d, unsigned a, unsigned b, unsigned m)
{
    asm_vex_imm(e->a, op, d, a, rm_reg(b), (uint8_t)(m << 4));
}

static inline void vex_shift(struct emit *e, uint32_t op, unsigned d, unsigned s, unsigned count)
{
    asm_vex_shift(e->a, op, d, s, count);
}

static inline void vex_zero(struct emit *e, unsigned d)
{
    vex_rrr(e, V_PXOR, d, d, d);
}

static inline void vex_move(struct emit *e, unsigned d, unsigned s)
{
    if (d != s)
        vex_rr(e, V_MOVAPS_LOAD, d, s);
}

/* -- constants ----------------------------------------------------------------------------------------- */

static inline struct rm pool_pair(struct emit *e, uint64_t low, uint64_t high)
{
    return rm_mem(emit_pool(e, low, high));
}

/* `bits` in every element of 2^esize bytes */
static inline struct rm pool_splat(struct emit *e, unsigned esize, uint64_t bits)
{
    if (esize == 0)
        bits = (bits & 0xff) * 0x0101010101010101;
    else if (esize == 1)
        bits = (bits & 0xffff) * 0x0001000100010001;
    else if (esize == 2)
        bits = (bits & 0xffffffff) * 0x0000000100000001;
    return pool_pair(e, bits, bits);
}

static inline struct rm pool_ones(struct emit *e)
{
    return pool_pair(e, ~0ull, ~0ull);
}

static inline struct rm pool_zero(struct emit *e)
{
    return pool_pair(e, 0, 0);
}

/* The sign bit of an element */
static inline uint64_t element_sign(unsigned esize)
{
    return 1ull << ((8u << esize) - 1);
}

/* -- more scratch registers ---------------------------------------------------------------------------- */

enum { SCRATCH_MAX = 5 };

/*
 * Registers for emitters that need more than the temporaries that are left. Those that are missing are
 * borrowed from whoever has them; their values wait in the CPU structure, where an evaluation's operands are.
 */
struct emit_scratch {
    unsigned reg[SCRATCH_MAX];
    unsigned count, borrowed; /* the last so many */
};

/* After the operands and the result. */
struct emit_scratch emit_scratch_take(struct emit *e, unsigned count);
/* Leaves the flags alone. */
void emit_scratch_return(struct emit *e, const struct emit_scratch *s);

/* -- floating point ------------------------------------------------------------------------------------ */

/* VROUND's immediate by enum ir_round (AWAY has none); bit 3 keeps it from raising "inexact". */
static const uint8_t float_round_imm[] = {0, 2, 1, 3, 3, 4};
enum { FLOAT_ROUND_QUIETLY = 8 };

static inline uint64_t float_sign(bool is_double)
{
    return is_double ? 1ull << 63 : 1ull << 31;
}

static inline uint64_t float_magnitude(bool is_double)
{
    return float_sign(is_double) - 1;
}

static inline uint64_t float_smallest_normal(bool is_double)
{
    return is_double ? 1ull << 52 : 1ull << 23;
}

static inline uint64_t float_bits(bool is_double, double x)
{
    union {
        double d;
        float f;
        uint64_t d_bits;
        uint32_t f_bits;
    } u = {.d_bits = 0};
    if (is_double)
        u.d = x;
    else
        u.f = (float)x;
    return is_double ? u.d_bits : u.f_bits;
}

/* A constant in lane 0, the rest zero. */
static inline struct rm pool_float_scalar(struct emit *e, bool is_double, double x)
{
    return pool_pair(e, float_bits(is_double, x), 0);
}

/* A constant in all lanes. */
static inline struct rm pool_float_vector(struct emit *e, bool is_double, double x)
{
    return pool_splat(e, 2 + is_double, float_bits(is_double, x));
}

/* -- evaluation in cold code --------------------------------------------------------------------------- */

/*
 * jcc to cold code that runs ir_eval_op() on the operands in these registers, PLACE_XMM + n or PLACE_GPR + n
 * each (0 operands beyond `count` are ignored), and puts the result into `result`. The caller says with
 * emit_cold_back() where it goes on.
 */
struct cold *emit_cold_evaluate(struct emit *e, enum cc cc, unsigned result, unsigned count,
                                const uint8_t *operands);

/* The same as a part of other cold code, after which come these r[]: 0 the result's place, 1 the number of
 * operands, 2.. theirs. */
void emit_cold_evaluation(struct emit *e, struct cold *c);

/* A second jump to the same cold code. */
void emit_cold_also(struct emit *e, struct cold *c, enum cc cc);

/* jnz to cold code that sets the guest's sticky saturation flag, and comes back behind the jump. */
void emit_saturated_jnz(struct emit *e);

/* -- emitters ------------------------------------------------------------------------------------------ */

typedef void vector_emitter(struct emit *e, const struct ir_insn *insn, ir_value v);

/* emit_float.c */
vector_emitter emit_float_arithmetic, emit_float_sqrt, emit_float_sign, emit_float_fma, emit_float_minmax,
    emit_float_round, emit_float_convert, emit_float_from_half, emit_float_to_half, emit_float_to_int,
    emit_float_to_int_script, emit_float_from_int, emit_float_to_bits, emit_float_from_bits;

/* emit_vector_move.c */
vector_emitter emit_vector_from_float, emit_vector_get_float, emit_vector_set_float, emit_vector_from_int,
    emit_vector_from_pair, emit_vector_get, emit_vector_set, emit_vector_dup, emit_vector_dup_lane,
    emit_vector_set_lane, emit_vector_low, emit_vector_zip, emit_vector_unzip, emit_vector_transpose,
    emit_vector_extract, emit_vector_table, emit_vector_reverse;

/* emit_vector_integer.c */
vector_emitter emit_vector_logic, emit_vector_and_not, emit_vector_or_not, emit_vector_not,
    emit_vector_select, emit_vector_add, emit_vector_mul, emit_vector_negate, emit_vector_absolute,
    emit_vector_minmax, emit_vector_compare, emit_vector_compare_more, emit_vector_test, emit_vector_halve,
    emit_vector_difference, emit_vector_shift, emit_vector_shift_rounding, emit_vector_count,
    emit_vector_reverse_bits, emit_vector_leading;

/* emit_vector_shift.c */
vector_emitter emit_vector_shift_variable;

/* emit_vector_widen.c */
vector_emitter emit_vector_extend, emit_vector_multiply_long, emit_vector_narrow, emit_vector_add_long,
    emit_vector_pairwise, emit_vector_sum, emit_vector_least, emit_vector_dot;

/* emit_vector_saturate.c */
vector_emitter emit_vector_add_saturating, emit_vector_sign_saturating, emit_vector_multiply_long_saturating,
    emit_vector_multiply_high, emit_vector_multiply_add_high, emit_vector_narrow_saturating,
    emit_vector_shift_saturating;

/* emit_vector_float.c */
vector_emitter emit_vector_float_arithmetic, emit_vector_float_sqrt, emit_vector_float_sign,
    emit_vector_float_fma, emit_vector_float_minmax, emit_vector_float_compare, emit_vector_float_step,
    emit_vector_float_round, emit_vector_float_to_int, emit_vector_float_from_int, emit_vector_float_widen,
    emit_vector_float_narrow;

/* emit_half.c: element size 1 of the emitters above; the result is e->current */
void emit_half_arithmetic(struct emit *e, const struct ir_insn *insn, uint32_t op);
void emit_half_sqrt(struct emit *e, const struct ir_insn *insn);
void emit_half_sign(struct emit *e, const struct ir_insn *insn);
void emit_half_fma(struct emit *e, const struct ir_insn *insn);
void emit_half_minmax(struct emit *e, const struct ir_insn *insn, bool is_min);
void emit_half_compare(struct emit *e, const struct ir_insn *insn);
void emit_half_round(struct emit *e, const struct ir_insn *insn);
void emit_half_from_int(struct emit *e, const struct ir_insn *insn);
void emit_check_halves(struct emit *e, unsigned d, unsigned t, unsigned u, unsigned count,
                       const uint8_t *operands);

/* emit_crypto.c */
vector_emitter emit_aes_round, emit_aes_mix, emit_polynomial_long, emit_polynomial, emit_sha1_rotate,
    emit_sha1_schedule0, emit_sha1_schedule1, emit_sha1_rounds, emit_sha256_rounds, emit_sha256_schedule0,
    emit_sha256_schedule1;

/* emit_sha512.c */
vector_emitter emit_sha512_rounds, emit_sha512_rounds2, emit_sha512_schedule0, emit_sha512_schedule1;

/* emit_x86_vector.c */
vector_emitter emit_x86_vector, emit_x86_vector_to_int, emit_x86_vector_from_int, emit_x86_vector_flags;

/* emit_estimate.c */
vector_emitter emit_float_estimate;

/* Even or odd elements of a, then of b; t is scratch for 8 and 16 bits. d is none of the others.
 * (emit_vector_move.c) */
void emit_unzip(struct emit *e, unsigned esize, bool odd, unsigned d, unsigned a, unsigned b, unsigned t);
/* d = products of the low or high halves, twice the size; t is scratch. (emit_vector_widen.c) */
void emit_multiply_long(struct emit *e, unsigned esize, bool is_signed, bool high, unsigned d, unsigned a,
                        unsigned b, unsigned t);

/* d = a << n, d = a >> n; n up to the element's width for right shifts; d may be a. (emit_vector_integer.c)
 */
void emit_shift_left(struct emit *e, unsigned esize, unsigned d, unsigned a, unsigned n);
void emit_shift_right(struct emit *e, unsigned esize, bool is_signed, unsigned d, unsigned a, unsigned n);

/* Whether SHA-NI is used: if the host has it, unless host_set_sha(0) said not to; -1 = find out. For tests.
 */
bool host_use_sha(void);
void host_set_sha(int state);
/* The same for AVX-512VL. */
bool host_use_avx512(void);
void host_set_avx512(int state);

#endif
