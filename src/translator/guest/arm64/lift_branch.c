/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_branch: branches and exceptions. Arm ARM (DDI 0487) C6.2. A conditional branch leaves the region if it
 * is taken; the region goes on behind it.
 */
#include "arm64_decode.h"

static uint64_t target_of(const struct lift *l, int32_t words)
{
    return l->pc + (uint64_t)((int64_t)words * 4);
}

static void leave_to(struct lift *l, enum ir_op op, ir_value target, uint64_t imm, uint64_t imm2)
{
    ir_emit(l->ir, op, IR_VOID, 0, target, IR_NONE, IR_NONE, imm, imm2);
    l->ended = true;
}

static void leave_if(struct lift *l, ir_value condition, uint64_t target)
{
    ir_emit(l->ir, IR_EXIT_IF, IR_VOID, 0, condition, IR_NONE, IR_NONE, target, 0);
}

/* B, BL */
bool lift_branch(struct lift *l, const struct arm64_branch *f)
{
    if (f->link) {
        lift_write(l, 30, ir_const(l->ir, IR_I64, l->pc + 4));
        leave_to(l, IR_CALL_GUEST, IR_NONE, target_of(l, f->imm), l->pc + 4);
    } else {
        leave_to(l, IR_GOTO, IR_NONE, target_of(l, f->imm), 0);
    }
    return true;
}

/* B.cond; conditions 14 and 15 are both "always" */
bool lift_branch_cond(struct lift *l, const struct arm64_branch_cond *f)
{
    if (f->cond >= 14)
        leave_to(l, IR_GOTO, IR_NONE, target_of(l, f->imm), 0);
    else
        leave_if(l, lift_cond(l, f->cond), target_of(l, f->imm));
    return true;
}

/* CBZ, CBNZ */
bool lift_compare_branch(struct lift *l, const struct arm64_compare_branch *f)
{
    ir_value v = lift_read(l, f->sf, f->rt), zero = ir_const(l->ir, f->sf ? IR_I64 : IR_I32, 0);
    leave_if(l, ir_cmp(l->ir, f->nonzero ? IR_NE : IR_EQ, v, zero), target_of(l, f->imm));
    return true;
}

/* TBZ, TBNZ */
bool lift_test_branch(struct lift *l, const struct arm64_test_branch *f)
{
    ir_value v = lift_read(l, f->high, f->rt);
    leave_if(l, ir_bit(l->ir, v, f->high << 5 | f->low, !f->nonzero), target_of(l, f->imm));
    return true;
}

bool lift_branch_reg(struct lift *l, const struct arm64_branch_reg *f)
{
    leave_to(l, IR_GOTO_REG, lift_read(l, 1, f->rn), 0, 0);
    return true;
}

/* BLR; the target may be in X30, so it is read first */
bool lift_call_reg(struct lift *l, const struct arm64_call_reg *f)
{
    ir_value target = lift_read(l, 1, f->rn);
    lift_write(l, 30, ir_const(l->ir, IR_I64, l->pc + 4));
    leave_to(l, IR_CALL_REG, target, 0, l->pc + 4);
    return true;
}

bool lift_ret(struct lift *l, const struct arm64_ret *f)
{
    leave_to(l, IR_RETURN, lift_read(l, 1, f->rn), 0, 0);
    return true;
}

bool lift_svc(struct lift *l, const struct arm64_svc *f)
{
    lift_raise(l, TRANSLATOR_SYSCALL, f->imm, l->pc + 4);
    return true;
}

bool lift_brk(struct lift *l, const struct arm64_brk *f)
{
    lift_raise(l, TRANSLATOR_BREAKPOINT, f->imm, l->pc);
    return true;
}
