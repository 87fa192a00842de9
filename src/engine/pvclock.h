/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pvclock: the clock that KVM offers its guests (Linux: Documentation/virt/kvm/x86/msr.rst,
 * MSR_KVM_SYSTEM_TIME_NEW and MSR_KVM_WALL_CLOCK_NEW; CPUID leaf 40000001h), under every engine: a guest that
 * goes by it can go from one to another, and to a host whose time-stamp counter has another frequency.
 *
 * In the guest's memory, at an address that each vCPU tells, is what a counter's value has to be multiplied
 * with and what is to be added. Time is the machine's clock. It is the same for all vCPUs, whose counters
 * are.
 */
#ifndef VISOR_ENGINE_PVCLOCK_H
#define VISOR_ENGINE_PVCLOCK_H

#include "arch/x86/model.h"
#include "arch/x86/state.h"
#include "base/timer.h"
#include "memory/memory_map.h"

/* When the time-stamp counter, without a vCPU's own offset, was `tsc`, the machine's clock was `time`. */
struct pvclock_base {
    uint64_t tsc, time;
};

struct pvclock {
    const struct x86_model *model; /* with the counter's frequency as it is */
    struct memory_map *memory;
    const struct clock *clock;
    struct pvclock_base base;
};

/* Linear from the base. */
uint64_t pvclock_time(const struct pvclock *clock, uint64_t tsc);

/* RDMSR and WRMSR; writing needs the machine's lock. False: it is none of these MSRs, or the processor has no
 * such clock. `own`: what the vCPU's counter has beyond the others'. */
bool pvclock_msr_read(const struct pvclock *clock, const struct x86_state *state, uint32_t msr,
                      uint64_t *value);
bool pvclock_msr_write(const struct pvclock *clock, struct x86_state *state, uint64_t own, uint32_t msr,
                       uint64_t value);
/* Writes to the guest's memory, if it has told where and RAM is there; while the vCPU does not run, or from
 * its own thread. stopped: the guest did not run for a while, and is to excuse that. Needs the machine's
 * lock. */
void pvclock_publish(const struct pvclock *clock, const struct x86_state *state, uint64_t own, bool stopped);

#endif
