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

/* -- constants ----------------------------------------------------------------------------------- */

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

/* -- evaluation in cold code ------------------------------------------------------------------------ */

/*
 * jcc to cold code that runs ir_eval_op() on the operands in these registers, PLACE_XMM + n or PLACE_GPR + n each
 * (0 operands beyond `count` are ignored), and puts the result into `result`. The caller says with
 * emit_cold_back() where it goes on.
 */
struct cold *emit_cold_evaluate(struct emit *e, enum cc cc, unsigned result, unsigned count, const uint8_t *operands);

/* A second jump to the same cold code. */
void emit_cold_also(struct emit *e, struct cold *c, enum cc cc);

/* jnz to cold code that sets the guest's sticky saturation flag, and comes back behind the jump. */
void emit_saturated_jnz(struct emit *e);

/* -- emitters ------------------------------------------------------------------------------------------ */

#define VECTOR_EMITTER(name) void emit_op_##name(struct emit *e, const struct ir_insn *insn, ir_value v)

#endif
