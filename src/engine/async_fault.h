/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * async_fault: KVM tells its guests of page faults of the host's, so that they do something else until the
 * page is there (Linux: Documentation/virt/kvm/x86/msr.rst, MSR_KVM_ASYNC_PF_EN; CPUID leaf 40000001h). Only
 * a kernel that has the local APICs does. But a guest that was told waits for the end, and goes on, if it is
 * saved meanwhile, where nobody knows of that fault.
 *
 * There is an end of all waits, which KVM tells when a guest enables this. So does visor where the local
 * APICs are its own, and once more where a guest goes on with a state that says that it may wait.
 */
#ifndef VISOR_ENGINE_ASYNC_FAULT_H
#define VISOR_ENGINE_ASYNC_FAULT_H

#include "arch/x86/model.h"
#include "arch/x86/state.h"
#include "device/irq/lapic.h"
#include "memory/memory_map.h"

enum async_fault_msr {
    ASYNC_FAULT_ENABLE = 0x4b564d02,
    ASYNC_FAULT_VECTOR = 0x4b564d06,
    ASYNC_FAULT_ACKNOWLEDGE = 0x4b564d07,
};

/* Of a vCPU; all of it borrowed. */
struct async_fault {
    const struct x86_model *model;
    struct memory_map *memory;
    struct lapic *lapic;
    struct x86_state *state;
};

/* Whether it is one of them, and the processor has them. */
bool async_fault_has_msr(const struct x86_model *model, uint32_t msr);
uint64_t async_fault_msr_read(const struct x86_state *state, uint32_t msr);
/* Whether a guest may write this. */
bool async_fault_msr_valid(const struct async_fault *fault, uint32_t msr, uint64_t value);
/* WRMSR, where visor tells; false: it may not. On the vCPU's thread, with the machine's lock. */
bool async_fault_msr_write(const struct async_fault *fault, uint32_t msr, uint64_t value);

/* Whether the guest may be told of faults, with this in ASYNC_FAULT_ENABLE. */
bool async_fault_enabled(uint64_t enable);
/* Tells the end of all waits if that is owed, and the guest has taken what it was told before; to be called
 * again when its local APIC has something new. Likewise. */
void async_fault_tell(const struct async_fault *fault);

#endif
