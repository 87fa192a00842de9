/* SPDX-License-Identifier: GPL-2.0-or-later */
/* interrupt: delivery of interrupts and exceptions. */
#include "arch/x86/interrupt.h"

#include "arch/x86/stack.h"
#include "arch/x86/task.h"
#include "base/macros.h"

enum { ERROR_EXTERNAL = 1 << 0, ERROR_IDT = 1 << 1 };

/* A gate being entered. */
struct entry {
    struct x86_core *core;
    const struct x86_event *event;
    unsigned external; /* ERROR_EXTERNAL or 0 */
    unsigned type, dpl, ist;
    uint16_t selector;
    uint64_t offset;
    unsigned size; /* of what is pushed */
    struct x86_descriptor code;
    unsigned cpl; /* the new one */
};

/* -- what is pushed ------------------------------------------------------------------------------------ */

/* Faults set RF so that their instruction is not stopped by a breakpoint once more; 17.3.1.1. */
static bool is_fault(const struct x86_event *e)
{
    return e->kind == X86_EVENT_EXCEPTION && e->vector != X86_DB && e->vector != X86_BP &&
           e->vector != X86_OF && e->vector != X86_DF && e->vector != X86_MC;
}

static uint64_t pushed_flags(const struct x86_state *s, const struct x86_event *event)
{
    /* An instruction ends RF; INT n is one. */
    const bool instruction = event->kind == X86_EVENT_SOFTWARE || event->kind == X86_EVENT_INT1;
    const uint64_t eflags = x86_eflags_get(s);
    return is_fault(event) ? eflags | X86_EFLAGS_RF
           : instruction   ? eflags & ~(uint64_t)X86_EFLAGS_RF
                           : eflags;
}

static int push_all(struct x86_core *core, struct x86_stack *stack, unsigned size, const uint64_t *values,
                    unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (x86_stack_push(core, stack, size, values[i]) < 0)
            return X86_RAISED;
    return 0;
}

/* -- real-address mode: 20.1.4 ------------------------------------------------------------------------- */

static int deliver_real(struct x86_core *core, const struct x86_event *event)
{
    struct x86_state *s = core->state;
    struct x86_stack stack = x86_stack_current(s);
    const uint64_t frame[] = {x86_eflags_get(s), s->segment[X86_CS].selector, s->rip};
    uint16_t vector[2];

    if (event->vector * 4u + 3 > s->idtr.limit)
        return x86_raise_plain(core, X86_GP);
    if (core->linear->read(core, s->idtr.base + event->vector * 4u, vector, sizeof vector, true) < 0 ||
        push_all(core, &stack, 2, frame, ARRAY_SIZE(frame)) < 0)
        return X86_RAISED;
    x86_stack_commit(s, &stack);
    s->eflags_system &= ~(uint64_t)(X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_RF | X86_EFLAGS_AC);
    x86_segment_set_real(s, X86_CS, vector[1]);
    s->rip = vector[0];
    return 0;
}

/* -- gates --------------------------------------------------------------------------------------------- */

static int raise_gate(const struct entry *e, unsigned vector)
{
    return x86_raise_error(e->core, vector, e->event->vector * 8u | ERROR_IDT | e->external);
}

static int raise_selector(const struct entry *e, unsigned vector)
{
    return x86_raise_error(e->core, vector, (e->selector & ~3u) | e->external);
}

static bool gate_type_is_valid(const struct x86_state *s, unsigned type)
{
    switch (type) {
    case X86_TYPE_INTERRUPT_GATE:
    case X86_TYPE_TRAP_GATE: return true;
    case X86_TYPE_TASK_GATE:
    case X86_TYPE_INTERRUPT_GATE16:
    case X86_TYPE_TRAP_GATE16: return !x86_long_mode(s);
    default: return false;
    }
}

static int read_gate(struct entry *e)
{
    struct x86_core *core = e->core;
    const struct x86_state *s = core->state;
    const bool wide = x86_long_mode(s);
    const unsigned size = wide ? 16 : 8, offset = e->event->vector * size;
    uint64_t gate[2] = {0};

    if (offset + size - 1 > s->idtr.limit)
        return raise_gate(e, X86_GP);
    if (core->linear->read(core, s->idtr.base + offset, gate, size, true) < 0)
        return X86_RAISED;
    e->type = gate[0] >> 40 & 0x1f;
    e->dpl = gate[0] >> 45 & 3;
    e->ist = wide ? gate[0] >> 32 & 7 : 0;
    e->selector = (uint16_t)(gate[0] >> 16);
    e->offset = (gate[0] & 0xffff) | (gate[0] >> 32 & 0xffff0000) | gate[1] << 32;
    if (!gate_type_is_valid(s, e->type))
        return raise_gate(e, X86_GP);
    if (e->event->kind == X86_EVENT_SOFTWARE && e->dpl < x86_cpl(s))
        return raise_gate(e, X86_GP);
    if (!(gate[0] >> 47 & 1))
        return raise_gate(e, X86_NP_FAULT);
    if (e->type == X86_TYPE_INTERRUPT_GATE16 || e->type == X86_TYPE_TRAP_GATE16)
        e->offset &= 0xffff;
    e->size = wide ? 8 : e->type & 8 ? 4 : 2;
    return 0;
}

/* The handler's code segment and privilege. */
static int read_code(struct entry *e)
{
    struct x86_core *core = e->core;
    const struct x86_state *s = core->state;
    const unsigned cpl = x86_cpl(s);

    if (x86_selector_null(e->selector))
        return x86_raise_error(core, X86_GP, e->external);
    if (x86_descriptor_read(core, e->selector, false, X86_GP, &e->code) < 0) {
        if (core->exception.vector == X86_GP)
            core->exception.error |= e->external;
        return X86_RAISED;
    }
    const unsigned attributes = x86_descriptor_attributes(&e->code), dpl = x86_attributes_dpl(attributes);
    const bool conforming = attributes & X86_SEGMENT_CONFORMING;
    const bool only64 =
        x86_long_mode(s) && (attributes & (X86_SEGMENT_LONG | X86_SEGMENT_BIG)) != X86_SEGMENT_LONG;
    if (!x86_is_code(attributes) || dpl > cpl || only64)
        return raise_selector(e, X86_GP);
    if (!(attributes & X86_SEGMENT_PRESENT))
        return raise_selector(e, X86_NP_FAULT);
    e->cpl = conforming ? cpl : dpl;
    if (x86_vm86(s) && e->cpl != 0)
        return raise_selector(e, X86_GP);
    if (e->size == 8 ? !x86_canonical(e->offset) : e->offset > x86_descriptor_limit(&e->code))
        return x86_raise_error(core, X86_GP, e->external);
    return 0;
}

/* Into the handler: what is left to do once the frame is pushed. */
static void enter_handler(const struct entry *e)
{
    struct x86_state *s = e->core->state;
    x86_segment_set(s, X86_CS, (uint16_t)((e->selector & ~3u) | e->cpl), &e->code);
    s->rip = e->offset;
    s->eflags_system &= ~(uint64_t)(X86_EFLAGS_TF | X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_VM);
    if (!(e->type & 1)) /* an interrupt gate */
        s->eflags_system &= ~(uint64_t)X86_EFLAGS_IF;
}

static int push_frame(const struct entry *e, struct x86_stack *stack, bool with_stack)
{
    const struct x86_state *s = e->core->state;
    const uint64_t old_stack[] = {s->segment[X86_SS].selector, s->gpr[X86_RSP]};
    const uint64_t frame[] = {pushed_flags(s, e->event), s->segment[X86_CS].selector, s->rip};
    const uint64_t error = e->event->error;

    if (with_stack && push_all(e->core, stack, e->size, old_stack, ARRAY_SIZE(old_stack)) < 0)
        return X86_RAISED;
    if (push_all(e->core, stack, e->size, frame, ARRAY_SIZE(frame)) < 0)
        return X86_RAISED;
    return e->event->has_error ? x86_stack_push(e->core, stack, e->size, error) : 0;
}

/* 6.14: the frame is aligned, and always has the old stack. */
static int enter_long(struct entry *e)
{
    struct x86_state *s = e->core->state;
    const bool inner = e->cpl != x86_cpl(s);
    struct x86_stack stack = {
        .sp = s->gpr[X86_RSP], .mask = ~0ull, .error = e->external, .system = e->cpl != 3, .wide = true};
    struct x86_descriptor none;
    uint16_t selector;

    if (e->ist) {
        if (x86_stack_ist(e->core, e->ist, e->external, &stack) < 0)
            return X86_RAISED;
    } else if (inner) {
        if (x86_stack_inner(e->core, e->cpl, e->external, &none, &selector, &stack) < 0)
            return X86_RAISED;
    }
    stack.sp &= ~15ull;
    if (push_frame(e, &stack, true) < 0 || x86_descriptor_mark(e->core, &e->code, X86_SEGMENT_ACCESSED) < 0)
        return X86_RAISED;
    s->gpr[X86_RSP] = stack.sp;
    if (inner)
        x86_segment_set_null(s, X86_SS, (uint16_t)e->cpl);
    enter_handler(e);
    return 0;
}

static const uint8_t vm86_data[] = {X86_GS, X86_FS, X86_DS, X86_ES};

static int enter_inner(struct entry *e)
{
    struct x86_state *s = e->core->state;
    const bool vm86 = x86_vm86(s);
    struct x86_descriptor ss;
    struct x86_stack stack;
    uint16_t selector;

    if (x86_stack_inner(e->core, e->cpl, e->external, &ss, &selector, &stack) < 0)
        return X86_RAISED;
    for (unsigned i = 0; vm86 && i < ARRAY_SIZE(vm86_data); i++)
        if (x86_stack_push(e->core, &stack, e->size, s->segment[vm86_data[i]].selector) < 0)
            return X86_RAISED;
    if (push_frame(e, &stack, true) < 0 || x86_descriptor_mark(e->core, &e->code, X86_SEGMENT_ACCESSED) < 0)
        return X86_RAISED;
    for (unsigned i = 0; vm86 && i < ARRAY_SIZE(vm86_data); i++)
        x86_segment_set_null(s, vm86_data[i], 0);
    x86_segment_set(s, X86_SS, selector, &ss);
    /* All of ESP is the new stack's, also where only SP counts. */
    s->gpr[X86_RSP] = (uint32_t)stack.sp;
    enter_handler(e);
    return 0;
}

static int enter_same(struct entry *e)
{
    struct x86_state *s = e->core->state;
    struct x86_stack stack = x86_stack_current(s);

    if (push_frame(e, &stack, false) < 0 || x86_descriptor_mark(e->core, &e->code, X86_SEGMENT_ACCESSED) < 0)
        return X86_RAISED;
    x86_stack_commit(s, &stack);
    enter_handler(e);
    return 0;
}

static int deliver_protected(struct x86_core *core, const struct x86_event *event)
{
    struct entry e = {
        .core = core, .event = event, .external = event->kind == X86_EVENT_SOFTWARE ? 0 : ERROR_EXTERNAL};
    if (read_gate(&e) < 0)
        return X86_RAISED;
    if (e.type == X86_TYPE_TASK_GATE)
        return x86_task_interrupt(core, e.selector, e.external, pushed_flags(core->state, event),
                                  event->has_error ? &event->error : NULL);
    if (read_code(&e) < 0)
        return X86_RAISED;
    if (x86_long_mode(core->state))
        return enter_long(&e);
    return e.cpl != x86_cpl(core->state) ? enter_inner(&e) : enter_same(&e);
}

/* -- faults on the way: table 6-5 ---------------------------------------------------------------------- */

struct x86_event x86_exception_event(const struct x86_core *core)
{
    const struct x86_exception *x = &core->exception;
    return (struct x86_event){x->kind, x->vector, x->has_error, x->error, x->address, x->length};
}

static bool is_contributory(const struct x86_event *e)
{
    return e->kind == X86_EVENT_EXCEPTION &&
           (e->vector == X86_DE || (e->vector >= X86_TS && e->vector <= X86_GP));
}

static bool is_page_fault(const struct x86_event *e)
{
    return e->kind == X86_EVENT_EXCEPTION && e->vector == X86_PF;
}

static bool is_double_fault(const struct x86_event *e)
{
    return e->kind == X86_EVENT_EXCEPTION && e->vector == X86_DF;
}

/* A fault of the instruction is one before it. */
static void step_back(struct x86_state *s, const struct x86_event *event)
{
    const bool wide = x86_long_mode(s) && s->segment[X86_CS].attributes & X86_SEGMENT_LONG;
    const bool big = x86_protected(s) && s->segment[X86_CS].attributes & X86_SEGMENT_BIG;
    s->rip = (s->rip - event->length) & (wide ? ~0ull : big ? 0xffffffff : 0xffff);
}

static bool makes_double(const struct x86_event *first, const struct x86_event *second)
{
    if (is_page_fault(first))
        return is_page_fault(second) || is_contributory(second);
    return is_contributory(first) && is_contributory(second);
}

enum x86_delivery x86_deliver(struct x86_core *core, struct x86_event event)
{
    struct x86_state *s = core->state;
    for (;;) {
        if (is_page_fault(&event))
            s->cr2 = event.address;
        int result = x86_protected(s) ? deliver_protected(core, &event) : deliver_real(core, &event);
        if (result == 0)
            return X86_DELIVERED;
        struct x86_event second = x86_exception_event(core);
        if (is_double_fault(&event) && (is_contributory(&second) || is_page_fault(&second)))
            return X86_SHUTDOWN;
        if (!core->exception.in_new_task)
            step_back(s, &event);
        if (makes_double(&event, &second)) {
            if (is_page_fault(&second))
                s->cr2 = second.address;
            second = (struct x86_event){X86_EVENT_EXCEPTION, X86_DF, x86_protected(s), 0, 0, 0};
        }
        event = second;
    }
}
