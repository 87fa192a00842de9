/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rescue: instructions that the kernel would have to emulate and cannot: of a KVM that is software, above all
 * what is rare and privileged, IRET of 32-bit code for one. arch/x86 knows these.
 */
#include <stdio.h>

#include "arch/x86/interrupt.h"
#include "base/macros.h"
#include "engine/kvm/private.h"

enum { DR6_SINGLE_STEP = 1 << 14 };

/* As many of the bytes at rip as there are. */
static unsigned fetch(struct engine_vcpu *v, uint8_t code[X86_INSTRUCTION_MAX])
{
    const struct x86_state *s = &v->state;
    const bool wide = x86_code_of(s) == X86_CODE_64;
    const uint64_t linear = wide ? s->rip : (uint32_t)(s->segment_base[X86_CS] + s->rip);
    unsigned size = 0;
    while (size < X86_INSTRUCTION_MAX && kvm_linear_copy(v, linear + size, code + size, NULL, 1) == 0)
        size++;
    return size;
}

static enum kvm_rescue give_up(struct engine_vcpu *v, const uint8_t *code, unsigned size)
{
    char bytes[3 * X86_INSTRUCTION_MAX + 1] = "";
    for (unsigned i = 0; i < size; i++)
        snprintf(bytes + 3 * i, 4, " %02x", code[i]);
    fprintf(stderr, "visor: vCPU %u: KVM cannot go on (internal error %u) at %04x:%#llx, code%s\n", v->index,
            v->run->internal.suberror, v->state.segment[X86_CS].selector, (unsigned long long)v->state.rip,
            bytes);
    if (v->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
        fprintf(stderr, "visor: it does not know this instruction: try --engine translate\n");
    v->failed = true;
    return KVM_LOST;
}

static enum x86_delivery execute(struct engine_vcpu *v, const uint8_t *code, unsigned length)
{
    struct x86_state *s = &v->state;
    const bool steps = s->eflags_system & X86_EFLAGS_TF;
    s->interrupt_shadow = X86_SHADOW_NONE;
    switch (x86_emulate(&v->core, &v->platform, code, length)) {
    case X86_EMULATE_EXCEPTION: return x86_deliver(&v->core, x86_exception_event(&v->core));
    case X86_EMULATE_AGAIN: return X86_DELIVERED;
    case X86_EMULATE_HALT: s->activity = X86_HALTED; break;
    case X86_EMULATED: break;
    }
    if (!steps)
        return X86_DELIVERED;
    s->dr[6] |= DR6_SINGLE_STEP;
    return x86_deliver(&v->core, (struct x86_event){.kind = X86_EVENT_EXCEPTION, .vector = X86_DB});
}

enum kvm_rescue kvm_rescue(struct engine_vcpu *v)
{
    uint8_t code[X86_INSTRUCTION_MAX];
    if (kvm_pull(v) < 0)
        return KVM_LOST;
    const unsigned size = fetch(v, code), length = x86_emulate_length(&v->state, code, size);
    if (v->run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION || !length)
        return give_up(v, code, size);
    const uint64_t offset = v->state.tsc_offset;
    if (execute(v, code, length) != X86_DELIVERED)
        return KVM_SHUT_DOWN;
    if (v->state.tsc_offset != offset)
        kvm_clock_apply(v);
    return kvm_push(v) < 0 ? KVM_LOST : KVM_RESCUED;
}
