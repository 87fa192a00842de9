/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transfer: far jumps, calls and returns. */
#include "arch/x86/transfer.h"

#include "arch/x86/stack.h"
#include "arch/x86/task.h"
#include "base/macros.h"

static int raise_selector(struct x86_core *core, unsigned vector, uint16_t selector)
{
    return x86_raise_error(core, vector, selector & ~3u);
}

static uint64_t truncate(uint64_t value, unsigned size)
{
    return size >= 8 ? value : value & ((1ull << 8 * size) - 1);
}

/* Whether `offset` is one that code of the segment may be at. */
static bool offset_fits(const struct x86_state *s, const struct x86_descriptor *code, uint64_t offset)
{
    if (x86_long_mode(s) && x86_descriptor_attributes(code) & X86_SEGMENT_LONG)
        return x86_canonical(offset);
    return offset <= x86_descriptor_limit(code);
}

/* -- to a code segment: real-address and virtual-8086 mode --------------------------------------------- */

static int jump_real(struct x86_core *core, uint16_t selector, uint64_t offset)
{
    struct x86_state *s = core->state;
    if (offset > 0xffff)
        return x86_vm86(s) ? x86_raise_error(core, X86_GP, 0) : x86_raise_plain(core, X86_GP);
    if (x86_vm86(s))
        x86_segment_set_vm86(s, X86_CS, selector);
    else
        x86_segment_set_real(s, X86_CS, selector);
    s->rip = offset;
    return 0;
}

static int push_return(struct x86_core *core, struct x86_stack *stack, unsigned size)
{
    const struct x86_state *s = core->state;
    if (x86_stack_push(core, stack, size, s->segment[X86_CS].selector) < 0)
        return X86_RAISED;
    return x86_stack_push(core, stack, size, s->rip);
}

/* -- to a code segment: with descriptors --------------------------------------------------------------- */

static int read_target(struct x86_core *core, uint16_t selector, struct x86_descriptor *d)
{
    if (x86_selector_null(selector))
        return x86_raise_error(core, X86_GP, 0);
    return x86_descriptor_read(core, selector, false, X86_GP, d);
}

/* The rules for a jump or call to it at the privilege that there is. */
static int check_code(struct x86_core *core, uint16_t selector, unsigned rpl, const struct x86_descriptor *d)
{
    const struct x86_state *s = core->state;
    const unsigned attributes = x86_descriptor_attributes(d), dpl = x86_attributes_dpl(attributes);
    const unsigned cpl = x86_cpl(s);
    const bool conforming = attributes & X86_SEGMENT_CONFORMING;
    const unsigned both = X86_SEGMENT_LONG | X86_SEGMENT_BIG;

    if (!x86_is_code(attributes) || (conforming ? dpl > cpl : rpl > cpl || dpl != cpl) ||
        (x86_long_mode(s) && (attributes & both) == both))
        return raise_selector(core, X86_GP, selector);
    if (!(attributes & X86_SEGMENT_PRESENT))
        return raise_selector(core, X86_NP_FAULT, selector);
    return 0;
}

static int enter_code(struct x86_core *core, uint16_t selector, unsigned cpl, struct x86_descriptor *d,
                      uint64_t offset)
{
    if (x86_descriptor_mark(core, d, X86_SEGMENT_ACCESSED) < 0)
        return X86_RAISED;
    x86_segment_set(core->state, X86_CS, (uint16_t)((selector & ~3u) | cpl), d);
    core->state->rip = offset;
    return 0;
}

/* -- gates: 5.8.3 -------------------------------------------------------------------------------------- */

struct call_gate {
    uint16_t selector;
    uint64_t offset;
    unsigned size;       /* of what is pushed */
    unsigned parameters; /* to be copied, of that size */
    struct x86_descriptor code;
};

/* `d` is the system descriptor of `selector`: one that is a call gate, checked, with its code segment. */
static int open_gate(struct x86_core *core, uint16_t selector, struct x86_descriptor *d, bool call,
                     struct call_gate *gate)
{
    const struct x86_state *s = core->state;
    const bool wide = x86_long_mode(s);
    unsigned attributes = x86_descriptor_attributes(d);
    const unsigned cpl = x86_cpl(s), type = attributes & X86_SEGMENT_TYPE,
                   dpl = x86_attributes_dpl(attributes);

    if (dpl < cpl || (selector & 3u) > dpl)
        return raise_selector(core, X86_GP, selector);
    if (!(attributes & X86_SEGMENT_PRESENT))
        return raise_selector(core, X86_NP_FAULT, selector);
    if (wide && x86_descriptor_read(core, selector, true, X86_GP, d) < 0)
        return X86_RAISED;
    if (!x86_descriptor_wide_valid(d))
        return raise_selector(core, X86_GP, selector);
    gate->selector = (uint16_t)(d->low >> 16);
    gate->offset = (d->low & 0xffff) | (d->low >> 32 & 0xffff0000) | d->high << 32;
    gate->parameters = wide ? 0 : d->low >> 32 & 31;
    gate->size = wide ? 8 : type == X86_TYPE_CALL_GATE ? 4 : 2;
    gate->offset = truncate(gate->offset, gate->size);
    if (read_target(core, gate->selector, &gate->code) < 0)
        return X86_RAISED;
    attributes = x86_descriptor_attributes(&gate->code);
    const unsigned code_dpl = x86_attributes_dpl(attributes);
    const bool same = call || attributes & X86_SEGMENT_CONFORMING ? code_dpl > cpl : code_dpl != cpl;
    if (!x86_is_code(attributes) || same ||
        (wide && (attributes & (X86_SEGMENT_LONG | X86_SEGMENT_BIG)) != X86_SEGMENT_LONG))
        return raise_selector(core, X86_GP, gate->selector);
    if (!(attributes & X86_SEGMENT_PRESENT))
        return raise_selector(core, X86_NP_FAULT, gate->selector);
    if (!offset_fits(s, &gate->code, gate->offset))
        return x86_raise_error(core, X86_GP, 0);
    return 0;
}

/* A call to an inner privilege. */
static int call_inner(struct x86_core *core, struct call_gate *gate, unsigned cpl)
{
    struct x86_state *s = core->state;
    const bool wide = x86_long_mode(s);
    struct x86_stack old = x86_stack_current(s), stack;
    struct x86_descriptor ss;
    uint16_t selector;
    uint64_t parameters[31];

    if (x86_stack_inner(core, cpl, 0, &ss, &selector, &stack) < 0)
        return X86_RAISED;
    for (unsigned i = 0; i < gate->parameters; i++)
        if (x86_stack_pop(core, &old, gate->size, &parameters[i]) < 0)
            return X86_RAISED;
    if (x86_stack_push(core, &stack, gate->size, s->segment[X86_SS].selector) < 0 ||
        x86_stack_push(core, &stack, gate->size, s->gpr[X86_RSP]) < 0)
        return X86_RAISED;
    for (unsigned i = gate->parameters; i-- > 0;)
        if (x86_stack_push(core, &stack, gate->size, parameters[i]) < 0)
            return X86_RAISED;
    if (push_return(core, &stack, gate->size) < 0 ||
        enter_code(core, gate->selector, cpl, &gate->code, gate->offset) < 0)
        return X86_RAISED;
    if (wide)
        x86_segment_set_null(s, X86_SS, selector);
    else
        x86_segment_set(s, X86_SS, selector, &ss);
    s->gpr[X86_RSP] = wide ? stack.sp : (uint32_t)stack.sp;
    return 0;
}

static int call_by_gate(struct x86_core *core, struct call_gate *gate)
{
    struct x86_state *s = core->state;
    const unsigned attributes = x86_descriptor_attributes(&gate->code), cpl = x86_cpl(s);
    const unsigned dpl = x86_attributes_dpl(attributes);

    if (!(attributes & X86_SEGMENT_CONFORMING) && dpl < cpl)
        return call_inner(core, gate, dpl);
    struct x86_stack stack = x86_stack_current(s);
    if (push_return(core, &stack, gate->size) < 0 ||
        enter_code(core, gate->selector, cpl, &gate->code, gate->offset) < 0)
        return X86_RAISED;
    x86_stack_commit(s, &stack);
    return 0;
}

/* A jump or call to a system descriptor. */
static int transfer_system(struct x86_core *core, uint16_t selector, struct x86_descriptor *d, bool call)
{
    const struct x86_state *s = core->state;
    const unsigned attributes = x86_descriptor_attributes(d), type = attributes & X86_SEGMENT_TYPE;
    const unsigned dpl = x86_attributes_dpl(attributes);
    const enum x86_task_reason reason = call ? X86_TASK_CALL : X86_TASK_JMP;
    const bool reachable = dpl >= x86_cpl(s) && dpl >= (selector & 3u);
    struct call_gate gate;

    if (type == X86_TYPE_CALL_GATE || (type == X86_TYPE_CALL_GATE16 && !x86_long_mode(s))) {
        if (open_gate(core, selector, d, call, &gate) < 0)
            return X86_RAISED;
        return call ? call_by_gate(core, &gate)
                    : enter_code(core, gate.selector, x86_cpl(s), &gate.code, gate.offset);
    }
    if (x86_long_mode(s) || !reachable)
        return raise_selector(core, X86_GP, selector);
    if (type == X86_TYPE_TASK_GATE) {
        if (!(attributes & X86_SEGMENT_PRESENT))
            return raise_selector(core, X86_NP_FAULT, selector);
        return x86_task_switch(core, (uint16_t)(d->low >> 16), reason, 0);
    }
    if (type == X86_TYPE_TSS || type == X86_TYPE_TSS16)
        return x86_task_switch(core, selector, reason, 0);
    return raise_selector(core, X86_GP, selector);
}

static bool is_system(const struct x86_descriptor *d)
{
    return !(x86_descriptor_attributes(d) & X86_SEGMENT_NOT_SYSTEM);
}

int x86_far_jump(struct x86_core *core, uint16_t selector, uint64_t offset, unsigned size)
{
    struct x86_descriptor d;
    offset = truncate(offset, size);
    if (!x86_has_descriptors(core->state))
        return jump_real(core, selector, offset);
    if (read_target(core, selector, &d) < 0)
        return X86_RAISED;
    if (is_system(&d))
        return transfer_system(core, selector, &d, false);
    if (check_code(core, selector, selector & 3u, &d) < 0)
        return X86_RAISED;
    if (!offset_fits(core->state, &d, offset))
        return x86_raise_error(core, X86_GP, 0);
    return enter_code(core, selector, x86_cpl(core->state), &d, offset);
}

int x86_far_call(struct x86_core *core, uint16_t selector, uint64_t offset, unsigned size)
{
    struct x86_state *s = core->state;
    struct x86_stack stack = x86_stack_current(s);
    struct x86_descriptor d;

    offset = truncate(offset, size);
    if (x86_has_descriptors(s)) {
        if (read_target(core, selector, &d) < 0)
            return X86_RAISED;
        if (is_system(&d))
            return transfer_system(core, selector, &d, true);
        if (check_code(core, selector, selector & 3u, &d) < 0)
            return X86_RAISED;
        if (!offset_fits(s, &d, offset))
            return x86_raise_error(core, X86_GP, 0);
    }
    if (push_return(core, &stack, size) < 0 ||
        (x86_has_descriptors(s) ? enter_code(core, selector, x86_cpl(s), &d, offset)
                                : jump_real(core, selector, offset)) < 0)
        return X86_RAISED;
    x86_stack_commit(s, &stack);
    return 0;
}

/* -- returns: 5.8.6 ------------------------------------------------------------------------------------ */

/* Where a RETF or IRET goes: all of it is checked before anything changes. */
struct target {
    uint16_t selector, stack_selector;
    uint64_t rip, rsp;
    unsigned cpl;
    struct x86_descriptor code, ss;
    bool null_stack;
};

static int check_return_code(struct x86_core *core, struct target *t)
{
    const struct x86_state *s = core->state;
    const unsigned both = X86_SEGMENT_LONG | X86_SEGMENT_BIG;

    t->cpl = t->selector & 3u;
    if (read_target(core, t->selector, &t->code) < 0)
        return X86_RAISED;
    const unsigned attributes = x86_descriptor_attributes(&t->code), dpl = x86_attributes_dpl(attributes);
    const bool conforming = attributes & X86_SEGMENT_CONFORMING;
    if (!x86_is_code(attributes) || t->cpl < x86_cpl(s) || (conforming ? dpl > t->cpl : dpl != t->cpl) ||
        (x86_long_mode(s) && (attributes & both) == both))
        return raise_selector(core, X86_GP, t->selector);
    if (!(attributes & X86_SEGMENT_PRESENT))
        return raise_selector(core, X86_NP_FAULT, t->selector);
    if (!offset_fits(s, &t->code, t->rip))
        return x86_raise_error(core, X86_GP, 0);
    return 0;
}

static int check_return_stack(struct x86_core *core, struct target *t)
{
    const bool to64 = x86_long_mode(core->state) && x86_descriptor_attributes(&t->code) & X86_SEGMENT_LONG;
    t->null_stack = to64 && t->cpl != 3 && t->stack_selector == t->cpl;
    if (t->null_stack)
        return 0;
    return x86_segment_check_stack(core, t->stack_selector, t->cpl, X86_GP, &t->ss);
}

/* Goes there, with the stack that was popped; the data segments are looked at by the new privilege. */
static int go_outer(struct x86_core *core, struct target *t, unsigned released)
{
    struct x86_state *s = core->state;
    const bool outer = t->cpl != x86_cpl(s);
    if (enter_code(core, t->selector, t->cpl, &t->code, t->rip) < 0)
        return X86_RAISED;
    if (t->null_stack)
        x86_segment_set_null(s, X86_SS, t->stack_selector);
    else
        x86_segment_set(s, X86_SS, t->stack_selector, &t->ss);
    struct x86_stack stack = x86_stack_current(s);
    stack.sp = t->rsp + released;
    x86_stack_commit(s, &stack);
    if (outer)
        x86_segments_leave_inner(s);
    return 0;
}

int x86_far_return(struct x86_core *core, unsigned size, unsigned released)
{
    struct x86_state *s = core->state;
    struct x86_stack stack = x86_stack_current(s);
    struct target t = {0};
    uint64_t selector, stack_selector;

    if (x86_stack_pop(core, &stack, size, &t.rip) < 0 || x86_stack_pop(core, &stack, size, &selector) < 0)
        return X86_RAISED;
    t.selector = (uint16_t)selector;
    stack.sp += released;
    if (!x86_has_descriptors(s)) {
        if (jump_real(core, t.selector, t.rip) < 0)
            return X86_RAISED;
        x86_stack_commit(s, &stack);
        return 0;
    }
    if (check_return_code(core, &t) < 0)
        return X86_RAISED;
    if (t.cpl == x86_cpl(s)) {
        if (enter_code(core, t.selector, t.cpl, &t.code, t.rip) < 0)
            return X86_RAISED;
        x86_stack_commit(s, &stack);
        return 0;
    }
    if (x86_stack_pop(core, &stack, size, &t.rsp) < 0 ||
        x86_stack_pop(core, &stack, size, &stack_selector) < 0)
        return X86_RAISED;
    t.stack_selector = (uint16_t)stack_selector;
    if (check_return_stack(core, &t) < 0)
        return X86_RAISED;
    return go_outer(core, &t, released);
}

/* -- IRET ---------------------------------------------------------------------------------------------- */

static void set_flags(struct x86_state *s, uint64_t value, uint64_t mask, unsigned size)
{
    if (size == 2)
        mask &= 0xffff;
    x86_eflags_set(s, (x86_eflags_get(s) & ~mask) | (value & mask));
}

/* What IRET may change at privilege `cpl`. */
static uint64_t flags_mask(const struct x86_state *s, unsigned cpl)
{
    const unsigned iopl = (unsigned)(s->eflags_system & X86_EFLAGS_IOPL) >> 12;
    uint64_t mask = X86_EFLAGS_USER | X86_EFLAGS_RF;
    if (cpl <= iopl)
        mask |= X86_EFLAGS_IF;
    if (cpl == 0)
        mask |= X86_EFLAGS_IOPL | X86_EFLAGS_VIF | X86_EFLAGS_VIP;
    return mask;
}

static int iret_real(struct x86_core *core, unsigned size)
{
    struct x86_state *s = core->state;
    struct x86_stack stack = x86_stack_current(s);
    const bool vm86 = x86_vm86(s);
    uint64_t rip, selector, eflags;
    uint64_t mask = X86_EFLAGS_USER | X86_EFLAGS_RF | X86_EFLAGS_IF | (vm86 ? 0 : X86_EFLAGS_IOPL);

    if (vm86 && (s->eflags_system & X86_EFLAGS_IOPL) != X86_EFLAGS_IOPL)
        return x86_raise_error(core, X86_GP, 0);
    if (x86_stack_pop(core, &stack, size, &rip) < 0 || x86_stack_pop(core, &stack, size, &selector) < 0 ||
        x86_stack_pop(core, &stack, size, &eflags) < 0 || jump_real(core, (uint16_t)selector, rip) < 0)
        return X86_RAISED;
    x86_stack_commit(s, &stack);
    set_flags(s, eflags, mask, size);
    return 0;
}

/* 20.2.4: rip, CS, EFLAGS have been popped. */
static int iret_to_vm86(struct x86_core *core, struct x86_stack *stack, uint64_t rip, uint64_t selector,
                        uint64_t eflags)
{
    static const uint8_t order[] = {X86_ES, X86_DS, X86_FS, X86_GS};
    struct x86_state *s = core->state;
    uint64_t rsp, ss, data[ARRAY_SIZE(order)];

    if (rip > 0xffff)
        return x86_raise_error(core, X86_GP, 0);
    if (x86_stack_pop(core, stack, 4, &rsp) < 0 || x86_stack_pop(core, stack, 4, &ss) < 0)
        return X86_RAISED;
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        if (x86_stack_pop(core, stack, 4, &data[i]) < 0)
            return X86_RAISED;
    x86_eflags_set(s, eflags & X86_EFLAGS_ALL);
    x86_segment_set_vm86(s, X86_CS, (uint16_t)selector);
    x86_segment_set_vm86(s, X86_SS, (uint16_t)ss);
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        x86_segment_set_vm86(s, order[i], (uint16_t)data[i]);
    s->rip = rip;
    s->gpr[X86_RSP] = rsp;
    return 0;
}

static int return_from_task(struct x86_core *core)
{
    const struct x86_state *s = core->state;
    uint16_t link;
    if (x86_long_mode(s))
        return x86_raise_error(core, X86_GP, 0);
    if (core->linear->read(core, s->tr_base, &link, sizeof link, true) < 0)
        return X86_RAISED;
    return x86_task_switch(core, link, X86_TASK_IRET, 0);
}

int x86_iret(struct x86_core *core, unsigned size)
{
    struct x86_state *s = core->state;
    struct x86_stack stack = x86_stack_current(s);
    struct target t = {0};
    uint64_t selector, eflags, stack_selector;
    const unsigned cpl = x86_cpl(s);

    if (!x86_has_descriptors(s))
        return iret_real(core, size);
    if (s->eflags_system & X86_EFLAGS_NT)
        return return_from_task(core);
    if (x86_stack_pop(core, &stack, size, &t.rip) < 0 || x86_stack_pop(core, &stack, size, &selector) < 0 ||
        x86_stack_pop(core, &stack, size, &eflags) < 0)
        return X86_RAISED;
    if (size == 4 && eflags & X86_EFLAGS_VM && cpl == 0 && !x86_long_mode(s))
        return iret_to_vm86(core, &stack, t.rip, selector, eflags);
    t.selector = (uint16_t)selector;
    if (check_return_code(core, &t) < 0)
        return X86_RAISED;
    const uint64_t mask = flags_mask(s, cpl);
    if (t.cpl == cpl && !stack.wide) {
        if (enter_code(core, t.selector, t.cpl, &t.code, t.rip) < 0)
            return X86_RAISED;
        x86_stack_commit(s, &stack);
    } else {
        if (x86_stack_pop(core, &stack, size, &t.rsp) < 0 ||
            x86_stack_pop(core, &stack, size, &stack_selector) < 0)
            return X86_RAISED;
        t.stack_selector = (uint16_t)stack_selector;
        if (check_return_stack(core, &t) < 0 || go_outer(core, &t, 0) < 0)
            return X86_RAISED;
    }
    set_flags(s, eflags, mask, size);
    return 0;
}

/* -- fast system calls --------------------------------------------------------------------------------- */

/* A flat segment as these instructions make it, whatever the tables say. */
static void set_flat(struct x86_state *s, enum x86_segment segment, uint16_t selector, unsigned dpl,
                     unsigned kind)
{
    s->segment[segment] = (struct x86_segment_register){
        selector,
        (uint16_t)(X86_SEGMENT_PRESENT | X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_GRANULAR |
                   X86_SEGMENT_ACCESSED | X86_SEGMENT_WRITABLE | dpl << X86_SEGMENT_DPL_SHIFT | kind),
        0xffffffff};
    s->segment_base[segment] = 0;
}

enum {
    KIND_DATA = X86_SEGMENT_BIG,
    KIND_CODE32 = X86_SEGMENT_CODE | X86_SEGMENT_BIG,
    KIND_CODE64 = X86_SEGMENT_CODE | X86_SEGMENT_LONG
};

int x86_syscall(struct x86_core *core)
{
    struct x86_state *s = core->state;
    const bool from64 = s->segment[X86_CS].attributes & X86_SEGMENT_LONG;
    const uint16_t selector = s->star >> 32 & 0xfffc;

    if (!(s->efer & X86_EFER_SCE) || !x86_protected(s))
        return x86_raise_plain(core, X86_UD);
    s->gpr[X86_RCX] = x86_long_mode(s) ? s->rip : (uint32_t)s->rip;
    if (x86_long_mode(s)) {
        const uint64_t eflags = x86_eflags_get(s) & ~(uint64_t)X86_EFLAGS_RF;
        s->gpr[11] = eflags;
        x86_eflags_set(s, eflags & ~s->sfmask);
        s->rip = from64 ? s->lstar : s->cstar;
        set_flat(s, X86_CS, selector, 0, KIND_CODE64);
    } else {
        s->eflags_system &= ~(uint64_t)(X86_EFLAGS_VM | X86_EFLAGS_IF | X86_EFLAGS_RF);
        s->rip = (uint32_t)s->star;
        set_flat(s, X86_CS, selector, 0, KIND_CODE32);
    }
    set_flat(s, X86_SS, (uint16_t)((s->star >> 32) + 8), 0, KIND_DATA);
    return 0;
}

int x86_sysret(struct x86_core *core, bool wide)
{
    struct x86_state *s = core->state;
    const uint16_t base = (uint16_t)(s->star >> 48 | 3);

    if (!(s->efer & X86_EFER_SCE) || !x86_protected(s))
        return x86_raise_plain(core, X86_UD);
    if (x86_cpl(s) != 0 || (wide && !x86_canonical(s->gpr[X86_RCX])))
        return x86_raise_error(core, X86_GP, 0);
    if (x86_long_mode(s)) {
        const uint64_t kept = X86_EFLAGS_RF | X86_EFLAGS_VM;
        x86_eflags_set(s, s->gpr[11] & 0x3c7fd7 & ~kept);
    } else {
        s->eflags_system |= X86_EFLAGS_IF;
    }
    s->rip = wide ? s->gpr[X86_RCX] : (uint32_t)s->gpr[X86_RCX];
    set_flat(s, X86_CS, (uint16_t)(base + (wide ? 16 : 0)), 3, wide ? KIND_CODE64 : KIND_CODE32);
    set_flat(s, X86_SS, (uint16_t)(base + 8), 3, KIND_DATA);
    return 0;
}

int x86_sysenter(struct x86_core *core)
{
    struct x86_state *s = core->state;
    const uint16_t selector = s->sysenter_cs & 0xfffc;

    if (!x86_protected(s) || !selector)
        return x86_raise_error(core, X86_GP, 0);
    s->eflags_system &= ~(uint64_t)(X86_EFLAGS_VM | X86_EFLAGS_IF | X86_EFLAGS_RF);
    s->rip = x86_long_mode(s) ? s->sysenter_eip : (uint32_t)s->sysenter_eip;
    s->gpr[X86_RSP] = x86_long_mode(s) ? s->sysenter_esp : (uint32_t)s->sysenter_esp;
    set_flat(s, X86_CS, selector, 0, x86_long_mode(s) ? KIND_CODE64 : KIND_CODE32);
    set_flat(s, X86_SS, (uint16_t)(selector + 8), 0, KIND_DATA);
    return 0;
}

int x86_sysexit(struct x86_core *core, bool wide)
{
    struct x86_state *s = core->state;
    const uint16_t base = s->sysenter_cs & 0xfffc;
    const uint64_t rip = s->gpr[X86_RDX], rsp = s->gpr[X86_RCX];

    if (!x86_protected(s) || !base || x86_cpl(s) != 0 ||
        (wide && (!x86_canonical(rip) || !x86_canonical(rsp))))
        return x86_raise_error(core, X86_GP, 0);
    s->rip = wide ? rip : (uint32_t)rip;
    s->gpr[X86_RSP] = wide ? rsp : (uint32_t)rsp;
    const uint16_t selector = (uint16_t)((base + (wide ? 32 : 16)) | 3);
    set_flat(s, X86_CS, selector, 3, wide ? KIND_CODE64 : KIND_CODE32);
    set_flat(s, X86_SS, (uint16_t)(selector + 8), 3, KIND_DATA);
    return 0;
}
