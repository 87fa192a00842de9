/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verify: checks that a region obeys the rules of ir.h and the rows of ops.def. */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "translator/ir/ir.h"
#include "translator/ir/x86_vector.h"

static const char *const type_names[] = {"nothing", "i32", "i64", "f32", "f64", "v128", "flags", "bool"};

/* Whether a value of `type` fits the letter, in an instruction of type `own`. */
static bool type_fits(char letter, enum ir_type type, enum ir_type own)
{
    switch (letter) {
    case 'i': return type == own && (type == IR_I32 || type == IR_I64);
    case 'w': return type == IR_I32;
    case 'x':
    case '?': return type == IR_I64;
    case 'n': return type == IR_I32 || type == IR_I64;
    case 'f': return type == own && (type == IR_F32 || type == IR_F64);
    case 'g': return type == IR_F32 || type == IR_F64;
    case 'q': return type == IR_V128;
    case 'l': return type == IR_FLAGS;
    case 'b': return type == IR_BOOL;
    case 't': return type == own && type >= IR_I32 && type <= IR_V128;
    case 'm': return type == IR_I32 || type == IR_I64 || type == IR_V128;
    default: return false;
    }
}

static int check_argument(const struct ir_region *r, unsigned index, unsigned argument, ir_value v,
                          struct error *error)
{
    const struct ir_insn *n = &r->insns[index];
    const struct ir_op_info *info = &ir_op_info[n->op];
    char letter = info->arguments[argument];

    if (letter == '?' && v == IR_NONE)
        return 0;
    if (v == IR_NONE)
        return error_set(error, -EINVAL, "rule 1: instruction %u (%s): argument %u is missing", index,
                         info->name, argument);
    if (v >= index)
        return error_set(error, -EINVAL,
                         "rule 1: instruction %u (%s): argument %u is %u, which is not earlier", index,
                         info->name, argument, v);
    const struct ir_insn *from = &r->insns[v];
    if (ir_op_info[from->op].result == 'v')
        return error_set(error, -EINVAL,
                         "rule 1: instruction %u (%s): argument %u is %u (%s), which yields nothing", index,
                         info->name, argument, v, ir_op_info[from->op].name);
    if (!type_fits(letter, from->type, n->type))
        return error_set(error, -EINVAL, "rule 1: instruction %u (%s, %s): argument %u has type %s, not '%c'",
                         index, info->name, type_names[n->type], argument, type_names[from->type], letter);
    return 0;
}

static int check_types(const struct ir_region *r, unsigned index, struct error *error)
{
    const struct ir_insn *n = &r->insns[index];
    const struct ir_op_info *info = &ir_op_info[n->op];
    const ir_value arguments[3] = {n->a, n->b, n->c};
    size_t count = strlen(info->arguments);

    if (info->result != 'v' && !type_fits(info->result, n->type, n->type))
        return error_set(error, -EINVAL, "rule 1: instruction %u (%s): result has type %s, not '%c'", index,
                         info->name, type_names[n->type], info->result);
    for (unsigned i = 0; i < count; i++) {
        int status = check_argument(r, index, i, arguments[i], error);
        if (status)
            return status;
    }
    for (size_t i = count; i < 3; i++)
        if (arguments[i] != IR_NONE)
            return error_set(error, -EINVAL, "rule 1: instruction %u (%s) takes %zu arguments", index,
                             info->name, count);
    if ((n->a && n->a_type != r->insns[n->a].type) || (n->b && n->b_type != r->insns[n->b].type))
        return error_set(error, -EINVAL,
                         "rule 1: instruction %u (%s): a_type or b_type is not its argument's type", index,
                         info->name);
    return 0;
}

static unsigned type_bits(unsigned type)
{
    return 8 * ir_type_bytes((enum ir_type)type);
}

/* Whether a row of x86_vector.def belongs to the operation that names it. */
static bool x86_operation_fits(const struct ir_insn *n)
{
    const struct x86_vector_info *row = &x86_vector_info[n->aux];
    const bool has_lengths = row->shape == X86_SHAPE_MASK_OF || row->shape == X86_SHAPE_INDEX_OF;

    switch (n->op) {
    case IR_X86V:
    case IR_X86VF: return row->shape <= X86_SHAPE_MASK_OF && row->raises_status == (n->op == IR_X86VF);
    case IR_X86V_TO_INT:
        if (row->shape == X86_SHAPE_TO_INT)
            return !row->raises_status;
        return (row->shape == X86_SHAPE_INDEX || row->shape == X86_SHAPE_INDEX_OF) &&
               has_lengths == (n->c != IR_NONE);
    case IR_X86VF_TO_INT: return row->shape == X86_SHAPE_TO_INT && row->raises_status;
    case IR_X86VF_FROM_INT: return row->shape == X86_SHAPE_FROM_INT;
    default:
        return row->shape >= X86_SHAPE_MASK && row->shape <= X86_SHAPE_TEST &&
               has_lengths == (n->c != IR_NONE);
    }
}

/* Whether aux and imm are in the ranges that ops.def gives. */
static bool operands_in_range(const struct ir_insn *n)
{
    unsigned esize = n->aux & 255, lanes = 16u >> (esize & 3);

    switch (n->op) {
    case IR_CONST:
    case IR_ADDRESS: return n->type != IR_I32 || n->imm >> 32 == 0;
    case IR_EXTR: return n->imm < type_bits(n->type);
    case IR_BSWAP: return n->aux >= 1 && 8u << n->aux <= type_bits(n->type);
    case IR_UBFX:
    case IR_SBFX:
    case IR_BFI: return n->aux >> 8 >= 1 && (n->aux & 255u) + (n->aux >> 8) <= type_bits(n->type);
    case IR_COND: return n->aux <= IR_PO;
    case IR_CMP: return n->aux <= IR_SLE && (n->aux < IR_MI || n->aux > IR_VC);
    case IR_FLAGS_OF:
    case IR_FLAGS_UCOM: return n->aux <= 1;
    case IR_BIT: return n->imm < type_bits(n->a_type) && n->aux <= 1;
    case IR_REACH: return (int32_t)n->imm2 < (int32_t)(n->imm2 >> 32);
    case IR_LOAD:
    case IR_LOAD_EXCL: return 1u << (n->aux & IR_MEM_SIZE) <= ir_type_bytes(n->type);
    case IR_STORE:
    case IR_CAS:
    case IR_ATOMIC:
        return 1u << (n->aux & IR_MEM_SIZE) <= ir_type_bytes(n->type) &&
               (n->op != IR_ATOMIC || n->imm <= IR_ATOMIC_SWAP);
    case IR_STORE_EXCL: return 1u << (n->aux & IR_MEM_SIZE) <= ir_type_bytes(n->b_type);
    case IR_FCONVERT: return n->type != n->a_type;
    case IR_FFROM_HALF: return n->aux == 0 || (n->aux == IR_HALF_OPERAND && n->type == IR_F32);
    case IR_FTO_INT_SCRIPT: return n->a_type == IR_F64;
    case IR_FTO_BITS:
    case IR_FFROM_BITS: return type_bits(n->type) == type_bits(n->a_type);
    case IR_VGET_FLOAT: return n->imm < 128 / type_bits(n->type);
    case IR_VSET_FLOAT: return n->imm < 128 / type_bits(n->b_type);
    case IR_VGET: return n->imm < lanes && esize <= 3 && 8u << esize <= type_bits(n->type);
    case IR_VSET: return n->imm < lanes && esize <= 3 && 8u << esize <= type_bits(n->b_type);
    case IR_VDUP: return esize <= 3 && 8u << esize <= type_bits(n->a_type);
    case IR_VDUP_LANE: return n->imm < lanes && esize <= 3;
    case IR_VSET_LANE: return (n->imm & 15) < lanes && n->imm >> 4 < lanes && esize <= 3;
    case IR_VEXT: return n->imm < 16;
    case IR_VREV: return n->imm > esize && n->imm <= 3;
    case IR_VSHL:
    case IR_VSQSHLU: return n->imm < 8u << (esize & 3);
    case IR_VUSHR:
    case IR_VSSHR:
    case IR_VURSHR:
    case IR_VSRSHR: return n->imm >= 1 && n->imm <= 8u << (esize & 3);
    case IR_VPMULL_LO:
    case IR_VPMULL_HI: return esize == 0 || esize == 3;
    case IR_VUEXT_LO:
    case IR_VSEXT_LO:
    case IR_VUEXT_HI:
    case IR_VSEXT_HI:
    case IR_VUMULL_LO:
    case IR_VSMULL_LO:
    case IR_VUMULL_HI:
    case IR_VSMULL_HI:
    case IR_VUADDLP:
    case IR_VSADDLP:
    case IR_VNARROW:
    case IR_VSQXTN:
    case IR_VUQXTN:
    case IR_VSQXTUN: return esize <= 2;
    case IR_VSQDMULL_LO:
    case IR_VSQDMULL_HI:
    case IR_VSQDMULH:
    case IR_VSQRDMULH:
    case IR_VSQRDMLAH:
    case IR_VSQRDMLSH:
    case IR_VFWIDEN:
    case IR_VFNARROW: return esize == 1 || esize == 2;
    case IR_X86V:
    case IR_X86VF:
    case IR_X86V_TO_INT:
    case IR_X86VF_TO_INT:
    case IR_X86VF_FROM_INT:
    case IR_X86V_FLAGS: return n->aux < X86V_COUNT && x86_operation_fits(n);
    default: break;
    }
    if (n->op >= IR_PART_ADD && n->op <= IR_PART_MUL)
        return n->aux <= 1 || (n->aux <= 3 && 1u << n->aux == ir_type_bytes(n->type));
    if (n->op >= IR_VFADD && n->op <= IR_VFRECPX && n->op != IR_VFNARROW_ODD)
        return esize >= 1 && esize <= 3;
    return n->op < IR_VDUP || n->op >= IR_AESE || esize <= 3;
}

/* Rules 2 and 3 need to know where the instruction stands. */
static int check_place(const struct ir_region *r, unsigned index, bool in_insn, bool *state_changed,
                       struct error *error)
{
    const struct ir_insn *n = &r->insns[index];
    const struct ir_op_info *info = &ir_op_info[n->op];

    if (!in_insn && n->op != IR_INSN && n->op != IR_NOP)
        return error_set(error, -EINVAL, "rule 2: instruction %u (%s) comes before the first insn", index,
                         info->name);
    if (n->op == IR_INSN)
        *state_changed = false;
    if (n->op == IR_SET || n->op == IR_SET_FLAGS)
        *state_changed = true;
    if (ir_may_fault(n) && *state_changed)
        return error_set(error, -EINVAL,
                         "rule 3: instruction %u (%s) may fault after a set of the same guest insn", index,
                         info->name);
    return 0;
}

/* What goes by a REACH, whose bounds contain it. */
static int check_reached(const struct ir_region *r, unsigned index, struct error *error)
{
    const struct ir_insn *n = &r->insns[index], *reach = &r->insns[n->a];
    if ((n->op != IR_LOAD && n->op != IR_STORE) || !(n->aux & IR_MEM_REACHED))
        return 0;
    int64_t at = (int64_t)n->imm, end = at + (1 << (n->aux & IR_MEM_SIZE));
    if (reach->op == IR_REACH && !n->b && at >= (int32_t)reach->imm2 && end <= (int32_t)(reach->imm2 >> 32) &&
        (n->op == IR_LOAD || reach->aux & IR_REACH_WRITE))
        return 0;
    return error_set(error, -EINVAL, "rule 1: instruction %u (%s) is not within its REACH", index,
                     ir_op_info[n->op].name);
}

static int check_flags_of(const struct ir_region *r, unsigned index, struct error *error)
{
    const struct ir_insn *n = &r->insns[index];
    if (n->op != IR_FLAGS_OF)
        return 0;
    if (n->a != index - 1)
        return error_set(error, -EINVAL,
                         "rule 4: instruction %u (FLAGS_OF) does not follow its computation %u", index, n->a);
    if (r->insns[n->a].op >= IR_PART_ADD && r->insns[n->a].op <= IR_PART_MUL)
        return 0;
    switch (r->insns[n->a].op) {
    case IR_ADD:
    case IR_SUB:
    case IR_ADC:
    case IR_SBC:
    case IR_AND:
    case IR_ANDN: return 0;
    default:
        return error_set(error, -EINVAL, "rule 4: instruction %u (FLAGS_OF) of %s, which has no flags", index,
                         ir_op_info[r->insns[n->a].op].name);
    }
}

int ir_verify(const struct ir_region *r, struct error *error)
{
    bool in_insn = false, state_changed = false;

    if (r->count < 2 || r->count > IR_REGION_MAX || r->overflow)
        return error_set(error, -EINVAL, "rule 5: region of %u instructions%s", r->count,
                         r->overflow ? " overflowed" : " has no terminator");
    for (unsigned i = 1; i < r->count; i++) {
        const struct ir_insn *n = &r->insns[i];
        if (n->op >= IR_OP_COUNT || n->type > IR_BOOL)
            return error_set(error, -EINVAL, "rule 1: instruction %u has operation %u, type %u", i, n->op,
                             n->type);
        int status = check_types(r, i, error);
        if (status)
            return status;
        if (!operands_in_range(n))
            return error_set(error, -EINVAL,
                             "rule 1: instruction %u (%s): aux %#x or imm %#llx is out of range", i,
                             ir_op_info[n->op].name, n->aux, (unsigned long long)n->imm);
        in_insn = in_insn || n->op == IR_INSN;
        status = check_place(r, i, in_insn, &state_changed, error);
        if (!status)
            status = check_flags_of(r, i, error);
        if (!status)
            status = check_reached(r, i, error);
        if (status)
            return status;
        if (ir_op_info[n->op].terminates != (i == r->count - 1))
            return error_set(error, -EINVAL, "rule 5: instruction %u (%s) %s", i, ir_op_info[n->op].name,
                             i == r->count - 1 ? "is last but no terminator"
                                               : "is a terminator but not last");
    }
    return 0;
}
