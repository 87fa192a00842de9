/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emit_vector_move: operations that move lanes into, out of and between vectors. */
#include "translator/host/x86_64/emit_vector.h"

/* -- between vectors and other registers --------------------------------------------------------------- */

/* d = lane 0 of 4 bytes of a, the rest zero */
static void emit_low_word(struct emit *e, unsigned d, unsigned a)
{
    vex_rrri(e, VINSERTPS, d, a, a, 0x0e);
}

/*
 * Clears what lies above an F32 or F64 in its own register, so that other readers of the value share the
 * register with the vector. False if the register may be another's, too: a guest register's home, a vector.
 */
static bool emit_clear_above(struct emit *e, ir_value f, bool is_double)
{
    unsigned place = e->values[f].place;
    if (place < PLACE_XMM || place >= PLACE_SPILL || e->places[place].guest ||
        e->region->insns[f].op == IR_VGET_FLOAT || e->region->insns[f].op == IR_SELECT)
        return false;
    for (ir_value other = e->places[place].refs ? e->places[place].values : IR_NONE; other;
         other = e->values[other].next)
        if (other != f && e->values[other].place == place)
            return false;
    if (is_double)
        vex_rr(e, V_MOVQ_LOAD, place - PLACE_XMM, place - PLACE_XMM);
    else
        emit_low_word(e, place - PLACE_XMM, place - PLACE_XMM);
    emit_set_upper_zero(e, f);
    return true;
}

void emit_vector_from_float(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = insn->a_type == IR_F64;
    if (emit_upper_zero(e, insn->a) ||
        (!emit_is_last_use(e, insn->a) && emit_clear_above(e, insn->a, is_double))) {
        emit_alias(e, v, insn->a);
        return;
    }
    struct rm a = emit_use_xmm_rm(e, insn->a);
    unsigned d = emit_def_xmm_last(e, v);
    if (is_double)
        vex_rm(e, V_MOVQ_LOAD, d, a);
    else if (a.is_mem)
        vex_rm(e, V_MOVSS_LOAD, d, a);
    else
        emit_low_word(e, d, a.reg);
}

void emit_vector_get_float(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = insn->type == IR_F64;
    unsigned lane = (unsigned)insn->imm & (is_double ? 1 : 3);
    if (lane == 0) {
        emit_alias(e, v, insn->a);
        return;
    }
    unsigned a = emit_use_xmm(e, insn->a), d = emit_def_xmm_last(e, v);
    if (is_double)
        vex_rrr(e, VPUNPCKHQDQ, d, a, a);
    else
        vex_rri(e, VPSHUFD, d, a, lane);
}

void emit_vector_set_float(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), d = emit_def_xmm_last(e, v);
    if (insn->b_type == IR_F32)
        vex_rrri(e, VINSERTPS, d, a, b, (insn->imm & 3) << 4);
    else if (insn->imm & 1)
        vex_rrr(e, VPUNPCKLQDQ, d, a, b);
    else
        vex_rrri(e, VPBLENDD, d, a, b, 0x3);
}

void emit_vector_from_int(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    struct rm a = emit_use_rm(e, insn->a);
    vex_rm(e, insn->a_type == IR_I64 ? V_MOVQ_FROM_GPR : V_MOVD_FROM_GPR, emit_def_xmm_last(e, v), a);
}

void emit_vector_from_pair(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    struct rm a = emit_use_rm(e, insn->a), b = emit_use_rm(e, insn->b);
    unsigned d = emit_def_xmm(e, v);
    vex_rm(e, V_MOVQ_FROM_GPR, d, a);
    vex_rrmi(e, V_PINSRQ, d, d, b, 1);
}

/* A lane of a vector in memory is an ordinary load. */
static void emit_get_loaded(struct emit *e, const struct ir_insn *insn, unsigned d, struct mem mem)
{
    unsigned esize = insn->aux & 3;
    mem.disp += (int32_t)((unsigned)insn->imm << esize & 15);
    if (esize == 3)
        asm_load(e->a, true, d, mem);
    else if (insn->aux & IR_SIGNED)
        asm_movsx(e->a, insn->type == IR_I64, esize, d, rm_mem(mem));
    else if (esize == 2)
        asm_load(e->a, false, d, mem);
    else
        asm_movzx(e->a, esize, d, rm_mem(mem));
}

void emit_vector_get(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3, lane = (unsigned)insn->imm & ((16u >> esize) - 1);
    bool wide = insn->type == IR_I64;
    struct rm a = emit_use_xmm_rm(e, insn->a);
    unsigned d = emit_def_gpr(e, v);
    if (!wide)
        emit_set_upper_zero(e, v);
    if (a.is_mem) {
        emit_get_loaded(e, insn, d, a.mem);
        return;
    }
    static const uint32_t extract[] = {V_PEXTRB, V_PEXTRW, VPEXTRD, V_PEXTRQ};
    bool is_signed = insn->aux & IR_SIGNED && esize < 3 && !(esize == 2 && !wide);
    if (lane == 0 && (esize >= 2 || is_signed))
        vex_rr(e, esize == 3 ? V_MOVQ_TO_GPR : V_MOVD_TO_GPR, a.reg, d);
    else
        vex_rri(e, extract[esize], a.reg, d, lane);
    if (is_signed)
        asm_movsx(e->a, wide, esize, d, rm_reg(d));
}

void emit_vector_set(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint32_t insert[] = {VPINSRB, VPINSRW, VPINSRD, V_PINSRQ};
    unsigned esize = insn->aux & 3;
    unsigned a = emit_use_xmm(e, insn->a);
    struct rm b = emit_use_rm(e, insn->b);
    vex_rrmi(e, insert[esize], emit_def_xmm_last(e, v), a, b, (unsigned)insn->imm & ((16u >> esize) - 1));
}

static const uint32_t broadcast[] = {VPBROADCASTB, VPBROADCASTW, VPBROADCASTD, VPBROADCASTQ};

void emit_vector_dup(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3;
    struct rm a = emit_use_rm(e, insn->a);
    unsigned d = emit_def_xmm_last(e, v);
    if (!a.is_mem) {
        vex_rm(e, esize == 3 ? V_MOVQ_FROM_GPR : V_MOVD_FROM_GPR, d, a);
        a = rm_reg(d);
    }
    vex_rm(e, broadcast[esize], d, a);
}

/* -- lanes of a vector --------------------------------------------------------------------------------- */

/* A constant for VPSHUFB: byte i of the result is byte index[i] of the source. */
static struct rm pool_shuffle(struct emit *e, const uint8_t index[16])
{
    uint64_t half[2];
    memcpy(half, index, sizeof half);
    return pool_pair(e, half[0], half[1]);
}

void emit_vector_dup_lane(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3, lane = (unsigned)insn->imm & ((16u >> esize) - 1);
    unsigned a = emit_use_xmm(e, insn->a), d = emit_def_xmm_last(e, v);
    if (lane == 0) {
        vex_rr(e, broadcast[esize], d, a);
    } else if (esize == 3) {
        vex_rrr(e, VPUNPCKHQDQ, d, a, a);
    } else if (esize == 2) {
        vex_rri(e, VPSHUFD, d, a, lane * 0x55);
    } else {
        uint8_t index[16];
        for (unsigned i = 0; i < 16; i++)
            index[i] = (uint8_t)((lane << esize) + (i & ((1u << esize) - 1)));
        vex_rrm(e, VPSHUFB, d, a, pool_shuffle(e, index));
    }
}

void emit_vector_set_lane(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint32_t insert[] = {VPINSRB, VPINSRW};
    static const uint32_t extract[] = {V_PEXTRB, V_PEXTRW};
    unsigned esize = insn->aux & 3, mask = (16u >> esize) - 1;
    unsigned to = (unsigned)insn->imm & 15 & mask, from = (unsigned)(insn->imm >> 4) & mask;
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    if (esize < 2) {
        unsigned t = emit_tmp_gpr(e), d = emit_def_xmm_last(e, v);
        vex_rri(e, extract[esize], b, t, from);
        vex_rrri(e, insert[esize], d, a, t, to);
        return;
    }
    unsigned d = emit_def_xmm_last(e, v);
    if (esize == 2)
        vex_rrri(e, VINSERTPS, d, a, b, from << 6 | to << 4);
    else if (to == from)
        vex_rrri(e, VPBLENDD, d, a, b, to ? 0xc : 0x3);
    else if (to == 1)
        vex_rrr(e, VPUNPCKLQDQ, d, a, b);
    else
        vex_rrri(e, VSHUFPD, d, b, a, 3);
}

void emit_vector_low(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3;
    if (esize == 3) {
        struct rm a = emit_use_xmm_rm(e, insn->a);
        vex_rm(e, V_MOVQ_LOAD, emit_def_xmm_last(e, v), a);
        return;
    }
    unsigned a = emit_use_xmm(e, insn->a), d = emit_def_xmm_last(e, v);
    if (esize == 2)
        emit_low_word(e, d, a);
    else
        vex_rrm(e, VPAND, d, a, pool_pair(e, esize ? 0xffff : 0xff, 0));
}

/* -- lanes of two vectors -------------------------------------------------------------------------- */

void emit_vector_zip(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint32_t low[] = {VPUNPCKLBW, VPUNPCKLWD, VPUNPCKLDQ, VPUNPCKLQDQ};
    static const uint32_t high[] = {VPUNPCKHBW, VPUNPCKHWD, VPUNPCKHDQ, VPUNPCKHQDQ};
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    vex_rrr(e, (insn->op == IR_VZIP1 ? low : high)[insn->aux & 3], emit_def_xmm_last(e, v), a, b);
}

void emit_unzip(struct emit *e, unsigned esize, bool odd, unsigned d, unsigned a, unsigned b, unsigned t)
{
    static const uint32_t shift[] = {VPSRLW_IMM, VPSRLD_IMM};
    static const uint32_t pack[] = {VPACKUSWB, VPACKUSDW};
    if (esize == 3) {
        vex_rrr(e, odd ? VPUNPCKHQDQ : VPUNPCKLQDQ, d, a, b);
    } else if (esize == 2) {
        vex_rrri(e, VSHUFPS, d, a, b, odd ? 0xdd : 0x88);
    } else {
        if (odd) {
            vex_shift(e, shift[esize], t, a, 8u << esize);
            vex_shift(e, shift[esize], d, b, 8u << esize);
        } else {
            struct rm mask = pool_splat(e, esize + 1, esize ? 0xffff : 0xff);
            vex_rrm(e, VPAND, t, a, mask);
            vex_rrm(e, VPAND, d, b, mask);
        }
        vex_rrr(e, pack[esize], d, t, d);
    }
}

void emit_vector_unzip(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3;
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), t = emit_tmp_xmm(e);
    emit_unzip(e, esize, insn->op == IR_VUZP2, emit_def_xmm(e, v), a, b, t);
}

void emit_vector_transpose(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint32_t left[] = {VPSLLW_IMM, VPSLLD_IMM, VPSLLQ_IMM};
    static const uint32_t right[] = {VPSRLW_IMM, VPSRLD_IMM, VPSRLQ_IMM};
    unsigned esize = insn->aux & 3;
    bool second = insn->op == IR_VTRN2;
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    if (esize == 3) {
        vex_rrr(e, second ? VPUNPCKHQDQ : VPUNPCKLQDQ, emit_def_xmm_last(e, v), a, b);
        return;
    }
    unsigned t = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    if (second) {
        vex_shift(e, right[esize], t, a, 8u << esize);
        a = t;
    } else {
        vex_shift(e, left[esize], t, b, 8u << esize);
        b = t;
    }
    if (esize == 2) {
        vex_rrri(e, VPBLENDD, d, a, b, 0xa);
    } else if (esize == 1) {
        vex_rrri(e, VPBLENDW, d, a, b, 0xaa);
    } else if (second) {
        vex_rrm(e, VPAND, d, b, pool_splat(e, 1, 0xff00));
        vex_rrr(e, VPOR, d, d, a);
    } else {
        vex_rrm(e, VPAND, d, a, pool_splat(e, 1, 0x00ff));
        vex_rrr(e, VPOR, d, d, b);
    }
}

void emit_vector_extract(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    vex_rrri(e, VPALIGNR, emit_def_xmm_last(e, v), b, a, (unsigned)insn->imm & 15);
}

/* An index over 15 gets its top bit set by the saturating sum, which VPSHUFB takes for "zero"; low four bits
 * stay. */
void emit_vector_table(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), d = emit_def_xmm(e, v);
    vex_rrm(e, VPADDUSB, d, b, pool_splat(e, 0, 0x70));
    vex_rrr(e, VPSHUFB, d, a, d);
}

void emit_vector_reverse(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned esize = insn->aux & 3;
    unsigned a = emit_use_xmm(e, insn->a), d = emit_def_xmm_last(e, v);
    if (esize == 2 && insn->imm == 3) {
        vex_rri(e, VPSHUFD, d, a, 0xb1);
        return;
    }
    unsigned flip = (1u << insn->imm) - (1u << esize);
    uint8_t index[16];
    for (unsigned i = 0; i < 16; i++)
        index[i] = (uint8_t)(i ^ flip);
    vex_rrm(e, VPSHUFB, d, a, pool_shuffle(e, index));
}
