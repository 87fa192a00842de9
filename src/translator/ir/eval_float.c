/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eval_float: floating-point operations by lane: which operands are flushed, the rules for NaNs, comparisons.
 *
 * Rounding mode, flushing of F32 and F64 and the sticky flags are those of the host's control word, which
 * holds the guest's settings; what else the guest may choose it tells by guest_isa.fp_control.
 * Specification: Arm ARM, pseudo-code functions FPUnpack, FPProcessNaNs, FPMax and so on in J1.3.
 */
#include <string.h>

#include "translator/ir/evaluation.h"
#include "translator/ir/host_float.h"

enum {
    CONTROL_DENORMALS_ARE_ZERO = 1 << 6,
    CONTROL_ROUNDING_SHIFT = 13,
};

/* Never inlined: no floating-point operation may be moved between the reading and the writing of the flags.
 */
__attribute__((noinline)) void ir_fp_raise(unsigned flags)
{
    host_set_control(host_control() | flags);
}

struct fp_mode ir_fp_mode(const struct guest_isa *isa, const struct translator_cpu *cpu)
{
    static const uint8_t modes[] = {IR_ROUND_EVEN, IR_ROUND_DOWN, IR_ROUND_UP, IR_ROUND_ZERO};
    const uint32_t host = host_control();
    const unsigned control = isa->fp_control ? isa->fp_control(cpu) : 0;
    return (struct fp_mode){
        .round = (enum ir_round)modes[host >> CONTROL_ROUNDING_SHIFT & 3],
        .default_nan = control & GUEST_FP_DEFAULT_NAN,
        .flush = host & CONTROL_DENORMALS_ARE_ZERO,
        .flush_half = control & GUEST_FP_FLUSH_HALF,
        .alternative = control & GUEST_FP_ALTERNATIVE_HALF,
    };
}

uint64_t ir_fp_operand(const struct evaluation *e, enum ir_type type, uint64_t x)
{
    if (fp_is_zero(type, x) || fp_magnitude(type, x) >= fp_smallest_normal(type) || !fp_flushes(e, type))
        return x;
    if (type != IR_F16)
        ir_fp_raise(FP_DENORMAL);
    return x & fp_sign(type);
}

/* -- NaNs ---------------------------------------------------------------------------------------------- */

uint64_t ir_fp_process_nan(const struct evaluation *e, enum ir_type type, uint64_t x)
{
    if (fp_is_signalling(type, x))
        ir_fp_raise(FP_INVALID);
    return e->fp.default_nan ? fp_default_nan(type) : x | fp_quiet_bit(type);
}

/* The first signalling NaN, else the first quiet one, made quiet; the default NaN if there is none. */
static uint64_t choose_nan(enum ir_type type, const uint64_t *operands, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (fp_is_signalling(type, operands[i]))
            return operands[i] | fp_quiet_bit(type);
    for (unsigned i = 0; i < count; i++)
        if (fp_is_nan(type, operands[i]))
            return operands[i];
    return fp_default_nan(type);
}

/* If an operand is a NaN: raises invalid if one signals, and *r is the result. */
static bool has_nan(const struct evaluation *e, enum ir_type type, const uint64_t *operands, unsigned count,
                    uint64_t *r)
{
    bool any = false, signals = false;
    for (unsigned i = 0; i < count; i++) {
        any |= fp_is_nan(type, operands[i]);
        signals |= fp_is_signalling(type, operands[i]);
    }
    if (signals)
        ir_fp_raise(FP_INVALID);
    if (any)
        *r = e->fp.default_nan ? fp_default_nan(type) : choose_nan(type, operands, count);
    return any;
}

/* Infinity times zero, in either order. */
static bool is_invalid_product(enum ir_type type, uint64_t a, uint64_t b)
{
    return (fp_is_infinite(type, a) && fp_is_zero(type, b)) ||
           (fp_is_zero(type, a) && fp_is_infinite(type, b));
}

/* -- comparing ------------------------------------------------------------------------------------------- */

/* -1, 0 or 1; neither operand is a NaN. */
static int compare(enum ir_type type, uint64_t a, uint64_t b)
{
    if (fp_is_zero(type, a))
        a = 0;
    if (fp_is_zero(type, b))
        b = 0;
    const bool a_negative = a & fp_sign(type), b_negative = b & fp_sign(type);
    if (a == b)
        return 0;
    if (a_negative != b_negative)
        return a_negative ? -1 : 1;
    return (a < b) != a_negative ? -1 : 1;
}

/* True if the operands are unordered; raises invalid for a signalling NaN, or for any if `signals`. */
static bool is_unordered(enum ir_type type, uint64_t a, uint64_t b, bool signals)
{
    if (!fp_is_nan(type, a) && !fp_is_nan(type, b))
        return false;
    if (signals || fp_is_signalling(type, a) || fp_is_signalling(type, b))
        ir_fp_raise(FP_INVALID);
    return true;
}

static uint16_t compare_flags(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b,
                              bool signals)
{
    a = ir_fp_operand(e, type, a);
    b = ir_fp_operand(e, type, b);
    if (is_unordered(type, a, b, signals))
        return NZCV_V;
    int order = compare(type, a, b);
    return order < 0 ? NZCV_N | NZCV_B : order == 0 ? NZCV_Z : 0;
}

/* Of two numbers; zeros are ordered by sign. */
static uint64_t choose_extreme(enum ir_type type, uint64_t a, uint64_t b, bool smallest)
{
    if (fp_is_zero(type, a) && fp_is_zero(type, b))
        return (smallest ? a | b : a & b) & fp_sign(type);
    return (compare(type, a, b) < 0) == smallest ? a : b;
}

static uint64_t extreme(const struct evaluation *e, unsigned op, enum ir_type type, uint64_t a, uint64_t b)
{
    const bool smallest = op == IR_FMIN || op == IR_FMINNM;
    uint64_t r;

    if (op == IR_FMINNM || op == IR_FMAXNM) {
        /* A quiet NaN is no competitor: the number meets itself. */
        if (fp_is_nan(type, a) && !fp_is_signalling(type, a) && !fp_is_nan(type, b))
            a = b;
        else if (fp_is_nan(type, b) && !fp_is_signalling(type, b) && !fp_is_nan(type, a))
            b = a;
    }
    return has_nan(e, type, (uint64_t[]){a, b}, 2, &r) ? r : choose_extreme(type, a, b, smallest);
}

/* -- arithmetic -------------------------------------------------------------------------------------------
 */

static uint64_t multiply_extended(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b)
{
    if (is_invalid_product(type, a, b)) /* 2 */
        return ((a ^ b) & fp_sign(type)) | fp_two(type);
    return ir_fp_multiply(e, type, a, b);
}

static uint64_t evaluate_binary(const struct evaluation *e, unsigned op, enum ir_type type, uint64_t a,
                                uint64_t b)
{
    const bool is_step = op == IR_FRECPS || op == IR_FRSQRTS;
    uint64_t r;

    a = ir_fp_operand(e, type, a);
    b = ir_fp_operand(e, type, b);
    if (is_step)
        a ^= fp_sign(type); /* the step's first operand is negated, NaN or not */
    if (op == IR_FMIN || op == IR_FMAX || op == IR_FMINNM || op == IR_FMAXNM)
        return extreme(e, op, type, a, b);
    if (has_nan(e, type, (uint64_t[]){a, b}, 2, &r))
        return r;
    switch (op) {
    case IR_FADD: return ir_fp_add(e, type, a, b);
    case IR_FSUB: return ir_fp_add(e, type, a, b ^ fp_sign(type));
    case IR_FMUL: return ir_fp_multiply(e, type, a, b);
    case IR_FDIV: return ir_fp_divide(e, type, a, b);
    case IR_FMULX: return multiply_extended(e, type, a, b);
    case IR_FRECPS: return ir_fp_recip_step(e, type, a, b);
    case IR_FRSQRTS: return ir_fp_rsqrt_step(e, type, a, b);
    default: return 0;
    }
}

static uint64_t evaluate_unary(const struct evaluation *e, unsigned op, enum ir_type type, unsigned bits,
                               uint64_t a)
{
    if (op == IR_FNEG)
        return a ^ fp_sign(type);
    if (op == IR_FABS)
        return a & ~fp_sign(type);
    a = ir_fp_operand(e, type, a);
    if (fp_is_nan(type, a))
        return ir_fp_process_nan(e, type, a);
    switch (op) {
    case IR_FSQRT: return ir_fp_square_root(e, type, a);
    case IR_FROUND: return ir_fp_round(e, type, bits, a);
    case IR_FRECPE: return ir_fp_recip_estimate(e, type, a);
    case IR_FRSQRTE: return ir_fp_rsqrt_estimate(e, type, a);
    case IR_FRECPX: return ir_fp_recip_exponent(e, type, a);
    default: return 0;
    }
}

static uint64_t evaluate_multiply_add(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b,
                                      uint64_t c)
{
    uint64_t r;

    c = ir_fp_operand(e, type, c);
    a = ir_fp_operand(e, type, a);
    b = ir_fp_operand(e, type, b);
    if (has_nan(e, type, (uint64_t[]){c, a, b}, 3, &r)) {
        if (!fp_is_nan(type, c) || fp_is_signalling(type, c) || !is_invalid_product(type, a, b))
            return r;
        ir_fp_raise(FP_INVALID);
        return fp_default_nan(type);
    }
    return ir_fp_multiply_add(e, type, a, b, c, 0);
}

static unsigned type_width(unsigned type)
{
    return type == IR_F16 ? 16 : type == IR_I32 || type == IR_F32 ? 32 : 64;
}

/* The bits of a scalar operand, without what lies above it. */
static uint64_t operand_bits(const union vector128 *v, unsigned type)
{
    return type == IR_I32 || type == IR_F32 ? v->w[0] : v->d[0];
}

void ir_evaluate_scalar_float(const struct evaluation *e)
{
    const struct ir_insn *n = e->insn;
    const enum ir_type type = (enum ir_type)n->type, a_type = (enum ir_type)n->a_type;
    const uint64_t a = operand_bits(e->a, a_type), b = operand_bits(e->b, n->b_type),
                   c = operand_bits(e->c, type);
    const unsigned imm = (unsigned)n->imm;
    union vector128 *r = e->r;

    switch (n->op) {
    case IR_FLAGS_FCMP: r->h[0] = compare_flags(e, a_type, a, b, n->aux & 1); break;
    case IR_FCMP_PACK: r->w[0] = compare_flags(e, a_type, a, b, n->aux & 1); break;
    case IR_FCONST: r->d[0] = n->imm; break;
    case IR_FTO_BITS:
    case IR_FFROM_BITS: r->d[0] = a; break;
    case IR_FMA: r->d[0] = evaluate_multiply_add(e, type, a, b, c); break;
    case IR_FCONVERT: r->d[0] = ir_fp_convert(e, type, a_type, a); break;
    case IR_FFROM_HALF:
        r->d[0] = n->aux & IR_HALF_OPERAND ? ir_fp_half_operand(e, (uint16_t)a)
                                           : ir_fp_convert(e, type, IR_F16, (uint16_t)a);
        break;
    case IR_FTO_HALF: r->d[0] = ir_fp_convert(e, IR_F16, a_type, a); break;
    case IR_FTO_INT: r->d[0] = ir_fp_to_int(e, a_type, type_width(type), n->aux, imm, a); break;
    case IR_FTO_INT_SCRIPT: r->d[0] = ir_fp_to_int_script(e, a); break;
    case IR_FFROM_INT: r->d[0] = ir_fp_from_int(e, type, type_width(a_type), n->aux, imm, a); break;
    case IR_HALF_FROM_INT: r->d[0] = ir_fp_from_int(e, IR_F16, type_width(a_type), n->aux, imm, a); break;
    case IR_FSQRT:
    case IR_FNEG:
    case IR_FABS:
    case IR_FROUND:
    case IR_FRECPE:
    case IR_FRSQRTE:
    case IR_FRECPX: r->d[0] = evaluate_unary(e, n->op, type, n->aux, a); break;
    default: r->d[0] = evaluate_binary(e, n->op, type, a, b); break;
    }
}

/* -- vectors -----------------------------------------------------------------------------------------------
 */

/* All ones if the comparison holds. */
static uint64_t compare_lane(const struct evaluation *e, unsigned op, enum ir_type type, uint64_t a,
                             uint64_t b)
{
    a = ir_fp_operand(e, type, a);
    b = ir_fp_operand(e, type, b);
    if (is_unordered(type, a, b, op != IR_VFCMPEQ))
        return 0;
    int order = compare(type, a, b);
    bool holds = op == IR_VFCMPEQ ? order == 0 : op == IR_VFCMPGE ? order >= 0 : order > 0;
    return holds ? ~0ull : 0;
}

/* The scalar operation that a vector one does in each lane; NOP for those that are not so. */
static unsigned scalar_op(unsigned op)
{
    static const uint8_t scalar[IR_VFRECPX + 1 - IR_VFADD] = {
#define ROW(op) [IR_V##op - IR_VFADD] = IR_##op
        ROW(FADD),   ROW(FSUB),   ROW(FMUL),    ROW(FDIV),    ROW(FSQRT),   ROW(FNEG),      ROW(FABS),
        ROW(FMA),    ROW(FMIN),   ROW(FMAX),    ROW(FMINNM),  ROW(FMAXNM),  ROW(FMULX),     ROW(FROUND),
        ROW(FRECPE), ROW(FRECPS), ROW(FRSQRTE), ROW(FRSQRTS), ROW(FTO_INT), ROW(FFROM_INT), ROW(FRECPX),
#undef ROW
    };
    return scalar[op - IR_VFADD];
}

static uint64_t evaluate_lane(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b,
                              uint64_t c)
{
    const struct ir_insn *n = e->insn;
    const unsigned op = scalar_op(n->op), bits = n->aux >> 8, width = type_width(type);

    switch (op) {
    case IR_NOP: return compare_lane(e, n->op, type, a, b);
    case IR_FMA: return evaluate_multiply_add(e, type, a, b, c);
    case IR_FTO_INT: return ir_fp_to_int(e, type, width, bits, (unsigned)n->imm, a);
    case IR_FFROM_INT: return ir_fp_from_int(e, type, width, bits, (unsigned)n->imm, a);
    case IR_FSQRT:
    case IR_FNEG:
    case IR_FABS:
    case IR_FROUND:
    case IR_FRECPE:
    case IR_FRSQRTE:
    case IR_FRECPX: return evaluate_unary(e, op, type, bits, a);
    default: return evaluate_binary(e, op, type, a, b);
    }
}

/* Conversions between formats: the low half is the narrow one. */
static void evaluate_resizing(const struct evaluation *e)
{
    const union vector128 *a = e->a;
    union vector128 *r = e->r;
    const bool half = e->insn->op != IR_VFNARROW_ODD && (e->insn->aux & 255) == 1;

    switch (e->insn->op) {
    case IR_VFWIDEN:
        for (unsigned i = 0; i < (half ? 4 : 2); i++) {
            if (!half)
                r->d[i] = ir_fp_convert(e, IR_F64, IR_F32, a->w[i]);
            else if (e->insn->aux >> 8 & IR_HALF_OPERAND)
                r->w[i] = (uint32_t)ir_fp_half_operand(e, a->h[i]);
            else
                r->w[i] = (uint32_t)ir_fp_convert(e, IR_F32, IR_F16, a->h[i]);
        }
        break;
    case IR_VFNARROW:
        for (unsigned i = 0; i < (half ? 4 : 2); i++) {
            if (half)
                r->h[i] = (uint16_t)ir_fp_convert(e, IR_F16, IR_F32, a->w[i]);
            else
                r->w[i] = (uint32_t)ir_fp_convert(e, IR_F32, IR_F64, a->d[i]);
        }
        break;
    default:
        for (unsigned i = 0; i < 2; i++)
            r->w[i] = (uint32_t)ir_fp_narrow_odd(e, a->d[i]);
        break;
    }
}

void ir_evaluate_vector_float(const struct evaluation *e)
{
    const unsigned op = e->insn->op, esize = e->insn->aux & 255;
    const union vector128 *a = e->a, *b = e->b, *c = e->c;

    if (op == IR_VFWIDEN || op == IR_VFNARROW || op == IR_VFNARROW_ODD) {
        evaluate_resizing(e);
    } else if (esize == 1) {
        for (unsigned i = 0; i < 8; i++)
            e->r->h[i] = (uint16_t)evaluate_lane(e, IR_F16, a->h[i], b->h[i], c->h[i]);
    } else if (esize == 2) {
        for (unsigned i = 0; i < 4; i++)
            e->r->w[i] = (uint32_t)evaluate_lane(e, IR_F32, a->w[i], b->w[i], c->w[i]);
    } else {
        for (unsigned i = 0; i < 2; i++)
            e->r->d[i] = evaluate_lane(e, IR_F64, a->d[i], b->d[i], c->d[i]);
    }
}
