/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stack: pushes and pops of the processor's own, on the current stack or another. Private to arch/x86. */
#ifndef VISOR_ARCH_X86_STACK_H
#define VISOR_ARCH_X86_STACK_H

#include "arch/x86/segment.h"

/* Nothing of the CPU's state changes until the owner stores `sp`. */
struct x86_stack {
    uint64_t base, sp;
    uint64_t mask;  /* of the stack pointer: what pushes and pops change of it */
    uint32_t error; /* the code of its #SS */
    bool system;    /* accesses are made as supervisor although CPL may be 3 still */
    bool wide;      /* 64-bit: addresses must be canonical */
};

/* The current one. */
struct x86_stack x86_stack_current(const struct x86_state *s);
/* One of a stack segment that is about to be used. */
struct x86_stack x86_stack_of(const struct x86_descriptor *ss, uint64_t sp, bool system);

int x86_stack_push(struct x86_core *core, struct x86_stack *stack, unsigned size, uint64_t value);
int x86_stack_pop(struct x86_core *core, struct x86_stack *stack, unsigned size, uint64_t *value);

static inline void x86_stack_commit(struct x86_state *s, const struct x86_stack *stack)
{
    /* As a write to SP, ESP or RSP does. */
    const uint64_t kept = stack->mask == 0xffff ? s->gpr[X86_RSP] & 0xffff0000 : 0;
    s->gpr[X86_RSP] = kept | (stack->sp & stack->mask);
}

/* The stack that the TSS has for privilege `cpl`, checked: its segment in *ss, unless the CPU is in long
 * mode, where it is null. `external`: bit 0 of error codes. */
int x86_stack_inner(struct x86_core *core, unsigned cpl, unsigned external, struct x86_descriptor *ss,
                    uint16_t *selector, struct x86_stack *stack);
/* ... or of an entry of the interrupt stack table, 1 to 7. */
int x86_stack_ist(struct x86_core *core, unsigned entry, unsigned external, struct x86_stack *stack);

#endif
