/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_vector_float: floating point on all lanes. The rules are those of emit_float.c: if one lane is not a
 * number, cold code evaluates all of them again.
 */
#include <math.h>

#include "translator/host/x86_64/emit_vector.h"

/* VCMP's predicates; Q: quiet, S: a quiet NaN signals */
enum { EQ_Q = 0, EQ_OR_UNORDERED_Q = 8, UNORDERED_Q = 3, NOT_LESS_Q = 0x15, GE_S = 0x0d, GT_S = 0x0e };

/* Goes to cold code if an element of t has its sign bit set. */
static struct cold *emit_cold_lanes(struct emit *e, bool is_double, unsigned t, unsigned result,
                                    unsigned count, const uint8_t *operands)
{
    vex_rr(e, is_double ? VTESTPD : VTESTPS, t, t);
    return emit_cold_evaluate(e, CC_NE, PLACE_XMM + result, count, operands);
}

/* The same if one of the result's is a NaN. t is scratch. */
static void emit_check_lanes(struct emit *e, bool is_double, unsigned d, unsigned t, unsigned count,
                             const uint8_t *operands)
{
    vex_rrri(e, vex_float(VCMPPS, is_double, false), t, d, d, UNORDERED_Q);
    emit_cold_back(e, emit_cold_lanes(e, is_double, t, d, count, operands));
}

/* The same for products, quotients and conversions: see emit_check_tiny() of emit_float.c. */
static void emit_check_tiny_lanes(struct emit *e, bool is_double, unsigned d, unsigned t, unsigned count,
                                  const uint8_t *operands)
{
    if (!e->region->fp_mode) {
        emit_check_lanes(e, is_double, d, t, count, operands);
        return;
    }
    vex_rrm(e, VANDPS, t, d, pool_splat(e, 2 + is_double, float_magnitude(is_double)));
    vex_rrmi(e, vex_float(VCMPPS, is_double, false), t, t,
             pool_splat(e, 2 + is_double, float_smallest_normal(is_double)), EQ_OR_UNORDERED_Q);
    emit_cold_back(e, emit_cold_lanes(e, is_double, t, d, count, operands));
}

static bool is_double_lanes(const struct ir_insn *insn)
{
    return (insn->aux & 3) == 3;
}

static bool is_half_lanes(const struct ir_insn *insn)
{
    return (insn->aux & 3) == 1;
}

void emit_vector_float_arithmetic(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint32_t ops[] = {[IR_VFADD - IR_VFADD] = VADDPS,
                                   [IR_VFSUB - IR_VFADD] = VSUBPS,
                                   [IR_VFMUL - IR_VFADD] = VMULPS,
                                   [IR_VFDIV - IR_VFADD] = VDIVPS};
    bool is_double = is_double_lanes(insn);
    if (is_half_lanes(insn)) {
        emit_half_arithmetic(e, insn, ops[insn->op - IR_VFADD]);
        return;
    }
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), t = emit_tmp_xmm(e),
             d = emit_def_xmm(e, v);
    vex_rrr(e, vex_float(ops[insn->op - IR_VFADD], is_double, false), d, a, b);
    const uint8_t operands[] = {(uint8_t)(PLACE_XMM + a), (uint8_t)(PLACE_XMM + b)};
    if (insn->op == IR_VFMUL || insn->op == IR_VFDIV)
        emit_check_tiny_lanes(e, is_double, d, t, 2, operands);
    else
        emit_check_lanes(e, is_double, d, t, 2, operands);
}

void emit_vector_float_sqrt(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = is_double_lanes(insn);
    if (is_half_lanes(insn)) {
        emit_half_sqrt(e, insn);
        return;
    }
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    vex_rr(e, vex_float(VSQRTPS, is_double, false), d, a);
    emit_check_lanes(e, is_double, d, t, 1, (uint8_t[]){PLACE_XMM + a});
}

void emit_vector_float_sign(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = is_double_lanes(insn);
    if (is_half_lanes(insn)) {
        emit_half_sign(e, insn);
        return;
    }
    unsigned esize = 2 + is_double, a = emit_use_xmm(e, insn->a), d = emit_def_xmm_last(e, v);
    if (insn->op == IR_VFNEG)
        vex_rrm(e, V_XORPS, d, a, pool_splat(e, esize, float_sign(is_double)));
    else
        vex_rrm(e, VANDPS, d, a, pool_splat(e, esize, float_magnitude(is_double)));
}

void emit_vector_float_fma(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = is_double_lanes(insn);
    if (is_half_lanes(insn)) {
        emit_half_fma(e, insn);
        return;
    }
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), c = emit_use_xmm(e, insn->c);
    unsigned t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    vex_move(e, d, c);
    vex_rrr(e, vex_fma(VFMADD231PS, is_double, false), d, a, b);
    emit_check_tiny_lanes(e, is_double, d, t, 3, (uint8_t[]){PLACE_XMM + a, PLACE_XMM + b, PLACE_XMM + c});
}

void emit_vector_float_minmax(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = is_double_lanes(insn), is_min = insn->op == IR_VFMIN || insn->op == IR_VFMINNM;
    uint32_t op = vex_float(is_min ? VMINPS : VMAXPS, is_double, false);
    if (is_half_lanes(insn)) {
        emit_half_minmax(e, insn, is_min);
        return;
    }
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), t = emit_tmp_xmm(e),
             d = emit_def_xmm(e, v);
    vex_rrri(e, vex_float(VCMPPS, is_double, false), t, a, b, UNORDERED_Q);
    struct cold *c = emit_cold_lanes(e, is_double, t, d, 2, (uint8_t[]){PLACE_XMM + a, PLACE_XMM + b});
    vex_rrr(e, op, t, a, b);
    vex_rrr(e, op, d, b, a);
    vex_rrr(e, is_min ? VORPS : VANDPS, d, d, t);
    emit_cold_back(e, c);
}

void emit_vector_float_compare(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned predicate = insn->op == IR_VFCMPEQ ? EQ_Q : insn->op == IR_VFCMPGE ? GE_S : GT_S;
    if (is_half_lanes(insn)) {
        emit_half_compare(e, insn);
        return;
    }
    unsigned a = emit_use_xmm(e, insn->a);
    struct rm b = emit_use_xmm_rm(e, insn->b);
    vex_rrmi(e, vex_float(VCMPPS, is_double_lanes(insn), false), emit_def_xmm_last(e, v), a, b, predicate);
}

/* -- products with rules for 0 * inf ------------------------------------------------------------------- */

/*
 * FMULX, FRECPS, FRSQRTS, of scalars, too: such products must not be computed, as they would raise "invalid".
 * Great operands are left to cold code; for FRSQRTS they begin where 3 - a * b could overflow, but not its
 * half.
 */
void emit_vector_float_step(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool scalar = insn->type != IR_V128;
    bool is_double = scalar ? insn->type == IR_F64 : is_double_lanes(insn);
    bool multiply = insn->op == IR_FMULX || insn->op == IR_VFMULX;
    bool root = insn->op == IR_FRSQRTS || insn->op == IR_VFRSQRTS;
    double limit = root ? (is_double ? 0x1p510 : 0x1p62) : INFINITY;
    uint32_t compare = vex_float(VCMPPS, is_double, scalar);
    if (!scalar && is_half_lanes(insn)) {
        emit_eval(e, insn, v);
        return;
    }
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    unsigned t = emit_tmp_xmm(e), u = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    struct rm magnitude = scalar ? pool_pair(e, float_magnitude(is_double), 0)
                                 : pool_splat(e, 2 + is_double, float_magnitude(is_double));
    struct rm bound = pool_float_vector(e, is_double, limit);
    vex_rrm(e, VANDPS, t, a, magnitude);
    vex_rrm(e, VANDPS, u, b, magnitude);
    vex_rrmi(e, compare, t, t, bound, NOT_LESS_Q);
    vex_rrmi(e, compare, u, u, bound, NOT_LESS_Q);
    vex_rrr(e, VORPS, t, t, u);
    struct cold *c = emit_cold_lanes(e, is_double, t, d, 2, (uint8_t[]){PLACE_XMM + a, PLACE_XMM + b});
    if (multiply) {
        vex_rrr(e, vex_float(VMULPS, is_double, scalar), d, a, b);
        vex_rrm(e, VANDPS, t, d, magnitude); /* see emit_check_tiny_lanes() */
        vex_rrmi(e, compare, t, t, pool_splat(e, 2 + is_double, float_smallest_normal(is_double)), EQ_Q);
        vex_rr(e, is_double ? VTESTPD : VTESTPS, t, t);
        emit_cold_also(e, c, CC_NE);
    } else {
        vex_rm(e, V_MOVAPS_LOAD, d, pool_float_vector(e, is_double, root ? 3.0 : 2.0));
        vex_rrr(e, vex_fma(VFNMADD231PS, is_double, scalar), d, a, b);
        if (root)
            vex_rrm(e, vex_float(VMULPS, is_double, scalar), d, d, pool_float_vector(e, is_double, 0.5));
    }
    emit_cold_back(e, c);
}

/* -- rounding ------------------------------------------------------------------------------------------ */

/* t = sign bits set where |a| >= 2^52 (2^23) or a is a NaN */
static void emit_great(struct emit *e, bool is_double, double limit, unsigned t, unsigned a)
{
    vex_rrm(e, VANDPS, t, a, pool_splat(e, 2 + is_double, float_magnitude(is_double)));
    vex_rrmi(e, vex_float(VCMPPS, is_double, false), t, t, pool_float_vector(e, is_double, limit),
             NOT_LESS_Q);
}

/* As emit_round_away() of emit_float.c, for numbers below 2^52 (2^23). d and t are not a. */
static void emit_round_away(struct emit *e, bool is_double, unsigned d, unsigned a, unsigned t)
{
    uint32_t esize = 2 + is_double;
    vex_rrm(e, VANDPS, t, a, pool_splat(e, esize, float_magnitude(is_double)));
    vex_rri(e, is_double ? VROUNDPD : VROUNDPS, d, t, float_round_imm[IR_ROUND_ZERO] | FLOAT_ROUND_QUIETLY);
    vex_rrr(e, vex_float(VSUBPS, is_double, false), t, t, d);
    vex_rrmi(e, vex_float(VCMPPS, is_double, false), t, t, pool_float_vector(e, is_double, 0.5), GE_S);
    vex_rrm(e, VANDPS, t, t, pool_float_vector(e, is_double, 1.0));
    vex_rrr(e, vex_float(VADDPS, is_double, false), d, d, t);
    vex_rrm(e, VANDPS, t, a, pool_splat(e, esize, float_sign(is_double)));
    vex_rrr(e, VORPS, d, d, t);
}

void emit_vector_float_round(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = is_double_lanes(insn), exact = insn->aux >> 8 & IR_ROUND_EXACT;
    unsigned mode = insn->aux >> 8 & IR_ROUND_MODE,
             imm = float_round_imm[mode] | (exact ? 0 : FLOAT_ROUND_QUIETLY);
    uint32_t op = is_double ? VROUNDPD : VROUNDPS;
    if (is_half_lanes(insn)) {
        mode == IR_ROUND_AWAY ? emit_eval(e, insn, v) : emit_half_round(e, insn);
        return;
    }
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    if (mode != IR_ROUND_AWAY) {
        vex_rri(e, op, d, a, imm);
        emit_check_lanes(e, is_double, d, t, 1, (uint8_t[]){PLACE_XMM + a});
        return;
    }
    emit_great(e, is_double, is_double ? 0x1p52 : 0x1p23, t, a);
    struct cold *c = emit_cold_lanes(e, is_double, t, d, 1, (uint8_t[]){PLACE_XMM + a});
    if (exact)
        vex_rri(e, op, d, a, imm); /* raises "inexact" */
    emit_round_away(e, is_double, d, a, t);
    emit_cold_back(e, c);
}

/* -- integers -------------------------------------------------------------------------------------- */

/* d = x cut to 64-bit integers, one after the other */
static void emit_cut_doubles(struct emit *e, uint32_t convert, unsigned d, unsigned x, unsigned t)
{
    unsigned g = emit_tmp_gpr(e);
    vex_rr(e, convert | VEX_W1, g, x);
    vex_rrr(e, VPUNPCKHQDQ, t, x, x);
    vex_rr(e, V_MOVQ_FROM_GPR, d, g);
    vex_rr(e, convert | VEX_W1, g, t);
    vex_rrri(e, V_PINSRQ, d, d, g, 1);
}

void emit_vector_float_to_int(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = is_double_lanes(insn), is_unsigned = insn->aux >> 8 & IR_UNSIGNED;
    unsigned mode = insn->aux >> 8 & IR_ROUND_MODE;
    bool away = mode == IR_ROUND_AWAY, current = mode == IR_ROUND_CURRENT;
    bool rounds = away || mode == IR_ROUND_EVEN || mode == IR_ROUND_UP || mode == IR_ROUND_DOWN;
    uint32_t round = is_double ? VROUNDPD : VROUNDPS;
    if (is_half_lanes(insn) || (is_unsigned && current) || /* the latter two no guest has */
        (insn->imm && mode != IR_ROUND_ZERO)) {
        emit_eval(e, insn, v);
        return;
    }
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), x = a, t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    const uint8_t operands[] = {(uint8_t)(PLACE_XMM + a)};
    struct cold *first = NULL, *second;
    if (insn->imm) { /* see emit_scale_up() of emit_float.c */
        x = emit_tmp_xmm(e);
        emit_great(e, is_double, is_double ? 0x1p900 : 0x1p60, t, a);
        first = emit_cold_lanes(e, is_double, t, d, 1, operands);
        vex_rrm(e, vex_float(VMULPS, is_double, false), x, a,
                pool_float_vector(e, is_double, ldexp(1.0, (int)insn->imm)));
    } else if (away) {
        x = emit_tmp_xmm(e);
        emit_great(e, is_double, is_double ? 0x1p52 : 0x1p23, t, a);
        first = emit_cold_lanes(e, is_double, t, d, 1, operands);
        emit_round_away(e, is_double, x, a, t);
    } else if (rounds) {
        x = emit_tmp_xmm(e);
        vex_rri(e, round, x, a, float_round_imm[mode] | FLOAT_ROUND_QUIETLY);
    }
    uint32_t words = current ? VCVTPS2DQ : VCVTTPS2DQ, doubles = current ? VCVTSD2SI : VCVTTSD2SI;
    if (is_unsigned) { /* out of the signed range, or negative */
        uint64_t limit = float_bits(is_double, is_double ? 0x1p63 : 0x1p31) - 1;
        vex_rrm(e, is_double ? VPCMPGTQ : VPCMPGTD, t, x, pool_splat(e, 2 + is_double, limit));
        vex_rrr(e, VPOR, t, t, x);
        second = emit_cold_lanes(e, is_double, t, d, 1, operands);
    }
    if (is_double)
        emit_cut_doubles(e, doubles, d, x, t);
    else
        vex_rr(e, words, d, x);
    if (!is_unsigned) { /* the "indefinite integer" */
        vex_rrm(e, is_double ? VPCMPEQQ : VPCMPEQD, t, d,
                pool_splat(e, 2 + is_double, element_sign(2 + is_double)));
        second = emit_cold_lanes(e, is_double, t, d, 1, operands);
    }
    if (rounds) /* "inexact", now that all results are known to be in range */
        vex_rri(e, round, t, a, float_round_imm[IR_ROUND_ZERO]);
    emit_cold_back(e, second);
    if (first)
        emit_cold_back(e, first);
}

/*
 * Unsigned words in halves: both become exact numbers, and only their sum is rounded. Unsigned doublewords
 * likewise, by numbers with such exponents that the half stands in the lowest bits; as 0 - 0 may give -0,
 * the sign is cleared.
 */
static void emit_from_unsigned(struct emit *e, bool is_double, unsigned d, unsigned a, unsigned t)
{
    if (!is_double) {
        vex_shift(e, VPSRLD_IMM, t, a, 16);
        vex_rrm(e, VPAND, d, a, pool_splat(e, 2, 0xffff));
        vex_rr(e, VCVTDQ2PS, t, t);
        vex_rr(e, VCVTDQ2PS, d, d);
        vex_rrm(e, VMULPS, t, t, pool_float_vector(e, false, 0x1p16));
        vex_rrr(e, VADDPS, d, d, t);
        return;
    }
    vex_shift(e, VPSRLQ_IMM, t, a, 32);
    vex_rrm(e, VPOR, t, t, pool_float_vector(e, true, 0x1p84));
    vex_rrm(e, vex_float(VSUBPS, true, false), t, t, pool_float_vector(e, true, 0x1p84 + 0x1p52));
    vex_rrm(e, VPAND, d, a, pool_splat(e, 3, 0xffffffff));
    vex_rrm(e, VPOR, d, d, pool_float_vector(e, true, 0x1p52));
    vex_rrr(e, vex_float(VADDPS, true, false), d, d, t);
    vex_rrm(e, VANDPS, d, d, pool_splat(e, 3, float_magnitude(true)));
}

void emit_vector_float_from_int(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = is_double_lanes(insn), is_unsigned = insn->aux >> 8 & IR_UNSIGNED;
    if (is_half_lanes(insn)) {
        emit_half_from_int(e, insn);
        return;
    }
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    if (is_unsigned) {
        emit_from_unsigned(e, is_double, d, a, t);
    } else if (!is_double) {
        vex_rr(e, VCVTDQ2PS, d, a);
    } else {
        unsigned g = emit_tmp_gpr(e);
        vex_rri(e, V_PEXTRQ, a, g, 1);
        vex_zero(e, t);
        vex_rrr(e, VCVTSI2SD | VEX_W1, t, t, g);
        vex_rr(e, V_MOVQ_TO_GPR, a, g);
        vex_zero(e, d);
        vex_rrr(e, VCVTSI2SD | VEX_W1, d, d, g);
        vex_rrr(e, VPUNPCKLQDQ, d, d, t);
    }
    if (insn->imm)
        vex_rrm(e, vex_float(VMULPS, is_double, false), d, d,
                pool_float_vector(e, is_double, ldexp(1.0, -(int)insn->imm)));
}

/* -- between sizes --------------------------------------------------------------------------------- */

void emit_vector_float_widen(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool to_double = (insn->aux & 3) == 2;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    vex_rr(e, to_double ? VCVTPS2PD : VCVTPH2PS, d, a);
    emit_check_lanes(e, to_double, d, t, 1, (uint8_t[]){PLACE_XMM + a});
}

void emit_vector_float_narrow(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool from_double = (insn->aux & 3) == 2;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    const uint8_t operands[] = {(uint8_t)(PLACE_XMM + a)};
    if (from_double) {
        vex_rr(e, VCVTPD2PS, d, a);
        emit_check_tiny_lanes(e, false, d, t, 1, operands);
        return;
    }
    vex_rri(e, VCVTPS2PH, a, d, 4);
    emit_check_halves(e, d, t, emit_tmp_xmm(e), 1, operands);
}
