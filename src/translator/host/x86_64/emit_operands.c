/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emit_operands: for code that must tell of denormal operands that are flushed (IR_FP_INEXACT). */
#include "translator/host/x86_64/emit_core.h"
#include "translator/host/x86_64/emit_vector.h"

enum { EQ_Q = 0, MXCSR_DENORMAL = 2 };

/* What of an operation's operands is looked at. */
struct operands {
    bool any, is_double, scalar;
    uint64_t low, high; /* the bits that a denormal number has, the sign not among them */
};

static struct operands scalar_operands(unsigned type)
{
    bool is_double = type == IR_F64;
    return (struct operands){type == IR_F64 || type == IR_F32, is_double, true, float_magnitude(is_double),
                             0};
}

static struct operands vector_operands(unsigned esize, bool low_only)
{
    bool is_double = esize == 3;
    uint64_t mask = is_double ? float_magnitude(true) : float_magnitude(false) << 32 | float_magnitude(false);
    return (struct operands){esize >= 2, is_double, false, mask, low_only ? 0 : mask};
}

static struct operands operands_of(const struct ir_insn *insn)
{
    unsigned esize = insn->aux & 3;
    if (insn->op == IR_FLAGS_FCMP)
        return scalar_operands(insn->a_type);
    if (ir_op_info[insn->op].pure)
        return (struct operands){.any = false};
    if (insn->op >= IR_FCONST && insn->op < IR_VCONST)
        return scalar_operands(insn->a_type);
    if (insn->op < IR_VFADD || insn->op >= IR_AESE || insn->op == IR_VFFROM_INT)
        return (struct operands){.any = false};
    switch (insn->op) {
    case IR_VFWIDEN: return vector_operands(esize == 2 ? 2 : 1, true);
    case IR_VFNARROW: return vector_operands(esize + 1, false);
    case IR_VFNARROW_ODD: return vector_operands(3, false);
    default: return vector_operands(esize, false);
    }
}

static void cold_raise(struct emit *e, struct cold *c)
{
    struct mem control = emit_cpu(e, offsetof(struct translator_cpu, fp_control));
    (void)c;
    asm_stmxcsr(e->a, control);
    asm_alu_imm(e->a, ALU_OR, false, rm_mem(control), MXCSR_DENORMAL);
    asm_ldmxcsr(e->a, control);
}

/* Zero, as comparisons with it have it. */
static bool is_zero(struct emit *e, ir_value v)
{
    const struct ir_insn *insn = emit_insn(e, v);
    return e->values[v].place == PLACE_CONST && !insn->imm && (insn->op != IR_VCONST || !insn->imm2);
}

/* Where denormal numbers are flushed, they compare equal to zero; so do zeroes, in which no bit is set. A
 * signalling NaN raises here what it raises in the operation. */
void emit_float_operands(struct emit *e, const struct ir_insn *insn)
{
    const struct operands o = operands_of(insn);
    const ir_value values[] = {insn->a, insn->b, insn->c};
    unsigned x[3], count = 0;
    if (!o.any)
        return;
    emit_clobber_flags(e);
    for (unsigned i = 0; i < 3; i++)
        if (values[i] && !is_zero(e, values[i]))
            x[count++] = emit_use_xmm(e, values[i]);
    if (count) {
        uint32_t compare = vex_float(VCMPPS, o.is_double, o.scalar);
        bool low_only = !o.scalar && !o.high;
        unsigned t = emit_tmp_xmm(e), u = count > 1 || low_only ? emit_tmp_xmm(e) : t;
        if (low_only) { /* nothing must be raised by what is above */
            vex_rr(e, V_MOVQ_LOAD, u, x[0]);
            x[0] = u;
        }
        for (unsigned i = 0; i < count; i++) {
            unsigned d = i ? u : t;
            vex_rrmi(e, compare, d, x[i], pool_zero(e), EQ_Q);
            vex_rrr(e, VPAND, d, d, x[i]);
            if (i)
                vex_rrr(e, VPOR, t, t, u);
        }
        vex_rm(e, VPTEST, t, pool_pair(e, o.low, o.high));
        emit_cold_back(e, emit_cold_jcc(e, CC_NE, cold_raise));
    }
    e->scratch = 0; /* the operation itself has them again */
}
