/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_vector_table: which emitter serves which floating-point, vector or cryptographic operation, and the
 * cold code that they share. Left to ir_eval_op() are VURECPE, VURSQRTE, FRECPX, VFNARROW_ODD, which programs
 * hardly use; and, by their emitters, saturating shifts by amounts that are no constant, doubles to half
 * precision, SHA-1 and SHA-256 rounds on a host without SHA-NI, and element sizes that no guest has.
 */
#include "translator/host/x86_64/emit_vector.h"

static struct mem scratch_home(struct emit *e, unsigned i)
{
    return emit_cpu(e, i < 3 ? CPU_EVAL_ARGUMENT(i) : CPU_EVAL_RESULT);
}

struct emit_scratch emit_scratch_take(struct emit *e, unsigned count)
{
    struct emit_scratch s = {.count = count};
    unsigned next = 15;
    for (unsigned i = 0; i < count; i++) {
        uint32_t busy = (e->locked | e->scratch) >> PLACE_XMM;
        if (__builtin_popcount(busy & TMP_XMM_MASK) < TMP_XMM_COUNT) {
            s.reg[i] = emit_tmp_xmm(e);
            continue;
        }
        while (busy >> next & 1)
            next--;
        vex_rm(e, V_MOVUPS_STORE, next, rm_mem(scratch_home(e, s.borrowed++)));
        s.reg[i] = next--;
    }
    return s;
}

void emit_scratch_return(struct emit *e, const struct emit_scratch *s)
{
    for (unsigned i = 0; i < s->borrowed; i++)
        vex_rm(e, V_MOVUPS_LOAD, s->reg[s->count - s->borrowed + i], rm_mem(scratch_home(e, i)));
}

void emit_cold_evaluation(struct emit *e, struct cold *c)
{
    for (unsigned i = 0; i < c->r[1]; i++) {
        struct mem argument = emit_cpu(e, CPU_EVAL_ARGUMENT(i));
        unsigned place = c->r[2 + i];
        if (place >= PLACE_XMM)
            vex_rm(e, V_MOVUPS_STORE, place - PLACE_XMM, rm_mem(argument));
        else
            asm_store(e->a, true, argument, place);
    }
    emit_cold_eval(e, c);
    struct mem result = emit_cpu(e, CPU_EVAL_RESULT);
    if (c->r[0] >= PLACE_XMM)
        vex_rm(e, V_MOVUPS_LOAD, c->r[0] - PLACE_XMM, rm_mem(result));
    else
        asm_load(e->a, true, c->r[0], result);
}

struct cold *emit_cold_evaluate(struct emit *e, enum cc cc, unsigned result, unsigned count,
                                const uint8_t *operands)
{
    struct cold *c = emit_cold_jcc(e, cc, emit_cold_evaluation);
    c->r[0] = (uint8_t)result;
    c->r[1] = (uint8_t)count;
    for (unsigned i = 0; i < count; i++)
        c->r[2 + i] = operands[i];
    return c;
}

void emit_cold_also(struct emit *e, struct cold *c, enum cc cc)
{
    c->jumps[1] = asm_jcc(e->a, cc);
}

static void cold_saturated(struct emit *e, struct cold *c)
{
    (void)c;
    asm_store_imm(e->a, 2, emit_cpu(e, e->isa->qc_offset), 1);
}

void emit_saturated_jnz(struct emit *e)
{
    emit_cold_back(e, emit_cold_jcc(e, CC_NE, cold_saturated));
}

static bool is_half(const struct ir_insn *insn)
{
    switch (insn->op) {
    case IR_FFROM_HALF:
    case IR_FTO_HALF:
    case IR_HALF_FROM_INT: return true;
    default: return insn->op >= IR_VFADD && insn->op <= IR_VFRECPX && (insn->aux & 3) == 1;
    }
}

/*
 * Denormals of halves that are flushed, and their alternative format, are not the host's. It does flush F32
 * and F64, but neither tells of operands nor leaves "inexact" alone when it flushes a result.
 */
bool emit_float_needs_eval(unsigned fp_mode, const struct ir_insn *insn)
{
    bool is_float =
        (insn->op >= IR_FCONST && insn->op < IR_VCONST) || (insn->op >= IR_VFADD && insn->op < IR_AESE);
    if (!is_float || ir_op_info[insn->op].pure)
        return false;
    return ir_fp_evaluates(fp_mode) || (fp_mode & IR_FP_HALF && is_half(insn));
}

const emit_function emit_op_vector[IR_OP_COUNT] = {
    [IR_FADD] = emit_float_arithmetic,
    [IR_FSUB] = emit_float_arithmetic,
    [IR_FMUL] = emit_float_arithmetic,
    [IR_FDIV] = emit_float_arithmetic,
    [IR_FSQRT] = emit_float_sqrt,
    [IR_FNEG] = emit_float_sign,
    [IR_FABS] = emit_float_sign,
    [IR_FMA] = emit_float_fma,
    [IR_FMIN] = emit_float_minmax,
    [IR_FMAX] = emit_float_minmax,
    [IR_FMINNM] = emit_float_minmax,
    [IR_FMAXNM] = emit_float_minmax,
    [IR_FMULX] = emit_vector_float_step,
    [IR_FROUND] = emit_float_round,
    [IR_FCONVERT] = emit_float_convert,
    [IR_FFROM_HALF] = emit_float_from_half,
    [IR_FTO_HALF] = emit_float_to_half,
    [IR_FTO_INT] = emit_float_to_int,
    [IR_FTO_INT_SCRIPT] = emit_float_to_int_script,
    [IR_FFROM_INT] = emit_float_from_int,
    [IR_FTO_BITS] = emit_float_to_bits,
    [IR_FFROM_BITS] = emit_float_from_bits,
    [IR_FRECPE] = emit_float_estimate,
    [IR_FRSQRTE] = emit_float_estimate,
    [IR_FRECPS] = emit_vector_float_step,
    [IR_FRSQRTS] = emit_vector_float_step,

    [IR_VFROM_FLOAT] = emit_vector_from_float,
    [IR_VGET_FLOAT] = emit_vector_get_float,
    [IR_VSET_FLOAT] = emit_vector_set_float,
    [IR_VFROM_INT] = emit_vector_from_int,
    [IR_VFROM_PAIR] = emit_vector_from_pair,
    [IR_VGET] = emit_vector_get,
    [IR_VSET] = emit_vector_set,
    [IR_VDUP] = emit_vector_dup,
    [IR_VDUP_LANE] = emit_vector_dup_lane,
    [IR_VSET_LANE] = emit_vector_set_lane,
    [IR_VLOW] = emit_vector_low,
    [IR_VZIP1] = emit_vector_zip,
    [IR_VZIP2] = emit_vector_zip,
    [IR_VUZP1] = emit_vector_unzip,
    [IR_VUZP2] = emit_vector_unzip,
    [IR_VTRN1] = emit_vector_transpose,
    [IR_VTRN2] = emit_vector_transpose,
    [IR_VEXT] = emit_vector_extract,
    [IR_VTBL] = emit_vector_table,
    [IR_VREV] = emit_vector_reverse,

    [IR_VAND] = emit_vector_logic,
    [IR_VOR] = emit_vector_logic,
    [IR_VXOR] = emit_vector_logic,
    [IR_VANDN] = emit_vector_and_not,
    [IR_VORN] = emit_vector_or_not,
    [IR_VNOT] = emit_vector_not,
    [IR_VBSL] = emit_vector_select,
    [IR_VADD] = emit_vector_add,
    [IR_VSUB] = emit_vector_add,
    [IR_VMUL] = emit_vector_mul,
    [IR_VNEG] = emit_vector_negate,
    [IR_VABS] = emit_vector_absolute,
    [IR_VSMIN] = emit_vector_minmax,
    [IR_VSMAX] = emit_vector_minmax,
    [IR_VUMIN] = emit_vector_minmax,
    [IR_VUMAX] = emit_vector_minmax,
    [IR_VCMPEQ] = emit_vector_compare,
    [IR_VCMPGT] = emit_vector_compare,
    [IR_VCMPGE] = emit_vector_compare_more,
    [IR_VCMPHI] = emit_vector_compare_more,
    [IR_VCMPHS] = emit_vector_compare_more,
    [IR_VTST] = emit_vector_test,
    [IR_VSHL] = emit_vector_shift,
    [IR_VUSHR] = emit_vector_shift,
    [IR_VSSHR] = emit_vector_shift,
    [IR_VURSHR] = emit_vector_shift_rounding,
    [IR_VSRSHR] = emit_vector_shift_rounding,
    [IR_VUSHL_VAR] = emit_vector_shift_variable,
    [IR_VSSHL_VAR] = emit_vector_shift_variable,
    [IR_VURSHL_VAR] = emit_vector_shift_variable,
    [IR_VSRSHL_VAR] = emit_vector_shift_variable,
    [IR_VUQSHL_VAR] = emit_vector_shift_saturating,
    [IR_VSQSHL_VAR] = emit_vector_shift_saturating,
    [IR_VUQRSHL_VAR] = emit_vector_shift_saturating,
    [IR_VSQRSHL_VAR] = emit_vector_shift_saturating,
    [IR_VSQSHLU] = emit_vector_shift_saturating,
    [IR_VUQADD] = emit_vector_add_saturating,
    [IR_VSQADD] = emit_vector_add_saturating,
    [IR_VUQSUB] = emit_vector_add_saturating,
    [IR_VSQSUB] = emit_vector_add_saturating,
    [IR_VSUQADD] = emit_vector_add_saturating,
    [IR_VUSQADD] = emit_vector_add_saturating,
    [IR_VSQABS] = emit_vector_sign_saturating,
    [IR_VSQNEG] = emit_vector_sign_saturating,
    [IR_VUHADD] = emit_vector_halve,
    [IR_VSHADD] = emit_vector_halve,
    [IR_VURHADD] = emit_vector_halve,
    [IR_VSRHADD] = emit_vector_halve,
    [IR_VUHSUB] = emit_vector_halve,
    [IR_VSHSUB] = emit_vector_halve,
    [IR_VUABD] = emit_vector_difference,
    [IR_VSABD] = emit_vector_difference,
    [IR_VCNT] = emit_vector_count,
    [IR_VCLZ] = emit_vector_leading,
    [IR_VCLS] = emit_vector_leading,
    [IR_VRBIT] = emit_vector_reverse_bits,
    [IR_VUEXT_LO] = emit_vector_extend,
    [IR_VSEXT_LO] = emit_vector_extend,
    [IR_VUEXT_HI] = emit_vector_extend,
    [IR_VSEXT_HI] = emit_vector_extend,
    [IR_VUMULL_LO] = emit_vector_multiply_long,
    [IR_VSMULL_LO] = emit_vector_multiply_long,
    [IR_VUMULL_HI] = emit_vector_multiply_long,
    [IR_VSMULL_HI] = emit_vector_multiply_long,
    [IR_VPMUL] = emit_polynomial,
    [IR_VPMULL_LO] = emit_polynomial_long,
    [IR_VPMULL_HI] = emit_polynomial_long,
    [IR_VSQDMULL_LO] = emit_vector_multiply_long_saturating,
    [IR_VSQDMULL_HI] = emit_vector_multiply_long_saturating,
    [IR_VSQDMULH] = emit_vector_multiply_high,
    [IR_VSQRDMULH] = emit_vector_multiply_high,
    [IR_VSQRDMLAH] = emit_vector_multiply_add_high,
    [IR_VSQRDMLSH] = emit_vector_multiply_add_high,
    [IR_VNARROW] = emit_vector_narrow,
    [IR_VSQXTN] = emit_vector_narrow_saturating,
    [IR_VUQXTN] = emit_vector_narrow_saturating,
    [IR_VSQXTUN] = emit_vector_narrow_saturating,
    [IR_VUADDLP] = emit_vector_add_long,
    [IR_VSADDLP] = emit_vector_add_long,
    [IR_VADDP] = emit_vector_pairwise,
    [IR_VSMINP] = emit_vector_pairwise,
    [IR_VSMAXP] = emit_vector_pairwise,
    [IR_VUMINP] = emit_vector_pairwise,
    [IR_VUMAXP] = emit_vector_pairwise,
    [IR_VUDOT] = emit_vector_dot,
    [IR_VSDOT] = emit_vector_dot,
    [IR_VADDV] = emit_vector_sum,
    [IR_VSMINV] = emit_vector_least,
    [IR_VSMAXV] = emit_vector_least,
    [IR_VUMINV] = emit_vector_least,
    [IR_VUMAXV] = emit_vector_least,

    [IR_VFADD] = emit_vector_float_arithmetic,
    [IR_VFSUB] = emit_vector_float_arithmetic,
    [IR_VFMUL] = emit_vector_float_arithmetic,
    [IR_VFDIV] = emit_vector_float_arithmetic,
    [IR_VFSQRT] = emit_vector_float_sqrt,
    [IR_VFNEG] = emit_vector_float_sign,
    [IR_VFABS] = emit_vector_float_sign,
    [IR_VFMA] = emit_vector_float_fma,
    [IR_VFMIN] = emit_vector_float_minmax,
    [IR_VFMAX] = emit_vector_float_minmax,
    [IR_VFMINNM] = emit_vector_float_minmax,
    [IR_VFMAXNM] = emit_vector_float_minmax,
    [IR_VFMULX] = emit_vector_float_step,
    [IR_VFCMPEQ] = emit_vector_float_compare,
    [IR_VFCMPGE] = emit_vector_float_compare,
    [IR_VFCMPGT] = emit_vector_float_compare,
    [IR_VFROUND] = emit_vector_float_round,
    [IR_VFTO_INT] = emit_vector_float_to_int,
    [IR_VFFROM_INT] = emit_vector_float_from_int,
    [IR_VFWIDEN] = emit_vector_float_widen,
    [IR_VFNARROW] = emit_vector_float_narrow,
    [IR_VFRECPE] = emit_float_estimate,
    [IR_VFRSQRTE] = emit_float_estimate,
    [IR_VFRECPS] = emit_vector_float_step,
    [IR_VFRSQRTS] = emit_vector_float_step,

    [IR_AESE] = emit_aes_round,
    [IR_AESD] = emit_aes_round,
    [IR_AESMC] = emit_aes_mix,
    [IR_AESIMC] = emit_aes_mix,
    [IR_SHA1C] = emit_sha1_rounds,
    [IR_SHA1P] = emit_sha1_rounds,
    [IR_SHA1M] = emit_sha1_rounds,
    [IR_SHA1H] = emit_sha1_rotate,
    [IR_SHA1SU0] = emit_sha1_schedule0,
    [IR_SHA1SU1] = emit_sha1_schedule1,
    [IR_SHA256H] = emit_sha256_rounds,
    [IR_SHA256H2] = emit_sha256_rounds,
    [IR_SHA256SU0] = emit_sha256_schedule0,
    [IR_SHA256SU1] = emit_sha256_schedule1,
    [IR_SHA512H] = emit_sha512_rounds,
    [IR_SHA512H2] = emit_sha512_rounds2,
    [IR_SHA512SU0] = emit_sha512_schedule0,
    [IR_SHA512SU1] = emit_sha512_schedule1,

    [IR_X86V] = emit_x86_vector,
    [IR_X86VF] = emit_x86_vector,
    [IR_X86V_TO_INT] = emit_x86_vector_to_int,
    [IR_X86VF_TO_INT] = emit_x86_vector_to_int,
    [IR_X86VF_FROM_INT] = emit_x86_vector_from_int,
    [IR_X86V_FLAGS] = emit_x86_vector_flags,
};
