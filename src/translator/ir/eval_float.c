/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eval_float: floating-point arithmetic, comparisons and the rules for NaNs.
 *
 * The host's own instructions compute; so rounding, flushing and the sticky flags are those of the host's
 * control word, which holds the guest's settings. Only what Arm defines differently is done here.
 * Specification: Arm ARM, pseudo-code functions FPAdd, FPMulAdd, FPMax, FPProcessNaNs and so on in J1.3.
 */
#include <string.h>

#include "translator/ir/evaluation.h"
#include "translator/ir/host_float.h"

enum {
    CONTROL_FLAGS = 63,
    CONTROL_DENORMALS_ARE_ZERO = 1 << 6,
    CONTROL_ROUNDING_SHIFT = 13,
    CONTROL_ROUND_TO_ZERO = 3 << CONTROL_ROUNDING_SHIFT,
    CONTROL_FLUSH_TO_ZERO = 1 << 15,
};

/* Never inlined: no floating-point operation may be moved between the reading and the writing of the flags.
 */
__attribute__((noinline)) void ir_fp_raise(unsigned flags)
{
    host_set_control(host_control() | flags);
}

bool ir_fp_flushes(void)
{
    return host_control() & CONTROL_DENORMALS_ARE_ZERO;
}

enum ir_round ir_fp_rounding(void)
{
    static const uint8_t modes[] = {IR_ROUND_EVEN, IR_ROUND_DOWN, IR_ROUND_UP, IR_ROUND_ZERO};
    return (enum ir_round)modes[host_control() >> CONTROL_ROUNDING_SHIFT & 3];
}

/* -- NaNs ---------------------------------------------------------------------------------------------- */

static bool wants_default_nan(const struct guest_isa *isa, const struct translator_cpu *cpu)
{
    return isa->default_nan && isa->default_nan(cpu);
}

uint64_t ir_fp_process_nan(const struct evaluation *e, enum ir_type type, uint64_t x)
{
    if (fp_is_signalling(type, x))
        ir_fp_raise(FP_INVALID);
    return wants_default_nan(e->isa, e->cpu) ? fp_default_nan(type) : x | fp_quiet_bit(type);
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

/* A NaN of the other format: sign and the upper bits of the payload stay. */
static uint64_t convert_nan(enum ir_type to, uint64_t x)
{
    if (to == IR_F64)
        return (x >> 31 & 1) << 63 | fp_default_nan(IR_F64) | (x & 0x3fffff) << 29;
    return (x >> 63) << 31 | fp_default_nan(IR_F32) | (x >> 29 & 0x3fffff);
}

/* Infinity times zero, in either order. */
static bool is_invalid_product(enum ir_type type, uint64_t a, uint64_t b)
{
    return (fp_is_infinite(type, a) && fp_is_zero(type, b)) ||
           (fp_is_zero(type, a) && fp_is_infinite(type, b));
}

uint64_t ir_fp_fix_nan(const struct guest_isa *isa, struct translator_cpu *cpu, enum ir_op op,
                       enum ir_type type, uint64_t a, uint64_t b, uint64_t c)
{
    switch (op) {
    case IR_FMA:
    case IR_VFMA: {
        const uint64_t operands[] = {c, a, b};
        if (fp_is_nan(type, c) && !fp_is_signalling(type, c) && is_invalid_product(type, a, b)) {
            ir_fp_raise(FP_INVALID);
            return fp_default_nan(type);
        }
        return wants_default_nan(isa, cpu) ? fp_default_nan(type) : choose_nan(type, operands, 3);
    }
    case IR_FRECPS:
    case IR_FRSQRTS:
    case IR_VFRECPS:
    case IR_VFRSQRTS: a ^= fp_sign(type); break; /* the step's first operand is negated, NaN or not */
    case IR_FSQRT:
    case IR_FROUND:
    case IR_FRECPE:
    case IR_FRSQRTE:
    case IR_FRECPX:
    case IR_VFSQRT:
    case IR_VFROUND:
    case IR_VFRECPE:
    case IR_VFRSQRTE: b = 0; break;
    case IR_FCONVERT:
    case IR_VFWIDEN:
    case IR_VFNARROW:
    case IR_VFNARROW_ODD: return wants_default_nan(isa, cpu) ? fp_default_nan(type) : convert_nan(type, a);
    default: break;
    }
    const uint64_t operands[] = {a, b};
    return wants_default_nan(isa, cpu) ? fp_default_nan(type) : choose_nan(type, operands, 2);
}

static uint64_t fix_nan(const struct evaluation *e, unsigned op, enum ir_type type, uint64_t a, uint64_t b)
{
    return ir_fp_fix_nan(e->isa, e->cpu, (enum ir_op)op, type, a, b, 0);
}

/* For operations that the host does not compute: the result if an operand is a NaN, and its flag. */
static bool has_nan(const struct evaluation *e, unsigned op, enum ir_type type, uint64_t a, uint64_t b,
                    uint64_t *r)
{
    if (!fp_is_nan(type, a) && !fp_is_nan(type, b))
        return false;
    if (fp_is_signalling(type, a) || fp_is_signalling(type, b))
        ir_fp_raise(FP_INVALID);
    *r = fix_nan(e, op, type, a, b);
    return true;
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

static uint16_t compare_flags(enum ir_type type, uint64_t a, uint64_t b, bool signals)
{
    if (is_unordered(type, a, b, signals))
        return NZCV_V;
    int order = compare(type, a, b);
    return order < 0 ? NZCV_N | NZCV_B : order == 0 ? NZCV_Z : 0;
}

/* Of two numbers; zeros are ordered by sign, and a denormal result is flushed if the guest says so. */
static uint64_t choose_extreme(enum ir_type type, uint64_t a, uint64_t b, bool smallest)
{
    const uint64_t sign = fp_sign(type);

    if (fp_is_zero(type, a) && fp_is_zero(type, b))
        return (smallest ? a | b : a & b) & sign;
    uint64_t r = (compare(type, a, b) < 0) == smallest ? a : b;
    return fp_is_zero(type, r) ? r & sign : r;
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
    return has_nan(e, op, type, a, b, &r) ? r : choose_extreme(type, a, b, smallest);
}

/* -- the host computes ------------------------------------------------------------------------------------
 */

static inline uint64_t host_compute(enum ir_op op, enum ir_type type, uint64_t a, uint64_t b, uint64_t c)
{
    switch (op) {
    case IR_FADD: return host_add(type, a, b);
    case IR_FSUB: return host_subtract(type, a, b);
    case IR_FMUL: return host_multiply(type, a, b);
    case IR_FDIV: return host_divide(type, a, b);
    case IR_FMA: return host_multiply_add(type, a, b, c);
    default: return host_convert(type, a);
    }
}

/*
 * Arm calls a result tiny if it is so before it is rounded, the host if it still is after that; and where
 * tiny results are flushed, Arm does not call them inexact. `r` is the host's result, near the smallest
 * normal number, `before` the control word before it was computed.
 */
__attribute__((noinline)) static uint64_t correct_tiny(enum ir_op op, enum ir_type type, uint64_t a,
                                                       uint64_t b, uint64_t c, uint64_t r, unsigned before)
{
    const uint64_t smallest_normal = type == IR_F32 ? 1u << 23 : 1ull << 52;
    const unsigned after = host_control();

    host_set_control((before & ~(unsigned)(CONTROL_FLAGS | CONTROL_FLUSH_TO_ZERO)) | CONTROL_ROUND_TO_ZERO);
    const uint64_t magnitude = fp_magnitude(type, host_compute(op, type, a, b, c));
    const bool inexact = host_control() & FP_INEXACT;

    if (magnitude >= smallest_normal || (magnitude == 0 && !inexact)) {
        host_set_control(after);
    } else if (before & CONTROL_FLUSH_TO_ZERO) {
        host_set_control(before | FP_UNDERFLOW);
        r &= fp_sign(type);
    } else {
        host_set_control(inexact ? after | FP_UNDERFLOW | FP_INEXACT : after);
    }
    return r;
}

uint64_t ir_fp_compute(enum ir_op op, enum ir_type type, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t smallest_normal = type == IR_F32 ? 1u << 23 : 1ull << 52;
    const unsigned before = host_control();
    const uint64_t r = host_compute(op, type, a, b, c);
    const uint64_t magnitude = fp_magnitude(type, r);

    if (magnitude > smallest_normal || (magnitude < smallest_normal && !(before & CONTROL_FLUSH_TO_ZERO)))
        return r;
    return correct_tiny(op, type, a, b, c, r, before);
}

/* -- arithmetic -------------------------------------------------------------------------------------------
 */

static uint64_t multiply_extended(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b)
{
    if (is_invalid_product(type, a, b)) /* 2 */
        return ((a ^ b) & fp_sign(type)) | (type == IR_F32 ? 0x40000000 : 0x4000000000000000);
    uint64_t r = ir_fp_compute(IR_FMUL, type, a, b, 0);
    return fp_is_nan(type, r) ? fix_nan(e, IR_FMULX, type, a, b) : r;
}

static uint64_t evaluate_binary(const struct evaluation *e, unsigned op, enum ir_type type, uint64_t a,
                                uint64_t b)
{
    uint64_t r;

    switch (op) {
    case IR_FADD:
    case IR_FSUB:
    case IR_FMUL:
    case IR_FDIV: r = ir_fp_compute((enum ir_op)op, type, a, b, 0); break;
    case IR_FMIN:
    case IR_FMAX:
    case IR_FMINNM:
    case IR_FMAXNM: return extreme(e, op, type, a, b);
    case IR_FMULX: return multiply_extended(e, type, a, b);
    case IR_FRECPS: return has_nan(e, op, type, a, b, &r) ? r : ir_fp_recip_step(type, a, b);
    case IR_FRSQRTS: return has_nan(e, op, type, a, b, &r) ? r : ir_fp_rsqrt_step(type, a, b);
    default: return 0;
    }
    return fp_is_nan(type, r) ? fix_nan(e, op, type, a, b) : r;
}

static uint64_t evaluate_unary(const struct evaluation *e, unsigned op, enum ir_type type, unsigned bits,
                               uint64_t a)
{
    uint64_t r;

    switch (op) {
    case IR_FSQRT: r = host_square_root(type, a); return fp_is_nan(type, r) ? fix_nan(e, op, type, a, 0) : r;
    case IR_FNEG: return a ^ fp_sign(type);
    case IR_FABS: return a & ~fp_sign(type);
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
    uint64_t r = ir_fp_compute(IR_FMA, type, a, b, c);
    return fp_is_nan(type, r) ? ir_fp_fix_nan(e->isa, e->cpu, IR_FMA, type, a, b, c) : r;
}

static unsigned type_width(unsigned type)
{
    return type == IR_I32 || type == IR_F32 ? 32 : 64;
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
    union vector128 *r = e->r;

    switch (n->op) {
    case IR_FLAGS_FCMP: r->h[0] = compare_flags(a_type, a, b, n->aux & 1); break;
    case IR_FCONST: r->d[0] = n->imm; break;
    case IR_FTO_BITS:
    case IR_FFROM_BITS: r->d[0] = a; break;
    case IR_FMA: r->d[0] = evaluate_multiply_add(e, type, a, b, c); break;
    case IR_FCONVERT: r->d[0] = ir_fp_convert(e, type, a); break;
    case IR_FFROM_HALF: r->d[0] = ir_fp_from_half(e, type, (uint32_t)a); break;
    case IR_FTO_HALF: r->d[0] = ir_fp_to_half(e, a_type, a); break;
    case IR_FTO_INT: r->d[0] = ir_fp_to_int(a_type, type_width(type), n->aux, (unsigned)n->imm, a); break;
    case IR_FFROM_INT: r->d[0] = ir_fp_from_int(type, type_width(a_type), n->aux, (unsigned)n->imm, a); break;
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
static uint64_t compare_lane(unsigned op, enum ir_type type, uint64_t a, uint64_t b)
{
    if (is_unordered(type, a, b, op != IR_VFCMPEQ))
        return 0;
    int order = compare(type, a, b);
    bool holds = op == IR_VFCMPEQ ? order == 0 : op == IR_VFCMPGE ? order >= 0 : order > 0;
    return holds ? ~0ull : 0;
}

/* The scalar operation that a vector one does in each lane; NOP for those that are not so. */
static unsigned scalar_op(unsigned op)
{
    static const uint8_t scalar[IR_VFRSQRTS + 1 - IR_VFADD] = {
#define ROW(op) [IR_V##op - IR_VFADD] = IR_##op
        ROW(FADD),   ROW(FSUB),   ROW(FMUL),    ROW(FDIV),    ROW(FSQRT),   ROW(FNEG),      ROW(FABS),
        ROW(FMA),    ROW(FMIN),   ROW(FMAX),    ROW(FMINNM),  ROW(FMAXNM),  ROW(FMULX),     ROW(FROUND),
        ROW(FRECPE), ROW(FRECPS), ROW(FRSQRTE), ROW(FRSQRTS), ROW(FTO_INT), ROW(FFROM_INT),
#undef ROW
    };
    return scalar[op - IR_VFADD];
}

static uint64_t evaluate_lane(const struct evaluation *e, enum ir_type type, uint64_t a, uint64_t b,
                              uint64_t c)
{
    const struct ir_insn *n = e->insn;
    const unsigned op = scalar_op(n->op), bits = n->aux >> 8;

    switch (op) {
    case IR_NOP: return compare_lane(n->op, type, a, b);
    case IR_FMA: return evaluate_multiply_add(e, type, a, b, c);
    case IR_FTO_INT: return ir_fp_to_int(type, type_width(type), bits, (unsigned)n->imm, a);
    case IR_FFROM_INT: return ir_fp_from_int(type, type_width(type), bits, (unsigned)n->imm, a);
    case IR_FSQRT:
    case IR_FNEG:
    case IR_FABS:
    case IR_FROUND:
    case IR_FRECPE:
    case IR_FRSQRTE: return evaluate_unary(e, op, type, bits, a);
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
            if (half)
                r->w[i] = (uint32_t)ir_fp_from_half(e, IR_F32, a->h[i]);
            else
                r->d[i] = ir_fp_convert(e, IR_F64, a->w[i]);
        }
        break;
    case IR_VFNARROW:
        for (unsigned i = 0; i < (half ? 4 : 2); i++) {
            if (half)
                r->h[i] = (uint16_t)ir_fp_to_half(e, IR_F32, a->w[i]);
            else
                r->w[i] = (uint32_t)ir_fp_convert(e, IR_F32, a->d[i]);
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
    const unsigned op = e->insn->op;

    if (op == IR_VFWIDEN || op == IR_VFNARROW || op == IR_VFNARROW_ODD) {
        evaluate_resizing(e);
    } else if ((e->insn->aux & 255) == 2) {
        for (unsigned i = 0; i < 4; i++)
            e->r->w[i] = (uint32_t)evaluate_lane(e, IR_F32, e->a->w[i], e->b->w[i], e->c->w[i]);
    } else {
        for (unsigned i = 0; i < 2; i++)
            e->r->d[i] = evaluate_lane(e, IR_F64, e->a->d[i], e->b->d[i], e->c->d[i]);
    }
}
