/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_vector_shift: shifts of each element by a signed amount of its own, the low byte of b's element;
 * negative ones go to the right.
 *
 * 8 and 16 bits: in elements of twice the size, shifted left by the amount plus the element's width and then
 * right by the width. A right shift by more than the width is one by the width if it is signed (limited
 * beforehand) and gives zero otherwise. With rounding, half of the last place is added in between: it does
 * not reach what a left shift leaves.
 */
#include "translator/host/x86_64/emit_vector.h"

/* 16 bits: shifts one half. d = result, counts in words in t's low half, x = the operand's half (d may be x).
 */
static void emit_shift_half(struct emit *e, bool is_signed, bool rounding, unsigned d, unsigned x, unsigned t)
{
    vex_rr(e, VPMOVSXWD, t, t);
    vex_rr(e, is_signed ? VPMOVSXWD : VPMOVZXWD, d, x);
    vex_rrr(e, VPSLLVD, d, d, t);
    if (rounding)
        vex_rrm(e, VPADDD, d, d, pool_splat(e, 2, 0x8000));
    vex_shift(e, is_signed ? VPSRAD_IMM : VPSRLD_IMM, d, d, 16);
}

static void emit_shift_words(struct emit *e, bool is_signed, bool rounding, unsigned d, unsigned a,
                             unsigned b, unsigned t, unsigned u)
{
    vex_shift(e, VPSLLW_IMM, u, b, 8);
    vex_shift(e, VPSRAW_IMM, u, u, 8);
    if (is_signed)
        vex_rrm(e, VPMAXSW, u, u, pool_splat(e, 1, (uint16_t)-16));
    vex_rrm(e, VPADDW, u, u, pool_splat(e, 1, 16));
    vex_rrr(e, VPUNPCKHQDQ, t, u, u);
    vex_rrr(e, VPUNPCKHQDQ, d, a, a);
    emit_shift_half(e, is_signed, rounding, d, d, t);
    emit_shift_half(e, is_signed, rounding, t, a, u);
    vex_rrr(e, is_signed ? VPACKSSDW : VPACKUSDW, d, t, d);
}

/* 8 bits: shifted left by multiplying with a power of two, which is looked up. */
static void emit_shift_bytes(struct emit *e, bool is_signed, bool rounding, unsigned d, unsigned a,
                             unsigned b, unsigned t, unsigned u)
{
    const uint64_t powers = 0x8040201008040201;
    if (is_signed) {
        vex_rrm(e, VPMAXSB, t, b, pool_splat(e, 0, (uint8_t)-8));
        vex_rrm(e, VPADDB, t, t, pool_splat(e, 0, 8));
    } else {
        vex_rrm(e, VPADDB, t, b, pool_splat(e, 0, 8));
    }
    vex_rrm(e, VPADDUSB, t, t, pool_splat(e, 0, 0x70));
    vex_rm(e, V_MOVAPS_LOAD, u, pool_pair(e, powers, 0));
    vex_rrr(e, VPSHUFB, u, u, t);
    vex_rm(e, V_MOVAPS_LOAD, d, pool_pair(e, 0, powers));
    vex_rrr(e, VPSHUFB, d, d, t);
    vex_rrr(e, VPUNPCKHBW, t, u, d);
    vex_rrr(e, VPUNPCKLBW, u, u, d);
    vex_rr(e, is_signed ? VPMOVSXBW : VPMOVZXBW, d, a);
    vex_rrr(e, VPMULLW, u, u, d);
    if (is_signed) {
        vex_rrr(e, VPUNPCKHQDQ, d, a, a);
        vex_rr(e, VPMOVSXBW, d, d);
    } else {
        vex_rrm(e, VPUNPCKHBW, d, a, pool_zero(e));
    }
    vex_rrr(e, VPMULLW, d, d, t);
    if (rounding) {
        vex_rrm(e, VPADDW, u, u, pool_splat(e, 1, 0x80));
        vex_rrm(e, VPADDW, d, d, pool_splat(e, 1, 0x80));
    }
    vex_shift(e, is_signed ? VPSRAW_IMM : VPSRLW_IMM, u, u, 8);
    vex_shift(e, is_signed ? VPSRAW_IMM : VPSRLW_IMM, d, d, 8);
    vex_rrr(e, is_signed ? VPACKSSWB : VPACKUSWB, d, u, d);
}

/* t = the amount of a right shift: 0 .. 128, or more if the shift is a left one */
static void emit_right_amount(struct emit *e, unsigned esize, unsigned t, unsigned b)
{
    vex_zero(e, t);
    vex_rrr(e, esize == 3 ? VPSUBQ : VPSUBD, t, t, b);
    vex_rrm(e, VPAND, t, t, pool_splat(e, esize, 0xff));
}

/* 32 and 64 bits, unsigned: the host's shifts by too much give zero, so that left and right may be combined.
 * With rounding, the last bit that falls off is added. */
static void emit_shift_unsigned(struct emit *e, unsigned esize, bool rounding, unsigned d, unsigned a,
                                unsigned b, unsigned t, unsigned u)
{
    uint32_t left = esize == 3 ? VPSLLVQ : VPSLLVD, right = esize == 3 ? VPSRLVQ : VPSRLVD;
    uint32_t plus = esize == 3 ? VPADDQ : VPADDD;
    emit_right_amount(e, esize, t, b);
    vex_rrr(e, right, d, a, t);
    if (rounding) {
        vex_rrm(e, plus, t, t, pool_ones(e)); /* less one */
        vex_rrr(e, right, u, a, t);
        vex_rrm(e, VPAND, u, u, pool_splat(e, esize, 1));
        vex_rrr(e, plus, d, d, u);
    }
    vex_rrm(e, VPAND, t, b, pool_splat(e, esize, 0xff));
    vex_rrr(e, left, t, a, t);
    vex_rrr(e, VPOR, d, d, t);
}

/* 32 and 64 bits, signed: the logical shift of a ^ sign, ^ sign again. */
static void emit_shift_signed(struct emit *e, unsigned esize, bool rounding, unsigned d, unsigned a,
                              unsigned b, unsigned t, unsigned u)
{
    uint32_t left = esize == 3 ? VPSLLVQ : VPSLLVD, right = esize == 3 ? VPSRLVQ : VPSRLVD;
    uint32_t plus = esize == 3 ? VPADDQ : VPADDD, greater = esize == 3 ? VPCMPGTQ : VPCMPGTD;
    emit_right_amount(e, esize, t, b);
    vex_zero(e, u);
    vex_rrr(e, greater, u, u, a);
    vex_rrr(e, V_PXOR, d, a, u);
    vex_rrr(e, right, d, d, t);
    vex_rrr(e, V_PXOR, d, d, u);
    if (rounding) {
        vex_rrm(e, plus, t, t, pool_ones(e));
        vex_rrr(e, V_PXOR, u, u, a); /* a ^ sign */
        vex_rrr(e, right, u, u, t);
        vex_zero(e, t);
        vex_rrr(e, greater, t, t, a);
        vex_rrr(e, V_PXOR, u, u, t);
        vex_rrm(e, VPAND, u, u, pool_splat(e, esize, 1));
        vex_rrr(e, plus, d, d, u);
    }
    vex_rrm(e, VPAND, t, b, pool_splat(e, esize, 0xff));
    vex_rrr(e, left, u, a, t);
    vex_shift(e, esize == 3 ? VPSLLQ_IMM : VPSLLD_IMM, t, b, esize == 3 ? 56 : 24);
    vex_blend(e, esize == 3 ? VBLENDVPD : VBLENDVPS, d, u, d, t);
}

void emit_vector_shift_variable(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3, op = insn->op;
    bool is_signed = op == IR_VSSHL_VAR || op == IR_VSRSHL_VAR;
    bool rounding = op == IR_VURSHL_VAR || op == IR_VSRSHL_VAR;
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    unsigned t = emit_tmp_xmm(e), u = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    if (esize == 0)
        emit_shift_bytes(e, is_signed, rounding, d, a, b, t, u);
    else if (esize == 1)
        emit_shift_words(e, is_signed, rounding, d, a, b, t, u);
    else if (is_signed)
        emit_shift_signed(e, esize, rounding, d, a, b, t, u);
    else
        emit_shift_unsigned(e, esize, rounding, d, a, b, t, u);
}
