/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lift_alu: addition, logic, multiplication and division. Intel SDM volume 1, 7.3.2 and 7.3.5. */
#include "base/macros.h"
#include "translator/guest/x86/lift.h"
#include "translator/guest/x86/lift_atomic.h"

static bool takes_flags(enum ir_op op)
{
    return ir_op_info[op].arguments[2] == 'l';
}

/* -- the eight operations, TEST, INC and DEC ----------------------------------------------------------- */

/* to = to op b; `operation` may have X86_FLAGS_ONLY. */
static void compute(struct x86_lift *l, unsigned operation, const struct x86_place *to, ir_value b)
{
    const enum ir_op op = (enum ir_op)(operation & ~(unsigned)X86_FLAGS_ONLY);

    if (l->insn.lock) {
        x86_compute_locked(l, op, to, b);
        return;
    }
    ir_value flags = takes_flags(op) ? ir_get_flags(l->ir) : IR_NONE;
    ir_value a = x86_read(l, to);
    ir_value v = x86_part(l, op, to->size, a, b ? b : a, flags);
    flags = x86_flags_of(l, v);
    if (!(operation & X86_FLAGS_ONLY))
        x86_write_merged(l, to, v);
    ir_set_flags(l->ir, flags);
}

bool x86_lift_alu_rm_reg(struct x86_lift *l)
{
    struct x86_place to = x86_place_rm(l), from = x86_place_reg(l);
    compute(l, l->insn.row->argument, &to, x86_read(l, &from));
    return true;
}

bool x86_lift_alu_reg_rm(struct x86_lift *l)
{
    struct x86_place to = x86_place_reg(l), from = x86_place_rm(l);
    compute(l, l->insn.row->argument, &to, x86_read(l, &from));
    return true;
}

bool x86_lift_alu_acc_imm(struct x86_lift *l)
{
    struct x86_place to = {.size = l->insn.size, .reg = X86_RAX};
    compute(l, l->insn.row->argument, &to, x86_immediate(l, to.size));
    return true;
}

/* Group 1 */
bool x86_lift_alu_rm_imm(struct x86_lift *l)
{
    static const uint16_t operations[] = {
        IR_PART_ADD, IR_PART_OR,  IR_PART_ADC, IR_PART_SBB,
        IR_PART_AND, IR_PART_SUB, IR_PART_XOR, IR_PART_SUB | X86_FLAGS_ONLY};
    const unsigned operation = operations[l->insn.reg & 7];

    if (l->insn.lock && operation & X86_FLAGS_ONLY)
        return false;
    struct x86_place to = x86_place_rm(l);
    compute(l, operation, &to, x86_immediate(l, to.size));
    return true;
}

/* Group 4, and two of group 5 */
bool x86_lift_inc_dec(struct x86_lift *l)
{
    if ((l->insn.reg & 7) > 1)
        return false;
    struct x86_place to = x86_place_rm(l);
    compute(l, l->insn.reg & 1 ? IR_PART_DEC : IR_PART_INC, &to, IR_NONE);
    return true;
}

bool x86_lift_inc_dec_short(struct x86_lift *l)
{
    struct x86_place to = {.size = l->insn.size, .reg = l->insn.rm};
    compute(l, l->insn.row->argument, &to, IR_NONE);
    return true;
}

/* -- group 3 ------------------------------------------------------------------------------------------- */

static void lift_not(struct x86_lift *l)
{
    struct x86_place to = x86_place_rm(l);
    ir_value ones = ir_const(l->ir, x86_type(to.size), ~0ull);

    if (l->insn.lock)
        x86_atomic(l, IR_ATOMIC_XOR, &to, ones);
    else
        x86_write_merged(l, &to, x86_part(l, IR_PART_XOR, to.size, x86_read(l, &to), ones, IR_NONE));
}

static void lift_neg(struct x86_lift *l)
{
    struct x86_place to = x86_place_rm(l);
    ir_value a = x86_read(l, &to), zero = ir_const(l->ir, x86_type(to.size), 0);
    ir_value v = x86_part(l, IR_PART_SUB, to.size, zero, a, IR_NONE);
    ir_value flags = x86_flags_of(l, v);

    if (l->insn.lock)
        x86_replace_locked(l, &to, a, v);
    else
        x86_write(l, &to, v);
    ir_set_flags(l->ir, flags);
}

/* CF and OF if `lost`; the other flags are undefined. */
static void set_multiply_flags(struct x86_lift *l, ir_value lost)
{
    ir_value both =
        ir_emit(l->ir, IR_FLAGS_CONST, IR_FLAGS, 0, IR_NONE, IR_NONE, IR_NONE, NZCV_B | NZCV_V, 0);
    ir_set_flags(l->ir, ir_emit(l->ir, IR_FLAGS_SELECT, IR_FLAGS, 0, lost, both, IR_NONE, 0, 0));
}

/* RDX:RAX = RAX * r/m */
static void multiply_64(struct x86_lift *l, ir_value a, ir_value b, bool is_signed)
{
    ir_value low = ir_binary(l->ir, IR_MUL, a, b);
    ir_value high = ir_binary(l->ir, is_signed ? IR_SMULH : IR_UMULH, a, b);
    ir_value none = is_signed ? ir_binary_imm(l->ir, IR_SAR, low, 63) : ir_const(l->ir, IR_I64, 0);

    x86_set_gpr(l, X86_RAX, low);
    x86_set_gpr(l, X86_RDX, high);
    set_multiply_flags(l, ir_cmp(l->ir, IR_NE, high, none));
}

/* The product of smaller ones fits 64 bits. */
static void multiply(struct x86_lift *l, bool is_signed)
{
    const unsigned size = l->insn.size, width = 8u << size;
    ir_value b = x86_read_rm(l), a = x86_read_named(l, X86_RAX, size);

    if (size == 3) {
        multiply_64(l, a, b, is_signed);
        return;
    }
    a = x86_convert(l, a, IR_I64);
    b = x86_convert(l, b, IR_I64);
    a = is_signed ? ir_sbfx(l->ir, a, 0, width) : ir_ubfx(l->ir, a, 0, width);
    b = is_signed ? ir_sbfx(l->ir, b, 0, width) : ir_ubfx(l->ir, b, 0, width);
    ir_value product = ir_binary(l->ir, IR_MUL, a, b);
    ir_value kept = is_signed ? ir_sbfx(l->ir, product, 0, width) : ir_ubfx(l->ir, product, 0, width);
    ir_value lost = ir_cmp(l->ir, IR_NE, product, kept);
    if (size == 0) {
        x86_write_named(l, X86_RAX, 1, product);
    } else {
        ir_value high = ir_ubfx(l->ir, product, width, width);
        x86_write_named(l, X86_RAX, size, size == 2 ? ir_ubfx(l->ir, product, 0, 32) : product);
        x86_write_named(l, X86_RDX, size, high);
    }
    set_multiply_flags(l, lost);
}

static void divide_wide(struct x86_lift *l, bool is_signed)
{
    const unsigned size = l->insn.size;
    ir_value divisor = x86_read_rm(l);
    ir_value high = x86_read_named(l, X86_RDX, size), low = x86_read_named(l, X86_RAX, size);
    ir_value quotient = ir_divide_wide(l->ir, is_signed ? IR_SDIV_WIDE : IR_UDIV_WIDE, high, low, divisor);
    ir_value remainder = ir_divide_wide(l->ir, is_signed ? IR_SREM_WIDE : IR_UREM_WIDE, high, low, divisor);

    x86_write_named(l, X86_RAX, size, quotient);
    x86_write_named(l, X86_RDX, size, remainder);
}

/* AX, or DX:AX, by a byte or a word, in 32 bits. */
static void divide_narrow(struct x86_lift *l, bool is_signed)
{
    const unsigned size = l->insn.size, width = 8u << size;
    ir_value divisor = x86_convert(l, x86_read_rm(l), IR_I32);
    ir_value x = ir_trunc(l->ir, x86_gpr(l, X86_RAX)), high = ir_const(l->ir, IR_I32, 0);

    if (size == 1)
        x = ir_bfi(l->ir, x, ir_trunc(l->ir, x86_gpr(l, X86_RDX)), 16, 16);
    if (is_signed) {
        divisor = ir_sbfx(l->ir, divisor, 0, width);
        x = ir_sbfx(l->ir, x, 0, 2 * width);
        high = ir_binary_imm(l->ir, IR_SAR, x, 31);
    } else {
        divisor = ir_ubfx(l->ir, divisor, 0, width);
        x = ir_ubfx(l->ir, x, 0, 2 * width);
    }
    ir_value quotient = ir_divide_wide(l->ir, is_signed ? IR_SDIV_WIDE : IR_UDIV_WIDE, high, x, divisor);
    ir_value remainder = ir_divide_wide(l->ir, is_signed ? IR_SREM_WIDE : IR_UREM_WIDE, high, x, divisor);
    ir_value kept = is_signed ? ir_sbfx(l->ir, quotient, 0, width) : ir_ubfx(l->ir, quotient, 0, width);
    x86_raise_if(l, ir_cmp(l->ir, IR_NE, quotient, kept), TRANSLATOR_DIVIDE, 0);
    if (size == 0) {
        x86_write_named(l, X86_RAX, 1, ir_bfi(l->ir, quotient, remainder, 8, 24));
    } else {
        x86_write_named(l, X86_RAX, 1, quotient);
        x86_write_named(l, X86_RDX, 1, remainder);
    }
}

bool x86_lift_group3(struct x86_lift *l)
{
    const unsigned reg = l->insn.reg & 7;

    if (l->insn.lock && reg != 2 && reg != 3)
        return false;
    if (reg <= 1) { /* TEST */
        struct x86_place to = x86_place_rm(l);
        compute(l, IR_PART_AND | X86_FLAGS_ONLY, &to, x86_immediate(l, to.size));
    } else if (reg == 2) {
        lift_not(l);
    } else if (reg == 3) {
        lift_neg(l);
    } else if (reg <= 5) { /* MUL, IMUL */
        multiply(l, reg == 5);
    } else if (l->insn.size >= 2) { /* DIV, IDIV */
        divide_wide(l, reg == 7);
    } else {
        divide_narrow(l, reg == 7);
    }
    return true;
}

/* -- IMUL ---------------------------------------------------------------------------------------------- */

static bool multiply_into(struct x86_lift *l, ir_value a, ir_value b)
{
    ir_value v = x86_part(l, IR_PART_MUL, l->insn.size, a, b, IR_NONE);
    ir_value flags = x86_flags_of(l, v);
    x86_write_named(l, l->insn.reg, l->insn.size, v);
    ir_set_flags(l->ir, flags);
    return true;
}

bool x86_lift_imul_reg(struct x86_lift *l)
{
    ir_value b = x86_read_rm(l);
    return multiply_into(l, x86_read_named(l, l->insn.reg, l->insn.size), b);
}

bool x86_lift_imul_imm(struct x86_lift *l)
{
    return multiply_into(l, x86_read_rm(l), x86_immediate(l, l->insn.size));
}

/* -- decimal numbers ----------------------------------------------------------------------------------- */

/* Nothing uses these any more: C functions do them. Volume 2: DAA, DAS, AAA, AAS, AAM, AAD. The flags that
 * are undefined are as for the result. */
static void set_decimal(struct x86_cpu *cpu, unsigned ax, bool carry, bool adjust)
{
    const unsigned al = ax & 255;
    cpu->state.gpr[X86_RAX] = (cpu->state.gpr[X86_RAX] & ~0xffffull) | (ax & 0xffff);
    cpu->state.flags = (uint16_t)((carry ? NZCV_B : 0) | (adjust ? NZCV_A : 0) | (al & 0x80 ? NZCV_N : 0) |
                                  (al ? 0 : NZCV_Z) | (__builtin_parity(al) ? 0 : NZCV_P));
}

static uint64_t adjust_decimal(void *opaque, uint64_t subtract, uint64_t unused)
{
    struct x86_cpu *cpu = opaque;
    const unsigned ax = cpu->state.gpr[X86_RAX] & 0xffff, old = ax & 255;
    const bool adjust = (old & 15) > 9 || cpu->state.flags & NZCV_A;
    const bool high = old > 0x99 || cpu->state.flags & NZCV_B;
    const unsigned change = (adjust ? 6 : 0) + (high ? 0x60 : 0);
    const bool borrow = subtract && adjust && old < 6;
    (void)unused;

    set_decimal(cpu, (ax & 0xff00) | ((subtract ? old - change : old + change) & 255), high || borrow,
                adjust);
    return 0;
}

static uint64_t adjust_ascii(void *opaque, uint64_t subtract, uint64_t unused)
{
    struct x86_cpu *cpu = opaque;
    unsigned ax = cpu->state.gpr[X86_RAX] & 0xffff;
    const bool adjust = (ax & 15) > 9 || cpu->state.flags & NZCV_A;
    (void)unused;

    if (adjust)
        ax = subtract ? ax - 0x106 : ax + 0x106;
    set_decimal(cpu, ax & 0xff0f, adjust, adjust);
    return 0;
}

static uint64_t divide_ascii(void *opaque, uint64_t base, uint64_t unused)
{
    struct x86_cpu *cpu = opaque;
    const unsigned al = cpu->state.gpr[X86_RAX] & 255;
    (void)unused;
    set_decimal(cpu, al / (unsigned)base << 8 | al % (unsigned)base, false, false);
    return 0;
}

static uint64_t multiply_ascii(void *opaque, uint64_t base, uint64_t unused)
{
    struct x86_cpu *cpu = opaque;
    const unsigned ax = cpu->state.gpr[X86_RAX] & 0xffff;
    (void)unused;
    set_decimal(cpu, (ax + (ax >> 8) * (unsigned)base) & 255, false, false);
    return 0;
}

static bool call(struct x86_lift *l, ir_helper helper, uint64_t argument)
{
    ir_call(l->ir, helper, ir_const(l->ir, IR_I64, argument), IR_NONE);
    return true;
}

bool x86_lift_decimal_adjust(struct x86_lift *l)
{
    return call(l, adjust_decimal, l->insn.row->argument);
}

bool x86_lift_ascii_adjust(struct x86_lift *l)
{
    return call(l, adjust_ascii, l->insn.row->argument);
}

bool x86_lift_aam(struct x86_lift *l)
{
    if ((l->insn.imm & 255) == 0) {
        x86_raise(l, TRANSLATOR_DIVIDE, 0, l->pc);
        return true;
    }
    return call(l, divide_ascii, l->insn.imm & 255);
}

bool x86_lift_aad(struct x86_lift *l)
{
    return call(l, multiply_ascii, l->insn.imm & 255);
}

/* AL = CF ? 255 : 0; in no manual of Intel's until lately */
bool x86_lift_salc(struct x86_lift *l)
{
    ir_value carry = ir_cond(l->ir, ir_get_flags(l->ir), IR_ULT);
    ir_value v = ir_select(l->ir, carry, ir_const(l->ir, IR_I64, 255), ir_const(l->ir, IR_I64, 0));
    x86_write_named(l, X86_RAX, 0, v);
    return true;
}
