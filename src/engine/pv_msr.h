/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv_msr: where a guest wants KVM to tell it what it may profit from (Linux:
 * Documentation/virt/kvm/x86/msr.rst): that an interrupt needs no end (MSR_KVM_PV_EOI_EN), and how long its
 * processors had to wait (MSR_KVM_STEAL_TIME). Both may stay untold at any time, so every engine takes the
 * MSRs, and those that have somebody who tells pass them on. CPUID leaf 40000001h.
 */
#ifndef VISOR_ENGINE_PV_MSR_H
#define VISOR_ENGINE_PV_MSR_H

#include "arch/x86/model.h"
#include "arch/x86/state.h"

enum { PV_MSR_COUNT = 2 };
extern const uint32_t pv_msr_numbers[PV_MSR_COUNT];

/* Where the state has it; NULL: it is none of these MSRs, or the processor has no such feature. */
uint64_t *pv_msr_place(struct x86_state *state, const struct x86_model *model, uint32_t msr);
/* Whether a guest may write this. */
bool pv_msr_valid(uint32_t msr, uint64_t value);

#endif
