/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A vCPU's registers as the table of a device's fields. */
#include <errno.h>

#include "arch/nzcv.h"
#include "arch/x86/paging.h"
#include "base/macros.h"
#include "machine/machine_save.h"

#define FIELD(member)         DEVICE_FIELD(struct x86_state, member)
#define LIMITED(member, most) DEVICE_LIMITED(struct x86_state, member, most)
#define ARRAY(member)         DEVICE_ARRAY(struct x86_state, member)
/* What C has no integer for. */
#define BYTES(member_)                                                                                       \
    {                                                                                                        \
        .name = #member_, .kind = DEVICE_INTEGER, .offset = offsetof(struct x86_state, member_), .size = 1,  \
        .count = sizeof(DEVICE_MEMBER(struct x86_state, member_))                                            \
    }

static const struct device_field segment_fields[] = {
    DEVICE_FIELD(struct x86_segment_register, selector),
    DEVICE_FIELD(struct x86_segment_register, attributes),
    DEVICE_FIELD(struct x86_segment_register, limit),
};

static const struct device_field table_fields[] = {
    DEVICE_FIELD(struct x86_table_register, base),
    DEVICE_FIELD(struct x86_table_register, limit),
};

static const struct device_field state_fields[] = {
    ARRAY(gpr),
    FIELD(rip),
    FIELD(flags),
    LIMITED(mxcsr, 0xffff), /* more of it is a fault of the host's */
    FIELD(df),
    LIMITED(eflags_system, X86_EFLAGS_ALL),
    BYTES(xmm),
    BYTES(xmm_upper),
    ARRAY(x87),
    LIMITED(activity, X86_WAITS_FOR_SIPI),
    LIMITED(nmi_pending, 2),
    LIMITED(nmi_blocked, 1),
    ARRAY(segment_base),
    DEVICE_STRUCTS(struct x86_state, segment, segment_fields),
    DEVICE_PART(struct x86_state, ldtr, segment_fields),
    DEVICE_PART(struct x86_state, tr, segment_fields),
    FIELD(ldtr_base),
    FIELD(tr_base),
    DEVICE_PART(struct x86_state, gdtr, table_fields),
    DEVICE_PART(struct x86_state, idtr, table_fields),
    LIMITED(cr0, UINT32_MAX),
    FIELD(cr2),
    FIELD(cr3),
    LIMITED(cr4, UINT32_MAX),
    LIMITED(cr8, 15),
    ARRAY(dr),
    FIELD(efer),
    FIELD(star),
    FIELD(lstar),
    FIELD(cstar),
    FIELD(sfmask),
    FIELD(sysenter_cs),
    FIELD(sysenter_esp),
    FIELD(sysenter_eip),
    FIELD(kernel_gs_base),
    FIELD(tsc_offset),
    FIELD(tsc_aux),
    FIELD(tsc_adjust),
    ARRAY(pdpte),
    LIMITED(xcr0, X86_XCR0_ALL),
    FIELD(pat),
    FIELD(misc_enable),
    FIELD(debugctl),
    FIELD(spec_ctrl),
    FIELD(mtrr_def_type),
    ARRAY(mtrr_fixed),
    ARRAY(mtrr_base),
    ARRAY(mtrr_mask),
    LIMITED(interrupt_shadow, X86_SHADOW_STACK),
    FIELD(pv_time),
    FIELD(pv_wall),
    FIELD(pv_steal_time),
    FIELD(pv_eoi),
    FIELD(pv_async_fault),
    FIELD(pv_async_vector),
    LIMITED(pv_async_owed, 1),
    FIELD(hv_guest_os),
    FIELD(hv_hypercall),
    FIELD(hv_time_page),
};

static const struct device_field vcpu_fields[] = {
    DEVICE_PART(struct machine_vcpu_state, state, state_fields),
};

/* VME to PCE, OSFXSR, OSXMMEXCPT, UMIP, FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP: what any model has. */
#define CR4_KNOWN                                                                                            \
    (0x1ffu | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_UMIP | X86_CR4_FSGSBASE | X86_CR4_PCIDE |        \
     X86_CR4_OSXSAVE | X86_CR4_SMEP | X86_CR4_SMAP)

/* What no instruction can bring about, and what generated code is not made for. */
static int vcpu_loaded(void *opaque, struct error *error)
{
    const struct x86_state *s = &((struct machine_vcpu_state *)opaque)->state;
    const bool paging = s->cr0 & X86_CR0_PG;
    const char *wrong = NULL;
    if (s->flags & ~(unsigned)NZCVPA_MASK || (s->df != 1 && s->df != ~UINT64_C(0)) ||
        s->eflags_system & (X86_EFLAGS_CONDITIONS | X86_EFLAGS_DF | X86_EFLAGS_ONE))
        wrong = "flags";
    else if (paging && !(s->cr0 & X86_CR0_PE))
        wrong = "CR0";
    else if (s->cr4 & ~(uint64_t)CR4_KNOWN)
        wrong = "CR4";
    else if (s->efer & ~(uint64_t)(X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE) ||
             !(s->efer & X86_EFER_LMA) != !(s->efer & X86_EFER_LME && paging) ||
             (s->efer & X86_EFER_LMA && !(s->cr4 & X86_CR4_PAE)))
        wrong = "EFER";
    return wrong ? error_set(error, -EINVAL, "%s cannot be so", wrong) : 0;
}

const struct device_type machine_vcpu_type = {
    .name = "x86-vcpu",
    .version = 4,
    .fields = vcpu_fields,
    .field_count = ARRAY_SIZE(vcpu_fields),
    .loaded = vcpu_loaded,
};
