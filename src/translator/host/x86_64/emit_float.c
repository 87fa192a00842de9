/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_float: scalar floating point on the host's own unit.
 *
 * MXCSR holds the guest's rounding mode, flush-to-zero and sticky flags while generated code runs, so that
 * only NaNs need care: a result that is not a number goes to cold code, which evaluates the operation again
 * from its operands. No instruction here may raise a flag that the guest's operation does not raise; VUCOMIS
 * raises "invalid" for signalling NaNs only, which every arithmetic operation does as well.
 */
#include <math.h>

#include "translator/host/x86_64/emit_vector.h"

/* "Parity" if a or b is a NaN */
static void emit_compare(struct emit *e, bool is_double, unsigned a, unsigned b)
{
    vex_rr(e, is_double ? V_UCOMISD : V_UCOMISS, a, b);
}

/* Goes to evaluate the operation again if the result d is a NaN. */
static void emit_check_nan(struct emit *e, bool is_double, unsigned d, unsigned count,
                           const uint8_t *operands)
{
    emit_compare(e, is_double, d, d);
    emit_cold_back(e, emit_cold_evaluate(e, CC_P, PLACE_XMM + d, count, operands));
}

/*
 * The same for products, quotients and conversions. Arm calls the smallest normal number tiny (and may flush
 * it) if it was less than that before it was rounded, the host only if it is after that; so where flags are
 * looked at or tiny results are flushed, that number is evaluated again, too.
 */
static void emit_check_tiny(struct emit *e, bool is_double, unsigned d, unsigned count,
                            const uint8_t *operands)
{
    if (!e->region->fp_mode) {
        emit_check_nan(e, is_double, d, count, operands);
        return;
    }
    unsigned t = emit_tmp_xmm(e);
    vex_rrm(e, VANDPS, t, d, pool_pair(e, float_magnitude(is_double), 0));
    vex_rm(e, is_double ? V_UCOMISD : V_UCOMISS, t, pool_pair(e, float_smallest_normal(is_double), 0));
    emit_cold_back(e, emit_cold_evaluate(e, CC_E, PLACE_XMM + d, count, operands)); /* also if unordered */
}

void emit_float_arithmetic(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint32_t ops[] = {[IR_FADD - IR_FADD] = VADDPS,
                                   [IR_FSUB - IR_FADD] = VSUBPS,
                                   [IR_FMUL - IR_FADD] = VMULPS,
                                   [IR_FDIV - IR_FADD] = VDIVPS};
    bool is_double = insn->type == IR_F64;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    unsigned d = emit_def_xmm(e, v);
    uint32_t op = vex_float(ops[insn->op - IR_FADD], is_double, true);
    /* The first operand gives the upper lanes. */
    bool clean_a = emit_upper_zero(e, insn->a), clean_b = emit_upper_zero(e, insn->b);
    bool swap = clean_b && !clean_a && (insn->op == IR_FADD || insn->op == IR_FMUL);
    if (swap)
        vex_rrr(e, op, d, b, a);
    else
        vex_rrr(e, op, d, a, b);
    if (insn->op == IR_FMUL || insn->op == IR_FDIV)
        emit_check_tiny(e, is_double, d, 2, (uint8_t[]){PLACE_XMM + a, PLACE_XMM + b});
    else
        emit_check_nan(e, is_double, d, 2, (uint8_t[]){PLACE_XMM + a, PLACE_XMM + b});
    if (clean_a || swap)
        emit_set_upper_zero(e, v);
}

void emit_float_sqrt(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = insn->type == IR_F64;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), d = emit_def_xmm(e, v);
    vex_rrr(e, vex_float(VSQRTPS, is_double, true), d, a, a);
    emit_check_nan(e, is_double, d, 1, (uint8_t[]){PLACE_XMM + a});
    if (emit_upper_zero(e, insn->a))
        emit_set_upper_zero(e, v);
}

void emit_float_sign(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = insn->type == IR_F64;
    unsigned a = emit_use_xmm(e, insn->a);
    bool clean = emit_upper_zero(e, insn->a);
    unsigned d = emit_def_xmm_last(e, v);
    if (insn->op == IR_FNEG)
        vex_rrm(e, V_XORPS, d, a, pool_pair(e, float_sign(is_double), 0));
    else
        vex_rrm(e, VANDPS, d, a, pool_pair(e, float_magnitude(is_double), 0));
    if (clean || insn->op == IR_FABS)
        emit_set_upper_zero(e, v);
}

void emit_float_fma(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = insn->type == IR_F64;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), c = emit_use_xmm(e, insn->c);
    unsigned d = emit_def_xmm(e, v);
    bool clean_a = emit_upper_zero(e, insn->a), clean_b = emit_upper_zero(e, insn->b),
         clean_c = emit_upper_zero(e, insn->c);
    if (clean_c || !(clean_a || clean_b)) {
        vex_move(e, d, c);
        vex_rrr(e, vex_fma(VFMADD231PS, is_double, true), d, a, b);
    } else {
        vex_move(e, d, clean_a ? a : b);
        vex_rrr(e, vex_fma(VFMADD213PS, is_double, true), d, clean_a ? b : a, c);
    }
    emit_check_tiny(e, is_double, d, 3, (uint8_t[]){PLACE_XMM + a, PLACE_XMM + b, PLACE_XMM + c});
    if (clean_a || clean_b || clean_c)
        emit_set_upper_zero(e, v);
}

/*
 * Numbers first: for a NaN the four operations differ, and VMIN would raise "invalid" for a quiet one. VMIN
 * gives its second operand for -0 and +0, so both orders together have the sign that the guest wants.
 */
void emit_float_minmax(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = insn->type == IR_F64, is_min = insn->op == IR_FMIN || insn->op == IR_FMINNM;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), t = emit_tmp_xmm(e);
    bool clean = emit_upper_zero(e, insn->a) && emit_upper_zero(e, insn->b);
    unsigned d = emit_def_xmm(e, v);
    uint32_t op = vex_float(is_min ? VMINPS : VMAXPS, is_double, true);
    emit_compare(e, is_double, a, b);
    struct cold *c = emit_cold_evaluate(e, CC_P, PLACE_XMM + d, 2, (uint8_t[]){PLACE_XMM + a, PLACE_XMM + b});
    vex_rrr(e, op, t, a, b);
    vex_rrr(e, op, d, b, a);
    vex_rrr(e, is_min ? VORPS : VANDPS, d, d, t);
    emit_cold_back(e, c);
    if (clean)
        emit_set_upper_zero(e, v);
}

/*
 * d = a rounded to an integral value, ties away from zero, raising nothing; t and u are scratch. Only for |a|
 * < 2^52 (2^23): other values, which are integral or no numbers, go to the cold code that is returned.
 *
 * With |a| cut to an integer, what was cut off is exact, and one is added if that was a half or more.
 */
static void emit_round_away(struct emit *e, bool is_double, unsigned d, unsigned a, unsigned t, unsigned u)
{
    vex_rrri(e, is_double ? VROUNDSD : VROUNDSS, d, t, t,
             float_round_imm[IR_ROUND_ZERO] | FLOAT_ROUND_QUIETLY);
    vex_rrr(e, vex_float(VSUBPS, is_double, true), t, t, d);
    vex_rm(e, V_MOVQ_LOAD, u, pool_float_scalar(e, is_double, 0.5));
    vex_rrri(e, vex_float(VCMPPS, is_double, true), u, u, t, 2); /* 0.5 <= rest */
    vex_rrm(e, VANDPS, u, u, pool_float_scalar(e, is_double, 1.0));
    vex_rrr(e, vex_float(VADDPS, is_double, true), d, d, u);
    vex_rrm(e, VANDPS, u, a, pool_pair(e, float_sign(is_double), 0));
    vex_rrr(e, VORPS, d, d, u);
}

/* Compares so that "below or equal" says |a| >= 2^52 (2^23) or a NaN; leaves |a| in t. */
static void emit_compare_fraction(struct emit *e, bool is_double, unsigned a, unsigned t, unsigned u)
{
    vex_rm(e, V_MOVQ_LOAD, u, pool_float_scalar(e, is_double, is_double ? 0x1p52 : 0x1p23));
    vex_rrm(e, VANDPS, t, a, pool_pair(e, float_magnitude(is_double), 0));
    emit_compare(e, is_double, u, t);
}

void emit_float_round(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = insn->type == IR_F64, exact = insn->aux & IR_ROUND_EXACT;
    unsigned mode = insn->aux & IR_ROUND_MODE,
             imm = float_round_imm[mode] | (exact ? 0 : FLOAT_ROUND_QUIETLY);
    uint32_t op = is_double ? VROUNDSD : VROUNDSS;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a);
    bool clean = emit_upper_zero(e, insn->a);
    if (mode != IR_ROUND_AWAY) {
        unsigned d = emit_def_xmm(e, v);
        vex_rrri(e, op, d, a, a, imm);
        emit_check_nan(e, is_double, d, 1, (uint8_t[]){PLACE_XMM + a});
        if (clean)
            emit_set_upper_zero(e, v);
        return;
    }
    unsigned t = emit_tmp_xmm(e), u = emit_tmp_xmm(e), d = emit_def_xmm(e, v);
    emit_compare_fraction(e, is_double, a, t, u);
    struct cold *c = emit_cold_evaluate(e, CC_BE, PLACE_XMM + d, 1, (uint8_t[]){PLACE_XMM + a});
    if (exact)
        vex_rrri(e, op, d, a, a, imm); /* raises "inexact" */
    emit_round_away(e, is_double, d, a, t, u);
    emit_cold_back(e, c);
    emit_set_upper_zero(e, v); /* all that went into d was masked */
}

void emit_float_convert(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool to_double = insn->type == IR_F64;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), d = emit_def_xmm(e, v);
    vex_zero(e, d);
    vex_rrr(e, to_double ? VCVTSS2SD : VCVTSD2SS, d, d, a);
    if (to_double)
        emit_check_nan(e, true, d, 1, (uint8_t[]){PLACE_XMM + a});
    else
        emit_check_tiny(e, false, d, 1, (uint8_t[]){PLACE_XMM + a});
    emit_set_upper_zero(e, v);
}

void emit_float_from_half(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    emit_clobber_flags(e);
    unsigned a = emit_use_gpr(e, insn->a), t = emit_tmp_gpr(e), d = emit_def_xmm(e, v);
    asm_movzx(e->a, 1, t, rm_reg(a));
    vex_rr(e, V_MOVD_FROM_GPR, d, t);
    vex_rr(e, VCVTPH2PS, d, d);
    if (insn->type == IR_F64)
        vex_rrr(e, VCVTSS2SD, d, d, d);
    emit_check_nan(e, insn->type == IR_F64, d, 1, (uint8_t[]){PLACE_GPR + a});
    emit_set_upper_zero(e, v);
}

void emit_float_to_half(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    if (insn->a_type == IR_F64) { /* would round twice */
        emit_eval(e, insn, v);
        return;
    }
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_gpr(e, v);
    /* NaNs, and what may round to the smallest normal half: see emit_check_tiny() */
    vex_rr(e, V_MOVD_TO_GPR, a, d);
    asm_alu_imm(e->a, ALU_AND, false, rm_reg(d), 0x7fffffff);
    asm_alu_imm(e->a, ALU_CMP, false, rm_reg(d), 0x7f800000);
    struct cold *c = emit_cold_evaluate(e, CC_A, PLACE_GPR + d, 1, (uint8_t[]){PLACE_XMM + a});
    asm_shift(e->a, SHIFT_SHR, false, rm_reg(d), 14);
    asm_alu_imm(e->a, ALU_CMP, false, rm_reg(d), 0x387fffff >> 14); /* 2^-14 less a half's last place */
    emit_cold_also(e, c, CC_E);
    vex_rrri(e, VINSERTPS, t, a, a, 0x0e); /* the other lanes must raise nothing */
    vex_rri(e, VCVTPS2PH, t, t, 4);
    vex_rr(e, V_MOVD_TO_GPR, t, d);
    emit_cold_back(e, c);
    emit_set_upper_zero(e, v);
}

/* -- to integers --------------------------------------------------------------------------------------- */

/*
 * Scales a by 2^imm into d. A product that overflows would raise what the guest's operation does not, so
 * great values go to cold code: returned for the caller to use further.
 */
static struct cold *emit_scale_up(struct emit *e, bool is_double, unsigned d, unsigned a, unsigned imm,
                                  unsigned result)
{
    unsigned t = emit_tmp_xmm(e);
    vex_rm(e, V_MOVQ_LOAD, t, pool_float_scalar(e, is_double, is_double ? 0x1p900 : 0x1p60));
    vex_rrm(e, VANDPS, d, a, pool_pair(e, float_magnitude(is_double), 0));
    emit_compare(e, is_double, t, d);
    struct cold *c = emit_cold_evaluate(e, CC_BE, result, 1, (uint8_t[]){(uint8_t)(PLACE_XMM + a)});
    vex_rrm(e, vex_float(VMULPS, is_double, true), d, a,
            pool_float_scalar(e, is_double, ldexp(1.0, (int)imm)));
    return c;
}

/* Goes to `c` (or new cold code) unless 0 <= bits of x < 2^63 (wide) or 2^32 as a number: neither a flag nor
 * a NaN's trouble. */
static struct cold *emit_check_unsigned(struct emit *e, bool is_double, bool wide, unsigned x, unsigned t,
                                        struct cold *c, unsigned result, unsigned a)
{
    int32_t limit = (is_double ? 1023 : 127) + (wide ? 63 : 32);
    vex_rr(e, is_double ? V_MOVQ_TO_GPR : V_MOVD_TO_GPR, x, t);
    asm_shift(e->a, SHIFT_SHR, is_double, rm_reg(t), is_double ? 52 : 23);
    asm_alu_imm(e->a, ALU_CMP, false, rm_reg(t), limit);
    if (!c)
        return emit_cold_evaluate(e, CC_AE, result, 1, (uint8_t[]){PLACE_XMM + a});
    emit_cold_also(e, c, CC_AE);
    return c;
}

void emit_float_to_int(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = insn->a_type == IR_F64, wide = insn->type == IR_I64,
         is_unsigned = insn->aux & IR_UNSIGNED;
    unsigned mode = insn->aux & IR_ROUND_MODE;
    uint32_t cut = is_double ? VCVTTSD2SI : VCVTTSS2SI;
    uint32_t convert = mode == IR_ROUND_CURRENT ? cut + (VCVTSD2SI - VCVTTSD2SI) : cut;
    uint32_t width = wide || is_unsigned ? VEX_W1 : 0;
    bool away = mode == IR_ROUND_AWAY;
    bool rounds = away || mode == IR_ROUND_EVEN || mode == IR_ROUND_UP || mode == IR_ROUND_DOWN;
    /* Combinations that no guest has; also, cold code can have two jumps only. */
    if ((is_unsigned && mode == IR_ROUND_CURRENT) || (away && insn->imm)) {
        emit_eval(e, insn, v);
        return;
    }
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), x = a;
    unsigned d = emit_def_gpr(e, v), result = PLACE_GPR + d;
    struct cold *c = NULL;
    if (insn->imm) {
        x = emit_tmp_xmm(e);
        c = emit_scale_up(e, is_double, x, a, (unsigned)insn->imm, result);
    }
    unsigned rounded = x;
    if (away) {
        unsigned t = emit_tmp_xmm(e), u = emit_tmp_xmm(e);
        rounded = emit_tmp_xmm(e);
        emit_compare_fraction(e, is_double, x, t, u);
        if (c)
            emit_cold_also(e, c, CC_BE);
        else
            c = emit_cold_evaluate(e, CC_BE, result, 1, (uint8_t[]){PLACE_XMM + a});
        emit_round_away(e, is_double, rounded, x, t, u);
    } else if (rounds) {
        rounded = emit_tmp_xmm(e);
        vex_rrri(e, is_double ? VROUNDSD : VROUNDSS, rounded, x, x,
                 float_round_imm[mode] | FLOAT_ROUND_QUIETLY);
    }
    if (is_unsigned) {
        c = emit_check_unsigned(e, is_double, wide, rounded, d, c, result, a);
        vex_rr(e, convert + width, d, rounded);
    } else {
        vex_rr(e, convert + width, d, rounded);
        asm_alu_imm(e->a, ALU_CMP, wide, rm_reg(d), 1); /* overflows for the "indefinite integer" only */
        if (c)
            emit_cold_also(e, c, CC_O);
        else
            c = emit_cold_evaluate(e, CC_O, result, 1, (uint8_t[]){PLACE_XMM + a});
    }
    if (rounds) /* "inexact", now that the result is known to be in range */
        vex_rrri(e, is_double ? VROUNDSD : VROUNDSS, rounded, x, x, float_round_imm[IR_ROUND_ZERO]);
    emit_cold_back(e, c);
    if (!wide)
        emit_set_upper_zero(e, v);
}

/*
 * Beyond 32 bits, of which the first conversion has told: cut quietly and converted to 64 bits, whose lower
 * half it is. What is beyond those or no number is evaluated. r[0..2] as for emit_cold_evaluation(), r[3] =
 * scratch.
 */
static void cold_to_int_script(struct emit *e, struct cold *c)
{
    unsigned d = c->r[0] - PLACE_GPR, a = c->r[2] - PLACE_XMM, t = c->r[3];
    vex_rrri(e, VROUNDSD, t, a, a, float_round_imm[IR_ROUND_ZERO] | FLOAT_ROUND_QUIETLY);
    vex_rr(e, VCVTTSD2SI + VEX_W1, d, t);
    asm_alu_imm(e->a, ALU_CMP, true, rm_reg(d), 1);
    uint32_t converted = asm_jcc_short(e->a, CC_NO);
    emit_cold_evaluation(e, c);
    asm_bind_short(e->a, converted);
    asm_mov(e->a, false, d, d);
}

/* The host's conversion to 32 bits raises what the guest's does. Its result is that number, and not -0, if it
 * has the same bits when converted back; most readers do not ask. */
void emit_float_to_int_script(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    const struct value *value = &e->values[v];
    bool low_only = value->uses == 1 && e->region->insns[value->next_use].op == IR_TRUNC;
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), t = emit_tmp_xmm(e), d = emit_def_gpr(e, v);
    vex_rr(e, VCVTTSD2SI, d, a);
    asm_alu_imm(e->a, ALU_CMP, false, rm_reg(d), 1); /* overflows for the "indefinite integer" only */
    struct cold *c = emit_cold_jcc(e, CC_O, cold_to_int_script);
    c->r[0] = (uint8_t)(PLACE_GPR + d);
    c->r[1] = 1;
    c->r[2] = (uint8_t)(PLACE_XMM + a);
    c->r[3] = (uint8_t)t;
    emit_cold_back(e, c);
    if (low_only)
        return;
    unsigned x = emit_tmp_gpr(e), y = emit_tmp_gpr(e);
    vex_zero(e, t);
    vex_rrr(e, VCVTSI2SD, t, t, d);
    vex_rr(e, V_MOVQ_TO_GPR, t, x);
    vex_rr(e, V_MOVQ_TO_GPR, a, y);
    asm_alu(e->a, ALU_CMP, true, x, rm_reg(y));
    asm_setcc(e->a, CC_E, x);
    asm_movzx(e->a, 0, x, rm_reg(x));
    asm_shift(e->a, SHIFT_SHL, true, rm_reg(x), 32);
    asm_alu(e->a, ALU_OR, true, d, rm_reg(x));
}

/* -- from integers ------------------------------------------------------------------------------------- */

/* An unsigned 64-bit number with the top bit set: halved, the lost bit kept for rounding, converted, doubled.
 * r[0] = result, r[1] = the number, r[2] = scratch, r[3] = scratch; imm = the conversion. */
static void cold_from_unsigned(struct emit *e, struct cold *c)
{
    uint32_t convert = (uint32_t)c->imm;
    asm_mov(e->a, true, c->r[2], c->r[1]);
    asm_mov(e->a, false, c->r[3], c->r[1]);
    asm_shift(e->a, SHIFT_SHR, true, rm_reg(c->r[2]), 1);
    asm_alu_imm(e->a, ALU_AND, false, rm_reg(c->r[3]), 1);
    asm_alu(e->a, ALU_OR, true, c->r[2], rm_reg(c->r[3]));
    vex_rrr(e, convert, c->r[0], c->r[0], c->r[2]);
    vex_rrr(e, vex_float(VADDPS, (convert & 0xfff) == (VCVTSI2SD & 0xfff), true), c->r[0], c->r[0], c->r[0]);
}

void emit_float_from_int(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool is_double = insn->type == IR_F64, wide = insn->a_type == IR_I64,
         is_unsigned = insn->aux & IR_UNSIGNED;
    uint32_t convert = (is_double ? VCVTSI2SD : VCVTSI2SS) | (wide || is_unsigned ? VEX_W1 : 0);
    if (wide && is_unsigned)
        emit_clobber_flags(e);
    unsigned a = emit_use_gpr(e, insn->a);
    if (is_unsigned && !wide && !emit_upper_zero(e, insn->a)) {
        unsigned t = emit_tmp_gpr(e);
        asm_mov(e->a, false, t, a);
        a = t;
    }
    struct cold *c = NULL;
    unsigned d;
    if (wide && is_unsigned) {
        unsigned t = emit_tmp_gpr(e), u = emit_tmp_gpr(e);
        d = emit_def_xmm(e, v);
        vex_zero(e, d); /* no false dependency, and zeros above the result */
        asm_test(e->a, true, rm_reg(a), a);
        c = emit_cold_jcc(e, CC_S, cold_from_unsigned);
        c->r[0] = (uint8_t)d;
        c->r[1] = (uint8_t)a;
        c->r[2] = (uint8_t)t;
        c->r[3] = (uint8_t)u;
        c->imm = convert;
    } else {
        d = emit_def_xmm(e, v);
        vex_zero(e, d);
    }
    vex_rrr(e, convert, d, d, a);
    if (c)
        emit_cold_back(e, c);
    if (insn->imm) /* exact: the result is far from the ends of the range */
        vex_rrm(e, vex_float(VMULPS, is_double, true), d, d,
                pool_float_scalar(e, is_double, ldexp(1.0, -(int)insn->imm)));
    emit_set_upper_zero(e, v);
}

void emit_float_to_bits(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), d = emit_def_gpr(e, v);
    vex_rr(e, insn->type == IR_I64 ? V_MOVQ_TO_GPR : V_MOVD_TO_GPR, a, d);
    if (insn->type == IR_I32)
        emit_set_upper_zero(e, v);
}

void emit_float_from_bits(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    struct rm a = emit_use_rm(e, insn->a);
    vex_rm(e, insn->type == IR_F64 ? V_MOVQ_FROM_GPR : V_MOVD_FROM_GPR, emit_def_xmm_last(e, v), a);
    emit_set_upper_zero(e, v);
}
