/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rescue: instructions that the kernel would have to emulate and cannot: SSE's accesses to devices, and of a
 * KVM that is software much more, IRET and SSE in a kernel for a beginning. What is rare and privileged
 * arch/x86 executes; the others the engine `translate`, of which a vCPU is made in the same machine when the
 * first comes.
 */
#include <errno.h>
#include <signal.h>
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
    v->failed = true;
    return KVM_LOST;
}

/* -- by arch/x86 ----------------------------------------------------------------------------------------- */

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

/* -- by translate ---------------------------------------------------------------------------------------- */

static int make_substitute(struct engine_vcpu *v)
{
    struct engine_vm *vm = v->vm;
    struct error error = ERROR_INIT;
    int code = 0;
    pthread_mutex_lock(vm->machine.lock);
    if (!vm->substitute)
        code = engine_translate.vm_new(&vm->substitute, &vm->machine, &error);
    if (!code)
        code = engine_translate.vcpu_new(&v->substitute, vm->substitute, v->index, &error);
    if (!code)
        code = engine_translate.vcpu_set_debug(v->substitute, &(struct engine_debug){.step = true}, &error);
    pthread_mutex_unlock(vm->machine.lock);
    kvm_clock_tell(v); /* a new vCPU has told the local APIC of its own counter */
    if (code)
        error_report(&error);
    return code;
}

/* One instruction, or an interrupt and one. The counter is not the other engine's matter: what reads or
 * writes it is arch/x86's above. */
static enum engine_exit step(struct engine_vcpu *v)
{
    struct x86_state state = v->state;
    sigset_t mask;
    if (!v->substitute && make_substitute(v) < 0)
        return ENGINE_FAILED;
    state.tsc_offset = v->lapic->tsc_offset;
    state.pv_time = state.hv_time_page = 0; /* the guest is told of this engine's counter */
    engine_translate.vcpu_set_state(v->substitute, &state);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    const enum engine_exit exit = engine_translate.vcpu_run(v->substitute);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    engine_translate.vcpu_get_state(v->substitute, &state);
    state.tsc_offset = v->state.tsc_offset;
    state.pv_time = v->state.pv_time;
    pthread_mutex_lock(v->vm->machine.lock); /* what is of the whole machine others write meanwhile */
    state.hv_guest_os = v->state.hv_guest_os;
    state.hv_hypercall = v->state.hv_hypercall;
    state.hv_time_page = v->state.hv_time_page;
    v->state = state;
    pthread_mutex_unlock(v->vm->machine.lock);
    return exit;
}

void kvm_rescue_free(struct engine_vcpu *v)
{
    engine_translate.vcpu_free(v->substitute);
}

void kvm_rescue_vm_free(struct engine_vm *vm)
{
    engine_translate.vm_free(vm->substitute);
}

/* -- whichever ------------------------------------------------------------------------------------------- */

static enum kvm_rescue by_translate(struct engine_vcpu *v, const uint8_t *code, unsigned size)
{
    switch (step(v)) {
    case ENGINE_DEBUG: return KVM_RESCUED;
    case ENGINE_SHUTDOWN: return KVM_SHUT_DOWN;
    default: return give_up(v, code, size);
    }
}

static enum kvm_rescue by_arch(struct engine_vcpu *v, const uint8_t *code, unsigned length)
{
    const uint64_t offset = v->state.tsc_offset;
    if (execute(v, code, length) != X86_DELIVERED)
        return KVM_SHUT_DOWN;
    if (v->state.tsc_offset != offset) {
        kvm_clock_apply(v);
        kvm_clock_tell(v);
    }
    return KVM_RESCUED;
}

enum kvm_rescue kvm_rescue(struct engine_vcpu *v)
{
    uint8_t code[X86_INSTRUCTION_MAX];
    if (kvm_pull(v) < 0)
        return KVM_LOST;
    const unsigned size = fetch(v, code), length = x86_emulate_length(&v->state, code, size);
    if (v->run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION)
        return give_up(v, code, size);
    const enum kvm_rescue rescue = length ? by_arch(v, code, length) : by_translate(v, code, size);
    return rescue == KVM_RESCUED && kvm_push(v) < 0 ? KVM_LOST : rescue;
}
