/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emulate_flags: EFLAGS, interrupts that instructions ask for, and HLT. Intel SDM volume 2 by name. */
#include "arch/x86/emulation.h"
#include "arch/x86/stack.h"

static unsigned iopl(const struct x86_state *s)
{
    return (unsigned)(s->eflags_system & X86_EFLAGS_IOPL) >> 12;
}

/* -- IF ---------------------------------------------------------------------------------------------------
 */

int x86_emulate_cli(struct x86_emulation *e)
{
    if (e->cpl > iopl(e->state))
        return x86_protection(e);
    e->state->eflags_system &= ~(uint64_t)X86_EFLAGS_IF;
    return X86_EMULATED;
}

/* Interrupts come after the next instruction only. */
int x86_emulate_sti(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    if (e->cpl > iopl(s))
        return x86_protection(e);
    s->interrupt_shadow = s->eflags_system & X86_EFLAGS_IF ? X86_SHADOW_NONE : X86_SHADOW_STI;
    s->eflags_system |= X86_EFLAGS_IF;
    return X86_EMULATED;
}

int x86_emulate_hlt(struct x86_emulation *e)
{
    return e->cpl != 0 ? x86_protection(e) : X86_EMULATE_HALT;
}

/* -- PUSHF, POPF ------------------------------------------------------------------------------------------
 */

static bool vm86_forbids(const struct x86_emulation *e)
{
    return x86_vm86(e->state) && iopl(e->state) != 3;
}

int x86_emulate_pushf(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    struct x86_stack stack = x86_stack_current(s);
    const uint64_t value = x86_eflags_get(s) & ~(uint64_t)(X86_EFLAGS_RF | X86_EFLAGS_VM);

    if (vm86_forbids(e))
        return x86_protection(e);
    if (x86_stack_push(e->core, &stack, 1u << e->insn.size, value) < 0)
        return X86_RAISED;
    x86_stack_commit(s, &stack);
    return X86_EMULATED;
}

int x86_emulate_popf(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    struct x86_stack stack = x86_stack_current(s);
    uint64_t value, mask = X86_EFLAGS_USER;

    if (vm86_forbids(e))
        return x86_protection(e);
    if (e->cpl <= iopl(s))
        mask |= X86_EFLAGS_IF;
    if (e->cpl == 0)
        mask |= X86_EFLAGS_IOPL;
    if (e->insn.size == 1)
        mask &= 0xffff;
    if (x86_stack_pop(e->core, &stack, 1u << e->insn.size, &value) < 0)
        return X86_RAISED;
    x86_stack_commit(s, &stack);
    x86_eflags_set(s, (x86_eflags_get(s) & ~mask & ~(uint64_t)X86_EFLAGS_RF) | (value & mask));
    return X86_EMULATED;
}

/* -- interrupts -------------------------------------------------------------------------------------------
 */

int x86_emulate_int3(struct x86_emulation *e)
{
    return x86_raise_software(e, X86_EVENT_SOFTWARE, X86_BP);
}

int x86_emulate_int1(struct x86_emulation *e)
{
    return x86_raise_software(e, X86_EVENT_INT1, X86_DB);
}

int x86_emulate_into(struct x86_emulation *e)
{
    if (!(e->state->flags & NZCV_V))
        return X86_EMULATED;
    return x86_raise_software(e, X86_EVENT_SOFTWARE, X86_OF);
}

int x86_emulate_int(struct x86_emulation *e)
{
    if (vm86_forbids(e))
        return x86_protection(e);
    return x86_raise_software(e, X86_EVENT_SOFTWARE, (uint8_t)e->insn.imm);
}

int x86_emulate_bound(struct x86_emulation *e)
{
    const unsigned size = 1u << e->insn.size;
    int32_t bounds[2], index = (int32_t)e->state->gpr[e->insn.reg];

    if (size == 2) {
        int16_t words[2];
        if (x86_operand_read(e, 0, words, sizeof words) < 0)
            return X86_RAISED;
        bounds[0] = words[0], bounds[1] = words[1], index = (int16_t)index;
    } else if (x86_operand_read(e, 0, bounds, sizeof bounds) < 0) {
        return X86_RAISED;
    }
    return index < bounds[0] || index > bounds[1] ? x86_raise_plain(e->core, X86_BR) : X86_EMULATED;
}

/* -- ENTER ------------------------------------------------------------------------------------------------
 */

/* The frame pointers of the outer procedures, which the old frame has, and then the new one. */
static int push_display(struct x86_emulation *e, struct x86_stack *stack, unsigned level, uint64_t frame)
{
    const unsigned size = 1u << e->insn.size;
    struct x86_stack old = *stack;

    old.sp = e->state->gpr[X86_RBP];
    for (unsigned i = 1; i < level; i++) {
        uint64_t pointer;
        struct x86_stack at;
        old.sp = (old.sp & ~old.mask) | ((old.sp - size) & old.mask);
        at = old;
        if (x86_stack_pop(e->core, &at, size, &pointer) < 0 ||
            x86_stack_push(e->core, stack, size, pointer) < 0)
            return X86_RAISED;
    }
    return x86_stack_push(e->core, stack, size, frame);
}

int x86_emulate_enter(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    struct x86_stack stack = x86_stack_current(s);
    const unsigned size = 1u << e->insn.size, level = e->insn.imm2 & 31;

    if (x86_stack_push(e->core, &stack, size, s->gpr[X86_RBP]) < 0)
        return X86_RAISED;
    const uint64_t frame = stack.sp;
    if (level && push_display(e, &stack, level, frame) < 0)
        return X86_RAISED;
    stack.sp = (stack.sp & ~stack.mask) | ((stack.sp - e->insn.imm) & stack.mask);
    x86_register_set(e, X86_RBP, size, frame);
    x86_stack_commit(s, &stack);
    return X86_EMULATED;
}
