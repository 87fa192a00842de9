/* SPDX-License-Identifier: GPL-2.0-or-later */
/* task: task switches. */
#include "arch/x86/task.h"

#include <string.h>

#include "arch/x86/stack.h"
#include "base/macros.h"

enum { TYPE_BUSY = 2, TYPE_WIDE = 8, TSS16_LEAST = 0x2b, TSS_LEAST = 0x67 };

/* Figure 7-2 */
struct tss32 {
    uint16_t link, reserved0;
    uint32_t stacks[6];
    uint32_t cr3, eip, eflags;
    uint32_t gpr[8];
    uint32_t segments[6]; /* in the order of enum x86_segment; upper halves reserved */
    uint16_t ldt, reserved1;
    uint16_t trap, io_map;
};
_Static_assert(sizeof(struct tss32) == TSS_LEAST + 1, "as the processor has it");

/* Figure 7-10 */
struct tss16 {
    uint16_t link;
    uint16_t stacks[6];
    uint16_t ip, flags;
    uint16_t gpr[8];
    uint16_t segments[4];
    uint16_t ldt;
};
_Static_assert(sizeof(struct tss16) == TSS16_LEAST + 1, "as the processor has it");

/* A task as either form of TSS has it. */
struct task {
    bool wide;
    uint16_t link, ldt, trap;
    uint32_t cr3, eip, eflags;
    uint32_t gpr[8];
    uint16_t segments[X86_SEGMENT_COUNT];
};

static bool is_wide(unsigned attributes)
{
    return attributes & TYPE_WIDE;
}

/* -- memory -------------------------------------------------------------------------------------------- */

static int read_task(struct x86_core *core, uint64_t base, bool wide, struct task *task)
{
    struct tss32 t;
    struct tss16 n;
    memset(task, 0, sizeof *task);
    task->wide = wide;
    if (core->linear->read(core, base, wide ? (void *)&t : (void *)&n, wide ? sizeof t : sizeof n, true) < 0)
        return X86_RAISED;
    if (!wide) {
        task->link = n.link, task->ldt = n.ldt, task->eip = n.ip, task->eflags = n.flags;
        for (unsigned i = 0; i < 8; i++)
            task->gpr[i] = n.gpr[i] | 0xffff0000;
        memcpy(task->segments, n.segments, sizeof n.segments);
        return 0;
    }
    task->link = t.link, task->ldt = t.ldt, task->trap = t.trap;
    task->cr3 = t.cr3, task->eip = t.eip, task->eflags = t.eflags;
    memcpy(task->gpr, t.gpr, sizeof t.gpr);
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        task->segments[i] = (uint16_t)t.segments[i];
    return 0;
}

/* Only what a switch stores: from EIP to the segments. */
static int write_task(struct x86_core *core, uint64_t eflags)
{
    const struct x86_state *s = core->state;
    if (!is_wide(s->tr.attributes)) {
        struct tss16 n = {.ip = (uint16_t)s->rip, .flags = (uint16_t)eflags};
        for (unsigned i = 0; i < 8; i++)
            n.gpr[i] = (uint16_t)s->gpr[i];
        for (unsigned i = 0; i < 4; i++)
            n.segments[i] = s->segment[i].selector;
        return core->linear->write(core, s->tr_base + offsetof(struct tss16, ip), &n.ip,
                                   offsetof(struct tss16, ldt) - offsetof(struct tss16, ip), true);
    }
    struct tss32 t = {.eip = (uint32_t)s->rip, .eflags = (uint32_t)eflags};
    for (unsigned i = 0; i < 8; i++)
        t.gpr[i] = (uint32_t)s->gpr[i];
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        t.segments[i] = s->segment[i].selector;
    return core->linear->write(core, s->tr_base + offsetof(struct tss32, eip), &t.eip,
                               offsetof(struct tss32, ldt) - offsetof(struct tss32, eip), true);
}

/* Clears the busy bit of the task that ends. */
static int leave_task(struct x86_core *core)
{
    struct x86_descriptor d;
    if (x86_descriptor_read(core, core->state->tr.selector, false, X86_TS, &d) < 0)
        return X86_RAISED;
    const uint8_t type = (uint8_t)((d.low >> 40) & ~(unsigned)TYPE_BUSY);
    return core->linear->write(core, d.address + 5, &type, 1, true);
}

/* -- the new task ---------------------------------------------------------------------------------------- */

/* Its descriptor, checked: 7.3, steps 1 to 4. */
static int find_task(struct x86_core *core, uint16_t selector, enum x86_task_reason reason, unsigned external,
                     struct x86_descriptor *d)
{
    const bool back = reason == X86_TASK_IRET;
    const unsigned vector = back ? X86_TS : X86_GP;
    const uint32_t error = (selector & ~3u) | external;

    if (x86_selector_null(selector) || selector & 4)
        return x86_raise_error(core, vector, error);
    if (x86_descriptor_read(core, selector, false, vector, d) < 0) {
        if (core->exception.vector == vector)
            core->exception.error |= external;
        return X86_RAISED;
    }
    const unsigned attributes = x86_descriptor_attributes(d);
    const unsigned type = attributes & (X86_SEGMENT_TYPE | X86_SEGMENT_NOT_SYSTEM);
    const bool busy = type & TYPE_BUSY;
    if ((type | TYPE_WIDE | TYPE_BUSY) != X86_TYPE_TSS_BUSY || busy != back)
        return x86_raise_error(core, vector, error);
    if (!(attributes & X86_SEGMENT_PRESENT))
        return x86_raise_error(core, X86_NP_FAULT, error);
    if (x86_descriptor_limit(d) < (is_wide(type) ? (unsigned)TSS_LEAST : (unsigned)TSS16_LEAST))
        return x86_raise_error(core, X86_TS, error);
    return 0;
}

static int load_code(struct x86_core *core, uint16_t selector, unsigned *cpl)
{
    struct x86_descriptor d;
    const uint32_t error = selector & ~3u;
    *cpl = selector & 3u;
    if (x86_selector_null(selector))
        return x86_raise_error(core, X86_TS, error);
    if (x86_descriptor_read(core, selector, false, X86_TS, &d) < 0)
        return X86_RAISED;
    const unsigned attributes = x86_descriptor_attributes(&d), dpl = x86_attributes_dpl(attributes);
    const bool conforming = attributes & X86_SEGMENT_CONFORMING;
    if (!x86_is_code(attributes) || (conforming ? dpl > *cpl : dpl != *cpl))
        return x86_raise_error(core, X86_TS, error);
    if (!(attributes & X86_SEGMENT_PRESENT))
        return x86_raise_error(core, X86_NP_FAULT, error);
    if (x86_descriptor_mark(core, &d, X86_SEGMENT_ACCESSED) < 0)
        return X86_RAISED;
    x86_segment_set(core->state, X86_CS, selector, &d);
    return 0;
}

/* What a segment register refuses is an invalid TSS here. */
static int as_invalid_tss(struct x86_core *core)
{
    if (core->exception.vector == X86_GP)
        core->exception.vector = X86_TS;
    return X86_RAISED;
}

/* What is raised now belongs to the new task. */
static int raise_in_task(struct x86_core *core, unsigned external)
{
    core->exception.in_new_task = true;
    if (core->exception.has_error && core->exception.vector != X86_PF)
        core->exception.error |= external;
    return X86_RAISED;
}

/* The LDT, which also tasks in virtual-8086 mode have: interrupts of them may end up in it. */
static int load_ldt(struct x86_core *core, uint16_t selector)
{
    core->state->ldtr = (struct x86_segment_register){.selector = selector};
    core->state->ldtr_base = 0;
    if (x86_load_ldtr(core, selector) == 0)
        return 0;
    if (core->exception.vector == X86_NP_FAULT)
        core->exception.vector = X86_TS;
    return as_invalid_tss(core);
}

static int load_segments(struct x86_core *core, const struct task *task)
{
    static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};
    struct x86_state *s = core->state;
    struct x86_descriptor ss;
    unsigned cpl;

    if (task->eflags & X86_EFLAGS_VM) {
        if (load_ldt(core, task->ldt) < 0)
            return X86_RAISED;
        for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
            x86_segment_set_vm86(s, i, task->segments[i]);
        return 0;
    }
    /* Until they are checked they name nothing. */
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        s->segment[i] = (struct x86_segment_register){.selector = task->segments[i]};
        s->segment_base[i] = 0;
    }
    /* Whatever is raised on the way is raised at the privilege of the new code. */
    s->segment[X86_SS].attributes = (task->segments[X86_CS] & 3u) << X86_SEGMENT_DPL_SHIFT;
    if (load_ldt(core, task->ldt) < 0)
        return X86_RAISED;
    if (load_code(core, task->segments[X86_CS], &cpl) < 0 ||
        x86_segment_check_stack(core, task->segments[X86_SS], cpl, X86_TS, &ss) < 0)
        return X86_RAISED;
    x86_segment_set(s, X86_SS, task->segments[X86_SS], &ss);
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        if (x86_segment_load(core, data[i], task->segments[data[i]]) < 0)
            return as_invalid_tss(core);
    return 0;
}

/* The registers but the segments. */
static void load_registers(struct x86_state *s, const struct task *task, const struct x86_descriptor *d,
                           uint16_t selector, bool nested)
{
    s->tr = (struct x86_segment_register){selector, (uint16_t)(x86_descriptor_attributes(d) | TYPE_BUSY),
                                          x86_descriptor_limit(d)};
    s->tr_base = x86_descriptor_base(d);
    s->cr0 |= X86_CR0_TS;
    if (task->wide && s->cr0 & X86_CR0_PG)
        s->cr3 = task->cr3; /* the owner looks for a changed CR3 after every call that may switch tasks */
    s->rip = task->eip;
    x86_eflags_set(s, (task->eflags & X86_EFLAGS_ALL) | (nested ? X86_EFLAGS_NT : 0u));
    for (unsigned i = 0; i < 8; i++)
        s->gpr[i] = task->gpr[i];
    s->dr[7] &= ~(uint64_t)0x155; /* local breakpoints */
}

/* A trap that the new task asks for before its first instruction. */
static int trap_in_task(struct x86_core *core, const struct task *task)
{
    if (!(task->trap & 1))
        return 0;
    core->state->dr[6] |= 1 << 15; /* BT */
    x86_raise_plain(core, X86_DB);
    return raise_in_task(core, 0);
}

static int switch_task(struct x86_core *core, uint16_t selector, enum x86_task_reason reason,
                       unsigned external, uint64_t eflags, struct task *task)
{
    struct x86_state *s = core->state;
    const bool nested = reason == X86_TASK_CALL || reason == X86_TASK_INTERRUPT;
    const uint16_t old = s->tr.selector;
    struct x86_descriptor d;

    if (find_task(core, selector, reason, external, &d) < 0 ||
        read_task(core, x86_descriptor_base(&d), is_wide(x86_descriptor_attributes(&d)), task) < 0)
        return X86_RAISED;
    if (write_task(core, eflags) < 0 || (!nested && leave_task(core) < 0) ||
        (nested && core->linear->write(core, x86_descriptor_base(&d), &old, sizeof old, true) < 0) ||
        (reason != X86_TASK_IRET && x86_descriptor_mark(core, &d, TYPE_BUSY) < 0))
        return X86_RAISED;
    load_registers(s, task, &d, selector, nested);
    return load_segments(core, task) < 0 ? raise_in_task(core, external) : 0;
}

int x86_task_switch(struct x86_core *core, uint16_t selector, enum x86_task_reason reason, unsigned external)
{
    uint64_t eflags = x86_eflags_get(core->state);
    struct task task;
    if (reason == X86_TASK_IRET)
        eflags &= ~(uint64_t)X86_EFLAGS_NT;
    if (switch_task(core, selector, reason, external, eflags, &task) < 0)
        return X86_RAISED;
    return trap_in_task(core, &task);
}

int x86_task_interrupt(struct x86_core *core, uint16_t selector, unsigned external, uint64_t eflags,
                       const uint32_t *error)
{
    struct x86_state *s = core->state;
    struct task task;
    if (switch_task(core, selector, X86_TASK_INTERRUPT, external, eflags, &task) < 0)
        return X86_RAISED;
    if (error) {
        struct x86_stack stack = x86_stack_current(s);
        if (x86_stack_push(core, &stack, is_wide(s->tr.attributes) ? 4 : 2, *error) < 0)
            return raise_in_task(core, external);
        x86_stack_commit(s, &stack);
    }
    return trap_in_task(core, &task);
}
