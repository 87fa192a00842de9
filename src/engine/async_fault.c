/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/async_fault.h"

#include "arch/x86/features.h"

/* Of ASYNC_FAULT_ENABLE; an address of 64 bytes is above. To be told by #PF exits of a nested guest (bit 2)
 * is not offered. */
enum {
    ENABLED = 1 << 0,
    BY_INTERRUPT = 1 << 3,
    RESERVED = 1 << 2 | 3 << 4,
    FLAGS = 63,
};

/* What is there. */
enum { TOKEN_OFFSET = 4, AREA_SIZE = 8 };
#define TOKEN_OF_ALL UINT32_MAX

bool async_fault_has_msr(const struct x86_model *model, uint32_t msr)
{
    return x86_has(model, X86_FEATURE_KVM_ASYNC_FAULT) &&
           (msr == ASYNC_FAULT_ENABLE || msr == ASYNC_FAULT_VECTOR || msr == ASYNC_FAULT_ACKNOWLEDGE);
}

uint64_t async_fault_msr_read(const struct x86_state *state, uint32_t msr)
{
    return msr == ASYNC_FAULT_ENABLE   ? state->pv_async_fault
           : msr == ASYNC_FAULT_VECTOR ? state->pv_async_vector
                                       : 0;
}

bool async_fault_enabled(uint64_t enable)
{
    return enable & ENABLED && enable & BY_INTERRUPT;
}

static uint64_t area(uint64_t enable)
{
    return enable & ~(uint64_t)FLAGS;
}

bool async_fault_msr_valid(const struct async_fault *fault, uint32_t msr, uint64_t value)
{
    if (msr == ASYNC_FAULT_ENABLE)
        return !(value & RESERVED) &&
               (!async_fault_enabled(value) || memory_pointer(fault->memory, area(value), AREA_SIZE, true));
    return msr != ASYNC_FAULT_VECTOR || value <= UINT8_MAX;
}

bool async_fault_msr_write(const struct async_fault *fault, uint32_t msr, uint64_t value)
{
    if (!async_fault_msr_valid(fault, msr, value))
        return false;
    if (msr == ASYNC_FAULT_VECTOR) {
        fault->state->pv_async_vector = (uint8_t)value;
    } else if (msr == ASYNC_FAULT_ENABLE) {
        fault->state->pv_async_fault = value;
        fault->state->pv_async_owed = async_fault_enabled(value);
    }
    if (msr != ASYNC_FAULT_VECTOR && value & 1)
        async_fault_tell(fault);
    return true;
}

/* Before the interrupt is taken the token is there: the vCPU does not run meanwhile. */
void async_fault_tell(const struct async_fault *fault)
{
    const uint64_t enable = fault->state->pv_async_fault, place = area(enable) + TOKEN_OFFSET;
    uint32_t token = TOKEN_OF_ALL;
    if (!fault->state->pv_async_owed || !async_fault_enabled(enable) ||
        !async_fault_msr_valid(fault, ASYNC_FAULT_ENABLE, enable) ||
        memory_read(fault->memory, place, &token, sizeof token) < 0 || token ||
        !lapic_interrupt(fault->lapic, fault->state->pv_async_vector, false))
        return;
    token = TOKEN_OF_ALL;
    memory_write(fault->memory, place, &token, sizeof token);
    fault->state->pv_async_owed = 0;
}
