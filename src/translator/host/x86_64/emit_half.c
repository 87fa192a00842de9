/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_half: half precision on eight lanes, computed in single precision.
 *
 * For +, -, *, / and square root a single has more than twice the digits of a half, so that rounding to it
 * first changes nothing, and no result of halves is tiny as a single: the conversion back raises all flags.
 * Sums of products need the care of emit_half_fma(). This is for code whose fp_mode lacks IR_FP_HALF.
 */
#include <math.h>

#include "translator/host/x86_64/emit_core.h"
#include "translator/host/x86_64/emit_vector.h"

enum { HALF_MAGNITUDE = 0x7fff, HALF_INFINITY = 0x7c00, HALF_SMALLEST_NORMAL = 0x0400, CURRENT_ROUNDING = 4 };
enum { EQ_Q = 0, UNORDERED_Q = 3, GE_S = 0x0d, GT_S = 0x0e };

static void vex256_rrr(struct emit *e, uint32_t op, unsigned d, unsigned a, unsigned b)
{
    asm_vex256(e->a, op, d, a, rm_reg(b));
}

/* `bits` in each of eight words */
static struct rm pool_words(struct emit *e, uint32_t bits)
{
    uint64_t pair = (uint64_t)bits << 32 | bits;
    return rm_mem(emit_pool_pair(e, (const uint64_t[]){pair, pair, pair, pair}));
}

static void emit_widen(struct emit *e, unsigned d, unsigned a)
{
    asm_vex256(e->a, VCVTPH2PS, d, 0, rm_reg(a));
}

static void emit_narrow(struct emit *e, unsigned d, unsigned a)
{
    asm_vex256_imm(e->a, VCVTPS2PH, a, 0, rm_reg(d), CURRENT_ROUNDING);
}

/* Evaluates again if a half of d is a NaN or, see emit_check_tiny() of emit_float.c, the smallest normal one.
 * t and u are scratch. */
void emit_check_halves(struct emit *e, unsigned d, unsigned t, unsigned u, unsigned count,
                       const uint8_t *operands)
{
    vex_rrm(e, VPAND, t, d, pool_splat(e, 1, HALF_MAGNITUDE));
    vex_rrm(e, VPCMPGTW, u, t, pool_splat(e, 1, HALF_INFINITY));
    vex_rrm(e, VPCMPEQW, t, t, pool_splat(e, 1, HALF_SMALLEST_NORMAL));
    vex_rrr(e, VPOR, t, t, u);
    vex_rr(e, VPTEST, t, t);
    emit_cold_back(e, emit_cold_evaluate(e, CC_NE, PLACE_XMM + d, count, operands));
}

void emit_half_arithmetic(struct emit *e, const struct ir_insn *insn, uint32_t op)
{
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    unsigned t = emit_tmp_xmm(e), u = emit_tmp_xmm(e), d = emit_def_xmm(e, e->current);
    emit_widen(e, t, a);
    emit_widen(e, u, b);
    vex256_rrr(e, op, t, t, u);
    emit_narrow(e, d, t);
    emit_check_halves(e, d, t, u, 2, (uint8_t[]){PLACE_XMM + a, PLACE_XMM + b});
}

void emit_half_sqrt(struct emit *e, const struct ir_insn *insn)
{
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), u = emit_tmp_xmm(e),
             d = emit_def_xmm(e, e->current);
    emit_widen(e, t, a);
    asm_vex256(e->a, VSQRTPS, t, 0, rm_reg(t));
    emit_narrow(e, d, t);
    emit_check_halves(e, d, t, u, 1, (uint8_t[]){PLACE_XMM + a});
}

void emit_half_sign(struct emit *e, const struct ir_insn *insn)
{
    unsigned a = emit_use_xmm(e, insn->a), d = emit_def_xmm_last(e, e->current);
    if (insn->op == IR_VFNEG)
        vex_rrm(e, V_XORPS, d, a, pool_splat(e, 1, HALF_MAGNITUDE + 1));
    else
        vex_rrm(e, VANDPS, d, a, pool_splat(e, 1, HALF_MAGNITUDE));
}

/*
 * The single s = a * b + c is rounded once more to a half. That is the right one unless s is the middle
 * between two halves, to which the exact sum may have been rounded. Where the half is denormal or nearly so,
 * what is the middle depends on the exponent, and the sum may be tiny: that is left to cold code, too.
 */
void emit_half_fma(struct emit *e, const struct ir_insn *insn)
{
    struct rm scratch = rm_mem(emit_cpu(e, CPU_EVAL_ARGUMENT(0)));
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), c = emit_use_xmm(e, insn->c);
    unsigned t = emit_tmp_xmm(e), d = emit_def_xmm(e, e->current);
    const uint8_t operands[] = {(uint8_t)(PLACE_XMM + a), (uint8_t)(PLACE_XMM + b), (uint8_t)(PLACE_XMM + c)};
    emit_widen(e, t, a);
    asm_vex256(e->a, V_MOVUPS_STORE, t, 0, scratch);
    emit_widen(e, t, b);
    emit_widen(e, d, c);
    asm_vex256(e->a, vex_fma(VFMADD231PS, false, false), d, t, scratch);
    asm_vex256_imm(e->a, VPSLLD_IMM & 0xfffff, VPSLLD_IMM >> 20, t, rm_reg(d), 32 - 13);
    asm_vex256(e->a, VPCMPEQD, t, t, pool_words(e, 1u << 31));
    asm_vex256(e->a, V_MOVUPS_STORE, t, 0, scratch);
    /* 0 < |s| <= 2^-14: moved to the upper end of the signed numbers */
    asm_vex256(e->a, VPAND, t, d, pool_words(e, 0x7fffffff));
    asm_vex256(e->a, VPADDD, t, t, pool_words(e, 0x7fffffff - 0x38800000));
    asm_vex256(e->a, VPCMPGTD, t, t, pool_words(e, 0x7fffffff - 0x38800000));
    asm_vex256(e->a, VPOR, t, t, scratch);
    asm_vex256(e->a, VPTEST, t, 0, rm_reg(t));
    struct cold *cold = emit_cold_evaluate(e, CC_NE, PLACE_XMM + d, 3, operands);
    emit_narrow(e, d, d);
    vex_rrm(e, VPAND, t, d, pool_splat(e, 1, HALF_MAGNITUDE));
    vex_rrm(e, VPCMPGTW, t, t, pool_splat(e, 1, HALF_INFINITY));
    vex_rr(e, VPTEST, t, t);
    emit_cold_also(e, cold, CC_NE);
    emit_cold_back(e, cold);
}

/* See emit_float_minmax(): no NaN may come to VMINPS. */
void emit_half_minmax(struct emit *e, const struct ir_insn *insn, bool is_min)
{
    uint32_t op = is_min ? VMINPS : VMAXPS;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    unsigned t = emit_tmp_xmm(e), u = emit_tmp_xmm(e), d = emit_def_xmm(e, e->current);
    vex_rrm(e, VPAND, t, a, pool_splat(e, 1, HALF_MAGNITUDE));
    vex_rrm(e, VPAND, u, b, pool_splat(e, 1, HALF_MAGNITUDE));
    vex_rrr(e, VPMAXSW, t, t, u);
    vex_rrm(e, VPCMPGTW, t, t, pool_splat(e, 1, HALF_INFINITY));
    vex_rr(e, VPTEST, t, t);
    struct cold *c =
        emit_cold_evaluate(e, CC_NE, PLACE_XMM + d, 2, (uint8_t[]){PLACE_XMM + a, PLACE_XMM + b});
    emit_widen(e, t, a);
    emit_widen(e, u, b);
    vex256_rrr(e, op, d, t, u);
    vex256_rrr(e, op, t, u, t);
    vex256_rrr(e, is_min ? VORPS : VANDPS, t, t, d);
    emit_narrow(e, d, t);
    emit_cold_back(e, c);
}

/* A signalling NaN raises "invalid" when it is widened, as the comparison would. */
void emit_half_compare(struct emit *e, const struct ir_insn *insn)
{
    unsigned predicate = insn->op == IR_VFCMPEQ ? EQ_Q : insn->op == IR_VFCMPGE ? GE_S : GT_S;
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    unsigned t = emit_tmp_xmm(e), d = emit_def_xmm(e, e->current);
    emit_widen(e, t, a);
    emit_widen(e, d, b);
    asm_vex256_imm(e->a, VCMPPS, t, t, rm_reg(d), (uint8_t)predicate);
    asm_vex256_imm(e->a, VEXTRACTI128, t, 0, rm_reg(d), 1);
    vex_rrr(e, VPACKSSDW, d, t, d);
}

/* Not to nearest with ties away, which the host has not. */
void emit_half_round(struct emit *e, const struct ir_insn *insn)
{
    unsigned mode = insn->aux >> 8, imm = float_round_imm[mode & IR_ROUND_MODE];
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), u = emit_tmp_xmm(e),
             d = emit_def_xmm(e, e->current);
    emit_widen(e, t, a);
    asm_vex256_imm(e->a, VROUNDPS, t, 0, rm_reg(t),
                   (uint8_t)(imm | (mode & IR_ROUND_EXACT ? 0 : FLOAT_ROUND_QUIETLY)));
    emit_narrow(e, d, t);
    emit_check_halves(e, d, t, u, 1, (uint8_t[]){PLACE_XMM + a});
}

void emit_half_from_int(struct emit *e, const struct ir_insn *insn)
{
    bool is_unsigned = insn->aux >> 8 & IR_UNSIGNED;
    unsigned a = emit_use_xmm(e, insn->a), d = emit_def_xmm(e, e->current);
    asm_vex256(e->a, is_unsigned ? VPMOVZXWD : VPMOVSXWD, d, 0, rm_reg(a));
    asm_vex256(e->a, VCVTDQ2PS, d, 0, rm_reg(d));
    if (insn->imm)
        asm_vex256(e->a, VMULPS, d, d,
                   pool_words(e, (uint32_t)float_bits(false, ldexp(1.0, -(int)insn->imm))));
    emit_narrow(e, d, d);
}
