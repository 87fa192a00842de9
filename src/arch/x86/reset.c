/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reset: a CPU's registers after power-on and INIT. Intel SDM volume 3, table 9-1. */
#include <string.h>

#include "arch/x86/model.h"
#include "arch/x86/segment.h"
#include "arch/x86/x87_state.h"

enum {
    MXCSR_INIT = 0x1f80,
    MTRR_WRITE_BACK = 0xc06, /* all memory is: what firmware would set up, which machines here do not have */
    FAST_STRINGS = 1,
};
#define PAT_INIT 0x0007040600070406ull

static void reset_segments(struct x86_state *s)
{
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        s->segment[i] = (struct x86_segment_register){
            0, X86_SEGMENT_PRESENT | X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_WRITABLE | X86_SEGMENT_ACCESSED,
            0xffff};
        s->segment_base[i] = 0;
    }
    s->segment[X86_CS].selector = 0xf000;
    s->segment[X86_CS].attributes |= X86_SEGMENT_CODE;
    s->segment_base[X86_CS] = 0xffff0000;
    s->ldtr = (struct x86_segment_register){0, X86_SEGMENT_PRESENT | X86_TYPE_LDT, 0xffff};
    s->tr = (struct x86_segment_register){0, X86_SEGMENT_PRESENT | X86_TYPE_TSS_BUSY, 0xffff};
    s->ldtr_base = s->tr_base = 0;
    s->gdtr = s->idtr = (struct x86_table_register){0, 0xffff};
}

void x86_state_init(struct x86_state *s, const struct x86_model *model)
{
    uint32_t version[4];
    const uint64_t cr0 = (s->cr0 & ((uint64_t)X86_CR0_NW | X86_CR0_CD)) | X86_CR0_ET;

    memset(s->gpr, 0, sizeof s->gpr);
    x86_cpuid(model, &(struct x86_topology){0, 1}, NULL, 1, 0, version);
    s->gpr[X86_RDX] = version[0];
    s->rip = 0xfff0;
    x86_eflags_set(s, 0);
    reset_segments(s);
    s->cr0 = cr0;
    s->cr2 = s->cr3 = s->cr4 = s->cr8 = 0;
    s->efer = 0;
    memset(s->dr, 0, sizeof s->dr);
    s->dr[6] = 0xffff0ff0;
    s->dr[7] = 0x400;
    memset(s->pdpte, 0, sizeof s->pdpte);
    s->debugctl = 0;
    s->interrupt_shadow = X86_SHADOW_NONE;
    s->pv_async_fault = s->pv_async_vector = s->pv_async_owed = 0; /* as KVM has it */
}

void x86_state_reset(struct x86_state *s, const struct x86_model *model)
{
    memset(s, 0, sizeof *s);
    s->cr0 = (uint64_t)X86_CR0_NW | X86_CR0_CD;
    x86_state_init(s, model);
    x87_area(s)->control = 0x40; /* FINIT makes 37F of it */
    s->mxcsr = MXCSR_INIT;
    s->xcr0 = X86_XCR0_X87;
    s->pat = PAT_INIT;
    s->misc_enable = FAST_STRINGS;
    s->mtrr_def_type = MTRR_WRITE_BACK;
}
