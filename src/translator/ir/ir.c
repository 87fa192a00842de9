/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ir: building a region. Every instruction that a lifter asks for comes through ir_emit(), which
 * folds what is known at translation time. Folding never changes what a region does, only how many
 * instructions say it, and it looks no further than the instruction's own arguments: this is on the
 * path of every translated guest instruction.
 */
#include "translator/ir/ir.h"

#include <string.h>

#include "base/macros.h"
#include "translator/ir/eval.h"

/* Whether a flag letter stands in a row of ops.def; a constant expression. */
#define HAS(flags, letter) (__builtin_strchr(flags, letter) != NULL)

const struct ir_op_info ir_op_info[IR_OP_COUNT] = {
#define OP(op_name, op_result, op_arguments, op_flags)                                                       \
    [IR_##op_name] = {                                                                                       \
        .name = #op_name,                                                                                    \
        .result = op_result[0],                                                                              \
        .arguments = op_arguments,                                                                           \
        .flags = op_flags,                                                                                   \
        .pure = HAS(op_flags, 'P'),                                                                          \
        .may_fault = HAS(op_flags, 'M'),                                                                     \
        .exits = HAS(op_flags, 'X'),                                                                         \
        .terminates = HAS(op_flags, 'T'),                                                                    \
    },
#include "translator/ir/ops.def"
#undef OP
};

static void forget_guest_state(struct ir_region *r)
{
    memset(r->known, 0, sizeof r->known);
    r->known_flags = IR_NONE;
}

void ir_region_reset(struct ir_region *r, uint64_t guest_start)
{
    r->count = 1;
    r->overflow = r->cut = r->reaches = r->guarded = r->movable = r->tells_branches = false;
    r->reach_count = 0;
    r->guest_start = guest_start;
    r->guest_end = guest_start;
    memset(&r->folded, 0, sizeof r->folded);
    memset(&r->insns[0], 0, sizeof r->insns[0]); /* the NOP that stands for IR_NONE */
    forget_guest_state(r);
}

void ir_region_truncate(struct ir_region *r, unsigned count)
{
    r->count = count;
    r->overflow = false;
    while (r->reach_count && r->reach[r->reach_count - 1] >= count)
        r->reach_count--;
    memset(&r->folded, 0, sizeof r->folded);
    /* What was known may be a value that is gone now. */
    forget_guest_state(r);
}

static inline bool is_terminator(unsigned op)
{
    return op >= IR_GOTO && op <= IR_RAISE;
}

/* Appends, field by field from registers: copying a struct that was just made would wait for its stores. */
static inline ir_value put(struct ir_region *r, unsigned op, unsigned type, unsigned aux, ir_value a,
                           ir_value b, ir_value c, uint64_t imm, uint64_t imm2)
{
    if (UNLIKELY(r->count >= IR_REGION_MAX - 1)) {
        if (r->count >= IR_REGION_MAX || !is_terminator(op)) {
            r->overflow = true;
            return IR_NONE;
        }
    }
    struct ir_insn *to = &r->insns[r->count];
    to->op = (uint16_t)op;
    to->type = (uint8_t)type;
    to->aux = (uint16_t)aux;
    to->a = a;
    to->b = b;
    to->c = c;
    to->a_type = r->insns[a].type;
    to->b_type = r->insns[b].type;
    to->imm = imm;
    to->imm2 = imm2;
    return (ir_value)r->count++;
}

static inline bool is_const(const struct ir_region *r, ir_value v)
{
    return r->insns[v].op == IR_CONST;
}

static inline uint64_t type_mask(unsigned type)
{
    return type == IR_I32 ? 0xffffffffu : ~0ull;
}

/* The fold_ functions below return the value that stands for the instruction, perhaps of another instruction
 * that they appended; or IR_NONE: then it is to be appended as it is. The become_ functions append such
 * another. */

static inline ir_value become_const(struct ir_region *r, const struct ir_insn *n, uint64_t imm)
{
    return put(r, IR_CONST, n->type, 0, IR_NONE, IR_NONE, IR_NONE, imm & type_mask(n->type), 0);
}

static inline ir_value become_vconst(struct ir_region *r, uint64_t low, uint64_t high)
{
    return put(r, IR_VCONST, IR_V128, 0, IR_NONE, IR_NONE, IR_NONE, low, high);
}

static inline ir_value become_unary(struct ir_region *r, const struct ir_insn *n, enum ir_op op, ir_value a)
{
    return put(r, op, n->type, 0, a, IR_NONE, IR_NONE, 0, 0);
}

static inline ir_value become_binary(struct ir_region *r, const struct ir_insn *n, enum ir_op op, ir_value a,
                                     ir_value b)
{
    return put(r, op, n->type, 0, a, b, IR_NONE, 0, 0);
}

static inline ir_value become_imm_binary(struct ir_region *r, const struct ir_insn *n, enum ir_op op,
                                         ir_value a, uint64_t imm)
{
    return become_binary(r, n, op, a, become_const(r, n, imm));
}

/* x op b, where b is the constant k. */
static ir_value fold_right_constant(struct ir_region *r, const struct ir_insn *n, ir_value a, ir_value b,
                                    uint64_t k)
{
    const uint64_t mask = type_mask(n->type);
    const unsigned width = n->type == IR_I32 ? 32 : 64;

    switch (n->op) {
    case IR_ADD:
    case IR_SUB: return k == 0 ? a : IR_NONE;
    case IR_OR:
        if (k == mask)
            return b;
        return k == 0 ? a : IR_NONE;
    case IR_AND:
        if (k == 0)
            return b;
        return k == mask ? a : IR_NONE;
    case IR_XOR:
        if (k == mask)
            return become_unary(r, n, IR_NOT, a);
        return k == 0 ? a : IR_NONE;
    case IR_ANDN:
        if (k == 0)
            return a;
        return k == mask ? become_const(r, n, 0) : become_imm_binary(r, n, IR_AND, a, ~k);
    case IR_ORN:
        if (k == mask)
            return a;
        return k == 0 ? become_const(r, n, mask) : become_imm_binary(r, n, IR_OR, a, ~k);
    case IR_XORN:
        if (k == mask)
            return a;
        return k == 0 ? become_unary(r, n, IR_NOT, a) : become_imm_binary(r, n, IR_XOR, a, ~k);
    case IR_MUL:
        if (k == 0)
            return b;
        return k == 1 ? a : IR_NONE;
    case IR_UDIV:
    case IR_SDIV:
        if (k == 0)
            return b;
        return k == 1 ? a : IR_NONE;
    case IR_UMULH: return k == 0 ? b : k == 1 ? become_const(r, n, 0) : IR_NONE;
    case IR_SMULH: return k == 0 ? b : IR_NONE;
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROR: return (k & (width - 1)) == 0 ? a : IR_NONE;
    default: return IR_NONE;
    }
}

/* a op b of integers; if the operation commutes, a constant goes to the right. */
static ir_value fold_binary(struct ir_region *r, const struct ir_insn *n)
{
    const ir_value a = n->a, b = n->b;
    const bool a_const = is_const(r, a);

    if (is_const(r, b)) {
        const uint64_t k = r->insns[b].imm;
        if (a_const)
            return become_const(r, n, ir_eval_integer(n->op, n->type, n->aux, n->imm, r->insns[a].imm, k));
        return fold_right_constant(r, n, a, b, k);
    }
    if (a_const) {
        const uint64_t k = r->insns[a].imm;
        switch (n->op) {
        case IR_ADD:
        case IR_AND:
        case IR_OR:
        case IR_XOR:
        case IR_MUL:
        case IR_UMULH:
        case IR_SMULH: {
            ir_value v = fold_right_constant(r, n, b, a, k);
            return v ? v : become_binary(r, n, n->op, b, a);
        }
        case IR_SUB: return k == 0 ? become_unary(r, n, IR_NEG, b) : IR_NONE;
        case IR_ORN:
        case IR_XORN: return k == 0 ? become_unary(r, n, IR_NOT, b) : IR_NONE;
        case IR_ANDN:
        case IR_SHL:
        case IR_SHR: return k == 0 ? a : IR_NONE;
        default: return IR_NONE;
        }
    }
    if (a == b) {
        switch (n->op) {
        case IR_AND:
        case IR_OR: return a;
        case IR_SUB:
        case IR_XOR:
        case IR_ANDN: return become_const(r, n, 0);
        case IR_ORN:
        case IR_XORN: return become_const(r, n, ~0ull);
        default: return IR_NONE;
        }
    }
    return IR_NONE;
}

/* One integer argument. */
static ir_value fold_unary(struct ir_region *r, const struct ir_insn *n)
{
    const struct ir_insn *a = &r->insns[n->a];
    const unsigned width = n->type == IR_I32 ? 32 : 64;

    if (a->op == IR_CONST)
        return become_const(r, n, ir_eval_integer(n->op, n->type, n->aux, n->imm, a->imm, 0));

    switch (n->op) {
    case IR_NOT:
    case IR_NEG:
    case IR_RBIT: return a->op == n->op ? a->a : IR_NONE;
    case IR_BSWAP: return a->op == IR_BSWAP && a->aux == n->aux ? a->a : IR_NONE;
    case IR_CLZ: return a->op == IR_RBIT ? become_unary(r, n, IR_CTZ, a->a) : IR_NONE;
    case IR_UBFX:
    case IR_SBFX: return n->aux == width << 8 ? n->a : IR_NONE;
    case IR_TRUNC: return a->op == IR_ZEXT || a->op == IR_SEXT ? a->a : IR_NONE;
    default: return IR_NONE;
    }
}

static ir_value fold_extr(struct ir_region *r, const struct ir_insn *n)
{
    if (n->imm == 0)
        return n->b;
    if (is_const(r, n->a) && is_const(r, n->b))
        return become_const(
            r, n, ir_eval_integer(n->op, n->type, n->aux, n->imm, r->insns[n->a].imm, r->insns[n->b].imm));
    return n->a == n->b ? become_imm_binary(r, n, IR_ROR, n->a, n->imm) : IR_NONE;
}

static ir_value fold_bfi(struct ir_region *r, const struct ir_insn *n)
{
    if (n->aux == (n->type == IR_I32 ? 32 : 64) << 8)
        return n->b;
    if (is_const(r, n->a) && is_const(r, n->b))
        return become_const(
            r, n, ir_eval_integer(n->op, n->type, n->aux, n->imm, r->insns[n->a].imm, r->insns[n->b].imm));
    return IR_NONE;
}

/* What a BOOL is at translation time: 0, 1, or -1 if it is not known. */
static int known_bool(const struct ir_region *r, ir_value v)
{
    const struct ir_insn *n = &r->insns[v];
    const struct ir_insn *a = &r->insns[n->a];

    switch (n->op) {
    case IR_COND: return a->op == IR_FLAGS_CONST ? ir_eval_cond((uint16_t)a->imm, n->aux) : -1;
    case IR_BIT: return a->op == IR_CONST ? (int)(a->imm >> n->imm & 1) ^ (n->aux & 1) : -1;
    case IR_CMP:
        if (a->op != IR_CONST || !is_const(r, n->b))
            return -1;
        return ir_eval_cond(ir_eval_flags(IR_SUB, a->type, a->imm, r->insns[n->b].imm, 0), n->aux);
    default: return -1;
    }
}

static ir_value fold_select(struct ir_region *r, const struct ir_insn *n)
{
    if (n->b == n->c)
        return n->b;
    int known = known_bool(r, n->a);
    return known < 0 ? IR_NONE : known ? n->b : n->c;
}

static ir_value fold_flags_select(struct ir_region *r, const struct ir_insn *n)
{
    int known = known_bool(r, n->a);
    if (known > 0)
        return n->b;
    return known == 0 ? put(r, IR_FLAGS_CONST, IR_FLAGS, 0, IR_NONE, IR_NONE, IR_NONE, n->imm, 0) : IR_NONE;
}

/* Guest state: values that it is known to have. */

static ir_value emit_get(struct ir_region *r, enum ir_type type, unsigned index)
{
    if (index >= IR_KNOWN_REGISTERS)
        return put(r, IR_GET, type, index, IR_NONE, IR_NONE, IR_NONE, 0, 0);
    ir_value v = r->known[index];
    if (!v || r->insns[v].type != type)
        v = r->known[index] = put(r, IR_GET, type, index, IR_NONE, IR_NONE, IR_NONE, 0, 0);
    return v;
}

static void emit_set(struct ir_region *r, enum ir_type type, unsigned index, ir_value v)
{
    if (index < IR_KNOWN_REGISTERS) {
        if (r->known[index] == v && v)
            return;
        r->known[index] = v;
    }
    put(r, IR_SET, type, index, v, IR_NONE, IR_NONE, 0, 0);
}

/* Floating point and vectors: only what removes the detour of scalars through vector registers,
 * register moves and constants. */
static ir_value fold_vector(struct ir_region *r, const struct ir_insn *n)
{
    const struct ir_insn *a = &r->insns[n->a];

    switch (n->op) {
    case IR_VGET_FLOAT:
        if (n->imm == 0 && a->op == IR_VFROM_FLOAT && a->a_type == n->type)
            return a->a;
        return IR_NONE;
    case IR_FTO_BITS:
        if (a->op == IR_FCONST)
            return become_const(r, n, a->imm);
        return a->op == IR_FFROM_BITS && a->a_type == n->type ? a->a : IR_NONE;
    case IR_FFROM_BITS:
        if (a->op == IR_CONST)
            return put(r, IR_FCONST, n->type, 0, IR_NONE, IR_NONE, IR_NONE, a->imm, 0);
        return a->op == IR_FTO_BITS && a->a_type == n->type ? a->a : IR_NONE;
    case IR_VFROM_FLOAT: return a->op == IR_FCONST ? become_vconst(r, a->imm, 0) : IR_NONE;
    case IR_VFROM_INT: return a->op == IR_CONST ? become_vconst(r, a->imm, 0) : IR_NONE;
    case IR_VDUP:
        if (a->op == IR_CONST) {
            static const uint64_t repeat[] = {0x0101010101010101, 0x0001000100010001, 0x100000001, 1};
            uint64_t lane = n->aux >= 3 ? a->imm : a->imm & ((1ull << (8 << n->aux)) - 1);
            return become_vconst(r, lane * repeat[n->aux & 3], lane * repeat[n->aux & 3]);
        }
        return IR_NONE;
    case IR_VGET:
        if (n->imm == 0 && a->op == IR_VFROM_INT && a->a_type == n->type &&
            (n->aux & 3) == (n->type == IR_I32 ? 2 : 3))
            return a->a;
        return IR_NONE;
    case IR_VLOW:
        if (a->op == IR_VFROM_FLOAT || a->op == IR_VFROM_INT)
            return ir_type_bytes(a->a_type) <= 1u << n->aux ? n->a : IR_NONE;
        if (a->op == IR_VLOW)
            return a->aux <= n->aux ? n->a : IR_NONE;
        if (a->op == IR_VCONST)
            return become_vconst(r, n->aux >= 3 ? a->imm : a->imm & ((1ull << (8 << n->aux)) - 1), 0);
        return IR_NONE;
    case IR_VNOT: return a->op == IR_VCONST ? become_vconst(r, ~a->imm, ~a->imm2) : IR_NONE;
    case IR_VAND:
    case IR_VOR: return n->a == n->b ? n->a : IR_NONE;
    case IR_VXOR: return n->a == n->b ? become_vconst(r, 0, 0) : IR_NONE;
    default: return IR_NONE;
    }
}

static inline bool is_part(unsigned op)
{
    return op >= IR_PART_ADD && op <= IR_PART_MUL;
}

static inline bool makes_flags(unsigned op)
{
    switch (op) {
    case IR_ADD:
    case IR_SUB:
    case IR_ADC:
    case IR_SBC:
    case IR_AND:
    case IR_ANDN: return true;
    default: return is_part(op);
    }
}

/* Whether its operands, flags among them where it takes some, are known. */
static bool all_known(const struct ir_region *r, const struct ir_insn *n)
{
    const bool takes_flags = ir_op_info[n->op].arguments[2] == 'l';
    return is_const(r, n->a) && is_const(r, n->b) && (!takes_flags || r->insns[n->c].op == IR_FLAGS_CONST);
}

/* Whether x op x has the same flags whatever x is. */
static inline bool is_clearing(const struct ir_insn *n)
{
    return (n->op == IR_PART_XOR || n->op == IR_PART_SUB) && n->a == n->b;
}

/* FLAGS_OF a fresh copy of a computation; of constants, a constant. `aux` is that of FLAGS_OF. */
static ir_value emit_computation_flags(struct ir_region *r, const struct ir_insn *n, unsigned aux)
{
    if (all_known(r, n) || is_clearing(n)) {
        const bool known = is_const(r, n->a);
        const uint64_t a = known ? r->insns[n->a].imm : 0, b = known ? r->insns[n->b].imm : 0;
        uint16_t bits = ir_eval_flags_of(n, aux, a, b, (uint16_t)r->insns[n->c].imm);
        return put(r, IR_FLAGS_CONST, IR_FLAGS, 0, IR_NONE, IR_NONE, IR_NONE, bits, 0);
    }
    ir_value v = put(r, n->op, n->type, n->aux, n->a, n->b, n->c, 0, 0);
    return put(r, IR_FLAGS_OF, IR_FLAGS, aux, v, IR_NONE, IR_NONE, 0, 0);
}

/* FLAGS_OF of a computation that may have been folded or may not be the last instruction any more. */
static ir_value emit_flags_of(struct ir_region *r, ir_value v, unsigned aux)
{
    if (r->folded.value == v && v) {
        const struct ir_insn n = {.op = r->folded.op,
                                  .type = r->folded.type,
                                  .aux = r->folded.aux,
                                  .a = r->folded.a,
                                  .b = r->folded.b,
                                  .c = r->folded.c};
        return emit_computation_flags(r, &n, aux);
    }
    if (v != r->count - 1 && makes_flags(r->insns[v].op)) {
        const struct ir_insn n = r->insns[v];
        return emit_computation_flags(r, &n, aux);
    }
    /* The usual case; or nothing that this can be the flags of, which ir_verify() will name. */
    return put(r, IR_FLAGS_OF, IR_FLAGS, aux, v, IR_NONE, IR_NONE, 0, 0);
}

ir_value ir_arith_flags(struct ir_region *r, enum ir_op op, ir_value a, ir_value b, ir_value carry,
                        ir_value *flags_out)
{
    const enum ir_type type = (enum ir_type)r->insns[a].type;
    ir_value v;

    if (is_const(r, a) && is_const(r, b)) {
        v = ir_emit(r, op, type, 0, a, b, carry, 0, 0);
        *flags_out = emit_flags_of(r, v, 0);
        return v;
    }
    const bool swap = (op == IR_ADD || op == IR_AND) && is_const(r, a);
    v = put(r, op, type, 0, swap ? b : a, swap ? a : b, carry, 0, 0);
    *flags_out = put(r, IR_FLAGS_OF, IR_FLAGS, 0, v, IR_NONE, IR_NONE, 0, 0);
    return v;
}

/* a + b + C or a + ~b + C with everything known. */
static ir_value fold_carry(struct ir_region *r, const struct ir_insn *n)
{
    if (!is_const(r, n->a) || !is_const(r, n->b) || r->insns[n->c].op != IR_FLAGS_CONST)
        return IR_NONE;
    uint64_t b = r->insns[n->b].imm;
    uint64_t carry = r->insns[n->c].imm & NZCV_B ? 0 : 1;
    return become_const(r, n, r->insns[n->a].imm + (n->op == IR_SBC ? ~b : b) + carry);
}

/* What compilers write to make a zero or to look at a register; and constants. */
static ir_value fold_part(struct ir_region *r, const struct ir_insn *n)
{
    if (all_known(r, n)) {
        uint16_t flags;
        return become_const(r, n,
                            ir_eval_part(n->op, n->aux, r->insns[n->a].imm, r->insns[n->b].imm,
                                         (uint16_t)r->insns[n->c].imm, &flags));
    }
    if (is_clearing(n))
        return n->aux >= 2 ? become_const(r, n, 0)
                           : become_imm_binary(r, n, IR_AND, n->a, ~0ull << (8u << n->aux));
    if ((n->op == IR_PART_AND || n->op == IR_PART_OR) && n->a == n->b)
        return n->a;
    return IR_NONE;
}

/* ADD SUB AND ANDN ADC SBC PART_*: after a fold, FLAGS_OF must still find the computation. */
static ir_value emit_arithmetic(struct ir_region *r, const struct ir_insn *n)
{
    ir_value v;
    if (is_part(n->op))
        v = fold_part(r, n);
    else
        v = n->op == IR_ADC || n->op == IR_SBC ? fold_carry(r, n) : fold_binary(r, n);
    if (!v) {
        r->folded.value = IR_NONE;
        return put(r, n->op, n->type, n->aux, n->a, n->b, n->c, 0, 0);
    }
    r->folded.op = n->op;
    r->folded.type = n->type;
    r->folded.aux = n->aux;
    r->folded.a = n->a;
    r->folded.b = n->b;
    r->folded.c = n->c;
    r->folded.value = v;
    return v;
}

/* What may turn out to be simpler, or changes what is known. */
static ir_value emit_folded(struct ir_region *r, enum ir_op op, enum ir_type type, unsigned aux, ir_value a,
                            ir_value b, ir_value c, uint64_t imm, uint64_t imm2)
{
    const struct ir_insn n = {
        .op = (uint16_t)op,
        .type = (uint8_t)type,
        .aux = (uint16_t)aux,
        .a = a,
        .b = b,
        .c = c,
        .imm = imm,
        .imm2 = imm2,
    };
    ir_value v = IR_NONE;

    switch (op) {
    case IR_ADD:
    case IR_SUB:
    case IR_AND:
    case IR_ANDN:
    case IR_ADC:
    case IR_SBC:
    case IR_PART_ADD ... IR_PART_MUL: return emit_arithmetic(r, &n);

    case IR_MUL:
    case IR_UMULH:
    case IR_SMULH:
    case IR_UDIV:
    case IR_SDIV:
    case IR_OR:
    case IR_XOR:
    case IR_ORN:
    case IR_XORN:
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROR: v = fold_binary(r, &n); break;

    case IR_NOT:
    case IR_NEG:
    case IR_CLZ:
    case IR_CTZ:
    case IR_RBIT:
    case IR_BSWAP:
    case IR_UBFX:
    case IR_SBFX:
    case IR_TRUNC:
    case IR_ZEXT:
    case IR_SEXT: v = fold_unary(r, &n); break;

    case IR_EXTR: v = fold_extr(r, &n); break;
    case IR_BFI: v = fold_bfi(r, &n); break;
    case IR_SELECT: v = fold_select(r, &n); break;

    case IR_GET_FLAGS:
        if (!r->known_flags)
            r->known_flags = put(r, op, type, aux, a, b, c, imm, imm2);
        return r->known_flags;
    case IR_SET_FLAGS:
        if (r->known_flags == a && a)
            return IR_NONE;
        r->known_flags = a;
        break;
    case IR_FLAGS_OF: return emit_flags_of(r, a, aux);
    case IR_FLAGS_SELECT: v = fold_flags_select(r, &n); break;
    case IR_FLAGS_PACK:
        if (r->insns[a].op == IR_FLAGS_CONST)
            v = become_const(r, &n, r->insns[a].imm & NZCVPA_MASK);
        break;
    case IR_FLAGS_UNPACK:
        if (is_const(r, a))
            v = put(r, IR_FLAGS_CONST, type, 0, IR_NONE, IR_NONE, IR_NONE, r->insns[a].imm & NZCVPA_MASK, 0);
        break;

    case IR_EXIT_IF:
    case IR_RAISE_IF:
        if (known_bool(r, a) == 0)
            return IR_NONE;
        break;
    case IR_CALL: forget_guest_state(r); break;

    case IR_VGET_FLOAT:
    case IR_FTO_BITS:
    case IR_FFROM_BITS:
    case IR_VFROM_FLOAT:
    case IR_VFROM_INT:
    case IR_VDUP:
    case IR_VGET:
    case IR_VLOW:
    case IR_VNOT:
    case IR_VAND:
    case IR_VOR:
    case IR_VXOR: v = fold_vector(r, &n); break;
    default: break;
    }
    return v ? v : put(r, op, type, aux, a, b, c, imm, imm2);
}

ir_value ir_emit(struct ir_region *r, enum ir_op op, enum ir_type type, unsigned aux, ir_value a, ir_value b,
                 ir_value c, uint64_t imm, uint64_t imm2)
{
    /* Most are these, of which nothing is folded. */
    switch (op) {
    case IR_INSN:
    case IR_CONST:
    case IR_REACH:
    case IR_LOAD:
    case IR_STORE: return put(r, op, type, aux, a, b, c, imm, imm2);
    case IR_GET: return emit_get(r, type, aux);
    case IR_SET: emit_set(r, type, aux, a); return IR_NONE;
    default: return emit_folded(r, op, type, aux, a, b, c, imm, imm2);
    }
}
