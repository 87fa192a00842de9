/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_estimate: Arm's estimates of the reciprocal and the reciprocal square root, which are exact to the bit
 * (Arm ARM, pseudo-code functions RecipEstimate and RecipSqrtEstimate): the result has eight bits of fraction
 * that come from an integer quotient or root of ten bits.
 *
 * The host's own estimates, of twelve bits and raising no flags, give that integer but for one; it is put
 * right by multiplying back. Operands that are not positive normal numbers with a normal result are left to
 * cold code. All is done on elements of 32 bits; of a double those that stand where a single has them after a
 * shift by 29.
 */
#include "translator/host/x86_64/emit_vector.h"

/* Goes to cold code if an element of x is special. t and u are scratch. */
static struct cold *emit_check_ordinary(struct emit *e, bool root, bool is_double, unsigned x, unsigned t,
                                        unsigned u, unsigned result, unsigned a)
{
    unsigned esize = 2 + is_double, mantissa = is_double ? 52 : 23;
    uint64_t exponents = (is_double ? 2046 : 254) - (root ? 0 : 2); /* how many are good */
    if (!root) {
        vex_rrm(e, VPAND, t, x, pool_splat(e, esize, float_magnitude(is_double)));
        x = t;
    }
    vex_rrm(e, is_double ? VPSUBQ : VPSUBD, t, x, pool_splat(e, esize, 1ull << mantissa));
    vex_rrm(e, is_double ? VPCMPGTQ : VPCMPGTD, u, t, pool_splat(e, esize, (exponents << mantissa) - 1));
    vex_rrr(e, VPOR, t, t, u);
    vex_rr(e, is_double ? VTESTPD : VTESTPS, t, t);
    return emit_cold_evaluate(e, CC_NE, PLACE_XMM + result, 1, (uint8_t[]){(uint8_t)(PLACE_XMM + a)});
}

/* q = the host's estimate of f as an integer from 512 to 1023 */
static void emit_quotient(struct emit *e, uint32_t estimate, unsigned q, unsigned f)
{
    vex_rr(e, VCVTDQ2PS, q, f);
    vex_rr(e, estimate, q, q);
    vex_rrm(e, VPAND, q, q, pool_splat(e, 2, 0x7fffff));
    vex_rrm(e, VPOR, q, q, pool_splat(e, 2, 0x800000));
    vex_shift(e, VPSRLD_IMM, q, q, 14);
}

/* q = 2^19 / t + 1, t = 512 + 1 + twice the upper eight bits of x's fraction. u is scratch. */
static void emit_recip(struct emit *e, unsigned q, unsigned x, unsigned t, unsigned u)
{
    vex_shift(e, VPSRLD_IMM, t, x, 14);
    vex_rrm(e, VPAND, t, t, pool_splat(e, 2, 0x1fe));
    vex_rrm(e, VPOR, t, t, pool_splat(e, 2, 0x201));
    emit_quotient(e, VRCPPS, q, t);
    vex_rrr(e, VPMADDWD, u, q, t);
    vex_rrm(e, VPSUBD, u, u, pool_splat(e, 2, 1u << 19));
    vex_rrr(e, VPADDD, t, t, u);
    vex_rrm(e, VPCMPGTD, u, u, pool_zero(e)); /* -1: the product is too large */
    vex_rrm(e, VPCMPGTD, t, t, pool_zero(e)); /* 0: not even the next is */
    vex_rrr(e, VPADDD, q, q, u);
    vex_rrr(e, VPADDD, q, q, t);
    vex_rrm(e, VPADDD, q, q, pool_splat(e, 2, 2));
}

/* u = -1 if t * q * q >= 2^28 */
static void emit_compare_root(struct emit *e, unsigned u, unsigned q, unsigned t)
{
    vex_rrr(e, VPMADDWD, u, q, q);
    vex_rrr(e, VPMULLD, u, u, t);
    vex_rrm(e, VPCMPGTD, u, u, pool_splat(e, 2, (1u << 28) - 1));
}

/* q = 1 + the greatest integer of which the square times t is less than 2^28. t = 256 + 1 + the upper seven
 * bits of x's fraction from bit 1 on, twice that if the exponent is even. u and w (which may be x) are
 * scratch. */
static void emit_root(struct emit *e, unsigned q, unsigned x, unsigned t, unsigned u, unsigned w)
{
    vex_shift(e, VPSRLD_IMM, t, x, 15);
    vex_rrm(e, VPAND, t, t, pool_splat(e, 2, 0xfe));
    vex_rrm(e, VPOR, t, t, pool_splat(e, 2, 0x101));
    vex_rrm(e, VPANDN, u, x, pool_splat(e, 2, 1u << 23));
    vex_shift(e, VPSRLD_IMM, u, u, 23);
    vex_rrr(e, VPSLLVD, t, t, u);
    emit_quotient(e, VRSQRTPS, q, t);
    emit_compare_root(e, u, q, t);
    vex_rrm(e, VPADDD, q, q, pool_splat(e, 2, 1));
    emit_compare_root(e, w, q, t);
    vex_rrr(e, VPADDD, q, q, u);
    vex_rrr(e, VPADDD, q, q, w);
    vex_rrm(e, VPADDD, q, q, pool_splat(e, 2, 1));
}

void emit_float_estimate(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool scalar = insn->type != IR_V128, root = insn->op == IR_FRSQRTE || insn->op == IR_VFRSQRTE;
    bool is_double = scalar ? insn->type == IR_F64 : (insn->aux & 3) == 3;
    if (!scalar && (insn->aux & 3) == 1) {
        emit_eval(e, insn, v);
        return;
    }
    unsigned esize = 2 + is_double, mantissa = is_double ? 52 : 23, bias = is_double ? 1023 : 127;
    uint32_t minus = is_double ? VPSUBQ : VPSUBD, left = is_double ? VPSLLQ_IMM : VPSLLD_IMM,
             right = is_double ? VPSRLQ_IMM : VPSRLD_IMM;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), x = a;
    unsigned t = emit_tmp_xmm(e), u = emit_tmp_xmm(e), w = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    if (scalar) { /* nothing special in the other lanes */
        x = w;
        vex_rr(e, is_double ? VPBROADCASTQ : VPBROADCASTD, x, a);
    }
    struct cold *c = emit_check_ordinary(e, root, is_double, x, t, u, d, a);
    if (is_double) {
        vex_shift(e, VPSRLQ_IMM, w, x, 29);
        x = w;
    }
    if (root)
        emit_root(e, d, x, t, u, w);
    else
        emit_recip(e, d, x, t, u);
    vex_shift(e, VPSRLD_IMM, d, d, 1); /* the fraction, rounded */
    vex_rrm(e, VPAND, d, d, pool_splat(e, esize, 0xff));
    vex_shift(e, left, d, d, mantissa - 8);
    if (root) {
        vex_shift(e, right, u, a, mantissa);
        vex_rm(e, V_MOVAPS_LOAD, t, pool_splat(e, esize, 3 * bias - 1));
        vex_rrr(e, minus, t, t, u);
        vex_shift(e, right, t, t, 1);
        vex_shift(e, left, t, t, mantissa);
    } else {
        uint64_t exponent_mask = float_magnitude(is_double) & ~0ull << mantissa;
        vex_rrm(e, VPAND, u, a, pool_splat(e, esize, exponent_mask));
        vex_rm(e, V_MOVAPS_LOAD, t, pool_splat(e, esize, (2ull * bias - 1) << mantissa));
        vex_rrr(e, minus, t, t, u);
        vex_rrm(e, VPAND, u, a, pool_splat(e, esize, float_sign(is_double)));
        vex_rrr(e, VPOR, t, t, u);
    }
    vex_rrr(e, VPOR, d, d, t);
    emit_cold_back(e, c);
}
