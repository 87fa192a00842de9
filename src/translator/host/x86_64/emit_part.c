/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_part: arithmetic on parts of registers with all of x86's flags, wide division, BT and UCOMISx: mostly
 * the host's own instruction on the register that becomes the result.
 *
 * Operations of 4 and 8 bytes are those of emit_integer.c where they have the same flags. What is wanted of
 * the flags decides how much is made of the flags that come in (emit_takes_flags): a rotate whose flags
 * nobody reads does not load any.
 */
#include "translator/host/x86_64/emit_integer.h"

/* -- which flags are read ---------------------------------------------------------------------- */

static bool flags_read(const struct emit *e, ir_value v, unsigned marks)
{
    return wants_flags(e, v) && e->values[v + 1].mark & marks;
}

/* The count of a shift, 0 if it is not known (or zero). */
static unsigned known_count(const struct emit *e, const struct ir_insn *insn)
{
    uint64_t count;
    return emit_is_const(e, insn->b, &count) ? count & (insn->aux == 3 ? 63 : 31) : 0;
}

bool emit_takes_flags(const struct emit *e, const struct ir_insn *insn, ir_value v)
{
    switch (insn->op) {
    case IR_PART_INC:
    case IR_PART_DEC: return flags_read(e, v, VALUE_CARRY_READ);
    case IR_PART_SHL:
    case IR_PART_SHR:
    case IR_PART_SAR: return wants_flags(e, v) && !known_count(e, insn);
    case IR_PART_ROL:
    case IR_PART_ROR:
        return flags_read(e, v, VALUE_OTHERS_READ) || (wants_flags(e, v) && !known_count(e, insn));
    case IR_FLAGS_BIT: return e->values[v].mark & VALUE_OTHERS_READ;
    default: return true;
    }
}

unsigned emit_flags_read(const struct emit *e, const struct ir_insn *insn, ir_value v)
{
    switch (insn->op) {
    case IR_COND:
        switch (insn->aux) {
        case IR_UGE:
        case IR_ULT: return VALUE_CARRY_READ;
        case IR_UGT:
        case IR_ULE: return VALUE_CARRY_READ | VALUE_OTHERS_READ;
        default: return VALUE_OTHERS_READ;
        }
    case IR_ADC:
    case IR_SBC:
    case IR_PART_ADC:
    case IR_PART_SBB:
    case IR_PART_INC:
    case IR_PART_DEC: return VALUE_CARRY_READ;
    case IR_PART_RCL:
    case IR_PART_RCR: return VALUE_CARRY_READ | (flags_read(e, v, VALUE_OTHERS_READ) ? VALUE_OTHERS_READ : 0);
    case IR_FLAGS_BIT: return VALUE_OTHERS_READ;
    default: return VALUE_CARRY_READ | VALUE_OTHERS_READ;
    }
}

/* -- addition, logic --------------------------------------------------------------------------- */

/* A constant operand as the sign-extended immediate of the operation's size. */
static bool sized_immediate(const struct emit *e, const struct ir_insn *insn, int32_t *imm)
{
    uint64_t k;
    if (insn->aux >= 2)
        return emit_is_imm32(e, insn->b, imm);
    if (!emit_is_const(e, insn->b, &k))
        return false;
    *imm = insn->aux == 0 ? (int8_t)k : (int16_t)k;
    return true;
}

/* The register of the result, holding a. If that is where *b is, b moves away. */
static unsigned result_from(struct emit *e, const struct ir_insn *insn, ir_value v, struct rm *b)
{
    unsigned left = emit_use_gpr(e, insn->a);
    unsigned dst = emit_def_gpr_near(e, v, left);
    if (dst != left && b && is_reg(*b, dst)) {
        unsigned t = emit_tmp_gpr(e);
        asm_mov(e->a, true, t, dst);
        *b = rm_reg(t);
    }
    copy(e, type_is_wide(insn->type), dst, left);
    return dst;
}

static inline void part_done(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    if (insn->aux == 2)
        emit_set_upper_zero(e, v);
    define_flags(e, v, FLAGS_BORROW);
}

/* cmp and test. */
static void compare_part(struct emit *e, const struct ir_insn *insn, bool is_test)
{
    const unsigned size = insn->aux;
    int32_t imm;
    if (sized_immediate(e, insn, &imm)) {
        struct rm left = emit_use_rm(e, insn->a);
        compare_begin(e);
        if (is_test)
            asm_test_imm_sized(e->a, size, left, imm);
        else
            asm_alu_imm_sized(e->a, ALU_CMP, size, left, imm);
    } else {
        unsigned left = emit_use_gpr(e, insn->a);
        struct rm right = emit_use_rm(e, insn->b);
        compare_begin(e);
        if (is_test)
            asm_test_sized(e->a, size, right, left);
        else
            asm_alu_sized(e->a, ALU_CMP, size, left, right);
    }
    compare_end(e);
}

static void alu_part(struct emit *e, enum alu op, const struct ir_insn *insn, ir_value v)
{
    int32_t imm;
    emit_clobber_flags(e);
    if (only_flags(e, v) && (op == ALU_SUB || op == ALU_AND)) {
        compare_part(e, insn, op == ALU_AND);
        define_flags(e, v, FLAGS_BORROW);
        return;
    }
    if (sized_immediate(e, insn, &imm)) {
        unsigned dst = result_from(e, insn, v, NULL);
        compare_begin(e);
        asm_alu_imm_sized(e->a, op, insn->aux, rm_reg(dst), imm);
    } else {
        struct rm right = emit_use_rm(e, insn->b);
        unsigned dst = result_from(e, insn, v, &right);
        compare_begin(e);
        asm_alu_sized(e->a, op, insn->aux, dst, right);
    }
    compare_end(e);
    part_done(e, insn, v);
}

#define ALU_EMITTER(name, op, full)                                                                          \
    EMITTER(name)                                                                                            \
    {                                                                                                        \
        if (insn->aux >= 2)                                                                                  \
            emit_op_##full(e, insn, v);                                                                      \
        else                                                                                                 \
            alu_part(e, op, insn, v);                                                                        \
    }
ALU_EMITTER(part_add, ALU_ADD, add)
ALU_EMITTER(part_and, ALU_AND, and)
ALU_EMITTER(part_or, ALU_OR, or)
ALU_EMITTER(part_xor, ALU_XOR, xor)

/* Whole registers: 0 - b, with the same flags. */
static void negate(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    emit_clobber_flags(e);
    struct rm b = emit_use_rm(e, insn->b);
    unsigned dst = emit_def_gpr_near(e, v, b.is_mem ? RSP : b.reg);
    load_rm(e, type_is_wide(insn->type), dst, b);
    asm_group3(e->a, GROUP3_NEG, type_is_wide(insn->type), rm_reg(dst));
    part_done(e, insn, v);
}

EMITTER(part_sub)
{
    uint64_t a;
    if (insn->aux < 2)
        alu_part(e, ALU_SUB, insn, v);
    else if (emit_is_const(e, insn->a, &a) && a == 0 && !only_flags(e, v))
        negate(e, insn, v);
    else
        emit_op_sub(e, insn, v);
}

static void with_carry_part(struct emit *e, enum alu op, const struct ir_insn *insn, ir_value v)
{
    int32_t imm;
    if (e->values[insn->a].place == PLACE_CONST || e->values[insn->b].place == PLACE_CONST)
        e->flags_held = true; /* no xor r,r while EFLAGS hold the carry */
    bool immediate = sized_immediate(e, insn, &imm);
    struct rm right = immediate ? rm_reg(RSP) : emit_use_rm(e, insn->b);
    unsigned dst = result_from(e, insn, v, &right);
    flags_load_carry(e, insn->c, true);
    if (immediate)
        asm_alu_imm_sized(e->a, op, insn->aux, rm_reg(dst), imm);
    else
        asm_alu_sized(e->a, op, insn->aux, dst, right);
    e->flags_held = false;
    part_done(e, insn, v);
}

EMITTER(part_adc)
{
    with_carry_part(e, ALU_ADC, insn, v);
}

EMITTER(part_sbb)
{
    with_carry_part(e, ALU_SBB, insn, v);
}

static void step_part(struct emit *e, const struct ir_insn *insn, ir_value v, bool decrement)
{
    bool carry = emit_takes_flags(e, insn, v);
    if (insn->aux >= 2 && !wants_flags(e, v)) {
        emit_add_immediate(e, type_is_wide(insn->type), v, insn->a, decrement ? -1 : 1);
        return;
    }
    if (carry && e->values[insn->a].place == PLACE_CONST)
        e->flags_held = true;
    if (!carry)
        emit_clobber_flags(e);
    unsigned dst = result_from(e, insn, v, NULL);
    if (carry)
        flags_load_carry(e, insn->c, true);
    compare_begin(e);
    asm_step_sized(e->a, decrement, insn->aux, dst);
    compare_end(e);
    e->flags_held = false;
    part_done(e, insn, v);
}

EMITTER(part_inc)
{
    step_part(e, insn, v, false);
}

EMITTER(part_dec)
{
    step_part(e, insn, v, true);
}

/* -- shifts ------------------------------------------------------------------------------------ */

/* Brings into EFLAGS what of the incoming flags the instruction keeps. */
static void load_incoming(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    bool rotates_carry = insn->op == IR_PART_RCL || insn->op == IR_PART_RCR;
    if (!emit_takes_flags(e, insn, v))
        emit_clobber_flags(e);
    else if (rotates_carry && !flags_read(e, v, VALUE_OTHERS_READ))
        flags_load_carry(e, insn->c, true);
    else
        flags_load(e, insn->c);
}

static void shift_part(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint8_t shifts[] = {
        [IR_PART_SHL - IR_PART_SHL] = SHIFT_SHL, [IR_PART_SHR - IR_PART_SHL] = SHIFT_SHR,
        [IR_PART_SAR - IR_PART_SHL] = SHIFT_SAR, [IR_PART_ROL - IR_PART_SHL] = SHIFT_ROL,
        [IR_PART_ROR - IR_PART_SHL] = SHIFT_ROR, [IR_PART_RCL - IR_PART_SHL] = SHIFT_RCL,
        [IR_PART_RCR - IR_PART_SHL] = SHIFT_RCR,
    };
    const enum shift op = (enum shift)shifts[insn->op - IR_PART_SHL];
    uint64_t count;
    /* first: what follows leaves EFLAGS alone */
    load_incoming(e, insn, v);
    if (emit_is_const(e, insn->b, &count)) {
        count &= insn->aux == 3 ? 63 : 31;
        unsigned dst = result_from(e, insn, v, NULL);
        if (count)
            asm_shift_sized(e->a, op, insn->aux, dst, (unsigned)count);
    } else {
        if (e->values[insn->b].place == RCX) {
            e->scratch |= 1u << RCX; /* not for the result */
        } else {
            emit_take_gpr(e, RCX);
            emit_load_gpr(e, RCX, insn->b);
        }
        asm_shift_cl_sized(e->a, op, insn->aux, result_from(e, insn, v, NULL));
    }
    e->flags_held = false;
    if (known_count(e, insn))
        part_done(e, insn, v);
    else
        define_flags(e, v, FLAGS_BORROW); /* a shift by zero does not write the upper half */
}

/* Shifts of whole registers without flags: by an instruction that has none. */
static bool shift_without_flags(struct emit *e, const struct ir_insn *insn, ir_value v, enum shift_op op)
{
    static const uint8_t flagless[] = {SHIFTX_SHL, SHIFTX_SHR, SHIFTX_SAR};
    const bool wide = type_is_wide(insn->type);
    uint64_t count;
    if (insn->aux < 2 || wants_flags(e, v))
        return false;
    if (emit_is_const(e, insn->b, &count)) {
        emit_shift_constant(e, op, wide, v, insn->a, count & (wide ? 63 : 31));
        return true;
    }
    struct rm source = emit_use_rm(e, insn->a);
    unsigned amount = emit_use_gpr(e, insn->b);
    asm_shiftx(e->a, (enum shiftx)flagless[op], wide, emit_def_gpr_last(e, v), source, amount);
    done(e, v, wide);
    return true;
}

EMITTER(part_shl)
{
    if (!shift_without_flags(e, insn, v, OP_SHL))
        shift_part(e, insn, v);
}

EMITTER(part_shr)
{
    if (!shift_without_flags(e, insn, v, OP_SHR))
        shift_part(e, insn, v);
}

EMITTER(part_sar)
{
    if (!shift_without_flags(e, insn, v, OP_SAR))
        shift_part(e, insn, v);
}

static bool rotate_without_flags(struct emit *e, const struct ir_insn *insn, ir_value v, bool left)
{
    const bool wide = type_is_wide(insn->type);
    const unsigned bits = wide ? 64 : 32;
    uint64_t count;
    if (insn->aux < 2 || wants_flags(e, v) || !emit_is_const(e, insn->b, &count))
        return false;
    struct rm source = emit_use_rm(e, insn->a);
    asm_rorx(e->a, wide, emit_def_gpr_last(e, v), source, (unsigned)(left ? -count : count) & (bits - 1));
    done(e, v, wide);
    return true;
}

EMITTER(part_rol)
{
    if (!rotate_without_flags(e, insn, v, true))
        shift_part(e, insn, v);
}

EMITTER(part_ror)
{
    if (!rotate_without_flags(e, insn, v, false))
        shift_part(e, insn, v);
}

EMITTER(part_rcl)
{
    shift_part(e, insn, v);
}

EMITTER(part_rcr)
{
    shift_part(e, insn, v);
}

/* -- multiplication, division ------------------------------------------------------------------ */

/* The product of two bytes is made in ax. */
static void multiply_bytes(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    emit_take_gpr(e, RAX);
    emit_load_gpr(e, RAX, insn->a);
    unsigned left = emit_use_gpr(e, insn->a), right = emit_use_gpr(e, insn->b);
    unsigned dst = emit_def_gpr(e, v);
    copy(e, type_is_wide(insn->type), dst, left);
    asm_imul8(e->a, rm_reg(right));
    asm_mov_sized(e->a, 0, dst, RAX);
}

EMITTER(part_mul)
{
    int32_t imm;
    if (insn->aux >= 2 && !wants_flags(e, v)) {
        emit_op_mul(e, insn, v);
        return;
    }
    emit_clobber_flags(e);
    if (insn->aux == 0) {
        multiply_bytes(e, insn, v);
    } else if (insn->aux >= 2 && emit_is_imm32(e, insn->b, &imm)) {
        struct rm a = emit_use_rm(e, insn->a);
        asm_imul_imm(e->a, type_is_wide(insn->type), emit_def_gpr_last(e, v), a, imm);
    } else {
        struct rm right = emit_use_rm(e, insn->b);
        unsigned dst = result_from(e, insn, v, &right);
        asm_imul_sized(e->a, insn->aux, dst, right);
    }
    part_done(e, insn, v);
}

/* The other result of the division `insn`, if it is what comes next. */
static ir_value other_result(const struct emit *e, const struct ir_insn *insn, ir_value v)
{
    const struct ir_insn *next = emit_insn(e, (ir_value)(v + 1));
    bool is_signed = insn->op == IR_SDIV_WIDE || insn->op == IR_SREM_WIDE;
    bool next_signed = next->op == IR_SDIV_WIDE || next->op == IR_SREM_WIDE;
    bool divides = next->op >= IR_UDIV_WIDE && next->op <= IR_SREM_WIDE;
    if (!divides || next->op == insn->op || is_signed != next_signed || next->type != insn->type ||
        next->a != insn->a || next->b != insn->b || next->c != insn->c)
        return IR_NONE;
    return (ir_value)(v + 1);
}

/* The host's own division faults where the guest's does. */
static void divide_wide(struct emit *e, const struct ir_insn *insn, ir_value v, bool is_signed,
                        bool remainder)
{
    const bool wide = type_is_wide(insn->type);
    const ir_value other = other_result(e, insn, v);
    if (e->values[v].place != PLACE_NONE)
        return; /* the instruction before has made both */
    flags_before_atomic(e);
    /* Two registers are given, and the operands may be in all the others: they need not stay in registers. */
    const ir_value operands[3] = {insn->a, insn->b, insn->c};
    for (unsigned i = 0; i < 3; i++)
        allocate_hold(e, operands[i]);
    e->locked = 0;
    emit_take_gpr(e, RAX);
    emit_take_gpr(e, RDX);
    unsigned place = e->values[insn->c].place;
    bool in_memory = place >= PLACE_SPILL && place < PLACE_COUNT;
    struct rm divisor = in_memory ? rm_mem(allocate_mem(e, place)) : rm_reg(emit_use_gpr(e, insn->c));
    emit_load_gpr(e, RAX, insn->b);
    emit_load_gpr(e, RDX, insn->a);
    asm_group3(e->a, is_signed ? GROUP3_IDIV : GROUP3_DIV, wide, divisor);
    for (unsigned i = 0; i < 3; i++)
        allocate_consume(e, operands[i]);
    emit_def_in_gpr(e, v, remainder ? RDX : RAX);
    done(e, v, wide);
    if (other) {
        emit_def_in_gpr(e, other, remainder ? RAX : RDX);
        done(e, other, wide);
    }
}

EMITTER(udiv_wide)
{
    divide_wide(e, insn, v, false, false);
}

EMITTER(urem_wide)
{
    divide_wide(e, insn, v, false, true);
}

EMITTER(sdiv_wide)
{
    divide_wide(e, insn, v, true, false);
}

EMITTER(srem_wide)
{
    divide_wide(e, insn, v, true, true);
}

/* -- flags alone ------------------------------------------------------------------------------- */

EMITTER(flags_bit)
{
    const bool wide = type_is_wide(insn->a_type);
    uint64_t bit;
    if (emit_takes_flags(e, insn, v))
        flags_load(e, insn->c);
    else
        emit_clobber_flags(e);
    if (emit_is_const(e, insn->b, &bit)) {
        struct rm a = emit_use_rm(e, insn->a);
        asm_bt(e->a, wide, a, bit & (wide ? 63 : 31));
    } else {
        unsigned a = emit_use_gpr(e, insn->a);
        asm_bt_reg(e->a, wide, a, emit_use_gpr(e, insn->b));
    }
    e->flags_held = false;
    flags_define(e, v, FLAGS_BORROW);
}

EMITTER(flags_ucom)
{
    bool is_double = insn->a_type == IR_F64;
    uint32_t op = insn->aux & 1 ? is_double ? V_COMISD : V_COMISS : is_double ? V_UCOMISD : V_UCOMISS;
    emit_clobber_flags(e);
    unsigned left = emit_use_xmm(e, insn->a);
    asm_vex(e->a, op, left, 0, emit_use_xmm_rm(e, insn->b));
    flags_define(e, v, FLAGS_BORROW);
}
