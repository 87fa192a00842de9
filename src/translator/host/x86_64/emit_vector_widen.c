/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emit_vector_widen: operations on vectors of integers that change the element size, that add or compare
 * neighbours, or reduce a vector to one element. */
#include "translator/host/x86_64/emit_vector.h"

static const uint32_t add[] = {VPADDB, VPADDW, VPADDD, VPADDQ};
static const uint32_t unpack_low[] = {VPUNPCKLBW, VPUNPCKLWD, VPUNPCKLDQ};
static const uint32_t unpack_high[] = {VPUNPCKHBW, VPUNPCKHWD, VPUNPCKHDQ};
static const uint32_t zero_extend[] = {VPMOVZXBW, VPMOVZXWD, VPMOVZXDQ};
static const uint32_t sign_extend[] = {VPMOVSXBW, VPMOVSXWD, VPMOVSXDQ};
static const uint32_t min_max[4][3] = {{VPMINSB, VPMINSW, VPMINSD},
                                       {VPMAXSB, VPMAXSW, VPMAXSD},
                                       {VPMINUB, VPMINUW, VPMINUD},
                                       {VPMAXUB, VPMAXUW, VPMAXUD}};

/* -- extension and products of twice the size ---------------------------------------------------------- */

/* d = the low or high half of a, extended; d may be a */
static void emit_extend(struct emit *e, unsigned esize, bool is_signed, bool high, unsigned d, unsigned a)
{
    if (!high) {
        vex_rr(e, (is_signed ? sign_extend : zero_extend)[esize], d, a);
    } else if (is_signed) {
        vex_rrr(e, VPUNPCKHQDQ, d, a, a);
        vex_rr(e, sign_extend[esize], d, d);
    } else {
        vex_rrm(e, unpack_high[esize], d, a, pool_zero(e));
    }
}

void emit_vector_extend(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned op = insn->op, a = emit_use_xmm(e, insn->a);
    emit_extend(e, insn->aux & 3, op == IR_VSEXT_LO || op == IR_VSEXT_HI,
                op == IR_VUEXT_HI || op == IR_VSEXT_HI, emit_def_xmm_last(e, v), a);
}

void emit_multiply_long(struct emit *e, unsigned esize, bool is_signed, bool high, unsigned d, unsigned a,
                        unsigned b, unsigned t)
{
    if (esize == 0) {
        emit_extend(e, 0, is_signed, high, t, a);
        emit_extend(e, 0, is_signed, high, d, b);
        vex_rrr(e, VPMULLW, d, d, t);
    } else if (esize == 1) {
        vex_rrr(e, VPMULLW, t, a, b);
        vex_rrr(e, is_signed ? VPMULHW : VPMULHUW, d, a, b);
        vex_rrr(e, (high ? unpack_high : unpack_low)[1], d, t, d);
    } else {
        vex_rri(e, VPSHUFD, t, a, high ? 0xfa : 0x50);
        vex_rri(e, VPSHUFD, d, b, high ? 0xfa : 0x50);
        vex_rrr(e, is_signed ? VPMULDQ : VPMULUDQ, d, d, t);
    }
}

void emit_vector_multiply_long(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned op = insn->op;
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), t = emit_tmp_xmm(e);
    emit_multiply_long(e, insn->aux & 3, op == IR_VSMULL_LO || op == IR_VSMULL_HI,
                       op == IR_VUMULL_HI || op == IR_VSMULL_HI, emit_def_xmm(e, v), a, b, t);
}

/* -- narrowing ----------------------------------------------------------------------------------------- */

void emit_vector_narrow(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint64_t index[] = {0x0e0c0a0806040200, 0x0d0c090805040100, 0x0b0a090803020100};
    unsigned a = emit_use_xmm(e, insn->a);
    vex_rrm(e, VPSHUFB, emit_def_xmm_last(e, v), a, pool_pair(e, index[insn->aux & 3], ~0ull));
}

/* -- neighbours ---------------------------------------------------------------------------------------- */

void emit_vector_add_long(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_signed = insn->op == IR_VSADDLP;
    unsigned esize = insn->aux & 3, a = emit_use_xmm(e, insn->a);
    if (esize == 0 && !is_signed) {
        vex_rrm(e, VPMADDUBSW, emit_def_xmm_last(e, v), a, pool_splat(e, 0, 1));
        return;
    }
    if (esize == 1 && is_signed) {
        vex_rrm(e, VPMADDWD, emit_def_xmm_last(e, v), a, pool_splat(e, 1, 1));
        return;
    }
    unsigned t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    if (esize == 0) {
        vex_rm(e, V_MOVAPS_LOAD, d, pool_splat(e, 0, 1));
        vex_rrr(e, VPMADDUBSW, d, d, a);
    } else if (esize == 1) {
        vex_shift(e, VPSRLD_IMM, t, a, 16);
        vex_rrm(e, VPAND, d, a, pool_splat(e, 2, 0xffff));
        vex_rrr(e, VPADDD, d, d, t);
    } else if (!is_signed) {
        vex_shift(e, VPSRLQ_IMM, t, a, 32);
        vex_rrm(e, VPAND, d, a, pool_splat(e, 3, 0xffffffff));
        vex_rrr(e, VPADDQ, d, d, t);
    } else { /* times one: extends the low half of each element */
        vex_shift(e, VPSRLQ_IMM, t, a, 32);
        vex_rrm(e, VPMULDQ, t, t, pool_splat(e, 3, 1));
        vex_rrm(e, VPMULDQ, d, a, pool_splat(e, 3, 1));
        vex_rrr(e, VPADDQ, d, d, t);
    }
}

void emit_vector_pairwise(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3;
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    if (insn->op == IR_VADDP && (esize == 1 || esize == 2)) {
        vex_rrr(e, esize == 1 ? VPHADDW : VPHADDD, emit_def_xmm_last(e, v), a, b);
        return;
    }
    if (insn->op != IR_VADDP && esize == 3) { /* no guest has it */
        emit_eval(e, insn, v);
        return;
    }
    unsigned t = emit_tmp_xmm(e), u = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    emit_unzip(e, esize, false, t, a, b, u);
    emit_unzip(e, esize, true, d, a, b, u);
    vex_rrr(e, insn->op == IR_VADDP ? add[esize] : min_max[insn->op - IR_VSMINP][esize], d, d, t);
}

/* -- across ---------------------------------------------------------------------------------------- */

/* Keeps lane 0 of 2^esize bytes. */
static void emit_keep_low(struct emit *e, unsigned esize, unsigned d)
{
    if (esize == 3)
        vex_rr(e, V_MOVQ_LOAD, d, d);
    else if (esize == 2)
        vex_rrri(e, VINSERTPS, d, d, d, 0x0e);
    else
        vex_rrm(e, VPAND, d, d, pool_pair(e, esize ? 0xffff : 0xff, 0));
}

void emit_vector_sum(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3;
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    if (esize == 0) {
        vex_zero(e, d);
        vex_rrr(e, VPSADBW, d, d, a);
    } else if (esize == 1) {
        vex_rrm(e, VPMADDWD, d, a, pool_splat(e, 1, 1));
    }
    uint32_t op = add[esize == 3 ? 3 : 2];
    vex_rri(e, VPSHUFD, t, esize < 2 ? d : a, 0x4e);
    vex_rrr(e, op, d, esize < 2 ? d : a, t);
    if (esize == 1 || esize == 2) {
        vex_rri(e, VPSHUFD, t, d, 0xb1);
        vex_rrr(e, op, d, d, t);
    }
    emit_keep_low(e, esize, d);
}

/* VPHMINPOSUW finds the least of unsigned 16-bit elements; others are mapped to that by an exclusive or. */
void emit_vector_least(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3, which = insn->op - IR_VSMINV;
    if (esize == 3) { /* no guest has it */
        emit_eval(e, insn, v);
        return;
    }
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    if (esize == 2) {
        vex_rri(e, VPSHUFD, t, a, 0x4e);
        vex_rrr(e, min_max[which][2], d, a, t);
        vex_rri(e, VPSHUFD, t, d, 0xb1);
        vex_rrr(e, min_max[which][2], d, d, t);
        emit_keep_low(e, 2, d);
        return;
    }
    bool is_signed = insn->op == IR_VSMINV || insn->op == IR_VSMAXV;
    bool is_max = insn->op == IR_VSMAXV || insn->op == IR_VUMAXV;
    uint64_t flip = (is_signed ? element_sign(esize) : 0) ^ (is_max ? ~0ull : 0);
    if (flip) {
        vex_rrm(e, V_PXOR, d, a, pool_splat(e, esize, flip));
        a = d;
    }
    if (esize == 0) {
        vex_shift(e, VPSRLW_IMM, t, a, 8);
        vex_rrr(e, VPMINUB, d, a, t);
        a = d;
    }
    vex_rr(e, VPHMINPOSUW, d, a);
    if (flip)
        vex_rrm(e, V_PXOR, d, d, pool_splat(e, esize, flip));
    emit_keep_low(e, esize, d);
}

/* Words of the even bytes and of the odd ones, multiplied and added in pairs. */
void emit_vector_dot(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_signed = insn->op == IR_VSDOT;
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    unsigned t = emit_tmp_xmm(e), u = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    if (is_signed) {
        vex_shift(e, VPSLLW_IMM, t, a, 8);
        vex_shift(e, VPSLLW_IMM, u, b, 8);
        vex_shift(e, VPSRAW_IMM, t, t, 8);
        vex_shift(e, VPSRAW_IMM, u, u, 8);
    } else {
        vex_rrm(e, VPAND, t, a, pool_splat(e, 1, 0xff));
        vex_rrm(e, VPAND, u, b, pool_splat(e, 1, 0xff));
    }
    vex_rrr(e, VPMADDWD, d, t, u);
    vex_shift(e, is_signed ? VPSRAW_IMM : VPSRLW_IMM, t, a, 8);
    vex_shift(e, is_signed ? VPSRAW_IMM : VPSRLW_IMM, u, b, 8);
    vex_rrr(e, VPMADDWD, t, t, u);
    vex_rrr(e, VPADDD, d, d, t);
}
