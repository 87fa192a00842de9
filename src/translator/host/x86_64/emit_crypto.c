/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_crypto: AES, SHA and polynomial products.
 *
 * The guest's AES instructions add the key first and do not mix columns; the host's do both at the end. With
 * a key of zero the one gives the other: MixColumns alone is a round of the inverse of SubBytes and
 * ShiftRows.
 *
 * SHA-NI keeps its state in other orders than Arm. Its instructions have no VEX form; generated code leaves
 * the upper halves of the 256-bit registers clean, so that they may be mixed.
 */
#include <cpuid.h>

#include "translator/host/x86_64/emit_vector.h"

/* -- AES ----------------------------------------------------------------------------------------------- */

/*
 * The AESMC (AESIMC) to which alone the round's result v goes, as compilers and libraries have it: then the
 * two are one instruction of the host, which yields that one's result at once. IR_NONE if there is none
 * nearby.
 */
static ir_value find_mix(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    enum { NEAR = 8 };
    const struct ir_region *r = e->region;
    unsigned mix = insn->op == IR_AESE ? IR_AESMC : IR_AESIMC;
    bool adjacent = true;
    if (e->values[v].uses != 1)
        return IR_NONE;
    for (ir_value i = v + 1; i < r->count && i < v + NEAR; i++) {
        bool dead = e->values[i].mark & VALUE_DEAD;
        if (r->insns[i].op == mix && r->insns[i].a == v && !dead) {
            if (adjacent)
                e->values[v].hint = e->values[i].hint;
            return i;
        }
        adjacent = adjacent && (dead || r->insns[i].op == IR_INSN);
    }
    return IR_NONE;
}

void emit_aes_round(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool encrypts = insn->op == IR_AESE, whole = find_mix(e, insn, v) != IR_NONE;
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), d = emit_def_xmm_last(e, v);
    vex_rrr(e, V_PXOR, d, a, b);
    if (whole) {
        vex_rrm(e, encrypts ? VAESENC : VAESDEC, d, d, pool_zero(e));
        e->values[v].mark |= VALUE_MIXED;
    } else {
        vex_rrm(e, encrypts ? VAESENCLAST : VAESDECLAST, d, d, pool_zero(e));
    }
}

void emit_aes_mix(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    if (e->values[insn->a].mark & VALUE_MIXED) {
        emit_alias(e, v, insn->a);
        return;
    }
    unsigned a = emit_use_xmm(e, insn->a), d = emit_def_xmm_last(e, v);
    if (insn->op == IR_AESIMC) {
        vex_rr(e, VAESIMC, d, a);
        return;
    }
    vex_rrm(e, VAESDECLAST, d, a, pool_zero(e));
    vex_rrm(e, VAESENC, d, d, pool_zero(e));
}

/* -- polynomials --------------------------------------------------------------------------------------- */

void emit_polynomial_long(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool high = insn->op == IR_VPMULL_HI;
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    if ((insn->aux & 3) == 3) {
        vex_rrri(e, VPCLMULQDQ, emit_def_xmm_last(e, v), a, b, high ? 0x11 : 0x00);
        return;
    }
    unsigned x = emit_tmp_xmm(e), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    if (high)
        vex_rrm(e, VPUNPCKHBW, x, a, pool_zero(e));
    else
        vex_rr(e, VPMOVZXBW, x, a);
    for (unsigned bit = 0; bit < 8; bit++) {
        /* bytes doubled: the upper one's bit selects */
        vex_rrr(e, high ? VPUNPCKHBW : VPUNPCKLBW, t, b, b);
        vex_shift(e, VPSLLW_IMM, t, t, 7 - bit);
        vex_shift(e, VPSRAW_IMM, t, t, 15);
        vex_rrr(e, VPAND, t, t, x);
        if (bit == 0)
            vex_move(e, d, t);
        else
            vex_rrr(e, V_PXOR, d, d, t);
        vex_rrr(e, VPADDW, x, x, x);
    }
}

/* Bytes, cut to bytes: where a bit of b is set, a shifted left by its number. */
void emit_polynomial(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    unsigned x = emit_tmp_xmm(e), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    vex_move(e, x, a);
    for (unsigned bit = 0; bit < 8; bit++) {
        vex_shift(e, VPSLLW_IMM, t, b, 7 - bit);
        /* blends by the top bit of each byte; the low byte's spill-over does not reach it */
        if (bit == 0)
            vex_zero(e, d);
        vex_rrm(e, VPAND, t, t, pool_splat(e, 0, 0x80));
        vex_rrm(e, VPCMPEQB, t, t, pool_splat(e, 0, 0x80));
        vex_rrr(e, VPAND, t, t, x);
        vex_rrr(e, V_PXOR, d, d, t);
        vex_rrr(e, VPADDB, x, x, x);
    }
}

/* -- SHA without the host's help ----------------------------------------------------------------------- */

/* d = each 32-bit element of a rotated left; t is scratch */
static void emit_rotate(struct emit *e, unsigned d, unsigned a, unsigned count, unsigned t)
{
    vex_shift(e, VPSRLD_IMM, t, a, 32 - count);
    vex_shift(e, VPSLLD_IMM, d, a, count);
    vex_rrr(e, VPOR, d, d, t);
}

void emit_sha1_rotate(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    emit_rotate(e, d, a, 30, t);
    vex_rrri(e, VINSERTPS, d, d, d, 0x0e);
}

void emit_sha1_schedule0(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), c = emit_use_xmm(e, insn->c);
    unsigned d = emit_def_xmm(e, v);
    vex_rrri(e, VPALIGNR, d, b, a, 8);
    vex_rrr(e, V_PXOR, d, d, a);
    vex_rrr(e, V_PXOR, d, d, c);
}

/* The last element also takes the first of the result, rotated once more. */
void emit_sha1_schedule1(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    unsigned t = emit_tmp_xmm(e), u = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    vex_shift(e, VPSRLDQ, t, b, 4);
    vex_rrr(e, V_PXOR, t, t, a);
    emit_rotate(e, d, t, 1, u);
    vex_shift(e, VPSLLDQ, t, t, 12);
    emit_rotate(e, t, t, 2, u);
    vex_rrr(e, V_PXOR, d, d, t);
}

/* -- SHA-NI ---------------------------------------------------------------------------------------- */

static int sha_state = -1; /* unknown */

bool host_use_sha(void)
{
    if (sha_state < 0) {
        unsigned a, b, c, d;
        sha_state = __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & 1u << 29;
    }
    return sha_state > 0;
}

void host_set_sha(int state)
{
    sha_state = state;
}

enum { SHA1RNDS4 = 0x3acc, SHA256RNDS2 = 0x38cb, SHA256MSG1 = 0x38cc, SHA256MSG2 = 0x38cd };

/* d = d OP s */
static void emit_sha(struct emit *e, unsigned op, unsigned d, unsigned s)
{
    unsigned rex = 0x40 | d >> 3 << 2 | s >> 3;
    if (rex != 0x40)
        asm_byte(e->a, rex);
    asm_byte(e->a, 0x0f);
    asm_byte(e->a, op >> 8);
    asm_byte(e->a, op & 0xff);
    asm_byte(e->a, 0xc0 | (d & 7) << 3 | (s & 7));
}

/* SHA1RNDS4 has the elements in the opposite order and adds the round constant itself. */
void emit_sha1_rounds(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint32_t constant[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc};
    if (!host_use_sha()) {
        emit_eval(e, insn, v);
        return;
    }
    unsigned which = insn->op - IR_SHA1C; /* choose, parity, majority */
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), c = emit_use_xmm(e, insn->c);
    unsigned t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    vex_rrm(e, VPADDD, t, c, pool_splat(e, 2, 0u - constant[which]));
    vex_rri(e, VPSHUFD, t, t, 0x1b);
    vex_shift(e, VPSLLDQ, d, b, 12);
    vex_rrr(e, VPADDD, t, t, d);
    vex_rri(e, VPSHUFD, d, a, 0x1b);
    emit_sha(e, SHA1RNDS4, d, t);
    asm_byte(e->a, which);
    vex_rri(e, VPSHUFD, d, d, 0x1b);
}

/*
 * SHA256RNDS2 does two rounds: from f e b a (low to high) in s and h g d c in d to the new f e b a in d; the
 * old f e b a are the new h g d c. It takes the sums of words and constants from xmm0.
 */
void emit_sha256_rounds(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool second = insn->op == IR_SHA256H2;
    if (!host_use_sha()) {
        emit_eval(e, insn, v);
        return;
    }
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), c = emit_use_xmm(e, insn->c);
    unsigned t = emit_tmp_xmm(e);
    uint32_t busy = (e->locked | e->scratch) >> PLACE_XMM & TMP_XMM_MASK;
    bool have_xmm0 = t == 0 && __builtin_popcount(busy) <= TMP_XMM_COUNT - 2;
    if (have_xmm0)
        t = emit_tmp_xmm(e);
    unsigned d = emit_def_xmm(e, v);
    unsigned abcd = second ? b : a, efgh = second ? a : b;
    /* If xmm0 is not free, it is taken from whoever has it: its value waits in the CPU structure, or, if it
     * is one of the two registers that this needs, a third one's does. */
    struct mem saved = emit_cpu(e, CPU_EVAL_RESULT);
    unsigned borrowed = 0, s = t, h = d;
    if (t == 0 || d == 0) {
        for (borrowed = 15;
             borrowed == a || borrowed == b || borrowed == c || borrowed == t || borrowed == d;)
            borrowed--;
        *(t == 0 ? &s : &h) = borrowed;
    }
    if (!have_xmm0)
        vex_rm(e, V_MOVUPS_STORE, borrowed, rm_mem(saved));
    vex_rrri(e, VSHUFPS, s, efgh, abcd, 0x11);
    vex_rrri(e, VSHUFPS, h, efgh, abcd, 0xbb);
    vex_move(e, 0, c);
    emit_sha(e, SHA256RNDS2, h, s);
    vex_rri(e, VPSHUFD, 0, 0, 0x0e);
    emit_sha(e, SHA256RNDS2, s, h);
    vex_rrri(e, VSHUFPS, d, s, h, second ? 0x11 : 0xbb);
    if (!have_xmm0)
        vex_rm(e, V_MOVUPS_LOAD, borrowed, rm_mem(saved));
}

/* d = each 32-bit element of a rotated right by r1 ^ by r2 ^ shifted right by n; t is scratch */
static void emit_sigma(struct emit *e, unsigned d, unsigned a, const uint8_t count[3], unsigned t)
{
    vex_shift(e, VPSRLD_IMM, d, a, count[2]);
    for (unsigned i = 0; i < 2; i++) {
        vex_shift(e, VPSRLD_IMM, t, a, count[i]);
        vex_rrr(e, V_PXOR, d, d, t);
        vex_shift(e, VPSLLD_IMM, t, a, 32u - count[i]);
        vex_rrr(e, V_PXOR, d, d, t);
    }
}

void emit_sha256_schedule0(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint8_t sigma0[] = {7, 18, 3};
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    if (host_use_sha()) {
        unsigned d = emit_def_xmm(e, v);
        vex_move(e, d, a);
        emit_sha(e, SHA256MSG1, d, b);
        return;
    }
    unsigned t = emit_tmp_xmm(e), u = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    vex_rrri(e, VPALIGNR, u, b, a, 4);
    emit_sigma(e, d, u, sigma0, t);
    vex_rrr(e, VPADDD, d, d, a);
}

/* The upper two elements' sigma is that of the result's lower two. */
static void emit_schedule1(struct emit *e, ir_value v, unsigned a, unsigned b, unsigned c)
{
    static const uint8_t sigma1[] = {17, 19, 10};
    unsigned t = emit_tmp_xmm(e), u = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    emit_sigma(e, u, c, sigma1, t);
    vex_shift(e, VPSRLDQ, u, u, 8);
    vex_rrri(e, VPALIGNR, t, c, b, 4);
    vex_rrr(e, VPADDD, t, t, a);
    vex_rrr(e, VPADDD, u, u, t);
    emit_sigma(e, d, u, sigma1, t);
    vex_shift(e, VPSLLDQ, d, d, 8);
    vex_rrr(e, VPADDD, d, d, u);
}

void emit_sha256_schedule1(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), c = emit_use_xmm(e, insn->c);
    if (host_use_sha()) {
        unsigned d = emit_def_xmm(e, v);
        vex_rrri(e, VPALIGNR, d, c, b, 4);
        vex_rrr(e, VPADDD, d, d, a);
        emit_sha(e, SHA256MSG2, d, c);
    } else if (__builtin_popcount(e->locked >> PLACE_XMM & TMP_XMM_MASK) <= TMP_XMM_COUNT - 3) {
        emit_schedule1(e, v, a, b, c);
    } else {
        emit_eval(e, insn, v);
    }
}
