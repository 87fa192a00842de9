/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mode: what follows from a CPU's registers: the mode that its code is translated for, and where it is. */
#include "arch/x86/segment.h"
#include "engine/translate/private.h"

/* Real-address mode has CS.D of before, as it has limits. */
static unsigned code_of(const struct x86_state *s)
{
    const unsigned attributes = s->segment[X86_CS].attributes;
    if (x86_long_mode(s) && attributes & X86_SEGMENT_LONG)
        return X86_CODE_64;
    return x86_protected(s) && attributes & X86_SEGMENT_BIG ? X86_CODE_32 : X86_CODE_16;
}

static unsigned stack_and_bases(const struct x86_state *s)
{
    const bool big = x86_protected(s) && s->segment[X86_SS].attributes & X86_SEGMENT_BIG;
    const uint64_t bases =
        s->segment_base[X86_CS] | s->segment_base[X86_SS] | s->segment_base[X86_DS] | s->segment_base[X86_ES];
    return (big ? 0 : X86_MODE_STACK16) | (bases ? X86_MODE_SEGMENTED : 0);
}

static unsigned tlb_of(const struct x86_state *s, unsigned cpl)
{
    if (cpl == 3)
        return ENGINE_TLB_USER;
    if (cpl != 0)
        return X86_MODE_OUTER;
    return s->eflags_system & X86_EFLAGS_AC ? ENGINE_TLB_EXPLICIT : ENGINE_TLB_SYSTEM;
}

void engine_update_mode(struct engine_vcpu *v)
{
    const struct x86_state *s = engine_state(v);
    const unsigned iopl = (unsigned)(s->eflags_system >> 12) & 3, cpl = x86_cpl(s);
    unsigned mode = code_of(s);

    v->wide = mode == X86_CODE_64;
    if (!v->wide)
        mode |= stack_and_bases(s) | x86_update_reach(&v->cpu->x86);
    if (!x86_has_descriptors(s) || cpl <= iopl)
        mode |= X86_MODE_SYSTEM;
    if (s->cr0 & (X86_CR0_EM | X86_CR0_TS) || !(s->cr4 & X86_CR4_OSFXSR))
        mode |= X86_MODE_NO_FPU;
    v->cpu->x86.mode = mode | tlb_of(s, cpl) << X86_MODE_TLB_SHIFT | x86_exact_mode(&v->cpu->x86);
    v->cpu->x86.tsc = s->cr4 & X86_CR4_TSD && cpl != 0 && x86_protected(s) ? NULL : engine_tsc;
}

void engine_to_rip(struct engine_vcpu *v)
{
    struct x86_state *s = engine_state(v);
    const uint64_t pc = v->cpu->x86.pc;
    s->rip = v->wide ? pc : (uint32_t)(pc - s->segment_base[X86_CS]);
}

void engine_from_rip(struct engine_vcpu *v)
{
    const struct x86_state *s = engine_state(v);
    const bool wide = code_of(s) == X86_CODE_64;
    v->cpu->x86.pc = wide ? s->rip : (uint32_t)(s->rip + s->segment_base[X86_CS]);
}
