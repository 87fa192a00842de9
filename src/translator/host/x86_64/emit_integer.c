/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_integer: integer arithmetic, logic, shifts, bit fields, conversions.
 *
 * Where EFLAGS hold something of use, forms that leave them alone are taken: lea, shlx, rorx, movzx. FLAGS_OF
 * makes its computation use the flag-setting form, as cmp or test if the result itself is not needed.
 */
#include "translator/host/x86_64/emit_integer.h"

/* -- addition and logic ------------------------------------------------------------------------ */

/* a op b with a commutative op, both in registers or memory. */
static void commutative(struct emit *e, enum alu op, bool wide, ir_value v, ir_value a, ir_value b)
{
    unsigned left = emit_use_gpr(e, a);
    struct rm right = emit_use_rm(e, b);
    unsigned dst = emit_def_gpr_near(e, v, left);
    if (is_reg(right, dst)) {
        right = rm_reg(left);
    } else {
        copy(e, wide, dst, left);
    }
    compare_begin(e);
    asm_alu(e->a, op, wide, dst, right);
    compare_end(e);
    done(e, v, wide);
}

static void alu_immediate(struct emit *e, enum alu op, bool wide, ir_value v, ir_value a, int32_t imm)
{
    struct rm left = emit_use_rm(e, a);
    unsigned dst = emit_def_gpr_near(e, v, left.is_mem ? RSP : left.reg);
    load_rm(e, wide, dst, left);
    compare_begin(e);
    asm_alu_imm(e->a, op, wide, rm_reg(dst), imm);
    compare_end(e);
    done(e, v, wide);
}

/* dst := a + imm without touching flags if they are needed or if it saves a move */
void emit_add_immediate(struct emit *e, bool wide, ir_value v, ir_value a, int32_t imm)
{
    unsigned left = emit_use_gpr(e, a);
    unsigned dst = emit_def_gpr_near(e, v, left);
    if (dst == left && !emit_flags_busy(e))
        asm_alu_imm(e->a, ALU_ADD, wide, rm_reg(dst), imm);
    else
        asm_lea(e->a, wide, dst, mem_base(left, imm));
    done(e, v, wide);
}

EMITTER(add)
{
    bool wide = type_is_wide(insn->type);
    int32_t imm;
    bool immediate = emit_is_imm32(e, insn->b, &imm);
    if (wants_flags(e, v)) {
        emit_clobber_flags(e);
        if (immediate)
            alu_immediate(e, ALU_ADD, wide, v, insn->a, imm);
        else
            commutative(e, ALU_ADD, wide, v, insn->a, insn->b);
        define_flags(e, v, FLAGS_CARRY);
        return;
    }
    if (immediate) {
        emit_add_immediate(e, wide, v, insn->a, imm);
        return;
    }
    unsigned left = emit_use_gpr(e, insn->a);
    struct rm right = emit_use_rm(e, insn->b);
    if (right.is_mem) {
        emit_clobber_flags(e);
        unsigned dst = emit_def_gpr_near(e, v, left);
        copy(e, wide, dst, left);
        asm_alu(e->a, ALU_ADD, wide, dst, right);
    } else {
        unsigned dst = emit_def_gpr_near(e, v, left);
        if (!emit_flags_busy(e) && dst == left)
            asm_alu(e->a, ALU_ADD, wide, dst, right);
        else if (!emit_flags_busy(e) && dst == right.reg)
            asm_alu(e->a, ALU_ADD, wide, dst, rm_reg(left));
        else
            asm_lea(e->a, wide, dst, mem_index(left, right.reg, 0, 0));
    }
    done(e, v, wide);
}

/* dst := a - b */
static void subtract(struct emit *e, bool wide, ir_value v, ir_value a, ir_value b)
{
    unsigned left = emit_use_gpr(e, a);
    struct rm right = emit_use_rm(e, b);
    unsigned dst = emit_def_gpr_near(e, v, left);
    if (is_reg(right, dst) && dst != left) {
        if (wants_flags(e, v)) {
            unsigned t = emit_tmp_gpr(e);
            asm_mov(e->a, wide, t, dst);
            asm_mov(e->a, wide, dst, left);
            asm_alu(e->a, ALU_SUB, wide, dst, rm_reg(t));
        } else {
            asm_group3(e->a, GROUP3_NEG, wide, rm_reg(dst));
            asm_alu(e->a, ALU_ADD, wide, dst, rm_reg(left));
        }
    } else {
        copy(e, wide, dst, left);
        compare_begin(e);
        asm_alu(e->a, ALU_SUB, wide, dst, right);
        compare_end(e);
    }
    done(e, v, wide);
}

EMITTER(sub)
{
    bool wide = type_is_wide(insn->type);
    int32_t imm;
    bool immediate = emit_is_imm32(e, insn->b, &imm);
    if (!wants_flags(e, v) && immediate && imm != INT32_MIN) {
        emit_add_immediate(e, wide, v, insn->a, -imm);
        return;
    }
    emit_clobber_flags(e);
    if (only_flags(e, v)) {
        if (immediate) {
            struct rm left = emit_use_rm(e, insn->a);
            compare_begin(e);
            asm_alu_imm(e->a, ALU_CMP, wide, left, imm);
        } else {
            unsigned left = emit_use_gpr(e, insn->a);
            struct rm right = emit_use_rm(e, insn->b);
            compare_begin(e);
            asm_alu(e->a, ALU_CMP, wide, left, right);
        }
        compare_end(e);
    } else if (immediate) {
        alu_immediate(e, ALU_SUB, wide, v, insn->a, imm);
    } else {
        subtract(e, wide, v, insn->a, insn->b);
    }
    define_flags(e, v, FLAGS_BORROW);
}

static void logic(struct emit *e, enum alu op, const struct ir_insn *insn, ir_value v)
{
    bool wide = type_is_wide(insn->type);
    int32_t imm;
    emit_clobber_flags(e);
    if (emit_is_imm32(e, insn->b, &imm))
        alu_immediate(e, op, wide, v, insn->a, imm);
    else
        commutative(e, op, wide, v, insn->a, insn->b);
    define_flags(e, v, FLAGS_CARRY);
}

EMITTER(and)
{
    bool wide = type_is_wide(insn->type);
    int32_t imm;
    uint64_t mask;
    if (only_flags(e, v)) {
        emit_clobber_flags(e);
        if (emit_is_imm32(e, insn->b, &imm)) {
            struct rm left = emit_use_rm(e, insn->a);
            compare_begin(e);
            /* a mask without sign is tested in 32 bits: the same Z, and N is 0 in both */
            if (imm >= 0)
                asm_test_imm(e->a, false, left, (uint32_t)imm);
            else
                asm_test_imm(e->a, wide, left, (uint32_t)imm);
        } else {
            unsigned left = emit_use_gpr(e, insn->a);
            struct rm right = emit_use_rm(e, insn->b);
            compare_begin(e);
            asm_test(e->a, wide, right, left);
        }
        compare_end(e);
        define_flags(e, v, FLAGS_CARRY);
        return;
    }
    if (!wants_flags(e, v) && emit_is_const(e, insn->b, &mask)) {
        if (mask == 0xff || mask == 0xffff || mask == 0xffffffff) {
            struct rm left = emit_use_rm(e, insn->a);
            unsigned dst = emit_def_gpr_last(e, v);
            asm_movzx(e->a, mask == 0xff ? 0 : mask == 0xffff ? 1 : 2, dst, left);
            emit_set_upper_zero(e, v);
            return;
        }
        if (wide && mask <= 0x7fffffff) { /* shorter, and the upper half is known */
            emit_clobber_flags(e);
            alu_immediate(e, ALU_AND, false, v, insn->a, (int32_t)mask);
            return;
        }
    }
    logic(e, ALU_AND, insn, v);
}

EMITTER(or)
{
    logic(e, ALU_OR, insn, v);
}

EMITTER(xor)
{
    logic(e, ALU_XOR, insn, v);
}

/* a & ~b */
EMITTER(andn)
{
    bool wide = type_is_wide(insn->type);
    emit_clobber_flags(e);
    unsigned inverted = emit_use_gpr(e, insn->b);
    struct rm left = emit_use_rm(e, insn->a);
    unsigned dst = emit_def_gpr_last(e, v);
    asm_andn(e->a, wide, dst, inverted, left);
    done(e, v, wide);
    define_flags(e, v, FLAGS_CARRY);
}

/* a op ~b */
static void logic_not(struct emit *e, enum alu op, const struct ir_insn *insn, ir_value v)
{
    bool wide = type_is_wide(insn->type);
    emit_clobber_flags(e);
    struct rm left = emit_use_rm(e, insn->a);
    unsigned right = emit_use_gpr(e, insn->b);
    unsigned dst = emit_def_gpr(e, v);
    copy(e, wide, dst, right);
    asm_group3(e->a, GROUP3_NOT, wide, rm_reg(dst));
    asm_alu(e->a, op, wide, dst, left);
    done(e, v, wide);
}

EMITTER(orn)
{
    logic_not(e, ALU_OR, insn, v);
}

EMITTER(xorn)
{
    logic_not(e, ALU_XOR, insn, v);
}

static void unary(struct emit *e, enum group3 op, const struct ir_insn *insn, ir_value v)
{
    bool wide = type_is_wide(insn->type);
    struct rm a = emit_use_rm(e, insn->a);
    unsigned dst = emit_def_gpr_near(e, v, a.is_mem ? RSP : a.reg);
    load_rm(e, wide, dst, a);
    asm_group3(e->a, op, wide, rm_reg(dst));
    done(e, v, wide);
}

EMITTER(not )
{
    unary(e, GROUP3_NOT, insn, v);
}

EMITTER(neg)
{
    emit_clobber_flags(e);
    unary(e, GROUP3_NEG, insn, v);
}

static void with_carry(struct emit *e, const struct ir_insn *insn, ir_value v, bool subtraction)
{
    bool wide = type_is_wide(insn->type);
    int32_t imm;
    /* operands first: nothing may come between the carry and its reader */
    bool immediate = emit_is_imm32(e, insn->b, &imm);
    if (e->values[insn->a].place == PLACE_CONST)
        e->flags_held = true; /* no xor r,r while EFLAGS hold the carry */
    unsigned left = emit_use_gpr(e, insn->a);
    struct rm right = immediate ? rm_reg(RSP) : emit_use_rm(e, insn->b);
    unsigned dst = emit_def_gpr_near(e, v, left);
    if (is_reg(right, dst) && dst != left) {
        if (!subtraction) {
            right = rm_reg(left);
        } else {
            unsigned t = emit_tmp_gpr(e);
            asm_mov(e->a, wide, t, dst);
            asm_mov(e->a, wide, dst, left);
            right = rm_reg(t);
        }
    } else {
        copy(e, wide, dst, left);
    }
    flags_load_carry(e, insn->c, subtraction);
    if (immediate)
        asm_alu_imm(e->a, subtraction ? ALU_SBB : ALU_ADC, wide, rm_reg(dst), imm);
    else
        asm_alu(e->a, subtraction ? ALU_SBB : ALU_ADC, wide, dst, right);
    e->flags_held = false;
    done(e, v, wide);
    define_flags(e, v, subtraction ? FLAGS_BORROW : FLAGS_CARRY);
}

EMITTER(adc)
{
    with_carry(e, insn, v, false);
}

EMITTER(sbc)
{
    with_carry(e, insn, v, true);
}

/* -- multiplication and division --------------------------------------------------------------- */

/* A product that leaves the flags alone. */
static void multiply_beside_flags(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    emit_take_gpr(e, RDX);
    emit_load_gpr(e, RDX, insn->a);
    if (e->values[insn->a].place < PLACE_XMM && e->values[insn->b].place != e->values[insn->a].place)
        e->locked &= ~(1u << e->values[insn->a].place); /* it has been read */
    struct rm right = emit_use_rm(e, insn->b);
    unsigned high = emit_tmp_gpr(e);
    asm_mulx(e->a, high, emit_def_gpr_last(e, v), right);
}

EMITTER(mul)
{
    bool wide = type_is_wide(insn->type);
    int32_t imm;
    if (wide && emit_flags_busy(e)) {
        multiply_beside_flags(e, insn, v);
        return;
    }
    emit_clobber_flags(e);
    if (emit_is_imm32(e, insn->b, &imm)) {
        struct rm a = emit_use_rm(e, insn->a);
        asm_imul_imm(e->a, wide, emit_def_gpr_last(e, v), a, imm);
    } else {
        unsigned left = emit_use_gpr(e, insn->a);
        struct rm right = emit_use_rm(e, insn->b);
        unsigned dst = emit_def_gpr_near(e, v, left);
        if (is_reg(right, dst)) {
            asm_imul(e->a, wide, dst, rm_reg(left));
        } else {
            copy(e, wide, dst, left);
            asm_imul(e->a, wide, dst, right);
        }
    }
    done(e, v, wide);
}

/* Leaves the flags alone: long multiplications are chains of UMULH and ADC. */
EMITTER(umulh)
{
    emit_take_gpr(e, RDX);
    emit_load_gpr(e, RDX, insn->a);
    struct rm right = emit_use_rm(e, insn->b);
    unsigned high = emit_def_gpr_last(e, v);
    asm_mulx(e->a, high, high, right); /* the low half is written first */
}

EMITTER(smulh)
{
    emit_clobber_flags(e);
    emit_take_gpr(e, RAX);
    emit_take_gpr(e, RDX);
    emit_load_gpr(e, RAX, insn->a);
    asm_group3(e->a, GROUP3_IMUL, true, emit_use_rm(e, insn->b));
    emit_def_in_gpr(e, v, RDX);
}

static void divide(struct emit *e, const struct ir_insn *insn, ir_value v, bool is_signed)
{
    struct assembler *a = e->a;
    bool wide = type_is_wide(insn->type);
    uint64_t divisor = 0;
    bool constant =
        emit_is_const(e, insn->b, &divisor) && divisor != 0 && divisor != (wide ? UINT64_MAX : UINT32_MAX);
    emit_clobber_flags(e);
    emit_take_gpr(e, RAX);
    emit_take_gpr(e, RDX);
    emit_load_gpr(e, RAX, insn->a);
    unsigned b = emit_use_gpr(e, insn->b);
    uint32_t zero = 0, minus = 0, done_zero = 0;
    if (!constant) {
        asm_test(a, wide, rm_reg(b), b);
        zero = asm_jcc_short(a, CC_E);
        if (is_signed) {
            asm_alu_imm(a, ALU_CMP, wide, rm_reg(b), -1);
            minus = asm_jcc_short(a, CC_E);
        }
    }
    if (is_signed)
        asm_cdq(a, wide);
    else
        asm_alu(a, ALU_XOR, false, RDX, rm_reg(RDX));
    asm_group3(a, is_signed ? GROUP3_IDIV : GROUP3_DIV, wide, rm_reg(b));
    if (!constant) {
        done_zero = asm_jmp_short(a);
        asm_bind_short(a, zero);
        asm_mov_imm(a, RAX, 0);
        if (is_signed) { /* falls into the negation of 0 */
            asm_bind_short(a, minus);
            asm_group3(a, GROUP3_NEG, wide, rm_reg(RAX));
        }
        asm_bind_short(a, done_zero);
    }
    emit_def_in_gpr(e, v, RAX);
    done(e, v, wide);
}

EMITTER(udiv)
{
    divide(e, insn, v, false);
}

EMITTER(sdiv)
{
    divide(e, insn, v, true);
}

/* -- shifts ------------------------------------------------------------------------------------ */

void emit_shift_constant(struct emit *e, enum shift_op op, bool wide, ir_value v, ir_value a, unsigned count)
{
    static const uint8_t plain[] = {SHIFT_SHL, SHIFT_SHR, SHIFT_SAR};
    static const uint8_t flagless[] = {SHIFTX_SHL, SHIFTX_SHR, SHIFTX_SAR};
    struct rm source = emit_use_rm(e, a);
    if (!source.is_mem && op == OP_SHL && count >= 1 && count <= 3 && (emit_flags_busy(e) || count == 1)) {
        unsigned dst = emit_def_gpr_last(e, v);
        if (count == 1)
            asm_lea(e->a, wide, dst, mem_index(source.reg, source.reg, 0, 0));
        else
            asm_lea(e->a, wide, dst, (struct mem){MEM_NONE, (int8_t)source.reg, (uint8_t)count, 0, false});
    } else if (emit_flags_busy(e)) {
        unsigned t = emit_tmp_gpr(e);
        asm_mov_imm(e->a, t, count);
        asm_shiftx(e->a, (enum shiftx)flagless[op], wide, emit_def_gpr_last(e, v), source, t);
    } else {
        unsigned dst = emit_def_gpr_near(e, v, source.is_mem ? RSP : source.reg);
        load_rm(e, wide, dst, source);
        asm_shift(e->a, (enum shift)plain[op], wide, rm_reg(dst), count);
    }
    done(e, v, wide);
}

static void shift(struct emit *e, const struct ir_insn *insn, ir_value v, enum shift_op op)
{
    static const uint8_t flagless[] = {SHIFTX_SHL, SHIFTX_SHR, SHIFTX_SAR};
    bool wide = type_is_wide(insn->type);
    uint64_t count;
    if (emit_is_const(e, insn->b, &count)) {
        emit_shift_constant(e, op, wide, v, insn->a, count & (wide ? 63 : 31));
        return;
    }
    struct rm source = emit_use_rm(e, insn->a);
    unsigned amount = emit_use_gpr(e, insn->b);
    asm_shiftx(e->a, (enum shiftx)flagless[op], wide, emit_def_gpr_last(e, v), source, amount);
    done(e, v, wide);
}

EMITTER(shl)
{
    shift(e, insn, v, OP_SHL);
}

EMITTER(shr)
{
    shift(e, insn, v, OP_SHR);
}

EMITTER(sar)
{
    shift(e, insn, v, OP_SAR);
}

EMITTER(ror)
{
    bool wide = type_is_wide(insn->type);
    uint64_t count;
    if (emit_is_const(e, insn->b, &count)) {
        struct rm source = emit_use_rm(e, insn->a);
        asm_rorx(e->a, wide, emit_def_gpr_last(e, v), source, count & (wide ? 63 : 31));
    } else {
        emit_clobber_flags(e);
        emit_take_gpr(e, RCX);
        emit_load_gpr(e, RCX, insn->b);
        struct rm source = emit_use_rm(e, insn->a);
        unsigned dst = emit_def_gpr_near(e, v, source.is_mem ? RSP : source.reg);
        load_rm(e, wide, dst, source);
        asm_shift_cl(e->a, SHIFT_ROR, wide, rm_reg(dst));
    }
    done(e, v, wide);
}

EMITTER(extr)
{
    bool wide = type_is_wide(insn->type);
    emit_clobber_flags(e);
    unsigned high = emit_use_gpr(e, insn->a);
    struct rm low = emit_use_rm(e, insn->b);
    unsigned dst = emit_def_gpr_near(e, v, low.is_mem ? RSP : low.reg);
    if (dst == high && !is_reg(low, dst)) {
        unsigned t = emit_tmp_gpr(e);
        asm_mov(e->a, wide, t, high);
        high = t;
    }
    load_rm(e, wide, dst, low);
    asm_shrd(e->a, wide, dst, high, (unsigned)insn->imm);
    done(e, v, wide);
}

/* -- bits -------------------------------------------------------------------------------------- */

EMITTER(clz)
{
    bool wide = type_is_wide(insn->type);
    emit_clobber_flags(e);
    struct rm a = emit_use_rm(e, insn->a);
    asm_lzcnt(e->a, wide, emit_def_gpr_last(e, v), a);
    emit_set_upper_zero(e, v);
}

EMITTER(ctz)
{
    bool wide = type_is_wide(insn->type);
    emit_clobber_flags(e);
    struct rm a = emit_use_rm(e, insn->a);
    asm_tzcnt(e->a, wide, emit_def_gpr_last(e, v), a);
    emit_set_upper_zero(e, v);
}

/* Swaps neighbouring groups of `count` bits; `mask` selects the lower group of each pair. */
static void swap_groups(struct emit *e, bool wide, unsigned dst, unsigned t, unsigned k, unsigned count,
                        uint64_t mask)
{
    struct assembler *a = e->a;
    asm_mov_imm(a, k, wide ? mask : (uint32_t)mask);
    asm_mov(a, wide, t, dst);
    asm_shift(a, SHIFT_SHR, wide, rm_reg(dst), count);
    asm_alu(a, ALU_AND, wide, t, rm_reg(k));
    asm_alu(a, ALU_AND, wide, dst, rm_reg(k));
    asm_shift(a, SHIFT_SHL, wide, rm_reg(t), count);
    asm_alu(a, ALU_OR, wide, dst, rm_reg(t));
}

EMITTER(rbit)
{
    bool wide = type_is_wide(insn->type);
    emit_clobber_flags(e);
    struct rm a = emit_use_rm(e, insn->a);
    unsigned dst = emit_def_gpr_near(e, v, a.is_mem ? RSP : a.reg);
    load_rm(e, wide, dst, a);
    unsigned t = emit_tmp_gpr(e), k = emit_tmp_gpr(e);
    asm_bswap(e->a, wide, dst);
    swap_groups(e, wide, dst, t, k, 4, 0x0f0f0f0f0f0f0f0f);
    swap_groups(e, wide, dst, t, k, 2, 0x3333333333333333);
    swap_groups(e, wide, dst, t, k, 1, 0x5555555555555555);
    done(e, v, wide);
}

EMITTER(bswap)
{
    bool wide = type_is_wide(insn->type);
    unsigned group = insn->aux;
    if (group == 1)
        emit_clobber_flags(e);
    struct rm a = emit_use_rm(e, insn->a);
    unsigned dst = emit_def_gpr_near(e, v, a.is_mem ? RSP : a.reg);
    load_rm(e, wide, dst, a);
    if (group == 3 || (group == 2 && !wide)) {
        asm_bswap(e->a, wide, dst);
    } else if (group == 2) { /* the two words separately */
        asm_bswap(e->a, true, dst);
        asm_rorx(e->a, true, dst, rm_reg(dst), 32);
    } else {
        unsigned t = emit_tmp_gpr(e), k = emit_tmp_gpr(e);
        swap_groups(e, wide, dst, t, k, 8, 0x00ff00ff00ff00ff);
    }
    done(e, v, wide);
}

/* -- bit fields -------------------------------------------------------------------------------- */

EMITTER(ubfx)
{
    bool wide = type_is_wide(insn->type);
    unsigned lsb = insn->aux & 255, width = insn->aux >> 8, bits = wide ? 64 : 32;
    struct assembler *a = e->a;
    if (lsb == 0 && (width == 8 || width == 16 || width == 32)) {
        struct rm source = emit_use_rm(e, insn->a);
        asm_movzx(a, width == 8 ? 0 : width == 16 ? 1 : 2, emit_def_gpr_last(e, v), source);
        emit_set_upper_zero(e, v);
        return;
    }
    if (lsb + width == bits) {
        emit_shift_constant(e, OP_SHR, wide, v, insn->a, lsb);
        if (width <= 32)
            emit_set_upper_zero(e, v);
        return;
    }
    emit_clobber_flags(e);
    struct rm source = emit_use_rm(e, insn->a);
    if (source.is_mem && lsb % 8 == 0 && (width == 8 || width == 16)) {
        source.mem.disp += (int)lsb / 8;
        asm_movzx(a, width == 8 ? 0 : 1, emit_def_gpr_last(e, v), source);
        emit_set_upper_zero(e, v);
        return;
    }
    unsigned dst = emit_def_gpr_near(e, v, source.is_mem ? RSP : source.reg);
    if (width <= 31) {
        load_rm(e, wide, dst, source);
        if (lsb)
            asm_shift(a, SHIFT_SHR, wide, rm_reg(dst), lsb);
        if (width == 8 || width == 16)
            asm_movzx(a, width == 8 ? 0 : 1, dst, rm_reg(dst));
        else
            asm_alu_imm(a, ALU_AND, false, rm_reg(dst), (int32_t)((1u << width) - 1));
        emit_set_upper_zero(e, v);
    } else {
        load_rm(e, true, dst, source);
        asm_shift(a, SHIFT_SHL, true, rm_reg(dst), 64 - lsb - width);
        asm_shift(a, SHIFT_SHR, true, rm_reg(dst), 64 - width);
    }
}

EMITTER(sbfx)
{
    bool wide = type_is_wide(insn->type);
    unsigned lsb = insn->aux & 255, width = insn->aux >> 8, bits = wide ? 64 : 32;
    struct assembler *a = e->a;
    if (lsb == 0 && (width == 8 || width == 16 || (width == 32 && wide))) {
        struct rm source = emit_use_rm(e, insn->a);
        asm_movsx(a, wide, width == 8 ? 0 : width == 16 ? 1 : 2, emit_def_gpr_last(e, v), source);
        done(e, v, wide);
        return;
    }
    if (lsb + width == bits) {
        emit_shift_constant(e, OP_SAR, wide, v, insn->a, lsb);
        return;
    }
    emit_clobber_flags(e);
    struct rm source = emit_use_rm(e, insn->a);
    unsigned dst = emit_def_gpr_near(e, v, source.is_mem ? RSP : source.reg);
    load_rm(e, wide, dst, source);
    asm_shift(a, SHIFT_SHL, wide, rm_reg(dst), bits - lsb - width);
    asm_shift(a, SHIFT_SAR, wide, rm_reg(dst), bits - width);
    done(e, v, wide);
}

/* a with a field of b; a constant zero a is the shifted field (UBFIZ). */
EMITTER(bfi)
{
    bool wide = type_is_wide(insn->type);
    unsigned lsb = insn->aux & 255, width = insn->aux >> 8, bits = wide ? 64 : 32;
    uint64_t mask = (width == 64 ? ~0ull : (1ull << width) - 1), base;
    struct assembler *a = e->a;
    emit_clobber_flags(e);
    if (emit_is_const(e, insn->a, &base) && base == 0) {
        struct rm field = emit_use_rm(e, insn->b);
        unsigned dst = emit_def_gpr_near(e, v, field.is_mem ? RSP : field.reg);
        if (lsb + width == bits) {
            load_rm(e, wide, dst, field);
        } else if (width == 8 || width == 16 || width == 32) {
            asm_movzx(a, width == 8 ? 0 : width == 16 ? 1 : 2, dst, field);
        } else if (width < 32) {
            load_rm(e, false, dst, field);
            asm_alu_imm(a, ALU_AND, false, rm_reg(dst), (int32_t)mask);
        } else {
            load_rm(e, wide, dst, field);
            asm_shift(a, SHIFT_SHL, wide, rm_reg(dst), bits - width);
            asm_shift(a, SHIFT_SHR, wide, rm_reg(dst), bits - width - lsb);
            done(e, v, wide);
            return;
        }
        if (lsb)
            asm_shift(a, SHIFT_SHL, wide, rm_reg(dst), lsb);
        done(e, v, wide);
        return;
    }
    /* ((a >> lsb ^ b) & mask) << lsb ^ a */
    unsigned old = emit_use_gpr(e, insn->a);
    unsigned field = emit_use_gpr(e, insn->b);
    unsigned t = emit_tmp_gpr(e);
    if (lsb)
        asm_rorx(a, wide, t, rm_reg(old), lsb);
    else
        asm_mov(a, wide, t, old);
    asm_alu(a, ALU_XOR, wide, t, rm_reg(field));
    if (width < 32) {
        asm_alu_imm(a, ALU_AND, wide, rm_reg(t), (int32_t)mask);
        if (lsb)
            asm_shift(a, SHIFT_SHL, wide, rm_reg(t), lsb);
    } else {
        asm_shift(a, SHIFT_SHL, wide, rm_reg(t), bits - width);
        if (bits - width - lsb)
            asm_shift(a, SHIFT_SHR, wide, rm_reg(t), bits - width - lsb);
    }
    unsigned dst = emit_def_gpr_near(e, v, old);
    copy(e, wide, dst, old);
    asm_alu(a, ALU_XOR, wide, dst, rm_reg(t));
    done(e, v, wide);
}

/* -- widths ------------------------------------------------------------------------------------ */

EMITTER(trunc)
{
    emit_alias(e, v, insn->a);
}

EMITTER(zext)
{
    if (emit_upper_zero(e, insn->a)) {
        emit_alias(e, v, insn->a);
        emit_set_upper_zero(e, v);
        return;
    }
    struct rm a = emit_use_rm(e, insn->a);
    asm_movzx(e->a, 2, emit_def_gpr_last(e, v), a);
    emit_set_upper_zero(e, v);
}

EMITTER(sext)
{
    struct rm a = emit_use_rm(e, insn->a);
    asm_movsx(e->a, true, 2, emit_def_gpr_last(e, v), a);
}

EMITTER(crc32)
{
    if (!(insn->aux & IR_CRC_CASTAGNOLI)) {
        emit_eval(e, insn, v);
        return;
    }
    unsigned size = insn->aux & 3;
    unsigned accumulator = emit_use_gpr(e, insn->a);
    struct rm data = emit_use_rm(e, insn->b);
    unsigned dst = emit_def_gpr(e, v);
    asm_mov(e->a, false, dst, accumulator);
    asm_crc32(e->a, size, dst, data);
    emit_set_upper_zero(e, v);
}

/* -- SELECT ------------------------------------------------------------------------------------ */

/* dst := dst or, where the condition holds, `other` */
static void move_if(struct emit *e, struct condition c, bool wide, unsigned dst, struct rm other)
{
    asm_cmov(e->a, (enum cc)c.cc, wide, dst, other);
}

static void select_vector(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned yes = emit_use_xmm(e, insn->b), no = emit_use_xmm(e, insn->c);
    unsigned dst = emit_def_xmm(e, v);
    struct condition c = flags_condition(e, insn->a);
    asm_vex(e->a, V_MOVAPS_LOAD, dst, 0, rm_reg(yes));
    uint32_t skip[2] = {0, 0};
    if (c.how == CONDITION_PLAIN) {
        skip[0] = asm_jcc_short(e->a, (enum cc)c.cc);
    } else if (c.how == CONDITION_FCMP_EQ) { /* move on NE or P */
        uint32_t unordered = asm_jcc_short(e->a, CC_P);
        skip[0] = asm_jcc_short(e->a, CC_E);
        asm_bind_short(e->a, unordered);
    } else {
        skip[0] = asm_jcc_short(e->a, CC_NE);
        skip[1] = asm_jcc_short(e->a, CC_P);
    }
    asm_vex(e->a, V_MOVAPS_LOAD, dst, 0, rm_reg(no));
    asm_bind_short(e->a, skip[0]);
    if (skip[1])
        asm_bind_short(e->a, skip[1]);
}

EMITTER(select)
{
    bool wide = type_is_wide(insn->type);
    uint64_t yes_imm, no_imm;
    if (type_is_vector(insn->type)) {
        select_vector(e, insn, v);
        return;
    }
    struct condition c = flags_condition(e, insn->a);
    if (c.how == CONDITION_PLAIN && emit_is_const(e, insn->b, &yes_imm) &&
        emit_is_const(e, insn->c, &no_imm) && yes_imm <= 1 && no_imm <= 1 && yes_imm != no_imm) {
        unsigned dst = emit_def_gpr(e, v);
        asm_setcc(e->a, (enum cc)(c.cc ^ no_imm), dst);
        asm_movzx(e->a, 0, dst, rm_reg(dst));
        emit_set_upper_zero(e, v);
        return;
    }
    unsigned no = emit_use_gpr(e, insn->c);
    struct rm yes = emit_use_rm(e, insn->b);
    if (c.how == CONDITION_FCMP_NE) { /* the arms change roles */
        unsigned yes_reg = yes.is_mem ? emit_tmp_gpr(e) : yes.reg;
        if (yes.is_mem)
            asm_load(e->a, wide, yes_reg, yes.mem);
        unsigned dst = emit_def_gpr(e, v);
        asm_mov(e->a, wide, dst, no);
        asm_cmov(e->a, CC_NE, wide, dst, rm_reg(yes_reg));
        asm_cmov(e->a, CC_P, wide, dst, rm_reg(yes_reg));
    } else if (c.how == CONDITION_FCMP_EQ) {
        unsigned dst = emit_def_gpr(e, v);
        load_rm(e, wide, dst, yes);
        asm_cmov(e->a, CC_NE, wide, dst, rm_reg(no));
        asm_cmov(e->a, CC_P, wide, dst, rm_reg(no));
    } else {
        unsigned dst = emit_def_gpr_near(e, v, no);
        if (is_reg(yes, dst) && dst != no) {
            c.cc ^= 1;
            move_if(e, c, wide, dst, rm_reg(no));
        } else {
            copy(e, wide, dst, no);
            move_if(e, c, wide, dst, yes);
        }
    }
    done(e, v, wide);
}
