/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_string: string instructions. Intel SDM volume 1, 7.3.9. With REP each element is a pass of the block,
 * which goes to itself: so it can be interrupted, and a fault finds the registers as they are between two
 * elements.
 */
#include "translator/guest/x86/lift.h"

/* A register of the address size, zero-extended. */
static ir_value read_register(struct x86_lift *l, enum x86_gpr n)
{
    return ir_ubfx(l->ir, x86_gpr(l, n), 0, 8u << l->insn.address_size);
}

static struct x86_address source(struct x86_lift *l)
{
    return x86_segment_address(l, (enum x86_segment)l->insn.segment, read_register(l, X86_RSI));
}

static struct x86_address destination(struct x86_lift *l)
{
    return x86_segment_address(l, X86_ES, read_register(l, X86_RDI));
}

static ir_value load(struct x86_lift *l, struct x86_address address)
{
    return x86_load(l, x86_type(l->insn.size), l->insn.size, address);
}

/* Goes on by one element. */
static void advance(struct x86_lift *l, enum x86_gpr n)
{
    ir_value step = ir_binary_imm(l->ir, IR_SHL, ir_get(l->ir, X86_REGISTER_DF, IR_I64), l->insn.size);
    ir_value moved = ir_binary(l->ir, IR_ADD, x86_gpr(l, n), step);
    x86_write_named(l, n, l->insn.address_size, ir_ubfx(l->ir, moved, 0, 8u << l->insn.address_size));
}

static void leave_if_to(struct x86_lift *l, ir_value condition, uint64_t target)
{
    ir_emit(l->ir, IR_EXIT_IF, IR_VOID, 0, condition, IR_NONE, IR_NONE, target, 0);
}

static void leave_if(struct x86_lift *l, ir_value condition)
{
    leave_if_to(l, condition, l->next);
}

/* With REP: nothing more to do if the count is zero. */
static void begin(struct x86_lift *l)
{
    if (l->insn.repeat)
        leave_if(l, ir_cmp(l->ir, IR_EQ, read_register(l, X86_RCX), ir_const(l->ir, IR_I64, 0)));
}

/* -- many elements at once ----------------------------------------------------------------------------- */

/* From so many elements on. What is short is left to the loop. */
#define MANY 64

static ir_value least(struct x86_lift *l, ir_value a, ir_value b)
{
    return ir_select(l->ir, ir_cmp(l->ir, IR_ULT, a, b), a, b);
}

/* Bytes from an address to the end of its page. */
static ir_value room(struct x86_lift *l, ir_value address)
{
    ir_value offset = ir_binary_imm(l->ir, IR_AND, address, 4095);
    return ir_binary(l->ir, IR_SUB, ir_const(l->ir, IR_I64, 4096), offset);
}

/* How many bytes can be moved as a whole: whole elements, up, on one page each, and not to where others come
 * from. `from`: IR_NONE for STOS. */
static ir_value bytes_at_once(struct x86_lift *l, ir_value to, ir_value from)
{
    const unsigned size = l->insn.size;
    ir_value bytes = room(l, to);
    if (from) {
        ir_value up = ir_binary(l->ir, IR_SUB, to, from), down = ir_binary(l->ir, IR_SUB, from, to);
        bytes = least(l, bytes, room(l, from));
        bytes = least(l, bytes, least(l, up, down)); /* of the distance and its negative, the distance */
    }
    ir_value count = least(l, read_register(l, X86_RCX), ir_const(l->ir, IR_I64, 4096));
    bytes = least(l, bytes, ir_binary_imm(l->ir, IR_SHL, count, size));
    bytes = ir_binary_imm(l->ir, IR_AND, bytes, ~0ull << size);
    ir_value few = ir_cmp(l->ir, IR_ULT, bytes, ir_const(l->ir, IR_I64, 32));
    bytes = ir_select(l->ir, few, ir_const(l->ir, IR_I64, 0), bytes);
    ir_value backward = ir_binary_imm(l->ir, IR_SAR, ir_get(l->ir, X86_REGISTER_DF, IR_I64), 63);
    return ir_binary(l->ir, IR_ANDN, bytes, backward);
}

static void move_register(struct x86_lift *l, enum x86_gpr n, enum ir_op op, ir_value by)
{
    const unsigned size = l->insn.address_size;
    ir_value moved = ir_binary(l->ir, op, x86_gpr(l, n), by);
    x86_write_named(l, n, size, ir_ubfx(l->ir, moved, 0, 8u << size));
}

/* Offsets must not wrap around within a page, and nothing is checked. */
static bool can_be_many(const struct x86_lift *l)
{
    const unsigned size = l->insn.address_size;
    const enum x86_segment segment = (enum x86_segment)l->insn.segment;
    if (!l->insn.repeat || l->mode & X86_MODE_ALIGNED || x86_is_checked(l, segment) ||
        x86_is_checked(l, X86_ES))
        return false;
    return size == 3 || (size == 2 && !(l->mode & X86_MODE_SEGMENTED) && segment < X86_FS);
}

/* After an element, so that its pages are likely to be at hand: those that follow, and the same again. */
static void go_on(struct x86_lift *l, bool copies)
{
    ir_value left = read_register(l, X86_RCX);
    leave_if_to(l, ir_cmp(l->ir, IR_ULT, left, ir_const(l->ir, IR_I64, MANY)), l->pc);
    ir_emit(l->ir, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, l->pc, 0);

    ir_value to = destination(l).base, from = copies ? source(l).base : IR_NONE, done;
    ir_value bytes = bytes_at_once(l, to, from);
    if (copies) {
        done = ir_emit(l->ir, IR_STRING_COPY, IR_I64, l->ir->tlb, to, from, bytes, 0, 0);
        move_register(l, X86_RSI, IR_ADD, done);
    } else {
        static const uint64_t repeated[] = {0x0101010101010101, 0x0001000100010001, 0x0000000100000001, 1};
        ir_value element = x86_zero_extend(l, x86_read_named(l, X86_RAX, l->insn.size), l->insn.size);
        element = x86_convert(l, element, IR_I64);
        element = ir_binary(l->ir, IR_MUL, element, ir_const(l->ir, IR_I64, repeated[l->insn.size]));
        done = ir_emit(l->ir, IR_STRING_FILL, IR_I64, l->ir->tlb, to, element, bytes, 0, 0);
    }
    move_register(l, X86_RDI, IR_ADD, done);
    move_register(l, X86_RCX, IR_SUB, ir_binary_imm(l->ir, IR_SHR, done, l->insn.size));
    leave_if(l, ir_cmp(l->ir, IR_EQ, read_register(l, X86_RCX), ir_const(l->ir, IR_I64, 0)));
}

enum moves { NEITHER, COPIES, FILLS };

/* -- ends of a pass ------------------------------------------------------------------------------------ */

/* `stop`: whether the comparison ends the repetition, or IR_NONE. */
static void end(struct x86_lift *l, ir_value stop, enum moves moves)
{
    if (!l->insn.repeat)
        return;
    ir_value count = ir_binary_imm(l->ir, IR_SUB, read_register(l, X86_RCX), 1);
    x86_write_named(l, X86_RCX, l->insn.address_size, count);
    leave_if(l, ir_cmp(l->ir, IR_EQ, count, ir_const(l->ir, IR_I64, 0)));
    if (stop)
        leave_if(l, stop);
    else if (moves && can_be_many(l))
        go_on(l, moves == COPIES);
    ir_emit(l->ir, IR_GOTO, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, l->pc, 0);
    l->ended = true;
}

/* REPE and REPNE stop at the other result. */
static void end_comparison(struct x86_lift *l, ir_value flags)
{
    ir_value stop = ir_cond(l->ir, flags, l->insn.repeat == 0xf3 ? IR_NE : IR_EQ);
    ir_set_flags(l->ir, flags);
    end(l, stop, NEITHER);
}

bool x86_lift_movs(struct x86_lift *l)
{
    begin(l);
    x86_store(l, l->insn.size, destination(l), load(l, source(l)));
    advance(l, X86_RSI);
    advance(l, X86_RDI);
    end(l, IR_NONE, COPIES);
    return true;
}

bool x86_lift_stos(struct x86_lift *l)
{
    begin(l);
    x86_store(l, l->insn.size, destination(l), x86_read_named(l, X86_RAX, l->insn.size));
    advance(l, X86_RDI);
    end(l, IR_NONE, FILLS);
    return true;
}

bool x86_lift_lods(struct x86_lift *l)
{
    begin(l);
    x86_write_named(l, X86_RAX, l->insn.size, load(l, source(l)));
    advance(l, X86_RSI);
    end(l, IR_NONE, NEITHER);
    return true;
}

bool x86_lift_cmps(struct x86_lift *l)
{
    begin(l);
    ir_value a = load(l, source(l)), b = load(l, destination(l));
    ir_value flags = x86_flags_of(l, x86_part(l, IR_PART_SUB, l->insn.size, a, b, IR_NONE));
    advance(l, X86_RSI);
    advance(l, X86_RDI);
    end_comparison(l, flags);
    return true;
}

bool x86_lift_scas(struct x86_lift *l)
{
    begin(l);
    ir_value b = load(l, destination(l)), a = x86_read_named(l, X86_RAX, l->insn.size);
    ir_value flags = x86_flags_of(l, x86_part(l, IR_PART_SUB, l->insn.size, a, b, IR_NONE));
    advance(l, X86_RDI);
    end_comparison(l, flags);
    return true;
}
