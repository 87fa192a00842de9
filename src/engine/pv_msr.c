/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/pv_msr.h"

#include <stddef.h>

#include "arch/x86/features.h"

enum { MSR_STEAL_TIME = 0x4b564d03, MSR_EOI = 0x4b564d04 };

const uint32_t pv_msr_numbers[PV_MSR_COUNT] = {MSR_STEAL_TIME, MSR_EOI};

/* Address bits that must be 0; bit 0 enables. */
enum { STEAL_TIME_RESERVED = 0x3e, EOI_RESERVED = 0x2 };

uint64_t *pv_msr_place(struct x86_state *state, const struct x86_model *model, uint32_t msr)
{
    if (msr == MSR_STEAL_TIME && x86_has(model, X86_FEATURE_KVM_STEAL_TIME))
        return &state->pv_steal_time;
    if (msr == MSR_EOI && x86_has(model, X86_FEATURE_KVM_PV_EOI))
        return &state->pv_eoi;
    return NULL;
}

bool pv_msr_valid(uint32_t msr, uint64_t value)
{
    return !(value & (msr == MSR_EOI ? EOI_RESERVED : STEAL_TIME_RESERVED));
}
