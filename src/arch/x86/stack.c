/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stack: pushes and pops of the processor's own. */
#include "arch/x86/stack.h"

struct x86_stack x86_stack_current(const struct x86_state *s)
{
    const unsigned ss = s->segment[X86_SS].attributes;
    const bool wide = x86_long_mode(s) && s->segment[X86_CS].attributes & X86_SEGMENT_LONG;
    return (struct x86_stack){
        .base = wide ? 0 : s->segment_base[X86_SS],
        .sp = s->gpr[X86_RSP],
        .mask = wide                                       ? ~0ull
                : x86_protected(s) && ss & X86_SEGMENT_BIG ? 0xffffffff
                                                           : 0xffff,
        .wide = wide,
    };
}

struct x86_stack x86_stack_of(const struct x86_descriptor *ss, uint64_t sp, bool system)
{
    const bool big = x86_descriptor_attributes(ss) & X86_SEGMENT_BIG;
    return (struct x86_stack){
        .base = x86_descriptor_base(ss), .sp = sp, .mask = big ? 0xffffffff : 0xffff, .system = system};
}

/* Where `size` bytes at the stack pointer are. */
static int locate(struct x86_core *core, const struct x86_stack *stack, uint64_t *linear)
{
    *linear = stack->base + (stack->sp & stack->mask);
    if (!stack->wide)
        *linear = (uint32_t)*linear;
    else if (!x86_canonical(*linear))
        return x86_raise_error(core, X86_SS_FAULT, stack->error);
    return 0;
}

int x86_stack_push(struct x86_core *core, struct x86_stack *stack, unsigned size, uint64_t value)
{
    uint64_t linear;
    stack->sp = (stack->sp & ~stack->mask) | ((stack->sp - size) & stack->mask);
    if (locate(core, stack, &linear) < 0)
        return X86_RAISED;
    return core->linear->write(core, linear, &value, size, stack->system);
}

int x86_stack_pop(struct x86_core *core, struct x86_stack *stack, unsigned size, uint64_t *value)
{
    uint64_t linear;
    *value = 0;
    if (locate(core, stack, &linear) < 0)
        return X86_RAISED;
    stack->sp = (stack->sp & ~stack->mask) | ((stack->sp + size) & stack->mask);
    return core->linear->read(core, linear, value, size, stack->system);
}

/* -- stacks that the TSS names -------------------------------------------------------------------------- */

/* 7.2.1, 7.2.2, 7.7: where it has the stack of privilege 0, and how far apart they are. */
enum { TSS16_STACK = 2, TSS32_STACK = 4, TSS64_STACK = 4, TSS64_IST = 0x24 };

static int read_tss(struct x86_core *core, unsigned offset, unsigned size, unsigned external, void *value)
{
    const struct x86_state *s = core->state;
    if (offset + size - 1 > s->tr.limit)
        return x86_raise_error(core, X86_TS, (s->tr.selector & ~3u) | external);
    return core->linear->read(core, s->tr_base + offset, value, size, true);
}

static int read_wide(struct x86_core *core, unsigned offset, unsigned external, struct x86_stack *stack)
{
    uint64_t rsp;
    if (read_tss(core, offset, sizeof rsp, external, &rsp) < 0)
        return X86_RAISED;
    if (!x86_canonical(rsp))
        return x86_raise_error(core, X86_SS_FAULT, external);
    *stack = (struct x86_stack){.sp = rsp, .mask = ~0ull, .error = external, .system = true, .wide = true};
    return 0;
}

int x86_stack_ist(struct x86_core *core, unsigned entry, unsigned external, struct x86_stack *stack)
{
    return read_wide(core, TSS64_IST + 8 * (entry - 1), external, stack);
}

int x86_stack_inner(struct x86_core *core, unsigned cpl, unsigned external, struct x86_descriptor *ss,
                    uint16_t *selector, struct x86_stack *stack)
{
    const struct x86_state *s = core->state;
    if (x86_long_mode(s)) {
        *selector = (uint16_t)cpl;
        return read_wide(core, TSS64_STACK + 8 * cpl, external, stack);
    }
    uint64_t sp = 0;
    const bool wide = s->tr.attributes & 8; /* types 9 and 11 */
    const unsigned size = wide ? 4 : 2, offset = wide ? TSS32_STACK + 8 * cpl : TSS16_STACK + 4 * cpl;
    if (read_tss(core, offset, size, external, &sp) < 0 ||
        read_tss(core, offset + size, 2, external, selector) < 0)
        return X86_RAISED;
    if (x86_segment_check_stack(core, *selector, cpl, X86_TS, ss) < 0) {
        if (core->exception.has_error && core->exception.vector != X86_PF)
            core->exception.error |= external;
        return X86_RAISED;
    }
    *stack = x86_stack_of(ss, sp, cpl != 3);
    return 0;
}
