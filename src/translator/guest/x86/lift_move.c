/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lift_move: moves, extensions, exchanges and the stack. Intel SDM volume 1, 7.3.1. */
#include "translator/guest/x86/lift.h"

/* -- MOV ----------------------------------------------------------------------------------------------- */

bool x86_lift_mov_rm_reg(struct x86_lift *l)
{
    struct x86_place to = x86_place_rm(l), from = x86_place_reg(l);
    x86_write(l, &to, x86_read(l, &from));
    return true;
}

bool x86_lift_mov_reg_rm(struct x86_lift *l)
{
    struct x86_place to = x86_place_reg(l), from = x86_place_rm(l);
    x86_write(l, &to, x86_read(l, &from));
    return true;
}

bool x86_lift_mov_rm_imm(struct x86_lift *l)
{
    if ((l->insn.reg & 7) != 0)
        return false;
    x86_write_rm(l, x86_immediate(l, l->insn.size));
    return true;
}

bool x86_lift_mov_reg_imm(struct x86_lift *l)
{
    struct x86_place to = x86_place_reg_of(l, l->insn.rm, l->insn.size);
    x86_write(l, &to, x86_immediate(l, l->insn.size));
    return true;
}

/* Between the accumulator and an absolute address; argument 1: to memory. */
bool x86_lift_mov_offset(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    struct x86_address address = x86_operand_address(l);
    if (l->insn.row->argument)
        x86_store(l, size, address, x86_read_named(l, X86_RAX, size));
    else
        x86_write_named(l, X86_RAX, size, x86_load(l, x86_type(size), size, address));
    return true;
}

bool x86_lift_mov_segment_rm(struct x86_lift *l)
{
    const unsigned segment = l->insn.reg & 7;
    return segment < X86_SEGMENT_COUNT && segment != X86_CS && x86_lift_emulate(l);
}

/* -- MOVZX, MOVSX, MOVSXD, CBW and CWD ----------------------------------------------------------------- */

static ir_value extended(struct x86_lift *l, unsigned size, bool is_signed)
{
    struct x86_place from = x86_place_rm_of(l, size);
    const enum ir_type type = x86_type(l->insn.size);

    if (from.memory)
        return x86_load(l, type, size | (is_signed ? IR_MEM_SIGNED : 0), from.address);
    if (size == 2)
        return is_signed ? ir_sext(l->ir, x86_read(l, &from)) : ir_zext(l->ir, x86_read(l, &from));
    ir_value v = x86_convert(l, x86_read(l, &from), type);
    return is_signed ? x86_sign_extend(l, v, size) : x86_zero_extend(l, v, size);
}

/* argument: log2 of the source's bytes, X86_MOVX_SIGNED */
bool x86_lift_movx(struct x86_lift *l)
{
    const unsigned argument = l->insn.row->argument;
    x86_write_named(l, l->insn.reg, l->insn.size, extended(l, argument & 1, argument & X86_MOVX_SIGNED));
    return true;
}

/* Of 32 bits, or of 16, it is a move. ARPL in other modes. */
bool x86_lift_movsxd(struct x86_lift *l)
{
    if (l->insn.code != X86_CODE_64)
        return x86_lift_emulate(l);
    if (l->insn.size < 3)
        return x86_lift_mov_reg_rm(l);
    x86_set_gpr(l, l->insn.reg, extended(l, 2, true));
    return true;
}

/* CBW, CWDE, CDQE */
bool x86_lift_cbw(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    ir_value half = x86_read_named(l, X86_RAX, size - 1);
    ir_value v = size == 3 ? ir_sext(l->ir, half) : ir_sbfx(l->ir, half, 0, 4u << size);
    x86_write_named(l, X86_RAX, size, v);
    return true;
}

/* CWD, CDQ, CQO */
bool x86_lift_cwd(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    ir_value v = x86_sign_extend(l, x86_read_named(l, X86_RAX, size), size);
    x86_write_named(l, X86_RDX, size, ir_binary_imm(l->ir, IR_SAR, v, size == 2 ? 31 : 63));
    return true;
}

/* -- LEA, XLAT, XCHG, MOVBE, BSWAP --------------------------------------------------------------------- */

bool x86_lift_lea(struct x86_lift *l)
{
    x86_write_named(l, l->insn.reg, l->insn.size, x86_lift_offset(l, 0));
    return true;
}

bool x86_lift_xlat(struct x86_lift *l)
{
    const unsigned width = 8u << l->insn.address_size;
    ir_value index = ir_ubfx(l->ir, x86_gpr(l, X86_RAX), 0, 8);
    ir_value offset = ir_binary(l->ir, IR_ADD, x86_gpr(l, X86_RBX), index);
    struct x86_address address =
        x86_segment_address(l, (enum x86_segment)l->insn.segment, ir_ubfx(l->ir, offset, 0, width));
    x86_write_named(l, X86_RAX, 0, x86_load(l, IR_I64, 0, address));
    return true;
}

/* With memory it is always atomic. */
bool x86_lift_xchg(struct x86_lift *l)
{
    struct x86_place rm = x86_place_rm(l), reg = x86_place_reg(l);
    ir_value b = x86_read(l, &reg), a;

    if (rm.memory) {
        ir_value address = x86_update_address(l, rm.size, rm.address);
        a = ir_emit(l->ir, IR_ATOMIC, x86_type(rm.size), rm.size, address, b, IR_NONE, IR_ATOMIC_SWAP, 0);
    } else {
        a = x86_read(l, &rm);
        x86_write(l, &rm, b);
    }
    x86_write(l, &reg, a);
    return true;
}

/* Of the accumulator with itself it is NOP, which leaves the upper half alone, too, or PAUSE. */
bool x86_lift_xchg_acc(struct x86_lift *l)
{
    enum { REPEAT_F3 = 0xf3 };
    const unsigned size = l->insn.size, n = l->insn.rm;
    if (n == X86_RAX)
        return l->insn.repeat != REPEAT_F3 || x86_lift_pause(l);
    ir_value a = x86_read_named(l, X86_RAX, size), b = x86_read_named(l, n, size);
    x86_write_named(l, X86_RAX, size, b);
    x86_write_named(l, n, size, a);
    return true;
}

/* A 16-bit word with its bytes exchanged, or 32 or 64 bits; what is above a word is anything. */
static ir_value swapped(struct x86_lift *l, ir_value v, unsigned size)
{
    return ir_unary(l->ir, IR_BSWAP, v, size);
}

/* argument 1: to memory */
bool x86_lift_movbe(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    struct x86_place rm = x86_place_rm(l), reg = x86_place_reg(l);
    const struct x86_place *from = l->insn.row->argument ? &reg : &rm,
                           *to = l->insn.row->argument ? &rm : &reg;
    x86_write(l, to, swapped(l, x86_read(l, from), size));
    return true;
}

/* Of 16 bits it is undefined, and processors make 0 of them. */
bool x86_lift_bswap(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    ir_value v = x86_read_named(l, l->insn.rm, size);
    v = size == 1 ? ir_const(l->ir, IR_I64, 0) : swapped(l, v, size);
    x86_write_named(l, l->insn.rm, size, v);
    return true;
}

/* -- the stack ----------------------------------------------------------------------------------------- */

bool x86_lift_push_reg(struct x86_lift *l)
{
    x86_push(l, l->insn.size, x86_read_named(l, l->insn.rm, l->insn.size));
    return true;
}

bool x86_lift_push_imm(struct x86_lift *l)
{
    x86_push(l, l->insn.size, x86_immediate(l, l->insn.size));
    return true;
}

static ir_value pop(struct x86_lift *l, unsigned size)
{
    return x86_load(l, x86_type(size), size, x86_stack_address(l, 0));
}

bool x86_lift_pop_reg(struct x86_lift *l)
{
    ir_value v = pop(l, l->insn.size);
    x86_set_stack(l, x86_stack_moved(l, 1 << l->insn.size));
    x86_write_named(l, l->insn.rm, l->insn.size, v);
    return true;
}

/* An address that has the stack pointer as base takes its new value. */
bool x86_lift_pop_rm(struct x86_lift *l)
{
    const int64_t bytes = 1 << l->insn.size;

    if ((l->insn.reg & 7) != 0)
        return false;
    ir_value v = pop(l, l->insn.size);
    if (!l->insn.memory) {
        x86_set_stack(l, x86_stack_moved(l, bytes));
        x86_write_rm(l, v);
        return true;
    }
    if (l->insn.base == X86_RSP)
        l->insn.disp += bytes;
    x86_write_rm(l, v);
    x86_set_stack(l, x86_stack_moved(l, bytes));
    return true;
}

/* All eight below the stack pointer, whose old value is the fifth. */
bool x86_lift_pusha(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    for (unsigned n = 0; n < 8; n++) {
        struct x86_address address = x86_stack_address(l, -((int64_t)(n + 1) << size));
        x86_store(l, size, address, x86_read_named(l, n, size));
    }
    x86_set_stack(l, x86_stack_moved(l, -(8ll << size)));
    return true;
}

bool x86_lift_popa(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    ir_value values[8];
    for (unsigned n = 0; n < 8; n++)
        values[n] = x86_load(l, x86_type(size), size, x86_stack_address(l, (int64_t)(7 - n) << size));
    ir_value moved = x86_stack_moved(l, 8ll << size);
    for (unsigned n = 0; n < 8; n++) {
        if (n != X86_RSP)
            x86_write_named(l, n, size, values[n]);
    }
    x86_set_stack(l, moved);
    return true;
}

/* Frames with a display are rare. */
bool x86_lift_enter(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    const int64_t bytes = 1 << size;

    if (l->insn.imm2 & 31)
        return x86_lift_emulate(l);
    x86_store(l, size, x86_stack_address(l, -bytes), x86_read_named(l, X86_RBP, size));
    ir_value frame = x86_stack_moved(l, -bytes), moved = x86_stack_moved(l, -bytes - (int64_t)l->insn.imm);
    x86_write_named(l, X86_RBP, size, frame);
    x86_set_stack(l, moved);
    return true;
}

bool x86_lift_leave(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    const unsigned width = l->insn.code == X86_CODE_64 ? 64 : l->mode & X86_MODE_STACK16 ? 16 : 32;
    ir_value whole = x86_gpr(l, X86_RBP), frame = ir_ubfx(l->ir, whole, 0, width);
    struct x86_address address = width == 64   ? (struct x86_address){.base = frame}
                                 : width == 32 ? x86_wrapping_address(l, X86_SS, whole)
                                               : x86_segment_address(l, X86_SS, frame);
    ir_value v = x86_load(l, x86_type(size), size, address);
    x86_set_stack(l, ir_ubfx(l->ir, ir_binary_imm(l->ir, IR_ADD, frame, 1ull << size), 0, width));
    x86_write_named(l, X86_RBP, size, v);
    return true;
}
