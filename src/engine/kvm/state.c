/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state: a vCPU's registers as the kernel has them, and as struct x86_state.
 *
 * Only x86_state has, and pulling leaves alone: activity, tsc_offset, tsc_adjust, pat, misc_enable, debugctl,
 * spec_ctrl, the MTRRs, xmm_upper. The guest comes to them by exits, see msr.c. CR8 is the local APIC's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86/interrupt.h"
#include "arch/x86/segment.h"
#include "base/macros.h"
#include "engine/kvm/private.h"

int kvm_failed(struct engine_vcpu *v, const char *what)
{
    const int code = -errno;
    if (!v->failed)
        fprintf(stderr, "visor: vCPU %u: KVM cannot %s: %s\n", v->index, what, strerror(-code));
    v->failed = true;
    return code;
}

/* -- registers one by one -------------------------------------------------------------------------------- */

static const struct {
    uint8_t gpr;
    uint16_t offset; /* in struct kvm_regs */
} gprs[] = {
#define GPR(number, name)                                                                                    \
    {                                                                                                        \
        number, offsetof(struct kvm_regs, name)                                                              \
    }
    GPR(X86_RAX, rax), GPR(X86_RCX, rcx), GPR(X86_RDX, rdx), GPR(X86_RBX, rbx),
    GPR(X86_RSP, rsp), GPR(X86_RBP, rbp), GPR(X86_RSI, rsi), GPR(X86_RDI, rdi),
    GPR(X86_R8, r8),   GPR(X86_R9, r9),   GPR(X86_R10, r10), GPR(X86_R11, r11),
    GPR(12, r12),      GPR(13, r13),      GPR(14, r14),      GPR(15, r15),
#undef GPR
};

static void regs_get(const struct kvm_regs *regs, struct x86_state *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(gprs); i++)
        memcpy(&s->gpr[gprs[i].gpr], (const char *)regs + gprs[i].offset, sizeof s->gpr[0]);
    s->rip = regs->rip;
    x86_eflags_set(s, regs->rflags);
}

static void regs_set(struct kvm_regs *regs, const struct x86_state *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(gprs); i++)
        memcpy((char *)regs + gprs[i].offset, &s->gpr[gprs[i].gpr], sizeof s->gpr[0]);
    regs->rip = s->rip;
    regs->rflags = x86_eflags_get(s);
}

/* Of a register that has no segment only the privilege counts, and that of SS only. */
static void segment_get(const struct kvm_segment *from, struct x86_segment_register *to, uint64_t *base)
{
    const unsigned dpl = (unsigned)from->dpl << X86_SEGMENT_DPL_SHIFT;
    to->selector = from->selector;
    *base = from->base;
    if (from->unusable || !from->present) {
        to->attributes = (uint16_t)dpl;
        to->limit = 0;
        return;
    }
    to->attributes = (uint16_t)(from->type | (from->s ? X86_SEGMENT_NOT_SYSTEM : 0) | dpl |
                                X86_SEGMENT_PRESENT | from->avl << 12 | (from->l ? X86_SEGMENT_LONG : 0) |
                                (from->db ? X86_SEGMENT_BIG : 0) | (from->g ? X86_SEGMENT_GRANULAR : 0));
    to->limit = from->limit;
}

static struct kvm_segment segment_set(const struct x86_segment_register *from, uint64_t base)
{
    const unsigned a = from->attributes;
    return (struct kvm_segment){
        .base = base,
        .limit = from->limit,
        .selector = from->selector,
        .type = a & X86_SEGMENT_TYPE,
        .present = !!(a & X86_SEGMENT_PRESENT),
        .dpl = (uint8_t)x86_attributes_dpl(a),
        .db = !!(a & X86_SEGMENT_BIG),
        .s = !!(a & X86_SEGMENT_NOT_SYSTEM),
        .l = !!(a & X86_SEGMENT_LONG),
        .g = !!(a & X86_SEGMENT_GRANULAR),
        .avl = a >> 12 & 1,
        .unusable = !(a & X86_SEGMENT_PRESENT),
    };
}

static struct kvm_segment *segment_of(struct kvm_sregs2 *sregs, unsigned segment)
{
    struct kvm_segment *const segments[] = {&sregs->es, &sregs->cs, &sregs->ss,
                                            &sregs->ds, &sregs->fs, &sregs->gs};
    return segments[segment];
}

static void sregs_get(struct kvm_sregs2 *sregs, struct x86_state *s)
{
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        segment_get(segment_of(sregs, i), &s->segment[i], &s->segment_base[i]);
    segment_get(&sregs->ldt, &s->ldtr, &s->ldtr_base);
    segment_get(&sregs->tr, &s->tr, &s->tr_base);
    s->gdtr = (struct x86_table_register){sregs->gdt.base, sregs->gdt.limit};
    s->idtr = (struct x86_table_register){sregs->idt.base, sregs->idt.limit};
    s->cr0 = sregs->cr0;
    s->cr2 = sregs->cr2;
    s->cr3 = sregs->cr3;
    s->cr4 = sregs->cr4;
    s->efer = sregs->efer;
    if (sregs->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)
        memcpy(s->pdpte, sregs->pdptrs, sizeof s->pdpte);
    else
        memset(s->pdpte, 0, sizeof s->pdpte);
}

static void sregs_set(struct kvm_sregs2 *sregs, const struct x86_state *s, const struct lapic *lapic)
{
    const bool pae = s->cr0 & X86_CR0_PG && s->cr4 & X86_CR4_PAE && !(s->efer & X86_EFER_LMA);
    memset(sregs, 0, sizeof *sregs);
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        *segment_of(sregs, i) = segment_set(&s->segment[i], s->segment_base[i]);
    sregs->ldt = segment_set(&s->ldtr, s->ldtr_base);
    sregs->tr = segment_set(&s->tr, s->tr_base);
    sregs->gdt.base = s->gdtr.base, sregs->gdt.limit = s->gdtr.limit;
    sregs->idt.base = s->idtr.base, sregs->idt.limit = s->idtr.limit;
    sregs->cr0 = s->cr0;
    sregs->cr2 = s->cr2;
    sregs->cr3 = s->cr3;
    sregs->cr4 = s->cr4;
    sregs->cr8 = lapic_priority_class(lapic);
    sregs->efer = s->efer;
    sregs->apic_base = lapic->base;
    if (pae) {
        sregs->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
        memcpy(sregs->pdptrs, s->pdpte, sizeof s->pdpte);
    }
}

/* What XSAVE's area begins with: FXSAVE's, and a header with the components that are there. Intel SDM volume
 * 1, 13.4. What the guest has beyond (a KVM that is software may show it more than it was told to) stays as
 * it is. */
struct xsave {
    uint8_t x87[24];
    uint32_t mxcsr, mxcsr_mask;
    uint8_t stack[128];
    uint8_t xmm[256];
    uint8_t rest[96];
    uint64_t components;
};
_Static_assert(offsetof(struct xsave, stack) == 32 && offsetof(struct xsave, xmm) == 160 &&
                   offsetof(struct xsave, components) == 512,
               "");

static void fpu_get(const uint8_t *from, struct x86_state *s)
{
    const struct xsave *area = (const struct xsave *)from;
    memset(s->x87, 0, sizeof s->x87);
    memcpy(s->x87, area->x87, sizeof area->x87);
    memcpy(s->x87 + offsetof(struct xsave, stack), area->stack, sizeof area->stack);
    memcpy(s->xmm, area->xmm, sizeof area->xmm);
    s->mxcsr = area->mxcsr;
}

static void fpu_set(uint8_t *to, const struct x86_state *s)
{
    struct xsave *area = (struct xsave *)to;
    memcpy(area->x87, s->x87, sizeof area->x87);
    memcpy(area->stack, s->x87 + offsetof(struct xsave, stack), sizeof area->stack);
    memcpy(area->xmm, s->xmm, sizeof area->xmm);
    area->mxcsr = s->mxcsr;
    area->components |= X86_XCR0_X87 | X86_XCR0_SSE;
}

/* Those that the kernel has, in this order. The last is in processors with RDTSCP only. */
static const struct {
    uint32_t msr;
    uint16_t offset;
} msrs[] = {
    {0x174, offsetof(struct x86_state, sysenter_cs)},
    {0x175, offsetof(struct x86_state, sysenter_esp)},
    {0x176, offsetof(struct x86_state, sysenter_eip)},
    {0xc0000081, offsetof(struct x86_state, star)},
    {0xc0000082, offsetof(struct x86_state, lstar)},
    {0xc0000083, offsetof(struct x86_state, cstar)},
    {0xc0000084, offsetof(struct x86_state, sfmask)},
    {0xc0000102, offsetof(struct x86_state, kernel_gs_base)},
    {0xc0000103, offsetof(struct x86_state, tsc_aux)},
};

/* Room for a struct kvm_msrs with all of them. */
struct msr_list {
    _Alignas(struct kvm_msrs)
        uint8_t bytes[sizeof(struct kvm_msrs) + ARRAY_SIZE(msrs) * sizeof(struct kvm_msr_entry)];
};

static unsigned msr_count(const struct engine_vcpu *v)
{
    const bool rdtscp = x86_has(&v->vm->model, X86_FEATURE(X86_FEATURES_EXT_EDX, 27));
    return ARRAY_SIZE(msrs) - !rdtscp;
}

static struct kvm_msrs *msr_list_begin(struct msr_list *room, unsigned count)
{
    struct kvm_msrs *list = (struct kvm_msrs *)room->bytes;
    memset(room, 0, sizeof *room);
    list->nmsrs = count;
    for (unsigned i = 0; i < count; i++)
        list->entries[i].index = msrs[i].msr;
    return list;
}

static int msrs_get(struct engine_vcpu *v)
{
    struct msr_list room;
    struct kvm_msrs *list = msr_list_begin(&room, msr_count(v));
    if (ioctl(v->fd, KVM_GET_MSRS, list) != (int)list->nmsrs)
        return kvm_failed(v, "give the model-specific registers");
    for (unsigned i = 0; i < list->nmsrs; i++)
        memcpy((char *)&v->state + msrs[i].offset, &list->entries[i].data, sizeof list->entries[i].data);
    return 0;
}

static int msrs_set(struct engine_vcpu *v)
{
    struct msr_list room;
    struct kvm_msrs *list = msr_list_begin(&room, msr_count(v));
    for (unsigned i = 0; i < list->nmsrs; i++)
        memcpy(&list->entries[i].data, (const char *)&v->state + msrs[i].offset,
               sizeof list->entries[i].data);
    if (ioctl(v->fd, KVM_SET_MSRS, list) != (int)list->nmsrs)
        return kvm_failed(v, "take the model-specific registers");
    return 0;
}

static void events_get(const struct kvm_vcpu_events *events, struct x86_state *s)
{
    s->nmi_pending = events->nmi.pending;
    s->nmi_blocked = !!events->nmi.masked;
    s->interrupt_shadow = events->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS ? X86_SHADOW_STACK
                          : events->interrupt.shadow                           ? X86_SHADOW_STI
                                                                               : X86_SHADOW_NONE;
}

static void events_set(struct kvm_vcpu_events *events, const struct x86_state *s)
{
    memset(events, 0, sizeof *events);
    events->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
    events->nmi.pending = s->nmi_pending;
    events->nmi.masked = s->nmi_blocked;
    events->interrupt.shadow = s->interrupt_shadow == X86_SHADOW_STACK ? KVM_X86_SHADOW_INT_MOV_SS
                               : s->interrupt_shadow                   ? KVM_X86_SHADOW_INT_STI
                                                                       : 0;
}

/* -- where the kernel has the local APICs ---------------------------------------------------------------- */

/* First of all: INIT and SIPI that wait are obeyed by asking. */
static int activity_get(struct engine_vcpu *v)
{
    struct kvm_mp_state state;
    if (ioctl(v->fd, KVM_GET_MP_STATE, &state) < 0)
        return kvm_failed(v, "say what it does");
    switch (state.mp_state) {
    case KVM_MP_STATE_HALTED: v->state.activity = X86_HALTED; break;
    case KVM_MP_STATE_UNINITIALIZED:
    case KVM_MP_STATE_INIT_RECEIVED: v->state.activity = X86_WAITS_FOR_SIPI; break;
    default: v->state.activity = X86_ACTIVE;
    }
    return 0;
}

static int activity_set(struct engine_vcpu *v)
{
    static const uint32_t states[] = {[X86_ACTIVE] = KVM_MP_STATE_RUNNABLE,
                                      [X86_HALTED] = KVM_MP_STATE_HALTED,
                                      [X86_WAITS_FOR_SIPI] = KVM_MP_STATE_INIT_RECEIVED};
    const struct kvm_mp_state state = {states[v->state.activity]};
    return ioctl(v->fd, KVM_SET_MP_STATE, &state) < 0 ? kvm_failed(v, "take what it does") : 0;
}

/* -- some of them ---------------------------------------------------------------------------------------- */

int kvm_pull_general(struct engine_vcpu *v)
{
    struct kvm_regs regs;
    if (ioctl(v->fd, KVM_GET_REGS, &regs) < 0)
        return kvm_failed(v, "give the general registers");
    regs_get(&regs, &v->state);
    return 0;
}

int kvm_push_general(struct engine_vcpu *v)
{
    struct kvm_regs regs;
    regs_set(&regs, &v->state);
    return ioctl(v->fd, KVM_SET_REGS, &regs) < 0 ? kvm_failed(v, "take the general registers") : 0;
}

/* -- all of them ----------------------------------------------------------------------------------------- */

int kvm_pull(struct engine_vcpu *v)
{
    struct x86_state *s = &v->state;
    struct kvm_regs regs;
    struct kvm_sregs2 sregs;
    struct kvm_debugregs debug;
    struct kvm_xcrs xcrs;
    struct kvm_vcpu_events events;
    if (v->vm->split && activity_get(v) < 0)
        return -EIO;
    if (ioctl(v->fd, KVM_GET_REGS, &regs) < 0 || ioctl(v->fd, KVM_GET_SREGS2, &sregs) < 0 ||
        ioctl(v->fd, KVM_GET_XSAVE, v->xsave) < 0 || ioctl(v->fd, KVM_GET_DEBUGREGS, &debug) < 0 ||
        ioctl(v->fd, KVM_GET_XCRS, &xcrs) < 0 || ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
        return kvm_failed(v, "give the registers");
    regs_get(&regs, s);
    sregs_get(&sregs, s);
    fpu_get(v->xsave, s);
    events_get(&events, s);
    memcpy(s->dr, debug.db, sizeof debug.db);
    s->dr[6] = debug.dr6;
    s->dr[7] = debug.dr7;
    s->xcr0 = xcrs.nr_xcrs ? xcrs.xcrs[0].value : X86_XCR0_X87;
    if (v->vm->lent) {
        lapic_set_priority_class(v->lapic, (uint8_t)sregs.cr8);
        v->lapic->base = sregs.apic_base;
    }
    s->cr8 = lapic_priority_class(v->lapic);
    return msrs_get(v);
}

/* A KVM that is software may have paging in long mode only, and say nothing. */
static int check_paging(struct engine_vcpu *v)
{
    struct kvm_sregs2 sregs;
    if (!(v->state.cr0 & X86_CR0_PG) || v->state.efer & X86_EFER_LMA)
        return 0;
    if (ioctl(v->fd, KVM_GET_SREGS2, &sregs) == 0 && sregs.cr0 & X86_CR0_PG)
        return 0;
    errno = ENOTSUP;
    return kvm_failed(v, "do paging outside of long mode");
}

int kvm_push(struct engine_vcpu *v)
{
    const struct x86_state *s = &v->state;
    struct kvm_regs regs;
    struct kvm_sregs2 sregs;
    struct kvm_vcpu_events events;
    struct kvm_debugregs debug = {.dr6 = s->dr[6], .dr7 = s->dr[7]};
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0].value = x86_xcr0(s)};
    memcpy(debug.db, s->dr, sizeof debug.db);
    regs_set(&regs, s);
    sregs_set(&sregs, s, v->lapic);
    fpu_set(v->xsave, s);
    events_set(&events, s);
    /* EFER and CR4 first: what MSRs and others may be depends on them. */
    if (ioctl(v->fd, KVM_SET_SREGS2, &sregs) < 0 || ioctl(v->fd, KVM_SET_REGS, &regs) < 0 ||
        ioctl(v->fd, KVM_SET_XCRS, &xcrs) < 0 || ioctl(v->fd, KVM_SET_XSAVE, v->xsave) < 0 ||
        ioctl(v->fd, KVM_SET_DEBUGREGS, &debug) < 0 || ioctl(v->fd, KVM_SET_VCPU_EVENTS, &events) < 0)
        return kvm_failed(v, "take the registers");
    v->cr8 = lapic_priority_class(v->lapic);
    v->run->cr8 = v->cr8;
    v->run->ready_for_interrupt_injection = 0;
    v->run->if_flag = !!(s->eflags_system & X86_EFLAGS_IF);
    v->stale = true;
    v->nmi_given = s->nmi_pending;
    const int code = v->vm->split && activity_set(v) < 0 ? -EIO : msrs_set(v);
    return code ? code : check_paging(v);
}

/* -- what is on its way ---------------------------------------------------------------------------------- */

/* False: nothing is. */
static bool event_under_way(const struct kvm_vcpu_events *events, const struct x86_state *s,
                            struct x86_event *out)
{
    *out = (struct x86_event){.kind = X86_EVENT_EXTERNAL};
    if (events->exception.injected || events->exception.pending) {
        const unsigned vector = events->exception.nr;
        out->kind = vector == X86_BP || vector == X86_OF ? X86_EVENT_SOFTWARE : X86_EVENT_EXCEPTION;
        out->vector = (uint8_t)vector;
        out->has_error = events->exception.has_error_code;
        out->error = events->exception.error_code;
        out->address = s->cr2;
        return true;
    }
    if (events->nmi.injected) {
        out->vector = X86_NMI;
        return true;
    }
    if (!events->interrupt.injected)
        return false;
    out->vector = events->interrupt.nr;
    if (events->interrupt.soft)
        out->kind = X86_EVENT_SOFTWARE;
    return true;
}

void kvm_settle(struct engine_vcpu *v)
{
    struct kvm_vcpu_events events;
    struct x86_event event;
    if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) < 0) {
        kvm_failed(v, "give what it delivers");
        return;
    }
    if (!event_under_way(&events, &v->state, &event) || kvm_pull(v) < 0)
        return;
    event.address = v->state.cr2;
    if (events.nmi.injected)
        v->state.nmi_blocked = 1;
    v->state.interrupt_shadow = X86_SHADOW_NONE;
    if (x86_deliver(&v->core, event) == X86_DELIVERED)
        kvm_push(v);
}
