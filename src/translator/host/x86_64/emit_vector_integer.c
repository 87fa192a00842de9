/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_vector_integer: arithmetic, comparisons and logic on vectors of integers.
 *
 * d, a, b are the result and the operands, t and u scratch. Where a table has no instruction for an element
 * size (0), a sequence follows below.
 */
#include "translator/host/x86_64/emit_vector.h"

static const uint32_t add[] = {VPADDB, VPADDW, VPADDD, VPADDQ};
static const uint32_t subtract[] = {VPSUBB, VPSUBW, VPSUBD, VPSUBQ};
static const uint32_t equal[] = {VPCMPEQB, VPCMPEQW, VPCMPEQD, VPCMPEQQ};
static const uint32_t greater[] = {VPCMPGTB, VPCMPGTW, VPCMPGTD, VPCMPGTQ};
static const uint32_t signed_min[] = {VPMINSB, VPMINSW, VPMINSD, 0};
static const uint32_t signed_max[] = {VPMAXSB, VPMAXSW, VPMAXSD, 0};
static const uint32_t unsigned_min[] = {VPMINUB, VPMINUW, VPMINUD, 0};
static const uint32_t unsigned_max[] = {VPMAXUB, VPMAXUW, VPMAXUD, 0};
static const uint32_t shift_left[] = {0, VPSLLW_IMM, VPSLLD_IMM, VPSLLQ_IMM};
static const uint32_t shift_right[] = {0, VPSRLW_IMM, VPSRLD_IMM, VPSRLQ_IMM};
static const uint32_t shift_right_signed[] = {0, VPSRAW_IMM, VPSRAD_IMM, 0};

/* d = ~d */
static void emit_invert(struct emit *e, unsigned d)
{
    vex_rrm(e, V_PXOR, d, d, pool_ones(e));
}

/* -- logic --------------------------------------------------------------------------------------------- */

void emit_vector_logic(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint32_t ops[] = {
        [IR_VAND - IR_VAND] = VPAND, [IR_VOR - IR_VAND] = VPOR, [IR_VXOR - IR_VAND] = V_PXOR};
    unsigned a = emit_use_xmm(e, insn->a);
    struct rm b = emit_use_xmm_rm(e, insn->b);
    vex_rrm(e, ops[insn->op - IR_VAND], emit_def_xmm_last(e, v), a, b);
}

void emit_vector_and_not(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    struct rm a = emit_use_xmm_rm(e, insn->a);
    unsigned b = emit_use_xmm(e, insn->b);
    vex_rrm(e, VPANDN, emit_def_xmm_last(e, v), b, a);
}

void emit_vector_or_not(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), d = emit_def_xmm(e, v);
    vex_rrm(e, V_PXOR, d, b, pool_ones(e));
    vex_rrr(e, VPOR, d, d, a);
}

void emit_vector_not(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a);
    vex_rrm(e, V_PXOR, emit_def_xmm_last(e, v), a, pool_ones(e));
}

void emit_vector_select(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), c = emit_use_xmm(e, insn->c);
    unsigned t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    vex_rrr(e, VPAND, t, a, b);
    vex_rrr(e, VPANDN, d, a, c);
    vex_rrr(e, VPOR, d, d, t);
}

/* -- sums and products --------------------------------------------------------------------------------- */

void emit_vector_add(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a);
    struct rm b = emit_use_xmm_rm(e, insn->b);
    vex_rrm(e, (insn->op == IR_VADD ? add : subtract)[insn->aux & 3], emit_def_xmm_last(e, v), a, b);
}

void emit_vector_mul(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    switch (insn->aux & 3) {
    case 0: { /* odd bytes, even bytes */
        unsigned t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
        vex_shift(e, VPSRLW_IMM, t, a, 8);
        vex_rrm(e, VPAND, d, b, pool_splat(e, 1, 0xff00));
        vex_rrr(e, VPMULLW, t, t, d);
        vex_rrr(e, VPMULLW, d, a, b);
        vex_rrm(e, VPAND, d, d, pool_splat(e, 1, 0x00ff));
        vex_rrr(e, VPOR, d, d, t);
        break;
    }
    case 1: vex_rrr(e, VPMULLW, emit_def_xmm_last(e, v), a, b); break;
    case 2: vex_rrr(e, VPMULLD, emit_def_xmm_last(e, v), a, b); break;
    default: { /* the low halves' product, and the mixed ones */
        unsigned t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
        vex_shift(e, VPSRLQ_IMM, t, a, 32);
        vex_rrr(e, VPMULUDQ, t, t, b);
        vex_shift(e, VPSRLQ_IMM, d, b, 32);
        vex_rrr(e, VPMULUDQ, d, d, a);
        vex_rrr(e, VPADDQ, t, t, d);
        vex_shift(e, VPSLLQ_IMM, t, t, 32);
        vex_rrr(e, VPMULUDQ, d, a, b);
        vex_rrr(e, VPADDQ, d, d, t);
        break;
    }
    }
}

void emit_vector_negate(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), d = emit_def_xmm(e, v);
    vex_zero(e, d);
    vex_rrr(e, subtract[insn->aux & 3], d, d, a);
}

/* d = |a|, wrapping; t is scratch for 64-bit elements */
static void emit_absolute(struct emit *e, unsigned esize, unsigned d, unsigned a, unsigned t)
{
    static const uint32_t absolute[] = {VPABSB, VPABSW, VPABSD};
    if (esize < 3) {
        vex_rr(e, absolute[esize], d, a);
        return;
    }
    vex_zero(e, t);
    vex_rrr(e, VPCMPGTQ, t, t, a);
    vex_rrr(e, V_PXOR, d, a, t);
    vex_rrr(e, VPSUBQ, d, d, t);
}

void emit_vector_absolute(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3, a = emit_use_xmm(e, insn->a);
    if (esize < 3) {
        emit_absolute(e, esize, emit_def_xmm_last(e, v), a, 0);
    } else {
        unsigned t = emit_tmp_xmm(e);
        emit_absolute(e, esize, emit_def_xmm(e, v), a, t);
    }
}

/* -- comparisons --------------------------------------------------------------------------------------- */

/* d = a > b, 64 bits, unsigned; t is scratch */
static void emit_greater_unsigned(struct emit *e, unsigned d, unsigned a, unsigned b, unsigned t)
{
    struct rm sign = pool_splat(e, 3, element_sign(3));
    vex_rrm(e, V_PXOR, t, b, sign);
    vex_rrm(e, V_PXOR, d, a, sign);
    vex_rrr(e, VPCMPGTQ, d, d, t);
}

static void emit_minmax(struct emit *e, enum ir_op op, unsigned esize, unsigned d, unsigned a, unsigned b,
                        unsigned t)
{
    bool is_signed = op == IR_VSMIN || op == IR_VSMAX, is_min = op == IR_VSMIN || op == IR_VUMIN;
    const uint32_t *table =
        is_signed ? (is_min ? signed_min : signed_max) : (is_min ? unsigned_min : unsigned_max);
    if (esize < 3) {
        vex_rrr(e, table[esize], d, a, b);
        return;
    }
    if (is_signed)
        vex_rrr(e, VPCMPGTQ, d, a, b);
    else
        emit_greater_unsigned(e, d, a, b, t);
    vex_blend(e, VBLENDVPD, d, is_min ? a : b, is_min ? b : a, d);
}

void emit_vector_minmax(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3;
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    if (esize < 3) {
        emit_minmax(e, insn->op, esize, emit_def_xmm_last(e, v), a, b, 0);
    } else {
        unsigned t = emit_tmp_xmm(e);
        emit_minmax(e, insn->op, esize, emit_def_xmm(e, v), a, b, t);
    }
}

void emit_vector_compare(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3;
    unsigned a = emit_use_xmm(e, insn->a);
    struct rm b = emit_use_xmm_rm(e, insn->b);
    vex_rrm(e, (insn->op == IR_VCMPEQ ? equal : greater)[esize], emit_def_xmm_last(e, v), a, b);
}

/* Signed a >= b; unsigned a >= b, a > b */
void emit_vector_compare_more(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3;
    bool is_signed = insn->op == IR_VCMPGE, or_equal = insn->op != IR_VCMPHI;
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    if (esize == 3) {
        unsigned t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
        if (is_signed)
            vex_rrr(e, VPCMPGTQ, d, b, a);
        else
            emit_greater_unsigned(e, d, or_equal ? b : a, or_equal ? a : b, t);
        if (or_equal)
            emit_invert(e, d);
        return;
    }
    unsigned d = emit_def_xmm(e, v);
    vex_rrr(e, is_signed ? signed_max[esize] : or_equal ? unsigned_max[esize] : unsigned_min[esize], d, a, b);
    vex_rrr(e, equal[esize], d, d, a);
    if (!or_equal)
        emit_invert(e, d);
}

void emit_vector_test(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), d = emit_def_xmm(e, v);
    if (a == b)
        vex_rrm(e, equal[insn->aux & 3], d, a, pool_zero(e));
    else {
        vex_rrr(e, VPAND, d, a, b);
        vex_rrm(e, equal[insn->aux & 3], d, d, pool_zero(e));
    }
    emit_invert(e, d);
}

/* -- halves, differences --------------------------------------------------------------------------- */

/* d = (a + b + 1) >> 1 without losing the carry; t is scratch */
static void emit_average(struct emit *e, unsigned esize, bool is_signed, unsigned d, unsigned a, unsigned b,
                         unsigned t)
{
    if (esize < 2) {
        uint32_t op = esize ? VPAVGW : VPAVGB;
        if (!is_signed) {
            vex_rrr(e, op, d, a, b);
            return;
        }
        struct rm sign = pool_splat(e, esize, element_sign(esize));
        vex_rrm(e, V_PXOR, t, a, sign);
        vex_rrm(e, V_PXOR, d, b, sign);
        vex_rrr(e, op, d, d, t);
        vex_rrm(e, V_PXOR, d, d, sign);
        return;
    }
    vex_rrr(e, V_PXOR, t, a, b);
    vex_rrr(e, VPOR, d, a, b);
    vex_shift(e, is_signed ? VPSRAD_IMM : VPSRLD_IMM, t, t, 1);
    vex_rrr(e, VPSUBD, d, d, t);
}

void emit_vector_halve(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3, op = insn->op;
    bool is_signed = op == IR_VSHADD || op == IR_VSRHADD || op == IR_VSHSUB;
    if (esize == 3) { /* no guest has it */
        emit_eval(e, insn, v);
        return;
    }
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), t = emit_tmp_xmm(e),
             d = emit_def_xmm(e, v);
    if (op == IR_VURHADD || op == IR_VSRHADD) {
        emit_average(e, esize, is_signed, d, a, b, t);
    } else if (op == IR_VUHSUB || op == IR_VSHSUB) { /* a - (a + b + 1) / 2 = (a - b) / 2 */
        emit_average(e, esize, is_signed, d, a, b, t);
        vex_rrr(e, subtract[esize], d, a, d);
    } else { /* the average less what its rounding added */
        emit_average(e, esize, is_signed, d, a, b, t);
        vex_rrr(e, V_PXOR, t, a, b);
        vex_rrm(e, VPAND, t, t, pool_splat(e, esize, 1));
        vex_rrr(e, subtract[esize], d, d, t);
    }
}

void emit_vector_difference(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3;
    bool is_signed = insn->op == IR_VSABD;
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), t = emit_tmp_xmm(e);
    unsigned u = esize == 3 ? emit_tmp_xmm(e) : t, d = emit_def_xmm(e, v);
    emit_minmax(e, is_signed ? IR_VSMAX : IR_VUMAX, esize, d, a, b, u);
    emit_minmax(e, is_signed ? IR_VSMIN : IR_VUMIN, esize, t, a, b, u);
    vex_rrr(e, subtract[esize], d, d, t);
}

/* -- shifts by a constant -------------------------------------------------------------------------- */

void emit_shift_left(struct emit *e, unsigned esize, unsigned d, unsigned a, unsigned n)
{
    if (esize) {
        vex_shift(e, shift_left[esize], d, a, n);
        return;
    }
    vex_shift(e, VPSLLW_IMM, d, a, n);
    vex_rrm(e, VPAND, d, d, pool_splat(e, 0, 0xffu << n));
}

void emit_shift_right(struct emit *e, unsigned esize, bool is_signed, unsigned d, unsigned a, unsigned n)
{
    unsigned bits = 8u << esize;
    if (is_signed && n == bits)
        n--;
    if (!is_signed) {
        vex_shift(e, esize ? shift_right[esize] : VPSRLW_IMM, d, a, n);
        if (esize == 0)
            vex_rrm(e, VPAND, d, d, pool_splat(e, 0, 0xffu >> n));
        return;
    }
    if (shift_right_signed[esize]) {
        vex_shift(e, shift_right_signed[esize], d, a, n);
        return;
    }
    /* the logical shift, then the sign, now at a lower place, spread upwards */
    struct rm sign = pool_splat(e, esize, element_sign(esize) >> n);
    emit_shift_right(e, esize, false, d, a, n);
    vex_rrm(e, V_PXOR, d, d, sign);
    vex_rrm(e, subtract[esize], d, d, sign);
}

void emit_vector_shift(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3, n = (unsigned)insn->imm, a = emit_use_xmm(e, insn->a);
    if (insn->op == IR_VSHL)
        emit_shift_left(e, esize, emit_def_xmm_last(e, v), a, n);
    else
        emit_shift_right(e, esize, insn->op == IR_VSSHR, emit_def_xmm_last(e, v), a, n);
}

/* a >> n, plus the last bit that fell off */
void emit_vector_shift_rounding(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3, n = (unsigned)insn->imm;
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    vex_shift(e, esize ? shift_right[esize] : VPSRLW_IMM, t, a, n - 1);
    vex_rrm(e, VPAND, t, t, pool_splat(e, esize, 1));
    emit_shift_right(e, esize, insn->op == IR_VSRSHR, d, a, n);
    vex_rrr(e, add[esize], d, d, t);
}

/* -- bits ------------------------------------------------------------------------------------------ */

/* d = for each byte of a low[its low nibble] OP high[its high nibble]; t is scratch */
static void emit_nibbles(struct emit *e, uint32_t op, unsigned d, unsigned a, unsigned t,
                         const uint64_t low[2], const uint64_t high[2])
{
    unsigned u = emit_tmp_xmm(e);
    vex_rrm(e, VPAND, t, a, pool_splat(e, 0, 0x0f));
    vex_rm(e, V_MOVAPS_LOAD, u, pool_pair(e, low[0], low[1]));
    vex_rrr(e, VPSHUFB, u, u, t);
    vex_shift(e, VPSRLW_IMM, t, a, 4);
    vex_rrm(e, VPAND, t, t, pool_splat(e, 0, 0x0f));
    vex_rm(e, V_MOVAPS_LOAD, d, pool_pair(e, high[0], high[1]));
    vex_rrr(e, VPSHUFB, d, d, t);
    vex_rrr(e, op, d, d, u);
}

void emit_vector_count(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint64_t bits[2] = {0x0302020102010100, 0x0403030203020201};
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    emit_nibbles(e, VPADDB, d, a, t, bits, bits);
}

void emit_vector_reverse_bits(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint64_t low[2] = {0xe060a020c0408000, 0xf070b030d0509010};
    static const uint64_t high[2] = {0x0e060a020c040800, 0x0f070b030d050901};
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    emit_nibbles(e, VPOR, d, a, t, low, high);
}

/*
 * Leading zeros of each byte, then of pairs, of pairs of pairs: the upper one's number, and if that is all
 * of it also the lower one's. CLS counts in a ^ (a << 1), where a bit is set if it differs from the one
 * below.
 */
void emit_vector_leading(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint64_t low[2] = {0x0505050506060708, 0x0404040404040404};
    static const uint64_t high[2] = {0x0101010102020308, 0};
    unsigned esize = insn->aux & 3;
    if (esize == 3) { /* no guest has it */
        emit_eval(e, insn, v);
        return;
    }
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    if (insn->op == IR_VCLS) {
        vex_rrr(e, add[esize], d, a, a);
        vex_rrr(e, V_PXOR, d, d, a);
        vex_rrm(e, VPOR, d, d, pool_splat(e, esize, 1));
        a = d;
    }
    emit_nibbles(e, VPMINUB, d, a, t, low, high);
    for (unsigned size = 0; size < esize; size++) {
        vex_rrm(e, equal[size], t, d, pool_splat(e, size, 8u << size));
        vex_shift(e, shift_right[size + 1], t, t, 8u << size);
        vex_rrr(e, VPAND, t, t, d);
        vex_shift(e, shift_right[size + 1], d, d, 8u << size);
        vex_rrr(e, add[size + 1], d, d, t);
    }
}
