/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_branch: jumps, calls and loops within a code segment. Intel SDM volume 1, 7.3.8. A conditional jump
 * leaves the region if it is taken; the region goes on behind it.
 */
#include "arch/x86/core.h"
#include "translator/guest/x86/lift.h"

static void leave_to(struct x86_lift *l, enum ir_op op, ir_value target, uint64_t imm, uint64_t imm2)
{
    ir_emit(l->ir, op, IR_VOID, 0, target, IR_NONE, IR_NONE, imm, imm2);
    l->ended = true;
}

static void leave_if(struct x86_lift *l, ir_value condition, uint64_t target)
{
    ir_emit(l->ir, IR_EXIT_IF, IR_VOID, 0, condition, IR_NONE, IR_NONE, target, 0);
}

/* -- where to ------------------------------------------------------------------------------------------ */

/* A linear address of an instruction pointer of the operand size. */
static ir_value linear(struct x86_lift *l, ir_value ip)
{
    ip = x86_zero_extend(l, ip, l->insn.size);
    ip = x86_convert(l, ip, IR_I64);
    if (!(l->mode & X86_MODE_SEGMENTED))
        return ip;
    ip = ir_binary(l->ir, IR_ADD, ip, ir_get(l->ir, X86_REGISTER_BASE + X86_CS, IR_I64));
    return ir_ubfx(l->ir, ip, 0, 32);
}

/* The target of a relative branch. False: it is only known when it runs, since IP wraps around in a segment.
 */
static bool relative_target(const struct x86_lift *l, uint64_t *target)
{
    const uint64_t sum = l->next + l->insn.imm;
    l->ir->movable &= l->insn.size > 1; /* what wraps around at 64 KiB does not move with the code */
    *target = l->insn.size == 3 ? sum : l->insn.size == 2 ? (uint32_t)sum : (uint16_t)sum;
    return l->insn.size > 1 || !(l->mode & X86_MODE_SEGMENTED);
}

/* Where no code can be: the branch itself is at fault. Elsewhere its target may be in order. */
static bool is_beyond(const struct x86_lift *l, uint64_t target)
{
    const bool beyond = l->insn.code == X86_CODE_64 && (uint64_t)((int64_t)(target << 16) >> 16) != target;
    l->ir->movable &= !beyond;
    return beyond;
}

static ir_value computed_target(struct x86_lift *l)
{
    return linear(l, x86_ip_of(l, l->next + l->insn.imm));
}

static void jump(struct x86_lift *l)
{
    uint64_t target;
    if (!relative_target(l, &target))
        leave_to(l, IR_GOTO_REG, computed_target(l), 0, 0);
    else if (is_beyond(l, target))
        x86_raise(l, TRANSLATOR_EXCEPTION, X86_GP, l->pc);
    else
        leave_to(l, IR_GOTO, IR_NONE, target, 0);
}

/* A relative jump if a condition holds. */
static void jump_if(struct x86_lift *l, ir_value condition)
{
    uint64_t target;
    if (relative_target(l, &target)) {
        if (is_beyond(l, target))
            x86_raise_if(l, condition, TRANSLATOR_EXCEPTION, X86_GP);
        else
            leave_if(l, condition, target);
        return;
    }
    ir_value next = ir_address(l->ir, IR_I64, l->next);
    leave_to(l, IR_GOTO_REG, ir_select(l->ir, condition, computed_target(l), next), 0, 0);
}

/* -- jumps --------------------------------------------------------------------------------------------- */

bool x86_lift_jmp(struct x86_lift *l)
{
    jump(l);
    return true;
}

bool x86_lift_jcc(struct x86_lift *l)
{
    jump_if(l, x86_condition(l, l->insn.opcode));
    return true;
}

/* JCXZ, JECXZ, JRCXZ: by the address size */
static ir_value count_register(struct x86_lift *l)
{
    return ir_ubfx(l->ir, x86_gpr(l, X86_RCX), 0, 8u << l->insn.address_size);
}

bool x86_lift_jcxz(struct x86_lift *l)
{
    jump_if(l, ir_cmp(l->ir, IR_EQ, count_register(l), ir_const(l->ir, IR_I64, 0)));
    return true;
}

/* LOOP to where no code can be: if it is taken. */
static void fault_if_taken(struct x86_lift *l, ir_value count)
{
    const unsigned argument = l->insn.row->argument;
    ir_value zero = ir_const(l->ir, IR_I64, 0);
    if (argument)
        count =
            ir_select(l->ir, ir_cond(l->ir, ir_get_flags(l->ir), argument == 1 ? IR_EQ : IR_NE), count, zero);
    x86_raise_if(l, ir_cmp(l->ir, IR_NE, count, zero), TRANSLATOR_EXCEPTION, X86_GP);
}

/* argument: 0 LOOP, 1 LOOPE, 2 LOOPNE */
bool x86_lift_loop(struct x86_lift *l)
{
    const unsigned argument = l->insn.row->argument, width = 8u << l->insn.address_size;
    ir_value zero = ir_const(l->ir, IR_I64, 0);
    ir_value count = ir_binary_imm(l->ir, IR_SUB, count_register(l), 1);
    uint64_t target;

    count = ir_ubfx(l->ir, count, 0, width);
    if (relative_target(l, &target) && is_beyond(l, target)) {
        fault_if_taken(l, count);
        x86_write_named(l, X86_RCX, l->insn.address_size, count);
        return true;
    }
    x86_write_named(l, X86_RCX, l->insn.address_size, count);
    if (argument) {
        leave_if(l, ir_cmp(l->ir, IR_EQ, count, zero), l->next);
        jump_if(l, ir_cond(l->ir, ir_get_flags(l->ir), argument == 1 ? IR_EQ : IR_NE));
    } else {
        jump_if(l, ir_cmp(l->ir, IR_NE, count, zero));
    }
    return true;
}

/* -- calls --------------------------------------------------------------------------------------------- */

static void push_return(struct x86_lift *l)
{
    x86_push(l, l->insn.size, x86_convert(l, x86_ip_of(l, l->next), x86_type(l->insn.size)));
}

bool x86_lift_call(struct x86_lift *l)
{
    uint64_t target;
    const bool known = relative_target(l, &target);
    if (known && is_beyond(l, target)) {
        x86_raise(l, TRANSLATOR_EXCEPTION, X86_GP, l->pc);
        return true;
    }
    push_return(l);
    if (known)
        leave_to(l, IR_CALL_GUEST, IR_NONE, target, l->next);
    else
        leave_to(l, IR_CALL_REG, computed_target(l), 0, l->next);
    return true;
}

bool x86_lift_ret(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    ir_value ip = x86_load(l, x86_type(size), size, x86_stack_address(l, 0));
    x86_set_stack(l, x86_stack_moved(l, (1ll << size) + (int64_t)l->insn.imm));
    leave_to(l, IR_RETURN, linear(l, ip), 0, 0);
    return true;
}

bool x86_lift_group5(struct x86_lift *l)
{
    const unsigned reg = l->insn.reg & 7;

    if (reg <= 1)
        return x86_lift_inc_dec(l);
    if (l->insn.lock || reg == 7)
        return false;
    if (reg == 3 || reg == 5) /* far */
        return l->insn.memory && x86_lift_emulate(l);
    ir_value v = x86_read_rm(l);
    if (reg == 6) {
        x86_push(l, l->insn.size, v);
    } else if (reg == 4) {
        leave_to(l, IR_GOTO_REG, linear(l, v), 0, 0);
    } else {
        v = linear(l, v);
        push_return(l);
        leave_to(l, IR_CALL_REG, v, 0, l->next);
    }
    return true;
}
