/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_sha512: SHA-512, two rounds an instruction, in vector registers: what one round gives the next never
 * leaves them, and the flags stay as they are. AVX-512, where there is one, has rotations and functions of
 * three operands in one instruction each.
 */
#include "translator/host/x86_64/emit_vector.h"

static int avx512_state = -1; /* unknown */

bool host_use_avx512(void)
{
    if (avx512_state < 0) {
        __builtin_cpu_init();
        avx512_state = __builtin_cpu_supports("avx512vl") != 0;
    }
    return avx512_state > 0;
}

void host_set_avx512(int state)
{
    avx512_state = state;
}

/* -- functions of doublewords -------------------------------------------------------------------------- */

enum { TERNARY_XOR = 0x96, TERNARY_MAJORITY = 0xe8 };

/*
 * d = a rotated right by n[0] ^ by n[1] ^ by n[2], or shifted by that. d, t and u differ from a; t and u are
 * scratch.
 */
static void emit_sum(struct emit *e, unsigned d, unsigned t, unsigned u, unsigned a, const uint8_t n[3],
                     bool shift)
{
    if (host_use_avx512()) {
        asm_evex_imm(e->a, EVEX_VPRORQ, 0, d, a, n[0]);
        asm_evex_imm(e->a, EVEX_VPRORQ, 0, t, a, n[1]);
        if (shift)
            vex_shift(e, VPSRLQ_IMM, u, a, n[2]);
        else
            asm_evex_imm(e->a, EVEX_VPRORQ, 0, u, a, n[2]);
        asm_evex_imm(e->a, EVEX_VPTERNLOGQ, d, t, u, TERNARY_XOR);
        return;
    }
    vex_shift(e, VPSRLQ_IMM, d, a, n[0]);
    vex_shift(e, VPSLLQ_IMM, t, a, 64u - n[0]);
    for (unsigned i = 1; i < 3; i++) {
        vex_shift(e, VPSRLQ_IMM, u, a, n[i]);
        vex_rrr(e, V_PXOR, d, d, u);
        if (i == 2 && shift)
            break;
        vex_shift(e, VPSLLQ_IMM, u, a, 64u - n[i]);
        vex_rrr(e, V_PXOR, t, t, u);
    }
    vex_rrr(e, V_PXOR, d, d, t);
}

/* d = where a bit of m is set that of a, else that of d; t is scratch. */
static void emit_choose(struct emit *e, unsigned d, unsigned m, unsigned a, unsigned t)
{
    if (host_use_avx512()) {
        asm_evex_imm(e->a, EVEX_VPTERNLOGQ, d, m, a, 0xb8);
        return;
    }
    vex_rrr(e, V_PXOR, t, d, a);
    vex_rrr(e, VPAND, t, t, m);
    vex_rrr(e, V_PXOR, d, d, t);
}

/* d = majority of a, b and another, which differs from b by k (with AVX-512: which is k). */
static void emit_majority(struct emit *e, unsigned d, unsigned a, unsigned b, unsigned k)
{
    if (host_use_avx512()) {
        vex_move(e, d, a);
        asm_evex_imm(e->a, EVEX_VPTERNLOGQ, d, k, b, TERNARY_MAJORITY);
        return;
    }
    vex_rrr(e, V_PXOR, d, a, b);
    vex_rrr(e, VPAND, d, d, k);
    vex_rrr(e, V_PXOR, d, d, b);
}

enum { SWAP = 0x4e };

/* -- rounds -------------------------------------------------------------------------------------------- */

/*
 * SHA512H, in the upper halves: Vd1 + choose(Vm1: Vn0, Vn1) + sum(Vm1) is the first round's; with Vm0 added
 * it is the next one's Vm1.
 */
void emit_sha512_rounds(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint8_t sum[] = {14, 18, 41};
    unsigned b = emit_use_xmm(e, insn->b), c = emit_use_xmm(e, insn->c);
    struct rm a = emit_use_xmm_rm(e, insn->a);
    unsigned d = emit_def_xmm_last(e, v);
    struct emit_scratch scratch = emit_scratch_take(e, 5);
    unsigned k = scratch.reg[0], m = scratch.reg[1], s = scratch.reg[2], t = scratch.reg[3],
             u = scratch.reg[4];

    vex_rri(e, VPSHUFD, m, b, SWAP);
    vex_move(e, k, b);
    emit_choose(e, k, c, m, t);
    vex_rrm(e, VPADDQ, k, k, a);
    emit_sum(e, s, t, u, c, sum, false);
    vex_rrr(e, VPADDQ, s, s, k);
    vex_rrr(e, VPUNPCKLQDQ, k, c, c);
    vex_rrr(e, VPADDQ, k, k, s);
    emit_choose(e, m, k, c, t);
    vex_rm(e, VMOVDDUP, t, a);
    vex_rrr(e, VPADDQ, m, m, t);
    vex_rrr(e, VPUNPCKHQDQ, m, m, s);
    emit_sum(e, s, t, u, k, sum, false);
    vex_shift(e, VPSRLDQ, s, s, 8);
    vex_rrr(e, VPADDQ, d, m, s);
    emit_scratch_return(e, &scratch);
}

/* SHA512H2, in the lower halves: Vd1 + majority(Vn0, Vm1, Vm0) + sum(Vm0), which takes Vn0's place. */
void emit_sha512_rounds2(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint8_t sum[] = {28, 34, 39};
    unsigned b = emit_use_xmm(e, insn->b), c = emit_use_xmm(e, insn->c);
    struct rm a = emit_use_xmm_rm(e, insn->a);
    unsigned d = emit_def_xmm_last(e, v);
    struct emit_scratch scratch = emit_scratch_take(e, 5);
    unsigned k = scratch.reg[0], m = scratch.reg[1], s = scratch.reg[2], t = scratch.reg[3],
             u = scratch.reg[4];

    vex_rri(e, VPSHUFD, k, c, SWAP);
    if (!host_use_avx512())
        vex_rrr(e, V_PXOR, k, k, c);
    emit_majority(e, m, b, c, k);
    vex_rmi(e, VPSHUFD, t, a, SWAP);
    vex_rrr(e, VPADDQ, m, m, t);
    emit_sum(e, s, t, u, c, sum, false);
    vex_rrr(e, VPADDQ, s, s, m);
    emit_majority(e, m, s, c, k);
    vex_rrm(e, VPADDQ, m, m, a);
    vex_rrr(e, VPUNPCKLQDQ, m, m, s);
    emit_sum(e, t, u, k, s, sum, false);
    vex_rr(e, V_MOVQ_LOAD, t, t);
    vex_rrr(e, VPADDQ, d, m, t);
    emit_scratch_return(e, &scratch);
}

/* -- the message schedule ------------------------------------------------------------------------------ */

void emit_sha512_schedule0(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint8_t sigma0[] = {1, 8, 7};
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), d = emit_def_xmm_last(e, v);
    struct emit_scratch scratch = emit_scratch_take(e, 4);
    const unsigned *r = scratch.reg;
    vex_rrri(e, VPALIGNR, r[0], b, a, 8);
    emit_sum(e, r[1], r[2], r[3], r[0], sigma0, true);
    vex_rrr(e, VPADDQ, d, r[1], a);
    emit_scratch_return(e, &scratch);
}

void emit_sha512_schedule1(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint8_t sigma1[] = {19, 61, 6};
    unsigned b = emit_use_xmm(e, insn->b);
    struct rm a = emit_use_xmm_rm(e, insn->a), c = emit_use_xmm_rm(e, insn->c);
    unsigned d = emit_def_xmm_last(e, v);
    struct emit_scratch scratch = emit_scratch_take(e, 3);
    const unsigned *r = scratch.reg;
    emit_sum(e, r[0], r[1], r[2], b, sigma1, true);
    vex_rrm(e, VPADDQ, r[0], r[0], a);
    vex_rrm(e, VPADDQ, d, r[0], c);
    emit_scratch_return(e, &scratch);
}
