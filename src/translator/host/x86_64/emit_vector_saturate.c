/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_vector_saturate: operations that cut results to the element's range and note that in the guest's
 * sticky saturation flag. Each computes a vector that is not zero if an element was cut; cold code sets the
 * flag.
 */
#include "translator/host/x86_64/emit_vector.h"

static const uint32_t add[] = {VPADDB, VPADDW, VPADDD, VPADDQ};
static const uint32_t subtract[] = {VPSUBB, VPSUBW, VPSUBD, VPSUBQ};
static const uint32_t equal[] = {VPCMPEQB, VPCMPEQW, VPCMPEQD, VPCMPEQQ};

/* The flag is set if t is not all zeros. */
static void emit_note(struct emit *e, unsigned t)
{
    vex_rr(e, VPTEST, t, t);
    emit_saturated_jnz(e);
}

/* -- sums and differences ------------------------------------------------------------------------------ */

static bool is_difference(enum ir_op op)
{
    return op == IR_VUQSUB || op == IR_VSQSUB;
}

/* 8 and 16 bits: the host saturates; where that differs from wrapping, it did. a may be d. */
static void emit_small(struct emit *e, unsigned esize, bool is_signed, bool is_sub, unsigned d, unsigned a,
                       unsigned b, unsigned t)
{
    static const uint32_t ops[4][2] = {
        {VPADDUSB, VPADDUSW}, {VPADDSB, VPADDSW}, {VPSUBUSB, VPSUBUSW}, {VPSUBSB, VPSUBSW}};
    vex_rrr(e, (is_sub ? subtract : add)[esize], t, a, b);
    vex_rrr(e, ops[2 * is_sub + is_signed][esize], d, a, b);
    vex_rrr(e, V_PXOR, t, t, d);
    vex_rr(e, VPTEST, t, t);
}

/* 32 and 64 bits: the top bit of the carry out of a sum is that of a ^ b ? ~sum : b, of the borrow that of
 * a ^ b ? b : difference. a may be d. */
static void emit_large_unsigned(struct emit *e, unsigned esize, bool is_sub, unsigned d, unsigned a,
                                unsigned b, unsigned t, unsigned u)
{
    vex_rrr(e, V_PXOR, u, a, b);
    vex_rrr(e, (is_sub ? subtract : add)[esize], d, a, b);
    if (is_sub) {
        vex_rrr(e, VPANDN, t, u, d);
        vex_rrr(e, VPAND, u, u, b);
    } else {
        vex_rrr(e, VPANDN, t, u, b);
        vex_rrr(e, VPANDN, u, d, u);
    }
    vex_rrr(e, VPOR, t, t, u);
    if (esize == 2) {
        vex_shift(e, VPSRAD_IMM, t, t, 31);
    } else {
        vex_zero(e, u);
        vex_rrr(e, VPCMPGTQ, t, u, t);
    }
    vex_rrr(e, is_sub ? VPANDN : VPOR, d, t, d);
    vex_rr(e, VPTEST, t, t);
}

/* 32 and 64 bits: overflow gave the wrong sign, and the bound has the sign that was right, which is b's for
 * a sum and a's for a difference. a may be d for a sum. */
static void emit_large_signed(struct emit *e, unsigned esize, bool is_sub, unsigned d, unsigned a, unsigned b,
                              unsigned t, unsigned u)
{
    uint32_t blend = esize == 2 ? VBLENDVPS : VBLENDVPD;
    unsigned sign = is_sub ? a : b;
    vex_rrr(e, V_PXOR, t, a, b);
    vex_rrr(e, (is_sub ? subtract : add)[esize], d, a, b);
    vex_rrr(e, V_PXOR, u, d, sign);
    vex_rrr(e, is_sub ? VPAND : VPANDN, t, t, u);
    vex_rm(e, V_MOVAPS_LOAD, u, pool_splat(e, esize, element_sign(esize) - 1));
    vex_rrmi(e, blend, u, u, pool_splat(e, esize, element_sign(esize)), sign << 4);
    vex_blend(e, blend, d, d, u, t);
    vex_rr(e, esize == 2 ? VTESTPS : VTESTPD, t, t);
}

/* Operands of mixed signs: with its sign bit flipped a becomes of the other kind, and so does the result. */
void emit_vector_add_saturating(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3, op = insn->op;
    bool is_sub = is_difference(op), mixed = op == IR_VSUQADD || op == IR_VUSQADD;
    bool is_signed = op == IR_VSQADD || op == IR_VSQSUB || op == IR_VUSQADD;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), t = emit_tmp_xmm(e);
    unsigned u = esize < 2 ? t : emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    if (mixed) {
        vex_rrm(e, V_PXOR, d, a, pool_splat(e, esize, element_sign(esize)));
        a = d;
    }
    if (esize < 2)
        emit_small(e, esize, is_signed, is_sub, d, a, b, t);
    else if (is_signed)
        emit_large_signed(e, esize, is_sub, d, a, b, t, u);
    else
        emit_large_unsigned(e, esize, is_sub, d, a, b, t, u);
    emit_saturated_jnz(e);
    if (mixed)
        vex_rrm(e, V_PXOR, d, d, pool_splat(e, esize, element_sign(esize)));
}

/* -- signs, products: the only overflow gives the least number, which nothing else does ------------ */

/* Makes the least number in d the greatest, and notes it. */
static void emit_fix_least(struct emit *e, unsigned esize, unsigned d, unsigned t)
{
    vex_rrm(e, equal[esize], t, d, pool_splat(e, esize, element_sign(esize)));
    vex_rrr(e, V_PXOR, d, d, t);
    emit_note(e, t);
}

void emit_vector_sign_saturating(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint32_t absolute[] = {VPABSB, VPABSW, VPABSD};
    unsigned esize = insn->aux & 3;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    if (insn->op == IR_VSQNEG) {
        vex_zero(e, d);
        vex_rrr(e, subtract[esize], d, d, a);
    } else if (esize < 3) {
        vex_rr(e, absolute[esize], d, a);
    } else {
        vex_zero(e, t);
        vex_rrr(e, VPCMPGTQ, t, t, a);
        vex_rrr(e, V_PXOR, d, a, t);
        vex_rrr(e, VPSUBQ, d, d, t);
    }
    emit_fix_least(e, esize, d, t);
}

void emit_vector_multiply_long_saturating(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), t = emit_tmp_xmm(e),
             d = emit_def_xmm(e, v);
    emit_multiply_long(e, esize, true, insn->op == IR_VSQDMULL_HI, d, a, b, t);
    vex_rrr(e, add[esize + 1], d, d, d);
    emit_fix_least(e, esize + 1, d, t);
}

void emit_vector_multiply_high(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3;
    bool rounding = insn->op == IR_VSQRDMULH;
    if (esize != 1 && esize != 2) { /* no guest has it */
        emit_eval(e, insn, v);
        return;
    }
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), t = emit_tmp_xmm(e);
    if (esize == 1) {
        unsigned d = emit_def_xmm(e, v);
        if (rounding) {
            vex_rrr(e, VPMULHRSW, d, a, b);
        } else {
            vex_rrr(e, VPMULLW, t, a, b);
            vex_rrr(e, VPMULHW, d, a, b);
            vex_shift(e, VPSRLW_IMM, t, t, 15);
            vex_rrr(e, VPADDW, d, d, d);
            vex_rrr(e, VPOR, d, d, t);
        }
        emit_fix_least(e, 1, d, t);
        return;
    }
    unsigned d = emit_def_xmm(e, v);
    vex_shift(e, VPSRLQ_IMM, t, a, 32);
    vex_shift(e, VPSRLQ_IMM, d, b, 32);
    vex_rrr(e, VPMULDQ, d, d, t);
    vex_rrr(e, VPMULDQ, t, a, b);
    vex_rrr(e, VPADDQ, d, d, d);
    vex_rrr(e, VPADDQ, t, t, t);
    if (rounding) {
        vex_rrm(e, VPADDQ, d, d, pool_splat(e, 3, 1u << 31));
        vex_rrm(e, VPADDQ, t, t, pool_splat(e, 3, 1u << 31));
    }
    vex_shift(e, VPSRLQ_IMM, t, t, 32);
    vex_rrri(e, VPBLENDD, d, t, d, 0xa);
    emit_fix_least(e, 2, d, t);
}

/*
 * t = (2 b c + half a unit) >> width, or for a sum from which it is taken, what rounds that: just under half
 * a unit. The one product that does not fit, of the two least numbers, gives the least number, which no other
 * does.
 */
static void emit_product_high(struct emit *e, unsigned esize, bool is_sub, unsigned t, unsigned u, unsigned b,
                              unsigned c)
{
    if (esize == 1) {
        vex_rrr(e, VPMULHRSW, t, b, c);
        if (!is_sub)
            return;
        vex_rrr(e, VPMULLW, u, b, c); /* rounded up by exactly half a unit? */
        vex_rrr(e, VPADDW, u, u, u);
        vex_rrm(e, VPCMPEQW, u, u, pool_splat(e, 1, element_sign(1)));
        vex_rrr(e, VPADDW, t, t, u);
        return;
    }
    struct rm half = pool_splat(e, 3, (1ull << 31) - is_sub);
    vex_shift(e, VPSRLQ_IMM, t, b, 32);
    vex_shift(e, VPSRLQ_IMM, u, c, 32);
    vex_rrr(e, VPMULDQ, t, t, u);
    vex_rrr(e, VPMULDQ, u, b, c);
    vex_rrr(e, VPADDQ, t, t, t);
    vex_rrr(e, VPADDQ, u, u, u);
    vex_rrm(e, VPADDQ, t, t, half);
    vex_rrm(e, VPADDQ, u, u, half);
    vex_shift(e, VPSRLQ_IMM, u, u, 32);
    vex_rrri(e, VPBLENDD, t, u, t, 0xa);
}

/* Overflow is in the signs, but the other way round where the product is the least number: it is then meant
 * to be positive. */
void emit_vector_multiply_add_high(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3, bits = 8u << esize;
    bool is_sub = insn->op == IR_VSQRDMLSH, half = esize == 1;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), c = emit_use_xmm(e, insn->c);
    unsigned d = emit_def_xmm_last(e, v);
    struct emit_scratch scratch = emit_scratch_take(e, 4);
    unsigned t = scratch.reg[0], u = scratch.reg[1], sum = scratch.reg[2], over = scratch.reg[3];
    emit_product_high(e, esize, is_sub, t, u, b, c);
    if (is_sub)
        vex_rrr(e, half ? VPSUBW : VPSUBD, sum, a, t);
    else
        vex_rrr(e, half ? VPADDW : VPADDD, sum, a, t);
    vex_rrr(e, V_PXOR, over, a, sum);
    vex_rrr(e, V_PXOR, u, t, is_sub ? a : sum);
    vex_rrr(e, VPAND, over, over, u);
    vex_rrm(e, half ? VPCMPEQW : VPCMPEQD, u, t, pool_splat(e, esize, element_sign(esize)));
    vex_rrr(e, V_PXOR, over, over, u);
    vex_shift(e, half ? VPSRAW_IMM : VPSRAD_IMM, over, over, bits - 1);
    vex_shift(e, half ? VPSRAW_IMM : VPSRAD_IMM, u, a, bits - 1);
    vex_rrm(e, V_PXOR, u, u, pool_splat(e, esize, element_sign(esize) - 1));
    vex_blend(e, VPBLENDVB, d, sum, u, over);
    vex_rr(e, VPTEST, over, over);
    emit_scratch_return(e, &scratch);
    emit_saturated_jnz(e);
}

/* -- left shifts by a constant: what does not come back by the opposite shift did not fit -------------- */

/* Whether each element of b is the same constant, a left shift that leaves something. */
static bool is_constant_shift(const struct emit *e, const struct ir_insn *insn, unsigned esize,
                              unsigned *count)
{
    const struct ir_insn *b = &e->region->insns[insn->b];
    if (b->op != IR_VCONST)
        return false;
    *count = b->imm & 0xff;
    for (unsigned bit = 0; bit < 64; bit += 8u << esize)
        if ((b->imm >> bit & 0xff) != *count || (b->imm2 >> bit & 0xff) != *count)
            return false;
    return *count < 8u << esize;
}

/* t = all ones in elements of a that are negative */
static void emit_negative(struct emit *e, unsigned esize, unsigned t, unsigned a)
{
    static const uint32_t greater[] = {VPCMPGTB, VPCMPGTW, VPCMPGTD, VPCMPGTQ};
    vex_zero(e, t);
    vex_rrr(e, greater[esize], t, t, a);
}

void emit_vector_shift_saturating(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3, count = (unsigned)insn->imm;
    if (insn->op != IR_VSQSHLU && !is_constant_shift(e, insn, esize, &count)) {
        emit_eval(e, insn, v);
        return;
    }
    bool is_signed = insn->op == IR_VSQSHL_VAR || insn->op == IR_VSQRSHL_VAR;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), u = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    emit_shift_left(e, esize, d, a, count);
    emit_shift_right(e, esize, is_signed, t, d, count);
    vex_rrr(e, equal[esize], t, t, a);
    vex_rrm(e, V_PXOR, t, t, pool_ones(e)); /* does not fit */
    if (is_signed) {
        emit_negative(e, esize, u, a);
        vex_rrm(e, V_PXOR, u, u, pool_splat(e, esize, element_sign(esize) - 1));
        vex_blend(e, VPBLENDVB, d, d, u, t);
    } else if (insn->op == IR_VSQSHLU) { /* signed in, unsigned out */
        emit_negative(e, esize, u, a);
        vex_rrr(e, VPOR, t, t, u);
        vex_rrr(e, VPOR, d, d, t);
        vex_rrr(e, VPANDN, d, u, d);
    } else {
        vex_rrr(e, VPOR, d, d, t);
    }
    emit_note(e, t);
}

/* -- narrowing ------------------------------------------------------------------------------------- */

/* To 8 and 16 bits: the host saturates; where extending the result does not give the operand again, it did.
 */
static void emit_narrow_small(struct emit *e, enum ir_op op, unsigned esize, unsigned d, unsigned a,
                              unsigned t)
{
    static const uint32_t pack_signed[] = {VPACKSSWB, VPACKSSDW}, pack_unsigned[] = {VPACKUSWB, VPACKUSDW};
    static const uint32_t min[] = {VPMINUW, VPMINUD};
    static const uint32_t sign_extend[] = {VPMOVSXBW, VPMOVSXWD}, zero_extend[] = {VPMOVZXBW, VPMOVZXWD};
    if (op == IR_VUQXTN) { /* the host takes its operand for signed */
        vex_rrm(e, min[esize], t, a, pool_splat(e, esize + 1, esize ? 0xffff : 0xff));
        vex_rrm(e, pack_unsigned[esize], d, t, pool_zero(e));
    } else {
        vex_rrm(e, (op == IR_VSQXTN ? pack_signed : pack_unsigned)[esize], d, a, pool_zero(e));
        vex_rr(e, (op == IR_VSQXTN ? sign_extend : zero_extend)[esize], t, d);
    }
    vex_rrr(e, V_PXOR, t, t, a);
    emit_note(e, t);
}

/* To 32 bits: t = all ones where the operand does not fit; u is scratch. */
static void emit_narrow_large(struct emit *e, enum ir_op op, unsigned d, unsigned a, unsigned t, unsigned u)
{
    vex_shift(e, VPSRAD_IMM, u, a, 31);
    vex_rri(e, VPSHUFD, u, u, 0xf5); /* the sign of each element */
    if (op == IR_VSQXTN) {
        vex_rri(e, VPSHUFD, t, a, 0x08);
        vex_rr(e, VPMOVSXDQ, t, t);
        vex_rrr(e, VPCMPEQQ, t, t, a);
        vex_rrm(e, V_PXOR, u, u, pool_splat(e, 2, 0x7fffffff));
        vex_blend(e, VBLENDVPD, d, u, a, t);
    } else {
        vex_shift(e, VPSRLQ_IMM, t, a, 32);
        vex_rrm(e, VPCMPEQQ, t, t, pool_zero(e));
        vex_rrm(e, V_PXOR, d, t, pool_ones(e));
        vex_rrr(e, VPOR, d, d, a);
        if (op == IR_VSQXTUN)
            vex_rrr(e, VPANDN, d, u, d);
    }
    vex_rri(e, VPSHUFD, d, d, 0x08);
    vex_rr(e, V_MOVQ_LOAD, d, d);
    vex_rrm(e, V_PXOR, t, t, pool_ones(e));
    emit_note(e, t);
}

void emit_vector_narrow_saturating(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d;
    if (esize < 2) {
        d = emit_def_xmm(e, v);
        emit_narrow_small(e, insn->op, esize, d, a, t);
    } else {
        unsigned u = emit_tmp_xmm(e);
        d = emit_def_xmm(e, v);
        emit_narrow_large(e, insn->op, d, a, t, u);
    }
}
